//! A unit that is waited for, between one look at it and the next.

use crate::UnitName;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A unit that is waited for until it is active (for `limit` at most), and then for `settle`: it has to stay so,
/// the same process all the time. A oneshot is done when it has succeeded.
#[derive(Clone, Debug)]
pub struct Settling {
    pub unit: UnitName,
    pub settle: Duration,
    pub limit: Duration,
    pub(super) began: Instant,
    /// Seconds since 1970; what it said while it was being started is of interest too.
    pub(super) journal_from: i64,
    pub(super) steady: Option<Steady>,
}

/// How long before we began to wait for a unit its journal is of interest, in seconds.
const JOURNAL_BEFORE: i64 = 60;

impl Settling {
    pub fn new(unit: UnitName, settle: Duration, limit: Duration) -> Settling {
        let journal_from = jiff::Timestamp::now().as_second() - JOURNAL_BEFORE;
        Settling { unit, settle, limit, began: Instant::now(), journal_from, steady: None }
    }
}

/// The process that a unit has been active with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steady {
    pub(super) since: Instant,
    pub(super) invocation: Option<Arc<str>>,
    pub(super) restarts: u32,
}

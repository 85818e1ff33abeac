//! A run that is under way.

use crate::budget::{BudgetMeter, Spent};
use crate::ledger::{Ledger, UndoEntry};
use crate::observed::Observed;
use crate::outcome::{Held, Outcome};
use crate::plan::Plan;
use crate::promised::Promises;
use crate::runner::debt::{Debt, RunnerRecord};
use crate::unit::UnitId;
use std::collections::{BTreeMap, BTreeSet};
use steadfast_resources::{Change, Fingerprint};
use steadfast_system::services::Settling;
use steadfast_system::{Actuate, UnitName};

pub(super) struct Run<'a> {
    pub(super) promises: &'a Promises,
    pub(super) sys: &'a dyn Actuate,
    pub(super) ledger: &'a mut dyn Ledger,
    pub(super) meter: BudgetMeter,
    /// What was foreseen: a unit is paid for by it before its first member is changed.
    pub(super) plan: &'a Plan,
    /// The units that were to be paid for, and whether the budget was enough.
    pub(super) charged: BTreeMap<UnitId, Result<(), Held>>,
    /// The units whose step has begun.
    pub(super) begun: BTreeSet<UnitId>,
    /// What was paid for members of units that did not have their turn yet.
    pub(super) prepaid: BTreeMap<usize, Spent>,
    pub(super) observed: Observed,
    /// Looks that something done since may have made wrong.
    pub(super) stale: Vec<bool>,
    /// What was not right when it was last looked at.
    pub(super) drifted: BTreeSet<usize>,
    /// What was done, for each promise.
    pub(super) done: Vec<Vec<Change>>,
    pub(super) outcomes: Vec<Option<Outcome>>,
    pub(super) notes: Vec<Vec<String>>,
    /// What was said of what was done; it is told with the outcome.
    pub(super) noted: BTreeMap<usize, Vec<String>>,
    /// What failed because the machine moved, and gets one more round.
    pub(super) retry: Vec<usize>,
    /// What was started and has to settle yet.
    pub(super) pending: Vec<Pending>,
    /// Whether systemd has read its files since it was last written down that it has to.
    pub(super) systemd_read: bool,
    pub(super) last_round: bool,
}

/// A promise whose last change is under way.
pub(super) struct Pending {
    pub(super) at: usize,
    pub(super) changes: Vec<Change>,
    /// The change that is waited for.
    pub(super) last: usize,
    pub(super) wait: Settling,
    /// What was written down of it before the work.
    pub(super) made: Vec<UndoEntry>,
}

/// Promises by index, and what is to be done to each.
pub(super) type Work = Vec<(usize, Vec<Change>)>;

/// Debts of one service that were written down before their causes were changed.
pub(super) struct WrittenDown {
    pub(super) unit: UnitName,
    /// The record without them.
    pub(super) before: RunnerRecord,
    pub(super) debts: Vec<NewDebt>,
}

pub(super) struct NewDebt {
    pub(super) debt: Debt,
    /// The parts of its cause, with what each was then.
    pub(super) causes: Vec<(usize, Option<Fingerprint>)>,
}

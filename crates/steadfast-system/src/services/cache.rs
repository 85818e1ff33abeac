//! What the real machine remembers of its units within one run.

use super::bus::Bus;
use std::sync::{Arc, Mutex};

/// The connection to the bus.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pub(super) bus: Mutex<Option<Arc<Bus>>>,
}

//! How much one run may do. A forecast spends the same budget in the same order as the run after it.

use crate::outcome::Held;
use steadfast_resources::Change;

/// What a run may do at most; no limit where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    pub changes: Option<u64>,
    pub deletions: Option<u64>,
    pub restarts: Option<u64>,
}

/// A budget, and what was taken from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purse {
    budget: Budget,
    changes: u64,
    deletions: u64,
    restarts: u64,
}

impl Purse {
    pub(crate) fn new(budget: Budget) -> Purse {
        Purse { budget, changes: 0, deletions: 0, restarts: 0 }
    }

    /// Takes all changes of one promise, or none.
    pub(crate) fn spend(&mut self, changes: &[Change]) -> Result<(), Held> {
        // What is started was not there to be interrupted.
        let services = changes.iter().filter_map(Change::as_service);
        let restarts = services.filter(|it| it.is_restart()).count() as u64;
        let deletions: u64 = changes.iter().map(Change::deletes).sum();
        let changes = changes.len() as u64;
        for (spent, more, limit, what) in [
            (self.changes, changes, self.budget.changes, "changes"),
            (self.deletions, deletions, self.budget.deletions, "deletions"),
            (self.restarts, restarts, self.budget.restarts, "restarts"),
        ] {
            if let Some(limit) = limit
                && more > 0
                && spent.saturating_add(more) > limit
            {
                return Err(Held::Budget { what, limit });
            }
        }
        self.changes += changes;
        self.deletions += deletions;
        self.restarts += restarts;
        Ok(())
    }
}

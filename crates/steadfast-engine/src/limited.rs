//! What a run may do so much of and no more, with its words.

use steadfast_model::policy::Budget;

/// What a budget limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    Changes,
    Deletions,
    Restarts,
}

impl Limited {
    pub(crate) const ALL: [Limited; 3] = [Limited::Changes, Limited::Deletions, Limited::Restarts];

    /// Its name in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Limited::Changes => "changes",
            Limited::Deletions => "deletions",
            Limited::Restarts => "restarts",
        }
    }

    /// The word for one of them.
    fn one(self) -> &'static str {
        match self {
            Limited::Changes => "change",
            Limited::Deletions => "deletion",
            Limited::Restarts => "restart",
        }
    }

    /// The word that follows such a number.
    pub(crate) fn counted(self, number: u64) -> &'static str {
        if number == 1 { self.one() } else { self.name() }
    }

    pub(crate) fn limit(self, budget: Budget) -> Option<u64> {
        match self {
            Limited::Changes => budget.changes,
            Limited::Deletions => budget.deletions,
            Limited::Restarts => budget.restarts,
        }
    }
}

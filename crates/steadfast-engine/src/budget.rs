//! How much one run may do. A forecast spends the same budget in the same order as the run after it.

use crate::limited::Limited;
use crate::outcome::Held;
use steadfast_resources::Change;

pub use steadfast_model::policy::Budget;

/// What changes cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub changes: u64,
    pub deletions: u64,
    pub restarts: u64,
}

impl Spent {
    pub fn count<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Spent {
        let mut spent = Spent::default();
        for change in changes {
            spent.changes += 1;
            spent.deletions += change.deletes();
            // What is started was not there to be interrupted.
            spent.restarts += u64::from(change.as_runner().is_some_and(|it| it.is_restart()));
        }
        spent
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Spent) -> Spent {
        Spent {
            changes: self.changes + other.changes,
            deletions: self.deletions + other.deletions,
            restarts: self.restarts + other.restarts,
        }
    }

    /// What of it is not in the other.
    #[must_use]
    pub fn without(self, other: Spent) -> Spent {
        Spent {
            changes: self.changes.saturating_sub(other.changes),
            deletions: self.deletions.saturating_sub(other.deletions),
            restarts: self.restarts.saturating_sub(other.restarts),
        }
    }

    /// The greater of both in each.
    #[must_use]
    pub fn at_least(self, other: Spent) -> Spent {
        Spent {
            changes: self.changes.max(other.changes),
            deletions: self.deletions.max(other.deletions),
            restarts: self.restarts.max(other.restarts),
        }
    }

    /// The first limit that it goes beyond.
    pub fn beyond(&self, budget: Budget) -> Option<(Limited, u64)> {
        let beyond = |it: Limited| it.limit(budget).filter(|limit| self.of(it) > *limit);
        Limited::ALL.into_iter().find_map(|it| Some((it, beyond(it)?)))
    }

    /// What is left of a budget from which this was taken.
    #[must_use]
    pub fn taken_from(&self, budget: Budget) -> Budget {
        let rest = |limit: Option<u64>, spent| limit.map(|it: u64| it.saturating_sub(spent));
        Budget {
            changes: rest(budget.changes, self.changes),
            deletions: rest(budget.deletions, self.deletions),
            restarts: rest(budget.restarts, self.restarts),
        }
    }

    /// How many of them.
    pub fn of(&self, what: Limited) -> u64 {
        match what {
            Limited::Changes => self.changes,
            Limited::Deletions => self.deletions,
            Limited::Restarts => self.restarts,
        }
    }
}

/// A budget, and what was taken from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BudgetMeter {
    budget: Budget,
    spent: Spent,
}

impl BudgetMeter {
    pub(crate) fn new(budget: Budget) -> BudgetMeter {
        BudgetMeter { budget, spent: Spent::default() }
    }

    /// Takes this, all of it or nothing.
    pub(crate) fn spend(&mut self, more: Spent) -> Result<(), Held> {
        let all = self.spent.and(more);
        for what in Limited::ALL {
            if let Some(limit) = what.limit(self.budget)
                && more.of(what) > 0
                && all.of(what) > limit
            {
                return Err(Held::Budget { what, limit });
            }
        }
        self.spent = all;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_resources::group;
    use steadfast_system::GroupName;

    #[test]
    fn what_is_spent_is_missing_and_what_is_beyond_is_named() {
        let name = GroupName::parse("web").unwrap();
        let remove = Change::Group(group::Change::Remove { name, gid: 7 });
        let budget = Budget { changes: Some(9), deletions: Some(3), restarts: None };
        let changes = [remove.clone(), remove.clone()];
        let less = Budget { changes: Some(7), deletions: Some(1), restarts: None };
        let spent = Spent::count(&changes);
        assert_eq!(spent.taken_from(budget), less);
        let left = Budget { changes: Some(5), deletions: Some(0), ..less };
        assert_eq!(spent.taken_from(less), left);
        assert_eq!(spent.beyond(budget), None);
        let all = spent.and(spent);
        assert_eq!(all.beyond(budget), Some((Limited::Deletions, 3)));
        assert_eq!((all.of(Limited::Deletions), all.of(Limited::Restarts)), (4, 0));
        assert_eq!(
            [0, 1, 2].map(|it| Limited::Changes.counted(it)),
            ["changes", "change", "changes"]
        );
        assert!(!budget.is_none() && Budget::default().is_none());
    }
}

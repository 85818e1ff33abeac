//! What became of a promise, as values with typed reasons.

use crate::limited::Limited;
use steadfast_model::PromiseId;
use steadfast_resources::{Change, Identity, Refusal};
use steadfast_system::SystemError;

/// The verdict on one promise.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Kept,
    /// Granted only after a second look at the machine.
    Repaired,
    NotKept(NotKept),
    Held(Held),
}

/// Why a promise is not kept.
#[derive(Clone, Debug, PartialEq)]
pub enum NotKept {
    /// The machine could not be looked at.
    Unobserved(SystemError),
    /// Something stands in the way that a run does not move.
    Refused(Vec<Refusal>),
    /// A thing it needs is not there.
    Missing(Vec<Identity>),
    Failed {
        change: Box<Change>,
        error: SystemError,
    },
    /// Everything else is as promised, and it is not healthy.
    Unhealthy(SystemError),
    /// Everything was done, and it still differs after the change.
    StillDiffers {
        remaining: Vec<String>,
        /// Whether all of that can be somebody's doing who has no privilege.
        thwarted: bool,
    },
}

/// Why a promise is deliberately not attempted. There is no silent skip.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    NeedNotKept {
        needed: PromiseId,
    },
    ReportOnly {
        difference: Vec<Change>,
    },
    /// It would be more than a run may do: of what, and the limit.
    Budget {
        what: Limited,
        limit: u64,
    },
    /// A restart may be owed, and the record that would tell was damaged.
    RestartUndetermined,
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        match self {
            Outcome::Kept | Outcome::Repaired => true,
            Outcome::NotKept(_) | Outcome::Held(_) => false,
        }
    }

    /// The word for it in text; JSON writes `not-kept`.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Kept => "kept",
            Outcome::Repaired => "repaired",
            Outcome::NotKept(_) => "not kept",
            Outcome::Held(_) => "held",
        }
    }

    /// Why, outermost first.
    pub fn because(&self) -> Vec<String> {
        match self {
            Outcome::Kept | Outcome::Repaired => vec![],
            Outcome::NotKept(why) => why.because(),
            Outcome::Held(why) => why.because(),
        }
    }

    /// Why, without what a unit wrote into its journal meanwhile: that is another with each attempt.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Outcome::Kept | Outcome::Repaired => vec![],
            Outcome::NotKept(why) => why.told(SystemError::reasons),
            Outcome::Held(why) => why.because(),
        }
    }

    /// What the unit wrote into its journal.
    pub fn journal(&self) -> Vec<String> {
        match self {
            Outcome::NotKept(
                NotKept::Unobserved(error)
                | NotKept::Failed { change: _, error }
                | NotKept::Unhealthy(error),
            ) => error.journal(),
            Outcome::NotKept(
                NotKept::Refused(_) | NotKept::Missing(_) | NotKept::StillDiffers { .. },
            )
            | Outcome::Kept
            | Outcome::Repaired
            | Outcome::Held(_) => vec![],
        }
    }
}

impl NotKept {
    pub fn because(&self) -> Vec<String> {
        self.told(SystemError::chain)
    }

    /// The words, with so much of an error.
    fn told(&self, layers: fn(&SystemError) -> Vec<String>) -> Vec<String> {
        match self {
            NotKept::Unobserved(error) => layers(error),
            NotKept::Refused(reasons) => reasons.iter().map(ToString::to_string).collect(),
            NotKept::Missing(things) => {
                things.iter().map(|it| format!("{it} does not exist")).collect()
            }
            NotKept::Failed { change: _, error } => layers(error),
            NotKept::Unhealthy(error) => {
                std::iter::once("it is not healthy".to_owned()).chain(layers(error)).collect()
            }
            NotKept::StillDiffers { remaining, thwarted: _ } => {
                std::iter::once("it still differs after the change".to_owned())
                    .chain(remaining.iter().cloned())
                    .collect()
            }
        }
    }
}

impl Held {
    pub fn because(&self) -> Vec<String> {
        match self {
            Held::NeedNotKept { needed } => vec![format!("needs {needed}, which is not kept")],
            Held::ReportOnly { difference } => {
                std::iter::once("it is only reported (keep: report)".to_owned())
                    .chain(difference.iter().map(|it| format!("would {it}")))
                    .collect()
            }
            Held::Budget { what, limit } => {
                let what = what.counted(*limit);
                vec![format!(
                    "it would exceed the budget of {limit} {what} for one run (policy: budget)"
                )]
            }
            Held::RestartUndetermined => vec![
                "a restart may be owed: the record of what it runs with was damaged".to_owned(),
            ],
        }
    }
}

/// How many promises got which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub kept: usize,
    pub repaired: usize,
    pub not_kept: usize,
    pub held: usize,
    /// How the forecast fared: lines said, and lines that came true.
    pub certain: (usize, usize),
    pub expected: (usize, usize),
}

impl Summary {
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Kept => self.kept += 1,
            Outcome::Repaired => self.repaired += 1,
            Outcome::NotKept(_) => self.not_kept += 1,
            Outcome::Held(_) => self.held += 1,
        }
    }
}

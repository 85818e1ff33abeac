//! What is seen of one component and its surroundings when the machine is asked, and what came of the last act.

use super::act::Debt;
use super::deployment::Deployment;
use super::reason::{Gate, Trouble};
use super::row::Process;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// None where the component is not placed here.
    pub wanted: Option<Wanted>,
    pub by: By,
    /// The gates that are closed.
    pub closed: Vec<Gate>,
    /// By their own digest: those that are whole on this machine with everything that is staged for them.
    pub prepared: BTreeSet<Arc<str>>,
    pub place: Place,
    /// The deployments that processes of its units belong to; none for one of which that is not known.
    pub running: BTreeSet<Option<Arc<str>>>,
    /// Active units that a stop of its units takes along; before a first deployment also those of its own names that
    /// somebody else had put there, and that run.
    pub along: BTreeSet<Arc<str>>,
    /// Units to quiesce that still run.
    pub busy: Vec<Arc<str>>,
    /// What it reads has changed beneath it, and no deployment is another.
    pub restart_owed: bool,
    /// What came of the act that was given last; none after a crash.
    pub done: Option<Done>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub deployment: Deployment,
    /// Where its artifact comes from and how it is unpacked, as a digest: what was refused is not fetched again until
    /// that is another.
    pub source: Arc<str>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Agent,
    /// With `--now` it passes windows and bake.
    Hand {
        now: bool,
    },
}

impl By {
    pub(crate) fn is_now(self) -> bool {
        match self {
            By::Agent => false,
            By::Hand { now } => now,
        }
    }
}

/// What is in the places that programs are started from: units, links, files outside of deployments. In blue-green,
/// what gets the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Nothing,
    /// By its own digest.
    Whole(Arc<str>),
    /// A switch was cut off.
    Mixed,
}

impl Place {
    pub(crate) fn is(&self, it: Option<&Deployment>) -> bool {
        match (self, it) {
            (Place::Nothing, None) => true,
            (Place::Whole(own), Some(it)) => *own == it.own,
            (Place::Nothing | Place::Mixed, Some(_)) | (Place::Whole(_) | Place::Mixed, None) => {
                false
            }
        }
    }
}

/// What an act came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Prepared(Result<(), Trouble>),
    Answered(Answer),
    Quiesced(Result<(), Arc<str>>),
    Drained(Result<(), Arc<str>>),
    /// How many connections were open.
    Stopped(Result<u64, Arc<str>>),
    Switched(Result<(), Arc<str>>),
    /// Not started: why, and the last lines of its journal.
    Started(Result<(), Illness>),
    Committed(Result<(), Arc<str>>),
    Paid(Debt, Result<(), Arc<str>>),
}

/// One answer to whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub health: Health,
    pub process: Option<Process>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// It may become well. Also where it is not proven that it is this component who answers.
    Ill(Illness),
    /// It has ended, and nothing starts it again.
    Dead(Illness),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Illness {
    pub reason: Arc<str>,
    pub journal: Vec<Arc<str>>,
}

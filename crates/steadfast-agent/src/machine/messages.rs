//! What goes into the machine and what comes out of it.

use crate::fights::Fight;
use crate::memory::{Failure, Floor, Gate, Memory, News, Revision};
use crate::status::Unkept;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What the settings say, as far as it decides anything here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node's name.
    pub node: String,
    /// What the source is called, for splay and trust floor. Nothing where none is set.
    pub source: Option<String>,
    pub fetch: Duration,
    pub keep: Duration,
    /// For the status alone: what is missing in the settings, and that no signature is asked for.
    pub missing: Vec<String>,
    pub unsigned: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It is time, or may be.
    Woke,
    /// Nothing where the source has nothing newer.
    Fetched(Result<Option<Offer>, Refusal>),
    /// Whether the candidate is one for this node; else what is wrong with it.
    Prepared {
        revision: Revision,
        result: Result<Prepared, Vec<String>>,
    },
    RunEnded {
        revision: Revision,
        end: End,
    },
    /// Something that these promises are about was touched.
    Drift {
        promises: Vec<String>,
    },
    Asked {
        by: Asker,
        request: Request,
    },
    Configured(Config),
    /// The wall clock was set, by so much.
    ClockJumped {
        by: SignedDuration,
    },
    NotStored {
        why: String,
    },
    /// The process is to end, or to be replaced by another binary: after the run that is under way.
    Leave(Leave),
}

/// What a source offers, and what stands behind it that it leads forward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    pub news: News,
    pub proof: Proof,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// It was shown to descend from this revision.
    DescendsFrom(Revision),
    /// Its number stands in `news.sequence`.
    Sequence,
    /// A directory of this machine: who may write it is root.
    Local,
    Nothing,
}

/// Why the source's answer is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    Unreachable,
    /// Nobody who may sign has signed it.
    Signature,
    /// It does not descend from what was accepted before, or has a lower number.
    NotForward,
    TwoContents,
    /// It was signed as another model, or for another environment.
    Foreign,
    Expired,
    /// Torn, too large, or nothing that is a model.
    Broken,
    /// The trust floor was lost: nothing is accepted without somebody's word.
    FloorLost,
    /// This machine's own trouble: no room, no child.
    Here,
}

/// What preparing a revision has found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    pub model: String,
    /// Whether an environment names this node.
    pub named: bool,
    pub promises: u64,
    pub gate: Gate,
    /// What it would do beyond the budget.
    pub hindrance: Option<Hindrance>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hindrance {
    /// Adopting it would do more than one run may, by the adopted policy.
    Budget { what: String, limit: u64, planned: u64 },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Finished(Report),
    Crashed(String),
    /// Somebody else holds the lock.
    Busy(String),
    /// It could not begin.
    NotStarted(String),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub kept: u64,
    pub repaired: Vec<String>,
    pub not_kept: Vec<Broken>,
    /// Promises and why they were not attempted.
    pub held: Vec<Unkept>,
    /// Services that owe a restart.
    pub debts: Vec<String>,
    /// What was taken back of what another revision did, and what of it stays, each as a line.
    pub undone: Vec<String>,
    pub left: Vec<String>,
    /// What else an operator may want to know: what left the model and stays.
    pub told: Vec<String>,
}

/// A promise that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    pub promise: String,
    pub reason: String,
    pub fault: Fault,
    /// It promises that something is healthy, and that is not so.
    pub health: bool,
    /// It stands in the revision before too, and its resolved content or a named input differs.
    pub changed: bool,
}

/// Whose fault it is that a promise is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Nothing of those below: it may be the revision's.
    Revision,
    Network,
    Lock,
    DiskFull,
    Secret,
    /// The machine could not be looked at.
    Unseen,
    /// It lies where somebody who is not root can write.
    Foreign,
}

/// Who asked, in the shell's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Run now; `only` these promises.
    Run {
        only: Option<Vec<String>>,
    },
    Adopt {
        revision: Revision,
        reason: Option<String>,
    },
    Suspend {
        reason: String,
        until: Option<Timestamp>,
    },
    Resume,
    Reload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Stop,
    /// A new binary has been installed.
    Reexecute,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Store(Box<Memory>),
    /// Ask the source what is above the floor. `wanted` where somebody asked for one revision.
    Fetch {
        floor: Floor,
        wanted: Option<Revision>,
    },
    Prepare {
        revision: Revision,
    },
    Run(Job),
    /// Undo what `from` made or replaced, where unchanged since, then keep `to` and judge.
    GoBack {
        from: Revision,
        to: Revision,
    },
    /// Read the settings again.
    Reload,
    Note(Note),
    Reply {
        to: Asker,
        answer: Answer,
    },
    Leave(Leave),
    WakeAt(Timestamp),
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub revision: Revision,
    pub why: Why,
    pub only: Option<Vec<String>>,
    /// The revision that is compared with, to tell what changed.
    pub against: Option<Revision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    Keep,
    Adopt,
    SecondTry,
    GoBack,
    Drift,
    Asked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted(String),
    Refused(String),
    RunEnded { kept: u64, repaired: u64, not_kept: u64, held: u64 },
    RunFailed(String),
}

/// What the journal should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    Adopted {
        revision: Revision,
    },
    Refused(Refusal),
    Invalid {
        revision: Revision,
        problems: Vec<String>,
    },
    Settled {
        revision: Revision,
    },
    TriedAgain {
        revision: Revision,
        failures: Vec<Failure>,
    },
    GoingBack {
        from: Revision,
        to: Revision,
        failures: Vec<Failure>,
    },
    WentBack {
        bad: Revision,
        to: Revision,
    },
    GoingBackDidNotHelp {
        revision: Revision,
    },
    RunCrashed {
        revision: Revision,
        words: String,
    },
    RunPutOff {
        words: String,
    },
    Fight(Fight),
    FightOver(Fight),
    Suspended {
        reason: String,
        until: Option<Timestamp>,
    },
    Resumed,
    SourceChanged,
    /// Somebody asked for it, and the source has something newer now.
    Superseded {
        revision: Revision,
    },
    NotStored {
        why: String,
    },
    /// An answer to something that was not asked.
    Unexpected(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            RefusalKind::Unreachable => "the source cannot be reached",
            RefusalKind::Signature => "nobody who may sign has signed it",
            RefusalKind::NotForward => "it does not lead forward",
            RefusalKind::TwoContents => "it contradicts what was accepted before",
            RefusalKind::Foreign => "it is not for this node",
            RefusalKind::Expired => "it has expired",
            RefusalKind::Broken => "it is not whole",
            RefusalKind::FloorLost => "the trust floor is lost",
            RefusalKind::Here => "this machine is in trouble",
        };
        write!(f, "{what}: {}", self.words)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.promise {
            Some(promise) => write!(f, "{promise} ({})", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |failures: &[Failure]| {
            failures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match self {
            Note::Adopted { revision } => write!(f, "adopted {revision}"),
            Note::Refused(refusal) => write!(f, "refused what the source offers: {refusal}"),
            Note::Invalid { revision, problems } => {
                write!(f, "{revision} is not good for this node: {}", problems.join(", "))
            }
            Note::Settled { revision } => write!(f, "{revision} has proved itself"),
            Note::TriedAgain { revision, failures } => {
                write!(f, "{revision} is tried once more, because of {}", all(failures))
            }
            Note::GoingBack { from, to, failures } => {
                write!(f, "going back from {from} to {to}, because of {}", all(failures))
            }
            Note::WentBack { bad, to } => {
                write!(f, "went back to {to}; {bad} is not taken again")
            }
            Note::GoingBackDidNotHelp { revision } => {
                write!(f, "going back did not help, so {revision} is kept and not blamed")
            }
            Note::RunCrashed { revision, words } => {
                write!(f, "the run of {revision} crashed: {words}")
            }
            Note::RunPutOff { words } => write!(f, "the run is put off: {words}"),
            Note::Fight(fight) => write!(
                f,
                "somebody else writes {}: repaired {} times since {}; it is repaired more slowly now",
                fight.promise, fight.repairs, fight.since
            ),
            Note::FightOver(fight) => write!(
                f,
                "nobody else has written {} for an hour; it was repaired {} times",
                fight.promise, fight.repairs
            ),
            Note::Suspended { reason, until: None } => write!(f, "suspended: {reason}"),
            Note::Suspended { reason, until: Some(until) } => {
                write!(f, "suspended until {until}: {reason}")
            }
            Note::Resumed => write!(f, "resumed"),
            Note::SourceChanged => {
                write!(f, "there is another source; what it offers first is trusted to be forward")
            }
            Note::Superseded { revision } => {
                write!(f, "{revision} was asked for and is not adopted: there is a newer one")
            }
            Note::NotStored { why } => {
                write!(f, "what the agent must not forget cannot be stored: {why}")
            }
            Note::Unexpected(what) => write!(f, "ignored {what}"),
        }
    }
}

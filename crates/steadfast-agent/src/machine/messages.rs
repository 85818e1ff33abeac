//! The inputs of the agent's state machine, and the actions and notes that come out of it.

use crate::flapping::Flapping;
use crate::memory::{Memory, TrialFailure, first_line};
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::time::Duration;
use steadfast_model::PromiseId;
use steadfast_node::revision::{HighestAccepted, Revision};
use steadfast_node::settings::Settings;
use steadfast_node::wire::{Offer, Prepared, Refusal, Report, RunReason, Selection};
use steadfast_source::settings::Trust;

/// What the settings say, as far as it decides anything here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node's name.
    pub node: String,
    /// What the source is called, for splay and anti-rollback. Nothing where none is set.
    pub source: Option<String>,
    pub fetch: Duration,
    pub keep: Duration,
    /// For the status alone: what is missing in the settings, and that no signature is asked for.
    pub missing: Vec<String>,
    pub unsigned: bool,
}

impl Config {
    /// What the state machine needs of the settings, with the node's name where they do not say it. A
    /// source alone is not enough to begin: without an environment nothing could be resolved.
    pub fn from_settings(settings: &Settings, host: &str) -> Config {
        let source = settings.source.as_ref().filter(|_| settings.environment.is_some());
        Config {
            node: settings.node.as_deref().unwrap_or(host).to_owned(),
            source: source.map(ToString::to_string),
            fetch: settings.fetch,
            keep: settings.keep_every,
            missing: settings.missing().into_iter().map(str::to_owned).collect(),
            unsigned: settings.trust == Some(Trust::None),
        }
    }
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
        result: RunResult,
    },
    /// Something that these promises are about was touched.
    Drift {
        promises: Vec<PromiseId>,
    },
    Asked {
        by: Client,
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
    Shutdown(Shutdown),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum RunResult {
    Finished(Report),
    Crashed(String),
    /// Somebody else holds the lock.
    Busy(String),
    /// It could not begin.
    NotStarted(String),
}

/// Who asked, in the shell's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Run now; `only` these promises.
    Run {
        only: Option<Selection>,
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
pub enum Shutdown {
    Stop,
    /// A new binary has been installed.
    Reexecute,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Store(Box<Memory>),
    /// Ask the source what is above the highest revision accepted. `wanted` where somebody asked for one revision.
    Fetch {
        highest: HighestAccepted,
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
        to: Client,
        answer: Answer,
    },
    Shutdown(Shutdown),
    WakeAt(Timestamp),
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub revision: Revision,
    pub reason: RunReason,
    pub only: Option<Selection>,
    /// The revision that is compared with, to tell what changed.
    pub against: Option<Revision>,
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
        failures: Vec<TrialFailure>,
    },
    GoingBack {
        from: Revision,
        to: Revision,
        failures: Vec<TrialFailure>,
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
    Flapping(Flapping),
    FlappingOver(Flapping),
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

impl Input {
    /// Which one it is, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Input::Woke => "woke",
            Input::Fetched(_) => "fetched",
            Input::Prepared { .. } => "prepared",
            Input::RunEnded { .. } => "run-ended",
            Input::Drift { .. } => "drift",
            Input::Asked { .. } => "asked",
            Input::Configured(_) => "configured",
            Input::ClockJumped { .. } => "clock-jumped",
            Input::NotStored { .. } => "not-stored",
            Input::Shutdown(_) => "shutdown",
        }
    }
}

impl fmt::Display for TrialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.promise {
            Some(promise) => write!(f, "{promise} ({})", first_line(&self.reason)),
            None => f.write_str(first_line(&self.reason)),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |failures: &[TrialFailure]| {
            failures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match self {
            Note::Adopted { revision } => write!(f, "adopted {revision}"),
            Note::Refused(refusal) => write!(f, "refused the revision from the source: {refusal}"),
            Note::Invalid { revision, problems } => {
                write!(f, "{revision} is invalid for this node: {}", problems.join(", "))
            }
            Note::Settled { revision } => write!(f, "{revision} passed its trial"),
            Note::TriedAgain { revision, failures } => {
                write!(f, "retrying {revision} once, because of {}", all(failures))
            }
            Note::GoingBack { from, to, failures } => {
                write!(f, "rolling back from {from} to {to}, because of {}", all(failures))
            }
            Note::WentBack { bad, to } => {
                write!(f, "rolled back to {to}; {bad} will not be adopted again")
            }
            Note::GoingBackDidNotHelp { revision } => {
                write!(f, "the rollback did not help, so {revision} stays and is not blamed")
            }
            Note::RunCrashed { revision, words } => {
                write!(f, "the run of {revision} crashed: {words}")
            }
            Note::RunPutOff { words } => write!(f, "the run is postponed: {words}"),
            Note::Flapping(it) => write!(
                f,
                "{} is flapping: something else keeps changing it; repaired {} times since {}, from now on less often",
                it.promise, it.repairs, it.since
            ),
            Note::FlappingOver(it) => write!(
                f,
                "{} is no longer flapping: nothing else changed it for an hour; it was repaired {} times",
                it.promise, it.repairs
            ),
            Note::Suspended { reason, until: None } => write!(f, "suspended: {reason}"),
            Note::Suspended { reason, until: Some(until) } => {
                write!(f, "suspended until {until}: {reason}")
            }
            Note::Resumed => write!(f, "resumed"),
            Note::SourceChanged => {
                write!(
                    f,
                    "the source was changed: anti-rollback starts anew with its first revision"
                )
            }
            Note::Superseded { revision } => {
                write!(f, "{revision} was requested and is not adopted: there is a newer one")
            }
            Note::NotStored { why } => {
                write!(f, "the agent's state cannot be stored: {why}")
            }
            Note::Unexpected(what) => write!(f, "ignored {what}"),
        }
    }
}

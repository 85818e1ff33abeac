//! Why a component is not where it shall be: gates that are closed, what is waited for, what went wrong.

use std::sync::Arc;
use std::time::Duration;
use steadfast_model::application::ComponentId;

/// What keeps a step from beginning. Who looks at the machine lists those that are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The run is about something else (`--only`).
    NotAsked,
    /// Somebody has suspended the agent.
    Suspended { reason: Arc<str>, until: Option<i64> },
    /// The node goes back to the revision before, which moves no component.
    GoingBack,
    /// Its wave has not come.
    Wave { opens: i64 },
    /// Outside of its window. None where it does not open within weeks.
    Window { opens: Option<i64> },
    /// A run may restart no more.
    Budget { limit: u64 },
    /// The revision, or the rollout, needs somebody's word.
    Approval,
    /// `keep: report`.
    ReportOnly,
    /// The target is below the position.
    Lowered { position: Arc<str> },
    /// The documents of its application have mistakes: the first of them.
    Mistaken(Arc<str>),
    /// Another component's step is open.
    Other(ComponentId),
    /// A component that it uses has to go first.
    Provider { component: ComponentId, failed: bool },
}

/// What an open step, or one that is due, waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    Gate(Gate),
    /// These units still run.
    Quiescing(Vec<Arc<str>>),
    /// What is open may end.
    Draining,
    /// The first good answer; what the last one was.
    Answer(Option<Arc<str>>),
    /// It has been well, and has to be for longer.
    Lasting,
    Baking,
    /// The slot that is out of use still runs.
    Retiring,
    /// It failed, and is tried again.
    Again(Trouble),
    /// It failed, and so did the one before, which has to be well first.
    OnceWell(Trouble),
    /// Something that has to be undone cannot be, and is tried again.
    Stuck(Arc<str>),
    /// What was taken away cannot be given back, or not yet.
    Owed(Arc<str>),
}

impl Waiting {
    /// Whether a run by hand waits for it in the foreground; the agent waits for nothing. With `all`, also for what
    /// takes long.
    pub fn is_waited_for(&self, all: bool) -> bool {
        match self {
            Waiting::Quiescing(_) | Waiting::Draining | Waiting::Answer(_) | Waiting::Lasting => {
                true
            }
            Waiting::Baking | Waiting::Retiring => all,
            Waiting::Gate(_)
            | Waiting::Again(_)
            | Waiting::OnceWell(_)
            | Waiting::Stuck(_)
            | Waiting::Owed(_) => false,
        }
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The artifact cannot be had now.
    Away(Arc<str>),
    /// The artifact is not what was promised, or not for this machine.
    Refused(Arc<str>),
    NoSpace(Arc<str>),
    /// Something else that it needs is missing: a secret, a port, a valid configuration.
    Unprepared(Arc<str>),
    Drain(Arc<str>),
    /// Units that had to stand still did not come to rest.
    Busy(Vec<Arc<str>>),
    Stop(Arc<str>),
    Switch(Arc<str>),
    /// What had been prepared was gone.
    Lost,
    /// It was begun again and again, and never came to its end.
    CutOff,
    /// It is wanted no longer.
    Unwanted,
    /// The program does not start, or is not well.
    Ill {
        reason: Arc<str>,
        journal: Vec<Arc<str>>,
    },
}

impl Gate {
    /// Whether it is there because a step interrupts: it is not asked where nothing runs.
    pub(crate) fn is_about_interruptions(&self) -> bool {
        match self {
            Gate::Wave { .. } | Gate::Window { .. } | Gate::Budget { .. } | Gate::Approval => true,
            Gate::NotAsked
            | Gate::Suspended { .. }
            | Gate::GoingBack
            | Gate::ReportOnly
            | Gate::Lowered { .. }
            | Gate::Mistaken(_)
            | Gate::Other(_)
            | Gate::Provider { .. } => false,
        }
    }

    /// Whether nothing is to be changed at all while it is closed, so that nothing is prepared either.
    pub(crate) fn is_about_everything(&self) -> bool {
        match self {
            Gate::NotAsked
            | Gate::Suspended { .. }
            | Gate::GoingBack
            | Gate::ReportOnly
            | Gate::Lowered { .. }
            | Gate::Mistaken(_) => true,
            Gate::Wave { .. }
            | Gate::Window { .. }
            | Gate::Budget { .. }
            | Gate::Approval
            | Gate::Other(_)
            | Gate::Provider { .. } => false,
        }
    }

    /// Whether `--now` passes it.
    pub(crate) fn is_passed_now(&self) -> bool {
        match self {
            Gate::Window { .. } => true,
            Gate::NotAsked
            | Gate::Suspended { .. }
            | Gate::GoingBack
            | Gate::Wave { .. }
            | Gate::Budget { .. }
            | Gate::Approval
            | Gate::ReportOnly
            | Gate::Lowered { .. }
            | Gate::Mistaken(_)
            | Gate::Other(_)
            | Gate::Provider { .. } => false,
        }
    }
}

/// How often a unit that has to stand still is looked at.
pub(crate) const LOOK_AT_QUIESCED: Duration = Duration::from_secs(5);

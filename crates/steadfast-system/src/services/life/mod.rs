//! How units live: whether there are processes, whatever systemd's word for the unit is, and which other units a
//! stop of them takes along, or would start them again.

pub(crate) mod cgroup;
mod host;
pub(super) mod properties;
mod still;

use super::{Active, LastStart, Load, Question};
use crate::{SystemError, UnitName};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One unit, from one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    pub load: Load,
    pub active: Active,
    /// The finer state, as systemd names it.
    pub sub: Arc<str>,
    /// systemd's InvocationID: another one after every start. Of what runs, and of what ran last.
    pub invocation: Option<Arc<str>>,
    /// How often systemd has started it again by itself.
    pub restarts: u32,
    /// Whether systemd is about to do something with it.
    pub has_job: bool,
    /// Whether there are processes in its control group.
    pub has_processes: bool,
    /// How it ended last: `success`, `exit-code`, `signal`, `start-limit-hit`.
    pub result: Arc<str>,
    /// Whether it was not started the last time, because a condition of its unit file did not hold.
    pub skipped: bool,
    /// Whether it is a job that ends by itself.
    pub is_oneshot: bool,
    /// For a oneshot that leaves nothing behind: how its last start in this boot ended.
    pub oneshot: Option<LastStart>,
    /// How long systemd lets it start and stop; none where it sets no limit.
    pub starts_within: Option<Duration>,
    pub stops_within: Option<Duration>,
    /// Whom it runs as, by name or number; root where that is not said.
    pub user: Option<Arc<str>>,
    /// Its control group, where it has one.
    pub group: Option<Arc<str>>,
    /// For a socket: the ports that systemd listens on for it, and whether they are of UDP.
    pub listens: Vec<(u16, bool)>,
}

impl Life {
    /// Whether there is something of it: processes, a job, or what systemd counts as active.
    pub fn is_there(&self) -> bool {
        let is_active = match self.active {
            Active::Active | Active::Reloading | Active::Activating | Active::Deactivating => true,
            Active::Inactive | Active::Failed => false,
        };
        is_active || self.has_processes || self.has_job
    }
}

/// How other units hang on some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// A stop of these stops them: RequiredBy, RequisiteOf, BoundBy, ConsistsOf, PropagatesStopTo.
    TakenAlong,
    /// They start these by themselves: TriggeredBy.
    Triggers,
    /// These start them by themselves.
    Triggered,
}

pub trait Lives: fmt::Debug {
    /// A batch: one for each, in their order.
    fn lives(&self, units: &[&UnitName]) -> Result<Vec<Life>, SystemError>;

    /// The other units that hang so on these, through others or not: each once, sorted.
    fn tied(&self, units: &[&UnitName], tie: Tie) -> Result<Vec<UnitName>, SystemError>;

    /// The instances of a template that systemd knows.
    fn instances(&self, template: &UnitName) -> Result<Vec<UnitName>, SystemError>;

    /// How its last start ended is forgotten, and how often it was started.
    fn forget_last(&self, unit: &UnitName) -> Result<(), SystemError>;

    /// That a oneshot has succeeded, which systemd forgets.
    fn remember_success(&self, unit: &UnitName) -> Result<(), SystemError>;

    /// Units that stand still for somebody, until the next boot; those that were said before stay.
    fn stand_still(&self, for_whom: &str, units: &[&UnitName]) -> Result<(), SystemError>;

    /// Those that do, in the order in which they were said.
    fn standing_still(&self, for_whom: &str) -> Result<Vec<UnitName>, SystemError>;

    fn stand_still_no_more(&self, for_whom: &str) -> Result<(), SystemError>;

    /// The processes that are in a control group now, with their names.
    fn processes(&self, group: &str) -> Vec<(u32, String)>;

    /// One question, without patience.
    fn ask(&self, question: Question<'_>) -> Result<(), SystemError>;

    /// The last lines of its journal since then, in seconds since 1970. What `has_ended` has said all that it will, and
    /// that is waited for.
    fn journal(&self, unit: &UnitName, since: i64, has_ended: bool) -> Vec<String>;
}

//! What must not be forgotten of one component: its deployments, the step that is open, what is owed.

use super::deployment::{Deployment, Switch, way};
use super::reason::Trouble;
use super::time::{Moment, Now};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// So many gaps are remembered, the newest.
const MEASURED: usize = 8;
/// So many bad deployments are remembered.
const BAD_REMEMBERED: usize = 64;
/// How long whatever failed waits before it is tried again, at first and at the longest.
const FIRST_RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(3_600);

/// The row of one component in the ledger of deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The last one that was committed: good, and what is gone back to.
    pub current: Option<Deployment>,
    /// The good one before it.
    pub previous: Option<Deployment>,
    pub step: Option<Step>,
    /// Newest last.
    pub bad: Vec<Bad>,
    /// What failed, and when it is tried again.
    pub again: Option<Again>,
    pub owed: Owed,
    /// Since when what is wanted has been wanted.
    pub sighted: Option<Sighted>,
    /// The gaps that users saw, newest last.
    pub measured: Vec<Measured>,
    /// How many steps there were.
    pub steps: u64,
}

/// A step that has begun and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub number: u64,
    pub kind: Kind,
    /// What is gone back to. None for a first deployment.
    pub from: Option<Deployment>,
    pub to: Deployment,
    /// What runs is not `from`, but one that had not ended its bake.
    pub chained: bool,
    pub baseline: Baseline,
    pub phase: Phase,
    /// When the phase began.
    pub since: Moment,
    /// How often what the phase is about was begun.
    pub tries: u32,
    /// How often the machine was booted meanwhile.
    pub boots: u32,
    /// Why it goes back.
    pub back: Option<Trouble>,
    /// Why the last attempt at it failed.
    pub stuck: Option<Arc<str>>,
    /// When its program was stopped.
    pub stopped: Option<Moment>,
    /// From the stop to the first good answer.
    pub gap: Option<Duration>,
    /// Open when it was stopped.
    pub connections: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To another deployment.
    Move,
    /// What runs is restarted, because something that it read has changed.
    Restart,
}

/// How the one before was, before anything was touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// There was none.
    First,
    Well,
    Ill(Arc<str>),
}

/// Where a step is. What a phase is about is done again where it was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Quiesce,
    Drain,
    /// No more traffic comes; what is open may end.
    Drained,
    Stop,
    Switch,
    Start,
    Judge(Judging),
    Bake(Baking),
    Commit,
    /// Blue-green: the slot that is out of use stops.
    Retire,
}

/// What has been seen of a program since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judging {
    /// Since when every answer was good.
    pub well: Option<Moment>,
    pub asked: Option<Moment>,
    pub process: Option<Process>,
    /// What the last bad answer was.
    pub ill: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baking {
    pub asked: Option<Moment>,
    /// Since when every answer was bad.
    pub ill: Option<Moment>,
    pub process: Option<Process>,
}

/// Which start of the program answers, and how often systemd has started it again by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub invocation: Arc<str>,
    pub restarts: u32,
}

/// How long a component did not answer during a step that was not taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    pub switch: Switch,
    pub gap: Duration,
}

/// A deployment that made worse what was well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    pub own: Arc<str>,
    pub public: Arc<str>,
    pub terms: Arc<str>,
    pub release: Arc<str>,
    pub reason: Trouble,
    /// Seconds since 1970.
    pub at: i64,
}

/// What failed and may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    pub own: Arc<str>,
    pub terms: Arc<str>,
    /// Where its artifact comes from, and how it is unpacked.
    pub source: Arc<str>,
    pub failures: u32,
    /// Since when it waits in this boot, by both clocks, and how long it has before, as the wall showed it: a machine
    /// that boots often still tries again.
    pub since: Moment,
    pub wall: i64,
    pub waited: Duration,
    /// Only once the one before is well.
    pub once_well: bool,
    pub why: Trouble,
}

/// A deployment that was seen to be wanted, and for how long by now: a wave counts from there. Nobody begins that anew
/// by booting the machine or setting its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighted {
    pub own: Arc<str>,
    /// Since when in this boot, by both clocks, and how long it was before.
    pub since: Moment,
    pub wall: i64,
    pub before: Duration,
}

/// What was taken away for a step and has to be given back, whatever became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// It gets no traffic: `ready` has to be called.
    pub ready: bool,
    /// Units that stand still for it.
    pub quiesced: bool,
    /// Units that a stop takes along.
    pub units: BTreeSet<Arc<str>>,
    /// The last attempts, where they failed.
    pub failed: Vec<Unpaid>,
}

/// A debt that could not be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpaid {
    pub what: Owing,
    pub at: Moment,
    pub why: Arc<str>,
}

/// In the order in which it is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owing {
    Units,
    Ready,
    Quiesced,
}

impl Row {
    /// The bad memory of a deployment on its terms.
    pub fn bad(&self, it: &Deployment) -> Option<&Bad> {
        self.bad.iter().find(|bad| bad.own == it.own && bad.terms == it.terms.digest)
    }

    pub(crate) fn remember_bad(&mut self, it: &Deployment, reason: Trouble, now: &Now) {
        self.bad.retain(|bad| !(bad.own == it.own && bad.terms == it.terms.digest));
        self.again = None;
        self.bad.push(Bad {
            own: Arc::clone(&it.own),
            public: Arc::clone(&it.public),
            terms: Arc::clone(&it.terms.digest),
            release: Arc::clone(&it.release),
            reason,
            at: now.wall,
        });
        let beyond = self.bad.len().saturating_sub(BAD_REMEMBERED);
        self.bad.drain(..beyond);
    }

    pub(crate) fn measure(&mut self, switch: Switch, gap: Duration) {
        self.measured.push(Measured { switch, gap });
        let beyond = self.measured.len().saturating_sub(MEASURED);
        self.measured.drain(..beyond);
    }

    /// What people ask for with `steadfast retry`, of what is wanted, by its own digest: whether there was something to
    /// forget. What waits to be tried again is always what is wanted.
    pub fn retry(&mut self, own: &str) -> bool {
        let before = self.bad.len();
        self.bad.retain(|it| *it.own != *own);
        let waits = self.again.take().is_some();
        waits || self.bad.len() < before
    }

    /// For how long this has been wanted, which is written down from its first sight on.
    pub fn sight(&mut self, wanted: &Deployment, now: &Now) -> Duration {
        let known = self.sighted.take_if(|it| it.own == wanted.own);
        let mut sighted = known.unwrap_or_else(|| Sighted {
            own: Arc::clone(&wanted.own),
            since: now.moment(),
            wall: now.wall,
            before: Duration::ZERO,
        });
        if sighted.since.boot != now.boot {
            let passed = u64::try_from(now.wall.saturating_sub(sighted.wall)).unwrap_or(0);
            sighted.before = sighted.before.saturating_add(Duration::from_secs(passed));
            (sighted.since, sighted.wall) = (now.moment(), now.wall);
        }
        let here = now.at.saturating_sub(sighted.since.at);
        let age = sighted.before.saturating_add(here);
        self.sighted = Some(sighted);
        age
    }

    /// What runs, if all is as the row says: during a step the one that it has switched to.
    pub fn runs(&self) -> Option<&Deployment> {
        let step = self.step.as_ref().filter(|it| it.back.is_none() && it.is_switched());
        step.map(|it| &it.to).or(self.current.as_ref())
    }
}

impl Step {
    /// Where the step is going now.
    pub fn heading(&self) -> Option<&Deployment> {
        match self.back {
            None => Some(&self.to),
            Some(_) => self.from.as_ref(),
        }
    }

    pub fn way(&self) -> Switch {
        match (self.kind, way(self.from.as_ref(), &self.to)) {
            (Kind::Restart, Switch::Socket) => Switch::Socket,
            (Kind::Restart, Switch::Restart | Switch::Reload | Switch::BlueGreen) => {
                Switch::Restart
            }
            // What runs may have other units.
            (Kind::Move, Switch::Reload) if self.chained => Switch::Restart,
            (Kind::Move, way) => way,
        }
    }

    /// What follows once nothing needs it any more.
    pub(crate) fn after_drain(&self) -> Phase {
        match (self.kind, self.way()) {
            (Kind::Restart, _) | (Kind::Move, Switch::Restart) => Phase::Stop,
            // While its socket is open, whatever connects starts what is in place, so that is to be the new one.
            (Kind::Move, Switch::Reload | Switch::Socket | Switch::BlueGreen) => Phase::Switch,
        }
    }

    /// Whether nothing was stopped or changed yet.
    pub fn is_untouched(&self) -> bool {
        match self.phase {
            Phase::Quiesce | Phase::Drain | Phase::Drained => true,
            Phase::Stop
            | Phase::Switch
            | Phase::Start
            | Phase::Judge(_)
            | Phase::Bake(_)
            | Phase::Commit
            | Phase::Retire => false,
        }
    }

    /// Whether the new one is what users meet.
    fn is_switched(&self) -> bool {
        match self.phase {
            Phase::Quiesce | Phase::Drain | Phase::Drained | Phase::Stop | Phase::Switch => false,
            Phase::Start | Phase::Judge(_) => self.way() != Switch::BlueGreen,
            Phase::Bake(_) | Phase::Commit | Phase::Retire => true,
        }
    }
}

impl Owed {
    pub fn is_nothing(&self) -> bool {
        !self.ready && !self.quiesced && self.units.is_empty()
    }

    pub(crate) fn failed(&self, what: Owing) -> Option<&Unpaid> {
        self.failed.iter().find(|it| it.what == what)
    }

    /// It was given back, or is owed no longer.
    pub(crate) fn paid(&mut self, what: Owing) {
        match what {
            Owing::Units => self.units.clear(),
            Owing::Ready => self.ready = false,
            Owing::Quiesced => self.quiesced = false,
        }
        self.failed.retain(|it| it.what != what);
    }

    pub(crate) fn not_paid(&mut self, what: Owing, why: Arc<str>, now: &Now) {
        self.failed.retain(|it| it.what != what);
        self.failed.push(Unpaid { what, at: now.moment(), why });
    }
}

impl Again {
    /// Whether it is about what is wanted now. What was refused stays so for everything that comes from there.
    pub(crate) fn concerns(&self, wanted: &Deployment, source: &str) -> bool {
        match &self.why {
            Trouble::Refused(_) => *self.source == *source,
            Trouble::Away(_)
            | Trouble::NoSpace(_)
            | Trouble::Unprepared(_)
            | Trouble::Drain(_)
            | Trouble::Busy(_)
            | Trouble::Stop(_)
            | Trouble::Switch(_)
            | Trouble::Lost
            | Trouble::CutOff
            | Trouble::Unwanted
            | Trouble::Ill { .. } => self.own == wanted.own && self.terms == wanted.terms.digest,
        }
    }

    /// The machine has booted.
    pub(crate) fn heed_boot(&mut self, now: &Now) {
        let passed = u64::try_from(now.wall.saturating_sub(self.wall)).unwrap_or(0);
        self.waited = self.waited.saturating_add(Duration::from_secs(passed));
        (self.since, self.wall) = (now.moment(), now.wall);
    }

    /// When it is tried again; never by itself where it was refused.
    pub(crate) fn due(&self) -> Option<Duration> {
        let refused = matches!(self.why, Trouble::Refused(_));
        let left = backoff(self.failures).saturating_sub(self.waited);
        (!refused).then(|| self.since.at.saturating_add(left))
    }
}

/// How long it waits after so many failures: twice as long each time, from one minute to one hour.
pub fn backoff(failures: u32) -> Duration {
    let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_RETRY.saturating_mul(doubled).min(LONGEST_RETRY)
}

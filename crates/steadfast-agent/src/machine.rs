//! The daemon as one function: what has happened goes in, what is to be done comes out.
//!
//! Two things go on side by side. *News*: the source is asked, and what is new is prepared (parsed,
//! resolved and checked for this node). *Work*: one run at a time. Neither waits for the other, so a
//! source that is slow, forged or gone never stops the node from keeping what it has adopted.
//!
//! The contract with the shell:
//! - [`Action::Store`] comes first in its list and is done, to the disk, before the others. If it
//!   fails, the others of that list but the wake-up are dropped (whoever waits for a reply is told so),
//!   and [`Input::NotStored`] is the next input.
//! - Every [`Action::Fetch`], [`Action::Prepare`], [`Action::Run`] and [`Action::GoBack`] is answered
//!   once. A child that dies, or that a time limit ends, is an answer too.
//! - [`Action::WakeAt`] replaces the wake-up before it. A wake-up may come early or twice.

use crate::fights::{Fight, Fights};
use crate::memory::{
    Adopted, Bad, Candidate, Failure, Floor, Gate, Memory, News, Revision, Stage, Suspension,
    Trial, Wanted,
};
use crate::schedule::{Chance, Share, Windows, backoff, later, splayed, windows};
use crate::status::{LastRun, Status, Trying, Unkept, Waiting};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
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
    /// What it would do beyond the budget, or what is missing that it waits for.
    pub hindrance: Option<Hindrance>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hindrance {
    /// Adopting it would do more than one run may, by the adopted policy.
    Budget { what: String, limit: u64, planned: u64 },
    /// What other nodes were to show first.
    Evidence { missing: String },
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
}

/// A promise that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    pub promise: String,
    pub reason: String,
    pub fault: Fault,
    /// It promises that something is healthy.
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

/// What is asked of the source.
#[derive(Clone, Debug, PartialEq)]
enum NewsPhase {
    Idle,
    /// `outdated`: the settings have named another source since.
    Fetching {
        wanted: Option<Wanted>,
        outdated: bool,
    },
    Preparing {
        revision: Revision,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum WorkPhase {
    Idle,
    Running { job: Job, serving: Vec<Waiter> },
}

/// Somebody who waits for a run.
#[derive(Clone, Debug, PartialEq)]
struct Waiter {
    by: Asker,
    only: Option<Vec<String>>,
}

#[derive(Debug)]
pub struct Agent {
    config: Config,
    memory: Memory,
    /// As the shell was last told to store it, and as it was before that.
    stored: Memory,
    confirmed: Memory,
    chance: Chance,
    news: NewsPhase,
    work: WorkPhase,
    /// What the last input began, in case its memory cannot be stored.
    began: (bool, bool),
    asked_to_store: bool,
    next_fetch: Timestamp,
    next_keep: Timestamp,
    trial_due: Timestamp,
    fetch_failures: u32,
    failing_runs: u32,
    put_off: u32,
    storage: Option<StorageTrouble>,
    refusal: Option<Refusal>,
    heard: Option<Timestamp>,
    prepared: Option<PreparedOne>,
    drift: BTreeMap<String, Timestamp>,
    drift_runs: Vec<Timestamp>,
    /// What could not be kept when it was last tried.
    retries: BTreeMap<String, Retry>,
    fights: Fights,
    asked: Vec<Waiter>,
    last_run: Option<LastRun>,
    leaving: Option<Leave>,
}

#[derive(Debug)]
struct PreparedOne {
    revision: Revision,
    result: Result<Prepared, Vec<String>>,
    /// When it is worth trying again: facts change.
    again: Timestamp,
}

/// A promise that is not kept is not tried again at once, whoever touches it: trying touches it too.
#[derive(Debug)]
struct Retry {
    failures: u32,
    not_before: Timestamp,
}

#[derive(Debug)]
struct StorageTrouble {
    failures: u32,
    retry: Timestamp,
    why: String,
}

/// Twice half a minute is soon enough to outlast a service that is still starting.
const SECOND_TRY: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_secs(30);
/// The longest between two attempts at the source while it fails; the fetch interval where it is longer.
const LONGEST_FETCH_RETRY: Duration = Duration::from_secs(1_800);
const LONGEST_RETRY: Duration = Duration::from_secs(600);
const PREPARE_AGAIN: Duration = Duration::from_secs(3_600);
/// Changes that come together are repaired together; short against the promised latency of 100 ms.
const MERGE: Duration = Duration::from_millis(20);
/// More drifted promises than this at once are a full run.
const MANY_DRIFTED: usize = 1_000;
const DRIFT_RUNS_PER_MINUTE: usize = 30;
const MINUTE: Duration = Duration::from_secs(60);
/// A revision whose run crashes so often is bad.
const CRASHES: u32 = 2;
/// A power cut is no crash of the revision, but a revision that takes the machine down is bad too.
const INTERRUPTIONS: u32 = 5;
const BAD_REMEMBERED: usize = 16;
const MOST_ASKERS: usize = 64;
/// A signed date further in the future than this is not believed.
const SKEW: Duration = Duration::from_secs(3_600);
/// Nothing is due, and still the agent looks around.
const AT_LEAST_EVERY: Duration = Duration::from_secs(3_600);

impl Agent {
    /// After a start, also one that a crash made necessary. The first input is [`Input::Woke`].
    pub fn new(config: Config, memory: Memory, seed: u64, now: Timestamp) -> Agent {
        let stored = memory.clone();
        let mut agent = Agent {
            next_fetch: now,
            next_keep: now,
            trial_due: now,
            confirmed: stored.clone(),
            stored,
            memory,
            chance: Chance::new(seed),
            news: NewsPhase::Idle,
            work: WorkPhase::Idle,
            began: (false, false),
            asked_to_store: false,
            fetch_failures: 0,
            failing_runs: 0,
            put_off: 0,
            storage: None,
            refusal: None,
            heard: None,
            prepared: None,
            drift: BTreeMap::new(),
            drift_runs: vec![],
            retries: BTreeMap::new(),
            fights: Fights::default(),
            asked: vec![],
            last_run: None,
            leaving: None,
            config,
        };
        if agent.memory.adopted.is_some() && agent.memory.wanted.is_none() {
            // A whole fleet may be starting.
            agent.next_fetch = agent.regular_fetch(now);
        }
        if let Some(trial) = &mut agent.memory.trial
            && trial.open
        {
            trial.open = false;
            trial.interruptions += 1;
        }
        // Said by the first input, where there is somebody to say it to.
        agent.use_source(&mut vec![]);
        agent
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Everything the agent does. Each input is told apart, and each phase within it.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Action> {
        let mut out = vec![];
        let began = std::mem::take(&mut self.began);
        let asked_to_store = std::mem::take(&mut self.asked_to_store);
        self.heed_the_clock(now, &mut out);
        match &input {
            Input::NotStored { .. } => {}
            Input::Woke
            | Input::Fetched(_)
            | Input::Prepared { .. }
            | Input::RunEnded { .. }
            | Input::Drift { .. }
            | Input::Asked { .. }
            | Input::Configured(_)
            | Input::ClockJumped { .. }
            | Input::Leave(_) => {
                if asked_to_store {
                    self.storage = None;
                }
            }
        }
        match input {
            Input::Woke => self.begin(now, &mut out),
            Input::Fetched(result) => {
                self.fetched(result, now, &mut out);
                self.begin(now, &mut out);
            }
            Input::Prepared { revision, result } => {
                self.prepared(revision, result, now, &mut out);
                self.begin(now, &mut out);
            }
            Input::RunEnded { revision, end } => {
                self.run_ended(&revision, end, now, &mut out);
                self.begin(now, &mut out);
            }
            Input::Drift { promises } => {
                self.drifted(promises, now);
                self.begin(now, &mut out);
            }
            Input::Asked { by, request } => {
                self.asked(by, request, now, &mut out);
                self.begin(now, &mut out);
            }
            Input::Configured(config) => {
                self.configured(config, now, &mut out);
                self.begin(now, &mut out);
            }
            Input::ClockJumped { by } => {
                if let Some(candidate) = &mut self.memory.candidate {
                    // The moment it was seen is the same; only its name has changed.
                    candidate.seen = candidate.seen.checked_add(by).unwrap_or(now);
                }
                self.begin(now, &mut out);
            }
            // Nothing is begun here: it would have to be stored too.
            Input::NotStored { why } => self.not_stored(why, began, now, &mut out),
            Input::Leave(leave) => {
                self.leaving = Some(leave);
                self.leave(&mut out);
            }
        }
        let mut actions = vec![];
        if self.memory != self.stored {
            self.memory.written = self.memory.written.saturating_add(1);
            self.confirmed = std::mem::replace(&mut self.stored, self.memory.clone());
            self.asked_to_store = true;
            actions.push(Action::Store(Box::new(self.memory.clone())));
        }
        actions.append(&mut out);
        actions.push(Action::WakeAt(self.wake(now)));
        actions
    }

    // What is begun.

    fn begin(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.leaving.is_some() {
            self.leave(out);
            return;
        }
        let storable = self.storable(now);
        if storable && self.memory.suspended.is_some() && self.suspension(now).is_none() {
            self.memory.suspended = None;
            out.push(Action::Note(Note::Resumed));
        }
        match &self.news {
            NewsPhase::Idle => self.begin_news(now, out),
            NewsPhase::Fetching { .. } | NewsPhase::Preparing { .. } => {}
        }
        match &self.work {
            WorkPhase::Idle => self.begin_work(storable, now, out),
            WorkPhase::Running { .. } => {}
        }
    }

    fn begin_news(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if let Some(revision) = self.to_prepare(now) {
            self.news = NewsPhase::Preparing { revision: revision.clone() };
            self.began.0 = true;
            out.push(Action::Prepare { revision });
        } else if self.config.source.is_some() && now >= self.next_fetch {
            // Once it is the candidate, what is newer than it is of interest again.
            let candidate = self.memory.candidate.as_ref().map(|it| &it.news.revision);
            let wanted = self.memory.wanted.clone().filter(|it| Some(&it.revision) != candidate);
            out.push(Action::Fetch {
                floor: self.memory.floor.clone(),
                wanted: wanted.as_ref().map(|it| it.revision.clone()),
            });
            self.news = NewsPhase::Fetching { wanted, outdated: false };
            self.began.0 = true;
        }
    }

    /// The candidate, where it has not been prepared or should be again.
    fn to_prepare(&self, now: Timestamp) -> Option<Revision> {
        let revision = &self.memory.candidate.as_ref()?.news.revision;
        if self.memory.is_bad(revision).is_some() {
            return None;
        }
        let due = self.prepare_due(revision);
        due.is_none_or(|it| it <= now).then(|| revision.clone())
    }

    /// When preparing is due; nothing where it has never been done. Far away where it is done with.
    fn prepare_due(&self, revision: &Revision) -> Option<Timestamp> {
        let one = self.prepared.as_ref().filter(|it| it.revision == *revision)?;
        match &one.result {
            Ok(prepared) if prepared.hindrance.is_none() => Some(Timestamp::MAX),
            Ok(_) | Err(_) => Some(one.again),
        }
    }

    fn begin_work(&mut self, storable: bool, now: Timestamp, out: &mut Vec<Action>) {
        if self.suspension(now).is_some() {
            return;
        }
        if storable {
            if self.memory.trial.is_some() {
                if now >= self.trial_due {
                    self.begin_trial(now, out);
                }
                return;
            }
            if self.waiting(now) == Some(Waiting::Nothing) {
                self.adopt(now, out);
                return;
            }
        }
        // In the middle of going back there is no revision that would be right to keep.
        let back = self.memory.trial.as_ref().is_some_and(|it| it.stage == Stage::Back);
        let Some(adopted) = self.memory.adopted.as_ref().filter(|_| !back) else { return };
        let revision = adopted.news.revision.clone();
        if let Some((only, serving)) = self.next_asked() {
            self.run(Job { revision, why: Why::Asked, only, against: None }, serving, out);
        } else if now >= self.next_keep {
            self.drift.clear();
            self.run(Job { revision, why: Why::Keep, only: None, against: None }, vec![], out);
        } else {
            let due: Vec<String> =
                self.drift.iter().filter(|(_, at)| **at <= now).map(|(it, _)| it.clone()).collect();
            if due.is_empty() || now < self.drift_not_before(now) {
                return;
            }
            for promise in &due {
                self.drift.remove(promise);
                self.fights.looked(promise, now);
            }
            self.drift_runs.push(now);
            self.run(
                Job { revision, why: Why::Drift, only: Some(due), against: None },
                vec![],
                out,
            );
        }
    }

    fn run(&mut self, job: Job, serving: Vec<Waiter>, out: &mut Vec<Action>) {
        out.push(Action::Run(job.clone()));
        self.work = WorkPhase::Running { job, serving };
        self.began.1 = true;
    }

    /// Everybody who wants a full run gets the same one; else the first gets the promises asked for.
    fn next_asked(&mut self) -> Option<(Option<Vec<String>>, Vec<Waiter>)> {
        if self.asked.iter().any(|it| it.only.is_none()) {
            let (full, rest) = self.asked.drain(..).partition(|it| it.only.is_none());
            self.asked = rest;
            return Some((None, full));
        }
        if self.asked.is_empty() {
            return None;
        }
        let first = self.asked.remove(0);
        Some((first.only.clone(), vec![first]))
    }

    fn adopt(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let Some(candidate) = self.memory.candidate.take() else { return };
        let Some(PreparedOne { result: Ok(prepared), .. }) = self.prepared.take() else { return };
        let revision = candidate.news.revision.clone();
        let new = Adopted {
            news: candidate.news,
            at: now,
            model: prepared.model,
            promises: prepared.promises,
            gate: prepared.gate,
            not_good: None,
        };
        let old = self.memory.adopted.replace(new);
        self.memory.crashes = 0;
        self.memory.owed = true;
        self.memory.blameless = None;
        self.failing_runs = 0;
        if let Some(wanted) = self.memory.wanted.take_if(|it| it.revision == revision)
            && wanted.reason.is_some()
        {
            // Somebody insisted; the agent does not overrule them.
            self.memory.bad.retain(|it| it.revision != revision);
            self.memory.blameless = Some(revision.clone());
        }
        self.memory.trial = old.clone().map(|from| Trial {
            stage: Stage::First,
            from,
            failures: vec![],
            crashes: 0,
            interruptions: 0,
            open: false,
        });
        self.memory.previous = old;
        self.trial_due = now;
        out.push(Action::Note(Note::Adopted { revision: revision.clone() }));
        if self.memory.trial.is_some() {
            self.begin_trial(now, out);
        } else {
            self.drift.clear();
            self.run(Job { revision, why: Why::Adopt, only: None, against: None }, vec![], out);
        }
    }

    fn begin_trial(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let (Some(trial), Some(adopted)) = (&mut self.memory.trial, &self.memory.adopted) else {
            return;
        };
        if trial.interruptions >= INTERRUPTIONS {
            trial.interruptions = 0;
            let failure = Failure {
                promise: None,
                reason: format!("its run was cut off {INTERRUPTIONS} times"),
            };
            self.trial_failed(failure, now, out);
            // What follows is due now, and has no interruptions.
            if self.memory.trial.is_some() {
                self.begin_trial(now, out);
            }
            return;
        }
        trial.open = true;
        let (new, old) = (adopted.news.revision.clone(), trial.from.news.revision.clone());
        let job = match trial.stage {
            Stage::First => Job { revision: new, why: Why::Adopt, only: None, against: Some(old) },
            Stage::Second => {
                Job { revision: new, why: Why::SecondTry, only: None, against: Some(old) }
            }
            Stage::Back => {
                out.push(Action::GoBack { from: new.clone(), to: old.clone() });
                let job = Job { revision: old, why: Why::GoBack, only: None, against: Some(new) };
                self.work = WorkPhase::Running { job, serving: vec![] };
                self.began.1 = true;
                return;
            }
        };
        self.drift.clear();
        // A full run serves all who asked for one.
        let (full, rest) = self.asked.drain(..).partition(|it| it.only.is_none());
        self.asked = rest;
        self.run(job, full, out);
    }

    // What has happened.

    fn fetched(
        &mut self,
        result: Result<Option<Offer>, Refusal>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let wanted = match &mut self.news {
            NewsPhase::Fetching { wanted: _, outdated: true } => {
                self.news = NewsPhase::Idle;
                return;
            }
            NewsPhase::Fetching { wanted, outdated: false } => wanted.take(),
            NewsPhase::Idle | NewsPhase::Preparing { .. } => {
                out.push(Action::Note(Note::Unexpected("news that were not asked for")));
                return;
            }
        };
        self.news = NewsPhase::Idle;
        let verdict = result.and_then(|offer| {
            offer.map_or(Ok(None), |it| self.judge(&it, wanted.as_ref(), now).map(|()| Some(it)))
        });
        match verdict {
            Err(refusal) => {
                self.fetch_failures = self.fetch_failures.saturating_add(1);
                let longest = LONGEST_FETCH_RETRY.max(self.config.fetch);
                let wait = backoff(self.fetch_failures, FIRST_RETRY, longest, &mut self.chance);
                self.next_fetch = later(now, wait);
                if self.refusal.as_ref() != Some(&refusal) {
                    out.push(Action::Note(Note::Refused(refusal.clone())));
                }
                self.refusal = Some(refusal);
            }
            Ok(offer) => {
                self.fetch_failures = 0;
                self.refusal = None;
                self.heard = Some(now);
                self.next_fetch = self.regular_fetch(now);
                if let Some(offer) = offer {
                    self.accept(offer.news, now, out);
                }
            }
        }
        // A wish is for one answer of the source. While the source cannot be reached it stays.
        let unanswered =
            self.refusal.as_ref().is_some_and(|it| it.kind == RefusalKind::Unreachable);
        let candidate = self.memory.candidate.as_ref().map(|it| it.news.revision.clone());
        if wanted.is_some() && !unanswered && self.memory.wanted == wanted {
            self.memory.wanted = wanted.filter(|it| Some(&it.revision) == candidate.as_ref());
        } else if wanted.is_none()
            && self
                .memory
                .wanted
                .as_ref()
                .is_some_and(|it| Some(&it.revision) != candidate.as_ref())
        {
            // It came up while the source was being asked.
            self.next_fetch = now;
        }
    }

    /// Whether an offer leads forward: a second opinion, the fetcher has been careful before.
    fn judge(&self, offer: &Offer, wanted: Option<&Wanted>, now: Timestamp) -> Result<(), Refusal> {
        let Offer { news, proof } = offer;
        let refuse = |kind, words: String| Err(Refusal { kind, words });
        if let Some(expires) = news.expires.filter(|it| *it <= now) {
            return refuse(RefusalKind::Expired, format!("its manifest was good until {expires}"));
        }
        let asked_for = wanted.filter(|it| it.revision == news.revision);
        let forced = asked_for.is_some_and(|it| it.reason.is_some());
        let floor = match &self.memory.floor {
            Floor::Fresh => return Ok(()),
            Floor::Lost if asked_for.is_some() => return Ok(()),
            Floor::Lost => {
                let words = "what was accepted before is not known any more; steadfast adopt \
                             REVISION says which one to trust";
                return refuse(RefusalKind::FloorLost, words.to_owned());
            }
            Floor::At(floor) => floor,
        };
        if forced {
            return Ok(());
        }
        let same = news.revision == floor.revision;
        match proof {
            Proof::Local => Ok(()),
            Proof::Sequence => match (news.sequence, floor.sequence) {
                (Some(new), Some(old)) if new < old => refuse(
                    RefusalKind::NotForward,
                    format!("it has number {new}, and number {old} was accepted before"),
                ),
                (Some(new), Some(old)) if new == old && !same => refuse(
                    RefusalKind::TwoContents,
                    format!("there are two contents with number {new}"),
                ),
                (Some(_), Some(_)) => Ok(()),
                (None, _) | (_, None) => refuse(
                    RefusalKind::NotForward,
                    format!("it has no number to compare with {}", floor.revision),
                ),
            },
            Proof::DescendsFrom(from) if same || *from == floor.revision => Ok(()),
            Proof::Nothing if same => Ok(()),
            Proof::DescendsFrom(_) | Proof::Nothing => refuse(
                RefusalKind::NotForward,
                format!("it does not descend from {}, which was accepted before", floor.revision),
            ),
        }
    }

    fn accept(&mut self, news: News, now: Timestamp, out: &mut Vec<Action>) {
        self.memory.floor = Floor::At(news.clone());
        if let Some(adopted) = &mut self.memory.adopted
            && adopted.news.revision == news.revision
        {
            // The same, perhaps good for longer.
            adopted.news = news;
            self.memory.candidate = None;
            return;
        }
        match &mut self.memory.candidate {
            Some(candidate) if candidate.news.revision == news.revision => candidate.news = news,
            candidate @ (Some(_) | None) => {
                let before = candidate.replace(Candidate { news, seen: now });
                // A word for the one that was there is no word for this one.
                let was = |it: &mut Wanted| {
                    before.is_some_and(|before| before.news.revision == it.revision)
                };
                if let Some(Wanted { revision, .. }) = self.memory.wanted.take_if(was) {
                    out.push(Action::Note(Note::Superseded { revision }));
                }
            }
        }
    }

    fn prepared(
        &mut self,
        revision: Revision,
        result: Result<Prepared, Vec<String>>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        match &self.news {
            NewsPhase::Preparing { revision: expected } if *expected == revision => {}
            NewsPhase::Idle | NewsPhase::Fetching { .. } | NewsPhase::Preparing { .. } => {
                out.push(Action::Note(Note::Unexpected("a preparation that was not asked for")));
                return;
            }
        }
        self.news = NewsPhase::Idle;
        if let Err(problems) = &result {
            let known = self.prepared.as_ref().is_some_and(|it| {
                it.revision == revision && it.result.as_ref().err() == Some(problems)
            });
            if !known {
                let (revision, problems) = (revision.clone(), problems.clone());
                out.push(Action::Note(Note::Invalid { revision, problems }));
            }
        }
        self.prepared = Some(PreparedOne { revision, result, again: later(now, PREPARE_AGAIN) });
    }

    fn run_ended(&mut self, revision: &Revision, end: End, now: Timestamp, out: &mut Vec<Action>) {
        let (job, serving) = match std::mem::replace(&mut self.work, WorkPhase::Idle) {
            WorkPhase::Running { job, serving } if job.revision == *revision => (job, serving),
            other @ (WorkPhase::Idle | WorkPhase::Running { .. }) => {
                self.work = other;
                out.push(Action::Note(Note::Unexpected("the end of a run that was not asked for")));
                return;
            }
        };
        for one in serving {
            out.push(Action::Reply { to: one.by, answer: answer(&end) });
        }
        match &end {
            End::Finished(report) => {
                self.put_off = 0;
                self.record(&job, report, now, out);
            }
            End::Crashed(words) => {
                let (revision, words) = (revision.clone(), words.clone());
                out.push(Action::Note(Note::RunCrashed { revision, words }));
            }
            End::Busy(words) | End::NotStarted(words) => {
                if self.put_off == 0 {
                    out.push(Action::Note(Note::RunPutOff { words: words.clone() }));
                }
                self.put_off = self.put_off.saturating_add(1);
            }
        }
        let stage = self.memory.trial.as_ref().filter(|it| it.open).map(|it| it.stage);
        match (stage, job.why) {
            (Some(stage), Why::Adopt | Why::SecondTry | Why::GoBack) => {
                self.trial_ended(stage, end, now, out);
            }
            (Some(_), Why::Keep | Why::Drift | Why::Asked)
            | (
                None,
                Why::Keep | Why::Adopt | Why::SecondTry | Why::GoBack | Why::Drift | Why::Asked,
            ) => self.plain_run_ended(&job, end, now, out),
        }
    }

    /// What every finished run tells.
    fn record(&mut self, job: &Job, report: &Report, now: Timestamp, out: &mut Vec<Action>) {
        match job.why {
            // What a new revision repairs, it repairs because it is new.
            Why::Adopt | Why::SecondTry | Why::GoBack => {}
            Why::Keep | Why::Drift | Why::Asked => {
                for promise in &report.repaired {
                    if let Some(fight) = self.fights.repaired(promise, now) {
                        out.push(Action::Note(Note::Fight(fight)));
                    }
                }
            }
        }
        let unkept = report
            .not_kept
            .iter()
            .map(|it| Unkept { promise: it.promise.clone(), reason: it.reason.clone() });
        let last = LastRun {
            revision: job.revision.clone(),
            why: job.why,
            ended: now,
            kept: report.kept,
            repaired: report.repaired.len() as u64,
            not_kept: unkept.collect(),
            held: report.held.clone(),
            debts: report.debts.clone(),
        };
        match (&job.only, &mut self.last_run) {
            (Some(only), Some(before)) => before.amend(only, last),
            (None, _) | (_, None) => self.last_run = Some(last),
        }
    }

    fn plain_run_ended(&mut self, job: &Job, end: End, now: Timestamp, out: &mut Vec<Action>) {
        match end {
            End::Finished(report) => {
                self.memory.crashes = 0;
                if let Some(only) = &job.only {
                    self.single_run_at(only, &report, now);
                    return;
                }
                self.memory.owed = false;
                self.full_run_at(report, now);
            }
            End::Crashed(_) => {
                self.memory.crashes = self.memory.crashes.saturating_add(1);
                self.failing_runs = self.failing_runs.saturating_add(1);
                self.keep_again(now);
                let blameless = self.memory.blameless.as_ref() == Some(&job.revision);
                let Some(from) = self.memory.previous.clone().filter(|_| !blameless) else {
                    return;
                };
                if self.memory.crashes >= CRASHES && self.memory.trial.is_none() {
                    let failure = Failure { promise: None, reason: crashed() };
                    self.memory.trial = Some(Trial {
                        stage: Stage::Back,
                        from,
                        failures: vec![failure],
                        crashes: 0,
                        interruptions: 0,
                        open: false,
                    });
                    self.go_back(now, out);
                }
            }
            End::Busy(_) | End::NotStarted(_) => {
                let wait = backoff(self.put_off, FIRST_RETRY, LONGEST_RETRY, &mut self.chance);
                self.next_keep = later(now, wait.min(self.config.keep));
            }
        }
    }

    /// What single promises are not kept is tried again later and later.
    fn single_run_at(&mut self, only: &[String], report: &Report, now: Timestamp) {
        let broken: BTreeSet<&String> = report.not_kept.iter().map(|it| &it.promise).collect();
        for promise in only {
            if !broken.contains(promise) {
                self.retries.remove(promise);
            }
        }
        for promise in broken {
            let due = self.failed(promise, now);
            self.drift.insert(promise.clone(), due);
        }
    }

    fn failed(&mut self, promise: &str, now: Timestamp) -> Timestamp {
        let before = self.retries.get(promise).map_or(0, |it| it.failures);
        let failures = before.saturating_add(1);
        let wait = backoff(failures, MINUTE, crate::fights::SLOW, &mut self.chance);
        let not_before = later(now, wait);
        self.retries.insert(promise.to_owned(), Retry { failures, not_before });
        not_before
    }

    fn full_run_at(&mut self, report: Report, now: Timestamp) {
        let all_kept = report.not_kept.is_empty();
        self.retries.clear();
        for broken in &report.not_kept {
            // The next full run is planned for it.
            self.failed(&broken.promise, now);
        }
        if let Some(adopted) = &mut self.memory.adopted {
            adopted.not_good = Some(not_good(report));
        }
        self.failing_runs = if all_kept { 0 } else { self.failing_runs.saturating_add(1) };
        self.keep_again(now);
    }

    /// What is not kept is tried again sooner than the interval says, and less and less so.
    fn keep_again(&mut self, now: Timestamp) {
        let keep = self.config.keep;
        let wait = if self.failing_runs == 0 {
            keep
        } else {
            backoff(self.failing_runs, MINUTE, keep, &mut self.chance)
        };
        self.next_keep = later(now, wait);
    }

    fn trial_ended(&mut self, stage: Stage, end: End, now: Timestamp, out: &mut Vec<Action>) {
        let Some(trial) = &mut self.memory.trial else { return };
        trial.open = false;
        trial.interruptions = 0;
        match (end, stage) {
            (End::Finished(report), Stage::First | Stage::Second) => {
                let Some(adopted) = &self.memory.adopted else { return };
                let revision = adopted.news.revision.clone();
                let blameless = self.memory.blameless.as_ref() == Some(&revision);
                let failures = if blameless { vec![] } else { failures(&report, &trial.from) };
                if failures.is_empty() {
                    self.memory.trial = None;
                    self.memory.owed = false;
                    self.full_run_at(report, now);
                    out.push(Action::Note(Note::Settled { revision }));
                    return;
                }
                trial.failures.clone_from(&failures);
                trial.crashes = 0;
                match stage {
                    Stage::First => {
                        trial.stage = Stage::Second;
                        self.trial_due = later(now, SECOND_TRY);
                        out.push(Action::Note(Note::TriedAgain { revision, failures }));
                    }
                    Stage::Second | Stage::Back => self.go_back(now, out),
                }
            }
            (End::Finished(report), Stage::Back) => {
                let helped = !report.not_kept.iter().any(|broken| {
                    trial.failures.iter().any(|it| it.promise.as_ref() == Some(&broken.promise))
                });
                if helped { self.went_back(report, now, out) } else { self.no_help(now, out) }
            }
            (End::Crashed(_), Stage::First | Stage::Second | Stage::Back) => {
                trial.crashes = trial.crashes.saturating_add(1);
                if trial.crashes >= CRASHES {
                    let failure = Failure { promise: None, reason: crashed() };
                    self.trial_failed(failure, now, out);
                } else {
                    self.trial_due = later(now, SECOND_TRY);
                }
            }
            (End::Busy(_) | End::NotStarted(_), Stage::First | Stage::Second | Stage::Back) => {
                let wait = backoff(self.put_off, FIRST_RETRY, LONGEST_RETRY, &mut self.chance);
                self.trial_due = later(now, wait);
            }
        }
    }

    /// The runs of a stage do not come to their end.
    fn trial_failed(&mut self, failure: Failure, now: Timestamp, out: &mut Vec<Action>) {
        let Some(trial) = &mut self.memory.trial else { return };
        let adopted = self.memory.adopted.as_ref().map(|it| &it.news.revision);
        match trial.stage {
            Stage::First | Stage::Second if self.memory.blameless.as_ref() == adopted => {
                // Nothing to go back to that anybody would want; it is kept like any other.
                self.memory.trial = None;
                self.failing_runs = self.failing_runs.saturating_add(1);
                self.keep_again(now);
            }
            Stage::First | Stage::Second => {
                trial.failures = vec![failure];
                self.go_back(now, out);
            }
            Stage::Back => self.no_help(now, out),
        }
    }

    fn go_back(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let (Some(trial), Some(adopted)) = (&mut self.memory.trial, &self.memory.adopted) else {
            return;
        };
        trial.stage = Stage::Back;
        trial.crashes = 0;
        self.trial_due = now;
        out.push(Action::Note(Note::GoingBack {
            from: adopted.news.revision.clone(),
            to: trial.from.news.revision.clone(),
            failures: trial.failures.clone(),
        }));
    }

    /// Going back helped: the revision is bad.
    fn went_back(&mut self, report: Report, now: Timestamp, out: &mut Vec<Action>) {
        let Some(trial) = self.memory.trial.take() else { return };
        let to = trial.from.news.revision.clone();
        let Some(bad) = self.memory.adopted.replace(trial.from) else { return };
        let bad = bad.news;
        let failure = trial.failures.into_iter().next();
        let (promise, reason) = failure.map_or((None, String::new()), |it| (it.promise, it.reason));
        self.memory.bad.push(Bad { revision: bad.revision.clone(), promise, reason, at: now });
        let surplus = self.memory.bad.len().saturating_sub(BAD_REMEMBERED);
        self.memory.bad.drain(..surplus);
        self.memory.previous = None;
        self.memory.crashes = 0;
        self.memory.owed = false;
        // It is still what the source offers, and waits for ever: the status says why.
        let newest = matches!(&self.memory.floor, Floor::At(it) if it.revision == bad.revision);
        if newest && self.memory.candidate.is_none() {
            self.memory.candidate = Some(Candidate { news: bad.clone(), seen: now });
        }
        self.full_run_at(report, now);
        out.push(Action::Note(Note::WentBack { bad: bad.revision, to }));
    }

    /// Going back did not help, so the machine is to blame: the new revision is kept, and not blamed.
    fn no_help(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.memory.trial = None;
        self.memory.crashes = 0;
        self.memory.owed = true;
        self.next_keep = now;
        let Some(adopted) = &mut self.memory.adopted else { return };
        adopted.not_good = None;
        let revision = adopted.news.revision.clone();
        self.memory.blameless = Some(revision.clone());
        out.push(Action::Note(Note::GoingBackDidNotHelp { revision }));
    }

    fn drifted(&mut self, promises: Vec<String>, now: Timestamp) {
        if self.memory.adopted.is_none() {
            return;
        }
        for promise in promises {
            let retry = self.retries.get(&promise).map_or(now, |it| it.not_before);
            let due = later(now, MERGE).max(self.fights.not_before(&promise, now)).max(retry);
            let known = self.drift.entry(promise).or_insert(due);
            *known = due.min(*known);
        }
        if self.drift.len() > MANY_DRIFTED {
            self.drift.clear();
            // As often as a full run may be, not as often as somebody can touch a thousand files.
            let soon = self.last_run.as_ref().map_or(now, |it| later(it.ended, MINUTE));
            self.next_keep = self.next_keep.min(soon.max(later(now, MERGE)));
        }
    }

    fn asked(&mut self, by: Asker, request: Request, now: Timestamp, out: &mut Vec<Action>) {
        let answer = match request {
            Request::Run { only } => match self.ask_run(by, only, now) {
                // The end of the run is the answer.
                Ok(()) => return,
                Err(words) => Answer::Refused(words),
            },
            Request::Adopt { revision, reason } => match self.ask_adopt(revision, reason, now) {
                Ok(words) => Answer::Accepted(words),
                Err(words) => Answer::Refused(words),
            },
            Request::Suspend { reason, until } => {
                if until.is_some_and(|it| it <= now) {
                    Answer::Refused("that time has passed".to_owned())
                } else {
                    out.push(Action::Note(Note::Suspended { reason: reason.clone(), until }));
                    self.memory.suspended = Some(Suspension { reason, until, since: now });
                    match &self.work {
                        WorkPhase::Idle => Answer::Accepted("suspended".to_owned()),
                        WorkPhase::Running { .. } => {
                            Answer::Accepted("suspended after the run that is under way".to_owned())
                        }
                    }
                }
            }
            Request::Resume => match self.memory.suspended.take() {
                Some(_) => {
                    // What happened meanwhile was not watched for.
                    self.next_keep = now;
                    out.push(Action::Note(Note::Resumed));
                    Answer::Accepted("resumed".to_owned())
                }
                None => Answer::Refused("it is not suspended".to_owned()),
            },
            Request::Reload => {
                out.push(Action::Reload);
                Answer::Accepted("the settings are read again".to_owned())
            }
        };
        out.push(Action::Reply { to: by, answer });
    }

    fn ask_run(
        &mut self,
        by: Asker,
        only: Option<Vec<String>>,
        now: Timestamp,
    ) -> Result<(), String> {
        if self.leaving.is_some() {
            return Err("the agent is about to end".to_owned());
        }
        if let Some(suspension) = self.suspension(now) {
            return Err(format!("the agent is suspended: {}", suspension.reason));
        }
        if self.memory.adopted.is_none() {
            return Err("no revision has been adopted yet".to_owned());
        }
        if self.asked.len() >= MOST_ASKERS {
            return Err("too many are waiting for a run already".to_owned());
        }
        if self.memory.trial.is_some() {
            self.trial_due = now;
        }
        self.asked.push(Waiter { by, only });
        Ok(())
    }

    fn ask_adopt(
        &mut self,
        revision: Revision,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<String, String> {
        if self.memory.adopted.as_ref().is_some_and(|it| it.news.revision == revision) {
            return Err(format!("{revision} is adopted already"));
        }
        if let Some(bad) = self.memory.is_bad(&revision)
            && reason.is_none()
        {
            let promise = bad.promise.as_deref().unwrap_or("its run");
            return Err(format!(
                "{revision} was gone back from because of {promise} ({}); --reason insists on it",
                bad.reason
            ));
        }
        if reason.is_some() {
            self.memory.bad.retain(|it| it.revision != revision);
        }
        let waits = if self.suspension(now).is_some() { ", when the agent is resumed" } else { "" };
        let known = self.memory.candidate.as_ref().is_some_and(|it| it.news.revision == revision);
        let words = if known {
            format!("{revision} is adopted as soon as it is found good for this node{waits}")
        } else if self.config.source.is_none() {
            return Err("there is no source that it could come from".to_owned());
        } else {
            self.next_fetch = now;
            format!("{revision} is asked of the source{waits}")
        };
        self.memory.wanted = Some(Wanted { revision, reason });
        Ok(words)
    }

    fn configured(&mut self, config: Config, now: Timestamp, out: &mut Vec<Action>) {
        let source = self.config.source != config.source;
        let intervals = (self.config.fetch, self.config.keep) != (config.fetch, config.keep);
        self.config = config;
        if source {
            self.fetch_failures = 0;
            self.refusal = None;
            self.next_fetch = now;
            match &mut self.news {
                NewsPhase::Fetching { outdated, .. } => *outdated = true,
                NewsPhase::Idle | NewsPhase::Preparing { .. } => {}
            }
            self.use_source(out);
        }
        if intervals {
            self.next_keep = self.next_keep.min(later(now, self.config.keep));
            self.next_fetch = self.next_fetch.min(self.regular_fetch(now));
        }
    }

    /// The trust floor belongs to a source. Who sets another one begins anew with it, but does not get
    /// around having lost the floor.
    fn use_source(&mut self, out: &mut Vec<Action>) {
        let Some(source) = &self.config.source else { return };
        if self.memory.source.as_ref() == Some(source) {
            return;
        }
        if self.memory.source.is_some() {
            self.memory.floor = match self.memory.floor {
                Floor::Fresh | Floor::At(_) => Floor::Fresh,
                Floor::Lost => Floor::Lost,
            };
            self.memory.candidate = None;
            self.memory.wanted = None;
            out.push(Action::Note(Note::SourceChanged));
        }
        self.memory.source = Some(source.clone());
    }

    /// Goes back to what is on the disk. What was begun on the strength of the rest was not begun.
    fn not_stored(
        &mut self,
        why: String,
        began: (bool, bool),
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let failures = self.storage.as_ref().map_or(0, |it| it.failures).saturating_add(1);
        let retry = later(now, backoff(failures, FIRST_RETRY, LONGEST_RETRY, &mut self.chance));
        if failures == 1 {
            out.push(Action::Note(Note::NotStored { why: why.clone() }));
        }
        self.storage = Some(StorageTrouble { failures, retry, why });
        // The numbers go on: a copy with the last one may be on the disk after all.
        let written = self.stored.written;
        self.memory = Memory { written, ..self.confirmed.clone() };
        self.stored = self.memory.clone();
        // Nor is anything asked for that would have to be stored again at once.
        self.trial_due = self.trial_due.max(retry);
        self.next_fetch = self.next_fetch.max(retry);
        let (news, work) = began;
        if news {
            self.news = NewsPhase::Idle;
        }
        if work
            && let WorkPhase::Running { job, serving } =
                std::mem::replace(&mut self.work, WorkPhase::Idle)
        {
            self.asked.extend(serving);
            match job.why {
                Why::Keep | Why::Drift => self.next_keep = self.next_keep.min(retry),
                Why::Adopt | Why::SecondTry | Why::GoBack | Why::Asked => {}
            }
        }
        self.leave(out);
    }

    fn leave(&mut self, out: &mut Vec<Action>) {
        let Some(leave) = self.leaving else { return };
        match &self.work {
            WorkPhase::Idle => {
                for one in self.asked.drain(..) {
                    let answer = Answer::Refused("the agent ends".to_owned());
                    out.push(Action::Reply { to: one.by, answer });
                }
                out.push(Action::Leave(leave));
            }
            WorkPhase::Running { .. } => {}
        }
    }

    // What holds, and until when.

    /// Why the candidate is not adopted; nothing where there is none.
    pub fn waiting(&self, now: Timestamp) -> Option<Waiting> {
        let candidate = self.memory.candidate.as_ref()?;
        let revision = &candidate.news.revision;
        if let Some(bad) = self.memory.is_bad(revision) {
            let (promise, reason) = (bad.promise.clone(), bad.reason.clone());
            return Some(Waiting::Bad { promise, reason });
        }
        if let Some(expired) = candidate.news.expires.filter(|it| *it <= now) {
            return Some(Waiting::Expired { expired });
        }
        let result = self.prepared.as_ref().filter(|it| it.revision == *revision);
        let prepared = match result.map(|it| &it.result) {
            None => return Some(Waiting::Preparing),
            Some(Err(problems)) => {
                return Some(Waiting::Invalid { problems: problems.clone() });
            }
            Some(Ok(prepared)) => prepared,
        };
        if let Some(suspension) = self.suspension(now) {
            let (reason, until) = (suspension.reason.clone(), suspension.until);
            return Some(Waiting::Suspended { reason, until });
        }
        if self.memory.trial.is_some() {
            return Some(Waiting::Trial);
        }
        let Some(adopted) = &self.memory.adopted else { return Some(Waiting::Nothing) };
        if self.memory.wanted.as_ref().is_some_and(|it| it.revision == *revision) {
            return Some(Waiting::Nothing);
        }
        if adopted.promises > 0 && !prepared.named {
            return Some(Waiting::Unnamed);
        }
        match &prepared.hindrance {
            Some(Hindrance::Budget { what, limit, planned }) => {
                let (limit, planned) = (*limit, *planned);
                return Some(Waiting::Budget { what: what.clone(), limit, planned });
            }
            Some(Hindrance::Evidence { missing }) => {
                return Some(Waiting::Evidence { missing: missing.clone() });
            }
            None => {}
        }
        if adopted.gate.approval {
            return Some(Waiting::Approval);
        }
        let turn = self.turn(adopted, candidate);
        let windows = windows(&adopted.gate.windows(), now.max(turn));
        match (turn > now, windows) {
            (true, _) => Some(Waiting::Wave { turn, share: self.share(adopted).percent() }),
            (false, Windows::Open) => Some(Waiting::Nothing),
            (false, Windows::Opens(opens)) => Some(Waiting::Window { opens }),
        }
    }

    fn share(&self, adopted: &Adopted) -> Share {
        Share::of(&self.config.node, &adopted.model)
    }

    fn turn(&self, adopted: &Adopted, candidate: &Candidate) -> Timestamp {
        let Candidate { news, seen } = candidate;
        // Whoever signed it, their clock must not keep this node waiting for years.
        let date = if news.date > later(*seen, SKEW) { *seen } else { news.date };
        self.share(adopted).turn(&adopted.gate.waves(), date)
    }

    fn suspension(&self, now: Timestamp) -> Option<&Suspension> {
        self.memory.suspended.as_ref().filter(|it| it.until.is_none_or(|until| until > now))
    }

    fn storable(&self, now: Timestamp) -> bool {
        self.storage.as_ref().is_none_or(|it| it.retry <= now)
    }

    fn regular_fetch(&self, now: Timestamp) -> Timestamp {
        let source = self.config.source.as_deref().unwrap_or_default();
        // Not the moment that comes right after a late answer.
        let soonest = later(now, FIRST_RETRY.min(self.config.fetch / 2));
        splayed(soonest, self.config.fetch, &self.config.node, source)
    }

    /// Many different promises that drift are not run for one by one.
    fn drift_not_before(&self, now: Timestamp) -> Timestamp {
        match self.drift_runs.first() {
            Some(first) if self.drift_runs.len() >= DRIFT_RUNS_PER_MINUTE => later(*first, MINUTE),
            Some(_) | None => now,
        }
    }

    /// Whatever was planned lies no further ahead than it could have been planned now: a clock that
    /// was set back must not put everything off.
    fn heed_the_clock(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let within = |at: &mut Timestamp, longest: Duration| *at = (*at).min(later(now, longest));
        within(&mut self.next_fetch, self.config.fetch.max(LONGEST_FETCH_RETRY));
        within(&mut self.next_keep, self.config.keep);
        within(&mut self.trial_due, LONGEST_RETRY);
        if let Some(storage) = &mut self.storage {
            within(&mut storage.retry, LONGEST_RETRY);
        }
        if let Some(prepared) = &mut self.prepared {
            within(&mut prepared.again, PREPARE_AGAIN);
        }
        for due in self.drift.values_mut() {
            within(due, crate::fights::SLOW);
        }
        for retry in self.retries.values_mut() {
            within(&mut retry.not_before, crate::fights::SLOW);
        }
        self.drift_runs.retain(|it| *it <= now && later(*it, MINUTE) > now);
        for fight in self.fights.forget(now) {
            out.push(Action::Note(Note::FightOver(fight)));
        }
    }

    /// The next moment at which something is due that nothing else will bring up.
    fn wake(&self, now: Timestamp) -> Timestamp {
        let mut times = vec![later(now, AT_LEAST_EVERY)];
        if self.leaving.is_some() {
            return times[0];
        }
        match &self.news {
            NewsPhase::Idle => {
                if self.config.source.is_some() {
                    times.push(self.next_fetch);
                }
                if let Some(candidate) = &self.memory.candidate
                    && self.memory.is_bad(&candidate.news.revision).is_none()
                {
                    times.push(self.prepare_due(&candidate.news.revision).unwrap_or(now));
                }
            }
            NewsPhase::Fetching { .. } | NewsPhase::Preparing { .. } => {}
        }
        let retry = self.storage.as_ref().map(|it| it.retry).filter(|it| *it > now);
        let suspended = self.suspension(now).map(|it| it.until);
        match (&self.work, suspended) {
            (WorkPhase::Running { .. }, _) => {}
            (WorkPhase::Idle, Some(until)) => times.extend(until),
            (WorkPhase::Idle, None) => {
                times.extend(retry);
                if self.memory.trial.is_some() {
                    times.push(self.trial_due.max(retry.unwrap_or(now)));
                } else {
                    times.extend(self.candidate_due(now).map(|it| it.max(retry.unwrap_or(now))));
                }
                // In the middle of a trial the trial is what is due, unless it cannot be stored.
                if self.memory.adopted.is_some() && (self.memory.trial.is_none() || retry.is_some())
                {
                    times.push(self.next_keep);
                    let drift = self.drift.values().min();
                    times.extend(drift.map(|it| (*it).max(self.drift_not_before(now))));
                }
            }
        }
        let soonest = later(now, Duration::from_millis(1));
        times.into_iter().min().unwrap_or(soonest).max(soonest)
    }

    /// When time alone lets the candidate be adopted.
    fn candidate_due(&self, now: Timestamp) -> Option<Timestamp> {
        match self.waiting(now)? {
            Waiting::Nothing => Some(now),
            Waiting::Wave { turn, share: _ } => Some(turn),
            Waiting::Window { opens } => opens,
            Waiting::Suspended { .. }
            | Waiting::Trial
            | Waiting::Preparing
            | Waiting::Invalid { .. }
            | Waiting::Bad { .. }
            | Waiting::Expired { .. }
            | Waiting::Unnamed
            | Waiting::Budget { .. }
            | Waiting::Evidence { .. }
            | Waiting::Approval => None,
        }
    }

    /// Everything that somebody might want to know.
    pub fn status(&self, now: Timestamp) -> Status {
        let Memory { adopted, candidate, bad, trial, .. } = &self.memory;
        let stale_after = adopted.as_ref().map_or(0, |it| it.gate.stale_after);
        let newest = match &self.memory.floor {
            Floor::Fresh | Floor::Lost => None,
            Floor::At(news) => Some(news),
        };
        // A manifest says until when it is good; a commit grows old.
        let stale = newest.map(|it| {
            it.expires.unwrap_or_else(|| later(it.date, Duration::from_secs(stale_after)))
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.config.node.clone(),
            source: self.config.source.clone(),
            missing: self.config.missing.clone(),
            unsigned: self.config.unsigned,
            adopted: adopted.as_ref().map(|it| it.news.clone()),
            adopted_at: adopted.as_ref().map(|it| it.at),
            newer: candidate.as_ref().map(|it| it.news.clone()),
            waiting: self.waiting(now),
            share: adopted.as_ref().map(|it| self.share(it).percent()),
            trying: trial.as_ref().map(|it| match it.stage {
                Stage::First | Stage::Second => Trying::New,
                Stage::Back => Trying::GoingBack { to: it.from.news.revision.clone() },
            }),
            bad: bad.clone(),
            floor_lost: self.memory.floor == Floor::Lost,
            refusal: self.refusal.clone(),
            heard: self.heard,
            stale_since: stale.filter(|it| adopted.is_some() && *it <= now),
            running: match &self.work {
                WorkPhase::Idle => None,
                WorkPhase::Running { job, .. } => Some(job.why),
            },
            last_run: self.last_run.clone(),
            fights: self.fights.current(),
            suspended: self.suspension(now).cloned(),
            storage: self.storage.as_ref().map(|it| it.why.clone()),
            next_fetch: self.config.source.as_ref().map(|_| self.next_fetch),
            next_keep: adopted.as_ref().map(|_| self.next_keep),
        }
    }
}

fn crashed() -> String {
    format!("its run crashed {CRASHES} times")
}

fn answer(end: &End) -> Answer {
    match end {
        End::Finished(report) => Answer::RunEnded {
            kept: report.kept,
            repaired: report.repaired.len() as u64,
            not_kept: report.not_kept.len() as u64,
            held: report.held.len() as u64,
        },
        End::Crashed(words) | End::Busy(words) | End::NotStarted(words) => {
            Answer::RunFailed(words.clone())
        }
    }
}

fn not_good(report: Report) -> BTreeSet<String> {
    let not_kept = report.not_kept.into_iter().map(|it| it.promise);
    not_kept.chain(report.held.into_iter().map(|it| it.promise)).collect()
}

/// What speaks against a revision after its run: a health promise that fails, and what was kept under
/// the revision before and is not because of this one.
fn failures(report: &Report, before: &Adopted) -> Vec<Failure> {
    let counts = |broken: &&Broken| {
        let ours = match broken.fault {
            Fault::Revision => true,
            Fault::Network
            | Fault::Lock
            | Fault::DiskFull
            | Fault::Secret
            | Fault::Unseen
            | Fault::Foreign => false,
        };
        let was_kept = before.not_good.as_ref().is_some_and(|it| !it.contains(&broken.promise));
        ours && (broken.health || (broken.changed && was_kept))
    };
    let failure =
        |it: &Broken| Failure { promise: Some(it.promise.clone()), reason: it.reason.clone() };
    report.not_kept.iter().filter(counts).map(failure).collect()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            RefusalKind::Unreachable => "the source cannot be reached",
            RefusalKind::Signature => "nobody who may sign has signed it",
            RefusalKind::NotForward => "it does not lead forward",
            RefusalKind::TwoContents => "it contradicts what was accepted before",
            RefusalKind::Expired => "it has expired, so the model is stale",
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

//! The daemon as one function: what has happened goes in, what is to be done comes out.
//!
//! Two things go on side by side. *RevisionInfo*: the source is asked, and what is new is prepared (parsed,
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
//!
//! This file is the frame: the state, the one function, the clock. What is done about it lies in rooms:
//! `messages` (what goes in and out), `upstream` (the source and its candidate), `work` (runs), `trial` (a new
//! revision proves itself or is gone back from), `requests` (what people ask for).

mod messages;
mod requests;
mod trial;
mod upstream;
mod work;

pub use messages::*;

use crate::flapping::FlapDetector;
use crate::memory::{Memory, Stage, Suspension, Wanted};
use crate::schedule::{Chance, backoff, later};
use crate::status::{LastRun, Status, Trying};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use steadfast_node::revision::{HighestAccepted, Revision};
use steadfast_node::wire::{Prepared, Refusal, RunReason};

/// What is asked of the source.
#[derive(Clone, Debug, PartialEq)]
enum UpstreamPhase {
    Idle,
    /// `outdated`: the settings were read again since.
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
    by: Client,
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
    upstream: UpstreamPhase,
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
    /// What the last run repaired. Repairing touches it, so it is looked at once more, on no account.
    echoes: BTreeSet<String>,
    /// What could not be kept when it was last tried.
    retries: BTreeMap<String, Retry>,
    flapping: FlapDetector,
    asked: Vec<Waiter>,
    last_run: Option<LastRun>,
    shutting_down: Option<Shutdown>,
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

const FIRST_RETRY: Duration = Duration::from_secs(30);
/// The longest between two attempts at the source while it fails; the fetch interval where it is longer.
const LONGEST_FETCH_RETRY: Duration = Duration::from_secs(1_800);
const LONGEST_RETRY: Duration = Duration::from_secs(600);
const PREPARE_AGAIN: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);
/// A revision whose run crashes so often is bad.
const CRASHES: u32 = 2;
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
            upstream: UpstreamPhase::Idle,
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
            echoes: BTreeSet::new(),
            retries: BTreeMap::new(),
            flapping: FlapDetector::default(),
            asked: vec![],
            last_run: None,
            shutting_down: None,
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
            | Input::Shutdown(_) => {
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
            Input::RunEnded { revision, result } => {
                self.run_ended(&revision, result, now, &mut out);
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
            Input::Shutdown(how) => {
                // Whoever is to end does not become another, whatever was asked first.
                self.shutting_down = match (self.shutting_down, how) {
                    (Some(Shutdown::Stop), _) | (_, Shutdown::Stop) => Some(Shutdown::Stop),
                    (Some(Shutdown::Reexecute) | None, Shutdown::Reexecute) => {
                        Some(Shutdown::Reexecute)
                    }
                };
                self.shut_down(&mut out);
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

    fn begin(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.shutting_down.is_some() {
            self.shut_down(out);
            return;
        }
        let storable = self.storable(now);
        if storable && self.memory.suspended.is_some() && self.suspension(now).is_none() {
            self.memory.suspended = None;
            out.push(Action::Note(Note::Resumed));
        }
        match &self.upstream {
            UpstreamPhase::Idle => self.begin_upstream(now, out),
            UpstreamPhase::Fetching { .. } | UpstreamPhase::Preparing { .. } => {}
        }
        match &self.work {
            WorkPhase::Idle => self.begin_work(storable, now, out),
            WorkPhase::Running { .. } => {}
        }
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
        let (upstream, work) = began;
        if upstream {
            self.upstream = UpstreamPhase::Idle;
        }
        if work
            && let WorkPhase::Running { job, serving } =
                std::mem::replace(&mut self.work, WorkPhase::Idle)
        {
            self.asked.extend(serving);
            match job.reason {
                RunReason::Keep | RunReason::Drift => self.next_keep = self.next_keep.min(retry),
                RunReason::Adopt | RunReason::SecondTry | RunReason::GoBack | RunReason::Asked => {}
            }
        }
        self.shut_down(out);
    }

    fn shut_down(&mut self, out: &mut Vec<Action>) {
        let Some(how) = self.shutting_down else { return };
        match &self.work {
            WorkPhase::Idle => {
                for one in self.asked.drain(..) {
                    let answer = Answer::Refused("the agent ends".to_owned());
                    out.push(Action::Reply { to: one.by, answer });
                }
                out.push(Action::Shutdown(how));
            }
            WorkPhase::Running { .. } => {}
        }
    }

    fn suspension(&self, now: Timestamp) -> Option<&Suspension> {
        self.memory.suspended.as_ref().filter(|it| it.until.is_none_or(|until| until > now))
    }

    fn storable(&self, now: Timestamp) -> bool {
        self.storage.as_ref().is_none_or(|it| it.retry <= now)
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
            within(due, crate::flapping::SLOW);
        }
        for retry in self.retries.values_mut() {
            within(&mut retry.not_before, crate::flapping::SLOW);
        }
        self.drift_runs.retain(|it| *it <= now && later(*it, MINUTE) > now);
        for flapping in self.flapping.forget(now) {
            out.push(Action::Note(Note::FlappingOver(flapping)));
        }
    }

    /// The next moment at which something is due that nothing else will bring up.
    fn wake(&self, now: Timestamp) -> Timestamp {
        let mut times = vec![later(now, AT_LEAST_EVERY)];
        if self.shutting_down.is_some() {
            return times[0];
        }
        match &self.upstream {
            UpstreamPhase::Idle => {
                if self.config.source.is_some() {
                    times.push(self.next_fetch);
                }
                if let Some(candidate) = &self.memory.candidate
                    && self.memory.is_bad(&candidate.info.revision).is_none()
                {
                    times.push(self.prepare_due(&candidate.info.revision).unwrap_or(now));
                }
            }
            UpstreamPhase::Fetching { .. } | UpstreamPhase::Preparing { .. } => {}
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

    /// Everything that somebody might want to know.
    pub fn status(&self, now: Timestamp) -> Status {
        let Memory { adopted, candidate, bad, trial, .. } = &self.memory;
        let stale_after = adopted.as_ref().map_or(0, |it| it.gate.stale_after);
        let newest = match &self.memory.highest {
            HighestAccepted::Fresh | HighestAccepted::Lost => None,
            HighestAccepted::At(it) => Some(it),
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
            adopted: adopted.as_ref().map(|it| it.info.clone()),
            adopted_at: adopted.as_ref().map(|it| it.at),
            newer: candidate.as_ref().map(|it| it.info.clone()),
            waiting: self.waiting(now),
            share: adopted.as_ref().map(|it| self.share(it).percent()),
            trying: trial.as_ref().map(|it| match it.stage {
                Stage::First | Stage::Second => Trying::New,
                Stage::Back => Trying::GoingBack { to: it.from.info.revision.clone() },
            }),
            bad: bad.clone(),
            floor_lost: self.memory.highest == HighestAccepted::Lost,
            refusal: self.refusal.clone(),
            heard: self.heard,
            stale_since: stale.filter(|it| adopted.is_some() && *it <= now),
            running: match &self.work {
                WorkPhase::Idle => None,
                WorkPhase::Running { job, .. } => Some(job.reason),
            },
            last_run: self.last_run.clone(),
            flapping: self.flapping.current(),
            suspended: self.suspension(now).cloned(),
            storage: self.storage.as_ref().map(|it| it.why.clone()),
            next_fetch: self.config.source.as_ref().map(|_| self.next_fetch),
            next_keep: adopted.as_ref().map(|_| self.next_keep),
        }
    }
}

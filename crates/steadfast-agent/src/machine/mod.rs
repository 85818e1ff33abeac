//! The daemon as one function: what has happened goes in, what is to be done comes out.
//!
//! Two things go on side by side. *Upstream*: the source is asked, and what is new is prepared (parsed,
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
//! This file is the frame: the one function, and what it begins. Each room has the part of the state that
//! is its own: `upstream` (the source and its candidate), `work` (runs), `drift` (which promises are to be
//! looked at), `trial` (a new revision proves itself or is gone back from), `requests` (what people ask
//! for), `steps` (what the last step began, and whether it is stored). `messages` is what goes in and out,
//! `clock` when something is due, `status` what there is to know. What outlives the process, and which all
//! rooms decide by, is the [`Memory`].

mod clock;
mod drift;
mod messages;
mod requests;
mod status;
mod steps;
mod trial;
mod upstream;
mod work;

pub use messages::*;

use crate::memory::{Memory, Suspension};
use crate::schedule::Chance;
use jiff::{SignedDuration, Timestamp};
use requests::Requests;
use std::time::Duration;
use steps::Steps;
use trial::TrialTimer;
use upstream::Upstream;
use work::Work;

#[derive(Debug)]
pub struct Agent {
    config: Config,
    /// What must not be forgotten.
    memory: Memory,
    chance: Chance,
    steps: Steps,
    upstream: Upstream,
    work: Work,
    trial: TrialTimer,
    requests: Requests,
}

const FIRST_RETRY: Duration = Duration::from_secs(30);
const LONGEST_RETRY: Duration = Duration::from_secs(600);
const MINUTE: Duration = Duration::from_secs(60);
/// A revision whose run crashes so often is bad.
const CRASHES: u32 = 2;

impl Agent {
    /// After a start, also one that a crash made necessary. The first input is [`Input::Woke`].
    pub fn new(config: Config, memory: Memory, seed: u64, now: Timestamp) -> Agent {
        let mut agent = Agent {
            chance: Chance::new(seed),
            steps: Steps::new(&memory),
            upstream: Upstream::new(now),
            work: Work::new(now),
            trial: TrialTimer { due: now },
            requests: Requests::default(),
            memory,
            config,
        };
        if agent.memory.adopted.is_some() && agent.memory.wanted.is_none() {
            // A whole fleet may be starting.
            agent.upstream.next_fetch = agent.regular_fetch(now);
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

    /// Everything the agent does: time goes on, something has happened, what follows is begun, and what
    /// must not be forgotten is stored.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Action> {
        let mut out = vec![];
        self.heed_the_clock(now, &mut out);
        let began = self.steps.begin(&input);
        match self.take_in(input, now, &mut out) {
            Next::Begin => self.begin(now, &mut out),
            // Nothing is begun here: it would have to be stored too.
            Next::NotStored { why } => self.not_stored(why, began, now, &mut out),
            Next::ShutDown => self.shut_down(&mut out),
        }
        let mut actions: Vec<Action> = self.steps.store(&mut self.memory).into_iter().collect();
        actions.append(&mut out);
        actions.push(Action::WakeAt(self.wake(now)));
        actions
    }

    /// Each input is told apart, and each phase within it.
    fn take_in(&mut self, input: Input, now: Timestamp, out: &mut Vec<Action>) -> Next {
        match input {
            Input::Woke => {}
            Input::Fetched(result) => self.fetched(result, now, out),
            Input::Prepared { revision, result } => self.prepared(revision, result, now, out),
            Input::RunEnded { revision, result } => self.run_ended(&revision, result, now, out),
            Input::Drift { promises } => self.drifted(promises, now),
            Input::Asked { by, request } => self.asked(by, request, now, out),
            Input::Configured(config) => self.configured(config, now, out),
            Input::ClockJumped { by } => self.clock_jumped(by, now),
            Input::NotStored { why } => return Next::NotStored { why },
            Input::Shutdown(how) => {
                self.requests.asked_to_shut_down(how);
                return Next::ShutDown;
            }
        }
        Next::Begin
    }

    fn begin(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.requests.shutdown.is_some() {
            self.shut_down(out);
            return;
        }
        let storable = self.steps.may_store(now);
        if storable && self.memory.suspended.is_some() && self.suspension(now).is_none() {
            self.memory.suspended = None;
            out.push(Action::Note(Note::Resumed));
        }
        if self.upstream.is_idle() {
            self.begin_upstream(now, out);
        }
        if self.work.is_idle() {
            self.begin_work(storable, now, out);
        }
    }

    fn clock_jumped(&mut self, by: SignedDuration, now: Timestamp) {
        if let Some(candidate) = &mut self.memory.candidate {
            // The moment it was seen is the same; only its name has changed.
            candidate.seen = candidate.seen.checked_add(by).unwrap_or(now);
        }
    }

    fn suspension(&self, now: Timestamp) -> Option<&Suspension> {
        self.memory.suspended.as_ref().filter(|it| it.until.is_none_or(|until| until > now))
    }
}

/// What follows from an input, once it is taken in.
enum Next {
    /// What is due is begun.
    Begin,
    NotStored {
        why: String,
    },
    ShutDown,
}

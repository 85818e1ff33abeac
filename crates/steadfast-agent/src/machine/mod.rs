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
//! This file is the frame: the one function, and what it begins. `messages` is what goes in and out. What
//! is done about it lies in rooms: `upstream` (the source and what it offers), `choice` (which of the known
//! revisions is adopted), `work` (runs), `trial` (a new revision proves itself or is gone back from), `requests` (what people ask for), `steps` (what cannot be
//! stored is taken back), `clock` (when something is due), `status` (what there is to know). What a room
//! remembers beside that is a struct of its own below `state`; what outlives the process, and all decide
//! by, is the [`Memory`](crate::memory::Memory); `agent` holds them together.

mod agent;
mod choice;
mod clock;
mod messages;
mod requests;
mod state;
mod status;
mod steps;
mod trial;
mod upstream;
mod work;

pub use agent::Agent;
pub use messages::*;

use jiff::{SignedDuration, Timestamp};

impl Agent {
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
        if storable {
            self.memory.known_mut().for_each(|it| it.heed_the_clock(now));
        }
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
        for known in self.memory.known_mut() {
            // The moment it was seen is the same; only its name has changed.
            known.seen = known.seen.checked_add(by).unwrap_or(now);
        }
        if let Some(until) = self.memory.suspended.as_mut().and_then(|it| it.until.as_mut())
            && by.is_negative()
        {
            // As long as it was to be, and not until the clock is there again. (A clock that goes forward may also
            // be one of a machine that has slept.)
            *until = until.checked_add(by).unwrap_or(now);
        }
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

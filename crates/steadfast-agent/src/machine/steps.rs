//! What one step has begun, and whether its memory is stored: where it cannot be, the step is taken back.

use super::messages::{Action, Input, Note};
use super::{Agent, FIRST_RETRY, LONGEST_RETRY};
use crate::memory::Memory;
use crate::schedule::{backoff, later};
use jiff::Timestamp;
use steadfast_node::wire::RunReason;

#[derive(Debug)]
pub(super) struct Steps {
    /// As the shell was last told to store it, and as it was before that.
    stored: Memory,
    confirmed: Memory,
    /// What the last input began, in case its memory cannot be stored.
    pub(super) began: Began,
    asked_to_store: bool,
    pub(super) trouble: Option<StorageTrouble>,
}

/// What was begun on the strength of a memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Began {
    pub(super) upstream: bool,
    pub(super) work: bool,
}

#[derive(Debug)]
pub(super) struct StorageTrouble {
    failures: u32,
    pub(super) retry: Timestamp,
    pub(super) why: String,
}

impl Steps {
    pub(super) fn new(memory: &Memory) -> Steps {
        Steps {
            stored: memory.clone(),
            confirmed: memory.clone(),
            began: Began::default(),
            asked_to_store: false,
            trouble: None,
        }
    }

    /// A new step. Any input but [`Input::NotStored`] says that what was to be stored is. Gives what the
    /// step before has begun.
    pub(super) fn begin(&mut self, input: &Input) -> Began {
        let asked_to_store = std::mem::take(&mut self.asked_to_store);
        match input {
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
                    self.trouble = None;
                }
            }
        }
        std::mem::take(&mut self.began)
    }

    /// Has the memory stored where it is another than before.
    pub(super) fn store(&mut self, memory: &mut Memory) -> Option<Action> {
        if *memory == self.stored {
            return None;
        }
        memory.written = memory.written.saturating_add(1);
        self.confirmed = std::mem::replace(&mut self.stored, memory.clone());
        self.asked_to_store = true;
        Some(Action::Store(Box::new(memory.clone())))
    }

    /// Whether something may be begun that has to be stored.
    pub(super) fn may_store(&self, now: Timestamp) -> bool {
        self.trouble.as_ref().is_none_or(|it| it.retry <= now)
    }

    /// When storing is tried again, where that is not now.
    pub(super) fn retry(&self, now: Timestamp) -> Option<Timestamp> {
        self.trouble.as_ref().map(|it| it.retry).filter(|it| *it > now)
    }
}

impl Agent {
    /// Goes back to what is on the disk. What was begun on the strength of the rest was not begun.
    pub(super) fn not_stored(
        &mut self,
        why: String,
        began: Began,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let failures = self.steps.trouble.as_ref().map_or(0, |it| it.failures).saturating_add(1);
        let retry = later(now, backoff(failures, FIRST_RETRY, LONGEST_RETRY, &mut self.chance));
        if failures == 1 {
            out.push(Action::Note(Note::NotStored { why: why.clone() }));
        }
        self.steps.trouble = Some(StorageTrouble { failures, retry, why });
        // The numbers go on: a copy with the last one may be on the disk after all.
        let written = self.steps.stored.written;
        self.memory = Memory { written, ..self.steps.confirmed.clone() };
        self.steps.stored = self.memory.clone();
        // Nor is anything asked for that would have to be stored again at once.
        self.trial.due = self.trial.due.max(retry);
        self.upstream.next_fetch = self.upstream.next_fetch.max(retry);
        if began.upstream {
            self.upstream.not_begun();
        }
        if began.work
            && let Some((job, serving)) = self.work.take_running()
        {
            self.requests.waiters.extend(serving);
            match job.reason {
                RunReason::Keep | RunReason::Drift => {
                    self.work.next_keep = self.work.next_keep.min(retry);
                }
                RunReason::Adopt | RunReason::SecondTry | RunReason::GoBack | RunReason::Asked => {}
            }
        }
        self.shut_down(out);
    }
}

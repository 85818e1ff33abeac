//! What one step has begun, and whether its memory is stored.

use crate::machine::messages::{Action, Input};
use crate::memory::Memory;
use jiff::Timestamp;

#[derive(Debug)]
pub(crate) struct Steps {
    /// As the shell was last told to store it, and as it was before that.
    pub(crate) stored: Memory,
    pub(crate) confirmed: Memory,
    /// What the last input began, in case its memory cannot be stored.
    pub(crate) began: Began,
    asked_to_store: bool,
    pub(crate) trouble: Option<StorageTrouble>,
}

/// What was begun on the strength of a memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Began {
    pub(crate) upstream: bool,
    pub(crate) work: bool,
}

#[derive(Debug)]
pub(crate) struct StorageTrouble {
    pub(crate) failures: u32,
    pub(crate) retry: Timestamp,
    pub(crate) why: String,
}

impl Steps {
    pub(crate) fn new(memory: &Memory) -> Steps {
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
    pub(crate) fn begin(&mut self, input: &Input) -> Began {
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
    pub(crate) fn store(&mut self, memory: &mut Memory) -> Option<Action> {
        if *memory == self.stored {
            return None;
        }
        memory.written = memory.written.saturating_add(1);
        self.confirmed = std::mem::replace(&mut self.stored, memory.clone());
        self.asked_to_store = true;
        Some(Action::Store(Box::new(memory.clone())))
    }

    /// Whether something may be begun that has to be stored.
    pub(crate) fn may_store(&self, now: Timestamp) -> bool {
        self.trouble.as_ref().is_none_or(|it| it.retry <= now)
    }

    /// When storing is tried again, where that is not now.
    pub(crate) fn retry(&self, now: Timestamp) -> Option<Timestamp> {
        self.trouble.as_ref().map(|it| it.retry).filter(|it| *it > now)
    }
}

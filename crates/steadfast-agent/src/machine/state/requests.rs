//! What people have asked for and wait for.

use crate::machine::messages::{Client, Shutdown};
use steadfast_node::wire::Selection;

#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// Those who wait for a run that has not begun.
    pub(crate) waiters: Vec<Waiter>,
    /// The process is to end, or to become another.
    pub(crate) shutdown: Option<Shutdown>,
}

/// Somebody who waits for a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waiter {
    pub(crate) by: Client,
    pub(crate) only: Option<Selection>,
}

impl Requests {
    /// Whoever is to end does not become another, whatever was asked first.
    pub(crate) fn asked_to_shut_down(&mut self, how: Shutdown) {
        self.shutdown = match (self.shutdown, how) {
            (Some(Shutdown::Stop), _) | (_, Shutdown::Stop) => Some(Shutdown::Stop),
            (Some(Shutdown::Reexecute) | None, Shutdown::Reexecute) => Some(Shutdown::Reexecute),
        };
    }

    /// All who want a full run.
    pub(crate) fn take_full(&mut self) -> Vec<Waiter> {
        let (full, rest) = self.waiters.drain(..).partition(|it| it.only.is_none());
        self.waiters = rest;
        full
    }

    /// Everybody who wants a full run gets the same one; else the first gets the promises asked for.
    pub(crate) fn take_next(&mut self) -> Option<(Option<Selection>, Vec<Waiter>)> {
        let full = self.take_full();
        if !full.is_empty() {
            return Some((None, full));
        }
        if self.waiters.is_empty() {
            return None;
        }
        let first = self.waiters.remove(0);
        Some((first.only.clone(), vec![first]))
    }
}

//! Which promises are the inputs of a runner.

use crate::graph::Task;
use serde::{Deserialize, Serialize};
use steadfast_resources::Change;
use steadfast_resources::runner::Consequence;

/// The promises that a runner runs with, by index, in rising order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inputs {
    pub runner: usize,
    pub reload: Vec<usize>,
    pub restart: Vec<usize>,
    /// Promised files that systemd reads for it: they ask for nothing of it but that it comes after them.
    pub read: Vec<usize>,
}

impl Inputs {
    /// Everything after which the runner has to be looked at.
    pub fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.reload.iter().chain(&self.restart).chain(&self.read).copied()
    }

    /// The runner comes after them; that one of them is not kept holds nothing back.
    pub(crate) fn order(&self, tasks: &mut [Task]) {
        tasks[self.runner].needs.extend(self.all().filter(|it| *it != self.runner));
    }

    /// What it asks of the runner that this promise changes. What asks for a restart asks for no reload
    /// beside it.
    pub fn asks(&self, at: usize) -> Option<Consequence> {
        if has(&self.restart, at) {
            Some(Consequence::Restart)
        } else if has(&self.reload, at) {
            Some(Consequence::Reload)
        } else {
            None
        }
    }

    /// What the runner owes when these changes of this promise are made.
    pub(crate) fn consequence(&self, at: usize, changes: &[Change]) -> Option<Consequence> {
        if at == self.runner {
            let own = changes.iter().filter_map(Change::as_runner).any(|it| it.alters_own_inputs());
            return own.then_some(Consequence::Restart);
        }
        // That systemd reads it says nothing new to what runs.
        if !changes.is_empty() && changes.iter().all(Change::is_daemon_reload) {
            return None;
        }
        self.asks(at)
    }
}

/// Whether a list in rising order has the index.
pub(crate) fn has(list: &[usize], at: usize) -> bool {
    list.binary_search(&at).is_ok()
}

//! What was started has to settle, and that holds only what comes after it: the rest of the run goes on, and
//! all that settles does so side by side.

use super::run::{Pending, Run};
use crate::event::Reporter;
use crate::ledger::UndoEntry;
use std::collections::BTreeMap;
use std::time::Duration;
use steadfast_resources::{Applied, Change};
use steadfast_system::SystemError;
use steadfast_system::services::Settling;

impl Run<'_> {
    /// All waves, again and again: what comes after something that settles waits until that has an end.
    pub(super) fn waves(&mut self, out: &mut dyn Reporter) {
        loop {
            for wave in self.plan.turns.waves(self.promises) {
                self.wave(wave, out);
            }
            if self.pending.is_empty() {
                return;
            }
            self.look_at_pending(Duration::MAX);
        }
    }

    /// Whether this one settles, or comes after something that has no end yet.
    pub(super) fn waits(&self, at: usize) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        let is_open =
            |it: usize| self.promises.all[it].selected && self.outcomes[it].is_none() && it != at;
        let inputs = self.promises.inputs_of(at);
        self.pending.iter().any(|it| it.at == at)
            || self.promises.all[at].needs.iter().any(|it| is_open(*it))
            || inputs.is_some_and(|it| it.all().any(is_open))
    }

    /// Takes note of what these changes have begun, where it is not at its end yet.
    pub(super) fn begin_to_settle(
        &mut self,
        at: usize,
        changes: Vec<Change>,
        (last, wait): (usize, Settling),
    ) {
        self.stale[at] = true;
        self.systemd_read |=
            changes.iter().any(|it| it.as_runner().is_some_and(|it| it.wants_daemon_reload()));
        let mut first = [wait];
        let ended = self.sys.settled(&mut first, Duration::ZERO).pop().flatten();
        let [wait] = first;
        match ended {
            Some(result) => self.take_in(at, changes, applied(result, last)),
            None => self.pending.push(Pending { at, changes, last, wait, made: vec![] }),
        }
    }

    /// What was written down of those that settle, for when it is known how that ended.
    pub(super) fn remember_made(&mut self, made: &[UndoEntry]) {
        for pending in &mut self.pending {
            let id = &self.promises.all[pending.at].id;
            if pending.made.is_empty() {
                pending.made = made.iter().filter(|it| it.promise == *id).cloned().collect();
            }
        }
    }

    /// Waits until something of what settles has come to an end, and judges that.
    fn look_at_pending(&mut self, patience: Duration) {
        let mut waits: Vec<Settling> = self.pending.iter().map(|it| it.wait.clone()).collect();
        let ended = self.sys.settled(&mut waits, patience);
        let pending = std::mem::take(&mut self.pending);
        let mut done = vec![];
        for ((pending, wait), ended) in pending.into_iter().zip(waits).zip(ended) {
            match ended {
                Some(result) => done.push((pending, result)),
                None => self.pending.push(Pending { wait, ..pending }),
            }
        }
        for (pending, result) in done {
            self.finish(pending, result);
        }
    }

    fn finish(&mut self, pending: Pending, result: Result<(), SystemError>) {
        let Pending { at, changes, last, wait: _, made } = pending;
        self.take_in(at, changes, applied(result, last));
        self.invalidate(&[at], false);
        self.refresh(&[at]);
        self.look_again(&[at], &BTreeMap::new());
        self.amend(&[at], &made);
        self.settle(&[at]);
    }
}

fn applied(result: Result<(), SystemError>, at: usize) -> Applied {
    match result {
        Ok(()) => Applied::All,
        Err(error) => Applied::Failed { at, error },
    }
}

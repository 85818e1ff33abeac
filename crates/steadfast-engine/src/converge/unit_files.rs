//! Letting systemd read its unit files again: once for all that was changed together, and never forgotten.

use super::run::{Run, Work};
use crate::outcome::{NotKept, Outcome};
use crate::runner::debt::RunnerRecord;
use crate::runner::unit_files::{is_owed, owed_load, systemd};
use steadfast_resources::Change;

/// Takes out of the work that systemd reads its files, where that is a part of another promise than that
/// about a service; gives whose.
pub(super) fn split(work: &mut Work) -> Vec<usize> {
    let mut told = vec![];
    for (at, changes) in work {
        if changes.iter().all(|it| it.as_runner().is_none_or(|it| it.is_daemon_reload())) {
            let before = changes.len();
            changes.retain(|it| !it.is_daemon_reload());
            if changes.len() < before {
                told.push(*at);
            }
        }
    }
    told
}

impl Run<'_> {
    /// Writes down that systemd will have to read its files, before they are changed: a run that is cut off
    /// leaves them as they should be, and nothing else would show it of one that was removed. What cannot be
    /// written down is not changed.
    pub(super) fn systemd_owes(&mut self, work: &mut Work) {
        let wants = |changes: &[Change]| {
            changes.iter().filter_map(Change::as_runner).any(|it| it.wants_daemon_reload())
        };
        let (Some(load), Some(unit)) = (self.observed.last_load, systemd()) else { return };
        let Some((cause, _)) = work.iter().find(|(_, it)| wants(it)) else { return };
        let cause = self.promises.all[*cause].id.clone();
        let debt = owed_load(cause, load, self.sys.now());
        self.systemd_read = false;
        let Err(error) = self.ledger.owe(&[(unit, debt)]) else { return };
        let error = error.during("write down that systemd has to read its unit files again");
        work.retain(|(at, changes)| {
            let its = wants(changes);
            if its && let Some(change) = changes.first() {
                let change = Box::new(change.clone());
                let why = NotKept::Failed { change, error: error.clone() };
                self.outcomes[*at] = Some(Outcome::NotKept(why));
            }
            !its
        });
    }

    /// Lets systemd read its files for those of these promises whose changes did not fail, once for all.
    pub(super) fn daemon_reload(&mut self, told: &[usize]) {
        let its: Vec<usize> =
            told.iter().copied().filter(|at| self.outcomes[*at].is_none()).collect();
        if its.is_empty() {
            return;
        }
        let error = self.reload_now();
        self.systemd_read = error.is_none();
        for at in its {
            match &error {
                None => self.done[at].push(Change::daemon_reload()),
                Some(error) => {
                    let change = Box::new(Change::daemon_reload());
                    let why = NotKept::Failed { change, error: error.clone() };
                    self.outcomes[at] = Some(Outcome::NotKept(why));
                }
            }
        }
    }

    fn reload_now(&self) -> Option<steadfast_system::SystemError> {
        let change = [Change::daemon_reload()];
        let applied = steadfast_resources::apply(&[&change], self.sys).pop()?;
        applied.failed().next().map(|(_, error)| error.clone())
    }

    /// What is still owed at the end, by this run or by one that was cut off, is paid.
    pub(super) fn pay_systemd(&mut self) {
        let Some(unit) = systemd() else { return };
        let debts = self.ledger.record(&unit).debts;
        let Some(load) = self.sys.last_load().filter(|_| !debts.is_empty()) else { return };
        if is_owed(&debts, load) && !self.systemd_read && self.reload_now().is_some() {
            return;
        }
        // Where it cannot be written, systemd reads its files once more than needed.
        let _written = self.ledger.settle(&unit, RunnerRecord::default());
    }
}

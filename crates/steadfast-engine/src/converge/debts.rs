//! What a run lets runners owe, and what it does about that: see [`crate::runner::debt`].

use super::run::{NewDebt, Run, Work, WrittenDown};
use crate::outcome::{NotKept, Outcome};
use crate::runner::debt::Debt;
use crate::runner::inputs::{Inputs, has};
use crate::runner::owing::new_debt;
use std::collections::BTreeSet;
use steadfast_resources::{Change, Fingerprint};
use steadfast_system::UnitName;

impl Run<'_> {
    /// Writes down what services will owe, before its cause is changed. What cannot be written down is
    /// not changed.
    pub(super) fn owe(&mut self, work: &mut Work) -> Vec<WrittenDown> {
        let mut services: Vec<usize> = vec![];
        for inputs in &self.promises.inputs {
            let caused =
                work.iter().any(|(at, changes)| inputs.consequence(*at, changes).is_some());
            if caused {
                services.push(inputs.runner);
            }
        }
        self.refresh(&services);
        let now = self.sys.now();
        let doubts = self.doubts(work, now);
        let mut debts: Vec<(UnitName, Debt)> = vec![];
        let mut causes: BTreeSet<usize> = BTreeSet::new();
        for inputs in self.promises.inputs.iter().filter(|it| has(&services, it.runner)) {
            // What does not run owes nothing: it will start with what is there.
            let Some((unit, Some(process))) = self.observed.runner(self.promises, inputs.runner)
            else {
                continue;
            };
            for (at, changes) in work.iter() {
                if let Some(action) = inputs.consequence(*at, changes) {
                    let debt = new_debt(self.promises, *at, action, &process, now);
                    debts.push((unit.clone(), debt));
                    causes.insert(*at);
                }
            }
        }
        if debts.is_empty() && doubts.is_empty() {
            return vec![];
        }
        for (unit, Debt { action, cause, .. }) in &debts {
            tracing::debug!(%unit, ?action, %cause, "will owe");
        }
        let written = self.written_down(&debts);
        causes.extend(doubts.iter().map(|(at, _)| *at));
        debts.extend(doubts.into_iter().map(|(_, debt)| debt));
        if let Err(error) = self.ledger.owe(&debts) {
            let error = error.during("write down that a restart will be owed");
            work.retain(|(at, changes)| {
                let caused = causes.contains(at);
                if caused && let Some(change) = changes.first() {
                    let change = Box::new(change.clone());
                    let why = NotKept::Failed { change, error: error.clone() };
                    self.outcomes[*at] = Some(Outcome::NotKept(why));
                }
                !caused
            });
            return vec![];
        }
        written
    }

    /// What is owed because nobody knows what systemd had read when a service was started: it does not show any
    /// more once systemd has read what is there, so it is written down before, each with its cause.
    fn doubts(&self, work: &Work, now: i64) -> Vec<(usize, (UnitName, Debt))> {
        let mut doubts = vec![];
        let told = work.iter().filter(|(_, it)| it.iter().all(Change::is_daemon_reload));
        for at in told.map(|(at, _)| *at) {
            let id = &self.promises.all[at].id;
            for inputs in &self.promises.inputs {
                let owes = self.observed.owing(inputs.runner).causes.contains(id);
                if let (true, Some(action)) = (owes, inputs.asks(at))
                    && let Some((unit, Some(process))) =
                        self.observed.runner(self.promises, inputs.runner)
                {
                    let debt = new_debt(self.promises, at, action, &process, now);
                    doubts.push((at, (unit, debt)));
                }
            }
        }
        doubts
    }

    /// What the records of these services are before, and what causes their new debts.
    fn written_down(&self, debts: &[(UnitName, Debt)]) -> Vec<WrittenDown> {
        let mut all: Vec<WrittenDown> = vec![];
        for (unit, debt) in debts {
            let parts = self.promises.all.iter().enumerate().filter(|(_, it)| it.id == debt.cause);
            let causes = parts.map(|(at, _)| (at, self.fingerprint(at))).collect();
            let debt = NewDebt { debt: debt.clone(), causes };
            match all.iter_mut().find(|it| it.unit == *unit) {
                Some(written) => written.debts.push(debt),
                None => all.push(WrittenDown {
                    unit: unit.clone(),
                    before: self.ledger.record(unit),
                    debts: vec![debt],
                }),
            }
        }
        all
    }

    fn fingerprint(&self, at: usize) -> Option<Fingerprint> {
        self.observed.states[at].as_ref().ok().map(steadfast_resources::State::fingerprint)
    }

    /// Takes back debts whose cause came to nothing: a new content that was refused, a full disk. What
    /// cannot be taken back is paid once more than needed.
    pub(super) fn take_back(&mut self, written: &[WrittenDown]) {
        for WrittenDown { unit, before, debts } in written {
            let is_due = |it: &&NewDebt| {
                it.causes.iter().any(|(at, was)| was.is_none() || self.fingerprint(*at) != *was)
            };
            let due: Vec<Debt> = debts.iter().filter(is_due).map(|it| it.debt.clone()).collect();
            if due.len() == debts.len() {
                continue;
            }
            let mut record = before.clone();
            record.debts.extend(due);
            // Where the record cannot be written, the debt stays: it is paid without need.
            if self.ledger.settle(unit, record).is_ok() {
                let inputs = self.promises.inputs.iter().find(|it| {
                    self.observed
                        .runner(self.promises, it.runner)
                        .is_some_and(|(it, _)| it == *unit)
                });
                if let Some(inputs) = inputs {
                    self.observed.assess(self.promises, [inputs], self.ledger);
                }
            }
        }
    }

    /// What was restarted or reloaded owes nothing any more: a reload leaves no trace in systemd, so
    /// this is the only witness.
    pub(super) fn pay(&mut self, touched: &[usize]) {
        for inputs in self.promises.inputs.iter().filter(|it| has(touched, it.runner)) {
            let at = inputs.runner;
            if self.outcomes[at].is_none() && self.done[at].iter().any(pays) {
                tracing::debug!(runner = %self.promises.all[at].id, "paid what it owed");
                self.put_records(&[inputs]);
                self.observed.assess(self.promises, [inputs], self.ledger);
            }
        }
    }

    fn put_records(&mut self, which: &[&Inputs]) {
        let (mut units, mut paid) = (vec![], vec![]);
        for inputs in which {
            let Some((unit, Some(_))) = self.observed.runner(self.promises, inputs.runner) else {
                continue;
            };
            if let Some(record) = self.observed.paid_up(self.promises, inputs) {
                units.push(unit);
                paid.push((inputs.runner, record));
            }
        }
        if units.is_empty() {
            return;
        }
        let known = self.ledger.records(&units);
        for ((unit, (at, record)), known) in units.iter().zip(paid).zip(known) {
            if known != record
                && let Err(error) = self.ledger.settle(unit, record)
            {
                // The debt stays written down: the next run restarts once more than needed.
                let words = error.chain().join(": ");
                self.notes[at].push(format!("its restart is done and still owed: {words}"));
            }
        }
    }

    /// Brings the records of services up to date where nothing is owed any more.
    pub(super) fn settle(&mut self, which: &[usize]) {
        let settled = |inputs: &&Inputs| {
            let at = inputs.runner;
            // Whether it is healthy says nothing about what it runs with.
            let good = self.outcomes[at].as_ref().is_some_and(|it| match it {
                Outcome::Kept | Outcome::Repaired | Outcome::NotKept(NotKept::Unhealthy(_)) => true,
                Outcome::NotKept(_) | Outcome::Held(_) => false,
            });
            let seen = self.observed.states[at].is_ok();
            let owes = !seen || self.observed.owing(at).action.is_some();
            good && !owes
        };
        let its = self.promises.inputs.iter().filter(|it| has(which, it.runner));
        let settled: Vec<&Inputs> = its.filter(settled).collect();
        self.put_records(&settled);
    }
}

fn pays(change: &Change) -> bool {
    change.as_runner().is_some_and(|it| it.pays().is_some())
}

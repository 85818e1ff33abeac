//! The run that is under way, and what the last ones have shown.

use super::drift::Drift;
use super::requests::Waiter;
use crate::machine::messages::{Job, Note};
use crate::schedule::{FIRST_RETRY, later};
use crate::status::LastRun;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use steadfast_model::PromiseId;
use steadfast_node::revision::Revision;
use steadfast_node::wire::{Report, RunReason, Selection};

/// The run that is under way, and what the last ones have shown.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) phase: Phase,
    pub(crate) next_keep: Timestamp,
    /// Full runs that left something not kept, or crashed, one after the other.
    pub(crate) failing: u32,
    /// Runs that could not begin, one after the other.
    pub(crate) put_off: u32,
    pub(crate) drift: Drift,
    /// When the steps of components go on.
    pub(crate) steps: BTreeMap<PromiseId, Timestamp>,
    pub(crate) last_run: Option<LastRun>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    Idle,
    Running { job: Job, serving: Vec<Waiter> },
}

impl Work {
    pub(crate) fn new(now: Timestamp) -> Work {
        Work {
            phase: Phase::Idle,
            next_keep: now,
            failing: 0,
            put_off: 0,
            drift: Drift::default(),
            steps: BTreeMap::new(),
            last_run: None,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running().is_none()
    }

    pub(crate) fn running(&self) -> Option<&Job> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Running { job, serving: _ } => Some(job),
        }
    }

    /// It is not under way any more, or was not begun after all.
    pub(crate) fn take_running(&mut self) -> Option<(Job, Vec<Waiter>)> {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => None,
            Phase::Running { job, serving } => Some((job, serving)),
        }
    }

    /// The run of this revision has ended; nothing where none was under way.
    pub(crate) fn take_ended(&mut self, revision: &Revision) -> Option<(Job, Vec<Waiter>)> {
        let is_that = self.running().is_some_and(|it| it.revision == *revision);
        if is_that { self.take_running() } else { None }
    }

    /// The components whose step goes on now. Each is told again when it is due next, by the run that this begins.
    pub(crate) fn take_steps(&mut self, now: Timestamp) -> Option<Selection> {
        let due = |(_, at): &(&PromiseId, &Timestamp)| **at <= now;
        let due: Vec<PromiseId> = self.steps.iter().filter(due).map(|(it, _)| it.clone()).collect();
        // Where the run comes to nothing, it is not begun again at once.
        for promise in &due {
            self.steps.insert(promise.clone(), later(now, FIRST_RETRY));
        }
        (!due.is_empty()).then(|| Selection::from_promises(&due))
    }

    /// When the steps go on that a run was about.
    fn remember_steps(&mut self, job: &Job, report: &Report, now: Timestamp) {
        if job.only.is_none() {
            self.steps.clear();
        }
        for (promise, due) in &report.steps {
            match due {
                Some(due) => {
                    let at = later(now, Duration::from_millis(*due));
                    self.steps.insert(promise.clone(), at);
                }
                None => {
                    self.steps.remove(promise);
                }
            }
        }
    }

    /// What every finished run tells. Gives what began to flap by it.
    pub(crate) fn record(&mut self, job: &Job, report: &Report, now: Timestamp) -> Vec<Note> {
        self.drift.repaired(&report.repaired);
        self.remember_steps(job, report, now);
        let mut notes = vec![];
        match job.reason {
            // What a new revision repairs, or a step, it repairs because it is new.
            RunReason::Adopt | RunReason::SecondTry | RunReason::GoBack | RunReason::Step => {}
            RunReason::Keep | RunReason::Drift | RunReason::Asked => {
                for promise in &report.repaired {
                    notes.extend(self.drift.is_flapping(promise, now).map(Note::Flapping));
                }
            }
        }
        let last = last_run(job, report, now);
        match (&job.only, &mut self.last_run) {
            (Some(only), Some(before)) => before.amend(only, last),
            (None, _) | (_, None) => self.last_run = Some(last),
        }
        notes
    }
}

fn last_run(job: &Job, report: &Report, now: Timestamp) -> LastRun {
    LastRun {
        revision: job.revision.clone(),
        reason: job.reason,
        ended: now,
        kept: report.kept,
        repaired: report.repaired.len() as u64,
        not_kept: report.not_kept.iter().map(|it| it.failure.clone()).collect(),
        held: report.held.clone(),
        debts: report.debts.clone(),
    }
}

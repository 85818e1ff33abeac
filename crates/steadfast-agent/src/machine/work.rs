//! Keeping what is adopted: one run at a time, whoever or whatever asks for it.

use super::agent::Agent;
use super::messages::{Action, Answer, Job, Note, RunResult};
use super::state::drift::MERGE;
use super::state::requests::Waiter;
use super::state::work::Phase;
use super::trial::{CRASHES, crashed};
use crate::memory::{Stage, Trial, TrialFailure};
use crate::schedule::{FIRST_RETRY, LONGEST_RETRY, MINUTE, backoff, later};
use jiff::Timestamp;
use std::collections::BTreeSet;
use steadfast_model::PromiseId;
use steadfast_node::revision::Revision;
use steadfast_node::wire::{Report, RunReason, Selection};

impl Agent {
    pub(super) fn begin_work(&mut self, storable: bool, now: Timestamp, out: &mut Vec<Action>) {
        if self.suspension(now).is_some() {
            // A step that stood still in the middle would be worse than one that ends. None begins meanwhile.
            self.begin_steps(now, out);
            return;
        }
        if storable && self.memory.trial.is_some() && now >= self.trial.due {
            self.begin_trial(now, out);
            return;
        }
        if self.begin_steps(now, out) {
            return;
        }
        if storable {
            if self.memory.trial.is_some() {
                return;
            }
            if let Some(revision) = self.choice(now) {
                self.adopt(&revision, now, out);
                return;
            }
        }
        let adopted = self.memory.adopted.as_ref().filter(|_| self.keeps_adopted());
        let Some(revision) = adopted.map(|it| it.info.revision.clone()) else { return };
        if let Some((only, serving)) = self.requests.take_next() {
            self.run(Job { revision, reason: RunReason::Asked, only, against: None }, serving, out);
        } else if now >= self.work.next_keep {
            self.work.drift.clear();
            let job = Job { revision, reason: RunReason::Keep, only: None, against: None };
            self.run(job, vec![], out);
        } else {
            let due = self.work.drift.take_due(now);
            if !due.is_empty() {
                let only = Some(Selection::from_promises(&due));
                let job = Job { revision, reason: RunReason::Drift, only, against: None };
                self.run(job, vec![], out);
            }
        }
    }

    /// Whether what is adopted is kept: in the middle of going back there is no revision that would be right to keep.
    pub(super) fn keeps_adopted(&self) -> bool {
        let back = self.memory.trial.as_ref().is_some_and(|it| it.stage == Stage::Back);
        self.memory.adopted.is_some() && !back
    }

    /// A component's step goes on, also while its revision is on trial: it is not judged by that. Whether any does.
    fn begin_steps(&mut self, now: Timestamp, out: &mut Vec<Action>) -> bool {
        let adopted = self.memory.adopted.as_ref().filter(|_| self.keeps_adopted());
        let Some(revision) = adopted.map(|it| it.info.revision.clone()) else { return false };
        let Some(only) = self.work.take_steps(now) else { return false };
        let job = Job { revision, reason: RunReason::Step, only: Some(only), against: None };
        self.run(job, vec![], out);
        true
    }

    pub(super) fn run(&mut self, job: Job, serving: Vec<Waiter>, out: &mut Vec<Action>) {
        out.push(Action::Run(job.clone()));
        self.runs(job, serving);
    }

    /// A run is under way.
    pub(super) fn runs(&mut self, job: Job, serving: Vec<Waiter>) {
        self.work.phase = Phase::Running { job, serving };
        self.steps.began.work = true;
    }

    pub(super) fn run_ended(
        &mut self,
        revision: &Revision,
        result: RunResult,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let Some((job, serving)) = self.work.take_ended(revision) else {
            out.push(Action::Note(Note::Unexpected("the end of a run that was not started")));
            return;
        };
        for one in serving {
            out.push(Action::Reply { to: one.by, answer: answer(&result) });
        }
        match &result {
            RunResult::Finished(report) => {
                self.work.put_off = 0;
                out.extend(self.work.record(&job, report, now).into_iter().map(Action::Note));
            }
            RunResult::Crashed(words) => {
                let (revision, words) = (revision.clone(), words.clone());
                out.push(Action::Note(Note::RunCrashed { revision, words }));
            }
            RunResult::Busy(words) | RunResult::NotStarted(words) => {
                if self.work.put_off == 0 {
                    out.push(Action::Note(Note::RunPutOff { words: words.clone() }));
                }
                self.work.put_off = self.work.put_off.saturating_add(1);
            }
        }
        let stage = self.memory.trial.as_ref().filter(|it| it.open).map(|it| it.stage);
        match (stage, job.reason) {
            (Some(stage), RunReason::Adopt | RunReason::SecondTry | RunReason::GoBack) => {
                self.trial_ended(stage, result, now, out);
            }
            (Some(_), RunReason::Keep | RunReason::Drift | RunReason::Step | RunReason::Asked)
            | (
                None,
                RunReason::Keep
                | RunReason::Adopt
                | RunReason::SecondTry
                | RunReason::GoBack
                | RunReason::Drift
                | RunReason::Step
                | RunReason::Asked,
            ) => self.plain_run_ended(&job, result, now, out),
        }
    }

    fn plain_run_ended(
        &mut self,
        job: &Job,
        result: RunResult,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        match result {
            RunResult::Finished(report) => {
                self.memory.crashes = 0;
                match &job.only {
                    // When it goes on is said by the run itself.
                    Some(_) if job.reason == RunReason::Step => {}
                    Some(only) => {
                        let Agent { work, chance, .. } = self;
                        work.drift.single_run_at(only, &report.not_kept, now, chance);
                    }
                    None => {
                        self.memory.owed = false;
                        self.full_run_at(report, now);
                    }
                }
            }
            RunResult::Crashed(_) => self.run_crashed(&job.revision, now, out),
            RunResult::Busy(_) | RunResult::NotStarted(_) => {
                let wait = backoff(self.work.put_off, FIRST_RETRY, LONGEST_RETRY, &mut self.chance);
                self.work.next_keep = later(now, wait.min(self.config.keep));
            }
        }
    }

    /// A revision whose runs crash is gone back from, where there is something to go back to and nobody
    /// insists on it.
    fn run_crashed(&mut self, revision: &Revision, now: Timestamp, out: &mut Vec<Action>) {
        self.memory.crashes = self.memory.crashes.saturating_add(1);
        self.work.failing = self.work.failing.saturating_add(1);
        self.keep_again(now);
        let blameless = self.memory.blameless.as_ref() == Some(revision);
        let Some(from) = self.memory.previous.clone().filter(|_| !blameless) else { return };
        if self.memory.crashes >= CRASHES && self.memory.trial.is_none() {
            let failure = TrialFailure { promise: None, reason: crashed() };
            self.memory.trial =
                Some(Trial { failures: vec![failure], ..Trial::new(Stage::Back, from) });
            self.go_back(now, out);
        }
    }

    pub(super) fn full_run_at(&mut self, report: Report, now: Timestamp) {
        let all_kept = report.not_kept.is_empty();
        self.work.drift.full_run_at(&report.not_kept, now, &mut self.chance);
        if let Some(adopted) = &mut self.memory.adopted {
            adopted.not_good = Some(not_good(report));
        }
        self.work.failing = if all_kept { 0 } else { self.work.failing.saturating_add(1) };
        self.keep_again(now);
    }

    /// What is not kept is tried again sooner than the interval says, and less and less so.
    pub(super) fn keep_again(&mut self, now: Timestamp) {
        let keep = self.config.keep;
        let wait = if self.work.failing == 0 {
            keep
        } else {
            backoff(self.work.failing, MINUTE, keep, &mut self.chance)
        };
        self.work.next_keep = later(now, wait);
    }

    pub(super) fn drifted(&mut self, promises: Vec<PromiseId>, now: Timestamp) {
        if self.memory.adopted.is_none() {
            return;
        }
        let many = self.work.drift.touched(promises, now);
        if many {
            // As often as a full run may be, not as often as somebody can touch a thousand files.
            let soon = self.work.last_run.as_ref().map_or(now, |it| later(it.ended, MINUTE));
            self.work.next_keep = self.work.next_keep.min(soon.max(later(now, MERGE)));
        }
    }
}

fn answer(result: &RunResult) -> Answer {
    match result {
        RunResult::Finished(report) => Answer::RunEnded {
            kept: report.kept,
            repaired: report.repaired.len() as u64,
            not_kept: report.not_kept.len() as u64,
            held: report.held.len() as u64,
        },
        RunResult::Crashed(words) | RunResult::Busy(words) | RunResult::NotStarted(words) => {
            Answer::RunFailed(words.clone())
        }
    }
}

fn not_good(report: Report) -> BTreeSet<PromiseId> {
    let not_kept = report.not_kept.into_iter().map(|it| it.failure.promise);
    not_kept.chain(report.held.into_iter().map(|it| it.promise)).collect()
}

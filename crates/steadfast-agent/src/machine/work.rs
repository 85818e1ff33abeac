//! Keeping what is adopted: one run at a time, whoever or whatever asks for it.

use super::messages::{Action, Answer, Job, Note, RunResult};
use super::trial::crashed;
use super::{Agent, CRASHES, FIRST_RETRY, LONGEST_RETRY, MINUTE, Retry, Waiter, WorkPhase};
use crate::memory::{Failure, Stage, Trial};
use crate::schedule::{backoff, later};
use crate::status::{LastRun, Waiting};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use steadfast_node::revision::Revision;
use steadfast_node::wire::Unkept;
use steadfast_node::wire::{Report, RunReason};

/// Changes that come together are repaired together; short against the promised latency of 100 ms.
const MERGE: Duration = Duration::from_millis(20);
/// More drifted promises than this at once are a full run.
const MANY_DRIFTED: usize = 1_000;
const DRIFT_RUNS_PER_MINUTE: usize = 30;

impl Agent {
    pub(super) fn begin_work(&mut self, storable: bool, now: Timestamp, out: &mut Vec<Action>) {
        if self.suspension(now).is_some() {
            return;
        }
        if storable {
            if self.memory.trial.is_some() {
                if now >= self.trial_due {
                    self.begin_trial(now, out);
                }
                return;
            }
            if self.waiting(now) == Some(Waiting::Nothing) {
                self.adopt(now, out);
                return;
            }
        }
        // In the middle of going back there is no revision that would be right to keep.
        let back = self.memory.trial.as_ref().is_some_and(|it| it.stage == Stage::Back);
        let Some(adopted) = self.memory.adopted.as_ref().filter(|_| !back) else { return };
        let revision = adopted.info.revision.clone();
        if let Some((only, serving)) = self.next_asked() {
            self.run(Job { revision, reason: RunReason::Asked, only, against: None }, serving, out);
        } else if now >= self.next_keep {
            self.drift.clear();
            self.run(
                Job { revision, reason: RunReason::Keep, only: None, against: None },
                vec![],
                out,
            );
        } else {
            let due: Vec<String> =
                self.drift.iter().filter(|(_, at)| **at <= now).map(|(it, _)| it.clone()).collect();
            if due.is_empty() || now < self.drift_not_before(now) {
                return;
            }
            for promise in &due {
                self.drift.remove(promise);
                self.flapping.looked(promise, now);
            }
            let echo = due.iter().all(|it| self.echoes.contains(it));
            self.echoes.clear();
            if !echo {
                self.drift_runs.push(now);
            }
            self.run(
                Job { revision, reason: RunReason::Drift, only: Some(due), against: None },
                vec![],
                out,
            );
        }
    }

    pub(super) fn run(&mut self, job: Job, serving: Vec<Waiter>, out: &mut Vec<Action>) {
        out.push(Action::Run(job.clone()));
        self.work = WorkPhase::Running { job, serving };
        self.began.1 = true;
    }

    /// Everybody who wants a full run gets the same one; else the first gets the promises asked for.
    pub(super) fn next_asked(&mut self) -> Option<(Option<Vec<String>>, Vec<Waiter>)> {
        if self.asked.iter().any(|it| it.only.is_none()) {
            let (full, rest) = self.asked.drain(..).partition(|it| it.only.is_none());
            self.asked = rest;
            return Some((None, full));
        }
        if self.asked.is_empty() {
            return None;
        }
        let first = self.asked.remove(0);
        Some((first.only.clone(), vec![first]))
    }

    pub(super) fn run_ended(
        &mut self,
        revision: &Revision,
        result: RunResult,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let (job, serving) = match std::mem::replace(&mut self.work, WorkPhase::Idle) {
            WorkPhase::Running { job, serving } if job.revision == *revision => (job, serving),
            other @ (WorkPhase::Idle | WorkPhase::Running { .. }) => {
                self.work = other;
                out.push(Action::Note(Note::Unexpected("the end of a run that was not asked for")));
                return;
            }
        };
        for one in serving {
            out.push(Action::Reply { to: one.by, answer: answer(&result) });
        }
        match &result {
            RunResult::Finished(report) => {
                self.put_off = 0;
                self.record(&job, report, now, out);
            }
            RunResult::Crashed(words) => {
                let (revision, words) = (revision.clone(), words.clone());
                out.push(Action::Note(Note::RunCrashed { revision, words }));
            }
            RunResult::Busy(words) | RunResult::NotStarted(words) => {
                if self.put_off == 0 {
                    out.push(Action::Note(Note::RunPutOff { words: words.clone() }));
                }
                self.put_off = self.put_off.saturating_add(1);
            }
        }
        let stage = self.memory.trial.as_ref().filter(|it| it.open).map(|it| it.stage);
        match (stage, job.reason) {
            (Some(stage), RunReason::Adopt | RunReason::SecondTry | RunReason::GoBack) => {
                self.trial_ended(stage, result, now, out);
            }
            (Some(_), RunReason::Keep | RunReason::Drift | RunReason::Asked)
            | (
                None,
                RunReason::Keep
                | RunReason::Adopt
                | RunReason::SecondTry
                | RunReason::GoBack
                | RunReason::Drift
                | RunReason::Asked,
            ) => self.plain_run_ended(&job, result, now, out),
        }
    }

    /// What every finished run tells.
    pub(super) fn record(
        &mut self,
        job: &Job,
        report: &Report,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        self.echoes = report.repaired.iter().cloned().collect();
        match job.reason {
            // What a new revision repairs, it repairs because it is new.
            RunReason::Adopt | RunReason::SecondTry | RunReason::GoBack => {}
            RunReason::Keep | RunReason::Drift | RunReason::Asked => {
                for promise in &report.repaired {
                    if let Some(flapping) = self.flapping.repaired(promise, now) {
                        out.push(Action::Note(Note::Flapping(flapping)));
                    }
                }
            }
        }
        let unkept = report
            .not_kept
            .iter()
            .map(|it| Unkept { promise: it.promise.clone(), reason: it.reason.clone() });
        let last = LastRun {
            revision: job.revision.clone(),
            reason: job.reason,
            ended: now,
            kept: report.kept,
            repaired: report.repaired.len() as u64,
            not_kept: unkept.collect(),
            held: report.held.clone(),
            debts: report.debts.clone(),
        };
        match (&job.only, &mut self.last_run) {
            (Some(only), Some(before)) => before.amend(only, last),
            (None, _) | (_, None) => self.last_run = Some(last),
        }
    }

    pub(super) fn plain_run_ended(
        &mut self,
        job: &Job,
        result: RunResult,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        match result {
            RunResult::Finished(report) => {
                self.memory.crashes = 0;
                if let Some(only) = &job.only {
                    self.single_run_at(only, &report, now);
                    return;
                }
                self.memory.owed = false;
                self.full_run_at(report, now);
            }
            RunResult::Crashed(_) => {
                self.memory.crashes = self.memory.crashes.saturating_add(1);
                self.failing_runs = self.failing_runs.saturating_add(1);
                self.keep_again(now);
                let blameless = self.memory.blameless.as_ref() == Some(&job.revision);
                let Some(from) = self.memory.previous.clone().filter(|_| !blameless) else {
                    return;
                };
                if self.memory.crashes >= CRASHES && self.memory.trial.is_none() {
                    let failure = Failure { promise: None, reason: crashed() };
                    self.memory.trial = Some(Trial {
                        stage: Stage::Back,
                        from,
                        failures: vec![failure],
                        crashes: 0,
                        interruptions: 0,
                        open: false,
                    });
                    self.go_back(now, out);
                }
            }
            RunResult::Busy(_) | RunResult::NotStarted(_) => {
                let wait = backoff(self.put_off, FIRST_RETRY, LONGEST_RETRY, &mut self.chance);
                self.next_keep = later(now, wait.min(self.config.keep));
            }
        }
    }

    /// What single promises are not kept is tried again later and later.
    pub(super) fn single_run_at(&mut self, only: &[String], report: &Report, now: Timestamp) {
        let broken: BTreeSet<&String> = report.not_kept.iter().map(|it| &it.promise).collect();
        for promise in only {
            if !broken.contains(promise) {
                self.retries.remove(promise);
            }
        }
        for promise in broken {
            let due = self.failed(promise, now);
            self.drift.insert(promise.clone(), due);
        }
    }

    pub(super) fn failed(&mut self, promise: &str, now: Timestamp) -> Timestamp {
        let before = self.retries.get(promise).map_or(0, |it| it.failures);
        let failures = before.saturating_add(1);
        let wait = backoff(failures, MINUTE, crate::flapping::SLOW, &mut self.chance);
        let not_before = later(now, wait);
        self.retries.insert(promise.to_owned(), Retry { failures, not_before });
        not_before
    }

    pub(super) fn full_run_at(&mut self, report: Report, now: Timestamp) {
        let all_kept = report.not_kept.is_empty();
        self.retries.clear();
        for broken in &report.not_kept {
            // The next full run is planned for it.
            self.failed(&broken.promise, now);
        }
        if let Some(adopted) = &mut self.memory.adopted {
            adopted.not_good = Some(not_good(report));
        }
        self.failing_runs = if all_kept { 0 } else { self.failing_runs.saturating_add(1) };
        self.keep_again(now);
    }

    /// What is not kept is tried again sooner than the interval says, and less and less so.
    pub(super) fn keep_again(&mut self, now: Timestamp) {
        let keep = self.config.keep;
        let wait = if self.failing_runs == 0 {
            keep
        } else {
            backoff(self.failing_runs, MINUTE, keep, &mut self.chance)
        };
        self.next_keep = later(now, wait);
    }

    pub(super) fn drifted(&mut self, promises: Vec<String>, now: Timestamp) {
        if self.memory.adopted.is_none() {
            return;
        }
        for promise in promises {
            let retry = self.retries.get(&promise).map_or(now, |it| it.not_before);
            let due = later(now, MERGE).max(self.flapping.not_before(&promise, now)).max(retry);
            let known = self.drift.entry(promise).or_insert(due);
            *known = due.min(*known);
        }
        if self.drift.len() > MANY_DRIFTED {
            self.drift.clear();
            // As often as a full run may be, not as often as somebody can touch a thousand files.
            let soon = self.last_run.as_ref().map_or(now, |it| later(it.ended, MINUTE));
            self.next_keep = self.next_keep.min(soon.max(later(now, MERGE)));
        }
    }

    /// Many different promises that drift are not run for one by one.
    pub(super) fn drift_not_before(&self, now: Timestamp) -> Timestamp {
        match self.drift_runs.first() {
            Some(first) if self.drift_runs.len() >= DRIFT_RUNS_PER_MINUTE => later(*first, MINUTE),
            Some(_) | None => now,
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

fn not_good(report: Report) -> BTreeSet<String> {
    let not_kept = report.not_kept.into_iter().map(|it| it.promise);
    not_kept.chain(report.held.into_iter().map(|it| it.promise)).collect()
}

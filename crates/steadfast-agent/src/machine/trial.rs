//! A new revision proves itself or is gone back from.

use super::agent::Agent;
use super::messages::{Action, Job, Note, RunResult};
use crate::memory::{Adopted, Bad, Candidate, Stage, Trial, TrialFailure};
use crate::schedule::{FIRST_RETRY, LONGEST_RETRY, backoff, later};
use jiff::Timestamp;
use std::time::Duration;
use steadfast_node::revision::{HighestAccepted, Revision};
use steadfast_node::wire::{Fault, JudgedFailure, Report, RunReason};

/// Twice half a minute is soon enough to outlast a service that is still starting.
const SECOND_TRY: Duration = Duration::from_secs(30);
/// A power cut is no crash of the revision, but a revision that takes the machine down is bad too.
const INTERRUPTIONS: u32 = 5;
/// A revision whose run crashes so often is bad.
pub(super) const CRASHES: u32 = 2;

impl Agent {
    pub(super) fn adopt(&mut self, revision: &Revision, now: Timestamp, out: &mut Vec<Action>) {
        let Some(candidate) = self.memory.take_known(revision) else { return };
        let Some(prepared) = self.upstream.take_prepared(revision) else { return };
        let revision = candidate.info.revision.clone();
        let new = Adopted {
            info: candidate.info,
            at: now,
            model: prepared.model,
            promises: prepared.promises,
            gate: prepared.gate,
            not_good: None,
        };
        let old = self.memory.adopted.replace(new);
        self.memory.crashes = 0;
        self.memory.owed = true;
        self.memory.blameless = None;
        self.work.failing = 0;
        if let Some(wanted) = self.memory.wanted.take_if(|it| it.revision == revision)
            && wanted.reason.is_some()
        {
            // Somebody insisted; the agent does not overrule them.
            self.memory.bad.retain(|it| it.revision != revision);
            self.memory.blameless = Some(revision.clone());
        }
        self.memory.trial = old.clone().map(|from| Trial::new(Stage::First, from));
        self.memory.previous = old;
        self.trial.due = now;
        out.push(Action::Note(Note::Adopted { revision: revision.clone() }));
        if self.memory.trial.is_some() {
            self.begin_trial(now, out);
        } else {
            self.work.drift.clear();
            self.run(
                Job { revision, reason: RunReason::Adopt, only: None, against: None },
                vec![],
                out,
            );
        }
    }

    pub(super) fn begin_trial(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let (Some(trial), Some(adopted)) = (&mut self.memory.trial, &self.memory.adopted) else {
            return;
        };
        if trial.interruptions >= INTERRUPTIONS {
            trial.interruptions = 0;
            let failure = TrialFailure {
                promise: None,
                reason: format!("its run was interrupted {INTERRUPTIONS} times"),
            };
            self.trial_failed(failure, now, out);
            // What follows is due now, and has no interruptions.
            if self.memory.trial.is_some() {
                self.begin_trial(now, out);
            }
            return;
        }
        trial.open = true;
        let (new, old) = (adopted.info.revision.clone(), trial.from.info.revision.clone());
        let job = match trial.stage {
            Stage::First => {
                Job { revision: new, reason: RunReason::Adopt, only: None, against: Some(old) }
            }
            Stage::Second => {
                Job { revision: new, reason: RunReason::SecondTry, only: None, against: Some(old) }
            }
            Stage::Back => {
                out.push(Action::GoBack { from: new.clone(), to: old.clone() });
                let reason = RunReason::GoBack;
                self.runs(Job { revision: old, reason, only: None, against: Some(new) }, vec![]);
                return;
            }
        };
        self.work.drift.clear();
        // A full run serves all who asked for one.
        let full = self.requests.take_full();
        self.run(job, full, out);
    }

    pub(super) fn trial_ended(
        &mut self,
        stage: Stage,
        result: RunResult,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let Some(trial) = &mut self.memory.trial else { return };
        trial.open = false;
        let interruptions = std::mem::take(&mut trial.interruptions);
        match (result, stage) {
            (RunResult::Finished(report), Stage::First | Stage::Second) => {
                self.new_one_ran(report, now, out);
            }
            (RunResult::Finished(report), Stage::Back) => {
                let helped = !report.not_kept.iter().any(|broken| {
                    trial
                        .failures
                        .iter()
                        .any(|it| it.promise.as_ref() == Some(&broken.failure.promise))
                });
                if helped { self.went_back(report, now, out) } else { self.no_help(now, out) }
            }
            (RunResult::Crashed(_), Stage::First | Stage::Second | Stage::Back) => {
                trial.crashes = trial.crashes.saturating_add(1);
                if trial.crashes >= CRASHES {
                    let failure = TrialFailure { promise: None, reason: crashed() };
                    self.trial_failed(failure, now, out);
                } else {
                    self.trial.due = later(now, SECOND_TRY);
                }
            }
            // Somebody else's lock is waited for.
            (RunResult::Busy(_), Stage::First | Stage::Second | Stage::Back) => {
                trial.interruptions = interruptions;
                self.put_trial_off(now);
            }
            // What cannot begin may never be able to, and until the trial is over nothing is kept.
            (RunResult::NotStarted(_), Stage::First | Stage::Second | Stage::Back) => {
                trial.interruptions = interruptions.saturating_add(1);
                self.put_trial_off(now);
            }
        }
    }

    /// A run of the new revision has come to its end: nothing speaks against it, or it is tried once more,
    /// or gone back from.
    fn new_one_ran(&mut self, report: Report, now: Timestamp, out: &mut Vec<Action>) {
        let (Some(trial), Some(adopted)) = (&mut self.memory.trial, &self.memory.adopted) else {
            return;
        };
        let revision = adopted.info.revision.clone();
        let blameless = self.memory.blameless.as_ref() == Some(&revision);
        let failures = if blameless { vec![] } else { failures(&report, &trial.from) };
        if failures.is_empty() {
            self.memory.trial = None;
            self.memory.owed = false;
            // What the next one would do to this machine is another thing than it was before.
            self.upstream.forget_prepared();
            self.full_run_at(report, now);
            out.push(Action::Note(Note::Settled { revision }));
            return;
        }
        trial.failures.clone_from(&failures);
        trial.crashes = 0;
        match trial.stage {
            Stage::First => {
                trial.stage = Stage::Second;
                self.trial.due = later(now, SECOND_TRY);
                out.push(Action::Note(Note::TriedAgain { revision, failures }));
            }
            Stage::Second | Stage::Back => self.go_back(now, out),
        }
    }

    fn put_trial_off(&mut self, now: Timestamp) {
        let wait = backoff(self.work.put_off, FIRST_RETRY, LONGEST_RETRY, &mut self.chance);
        self.trial.due = later(now, wait);
    }

    /// The runs of a stage do not come to their end.
    fn trial_failed(&mut self, failure: TrialFailure, now: Timestamp, out: &mut Vec<Action>) {
        let Some(trial) = &mut self.memory.trial else { return };
        let adopted = self.memory.adopted.as_ref().map(|it| &it.info.revision);
        match trial.stage {
            Stage::First | Stage::Second if self.memory.blameless.as_ref() == adopted => {
                // Nothing to go back to that anybody would want; it is kept like any other.
                self.memory.trial = None;
                self.work.failing = self.work.failing.saturating_add(1);
                self.keep_again(now);
            }
            Stage::First | Stage::Second => {
                trial.failures = vec![failure];
                self.go_back(now, out);
            }
            Stage::Back => self.no_help(now, out),
        }
    }

    pub(super) fn go_back(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let (Some(trial), Some(adopted)) = (&mut self.memory.trial, &self.memory.adopted) else {
            return;
        };
        trial.stage = Stage::Back;
        trial.crashes = 0;
        self.trial.due = now;
        out.push(Action::Note(Note::GoingBack {
            from: adopted.info.revision.clone(),
            to: trial.from.info.revision.clone(),
            failures: trial.failures.clone(),
        }));
    }

    /// Going back helped: the revision is bad.
    fn went_back(&mut self, report: Report, now: Timestamp, out: &mut Vec<Action>) {
        let Some(trial) = self.memory.trial.take() else { return };
        let to = trial.from.info.revision.clone();
        let Some(bad) = self.memory.adopted.replace(trial.from) else { return };
        let bad = bad.info;
        let failure = trial.failures.into_iter().next();
        let (promise, reason) = failure.map_or((None, String::new()), |it| (it.promise, it.reason));
        self.memory.remember_bad(Bad { revision: bad.revision.clone(), promise, reason, at: now });
        self.memory.previous = None;
        self.upstream.forget_prepared();
        self.memory.crashes = 0;
        self.memory.owed = false;
        // It is still what the source offers, and waits for ever: the status says why.
        let newest =
            matches!(&self.memory.highest, HighestAccepted::At(it) if it.revision == bad.revision);
        if newest && self.memory.candidate.is_none() {
            self.memory.candidate = Some(Candidate::new(bad.clone(), now));
        }
        self.full_run_at(report, now);
        out.push(Action::Note(Note::WentBack { bad: bad.revision, to }));
    }

    /// Going back did not help, so the machine is to blame: the new revision is kept, and not blamed.
    fn no_help(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.upstream.forget_prepared();
        self.memory.trial = None;
        self.memory.crashes = 0;
        self.memory.owed = true;
        self.work.next_keep = now;
        let Some(adopted) = &mut self.memory.adopted else { return };
        adopted.not_good = None;
        let revision = adopted.info.revision.clone();
        self.memory.blameless = Some(revision.clone());
        out.push(Action::Note(Note::GoingBackDidNotHelp { revision }));
    }
}

pub(super) fn crashed() -> String {
    format!("its run crashed {CRASHES} times")
}

/// What speaks against a revision after its run: a health promise that fails, and what was kept under
/// the revision before and is not because of this one.
fn failures(report: &Report, before: &Adopted) -> Vec<TrialFailure> {
    let counts = |broken: &&JudgedFailure| {
        let ours = match broken.fault {
            Fault::Revision => true,
            Fault::Network
            | Fault::Lock
            | Fault::DiskFull
            | Fault::Secret
            | Fault::Unseen
            | Fault::Foreign
            | Fault::Unit => false,
        };
        let was_kept =
            before.not_good.as_ref().is_some_and(|it| !it.contains(&broken.failure.promise));
        ours && (broken.health || (broken.changed && was_kept))
    };
    let failure = |it: &JudgedFailure| TrialFailure {
        promise: Some(it.failure.promise.clone()),
        reason: it.failure.lines(),
    };
    report.not_kept.iter().filter(counts).map(failure).collect()
}

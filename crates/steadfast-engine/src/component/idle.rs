//! A component without an open step: whether one is due, and whether it may begin.

use super::act::{Act, End, Next};
use super::deployment::Deployment;
use super::reason::{Gate, Trouble, Waiting};
use super::row::{Baseline, Kind, Owing, Phase, Step};
use super::seen::{Answer, By, Health, Wanted};
use super::time::Until;
use super::turn::Turn;
use std::sync::Arc;

impl Turn<'_> {
    pub(super) fn idle(&mut self) -> Option<Next> {
        self.heed_payment();
        let answer = self.came.answered.take();
        if let Some(next) = self.pay_idle(answer.as_ref()) {
            return Some(next);
        }
        let Some(wanted) = self.seen.wanted.clone() else {
            self.row.again = None;
            return self.wait_for_debts().or_else(|| self.ended(End::Absent, None, Until::Change));
        };
        // What failed of something else is over.
        self.row.again.take_if(|it| !it.concerns(&wanted.deployment, &wanted.source));
        if let Some(current) = self.row.current.as_ref().filter(|it| it.is(&wanted.deployment)) {
            let folder = Arc::clone(&current.folder);
            return self.current(Wanted {
                deployment: Deployment { folder, ..wanted.deployment },
                source: wanted.source,
            });
        }
        if let Some(bad) = self.row.bad(&wanted.deployment).cloned() {
            let due = self.due();
            return self.ended(End::Bad(bad), None, due);
        }
        // By hand it is tried again at once, and once per run: whatever fails ends it.
        if let Some(next) = self.waits_again() {
            return Some(next);
        }
        if let Some(gate) = self.seen.closed.iter().find(|it| it.is_about_everything()).cloned() {
            return self.closed(gate);
        }
        if let Some(next) = self.prepare(&wanted.deployment) {
            return Some(next);
        }
        if let Some(gate) = self.gate().cloned() {
            return self.closed(gate);
        }
        let baseline = match (self.row.current.clone(), answer.map(|it| it.health)) {
            (None, _) => Baseline::First,
            (Some(current), None) => return self.act(Act::Ask(current)),
            (Some(_), Some(Health::Well)) => Baseline::Well,
            (Some(_), Some(Health::Ill(why) | Health::Dead(why))) => {
                if let Some(next) = self.waits_for_the_old() {
                    return Some(next);
                }
                Baseline::Ill(why.reason)
            }
        };
        self.begin(Kind::Move, wanted.deployment, baseline)
    }

    /// Debts of a step that has ended. Whether it may have traffic is asked of what runs.
    fn pay_idle(&mut self, answer: Option<&Answer>) -> Option<Next> {
        let well = answer.is_some_and(|it| it.health == Health::Well);
        if let Some(next) = self.pay(well) {
            return Some(next);
        }
        if !self.may_pay(Owing::Ready) {
            return None;
        }
        let Some(current) = self.row.current.clone() else {
            // There is nothing that could get traffic.
            self.row.owed.paid(Owing::Ready);
            return None;
        };
        match answer.map(|it| &it.health) {
            None => self.act(Act::Ask(current)),
            Some(Health::Well) => None,
            Some(Health::Ill(why) | Health::Dead(why)) => {
                let why = Arc::clone(&why.reason);
                self.row.owed.not_paid(Owing::Ready, why, self.now);
                None
            }
        }
    }

    /// What is wanted is there.
    fn current(&mut self, wanted: Wanted) -> Option<Next> {
        if !self.seen.restart_owed {
            self.row.again = None;
            // Other terms alone act at once, without a stop.
            self.row.current = Some(wanted.deployment);
            return self.wait_for_debts().or_else(|| self.ended(End::Settled, None, Until::Change));
        }
        if let Some(next) = self.waits_again() {
            return Some(next);
        }
        // What is down anyway cannot be interrupted.
        if let Some(gate) = self.gate_of_restart().cloned() {
            return self.closed(gate);
        }
        self.row.current = Some(wanted.deployment.clone());
        self.begin(Kind::Restart, wanted.deployment, Baseline::Well)
    }

    fn closed(&mut self, gate: Gate) -> Option<Next> {
        let until = match &gate {
            Gate::Window { opens: Some(at) }
            | Gate::Wave { opens: at }
            | Gate::Suspended { until: Some(at), .. } => Until::Wall(*at),
            Gate::Window { opens: None }
            | Gate::Suspended { until: None, .. }
            | Gate::NotAsked
            | Gate::GoingBack
            | Gate::Budget { .. }
            | Gate::Approval
            | Gate::ReportOnly
            | Gate::Lowered { .. }
            | Gate::Mistaken(_)
            | Gate::Other(_)
            | Gate::Provider { .. } => self.debts_due().map_or(Until::Change, Until::Boot),
        };
        self.wait_until(until, Waiting::Gate(gate))
    }

    /// Whether what failed before is not to be tried again yet.
    fn waits_again(&mut self) -> Option<Next> {
        let again = self.row.again.clone()?;
        let due = again.due();
        let waits = match (due, self.seen.by) {
            (None, By::Agent | By::Hand { .. }) => true,
            (Some(due), By::Agent) => self.now.at < due,
            (Some(_), By::Hand { .. }) => false,
        };
        if !waits {
            return None;
        }
        let until = due.map_or(Until::Change, Until::Boot);
        let why = again.why;
        let why = if again.once_well { Waiting::OnceWell(why) } else { Waiting::Again(why) };
        self.wait_until(until, why)
    }

    /// Whether it has to be prepared. Nothing that runs is touched by that, so no gate is asked.
    pub(super) fn prepare(&mut self, it: &Deployment) -> Option<Next> {
        let result = self.came.prepared.take();
        if self.seen.prepared.contains(&it.own) {
            return None;
        }
        let trouble = match result {
            None => return self.act(Act::Prepare(it.clone())),
            Some(Err(trouble)) => trouble,
            Some(Ok(())) => Trouble::Lost,
        };
        self.try_again(trouble.clone(), false);
        let due = self.due();
        self.ended(End::Failed(trouble), None, due)
    }

    /// Where the one before was ill after going back to it, it has to be well first; a person may try it at once.
    fn waits_for_the_old(&mut self) -> Option<Next> {
        let by_agent = self.seen.by == By::Agent;
        let again = self.row.again.clone().filter(|it| it.once_well && by_agent)?;
        self.try_again(again.why.clone(), true);
        let due = self.due();
        self.wait_until(due, Waiting::OnceWell(again.why))
    }

    /// Opens a step.
    pub(super) fn begin(&mut self, kind: Kind, to: Deployment, baseline: Baseline) -> Option<Next> {
        self.row.steps = self.row.steps.saturating_add(1);
        self.row.step = Some(Step {
            number: self.row.steps,
            kind,
            from: self.row.current.clone(),
            to,
            chained: false,
            baseline,
            phase: Phase::Quiesce,
            since: self.now.moment(),
            tries: 0,
            boots: 0,
            back: None,
            stuck: None,
            stopped: None,
            gap: None,
            connections: None,
        });
        None
    }

    /// When to ask again after all that is due was done.
    pub(super) fn due(&self) -> Until {
        let again = self.row.again.as_ref().and_then(super::row::Again::due);
        let due = again.into_iter().chain(self.debts_due()).min();
        due.map_or(Until::Change, Until::Boot)
    }
}

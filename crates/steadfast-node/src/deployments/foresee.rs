//! What would become of the components of a node if a run took place now. Nothing is fetched, asked or started for it.

use super::deploy::Deploying;
use super::instance::Instance;
use super::step::closed_to;
use super::stepping::{Asking, clock};
use super::told::Told;
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_engine::component::{
    self, Answer, Became, Deployment, Done, End, Gate, Health, Next, Now, Place, Row, Seen, Stage,
};
use steadfast_engine::{Assessment, Entry, Forecast, Plan, Promises, Reason};

/// What is foreseen of each component; and what is foreseen of a member of a step is made to hang on the whole.
pub(crate) fn foresee(
    deploying: &mut Deploying,
    of: &Asking<'_>,
    now: &Now,
    promises: &Promises,
    assessment: &mut Assessment,
) -> Vec<Told> {
    let wanted = deploying.wanted();
    let beside: Vec<Option<Gate>> = {
        let all = deploying.standings(&wanted);
        (0..all.len()).map(|at| component::beside(&all, at)).collect()
    };
    let mut told = vec![];
    for (at, beside) in beside.into_iter().enumerate() {
        let instance = &mut deploying.all[at];
        if !(of.is_asked)(instance) {
            continue;
        }
        // One that has to go first goes first in the run that is foreseen.
        let beside = beside.filter(|it| !matches!(it, Gate::Provider { failed: false, .. }));
        let mut closed = closed_to(instance, wanted[at].as_ref(), of, now);
        closed.extend(beside);
        told.extend(instance.foresee(closed, of, now, promises, &mut assessment.plan));
    }
    told
}

impl Instance {
    fn foresee(
        &self,
        closed: Vec<Gate>,
        of: &Asking<'_>,
        now: &Now,
        promises: &Promises,
        plan: &mut Plan,
    ) -> Option<Told> {
        let wanted = self.wanted().map(|it| it.deployment);
        let nothing_is_known = *self.row() == Row::default() && self.wanted.is_none();
        let next = match self.mistaken() {
            Some((until, why)) if nothing_is_known => {
                Next::Wait { row: Row::default(), until, why }
            }
            Some(_) | None => component::next(self.row(), &self.pretended(closed, of), now),
        };
        match (&next, self.mistaken()) {
            (Next::Act { row, .. }, _) => Some(self.of_step(row, promises, plan)),
            (Next::Ended { end: End::Settled, .. }, None) => Some(self.of_drift(promises, plan)),
            (Next::Ended { end: End::Settled, row, .. }, Some((until, why))) => {
                let next = Next::Wait { row: row.clone(), until, why };
                self.reported(&next, wanted.as_ref(), now)
            }
            (Next::Ended { .. } | Next::Wait { .. }, _) => {
                self.without_step(promises, plan);
                self.reported(&next, wanted.as_ref(), now)
            }
        }
    }

    fn reported(&self, next: &Next, wanted: Option<&Deployment>, now: &Now) -> Option<Told> {
        let report = component::report(&self.id, next, wanted, now, &clock)?;
        Some(Told::new(report, self.span()).with_journal(next))
    }

    /// As if all that is asked were as it should be: what is there is well, and what is wanted can be had.
    fn pretended(&self, closed: Vec<Gate>, of: &Asking<'_>) -> Seen {
        let own = |it: &Deployment| Arc::clone(&it.own);
        let runs = self.row().runs().map(own);
        Seen {
            wanted: self.wanted(),
            by: of.by,
            closed,
            prepared: self.involved().iter().map(own).collect(),
            place: runs.clone().map_or(Place::Nothing, Place::Whole),
            running: runs.into_iter().map(Some).collect(),
            along: BTreeSet::new(),
            busy: vec![],
            restart_owed: false,
            done: Some(Done::Answered(Answer { health: Health::Well, process: None })),
        }
    }

    fn of_drift(&self, promises: &Promises, plan: &Plan) -> Told {
        let its = self.members(promises);
        let entries = || its.iter().map(|at| &plan.entries[*at]);
        let is_held = entries().any(|it| matches!(it.forecast, Forecast::Held(_)));
        let is_planned = entries().any(Entry::is_planned);
        let told = |outcome| self.told(outcome, None, self.trouble.clone());
        match (&self.trouble, broken(&its, promises, plan)) {
            (Some(_), _) | (None, Some(_)) => told(Became::NotKept),
            (None, None) if is_held => told(Became::Held),
            (None, None) if is_planned => Told { is_expected: true, ..told(Became::Repaired) },
            (None, None) => told(Became::Kept),
        }
    }

    /// What a step would bring that does not begin is not foreseen.
    fn without_step(&self, promises: &Promises, plan: &mut Plan) {
        let is_there =
            self.row().runs().is_some_and(|it| self.is_wanted(it)) || self.wanted.is_none();
        if is_there || self.row().step.is_some() {
            return;
        }
        for at in self.members(promises) {
            let entry = &mut plan.entries[at];
            entry.certain.clear();
            entry.changes.clear();
            entry.forecast = Forecast::Kept;
        }
    }

    /// One that is due, and may begin or go on.
    fn of_step(&self, row: &Row, promises: &Promises, plan: &mut Plan) -> Told {
        let its = self.members(promises);
        let is_held = its.iter().any(|at| matches!(plan.entries[*at].forecast, Forecast::Held(_)));
        let mut told = match broken(&its, promises, plan) {
            Some(why) => self.told(Became::NotKept, Some(Stage::Failed), Some(why)),
            None if is_held => self.told(Became::Held, Some(Stage::Held), None),
            None => {
                expect(&its, plan, &format!("{} changes as a whole, or not at all", self.unit));
                let because = match self.fetches() {
                    true => "the artifact has not been fetched",
                    false => "whether it is well is asked once it runs",
                };
                let told = self.told(Became::Repaired, None, Some(because.to_owned()));
                Told { is_expected: true, ..told }
            }
        };
        let release = |it: Option<&Deployment>| it.map(|it| it.release.to_string());
        let wanted = self.wanted().map(|it| it.deployment);
        let (from, to) = match &row.step {
            Some(step) => (step.from.as_ref(), Some(&step.to)),
            None => (row.current.as_ref(), wanted.as_ref()),
        };
        (told.report.from, told.report.to) = (release(from), release(to));
        let due = wanted.filter(|_| told.is_expected && self.row().step.is_none());
        told.forecast = due.map(|it| component::forecast(self.row(), &it));
        told
    }

    fn members(&self, promises: &Promises) -> Vec<usize> {
        let all = promises.all.iter().enumerate();
        all.filter(|(_, it)| it.unit.as_ref() == Some(&self.unit)).map(|(at, _)| at).collect()
    }
}

/// The first of these that cannot be kept, and why.
fn broken(its: &[usize], promises: &Promises, plan: &Plan) -> Option<String> {
    its.iter().find_map(|at| match &plan.entries[*at].forecast {
        Forecast::NotKept(why) => {
            Some(format!("{}: {}", promises.all[*at].id, why.because().join(": ")))
        }
        Forecast::Kept
        | Forecast::Certain
        | Forecast::Expected { .. }
        | Forecast::Unknown { .. }
        | Forecast::Held(_) => None,
    })
}

/// Nothing of what changes as a whole is certain.
fn expect(its: &[usize], plan: &mut Plan, words: &str) {
    for at in its {
        let entry = &mut plan.entries[*at];
        entry.certain.clear();
        if matches!(entry.forecast, Forecast::Certain) {
            let because = Box::new(Reason::Presumed(words.to_owned()));
            entry.forecast = Forecast::Expected { because };
        }
    }
}

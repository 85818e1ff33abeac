//! What became of the components of a run: which steps were committed, which were taken back, and whether what they
//! were to lead to is to blame.

use super::{Deploying, Ended, Fared, Instance, Known, Told, Way};
use crate::verdict::is_ill;
use std::collections::HashMap;
use steadfast_engine::{
    Assessment, Entry, Event, Forecast, Outcome, Plan, Promises, Reason, Reporter, Step, UnitId,
};
use steadfast_model::PromiseId;
use steadfast_resources::Resource;
use steadfast_store::{State, Store, StoreError};

/// What a run tells of units while it works.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    of: HashMap<UnitId, OfUnit>,
}

#[derive(Debug, Default)]
struct OfUnit {
    last: Option<Step>,
    repaired: bool,
    failures: Vec<Failed>,
}

/// A member that is not as promised.
#[derive(Debug)]
struct Failed {
    promise: PromiseId,
    reasons: Vec<String>,
    journal: Vec<String>,
    /// It is a program that does not come to run, or is not healthy.
    is_ill: bool,
    is_held: bool,
}

impl Reporter for Steps {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Step { unit, step } => {
                self.of.entry((*unit).clone()).or_default().last = Some(*step);
            }
            Event::Judged { promise, outcome, changes: _, notes: _ } => {
                let Some(unit) = &promise.unit else { return };
                let of = self.of.entry(unit.clone()).or_default();
                let (is_ill, is_held) = match outcome {
                    Outcome::Kept => return,
                    Outcome::Repaired => {
                        of.repaired = true;
                        return;
                    }
                    Outcome::NotKept(why) => (is_ill(why), false),
                    Outcome::Held(_) => (false, true),
                };
                of.failures.push(Failed {
                    promise: promise.id.clone(),
                    reasons: outcome.reasons(),
                    journal: outcome.journal(),
                    is_ill,
                    is_held,
                });
            }
            Event::Planned { .. }
            | Event::Working { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::Finished { .. } => {}
        }
    }
}

impl OfUnit {
    /// The failure that the others follow from.
    fn first(&self) -> Option<&Failed> {
        let broken = self.failures.iter().find(|it| !it.is_held);
        broken.or_else(|| self.failures.first())
    }

    fn because(&self) -> Vec<String> {
        let Some(Failed { promise, reasons, journal, .. }) = self.first() else { return vec![] };
        let first = format!("{promise}: {}", reasons.join(": "));
        std::iter::once(first).chain(journal.iter().map(|it| format!("journal: {it}"))).collect()
    }
}

/// Ends the steps of a run, and tells what became of each component. `looks` is how what was current fares, of
/// which `well` was found well before.
pub(crate) fn end(
    deploying: &Deploying,
    steps: &Steps,
    well_before: &dyn Fn(&UnitId) -> bool,
    well_after: &dyn Fn(&UnitId) -> bool,
    store: &Store,
    now: i64,
) -> Result<Vec<Told>, StoreError> {
    let nothing = OfUnit::default();
    let mut all = vec![];
    for instance in &deploying.all {
        let of = steps.of.get(&instance.unit).unwrap_or(&nothing);
        let id = instance.id.to_string();
        all.push(match &instance.way {
            Way::Keep => instance.kept(of),
            Way::Held(why) => instance.told(Fared::Held, Some(Ended::Held), why.clone()),
            Way::NotKept(why) => instance.told(Fared::NotKept, None, why.clone()),
            Way::Step if of.failures.is_empty() => {
                if of.last != Some(Step::Committed) {
                    // Nothing had to be changed: the machine was there already.
                    store.commit_deployment(&id)?;
                }
                instance.committed()
            }
            Way::Step => {
                let (told, state) = instance.failed(of, well_before, well_after);
                store.fail_deployment(&id, state, &of.because(), now)?;
                told
            }
        });
    }
    Ok(all)
}

impl Instance {
    fn told(&self, fared: Fared, step: Option<Ended>, because: Vec<String>) -> Told {
        let is_due = self.current.as_ref().map(|it| &it.digest)
            != self.wanted.as_ref().map(|it| &it.digest)
            && self.wanted.is_some();
        let release = |it: &Option<Known>| it.as_ref().map(|it| it.release.clone());
        Told {
            component: self.id.clone(),
            span: self.span,
            fared,
            release: release(&self.current),
            deployment: self.current.as_ref().map(|it| it.digest.clone()),
            from: release(&self.current).filter(|_| is_due),
            to: release(&self.wanted).filter(|_| is_due),
            step: step.filter(|_| is_due),
            because,
        }
    }

    fn committed(&self) -> Told {
        let told = self.told(Fared::Repaired, Some(Ended::Committed), vec![]);
        let wanted = self.wanted.as_ref();
        Told {
            release: wanted.map(|it| it.release.clone()),
            deployment: wanted.map(|it| it.digest.clone()),
            ..told
        }
    }

    /// Nothing was to be done but to repair what had drifted.
    fn kept(&self, of: &OfUnit) -> Told {
        let fared = match of.first() {
            Some(failed) if failed.is_held => Fared::Held,
            Some(_) => Fared::NotKept,
            None if of.repaired => Fared::Repaired,
            None => Fared::Kept,
        };
        // Its members say why.
        self.told(fared, None, vec![])
    }

    /// A step that did not come to its end, and what is remembered of where it led.
    fn failed(
        &self,
        of: &OfUnit,
        well_before: &dyn Fn(&UnitId) -> bool,
        well_after: &dyn Fn(&UnitId) -> bool,
    ) -> (Told, State) {
        let because = |words: String| [vec![words], of.because()].concat();
        let is_ill = of.failures.iter().any(|it| it.is_ill);
        match (of.last, &self.current) {
            (Some(Step::LeftOpen | Step::Begun), _) => {
                let words = "what it has changed could not be taken back, which the next run tries";
                let because = because(words.to_owned());
                (self.told(Fared::NotKept, Some(Ended::Failed), because), State::New)
            }
            (Some(Step::TakenBack), None) => {
                let because = because("the first deployment was taken back".to_owned());
                let state = if is_ill { State::Inconclusive } else { State::New };
                (self.told(Fared::NotKept, Some(Ended::Failed), because), state)
            }
            (Some(Step::TakenBack), Some(current)) => {
                let because = because(format!("went back to {}", current.release));
                if !is_ill {
                    return (self.told(Fared::NotKept, Some(Ended::WentBack), because), State::New);
                }
                let (ended, state) = match well_before(&self.unit) && well_after(&self.unit) {
                    true => (Ended::WentBack, State::Bad),
                    false => (Ended::Inconclusive, State::Inconclusive),
                };
                (self.told(Fared::NotKept, Some(ended), because), state)
            }
            // Its members were in order, and then they were not.
            (Some(Step::Committed) | None, _) => {
                let because = because("nothing was switched".to_owned());
                let is_held = of.failures.iter().all(|it| it.is_held);
                let (fared, ended) = match is_held {
                    true => (Fared::Held, Ended::Held),
                    false => (Fared::NotKept, Ended::Failed),
                };
                (self.told(fared, Some(ended), because), State::New)
            }
        }
    }
}

/// Whether all services of a unit are as promised: they run, and where they promise it are healthy.
pub(crate) fn is_well(promises: &Promises, plan: &Plan, unit: &UnitId) -> bool {
    let its = promises.all.iter().zip(&plan.entries).filter(|(it, _)| {
        it.unit.as_ref() == Some(unit) && matches!(it.want, Resource::Service(_))
    });
    its.map(|(_, entry)| entry).all(|it| matches!(it.forecast, Forecast::Kept))
}

/// What is foreseen of each component; and what is foreseen of a member of a step is made to hang on the whole.
pub(crate) fn foresee(
    deploying: &Deploying,
    promises: &Promises,
    assessment: &mut Assessment,
) -> Vec<Told> {
    let plan = &mut assessment.plan;
    deploying.all.iter().map(|it| it.foreseen(deploying, promises, plan)).collect()
}

impl Instance {
    fn foreseen(&self, deploying: &Deploying, promises: &Promises, plan: &mut Plan) -> Told {
        let its: Vec<usize> = (0..promises.all.len())
            .filter(|at| promises.all[*at].unit.as_ref() == Some(&self.unit))
            .collect();
        let entries = || its.iter().map(|at| &plan.entries[*at]);
        let broken = its.iter().find_map(|at| match &plan.entries[*at].forecast {
            Forecast::NotKept(why) => Some((promises.all[*at].id.clone(), why.because())),
            Forecast::Kept
            | Forecast::Certain
            | Forecast::Expected { .. }
            | Forecast::Unknown { .. }
            | Forecast::Held(_) => None,
        });
        let is_held = entries().any(|it| matches!(it.forecast, Forecast::Held(_)));
        match &self.way {
            Way::Held(why) => self.told(Fared::Held, Some(Ended::Held), why.clone()),
            Way::NotKept(why) => self.told(Fared::NotKept, None, why.clone()),
            Way::Keep => {
                let fared = match (broken, is_held) {
                    (Some(_), _) => Fared::NotKept,
                    (None, true) => Fared::Held,
                    (None, false) if entries().any(Entry::is_planned) => Fared::Expected,
                    (None, false) => Fared::Kept,
                };
                self.told(fared, None, vec![])
            }
            Way::Step => {
                if let Some((promise, why)) = broken {
                    let because = vec![format!("{promise}: {}", why.join(": "))];
                    return self.told(Fared::NotKept, Some(Ended::Failed), because);
                }
                if is_held {
                    return self.told(Fared::Held, Some(Ended::Held), vec![]);
                }
                let words = format!("{} changes as a whole, or not at all", self.unit);
                for at in its {
                    let entry = &mut plan.entries[at];
                    entry.certain.clear();
                    if matches!(entry.forecast, Forecast::Certain) {
                        let because = Box::new(Reason::Presumed(words.clone()));
                        entry.forecast = Forecast::Expected { because };
                    }
                }
                let fetches = deploying.fetches.get(&self.id.to_string()).copied();
                let because = match fetches {
                    Some(true) => "the artifact has not been fetched",
                    Some(false) | None => "whether it is well is asked once it runs",
                };
                self.told(Fared::Expected, None, vec![because.to_owned()])
            }
        }
    }
}

//! What became of the promises of each unit while drift was repaired, and of those of an act.

use std::collections::{BTreeMap, BTreeSet};
use steadfast_engine::{Event, Outcome, Reporter, UnitId};
use steadfast_model::PromiseId;

/// By unit.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    of: BTreeMap<UnitId, Fate>,
}

/// Of one unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) repaired: BTreeSet<PromiseId>,
    pub(crate) failed: Vec<Failed>,
    pub(crate) held: Vec<Failed>,
}

/// A promise that is not as it says.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) promise: PromiseId,
    pub(crate) reasons: Vec<String>,
}

impl Fates {
    pub(crate) fn of(&self, unit: &UnitId) -> Fate {
        self.of.get(unit).cloned().unwrap_or_default()
    }
}

impl Fate {
    /// Why not all of it is there; the failure that the others follow from.
    pub(crate) fn why(&self) -> Option<String> {
        let first = self.failed.first().or_else(|| self.held.first())?;
        Some(format!("{}: {}", first.promise, first.reasons.join(": ")))
    }
}

impl Reporter for Fates {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Judged { promise, outcome, changes: _, notes: _ } => {
                let Some(unit) = &promise.unit else { return };
                let fate = self.of.entry(unit.clone()).or_default();
                let failed = || Failed { promise: promise.id.clone(), reasons: outcome.reasons() };
                match outcome {
                    Outcome::Kept => {}
                    Outcome::Repaired => drop(fate.repaired.insert(promise.id.clone())),
                    Outcome::NotKept(_) => fate.failed.push(failed()),
                    Outcome::Held(_) => fate.held.push(failed()),
                }
            }
            Event::Planned { .. }
            | Event::Working { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::Step { .. }
            | Event::Finished { .. } => {}
        }
    }
}

/// Passes on what is done, and what is to be said of it: that all of it was planned, or has ended, is said by who
/// leads the run.
pub(crate) struct Amid<'r> {
    pub(crate) to: Vec<&'r mut dyn Reporter>,
    /// Whether promises that are kept are told, too.
    pub(crate) with_kept: bool,
}

impl Reporter for Amid<'_> {
    fn report(&mut self, event: &Event<'_>) {
        let is_told = match event {
            Event::Judged { outcome, .. } => self.with_kept || **outcome != Outcome::Kept,
            Event::Working { .. } | Event::Undoing { .. } | Event::Undone { .. } => true,
            Event::Planned { .. } | Event::Step { .. } | Event::Finished { .. } => false,
        };
        if is_told {
            self.to.iter_mut().for_each(|it| it.report(event));
        }
    }
}

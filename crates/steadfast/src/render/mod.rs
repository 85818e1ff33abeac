//! What a run says, as reporters: for a terminal, and as JSON lines.

pub(crate) mod changed;
pub(crate) mod component;
pub(crate) mod explained;
pub(crate) mod instance;
pub(crate) mod json;
pub(crate) mod orphans;
pub(crate) mod run;
pub(crate) mod time;

use steadfast_engine::component::Became;
use steadfast_engine::{Entry, Forecast, Outcome, Plan, Promised, Promises};
use steadfast_node::deployments::Told;
use steadfast_resources::Change;

/// What a dry run says of one promise.
#[derive(Debug)]
pub(crate) enum Foreseen<'a> {
    /// What can be told already.
    Verdict(Outcome),
    /// What would be done, and how sure that is.
    Steps(&'a Forecast, Vec<&'a Change>),
}

/// What a dry run says, promise by promise; of a promise whose changes are not equally sure, twice.
pub(crate) fn foreseen<'a>(
    promises: &'a Promises,
    plan: &'a Plan,
) -> impl Iterator<Item = (&'a Promised, &'a Entry, Foreseen<'a>)> {
    let selected = promises.all.iter().zip(&plan.entries).filter(|it| it.0.selected);
    selected.flat_map(|(promise, entry)| {
        let foreseen = match &entry.forecast {
            Forecast::Kept if promise.implied => vec![],
            Forecast::Kept => vec![Foreseen::Verdict(Outcome::Kept)],
            Forecast::NotKept(why) => vec![Foreseen::Verdict(Outcome::NotKept(why.clone()))],
            Forecast::Held(why) => vec![Foreseen::Verdict(Outcome::Held(why.clone()))],
            Forecast::Certain | Forecast::Expected { .. } | Forecast::Unknown { .. } => {
                entry.steps().into_iter().map(|(sure, its)| Foreseen::Steps(sure, its)).collect()
            }
        };
        foreseen.into_iter().map(move |it| (promise, entry, it))
    })
}

/// How a dry run counts, and how sure its lines are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forecasts {
    pub promises: Pending,
    pub implied: Pending,
    pub certain: usize,
    pub expected: usize,
    pub unknown: usize,
    /// Promises of which it cannot be told yet what would be done.
    pub untold: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pending {
    pub kept: usize,
    pub pending: usize,
    pub not_kept: usize,
    pub held: usize,
}

impl Forecasts {
    /// With the components, each as one promise.
    pub(crate) fn with(mut self, components: &[Told]) -> Forecasts {
        let slot = &mut self.promises;
        for told in components {
            match told.report.outcome {
                Became::Kept => slot.kept += 1,
                Became::Repaired => slot.pending += 1,
                Became::NotKept => slot.not_kept += 1,
                Became::Held => slot.held += 1,
            }
        }
        self
    }

    pub(crate) fn count(promises: &Promises, plan: &Plan) -> Forecasts {
        let mut all = Forecasts::default();
        for parts in promises.each() {
            let promised = &promises.all[parts.start];
            let parts = &plan.entries[parts];
            if !promised.selected {
                continue;
            }
            let any = |test: fn(&Forecast) -> bool| parts.iter().any(|it| test(&it.forecast));
            let slot = if promised.implied { &mut all.implied } else { &mut all.promises };
            if any(|it| matches!(it, Forecast::NotKept(_))) {
                slot.not_kept += 1;
            } else if any(|it| matches!(it, Forecast::Held(_))) {
                slot.held += 1;
            } else if parts.iter().any(Entry::is_planned) {
                slot.pending += 1;
            } else {
                slot.kept += 1;
            }
            for entry in parts {
                for (_, forecast) in entry.foreseen() {
                    match forecast {
                        Forecast::Certain => all.certain += 1,
                        Forecast::Expected { .. } => all.expected += 1,
                        Forecast::Unknown { .. } => all.unknown += 1,
                        Forecast::Kept | Forecast::NotKept(_) | Forecast::Held(_) => {}
                    }
                }
                if entry.is_planned() && entry.changes.is_empty() {
                    all.untold += 1;
                }
            }
        }
        all
    }
}

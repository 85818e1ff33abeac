//! What a run says, as reporters: for a terminal, and as JSON lines.

pub(crate) mod changed;
pub(crate) mod explained;
pub(crate) mod json;
pub(crate) mod orphans;
pub(crate) mod run;
pub(crate) mod time;

use steadfast_engine::{Entry, Forecast, Outcome, Plan, Promised, Promises};

/// What a dry run says of one promise.
#[derive(Debug)]
pub(crate) enum Foreseen {
    /// What can be told already.
    Verdict(Outcome),
    /// What would be done, in one word how sure that is, and why it is not surer.
    Steps(&'static str, Vec<String>),
}

/// What a dry run says, promise by promise.
pub(crate) fn foreseen<'a>(
    promises: &'a Promises,
    plan: &'a Plan,
) -> impl Iterator<Item = (&'a Promised, &'a Entry, Foreseen)> {
    promises.all.iter().zip(&plan.entries).filter_map(|(promise, entry)| {
        let foreseen = match &entry.forecast {
            Forecast::Kept if promise.implied => return None,
            Forecast::Kept => Foreseen::Verdict(Outcome::Kept),
            Forecast::NotKept(why) => Foreseen::Verdict(Outcome::NotKept(why.clone())),
            Forecast::Held(why) => Foreseen::Verdict(Outcome::Held(why.clone())),
            Forecast::Certain => Foreseen::Steps("certain", vec![]),
            Forecast::Expected { because } => Foreseen::Steps("expected", vec![because.clone()]),
            Forecast::Unknown { because } => Foreseen::Steps("unknown", because.clone()),
        };
        promise.selected.then_some((promise, entry, foreseen))
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
                let lines = entry.changes.len();
                match entry.forecast {
                    Forecast::Certain => all.certain += lines,
                    Forecast::Expected { .. } => all.expected += lines,
                    Forecast::Unknown { .. } => all.unknown += lines,
                    Forecast::Kept | Forecast::NotKept(_) | Forecast::Held(_) => continue,
                }
                if lines == 0 {
                    all.untold += 1;
                }
            }
        }
        all
    }
}

//! What the changes of a run make of the machine, written down before they are made: what was there, and
//! what is left. See [`crate::undo`] for what becomes of it.

use crate::ledger::{Amended, Ledger, UndoEntry, key};
use crate::observed::Observed;
use crate::promised::Promises;
use crate::unit::Scope;
use std::collections::BTreeMap;
use steadfast_resources::runner::Consequence;
use steadfast_resources::{Change, Facet, FacetState};
use steadfast_system::{Probe, SystemError, UnitName};

/// What this work is about to make of which things. What nobody promised is not remembered as ours.
pub(crate) fn of_work(
    promises: &Promises,
    observed: &Observed,
    work: &[(usize, Vec<Change>)],
    sys: &dyn Probe,
) -> Vec<UndoEntry> {
    let mut all = vec![];
    for (at, changes) in work {
        let promised = &promises.all[*at];
        let Ok(have) = &observed.states[*at] else { continue };
        if promised.implied {
            continue;
        }
        let readers = readers(promises, *at);
        for it in steadfast_resources::effects(&promised.want, have, changes) {
            let mut after = it.after;
            if it.sensitive {
                after.keyed(|plain| key(sys, plain));
            }
            let mut readers = readers.clone();
            // Its unit file and drop-ins are read by the service itself.
            if let (Some(runner), Facet::Path(_)) = (promised.want.as_runner(), &it.facet) {
                readers.push((runner.unit().clone(), Consequence::Restart));
            }
            all.push(UndoEntry {
                scope: promised.scope(),
                facet: it.facet,
                promise: promised.id.clone(),
                run: 0,
                before: it.before,
                after,
                readers,
                begun: false,
            });
        }
    }
    all
}

/// The runners that have a promise as an input.
fn readers(promises: &Promises, at: usize) -> Vec<(UnitName, Consequence)> {
    let unit = |runner: usize| Some(promises.all[runner].want.as_runner()?.unit().clone());
    (promises.inputs.iter().filter(|it| it.runner != at))
        .filter_map(|it| Some((unit(it.runner)?, it.asks(at)?)))
        .collect()
}

/// After the work: numbers that the machine has chosen are written down, and what came to nothing is
/// forgotten. `failed` are the promises of which not all was done.
pub(crate) fn amend(
    made: &[UndoEntry],
    failed: impl Fn(&UndoEntry) -> bool,
    sys: &dyn Probe,
    ledger: &mut dyn Ledger,
) -> Result<(), SystemError> {
    let open: Vec<&UndoEntry> = made.iter().filter(|it| is_open(&it.after) || failed(it)).collect();
    if open.is_empty() {
        return Ok(());
    }
    let things: Vec<&Facet> = open.iter().map(|it| &it.facet).collect();
    let mut amended: BTreeMap<&Scope, BTreeMap<&Facet, Amended>> = BTreeMap::new();
    for (made, now) in open.iter().zip(steadfast_resources::observe_facets(&things, sys)) {
        // What cannot be seen now stays as it was written.
        let Ok(now) = now else { continue };
        if made.before.is_met_by(&now.state, |plain| key(sys, plain)) {
            amended
                .entry(&made.scope)
                .or_default()
                .insert(&made.facet, Amended::CameToNothing(now.state));
        } else if is_open(&made.after) {
            amended.entry(&made.scope).or_default().insert(&made.facet, Amended::After(now.state));
        }
    }
    for (scope, its) in amended {
        let its: Vec<_> = its.into_iter().map(|(facet, it)| (facet.clone(), it)).collect();
        ledger.amend(scope, &its)?;
    }
    Ok(())
}

/// Whether what is left is only known once it is there.
fn is_open(after: &FacetState) -> bool {
    match after {
        FacetState::Group { gid } => gid.is_none(),
        FacetState::User { line } => line.is_none(),
        FacetState::Nothing
        | FacetState::File { .. }
        | FacetState::Directory { .. }
        | FacetState::Link { .. }
        | FacetState::Keys { .. }
        | FacetState::There
        | FacetState::Masked
        | FacetState::Text(_)
        | FacetState::Unknown => false,
    }
}

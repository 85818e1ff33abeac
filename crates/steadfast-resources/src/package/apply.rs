//! Carrying out what was decided about several packages: what goes together is one transaction.

use super::change::{Act, Change};
use crate::kind::Applied;
use steadfast_system::packages::{Health, Item, Mark, Options, Transaction};
use steadfast_system::{Actuate, PackageName};

pub(super) fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
    let mut applied = vec![Applied::All; batch.len()];
    let all = |wanted: &dyn Fn(&Change) -> bool| -> Vec<(usize, usize, Change)> {
        let places = batch.iter().enumerate().flat_map(|(promise, changes)| {
            changes.iter().enumerate().map(move |(at, change)| (promise, at, change))
        });
        places
            .filter(|(_, _, change)| wanted(change))
            .map(|(promise, at, change)| (promise, at, change.clone()))
            .collect()
    };
    let configured = all(&|it| matches!(it, Change::Configure { .. }));
    if !configured.is_empty()
        && let Err(error) = sys.complete_packages()
    {
        for (promise, at, change) in configured {
            // Another package may be the one that could not be configured.
            if !is_whole(change.package(), sys) {
                applied[promise] = Applied::Failed { at, error: error.clone() };
            }
        }
    }
    mark(&all(&|it| matches!(it, Change::Unhold { .. })), &mut applied, sys);
    let mut acts = all(&|it| it.act().is_some());
    acts.retain(|(promise, ..)| applied[*promise] == Applied::All);
    for (options, places) in transactions(&acts) {
        let items = places.iter().map(|(_, _, item)| item.clone()).collect();
        let results = sys.transact(&Transaction { options, items });
        for ((promise, at, _), result) in places.into_iter().zip(results) {
            if let Err(error) = result {
                applied[promise] = Applied::Failed { at, error };
            }
        }
    }
    let marks = |it: &Change| matches!(it, Change::Hold { .. } | Change::MarkManual { .. });
    mark(&all(&marks), &mut applied, sys);
    note_sources(&acts, &mut applied, sys);
    applied
}

/// Says which sources could not be fetched, once for what is installed, and to each that only looked for
/// something newer: what those sources have is not known.
fn note_sources(acts: &[(usize, usize, Change)], applied: &mut [Applied], sys: &dyn Actuate) {
    let installs = |it: &&(usize, usize, Change)| {
        it.2.act().is_some_and(|(verb, _)| verb == Verb::Install) && applied[it.0] == Applied::All
    };
    let done: Vec<(usize, bool)> = acts
        .iter()
        .filter(installs)
        .map(|it| (it.0, matches!(it.2, Change::LookForNewer(_))))
        .collect();
    if done.is_empty() {
        return;
    }
    let Some(why) = sys.apt_lists().failed else { return };
    let first = done.iter().find(|it| !it.1).map(|it| it.0);
    for (promise, only_looks) in done {
        if only_looks || Some(promise) == first {
            let words = format!("not all of apt's sources could be fetched: {why}");
            applied[promise] = Applied::Noted(vec![words]);
        }
    }
}

/// The promise in the batch, the change in the promise, and what a transaction does for it.
type Place = (usize, usize, Item);

/// What is equal in options goes together. What goes makes room first; where something is installed too, apt
/// resolves both at once.
pub(super) fn transactions(acts: &[(usize, usize, Change)]) -> Vec<(Options, Vec<Place>)> {
    let mut transactions: Vec<(Options, Vec<Place>)> = vec![];
    let mut alone = vec![];
    let mut joining = vec![];
    for (promise, at, change) in acts {
        let Some((verb, act)) = change.act() else { continue };
        let place = (*promise, *at, act.item.clone());
        match verb {
            Verb::Install => match transactions.iter_mut().find(|it| it.0 == act.options) {
                Some((_, places)) => places.push(place),
                None => transactions.push((act.options.clone(), vec![place])),
            },
            // What is only reported goes with nothing else.
            Verb::Remove if act.item.going.contains(&act.item.package) => joining.push(place),
            Verb::Remove => alone.push(place),
        }
    }
    match transactions.first_mut() {
        Some((_, places)) => places.splice(..0, joining).for_each(drop),
        None => alone.extend(joining),
    }
    if !alone.is_empty() {
        transactions.insert(0, (Options::default(), alone));
    }
    transactions
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Remove,
    Install,
}

impl Change {
    pub(super) fn act(&self) -> Option<(Verb, &Act)> {
        match self {
            Change::Install(act)
            | Change::Upgrade(act)
            | Change::Downgrade(act)
            | Change::LookForNewer(act) => Some((Verb::Install, act)),
            Change::Remove(act) | Change::Purge(act) => Some((Verb::Remove, act)),
            Change::Configure { .. }
            | Change::Unhold { .. }
            | Change::Hold { .. }
            | Change::MarkManual { .. } => None,
        }
    }

    pub(super) fn package(&self) -> &PackageName {
        match self {
            Change::Install(act)
            | Change::Upgrade(act)
            | Change::Downgrade(act)
            | Change::LookForNewer(act)
            | Change::Remove(act)
            | Change::Purge(act) => &act.item.package,
            Change::Configure { package, .. }
            | Change::Unhold { package }
            | Change::Hold { package }
            | Change::MarkManual { package } => package,
        }
    }
}

fn is_whole(package: &PackageName, sys: &dyn Actuate) -> bool {
    sys.package_looks(&[package]).is_ok_and(|looks| {
        looks
            .iter()
            .all(|it| it.installed.as_ref().is_some_and(|it| it.health == Health::Installed))
    })
}

/// Holds, unholds and marks of promises that went well so far.
fn mark(changes: &[(usize, usize, Change)], applied: &mut [Applied], sys: &dyn Actuate) {
    let wanted: Vec<(usize, usize, &PackageName, Mark)> = changes
        .iter()
        .filter(|(promise, _, _)| applied[*promise] == Applied::All)
        .filter_map(|(promise, at, change)| {
            let mark = match change {
                Change::Unhold { .. } => Mark::Unhold,
                Change::Hold { .. } => Mark::Hold,
                Change::MarkManual { .. } => Mark::Manual,
                Change::Configure { .. }
                | Change::Install(_)
                | Change::Upgrade(_)
                | Change::Downgrade(_)
                | Change::LookForNewer(_)
                | Change::Remove(_)
                | Change::Purge(_) => return None,
            };
            Some((*promise, *at, change.package(), mark))
        })
        .collect();
    if wanted.is_empty() {
        return;
    }
    let marks: Vec<(&PackageName, Mark)> = wanted.iter().map(|it| (it.2, it.3)).collect();
    for ((promise, at, _, _), result) in wanted.iter().zip(sys.mark_packages(&marks)) {
        if let Err(error) = result {
            applied[*promise] = Applied::Failed { at: *at, error };
        }
    }
}

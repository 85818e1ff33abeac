//! Orphans: what earlier runs made, and no promise is about any more; and what a bad revision made. A run by
//! hand reports orphans and leaves them as they are: only an agent that adopts a model acts on them, if its
//! policy says so.

use std::collections::{BTreeMap, HashSet};
use steadfast_engine::budget::Spent;
use steadfast_engine::{
    Budget, Event, Extent, Managed, NotUndone, Promises, Reporter, UndoEntry, UndoPlan,
};
use steadfast_model::PromiseId;
use steadfast_model::policy;
use steadfast_resources::{Facet, FacetState};
use steadfast_store::{Store, StoreError};
use steadfast_system::{Actuate, Probe};

/// How much of it goes by this policy; nothing where it is only reported.
pub fn extent(policy: policy::Orphans) -> Option<Extent> {
    match policy {
        policy::Orphans::Report => None,
        policy::Orphans::Remove => Some(Extent::Made),
        policy::Orphans::Restore => Some(Extent::Everything),
    }
}

/// What was made, is promised no more, and is still there. What is gone is told apart.
#[derive(Debug, Default)]
pub struct Orphans {
    /// Whether anything is remembered at all.
    some: bool,
    there: Vec<Orphan>,
    gone: Vec<UndoEntry>,
}

#[derive(Debug)]
pub struct Orphan {
    pub made: UndoEntry,
    /// Whether its promise is still made, without it.
    pub goes_on: bool,
    /// What adopting the model would do about it, where that was asked.
    pub plan: Option<UndoPlan>,
}

/// The things of one promise, and the run that first made one of them.
#[derive(Debug)]
pub struct Former<'a> {
    pub promise: &'a PromiseId,
    pub run: i64,
    /// The promise itself goes on, without these things.
    pub goes_on: bool,
    pub things: Vec<&'a Orphan>,
}

impl Orphans {
    /// Things that nobody need remember any more.
    pub fn gone(&self) -> Vec<&Facet> {
        self.gone.iter().map(|it| &it.facet).collect()
    }

    /// Whether something is remembered, and all of it is promised.
    pub fn is_all_promised(&self) -> bool {
        self.some && self.there.is_empty() && self.gone.is_empty()
    }

    /// In the order of their names.
    pub fn promises(&self) -> Vec<Former<'_>> {
        let mut all: BTreeMap<&PromiseId, Former<'_>> = BTreeMap::new();
        for found in &self.there {
            let UndoEntry { promise, run, .. } = &found.made;
            let former = all.entry(promise).or_insert(Former {
                promise,
                run: *run,
                goes_on: found.goes_on,
                things: vec![],
            });
            former.run = former.run.min(*run);
            former.things.push(found);
        }
        all.into_values().collect()
    }
}

/// What nobody promises any more.
#[derive(Debug, Default)]
struct Unpromised {
    /// Whether anything is remembered at all.
    some: bool,
    ours: Vec<UndoEntry>,
    /// What was only taken away: nothing is left to be removed.
    taken: Vec<UndoEntry>,
}

fn unpromised(
    store: &Store,
    promises: &Promises,
    sys: &dyn Probe,
) -> Result<Unpromised, StoreError> {
    Ok(unpromised_of(store.made()?, promises, sys))
}

fn unpromised_of(mut made: Vec<UndoEntry>, promises: &Promises, sys: &dyn Probe) -> Unpromised {
    let some = !made.is_empty();
    if some {
        let managed = Managed::from_promises(promises, &made, sys);
        made.retain(|it| !managed.names(it));
    }
    let (ours, taken) = made.into_iter().partition(|it| it.after != FacetState::Nothing);
    Unpromised { some, ours, taken }
}

/// Observed for it, and says what an agent that adopts this model would do about it.
pub fn find(
    store: &Store,
    promises: &Promises,
    extent: Option<Extent>,
    sys: &dyn Probe,
) -> Result<Orphans, StoreError> {
    Ok(among(unpromised(store, promises, sys)?, promises, extent, sys))
}

/// The same of what this run has made, where this model was known to promise all that was remembered before;
/// of everything where it was not. A run does not pay for what earlier ones have made.
pub fn find_after(
    store: &Store,
    promises: &Promises,
    model: Option<&str>,
    sys: &dyn Probe,
) -> Result<Orphans, StoreError> {
    let made = model.map(|it| store.made_beside_promised(it)).transpose()?.flatten();
    match made {
        Some(made) => Ok(among(unpromised_of(made, promises, sys), promises, None, sys)),
        None => find(store, promises, None, sys),
    }
}

fn among(
    unpromised: Unpromised,
    promises: &Promises,
    extent: Option<Extent>,
    sys: &dyn Probe,
) -> Orphans {
    let Unpromised { some, ours: made, taken } = unpromised;
    let mut orphans = Orphans { some, gone: taken, there: vec![] };
    if made.is_empty() {
        return orphans;
    }
    let plans: Vec<Option<UndoPlan>> = match extent {
        None => made.iter().map(|_| None).collect(),
        Some(extent) => {
            let all = steadfast_engine::plan_undo(&made, extent, Budget::default(), sys);
            all.into_iter().map(Some).collect()
        }
    };
    let things: Vec<&Facet> = made.iter().map(|it| &it.facet).collect();
    let gone: Vec<bool> = steadfast_resources::observe_facets(&things, sys)
        .into_iter()
        .map(|it| it.is_ok_and(|it| it.state == FacetState::Nothing))
        .collect();
    let promised: HashSet<&PromiseId> = promises.all.iter().map(|it| &it.id).collect();
    for ((made, plan), gone) in made.into_iter().zip(plans).zip(gone) {
        if gone || plan == Some(UndoPlan::Back) {
            orphans.gone.push(made);
        } else {
            let goes_on = promised.contains(&made.promise);
            orphans.there.push(Orphan { made, goes_on, plan });
        }
    }
    orphans
}

/// What acting on it would cost. The machine is only looked at.
pub fn cost(
    store: &Store,
    promises: &Promises,
    extent: Option<Extent>,
    sys: &dyn Probe,
) -> Result<Spent, StoreError> {
    let Some(extent) = extent else { return Ok(Spent::default()) };
    let made = unpromised(store, promises, sys)?.ours;
    let plans = steadfast_engine::plan_undo(&made, extent, Budget::default(), sys);
    Ok(Spent::count(plans.iter().flat_map(|it| match it {
        UndoPlan::Changes(changes) => changes.as_slice(),
        UndoPlan::Back | UndoPlan::Stays(_) => &[],
    })))
}

/// What an agent's run that adopts a model does: what it cost, and what was only told.
#[derive(Debug, Default)]
pub struct Acted {
    pub rest: Budget,
    /// Lines about what is left because the policy says to report it.
    pub told: Vec<String>,
}

/// Acts on what left the model. What will not go by another attempt is ours no more.
pub fn act(
    store: &Store,
    promises: &Promises,
    extent: Option<Extent>,
    budget: Budget,
    sys: &dyn Actuate,
    out: &mut dyn Reporter,
) -> Result<Acted, StoreError> {
    let Some(extent) = extent else {
        let orphans = find(store, promises, None, sys.as_probe())?;
        store.forget_made(&orphans.gone())?;
        let told = orphans.there.iter().map(|it| {
            let UndoEntry { facet, run, .. } = &it.made;
            format!("{facet}, made in run {run}, is an orphan: no promise is about it any more (policy: orphans)")
        });
        return Ok(Acted { rest: budget, told: told.collect() });
    };
    let Unpromised { some: _, ours: made, taken } = unpromised(store, promises, sys.as_probe())?;
    let mut spent = Spending { out, rest: budget };
    let mut ledger = store;
    let results = steadfast_engine::undo(&made, extent, budget, sys, &mut ledger, &mut spent);
    let rest = spent.rest;
    let done = made.iter().zip(&results).filter(|(_, result)| match result {
        Ok(()) => true,
        Err(left) => left.is_final(),
    });
    let done = done.map(|(made, _)| made).chain(&taken);
    store.forget_made(&done.map(|it| &it.facet).collect::<Vec<_>>())?;
    Ok(Acted { rest, told: vec![] })
}

/// Counts what a budget is spent on.
struct Spending<'a> {
    out: &'a mut dyn Reporter,
    rest: Budget,
}

impl Reporter for Spending<'_> {
    fn report(&mut self, event: &Event<'_>) {
        if let Event::Undone { changes, .. } = event {
            self.rest = Spent::count(*changes).taken_from(self.rest);
        }
        self.out.report(event);
    }
}

/// Takes back what was made since one content was adopted, where the promises of the one that is gone
/// back to do not decide it. False where that is not known.
pub fn go_back(
    store: &Store,
    promises: &Promises,
    from: &str,
    to: &str,
    sys: &dyn Actuate,
    out: &mut dyn Reporter,
) -> Result<bool, StoreError> {
    let _span = tracing::debug_span!("roll_back", from, to).entered();
    // Where the bad one is not known, nothing is known as its doing.
    if from.is_empty() {
        return store.is_adopted(to);
    }
    // It was taken back already, where the run was cut off after that.
    let Some(made) = store.made_since(from)? else { return store.is_adopted(to) };
    let managed = Managed::from_promises(promises, &made, sys.as_probe());
    let (mut decided, mut whole, mut parts): (Vec<UndoEntry>, Vec<UndoEntry>, Vec<UndoEntry>) =
        Default::default();
    for one in made {
        match managed.leaves(&one) {
            None => decided.push(one),
            Some(rest) if rest == one => whole.push(rest),
            // The old revision decides the rest of it.
            Some(rest) => parts.push(rest),
        }
    }
    let partly = parts.len();
    let made: Vec<UndoEntry> = parts.into_iter().chain(whole).collect();
    let mut ledger = store;
    let budget = Budget::default();
    let results: Vec<Result<(), NotUndone>> =
        steadfast_engine::undo(&made, Extent::Everything, budget, sys, &mut ledger, out);
    let done = |all: std::ops::Range<usize>| {
        all.filter(|at| results[*at].is_ok()).map(|at| &made[at].facet)
    };
    let undone: Vec<&Facet> = done(partly..made.len()).collect();
    for upgraded in decided.iter().filter(|it| it.is_other_version()) {
        let left = [NotUndone::OtherVersion.because(&upgraded.facet).join(": ")];
        out.report(&Event::Undone { promise: &upgraded.promise, changes: &[], left: &left });
    }
    let decided: Vec<&Facet> = decided.iter().map(|it| &it.facet).chain(done(0..partly)).collect();
    tracing::debug!(undone = undone.len(), left_to_the_old_revision = decided.len(), "rolled back");
    store.went_back(&undone, &decided, to)?;
    Ok(true)
}

#[cfg(test)]
mod tests;

//! The plan linter: what must be true of every plan, judged from the plan itself and from what was seen.
//! Pure. The tests ask it about each plan that they make; a flaw is a mistake in this program.

use crate::budget::{Budget, Spent};
use crate::limited::Limited;
use crate::observed::Observed;
use crate::plan::{Entry, Forecast, Plan};
use crate::promised::Promises;
use std::collections::HashMap;
use std::fmt;
use steadfast_model::PromiseId;
use steadfast_resources::{Change, Facet};

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There is not one entry for each promise.
    Entries { promises: usize, entries: usize },
    /// A promise has no turn, or more than one.
    Turns { promise: PromiseId, turns: usize },
    /// Something is foreseen for what is not selected.
    NotSelected(PromiseId),
    /// It is said to be kept, and has changes.
    KeptWithChanges(PromiseId),
    /// Its changes are certain, and there are none.
    CertainOfNothing(PromiseId),
    /// A change without a fact: programs would not know what it does.
    WithoutFacts { promise: PromiseId, change: String },
    /// Something is said to be certain, and nothing of the promise is less sure, or there is no such change.
    SurerThanItsPromise(PromiseId),
    /// The same change stands twice.
    Twice { promise: PromiseId, change: String },
    /// It has its turn before, or with, what it needs.
    BeforeItsNeed { promise: PromiseId, need: PromiseId },
    /// It is attempted though what it needs will not be kept.
    BrokenNeed { promise: PromiseId, need: PromiseId },
    /// It is attempted though another member of its unit will not be kept.
    BrokenUnit { promise: PromiseId, member: PromiseId },
    /// Two promises change one thing in the same turn.
    OneFacet { facet: Facet, promises: [PromiseId; 2] },
    /// A runner pays before, or with, what it pays for.
    BeforeItsCause { runner: PromiseId, cause: PromiseId },
    /// More is planned than a run may do.
    BeyondBudget { what: Limited, limit: u64 },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Entries { promises, entries } => {
                write!(f, "{entries} entries for {promises} promises")
            }
            Flaw::Turns { promise, turns } => write!(f, "{promise} has {turns} turns"),
            Flaw::NotSelected(it) => write!(f, "{it} is not selected, and is planned"),
            Flaw::KeptWithChanges(it) => write!(f, "{it} is kept, and has changes"),
            Flaw::CertainOfNothing(it) => write!(f, "{it} is certain of no change"),
            Flaw::WithoutFacts { promise, change } => {
                write!(f, "{promise} would {change}, and no fact says so")
            }
            Flaw::SurerThanItsPromise(it) => {
                write!(f, "changes of {it} are marked as certain for no reason")
            }
            Flaw::Twice { promise, change } => write!(f, "{promise} would {change} twice"),
            Flaw::BeforeItsNeed { promise, need } => {
                write!(f, "{promise} does not come after {need}, which it needs")
            }
            Flaw::BrokenNeed { promise, need } => {
                write!(f, "{promise} is attempted without {need}, which it needs")
            }
            Flaw::BrokenUnit { promise, member } => {
                write!(f, "{promise} is attempted without {member}, which is of its unit")
            }
            Flaw::OneFacet { facet, promises: [a, b] } => {
                write!(f, "{a} and {b} change {facet} in one turn")
            }
            Flaw::BeforeItsCause { runner, cause } => {
                write!(f, "{runner} does not come after {cause}, which it pays for")
            }
            Flaw::BeyondBudget { what, limit } => write!(f, "more than {limit} {}", what.name()),
        }
    }
}

/// Everything that is wrong with a plan.
pub fn check(promises: &Promises, observed: &Observed, plan: &Plan, budget: Budget) -> Vec<Flaw> {
    let (all, entries) = (promises.all.len(), plan.entries.len());
    if all != entries {
        return vec![Flaw::Entries { promises: all, entries }];
    }
    let checked = Checked { promises, plan, turn: turns(promises, plan) };
    let mut flaws = checked.turns();
    for at in 0..all {
        flaws.extend(checked.entry(at));
        flaws.extend(checked.needs(at, observed));
    }
    flaws.extend(checked.units());
    flaws.extend(checked.one_thing(observed));
    flaws.extend(checked.causes());
    let planned = plan.entries.iter().filter(|it| it.is_planned());
    let spent = Spent::count(planned.flat_map(|it| &it.changes));
    flaws.extend(spent.beyond(budget).map(|(what, limit)| Flaw::BeyondBudget { what, limit }));
    flaws
}

/// The waves in which each promise has its turn.
fn turns(promises: &Promises, plan: &Plan) -> Vec<Vec<usize>> {
    let mut turns = vec![vec![]; promises.all.len()];
    for (wave, its) in plan.turns.waves(promises).iter().enumerate() {
        for at in its {
            turns[*at].push(wave);
        }
    }
    turns
}

struct Checked<'a> {
    promises: &'a Promises,
    plan: &'a Plan,
    turn: Vec<Vec<usize>>,
}

impl Checked<'_> {
    fn id(&self, at: usize) -> PromiseId {
        self.promises.all[at].id.clone()
    }

    fn planned(&self, at: usize) -> bool {
        self.plan.entries[at].is_planned()
    }

    /// Whether one has its turn in a later wave than the other.
    fn after(&self, late: usize, early: usize) -> bool {
        self.turn[late].first() > self.turn[early].first()
    }

    fn turns(&self) -> Vec<Flaw> {
        let turns = self.turn.iter().enumerate().filter(|(_, it)| it.len() != 1);
        turns.map(|(at, it)| Flaw::Turns { promise: self.id(at), turns: it.len() }).collect()
    }

    /// What one entry says by itself.
    fn entry(&self, at: usize) -> Vec<Flaw> {
        let Entry { changes, forecast, certain, notes: _ } = &self.plan.entries[at];
        let mut flaws = vec![];
        if !self.promises.all[at].selected && (*forecast != Forecast::Kept || !changes.is_empty()) {
            flaws.push(Flaw::NotSelected(self.id(at)));
        }
        match forecast {
            Forecast::Kept if !changes.is_empty() => flaws.push(Flaw::KeptWithChanges(self.id(at))),
            Forecast::Certain if changes.is_empty() => {
                flaws.push(Flaw::CertainOfNothing(self.id(at)));
            }
            Forecast::Kept
            | Forecast::Certain
            | Forecast::Expected { .. }
            | Forecast::Unknown { .. }
            | Forecast::NotKept(_)
            | Forecast::Held(_) => {}
        }
        if !certain.is_empty()
            && (certain.len() != changes.len()
                || certain.iter().all(|it| *it)
                || !self.plan.entries[at].is_planned()
                || *forecast == Forecast::Certain)
        {
            flaws.push(Flaw::SurerThanItsPromise(self.id(at)));
        }
        for (turn, change) in changes.iter().enumerate() {
            if change.facts().is_empty() {
                let change = change.to_string();
                flaws.push(Flaw::WithoutFacts { promise: self.id(at), change });
            }
            if changes[..turn].contains(change) {
                flaws.push(Flaw::Twice { promise: self.id(at), change: change.to_string() });
            }
        }
        flaws
    }

    fn needs(&self, at: usize, observed: &Observed) -> Vec<Flaw> {
        let mut flaws = vec![];
        for need in self.promises.all[at].needs.iter().copied() {
            let (promise, need_id) = (self.id(at), self.id(need));
            if !self.after(at, need) {
                flaws.push(Flaw::BeforeItsNeed { promise, need: need_id });
                continue;
            }
            let is_place = self.promises.all[at].lies_in.contains(&need)
                && observed.is_place(self.promises, need);
            let broken = self.plan.entries[need].will_not_be_kept() && !is_place;
            if broken && self.planned(at) {
                flaws.push(Flaw::BrokenNeed { promise, need: need_id });
            }
        }
        flaws
    }

    fn units(&self) -> Vec<Flaw> {
        let mut flaws = vec![];
        for unit in &self.promises.units {
            let broken = |at: &&usize| self.plan.entries[**at].will_not_be_kept();
            let Some(broken) = unit.members.iter().find(broken) else { continue };
            for at in unit.members.iter().filter(|at| self.planned(**at)) {
                let (promise, member) = (self.id(*at), self.id(*broken));
                flaws.push(Flaw::BrokenUnit { promise, member });
            }
        }
        flaws
    }

    fn one_thing(&self, observed: &Observed) -> Vec<Flaw> {
        let mut flaws = vec![];
        for wave in self.plan.turns.waves(self.promises) {
            let mut known: HashMap<Facet, usize> = HashMap::new();
            for at in wave.iter().copied().filter(|at| self.planned(*at)) {
                let Ok(have) = &observed.states[at] else { continue };
                let want = &self.promises.all[at].want;
                let changes = &self.plan.entries[at].changes;
                for effect in steadfast_resources::effects(want, have, changes) {
                    let first = *known.entry(effect.facet.clone()).or_insert(at);
                    if self.id(first) != self.id(at) {
                        let promises = [self.id(first), self.id(at)];
                        flaws.push(Flaw::OneFacet { facet: effect.facet, promises });
                    }
                }
            }
        }
        flaws
    }

    fn causes(&self) -> Vec<Flaw> {
        let mut flaws = vec![];
        let pays = |it: &Change| it.as_runner().is_some_and(|it| it.pays().is_some());
        for inputs in &self.promises.inputs {
            let runner = inputs.runner;
            if !self.planned(runner) || !self.plan.entries[runner].changes.iter().any(pays) {
                continue;
            }
            for cause in inputs.all().filter(|it| *it != runner && self.planned(*it)) {
                if !self.after(runner, cause) {
                    let (runner, cause) = (self.id(runner), self.id(cause));
                    flaws.push(Flaw::BeforeItsCause { runner, cause });
                }
            }
        }
        flaws
    }
}

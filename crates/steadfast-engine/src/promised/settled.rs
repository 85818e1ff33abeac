//! Promises whose verdict hangs on nothing but files that nobody has changed: a run without news need not look at
//! each of them again.

use super::{Promised, Promises};
use std::collections::{BTreeSet, HashMap};
use steadfast_resources::{Alone, AloneTree, State, alone, alone_tree, itself};
use steadfast_system::SystemError;

/// A promise that need not be looked at as long as its file does not change.
#[derive(Debug)]
pub struct Settleable<'s> {
    pub at: usize,
    /// Which one stands for it.
    pub first: usize,
    pub alone: Alone<'s>,
}

impl Promises {
    /// The promises that are kept and that nothing else hangs on, by index, each with the file that all hangs
    /// on, and the first of the same directory and the same owner: whoever looks at that one sees whether directory and
    /// accounts are as they were.
    pub(crate) fn alone<'s>(
        &'s self,
        states: &'s [Result<State, SystemError>],
    ) -> Vec<Settleable<'s>> {
        let mut seen = HashMap::new();
        self.on_which_nothing_hangs()
            .filter_map(|at| {
                let alone = alone(&self.all[at].want, states.get(at)?.as_ref().ok()?)?;
                let folder = alone.path.as_str().rsplit_once('/')?.0;
                let first = *seen.entry((folder, format!("{:?}", alone.owners))).or_insert(at);
                Some(Settleable { at, first, alone })
            })
            .collect()
    }

    /// The same of directories with all that is in them. Whoever looks at the directory sees whether the accounts
    /// are as they were.
    pub(crate) fn alone_trees<'s>(
        &'s self,
        states: &'s [Result<State, SystemError>],
    ) -> Vec<(usize, AloneTree<'s>)> {
        let tree = |at: usize| alone_tree(&self.all[at].want, states.get(at)?.as_ref().ok()?);
        self.on_which_nothing_hangs().filter_map(|at| Some((at, tree(at)?))).collect()
    }

    fn on_which_nothing_hangs(&self) -> impl Iterator<Item = usize> {
        let hung_on = self.hung_on();
        (self.all.iter().enumerate())
            .filter(move |(at, promised)| {
                promised.selected
                    && !promised.implied
                    && promised.unit.is_none()
                    && !hung_on.contains(at)
                    && !self.is_part(*at)
            })
            .map(|(at, _)| at)
    }

    /// Whether another entry belongs to the same promise.
    fn is_part(&self, at: usize) -> bool {
        let id = &self.all[at].id;
        let beside = [at.checked_sub(1), at.checked_add(1)];
        let beside = beside.into_iter().flatten().filter_map(|it| self.all.get(it));
        beside.into_iter().any(|it| it.id == *id)
    }

    /// What others look at when their turn comes.
    fn hung_on(&self) -> BTreeSet<usize> {
        let needs = self.all.iter().flat_map(|it| it.needs.iter().chain(&it.lies_in));
        let members = self.units.iter().flat_map(|it| &it.members);
        let mut all: BTreeSet<usize> =
            needs.chain(members).chain(&self.unit_files).copied().collect();
        for inputs in &self.inputs {
            all.extend(inputs.all());
            all.insert(inputs.runner);
        }
        all
    }

    /// The same without some that are known to be kept, on which nothing hangs; and of some directories without
    /// what is said of all that is in them.
    #[must_use]
    pub fn without(&self, settled: &BTreeSet<usize>, trees: &BTreeSet<usize>) -> Promises {
        let stays: Vec<usize> = (0..self.all.len()).filter(|at| !settled.contains(at)).collect();
        let one = |at: &usize| {
            let promised = &self.all[*at];
            match itself(&promised.want).filter(|_| trees.contains(at)) {
                Some(want) => Promised { want, ..promised.clone() },
                None => promised.clone(),
            }
        };
        let all = stays.iter().map(one).collect();
        let rest = self.frame().around_only(&stays, all);
        Promises { settled: self.settled + settled.len(), ..rest }
    }
}

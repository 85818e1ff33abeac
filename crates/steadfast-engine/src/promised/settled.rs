//! Promises whose verdict hangs on nothing but a file that nobody has changed: a run without news need not look at
//! each of them again.

use super::Promises;
use std::collections::BTreeSet;
use steadfast_resources::{Alone, State, alone};
use steadfast_system::SystemError;

impl Promises {
    /// The promises that are kept and that nothing else hangs on, by index, each with the file that all hangs
    /// on. One of each directory, and of each owner there, is not among them: whoever looks at that one sees
    /// whether directory and accounts are as they were.
    pub(crate) fn alone<'s>(
        &'s self,
        states: &'s [Result<State, SystemError>],
    ) -> Vec<(usize, Alone<'s>)> {
        let hung_on = self.hung_on();
        let mut seen = BTreeSet::new();
        (self.all.iter().zip(states).enumerate())
            .filter(|(at, (promised, _))| {
                promised.selected
                    && !promised.implied
                    && promised.unit.is_none()
                    && !hung_on.contains(at)
                    && !self.is_part(*at)
            })
            .filter_map(|(at, (promised, have))| {
                let alone = alone(&promised.want, have.as_ref().ok()?)?;
                let folder = alone.path.as_str().rsplit_once('/')?.0;
                let is_first = seen.insert((folder, format!("{:?}", alone.owners)));
                (!is_first).then_some((at, alone))
            })
            .collect()
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

    /// The same without some that are known to be kept, on which nothing hangs.
    #[must_use]
    pub fn without(&self, settled: &BTreeSet<usize>) -> Promises {
        let stays: Vec<usize> = (0..self.all.len()).filter(|at| !settled.contains(at)).collect();
        let all = stays.iter().map(|at| self.all[*at].clone()).collect();
        let rest = self.frame().around_only(&stays, all);
        Promises { settled: self.settled + settled.len(), ..rest }
    }
}

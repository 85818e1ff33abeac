//! How the promises of a node hang together, without what they promise: by that a run of a few of them knows
//! which others it has to know, and leaves the rest alone.

use super::promises::{Promised, Promises};
use crate::runner::inputs::Inputs;
use crate::unit::Unit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use steadfast_resources::Identity;
use steadfast_system::AbsPath;

/// What ties promises to each other, by their indices among all.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Ties {
    /// A number for each name: ten thousand names would take longer to decode than all else here. Two names may
    /// have the same one, and then a promise is known too many.
    names: Vec<u64>,
    needs: Vec<Vec<usize>>,
    /// Those that every run has to know: of services is told what they owe, and where a secret was written is
    /// remembered as long as it is promised.
    always: Vec<usize>,
    /// The directories that promised paths lie in. Where a link of the machine leads elsewhere from one of them,
    /// one thing may be promised twice, and only who knows all promises sees it.
    folders: Vec<AbsPath>,
}

impl Ties {
    pub fn of(promises: &Promises) -> Ties {
        let all = &promises.all;
        let is_unit = |it: &Identity| match it {
            Identity::Unit(_) => true,
            Identity::Path(_)
            | Identity::Package(_)
            | Identity::Group(_)
            | Identity::User(_)
            | Identity::Setting(_) => false,
        };
        let always = |it: &Promised| {
            it.want.claims().iter().any(is_unit) || !it.want.secret_paths().is_empty()
        };
        let paths = all.iter().flat_map(|it| it.want.claims());
        let folders: BTreeSet<AbsPath> =
            paths.filter_map(|it| it.as_path().and_then(AbsPath::parent)).collect();
        Ties {
            names: all.iter().map(|it| number(&it.id.0)).collect(),
            needs: all.iter().map(|it| it.needs.clone()).collect(),
            always: (0..all.len()).filter(|at| always(&all[*at])).collect(),
            folders: folders.into_iter().collect(),
        }
    }

    /// The directories that promised paths lie in.
    pub fn into_folders(self) -> Vec<AbsPath> {
        self.folders
    }

    /// The promises that a run of these has to know, by index, in rising order: they themselves, what changes
    /// with them, the services that owe something because of them, and all that any of those needs or runs
    /// with. None where a name is no promise's. `frame`: what these are tied by beside that, and it need not have
    /// the promises themselves.
    pub fn around(&self, frame: &Promises, names: &[String]) -> Option<Vec<usize>> {
        let asked: HashSet<u64> = names.iter().map(|it| number(it)).collect();
        let named: Vec<usize> =
            (0..self.names.len()).filter(|at| asked.contains(&self.names[*at])).collect();
        let found: HashSet<u64> = named.iter().map(|at| self.names[*at]).collect();
        if found.len() < asked.len() {
            return None;
        }
        Some(self.around_these(frame, &named))
    }

    /// The same of promises that are known by their indices.
    pub fn around_these(&self, frame: &Promises, named: &[usize]) -> Vec<usize> {
        let inputs: HashMap<usize, &Inputs> =
            frame.inputs.iter().map(|it| (it.runner, it)).collect();
        let mut known: BTreeSet<usize> = BTreeSet::new();
        let mut next = [named, &self.always].concat();
        // What is selected with the named ones is selected because of them, so it is looked for once for each.
        for unit in &frame.units {
            if unit.members.iter().any(|at| named.contains(at)) {
                next.extend(&unit.members);
            }
        }
        let selected: BTreeSet<usize> = next.iter().copied().collect();
        for one in &frame.inputs {
            if one.reload.iter().chain(&one.restart).any(|it| selected.contains(it)) {
                next.push(one.runner);
            }
        }
        while let Some(at) = next.pop() {
            if known.insert(at) {
                next.extend(&self.needs[at]);
                next.extend(inputs.get(&at).into_iter().flat_map(|it| it.all()));
                next.extend(self.parts(at));
            }
        }
        known.into_iter().collect()
    }

    /// The other parts of the same promise: they stand beside each other.
    fn parts(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let same = move |it: &usize| self.names[*it] == self.names[at];
        (0..at).rev().take_while(same).chain((at + 1..self.names.len()).take_while(same))
    }
}

/// The same in every run of this program, which alone reads what it has written.
fn number(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Promises {
    /// All but the promises themselves.
    pub fn frame(&self) -> Promises {
        let Promises { all: _, inputs, units, unit_files, waves, architecture, settled } = self;
        Promises {
            all: vec![],
            inputs: inputs.clone(),
            units: units.clone(),
            unit_files: unit_files.clone(),
            waves: waves.clone(),
            architecture: architecture.clone(),
            settled: *settled,
        }
    }

    /// This frame around these promises alone. `all`: what stands at each of these indices, which are
    /// [`Ties::around`] some.
    pub fn around_only(&self, which: &[usize], mut all: Vec<Promised>) -> Promises {
        let place = |at: &usize| which.binary_search(at).ok();
        let places = |its: &[usize]| its.iter().filter_map(place).collect::<Vec<usize>>();
        for promised in &mut all {
            promised.needs = places(&promised.needs);
            promised.lies_in = places(&promised.lies_in);
        }
        let inputs = self.inputs.iter().filter_map(|it| {
            let Inputs { runner, reload, restart, read } = it;
            let (reload, restart, read) = (places(reload), places(restart), places(read));
            Some(Inputs { runner: place(runner)?, reload, restart, read })
        });
        let unit = |it: &Unit| Unit { id: it.id.clone(), members: places(&it.members) };
        let waves = self.waves.iter().map(|it| places(it));
        Promises {
            inputs: inputs.collect(),
            units: self.units.iter().map(unit).filter(|it| !it.members.is_empty()).collect(),
            unit_files: places(&self.unit_files),
            waves: waves.filter(|it| !it.is_empty()).collect(),
            architecture: self.architecture.clone(),
            settled: self.settled,
            all,
        }
    }
}

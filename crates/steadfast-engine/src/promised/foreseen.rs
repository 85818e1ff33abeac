//! Promises that follow from what another promise of the same run makes of the machine: a file is rendered with
//! the name that the host is about to get.

use super::Promises;
use crate::graph;
use std::collections::{BTreeSet, HashMap};
use steadfast_model::PromiseId;
use steadfast_resources::Resource;

impl Promises {
    /// Whatever these promises say otherwise than `before` waits for the `makers`, and is not attempted where one of
    /// them is not kept. What a maker needs itself does not wait.
    pub fn wait_for(&mut self, makers: &BTreeSet<PromiseId>, before: &Promises) {
        let mut known: HashMap<&PromiseId, Vec<&Resource>> = HashMap::new();
        for promised in &before.all {
            known.entry(&promised.id).or_default().push(&promised.want);
        }
        let is_maker = |at: &usize| makers.contains(&self.all[*at].id);
        let makers: Vec<usize> = (0..self.all.len()).filter(is_maker).collect();
        let free = self.with_needs(&makers);
        let is_other = |at: &usize| {
            let promised = &self.all[*at];
            !known.get(&promised.id).is_some_and(|it| it.contains(&&promised.want))
        };
        let others: Vec<usize> =
            (0..self.all.len()).filter(|at| !free.contains(at)).filter(is_other).collect();
        for at in others {
            let needs = &mut self.all[at].needs;
            needs.extend(&makers);
            needs.sort_unstable();
            needs.dedup();
        }
        // There is no circle: nothing that a maker comes after waits for it.
        if let Ok(waves) = graph::waves(&self.tasks()) {
            self.waves = waves;
        }
    }

    /// These, and everything that they come after.
    fn with_needs(&self, which: &[usize]) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        let mut open = which.to_vec();
        while let Some(at) = open.pop() {
            if all.insert(at) {
                open.extend(&self.all[at].needs);
                open.extend(self.inputs_of(at).into_iter().flat_map(|it| it.all()));
            }
        }
        all
    }
}

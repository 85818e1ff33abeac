//! The order of one run, where this machine demands another than the promises do by themselves: who makes way
//! for another goes first. Somebody takes the number that somebody else has, and gets a new one in the same run.
//! So does a unit that takes another along when it is enabled, where that is promised otherwise.

use crate::graph;
use crate::promised::Promises;
use std::collections::BTreeSet;
use steadfast_resources::Identity;

/// Said of promises of which each waits until another has made way.
const CIRCLE: &str = "who has it waits for this one in turn: numbers are not exchanged in one run, so give one of \
    them a number that is free, and then its own";

/// Said of units of which each takes the other along.
const ALONG: &str = "the unit files of this one and of another take each other along (`Also=`): promise the same of both";

/// When each promise has its turn in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turns {
    /// None where it is the order of the promises themselves.
    waves: Option<Vec<Vec<usize>>>,
    /// Which one goes after which other.
    after: BTreeSet<(usize, usize)>,
    /// The same, where that would be a circle.
    circles: BTreeSet<(usize, usize)>,
}

impl Turns {
    pub fn waves<'a>(&'a self, promises: &'a Promises) -> &'a [Vec<usize>] {
        self.waves.as_deref().unwrap_or(&promises.waves)
    }

    /// What is to be said of a promise beside what is in its way.
    pub(crate) fn note(&self, promises: &Promises, at: usize) -> Option<&'static str> {
        let is_unit = promises.all[at].want.as_runner().is_some();
        let words = if is_unit { ALONG } else { CIRCLE };
        self.circles.iter().any(|it| it.0 == at).then_some(words)
    }

    /// Finds out who makes way for whom: `waiting` are those that are not kept as long as these things are in
    /// the way, and `frees` those whose changes make things free, be it that they wait for others themselves.
    /// Whether that makes another order.
    pub(crate) fn find(
        &mut self,
        promises: &Promises,
        waiting: &[(usize, Vec<Identity>)],
        frees: &[(usize, Vec<Identity>)],
    ) -> bool {
        let mut found = self.clone();
        for (late, things) in waiting {
            let makes_way = |its: &[Identity]| its.iter().any(|it| things.contains(it));
            for (early, _) in frees.iter().filter(|(early, its)| early != late && makes_way(its)) {
                let pair = (*late, *early);
                if !found.circles.contains(&pair) {
                    found.after.insert(pair);
                }
            }
        }
        if found.after == self.after {
            return false;
        }
        found.order(promises);
        *self = found;
        true
    }

    /// Puts what is known of the order into waves; what would be a circle is left out.
    fn order(&mut self, promises: &Promises) {
        loop {
            let mut tasks = promises.tasks();
            for (late, early) in &self.after {
                tasks[*late].needs.push(*early);
            }
            let circle = match graph::waves(&tasks) {
                Ok(waves) => {
                    self.waves = Some(waves);
                    return;
                }
                Err(circle) => circle.0,
            };
            let in_circle = |it: &(usize, usize)| circle.contains(&it.0) && circle.contains(&it.1);
            let (circles, after): (BTreeSet<_>, BTreeSet<_>) =
                std::mem::take(&mut self.after).into_iter().partition(in_circle);
            let is_none = circles.is_empty();
            self.after = after;
            self.circles.extend(circles);
            if is_none {
                // The promises themselves are one: nothing of them is run.
                self.waves = None;
                return;
            }
        }
    }
}

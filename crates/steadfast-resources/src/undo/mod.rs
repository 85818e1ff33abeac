//! What a run leaves behind on the machine, facet by facet: what was there before, and what was left, so
//! that it can be told whether somebody has changed it since, and taken back.
//!
//! A [`Facet`] is finer than a promise: a service that was started and enabled is two, a directory with
//! files of the model has one for each of them. What is not known well enough to be taken back is
//! [`FacetState::Unknown`]: it is told, and never touched.

//!
//! Here is what the kinds have in common. Which effects a change has, what a facet is now and how it becomes
//! again what it was, each kind says itself: see [`crate::Kind`].

mod facet;
mod state;
mod unsaid;

pub use facet::{Facet, Says};
pub use state::{Content, FacetState};
pub use unsaid::unsaid;

use std::collections::HashMap;
use std::sync::Arc;
use steadfast_system::services::Unit;

/// What one change makes of one facet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub facet: Facet,
    pub before: FacetState,
    /// What is there once the change is made.
    pub after: FacetState,
    /// Nothing of its content may be known but a keyed digest.
    pub sensitive: bool,
}

impl Effect {
    pub fn new(facet: Facet, before: FacetState, after: FacetState) -> Effect {
        Effect { facet, before, after, sensitive: false }
    }
}

/// The effects of several changes, one after the other; each facet once.
pub(crate) fn merge(effects: impl Iterator<Item = Effect>) -> Vec<Effect> {
    let mut all: Vec<Effect> = vec![];
    let mut known: HashMap<Facet, usize> = HashMap::new();
    for effect in effects {
        match known.get(&effect.facet) {
            Some(at) => {
                let known = &mut all[*at];
                known.before.complete(&effect.before);
                known.after.then(&effect.after);
                known.sensitive |= effect.sensitive;
            }
            None => {
                known.insert(effect.facet.clone(), all.len());
                all.push(effect);
            }
        }
    }
    all
}

/// What a look at a facet shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Now {
    pub state: FacetState,
    /// Something is mounted at the path, so that it cannot be renamed over.
    pub mounted: bool,
    /// How large a regular file is.
    pub size: u64,
    /// Who stands in the list of a group.
    pub members: Vec<Arc<str>>,
    /// The unit failed, or can be reloaded: for whoever has to bring it up to date.
    pub unit: Option<Unit>,
}

impl Now {
    pub fn new(state: FacetState) -> Now {
        Now { state, mounted: false, size: 0, members: vec![], unit: None }
    }
}

/// What there is to know beside the facet itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What a file held.
    pub content: Option<&'a Arc<[u8]>>,
    /// Nothing of the contents may be shown or kept.
    pub hidden: bool,
    /// Its path has to be said, because the promise has another name.
    pub named: bool,
}

#[cfg(test)]
mod tests;

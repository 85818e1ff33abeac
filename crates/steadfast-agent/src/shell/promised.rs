//! Which promises are about what in a directory that is watched.

use std::collections::HashMap;
use std::sync::Arc;
use steadfast_model::PromiseId;
use steadfast_system::attribution::Act;

#[derive(Debug)]
pub(super) struct Promised {
    /// All that are watched, wherever: here they are numbers among them.
    watched: Arc<[PromiseId]>,
    names: HashMap<Box<[u8]>, Vec<u32>>,
    /// Promises about which names there are in it, and whose they are.
    all: Vec<u32>,
}

impl Promised {
    pub(super) fn new(watched: &Arc<[PromiseId]>) -> Promised {
        Promised { watched: Arc::clone(watched), names: HashMap::new(), all: vec![] }
    }

    /// A promise is about this name.
    pub(super) fn add_name(&mut self, name: &[u8], promise: u32) {
        self.names.entry(name.into()).or_default().push(promise);
    }

    /// A promise is about every name.
    pub(super) fn add_folder(&mut self, promise: u32) {
        self.all.push(promise);
    }

    pub(super) fn is_about(&self, name: &[u8], what: Act) -> bool {
        self.numbers(name, what).next().is_some()
    }

    /// The promises that are about a name, where that was done to it.
    pub(super) fn about(&self, name: &[u8], what: Act) -> impl Iterator<Item = &PromiseId> {
        self.numbers(name, what).filter_map(|it| self.watched.get(it))
    }

    /// The same, by their numbers.
    pub(super) fn numbers(&self, name: &[u8], what: Act) -> impl Iterator<Item = usize> {
        let named = self.names.get(name).into_iter().flatten();
        let all: &[u32] = match what {
            Act::Written => &[],
            Act::Changed => &self.all,
        };
        named.chain(all).map(|it| *it as usize)
    }

    /// The names that promises are about, and their numbers.
    pub(super) fn named(&self) -> impl Iterator<Item = (&[u8], &[u32])> {
        self.names.iter().map(|(name, numbers)| (&**name, &**numbers))
    }

    /// The numbers of those that are about every name.
    pub(super) fn about_all(&self) -> &[u32] {
        &self.all
    }

    /// Those that are about anything in it.
    pub(super) fn every(&self) -> impl Iterator<Item = usize> {
        self.names.values().flatten().chain(&self.all).map(|it| *it as usize)
    }
}

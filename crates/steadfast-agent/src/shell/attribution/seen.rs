//! What the thread that listens has seen, until the loop takes it.

use crate::shell::promised::Promised;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use steadfast_system::attribution::{Act, Changer, Event, Place};

/// So much waits until the loop asks. It asks whenever inotify has told something.
pub(super) const SIGHTINGS: usize = 1_024;
/// The same again is looked for among so many of the latest.
const LATEST: usize = 64;

/// What the thread and the loop share.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sightings: Mutex<VecDeque<Sighting>>,
    /// What is promised in each place: nothing else is looked into.
    promised: Mutex<HashMap<Place, Arc<Promised>>>,
    /// A run of ours is under way: a process that has ended may have been its.
    pub(super) running: AtomicBool,
}

/// A process did something to a name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) place: Place,
    pub(super) name: Box<[u8]>,
    pub(super) act: Act,
    pub(super) changer: Changer,
}

impl Seen {
    pub(super) fn sightings(&self) -> MutexGuard<'_, VecDeque<Sighting>> {
        // A list is whole whatever happened to who held it.
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn promised(&self) -> MutexGuard<'_, HashMap<Place, Arc<Promised>>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is promised about what has happened.
    pub(super) fn matters(&self, event: &Event) -> bool {
        self.promised().get(&event.place).is_some_and(|it| it.is_about(&event.name, event.act))
    }
}

/// One more sighting; the same again is the same one, and of too many the oldest go.
pub(super) fn note(all: &mut VecDeque<Sighting>, new: Sighting) {
    let same = |it: &&mut Sighting| {
        it.place == new.place
            && it.name == new.name
            && it.act == new.act
            && it.changer.is_same(&new.changer)
    };
    if let Some(known) = all.iter_mut().rev().take(LATEST).find(same) {
        known.changer.at = new.changer.at;
        return;
    }
    if all.len() >= SIGHTINGS {
        all.pop_front();
    }
    all.push_back(new);
}

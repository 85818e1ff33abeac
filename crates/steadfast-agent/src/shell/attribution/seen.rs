//! What the thread that listens has seen, until the loop takes it.

use crate::shell::promised::Promised;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steadfast_system::attribution::{Act, Changer, Event, Place};

/// So much waits until the loop asks. It asks whenever inotify has told something.
pub(super) const SIGHTINGS: usize = 1_024;
/// The same again is looked for among so many of the latest.
const LATEST: usize = 64;
/// The longest that the loop waits for the thread. Who is asked may be slow to answer, so this is no matter of
/// events alone.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// What is promised in each place. One place may have several paths, by links.
pub(super) type Promises = HashMap<Place, Vec<Arc<Promised>>>;

/// This is promised there too.
pub(super) fn add(all: &mut Promises, place: Place, promised: &Arc<Promised>) {
    let there = all.entry(place).or_default();
    if !there.iter().any(|it| Arc::ptr_eq(it, promised)) {
        there.push(Arc::clone(promised));
    }
}

/// What the thread and the loop share.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sightings: Mutex<VecDeque<Sighting>>,
    /// What is promised in each place: nothing else is looked into.
    promised: Mutex<Promises>,
    /// A run of ours is under way: a process that has ended may have been its.
    pub(super) running: AtomicBool,
    rounds: Mutex<Rounds>,
    round_ended: Condvar,
}

/// How often the thread has begun to read, and has noted all that there was to be read.
#[derive(Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
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

    pub(super) fn promised(&self) -> MutexGuard<'_, Promises> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One reading by the thread: once it is over, all is noted that had happened when it began.
    pub(super) fn round<T>(&self, read: impl FnOnce() -> T) -> T {
        self.rounds().begun += 1;
        let done = read();
        let mut rounds = self.rounds();
        rounds.ended = rounds.begun;
        self.round_ended.notify_all();
        done
    }

    /// Returns when all is noted that has happened until now, or when that takes too long. `is_any_unread`:
    /// whether the kernel has something to tell.
    pub(super) fn catch_up(&self, is_any_unread: impl Fn() -> bool) {
        let rounds = self.rounds();
        let wanted = rounds.begun + 1;
        let is_behind = |rounds: &mut Rounds| {
            rounds.ended < wanted && (rounds.begun != rounds.ended || is_any_unread())
        };
        // Of who is named too late, the name is missing.
        let _waited = self.round_ended.wait_timeout_while(rounds, LONGEST_WAIT, is_behind);
    }

    /// Whether something is promised about what has happened.
    pub(super) fn matters(&self, event: &Event) -> bool {
        let promised = self.promised();
        let mut all = promised.get(&event.place).into_iter().flatten();
        all.any(|it| it.is_about(&event.name, event.act))
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

//! The queue of known revisions: those that were accepted, are newer than what is kept, and wait. A node of a
//! late wave adopts the newest whose own turn has come, and not the newest of all, or a fleet that commits more
//! often than its last wave would never adopt anything (decision 0048).
//!
//! The newest is the [`candidate`](Memory::candidate); the others lie in the [`queue`](Memory::queue) before
//! it, in the order in which they were accepted.

use crate::memory::{Candidate, Memory};
use crate::schedule::later;
use jiff::Timestamp;
use std::time::Duration;
use steadfast_node::revision::{Revision, RevisionInfo};

/// So many are known at one time, the candidate among them.
pub const MOST: usize = 64;
/// A signed date further in the future than this is not believed.
const SKEW: Duration = Duration::from_secs(3_600);
/// A shorter beginning of a commit's name than this may be anybody's.
const PREFIX: usize = 7;

/// The moment from which the waves of a revision count: the later of the date that its signer gave it and
/// of when this node first saw it. Whoever writes a commit writes its date, and one of last week would pass
/// all waves; and their clock, where it is ahead, must not keep this node waiting for years.
pub(crate) fn counted_from(candidate: &Candidate) -> Timestamp {
    let Candidate { info, seen, expired: _ } = candidate;
    if info.date > later(*seen, SKEW) { *seen } else { info.date.max(*seen) }
}

impl Memory {
    /// All of them, the oldest first.
    pub fn known(&self) -> impl DoubleEndedIterator<Item = &Candidate> {
        self.queue.iter().chain(&self.candidate)
    }

    pub fn known_mut(&mut self) -> impl Iterator<Item = &mut Candidate> {
        self.queue.iter_mut().chain(&mut self.candidate)
    }

    pub fn is_known(&self, revision: &Revision) -> bool {
        self.known().any(|it| it.info.revision == *revision)
    }

    pub(crate) fn forget_known(&mut self) {
        self.queue.clear();
        self.candidate = None;
    }

    /// One more was accepted, or one of them again.
    pub(crate) fn learn(&mut self, info: RevisionInfo, now: Timestamp) {
        while let Some(last) = &mut self.candidate {
            if last.info.revision == info.revision {
                // Perhaps good for longer, and not newer: to renew it does not begin its waves again.
                let date = info.date.min(last.info.date);
                if info.expires > last.info.expires {
                    last.expired = None;
                }
                last.info = RevisionInfo { date, ..info };
                return;
            }
            if !self.is_known(&info.revision) {
                break;
            }
            // The source has gone back to it: what came after it is not offered any more.
            self.candidate = self.queue.pop();
        }
        let before = self.candidate.replace(Candidate::new(info, now));
        self.queue.extend(before);
        while self.queue.len() >= MOST {
            self.thin();
        }
    }

    /// One makes room: that whose neighbours are nearest to each other in time, but never the oldest, whose turn
    /// comes first, nor the newest. So what stays is spread over the time of the waves, and what a node keeps
    /// is hardly older for it.
    fn thin(&mut self) {
        let times: Vec<Timestamp> = self.known().map(counted_from).collect();
        let gap = |at: &usize| times[*at + 1].duration_since(times[*at - 1]).abs();
        if let Some(at) = (1..times.len().saturating_sub(1)).min_by_key(gap) {
            self.queue.remove(at);
        }
    }

    /// Takes one out in order to adopt it. Those before it are not needed any more.
    pub(crate) fn take_known(&mut self, revision: &Revision) -> Option<Candidate> {
        let is_it = |it: &Candidate| it.info.revision == *revision;
        if self.candidate.as_ref().is_some_and(is_it) {
            self.queue.clear();
            return self.candidate.take();
        }
        let at = self.queue.iter().position(is_it)?;
        self.queue.drain(..=at).next_back()
    }

    /// A newer one says that this one is not to be adopted any more. Gives those that it named: a commit is named
    /// in full or by its beginning.
    pub(crate) fn supersede(&mut self, named: &str) -> Vec<Revision> {
        if named.len() < PREFIX {
            return vec![];
        }
        let is_named = |it: &mut Candidate| it.info.revision.0.starts_with(named);
        self.queue.extract_if(.., is_named).map(|it| it.info.revision).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn info(name: &str) -> RevisionInfo {
        RevisionInfo { revision: Revision::new(name), sequence: None, date: at(0), expires: None }
    }

    fn names(memory: &Memory) -> Vec<&str> {
        memory.known().map(|it| &*it.info.revision.0).collect()
    }

    fn learned(all: &[&str]) -> Memory {
        let mut memory = Memory::default();
        for (when, name) in (0..).zip(all) {
            memory.learn(info(name), at(when));
        }
        memory
    }

    #[test]
    fn whatever_is_thinned_out_the_oldest_and_the_newest_stay_and_the_gaps_stay_even() {
        let mut memory = Memory::default();
        for number in 0..10_000 {
            memory.learn(info(&number.to_string()), at(number));
            assert!(memory.known().count() <= MOST);
            assert_eq!(*names(&memory).first().unwrap(), "0");
            assert_eq!(*names(&memory).last().unwrap(), number.to_string());
        }
        let times: Vec<i64> = memory.known().map(|it| it.seen.as_second()).collect();
        let widest = times.windows(2).map(|it| it[1] - it[0]).max().unwrap();
        assert!(widest <= 2 * 10_000 / 60, "{times:?}");
    }

    #[test]
    fn what_is_taken_leaves_what_is_newer() {
        let mut memory = learned(&["a", "b", "c", "d"]);
        assert_eq!(memory.take_known(&Revision::new("x")), None);
        let taken = memory.take_known(&Revision::new("b")).unwrap();
        assert_eq!((&*taken.info.revision.0, taken.seen), ("b", at(1)));
        assert_eq!(names(&memory), ["c", "d"]);
        assert!(memory.take_known(&Revision::new("d")).is_some());
        assert!(names(&memory).is_empty());
    }

    #[test]
    fn a_source_that_goes_back_to_a_revision_takes_back_what_came_after_it() {
        let mut memory = learned(&["a", "b", "c"]);
        memory.learn(info("b"), at(9));
        assert_eq!(names(&memory), ["a", "b"]);
        assert_eq!(memory.candidate.unwrap().seen, at(1), "its waves do not begin again");
    }

    #[test]
    fn what_is_superseded_is_named_in_full_or_by_its_beginning() {
        let mut memory = learned(&["0123456789", "0123456abc", "0123fedcba", "newest-one"]);
        assert_eq!(memory.supersede("0123"), [], "that may be anybody's");
        assert_eq!(memory.supersede("0123fedcba"), [Revision::new("0123fedcba")]);
        assert_eq!(memory.supersede("0123456").len(), 2);
        assert_eq!(memory.supersede("newest-"), [], "what it says of itself is no matter");
        assert_eq!(names(&memory), ["newest-one"]);
    }
}

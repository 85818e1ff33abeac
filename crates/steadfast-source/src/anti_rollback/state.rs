//! What a node remembers, so that nobody leads it backwards.

use super::point::{Advance, Candidate, KeySetPoint, Point};
use jiff::Timestamp;
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AntiRollback {
    /// Where the highest revision came from, for people.
    pub source: String,
    pub highest: Option<Point>,
    pub key_set: Option<KeySetPoint>,
    /// The keys that were trusted when this was written.
    pub known_keys: BTreeSet<String>,
    /// The keys that were trusted before and are not any more. It only grows.
    pub removed_keys: BTreeSet<String>,
}

impl AntiRollback {
    /// Takes note of the keys that are trusted now: those that were known and are no more trusted are
    /// removed for good, whatever a later file says.
    pub fn see_keys(&mut self, trusted: &BTreeSet<String>) {
        let gone: Vec<String> = self.known_keys.difference(trusted).cloned().collect();
        self.removed_keys.extend(gone);
        self.known_keys.clone_from(trusted);
    }

    /// Takes note of a candidate that was judged.
    pub fn take(&mut self, candidate: &Candidate, advance: Advance, source: &str) {
        let Candidate { point, descent: _, key_set, signers: _ } = candidate;
        match advance {
            // An older manifest of the same content does not take back what a renewal promised.
            Advance::Same => {}
            Advance::First | Advance::Forward | Advance::Renewed | Advance::Forced => {
                self.highest = Some(point.clone());
            }
        }
        source.clone_into(&mut self.source);
        if key_set.is_some() {
            self.key_set = *key_set;
        }
    }

    /// When the newest model that was accepted is stale; git commits never are by themselves.
    pub fn expires(&self) -> Option<Timestamp> {
        match self.highest {
            Some(Point::Snapshot { expires, .. }) => Some(expires),
            Some(Point::Git { .. } | Point::Directory { .. }) | None => None,
        }
    }
}

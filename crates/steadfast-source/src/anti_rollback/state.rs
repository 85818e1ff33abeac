//! What a node remembers, so that nobody leads it backwards.

use super::point::{Advance, Candidate, Force, KeySetPoint, Point, TrustedKeys};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// What passes is noted this often where there is nothing else to note.
const PACE: SignedDuration = SignedDuration::from_hours(1);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AntiRollback {
    /// Where the highest revision came from, for people.
    pub source: String,
    pub highest: Option<Point>,
    pub key_set: Option<KeySetPoint>,
    /// The keys that were trusted when this was written.
    pub known_keys: BTreeSet<String>,
    /// The keys that were trusted before and are not any more. Only root's word takes one back.
    pub removed_keys: BTreeSet<String>,
    /// The latest time at which a source was heard: a clock that is put back since does not make what has
    /// expired good again.
    pub believed: Option<Timestamp>,
}

impl AntiRollback {
    /// The time to judge by. Root's word is also one for the clock.
    pub fn time(&self, now: Timestamp, force: Force) -> Timestamp {
        match force {
            Force::No => self.believed.map_or(now, |it| it.max(now)),
            Force::Yes => now,
        }
    }

    /// Takes note of the time. The state is written where it changes, so this is done now and then.
    pub fn hear(&mut self, now: Timestamp) {
        if self.believed.is_none_or(|it| now.duration_since(it) >= PACE) {
            self.believed = Some(now);
        }
    }

    /// Takes note of the time at which something had expired.
    pub fn saw_expired(&mut self, now: Timestamp) {
        self.believed = self.believed.max(Some(now));
    }

    /// Takes note of the keys that are trusted while a candidate is taken. Those that have left the
    /// file of keys are removed by what is new: a file that was read in the middle of being written, or lost its
    /// end, comes with nothing new that its keys have signed.
    fn see_keys(&mut self, keys: &TrustedKeys, advance: Advance) {
        let TrustedKeys { now, replaced } = keys;
        self.removed_keys.extend(replaced.difference(now).cloned());
        self.known_keys.retain(|it| !replaced.contains(it));
        match advance {
            Advance::First | Advance::Forward | Advance::Forced => {
                let gone: Vec<String> = self.known_keys.difference(now).cloned().collect();
                self.removed_keys.extend(gone);
                self.known_keys.clone_from(now);
            }
            Advance::Same | Advance::Renewed => self.known_keys.extend(now.iter().cloned()),
        }
    }

    /// Takes note of a candidate that was judged.
    pub fn take(&mut self, candidate: &Candidate, advance: Advance, source: &str, now: Timestamp) {
        let Candidate { point, descent: _, key_set, keys, signers } = candidate;
        if let Some(keys) = keys {
            self.see_keys(keys, advance);
        }
        match advance {
            // An older manifest of the same content does not take back what a renewal promised.
            Advance::Same => self.hear(now),
            Advance::First | Advance::Forward | Advance::Renewed => {
                self.highest = Some(point.clone());
                self.believed = self.believed.max(Some(now));
            }
            Advance::Forced => {
                self.highest = Some(point.clone());
                // Root has said that this is right, by whom it is signed, and so what time it is.
                self.removed_keys.retain(|key| !signers.iter().any(|it| it.key == *key));
                self.believed = Some(now);
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

//! What is asked of the source, what it has said, and what is known of the revisions that it has offered.

use crate::memory::Wanted;
use crate::schedule::{at_most, later};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use steadfast_node::revision::Revision;
use steadfast_node::wire::{Prepared, Refusal};

/// The longest between two attempts at the source while it fails; the fetch interval where it is longer.
pub(crate) const LONGEST_FETCH_RETRY: Duration = Duration::from_secs(1_800);
/// What waits may do so for days, and facts change.
pub(crate) const PREPARE_AGAIN: Duration = Duration::from_secs(3_600);
/// What is behind another would be adopted only if nothing comes of that.
const LOOK_BEHIND_AGAIN: Duration = Duration::from_secs(24 * 3_600);

/// What is asked of the source, and what it has said.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) phase: Phase,
    pub(crate) next_fetch: Timestamp,
    /// Fetches that failed, one after the other.
    pub(crate) failures: u32,
    /// Why the last answer was not taken.
    pub(crate) refusal: Option<Refusal>,
    /// When an answer was last taken.
    pub(crate) heard: Option<Timestamp>,
    /// What preparing them has found out.
    prepared: BTreeMap<Revision, PreparedOne>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    Idle,
    /// `outdated`: the settings were read again since.
    Fetching {
        wanted: Option<Wanted>,
        outdated: bool,
    },
    Preparing {
        revision: Revision,
    },
}

#[derive(Debug)]
pub(crate) struct PreparedOne {
    pub(crate) result: Result<Prepared, Vec<String>>,
    pub(crate) at: Timestamp,
}

impl Upstream {
    pub(crate) fn new(now: Timestamp) -> Upstream {
        Upstream {
            phase: Phase::Idle,
            next_fetch: now,
            failures: 0,
            refusal: None,
            heard: None,
            prepared: BTreeMap::new(),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        match self.phase {
            Phase::Idle => true,
            Phase::Fetching { .. } | Phase::Preparing { .. } => false,
        }
    }

    /// What was begun was not begun after all.
    pub(crate) fn not_begun(&mut self) {
        self.phase = Phase::Idle;
    }

    pub(crate) fn heed_the_clock(&mut self, interval: Duration, now: Timestamp) {
        at_most(&mut self.next_fetch, interval.max(LONGEST_FETCH_RETRY), now);
        for prepared in self.prepared.values_mut() {
            // Nothing was found out later than now.
            prepared.at = prepared.at.min(now);
        }
    }

    /// When preparing is due; nothing where it has never been done. One that may be adopted next, or is the
    /// newest, is urgent.
    pub(crate) fn prepare_due(&self, revision: &Revision, is_urgent: bool) -> Option<Timestamp> {
        let again = if is_urgent { PREPARE_AGAIN } else { LOOK_BEHIND_AGAIN };
        self.prepared.get(revision).map(|it| later(it.at, again))
    }

    /// What was found out about this revision.
    pub(crate) fn prepared(&self, revision: &Revision) -> Option<&Result<Prepared, Vec<String>>> {
        self.prepared.get(revision).map(|it| &it.result)
    }

    pub(crate) fn keep_prepared(&mut self, revision: Revision, found: PreparedOne) {
        self.prepared.insert(revision, found);
    }

    /// It is about to be adopted, and what the others would do changes by that.
    pub(crate) fn take_prepared(&mut self, revision: &Revision) -> Option<Prepared> {
        let mut all = std::mem::take(&mut self.prepared);
        all.remove(revision).and_then(|it| it.result.ok())
    }

    /// They are looked at anew: by another budget, and on a machine that was another one.
    pub(crate) fn forget_prepared(&mut self) {
        self.prepared.clear();
    }

    /// What is not known any more needs no answer.
    pub(crate) fn forget_prepared_but(&mut self, is_known: impl Fn(&Revision) -> bool) {
        self.prepared.retain(|revision, _| is_known(revision));
    }
}

//! What is asked of the source, what it has said, and what is known of its candidate.

use crate::memory::Wanted;
use crate::schedule::at_most;
use jiff::Timestamp;
use std::time::Duration;
use steadfast_node::revision::Revision;
use steadfast_node::wire::{Prepared, Refusal};

/// The longest between two attempts at the source while it fails; the fetch interval where it is longer.
pub(crate) const LONGEST_FETCH_RETRY: Duration = Duration::from_secs(1_800);
/// A candidate may wait for days, and facts change.
pub(crate) const PREPARE_AGAIN: Duration = Duration::from_secs(3_600);

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
    /// What preparing the candidate has found out.
    pub(crate) prepared: Option<PreparedOne>,
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
    pub(crate) revision: Revision,
    pub(crate) result: Result<Prepared, Vec<String>>,
    /// When it is worth trying again: facts change.
    pub(crate) again: Timestamp,
}

impl Upstream {
    pub(crate) fn new(now: Timestamp) -> Upstream {
        Upstream {
            phase: Phase::Idle,
            next_fetch: now,
            failures: 0,
            refusal: None,
            heard: None,
            prepared: None,
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
        if let Some(prepared) = &mut self.prepared {
            at_most(&mut prepared.again, PREPARE_AGAIN, now);
        }
    }

    /// When preparing is due; nothing where it has never been done. A candidate may wait for days.
    pub(crate) fn prepare_due(&self, revision: &Revision) -> Option<Timestamp> {
        self.prepared.as_ref().filter(|it| it.revision == *revision).map(|it| it.again)
    }

    /// What was found out about this revision.
    pub(crate) fn prepared(&self, revision: &Revision) -> Option<&Result<Prepared, Vec<String>>> {
        self.prepared.as_ref().filter(|it| it.revision == *revision).map(|it| &it.result)
    }

    /// The candidate is about to be adopted.
    pub(crate) fn take_prepared(&mut self) -> Option<Prepared> {
        self.prepared.take().and_then(|it| it.result.ok())
    }

    /// It is looked at anew: by another budget, and on a machine that was another one.
    pub(crate) fn forget_prepared(&mut self) {
        self.prepared = None;
    }
}

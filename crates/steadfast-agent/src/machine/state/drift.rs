//! Which promises are to be looked at because something of theirs was touched, and when. Repairing touches
//! things too, and so do others who want something else: nothing here may turn that into a race.

use crate::flapping::{FlapDetector, Flapping, SLOW};
use crate::schedule::{Chance, MINUTE, at_most, backoff, later};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use steadfast_model::PromiseId;
use steadfast_node::wire::{JudgedFailure, Selection};

/// Changes that come together are repaired together; short against the promised latency of 100 ms.
pub(crate) const MERGE: Duration = Duration::from_millis(20);
/// More drifted promises than this at once are a full run.
const MANY: usize = 1_000;
/// So many runs within a minute are each begun at once. Whoever drifts more often makes one every now and then, which
/// takes all that is due with it: nobody who keeps us busy in one place holds up what happens in another.
const RUNS_AT_ONCE: usize = 30;
const EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Drift {
    /// What was touched, and when it is looked at.
    due: BTreeMap<PromiseId, Timestamp>,
    /// The runs of the last minute that were about drift alone.
    runs: Vec<Timestamp>,
    /// What the last run repaired. Repairing touches it, so it is looked at once more, on no account.
    echoes: BTreeSet<PromiseId>,
    /// What could not be kept when it was last tried.
    retries: BTreeMap<PromiseId, Retry>,
    detector: FlapDetector,
}

/// A promise that is not kept is not tried again at once, whoever touches it: trying touches it too.
#[derive(Debug)]
struct Retry {
    failures: u32,
    not_before: Timestamp,
}

impl Drift {
    /// Gives what flaps no more.
    pub(crate) fn heed_the_clock(&mut self, now: Timestamp) -> Vec<Flapping> {
        self.due.values_mut().for_each(|it| at_most(it, SLOW, now));
        self.retries.values_mut().for_each(|it| at_most(&mut it.not_before, SLOW, now));
        self.runs.retain(|it| *it <= now && later(*it, MINUTE) > now);
        self.detector.forget(now)
    }

    /// Something that these promises are about was touched. Whether it is so many that only a full run
    /// makes sense.
    pub(crate) fn touched(&mut self, promises: Vec<PromiseId>, now: Timestamp) -> bool {
        for promise in promises {
            let retry = self.retries.get(&promise).map_or(now, |it| it.not_before);
            let due = later(now, MERGE).max(self.detector.not_before(&promise, now)).max(retry);
            let known = self.due.entry(promise).or_insert(due);
            *known = due.min(*known);
        }
        let many = self.due.len() > MANY;
        if many {
            self.due.clear();
        }
        many
    }

    /// A full run looks at all of it.
    pub(crate) fn clear(&mut self) {
        self.due.clear();
    }

    /// What is to be looked at now; nothing where nothing is, or too many runs were about drift lately.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<PromiseId> {
        let due: Vec<PromiseId> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(it, _)| it.clone()).collect();
        if due.is_empty() || now < self.not_before(now) {
            return vec![];
        }
        for promise in &due {
            self.due.remove(promise);
            self.detector.looked(promise, now);
        }
        let echo = due.iter().all(|it| self.echoes.contains(it));
        self.echoes.clear();
        if !echo {
            self.runs.push(now);
        }
        due
    }

    /// When there is something to look at.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.due.values().min().map(|it| (*it).max(self.not_before(now)))
    }

    /// Many different promises that drift are not run for one by one.
    fn not_before(&self, now: Timestamp) -> Timestamp {
        match self.runs.last() {
            Some(last) if self.runs.len() >= RUNS_AT_ONCE => later(*last, EVERY).max(now),
            Some(_) | None => now,
        }
    }

    /// A run has ended that repaired these.
    pub(crate) fn repaired(&mut self, promises: &[PromiseId]) {
        self.echoes = promises.iter().cloned().collect();
    }

    /// Whether a repair is one too many: somebody else writes it as well.
    pub(crate) fn is_flapping(&mut self, promise: &PromiseId, now: Timestamp) -> Option<Flapping> {
        self.detector.repaired(promise, now)
    }

    pub(crate) fn flapping(&self) -> Vec<Flapping> {
        self.detector.current()
    }

    /// After a run of single promises: what of them is not kept is tried again later and later.
    pub(crate) fn single_run_at(
        &mut self,
        only: &Selection,
        not_kept: &[JudgedFailure],
        now: Timestamp,
        chance: &mut Chance,
    ) {
        let broken: BTreeSet<&PromiseId> = not_kept.iter().map(|it| &it.failure.promise).collect();
        self.retries.retain(|promise, _| broken.contains(promise) || !only.names(promise));
        for promise in broken {
            let due = self.failed(promise, now, chance);
            self.due.insert(promise.clone(), due);
        }
    }

    /// After a full run: the next one is planned for what is not kept.
    pub(crate) fn full_run_at(
        &mut self,
        not_kept: &[JudgedFailure],
        now: Timestamp,
        chance: &mut Chance,
    ) {
        self.retries.clear();
        for broken in not_kept {
            self.failed(&broken.failure.promise, now, chance);
        }
    }

    fn failed(&mut self, promise: &PromiseId, now: Timestamp, chance: &mut Chance) -> Timestamp {
        let before = self.retries.get(promise).map_or(0, |it| it.failures);
        let failures = before.saturating_add(1);
        let not_before = later(now, backoff(failures, MINUTE, SLOW, chance));
        self.retries.insert(promise.clone(), Retry { failures, not_before });
        not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_keeps_us_busy_holds_up_nobody_else() {
        let mut drift = Drift::default();
        let mut now = Timestamp::from_second(1_800_000_000).unwrap();
        // Many promises in turn, so that none of them is told to flap.
        for number in 0..100 {
            drift.touched(vec![PromiseId::new("file", &number.to_string())], now);
            now = later(now, MERGE);
            drop(drift.take_due(now));
        }
        let quiet = PromiseId::new("file", "quiet");
        drift.touched(vec![quiet.clone()], now);
        let at = drift.next(now).unwrap();
        assert!(at <= later(now, EVERY), "{at}");
        assert!(drift.take_due(later(now, EVERY)).contains(&quiet));
    }
}

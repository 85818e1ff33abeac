//! Flapping: a promise is broken and repaired again and again, because somebody else writes the same thing.
//! The agent does not give in and does not race: it repairs less often, and says so.

use crate::schedule::{later, since};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use steadfast_model::PromiseId;

/// So many repairs within [`WITHIN`] are flapping.
pub(crate) const REPAIRS: usize = 5;
/// So many looks without a finding within [`WITHIN`] are a noisy watch.
const LOOKS: usize = 10;
const WITHIN: Duration = Duration::from_secs(600);
/// A promise that flaps is repaired no more often than this between two full runs.
pub(crate) const SLOW: Duration = Duration::from_secs(600);
/// A noisy watch leads to a look no more often than this.
const NOISY: Duration = Duration::from_secs(60);
/// Flapping is over when nothing had to be repaired for so long.
const OVER: Duration = Duration::from_secs(3_600);

/// One promise that two write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flapping {
    pub promise: PromiseId,
    pub since: Timestamp,
    /// How often it was repaired since then.
    pub repairs: u32,
    pub last: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FlapDetector {
    records: BTreeMap<PromiseId, Activity>,
}

#[derive(Clone, Debug, Default)]
struct Activity {
    looks: Vec<Timestamp>,
    repairs: Vec<Timestamp>,
    flapping: Option<Flapping>,
}

impl FlapDetector {
    /// When a promise that somebody has just touched may be looked at.
    pub(crate) fn not_before(&self, promise: &PromiseId, now: Timestamp) -> Timestamp {
        let Some(record) = self.records.get(promise) else { return now };
        if let Some(flapping) = &record.flapping {
            return later(flapping.last, SLOW).max(now);
        }
        match record.looks.last() {
            Some(last) if record.looks.len() >= LOOKS => later(*last, NOISY).max(now),
            Some(_) | None => now,
        }
    }

    pub(crate) fn looked(&mut self, promise: &PromiseId, now: Timestamp) {
        let record = self.records.entry(promise.clone()).or_default();
        record.looks.push(now);
        // The newest are the ones that count.
        let surplus = record.looks.len().saturating_sub(LOOKS);
        record.looks.drain(..surplus);
    }

    /// Says whether this is where it begins to flap.
    pub(crate) fn repaired(&mut self, promise: &PromiseId, now: Timestamp) -> Option<Flapping> {
        let record = self.records.entry(promise.clone()).or_default();
        if let Some(flapping) = &mut record.flapping {
            flapping.repairs = flapping.repairs.saturating_add(1);
            flapping.last = now;
            return None;
        }
        record.repairs.push(now);
        let since = *record.repairs.first()?;
        if record.repairs.len() < REPAIRS {
            return None;
        }
        let repairs = u32::try_from(record.repairs.len()).unwrap_or(u32::MAX);
        let flapping = Flapping { promise: promise.clone(), since, repairs, last: now };
        record.repairs.clear();
        record.flapping = Some(flapping.clone());
        Some(flapping)
    }

    /// Forgets what is long ago or, because the clock went back, not yet. Gives the flapping that is over.
    pub(crate) fn forget(&mut self, now: Timestamp) -> Vec<Flapping> {
        let mut over = vec![];
        self.records.retain(|_, record| {
            let recent = |at: &Timestamp| *at <= now && since(*at, now) < WITHIN;
            record.looks.retain(recent);
            record.repairs.retain(recent);
            if let Some(flapping) =
                record.flapping.take_if(|it| it.last > now || since(it.last, now) >= OVER)
            {
                over.push(flapping);
            }
            !record.looks.is_empty() || !record.repairs.is_empty() || record.flapping.is_some()
        });
        over
    }

    pub(crate) fn current(&self) -> Vec<Flapping> {
        self.records.values().filter_map(|it| it.flapping.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a() -> PromiseId {
        PromiseId::new("file", "/a")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn five_repairs_in_ten_minutes_are_flapping_and_a_quiet_hour_ends_it() {
        let mut detector = FlapDetector::default();
        for number in 0..4 {
            assert_eq!(detector.repaired(&a(), at(number * 60)), None);
        }
        assert_eq!(detector.not_before(&a(), at(240)), at(240));
        let flapping = detector.repaired(&a(), at(240)).unwrap();
        assert_eq!((flapping.repairs, flapping.since), (5, at(0)));
        assert_eq!(detector.not_before(&a(), at(250)), at(840), "slowed down");
        assert_eq!(detector.repaired(&a(), at(900)), None, "it is said once");
        assert_eq!(detector.forget(at(4_000)), []);
        assert_eq!(detector.forget(at(4_500))[0].repairs, 6);
        assert_eq!(detector.not_before(&a(), at(4_500)), at(4_500));
        assert!(detector.records.is_empty());
    }

    #[test]
    fn repairs_far_apart_are_no_flapping() {
        let mut detector = FlapDetector::default();
        for number in 0..100 {
            detector.forget(at(number * 300));
            assert_eq!(detector.repaired(&a(), at(number * 300)), None);
        }
    }

    #[test]
    fn a_noisy_watch_is_slowed_down_and_does_not_flap() {
        let mut detector = FlapDetector::default();
        for number in 0..10 {
            assert_eq!(detector.not_before(&a(), at(number)), at(number));
            detector.looked(&a(), at(number));
        }
        assert_eq!(detector.not_before(&a(), at(10)), at(69));
        assert_eq!(detector.current(), []);
    }

    #[test]
    fn a_clock_that_goes_back_ends_what_it_makes_future() {
        let mut detector = FlapDetector::default();
        for _ in 0..5 {
            detector.repaired(&a(), at(0));
        }
        assert_eq!(detector.forget(at(-86_400)).len(), 1);
        assert_eq!(detector.not_before(&a(), at(-86_400)), at(-86_400));
    }
}

//! Promises that are broken and repaired again and again: somebody else writes the same thing. The
//! agent does not give in and does not race: it repairs more slowly, and says that it is a fight.

use crate::schedule::{later, since};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// So many repairs within [`WITHIN`] are a fight.
pub(crate) const REPAIRS: usize = 5;
/// So many looks without a finding within [`WITHIN`] are a noisy watch.
const LOOKS: usize = 10;
const WITHIN: Duration = Duration::from_secs(600);
/// In a fight, a promise is repaired no more often than this between two full runs.
pub(crate) const SLOW: Duration = Duration::from_secs(600);
/// A noisy watch leads to a look no more often than this.
const NOISY: Duration = Duration::from_secs(60);
/// A fight is over when nothing had to be repaired for so long.
const OVER: Duration = Duration::from_secs(3_600);

/// One promise that two write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fight {
    pub promise: String,
    pub since: Timestamp,
    /// How often it was repaired since then.
    pub repairs: u32,
    pub last: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fights {
    records: BTreeMap<String, Record>,
}

#[derive(Clone, Debug, Default)]
struct Record {
    looks: Vec<Timestamp>,
    repairs: Vec<Timestamp>,
    fight: Option<Fight>,
}

impl Fights {
    /// When a promise that somebody has just touched may be looked at.
    pub(crate) fn not_before(&self, promise: &str, now: Timestamp) -> Timestamp {
        let Some(record) = self.records.get(promise) else { return now };
        if let Some(fight) = &record.fight {
            return later(fight.last, SLOW).max(now);
        }
        match record.looks.last() {
            Some(last) if record.looks.len() >= LOOKS => later(*last, NOISY).max(now),
            Some(_) | None => now,
        }
    }

    pub(crate) fn looked(&mut self, promise: &str, now: Timestamp) {
        let record = self.records.entry(promise.to_owned()).or_default();
        record.looks.push(now);
        // The newest are the ones that count.
        let surplus = record.looks.len().saturating_sub(LOOKS);
        record.looks.drain(..surplus);
    }

    /// Says whether this makes it a fight that was none before.
    pub(crate) fn repaired(&mut self, promise: &str, now: Timestamp) -> Option<Fight> {
        let record = self.records.entry(promise.to_owned()).or_default();
        if let Some(fight) = &mut record.fight {
            fight.repairs = fight.repairs.saturating_add(1);
            fight.last = now;
            return None;
        }
        record.repairs.push(now);
        let since = *record.repairs.first()?;
        if record.repairs.len() < REPAIRS {
            return None;
        }
        let repairs = u32::try_from(record.repairs.len()).unwrap_or(u32::MAX);
        let fight = Fight { promise: promise.to_owned(), since, repairs, last: now };
        record.repairs.clear();
        record.fight = Some(fight.clone());
        Some(fight)
    }

    /// Forgets what is long ago or, because the clock went back, not yet. Gives the fights that are over.
    pub(crate) fn forget(&mut self, now: Timestamp) -> Vec<Fight> {
        let mut over = vec![];
        self.records.retain(|_, record| {
            let recent = |at: &Timestamp| *at <= now && since(*at, now) < WITHIN;
            record.looks.retain(recent);
            record.repairs.retain(recent);
            if let Some(fight) =
                record.fight.take_if(|it| it.last > now || since(it.last, now) >= OVER)
            {
                over.push(fight);
            }
            !record.looks.is_empty() || !record.repairs.is_empty() || record.fight.is_some()
        });
        over
    }

    pub(crate) fn current(&self) -> Vec<Fight> {
        self.records.values().filter_map(|it| it.fight.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn five_repairs_in_ten_minutes_are_a_fight_and_a_quiet_hour_ends_it() {
        let mut fights = Fights::default();
        for number in 0..4 {
            assert_eq!(fights.repaired("a", at(number * 60)), None);
        }
        assert_eq!(fights.not_before("a", at(240)), at(240));
        let fight = fights.repaired("a", at(240)).unwrap();
        assert_eq!((fight.repairs, fight.since), (5, at(0)));
        assert_eq!(fights.not_before("a", at(250)), at(840), "slowed down");
        assert_eq!(fights.repaired("a", at(900)), None, "it is said once");
        assert_eq!(fights.forget(at(4_000)), []);
        assert_eq!(fights.forget(at(4_500))[0].repairs, 6);
        assert_eq!(fights.not_before("a", at(4_500)), at(4_500));
        assert!(fights.records.is_empty());
    }

    #[test]
    fn repairs_far_apart_are_no_fight() {
        let mut fights = Fights::default();
        for number in 0..100 {
            fights.forget(at(number * 300));
            assert_eq!(fights.repaired("a", at(number * 300)), None);
        }
    }

    #[test]
    fn a_noisy_watch_is_slowed_down_and_is_no_fight() {
        let mut fights = Fights::default();
        for number in 0..10 {
            assert_eq!(fights.not_before("a", at(number)), at(number));
            fights.looked("a", at(number));
        }
        assert_eq!(fights.not_before("a", at(10)), at(69));
        assert_eq!(fights.current(), []);
    }

    #[test]
    fn a_clock_that_goes_back_ends_what_it_makes_future() {
        let mut fights = Fights::default();
        for _ in 0..5 {
            fights.repaired("a", at(0));
        }
        assert_eq!(fights.forget(at(-86_400)).len(), 1);
        assert_eq!(fights.not_before("a", at(-86_400)), at(-86_400));
    }
}

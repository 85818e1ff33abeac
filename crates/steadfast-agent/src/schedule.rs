//! When: windows and waves, the splay of a fleet over an interval, and retries that back off. Time and chance come in as
//! arguments.

pub use steadfast_node::when::{Opening, Share, Windows, later, since, windows};

use jiff::Timestamp;
use std::time::Duration;
use steadfast_model::share;

/// The next moment of a node within an interval that a whole fleet shares: every node has its own
/// fixed place in it, so that a source is asked evenly, also after all were started at once. Always
/// after `at`, and at most one interval.
pub fn splayed(at: Timestamp, interval: Duration, node: &str, source: &str) -> Timestamp {
    let interval = i128::try_from(interval.as_millis()).unwrap_or(i128::MAX).max(1);
    let place = i128::from(share::place(&["splay", node, source])) % interval;
    let now = i128::from(at.as_millisecond());
    let wait = interval - (now - place).rem_euclid(interval);
    later(at, Duration::from_millis(u64::try_from(wait).unwrap_or(u64::MAX)))
}

/// How long to wait after `failures` in a row: twice as long each time, to `longest`, and by chance
/// between half of that and all of it, so that those who failed together do not come back together.
pub fn backoff(failures: u32, first: Duration, longest: Duration, chance: &mut Chance) -> Duration {
    let doubled =
        first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = u64::try_from(doubled.min(longest).as_millis()).unwrap_or(u64::MAX).max(2);
    Duration::from_millis(whole / 2 + chance.below(whole / 2 + 1))
}

/// Chance that a seed determines (splitmix64): for spreading load, nothing secret hangs on it.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    /// From 0 to below `limit`; 0 where the limit is.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw().checked_rem(limit).unwrap_or(0)
    }
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// How long whatever fails waits before it is tried again, at first and at the longest.
pub(crate) const FIRST_RETRY: Duration = Duration::from_secs(30);
pub(crate) const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// A time that lies no further ahead than this.
pub(crate) fn at_most(at: &mut Timestamp, longest: Duration, now: Timestamp) {
    *at = (*at).min(later(now, longest));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_backoff_doubles_up_to_its_bound() {
        let mut chance = Chance::new(7);
        let (first, longest) = (Duration::from_secs(30), Duration::from_secs(1_800));
        for failures in [1, 2, 3, 7, 8, 40, u32::MAX] {
            let whole = first.saturating_mul(2u32.saturating_pow(failures - 1)).min(longest);
            for _ in 0..50 {
                let wait = backoff(failures, first, longest, &mut chance);
                assert!(wait >= whole / 2 && wait <= whole, "{failures}: {wait:?} of {whole:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_splayed_time_lies_within_one_interval_and_repeats_with_it(
            now in 0i64..4_000_000_000_000,
            seconds in 1u64..100_000,
            node in "[a-z0-9.]{1,20}",
        ) {
            let now = Timestamp::from_millisecond(now).unwrap();
            let interval = Duration::from_secs(seconds);
            let next = splayed(now, interval, &node, "s");
            prop_assert!(next > now && since(now, next) <= interval);
            prop_assert_eq!(splayed(next, interval, &node, "s"), later(next, interval));
        }
    }
}

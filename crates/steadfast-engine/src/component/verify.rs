//! When every file of a tree is read, whatever the kernel shows of it: once in each period, at a moment of it that is
//! another on each node, so that the nodes of a fleet do not read all at once.

use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

/// Whether it is due. `last` is when it was read last, as `now` in seconds since 1970.
pub fn is_read_due(
    (node, component): (&str, &str),
    every: Duration,
    last: Option<i64>,
    now: i64,
) -> bool {
    let every = i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1);
    // Another build may hash otherwise: then a tree is read once more, or some hours later.
    let mut hasher = std::hash::DefaultHasher::new();
    (node, component).hash(&mut hasher);
    let offset = i64::try_from(hasher.finish() >> 1).unwrap_or(0) % every;
    let period = |at: i64| at.saturating_sub(offset).div_euclid(every);
    // A clock that was put back reads once more.
    last.is_none_or(|last| last > now || period(last) < period(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn each_node_reads_once_a_day_at_a_time_of_its_own() {
        let hours: std::collections::BTreeSet<usize> = (0..40)
            .map(|node| {
                let node = format!("web{node}");
                let mut last = Some(0);
                let mut read = vec![];
                for hour in 1..=72 {
                    let now = 1_764_460_800 + hour * 3_600;
                    last = last.map(|it: i64| it.max(1_764_460_800));
                    if is_read_due((&node, "people/api"), DAY, last, now) {
                        read.push(hour);
                        last = Some(now);
                    }
                }
                assert_eq!(read.len(), 3, "{node}: {read:?}");
                assert_eq!((read[1] - read[0], read[2] - read[1]), (24, 24), "{node}");
                usize::try_from(read[0]).unwrap()
            })
            .collect();
        assert!(hours.len() > 10, "{hours:?}");
    }

    #[test]
    fn what_was_never_read_is_due_and_what_was_read_in_the_future() {
        let of = ("web1", "people/api");
        assert!(is_read_due(of, DAY, None, 1_764_460_800));
        assert!(is_read_due(of, DAY, Some(1_764_460_801), 1_764_460_800));
        assert!(!is_read_due(of, DAY, Some(1_764_460_800), 1_764_460_800));
        assert!(!is_read_due(of, Duration::MAX, Some(1), 1_764_460_800));
    }
}

//! When a run began: what was touched between its look and the moment from which it is watched has to be looked
//! at once more.

use super::promised::Promised;
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use steadfast_system::files::ChangedNames;
use tokio::time::Instant;

/// By how much two clocks may differ that nobody has set.
const SLEWED: SignedDuration = SignedDuration::from_secs(1);

/// When a run began, by the clock that files go by and by the one that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    clock: Timestamp,
    steady: Instant,
}

impl Began {
    pub(super) fn now() -> Began {
        Began { clock: Timestamp::now(), steady: Instant::now() }
    }

    /// The numbers of the promises that somebody may have touched in this directory since then.
    pub(super) fn unseen(&self, folder: &str, promised: &Promised) -> Vec<usize> {
        let names = ChangedNames::open(Path::new(folder), self.clock.as_microsecond());
        let Some(names) = names.ok().filter(|_| !self.is_clock_set()) else {
            return promised.every().collect();
        };
        let touched = promised.named().filter(|(name, _)| names.may_be(name));
        let touched = touched.flat_map(|(_, numbers)| numbers);
        // Which names there were is not known.
        touched.chain(promised.about_all()).map(|it| *it as usize).collect()
    }

    /// Whether the clock was set since: then the times of files say nothing.
    fn is_clock_set(&self) -> bool {
        let steady = SignedDuration::try_from(self.steady.elapsed()).unwrap_or(SignedDuration::MAX);
        (Timestamp::now().duration_since(self.clock) - steady).abs() > SLEWED
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test plays everybody else's part")]

    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use steadfast_model::PromiseId;

    fn promised() -> Promised {
        let all = ["a", "missing", "tree"].map(|it| PromiseId::new("file", it));
        let mut promised = Promised::new(&Arc::from(all));
        promised.add_name(b"a", 0);
        promised.add_name(b"missing", 1);
        promised.add_folder(2);
        promised
    }

    #[test]
    fn what_was_touched_after_a_run_began_is_unseen_and_what_was_not_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        let path = folder.path().to_str().unwrap();
        let unseen = |path: &str, began: Began| {
            let mut unseen = began.unseen(path, &promised());
            unseen.sort_unstable();
            unseen
        };
        let now = Began::now();
        assert_eq!(unseen(path, now), [0, 1, 2]);
        assert_eq!(unseen(&format!("{path}/elsewhere"), now), [0, 1, 2]);
        // Nobody has touched this one since. Of a tree it is not known what there was in it.
        assert_eq!(unseen("/usr", now), [2]);
        // Once the clock was set, times of files say nothing.
        let clock = now.clock + Duration::from_secs(3_600);
        assert_eq!(unseen("/usr", Began { clock, ..now }), [0, 1, 2]);
    }
}

//! Time, as it comes in: since when the machine runs, which nobody can set, and what the wall shows.

use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Which boot of the machine this is.
    pub boot: Arc<str>,
    /// Since that boot, with the time in which it slept (`CLOCK_BOOTTIME`).
    pub at: Duration,
    /// Seconds since 1970, for what people read and for windows.
    pub wall: i64,
}

/// A moment of one boot. In another it means nothing, and what hung on it begins anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub boot: Arc<str>,
    pub at: Duration,
}

impl Now {
    pub fn moment(&self) -> Moment {
        Moment { boot: Arc::clone(&self.boot), at: self.at }
    }

    /// How long ago; none for a moment of another boot.
    pub(crate) fn since(&self, then: &Moment) -> Option<Duration> {
        (then.boot == self.boot).then(|| self.at.saturating_sub(then.at))
    }

    /// What the wall shows at a moment of this boot, if nobody sets it.
    pub fn wall_at(&self, at: Duration) -> i64 {
        let ahead = i64::try_from(at.saturating_sub(self.at).as_secs()).unwrap_or(i64::MAX);
        self.wall.saturating_add(ahead)
    }
}

/// When to ask again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Since the boot of the machine.
    Boot(Duration),
    /// Seconds since 1970.
    Wall(i64),
    /// When something has changed: nothing falls due by itself.
    Change,
}

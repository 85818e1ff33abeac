//! What a download may cost.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One transfer as a whole.
    pub total: Duration,
    /// A transfer that moves nothing for so long is given up.
    pub idle: Duration,
    /// The most bytes of one transfer, and of any file that is written for it.
    pub bytes: u64,
}

impl Limits {
    /// All transfers that belong together: what is downloaded may come in several.
    pub fn together(&self) -> Duration {
        self.total.saturating_mul(2)
    }
}

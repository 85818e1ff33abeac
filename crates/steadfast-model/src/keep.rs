//! Whether a promise is kept by repairing or only watched.

use serde::{Deserialize, Serialize};

/// Whether a difference is repaired or only told. Going inward, the stricter wins: `Report` is the
/// greater.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Keep {
    #[default]
    Repair,
    Report,
}

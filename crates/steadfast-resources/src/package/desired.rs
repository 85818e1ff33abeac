//! What is promised of a package.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_system::PackageName;
use steadfast_system::packages::version::{Range, Version};
use steadfast_system::packages::{Options, Removals};

/// Whether a package is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Presence {
    Present,
    /// Present, and in the newest version within the range.
    Latest,
    Absent,
    /// Absent, with its configuration files.
    Purged,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Desired {
    pub name: PackageName,
    pub state: Presence,
    pub version: Option<Range>,
    pub hold: Option<bool>,
    pub options: Options,
    pub allow_downgrade: bool,
    pub allow_removals: Removals,
    pub debconf: Vec<(Arc<str>, Arc<str>)>,
    /// The packages that the same run takes away.
    pub going: Arc<[PackageName]>,
}

pub(super) fn is_gone(state: Presence) -> bool {
    match state {
        Presence::Absent | Presence::Purged => true,
        Presence::Present | Presence::Latest => false,
    }
}

pub(super) fn within(range: Option<&Range>, version: Option<&Version>) -> bool {
    range.is_none_or(|range| version.is_some_and(|version| range.holds(version)))
}

//! What is promised of a package.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_system::PackageName;
use steadfast_system::packages::version::{Range, Version};
use steadfast_system::packages::{Options, Removals, Stays};

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
    /// The other packages that are promised to be there, as far as a transaction for this one could change that.
    pub stays: Arc<[Stays]>,
}

impl Desired {
    /// What is promised of it to others.
    pub(crate) fn staying(&self) -> Option<Stays> {
        (!is_gone(self.state)).then(|| (self.name.clone(), self.version.clone()))
    }

    /// Takes from what is promised to be there what a transaction for this one has to leave as it is.
    pub(crate) fn set_staying(&mut self, there: &[Stays]) {
        let could_change = |(name, range): &&Stays| {
            *name != self.name && (range.is_some() || self.allow_removals.allow(name.as_str()))
        };
        self.stays = there.iter().filter(could_change).cloned().collect();
    }
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

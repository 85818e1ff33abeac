//! What can be done to a package.

use std::fmt;
use std::sync::Arc;
use steadfast_system::PackageName;
use steadfast_system::packages::version::Version;
use steadfast_system::packages::{Goal, Health, Item, Options};

/// One repair. It says which package it is about, because many promises are one transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Configure {
        package: PackageName,
        health: Health,
    },
    Unhold {
        package: PackageName,
    },
    Install(Arc<Act>),
    Upgrade(Arc<Act>),
    Downgrade(Arc<Act>),
    /// The lists are too old to tell whether there is a newer version.
    LookForNewer(Arc<Act>),
    Remove(Arc<Act>),
    Purge(Arc<Act>),
    Hold {
        package: PackageName,
    },
    MarkManual {
        package: PackageName,
    },
}

/// A change that is part of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    pub item: Item,
    pub options: Options,
    /// The version that is there now.
    pub have: Option<Version>,
    /// How many packages its transaction removes that no promise of it names.
    pub also_removes: u64,
}

impl Change {
    /// Takes note of how many packages go along with it.
    pub(super) fn set_also_removes(&mut self, count: u64) {
        match self {
            Change::Install(act)
            | Change::Upgrade(act)
            | Change::Downgrade(act)
            | Change::LookForNewer(act)
            | Change::Remove(act)
            | Change::Purge(act) => Arc::make_mut(act).also_removes = count,
            Change::Configure { .. }
            | Change::Unhold { .. }
            | Change::Hold { .. }
            | Change::MarkManual { .. } => {}
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = |f: &mut fmt::Formatter<'_>, verb: &str, act: &Act| {
            f.write_str(verb)?;
            if let Some(have) = &act.have {
                write!(f, " {have}")?;
            }
            match &act.item.goal {
                Goal::Install { version: Some(version), .. } if act.have.is_some() => {
                    write!(f, " -> {version}")
                }
                Goal::Install { version: Some(version), .. } => write!(f, " {version}"),
                Goal::Install { version: None, range: Some(range), .. } => {
                    write!(f, ", to a version in `{range}`")
                }
                Goal::Install { .. } | Goal::Remove | Goal::Purge => Ok(()),
            }
        };
        match self {
            Change::Configure { health, .. } => {
                write!(f, "complete its installation (it is {})", health.as_str())
            }
            Change::Unhold { .. } => f.write_str("lift its hold"),
            Change::Install(act) => both(f, "install", act),
            Change::Upgrade(act) => both(f, "upgrade", act),
            Change::Downgrade(act) => both(f, "downgrade", act),
            Change::LookForNewer(act) => match &act.have {
                Some(have) => write!(f, "look for a newer version than {have}"),
                None => f.write_str("look for a newer version"),
            },
            Change::Remove(act) => both(f, "remove", act),
            Change::Purge(act) if act.have.is_none() => {
                f.write_str("purge its leftover configuration")
            }
            Change::Purge(act) => both(f, "purge", act),
            Change::Hold { .. } => f.write_str("hold"),
            Change::MarkManual { .. } => {
                f.write_str("mark as manually installed (it was a dependency)")
            }
        }
    }
}

//! What can be done to a job's file.

use crate::paths::{self, Owners};
use std::fmt;
use std::sync::Arc;
use steadfast_system::AbsPath;
use steadfast_system::files::{Attributes, Expected, NewFile};
use steadfast_system::text::safe;

/// One for each promise at most.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Write {
        file: NewFile,
        was: Was,
    },
    SetAttributes {
        path: AbsPath,
        seen: Expected,
        /// What was, where it changes.
        was: Attributes,
        attributes: Attributes,
    },
    Remove {
        path: AbsPath,
        seen: Expected,
        was: Was,
    },
}

/// What a change takes the place of, for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Was {
    Nothing,
    File {
        size: u64,
        /// None where it was too large to be read.
        bytes: Option<Arc<[u8]>>,
    },
    /// The right content under several names.
    HardLinks(u64),
    Link(Arc<str>),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Write { file, was } => {
                write!(f, "write {}", paths::bytes(file.content.len() as u64))?;
                match was {
                    Was::Nothing => write!(f, " (new, mode {})", file.mode),
                    Was::File { size, .. } => write!(f, " (was {})", paths::thousands(*size)),
                    Was::HardLinks(links) => {
                        write!(f, " (was one file with {links} names, which cron ignores)")
                    }
                    Was::Link(target) => write!(f, " (was a link to {})", safe(target)),
                }
            }
            Change::SetAttributes { was, attributes, .. } => {
                write!(f, "set {}", paths::attributes(was, attributes, &Owners::default()))
            }
            Change::Remove { was, .. } => match was {
                Was::Nothing => f.write_str("remove"),
                Was::File { size, .. } => write!(f, "remove ({})", paths::bytes(*size)),
                Was::HardLinks(links) => write!(f, "remove (one of {links} names)"),
                Was::Link(target) => write!(f, "remove (link to {})", safe(target)),
            },
        }
    }
}

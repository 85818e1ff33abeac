//! How an archive is to be taken apart, and why that ends.

use serde::{Deserialize, Serialize};
use std::io;

/// The most entries of one archive.
pub(super) const MAX_ENTRIES: u64 = 1_000_000;
/// The most directories within each other.
pub(super) const MAX_DEPTH: usize = 128;

/// How an archive is to be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// How many leading parts of each name are taken off.
    pub strip: usize,
    /// The most bytes of all its files.
    pub max: u64,
    /// Whether setuid files and file capabilities are accepted.
    pub setuid: bool,
    /// What a single file is called.
    pub name: String,
    pub mode: u32,
    /// Whether it is a single file whatever is in it: a program's own archive is not taken apart.
    pub is_single: bool,
}

/// Why there are no records, or no more.
#[derive(Debug)]
pub(super) enum Stop {
    /// What is in it is refused, or broken.
    Refused(String),
    TooLarge(String),
    /// Nobody reads what is handed over.
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(err: io::Error) -> Stop {
        Stop::Output(err)
    }
}

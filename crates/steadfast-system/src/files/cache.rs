//! What the real machine remembers of its files within one run.

use super::looks::Looks;
use super::secret::Known;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Names this run in its temporary files, so that those of a killed run are known as such.
    run: OnceLock<u64>,
    next: AtomicU32,
    /// Directories (device and inode) that were searched for what killed runs left there.
    pub(super) searched: Mutex<HashSet<(u64, u64)>>,
    pub(super) kept: Total,
    /// None in it where the kernel does not tell enough.
    pub(super) looks: OnceLock<Option<Looks>>,
    /// The same for what others than root filled.
    pub(super) kept_of_others: Total,
    pub(super) secrets: Known,
}

/// How many bytes of replaced contents are kept, once that was counted.
#[derive(Debug, Default)]
pub(crate) struct Total(pub(super) Mutex<Option<u64>>);

impl Cache {
    fn run(&self) -> u64 {
        // The keys of std's hashes come from the kernel's random numbers.
        *self.run.get_or_init(|| RandomState::new().build_hasher().finish())
    }

    /// A name that nobody can guess, with the suffix that a validator may go by.
    pub(super) fn temporary_name(&self, suffix: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{TEMPORARY}{:016x}-{number:08x}{suffix}", self.run())
    }

    /// Any number below this one, another one in each run; zero where there is none.
    pub(super) fn any_below(&self, count: usize) -> usize {
        usize::try_from(self.run() % (count as u64).max(1)).unwrap_or(0)
    }

    /// Whether another run made a temporary file of this name.
    pub(super) fn is_left_over(&self, name: &OsStr) -> bool {
        let Some(rest) = name.to_str().and_then(|it| it.strip_prefix(TEMPORARY)) else {
            return false;
        };
        let Some((run, rest)) = rest.split_at_checked(16) else { return false };
        let Some((number, suffix)) = rest.strip_prefix('-').and_then(|it| it.split_at_checked(8))
        else {
            return false;
        };
        let hex =
            |it: &str| it.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
        hex(run)
            && hex(number)
            && (suffix.is_empty() || is_plain_suffix(suffix))
            && u64::from_str_radix(run, 16) != Ok(self.run())
    }
}

/// How the names of our temporary files begin.
const TEMPORARY: &str = ".steadfast-";

/// A suffix such as `.service` or `.conf`.
pub(super) fn is_plain_suffix(suffix: &str) -> bool {
    suffix.strip_prefix('.').is_some_and(|it| {
        (1..=16).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_alphanumeric())
    })
}

//! From where objects come that blame looks at, and what that may cost.

use crate::object::{self, Entry};
use std::sync::Arc;
use std::time::Instant;

/// Where objects come from. One that is not there, or is not what its name says, is none.
pub(crate) trait Objects {
    fn commit(&mut self, id: &str) -> Option<object::Commit>;
    fn tree(&mut self, id: &str) -> Option<Vec<Entry>>;
    /// None for one that is larger than [`MAX_BLOB`], too.
    fn blob(&mut self, id: &str) -> Option<Arc<[u8]>>;
}

/// Larger files are not compared: their lines are as old as the file.
pub(crate) const MAX_BLOB: usize = 1024 * 1024;
/// What it may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub commits: usize,
    /// Entries of trees that are compared.
    pub entries: usize,
    /// Paths that are held at a time. A tree that names another one many times is a few bytes, and its
    /// paths are without number.
    pub paths: Paths,
    pub until: Instant,
}

/// Room for paths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths {
    pub count: usize,
    /// Of all of them together.
    pub bytes: usize,
}

impl Paths {
    /// Whether there was room for one more.
    pub(crate) fn take(&mut self, path: &str) -> Option<()> {
        self.count = self.count.checked_sub(1)?;
        self.bytes = self.bytes.checked_sub(path.len())?;
        Some(())
    }
}

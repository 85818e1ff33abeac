//! What facts are about to be read from, where that is not what is there now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the machine is about to say otherwise than now, because it is being changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreseen {
    pub hostname: Option<String>,
    /// Files from which facts are read, with what will be in them; none for one that goes.
    pub files: BTreeMap<PathBuf, Option<Arc<[u8]>>>,
}

impl Foreseen {
    /// The text of a file that is about to be another one; none where it stays as it is.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let found = self.files.get(Path::new(path))?.as_deref();
        Some(String::from_utf8_lossy(found.unwrap_or_default()).into_owned())
    }
}

//! What is promised of a directory.

use crate::glob::Glob;
use crate::made::Made;
use crate::mode::Wish;
use crate::paths::vital::Said;
use crate::paths::{self, Owners};
use crate::undo::Says;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_system::AbsPath;
use steadfast_system::files::Digest;

pub(super) const PURGE_MAX: u64 = 100;

/// What a promise says about a directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    pub(super) path: AbsPath,
    pub(super) absent: bool,
    pub(super) owners: Owners,
    pub(super) mode: Option<Wish>,
    pub(super) recurse: bool,
    pub(super) file_mode: Option<Wish>,
    pub(super) purge: bool,
    pub(super) purge_max: u64,
    pub(super) ignore: Arc<[Glob]>,
    pub(super) force: bool,
    pub(super) source: Option<Arc<[SourceFile]>>,
    /// What other promises name below it.
    pub promised_below: Arc<[AbsPath]>,
    /// What they make without naming it.
    pub(super) made: Arc<[Made]>,
}

/// A file of the model that has its place below the directory.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SourceFile {
    pub(super) below: Arc<str>,
    pub(super) bytes: paths::Promised,
    pub(super) digest: Digest,
    pub(super) executable: bool,
}

impl std::fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SourceFile({}, {} bytes)", self.below, self.bytes.size())
    }
}

impl Desired {
    /// A directory of which nothing else is said.
    pub(super) fn plain(path: AbsPath, absent: bool) -> Desired {
        Desired {
            path,
            absent,
            owners: Owners::default(),
            mode: None,
            recurse: false,
            file_mode: None,
            purge: false,
            purge_max: PURGE_MAX,
            ignore: Arc::default(),
            force: false,
            source: None,
            promised_below: Arc::default(),
            made: Arc::default(),
        }
    }

    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// What it says of its own path and of those that have their source in the model; of others below it,
    /// what holds for all of them.
    pub(super) fn says(&self, path: &AbsPath, is_folder: bool) -> Says {
        if self.absent {
            return if *path == self.path { Says::ALL } else { Says::default() };
        }
        if *path == self.path {
            return self.owners.says(true, self.mode.as_ref());
        }
        let Some(below) = self.below(path) else { return Says::default() };
        let content = self.sources().iter().any(|it| *it.below == *below);
        if !self.recurse || self.spares(below) {
            return Says { content, ..Says::default() };
        }
        let of_files = self.file_mode.as_ref().filter(|_| !is_folder);
        self.owners.says(content, of_files.or(self.mode.as_ref()))
    }

    /// What it says, as if it named this path.
    pub(super) fn said_of<'p>(&'p self, path: &'p AbsPath) -> Said<'p> {
        Said {
            path,
            owners: &self.owners,
            mode: self.mode.as_ref(),
            recurse: self.recurse,
            purge: self.purge,
            force: self.force,
        }
    }

    pub(super) fn below<'p>(&self, path: &'p AbsPath) -> Option<&'p str> {
        path.as_str().strip_prefix(self.path.as_str())?.strip_prefix('/')
    }

    /// Whether a pattern names an entry, or a directory that it lies in.
    pub(super) fn spares(&self, below: &str) -> bool {
        let folders = below.match_indices('/').map(|(at, _)| &below[..at]);
        folders.chain([below]).any(|it| self.ignores(it))
    }

    pub(super) fn sources(&self) -> &[SourceFile] {
        self.source.as_deref().unwrap_or(&[])
    }

    pub(super) fn looks_below(&self) -> bool {
        self.absent || self.recurse || self.purge || self.source.is_some()
    }

    /// Whether a pattern names an entry itself (and not a directory that it lies in).
    pub(super) fn ignores(&self, below: &str) -> bool {
        let name = below.rsplit('/').next().unwrap_or(below);
        self.ignore
            .iter()
            .any(|it| it.matches(if it.as_str().contains('/') { below } else { name }))
    }
}

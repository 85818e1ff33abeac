//! The files of a model on their way from strangers to this node: which names are allowed, how much there
//! may be, and the directory in which an accepted state is kept.

use crate::directory::{
    MAX_BYTES, MAX_DEPTH, MAX_FILES, ReadError, is_of_other_tools, read_directory,
};
use crate::revision::content_digest;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use steadfast_model::SourceSet;
use steadfast_trust::text::hex;

/// What a path below a model's root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Part of the model.
    Model,
    /// No part of it: another tool's, or where the standard bundles stand.
    Elsewhere,
    /// Nothing that a model may hold.
    Forbidden,
}

/// By the same rules as a model in a directory.
pub(crate) fn place(path: &str) -> Place {
    let mut depth = 0;
    for name in path.split('/') {
        depth += 1;
        if name.is_empty() || name == "." || name == ".." || name.len() > 255 {
            return Place::Forbidden;
        }
    }
    if depth > MAX_DEPTH || path.contains(['\0', '\n', '\r']) {
        return Place::Forbidden;
    }
    let is_elsewhere = is_of_other_tools(path) || path.starts_with("std/");
    if is_elsewhere { Place::Elsewhere } else { Place::Model }
}

/// Collects the files of a model within its limits.
#[derive(Default)]
pub(crate) struct Collector {
    sources: SourceSet,
    bytes: u64,
    files: usize,
}

impl Collector {
    /// Whether there is room for one more file of that size.
    pub(crate) fn room(&mut self, path: &str, size: u64) -> Result<(), ReadError> {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.files > MAX_FILES {
            return Err(ReadError::TooMany { path: path.into() });
        }
        if self.bytes > MAX_BYTES {
            return Err(ReadError::TooLarge { path: path.into() });
        }
        Ok(())
    }

    pub(crate) fn add(
        &mut self,
        path: &str,
        content: Arc<[u8]>,
        executable: bool,
    ) -> Result<(), ReadError> {
        self.room(path, content.len() as u64)?;
        self.sources.add(path, content, executable);
        Ok(())
    }

    pub(crate) fn finish(self) -> SourceSet {
        self.sources
    }
}

/// Keeps the files of an accepted model in a directory of its own below `root`, named by its content. It is
/// there as a whole or not at all, also when the machine dies in between.
pub fn write_content(root: &Path, sources: &SourceSet) -> std::io::Result<PathBuf> {
    let digest = content_digest(sources);
    let target = root.join(hex(&digest));
    if read_content(root, digest).is_ok() {
        return Ok(target);
    }
    std::fs::create_dir_all(root)?;
    let new = root.join(".new");
    for stale in [&new, &target] {
        match std::fs::remove_dir_all(stale) {
            Ok(()) => {}
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            Err(err) => return Err(err),
        }
    }
    if let Err(err) = write_files(&new, sources) {
        // On a disk that is full, what is there in part must not be what fills it.
        let _cleared = std::fs::remove_dir_all(&new);
        return Err(err);
    }
    std::fs::rename(&new, &target)?;
    std::fs::File::open(root)?.sync_all()?;
    Ok(target)
}

/// Writes the files into a new directory, and to the disk.
fn write_files(new: &Path, sources: &SourceSet) -> std::io::Result<()> {
    std::fs::create_dir(new)?;
    let mut folders = std::collections::BTreeSet::from([new.to_owned()]);
    for (_, source) in sources.iter() {
        if place(&source.path) != Place::Model {
            continue;
        }
        let path = new.join(&*source.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
            folders.extend(
                folder.ancestors().take_while(|it| it.starts_with(new)).map(Path::to_owned),
            );
        }
        let mode = if source.executable { 0o700 } else { 0o600 };
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        file.write_all(&source.bytes)?;
        file.sync_all()?;
    }
    for folder in folders.iter().rev() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Reads what [`write_content`] kept, and refuses it where it is not that content any more.
pub fn read_content(root: &Path, digest: [u8; 32]) -> Result<SourceSet, ReadError> {
    let path = root.join(hex(&digest));
    let mut sources = SourceSet::default();
    read_directory(&path, &mut sources)?;
    if content_digest(&sources) != digest {
        let err = std::io::Error::new(std::io::ErrorKind::InvalidData, "its content has changed");
        return Err(ReadError::Read { path, err });
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        let deep = "a/".repeat(40) + "a";
        let cases = [
            ("model.yaml", Place::Model),
            ("files/a b/ü", Place::Model),
            (".git/config", Place::Elsewhere),
            (".gitignore", Place::Elsewhere),
            ("files/vendored/.git", Place::Elsewhere),
            ("files/skel/.bashrc", Place::Model),
            ("files/skel/.config/x", Place::Model),
            ("std/base.yaml", Place::Elsewhere),
            ("../x", Place::Forbidden),
            ("a/../x", Place::Forbidden),
            ("/etc/passwd", Place::Forbidden),
            ("a//b", Place::Forbidden),
            ("a/./b", Place::Forbidden),
            ("a/", Place::Forbidden),
            ("", Place::Forbidden),
            ("a\nb", Place::Forbidden),
            (deep.as_str(), Place::Forbidden),
        ];
        for (path, expected) in cases {
            assert_eq!(place(path), expected, "{path:?}");
        }
    }

    #[test]
    fn kept_content_is_read_again_and_what_was_changed_in_it_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = SourceSet::default();
        sources.add("model.yaml", &b"model: x\n"[..], false);
        sources.add("files/a/b", &b"#!/bin/sh\n"[..], true);
        let digest = content_digest(&sources);
        let path = write_content(folder.path(), &sources).unwrap();
        assert_eq!(write_content(folder.path(), &sources).unwrap(), path);
        let again = read_content(folder.path(), digest).unwrap();
        assert!(again.find("files/a/b").unwrap().1.executable);
        std::fs::write(path.join("model.yaml"), "model: y\n").unwrap();
        let error = read_content(folder.path(), digest).unwrap_err();
        assert!(steadfast_trust::text::chain(&error).ends_with("its content has changed"));
        write_content(folder.path(), &sources).unwrap();
        assert!(read_content(folder.path(), digest).is_ok(), "and it is mended");
    }
}

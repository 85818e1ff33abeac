//! A model that need not be read: the kernel says the same of all its files as when they were last read, not long
//! ago. Its files are read all the same where somebody asks for one, or the promises are not remembered.

use crate::NodeError;
use crate::model::{self, Files};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{Later, SourceSet};
use steadfast_source::Revision;
use steadfast_source::directory::is_part;
use steadfast_store::{Layout, of_this_build};
use steadfast_system::files::whole::{self, Found, Impression};

/// The files of a model, and whether they were read just now.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) files: Files,
    is_read: bool,
}

impl Known {
    /// The files at a path, which are read where they may be others than within this time. What was read is
    /// remembered, unless this is only a look.
    pub(crate) fn find(
        path: &Path,
        layout: &Layout,
        verify: Duration,
        is_look: bool,
    ) -> Result<Known, NodeError> {
        if let Some([content, digest]) = recognize(path, layout, verify) {
            let commit = Revision::commit_of(path);
            let sources = Arc::new(Unread { path: path.to_owned(), digest });
            let sources = SourceSet::read_later(sources);
            tracing::debug!(path = %path.display(), "the model is the same as when it was last read");
            return Ok(Known {
                files: Files { sources, content, revision: Revision { digest, commit } },
                is_read: false,
            });
        }
        let mut impression = Impression::default();
        let mut note = |name: &str, file: &File| impression.add_open(name, file);
        let files = model::read_noting(path, Revision::commit_of(path), &mut note)?;
        if !is_look && let Some(key) = key(impression) {
            let found = [files.content, files.revision.digest];
            let put = |()| whole::put(&layout.cache, &key, &found);
            if let Err(error) = layout.make_cache().and_then(put) {
                // It only saves time.
                tracing::debug!(%error, "that the model was read is not remembered");
            }
        }
        Ok(Known { files, is_read: true })
    }

    /// The files as they are read now, where they were not.
    pub(crate) fn read(self, path: &Path) -> Result<Files, NodeError> {
        if self.is_read {
            return Ok(self.files);
        }
        model::read_noting(path, self.files.revision.commit, &mut |_, _| {})
    }
}

/// What the files of a model came to when they were last read, where they are the same.
fn recognize(path: &Path, layout: &Layout, verify: Duration) -> Option<Found> {
    // Whoever reads it says what is wrong.
    let impression = whole::below(path, &is_part)?;
    whole::known(&layout.cache, &key(impression)?, verify)
}

/// The standard bundles, which belong to the program, are part of what files come to.
fn key(impression: Impression) -> Option<[u8; 32]> {
    of_this_build(&[b"model", &impression.digest()?])
}

/// Files that were read by an earlier run.
#[derive(Debug)]
struct Unread {
    path: PathBuf,
    digest: [u8; 32],
}

impl Later for Unread {
    /// None where they have changed since the run began: then nobody knows what stood where.
    fn read(&self) -> SourceSet {
        let files = model::read_noting(&self.path, None, &mut |_, _| {}).ok();
        let same = files.filter(|it| it.revision.digest == self.digest);
        same.map(|it| it.sources).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

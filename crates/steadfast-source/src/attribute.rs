//! Who wrote which line of a model, from wherever that can be known.

use crate::attribution::{self, Attribution};
use crate::blame::Base;
use crate::git;
use crate::settings::Limits;
use crate::terms::{Fetched, Origin};
use std::path::Path;
use steadfast_download::DownloadError;

/// Who wrote which line of a revision that was accepted, as far as that can be known. `accepted` names the
/// commit that was accepted before, and `known` what is known of its lines. It is no part of accepting:
/// whatever goes wrong in it, the revision is taken.
pub fn attribute(
    fetched: &Fetched,
    accepted: Option<&str>,
    known: Option<&Attribution>,
    cache: &Path,
    limits: &Limits,
) -> Option<Attribution> {
    match &fetched.origin {
        Origin::Git { commit, tag: _, author, authored, committed: _, subject, supersedes: _ } => {
            let tip = attribution::Commit {
                id: commit.clone(),
                author: author.clone(),
                authored: *authored,
                subject: subject.clone(),
            };
            let files = fetched.sources.iter().map(|(_, it)| it.path.to_string());
            let base = accepted.map(|commit| Base { commit, known });
            Some(git::blame::computed(cache, &tip, files, base, limits))
        }
        Origin::Snapshot { created: _, expires: _, commit: _, attribution } => attribution.clone(),
        Origin::Directory => None,
    }
}

/// Who wrote which line of these files of a revision in a repository on this machine, from all of its
/// history. `folder` is the repository or a directory in it; `cache` an empty directory.
pub fn attribute_local<'a>(
    folder: &Path,
    revision: &str,
    files: impl Iterator<Item = &'a str>,
    cache: &Path,
) -> Result<Attribution, DownloadError> {
    let files = files.map(str::to_owned);
    git::blame::of_repository(folder, revision, files, cache, &Limits::default())
}

/// The same of files as they lie in a directory, where that is in a work tree of the user who asks: none
/// where it is in no repository, or nothing is committed yet.
pub fn attribute_work_tree(
    folder: &Path,
    files: &[(&str, &[u8])],
    cache: &Path,
) -> Result<Option<Attribution>, DownloadError> {
    let real =
        folder.canonicalize().map_err(|err| DownloadError::local("look at the model", err))?;
    if !real.ancestors().any(|it| it.join(".git").exists()) {
        return Ok(None);
    }
    git::blame::of_work_tree(&real, files, cache, &Limits::default())
}

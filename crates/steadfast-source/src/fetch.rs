//! Fetching for commands that people run: both sides in one process.

use crate::accept::accept;
use crate::anti_rollback::AntiRollback;
use crate::download::download;
use crate::git;
use crate::refusal::Refusal;
use crate::settings::{Git, Limits, Source};
use crate::terms::{Credentials, Download, Fetched, Known, Terms, mismatch};
use std::path::Path;
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_model::SourceSet;
use steadfast_trust::text::chain;

/// [`download`] and [`accept`] in one process, for commands that people run. None where there is no news.
pub fn fetch(
    terms: &Terms<'_>,
    known: &Known,
    anti_rollback: &mut AntiRollback,
    cache: &Path,
) -> Result<Option<Fetched>, Refusal> {
    let credentials = Credentials::read(terms.source)
        .map_err(|err| DownloadError::new(DownloadErrorKind::Settings, chain(&err)))?;
    match download(terms.source, &credentials, known, cache, terms.limits)? {
        Download::Unchanged => Ok(None),
        Download::Offer { validator } => {
            accept(terms, anti_rollback, cache).map(|it| Some(Fetched { validator, ..it }))
        }
    }
}

/// As [`fetch`], of a commit or tag in a repository on this machine, which no branch needs to name: what
/// `terms.source` names as a branch may be any name of a commit.
pub fn fetch_local(
    terms: &Terms<'_>,
    folder: &Path,
    anti_rollback: &mut AntiRollback,
    cache: &Path,
) -> Result<Fetched, Refusal> {
    let Source::Git(Git { reference, .. }) = terms.source else { return Err(mismatch(terms)) };
    let known = Known::from_state(anti_rollback, false, None);
    git::download_local(folder, reference, &known, cache, terms.limits)?;
    accept(terms, anti_rollback, cache)
}

/// The files of a model in a git repository on this machine, as a revision has them, and the commit that
/// the revision names. `folder` is the repository or a directory in it; `cache` an empty directory.
pub fn checkout(
    folder: &Path,
    revision: &str,
    cache: &Path,
) -> Result<(String, SourceSet), Refusal> {
    git::checkout(folder, revision, cache, &Limits::default())
}

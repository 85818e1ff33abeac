//! The side that talks to the network and unpacks what strangers wrote. It is meant to run in a process that
//! owns nothing but its cache directory (see [`steadfast_download::sandbox`]), and it trusts nobody, because
//! nobody trusts it.

use crate::settings::{Limits, Source};
use crate::terms::{Credentials, Download, Known};
use crate::{git, snapshot};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use steadfast_download::{DownloadError, DownloadErrorKind, offer};

/// Brings what is new at a source into the cache directory, which must exist.
pub fn download(
    source: &Source,
    credentials: &Credentials,
    known: &Known,
    cache: &Path,
    limits: &Limits,
) -> Result<Download, DownloadError> {
    let mut told = None;
    download_and_tell(source, credentials, known, cache, limits, |it| told = Some(it));
    told.unwrap_or_else(|| {
        Err(DownloadError::new(DownloadErrorKind::Local, "nothing came of fetching"))
    })
}

/// As [`download`], and tells what came of it as soon as that is certain. What it does after that may take
/// time and memory, and is of use for who wrote which line alone: it may be killed in it.
pub fn download_and_tell(
    source: &Source,
    credentials: &Credentials,
    known: &Known,
    cache: &Path,
    limits: &Limits,
    tell: impl FnOnce(Result<Download, DownloadError>),
) {
    let _lock = match prepare(cache) {
        Ok(lock) => lock,
        Err(error) => return tell(Err(error)),
    };
    let tell = |brought: Result<Download, DownloadError>| {
        if brought.is_err() {
            // What was written in part takes up no room until the next try, which may be long from now.
            let _cleared = offer::clear(cache, &[git::blame::HISTORY]);
        }
        tell(brought);
    };
    match source {
        Source::Git(git) => match git::download(git, credentials, known, cache, limits) {
            Ok((brought, history)) => {
                tell(Ok(brought));
                if let Some(history) = history {
                    history.record(cache);
                }
            }
            Err(error) => tell(Err(error)),
        },
        Source::Snapshot(it) => tell(snapshot::download(it, credentials, known, cache, limits)),
        // It is read when it is accepted: there is no network, and nothing to unpack.
        Source::Directory(_) => tell(Ok(Download::Offer { validator: None })),
    }
}

/// Takes the cache directory for one fetch, for as long as what it returns is open.
fn prepare(cache: &Path) -> Result<std::fs::File, DownloadError> {
    let lock = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(cache.join("lock"))
        .map_err(|err| DownloadError::local("open the cache directory", err))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|err| DownloadError::local("another fetch uses the cache directory", err))?;
    offer::clear(cache, &[git::blame::HISTORY])?;
    Ok(lock)
}

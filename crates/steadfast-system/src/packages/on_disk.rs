//! Reading what dpkg and apt have on disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// When we last fetched all lists; in the state directory.
pub(super) const REFRESHED: &str = "apt-refreshed";
/// Why not all lists could be fetched when we last tried, in apt's words; gone once all could.
pub(super) const REFRESH_FAILED: &str = "apt-refresh-failed";

/// What tells one content of a file from the next, without reading it.
pub(super) fn print(path: &str) -> std::io::Result<(i128, u64, u64)> {
    let meta = fs::metadata(path)?;
    Ok((
        i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        meta.size(),
        meta.ino(),
    ))
}

/// The entries of a directory in the order of their names; none where it is not there.
pub(super) fn entries(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|it| Some(it.ok()?.path())).collect();
    found.sort();
    found
}

pub(super) fn read_text(path: &Path) -> std::io::Result<String> {
    fs::read(path).map(|it| match String::from_utf8(it) {
        Ok(text) => text,
        Err(bytes) => String::from_utf8_lossy(bytes.as_bytes()).into_owned(),
    })
}

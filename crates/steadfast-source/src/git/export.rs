//! Writing the raw objects of a commit's files into an offer, as git hands them out one by one.

use crate::content::{Collector, Place, place};
use crate::object::{self, Algorithm};
use std::collections::{HashSet, VecDeque};
use std::io::{BufRead as _, Read as _};
use steadfast_download::offer::Writer;
use steadfast_download::process::Talk;
use steadfast_download::{DownloadError, DownloadErrorKind};

/// Trees of directories with very many files are larger than other objects.
pub(super) const MAX_TREE: usize = 64 * 1024 * 1024;
/// Directories, each visited once for every place where it stands.
pub(super) const MAX_FOLDERS: usize = 100_000;

pub(super) fn broken(what: &str) -> DownloadError {
    DownloadError::new(DownloadErrorKind::Broken, format!("{what} is malformed"))
}

/// Writes every tree and file once, however often it is used.
pub(super) fn export(
    talk: &mut Talk,
    algorithm: Algorithm,
    root: String,
    writer: &mut Writer,
) -> Result<(), DownloadError> {
    let mut seen = HashSet::from([root.clone()]);
    let mut folders = VecDeque::from([(root, String::new())]);
    let mut room = Collector::default();
    let too_large = |it: crate::directory::ReadError| {
        DownloadError::new(DownloadErrorKind::TooLarge, it.to_string())
    };
    while let Some((id, below)) = folders.pop_front() {
        if seen.len() > MAX_FOLDERS + crate::directory::MAX_FILES {
            return Err(DownloadError::new(
                DownloadErrorKind::TooLarge,
                "the model has too many directories",
            ));
        }
        let (_, raw) = object(talk, &id, MAX_TREE)?;
        writer.add("tree", &id, &raw)?;
        for entry in object::tree(algorithm, &raw).map_err(|_| broken("a tree"))? {
            let name = String::from_utf8_lossy(&entry.name);
            let path = if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") };
            match place(&path) {
                Place::Elsewhere => continue,
                Place::Model => {}
                Place::Forbidden => {
                    let words = format!("`{path}` is no path that a model may have");
                    return Err(DownloadError::new(DownloadErrorKind::Broken, words));
                }
            }
            if !seen.insert(entry.object.clone()) {
                continue;
            }
            match entry.mode {
                0o040_000 => folders.push_back((entry.object, path)),
                0o100_644 | 0o100_664 | 0o100_755 => {
                    let left = usize::try_from(crate::directory::MAX_BYTES).unwrap_or(usize::MAX);
                    let (_, raw) = object(talk, &entry.object, left)
                        .map_err(|it| DownloadError::new(it.kind, format!("{path}: {it}")))?;
                    room.room(&path, raw.len() as u64).map_err(too_large)?;
                    writer.add("blob", &entry.object, &raw)?;
                }
                _other => {
                    let words = format!(
                        "{path} is neither a file nor a directory: a model has no links and no submodules"
                    );
                    return Err(DownloadError::new(DownloadErrorKind::Broken, words));
                }
            }
        }
    }
    Ok(())
}

/// One object from `cat-file --batch`: its size is known before it is read.
pub(super) fn object(
    talk: &mut Talk,
    id: &str,
    limit: usize,
) -> Result<(String, Vec<u8>), DownloadError> {
    let failed = |err| DownloadError::local("read from git cat-file", err);
    talk.say(&format!("{id}\n")).map_err(failed)?;
    let mut line = String::new();
    talk.output.by_ref().take(256).read_line(&mut line).map_err(failed)?;
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    let [_, kind, size] = words[..] else {
        return Err(DownloadError::new(
            DownloadErrorKind::Broken,
            format!("object {id} is not there"),
        ));
    };
    let size: usize = size.parse().map_err(|_| broken("what git cat-file says"))?;
    if size > limit {
        return Err(DownloadError::new(
            DownloadErrorKind::TooLarge,
            format!("object {id} has {size} bytes, more than it may have: {limit}"),
        ));
    }
    let mut content = vec![0; size + 1];
    talk.output.read_exact(&mut content).map_err(failed)?;
    content.pop();
    Ok((kind.to_owned(), content))
}

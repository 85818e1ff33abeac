//! What is told of an entry that was seen, and whether it may be touched.

use super::content::sha256;
use crate::naming::Naming;
use std::sync::Arc;
use steadfast_system::AbsPath;
use steadfast_system::files::{Content, Entry, Expected, Folder, KEPT_FILE_MAX, OwnFolder, Shape};
use steadfast_system::text::safe;

/// What acting is told that deciding saw.
pub fn seen(entry: &Entry) -> Expected {
    match &entry.shape {
        Shape::File { content: Content::Digest(digest), .. } => Expected::File { digest: *digest },
        Shape::File { content: Content::Bytes(bytes), .. } => {
            Expected::File { digest: sha256(bytes) }
        }
        Shape::File { content: Content::NotRead | Content::TooLarge | Content::Leased, .. } => {
            Expected::AnyFile
        }
        Shape::Directory => Expected::Directory,
        Shape::Link { target } => Expected::Link { target: Arc::clone(target) },
        Shape::Socket | Shape::Fifo | Shape::Device => Expected::Other,
    }
}

pub fn words(shape: &Shape) -> &'static str {
    match shape {
        Shape::File { .. } => "a regular file",
        Shape::Directory => "a directory",
        Shape::Link { .. } => "a symbolic link",
        Shape::Socket => "a socket",
        Shape::Fifo => "a fifo",
        Shape::Device => "a device",
    }
}

/// How large a regular file is; nothing else has a size.
pub fn size(entry: &Entry) -> u64 {
    match entry.shape {
        Shape::File { size, .. } => size,
        Shape::Directory | Shape::Link { .. } | Shape::Socket | Shape::Fifo | Shape::Device => 0,
    }
}

/// Why nothing is promised at a path: it lies where this program keeps what is its own.
pub fn lies_in_ours(path: &AbsPath, own: &[OwnFolder]) -> Option<String> {
    let folder = own.iter().find(|it| !it.promisable && path.is_within(&it.path))?;
    Some(format!("it lies in {}, where this program keeps what is its own", folder.path))
}

/// Why a directory does not go: one of ours would go with it.
pub fn holds_ours(path: &AbsPath, own: &[OwnFolder]) -> Option<String> {
    let folder = own.iter().find(|it| it.path.is_within(path))?;
    Some(format!("{}, where this program keeps what is its own, would go with it", folder.path))
}

/// The same directories, also as they are called from a directory that they lie in.
pub(crate) fn own_seen_from(
    folder: &AbsPath,
    own: &Arc<[OwnFolder]>,
    naming: &mut Naming<'_>,
) -> Arc<[OwnFolder]> {
    naming.learn(&own.iter().map(|it| it.path.clone()).collect::<Vec<_>>());
    let mut more = vec![];
    for it in own.iter() {
        let seen = naming.seen_from(folder, &it.path).into_iter();
        more.extend(seen.map(|path| OwnFolder { path, promisable: it.promisable }));
    }
    if more.is_empty() { Arc::clone(own) } else { own.iter().cloned().chain(more).collect() }
}

/// Both, for what is no directory and takes the place of one.
pub fn is_ours(path: &AbsPath, entry: Option<&Entry>, own: &[OwnFolder]) -> Option<String> {
    let is_folder = entry.is_some_and(|it| it.shape == Shape::Directory);
    lies_in_ours(path, own).or_else(|| holds_ours(path, own).filter(|_| is_folder))
}

/// Whether it is a directory that others than root can put something into.
pub fn may_be_filled(entry: &Entry) -> bool {
    entry.shape == Shape::Directory && (entry.uid != 0 || entry.mode.0 & 0o022 != 0)
}

/// Whether it is a file that is too large for its content to be kept when it goes.
pub fn is_too_large_to_keep(entry: &Entry) -> bool {
    matches!(entry.shape, Shape::File { size, .. } if size > KEPT_FILE_MAX)
}

/// Whether a file's content is kept when it goes, where that is asked for.
pub fn is_kept(entry: &Entry) -> bool {
    !is_too_large_to_keep(entry) && entry.marks.secret.may_be_kept()
}

/// What is said where a file is to go whose content is not kept.
pub fn not_kept(entry: &Entry) -> Option<String> {
    if !matches!(entry.shape, Shape::File { .. }) || is_kept(entry) {
        return None;
    }
    Some(match entry.marks.secret.may_be_kept() {
        true => "its content is larger than 16 MiB and will not be kept".to_owned(),
        false => "its content was written from a secret and will not be kept".to_owned(),
    })
}

/// How large a regular file is, where that may be told: nothing is told of what was a secret.
pub fn shown_size(entry: &Entry) -> Option<u64> {
    (!entry.marks.secret.is_secret()).then(|| size(entry))
}

/// Takes the bytes of what was a secret out of what is shown; the digest is enough to compare.
pub fn hide_secret(entry: &mut Entry) {
    if entry.marks.secret.is_secret()
        && let Shape::File { content, .. } = &mut entry.shape
        && let Content::Bytes(bytes) = content
    {
        *content = Content::Digest(sha256(bytes));
    }
}

/// Whether it is a file that somebody may have linked here to have us work on another one.
pub fn is_foreign_link(entry: &Entry, folder: Option<&Folder>) -> bool {
    matches!(entry.shape, Shape::File { .. }) && entry.links > 1 && folder.is_some_and(|it| it.open)
}

/// What `steadfast explain` says of an entry.
pub fn describe(entry: Option<&Entry>) -> Vec<(&'static str, String)> {
    let Some(entry) = entry else { return vec![("is", "not there".to_owned())] };
    let mut all = vec![("is", words(&entry.shape).to_owned())];
    if let Shape::Link { target } = &entry.shape {
        all.push(("target", safe(target)));
    } else {
        all.push(("mode", entry.mode.to_string()));
    }
    all.push(("uid", entry.uid.to_string()));
    all.push(("gid", entry.gid.to_string()));
    all
}

//! What the kernel says and is told, by those who read and write trees.

use super::refused::TreeError;
use crate::SystemError;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::time::SystemTime;

pub(super) fn failed(what: impl Into<std::sync::Arc<str>>, err: Errno) -> TreeError {
    match err {
        Errno::NOSPC | Errno::DQUOT => TreeError::NoSpace,
        err => TreeError::Failed(SystemError::io(what, err)),
    }
}

pub(super) fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

pub(super) fn nanoseconds(seconds: i64, nanoseconds: impl TryInto<i64>) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds.try_into().unwrap_or_default())
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// What is in a directory, by names that are text.
pub(super) fn names_in(folder: &OwnedFd) -> Result<Vec<String>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let listed = rustix::fs::openat(folder, c".", flags, Mode::empty())?;
    let mut names = vec![];
    for entry in rustix::fs::Dir::new(listed)? {
        let entry = entry?;
        names.extend(entry.file_name().to_str().ok().map(str::to_owned));
    }
    names.retain(|it| it != "." && it != "..");
    Ok(names)
}

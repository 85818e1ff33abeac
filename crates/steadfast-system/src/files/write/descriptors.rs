//! What is done by descriptors: a content written, things removed, a directory flushed.

use crate::files::visit;
use crate::files::walk::{self, Dir, Facts, failed};
use crate::text::{of_bytes, safe};
use crate::{AbsPath, ErrorKind, SystemError};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};

pub(super) const OPEN_FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Removes one thing and all below it, by descriptors. What is mounted stops it; so does a directory that
/// is not the one it `was`, because somebody gave its name to another.
pub(super) fn remove_any(
    folder: BorrowedFd<'_>,
    name: &CStr,
    shown: &str,
    was: &Facts,
) -> Result<(), SystemError> {
    remove_below(folder, name, shown, Some(was), 0)
}

fn remove_below(
    folder: BorrowedFd<'_>,
    name: &CStr,
    shown: &str,
    was: Option<&Facts>,
    depth: usize,
) -> Result<(), SystemError> {
    let fail = |err| {
        let flag = Facts::at(folder, name).ok().and_then(|it| it.forbidding_flag());
        match flag {
            Some(flag) if err == Errno::PERM => {
                SystemError::new(ErrorKind::PermissionDenied, format!("it {}", flag.words()))
                    .during(format!("remove {shown}"))
            }
            Some(_) | None => failed(format!("remove {shown}"), err),
        }
    };
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(err) => return Err(fail(err)),
    }
    if depth > walk::DEPTH_MAX {
        return Err(fail(Errno::NAMETOOLONG));
    }
    let flags = OPEN_FOLDER | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(folder, name, flags, rustix::fs::Mode::empty()).map_err(fail)?;
    let facts = Facts::about(&fd).map_err(fail)?;
    if was.is_some_and(|was| was.identity() != facts.identity()) {
        return Err(SystemError::new(ErrorKind::Moved, "it is another directory now")
            .during(format!("remove {shown}")));
    }
    if facts.is_mounted(Facts::about(folder).map_err(fail)?.device()) {
        return Err(fail(Errno::BUSY));
    }
    // What cannot be removed keeps nothing else.
    let mut removed = Ok(());
    visit::each_name(&fd, fail, |inner| {
        let shown = format!("{shown}/{}", safe(&of_bytes(inner.to_bytes())));
        let result = remove_below(fd.as_fd(), inner, &shown, None, depth + 1);
        if removed.is_ok() {
            removed = result;
        }
        Ok(())
    })?;
    removed?;
    match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // It was empty a moment ago.
        Err(Errno::NOTEMPTY) => {
            Err(SystemError::new(ErrorKind::Moved, "something was put into it meanwhile")
                .during(format!("remove {shown}")))
        }
        Err(err) => Err(fail(err)),
    }
}

/// Removes a file, a link or an empty directory of ours. If it stays, the next run takes it away.
pub(super) fn remove_quietly(dir: &Dir, name: impl rustix::path::Arg + Copy) {
    if rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty()) == Err(Errno::ISDIR) {
        let _ = rustix::fs::unlinkat(&dir.fd, name, AtFlags::REMOVEDIR);
    }
}

pub(super) fn flush_folder(dir: &Dir, path: &AbsPath) -> Result<(), SystemError> {
    dir.readable()
        .and_then(rustix::fs::fsync)
        .map_err(|err| failed(format!("flush the directory of {path}"), err))
}

pub(super) fn folder_path(path: &AbsPath) -> String {
    walk::split(path.as_str()).map_or("/", |(folder, _)| folder).to_owned()
}

pub(super) fn c_string(name: &str) -> Result<CString, SystemError> {
    walk::kernel_name(name).map_err(|err| failed(format!("use the name {}", safe(name)), err))
}

pub(super) fn write_at_start(fd: &OwnedFd, content: &[u8]) -> Result<(), Errno> {
    let mut written = 0;
    while written < content.len() {
        match rustix::io::pwrite(fd, &content[written..], written as u64) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

//! Owner, mode and extended attributes: set on what is there, and given to what is written.

use super::batch::Batch;
use super::descriptors::OPEN_FOLDER;
use super::errors::{moved, refused};
use super::verify::is_shape;
use crate::files::backups::FLUSHED_ALONE;
use crate::files::walk::{self, ACCESS_LIST, DEFAULT_LIST, Dir, Facts, failed};
use crate::files::{Attributes, Expected, Mode, NewFile};
use crate::text::of_bytes;
use crate::{AbsPath, ErrorKind, SystemError};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{AtFlags, Gid, OFlags, Uid};
use rustix::io::Errno;
use std::collections::hash_map::Entry::Vacant;
use std::ffi::{CStr, CString};

impl Batch<'_> {
    pub(super) fn set_attributes(
        &mut self,
        all: &[(&AbsPath, &Expected, Attributes)],
    ) -> Vec<Result<(), SystemError>> {
        let alone = all.len() <= FLUSHED_ALONE;
        let mut devices = vec![];
        let mut results: Vec<Result<(), SystemError>> = vec![];
        for (path, seen, attributes) in all {
            let result = self.set_attributes_of(path, seen, *attributes, alone);
            devices.push(result.as_ref().ok().copied());
            results.push(result.map(|_| ()));
        }
        if !alone {
            for (device, err) in self.flush_devices() {
                for (index, on) in devices.iter().enumerate() {
                    if *on == Some(device) {
                        results[index] = Err(failed(format!("flush {}", all[index].0), err));
                    }
                }
            }
        }
        results
    }

    /// Sets attributes of one thing; returns the device that it is on.
    fn set_attributes_of(
        &mut self,
        path: &AbsPath,
        seen: &Expected,
        attributes: Attributes,
        flush: bool,
    ) -> Result<u64, SystemError> {
        // The root directory is its own parent.
        let (dir, name) = match walk::split(path.as_str()) {
            Some(_) => self.folder_of(path)?,
            None => match self.walker.folder("/")? {
                Some(root) => (root, c".".to_owned()),
                None => return Err(failed("open the directory /", Errno::NOENT)),
            },
        };
        let (fd, facts) = open_seen(&dir, &name, path, seen)?;
        let refuse = |why: &str| Err(SystemError::new(ErrorKind::Other, format!("{path} {why}")));
        if dir.open && facts.is_file() && facts.links() > 1 {
            return refuse(
                "has several hard links in a directory that others than root can write: it may be \
                 anybody's file",
            );
        }
        if attributes.mode.is_some() && facts.is_link() {
            return refuse("is a symbolic link, which has no mode");
        }
        // Whoever could lay a list there is not to say who uses it.
        let of_others = (dir.open || facts.uid() != 0) && !facts.is_link();
        let flushed = change(&fd, attributes, of_others).and_then(|()| {
            if flush { flush_one(&fd, &facts, &dir) } else { self.flush_later(&fd, &facts, &dir) }
        });
        flushed.map_err(|err| refused(format!("set owner or mode of {path}"), err, &dir, &name))?;
        Ok(facts.device())
    }

    /// Keeps a descriptor on the file system of what was changed, which is flushed as a whole later.
    fn flush_later(&mut self, fd: &OwnedFd, facts: &Facts, dir: &Dir) -> Result<(), Errno> {
        if let Vacant(unknown) = self.devices.entry(facts.device()) {
            unknown.insert(if facts.is_directory() {
                rustix::fs::open(reached(fd), OPEN_FOLDER, rustix::fs::Mode::empty())?
            } else {
                dir.readable()?
            });
        }
        Ok(())
    }
}

/// What is at a name, open without any right to it, and as it was seen there.
fn open_seen(
    dir: &Dir,
    name: &CStr,
    path: &AbsPath,
    seen: &Expected,
) -> Result<(OwnedFd, Facts), SystemError> {
    let fail = |err| refused(format!("set owner or mode of {path}"), err, dir, name);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match rustix::fs::openat(&dir.fd, name, flags, rustix::fs::Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Err(moved(path, "nothing is there any more")),
        Err(err) => return Err(fail(err)),
    };
    let facts = Facts::about(&fd).map_err(fail)?;
    if !is_shape(&facts, seen) {
        return Err(moved(path, "it became something else"));
    }
    if let Expected::Link { target } = seen {
        let now = rustix::fs::readlinkat(&fd, c"", Vec::new()).map_err(fail)?;
        if of_bytes(now.to_bytes()) != **target {
            return Err(moved(path, "the link points elsewhere now"));
        }
    }
    Ok((fd, facts))
}

/// A path to what is open without any right to it.
fn reached(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn change(fd: &OwnedFd, to: Attributes, clear: bool) -> Result<(), Errno> {
    let Attributes { uid, gid, mode } = to;
    if uid.is_some() || gid.is_some() {
        let (uid, gid) = ids(uid, gid)?;
        rustix::fs::chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH)?;
    }
    if clear && (uid.is_some() || mode.is_some()) {
        let path = reached(fd);
        for list in [ACCESS_LIST, DEFAULT_LIST] {
            none_left(rustix::fs::removexattr(&*path, list))?;
        }
    }
    // A change of owner takes setuid away, so the mode comes after it.
    match mode {
        Some(mode) => {
            rustix::fs::chmodat(rustix::fs::CWD, reached(fd), mode_of(mode), AtFlags::empty())
        }
        None => Ok(()),
    }
}

fn flush_one(fd: &OwnedFd, facts: &Facts, dir: &Dir) -> Result<(), Errno> {
    let flushed = if facts.is_file() || facts.is_directory() {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(reached(fd), flags, rustix::fs::Mode::empty()).and_then(rustix::fs::fsync)
    } else {
        Err(Errno::ACCESS)
    };
    match flushed {
        // Not to be opened, or not before its owner gives up a lease: then all of its file system.
        Err(Errno::ACCESS | Errno::AGAIN) => dir.readable().and_then(rustix::fs::syncfs),
        other => other,
    }
}

/// The owner comes first, because a change of owner takes setuid away.
pub(super) fn set_owner_and_mode(fd: &OwnedFd, file: &NewFile) -> Result<(), Errno> {
    let (uid, gid) = ids(Some(file.uid), Some(file.gid))?;
    rustix::fs::fchown(fd, uid, gid)?;
    rustix::fs::fchmod(fd, mode_of(file.mode))
}

/// Ids for the kernel, to which the largest number means "leave it".
pub(super) fn ids(uid: Option<u32>, gid: Option<u32>) -> Result<(Option<Uid>, Option<Gid>), Errno> {
    if uid == Some(u32::MAX) || gid == Some(u32::MAX) {
        return Err(Errno::INVAL);
    }
    Ok((uid.map(Uid::from_raw), gid.map(Gid::from_raw)))
}

pub(super) fn mode_of(mode: Mode) -> rustix::fs::Mode {
    rustix::fs::Mode::from_raw_mode((mode.0 & 0o7777).into())
}

/// Gives the new file the SELinux label, the access list and the user attributes of what it replaces.
///
/// Where others can write, or the owner changes, only the label is taken over, which nobody but root
/// can set: an access list laid out there would let its author read what is written now. File
/// capabilities belong to a content and are never taken over.
pub(super) fn copy_attributes(
    dir: &Dir,
    file: &NewFile,
    prior: Option<&Facts>,
    from: Option<&OwnedFd>,
    to: &OwnedFd,
) -> Result<(), Errno> {
    let trusted =
        !dir.open && prior.is_none_or(|facts| facts.uid() == 0 || facts.uid() == file.uid);
    let mut had_list = false;
    if let Some(from) = from {
        let mut value = vec![];
        for name in attribute_names(from)? {
            let of_root =
                name.as_c_str() == c"security.selinux" || name.as_c_str() == c"security.SMACK64";
            let of_others = name.as_c_str() == ACCESS_LIST || name.as_bytes().starts_with(b"user.");
            let taken_over = of_root || (of_others && trusted);
            if !taken_over {
                continue;
            }
            // The kernel's limit for a value.
            value.resize(64 * 1024, 0);
            let size = match rustix::fs::fgetxattr(from, &*name, &mut value[..]) {
                Ok(size) => size,
                Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
                Err(err) => return Err(err),
            };
            let set =
                rustix::fs::fsetxattr(to, &*name, &value[..size], rustix::fs::XattrFlags::empty());
            match set {
                Ok(()) => had_list |= name.as_c_str() == ACCESS_LIST,
                Err(Errno::OPNOTSUPP) => {}
                Err(err) => return Err(err),
            }
        }
    }
    if had_list || (from.is_none() && trusted) {
        return Ok(());
    }
    // One that came from the directory's default list.
    none_left(rustix::fs::fremovexattr(to, ACCESS_LIST))
}

/// Takes away the access list of a new directory, and that which it would hand on.
pub(super) fn clear_lists(fd: &OwnedFd) -> Result<(), Errno> {
    none_left(rustix::fs::fremovexattr(fd, ACCESS_LIST))?;
    none_left(rustix::fs::fremovexattr(fd, DEFAULT_LIST))
}

/// There may have been none, or the file system has none.
fn none_left(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(err) => Err(err),
    }
}

fn attribute_names(fd: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut list = vec![0_u8; 1024];
    loop {
        match rustix::fs::flistxattr(fd, &mut list[..]) {
            Ok(size) => {
                return Ok(list[..size]
                    .split_inclusive(|byte| *byte == 0)
                    .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
                    .map(CStr::to_owned)
                    .collect());
            }
            // The kernel's limit for the list.
            Err(Errno::RANGE) if list.len() < 64 * 1024 => list.resize(64 * 1024, 0),
            Err(Errno::OPNOTSUPP) => return Ok(vec![]),
            Err(err) => return Err(err),
        }
    }
}

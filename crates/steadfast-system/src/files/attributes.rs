//! Owner, mode and extended attributes of what is written.

use super::walk::{ACCESS_LIST, Dir, Facts};
use super::{Mode, NewFile};
use rustix::fd::OwnedFd;
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use std::ffi::{CStr, CString};

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
    // One that came from the folder's default list.
    match rustix::fs::fremovexattr(to, ACCESS_LIST) {
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

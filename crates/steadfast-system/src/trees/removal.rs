//! Taking away what is not needed any more: by descriptors, through no link and onto no other mount. What is begun has
//! a name that begins with a dot, so that a removal that was cut off is known as one.

use crate::files::Mounts;
use crate::{AbsPath, ErrorKind, SystemError};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::path::Path;

/// What is being removed is called so, and its name follows.
pub(super) const GONE: &str = ".gone-";
/// No tree is deeper (it has 128 levels at most), and hardly anything else.
const MAX_DEPTH: usize = 512;

/// Takes something out of its place in one move, and then apart. Nothing is done where something is mounted in it.
pub(super) fn put_away(folder: impl AsFd, at: &Path, name: &str) -> Result<(), SystemError> {
    let path = at.join(name);
    let failed = |err: Errno| SystemError::io(format!("remove {}", path.display()), err);
    if has_mounts(&path)? {
        let words = format!("something is mounted in {}", path.display());
        return Err(SystemError::new(ErrorKind::Other, words));
    }
    let gone = format!("{GONE}{name}");
    remove_all(&folder, &gone).map_err(failed)?;
    match rustix::fs::renameat(&folder, name, &folder, &*gone) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.and_then(|()| rustix::fs::fsync(&folder)).map_err(failed)?,
    }
    remove_all(&folder, &gone).map_err(failed)
}

fn has_mounts(path: &Path) -> Result<bool, SystemError> {
    let mounts = std::fs::read("/proc/self/mountinfo")
        .map_err(|err| SystemError::io("read what is mounted where", err))?;
    let path = path.to_str().and_then(|it| AbsPath::parse_found(it).ok());
    Ok(path.is_none_or(|it| Mounts::parse(&mounts).has_any_below(&it)))
}

/// Removes whatever has this name, if anything.
pub(super) fn remove_all(folder: impl AsFd, name: &str) -> Result<(), Errno> {
    let name = std::ffi::CString::new(name).map_err(|_| Errno::INVAL)?;
    remove(folder.as_fd(), &name, MAX_DEPTH)
}

fn remove(above: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
    match rustix::fs::unlinkat(above, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // What the kernel says of a directory; POSIX has the second.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(err) => return Err(err),
    }
    let dir = open(above, name)?;
    if !rustix::process::geteuid().is_root() {
        rustix::fs::fchmod(&dir, Mode::RWXU)?;
    }
    let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
    // A name that is removed may hide another from who goes on listing.
    while remove_some(&dir, depth)? {}
    match rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Removes what is listed in a directory. Whether there was anything.
fn remove_some(dir: &OwnedFd, depth: usize) -> Result<bool, Errno> {
    let mut has_any = false;
    let listed = rustix::fs::openat(dir, c".", LIST, Mode::empty())?;
    for entry in rustix::fs::Dir::new(listed)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            has_any = true;
            remove(dir.as_fd(), name, depth)?;
        }
    }
    Ok(has_any)
}

const LIST: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory that is no link, and on which nothing is mounted.
fn open(above: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let bounds = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(above, name, LIST, Mode::empty(), bounds) {
        // A file that cannot be removed.
        Err(Errno::NOTDIR) => Err(Errno::PERM),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn all_of_it_is_removed_and_nothing_that_a_link_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |it: &str| folder.path().join(it);
        fs::create_dir_all(at("x/a/b")).unwrap();
        fs::create_dir_all(at("other/c")).unwrap();
        fs::write(at("other/c/file"), "stays").unwrap();
        for number in 0..300 {
            fs::write(at(&format!("x/a/{number}")), "").unwrap();
        }
        symlink("../other", at("x/away")).unwrap();
        symlink(at("other/c"), at("x/a/away")).unwrap();
        symlink("/nowhere", at("x/a/b/broken")).unwrap();
        fs::set_permissions(at("x/a/b"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(at("x"), fs::Permissions::from_mode(0o555)).unwrap();
        let fd = rustix::fs::open(folder.path(), LIST, Mode::empty()).unwrap();
        // What a former removal has left is in nobody's way.
        fs::create_dir_all(at(".gone-x/left")).unwrap();
        put_away(&fd, folder.path(), "x").unwrap();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left, ["other"]);
        assert_eq!(fs::read_to_string(at("other/c/file")).unwrap(), "stays");
        // Once more, and of a link only the link.
        put_away(&fd, folder.path(), "x").unwrap();
        symlink("other", at("link")).unwrap();
        put_away(&fd, folder.path(), "link").unwrap();
        assert!(at("other/c/file").exists() && !at("link").exists());
    }
}

//! Making a home from a skeleton, by descriptors alone. It is filled as root's, where nobody else can enter,
//! and becomes the user's as a whole; then it takes its place by one rename.

use super::attributes::{ids, mode_of};
use super::batch::Batch;
use super::descriptors::{OPEN_FOLDER, c_string, flush_folder, remove_any};
use super::errors::{moved, refused};
use crate::files::visit;
use crate::files::walk::{self, DEPTH_MAX, Dir, Facts, Walker, failed};
use crate::files::{Expected, Mode};
use crate::{AbsPath, SystemError};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, OFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;

/// A home to be made.
pub(crate) struct NewHome<'a> {
    pub(crate) path: &'a AbsPath,
    /// What it is filled with, where that is there.
    pub(crate) skeleton: &'a AbsPath,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: Mode,
}

impl Batch<'_> {
    pub(super) fn make_home(&mut self, home: &NewHome<'_>) -> Result<(), SystemError> {
        let path = home.path;
        let (dir, name) = self.folder_to_write(path)?;
        let name = &*name;
        self.verify(&dir, name, path, &Expected::Nothing, false, None)?;
        let temporary = self.host.files.temporary_name("");
        let fail = |err| refused(format!("make the home {path}"), err, &dir, name);
        rustix::fs::mkdirat(&dir.fd, &*temporary, rustix::fs::Mode::RWXU).map_err(fail)?;
        let made = open_made(dir.fd.as_fd(), &c_string(&temporary)?).map_err(fail)?;
        let was = Facts::about(&made).map_err(fail)?;
        let placed = (|| {
            // Who owns the directory above can have put another one there.
            let ours = was.uid() == rustix::process::geteuid().as_raw()
                && was.mode().0 & 0o777 == 0o700
                && visit::is_empty(&made).map_err(fail)?;
            if !ours {
                return Err(moved(path, "somebody put something else in its place"));
            }
            let mut walker = Walker::default();
            if let Ok(skeleton) = walk::open_tree(&mut walker, home.skeleton) {
                fill(&skeleton, made.as_fd(), home, 0)
                    .map_err(|err| failed(format!("fill the home {path}"), err))?;
            }
            let (uid, gid) = ids(Some(home.uid), Some(home.gid)).map_err(fail)?;
            rustix::fs::fchown(&made, uid, gid).map_err(fail)?;
            rustix::fs::fchmod(&made, mode_of(home.mode)).map_err(fail)?;
            rustix::fs::fsync(&made).map_err(fail)?;
            self.put(&dir, &temporary, path, &Expected::Nothing, None, true)?;
            let there = Facts::at(&dir.fd, name).map_err(fail)?;
            if there.identity() != was.identity() {
                return Err(moved(path, "somebody put something else in its place"));
            }
            flush_folder(&dir, path)
        })();
        if placed.is_err() {
            // It goes as a whole where it is still there, and nothing else does.
            let _gone = remove_any(dir.fd.as_fd(), &c_string(&temporary)?, path.as_str(), &was);
        }
        placed
    }
}

fn open_made(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(folder, name, OPEN_FOLDER | OFlags::NOFOLLOW, rustix::fs::Mode::empty())
}

/// Copies what is in one directory into another that nobody else can enter, as the user's.
fn fill(from: &Dir, to: BorrowedFd<'_>, home: &NewHome<'_>, depth: usize) -> Result<(), Errno> {
    if depth > DEPTH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    visit::each_name(&from.fd, |err| err, |name| fill_one(from, name, to, home, depth))
}

fn fill_one(
    from: &Dir,
    name: &CStr,
    to: BorrowedFd<'_>,
    home: &NewHome<'_>,
    depth: usize,
) -> Result<(), Errno> {
    let facts = match Facts::at(&from.fd, name) {
        Ok(facts) => facts,
        Err(Errno::NOENT) => return Ok(()),
        Err(err) => return Err(err),
    };
    let private = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let copy = match facts.kind() {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, rustix::fs::Mode::RWXU)?;
            let copy = open_made(to, name)?;
            fill(&from.to_be_listed(name)?, copy.as_fd(), home, depth + 1)?;
            copy
        }
        FileType::RegularFile => {
            let (source, _) = from.open_file(name)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let copy = rustix::fs::openat(to, name, flags, private)?;
            let mut copy = File::from(copy);
            std::io::copy(&mut File::from(source), &mut copy)
                .map_err(|err| err.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
            copy.into()
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&from.fd, name, Vec::new())?;
            rustix::fs::symlinkat(&*target, to, name)?;
            let (uid, gid) = ids(Some(home.uid), Some(home.gid))?;
            rustix::fs::chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            return Ok(());
        }
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => return Ok(()),
    };
    let (uid, gid) = ids(Some(home.uid), Some(home.gid))?;
    rustix::fs::fchown(&copy, uid, gid)?;
    rustix::fs::fchmod(&copy, mode_of(facts.mode()))?;
    rustix::fs::fsync(&copy)?;
    Ok(())
}

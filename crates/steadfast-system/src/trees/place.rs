//! The directory in which trees lie, each beside the list of what is in it. What is being written has a name that
//! begins with a dot; whoever comes next removes what a killed one has left.

use super::kernel::{self, names_in};
use super::manifest::Manifest;
use super::refused::TreeError;
use super::removal::{GONE, put_away, remove_all};
use crate::files::{closed_folder, who_can_swap};
use crate::text::safe;
use crate::{ErrorKind, SystemError};
use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

const NAME: &str = "releases";
const NEW: &str = ".new-";
const OLD: &str = ".old-";
const LIST: &str = ".manifest";

/// `DIRECTORY/releases`.
#[derive(Debug)]
pub struct Releases {
    fd: OwnedFd,
    path: PathBuf,
}

/// How much room a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub device: u64,
    pub free: u64,
}

impl Space {
    /// Of the file system that a directory is on.
    pub fn at(directory: &Path) -> Result<Space, SystemError> {
        let failed =
            |err| SystemError::io(format!("ask for the room in {}", shown(directory)), err);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(directory, flags, Mode::empty()).map_err(failed)?;
        Space::of(&fd).map_err(failed)
    }

    fn of(fd: &OwnedFd) -> Result<Space, Errno> {
        let device = rustix::fs::fstat(fd)?.st_dev;
        let room = rustix::fs::fstatvfs(fd)?;
        Ok(Space { device, free: room.f_bavail.saturating_mul(room.f_frsize) })
    }
}

impl Releases {
    /// Opens it, and makes it and the directory that it lies in where they are missing. Where we are root, nobody
    /// else may be able to write there, or in any directory above: who can swap it chooses what root starts.
    pub fn open(directory: &Path) -> Result<Releases, SystemError> {
        let (Some(above), Some(name)) = (directory.parent(), directory.file_name()) else {
            let words = format!("{} is no place for deployments", shown(directory));
            return Err(SystemError::new(ErrorKind::Invalid, words));
        };
        make(&closed(above)?, Path::new(name), directory)?;
        make(&closed(directory)?, Path::new(NAME), &directory.join(NAME))?;
        let path = directory.join(NAME);
        Ok(Releases { fd: closed(&path)?, path })
    }

    /// Opens it, where it is there and nobody else can write there.
    pub fn there(directory: &Path) -> Result<Option<Releases>, SystemError> {
        let path = directory.join(NAME);
        Ok(closed_folder(&path)?.map(|fd| Releases { fd, path }))
    }

    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn space(&self) -> Result<Space, SystemError> {
        Space::of(&self.fd).map_err(|err| self.failed("ask for the room in", err))
    }

    pub(super) fn failed(&self, what: &str, err: Errno) -> SystemError {
        SystemError::io(format!("{what} {}", shown(&self.path)), err)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The list beside a tree; none where there is none, or it is not whole.
    pub fn manifest(&self, name: &str) -> Result<Option<Manifest>, SystemError> {
        let path = self.reached(&format!("{name}{LIST}"));
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Manifest::from_text(&text)),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(err) if err.kind() == std::io::ErrorKind::InvalidData => Ok(None),
            Err(err) => Err(SystemError::io(format!("read the list of the tree {name}"), err)),
        }
    }

    /// Whether something is there under this name.
    pub fn has(&self, name: &str) -> Result<bool, SystemError> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(err) => Err(self.failed("look at", err)),
        }
    }

    /// Removes a tree and its list: what is there is there as a whole, or is gone.
    pub fn remove(&self, name: &str) -> Result<(), SystemError> {
        put_away(&self.fd, &self.path, name)?;
        self.remove_entry(&format!("{name}{LIST}"))
    }

    /// Takes away what was begun here and never became whole, and puts back what was only moved aside. Nobody else
    /// may be writing here.
    pub fn sweep(&self) -> Result<(), SystemError> {
        for name in self.names()? {
            if let Some(tree) = name.strip_prefix(OLD)
                && !self.has(tree)?
            {
                let put = rustix::fs::renameat(&self.fd, &*name, &self.fd, tree);
                put.map_err(|err| self.failed("put back what was in", err))?;
            } else if [NEW, OLD, GONE].iter().any(|it| name.starts_with(it)) {
                self.remove_entry(&name)?;
            } else if let Some(tree) = name.strip_suffix(LIST)
                && !self.has(tree)?
            {
                self.remove_entry(&name)?;
            }
        }
        Ok(())
    }

    /// What lies here, by names that are text, and whether it has a list beside it.
    pub fn list(&self) -> Result<Vec<(String, bool)>, SystemError> {
        let names = self.names()?;
        let is_tree = |it: &&String| !it.starts_with('.') && !it.ends_with(LIST);
        let has_list = |it: &str| names.iter().any(|name| name.strip_suffix(LIST) == Some(it));
        Ok(names.iter().filter(is_tree).map(|it| (it.clone(), has_list(it))).collect())
    }

    fn names(&self) -> Result<Vec<String>, SystemError> {
        names_in(&self.fd).map_err(|err| self.failed("list", err))
    }

    /// A path to something here that nobody can swap on its way.
    fn reached(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }

    fn remove_entry(&self, name: &str) -> Result<(), SystemError> {
        let failed = |err| SystemError::io(format!("remove {}", shown(&self.path.join(name))), err);
        remove_all(&self.fd, name).map_err(failed)
    }

    /// A directory to be written in, which [`Releases::place`] puts into its place.
    pub(super) fn begin(&self, name: &str) -> Result<OwnedFd, TreeError> {
        let new = format!("{NEW}{name}");
        self.remove_entry(&new)?;
        let failed = |err| kernel::failed(format!("make {}", shown(&self.path.join(&new))), err);
        rustix::fs::mkdirat(&self.fd, &*new, Mode::from_raw_mode(0o700)).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, &*new, flags, Mode::empty()).map_err(failed)?;
        // Not what the directory hands down: a group, or an access list.
        for list in [c"system.posix_acl_default", c"system.posix_acl_access"] {
            let _none = rustix::fs::fremovexattr(&fd, list);
        }
        rustix::fs::fchown(&fd, Some(rustix::process::geteuid()), Some(rustix::process::getegid()))
            .and_then(|()| rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o700)))
            .map_err(failed)?;
        Ok(fd)
    }

    /// Takes away what was begun.
    pub(super) fn give_up(&self, name: &str) -> Result<(), SystemError> {
        self.remove_entry(&format!("{NEW}{name}"))?;
        self.remove_entry(&format!("{NEW}{name}{LIST}"))
    }

    /// Writes the list of what was begun, and then puts both into their place, in one move each. What is there
    /// under that name is exchanged for it.
    pub(super) fn place(&self, name: &str, manifest: &Manifest) -> Result<(), TreeError> {
        self.write_manifest(name, manifest)?;
        let new = format!("{NEW}{name}");
        let failed = |err| kernel::failed(format!("put {name} into {}", shown(&self.path)), err);
        let moved =
            rustix::fs::renameat_with(&self.fd, &*new, &self.fd, name, RenameFlags::NOREPLACE);
        match moved {
            Err(Errno::EXIST) => self.exchange(&new, name).map_err(failed)?,
            // A file system that does not know the flag.
            Err(Errno::INVAL | Errno::NOSYS) if !self.has(name)? => {
                rustix::fs::renameat(&self.fd, &*new, &self.fd, name).map_err(failed)?;
            }
            Err(Errno::INVAL | Errno::NOSYS) => self.exchange(&new, name).map_err(failed)?,
            Err(err) => return Err(failed(err)),
            Ok(()) => {}
        }
        rustix::fs::fsync(&self.fd).map_err(failed)?;
        // What was there before.
        self.give_up(name)?;
        Ok(self.remove_entry(&format!("{OLD}{name}"))?)
    }

    fn exchange(&self, new: &str, name: &str) -> Result<(), Errno> {
        match rustix::fs::renameat_with(&self.fd, new, &self.fd, name, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                let old = format!("{OLD}{name}");
                rustix::fs::renameat(&self.fd, name, &self.fd, &*old)?;
                rustix::fs::renameat(&self.fd, new, &self.fd, name)
            }
            other => other,
        }
    }

    /// Puts a list beside its tree: as a whole, or not at all.
    pub fn write_manifest(&self, name: &str, manifest: &Manifest) -> Result<(), TreeError> {
        let new = format!("{NEW}{name}{LIST}");
        let failed = |err| kernel::failed(format!("write the list of the tree {name}"), err);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, &*new, flags, Mode::from_raw_mode(0o600));
        let file = file.map_err(failed)?;
        kernel::write_all(&file, manifest.to_text().as_bytes()).map_err(failed)?;
        rustix::fs::fsync(&file).map_err(failed)?;
        let place = format!("{name}{LIST}");
        rustix::fs::renameat(&self.fd, &*new, &self.fd, &*place).map_err(failed)
    }
}

/// A directory that nobody else can write or swap, where we are root.
fn closed(path: &Path) -> Result<OwnedFd, SystemError> {
    if !rustix::process::geteuid().is_root() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        return opened.map_err(|err| SystemError::io(format!("open {}", shown(path)), err));
    }
    closed_folder(path)?.ok_or_else(|| not_closed(path))
}

/// Why a directory is none that only root can write, and which of those above it is the reason.
fn not_closed(path: &Path) -> SystemError {
    let words = match who_can_swap(path) {
        Some(open) if open == path => {
            format!("the directory {} can be written by others than root", shown(path))
        }
        Some(open) => {
            let (open, path) = (shown(&open), shown(path));
            format!(
                "the directory {open} can be written by others than root, who could swap {path}"
            )
        }
        None => format!("the directory {} is missing", shown(path)),
    };
    SystemError::new(ErrorKind::Invalid, words)
}

/// That nobody but root can write in a directory or swap it, as far as there is one: what is started from there is
/// chosen by root.
pub fn is_for_root_alone(directory: &Path) -> Result<(), SystemError> {
    match who_can_swap(directory) {
        Some(_) => Err(not_closed(directory)),
        None => Ok(()),
    }
}

fn make(above: &OwnedFd, name: &Path, path: &Path) -> Result<(), SystemError> {
    let failed = |err| SystemError::io(format!("make {}", shown(path)), err);
    match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        Err(err) => Err(failed(err)),
        // Whatever the mask of this process is.
        Ok(()) => rustix::fs::chmodat(above, name, Mode::from_raw_mode(0o755), AtFlags::empty())
            .and_then(|()| rustix::fs::fsync(above))
            .map_err(failed),
    }
}

fn shown(path: &Path) -> String {
    safe(&path.to_string_lossy())
}

//! The directory in which the deployments of a component lie, each in a directory of its own with a mark that says
//! which it is. Only root can write there.

use super::kernel;
use super::removal::{GONE, put_away, remove_all};
use crate::SystemError;
use crate::files::closed_folder;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

const NAME: &str = "deployments";
const MARK: &str = ".steadfast";
/// A mark is one line.
const MAX_MARK: usize = 64 * 1024;

/// `DIRECTORY/deployments`.
#[derive(Debug)]
pub struct Shelf {
    fd: OwnedFd,
    path: PathBuf,
}

/// One thing that lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lying {
    pub name: String,
    /// What its mark says, where it has one that only root can have written.
    pub mark: Option<String>,
    /// The name of the tree that its link leads to.
    pub tree: Option<String>,
}

impl Shelf {
    /// None where there is none, or where others than root can write: what lies there proves nothing then.
    pub fn open(directory: &Path) -> Result<Option<Shelf>, SystemError> {
        let path = directory.join(NAME);
        Ok(closed_folder(&path)?.map(|fd| Shelf { fd, path }))
    }

    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What lies here. What a removal that was cut off has left is taken away first.
    pub fn list(&self) -> Result<Vec<Lying>, SystemError> {
        let failed =
            |err: Errno| SystemError::io(format!("look into {}", self.path.display()), err);
        let mut all = vec![];
        for name in kernel::names_in(&self.fd).map_err(failed)? {
            if name.starts_with(GONE) {
                remove_all(&self.fd, &name).map_err(failed)?;
                continue;
            }
            let (mark, tree) = self.known(&name).map_err(failed)?;
            all.push(Lying { name, mark, tree });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The name of the deployment that a link beside it leads to, as `current` does.
    pub fn linked(&self, link: &str) -> Option<String> {
        let target = rustix::fs::readlinkat(&self.fd, format!("../{link}"), vec![]).ok()?;
        let name = target.to_str().ok()?.strip_prefix("deployments/")?;
        (!name.contains('/')).then(|| name.to_owned())
    }

    /// One thing that lies here, if it is there.
    pub fn look(&self, name: &str) -> Result<Lying, SystemError> {
        let failed =
            |err: Errno| SystemError::io(format!("look into {}", self.path.display()), err);
        let (mark, tree) = self.known(name).map_err(failed)?;
        Ok(Lying { name: name.to_owned(), mark, tree })
    }

    fn known(&self, name: &str) -> Result<(Option<String>, Option<String>), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Some(folder) = opened(&self.fd, name, flags)? else { return Ok((None, None)) };
        if !is_ours(&rustix::fs::fstat(&folder)?) {
            return Ok((None, None));
        }
        let tree = match rustix::fs::readlinkat(&folder, "tree", vec![]) {
            Ok(target) => target
                .to_str()
                .ok()
                .and_then(|it| it.strip_prefix("../../releases/"))
                .map(str::to_owned),
            Err(Errno::NOENT | Errno::INVAL | Errno::NOTDIR) => None,
            Err(err) => return Err(err),
        };
        let file = opened(&folder, MARK, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC)?;
        let mark = match file {
            Some(file) if is_mark(&rustix::fs::fstat(&file)?) => read(&file)?,
            Some(_) | None => None,
        };
        Ok((mark, tree.filter(|it| !it.contains('/'))))
    }

    /// Removes a deployment: what is there is there as a whole, or is gone.
    pub fn remove(&self, name: &str) -> Result<(), SystemError> {
        put_away(&self.fd, &self.path, name)
    }
}

/// None where there is no such thing, or it is a link, or another kind of thing.
fn opened(folder: &OwnedFd, name: &str, flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
    let bounds = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(folder, name, flags, Mode::empty(), bounds) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Nobody but root (in tests: but us) can have put anything there.
fn is_ours(about: &Stat) -> bool {
    about.st_uid == rustix::process::geteuid().as_raw() && about.st_mode & 0o022 == 0
}

/// What others can read was not written by us.
fn is_mark(about: &Stat) -> bool {
    FileType::from_raw_mode(about.st_mode) == FileType::RegularFile
        && is_ours(about)
        && about.st_mode & 0o077 == 0
}

fn read(file: &OwnedFd) -> Result<Option<String>, Errno> {
    let mut bytes = vec![0; MAX_MARK];
    let mut length = 0;
    while length < MAX_MARK {
        match rustix::io::read(file, &mut bytes[length..]) {
            Ok(0) => {
                bytes.truncate(length);
                return Ok(String::from_utf8(bytes).ok());
            }
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(err) => return Err(err),
        }
    }
    Ok(None)
}

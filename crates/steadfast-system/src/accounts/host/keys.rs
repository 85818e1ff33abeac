//! A user's authorized_keys: read by descriptors, and written with the user's rights, or as root where nobody
//! else can write.

use super::as_user::as_user;
use crate::accounts::{KeysFile, Read as _, User, fitness};
use crate::files::closed_folder;
use crate::programs::host::run_as;
use crate::{AbsPath, ErrorKind, Host, SystemError, UserName};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

/// A keys file that is longer is not read.
const MAX_KEYS: u64 = 1024 * 1024;
const FILE: &str = "authorized_keys";
/// What is being written. A killed run may leave it; the next takes it away.
const NEW: &str = "authorized_keys.steadfast";
/// What may not be taken over is kept beside it, under this name and a number.
const ASIDE: &str = "authorized_keys.not-used";
const ASIDE_MAX: u32 = 100;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Step by step below the home, by descriptors, following no link and waiting for nothing.
pub(super) fn read_keys(
    home: &AbsPath,
    at: &Path,
    user: Option<(u32, u32)>,
) -> Result<KeysFile, SystemError> {
    let shown = format!("{home}/.ssh/{FILE}");
    let failed = |err: Errno| SystemError::io(format!("look at {shown}"), err);
    let in_the_way =
        |path: &str, what: &str| Ok(KeysFile::InTheWay(Arc::from(format!("{path} is {what}"))));
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let home_fd = match rustix::fs::open(at, folder, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(KeysFile::NoHome),
        Err(err) => return Err(failed(err)),
    };
    let ssh_fd =
        match rustix::fs::openat(&home_fd, ".ssh", folder | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(KeysFile::Nothing),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let shape = shape(&home_fd, ".ssh").map_err(failed)?;
                return in_the_way(&format!("{home}/.ssh"), words(shape));
            }
            Err(err) => return Err(failed(err)),
        };
    let of_no_use = |what: &str| Ok(KeysFile::unfit(format!("it is {what}")));
    match shape(&ssh_fd, FILE) {
        Ok(FileType::RegularFile) => {}
        Ok(other) => return of_no_use(words(other)),
        Err(Errno::NOENT) => return Ok(KeysFile::Nothing),
        Err(err) => return Err(failed(err)),
    }
    // It may have been changed for something else since: neither opening nor reading may wait.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&ssh_fd, FILE, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(KeysFile::Nothing),
        Err(Errno::LOOP) => return of_no_use("a symbolic link"),
        // Nobody but its owner can have one; they keep no key in use by that.
        Err(Errno::AGAIN) => {
            let why = "its owner has a lease on it (fcntl F_SETLEASE), so it cannot be read";
            return Ok(KeysFile::unfit(why));
        }
        Err(err) => return Err(failed(err)),
    };
    judge(file, &ssh_fd, &shown, user)
}

/// What an open file is worth as the keys of a user, and what stands in it.
fn judge(
    file: OwnedFd,
    ssh_fd: &OwnedFd,
    shown: &str,
    user: Option<(u32, u32)>,
) -> Result<KeysFile, SystemError> {
    let failed = |err: Errno| SystemError::io(format!("look at {shown}"), err);
    let found = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Ok(KeysFile::unfit("it is no regular file"));
    }
    let folder = rustix::fs::fstat(ssh_fd).map_err(failed)?;
    let several = found.st_nlink > 1;
    let unfit = fitness::unfit_keys(user, &side(&folder), &side(&found), several);
    if let Some(unfit) = unfit.as_ref().filter(|it| !it.counts) {
        return Ok(KeysFile::unfit(&*unfit.why));
    }
    let mut content = vec![];
    fs::File::from(file)
        .take(MAX_KEYS + 1)
        .read_to_end(&mut content)
        .map_err(|err| SystemError::io(format!("read {shown}"), err))?;
    if content.len() as u64 > MAX_KEYS {
        return Ok(KeysFile::unfit("it is larger than 1 MiB"));
    }
    Ok(match unfit {
        Some(unfit) => KeysFile::Unfit { content: Some(Arc::from(content)), why: unfit.why },
        None => KeysFile::Content(Arc::from(content)),
    })
}

fn side(found: &Stat) -> fitness::Side {
    fitness::Side { uid: found.st_uid, gid: found.st_gid, mode: found.st_mode & 0o7777 }
}

fn shape(folder: &OwnedFd, name: &str) -> Result<FileType, Errno> {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode))
}

fn words(shape: FileType) -> &'static str {
    match shape {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a fifo",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    }
}

impl Host {
    pub(super) fn put_keys(
        &self,
        user: &UserName,
        home: &AbsPath,
        seen: &KeysFile,
        content: &[u8],
    ) -> Result<(), SystemError> {
        let what = || format!("write {home}/.ssh/{FILE}");
        let moved = |words: &str| SystemError::new(ErrorKind::Moved, words).during(what());
        let local = self.local()?;
        let Some(account) = local.user(user) else { return Err(moved("the user is gone")) };
        let now = self.keys_file(home, Some(account.uid)).map_err(|error| error.during(what()))?;
        // A home that this run made may have brought a skeleton's empty .ssh, and is no longer missing.
        let same = match (&now, seen) {
            (KeysFile::Nothing, KeysFile::NoHome | KeysFile::Nothing) => true,
            (
                KeysFile::NoHome
                | KeysFile::Nothing
                | KeysFile::Content(_)
                | KeysFile::Unfit { .. }
                | KeysFile::InTheWay(_),
                _,
            ) => now == *seen,
        };
        if !same {
            return Err(moved("it has changed since it was looked at"));
        }
        let put =
            Put { account, content, aside: matches!(seen, KeysFile::Unfit { content: None, .. }) };
        self.put(&put, home).map_err(|error| error.during(what()))
    }

    fn put(&self, put: &Put<'_>, home: &AbsPath) -> Result<(), SystemError> {
        let at = self.accounts.path(home.as_str());
        // Where only root can write, only root can make it, and nobody can swap what root makes.
        if let Some(home) = closed_folder(&at)? {
            let ssh = put.folder(&home, true).map_err(|err| SystemError::io("make .ssh", err))?;
            let owner =
                rustix::fs::fstat(&ssh).map_err(|err| SystemError::io("look at .ssh", err))?;
            if owner.st_uid == rustix::process::geteuid().as_raw() {
                return put.file(&ssh, true);
            }
        }
        as_user(&run_as(put.account)?, || {
            let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let home = rustix::fs::open(&at, folder, Mode::empty())
                .map_err(|err| SystemError::io("open the home", err))?;
            let ssh = put.folder(&home, false).map_err(|err| SystemError::io("make .ssh", err))?;
            put.file(&ssh, false)
        })
    }
}

/// What is to be written, and for whom.
struct Put<'a> {
    account: &'a User,
    content: &'a [u8],
    /// Whether what is there is kept beside it.
    aside: bool,
}

impl Put<'_> {
    /// Opens .ssh, and makes it or makes it fit where that is needed.
    fn folder(&self, home: impl AsFd, as_root: bool) -> Result<OwnedFd, Errno> {
        let (uid, gid) = (self.account.uid, self.account.gid);
        let made = match rustix::fs::mkdirat(&home, ".ssh", Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(err) => return Err(err),
        };
        let ssh = rustix::fs::openat(&home, ".ssh", FOLDER, Mode::empty())?;
        let found = rustix::fs::fstat(&ssh)?;
        let unfit = fitness::unfit_folder((uid, gid), &side(&found)).is_some();
        if as_root && (made || unfit) {
            rustix::fs::fchown(&ssh, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        if made || unfit {
            rustix::fs::fchmod(&ssh, Mode::RWXU)?;
            rustix::fs::fsync(&ssh)?;
        }
        Ok(ssh)
    }

    /// Puts the file into its place by one rename.
    fn file(&self, ssh: &OwnedFd, as_root: bool) -> Result<(), SystemError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |err: Errno| SystemError::io(what.clone(), err)
        };
        let new = temporary(ssh).map_err(failed("take away what an earlier run left"))?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let private = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(ssh, &*new, flags, private).map_err(failed("make a file"))?;
        let mut file = fs::File::from(file);
        let written = (|| {
            file.write_all(self.content).map_err(|err| SystemError::io("write it", err))?;
            if as_root {
                let (uid, gid) = (Uid::from_raw(self.account.uid), Gid::from_raw(self.account.gid));
                rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(failed("set its owner"))?;
            }
            rustix::fs::fchmod(&file, private).map_err(failed("set its mode"))?;
            rustix::fs::fsync(&file).map_err(failed("flush it"))?;
            if self.aside {
                aside(ssh).map_err(failed("keep what is there beside it"))?;
            }
            rustix::fs::renameat(ssh, &*new, ssh, FILE).map_err(failed("rename it"))
        })();
        if written.is_err() {
            let _gone = rustix::fs::unlinkat(ssh, &*new, AtFlags::empty());
        }
        written?;
        rustix::fs::fsync(ssh).map_err(failed("flush .ssh"))
    }
}

/// A name that is free: ours, or ours with a number where the user has put a directory there.
fn temporary(ssh: &OwnedFd) -> Result<String, Errno> {
    match rustix::fs::unlinkat(ssh, NEW, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(NEW.to_owned()),
        Err(Errno::ISDIR | Errno::PERM) => {
            let number = random().map_err(|err| Errno::from_io_error(&err).unwrap_or(Errno::IO))?;
            Ok(format!("{NEW}-{number:016x}"))
        }
        Err(err) => Err(err),
    }
}

fn random() -> std::io::Result<u64> {
    let mut number = [0; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut number)?;
    Ok(u64::from_ne_bytes(number))
}

/// Gives what is there another name that nothing has.
fn aside(ssh: &OwnedFd) -> Result<(), Errno> {
    for number in 1..=ASIDE_MAX {
        let name = format!("{ASIDE}-{number}");
        match rustix::fs::renameat_with(ssh, FILE, ssh, &*name, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            done => return done,
        }
    }
    // Whoever takes all these names keeps no key in force by that.
    let number = random().map_err(|err| Errno::from_io_error(&err).unwrap_or(Errno::IO))?;
    let name = format!("{ASIDE}-{number:016x}");
    rustix::fs::renameat_with(ssh, FILE, ssh, &*name, RenameFlags::NOREPLACE)
}

//! A user's authorized_keys: read by descriptors, and written as the user.

use crate::accounts::{KeysFile, Read as _};
use crate::command::Command;
use crate::programs::host::run_as;
use crate::{AbsPath, ErrorKind, Host, SystemError, UserName};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A keys file that is longer is not read.
const MAX_KEYS: u64 = 1024 * 1024;

/// Puts what stands on its standard input in the place of `.ssh/authorized_keys` below the directory
/// that is its argument. It runs as the user, so it can do nothing that the user could not.
const WRITE_KEYS: &str = r#"set -eu
umask 077
cd -- "$1"
[ -d .ssh ] || mkdir -m 0700 -- .ssh
cd .ssh
new=authorized_keys.steadfast
rm -f -- "$new"
set -C
cat > "$new"
sync -- "$new"
mv -fT -- "$new" authorized_keys
sync -- .
"#;

/// Step by step below the home, by descriptors, following no link and waiting for nothing.
pub(super) fn read_keys(
    home: &AbsPath,
    at: &Path,
    user: Option<u32>,
) -> Result<KeysFile, SystemError> {
    use rustix::io::Errno;
    let shown = format!("{home}/.ssh/authorized_keys");
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
    match shape(&ssh_fd, "authorized_keys") {
        Ok(FileType::RegularFile) => {}
        Ok(other) => return in_the_way(&shown, words(other)),
        Err(Errno::NOENT) => return Ok(KeysFile::Nothing),
        Err(err) => return Err(failed(err)),
    }
    // It may have been changed for something else since: neither opening nor reading may wait.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&ssh_fd, "authorized_keys", flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(KeysFile::Nothing),
        Err(Errno::LOOP) => return in_the_way(&shown, "a symbolic link"),
        Err(err) => return Err(failed(err)),
    };
    let found = rustix::fs::fstat(&file).map_err(failed)?;
    if let Some(what) = unfit(&found, user) {
        return in_the_way(&shown, what);
    }
    let mut content = vec![];
    fs::File::from(file)
        .take(MAX_KEYS + 1)
        .read_to_end(&mut content)
        .map_err(|err| SystemError::io(format!("read {shown}"), err))?;
    if content.len() as u64 > MAX_KEYS {
        return in_the_way(&shown, "larger than 1 MiB");
    }
    Ok(KeysFile::Content(Arc::from(content)))
}

/// Why an open file is not read as the keys of a user.
fn unfit(found: &rustix::fs::Stat, user: Option<u32>) -> Option<&'static str> {
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        Some("no regular file")
    } else if found.st_nlink > 1 {
        Some("a file with several hard links, which may be another's")
    } else if found.st_uid != 0 && user.is_some_and(|user| user != found.st_uid) {
        Some("neither the user's nor root's")
    } else {
        None
    }
}

fn shape(folder: &OwnedFd, name: &str) -> Result<FileType, rustix::io::Errno> {
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
        let what = || format!("write {home}/.ssh/authorized_keys");
        let moved = |words: &str| SystemError::new(ErrorKind::Moved, words).during(what());
        let local = self.local()?;
        let Some(account) = local.user(user) else { return Err(moved("the user is gone")) };
        let now = self.keys_file(home, Some(account.uid)).map_err(|error| error.during(what()))?;
        // A home that this run made may have brought a skeleton's empty .ssh, and is no longer missing.
        let same = match (&now, seen) {
            (KeysFile::Nothing, KeysFile::NoHome | KeysFile::Nothing) => true,
            (
                KeysFile::NoHome | KeysFile::Nothing | KeysFile::Content(_) | KeysFile::InTheWay(_),
                _,
            ) => now == *seen,
        };
        if !same {
            return Err(moved("it has changed since it was looked at"));
        }
        Command::new("/bin/sh")
            .args(["-c", WRITE_KEYS, "sh", home.as_str()])
            .env("HOME", home.as_str())
            .run_as(run_as(account)?)
            .input(content)
            .timeout(Duration::from_secs(10))
            .succeed()
            .map(|_| ())
            .map_err(|error| error.during(what()))
    }
}

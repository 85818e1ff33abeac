//! Which names of a directory somebody may have touched since some time, as the kernel tells it without a byte
//! being read.
//!
//! Any change of a file, its attributes or its name sets the time of its last change (ctime), and any name that
//! comes or goes sets that of its directory. A name may be told of that nobody has touched, none is left out.

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, statx};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A directory whose names are asked for.
#[derive(Debug)]
pub struct ChangedNames {
    folder: OwnedFd,
    /// In microseconds since 1970.
    since: i64,
    has_changed: bool,
}

/// By how much a time of change may lie before what it is the time of: file systems count in steps of up to two
/// seconds.
const GRAIN: i64 = 2_000_000;

impl ChangedNames {
    /// In this directory, since then: microseconds since 1970.
    pub fn open(folder: &Path, since: i64) -> io::Result<ChangedNames> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())?;
        let since = since.saturating_sub(GRAIN);
        let has_changed = changed(&folder, OsStr::from_bytes(b""), AtFlags::EMPTY_PATH)? >= since;
        Ok(ChangedNames { folder, since, has_changed })
    }

    /// Whether somebody may have touched what has this name, or made or removed it.
    pub fn may_be(&self, name: &[u8]) -> bool {
        match changed(&self.folder, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(at) => at >= self.since,
            // It is not there; if it has gone since, the directory says so.
            Err(_) => self.has_changed,
        }
    }
}

/// When it was last changed, in microseconds since 1970. No server is asked, and nothing is mounted for it.
fn changed(folder: &OwnedFd, name: &OsStr, flags: AtFlags) -> io::Result<i64> {
    let flags = flags | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let found = statx(folder.as_fd(), name, flags, StatxFlags::CTIME)?;
    let at = found.stx_ctime;
    Ok(at.tv_sec.saturating_mul(1_000_000).saturating_add(i64::from(at.tv_nsec / 1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG_AGO: i64 = 1_000_000;

    /// When it is now, and a time before which all is that has happened.
    fn now() -> (i64, i64) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec * 1_000_000;
        (now, now + 10 * GRAIN)
    }

    #[test]
    fn what_was_touched_since_is_told_and_what_was_not_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        // The time of the content can be put back, the time of the change cannot.
        let times = std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
        let file = std::fs::File::options().write(true).open(folder.path().join("a")).unwrap();
        file.set_times(times).unwrap();
        let (now, later) = now();
        let told =
            |since, name: &[u8]| ChangedNames::open(folder.path(), since).unwrap().may_be(name);
        assert!(told(LONG_AGO, b"a") && told(now, b"a"));
        assert!(!told(later, b"a"));
    }

    #[test]
    fn what_is_not_there_may_have_gone_where_its_directory_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (now, later) = now();
        let told = |since| ChangedNames::open(folder.path(), since).unwrap().may_be(b"gone");
        assert!(told(now));
        assert!(!told(later));
        assert!(ChangedNames::open(&folder.path().join("no"), now).is_err());
    }
}

//! One run at a time. The lock is the kernel's (flock), so it is gone with its holder, whatever ends
//! that; what stands in the file is only for people.
//!
//! Whoever can open a file, be it for reading alone, can lock it. So a lock is a file of root's alone, in a
//! directory of root's alone (decision 0047).

use crate::layout::Layout;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Held until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another run is in progress: {holder}")]
    Held { holder: String },
    #[error("create {path}")]
    Create {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
}

impl RunLock {
    /// The lock of this machine, whatever state belongs to the run: two of them would change one machine
    /// together. Only where it cannot be made is the one beside the state taken.
    pub fn acquire(layout: &Layout, purpose: &str) -> Result<RunLock, LockError> {
        RunLock::either(&layout.lock(), &layout.own_lock(), purpose)
    }

    /// Since when a run holds it, in microseconds since 1970. The kernel's list is read for that: whoever
    /// took the lock to find out would be in the way of a run that begins just then.
    pub fn held_since(layout: &Layout) -> Option<i64> {
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        [layout.lock(), layout.own_lock()].iter().find_map(|it| held(it, &locks))
    }

    fn either(first: &Path, second: &Path, purpose: &str) -> Result<RunLock, LockError> {
        match RunLock::take(first, purpose) {
            Err(LockError::Create { .. }) => RunLock::take(second, purpose),
            other => other,
        }
    }

    /// Takes the lock, or says who has it. `purpose` is what another one will read.
    pub fn take(path: &Path, purpose: &str) -> Result<RunLock, LockError> {
        let create = |err| LockError::Create { path: path.to_owned(), err };
        let mut file = open_private(path).map_err(create)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                retire_former(path);
                let line = format!("pid {}: {purpose}\n", std::process::id());
                // For people only: a lock without words is a lock.
                let _told = file.set_len(0).and_then(|()| file.write_all(line.as_bytes()));
                Ok(RunLock { _file: file })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut said = String::new();
                let _rewound = file.rewind();
                let _read = file.take(500).read_to_string(&mut said);
                let said = steadfast_system::text::safe(said.trim());
                let holder =
                    if said.is_empty() { "it did not leave its name".into() } else { said };
                Err(LockError::Held { holder })
            }
            Err(err) => Err(create(err.into())),
        }
    }
}

/// A file that nobody else can open, in a directory that nobody else can enter, whatever they were before.
fn open_private(path: &Path) -> std::io::Result<File> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let (folder, name) = path.parent().zip(path.file_name()).ok_or_else(invalid)?;
    crate::store::make_folder(folder, 0o700)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    keep_to_ourselves(&folder, 0o700)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o600))?;
    keep_to_ourselves(&file, 0o600)?;
    Ok(File::from(file))
}

/// What belongs to somebody else is none of ours, and what others could open is closed to them.
fn keep_to_ourselves(descriptor: &OwnedFd, mode: u32) -> std::io::Result<()> {
    let found = rustix::fs::fstat(descriptor)?;
    if found.st_uid != rustix::process::geteuid().as_raw() {
        let words = "it belongs to another user";
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, words));
    }
    if found.st_mode & 0o7777 != mode {
        rustix::fs::fchmod(descriptor, Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

/// Version 0.1.0 had it one directory further up, where everybody could open it. Nobody asks for that one
/// any more; whoever has it open keeps a file without a name.
fn retire_former(path: &Path) {
    let further_up = path.parent().and_then(Path::parent).zip(path.file_name());
    let Some(former) = further_up.map(|(folder, name)| folder.join(name)) else { return };
    if former.symlink_metadata().is_ok_and(|it| it.is_file()) {
        let _stays_without_use = std::fs::remove_file(former);
    }
}

/// `1: FLOCK  ADVISORY  WRITE 1234 00:1a:131 0 EOF`
fn held(path: &Path, locks: &str) -> Option<i64> {
    let meta = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
    let device = meta.dev();
    let device = format!("{:02x}:{:02x}", rustix::fs::major(device), rustix::fs::minor(device));
    let mut said = String::new();
    let _read = File::open(path).and_then(|it| it.take(500).read_to_string(&mut said));
    let is_held = locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words[..] else { return false };
        let Some((on, inode)) = place.rsplit_once(':') else { return false };
        // Where file systems lie over each other, the kernel's list may name another device than ours.
        let same = on == device || said.starts_with(&format!("pid {pid}:"));
        inode == meta.ino().to_string() && same
    });
    is_held.then(|| meta.mtime() * 1_000_000 + meta.mtime_nsec() / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/run.lock");
        let first = RunLock::take(&path, "steadfast run").unwrap();
        let second = RunLock::take(&path, "another").unwrap_err();
        let holder =
            format!("another run is in progress: pid {}: steadfast run", std::process::id());
        assert_eq!(second.to_string(), holder);
        drop(first);
        assert!(RunLock::take(&path, "another").is_ok());
    }

    #[test]
    fn nobody_else_can_open_a_lock_whatever_it_was_before() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock/run.lock");
        let former = folder.path().join("run/run.lock");
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        let modes = || (mode(path.parent().unwrap()), mode(&path));
        drop(RunLock::take(&path, "new").unwrap());
        assert_eq!(modes(), (0o700, 0o600));

        open(&path, 0o644);
        open(path.parent().unwrap(), 0o755);
        std::fs::write(&former, "pid 1: steadfast run").unwrap();
        let others = File::open(&former).unwrap();
        rustix::fs::flock(&others, FlockOperation::NonBlockingLockExclusive).unwrap();
        drop(RunLock::take(&path, "after an older version").unwrap());
        assert_eq!(modes(), (0o700, 0o600));
        assert!(!former.exists());
    }

    #[test]
    fn two_states_on_one_machine_have_one_lock() {
        let at = |path: &str| Layout::below(Path::new(path));
        assert_eq!(at("/srv/a").lock(), Layout::standard().lock());
        assert_eq!(at("/srv/a").lock(), at("/srv/b").lock());
        assert_ne!(at("/srv/a").own_lock(), at("/srv/b").own_lock());
    }

    #[test]
    fn the_own_lock_is_taken_only_where_the_machines_cannot_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let [machine, own] = ["run/run.lock", "own/run.lock"].map(|it| folder.path().join(it));
        std::fs::write(folder.path().join("run"), "a file in the way").unwrap();
        let lock = RunLock::either(&machine, &own, "one").unwrap();
        assert!(own.exists());
        assert!(matches!(RunLock::either(&machine, &own, "two"), Err(LockError::Held { .. })));
        drop(lock);
        std::fs::remove_file(folder.path().join("run")).unwrap();
        let _lock = RunLock::either(&machine, &own, "one").unwrap();
        assert!(matches!(RunLock::either(&machine, &own, "two"), Err(LockError::Held { .. })));
        assert!(RunLock::take(&own, "three").is_ok());
    }

    #[test]
    fn whether_a_lock_is_held_is_known_without_taking_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let locks = || std::fs::read_to_string("/proc/locks").unwrap();
        let now = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            i64::try_from(since.as_micros()).unwrap()
        };
        assert_eq!(held(&path, &locks()), None, "there is none");
        let lock = RunLock::take(&path, "steadfast run").unwrap();
        let since = held(&path, &locks()).unwrap();
        assert!(since <= now() && since > now() - 600_000_000, "{since}");
        drop(lock);
        assert_eq!(held(&path, &locks()), None, "nobody holds it");
        let meta = std::fs::metadata(&path).unwrap();
        let on = |device: &str, pid: u32| {
            format!("1: FLOCK  ADVISORY  WRITE {pid} {device}:{} 0 EOF\n", meta.ino())
        };
        assert_eq!(held(&path, &on("fe:fe", 1)), None, "another file");
        assert!(held(&path, &on("fe:fe", std::process::id())).is_some());
        assert_eq!(held(&path, "1: -> FLOCK junk\n\n1: POSIX a b c d e f\n"), None);
    }
}

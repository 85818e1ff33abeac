//! Everything below a directory, in lines that two looks can be compared by.
//!
//! One line a path: kind, mode, owner and group as numbers, size, time of change to the nanosecond, and
//! the SHA-256 of a file's content or a link's target. A run that does nothing leaves them all equal.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use sha2::Digest as _;

/// Of these only that they are there: they are no disk.
const NO_DISK: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Lists what lies below `roots` of the tree at `disk`, whose links do not lead out of it.
pub(super) fn list(disk: &Path, roots: &[&str], without: &[&str]) -> BTreeMap<String, String> {
    let disk = File::open(disk).unwrap();
    let mut listing = Listing { without: [&NO_DISK, without].concat(), lines: BTreeMap::new() };
    for root in roots {
        let root = root.trim_end_matches('/');
        let (folder, name) = match root.rsplit_once('/') {
            Some((folder, name)) => (folder, name),
            None => ("", "."),
        };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let inside = format!("/{folder}");
        let folder =
            rustix::fs::openat2(&disk, &inside, flags, Mode::empty(), ResolveFlags::IN_ROOT)
                .unwrap_or_else(|err| panic!("list {root}: {err}"));
        listing.add(folder.as_fd(), name.as_bytes(), root);
    }
    listing.lines
}

/// What is different between two listings, a line each: `-` as it was, `+` as it is.
pub(crate) fn changes(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut changes = Vec::new();
    let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for path in paths {
        let (was, is) = (before.get(path), after.get(path));
        if was != is {
            changes.extend(was.map(|line| format!("- {path} {line}")));
            changes.extend(is.map(|line| format!("+ {path} {line}")));
        }
    }
    changes
}

struct Listing<'a> {
    without: Vec<&'a str>,
    lines: BTreeMap<String, String>,
}

impl Listing<'_> {
    /// Adds one path and what lies below it. One that vanishes while we look was never there.
    fn add(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &str) {
        let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let open = |flags: OFlags| {
            let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(folder, name, flags | OFlags::NONBLOCK, Mode::empty())
        };
        let (kind, rest) = match kind {
            FileType::Directory => ("directory", String::new()),
            FileType::RegularFile => {
                let Ok(file) = open(OFlags::empty()) else { return };
                let mut digest = sha2::Sha256::new();
                std::io::copy(&mut File::from(file), &mut Hashing(&mut digest)).unwrap();
                let digest: String =
                    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                ("file", format!(" {} bytes sha256:{digest}", stat.st_size))
            }
            FileType::Symlink => {
                let Ok(target) = rustix::fs::readlinkat(folder, name, Vec::new()) else { return };
                ("link", format!(" -> {}", target.to_string_lossy()))
            }
            FileType::Fifo => ("fifo", String::new()),
            FileType::Socket => ("socket", String::new()),
            FileType::CharacterDevice => ("character-device", format!(" {}", stat.st_rdev)),
            FileType::BlockDevice => ("block-device", format!(" {}", stat.st_rdev)),
            FileType::Unknown => ("unknown", String::new()),
        };
        let line = format!(
            "{kind} {:04o} {}:{} {}.{:09}{rest}",
            stat.st_mode & 0o7777,
            stat.st_uid,
            stat.st_gid,
            stat.st_mtime,
            stat.st_mtime_nsec,
        );
        let known_as = if path.is_empty() { "/" } else { path };
        if self.without.contains(&known_as) {
            // What changes in there changes its time too.
            self.lines.insert(known_as.to_owned(), kind.to_owned());
            return;
        }
        self.lines.insert(known_as.to_owned(), line);
        if kind != "directory" {
            return;
        }
        let Ok(directory) = open(OFlags::DIRECTORY) else { return };
        for entry in rustix::fs::Dir::read_from(&directory).unwrap().flatten() {
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let path = format!("{path}/{}", String::from_utf8_lossy(name));
                self.add(directory.as_fd(), name, &path);
            }
        }
    }
}

/// Lets a digest take what is written.
struct Hashing<'a>(&'a mut sha2::Sha256);

impl std::io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

//! The floors: minimal loops of system calls.

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, StatxFlags};
use std::fs::File;
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::path::Path;

const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens, looks at and reads every file below a directory.
pub(crate) fn read_below(folder: &Path) {
    let mut buffer = vec![0_u8; 64 * 1024];
    visit(folder, &mut |dir, name, is_folder| {
        if !is_folder {
            let file = rustix::fs::openat(dir, name, READ, Mode::empty()).unwrap();
            let flags = AtFlags::EMPTY_PATH;
            let facts = rustix::fs::statx(&file, c"", flags, StatxFlags::BASIC_STATS).unwrap();
            let mut rest = facts.stx_size;
            while rest > 0 {
                let count = rustix::io::read(&file, &mut *buffer).unwrap() as u64;
                if count == 0 {
                    break;
                }
                rest = rest.saturating_sub(count);
            }
        }
    });
}

/// Looks at everything below a directory.
pub(crate) fn walk(folder: &Path) {
    visit(folder, &mut |dir, name, _| {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS).unwrap();
    });
}

fn visit(folder: &Path, each: &mut dyn FnMut(&rustix::fd::OwnedFd, &std::ffi::CStr, bool)) {
    let dir = rustix::fs::open(folder, READ | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut below = vec![];
    let mut space = vec![MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(&dir, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let is_folder = entry.file_type() == rustix::fs::FileType::Directory;
        each(&dir, name, is_folder);
        if is_folder {
            below.push(folder.join(name.to_str().unwrap()));
        }
    }
    for folder in below {
        visit(&folder, each);
    }
}

/// Writes files of 1 KiB so that they survive a power cut: all of them, one flush of the file system,
/// each to its name, a flush of the directory.
pub(crate) fn write(folder: &Path, count: usize) {
    put(folder, (0..count).map(|at| format!("file-{at}")));
}

/// Puts new files of 1 KiB in the place of these, so that they survive a power cut.
pub(crate) fn replace<'p>(
    folder: &Path,
    paths: impl Iterator<Item = &'p std::path::PathBuf> + Clone,
) {
    put(folder, paths.map(|it| it.file_name().unwrap()));
}

fn put(folder: &Path, names: impl Iterator<Item = impl rustix::path::Arg> + Clone) {
    let dir = rustix::fs::open(folder, READ | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let content = [b'x'; 1024];
    for (at, _) in names.clone().enumerate() {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let name = format!(".new-{at}");
        let file = rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o600)).unwrap();
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644)).unwrap();
        File::from(file).write_all(&content).unwrap();
    }
    rustix::fs::syncfs(&dir).unwrap();
    for (at, name) in names.enumerate() {
        rustix::fs::renameat(&dir, format!(".new-{at}"), &dir, name).unwrap();
    }
    rustix::fs::fsync(&dir).unwrap();
}

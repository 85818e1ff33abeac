//! Files of the cache directory: what is lost with them costs time only. They are for root alone, and a file
//! that others may touch, or that is a link, is none.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Opens a file of the cache, and says how large it is; none where it is another's.
pub fn open_ours(path: &Path) -> Option<(File, u64)> {
    open(path, OFlags::RDONLY)
}

/// Changes some bytes of a file of the cache where they are.
pub fn change(
    path: &Path,
    write: impl FnOnce(&File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let (file, _) = open(path, OFlags::WRONLY).ok_or(std::io::ErrorKind::NotFound)?;
    write(&file)
}

fn open(path: &Path, access: OFlags) -> Option<(File, u64)> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let meta = file.metadata().ok()?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0;
    (meta.is_file() && ours).then_some((file, meta.len()))
}

/// Puts a file of the cache in the place of the one before, for root alone. The directory is there.
pub fn replace(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    // What a run left there that died is nobody's; a link is not followed.
    remove(&new)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&new, flags, Mode::from_raw_mode(0o600))?);
    write(&mut file)?;
    // Not flushed to the disk: half a file after a power cut is a damaged one, and counts as none.
    std::fs::rename(&new, folder.join(name))
}

/// Takes a file of the cache away, where it is there.
pub fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(err),
        Err(_) | Ok(()) => Ok(()),
    }
}

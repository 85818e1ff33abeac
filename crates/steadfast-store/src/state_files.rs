//! Small files beside the database: what the agent must not forget, in two copies, and what is known of
//! the revisions that it has accepted. Each is written as a whole and to the disk, or not at all.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// None of these files is larger.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The two copies of the agent's memory in the state directory.
pub fn copies(state: &Path) -> [PathBuf; 2] {
    ["agent.1.json", "agent.2.json"].map(|it| state.join(it))
}

/// Reads a file; nothing where there is none. A link is not followed.
pub fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(err) => return Err(err.into()),
    };
    let mut bytes = vec![];
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Puts a file with this content, for root alone, in the place of the one before. When it returns, the
/// content is on the disk.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    crate::store::make_folder(folder, 0o700)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = folder.join(name);
    match std::fs::remove_file(&new) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
        Err(_) | Ok(()) => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&new, flags, Mode::from_raw_mode(0o600))?);
    let placed = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&new, path));
    if placed.is_err() {
        // On a disk that is full, a part of it must not be what fills it.
        let _cleared = std::fs::remove_file(&new);
    }
    placed?;
    File::open(folder)?.sync_all()
}

/// Moves a file out of the way, for somebody to look at: where it is now.
pub fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        let aside = PathBuf::from(name);
        if !aside.exists() {
            std::fs::rename(path, &aside)?;
            return Ok(aside);
        }
        number += 1;
    }
}

/// Removes what lies in a directory and has none of these names.
pub fn remove_others(folder: &Path, keep: &[String]) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(err),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|it| keep.iter().any(|name| name == it)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The names of the files in a directory; none where there is no such directory.
pub fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(err) => return Err(err),
    };
    entries.map(|it| Ok(it?.file_name().to_string_lossy().into_owned())).collect()
}

/// Removes the oldest files of a directory beyond so many, but for those that have one of these names.
pub fn remove_oldest(folder: &Path, most: usize, keep: &[String]) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(err),
    };
    let mut others = vec![];
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|it| keep.iter().any(|name| name == it)) {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort();
    for (_, path) in &others[..others.len().saturating_sub(most)] {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_damaged_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = copies(&folder.path().join("state"));
        assert_eq!(read(&first).unwrap(), None);
        write(&first, b"one").unwrap();
        write(&first, b"two").unwrap();
        assert_eq!(read(&first).unwrap().unwrap(), b"two");
        assert_eq!(read(&second).unwrap(), None);
        let aside = set_aside(&first).unwrap();
        assert_eq!((read(&first).unwrap(), read(&aside).unwrap()), (None, Some(b"two".to_vec())));
    }

    #[test]
    fn only_what_is_named_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::create_dir_all(folder.path().join(name).join("x")).unwrap();
        }
        remove_others(folder.path(), &["b".to_owned()]).unwrap();
        assert!(folder.path().join("b/x").exists());
        assert!(!folder.path().join("a").exists() && !folder.path().join("c").exists());
        remove_others(&folder.path().join("nowhere"), &[]).unwrap();
    }

    #[test]
    fn the_newest_stay_beside_those_that_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for (at, name) in ["oldest", "b", "c", "d"].iter().enumerate() {
            let path = folder.path().join(name);
            write(&path, b"").unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + at as u64);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        remove_oldest(folder.path(), 2, &["oldest".to_owned()]).unwrap();
        let there = |it: &str| folder.path().join(it).exists();
        assert_eq!(["oldest", "b", "c", "d"].map(there), [true, false, true, true]);
        remove_oldest(&folder.path().join("nowhere"), 0, &[]).unwrap();
    }
}

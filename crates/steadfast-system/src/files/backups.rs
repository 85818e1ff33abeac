//! Contents that were replaced or removed, kept in the state directory by their digest.
//!
//! `kept/ab/cdef…` is a content whose SHA-256 begins with `abcdef`: mode 0600 in directories of 0700. A file
//! over 16 MiB is not kept. Beyond 256 MiB in all, what was kept longest ago goes first. Where keeping
//! fails, what asked for it must not go on: nothing is lost for want of space.

use super::Digest;
use super::walk::{self, failed};
use crate::{ErrorKind, Host, SystemError};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::SystemTime;

/// How much is kept in all.
const KEPT_MAX: u64 = 256 * 1024 * 1024;
/// Up to this many contents are flushed one by one; more with the whole file system at once.
pub(super) const FLUSHED_ALONE: usize = 16;

/// The place where contents are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backups<'h> {
    host: &'h Host,
    cap: u64,
}

impl<'h> Backups<'h> {
    pub(super) fn new(host: &'h Host) -> Backups<'h> {
        Backups { host, cap: KEPT_MAX }
    }

    fn root(&self) -> PathBuf {
        self.host.settings.state.join("kept")
    }

    fn folder_and_name(&self, digest: &Digest) -> (PathBuf, String) {
        let hex = crate::text::hex(digest);
        (self.root().join(&hex[..2]), hex[2..].to_owned())
    }

    /// A kept content; none where it was never kept or has gone.
    pub(super) fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, SystemError> {
        let (folder, name) = self.folder_and_name(digest);
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(content) if walk::digest(&content) == *digest => Ok(Some(content)),
            Ok(_) => Err(SystemError::new(
                ErrorKind::Storage,
                format!("{} is damaged: its content is not what its name says", path.display()),
            )),
            Err(err) if err.kind() == Io::NotFound => Ok(None),
            Err(err) => Err(SystemError::io(format!("read {}", path.display()), err)),
        }
    }

    /// Begins to keep several contents together.
    pub(super) fn keeping(self) -> Keeping<'h> {
        Keeping { backups: self, waiting: vec![], coming: HashSet::new(), folders: BTreeSet::new() }
    }

    /// Every content with its size and when it was last kept.
    fn all(&self) -> std::io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut all = vec![];
        for folder in std::fs::read_dir(self.root())? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in std::fs::read_dir(folder.path())? {
                let file = file?;
                if self.host.files.is_left_over(&file.file_name()) {
                    std::fs::remove_file(file.path())?;
                    continue;
                }
                let about = file.metadata()?;
                if about.is_file() {
                    all.push((about.modified()?, about.len(), file.path()));
                }
            }
        }
        Ok(all)
    }

    /// Counts what came, and lets the oldest go where it is too much.
    fn settle(&self, came: u64) -> std::io::Result<()> {
        let mut total = self.host.files.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = *total
            && before + came <= self.cap
        {
            *total = Some(before + came);
            return Ok(());
        }
        let mut all = self.all()?;
        let mut sum: u64 = all.iter().map(|(_, size, _)| size).sum();
        if sum > self.cap {
            all.sort_unstable();
            for (_, size, path) in all {
                if sum <= self.cap {
                    break;
                }
                std::fs::remove_file(path)?;
                sum -= size;
            }
        }
        *total = Some(sum);
        Ok(())
    }
}

/// Contents on their way into the backups: they are there once [`Keeping::settle`] returns.
#[derive(Debug)]
pub(super) struct Keeping<'h> {
    backups: Backups<'h>,
    waiting: Vec<Waiting>,
    coming: HashSet<Digest>,
    folders: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Waiting {
    temporary: PathBuf,
    path: PathBuf,
    size: u64,
}

impl Keeping<'_> {
    /// Writes a content beside its place. One that is already kept becomes the youngest again.
    pub(super) fn add(&mut self, content: &[u8]) -> Result<(), SystemError> {
        let digest = walk::digest(content);
        if !self.coming.insert(digest) {
            return Ok(());
        }
        let (folder, name) = self.backups.folder_and_name(&digest);
        let path = folder.join(name);
        let temporary = folder.join(self.backups.host.files.temporary_name(""));
        let result = self.write(content, &folder, &path, &temporary).map_err(|err| {
            let kept = self.backups.root();
            let mut error =
                SystemError::io(format!("keep the old content below {}", kept.display()), err);
            error.kind = ErrorKind::Storage;
            error
        });
        if result.is_err() {
            self.coming.remove(&digest);
        }
        result
    }

    fn write(
        &mut self,
        content: &[u8],
        folder: &Path,
        path: &Path,
        temporary: &Path,
    ) -> std::io::Result<()> {
        match OpenOptions::new().write(true).open(path) {
            // One that was damaged is written anew.
            Ok(file) if std::fs::read(path)? == content => {
                return file.set_modified(SystemTime::now());
            }
            Ok(_) => {}
            Err(err) if err.kind() == Io::NotFound => {}
            Err(err) => return Err(err),
        }
        for folder in [&*self.backups.host.settings.state, &*self.backups.root(), folder] {
            match DirBuilder::new().mode(0o700).create(folder) {
                Ok(()) => {
                    self.folders.extend(folder.parent().map(Path::to_owned));
                }
                Err(err) if err.kind() == Io::AlreadyExists => {}
                Err(err) => return Err(err),
            }
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        let written = file.write_all(content).and_then(|()| {
            if self.waiting.len() < FLUSHED_ALONE { file.sync_all() } else { Ok(()) }
        });
        if let Err(err) = written {
            remove_quietly(temporary);
            return Err(err);
        }
        self.folders.insert(folder.to_owned());
        self.waiting.push(Waiting {
            temporary: temporary.to_owned(),
            path: path.to_owned(),
            size: content.len() as u64,
        });
        Ok(())
    }

    /// Everything that was added is durable when this returns.
    pub(super) fn settle(&mut self) -> Result<(), SystemError> {
        let root = self.backups.root();
        let what = || format!("keep the old content below {}", root.display());
        if self.waiting.len() > FLUSHED_ALONE {
            flush_all(&root).map_err(|err| failed(what(), err))?;
        }
        let result = self.rename_all();
        self.coming.clear();
        result.map_err(|err| {
            let mut error = SystemError::io(what(), err);
            error.kind = ErrorKind::Storage;
            error
        })
    }

    fn rename_all(&mut self) -> std::io::Result<()> {
        let mut came = 0;
        while let Some(next) = self.waiting.last() {
            std::fs::rename(&next.temporary, &next.path)?;
            came += next.size;
            self.waiting.pop();
        }
        let folders = std::mem::take(&mut self.folders);
        if folders.len() > FLUSHED_ALONE {
            flush_all(&self.backups.root())?;
        } else {
            for folder in folders {
                File::open(folder)?.sync_all()?;
            }
        }
        if came == 0 { Ok(()) } else { self.backups.settle(came) }
    }
}

/// Flushes the whole file system that holds a directory.
fn flush_all(folder: &Path) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::syncfs(rustix::fs::open(folder, flags, rustix::fs::Mode::empty())?)
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        for waiting in &self.waiting {
            remove_quietly(&waiting.temporary);
        }
    }
}

/// For what is only in the way of nobody: if it stays, the next run takes it away.
fn remove_quietly(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::host_in;

    #[test]
    fn what_was_kept_is_had_again_and_is_roots_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let host = host_in(folder.path());
        let mut keeping = Backups::new(&host).keeping();
        keeping.add(b"old").unwrap();
        keeping.add(b"old").unwrap();
        keeping.add(b"").unwrap();
        let digest = walk::digest(b"old");
        assert_eq!(Backups::new(&host).get(&digest).unwrap(), None, "not before it is settled");
        keeping.settle().unwrap();
        assert_eq!(Backups::new(&host).get(&digest).unwrap().as_deref(), Some(&b"old"[..]));
        let (folder, name) = Backups::new(&host).folder_and_name(&digest);
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o7777, 0o700);
        let file = folder.join(name);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        std::fs::write(&file, "odd").unwrap();
        assert_eq!(Backups::new(&host).get(&digest).unwrap_err().kind, ErrorKind::Storage);
        let mut keeping = Backups::new(&host).keeping();
        keeping.add(b"old").unwrap();
        keeping.settle().unwrap();
        assert_eq!(Backups::new(&host).get(&digest).unwrap().as_deref(), Some(&b"old"[..]));
    }

    #[test]
    fn beyond_the_cap_the_oldest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let host = host_in(folder.path());
        let backups = Backups { host: &host, cap: 25 };
        let contents: Vec<Vec<u8>> = (0..3_u8).map(|it| vec![it; 10]).collect();
        let age = |content: &[u8], seconds| {
            let (folder, name) = backups.folder_and_name(&walk::digest(content));
            let file = File::options().write(true).open(folder.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
                .unwrap();
        };
        for (index, content) in contents.iter().enumerate().take(2) {
            let mut keeping = backups.keeping();
            keeping.add(content).unwrap();
            keeping.settle().unwrap();
            age(content, index as u64);
        }
        // The first is kept once more, so that the second is now the oldest.
        let mut keeping = backups.keeping();
        keeping.add(&contents[0]).unwrap();
        keeping.add(&contents[2]).unwrap();
        keeping.settle().unwrap();
        let there: Vec<bool> =
            contents.iter().map(|it| backups.get(&walk::digest(it)).unwrap().is_some()).collect();
        assert_eq!(there, [true, false, true]);
    }

    #[test]
    fn what_a_killed_run_began_to_keep_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let killed = host_in(folder.path());
        let mut keeping = Backups::new(&killed).keeping();
        keeping.add(b"old").unwrap();
        std::mem::forget(keeping);
        let host = host_in(folder.path());
        let mut keeping = Backups::new(&host).keeping();
        keeping.add(b"new").unwrap();
        keeping.settle().unwrap();
        let (folder, _) = Backups::new(&host).folder_and_name(&walk::digest(b"old"));
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }
}

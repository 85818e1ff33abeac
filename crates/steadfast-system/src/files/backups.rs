//! Contents that were replaced or removed, kept in the state directory by their digest.
//!
//! What others than root can have filled is kept apart (`kept-of-others/`, 32 MiB), so that nobody can push out
//! what root may want to have back. What was once written from a secret is not kept, unless the model says so.
//!
//! `kept/ab/cdef…` is a content whose SHA-256 begins with `abcdef`: mode 0600 in directories of 0700. A file
//! over 16 MiB is not kept. Beyond 256 MiB in all, what was kept longest ago goes first; where very many
//! contents are kept, the oldest of a part of them. How much is kept is written down beside them (`kept/size`),
//! and gone while something is on its way: then it is counted anew, or estimated from a part. Where keeping
//! fails, what asked for it must not go on: nothing is lost for want of space.

use super::Digest;
use super::cache::Total;
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
/// And how much of what others than root can have filled, beside that.
const KEPT_OF_OTHERS_MAX: u64 = 32 * 1024 * 1024;
/// What is let go for what comes, beside twice as much, where not everything is looked at.
const AT_LEAST: u64 = 1024 * 1024;
const LOOKED_AT: usize = 4_096;
/// Up to this many contents are flushed one by one; more with the whole file system at once.
pub(super) const FLUSHED_ALONE: usize = 16;

/// Whose contents have a place of their own. Whoever can write files that we replace can fill only theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Share {
    /// What root alone can have filled.
    Root,
    Others,
}

/// How much a content counts at least among those of others, however small it is: a place in a directory.
const OTHERS_AT_LEAST: u64 = 4_096;

/// The place where contents are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backups<'h> {
    host: &'h Host,
    share: Share,
    cap: u64,
    /// About how many contents are looked at to make room.
    looked_at: usize,
}

impl<'h> Backups<'h> {
    pub(super) fn new(host: &'h Host) -> Backups<'h> {
        Backups { host, share: Share::Root, cap: KEPT_MAX, looked_at: LOOKED_AT }
    }

    /// The share of those contents that others than root can have filled.
    pub(super) fn of_others(host: &'h Host) -> Backups<'h> {
        Backups { host, share: Share::Others, cap: KEPT_OF_OTHERS_MAX, looked_at: LOOKED_AT }
    }

    fn root(&self) -> PathBuf {
        self.host.settings.state.join(match self.share {
            Share::Root => "kept",
            Share::Others => "kept-of-others",
        })
    }

    fn total(&self) -> &'h Total {
        match self.share {
            Share::Root => &self.host.files.kept,
            Share::Others => &self.host.files.kept_of_others,
        }
    }

    /// How much a content of this size takes of the share.
    fn weight(&self, size: u64) -> u64 {
        match self.share {
            Share::Root => size,
            Share::Others => size.max(OTHERS_AT_LEAST),
        }
    }

    /// A kept content of either share.
    pub(super) fn find(host: &'h Host, digest: &Digest) -> Result<Option<Vec<u8>>, SystemError> {
        match Backups::new(host).get(digest)? {
            Some(content) => Ok(Some(content)),
            None => Backups::of_others(host).get(digest),
        }
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

    /// Contents with their sizes and when they were last kept: all of them, or of many the directories from
    /// somewhere on, so that a run does not pay for what earlier ones have kept.
    fn sample(&self) -> std::io::Result<Sample> {
        let mut folders = vec![];
        for folder in std::fs::read_dir(self.root())? {
            let folder = folder?;
            if folder.file_type()?.is_dir() {
                folders.push(folder.path());
            }
        }
        folders.sort_unstable();
        let from = self.host.files.any_below(folders.len());
        folders.rotate_left(from);
        let mut sample = Sample { contents: vec![], folders: 0, of: folders.len() };
        for folder in folders {
            if sample.contents.len() >= self.looked_at {
                break;
            }
            sample.folders += 1;
            for file in std::fs::read_dir(folder)? {
                let file = file?;
                if self.host.files.is_left_over(&file.file_name()) {
                    std::fs::remove_file(file.path())?;
                    continue;
                }
                let about = file.metadata()?;
                if about.is_file() {
                    let weight = self.weight(about.len());
                    sample.contents.push((about.modified()?, weight, file.path()));
                }
            }
        }
        Ok(sample)
    }

    /// Counts what came, and lets the oldest go where it is too much.
    fn settle(&self, came: u64) -> std::io::Result<()> {
        let mut total = self.total().0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match *total {
            Some(before) if before + came <= self.cap => before + came,
            before => self.make_room(before, came)?,
        };
        *total = Some(now);
        self.write_size(now)
    }

    /// Lets the oldest go where there is too much: so many that what came has room, and a little more. How
    /// much there is then.
    fn make_room(&self, before: Option<u64>, came: u64) -> std::io::Result<u64> {
        let mut sample = self.sample()?;
        // What is known is better than an estimate from where others have made room.
        let mut now = match before {
            Some(before) if !sample.is_all() => before + came,
            Some(_) | None => sample.estimate(),
        };
        let mut allowance =
            if sample.is_all() { u64::MAX } else { came.saturating_mul(2) + AT_LEAST };
        let some = if sample.is_all() { sample.contents.len() } else { sample.contents.len() / 2 };
        sample.contents.sort_unstable();
        for (_, size, path) in sample.contents.into_iter().take(some) {
            if now <= self.cap || allowance == 0 {
                break;
            }
            std::fs::remove_file(path)?;
            now = now.saturating_sub(size);
            allowance = allowance.saturating_sub(size);
        }
        Ok(now)
    }

    fn size(&self) -> PathBuf {
        self.root().join("size")
    }

    /// Something is about to come: until it is there, nothing is written down about how much there is.
    fn unsettle(&self) -> std::io::Result<()> {
        let mut total = self.total().0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.size();
        if total.is_none() {
            *total = std::fs::read_to_string(&path).ok().and_then(|it| it.trim().parse().ok());
        }
        match std::fs::remove_file(path) {
            Err(err) if err.kind() != Io::NotFound => Err(err),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Not flushed: what a power cut leaves of it is counted anew, or is short of what came last.
    fn write_size(&self, size: u64) -> std::io::Result<()> {
        let temporary = self.root().join(self.host.files.temporary_name(""));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(format!("{size}\n").as_bytes())?;
        std::fs::rename(temporary, self.size())
    }
}

/// Some of what is kept.
struct Sample {
    contents: Vec<(SystemTime, u64, PathBuf)>,
    /// How many of how many directories they are in.
    folders: usize,
    of: usize,
}

impl Sample {
    fn is_all(&self) -> bool {
        self.folders == self.of
    }

    /// How much is kept in all.
    fn estimate(&self) -> u64 {
        let sum: u64 = self.contents.iter().map(|(_, size, _)| size).sum();
        // Digests spread evenly over the directories.
        sum.saturating_mul(self.of as u64) / (self.folders as u64).max(1)
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
        if self.waiting.is_empty() {
            self.backups.unsettle()?;
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
            size: self.backups.weight(content.len() as u64),
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
        let backups = Backups { share: Share::Root, host: &host, cap: 25, looked_at: LOOKED_AT };
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

    /// A run of its own keeps one content.
    fn keep(folder: &Path, cap: u64, content: &[u8]) {
        let host = host_in(folder);
        let mut keeping =
            Backups { host: &host, share: Share::Root, cap, looked_at: 256 }.keeping();
        keeping.add(content).unwrap();
        keeping.settle().unwrap();
    }

    #[test]
    fn a_run_does_not_look_at_all_that_earlier_ones_have_kept() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Backups::new(&host_in(folder.path())).root();
        let count = || -> usize {
            let folders = std::fs::read_dir(&kept).unwrap().map(|it| it.unwrap().path());
            folders.filter_map(|it| Some(std::fs::read_dir(it).ok()?.count())).sum()
        };
        // More than are looked at, and three times as much as there should be.
        for at in 0..1_000_u64 {
            let digest = crate::text::hex(&walk::digest(&at.to_le_bytes()));
            std::fs::create_dir_all(kept.join(&digest[..2])).unwrap();
            std::fs::write(kept.join(&digest[..2]).join(&digest[2..]), [0; 1024]).unwrap();
        }
        let cap = 1024 * 1024 / 3;
        keep(folder.path(), cap, b"new");
        let after = count();
        assert!((800..1_001).contains(&after), "{after}");
        // Run after run it becomes what it should be, as well as that was estimated from a quarter of them.
        for at in 0..60_u8 {
            keep(folder.path(), cap, &[at; 10]);
        }
        assert!(count() < 700, "{}", count());
    }

    #[test]
    fn how_much_is_kept_is_known_to_the_next_run_but_not_after_one_that_died() {
        let folder = tempfile::tempdir().unwrap();
        let size = Backups::new(&host_in(folder.path())).size();
        keep(folder.path(), KEPT_MAX, b"old");
        assert_eq!(std::fs::read_to_string(&size).unwrap(), "3\n");
        // It is believed: nothing is counted.
        std::fs::write(&size, "100\n").unwrap();
        keep(folder.path(), KEPT_MAX, b"new");
        assert_eq!(std::fs::read_to_string(&size).unwrap(), "103\n");
        let killed = host_in(folder.path());
        let mut keeping = Backups::new(&killed).keeping();
        keeping.add(b"lost").unwrap();
        std::mem::forget(keeping);
        assert!(!size.exists());
        keep(folder.path(), KEPT_MAX, b"last");
        assert_eq!(std::fs::read_to_string(&size).unwrap(), "10\n");
    }

    #[test]
    fn what_others_fill_pushes_out_nothing_of_roots() {
        let folder = tempfile::tempdir().unwrap();
        let host = host_in(folder.path());
        let keep = |backups: Backups<'_>, content: &[u8]| {
            let mut keeping = backups.keeping();
            keeping.add(content).unwrap();
            keeping.settle().unwrap();
        };
        keep(Backups::new(&host), b"root's");
        let others = Backups { cap: 3 * OTHERS_AT_LEAST, ..Backups::of_others(&host) };
        for content in 0..20_u8 {
            keep(others, &[content; 2]);
        }
        let kept = |content: &[u8]| Backups::find(&host, &walk::digest(content)).unwrap().is_some();
        assert!(kept(b"root's"));
        assert!(kept(&[19; 2]), "the youngest is there");
        assert_eq!((0..20_u8).filter(|it| kept(&[*it; 2])).count(), 3, "small ones count too");
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

//! What the kernel says of all files of a directory, as one digest: where it says the same again, all of them are
//! the same, and none need be read. What a read of all of them came to is remembered by it (`models`, in the
//! cache directory), and holds as the looks at single files do: see `looks`. Files that others than
//! root can write have no such digest.
//!
//! Each directory has a digest of its own files, in the order of their names. So it is the same whether they are met
//! one after the other, as they are read, or by several threads that open none.
//!
//! Of a tree that was found as promised everything counts, directories and links as well: see `settled`.

use super::looks::{Now, clock, forget_file, is_racy, read_records, write_records};
use super::read::is_known_disk;
use super::visit::Names;
use super::walk::{Dir, Facts};
use super::{Digest, looks, tree};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NAME: &str = "models";
const MAGIC: &[u8; 8] = b"sfmodel1";
/// What files came to: their digest alone, and with what their reader adds.
pub type Found = [Digest; 2];

/// The key, what the files came to, and when that was found out, in seconds since the boot.
const RECORD: usize = 32 + 64 + 8;
/// An agent keeps one model, and somebody may run another by hand.
const RECORDS_MAX: usize = 8;

/// Fewer directories side by side are not worth a thread.
const ALONE: usize = 8;
/// What a model may have is far below this.
const DEPTH_MAX: usize = 64;
const FILES_MAX: usize = 1_000_000;

/// What the kernel says of many files.
#[derive(Debug, Default)]
pub struct Impression {
    /// Of each directory, by its path.
    folders: BTreeMap<Box<str>, Folder>,
}

impl Impression {
    /// A file that was opened, and is about to be read. Those of one directory come in the order of their names.
    pub fn add_open(&mut self, below: &str, file: &File) {
        let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
        let before = clock();
        let facts = Facts::about(file).ok();
        if !self.folders.contains_key(folder) {
            self.folders.insert(folder.into(), Folder::default());
        }
        if let Some(folder) = self.folders.get_mut(folder) {
            folder.add(name, facts, before, || rustix::fs::fstatfs(file));
        }
    }

    /// None where the kernel may say the same of other files.
    pub fn digest(self) -> Option<Digest> {
        let mut all = Sha256::new();
        for (path, folder) in self.folders {
            let its = folder.digest()?;
            all.update((path.len() as u64).to_be_bytes());
            all.update(&*path);
            all.update(its);
        }
        Some(all.finalize().into())
    }
}

/// What the kernel says of the files that are directly in a directory.
#[derive(Debug)]
struct Folder {
    all: Sha256,
    count: usize,
    /// The mount that was asked about last.
    mount: Option<(u64, u64)>,
    is_sure: bool,
}

impl Default for Folder {
    fn default() -> Folder {
        Folder { all: Sha256::new(), count: 0, mount: None, is_sure: true }
    }
}

impl Folder {
    fn add(
        &mut self,
        name: &str,
        facts: Option<Facts>,
        before: i128,
        disk: impl FnOnce() -> rustix::io::Result<rustix::fs::StatFs>,
    ) {
        let Some(facts) = facts.filter(|it| {
            it.is_file() && it.is_roots_alone() && !is_racy(it, before) && self.is_sure
        }) else {
            self.is_sure = false;
            return;
        };
        let mount = (facts.device(), facts.mount());
        if self.mount != Some(mount) {
            self.is_sure = disk().is_ok_and(|it| is_known_disk(&it));
            self.mount = Some(mount);
        }
        self.count += 1;
        self.all.update((name.len() as u64).to_be_bytes());
        self.all.update(name);
        self.all.update([u8::from(facts.mode().0 & 0o111 != 0)]);
        self.all.update(&looks::record(&facts, &[0; 32], 0)[..looks::SAME]);
    }

    /// Something of a tree, which may be a directory or a link.
    fn add_any(&mut self, name: &CStr, facts: &Facts) {
        self.count += 1;
        self.all.update(name.to_bytes_with_nul());
        self.all.update(facts.raw_mode().to_be_bytes());
        self.all.update(&looks::record(facts, &[0; 32], 0)[..looks::SAME]);
    }

    fn digest(self) -> Option<Digest> {
        self.is_sure.then(|| self.all.finalize().into())
    }
}

/// Whether something counts, by its path below the root, and whether it is a link.
pub type Counts<'c> = &'c (dyn Fn(&str, bool) -> bool + Sync);

/// What of a tree is not as it was found, by its path below the root. It may be asked by several threads.
pub(super) type Differs<'d> = dyn Fn(&str, &Facts) -> bool + Sync + 'd;

/// What counts below a directory.
#[derive(Clone, Copy)]
enum Of<'a> {
    Files(Counts<'a>),
    Tree { root: &'a Facts, differs: Option<&'a Differs<'a>> },
}

/// The impression of all files below a directory that count, without that any is opened. None where it is not known,
/// where anything that counts is neither a file nor a directory, or cannot be looked at.
pub fn below(root: &Path, counts: Counts<'_>) -> Option<Impression> {
    let flags = READ.difference(OFlags::NOFOLLOW);
    let root = rustix::fs::open(root, flags, Mode::empty()).ok()?;
    of_all(&root, Of::Files(counts))
}

/// What the kernel says of everything below a directory: none where others than root can write any of it, where
/// something else is mounted in it or lies in it than files, directories and links, or where any of it differs.
pub(super) fn of_tree(root: &Dir, differs: Option<&Differs<'_>>) -> Option<Digest> {
    of_all(&root.readable().ok()?, Of::Tree { root: &root.facts, differs })?.digest()
}

fn of_all(root: &OwnedFd, of: Of<'_>) -> Option<Impression> {
    let mut all = Impression::default();
    let mut level = vec![String::new()];
    let mut files = 0;
    for _ in 0..DEPTH_MAX {
        let mut next = vec![];
        for Listed { path, folder, folders } in side_by_side(root, &level, of)? {
            files += folder.count;
            if folder.count > 0 {
                all.folders.insert(path.into(), folder);
            }
            next.extend(folders);
        }
        if next.is_empty() || files > FILES_MAX {
            return (files <= FILES_MAX).then_some(all);
        }
        level = next;
    }
    None
}

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// What is in a directory.
struct Listed {
    path: String,
    folder: Folder,
    /// The paths of the directories in it.
    folders: Vec<String>,
}

/// What is in each of these directories, by as many threads as there are cores.
fn side_by_side(root: &OwnedFd, paths: &[String], of: Of<'_>) -> Option<Vec<Listed>> {
    let threads = if paths.len() > ALONE { (tree::LIMITS.threads)() } else { 1 };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = vec![];
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.push(list(root, path, of)?);
        }
        Some(found)
    };
    std::thread::scope(|scope| {
        // Where no more threads are to be had, those that are there do all.
        let others: Vec<_> = (1..threads)
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut all = work();
        for other in others {
            let its = other.join().ok().flatten();
            all = all.zip(its).map(|(mut all, its)| {
                all.extend(its);
                all
            });
        }
        all
    })
}

fn list(root: &OwnedFd, path: &str, of: Of<'_>) -> Option<Listed> {
    let fd = if path.is_empty() {
        rustix::fs::openat(root, c".", READ, Mode::empty())
    } else {
        rustix::fs::openat(root, path, READ, Mode::empty())
    };
    let fd = fd.ok()?;
    let (names, places) = in_order(&fd)?;
    let mut listed = Listed { path: path.to_owned(), folder: Folder::default(), folders: vec![] };
    let mut below = String::from(path);
    if !path.is_empty() {
        below.push('/');
    }
    let start = below.len();
    for place in places {
        let name = CStr::from_bytes_with_nul(&names[place]).ok()?;
        let before = clock();
        let facts = Facts::at(&fd, name).ok()?;
        below.truncate(start);
        match of {
            Of::Files(counts) => {
                let text = name.to_str().ok()?;
                below.push_str(text);
                if !counts(&below, facts.is_link()) {
                    continue;
                }
                if !facts.is_directory() {
                    listed.folder.add(text, Some(facts), before, || disk_of(&fd, name));
                }
            }
            Of::Tree { root, differs } => {
                if !is_of_tree(&facts, root) {
                    return None;
                }
                if facts.is_directory() || differs.is_some() {
                    below.push_str(name.to_str().ok()?);
                }
                if differs.is_some_and(|it| it(&below, &facts)) {
                    return None;
                }
                listed.folder.add_any(name, &facts);
            }
        }
        if facts.is_directory() {
            listed.folders.push(below.clone());
        }
    }
    listed.folder.is_sure.then_some(listed)
}

/// The names in a directory, each with its zero byte; and where each begins and ends, in their order.
fn in_order(fd: &OwnedFd) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    let mut space = Names::new();
    let mut names: Vec<u8> = vec![];
    let mut places: Vec<Range<usize>> = vec![];
    loop {
        let is_more = space.read_more(fd).ok()?;
        for name in space.iter() {
            let start = names.len();
            names.extend_from_slice(name.to_bytes_with_nul());
            places.push(start..names.len());
        }
        if !is_more {
            break;
        }
    }
    places.sort_unstable_by_key(|it| &names[it.clone()]);
    Some((names, places))
}

/// Whether root alone can change it, and the kernel says so of it as of the root of the tree. A link has no mode.
fn is_of_tree(facts: &Facts, root: &Facts) -> bool {
    let is_known = facts.is_file() || facts.is_directory();
    (facts.device(), facts.mount()) == (root.device(), root.mount())
        && (is_known && facts.is_roots_alone() || facts.is_link() && facts.uid() == 0)
}

fn disk_of(folder: impl AsFd, name: &CStr) -> rustix::io::Result<rustix::fs::StatFs> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::fstatfs(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

/// What the files came to that this key is made of, where it was found out within this time.
pub fn known(cache: &Path, key: &Digest, verify: Duration) -> Option<Found> {
    let now = Now::read()?;
    let all = read(cache, &now)?;
    let (records, _) = all.as_chunks::<RECORD>();
    let found = records.iter().find(|it| it[..32] == key[..])?;
    let digests = [found[32..64].try_into().ok()?, found[64..96].try_into().ok()?];
    looks::holds(&found[96..], &now, verify.as_secs()).then_some(digests)
}

/// Remembers what they came to, beside what was found out last of others.
pub fn put(cache: &Path, key: &Digest, found: &Found) -> std::io::Result<()> {
    let Some(now) = Now::read() else { return Ok(()) };
    let before = read(cache, &now).unwrap_or_default();
    let (before, _) = before.as_chunks::<RECORD>();
    let mut body = [&key[..], &found.concat(), &now.since_boot().to_be_bytes()].concat();
    let others = before.iter().filter(|it| it[..32] != key[..]).take(RECORDS_MAX - 1);
    others.for_each(|it| body.extend_from_slice(it));
    write_records(cache, NAME, MAGIC, &now, &body)
}

/// Has the next run read them all.
pub(super) fn forget(cache: &Path) -> std::io::Result<()> {
    forget_file(cache, NAME)
}

fn read(cache: &Path, now: &Now) -> Option<Vec<u8>> {
    read_records(&cache.join(NAME), MAGIC, RECORDS_MAX * RECORD, now)
}

#[cfg(test)]
mod tests;

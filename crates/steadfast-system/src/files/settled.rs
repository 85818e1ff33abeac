//! Files that were found as promised, and what the kernel said of each: where it says the same of all of them,
//! nobody has to look at them one by one. They are in the cache directory (`kept`), in the order of their
//! directories, with what else belongs to the run that found them so. What holds for a look at a file holds for
//! them: see `looks`.
//!
//! Of a tree that was found as promised everything that the kernel says of all that is in it has one digest. All of
//! it was changed last before the look began: so it is what the look saw.

use super::looks::{
    self, Looks, Now, Record, clock, forget_file, is_racy, read_records, write_records,
};
use super::walk::{Dir, Facts, Walker, kernel_name, split};
use super::{Content, Digest, Entry, Marks, Shape, whole};
use crate::{AbsPath, Host};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::ffi::CStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const NAME: &str = "kept";
const MAGIC: &[u8; 8] = b"sfkept_3";
/// The key, when the first of them was verified, and how long the list of files is.
const HEAD: usize = 32 + 8 + 8;
/// As much as is remembered of a model.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// A list of fewer files is not worth a thread.
const ALONE: usize = 256;
/// Where more than one of so many has changed, all is looked at.
const MANY: usize = 4;
/// How many files a thread takes at a time.
const PORTION: usize = 128;
const THREADS_MAX: usize = 8;
/// What is said of a file beside its name: inode, ctime, mtime and size.
const SAID: usize = 8 + 16 + 16 + 8;

type Said = [u8; SAID];

/// A file that was found as promised.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// By which whoever has found it knows it.
    pub number: u32,
    /// The same for all whose verdicts hang on the same directory and accounts.
    pub group: u32,
    pub path: &'a AbsPath,
    /// Its content, where one is promised.
    pub digest: Option<Digest>,
    /// What was seen of it.
    pub entry: &'a Entry,
}

/// A directory that was found as promised with all that is in it.
#[derive(Debug)]
pub struct FoundTree<'a> {
    pub number: u32,
    pub path: &'a AbsPath,
    /// The content of files that is promised, by their paths below it.
    pub contents: HashMap<&'a str, Digest>,
}

/// Files and trees of which the kernel has said enough to know them again.
#[derive(Debug)]
pub struct Settling {
    list: Vec<u8>,
    /// When the first of them was verified, in seconds since the boot.
    verified: u64,
    now: Now,
    /// Which of those that were found these are.
    pub which: Vec<bool>,
    pub which_trees: Vec<bool>,
}

impl Host {
    /// Asks once more about files that were found as promised; those of which the kernel says what it said when
    /// they were read are settled. None where no looks are kept.
    pub fn settle(&self, found: &[Found<'_>], trees: &[FoundTree<'_>]) -> Option<Settling> {
        let looks = self.files.looks.get()?.as_ref()?;
        let now = Now::read()?;
        if looks.is_set_back(&now) {
            return None;
        }
        let verified = now.since_boot();
        let mut settling =
            Settling { list: vec![], verified, now, which: vec![], which_trees: vec![] };
        let verified_now = looks.verified_now();
        let mut walker = Walker::default();
        for tree in trees {
            let of_tree = said_of_tree(tree, &mut walker, looks, &verified_now);
            settling.which_trees.push(of_tree.is_some());
            let Some((digest, verified)) = of_tree else { continue };
            settling.verified = settling.verified.min(verified);
            settling.list.push(TREE);
            settling.list.extend(tree.number.to_be_bytes());
            put_text(&mut settling.list, tree.path.as_str().as_bytes());
            settling.list.extend_from_slice(&digest);
        }
        let mut last: Option<Arc<Dir>> = None;
        for one in found {
            let place = split(one.path.as_str());
            let place = place.and_then(|(it, name)| Some((walker.folder(it).ok()??, name)));
            let said = place.and_then(|(dir, name)| {
                let (said, verified) = said(one, &dir, looks, &verified_now)?;
                Some((dir, kernel_name(name).ok()?, said, verified))
            });
            settling.which.push(said.is_some());
            let Some((dir, name, said, verified)) = said else { continue };
            if last.as_ref().is_none_or(|it| !Arc::ptr_eq(it, &dir)) {
                put_folder(&mut settling.list, &dir);
                last = Some(dir);
            }
            settling.verified = settling.verified.min(verified);
            settling.list.push(FILE);
            settling.list.extend(one.number.to_be_bytes());
            settling.list.extend(one.group.to_be_bytes());
            put_text(&mut settling.list, name.as_bytes_with_nul());
            settling.list.extend_from_slice(&said);
        }
        Some(settling)
    }
}

/// What the kernel says of a file, where that is what it said when the file was found, and when that was verified.
fn said(
    found: &Found<'_>,
    dir: &Dir,
    looks: &Looks,
    verified_now: &[Record],
) -> Option<(Said, u64)> {
    let (_, name) = split(found.path.as_str())?;
    if dir.open || *dir.real_path_of(name) != *found.path.as_str() || !dir.is_on_disk() {
        return None;
    }
    let before = clock();
    let facts = Facts::at(&dir.fd, &*kernel_name(name).ok()?).ok()?;
    let is_here = facts.device() == dir.facts.device() && facts.mount() == dir.facts.mount();
    if !facts.is_file() || !facts.is_roots_alone() || is_racy(&facts, before) || !is_here {
        return None;
    }
    let Shape::File { size, content: _ } = &found.entry.shape else { return None };
    let shape = Shape::File { size: facts.size(), content: Content::NotRead };
    let now = facts.entry(shape, dir.facts.device());
    let is_same = facts.size() == *size
        && (now.changed, now.mode, now.uid, now.gid, now.links, now.mounted)
            == (
                found.entry.changed,
                found.entry.mode,
                found.entry.uid,
                found.entry.gid,
                found.entry.links,
                found.entry.mounted,
            );
    if !is_same || found.entry.marks != Marks::default() {
        return None;
    }
    let verified = match found.digest {
        Some(digest) => looks.verified_as(verified_now, &facts, &digest)?,
        None => looks.since_boot(),
    };
    Some((said_of(&facts), verified))
}

/// What the kernel says of all that is in a tree, where nothing of it has changed since the look began, and when the
/// first of its contents was verified.
fn said_of_tree(
    tree: &FoundTree<'_>,
    walker: &mut Walker,
    looks: &Looks,
    verified_now: &[Record],
) -> Option<(Digest, u64)> {
    let dir = walker.folder(tree.path.as_str()).ok()??;
    let first = AtomicU64::new(looks.since_boot());
    let differs = |below: &str, facts: &Facts| {
        let verified = match tree.contents.get(below) {
            Some(digest) => looks.verified_as(verified_now, facts, digest),
            None => Some(looks.since_boot()),
        };
        let Some(verified) = verified.filter(|_| looks.saw(facts)) else { return true };
        first.fetch_min(verified, Ordering::Relaxed);
        false
    };
    // The directory itself is looked at in every run.
    let is_seen = is_believed(&dir, tree.path.as_str()) && looks.saw(&dir.facts);
    let digest = is_seen.then(|| whole::of_tree(&dir, Some(&differs)))??;
    Some((digest, first.into_inner()))
}

/// Whether what the kernel says of what is in a directory is the truth: it lies on a disk, root alone can write it
/// and all above, and no link leads there.
fn is_believed(dir: &Dir, path: &str) -> bool {
    !dir.open && *dir.real_path() == *path && dir.facts.is_roots_alone() && dir.is_on_disk()
}

/// But for device and mount, which it has from its directory.
fn said_of(facts: &Facts) -> Said {
    let all = looks::record(facts, &[0; 32], 0);
    let mut said = [0; SAID];
    said[..8].copy_from_slice(&all[8..16]);
    said[8..].copy_from_slice(&all[looks::KEY..looks::SAME]);
    said
}

impl Settling {
    /// Puts them in the place of those before, for this key, with what else belongs to them.
    pub fn put(&self, cache: &Path, key: &Digest, beside: &[u8]) -> std::io::Result<()> {
        let length = self.list.len() as u64;
        let head = [&key[..], &self.verified.to_be_bytes(), &length.to_be_bytes()].concat();
        let body = [&head, &self.list, beside].concat();
        write_records(cache, NAME, MAGIC, &self.now, &body)
    }
}

/// Has the next run look at everything.
pub fn forget(cache: &Path) -> std::io::Result<()> {
    forget_file(cache, NAME)
}

/// Files that an earlier run has settled.
#[derive(Debug)]
pub struct Settled {
    body: Vec<u8>,
    list: usize,
}

/// A directory, and where it was.
struct Folder<'a> {
    path: &'a str,
    device: u64,
    mount: u64,
}

struct SettledTree<'a> {
    number: u32,
    path: &'a str,
    digest: &'a Digest,
}

impl SettledTree<'_> {
    fn look(&self) -> Fate {
        let dir = Walker::default().folder(self.path).ok().flatten();
        let Some(dir) = dir.filter(|it| is_believed(it, self.path)) else { return Fate::Unknown };
        let is_same = whole::of_tree(&dir, None).is_some_and(|it| it == *self.digest);
        if is_same { Fate::Same } else { Fate::Changed }
    }
}

/// What became of something that was settled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Same,
    /// It is still a file at its place, or nothing; or it is the same directory with something else in it.
    Changed,
    Unknown,
}

/// What is new of all that was settled.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// These changed, by their numbers.
    Of(BTreeSet<u32>),
    /// Much, or not only files.
    Much,
}

struct Item<'a> {
    number: u32,
    group: u32,
    folder: usize,
    name: &'a CStr,
    said: &'a Said,
}

impl Settled {
    /// What was settled for this key within this time.
    pub fn open(cache: &Path, key: &Digest, verify: Duration) -> Option<Settled> {
        let now = Now::read()?;
        let body = read_records(&cache.join(NAME), MAGIC, BYTES_MAX, &now)?;
        let head = body.get(..HEAD)?;
        if head[..32] != key[..] || !looks::holds(&head[32..40], &now, verify.as_secs()) {
            return None;
        }
        let list = usize::try_from(looks::number(&head[40..])).ok()?;
        (list <= body.len() - HEAD).then_some(Settled { body, list })
    }

    /// What was put beside them.
    pub fn beside(&self) -> &[u8] {
        &self.body[HEAD + self.list..]
    }

    /// Of which of them the kernel does not say any more what it said then. Whoever could swap one of the
    /// directories is root.
    pub fn news(&self) -> News {
        let Some(Parsed { folders, items, trees }) = self.parsed() else { return News::Much };
        let mut changed = BTreeSet::new();
        for tree in &trees {
            match tree.look() {
                Fate::Same => {}
                Fate::Changed => drop(changed.insert(tree.number)),
                Fate::Unknown => return News::Much,
            }
        }
        let Some(files) = changed_of(&items, &folders) else { return News::Much };
        changed.extend(files);
        if changed.is_empty() { News::Nothing } else { News::Of(changed) }
    }

    /// One of each group, beside those that changed.
    pub fn one_of_each(&self, changed: &BTreeSet<u32>) -> Vec<u32> {
        let Some(Parsed { items, .. }) = self.parsed() else { return vec![] };
        let mut groups = BTreeSet::new();
        let is_one = |it: &&Item<'_>| !changed.contains(&it.number) && groups.insert(it.group);
        items.iter().filter(is_one).map(|it| it.number).collect()
    }

    fn parsed(&self) -> Option<Parsed<'_>> {
        parsed(&self.body[HEAD..HEAD + self.list])
    }
}

/// The files that changed, looked at by several threads; none where they are many, or it cannot be told.
fn changed_of(items: &[Item<'_>], folders: &[Folder<'_>]) -> Option<Vec<u32>> {
    let most = items.len() / MANY;
    let next = AtomicUsize::new(0);
    let count = AtomicUsize::new(0);
    let work = || {
        let (mut place, mut changed) = (Place::default(), vec![]);
        while count.load(Ordering::Relaxed) <= most {
            let portion = next.fetch_add(1, Ordering::Relaxed);
            let Some(items) = items.chunks(PORTION).nth(portion) else { break };
            for item in items {
                match place.look(item, folders) {
                    Fate::Same => {}
                    Fate::Changed => {
                        count.fetch_add(1, Ordering::Relaxed);
                        changed.push(item.number);
                    }
                    Fate::Unknown => drop(count.fetch_add(most + 1, Ordering::Relaxed)),
                }
            }
        }
        changed
    };
    let all = if items.len() <= ALONE {
        work()
    } else {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads.min(THREADS_MAX)).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            for other in others {
                match other.join() {
                    Ok(its) => all.extend(its),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        })
    };
    (count.into_inner() <= most).then_some(all)
}

/// The directory that one thread looked into last.
#[derive(Default)]
struct Place {
    walker: Walker,
    last: Option<(usize, Arc<Dir>)>,
}

impl Place {
    fn look(&mut self, item: &Item<'_>, folders: &[Folder<'_>]) -> Fate {
        let Some(dir) = self.dir(item.folder, folders) else { return Fate::Unknown };
        let facts = match Facts::at(&dir.fd, item.name) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => return Fate::Changed,
            Err(_) => return Fate::Unknown,
        };
        let here = (dir.facts.device(), dir.facts.mount());
        if !facts.is_file() || (facts.device(), facts.mount()) != here {
            return Fate::Unknown;
        }
        if said_of(&facts) == *item.said { Fate::Same } else { Fate::Changed }
    }

    /// The directory, where it is still that one and root's alone.
    fn dir(&mut self, at: usize, folders: &[Folder<'_>]) -> Option<&Dir> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != at) {
            let folder = folders.get(at)?;
            let dir = self.walker.folder(folder.path).ok()??;
            let is_same = !dir.open
                && *dir.real_path() == *folder.path
                && (dir.facts.device(), dir.facts.mount()) == (folder.device, folder.mount);
            self.last = Some((at, is_same.then_some(dir)?));
        }
        self.last.as_ref().map(|(_, dir)| &**dir)
    }
}

/// What stands before a directory, before a file in it, and before a tree.
const FOLDER: u8 = b'd';
const FILE: u8 = b'f';
const TREE: u8 = b't';

fn put_folder(list: &mut Vec<u8>, dir: &Dir) {
    list.push(FOLDER);
    put_text(list, dir.real_path().as_bytes());
    list.extend_from_slice(&dir.facts.device().to_be_bytes());
    list.extend_from_slice(&dir.facts.mount().to_be_bytes());
}

/// A path has 4,096 bytes at most.
fn put_text(list: &mut Vec<u8>, text: &[u8]) {
    list.extend_from_slice(&(text.len() as u64).to_be_bytes()[6..]);
    list.extend_from_slice(text);
}

/// What a list says.
#[derive(Default)]
struct Parsed<'a> {
    folders: Vec<Folder<'a>>,
    items: Vec<Item<'a>>,
    trees: Vec<SettledTree<'a>>,
}

/// None where it is no such list.
fn parsed(list: &[u8]) -> Option<Parsed<'_>> {
    let Parsed { mut folders, mut items, mut trees } = Parsed::default();
    let mut rest = list;
    while let Some((kind, mut after)) = rest.split_first() {
        let mut number = || -> Option<u32> {
            let (number, rest) = after.split_first_chunk::<4>()?;
            after = rest;
            Some(u32::from_be_bytes(*number))
        };
        let (one, group) = match *kind {
            FILE => (number()?, number()?),
            TREE => (number()?, 0),
            _ => (0, 0),
        };
        let (length, after) = after.split_at_checked(2)?;
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        let (text, after) = after.split_at_checked(length)?;
        rest = match *kind {
            FOLDER => {
                let (numbers, after) = after.split_at_checked(16)?;
                let path = std::str::from_utf8(text).ok()?;
                let device = looks::number(numbers);
                folders.push(Folder { path, device, mount: looks::number(&numbers[8..]) });
                after
            }
            FILE => {
                let (said, after) = after.split_first_chunk::<SAID>()?;
                let folder = folders.len().checked_sub(1)?;
                let name = CStr::from_bytes_with_nul(text).ok()?;
                items.push(Item { number: one, group, folder, name, said });
                after
            }
            TREE => {
                let (digest, after) = after.split_first_chunk::<32>()?;
                let path = std::str::from_utf8(text).ok()?;
                trees.push(SettledTree { number: one, path, digest });
                after
            }
            _ => return None,
        };
    }
    Some(Parsed { folders, items, trees })
}

#[cfg(test)]
mod tests;

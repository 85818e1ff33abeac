//! What is in directories, by what the kernel tells files apart by: a path means something else in another mount
//! namespace, and this does not.

use super::Tree;
use crate::text::safe;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::MaybeUninit;

/// Of all trees together; they may have a million entries each.
const MAX_THINGS: usize = 4_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    inode: u64,
    device: u64,
    /// Of its last name.
    name: u64,
    tree: usize,
}

/// All of it, in order.
#[derive(Debug, Default)]
pub(super) struct Things {
    all: Vec<Thing>,
}

impl Things {
    /// Of these trees; one that is not there has none.
    pub(super) fn of(trees: &[Tree]) -> Result<Things, String> {
        let mut things = Things::default();
        for (at, tree) in trees.iter().enumerate() {
            let failed = |err| format!("{} cannot be looked at: {err}", safe(&tree.path));
            things.collect(tree, at).map_err(failed)?;
        }
        things.all.sort_unstable();
        Ok(things)
    }

    fn collect(&mut self, tree: &Tree, at: usize) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = match rustix::fs::open(&*tree.path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            other => other?,
        };
        let about = rustix::fs::fstat(&root)?;
        let name = tree.path.rsplit('/').next().unwrap_or_default();
        self.add(&about, name.as_bytes(), at)?;
        let mut space = vec![MaybeUninit::uninit(); 32 * 1024];
        // A directory is held open by its path below the root and not by a descriptor: there may be very many.
        let mut open = vec![Vec::<u8>::new()];
        while let Some(folder) = open.pop() {
            self.list(&root, &folder, at, &mut open, &mut space)?;
        }
        Ok(())
    }

    fn list(
        &mut self,
        root: &OwnedFd,
        folder: &[u8],
        at: usize,
        open: &mut Vec<Vec<u8>>,
        space: &mut [MaybeUninit<u8>],
    ) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path: &[u8] = if folder.is_empty() { b"." } else { folder };
        let dir = match rustix::fs::openat(root, path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            other => other?,
        };
        let mut entries = RawDir::new(&dir, space);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
            {
                Ok(about) => {
                    self.add(&about, name, at)?;
                    if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
                        let is_first = folder.is_empty();
                        open.push(if is_first {
                            name.to_owned()
                        } else {
                            [folder, name].join(&b'/')
                        });
                    }
                }
                Err(Errno::NOENT) => {}
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    fn add(&mut self, about: &Stat, name: &[u8], tree: usize) -> Result<(), Errno> {
        if self.all.len() >= MAX_THINGS {
            return Err(Errno::OVERFLOW);
        }
        self.all.push(Thing { inode: about.st_ino, device: about.st_dev, name: sum(name), tree });
        Ok(())
    }

    /// The trees that have this very thing.
    pub(super) fn trees_with(&self, device: u64, inode: u64) -> impl Iterator<Item = usize> {
        self.of_inode(inode).filter(move |it| it.device == device).map(|it| it.tree)
    }

    /// The trees that have this file, as maps show it: some file systems show another device there, so a file of the
    /// same number and name is taken to be the same.
    pub(super) fn trees_that_map(
        &self,
        device: u64,
        inode: u64,
        name: &[u8],
    ) -> impl Iterator<Item = usize> {
        let name = sum(name);
        let is_it = move |it: &&Thing| it.device == device || it.name == name;
        self.of_inode(inode).filter(is_it).map(|it| it.tree)
    }

    fn of_inode(&self, inode: u64) -> impl Iterator<Item = &Thing> {
        let from = self.all.partition_point(|it| it.inode < inode);
        self.all[from..].iter().take_while(move |it| it.inode == inode)
    }
}

fn sum(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

//! Whether a tree is still what was written. What the kernel shows as untouched is believed; what it does not, or
//! what may have been written in the same moment in which it was seen, is read.

use super::kernel::{failed, nanoseconds, now};
use super::manifest::{Entry, Manifest, Seen, What};
use super::names::shown;
use super::place::Releases;
use super::refused::TreeError;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

/// Times of files stand still for so long: a change in the same moment does not show by them.
const SAME_MOMENT: i64 = 50_000_000;
/// So many differences are told; one is enough to act.
const MAX_TOLD: usize = 20;

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At what the kernel shows of each entry.
    Seen,
    /// At each byte.
    Whole,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Looked {
    /// The first of them; none where it is as it was written.
    pub deviations: Vec<Deviation>,
    /// The list as it should be stored now, where something was read and found unchanged.
    pub refreshed: Option<Manifest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Below the tree's root; empty for the root.
    pub name: String,
    pub what: Different,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Different {
    Missing,
    /// Nothing that was written.
    Added,
    /// Another content, or another kind of thing.
    Content,
    /// Owner, group or mode.
    Access,
}

impl Releases {
    /// Compares a tree with its list. Whoever can write there while this looks is root.
    pub fn look(&self, name: &str, manifest: Manifest, depth: Depth) -> Result<Looked, TreeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = match rustix::fs::openat(self.fd(), name, flags, Mode::empty()) {
            Ok(root) => root,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                let gone = Deviation { name: String::new(), what: Different::Missing };
                return Ok(Looked { deviations: vec![gone], refreshed: None });
            }
            Err(err) => return Err(failed(format!("open the tree {name}"), err)),
        };
        let at = now();
        let mut look = Look {
            root,
            manifest,
            depth,
            deviations: vec![],
            listed: vec![],
            is_new: false,
            device: 0,
        };
        look.at_the_root()?;
        for index in 0..look.manifest.entries.len() {
            if look.deviations.len() >= MAX_TOLD {
                break;
            }
            look.at_entry(index)?;
        }
        look.at_names()?;
        let Look { mut manifest, deviations, is_new, device, .. } = look;
        (manifest.at, manifest.device) = (at, device);
        let refreshed = (is_new && deviations.is_empty()).then_some(manifest);
        Ok(Looked { deviations, refreshed })
    }
}

struct Look {
    root: OwnedFd,
    manifest: Manifest,
    depth: Depth,
    deviations: Vec<Deviation>,
    /// Directories in which a name may have come or gone.
    listed: Vec<Vec<u8>>,
    /// Whether the list should be written anew.
    is_new: bool,
    /// What it is on now; numbers of devices change with a boot.
    device: u64,
}

impl Look {
    /// Its own times change when it is renamed, so its names are always asked for.
    fn at_the_root(&mut self) -> Result<(), TreeError> {
        let about = rustix::fs::fstat(&self.root).map_err(|err| failed("look at the tree", err))?;
        if !self.is_accessible(&about, self.manifest.mode) {
            self.tell(b"", Different::Access);
        }
        self.device = about.st_dev;
        self.listed.push(vec![]);
        Ok(())
    }

    fn is_accessible(&self, about: &Stat, mode: u16) -> bool {
        about.st_uid == rustix::process::geteuid().as_raw()
            && about.st_gid == self.manifest.group
            && about.st_mode & 0o7777 == u32::from(mode)
    }

    fn tell(&mut self, name: &[u8], what: Different) {
        if self.deviations.len() < MAX_TOLD {
            self.deviations.push(Deviation { name: shown(name), what });
        }
    }

    fn at_entry(&mut self, index: usize) -> Result<(), TreeError> {
        let Entry { name, seen, mode: _, what: _ } = &self.manifest.entries[index];
        let about = match rustix::fs::statat(&self.root, &**name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => about,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                let name = name.clone();
                self.tell(&name, Different::Missing);
                return Ok(());
            }
            Err(err) => return Err(failed(format!("look at {}", shown(name)), err)),
        };
        let now = Seen {
            inode: about.st_ino,
            ctime: nanoseconds(about.st_ctime, about.st_ctime_nsec),
            mtime: nanoseconds(about.st_mtime, about.st_mtime_nsec),
        };
        let is_untouched = now == *seen
            && about.st_dev == self.manifest.device
            && seen.ctime < self.manifest.at - SAME_MOMENT;
        let different = self.compare(index, &about, is_untouched)?;
        if let Some(different) = different {
            let name = self.manifest.entries[index].name.clone();
            self.tell(&name, different);
        } else if !is_untouched {
            self.is_new = true;
            self.manifest.entries[index].seen = now;
        }
        Ok(())
    }

    /// What is different about an entry that is there; a directory is put down to be listed.
    fn compare(
        &mut self,
        index: usize,
        about: &Stat,
        is_untouched: bool,
    ) -> Result<Option<Different>, TreeError> {
        let Entry { name, mode, seen: _, what } = &self.manifest.entries[index];
        let kind = FileType::from_raw_mode(about.st_mode);
        let is_believed = is_untouched && self.depth == Depth::Seen;
        let reading = |err| failed(format!("read {}", shown(name)), err);
        Ok(match what {
            What::Directory if kind == FileType::Directory => {
                let is_accessible = self.is_accessible(about, *mode);
                if is_accessible && !is_believed {
                    self.listed.push(name.clone());
                }
                (!is_accessible).then_some(Different::Access)
            }
            What::File { size, sha256 } if kind == FileType::RegularFile => {
                if u64::try_from(about.st_size) != Ok(*size) {
                    Some(Different::Content)
                } else if !self.is_accessible(about, *mode) {
                    Some(Different::Access)
                } else if is_believed {
                    None
                } else {
                    let is = sum_of(&self.root, name).map_err(reading)?;
                    (is != *sha256).then_some(Different::Content)
                }
            }
            What::Link { target } if kind == FileType::Symlink => {
                let is = rustix::fs::readlinkat(&self.root, &**name, vec![]).map_err(reading)?;
                (is.as_bytes() != target).then_some(Different::Content)
            }
            What::Directory | What::File { .. } | What::Link { .. } => Some(Different::Content),
        })
    }

    /// Names that nobody has written.
    fn at_names(&mut self) -> Result<(), TreeError> {
        let known: HashSet<&[u8]> = self.manifest.entries.iter().map(|it| &*it.name).collect();
        let mut added = vec![];
        for folder in &self.listed {
            let failed = |err| failed(format!("list {}", shown(folder)), err);
            let path: &[u8] = if folder.is_empty() { b"." } else { folder };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&self.root, path, flags, Mode::empty()).map_err(failed)?;
            for entry in rustix::fs::Dir::new(fd).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let last = entry.file_name().to_bytes();
                if last == b"." || last == b".." {
                    continue;
                }
                let name = match folder.is_empty() {
                    true => last.to_owned(),
                    false => [folder, &b"/"[..], last].concat(),
                };
                if !known.contains(&*name) {
                    added.push(name);
                }
            }
        }
        added.iter().for_each(|it| self.tell(it, Different::Added));
        Ok(())
    }
}

fn sum_of(root: &OwnedFd, name: &[u8]) -> Result<[u8; 32], Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(root, name, flags, Mode::empty())?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match rustix::io::read(&file, &mut buffer) {
            Ok(0) => return Ok(sum.finalize().into()),
            Ok(count) => sum.update(&buffer[..count]),
            Err(Errno::INTR) => {}
            Err(err) => return Err(err),
        }
    }
}

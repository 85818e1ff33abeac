//! Writing a tree: every name below its root by `openat2`, which follows no link, and nothing over what is there.

use super::elf;
use super::kernel::{failed, nanoseconds, now, write_all};
use super::manifest::{Entry, Manifest, Seen, What};
use super::names::{judge, leads_out, shown, split};
use super::place::Releases;
use super::refused::{TreeError, TreeRefusal};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Timespec, Timestamps, XattrFlags,
};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

const SETUID_SETGID: u32 = 0o6000;
/// Nothing in a tree is larger, nor are more things in it.
const MAX_ENTRIES: u64 = 1_000_000;
/// So many programs of other machines are told.
const MAX_FOREIGN: usize = 20;

/// What a tree may be.
#[derive(Clone, Debug)]
pub struct Rules {
    pub max_bytes: u64,
    pub setuid: bool,
    pub links_anywhere: bool,
    /// The group that may read it, and nobody else.
    pub private_to: Option<u32>,
    /// Names of programs in it that have to be of this machine.
    pub programs: Vec<Vec<u8>>,
}

/// A file that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct File {
    pub mode: u32,
    /// When it last changed, in seconds since 1970; now, where this is 0.
    pub time: i64,
    pub size: u64,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    pub manifest: Manifest,
    /// Programs and libraries in it that are built for another machine, and for which one.
    pub foreign: Vec<(String, String)>,
}

/// A tree that is being written. It is in its place only once it is whole; dropped before, nothing stays of it.
#[derive(Debug)]
pub struct Writer<'r> {
    releases: &'r Releases,
    name: String,
    root: OwnedFd,
    rules: Rules,
    entries: Vec<Entry>,
    bytes: u64,
    /// The directory that was written in last.
    last: Option<(Vec<u8>, OwnedFd)>,
    file: Option<Open>,
    foreign: Vec<(String, String)>,
    is_placed: bool,
}

/// A file that is being written.
#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    name: Vec<u8>,
    about: File,
    left: u64,
    sum: Sha256,
    head: Vec<u8>,
    ends_in_hole: bool,
}

impl<'r> Writer<'r> {
    pub fn begin(
        releases: &'r Releases,
        name: &str,
        rules: Rules,
    ) -> Result<Writer<'r>, TreeError> {
        let root = releases.begin(name)?;
        Ok(Writer {
            releases,
            name: name.to_owned(),
            root,
            rules,
            entries: vec![],
            bytes: 0,
            last: None,
            file: None,
            foreign: vec![],
            is_placed: false,
        })
    }

    pub fn directory(&mut self, name: &[u8]) -> Result<(), TreeError> {
        self.close()?;
        judge(name)?;
        let (above, last) = self.above(name)?;
        match rustix::fs::mkdirat(above, last, Mode::from_raw_mode(0o700)) {
            Ok(()) => self.note(name, 0, What::Directory),
            Err(Errno::EXIST) if is_directory(above, last) => Ok(()),
            Err(err) => Err(not_made(name, err)),
        }
    }

    pub fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), TreeError> {
        self.close()?;
        judge(name)?;
        let (above, last) = self.above(name)?;
        rustix::fs::symlinkat(target, above, last).map_err(|err| not_made(name, err))?;
        self.note(name, 0o777, What::Link { target: target.to_owned() })
    }

    /// Another name of what was written before.
    pub fn hardlink(&mut self, name: &[u8], first: &[u8]) -> Result<(), TreeError> {
        self.close()?;
        judge(name)?;
        judge(first)?;
        let refused = || TreeRefusal::NoFirst { name: shown(name), first: shown(first) };
        let (folder, first) = split(first);
        let folder = self.reach(folder).map_err(|err| match err {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => refused().into(),
            err => failed(format!("open {}", shown(folder)), err),
        })?;
        let (above, last) = self.above(name)?;
        match rustix::fs::linkat(&folder, first, above, last, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::PERM) => return Err(refused().into()),
            Err(err) => return Err(not_made(name, err)),
        }
        // What it is, it is as what it is the second name of; see `finish`.
        self.note(name, 0, What::File { size: 0, sha256: [0; 32] })
    }

    /// Begins a file; its bytes follow.
    pub fn file(&mut self, name: &[u8], about: File) -> Result<(), TreeError> {
        self.close()?;
        judge(name)?;
        if about.mode & SETUID_SETGID != 0 && !self.rules.setuid {
            return Err(TreeRefusal::Setuid(shown(name)).into());
        }
        self.bytes = self.bytes.saturating_add(about.size);
        if self.bytes > self.rules.max_bytes {
            return Err(TreeRefusal::TooManyBytes(self.rules.max_bytes).into());
        }
        let (above, last) = self.above(name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(above, last, flags, Mode::from_raw_mode(0o600))
            .map_err(|err| not_made(name, err))?;
        self.file = Some(Open {
            fd,
            name: name.to_owned(),
            about,
            left: about.size,
            sum: Sha256::new(),
            head: vec![],
            ends_in_hole: false,
        });
        Ok(())
    }

    /// The next bytes of the file that was begun.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        let open = self.open_for(bytes.len() as u64)?;
        open.sum.update(bytes);
        if open.head.len() < elf::HEAD {
            let missing = elf::HEAD - open.head.len();
            open.head.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        }
        open.ends_in_hole = false;
        write_all(&open.fd, bytes)
            .map_err(|err| failed(format!("write {}", shown(&open.name)), err))
    }

    /// The next bytes are zeros, and are not written.
    pub fn hole(&mut self, length: u64) -> Result<(), TreeError> {
        const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
        let open = self.open_for(length)?;
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(ZEROS.len()).min(ZEROS.len());
            open.sum.update(&ZEROS[..most]);
            left -= most as u64;
        }
        open.ends_in_hole = true;
        let by = i64::try_from(length).unwrap_or(i64::MAX);
        rustix::fs::seek(&open.fd, SeekFrom::Current(by))
            .map_err(|err| failed(format!("write {}", shown(&open.name)), err))?;
        Ok(())
    }

    /// The file that was begun, if it has room for so many bytes more.
    fn open_for(&mut self, length: u64) -> Result<&mut Open, TreeError> {
        let none = || TreeRefusal::Name("bytes of no file".to_owned());
        let open = self.file.as_mut().ok_or_else(none)?;
        match open.left.checked_sub(length) {
            Some(left) => open.left = left,
            None => return Err(TreeRefusal::Size(shown(&open.name)).into()),
        }
        Ok(open)
    }

    /// What the file that was written last may do beyond its user.
    pub fn capabilities(&mut self, content: &[u8]) -> Result<(), TreeError> {
        if !self.rules.setuid {
            return Err(TreeRefusal::Setuid("a file with capabilities".to_owned()).into());
        }
        let open = self.open_for(0)?;
        let name = shown(&open.name);
        match rustix::fs::fsetxattr(&open.fd, c"security.capability", content, XattrFlags::empty())
        {
            Err(Errno::PERM) => Err(TreeRefusal::Capabilities(name).into()),
            Err(err) => Err(failed(format!("give {name} its capabilities"), err)),
            Ok(()) => Ok(()),
        }
    }

    /// Ends the file that was begun, if one was.
    fn close(&mut self) -> Result<(), TreeError> {
        let Some(open) = self.file.take() else { return Ok(()) };
        let Open { fd, name, about: File { mode, time, size }, left, sum, head, ends_in_hole } =
            open;
        if left > 0 {
            return Err(TreeRefusal::Size(shown(&name)).into());
        }
        let failed = |err| failed(format!("write {}", shown(&name)), err);
        if ends_in_hole {
            rustix::fs::ftruncate(&fd, size).map_err(failed)?;
        }
        let mode = self.mode_of(mode);
        if let Some(group) = self.rules.private_to {
            rustix::fs::fchown(&fd, None, Some(Gid::from_raw(group))).map_err(failed)?;
        }
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode.into())).map_err(failed)?;
        if time != 0 {
            let time = Timespec { tv_sec: time, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::futimens(&fd, &times).map_err(failed)?;
        }
        if let Some(machine) = elf::foreign(&head)
            && self.foreign.len() < MAX_FOREIGN
        {
            self.foreign.push((shown(&name), machine));
        }
        self.note(&name, mode, What::File { size, sha256: sum.finalize().into() })
    }

    /// Nobody writes what is in a tree; who may read it may also run what is to be run.
    fn mode_of(&self, archived: u32) -> u16 {
        let plain: u16 = if archived & 0o111 == 0 { 0o444 } else { 0o555 };
        let shared = if self.rules.private_to.is_some() { plain & 0o770 } else { plain };
        let special = u16::try_from(archived & SETUID_SETGID).unwrap_or_default();
        shared | special
    }

    fn note(&mut self, name: &[u8], mode: u16, what: What) -> Result<(), TreeError> {
        if self.entries.len() as u64 >= MAX_ENTRIES {
            return Err(TreeRefusal::TooManyEntries(MAX_ENTRIES).into());
        }
        self.entries.push(Entry { name: name.to_owned(), mode, seen: Seen::default(), what });
        Ok(())
    }

    /// The directory that a name lies in, made where it is missing, and its last part.
    fn above<'n>(&mut self, name: &'n [u8]) -> Result<(BorrowedFd<'_>, &'n [u8]), TreeError> {
        let (folder, last) = split(name);
        if folder.is_empty() {
            return Ok((self.root.as_fd(), last));
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != folder) {
            let fd = match self.reach(folder) {
                Err(Errno::NOENT) => {
                    self.directory(folder)?;
                    self.reach(folder)
                }
                reached => reached,
            };
            let fd = fd.map_err(|err| match err {
                Errno::LOOP => TreeRefusal::ThroughLink(shown(name)).into(),
                Errno::NOTDIR => TreeRefusal::BelowFile(shown(name)).into(),
                err => failed(format!("open {}", shown(folder)), err),
            })?;
            self.last = Some((folder.to_owned(), fd));
        }
        let folder = self.last.as_ref().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd());
        Ok((folder, last))
    }

    /// A directory in the tree, without following a link on the way.
    fn reach(&self, folder: &[u8]) -> Result<OwnedFd, Errno> {
        let folder = if folder.is_empty() { b"." } else { folder };
        // Not NOFOLLOW: then a link at the end would be no directory, and no link.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        resolve(&self.root, folder, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
    }

    /// Makes it whole, and puts it into its place; `digest` says what it was made from.
    pub fn finish(mut self, digest: [u8; 32]) -> Result<Written, TreeError> {
        self.close()?;
        self.last = None;
        self.judge_links()?;
        self.judge_programs()?;
        self.close_directories()?;
        let failed = |err| failed("write what is in the tree to its disk", err);
        // All at once: one by one it would be a write of the journal for each file.
        rustix::fs::syncfs(&self.root).map_err(failed)?;
        let at = now();
        let device = self.see()?;
        let group = self.rules.private_to.unwrap_or(rustix::process::getegid().as_raw());
        let entries = std::mem::take(&mut self.entries);
        let mode = self.mode_of(0o111);
        let manifest = Manifest { digest, at, device, mode, group, entries };
        self.releases.place(&self.name, &manifest)?;
        self.is_placed = true;
        Ok(Written { manifest, foreign: std::mem::take(&mut self.foreign) })
    }

    /// Where links lead is asked of the kernel, which goes where programs would.
    fn judge_links(&self) -> Result<(), TreeError> {
        if self.rules.links_anywhere {
            return Ok(());
        }
        for entry in &self.entries {
            let What::Link { target } = &entry.what else { continue };
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let leads_out = match resolve(&self.root, &entry.name, flags, ResolveFlags::BENEATH) {
                Ok(_) => false,
                Err(Errno::XDEV) => true,
                // It leads nowhere; by its words it should lead nowhere in the tree.
                Err(_) => leads_out(&entry.name, target),
            };
            if leads_out {
                let (link, target) = (shown(&entry.name), shown(target));
                return Err(TreeRefusal::LeadsOut { link, target }.into());
            }
        }
        Ok(())
    }

    fn judge_programs(&self) -> Result<(), TreeError> {
        for program in &self.rules.programs {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(file) = resolve(&self.root, program, flags, ResolveFlags::BENEATH) else {
                continue;
            };
            let mut head = [0; elf::HEAD];
            let count = rustix::io::read(&file, &mut head).unwrap_or_default();
            if let Some(machine) = elf::foreign(&head[..count]) {
                return Err(TreeRefusal::Machine { program: shown(program), machine }.into());
            }
        }
        Ok(())
    }

    /// The directories get the mode that they keep, the innermost first.
    fn close_directories(&mut self) -> Result<(), TreeError> {
        let mode = self.mode_of(0o111);
        let group = self.rules.private_to.map(Gid::from_raw);
        let is_directory = |it: &&mut Entry| matches!(it.what, What::Directory);
        for entry in self.entries.iter_mut().rev().filter(is_directory) {
            let failed = |err| failed(format!("close the directory {}", shown(&entry.name)), err);
            if group.is_some() {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(&self.root, &*entry.name, None, group, flags)
                    .map_err(failed)?;
            }
            let bits = Mode::from_raw_mode(mode.into());
            rustix::fs::chmodat(&self.root, &*entry.name, bits, AtFlags::empty())
                .map_err(failed)?;
            entry.mode = mode;
        }
        let failed = |err| failed("close the tree", err);
        if group.is_some() {
            rustix::fs::fchown(&self.root, None, group).map_err(failed)?;
        }
        rustix::fs::fchmod(&self.root, Mode::from_raw_mode(mode.into())).map_err(failed)
    }

    /// Notes what the kernel shows of each entry, and what second names are names of. The device of all.
    fn see(&mut self) -> Result<u64, TreeError> {
        let mut first: HashMap<u64, (u16, What)> = HashMap::new();
        for entry in &mut self.entries {
            let failed = |err| failed(format!("look at {}", shown(&entry.name)), err);
            let about = rustix::fs::statat(&self.root, &*entry.name, AtFlags::SYMLINK_NOFOLLOW);
            let about = about.map_err(failed)?;
            entry.seen = Seen {
                inode: about.st_ino,
                ctime: nanoseconds(about.st_ctime, about.st_ctime_nsec),
                mtime: nanoseconds(about.st_mtime, about.st_mtime_nsec),
            };
            if about.st_nlink > 1 && !matches!(entry.what, What::Directory) {
                let known =
                    first.entry(about.st_ino).or_insert_with(|| (entry.mode, entry.what.clone()));
                (entry.mode, entry.what) = known.clone();
            }
        }
        let about = rustix::fs::fstat(&self.root);
        Ok(about.map_err(|err| failed("look at the tree", err))?.st_dev)
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            // The next one takes away what could not be taken away now.
            let _left = self.releases.give_up(&self.name);
        }
    }
}

/// Opens a name below a directory. The kernel asks to be asked again where something was renamed meanwhile.
fn resolve(
    root: &OwnedFd,
    name: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    loop {
        match rustix::fs::openat2(root, name, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
}

fn is_directory(above: BorrowedFd<'_>, name: &[u8]) -> bool {
    let about = rustix::fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW);
    about.is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory)
}

/// Why a name could not be made: most often because it is there.
fn not_made(name: &[u8], err: Errno) -> TreeError {
    match err {
        Errno::EXIST => TreeRefusal::Twice(shown(name)).into(),
        Errno::LOOP => TreeRefusal::ThroughLink(shown(name)).into(),
        Errno::NOTDIR => TreeRefusal::BelowFile(shown(name)).into(),
        Errno::NAMETOOLONG => TreeRefusal::Name(shown(name)).into(),
        err => failed(format!("write {}", shown(name)), err),
    }
}

//! Walking paths by descriptors, and reading what is at their end.
//!
//! A directory is *open* where others than root can write it, or anything above it: whoever owns such a
//! directory can swap what is in it at any moment. In an open directory no symbolic link is followed; in a
//! closed one root alone can have put it there, so it means what it says.

pub(super) use super::read::{BUFFER, bytes, content, digest};
use super::read::{is_known_disk, needs_content};
use super::{Bar, Content, Entry, Folder, Marks, Mode, Shape, Wanted};
use crate::text::{of_bytes, safe, to_bytes};
use crate::{AbsPath, ErrorKind, SystemError};
use rustix::fd::{AsFd, AsRawFd as _, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, OFlags, StatVfsMountFlags, Statx, StatxAttributes, StatxFlags,
    StatxTimestamp,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::Arc;

/// How many directories a walker holds open. Several threads have one each, and 1,024 descriptors is the
/// usual limit of a process.
const FOLDERS_MAX: usize = 48;
/// As the kernel has it.
const LINKS_MAX: usize = 40;
/// One descriptor a level is open during a walk of a tree.
pub(super) const DEPTH_MAX: usize = 256;

/// An error of the disk is one of storage, whatever std calls it.
pub(super) fn failed(what: impl Into<Arc<str>>, errno: Errno) -> SystemError {
    let mut error = SystemError::io(what, errno);
    if [Errno::IO, Errno::NOSPC, Errno::ROFS, Errno::DQUOT, Errno::FBIG].contains(&errno) {
        error.kind = ErrorKind::Storage;
    }
    // Nothing that we open makes us wait but the lease of its owner.
    if errno == Errno::AGAIN {
        error.kind = ErrorKind::Swappable;
    }
    error
}

/// What the kernel says about one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts(Statx);

impl Facts {
    /// About `name` in a directory, links not followed.
    pub(super) fn at(dir: impl AsFd, name: impl rustix::path::Arg) -> Result<Facts, Errno> {
        Self::ask(dir, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// About what is open.
    pub(super) fn about(fd: impl AsFd) -> Result<Facts, Errno> {
        Self::ask(fd, c"", AtFlags::EMPTY_PATH)
    }

    fn ask(fd: impl AsFd, name: impl rustix::path::Arg, flags: AtFlags) -> Result<Facts, Errno> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID | UNIQUE_MOUNT;
        rustix::fs::statx(fd, name, flags | AtFlags::NO_AUTOMOUNT, wanted).map(Facts)
    }

    pub(super) fn uid(&self) -> u32 {
        self.0.stx_uid
    }

    pub(super) fn gid(&self) -> u32 {
        self.0.stx_gid
    }

    pub(super) fn mode(&self) -> Mode {
        Mode(self.0.stx_mode & 0o7777)
    }

    /// With what says which kind of thing it is.
    pub(super) fn raw_mode(&self) -> u16 {
        self.0.stx_mode
    }

    pub(super) fn size(&self) -> u64 {
        self.0.stx_size
    }

    pub(super) fn links(&self) -> u64 {
        self.0.stx_nlink.into()
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.0.stx_mode.into())
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }

    pub(super) fn is_link(&self) -> bool {
        self.kind() == FileType::Symlink
    }

    /// Whether nobody but root, or who we are, can write it. What others have mapped into their memory they may
    /// write without that the kernel says so at once.
    pub(super) fn is_roots_alone(&self) -> bool {
        self.mode().0 & 0o022 == 0 && (self.uid() == 0 || is_ours(self.uid()))
    }

    pub(super) fn device(&self) -> u64 {
        (u64::from(self.0.stx_dev_major) << 32) | u64::from(self.0.stx_dev_minor)
    }

    /// On which mount it is; zero where the kernel does not tell. Before Linux 6.8 numbers are used again.
    pub(super) fn mount(&self) -> u64 {
        self.0.stx_mnt_id
    }

    /// When content or attributes last changed (ctime), in nanoseconds since 1970.
    pub(super) fn changed(&self) -> i128 {
        nanoseconds(self.0.stx_ctime)
    }

    /// When the content last changed (mtime), as far as nobody has set it.
    pub(super) fn modified(&self) -> i128 {
        nanoseconds(self.0.stx_mtime)
    }

    /// Which thing it is, for as long as it exists.
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.device(), self.0.stx_ino)
    }

    /// The same thing with nothing changed about it.
    pub(super) fn is_unchanged(&self, before: &Facts) -> bool {
        self.identity() == before.identity()
            && self.size() == before.size()
            && self.0.stx_ctime.tv_sec == before.0.stx_ctime.tv_sec
            && self.0.stx_ctime.tv_nsec == before.0.stx_ctime.tv_nsec
    }

    /// Whether something is mounted here, seen from the directory's device. A kernel before 5.8 cannot
    /// tell a bind mount within one file system.
    pub(super) fn is_mounted(&self, folder_device: u64) -> bool {
        self.0.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
            || self.device() != folder_device
    }

    /// The flag that forbids changes even to root.
    pub(super) fn forbidding_flag(&self) -> Option<Bar> {
        if self.0.stx_attributes.contains(StatxAttributes::IMMUTABLE) {
            Some(Bar::Immutable)
        } else if self.0.stx_attributes.contains(StatxAttributes::APPEND) {
            Some(Bar::AppendOnly)
        } else {
            None
        }
    }

    pub(super) fn entry(&self, shape: Shape, folder_device: u64) -> Entry {
        let ctime = self.0.stx_ctime;
        Entry {
            shape,
            uid: self.uid(),
            gid: self.gid(),
            mode: self.mode(),
            links: self.links(),
            changed: ctime.tv_sec * 1_000_000 + i64::from(ctime.tv_nsec / 1_000),
            mounted: self.is_mounted(folder_device),
            marks: Marks::default(),
        }
    }
}

/// Apart, and never merged with its callers: the compiler takes the question for one without effects, and would
/// ask the kernel for each file of root's too.
#[cold]
#[inline(never)]
fn is_ours(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw()
}

/// `STATX_MNT_ID_UNIQUE`, which kernels before 6.8 pass over.
const UNIQUE_MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x4000);

fn nanoseconds(time: StatxTimestamp) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// An open directory and what was known about it when it was opened.
#[derive(Debug)]
pub(super) struct Dir {
    /// O_PATH, or readable where it was made by [`Dir::to_be_listed`].
    pub(super) fd: OwnedFd,
    /// Its path without any link in it.
    pub(super) real: Box<str>,
    pub(super) facts: Facts,
    /// Whether others than root can write it, or anything above it.
    pub(super) open: bool,
    /// Whether its file system is mounted read-only.
    read_only: bool,
}

impl Dir {
    /// `above` is the directory that it is in; the root is in none.
    fn new(fd: OwnedFd, real: Box<str>, above: Option<&Dir>) -> Result<Dir, Errno> {
        let facts = Facts::about(&fd)?;
        let read_only = match above {
            Some(above) if !facts.is_mounted(above.facts.device()) => above.read_only,
            Some(_) | None => rustix::fs::fstatvfs(&fd)
                .is_ok_and(|it| it.f_flag.contains(StatVfsMountFlags::RDONLY)),
        };
        let mut open = above.is_some_and(|it| it.open)
            || facts.uid() != 0
            || facts.mode().0 & 0o002 != 0
            || (facts.mode().0 & 0o020 != 0 && facts.gid() != 0);
        if !open && facts.mode().0 & 0o020 != 0 {
            // Group root may write. With an access list that bit stands for anybody named in it.
            let mut list = [0_u8; 512];
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            open = match rustix::fs::getxattr(path, ACCESS_LIST, &mut list) {
                Err(Errno::NODATA | Errno::OPNOTSUPP) => false,
                // What cannot be told is not trusted.
                Ok(_) | Err(_) => true,
            };
        }
        Ok(Dir { fd, real, facts, open, read_only })
    }

    pub(super) fn folder(&self) -> Folder {
        Folder {
            uid: self.facts.uid(),
            gid: self.facts.gid(),
            mode: self.facts.mode(),
            open: self.open,
            bar: self.facts.forbidding_flag().or(self.read_only.then_some(Bar::ReadOnly)),
        }
    }

    pub(super) fn real_path(&self) -> &str {
        &self.real
    }

    pub(super) fn real_path_of(&self, name: &str) -> Box<str> {
        if &*self.real == "/" {
            format!("/{name}").into()
        } else {
            format!("{}/{name}", self.real).into()
        }
    }

    /// A directory in this one, to be listed; no link is followed.
    pub(super) fn to_be_listed(&self, name: &CStr) -> Result<Dir, Errno> {
        let fd = open_listed(&self.fd, name)?;
        let real = self.real_path_of(&of_bytes(name.to_bytes()));
        Dir::new(fd, real, Some(self))
    }

    /// A descriptor of this directory that can be listed and flushed.
    pub(super) fn readable(&self) -> Result<OwnedFd, Errno> {
        open_listed(&self.fd, c".")
    }

    /// A regular file in this directory, to be read. It never blocks and follows no link; what turns out
    /// to be something else is the error that a link gives.
    pub(super) fn open_file(
        &self,
        name: impl rustix::path::Arg,
    ) -> Result<(OwnedFd, Facts), Errno> {
        let fd = rustix::fs::openat(&self.fd, name, READ, rustix::fs::Mode::empty())?;
        let facts = Facts::about(&fd)?;
        if facts.is_file() { Ok((fd, facts)) } else { Err(Errno::LOOP) }
    }

    /// Where a link in this directory points.
    pub(super) fn link_target(&self, name: impl rustix::path::Arg) -> Result<Arc<str>, Errno> {
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new())?;
        Ok(of_bytes(target.to_bytes()).into())
    }

    /// Whether what the kernel says of its files holds until one of them changes.
    pub(super) fn is_on_disk(&self) -> bool {
        rustix::fs::fstatfs(&self.fd).is_ok_and(|it| is_known_disk(&it))
    }

    /// What is at `name`, with as few questions to the kernel as it takes. `read` is told what was read of a
    /// file, and what the kernel said of it before.
    pub(super) fn entry(
        &self,
        name: &CStr,
        wanted: Wanted,
        buffer: &mut [u8],
        read: &mut dyn FnMut(&Facts, &Content),
    ) -> Result<Option<Entry>, Errno> {
        // Opening some devices does something, so they are only opened where they are not expected.
        let mut stat_first = wanted == Wanted::Nothing || self.real.starts_with("/dev");
        loop {
            if stat_first {
                let facts = match Facts::at(&self.fd, name) {
                    Ok(facts) => facts,
                    Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
                    Err(err) => return Err(err),
                };
                if !(facts.is_file() && needs_content(wanted, facts.size())) {
                    return self.described_whole(name, &facts, Content::NotRead).map(Some);
                }
            }
            let fd = match rustix::fs::openat(&self.fd, name, READ, rustix::fs::Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::AGAIN) => return self.leased(name),
                // A regular file whose content is wanted and cannot be had.
                Err(err) if stat_first => return Err(err),
                // A link, a socket, or something we may not read.
                Err(_) => {
                    stat_first = true;
                    continue;
                }
            };
            let facts = Facts::about(&fd)?;
            let content = if facts.is_file() {
                content(&fd, facts.size(), wanted, self.open, buffer)?
            } else {
                Content::NotRead
            };
            read(&facts, &content);
            return self.described_whole(name, &facts, content).map(Some);
        }
    }

    /// The entry of a file that opens for nobody as long as its owner has a lease on it.
    fn leased(&self, name: &CStr) -> Result<Option<Entry>, Errno> {
        match Facts::at(&self.fd, name) {
            Ok(facts) => self.described_whole(name, &facts, Content::Leased).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// The entry of what `facts` is about.
    pub(super) fn described(
        &self,
        name: &CStr,
        facts: &Facts,
        content: Content,
    ) -> Result<Entry, Errno> {
        let mut entry = self.shaped(name, facts, content)?;
        entry.marks.capabilities = self.has_capabilities(name, facts);
        Ok(entry)
    }

    /// Why something in this directory is neither changed, replaced nor removed.
    pub(super) fn bar(&self, facts: &Facts, is_mounted: bool) -> Option<Bar> {
        let by_mount = (self.read_only && !is_mounted).then_some(Bar::ReadOnly);
        facts.forbidding_flag().or(by_mount)
    }

    /// The same without what takes further questions to the kernel.
    pub(super) fn shaped(
        &self,
        name: &CStr,
        facts: &Facts,
        content: Content,
    ) -> Result<Entry, Errno> {
        let shape = match facts.kind() {
            FileType::RegularFile => Shape::File { size: facts.size(), content },
            FileType::Directory => Shape::Directory,
            FileType::Symlink => Shape::Link { target: self.link_target(name)? },
            FileType::Socket => Shape::Socket,
            FileType::Fifo => Shape::Fifo,
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => Shape::Device,
        };
        let mut entry = facts.entry(shape, self.facts.device());
        entry.marks.bar = self.bar(facts, entry.mounted);
        Ok(entry)
    }
}

/// The name of the extended attribute that holds the POSIX access list.
pub(super) const ACCESS_LIST: &CStr = c"system.posix_acl_access";
/// And of that which a directory hands on to what is made in it.
pub(super) const DEFAULT_LIST: &CStr = c"system.posix_acl_default";

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

fn open_listed(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, READ | OFlags::DIRECTORY, rustix::fs::Mode::empty())
}

/// A part of a path as the kernel has it.
pub(super) fn kernel_name(part: &str) -> Result<CString, Errno> {
    CString::new(to_bytes(part)).map_err(|_| Errno::INVAL)
}

/// The parent and the last part of an absolute path; none for `/`.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/') {
        Some((_, "")) | None => None,
        Some(("", name)) => Some(("/", name)),
        Some(parts) => Some(parts),
    }
}

/// Opens directories, and holds those it opened last.
#[derive(Debug, Default)]
pub(super) struct Walker {
    known: HashMap<Box<str>, Arc<Dir>>,
}

impl Walker {
    /// The directory at a path; none where it does not exist or is no directory.
    pub(super) fn folder(&mut self, path: &str) -> Result<Option<Arc<Dir>>, SystemError> {
        self.folder_within(path, &mut 0)
    }

    /// The path of a directory without a link in it, as far as it is there; none where that cannot be told.
    pub(super) fn real(&mut self, folder: &AbsPath) -> Option<AbsPath> {
        let mut there = folder.as_str();
        loop {
            if let Some(dir) = self.folder(there).ok()? {
                let below = folder.as_str().get(there.trim_end_matches('/').len()..)?;
                let real = format!("{}{below}", dir.real.trim_end_matches('/'));
                return AbsPath::parse_found(if real.is_empty() { "/" } else { &real }).ok();
            }
            there = split(there)?.0;
        }
    }

    fn folder_within(
        &mut self,
        path: &str,
        links: &mut usize,
    ) -> Result<Option<Arc<Dir>>, SystemError> {
        if let Some(dir) = self.known.get(path) {
            return Ok(Some(dir.clone()));
        }
        let dir = match split(path) {
            None => {
                let fd = rustix::fs::openat(
                    rustix::fs::CWD,
                    c"/",
                    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    rustix::fs::Mode::empty(),
                );
                let dir = fd.and_then(|fd| Dir::new(fd, "/".into(), None));
                Arc::new(dir.map_err(|err| failed("open the directory /", err))?)
            }
            Some((parent, name)) => {
                let Some(parent) = self.folder_within(parent, links)? else { return Ok(None) };
                let Some(dir) = self.step(&parent, name, links)? else { return Ok(None) };
                dir
            }
        };
        if self.known.len() >= FOLDERS_MAX {
            self.known.clear();
        }
        self.known.insert(path.into(), dir.clone());
        Ok(Some(dir))
    }

    /// One part of a path.
    fn step(
        &mut self,
        dir: &Arc<Dir>,
        name: &str,
        links: &mut usize,
    ) -> Result<Option<Arc<Dir>>, SystemError> {
        let real = dir.real_path_of(name);
        let shown = || safe(&real);
        let name = kernel_name(name).map_err(|err| failed(format!("open {}", shown()), err))?;
        let fd = rustix::fs::openat(
            &dir.fd,
            &*name,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        );
        match fd {
            Ok(fd) => match Dir::new(fd, real.clone(), Some(dir)) {
                Ok(dir) => Ok(Some(Arc::new(dir))),
                Err(err) => Err(failed(format!("look at the directory {}", shown()), err)),
            },
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                match dir.link_target(&*name) {
                    Ok(target) => self.follow(dir, &shown(), &target, links),
                    // Something that is no directory.
                    Err(Errno::INVAL | Errno::NOENT) => Ok(None),
                    Err(err) => Err(failed(format!("read the link {}", shown()), err)),
                }
            }
            Err(err) => Err(failed(format!("open the directory {}", shown()), err)),
        }
    }

    fn follow(
        &mut self,
        dir: &Arc<Dir>,
        link: &str,
        target: &str,
        links: &mut usize,
    ) -> Result<Option<Arc<Dir>>, SystemError> {
        if dir.open {
            return Err(SystemError::new(
                ErrorKind::Swappable,
                format!(
                    "{link} is a symbolic link in a directory that others than root can write; it is \
                     not followed"
                ),
            ));
        }
        *links += 1;
        if *links > LINKS_MAX {
            return Err(failed(format!("follow the link {link}"), Errno::LOOP));
        }
        let start = if target.starts_with('/') { "/" } else { &*dir.real };
        let Some(mut current) = self.folder_within(start, links)? else {
            return Ok(None);
        };
        for part in target.split('/') {
            let next = match part {
                "" | "." => continue,
                ".." => {
                    let parent = split(&current.real).map_or("/", |(parent, _)| parent).to_owned();
                    self.folder_within(&parent, links)?
                }
                name => self.step(&current, name, links)?,
            };
            let Some(next) = next else { return Ok(None) };
            current = next;
        }
        Ok(Some(current))
    }
}

/// Goes to directories as those who look at what is in them do, for those who have to name them otherwise.
#[derive(Debug, Default)]
pub struct Folders(Walker);

impl Folders {
    /// The directory at a path; none where there is none, or only by a link that others than root can swap.
    pub fn there(&mut self, path: &str) -> Option<There> {
        self.0.folder(path).ok()?.map(There)
    }
}

/// A directory that was found.
#[derive(Debug)]
pub struct There(Arc<Dir>);

impl There {
    /// A path that leads to this very directory, for as long as this value lives.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.fd.as_raw_fd())
    }

    /// Whether others than root can write there.
    pub fn is_open(&self) -> bool {
        self.0.open
    }
}

/// The root of a tree, to be listed.
pub(super) fn open_tree(walker: &mut Walker, root: &AbsPath) -> Result<Dir, SystemError> {
    let opened = match split(root.as_str()) {
        None => walker.folder("/")?.map(|root| root.to_be_listed(c".")),
        Some((parent, name)) => {
            walker.folder(parent)?.map(|parent| parent.to_be_listed(&kernel_name(name)?))
        }
    };
    let what = || format!("open the directory {root}");
    match opened {
        None => Err(failed(what(), Errno::NOENT)),
        Some(Ok(dir)) => Ok(dir),
        Some(Err(Errno::LOOP)) => Err(failed(what(), Errno::NOTDIR)),
        Some(Err(err)) => Err(failed(what(), err)),
    }
}

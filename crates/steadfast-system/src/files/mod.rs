//! Files, directories and links: what may be asked about them and what may be done to them.
//!
//! Paths are walked by descriptors. A symbolic link on the way is followed only where root alone could
//! have put it there; below a directory that anybody else can write, never.

mod backups;
pub(crate) mod cache;
mod changed;
mod closed;
mod glance;
mod host;
mod looks;
mod marks;
mod mounts;
pub(crate) mod private;
mod read;
mod secret;
pub mod settled;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod visit;
mod walk;
pub mod whole;
pub(crate) mod write;

pub use changed::ChangedNames;
pub(crate) use closed::{closed_folder, who_can_swap};
pub use mounts::Mounts;
pub use walk::{Folders, There};

use crate::{AbsPath, ErrorKind, SystemError};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A larger file is not kept when it is replaced or removed: whoever plans that should say so.
pub const KEPT_FILE_MAX: u64 = 16 * 1024 * 1024;

/// No file of a model is larger.
const OURS_MAX: u64 = 256 * 1024 * 1024;

/// SHA-256 of a content.
pub type Digest = [u8; 32];

/// The twelve permission bits: `0o2755`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mode(pub u16);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// How much of a regular file's content is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Nothing,
    /// Its digest. A file of another size than this cannot be equal and is not read. One of this size
    /// is read whatever the size is, and also where others than root can write, but no further: the
    /// promise bounds what whoever can write there makes us read.
    DigestIfSize(u64),
    /// Its digest, where it is no larger than what is kept when it is replaced (16 MiB; 1 MiB where others
    /// than root can write): of a larger one nothing hangs on what is in it, and reading it takes long.
    Digest,
    /// Its digest, where it may be what a promise put there: up to the 256 MiB that a model may have (1 MiB
    /// where others than root can write).
    DigestOfOurs,
    /// The bytes themselves, up to 16 MiB (1 MiB where others than root can write).
    Bytes,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The directory that the path lies in; none where it does not exist.
    pub folder: Option<Folder>,
    pub entry: Option<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Folder {
    pub uid: u32,
    pub gid: u32,
    pub mode: Mode,
    /// Whether others than root can write it, or anything above it.
    pub open: bool,
    /// Why nothing is made, replaced or removed in it.
    pub bar: Option<Bar>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub shape: Shape,
    pub uid: u32,
    pub gid: u32,
    pub mode: Mode,
    /// How many hard links it has.
    pub links: u64,
    /// When content or attributes last changed (ctime), in microseconds since 1970.
    pub changed: i64,
    /// Something is mounted at this very path, so that it cannot be renamed over.
    pub mounted: bool,
    pub marks: Marks,
}

/// What type, owner and mode of an entry do not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Whether a secret was once written there.
    pub secret: Secrecy,
    /// An access list lets in whom the mode does not name, or will do so for what is made in a directory. Only
    /// what others than root can have laid is looked for: where they can write, and on what is theirs.
    pub access_list: bool,
    /// A program has file capabilities, which a change of its owner takes away.
    pub capabilities: bool,
    /// Why it is neither changed, replaced nor removed.
    pub bar: Option<Bar>,
}

/// Why not even root can change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    Immutable,
    AppendOnly,
    ReadOnly,
}

impl Bar {
    /// What is to be said of it, behind its name.
    pub fn words(self) -> &'static str {
        match self {
            Bar::Immutable => "has the immutable flag (`chattr -i` takes it away)",
            Bar::AppendOnly => "has the append-only flag (`chattr -a` takes it away)",
            Bar::ReadOnly => "is on a file system that is mounted read-only",
        }
    }
}

/// Whether what is at a path was once written from a secret. Then it is sensitive when it is read, also where
/// the promise that wrote it is gone, and whatever somebody has made of it since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrecy {
    #[default]
    Plain,
    Secret {
        /// The model said that what is replaced there is kept all the same.
        keep: bool,
    },
}

impl Secrecy {
    pub fn is_secret(self) -> bool {
        match self {
            Secrecy::Plain => false,
            Secrecy::Secret { .. } => true,
        }
    }

    /// Whether the content may be kept when it is replaced or removed.
    pub fn may_be_kept(self) -> bool {
        match self {
            Secrecy::Plain => true,
            Secrecy::Secret { keep } => keep,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    File { size: u64, content: Content },
    Directory,
    Link { target: Arc<str> },
    Socket,
    Fifo,
    Device,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// It was not asked for.
    NotRead,
    Digest(Digest),
    Bytes(Arc<[u8]>),
    /// It is larger than what is read.
    TooLarge,
    /// Its owner has a lease on it (F_SETLEASE of fcntl(2)): whoever opens it would wait for them.
    Leased,
}

/// What was seen at a path when the decision was made: acting refuses where it is something else now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Nothing,
    File {
        digest: Digest,
    },
    /// A regular file whose content does not matter (only its attributes are changed, or it was too
    /// large to be read).
    AnyFile,
    Directory,
    Link {
        target: Arc<str>,
    },
    /// A socket, fifo or device.
    Other,
}

/// One entry below the root of a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeEntry {
    /// Below the root, without a leading `/`.
    pub path: Arc<str>,
    pub entry: Entry,
}

/// What was looked at below the root of a tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// What a sieve let through, in the order of paths.
    pub entries: Vec<TreeEntry>,
    /// How many entries were looked at.
    pub count: u64,
}

/// What is to be told of a tree: of most of it nothing, and then nothing is held. Paths are below the root, without
/// a leading `/`. Several threads ask at once, in no order.
pub trait Sieve: Sync {
    /// How large a file is that is promised at a path: then its content is read (its digest), as with
    /// [`Wanted::DigestIfSize`] where it has that size, and as with [`Wanted::Digest`] otherwise.
    fn promised(&self, below: &str) -> Option<u64>;

    /// Whether what is in a directory is looked at.
    fn enters(&self, below: &str) -> bool;

    /// Whether an entry is told. Its capabilities are looked for only then.
    fn tells(&self, below: &str, entry: &Entry) -> bool;
}

/// Nothing is promised there, and all is looked at.
impl<F: Fn(&str, &Entry) -> bool + Sync> Sieve for F {
    fn promised(&self, _below: &str) -> Option<u64> {
        None
    }

    fn enters(&self, _below: &str) -> bool {
        true
    }

    fn tells(&self, below: &str, entry: &Entry) -> bool {
        self(below, entry)
    }
}

/// A program that has a say before a file is put in place. `{file}` in an argument stands for the path
/// of the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    pub arguments: Vec<Arc<str>>,
    /// Whether what it says may be shown.
    pub sensitive: bool,
}

/// A file to be put in place, whole.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFile {
    pub path: AbsPath,
    pub content: Arc<[u8]>,
    pub uid: u32,
    pub gid: u32,
    pub mode: Mode,
    pub replaces: Expected,
    pub validate: Option<Validation>,
    /// Whether what is replaced is kept in the state directory.
    pub keep: bool,
    /// Written into the existing file, because something is mounted there.
    pub in_place: bool,
}

impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content may hold a secret.
        write!(f, "NewFile({}, {} bytes, {})", self.path, self.content.len(), self.mode)
    }
}

/// A file that waits beside its place until [`Write::place`] puts it there. Where it is dropped instead, it
/// goes, and what it was to replace stays.
#[derive(Debug)]
pub struct Staged {
    file: NewFile,
    /// What the machine that staged it knows about it, and how it goes: by being dropped.
    held: Box<dyn Held>,
}

/// What a machine holds of a file that it has staged.
trait Held: Any + fmt::Debug + Send {}

impl<T: Any + fmt::Debug + Send> Held for T {}

impl Staged {
    /// For machines alone: `held` takes away what waits when it is dropped.
    pub fn new(file: NewFile, held: impl Any + fmt::Debug + Send) -> Staged {
        Staged { file, held: Box::new(held) }
    }

    pub fn path(&self) -> &AbsPath {
        &self.file.path
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.file.content.len()
    }

    /// The file, and what the machine that staged it holds.
    pub fn take<T: Any>(self) -> Result<(NewFile, Box<T>), SystemError> {
        let held: Box<dyn Any> = self.held;
        match held.downcast() {
            Ok(held) => Ok((self.file, held)),
            Err(_) => Err(SystemError::new(
                ErrorKind::Other,
                format!("{} was staged on another machine", self.file.path),
            )),
        }
    }
}

/// Owner, group and mode that something gets; what is not said is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mode: Option<Mode>,
}

/// A directory where this program keeps what is its own: it never goes with what it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFolder {
    pub path: AbsPath,
    /// What is in it is written by people (settings, secrets), and so may be promised.
    pub promisable: bool,
}

/// What may be asked.
pub trait Read: fmt::Debug {
    /// A batch, so that it can be spread over the cores. One result for each path, in their order.
    fn look(&self, wanted: &[(&AbsPath, Wanted)]) -> Vec<Result<Look, SystemError>>;

    /// Where directories really are: for each its path without a link in it, as far as it is there; none
    /// where that is its own, or where no link is followed on the way.
    fn real_folders(&self, folders: &[&AbsPath]) -> Vec<Option<AbsPath>>;

    /// What is mounted where: by a bind mount, what a path without a link leads to may have another name.
    fn mounts(&self) -> Mounts;

    /// Looks at everything below a directory, links not followed, other file systems not entered, and tells what
    /// the sieve lets through. No more than 1,000,000 entries are looked at, and no more than 200,000 told that
    /// nobody promised and that lie where others than root can write.
    fn tree(&self, root: &AbsPath, sieve: &dyn Sieve) -> Result<Tree, SystemError>;

    /// Where this program keeps what is its own: state, cache, locks, settings, secrets.
    fn own_folders(&self) -> Vec<OwnFolder>;

    /// A content that was kept when it was replaced.
    fn kept(&self, digest: &Digest) -> Result<Option<Vec<u8>>, SystemError>;
}

/// What may be done. Everything is atomic and durable when it returns.
pub trait Write {
    /// Remembers that secrets are written to these paths, and whether what is replaced there is kept all the
    /// same: before anything is written. Gives the paths that are remembered from before and not among these.
    fn remember_secrets(&self, paths: &[(AbsPath, bool)]) -> Result<Vec<AbsPath>, SystemError>;

    /// What was at these paths is not there any more.
    fn forget_secrets(&self, paths: &[AbsPath]) -> Result<(), SystemError>;

    /// Writes new contents beside their places, with all that belongs to them, and lets the programs that
    /// have a say have it. A batch, so that many files share one flush to the disk; one result for each.
    /// Nothing takes its place before [`Write::place`], and what is dropped instead leaves nothing behind.
    fn stage(&self, files: &[NewFile]) -> Vec<Result<Staged, SystemError>>;

    /// Puts what was staged into its place: all of it that can be, also where other files of the batch
    /// cannot. Each is refused where what it replaces is not as it was any more. One result for each.
    fn place(&self, staged: Vec<Staged>) -> Vec<Result<(), SystemError>>;

    /// Both at once, in portions that do not fill the disk twice. One result for each.
    fn write_files(&self, files: &[NewFile]) -> Vec<Result<(), SystemError>> {
        let mut results = Vec::with_capacity(files.len());
        let mut rest = files;
        while !rest.is_empty() {
            let (portion, further) = rest.split_at(portion(rest));
            let mut failed = vec![];
            let mut staged = vec![];
            for one in self.stage(portion) {
                match one {
                    Ok(it) => {
                        staged.push(it);
                        failed.push(None);
                    }
                    Err(err) => failed.push(Some(err)),
                }
            }
            let mut placed = self.place(staged).into_iter();
            let result = |failed: Option<SystemError>| match failed {
                Some(err) => Err(err),
                None => placed.next().unwrap_or_else(|| {
                    Err(SystemError::new(ErrorKind::Other, "nobody knows whether it was put there"))
                }),
            };
            results.extend(failed.into_iter().map(result));
            rest = further;
        }
        results
    }

    /// A batch of (path, what was seen there, what it gets).
    fn set_attributes(
        &self,
        all: &[(&AbsPath, &Expected, Attributes)],
    ) -> Vec<Result<(), SystemError>>;

    /// Makes one directory; its parent is there. What `replaces` names is removed first (and kept).
    fn make_directory(
        &self,
        path: &AbsPath,
        uid: u32,
        gid: u32,
        mode: Mode,
        replaces: &Expected,
    ) -> Result<(), SystemError>;

    /// Makes a symbolic link, or puts it in the place of what `replaces` names.
    fn make_link(
        &self,
        path: &AbsPath,
        target: &str,
        uid: u32,
        gid: u32,
        replaces: &Expected,
    ) -> Result<(), SystemError>;

    /// Removes one thing; a directory only with all below it where `whole` says so. `keep`: contents go to
    /// the state directory first, within its cap.
    fn remove(
        &self,
        path: &AbsPath,
        seen: &Expected,
        whole: bool,
        keep: bool,
    ) -> Result<(), SystemError>;
}

/// How many files, and how many bytes, are written beside their places before they take them: as much
/// space as this is needed twice.
const PORTION_FILES: usize = 16_384;
const PORTION_BYTES: usize = 64 * 1024 * 1024;

/// How many of these files are staged together.
fn portion(files: &[NewFile]) -> usize {
    let mut bytes = 0;
    let fits = |file: &&NewFile| {
        let fits = bytes <= PORTION_BYTES;
        bytes += file.content.len();
        fits
    };
    files.iter().take(PORTION_FILES).take_while(fits).count()
}

impl Wanted {
    /// The digest of a file of this size where one of `promised` bytes is to be.
    pub fn digest_beside(promised: Option<u64>, size: u64) -> Wanted {
        if promised == Some(size) { Wanted::DigestIfSize(size) } else { Wanted::Digest }
    }
}

//! What the kinds about paths (file, directory, link) share: which paths are taken, how owners are
//! looked up, and the changes that can be made at a path.

mod change;
mod undo;

pub use change::{
    Change, NewDirectory, NewLink, Removal, Setting, Was, Writing, apply, attributes, deletes,
    detail, diff, grouped, size,
};
pub(crate) use undo::{
    attributes as attributes_set, back, effects, former, observe_facets, of_file,
};

use crate::identity::Identity;
use crate::kind::Turn;
use crate::mode::Wish;
use crate::undo::Says;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use steadfast_model::{Fields, Lower, Node, Spanned, codes};
use steadfast_system::files::{
    Content, Digest, Entry, Expected, Folder, KEPT_FILE_MAX, OwnFolder, Shape,
};
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, GroupName, Probe, SystemError, UserName};

/// Where this program keeps its state. What it needs to tell what it did is not its own to manage.
pub const STATE: &str = "/var/lib/steadfast";
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The largest content that a difference is shown for, and how much of the difference is shown.
pub const SHOWN: u64 = 1 << 20;
const SHOWN_DIFFERENCE: usize = 64 << 10;
/// How many lines are shown of a file that others than root can write.
const SHOWN_OF_OTHERS: usize = 20;
/// How many changes of one sort have a line each.
const LINES: usize = 20;

/// When what is at these paths takes its turn.
pub fn turn(absent: bool, claims: &[Identity]) -> Turn {
    let apt = |it: &AbsPath| AbsPath::parse("/etc/apt").is_ok_and(|apt| it.is_within(&apt));
    if absent {
        Turn::PathsGo
    } else if claims.iter().filter_map(Identity::as_path).any(apt) {
        Turn::AptSources
    } else {
        Turn::Paths
    }
}

/// Whether packages put things there.
pub fn is_packages_territory(path: &AbsPath) -> bool {
    const TERRITORY: [&str; 4] = ["/etc", "/usr", "/lib", "/var"];
    TERRITORY
        .iter()
        .any(|root| path.as_str().strip_prefix(root).is_some_and(|it| it.starts_with('/')))
}

/// Whether a package that is installed in this run could bring, change or own something at these paths.
pub fn may_come_with_packages(claims: &[Identity]) -> bool {
    claims.iter().filter_map(Identity::as_path).any(is_packages_territory)
}

/// The path that a promise is named by.
pub fn lower_path(name: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<AbsPath> {
    let path = match AbsPath::parse(&name.value) {
        Ok(path) => path,
        Err(refusal) => {
            cx.error(codes::BAD_PATH, name.span, refusal.to_string());
            return None;
        }
    };
    let within = |folder: &&str| AbsPath::parse(folder).is_ok_and(|it| path.is_within(&it));
    if let Some(folder) = KERNEL.iter().find(|it| within(it)) {
        let message = format!("`{path}` belongs to the kernel: nothing is promised below {folder}");
        cx.error(codes::BAD_PATH, name.span, message);
        return None;
    }
    if within(&STATE) {
        let message = format!("`{path}` lies in the state directory of this program, {STATE}");
        cx.error(codes::BAD_PATH, name.span, message);
        return None;
    }
    Some(path)
}

/// `present` or `absent` in the place of a map of fields: whether it is absent.
pub fn lower_short(kind: &str, body: &Node, cx: &mut Lower<'_>) -> Option<bool> {
    let text = cx.as_text(body, &format!("a {kind}"))?;
    match &*text.value {
        "present" => Some(false),
        "absent" => Some(true),
        other => {
            let message = format!("a {kind} cannot be `{}`", other.escape_debug());
            cx.report(
                steadfast_model::Diagnostic::error(codes::BAD_VALUE, text.span, message)
                    .help("present, absent, or a map of fields"),
            );
            None
        }
    }
}

/// What all three kinds may say about whose it is. (A link has no mode.)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Owners {
    pub owner: Option<UserName>,
    pub group: Option<GroupName>,
}

impl Owners {
    pub fn lower(fields: &mut Fields<'_, '_, '_>) -> Owners {
        Owners {
            owner: fields.parsed("owner", codes::BAD_NAME, UserName::parse),
            group: fields.parsed("group", codes::BAD_NAME, GroupName::parse),
        }
    }

    /// What a promise with this mode says of a path.
    pub fn says(&self, content: bool, mode: Option<&Wish>) -> Says {
        Says {
            content,
            owner: self.owner.is_some(),
            group: self.group.is_some(),
            mode: mode.is_some_and(Wish::is_exact),
        }
    }

    /// The folder, the owner and the group, as needs of what is at the path.
    pub fn uses(&self, path: &AbsPath) -> Vec<Identity> {
        let parent = path.parent().map(Identity::Path);
        let owner = self.owner.clone().map(Identity::User);
        let group = self.group.clone().map(Identity::Group);
        parent.into_iter().chain(owner).chain(group).collect()
    }
}

pub fn lower_mode(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Wish> {
    fields.parsed(key, codes::BAD_MODE, Wish::parse)
}

/// A promised owner or group as the machine knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Who {
    /// Nothing is promised about it.
    #[default]
    Unsaid,
    Id(u32),
    /// There is nobody of this name.
    Missing,
}

impl Who {
    pub fn id(self) -> Option<u32> {
        match self {
            Who::Id(id) => Some(id),
            Who::Unsaid | Who::Missing => None,
        }
    }

    fn of(found: Option<u32>) -> Who {
        found.map_or(Who::Missing, Who::Id)
    }
}

/// Both, for one promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    pub owner: Who,
    pub group: Who,
}

impl Ids {
    /// What is missing of what is promised.
    pub fn missing(self, owners: &Owners) -> Vec<Identity> {
        let owner = owners.owner.clone().filter(|_| self.owner == Who::Missing);
        let group = owners.group.clone().filter(|_| self.group == Who::Missing);
        owner.map(Identity::User).into_iter().chain(group.map(Identity::Group)).collect()
    }

    /// Whose something new becomes: root's and its group, or the folder's where that is setgid.
    pub fn of_new(self, folder: Option<&Folder>) -> (u32, u32) {
        let inherited = folder.filter(|it| it.mode.0 & 0o2000 != 0).map_or(0, |it| it.gid);
        (self.owner.id().unwrap_or(0), self.group.id().unwrap_or(inherited))
    }
}

/// Names that have been looked up in one batch.
#[derive(Debug, Default)]
pub struct Accounts {
    users: BTreeMap<UserName, Result<Option<u32>, SystemError>>,
    groups: BTreeMap<GroupName, Result<Option<u32>, SystemError>>,
}

impl Accounts {
    pub fn ids(&mut self, owners: &Owners, sys: &dyn Probe) -> Result<Ids, SystemError> {
        let owner = match &owners.owner {
            None => Who::Unsaid,
            Some(name) => {
                let found = self.users.entry(name.clone()).or_insert_with(|| sys.uid(name));
                Who::of(found.clone()?)
            }
        };
        let group = match &owners.group {
            None => Who::Unsaid,
            Some(name) => {
                let found = self.groups.entry(name.clone()).or_insert_with(|| sys.gid(name));
                Who::of(found.clone()?)
            }
        };
        Ok(Ids { owner, group })
    }
}

/// Content of a file, which is never printed with the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Arc<[u8]>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Bytes that the model promises. Written down and read again, only their number is left: what is
/// remembered of a model can be compared with the machine, and never be written to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Promised {
    size: u64,
    bytes: Option<Arc<[u8]>>,
}

impl Promised {
    pub fn new(bytes: Arc<[u8]>) -> Promised {
        Promised { size: bytes.len() as u64, bytes: Some(bytes) }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// None where only the number is known.
    pub fn bytes(&self) -> Option<&Arc<[u8]>> {
        self.bytes.as_ref()
    }
}

impl fmt::Debug for Promised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.size)
    }
}

impl Serialize for Promised {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.size.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Promised {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Promised, D::Error> {
        Ok(Promised { size: u64::deserialize(deserializer)?, bytes: None })
    }
}

/// Why nothing is done for a promise of which only the digest is known. Whoever has the model never
/// meets it.
pub const ONLY_REMEMBERED: &str = "its content is only known by a digest";

pub fn sha256(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// What acting is told that deciding saw.
pub fn seen(entry: &Entry) -> Expected {
    match &entry.shape {
        Shape::File { content: Content::Digest(digest), .. } => Expected::File { digest: *digest },
        Shape::File { content: Content::Bytes(bytes), .. } => {
            Expected::File { digest: sha256(bytes) }
        }
        Shape::File { content: Content::NotRead | Content::TooLarge, .. } => Expected::AnyFile,
        Shape::Directory => Expected::Directory,
        Shape::Link { target } => Expected::Link { target: Arc::clone(target) },
        Shape::Socket | Shape::Fifo | Shape::Device => Expected::Other,
    }
}

pub fn words(shape: &Shape) -> &'static str {
    match shape {
        Shape::File { .. } => "a regular file",
        Shape::Directory => "a directory",
        Shape::Link { .. } => "a symbolic link",
        Shape::Socket => "a socket",
        Shape::Fifo => "a fifo",
        Shape::Device => "a device",
    }
}

/// Why nothing is promised at a path: it lies where this program keeps what is its own.
pub fn lies_in_ours(path: &AbsPath, own: &[OwnFolder]) -> Option<String> {
    let folder = own.iter().find(|it| !it.promisable && path.is_within(&it.path))?;
    Some(format!("it lies in {}, where this program keeps what is its own", folder.path))
}

/// Why a folder does not go: one of ours would go with it.
pub fn holds_ours(path: &AbsPath, own: &[OwnFolder]) -> Option<String> {
    let folder = own.iter().find(|it| it.path.is_within(path))?;
    Some(format!("{}, where this program keeps what is its own, would go with it", folder.path))
}

/// Both, for what is no folder and takes the place of one.
pub fn is_ours(path: &AbsPath, entry: Option<&Entry>, own: &[OwnFolder]) -> Option<String> {
    let is_folder = entry.is_some_and(|it| it.shape == Shape::Directory);
    lies_in_ours(path, own).or_else(|| holds_ours(path, own).filter(|_| is_folder))
}

/// Whether it is a file that is too large for its content to be kept when it goes.
pub fn is_too_large_to_keep(entry: &Entry) -> bool {
    matches!(entry.shape, Shape::File { size, .. } if size > KEPT_FILE_MAX)
}

/// What is said where such a file is to go.
pub fn not_kept(entry: &Entry) -> Option<String> {
    let words = "its content is larger than 16 MiB and will not be kept";
    is_too_large_to_keep(entry).then(|| words.to_owned())
}

/// Whether it is a file that somebody may have linked here to have us work on another one.
pub fn is_foreign_link(entry: &Entry, folder: Option<&Folder>) -> bool {
    matches!(entry.shape, Shape::File { .. }) && entry.links > 1 && folder.is_some_and(|it| it.open)
}

/// What `steadfast explain` says of an entry.
pub fn describe(entry: Option<&Entry>) -> Vec<(&'static str, String)> {
    let Some(entry) = entry else { return vec![("is", "not there".to_owned())] };
    let mut all = vec![("is", words(&entry.shape).to_owned())];
    if let Shape::Link { target } = &entry.shape {
        all.push(("target", safe(target)));
    } else {
        all.push(("mode", entry.mode.to_string()));
    }
    all.push(("uid", entry.uid.to_string()));
    all.push(("gid", entry.gid.to_string()));
    all
}

/// 2,114
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, it) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(it);
    }
    out
}

/// `1 byte`, `2,114 bytes`.
pub fn bytes(number: u64) -> String {
    format!("{} byte{}", thousands(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
pub(crate) mod tests;

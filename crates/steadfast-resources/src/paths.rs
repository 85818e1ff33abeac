//! What the kinds about paths (file, directory, link) share: which paths are taken, how owners are
//! looked up, and the changes that can be made at a path.

use crate::kind::{Applied, Identity};
use crate::mode::Wish;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{Fields, Lower, Node, Spanned, codes};
use steadfast_system::files::{
    self, Attributes, Content, Digest, Entry, Folder, KEPT_FILE_MAX, Mode, NewFile, OwnFolder,
    Seen, Shape,
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
pub fn seen(entry: &Entry) -> Seen {
    match &entry.shape {
        Shape::File { content: Content::Digest(digest), .. } => Seen::File { digest: *digest },
        Shape::File { content: Content::Bytes(bytes), .. } => Seen::File { digest: sha256(bytes) },
        Shape::File { content: Content::NotRead | Content::TooLarge, .. } => Seen::AnyFile,
        Shape::Directory => Seen::Directory,
        Shape::Link { target } => Seen::Link { target: Arc::clone(target) },
        Shape::Socket | Shape::Fifo | Shape::Device => Seen::Other,
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

/// A change at a path, or several of one sort below it.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    MakeDirectories(Vec<NewDirectory>),
    MakeLink(NewLink),
    Write(Vec<Writing>),
    SetAttributes(Vec<Setting>),
    Remove(Vec<Removal>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewDirectory {
    pub path: AbsPath,
    /// Below the promised folder, where it is not that itself.
    pub below: Option<Arc<str>>,
    pub uid: u32,
    pub gid: u32,
    pub mode: Mode,
    /// The names that were promised, which the ids may stand for.
    pub names: Owners,
    pub replaces: Seen,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewLink {
    pub path: AbsPath,
    pub target: Arc<str>,
    pub uid: u32,
    pub gid: u32,
    pub names: Owners,
    pub replaces: Seen,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Writing {
    pub file: NewFile,
    pub names: Owners,
    pub below: Option<Arc<str>>,
    /// The regular file that it replaces.
    pub was: Option<Was>,
    /// What that holds, where the difference may be shown.
    pub present: Option<Bytes>,
    pub sensitive: bool,
    /// Whether others than root can write there.
    pub open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Was {
    pub size: u64,
    pub uid: u32,
    pub gid: u32,
    pub mode: Mode,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub path: AbsPath,
    pub below: Option<Arc<str>>,
    pub seen: Seen,
    pub from: Attributes,
    /// All that is said anew; what equals `from` is set again because the kernel drops it on the way.
    pub to: Attributes,
    /// The names that `to` stands for.
    pub names: Owners,
}

impl Setting {
    /// What it takes to give an entry these owners and this mode, if anything.
    pub fn of(
        path: &AbsPath,
        below: Option<&Arc<str>>,
        entry: &Entry,
        ids: Ids,
        mode: Option<Mode>,
        names: &Owners,
    ) -> Option<Setting> {
        let uid = ids.owner.id().filter(|it| *it != entry.uid);
        let gid = ids.group.id().filter(|it| *it != entry.gid);
        let other = mode.filter(|it| *it != entry.mode);
        if (uid, gid, other) == (None, None, None) {
            return None;
        }
        let is_link = matches!(entry.shape, Shape::Link { .. });
        // chown takes setuid and setgid away, so the mode is said again.
        let dropped = (uid.is_some() || gid.is_some()) && entry.mode.0 & 0o6000 != 0 && !is_link;
        let mode = other.or_else(|| dropped.then_some(entry.mode));
        Some(Setting {
            path: path.clone(),
            below: below.map(Arc::clone),
            seen: match &entry.shape {
                // Only what it is, not what it says.
                Shape::File { .. } => Seen::AnyFile,
                Shape::Directory
                | Shape::Link { .. }
                | Shape::Socket
                | Shape::Fifo
                | Shape::Device => seen(entry),
            },
            from: Attributes { uid: Some(entry.uid), gid: Some(entry.gid), mode: Some(entry.mode) },
            to: Attributes { uid, gid, mode },
            names: names.clone(),
        })
    }

    fn sets_mode(&self) -> bool {
        self.to.mode.is_some() && self.to.mode != self.from.mode
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    pub path: AbsPath,
    pub below: Option<Arc<str>>,
    pub seen: Seen,
    /// A folder with all below it.
    pub whole: bool,
    pub keep: bool,
    /// How many things go, itself counted.
    pub count: u64,
}

/// One change for each of a few, one for all of many.
pub fn grouped<T>(items: Vec<T>, change: fn(Vec<T>) -> Change) -> Vec<Change> {
    if items.is_empty() {
        vec![]
    } else if items.len() <= LINES {
        items.into_iter().map(|it| change(vec![it])).collect()
    } else {
        vec![change(items)]
    }
}

/// Applies the changes of many promises. What is of one sort goes in one batch, so that files share
/// one flush. Within such a batch those behind the first that fails may have been done too.
pub fn apply(batch: &[&[Change]], sys: &dyn files::Write) -> Vec<Applied> {
    let mut results: Vec<Applied> = batch.iter().map(|_| Applied::All).collect();
    let mut next: Vec<usize> = vec![0; batch.len()];
    loop {
        let mut files: Vec<NewFile> = vec![];
        let mut settings: Vec<&Setting> = vec![];
        // The promise and the index of its change, for each item of the two.
        let (mut of_files, mut of_settings) = (vec![], vec![]);
        let mut moved = false;
        for (promise, changes) in batch.iter().enumerate() {
            let Some(first) = changes.get(next[promise]) else { continue };
            if results[promise] != Applied::All {
                continue;
            }
            moved = true;
            // All that follow and are of the same sort.
            while let Some(change) = changes.get(next[promise])
                && std::mem::discriminant(change) == std::mem::discriminant(first)
            {
                let at = next[promise];
                next[promise] += 1;
                let done = match change {
                    Change::Write(all) => {
                        files.extend(all.iter().map(|it| it.file.clone()));
                        of_files.extend(all.iter().map(|_| (promise, at)));
                        Ok(())
                    }
                    Change::SetAttributes(all) => {
                        settings.extend(all);
                        of_settings.extend(all.iter().map(|_| (promise, at)));
                        Ok(())
                    }
                    Change::MakeDirectories(all) => all.iter().try_for_each(|it| {
                        sys.make_directory(&it.path, it.uid, it.gid, it.mode, &it.replaces)
                    }),
                    Change::MakeLink(it) => {
                        sys.make_link(&it.path, &it.target, it.uid, it.gid, &it.replaces)
                    }
                    Change::Remove(all) => all
                        .iter()
                        .try_for_each(|it| sys.remove(&it.path, &it.seen, it.whole, it.keep)),
                };
                if let Err(error) = done {
                    results[promise] = Applied::Failed { at, error };
                    break;
                }
            }
        }
        if !moved {
            return results;
        }
        let mut note = |(promise, at): (usize, usize), done: Result<(), SystemError>| {
            if let Err(error) = done
                && results[promise] == Applied::All
            {
                results[promise] = Applied::Failed { at, error };
            }
        };
        if !files.is_empty() {
            of_files.into_iter().zip(sys.write_files(&files)).for_each(|(of, it)| note(of, it));
        }
        if !settings.is_empty() {
            let all: Vec<_> = settings.iter().map(|it| (&it.path, &it.seen, it.to)).collect();
            of_settings.into_iter().zip(sys.set_attributes(&all)).for_each(|(of, it)| note(of, it));
        }
    }
}

/// How many things a change removes: also what gives way to something of another shape.
pub fn deletes(change: &Change) -> u64 {
    let gives_way = |seen: &Seen| u64::from(matches!(seen, Seen::Directory | Seen::Other));
    match change {
        Change::Remove(all) => all.iter().map(|it| it.count).sum(),
        Change::MakeDirectories(all) => {
            all.iter().map(|it| u64::from(it.replaces != Seen::Nothing)).sum()
        }
        Change::MakeLink(it) => match it.replaces {
            Seen::File { .. } | Seen::AnyFile => 1,
            Seen::Nothing | Seen::Directory | Seen::Link { .. } | Seen::Other => {
                gives_way(&it.replaces)
            }
        },
        Change::Write(all) => all.iter().map(|it| gives_way(&it.file.replaces)).sum(),
        Change::SetAttributes(_) => 0,
    }
}

/// The difference of a file, or the list of what one line counts.
pub fn detail(change: &Change) -> Option<String> {
    fn list<T: fmt::Display>(all: &[T]) -> Option<String> {
        if all.len() < 2 {
            return None;
        }
        let mut out = String::new();
        for (at, it) in all.iter().enumerate() {
            if out.len() > SHOWN_DIFFERENCE {
                out.push_str(&format!("… and {} more\n", thousands((all.len() - at) as u64)));
                break;
            }
            out.push_str(&format!("{it}\n"));
        }
        Some(out)
    }
    match change {
        Change::Write(all) => match &**all {
            [one] => difference(one),
            all => list(all),
        },
        Change::SetAttributes(all) => list(all),
        Change::Remove(all) => list(all),
        Change::MakeDirectories(all) => list(all),
        Change::MakeLink(_) => None,
    }
}

/// The unified difference between what a file holds and what it gets.
fn difference(writing: &Writing) -> Option<String> {
    if writing.sensitive {
        return None;
    }
    let new: &[u8] = &writing.file.content;
    let old: &[u8] = match (&writing.present, writing.was) {
        (Some(present), _) => &present.0,
        (None, None) => &[],
        (None, Some(_)) => return None,
    };
    if new.len() as u64 > SHOWN || old.len() as u64 > SHOWN {
        return None;
    }
    let text = |bytes| std::str::from_utf8(bytes).ok().filter(|it| !it.contains('\0'));
    let (Some(old_text), Some(new_text)) = (text(old), text(new)) else {
        return Some(format!(
            "binary files differ ({} -> {} bytes)\n",
            thousands(old.len() as u64),
            thousands(new.len() as u64)
        ));
    };
    let lines = if writing.open { SHOWN_OF_OTHERS } else { usize::MAX };
    Some(diff(&writing.file.path, old_text, new_text, lines))
}

/// The unified difference between what is at a path and what is promised, of so many lines at most.
pub fn diff(path: &AbsPath, is: &str, promised: &str, lines: usize) -> String {
    // Two texts can be made that take long to compare; then the difference is only less fine.
    let diff =
        similar::TextDiff::configure().timeout(Duration::from_millis(500)).diff_lines(is, promised);
    let whole = diff
        .unified_diff()
        .context_radius(3)
        .header(&format!("{path} (is)"), &format!("{path} (promised)"))
        .to_string();
    let mut out = String::new();
    let total = whole.lines().count();
    for (at, line) in whole.split_terminator('\n').enumerate() {
        if at >= lines || out.len() + line.len() > SHOWN_DIFFERENCE {
            out.push_str(&format!("… and {} more lines\n", thousands((total - at) as u64)));
            break;
        }
        out.push_str(&safe(line));
        out.push('\n');
    }
    out
}

/// `css/site.css: ` in front of what happens below the promised folder.
fn place(f: &mut fmt::Formatter<'_>, below: Option<&Arc<str>>) -> fmt::Result {
    below.map_or(Ok(()), |it| write!(f, "{}: ", safe(it)))
}

fn in_place_of(seen: &Seen) -> &'static str {
    match seen {
        Seen::Nothing => "",
        Seen::File { .. } | Seen::AnyFile => " in the place of a file",
        Seen::Directory => " in the place of a directory",
        Seen::Link { .. } => " in the place of a symbolic link",
        Seen::Other => " in the place of a socket, fifo or device",
    }
}

fn id(id: u32) -> String {
    if id == 0 { "root".to_owned() } else { id.to_string() }
}

fn named(name: Option<&str>, number: u32) -> String {
    name.map_or_else(|| id(number), str::to_owned)
}

/// `deploy:www-data`, and nothing where it is root's, as new things are unless something else is said.
/// Where a name is promised it is that: the machine may not know it yet.
fn whose(uid: u32, gid: u32, names: &Owners) -> Option<String> {
    let owner = named(names.owner.as_ref().map(UserName::as_str), uid);
    let group = named(names.group.as_ref().map(GroupName::as_str), gid);
    ((&*owner, &*group) != ("root", "root")).then(|| format!("{owner}:{group}"))
}

/// `mode 0644 -> 0600, owner root -> deploy`
pub fn attributes(from: &Attributes, to: &Attributes, names: &Owners) -> String {
    let mut parts = vec![];
    if let (Some(to), Some(from)) = (to.mode, from.mode)
        && to != from
    {
        parts.push(format!("mode {from} -> {to}"));
    }
    if let (Some(to), Some(from)) = (to.uid, from.uid)
        && to != from
    {
        let to = named(names.owner.as_ref().map(UserName::as_str), to);
        parts.push(format!("owner {} -> {to}", id(from)));
    }
    if let (Some(to), Some(from)) = (to.gid, from.gid)
        && to != from
    {
        let to = named(names.group.as_ref().map(GroupName::as_str), to);
        parts.push(format!("group {} -> {to}", id(from)));
    }
    parts.join(", ")
}

impl fmt::Display for NewDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.below.as_ref())?;
        let whose = whose(self.uid, self.gid, &self.names).map_or(String::new(), |it| it + ", ");
        write!(f, "make directory ({whose}mode {}){}", self.mode, in_place_of(&self.replaces))
    }
}

impl fmt::Display for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.below.as_ref())?;
        if self.sensitive {
            f.write_str("write sensitive content")?;
        } else {
            write!(f, "write {}", bytes(self.file.content.len() as u64))?;
        }
        let Some(was) = self.was else {
            let whose = whose(self.file.uid, self.file.gid, &self.names);
            return match (&self.file.replaces, whose) {
                (Seen::Nothing, None) => write!(f, " (new, mode {})", self.file.mode),
                (Seen::Nothing, Some(it)) => write!(f, " (new, {it}, mode {})", self.file.mode),
                (replaces, None) => f.write_str(in_place_of(replaces)),
                (replaces, Some(it)) => write!(f, "{} ({it})", in_place_of(replaces)),
            };
        };
        if !self.sensitive {
            write!(f, " (was {})", thousands(was.size))?;
        }
        let from = Attributes { uid: Some(was.uid), gid: Some(was.gid), mode: Some(was.mode) };
        let file = &self.file;
        let to = Attributes { uid: Some(file.uid), gid: Some(file.gid), mode: Some(file.mode) };
        match attributes(&from, &to, &self.names) {
            same if same.is_empty() => Ok(()),
            other => write!(f, ", {other}"),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.below.as_ref())?;
        write!(f, "set {}", attributes(&self.from, &self.to, &self.names))
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.below.as_ref())?;
        let what = match self.seen {
            Seen::Nothing => "nothing",
            Seen::File { .. } | Seen::AnyFile => "file",
            Seen::Directory => "directory",
            Seen::Link { .. } => "symbolic link",
            Seen::Other => "socket, fifo or device",
        };
        write!(f, "remove {what}")?;
        match self.count.saturating_sub(1) {
            0 => Ok(()),
            below => write!(f, " and {} below it", thousands(below)),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |all: usize| thousands(all as u64);
        match self {
            Change::MakeLink(link) => {
                write!(f, "link to {}{}", safe(&link.target), in_place_of(&link.replaces))?;
                match whose(link.uid, link.gid, &link.names) {
                    Some(it) => write!(f, " ({it})"),
                    None => Ok(()),
                }
            }
            Change::MakeDirectories(all) => match &**all {
                [one] => one.fmt(f),
                all => write!(f, "make {} directories", many(all.len())),
            },
            Change::Write(all) => match &**all {
                [one] => one.fmt(f),
                all => write!(f, "write {} files", many(all.len())),
            },
            Change::SetAttributes(all) => match &**all {
                [one] => one.fmt(f),
                all => {
                    let mut what = vec![];
                    if all.iter().any(|it| it.to.uid.is_some()) {
                        what.push("owner");
                    }
                    if all.iter().any(|it| it.to.gid.is_some()) {
                        what.push("group");
                    }
                    if all.iter().any(Setting::sets_mode) {
                        what.push("mode");
                    }
                    write!(f, "set {} of {} entries", what.join(", "), many(all.len()))
                }
            },
            Change::Remove(all) => match &**all {
                [one] => one.fmt(f),
                all => write!(f, "remove {} entries", many(all.len())),
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kind::{Difference, Kind, Obstacle};
    use expect_test::{Expect, expect};
    use std::fmt::Write as _;
    use std::sync::Mutex;
    use steadfast_model::scope::Scope;
    use steadfast_model::{Diagnostics, SourceSet, yaml};
    use steadfast_system::ErrorKind;

    pub(crate) fn abs(path: &str) -> AbsPath {
        AbsPath::parse(path).unwrap()
    }

    /// Lowers the one promise of a section; what is wrong as text.
    pub(crate) fn lower<K: Kind>(text: &str, files: &[(&str, &str)]) -> Result<K::Desired, String> {
        let mut sources = SourceSet::default();
        let id = sources.add("servers/web.yaml", text.as_bytes(), false);
        for (path, content) in files {
            sources.add(*path, content.as_bytes(), path.ends_with(".sh"));
        }
        let mut diagnostics = Diagnostics::default();
        let node = yaml::read(id, sources.get(id).unwrap(), &mut diagnostics).unwrap();
        let Node::Map(entries, _) = &node else { panic!("a map") };
        let (name, body) = &entries[0];
        let scope = Scope::default();
        let want = K::lower(name, body, &mut Lower::new(&mut diagnostics, &sources, &scope));
        let mut words = String::new();
        for it in &diagnostics {
            let place = sources.place(it.span);
            writeln!(words, "{} at {}:{}: {}", it.code.0, place.line, place.column, it.message)
                .unwrap();
        }
        match want {
            Some(want) if diagnostics.is_empty() => Ok(want),
            Some(_) | None => Err(words),
        }
    }

    /// The promises in the example of a kind's documentation.
    #[track_caller]
    pub(crate) fn check_example<K: Kind>(source: &str, files: &[(&str, &str)]) {
        let lines = source.lines().map_while(|it| it.strip_prefix("//!"));
        let yaml = lines.skip_while(|it| *it != " ```yaml").skip(2);
        let yaml: Vec<&str> = yaml.take_while(|it| *it != " ```").map(|it| &it[3..]).collect();
        let mut promises: Vec<String> = vec![];
        for line in yaml {
            match promises.last_mut() {
                Some(last) if line.starts_with(' ') => last.push_str(&format!("{line}\n")),
                Some(_) | None => promises.push(format!("{line}\n")),
            }
        }
        assert!(promises.len() > 2);
        for text in promises {
            if let Err(words) = lower::<K>(&text, files) {
                panic!("{text}{words}");
            }
        }
    }

    #[track_caller]
    pub(crate) fn bad<K: Kind>(text: &str, expected: Expect) {
        expected.assert_eq(&lower::<K>(text, &[]).unwrap_err());
    }

    /// A plan as an operator reads it.
    pub(crate) fn show(difference: &Difference<Change>) -> String {
        let mut out = String::new();
        for it in &difference.changes {
            writeln!(out, "{it}").unwrap();
        }
        for it in &difference.obstacles {
            match it {
                Obstacle::Missing(what) => writeln!(out, "missing: {what}"),
                Obstacle::Refused(why) => writeln!(out, "refused: {why}"),
                Obstacle::Unknown(why) => writeln!(out, "unknown: {why}"),
            }
            .unwrap();
        }
        for it in &difference.notes {
            writeln!(out, "note: {it}").unwrap();
        }
        out
    }

    pub(crate) fn folder() -> Option<Folder> {
        Some(Folder { uid: 0, gid: 0, mode: Mode(0o755), open: false })
    }

    pub(crate) fn entry(shape: Shape, mode: u16) -> Entry {
        Entry { shape, uid: 0, gid: 0, mode: Mode(mode), links: 1, changed: 7, mounted: false }
    }

    pub(crate) fn file(content: &str, mode: u16) -> Entry {
        let digest = Content::Digest(sha256(content.as_bytes()));
        entry(Shape::File { size: content.len() as u64, content: digest }, mode)
    }

    /// Two folders of ours, the second of which people write in.
    pub(crate) fn own_folders() -> Vec<OwnFolder> {
        let all = [("/x/own", false), ("/x/settings", true)];
        all.map(|(path, promisable)| OwnFolder { path: abs(path), promisable }).into()
    }

    #[test]
    fn what_is_ours_is_no_target_and_does_not_go_with_what_it_lies_in() {
        let own = own_folders();
        let dir = entry(Shape::Directory, 0o755);
        for (path, ours) in [
            ("/x/own", true),
            ("/x/own/a/b", true),
            ("/x/owner", false),
            ("/x/settings/a", false),
            ("/x/settings", true),
            ("/x", true),
            ("/", true),
        ] {
            assert_eq!(is_ours(&abs(path), Some(&dir), &own).is_some(), ours, "{path}");
        }
        assert_eq!(is_ours(&abs("/x"), Some(&link("/y")), &own), None);
        assert_eq!(is_ours(&abs("/x/settings"), None, &own), None);
        assert!(is_ours(&abs("/x/own/a"), None, &own).is_some());
    }

    /// One that is too large to be kept.
    pub(crate) fn large_file() -> Entry {
        entry(Shape::File { size: KEPT_FILE_MAX + 1, content: Content::Digest([7; 32]) }, 0o644)
    }

    pub(crate) fn link(target: &str) -> Entry {
        entry(Shape::Link { target: Arc::from(target) }, 0o777)
    }

    /// Notes what it is told to do; what has `bad` in its path fails.
    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Notes {
        fn note(&self, path: &AbsPath, what: &str) -> Result<(), SystemError> {
            self.0.lock().unwrap().push(format!("{what} {path}"));
            if path.as_str().contains("bad") {
                return Err(SystemError::new(ErrorKind::Moved, "it moved"));
            }
            Ok(())
        }
    }

    impl files::Write for Notes {
        fn write_files(&self, files: &[NewFile]) -> Vec<Result<(), SystemError>> {
            self.0.lock().unwrap().push(format!("{} files:", files.len()));
            files.iter().map(|it| self.note(&it.path, "write")).collect()
        }
        fn set_attributes(
            &self,
            all: &[(&AbsPath, &Seen, Attributes)],
        ) -> Vec<Result<(), SystemError>> {
            self.0.lock().unwrap().push(format!("{} attributes:", all.len()));
            all.iter().map(|(path, ..)| self.note(path, "set")).collect()
        }
        fn make_directory(
            &self,
            path: &AbsPath,
            _: u32,
            _: u32,
            _: Mode,
            _: &Seen,
        ) -> Result<(), SystemError> {
            self.note(path, "mkdir")
        }
        fn make_link(
            &self,
            path: &AbsPath,
            _: &str,
            _: u32,
            _: u32,
            _: &Seen,
        ) -> Result<(), SystemError> {
            self.note(path, "link")
        }
        fn remove(&self, path: &AbsPath, _: &Seen, _: bool, _: bool) -> Result<(), SystemError> {
            self.note(path, "remove")
        }
    }

    pub(crate) fn writing(path: &str, content: &str) -> Writing {
        Writing {
            file: NewFile {
                path: abs(path),
                content: Arc::from(content.as_bytes()),
                uid: 0,
                gid: 0,
                mode: Mode(0o644),
                replaces: Seen::Nothing,
                validate: None,
                keep: true,
                in_place: false,
            },
            names: Owners::default(),
            below: None,
            was: None,
            present: None,
            sensitive: false,
            open: false,
        }
    }

    fn removal(path: &str) -> Removal {
        Removal {
            path: abs(path),
            below: None,
            seen: Seen::AnyFile,
            whole: false,
            keep: true,
            count: 1,
        }
    }

    #[test]
    fn files_of_many_promises_are_written_together_and_a_failure_stays_with_its_promise() {
        let write = |path: &str| Change::Write(vec![writing(path, "x")]);
        let set = |path: &str| {
            Change::SetAttributes(vec![
                Setting::of(
                    &abs(path),
                    None,
                    &file("", 0o644),
                    Ids { owner: Who::Id(5), group: Who::Unsaid },
                    None,
                    &Owners::default(),
                )
                .unwrap(),
            ])
        };
        let first = [
            Change::Remove(vec![removal("/a/old")]),
            write("/a/one"),
            write("/a/two"),
            set("/a/one"),
        ];
        let second = [write("/b/one"), write("/b/bad"), write("/b/three"), set("/b/one")];
        let third = [Change::Remove(vec![removal("/c/bad"), removal("/c/x")]), write("/c/one")];
        let fourth = [write("/d")];
        let notes = Notes::default();
        let results = apply(&[&first, &second, &third, &fourth, &[]], &notes);
        let error = SystemError::new(ErrorKind::Moved, "it moved");
        assert_eq!(
            results,
            [
                Applied::All,
                Applied::Failed { at: 1, error: error.clone() },
                Applied::Failed { at: 0, error },
                Applied::All,
                Applied::All
            ]
        );
        expect![[r#"
            remove /a/old
            remove /c/bad
            4 files:
            write /b/one
            write /b/bad
            write /b/three
            write /d
            2 files:
            write /a/one
            write /a/two
            1 attributes:
            set /a/one
        "#]]
        .assert_eq(&notes.0.lock().unwrap().iter().fold(String::new(), |all, it| all + it + "\n"));
    }

    #[track_caller]
    fn shows(old: &[u8], new: &[u8], expected: Expect) {
        let mut it = writing("/etc/x", "");
        it.file.content = Arc::from(new);
        it.was = Some(Was { size: old.len() as u64, uid: 0, gid: 0, mode: Mode(0o644) });
        it.present = Some(Bytes(Arc::from(old)));
        expected.assert_eq(&detail(&Change::Write(vec![it])).unwrap_or_default());
    }

    #[test]
    fn a_difference_is_shown_and_harmless_on_a_terminal() {
        shows(
            b"1\n2\n3\n4\n5\n6\n",
            b"1\n2\n3\n4\nfive\n6",
            expect![[r#"
                --- /etc/x (is)
                +++ /etc/x (promised)
                @@ -2,5 +2,5 @@
                 2
                 3
                 4
                -5
                -6
                +five
                +6
                \ No newline at end of file
            "#]],
        );
        shows(
            b"\x1b[31m\ta\r\n",
            "\u{202e}b\n".as_bytes(),
            expect![[r#"
                --- /etc/x (is)
                +++ /etc/x (promised)
                @@ -1 +1 @@
                -\u{1b}[31m	a\r
                +\u{202e}b
            "#]],
        );
        shows(b"a\0b", b"1234", expect!["binary files differ (3 -> 4 bytes)\n"]);
        shows(b"\xff", b"1234", expect!["binary files differ (1 -> 4 bytes)\n"]);
    }

    #[test]
    fn a_difference_has_its_limits() {
        let long: String = (0..20_000).map(|it| format!("line {it}\n")).collect();
        let mut it = writing("/etc/x", &long);
        let shown = detail(&Change::Write(vec![it.clone()])).unwrap();
        assert!(shown.len() < SHOWN_DIFFERENCE + 100);
        assert!(shown.ends_with(" more lines\n"), "{}", &shown[shown.len() - 100..]);
        it.open = true;
        let shown = detail(&Change::Write(vec![it.clone()])).unwrap();
        assert_eq!(shown.lines().count(), SHOWN_OF_OTHERS + 1);
        it.sensitive = true;
        assert_eq!(detail(&Change::Write(vec![it.clone()])), None);
        it.sensitive = false;
        // What it is compared with was not read.
        it.was = Some(Was { size: 3, uid: 0, gid: 0, mode: Mode(0o644) });
        assert_eq!(detail(&Change::Write(vec![it])), None);
    }

    #[test]
    fn many_changes_of_one_sort_are_one_line_that_can_be_opened() {
        let few: Vec<_> = (0..20).map(|it| removal(&format!("/x/{it}"))).collect();
        assert_eq!(grouped(few, Change::Remove).len(), 20);
        let many: Vec<_> = (0..2_100).map(|it| removal(&format!("/x/{it}"))).collect();
        let one = grouped(many, Change::Remove);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].to_string(), "remove 2,100 entries");
        assert_eq!(deletes(&one[0]), 2_100);
        assert_eq!(detail(&one[0]).unwrap().lines().count(), 2_100);
        assert_eq!(grouped(vec![], Change::Remove), []);
    }

    #[test]
    fn setuid_is_said_again_where_a_new_owner_would_take_it_away() {
        let ids = Ids { owner: Who::Id(5), group: Who::Unsaid };
        let set = Setting::of(&abs("/x"), None, &file("", 0o4755), ids, None, &Owners::default())
            .unwrap();
        assert_eq!(set.to.mode, Some(Mode(0o4755)));
        assert_eq!(set.to_string(), "set owner root -> 5");
    }

    #[test]
    fn numbers_are_written_in_groups() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}

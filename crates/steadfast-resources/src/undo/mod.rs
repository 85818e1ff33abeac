//! What a run leaves behind on the machine, facet by facet: what was there before, and what was left, so
//! that it can be told whether somebody has changed it since, and taken back.
//!
//! A [`Facet`] is finer than a promise: a service that was started and enabled is two, a directory with
//! files of the model has one for each of them. What is not known well enough to be taken back is
//! [`FacetState::Unknown`]: it is told, and never touched.

mod back;
mod now;

pub use back::{About, absence, changes_back};
pub use now::{Now, observe};

use crate::kind::Identity;
use crate::paths;
use crate::{Change, Resource, State};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use steadfast_system::files::{Attributes, Digest, Entry, Mode, NewFile, Seen, Shape};
use steadfast_system::services::{Enablement, Mask, Unit};
use steadfast_system::{AbsPath, GroupName, PackageName, UnitName, UserName};

/// Something that a change makes, replaces or takes away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    Path(AbsPath),
    Group(GroupName),
    /// That somebody stands in the list of a group; the name as it stands there.
    Member {
        group: GroupName,
        user: Arc<str>,
    },
    User(UserName),
    /// Our block in the keys that a user may log in with.
    Keys(UserName),
    /// That a unit runs.
    Running(UnitName),
    /// That a unit starts at boot.
    Enabled(UnitName),
    Package(PackageName),
}

impl Facet {
    /// What a promise about it claims; the first is enough.
    pub fn owners(&self) -> Vec<Identity> {
        match self {
            Facet::Path(path) => vec![Identity::Path(path.clone())],
            // A user's own group comes and goes with the user.
            Facet::Group(name) => {
                let user = UserName::parse(name.as_str()).ok().map(Identity::User);
                std::iter::once(Identity::Group(name.clone())).chain(user).collect()
            }
            Facet::Member { group, user } => {
                let user = UserName::parse(user).ok().map(Identity::User);
                std::iter::once(Identity::Group(group.clone())).chain(user).collect()
            }
            Facet::User(name) | Facet::Keys(name) => vec![Identity::User(name.clone())],
            Facet::Running(unit) | Facet::Enabled(unit) => vec![Identity::Unit(unit.clone())],
            Facet::Package(name) => vec![Identity::Package(name.clone())],
        }
    }

    /// What a promise says this facet is to be, so that keeping the promise is enough for that.
    pub fn said_by(&self, want: &Resource, is_folder: bool) -> Says {
        let says = match (self, want) {
            (Facet::Path(_), Resource::File(want)) => return want.says(),
            (Facet::Path(path), Resource::Directory(want)) => return want.says(path, is_folder),
            (Facet::Path(_), Resource::Link(want)) => return want.says(),
            (Facet::Path(_), Resource::Cron(_) | Resource::Service(_)) => true,
            (Facet::Group(_), Resource::Group(_)) => true,
            (Facet::Group(name), Resource::User(want)) => want.name.as_str() == name.as_str(),
            (Facet::Member { group: _, user }, Resource::Members(want)) => want.decides(user),
            (Facet::Member { group, user }, Resource::User(want)) => {
                want.name.as_str() == &**user && want.decides(group)
            }
            (Facet::User(_), Resource::User(_)) => true,
            (Facet::Keys(_), Resource::User(want)) => want.says_keys(),
            (Facet::Running(_), Resource::Service(want)) => want.says_running(),
            (Facet::Enabled(_), Resource::Service(want)) => want.says_enabled(),
            (Facet::Package(_), Resource::Package(_)) => true,
            (
                Facet::Path(_)
                | Facet::Group(_)
                | Facet::Member { .. }
                | Facet::User(_)
                | Facet::Keys(_)
                | Facet::Running(_)
                | Facet::Enabled(_)
                | Facet::Package(_),
                Resource::Package(_)
                | Resource::Group(_)
                | Resource::Members(_)
                | Resource::User(_)
                | Resource::Directory(_)
                | Resource::File(_)
                | Resource::Link(_)
                | Resource::Service(_)
                | Resource::Cron(_),
            ) => false,
        };
        if says { Says::ALL } else { Says::default() }
    }
}

/// What of a facet a promise says. Only of a path it can say a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Says {
    /// Whether there is one, and what it holds or where it leads.
    pub content: bool,
    pub owner: bool,
    pub group: bool,
    pub mode: bool,
}

impl Says {
    pub const ALL: Says = Says { content: true, owner: true, group: true, mode: true };

    /// What either of two promises says.
    pub fn or(self, other: Says) -> Says {
        Says {
            content: self.content || other.content,
            owner: self.owner || other.owner,
            group: self.group || other.group,
            mode: self.mode || other.mode,
        }
    }
}

/// What is to be taken back of one facet where a promise says a part of what it is to be: what was before
/// it, and what was left; none where the promise is enough.
pub fn unsaid(
    says: Says,
    before: &FacetState,
    after: &FacetState,
) -> Option<(FacetState, FacetState)> {
    use FacetState::{Directory, File, Link};
    if says == Says::ALL {
        return None;
    }
    if says == Says::default() {
        return Some((before.clone(), after.clone()));
    }
    let owner = |was: u32, is: u32| if says.owner { is } else { was };
    let group = |was: u32, is: u32| if says.group { is } else { was };
    let mode_of = |was: Mode, is: Mode| if says.mode { is } else { was };
    let rest = match (before, after) {
        (File { content, uid, gid, mode }, File { content: there, uid: u, gid: g, mode: m }) => {
            let untouched = says.content || *content == Content::Unsaid;
            let of = |it: &Content| if says.content { Content::Unsaid } else { it.clone() };
            let (uid, gid, mode) = (owner(*uid, *u), group(*gid, *g), mode_of(*mode, *m));
            if untouched && (uid, gid, mode) == (*u, *g, *m) {
                return None;
            }
            (
                File { content: of(content), uid, gid, mode },
                File { content: of(there), uid: *u, gid: *g, mode: *m },
            )
        }
        (Directory { uid, gid, mode }, Directory { uid: u, gid: g, mode: m }) => {
            let (uid, gid, mode) = (owner(*uid, *u), group(*gid, *g), mode_of(*mode, *m));
            (Directory { uid, gid, mode }, after.clone())
        }
        (Link { target, uid, gid }, Link { target: there, uid: u, gid: g }) => {
            let target = if says.content { there } else { target };
            let (uid, gid) = (owner(*uid, *u), group(*gid, *g));
            (Link { target: Arc::clone(target), uid, gid }, after.clone())
        }
        // What the promise makes anew would not belong to whom it did.
        (File { .. } | Directory { .. }, _) if *after != FacetState::Unknown => {
            (before.clone(), after.clone())
        }
        (
            FacetState::Nothing
            | File { .. }
            | Directory { .. }
            | Link { .. }
            | FacetState::Group { .. }
            | FacetState::User { .. }
            | FacetState::Keys { .. }
            | FacetState::There
            | FacetState::Masked
            | FacetState::Unknown,
            _,
        ) if says.content => return None,
        (_, _) => (before.clone(), after.clone()),
    };
    (rest.0 != rest.1).then_some(rest)
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Facet::Path(path) => path.fmt(f),
            Facet::Group(name) => write!(f, "group {name}"),
            Facet::Member { group, user } => write!(f, "{user} in group {group}"),
            Facet::User(name) => write!(f, "user {name}"),
            Facet::Keys(name) => write!(f, "the keys of {name}"),
            Facet::Running(unit) => write!(f, "that {unit} runs"),
            Facet::Enabled(unit) => write!(f, "that {unit} is enabled"),
            Facet::Package(name) => write!(f, "package {name}"),
        }
    }
}

/// What a facet is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FacetState {
    /// There is none; of a unit: it does not run, nothing starts it.
    Nothing,
    File {
        content: Content,
        uid: u32,
        gid: u32,
        mode: Mode,
    },
    Directory {
        uid: u32,
        gid: u32,
        mode: Mode,
    },
    Link {
        target: Arc<str>,
        uid: u32,
        gid: u32,
    },
    /// None where the machine chooses the number.
    Group {
        gid: Option<u32>,
    },
    /// A digest of its line in /etc/passwd; none where nobody has looked since.
    User {
        line: Option<Digest>,
    },
    /// A digest of our block in a file of keys.
    Keys {
        block: Digest,
    },
    /// A member, a unit that runs or is enabled, a package that is installed.
    There,
    /// A unit that nobody can start.
    Masked,
    Unknown,
}

/// The content of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing was done to it, or it was not read.
    Unsaid,
    Digest(Digest),
    /// Keyed with a key of this node, because the content is not for everybody.
    Keyed(Digest),
}

impl FacetState {
    /// Whether this is what was left, or was there before. `key` makes a keyed digest of a plain one.
    pub fn is_met_by(&self, now: &FacetState, key: impl Fn(&Digest) -> Option<Digest>) -> bool {
        let same = |there: &Content, content: &Content| match (content, there) {
            (Content::Unsaid, _) => true,
            (Content::Digest(a), Content::Digest(b)) => a == b,
            (Content::Keyed(a), Content::Digest(b)) => key(b).as_ref() == Some(a),
            (Content::Digest(_) | Content::Keyed(_), Content::Unsaid | Content::Keyed(_)) => false,
        };
        match (self, now) {
            (
                FacetState::File { content, uid, gid, mode },
                FacetState::File { content: there, uid: u, gid: g, mode: m },
            ) => same(there, content) && (uid, gid, mode) == (u, g, m),
            // A number or a line that nobody has written down can be anybody's.
            (FacetState::Group { gid: None }, _) | (FacetState::User { line: None }, _) => false,
            (FacetState::Unknown, _) | (_, FacetState::Unknown) => false,
            (
                FacetState::Nothing
                | FacetState::File { .. }
                | FacetState::Directory { .. }
                | FacetState::Link { .. }
                | FacetState::Group { .. }
                | FacetState::User { .. }
                | FacetState::Keys { .. }
                | FacetState::There
                | FacetState::Masked,
                _,
            ) => self == now,
        }
    }

    /// Takes in what an earlier change did not need to know: the content of a file that got a new owner
    /// first. Where a later change did not find a content that is known, nobody knows it.
    pub fn complete(&mut self, later: &FacetState) {
        if let FacetState::File { content: known @ Content::Unsaid, .. } = self {
            match later {
                FacetState::File { content, .. } => *known = content.clone(),
                FacetState::Nothing
                | FacetState::Directory { .. }
                | FacetState::Link { .. }
                | FacetState::Group { .. }
                | FacetState::User { .. }
                | FacetState::Keys { .. }
                | FacetState::There
                | FacetState::Masked
                | FacetState::Unknown => *self = FacetState::Unknown,
            }
        }
    }

    /// Takes in what a later change left. What was not known of that does not hide what was known: a new
    /// owner or mode says nothing of the content. Where no content of ours was there, the later change did
    /// not find what was left, and whose content it is cannot be told.
    pub fn then(&mut self, later: &FacetState) {
        let known = match (&*self, later) {
            (_, FacetState::Unknown) => return,
            (
                FacetState::File { content, .. },
                FacetState::File { content: Content::Unsaid, uid, gid, mode },
            ) => FacetState::File { content: content.clone(), uid: *uid, gid: *gid, mode: *mode },
            (_, FacetState::File { content: Content::Unsaid, .. }) => FacetState::Unknown,
            (_, later) => later.clone(),
        };
        *self = known;
    }

    /// What was left is not known by its digest to everybody who reads it. Without a key nothing is known:
    /// any content would do otherwise.
    pub fn keyed(&mut self, key: impl Fn(&Digest) -> Option<Digest>) {
        if let FacetState::File { content: Content::Digest(plain), .. } = self {
            match key(plain).map(Content::Keyed) {
                Some(keyed) => {
                    if let FacetState::File { content, .. } = self {
                        *content = keyed;
                    }
                }
                None => *self = FacetState::Unknown,
            }
        }
    }
}

/// What one change makes of one facet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub facet: Facet,
    pub before: FacetState,
    /// What is there once the change is made.
    pub after: FacetState,
    /// Nothing of its content may be known but a keyed digest.
    pub sensitive: bool,
}

impl Effect {
    pub fn of(facet: Facet, before: FacetState, after: FacetState) -> Effect {
        Effect { facet, before, after, sensitive: false }
    }
}

/// What the changes of one promise make of which things; each facet once.
pub fn effects(want: &Resource, have: &State, changes: &[Change]) -> Vec<Effect> {
    let mut all: Vec<Effect> = vec![];
    let mut known: HashMap<Facet, usize> = HashMap::new();
    for effect in changes.iter().flat_map(|it| it.effects(want, have)) {
        match known.get(&effect.facet) {
            Some(at) => {
                let known = &mut all[*at];
                known.before.complete(&effect.before);
                known.after.then(&effect.after);
                known.sensitive |= effect.sensitive;
            }
            None => {
                known.insert(effect.facet.clone(), all.len());
                all.push(effect);
            }
        }
    }
    all
}

/// What was at a path. What is not kept when it makes way, or is no single thing, cannot come back.
pub(crate) fn former(seen: &Seen, entry: Option<&Entry>, kept: bool) -> FacetState {
    match (seen, entry) {
        (Seen::Nothing, _) => FacetState::Nothing,
        (Seen::File { digest }, Some(it)) if kept && !paths::is_too_large_to_keep(it) => {
            FacetState::File {
                content: Content::Digest(*digest),
                uid: it.uid,
                gid: it.gid,
                mode: it.mode,
            }
        }
        (Seen::Link { target }, Some(it)) => {
            FacetState::Link { target: Arc::clone(target), uid: it.uid, gid: it.gid }
        }
        (
            Seen::File { .. } | Seen::AnyFile | Seen::Directory | Seen::Link { .. } | Seen::Other,
            _,
        ) => FacetState::Unknown,
    }
}

/// A file that is put in place, whole.
pub(crate) fn of_file(file: &NewFile, entry: Option<&Entry>) -> Effect {
    let content = Content::Digest(paths::sha256(&file.content));
    let (uid, gid, mode) = (file.uid, file.gid, file.mode);
    Effect::of(
        Facet::Path(file.path.clone()),
        former(&file.replaces, entry, file.keep),
        FacetState::File { content, uid, gid, mode },
    )
}

/// What an entry is, its content as far as it was read.
pub(crate) fn of_entry(entry: &Entry) -> FacetState {
    let Entry { shape, uid, gid, mode, links: _, changed: _, mounted: _ } = entry;
    let (uid, gid, mode) = (*uid, *gid, *mode);
    match shape {
        Shape::File { .. } => {
            let content = match paths::seen(entry) {
                Seen::File { digest } => Content::Digest(digest),
                Seen::Nothing
                | Seen::AnyFile
                | Seen::Directory
                | Seen::Link { .. }
                | Seen::Other => Content::Unsaid,
            };
            FacetState::File { content, uid, gid, mode }
        }
        Shape::Directory => FacetState::Directory { uid, gid, mode },
        Shape::Link { target } => FacetState::Link { target: Arc::clone(target), uid, gid },
        Shape::Socket | Shape::Fifo | Shape::Device => FacetState::Unknown,
    }
}

/// Owner and mode that are set: what they were, and what they become.
pub(crate) fn attributes(
    path: &AbsPath,
    seen: &Seen,
    from: &Attributes,
    to: &Attributes,
) -> Effect {
    let state = |uid: Option<u32>, gid: Option<u32>, mode: Option<Mode>| {
        let (Some(uid), Some(gid)) = (uid, gid) else { return FacetState::Unknown };
        match (seen, mode) {
            (Seen::File { .. } | Seen::AnyFile, Some(mode)) => {
                FacetState::File { content: Content::Unsaid, uid, gid, mode }
            }
            (Seen::Directory, Some(mode)) => FacetState::Directory { uid, gid, mode },
            (Seen::Link { target }, _) => FacetState::Link { target: Arc::clone(target), uid, gid },
            (
                Seen::Nothing | Seen::Other | Seen::File { .. } | Seen::AnyFile | Seen::Directory,
                _,
            ) => FacetState::Unknown,
        }
    };
    Effect::of(
        Facet::Path(path.clone()),
        state(from.uid, from.gid, from.mode),
        state(to.uid.or(from.uid), to.gid.or(from.gid), to.mode.or(from.mode)),
    )
}

/// What is known of a file of keys by our block in it.
pub(crate) fn of_block(block: Result<Option<Vec<u8>>, &'static str>) -> FacetState {
    match block {
        Ok(None) => FacetState::Nothing,
        Ok(Some(bytes)) => FacetState::Keys { block: paths::sha256(&bytes) },
        Err(_) => FacetState::Unknown,
    }
}

/// Whether a unit starts at boot, as far as it can be set: what cannot be enabled is not.
pub(crate) fn place_of(unit: &Unit) -> FacetState {
    match unit.mask {
        Mask::Persistent | Mask::Runtime => return FacetState::Masked,
        Mask::Not | Mask::Vendor => {}
    }
    match &unit.enablement {
        Enablement::Enabled | Enablement::EnabledRuntime => FacetState::There,
        Enablement::Disabled
        | Enablement::NotFound
        | Enablement::Linked
        | Enablement::Static
        | Enablement::Indirect
        | Enablement::Generated
        | Enablement::Transient
        | Enablement::Alias(_) => FacetState::Nothing,
    }
}

pub(crate) fn running(unit: &Unit) -> FacetState {
    if unit.active.runs() { FacetState::There } else { FacetState::Nothing }
}

#[cfg(test)]
mod tests;

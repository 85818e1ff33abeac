//! The changes that make a facet again what it was. Pure.

use super::{Content, Facet, FacetState, Now};
use crate::paths::{self, NewDirectory, NewLink, Owners, Removal, Setting, Was, Writing};
use crate::{Change, Resource, group, members, package, service, user};
use std::sync::Arc;
use steadfast_system::files::{Attributes, Mode, NewFile, Seen};
use steadfast_system::packages::{Options, Removals};
use steadfast_system::{AbsPath, UnitName, UserName};

/// The promise that a facet is not there, for what its kind has something to say about before it goes: a
/// user with processes, somebody's primary group, a package that others need, a file with torn marks.
pub fn absence(facet: &Facet) -> Option<Resource> {
    match facet {
        Facet::Group(name) => Some(Resource::Group(group::Desired {
            name: name.clone(),
            present: false,
            gid: None,
            system: false,
            members: None,
        })),
        Facet::User(name) => Some(Resource::User(user::Desired {
            name: name.clone(),
            state: user::Wanted::Absent { remove_home: false, end_sessions: false },
        })),
        Facet::Package(name) => Some(Resource::Package(package::Desired {
            name: name.clone(),
            state: package::Presence::Absent,
            version: None,
            hold: None,
            options: Options::default(),
            allow_downgrade: false,
            allow_removals: Removals::None,
            debconf: vec![],
        })),
        // None of ours, whatever else is there.
        Facet::Keys(name) => {
            let keys = Some(user::Keys::AtLeast(vec![]));
            let wanted = user::Present { ssh_keys: keys, ..user::Present::default() };
            let state = user::Wanted::Present(Box::new(wanted));
            Some(Resource::User(user::Desired { name: name.clone(), state }))
        }
        Facet::Path(_) | Facet::Member { .. } | Facet::Running(_) | Facet::Enabled(_) => None,
    }
}

/// What there is to know beside the facet itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What a file held.
    pub content: Option<&'a Arc<[u8]>>,
    /// Nothing of the contents may be shown or kept.
    pub hidden: bool,
    /// Its path has to be said, because the promise has another name.
    pub named: bool,
}

/// What it takes to have a facet as it was; none where that is not known, or no change of ours does it.
pub fn changes_back(
    facet: &Facet,
    now: &Now,
    before: &FacetState,
    about: &About<'_>,
) -> Option<Vec<Change>> {
    let from = &now.state;
    match facet {
        Facet::Path(path) => {
            let change = path_back(path, now, before, about)?;
            Some(vec![Change::File(change)])
        }
        Facet::Member { group, user } => {
            let change = match (from, before) {
                (FacetState::There, FacetState::Nothing) => {
                    members::Change::Remove { group: group.clone(), member: Arc::clone(user) }
                }
                (FacetState::Nothing, FacetState::There) => {
                    members::Change::Add { group: group.clone(), user: UserName::parse(user).ok()? }
                }
                (_, _) => return None,
            };
            Some(vec![Change::Members(change)])
        }
        Facet::Running(unit) => {
            let change = match (from, before) {
                (FacetState::There, FacetState::Nothing) => service::stop(unit),
                (FacetState::Nothing, FacetState::There) => service::start(unit),
                (_, _) => return None,
            };
            Some(vec![Change::Service(change)])
        }
        Facet::Enabled(unit) => {
            let changes = place_back(unit, from, before)?;
            Some(changes.into_iter().map(Change::Service).collect())
        }
        Facet::Group(name) => match (from, before) {
            (FacetState::Group { gid: Some(was) }, FacetState::Group { gid: Some(gid) }) => {
                let (was, gid) = (*was, *gid);
                Some(vec![Change::Group(group::Change::SetGid { name: name.clone(), was, gid })])
            }
            (_, _) => None,
        },
        // What was there before is only known of what was not there.
        Facet::User(_) | Facet::Keys(_) | Facet::Package(_) => None,
    }
}

fn place_back(
    unit: &UnitName,
    from: &FacetState,
    before: &FacetState,
) -> Option<Vec<service::Change>> {
    use service::Change as Is;
    let unit = || unit.clone();
    Some(match (from, before) {
        (FacetState::There, FacetState::Nothing) => vec![Is::Disable { unit: unit() }],
        (FacetState::Nothing, FacetState::There) => vec![Is::Enable { unit: unit() }],
        (FacetState::There | FacetState::Nothing, FacetState::Masked) => {
            vec![Is::Mask { unit: unit() }]
        }
        (FacetState::Masked, FacetState::Nothing) => vec![Is::Unmask { unit: unit() }],
        (FacetState::Masked, FacetState::There) => {
            vec![Is::Unmask { unit: unit() }, Is::Enable { unit: unit() }]
        }
        (_, _) => return None,
    })
}

fn seen(state: &FacetState) -> Seen {
    match state {
        FacetState::Nothing => Seen::Nothing,
        FacetState::File { content: Content::Digest(digest), .. } => Seen::File { digest: *digest },
        FacetState::File { content: Content::Unsaid | Content::Keyed(_), .. } => Seen::AnyFile,
        FacetState::Directory { .. } => Seen::Directory,
        FacetState::Link { target, .. } => Seen::Link { target: Arc::clone(target) },
        FacetState::Group { .. }
        | FacetState::User { .. }
        | FacetState::Keys { .. }
        | FacetState::There
        | FacetState::Masked
        | FacetState::Unknown => Seen::Other,
    }
}

fn path_back(
    path: &AbsPath,
    now: &Now,
    before: &FacetState,
    about: &About<'_>,
) -> Option<paths::Change> {
    let About { content, hidden, named } = *about;
    let from = &now.state;
    let (path, replaces) = (path.clone(), seen(from));
    let below = named.then(|| Arc::from(path.as_str()));
    Some(match (before, from) {
        (FacetState::Nothing, _) => paths::Change::Remove(vec![Removal {
            path,
            below,
            seen: replaces,
            // A folder goes if it is empty.
            whole: false,
            keep: !hidden,
            count: 1,
        }]),
        (
            FacetState::File { content: wanted, uid, gid, mode },
            FacetState::File { content: there, uid: u, gid: g, mode: m },
        ) if *wanted == Content::Unsaid || wanted == there => {
            let of = |uid: &u32, gid: &u32, mode: &Mode| (*uid, *gid, Some(*mode));
            setting(path, below, Seen::AnyFile, of(u, g, m), of(uid, gid, mode))?
        }
        (FacetState::File { uid, gid, mode, .. }, _) => {
            let was = match from {
                FacetState::File { uid, gid, mode, .. } => {
                    Some(Was { size: now.size, uid: *uid, gid: *gid, mode: *mode })
                }
                FacetState::Nothing
                | FacetState::Directory { .. }
                | FacetState::Link { .. }
                | FacetState::Group { .. }
                | FacetState::User { .. }
                | FacetState::Keys { .. }
                | FacetState::There
                | FacetState::Masked
                | FacetState::Unknown => None,
            };
            paths::Change::Write(vec![Writing {
                file: NewFile {
                    path,
                    content: Arc::clone(content?),
                    uid: *uid,
                    gid: *gid,
                    mode: *mode,
                    replaces,
                    validate: None,
                    keep: !hidden,
                    in_place: now.mounted,
                },
                names: Owners::default(),
                below,
                was,
                present: None,
                sensitive: hidden,
                open: false,
            }])
        }
        (
            FacetState::Directory { uid, gid, mode },
            FacetState::Directory { uid: u, gid: g, mode: m },
        ) => setting(path, below, Seen::Directory, (*u, *g, Some(*m)), (*uid, *gid, Some(*mode)))?,
        (FacetState::Directory { uid, gid, mode }, _) => {
            paths::Change::MakeDirectories(vec![NewDirectory {
                path,
                below,
                uid: *uid,
                gid: *gid,
                mode: *mode,
                names: Owners::default(),
                replaces,
            }])
        }
        (
            FacetState::Link { target, uid, gid },
            FacetState::Link { target: there, uid: u, gid: g },
        ) if target == there => setting(path, below, replaces, (*u, *g, None), (*uid, *gid, None))?,
        (FacetState::Link { target, uid, gid }, _) => paths::Change::MakeLink(NewLink {
            path,
            target: Arc::clone(target),
            uid: *uid,
            gid: *gid,
            names: Owners::default(),
            replaces,
        }),
        (
            FacetState::Group { .. }
            | FacetState::User { .. }
            | FacetState::Keys { .. }
            | FacetState::There
            | FacetState::Masked
            | FacetState::Unknown,
            _,
        ) => return None,
    })
}

/// Owner, group and mode, where any of them is another one.
fn setting(
    path: AbsPath,
    below: Option<Arc<str>>,
    seen: Seen,
    from: (u32, u32, Option<Mode>),
    to: (u32, u32, Option<Mode>),
) -> Option<paths::Change> {
    let uid = (from.0 != to.0).then_some(to.0);
    let gid = (from.1 != to.1).then_some(to.1);
    let owned = uid.is_some() || gid.is_some();
    // chown takes setuid and setgid away, so the mode is said again.
    let dropped = owned && to.2.is_some_and(|it| it.0 & 0o6000 != 0);
    let mode = to.2.filter(|_| from.2 != to.2 || dropped);
    if !owned && mode.is_none() {
        return None;
    }
    Some(paths::Change::SetAttributes(vec![Setting {
        path,
        below,
        seen,
        from: Attributes { uid: Some(from.0), gid: Some(from.1), mode: from.2 },
        to: Attributes { uid, gid, mode },
        names: Owners::default(),
    }]))
}

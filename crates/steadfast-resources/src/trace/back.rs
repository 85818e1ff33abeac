//! The changes that make a thing again what it was. Pure.

use super::{Condition, Content, Now, Thing};
use crate::paths::{self, NewDirectory, NewLink, Owners, Removal, Setting, Was, Writing};
use crate::{Change, Resource, group, members, package, service, user};
use std::sync::Arc;
use steadfast_system::files::{Attributes, Mode, NewFile, Seen};
use steadfast_system::packages::{Options, Removals};
use steadfast_system::{AbsPath, UnitName, UserName};

/// The promise that a thing is not there, for what its kind has something to say about before it goes: a
/// user with processes, somebody's primary group, a package that others need, a file with torn marks.
pub fn absence(thing: &Thing) -> Option<Resource> {
    match thing {
        Thing::Group(name) => Some(Resource::Group(group::Desired {
            name: name.clone(),
            present: false,
            gid: None,
            system: false,
            members: None,
        })),
        Thing::User(name) => Some(Resource::User(user::Desired {
            name: name.clone(),
            state: user::Wanted::Absent { remove_home: false, end_sessions: false },
        })),
        Thing::Package(name) => Some(Resource::Package(package::Desired {
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
        Thing::Keys(name) => {
            let keys = Some(user::Keys::AtLeast(vec![]));
            let wanted = user::Present { ssh_keys: keys, ..user::Present::default() };
            let state = user::Wanted::Present(Box::new(wanted));
            Some(Resource::User(user::Desired { name: name.clone(), state }))
        }
        Thing::Path(_) | Thing::Member { .. } | Thing::Running(_) | Thing::Enabled(_) => None,
    }
}

/// What there is to know beside the thing itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What a file held.
    pub content: Option<&'a Arc<[u8]>>,
    /// Nothing of the contents may be shown or kept.
    pub hidden: bool,
    /// Its path has to be said, because the promise has another name.
    pub named: bool,
}

/// What it takes to have a thing as it was; none where that is not known, or no change of ours does it.
pub fn changes_back(
    thing: &Thing,
    now: &Now,
    before: &Condition,
    about: &About<'_>,
) -> Option<Vec<Change>> {
    let from = &now.condition;
    match thing {
        Thing::Path(path) => {
            let change = path_back(path, now, before, about)?;
            Some(vec![Change::File(change)])
        }
        Thing::Member { group, user } => {
            let change = match (from, before) {
                (Condition::There, Condition::Nothing) => {
                    members::Change::Remove { group: group.clone(), member: Arc::clone(user) }
                }
                (Condition::Nothing, Condition::There) => {
                    members::Change::Add { group: group.clone(), user: UserName::parse(user).ok()? }
                }
                (_, _) => return None,
            };
            Some(vec![Change::Members(change)])
        }
        Thing::Running(unit) => {
            let change = match (from, before) {
                (Condition::There, Condition::Nothing) => service::stop(unit),
                (Condition::Nothing, Condition::There) => service::start(unit),
                (_, _) => return None,
            };
            Some(vec![Change::Service(change)])
        }
        Thing::Enabled(unit) => {
            let changes = place_back(unit, from, before)?;
            Some(changes.into_iter().map(Change::Service).collect())
        }
        Thing::Group(name) => match (from, before) {
            (Condition::Group { gid: Some(was) }, Condition::Group { gid: Some(gid) }) => {
                let (was, gid) = (*was, *gid);
                Some(vec![Change::Group(group::Change::SetGid { name: name.clone(), was, gid })])
            }
            (_, _) => None,
        },
        // What was there before is only known of what was not there.
        Thing::User(_) | Thing::Keys(_) | Thing::Package(_) => None,
    }
}

fn place_back(
    unit: &UnitName,
    from: &Condition,
    before: &Condition,
) -> Option<Vec<service::Change>> {
    use service::Change as Is;
    let unit = || unit.clone();
    Some(match (from, before) {
        (Condition::There, Condition::Nothing) => vec![Is::Disable { unit: unit() }],
        (Condition::Nothing, Condition::There) => vec![Is::Enable { unit: unit() }],
        (Condition::There | Condition::Nothing, Condition::Masked) => {
            vec![Is::Mask { unit: unit() }]
        }
        (Condition::Masked, Condition::Nothing) => vec![Is::Unmask { unit: unit() }],
        (Condition::Masked, Condition::There) => {
            vec![Is::Unmask { unit: unit() }, Is::Enable { unit: unit() }]
        }
        (_, _) => return None,
    })
}

fn seen(condition: &Condition) -> Seen {
    match condition {
        Condition::Nothing => Seen::Nothing,
        Condition::File { content: Content::Digest(digest), .. } => Seen::File { digest: *digest },
        Condition::File { content: Content::Unsaid | Content::Keyed(_), .. } => Seen::AnyFile,
        Condition::Directory { .. } => Seen::Directory,
        Condition::Link { target, .. } => Seen::Link { target: Arc::clone(target) },
        Condition::Group { .. }
        | Condition::User { .. }
        | Condition::Keys { .. }
        | Condition::There
        | Condition::Masked
        | Condition::Unknown => Seen::Other,
    }
}

fn path_back(
    path: &AbsPath,
    now: &Now,
    before: &Condition,
    about: &About<'_>,
) -> Option<paths::Change> {
    let About { content, hidden, named } = *about;
    let from = &now.condition;
    let (path, replaces) = (path.clone(), seen(from));
    let below = named.then(|| Arc::from(path.as_str()));
    Some(match (before, from) {
        (Condition::Nothing, _) => paths::Change::Remove(vec![Removal {
            path,
            below,
            seen: replaces,
            // A folder goes if it is empty.
            whole: false,
            keep: !hidden,
            count: 1,
        }]),
        (
            Condition::File { content: wanted, uid, gid, mode },
            Condition::File { content: there, uid: u, gid: g, mode: m },
        ) if *wanted == Content::Unsaid || wanted == there => {
            let of = |uid: &u32, gid: &u32, mode: &Mode| (*uid, *gid, Some(*mode));
            setting(path, below, Seen::AnyFile, of(u, g, m), of(uid, gid, mode))?
        }
        (Condition::File { uid, gid, mode, .. }, _) => {
            let was = match from {
                Condition::File { uid, gid, mode, .. } => {
                    Some(Was { size: now.size, uid: *uid, gid: *gid, mode: *mode })
                }
                Condition::Nothing
                | Condition::Directory { .. }
                | Condition::Link { .. }
                | Condition::Group { .. }
                | Condition::User { .. }
                | Condition::Keys { .. }
                | Condition::There
                | Condition::Masked
                | Condition::Unknown => None,
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
            Condition::Directory { uid, gid, mode },
            Condition::Directory { uid: u, gid: g, mode: m },
        ) => setting(path, below, Seen::Directory, (*u, *g, Some(*m)), (*uid, *gid, Some(*mode)))?,
        (Condition::Directory { uid, gid, mode }, _) => {
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
            Condition::Link { target, uid, gid },
            Condition::Link { target: there, uid: u, gid: g },
        ) if target == there => setting(path, below, replaces, (*u, *g, None), (*uid, *gid, None))?,
        (Condition::Link { target, uid, gid }, _) => paths::Change::MakeLink(NewLink {
            path,
            target: Arc::clone(target),
            uid: *uid,
            gid: *gid,
            names: Owners::default(),
            replaces,
        }),
        (
            Condition::Group { .. }
            | Condition::User { .. }
            | Condition::Keys { .. }
            | Condition::There
            | Condition::Masked
            | Condition::Unknown,
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

//! A local user.
//!
//! ```yaml
//! users:
//!   deploy:
//!     uid: 2000
//!     group: deploy                        # primary; else one of the user's name, made where missing
//!     groups: [adm]                        # at least; { exactly: [...] } or { without: [...] }
//!     home: /srv/deploy
//!     shell: /bin/bash
//!     comment: Deployment
//!     password_hash: { secret: deploy-password }
//!     locked: false
//!     expires: "2027-12-31"                # or never
//!     ssh_keys:
//!       - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg ci
//!   people: { system: true }
//!   old: { state: absent, end_sessions: true }
//! ```
//!
//! What is not said is left alone. A new ordinary user gets a home from the skeleton, a system user
//! does not; `home_state` decides otherwise: `present` (made where it is missing), `absent` (removed
//! where it is the user's own), `unmanaged`; where the home of an ordinary user is missing and `ssh_keys`
//! need it, it is made. `home` is the entry in /etc/passwd: nothing is moved. Another
//! `uid` or `home` is not set while the user has processes; with a new uid, what is the user's below
//! the home is re-owned, and nothing else.
//!
//! `password_hash` is what crypt(5) makes, never the password. A lock (`!` before the hash) is kept
//! apart from it: `locked: true` and `false` set and take it, and setting a hash leaves it. `locked:
//! false` where there is no password at all makes it `*`: no login by password, and none refused for
//! being locked. `expires`, `inactive`, `password_min_days`, `password_max_days`, `password_warn_days`
//! are the limits of chage(1); `never` takes one of the first two away.
//!
//! `ssh_keys`: these keys at least stand in ~/.ssh/authorized_keys, ours in a block of our own; `{
//! exactly: […] }`: these and no others. Options are part of a key, its comment is not. No link is
//! followed there.
//!
//! `absent` removes the account and leaves its home (and its mail); `remove_home: true` takes the home,
//! if it is the user's own. With processes it is refused, unless `end_sessions: true` ends them.

mod apply;
mod contradictions;
pub mod keys;
mod limits;
mod lower;
mod observe;
mod plan;
mod undo;

pub use contradictions::contradictions;
pub use keys::{Keys, NewKeys, SshKey};

use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn, Watch};
use crate::undo::{Effect, Facet, Now, Says};
use limits::{limit_name, limit_shown};
use plan::makes_home;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Rendered, Spanned, Takes};
use steadfast_system::accounts::{
    Defaults, Home, KeysFile, Limit, NewPrimary, NewUser, Process, Shadow,
};
use steadfast_system::secrets::Secret;
use steadfast_system::{AbsPath, Actuate, GroupName, Probe, SystemError, UserName};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    pub name: UserName,
    pub state: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    Present(Box<Present>),
    Absent { remove_home: bool, end_sessions: bool },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    pub uid: Option<u32>,
    pub group: Option<GroupName>,
    pub groups: Option<Groups>,
    pub home: Option<AbsPath>,
    pub home_state: Option<HomeState>,
    pub shell: Option<AbsPath>,
    pub comment: Option<Arc<str>>,
    pub password_hash: Option<PasswordHash>,
    pub locked: Option<bool>,
    /// Each at most once; none means never.
    pub limits: Vec<(Limit, Option<i64>)>,
    pub ssh_keys: Option<Keys>,
    pub system: bool,
}

/// Groups beside the primary one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Groups {
    AtLeast(Vec<GroupName>),
    Exactly(Vec<GroupName>),
    Without(Vec<GroupName>),
}

impl Desired {
    fn says_keys(&self) -> bool {
        match &self.state {
            Wanted::Absent { .. } => true,
            Wanted::Present(wanted) => wanted.ssh_keys.is_some(),
        }
    }

    fn has_keys_exactly(&self) -> bool {
        match &self.state {
            Wanted::Absent { .. } => false,
            Wanted::Present(wanted) => matches!(wanted.ssh_keys, Some(Keys::Exactly(_))),
        }
    }

    /// Whether it says of this group whether the user is in it.
    fn decides(&self, group: &GroupName) -> bool {
        match &self.state {
            Wanted::Absent { .. } => true,
            Wanted::Present(wanted) => match &wanted.groups {
                Some(Groups::AtLeast(all) | Groups::Without(all)) => all.contains(group),
                Some(Groups::Exactly(_)) => true,
                None => false,
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HomeState {
    Present,
    Absent,
    Unmanaged,
}

/// What crypt(5) made of a password, or the name of the secret that holds it. It is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub Rendered);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub account: Option<Account>,
    /// The uid that the name service knows, where /etc/passwd has no such user.
    pub elsewhere: Option<u32>,
    /// The gid of the promised primary group, where it is there.
    pub wanted_gid: Option<u32>,
    /// Whether there is a group of the user's name.
    pub own_group: bool,
    /// Another user who has the promised uid.
    pub holder: Option<UserName>,
    /// Of the promised groups, those that are nowhere.
    pub missing_groups: Vec<GroupName>,
    /// And those that are not in /etc/group.
    pub foreign_groups: Vec<GroupName>,
    /// The home that the account has after this promise, and what is there.
    pub home: Option<(AbsPath, Home)>,
    /// Other users whose home is that one or lies below it.
    pub homes_within: Vec<UserName>,
    /// Other users of the same uid.
    pub same_uid: Vec<UserName>,
    /// Looked for only where they would be in the way.
    pub processes: Vec<Process>,
    /// Whether the promised shell is a program here.
    pub shell_there: Option<bool>,
    /// The promised hash, where one is promised.
    pub hash: Option<Result<Secret, SystemError>>,
    /// The keys file, where keys are promised.
    pub keys: Option<Result<KeysFile, SystemError>>,
    pub defaults: Defaults,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    /// The name of the primary group.
    pub group: Option<GroupName>,
    pub comment: Arc<str>,
    pub home: Arc<str>,
    pub shell: Arc<str>,
    /// Beside the primary one.
    pub groups: Vec<GroupName>,
    /// Why it is not known, where it is not; none within where the user has no line there.
    pub shadow: Result<Option<Shadow>, SystemError>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    EndSessions {
        name: UserName,
        uid: u32,
        processes: usize,
    },
    Add(NewUser),
    Uid {
        name: UserName,
        was: u32,
        uid: u32,
    },
    Group {
        name: UserName,
        was: String,
        group: GroupName,
    },
    Home {
        name: UserName,
        was: Arc<str>,
        home: AbsPath,
    },
    Shell {
        name: UserName,
        was: Arc<str>,
        shell: AbsPath,
    },
    Comment {
        name: UserName,
        was: Arc<str>,
        comment: Arc<str>,
    },
    /// Each with what it was and what it becomes.
    Limits {
        name: UserName,
        limits: Vec<(Limit, Option<i64>, Option<i64>)>,
    },
    Password {
        name: UserName,
        hash: PasswordHash,
        locked: bool,
    },
    /// No password and no lock.
    NoPassword {
        name: UserName,
    },
    Lock {
        name: UserName,
    },
    Unlock {
        name: UserName,
    },
    Join {
        name: UserName,
        groups: Vec<GroupName>,
    },
    Leave {
        name: UserName,
        group: GroupName,
    },
    MakeHome {
        name: UserName,
        home: AbsPath,
        umask: u16,
    },
    RemoveHome {
        home: AbsPath,
        uid: u32,
    },
    Keys {
        name: UserName,
        home: AbsPath,
        seen: KeysFile,
        new: NewKeys,
    },
    Remove {
        name: UserName,
        uid: u32,
    },
}

const LIST_OF_GROUPS: Takes = Takes::OneOf(&[
    Takes::TextList,
    Takes::Fields(&[Field::new("exactly", Takes::TextList, "in these groups and no others")]),
    Takes::Fields(&[Field::new("without", Takes::TextList, "in none of these groups")]),
]);

const LIST_OF_KEYS: Takes = Takes::OneOf(&[
    Takes::TextList,
    Takes::Fields(&[Field::new("exactly", Takes::TextList, "these keys and no others")]),
]);

const DAYS_OR_NEVER: Takes = Takes::OneOf(&[Takes::Integer, Takes::Words(&["never"])]);

#[derive(Debug)]
pub struct User;

impl Kind for User {
    const NAME: &'static str = "user";
    const SHORT_FORMS: &'static [Takes] = &[Takes::Words(&["present", "absent"])];
    const FIELDS: &'static [Field] = &[
        Field::new(
            "state",
            Takes::Words(&["present", "absent"]),
            "present (the default) or absent",
        ),
        Field::new("uid", Takes::Integer, "the number; not changed while the user has processes"),
        Field::new("group", Takes::Text, "the primary group; else one of the user's name"),
        Field::new("groups", LIST_OF_GROUPS, "further groups: at least, exactly, or without"),
        Field::new("home", Takes::Text, "the home in /etc/passwd; nothing is moved"),
        Field::new(
            "home_state",
            Takes::Words(&["present", "absent", "unmanaged"]),
            "whether the home itself is there; default: made with a new ordinary user",
        ),
        Field::new("shell", Takes::Text, "the login shell"),
        Field::new("comment", Takes::Text, "the user's full name and such"),
        Field::new("password_hash", Takes::TextOrSecret, "what crypt(5) makes of the password"),
        Field::new("locked", Takes::Boolean, "whether login by password is locked"),
        Field::new("expires", Takes::Text, "when the account ends, \"2027-12-31\", or never"),
        Field::new("inactive", DAYS_OR_NEVER, "days after its end that a password is still taken"),
        Field::new("password_min_days", Takes::Integer, "days before a password may be changed"),
        Field::new("password_max_days", Takes::Integer, "days after which it must be changed"),
        Field::new("password_warn_days", Takes::Integer, "days of warning before that"),
        Field::new("ssh_keys", LIST_OF_KEYS, "lines of ~/.ssh/authorized_keys"),
        Field::new("system", Takes::Boolean, "a new user gets a number of the system's range"),
        Field::new("remove_home", Takes::Boolean, "with absent: the home goes too (false)"),
        Field::new("end_sessions", Takes::Boolean, "with absent: processes are ended (false)"),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::User(want.name.clone())]
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        let Wanted::Present(present) = &want.state else { return vec![] };
        let own = || GroupName::parse(want.name.as_str()).ok();
        let mut uses: Vec<Identity> =
            present.group.clone().or_else(own).map(Identity::Group).into_iter().collect();
        match &present.groups {
            Some(Groups::AtLeast(groups) | Groups::Exactly(groups)) => {
                for group in groups.iter().cloned().map(Identity::Group) {
                    if !uses.contains(&group) {
                        uses.push(group);
                    }
                }
            }
            Some(Groups::Without(_)) | None => {}
        }
        if makes_home(present) {
            uses.extend(present.home.as_ref().and_then(AbsPath::parent).map(Identity::Path));
        }
        uses
    }

    fn is_absent(want: &Desired) -> bool {
        match want.state {
            Wanted::Present(_) => false,
            Wanted::Absent { .. } => true,
        }
    }

    fn turn(want: &Desired) -> Turn {
        if Self::is_absent(want) { Turn::UsersGo } else { Turn::Users }
    }

    /// The keys too, where they are promised and the home is known.
    fn watch(want: &Desired) -> Watch {
        let mut watch = Watch::of(&Self::claims(want));
        watch.also(Watch::GROUPS);
        if let Wanted::Present(wanted) = &want.state
            && wanted.ssh_keys.is_some()
            && let Some(home) = &wanted.home
        {
            watch.paths.push(format!("{home}/.ssh/authorized_keys"));
        }
        watch
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        wants.iter().map(|want| observe::look(want, sys, sys)).collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan::plan(want, have)
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        batch
            .iter()
            .map(|changes| Applied::each(changes, |change| apply::apply(change, sys)))
            .collect()
    }

    fn effects(change: &Change, want: &Desired, have: &State) -> Vec<Effect> {
        undo::effects(change, want, have)
    }

    fn says(want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        undo::says(want, facet)
    }

    fn looks_after(facet: &Facet) -> bool {
        undo::looks_after(facet)
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        facets.iter().map(|it| undo::observe_facet(it, sys)).collect()
    }

    fn absence(facet: &Facet) -> Option<Desired> {
        undo::absence(facet)
    }

    fn fingerprint(have: &State) -> Fingerprint {
        observe::fingerprint(have)
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        observe::describe(have)
    }

    fn detail(change: &Change) -> Option<String> {
        match change {
            Change::Keys { name: _, home: _, seen: _, new } => {
                let mut lines: Vec<String> =
                    new.added.iter().map(|key| format!("+ {}", key.shown())).collect();
                if new.removed > 0 {
                    lines.push(format!("- {} others", new.removed));
                }
                Some(lines.join("\n"))
            }
            Change::EndSessions { .. }
            | Change::Add(_)
            | Change::Uid { .. }
            | Change::Group { .. }
            | Change::Home { .. }
            | Change::Shell { .. }
            | Change::Comment { .. }
            | Change::Limits { .. }
            | Change::Password { .. }
            | Change::NoPassword { .. }
            | Change::Lock { .. }
            | Change::Unlock { .. }
            | Change::Join { .. }
            | Change::Leave { .. }
            | Change::MakeHome { .. }
            | Change::RemoveHome { .. }
            | Change::Remove { .. } => None,
        }
    }

    fn folders(change: &Change) -> Vec<&AbsPath> {
        change.home().into_iter().collect()
    }

    fn deletes(change: &Change) -> u64 {
        match change {
            Change::RemoveHome { .. } | Change::Remove { .. } => 1,
            Change::EndSessions { .. }
            | Change::Add(_)
            | Change::Uid { .. }
            | Change::Group { .. }
            | Change::Home { .. }
            | Change::Shell { .. }
            | Change::Comment { .. }
            | Change::Limits { .. }
            | Change::Password { .. }
            | Change::NoPassword { .. }
            | Change::Lock { .. }
            | Change::Unlock { .. }
            | Change::Join { .. }
            | Change::Leave { .. }
            | Change::MakeHome { .. }
            | Change::Keys { .. } => 0,
        }
    }
}

impl Change {
    /// The home that it makes.
    fn home(&self) -> Option<&AbsPath> {
        match self {
            Change::Add(user) => user.make_home.then_some(&user.home),
            Change::MakeHome { name: _, home, umask: _ } => Some(home),
            Change::EndSessions { .. }
            | Change::Uid { .. }
            | Change::Group { .. }
            | Change::Home { .. }
            | Change::Shell { .. }
            | Change::Comment { .. }
            | Change::Limits { .. }
            | Change::Password { .. }
            | Change::NoPassword { .. }
            | Change::Lock { .. }
            | Change::Unlock { .. }
            | Change::Join { .. }
            | Change::Leave { .. }
            | Change::RemoveHome { .. }
            | Change::Keys { .. }
            | Change::Remove { .. } => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::EndSessions { name: _, uid: _, processes } => {
                let plural = if *processes == 1 { "" } else { "es" };
                write!(f, "end sessions ({processes} process{plural})")
            }
            Change::Add(NewUser { name, uid, group, home, make_home, shell, comment, system }) => {
                let kind = if *system { "system user" } else { "user" };
                write!(f, "add {kind} (")?;
                if let Some(uid) = uid {
                    write!(f, "uid {uid}, ")?;
                }
                match group {
                    NewPrimary::Group(group) => write!(f, "group {group}, ")?,
                    NewPrimary::Own => write!(f, "new group {name}, ")?,
                }
                if *make_home {
                    write!(f, "home {home}")?;
                } else {
                    f.write_str("no home")?;
                }
                if let Some(shell) = shell {
                    write!(f, ", shell {shell}")?;
                }
                if let Some(comment) = comment {
                    write!(f, ", comment {}", words(comment))?;
                }
                f.write_str(")")
            }
            Change::Uid { name: _, was, uid } => write!(f, "set uid {was} -> {uid}"),
            Change::Group { name: _, was, group } => write!(f, "set group {was} -> {group}"),
            Change::Home { name: _, was, home } => write!(f, "set home {} -> {home}", words(was)),
            Change::Shell { name: _, was, shell } => {
                write!(f, "set shell {} -> {shell}", words(was))
            }
            Change::Comment { name: _, was, comment } => {
                write!(f, "set comment {} -> {}", words(was), words(comment))
            }
            Change::Limits { name: _, limits } => {
                f.write_str("set ")?;
                for (at, (limit, was, to)) in limits.iter().enumerate() {
                    let (was, to) = (limit_shown(*limit, *was), limit_shown(*limit, *to));
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{} {was} -> {to}", limit_name(*limit))?;
                }
                Ok(())
            }
            Change::Password { name: _, hash: _, locked: false } => {
                f.write_str("set password hash")
            }
            Change::Password { name: _, hash: _, locked: true } => {
                f.write_str("set password hash, locked")
            }
            Change::NoPassword { name: _ } => f.write_str("unlock, without a password"),
            Change::Lock { name: _ } => f.write_str("lock password"),
            Change::Unlock { name: _ } => f.write_str("unlock password"),
            Change::Join { name: _, groups } => {
                let names: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
                write!(f, "add to {}", names.join(", "))
            }
            Change::Leave { name: _, group } => write!(f, "take out of {group}"),
            Change::MakeHome { name: _, home, umask: _ } => write!(f, "make home {home}"),
            Change::RemoveHome { home, uid: _ } => {
                write!(f, "remove home {home} with all that is in it")
            }
            Change::Keys { name: _, home, seen: _, new } => {
                let (added, removed) = (new.added.len(), new.removed);
                write!(f, "write {home}/.ssh/authorized_keys (+{added} -{removed} keys)")
            }
            Change::Remove { name: _, uid } => write!(f, "remove user (uid {uid})"),
        }
    }
}

/// What was in a file, in quotes where it could be taken for our own words.
fn words(text: &str) -> String {
    if text.is_empty() || text.contains(char::is_whitespace) || text.contains(char::is_control) {
        format!("\"{}\"", text.escape_debug())
    } else {
        text.to_owned()
    }
}

fn group_shown(group: Option<&GroupName>, gid: u32) -> String {
    group.map_or_else(|| gid.to_string(), GroupName::to_string)
}

#[cfg(test)]
mod tests;

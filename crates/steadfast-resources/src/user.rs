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

pub mod keys;

pub use keys::{Keys, NewKeys, SshKey};

use crate::account_fields::{because, digest, list_in_form, listed, one_field, short_state};
use crate::{Applied, Difference, Fingerprint, Identity, Kind, Obstacle, members};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use steadfast_model::lower::nearest;
use steadfast_model::{
    Diagnostic, Field, Fields, Lower, Node, Rendered, Spanned, Takes, Value, codes,
};
use steadfast_system::accounts::{
    Attribute, Defaults, Home, HomeShape, KeysFile, Limit, NewPrimary, NewUser, Process, Shadow,
};
use steadfast_system::secrets::{self, Secret};
use steadfast_system::{
    AbsPath, Actuate, ErrorKind, GroupName, Probe, SystemError, UserName, accounts,
};

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

/// The fields that say something about a user who is there.
const PRESENT_FIELDS: [&str; 16] = [
    "uid",
    "group",
    "groups",
    "home",
    "home_state",
    "shell",
    "comment",
    "password_hash",
    "locked",
    "expires",
    "inactive",
    "password_min_days",
    "password_max_days",
    "password_warn_days",
    "ssh_keys",
    "system",
];

#[derive(Debug)]
pub struct User;

impl Kind for User {
    const NAME: &'static str = "user";
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
        let parsed = match UserName::parse(&name.value) {
            Ok(parsed) => Some(parsed),
            Err(refusal) => {
                cx.error(codes::BAD_NAME, name.span, refusal.to_string());
                None
            }
        };
        let state = match short_state(body, "user", cx)? {
            Some(true) => Wanted::Present(Box::default()),
            Some(false) => Wanted::Absent { remove_home: false, end_sessions: false },
            None => {
                let mut fields = Fields::of(body, "user", Self::FIELDS, cx)?;
                match fields.one_of("state", &[("present", true), ("absent", false)]) {
                    Some(false) => read_absent(&mut fields),
                    Some(true) | None => read_present(&mut fields),
                }
            }
        };
        let parsed = parsed?;
        match &state {
            Wanted::Present(_) if !parsed.is_creatable() => {
                let message = format!(
                    "a user named `{parsed}` is not made: lower case letters, digits, `_` and `-`, \
                     32 at most, a letter or `_` first"
                );
                cx.error(codes::BAD_NAME, name.span, message);
            }
            Wanted::Absent { .. } if parsed.as_str() == "root" => {
                cx.error(codes::BAD_VALUE, name.span, "root cannot be absent");
            }
            Wanted::Present(_) | Wanted::Absent { .. } => {}
        }
        cx.is_sound().then_some(Desired { name: parsed, state })
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

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        wants.iter().map(|want| look(want, sys, sys)).collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        match (&want.state, &have.account) {
            (Wanted::Present(_), None) if have.elsewhere.is_some() => Difference::refused(format!(
                "user {} is not in /etc/passwd: the name service has it",
                want.name
            )),
            (Wanted::Present(present), None) => plan_new(&want.name, present, have),
            (Wanted::Present(present), Some(account)) => {
                plan_existing(&want.name, present, account, have)
            }
            (Wanted::Absent { .. }, None) => {
                let mut difference = Difference::none();
                if have.elsewhere.is_some() {
                    difference.notes.push("the name service still has a user of that name".into());
                }
                difference
            }
            (Wanted::Absent { remove_home, end_sessions }, Some(account)) => {
                plan_absent(&want.name, *remove_home, *end_sessions, account, have)
            }
        }
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        batch.iter().map(|changes| Applied::each(changes, |change| apply(change, sys))).collect()
    }

    fn fingerprint(have: &State) -> Fingerprint {
        // What a service of this user runs with; not what becomes of its password.
        let parts: Vec<_> = Self::describe(have)
            .into_iter()
            .filter(|(name, _)| ["state", "uid", "group", "groups", "home", "shell"].contains(name))
            .collect();
        Fingerprint { digest: digest(&parts), changed: None }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        let Some(account) = &have.account else {
            let state = if have.elsewhere.is_some() { "not local" } else { "absent" };
            return vec![("state", state.to_owned())];
        };
        let Account { uid, gid, group, comment, home, shell, groups, shadow } = account;
        let names: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
        let mut all = vec![
            ("state", "present".to_owned()),
            ("uid", uid.to_string()),
            ("group", group_shown(group.as_ref(), *gid)),
            ("groups", names.join(", ")),
            ("home", home.escape_debug().to_string()),
            ("shell", shell.escape_debug().to_string()),
            ("comment", comment.escape_debug().to_string()),
        ];
        match shadow {
            Ok(None) => all.push(("password", "no entry in /etc/shadow".to_owned())),
            Ok(Some(shadow)) => {
                let word = match (shadow.has_password(), shadow.is_locked()) {
                    (true, true) => "set, locked",
                    (true, false) => "set",
                    (false, true) => "none, locked",
                    (false, false) if shadow.password.reveal().is_empty() => "empty",
                    (false, false) => "none",
                };
                all.push(("password", word.to_owned()));
                for limit in LIMITS {
                    all.push((limit_name(limit), limit_shown(limit, limit_of(shadow, limit))));
                }
            }
            Err(error) => all.push(("password", format!("unknown: {}", because(error)))),
        }
        all
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
    pub fn home(&self) -> Option<&AbsPath> {
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

// Lowering.

fn read_absent(fields: &mut Fields<'_, '_, '_>) -> Wanted {
    for field in PRESENT_FIELDS {
        if fields.has(field) {
            let message = format!("a user who is absent has no `{field}`");
            fields.error(codes::CONFLICTING_FIELDS, fields.key_span(field), message);
        }
    }
    Wanted::Absent {
        remove_home: fields.boolean("remove_home").unwrap_or(false),
        end_sessions: fields.boolean("end_sessions").unwrap_or(false),
    }
}

fn read_present(fields: &mut Fields<'_, '_, '_>) -> Wanted {
    for field in ["remove_home", "end_sessions"] {
        if fields.has(field) {
            let message = format!("`{field}` needs `state: absent`");
            fields.error(codes::CONFLICTING_FIELDS, fields.key_span(field), message);
        }
    }
    let groups = fields.node("groups").and_then(|node| {
        let forms = ["exactly", "without"];
        let list = list_in_form(node, "`groups`", &forms, codes::BAD_NAME, fields.cx, |it| {
            GroupName::parse(it)
        });
        Some(match list? {
            (Some("exactly"), names) => Groups::Exactly(names),
            (Some(_), names) => Groups::Without(names),
            (None, names) => Groups::AtLeast(names),
        })
    });
    let ssh_keys = fields.node("ssh_keys").and_then(|node| {
        let forms = ["exactly"];
        let list =
            list_in_form(node, "`ssh_keys`", &forms, codes::BAD_VALUE, fields.cx, SshKey::parse);
        let (form, mut keys) = list?;
        let mut once: Vec<SshKey> = vec![];
        for key in keys.drain(..) {
            if !once.iter().any(|it| it.same(&key)) {
                once.push(key);
            }
        }
        Some(if form.is_some() { Keys::Exactly(once) } else { Keys::AtLeast(once) })
    });
    let home_states = [
        ("present", HomeState::Present),
        ("absent", HomeState::Absent),
        ("unmanaged", HomeState::Unmanaged),
    ];
    let home_state = fields.one_of("home_state", &home_states);
    if home_state == Some(HomeState::Absent) && fields.has("ssh_keys") {
        let message = "`ssh_keys` lie in the home, and `home_state: absent` takes it away";
        fields.error(codes::CONFLICTING_FIELDS, fields.key_span("ssh_keys"), message);
    }
    Wanted::Present(Box::new(Present {
        uid: fields.id("uid"),
        group: fields.parsed("group", codes::BAD_NAME, GroupName::parse),
        groups,
        home: fields.parsed("home", codes::BAD_PATH, passwd_path),
        home_state,
        shell: fields.parsed("shell", codes::BAD_PATH, passwd_path),
        comment: fields.parsed("comment", codes::BAD_VALUE, one_field),
        password_hash: read_hash(fields),
        locked: fields.boolean("locked"),
        limits: LIMITS
            .into_iter()
            .filter_map(|limit| read_limit(fields, limit).map(|value| (limit, value)))
            .collect(),
        ssh_keys,
        system: fields.boolean("system").unwrap_or(false),
    }))
}

fn passwd_path(text: &str) -> Result<AbsPath, String> {
    let path = AbsPath::parse(text).map_err(|refusal| refusal.to_string())?;
    if text.contains(':') {
        return Err("a path in /etc/passwd has no `:`".to_owned());
    }
    Ok(path)
}

fn read_hash(fields: &mut Fields<'_, '_, '_>) -> Option<PasswordHash> {
    let hash = fields.rendered("password_hash")?;
    let good = hash.as_plain().is_none_or(|text| is_hash(text.as_bytes()));
    if !good {
        // What stands there may be the password itself, so it is not repeated.
        let span = fields.node("password_hash").map_or(fields.span(), Node::span);
        fields.cx.report(
            Diagnostic::error(codes::BAD_VALUE, span, "`password_hash` is not a password hash")
                .help("what `mkpasswd` or `openssl passwd -6` prints, or { secret: NAME }"),
        );
        return None;
    }
    Some(PasswordHash(hash))
}

fn read_limit(fields: &mut Fields<'_, '_, '_>, limit: Limit) -> Option<Option<i64>> {
    let key = limit_name(limit);
    match limit {
        Limit::Expires => fields.parsed(key, codes::BAD_VALUE, |text| match text {
            "never" => Ok(None),
            date => parse_date(date).map(Some),
        }),
        Limit::Inactive => {
            let node = fields.node(key)?;
            if let Node::Scalar(scalar) = node
                && scalar.value.value == Value::Text
            {
                if &*scalar.value.text == "never" {
                    return Some(None);
                }
                let message = format!("`{key}` cannot be `{}`", scalar.value.text.escape_debug());
                let mut bad = Diagnostic::error(codes::BAD_VALUE, scalar.span, message);
                if let Some(near) = nearest(&scalar.value.text, &["never"]) {
                    bad = bad.label(format!("did you mean `{near}`?"));
                }
                fields.cx.report(bad.help("a number of days, or never"));
                return None;
            }
            read_days(fields, key)
        }
        Limit::MinDays | Limit::MaxDays | Limit::WarnDays => read_days(fields, key),
    }
}

fn read_days(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Option<i64>> {
    let days = fields.integer(key)?;
    if !(0..=99_999).contains(&days.value) {
        fields.error(codes::BAD_VALUE, days.span, format!("`{key}` must be from 0 to 99999"));
        return None;
    }
    Some(Some(days.value))
}

/// Whether this is the output of crypt(3), in full length: neither a password nor a lock.
fn is_hash(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let plain = |it: u8| it.is_ascii_graphic() && !b":;*!\\".contains(&it);
    if !text.bytes().all(plain) || text.len() > 512 {
        return false;
    }
    let parts: Vec<&str> = text.split('$').collect();
    let (Some(&""), Some(method), Some(last)) = (parts.first(), parts.get(1), parts.last()) else {
        return false;
    };
    let in_alphabet = last.bytes().all(|it| it.is_ascii_alphanumeric() || b"./".contains(&it));
    let length = match *method {
        "1" => 22,
        "2a" | "2b" | "2x" | "2y" => 53,
        "5" | "7" | "y" | "gy" => 43,
        "6" => 86,
        "sha1" => 28,
        _ => return false,
    };
    in_alphabet && parts.len() >= 4 && last.len() == length
}

// Dates as /etc/shadow counts them.

/// Days since 1970 of `YYYY-MM-DD`.
fn parse_date(text: &str) -> Result<i64, String> {
    let refuse = || format!("`{}` is not a date: write YYYY-MM-DD, or never", text.escape_debug());
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = *parts else { return Err(refuse()) };
    let number = |part: &str, digits: usize| -> Option<i64> {
        (part.len() == digits && part.bytes().all(|it| it.is_ascii_digit()))
            .then(|| part.parse().ok())
            .flatten()
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2))
    else {
        return Err(refuse());
    };
    let days = days_of(year, month, day);
    // 30 February would be some day in March.
    if year < 1970 || !(1..=12).contains(&month) || date_of(days) != (year, month, day) {
        return Err(refuse());
    }
    Ok(days)
}

/// The proleptic Gregorian calendar in days, with years that begin in March.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

const LIMITS: [Limit; 5] =
    [Limit::Expires, Limit::Inactive, Limit::MinDays, Limit::MaxDays, Limit::WarnDays];

fn limit_name(limit: Limit) -> &'static str {
    match limit {
        Limit::Expires => "expires",
        Limit::Inactive => "inactive",
        Limit::MinDays => "password_min_days",
        Limit::MaxDays => "password_max_days",
        Limit::WarnDays => "password_warn_days",
    }
}

fn limit_shown(limit: Limit, value: Option<i64>) -> String {
    match (limit, value) {
        (_, None) => "never".to_owned(),
        (Limit::Expires, Some(days)) => {
            let (year, month, day) = date_of(days);
            format!("{year:04}-{month:02}-{day:02}")
        }
        (Limit::Inactive | Limit::MinDays | Limit::MaxDays | Limit::WarnDays, Some(days)) => {
            days.to_string()
        }
    }
}

fn limit_of(shadow: &Shadow, limit: Limit) -> Option<i64> {
    match limit {
        Limit::Expires => shadow.expires,
        Limit::Inactive => shadow.inactive,
        Limit::MinDays => shadow.min,
        Limit::MaxDays => shadow.max,
        Limit::WarnDays => shadow.warn,
    }
}

// Observing.

fn look(
    want: &Desired,
    sys: &dyn accounts::Read,
    secrets: &dyn secrets::Read,
) -> Result<State, SystemError> {
    let local = sys.local()?;
    let name = &want.name;
    let present = match &want.state {
        Wanted::Present(present) => Some(&**present),
        Wanted::Absent { .. } => None,
    };
    let found = local.user(name);
    let account = match found {
        None => None,
        Some(user) => Some(Account {
            uid: user.uid,
            gid: user.gid,
            group: sys.group_of(user.gid)?,
            comment: user.comment.clone(),
            home: user.home.clone(),
            shell: user.shell.clone(),
            groups: local
                .groups()
                .iter()
                .filter(|it| it.gid != user.gid)
                .filter(|it| it.members.iter().any(|member| **member == *name.as_str()))
                .map(|it| it.name.clone())
                .collect(),
            shadow: match &local.shadow {
                Ok(all) => Ok(all.get(name).cloned()),
                Err(error) => Err(error.clone()),
            },
        }),
    };
    let elsewhere = if account.is_some() { None } else { sys.uid(name)? };
    let wanted_gid = match present.and_then(|it| it.group.as_ref()) {
        Some(group) => sys.gid(group)?,
        None => None,
    };
    let own_group = match GroupName::parse(name.as_str()) {
        Ok(group) => sys.gid(&group)?.is_some(),
        Err(_) => false,
    };
    let holder = match present.and_then(|it| it.uid) {
        Some(uid) => sys.user_of(uid)?.filter(|it| it != name),
        None => None,
    };
    let (mut missing_groups, mut foreign_groups) = (vec![], vec![]);
    if let Some(Groups::AtLeast(groups) | Groups::Exactly(groups)) =
        present.and_then(|it| it.groups.as_ref())
    {
        for group in groups.iter().filter(|it| local.group(it).is_none()) {
            match sys.gid(group)? {
                Some(_) => foreign_groups.push(group.clone()),
                None => missing_groups.push(group.clone()),
            }
        }
    }
    // The promised one, else the one that it has, else the one that it will get.
    let home = match (present.and_then(|it| it.home.as_ref()), &account) {
        (Some(home), _) => Some(home.clone()),
        (None, Some(account)) => AbsPath::parse(&account.home).ok(),
        (None, None) => AbsPath::parse(&format!("{}/{name}", local.defaults.homes)).ok(),
    };
    let others = || local.users().iter().filter(|it| it.name != *name);
    let homes_within = others()
        .filter(|it| {
            home.as_ref().is_some_and(|home| {
                AbsPath::parse(&it.home).is_ok_and(|theirs| theirs.is_within(home))
            })
        })
        .map(|it| it.name.clone())
        .collect();
    let same_uid = others()
        .filter(|it| account.as_ref().is_some_and(|account| account.uid == it.uid))
        .map(|it| it.name.clone())
        .collect();
    // usermod and userdel refuse what would pull the ground away from under a process.
    let processes = match &account {
        Some(account)
            if present.is_none_or(|it| {
                it.uid.is_some_and(|uid| uid != account.uid)
                    || it.home.as_ref().is_some_and(|home| *home.as_str() != *account.home)
            }) =>
        {
            sys.processes_of(account.uid)?
        }
        Some(_) | None => vec![],
    };
    let shell_there = match present.and_then(|it| it.shell.as_ref()) {
        // It is worth a note and no more.
        Some(shell) => sys.is_program(shell).ok(),
        None => None,
    };
    let hash = present.and_then(|it| it.password_hash.as_ref()).map(|hash| resolve(hash, secrets));
    let keys = match (present.and_then(|it| it.ssh_keys.as_ref()), &home) {
        (Some(_), Some(home)) => Some(sys.keys_file(home, account.as_ref().map(|it| it.uid))),
        (Some(_), None) => Some(Ok(KeysFile::NoHome)),
        (None, _) => None,
    };
    let home = match home {
        Some(home) => {
            let look = sys.home(&home)?;
            Some((home, look))
        }
        None => None,
    };
    Ok(State {
        account,
        elsewhere,
        wanted_gid,
        own_group,
        holder,
        missing_groups,
        foreign_groups,
        home,
        homes_within,
        same_uid,
        processes,
        shell_there,
        hash,
        keys,
        defaults: local.defaults.clone(),
    })
}

/// The hash itself.
fn resolve(hash: &PasswordHash, secrets: &dyn secrets::Read) -> Result<Secret, SystemError> {
    let mut bytes = vec![];
    for piece in &*hash.0.pieces {
        match piece {
            steadfast_model::lower::Piece::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
            steadfast_model::lower::Piece::Secret(name) => {
                bytes.extend_from_slice(secrets.secret(name)?.reveal());
            }
        }
    }
    // A secret in a file mostly ends with a newline.
    let bytes = bytes.trim_ascii_end();
    if !is_hash(bytes) {
        let names: Vec<&str> = hash.0.secrets().map(|it| &**it).collect();
        let words = format!("secret {} is not a password hash", names.join(", "));
        return Err(SystemError::new(ErrorKind::Invalid, words));
    }
    Ok(Secret::new(bytes.to_vec()))
}

// Planning.

/// Whether a new account gets a home.
fn makes_home(present: &Present) -> bool {
    match present.home_state {
        Some(HomeState::Present) => true,
        Some(HomeState::Absent | HomeState::Unmanaged) => false,
        None => !present.system,
    }
}

fn group_shown(group: Option<&GroupName>, gid: u32) -> String {
    group.map_or_else(|| gid.to_string(), GroupName::to_string)
}

fn refuse(difference: &mut Difference<Change>, words: impl Into<String>) {
    difference.obstacles.push(Obstacle::Refused(words.into()));
}

/// An error at looking: what root could have seen is unknown, anything else is in the way.
fn failed_look(difference: &mut Difference<Change>, what: &str, error: &SystemError) {
    let words = format!("{what}: {}", because(error));
    difference.obstacles.push(if error.kind == ErrorKind::PermissionDenied {
        Obstacle::Unknown(words)
    } else {
        Obstacle::Refused(words)
    });
}

fn plan_new(name: &UserName, present: &Present, have: &State) -> Difference<Change> {
    let mut difference = Difference::none();
    let Some((home, look)) = &have.home else {
        return Difference::refused("there is no path for a home: promise `home`");
    };
    if let (Some(uid), Some(holder)) = (present.uid, &have.holder) {
        refuse(&mut difference, format!("uid {uid} belongs to user {holder}"));
    }
    let group = match &present.group {
        Some(group) => {
            if have.wanted_gid.is_none() {
                let missing = Obstacle::Missing(Identity::Group(group.clone()));
                difference.obstacles.push(missing);
            }
            NewPrimary::Group(group.clone())
        }
        None => match GroupName::parse(name.as_str()) {
            Ok(group) if have.own_group => NewPrimary::Group(group),
            Ok(_) | Err(_) => NewPrimary::Own,
        },
    };
    let make_home = makes_home(present);
    let mut has_home = matches!(look.shape, HomeShape::Directory { .. });
    match look.shape {
        HomeShape::Nothing if make_home => {
            has_home = true;
            missing_parent(&mut difference, home, look);
        }
        HomeShape::Nothing => {}
        HomeShape::Directory { uid, .. } => {
            if present.home_state == Some(HomeState::Absent) {
                refuse(&mut difference, format!("{home} is there, and belongs to uid {uid}"));
            } else if make_home {
                difference.notes.push(format!(
                    "{home} is there already and stays as it is, owned by uid {uid}"
                ));
            }
        }
        HomeShape::Other => {
            if make_home {
                refuse(&mut difference, format!("{home} is in the way of the home"));
            }
        }
    }
    note_shell(&mut difference, present, have);
    difference.changes.push(Change::Add(NewUser {
        name: name.clone(),
        uid: present.uid,
        group,
        home: home.clone(),
        make_home,
        shell: present.shell.clone(),
        comment: present.comment.clone(),
        system: present.system,
    }));
    let limits: Vec<_> = present.limits.iter().map(|(limit, to)| (*limit, None, *to)).collect();
    // A new account has no such end unless /etc/default/useradd gives it one.
    if !limits.is_empty() {
        difference.changes.push(Change::Limits { name: name.clone(), limits });
    }
    match (&present.password_hash, &have.hash) {
        (Some(hash), Some(Ok(_))) => difference.changes.push(Change::Password {
            name: name.clone(),
            hash: hash.clone(),
            locked: present.locked == Some(true),
        }),
        (Some(_), Some(Err(error))) => failed_look(&mut difference, "password_hash", error),
        (Some(_) | None, _) => {
            if present.locked == Some(false) {
                difference.changes.push(Change::NoPassword { name: name.clone() });
            }
        }
    }
    let primary = present.group.as_ref().map(GroupName::as_str).unwrap_or(name.as_str());
    plan_groups(&mut difference, name, primary, &[], present, have);
    plan_keys(&mut difference, name, present, have, has_home);
    difference
}

fn plan_existing(
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) -> Difference<Change> {
    let mut difference = Difference::none();
    plan_attributes(&mut difference, name, present, account, have);
    match &account.shadow {
        Ok(shadow) => plan_shadow(&mut difference, name, present, shadow.as_ref(), have),
        Err(error) => {
            if present.password_hash.is_some()
                || present.locked.is_some()
                || !present.limits.is_empty()
            {
                failed_look(&mut difference, "password and its limits", error);
            }
        }
    }
    let primary = match (&present.group, &account.group) {
        (Some(group), _) | (None, Some(group)) => group.as_str(),
        (None, None) => "",
    };
    plan_groups(&mut difference, name, primary, &account.groups, present, have);
    let has_home = plan_home(&mut difference, name, present, account, have);
    plan_keys(&mut difference, name, present, have, has_home);
    difference
}

fn plan_attributes(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) {
    let busy = |difference: &mut Difference<Change>, what: &str| {
        if !have.processes.is_empty() {
            let words = format!("{what} while the user has processes: {}", running(have));
            refuse(difference, words);
        }
    };
    if let Some(uid) = present.uid
        && uid != account.uid
    {
        busy(difference, "the uid cannot change");
        if let Some(holder) = &have.holder {
            refuse(difference, format!("uid {uid} belongs to user {holder}"));
        }
        difference.notes.push(format!(
            "files of uid {} below {} are re-owned, and no others",
            account.uid,
            words(&account.home)
        ));
        difference.changes.push(Change::Uid { name: name.clone(), was: account.uid, uid });
    }
    if let Some(group) = &present.group
        && have.wanted_gid != Some(account.gid)
    {
        if have.wanted_gid.is_none() {
            difference.obstacles.push(Obstacle::Missing(Identity::Group(group.clone())));
        }
        let was = group_shown(account.group.as_ref(), account.gid);
        difference.changes.push(Change::Group { name: name.clone(), was, group: group.clone() });
    }
    if let Some(home) = &present.home
        && *home.as_str() != *account.home
    {
        busy(difference, "the home cannot change");
        if !account.home.is_empty() {
            difference.notes.push(format!("what lies in {} stays there", words(&account.home)));
        }
        let was = account.home.clone();
        difference.changes.push(Change::Home { name: name.clone(), was, home: home.clone() });
    }
    note_shell(difference, present, have);
    if let Some(shell) = &present.shell
        && *shell.as_str() != *account.shell
    {
        let was = account.shell.clone();
        difference.changes.push(Change::Shell { name: name.clone(), was, shell: shell.clone() });
    }
    if let Some(comment) = &present.comment
        && *comment != account.comment
    {
        let was = account.comment.clone();
        let comment = comment.clone();
        difference.changes.push(Change::Comment { name: name.clone(), was, comment });
    }
}

fn plan_shadow(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    shadow: Option<&Shadow>,
    have: &State,
) {
    let limits: Vec<_> = present
        .limits
        .iter()
        .map(|(limit, to)| (*limit, shadow.and_then(|it| limit_of(it, *limit)), *to))
        .filter(|(_, was, to)| was != to)
        .collect();
    if !limits.is_empty() {
        difference.changes.push(Change::Limits { name: name.clone(), limits });
    }
    let locked = shadow.is_some_and(Shadow::is_locked);
    let has_password = shadow.is_some_and(Shadow::has_password);
    match (&present.password_hash, &have.hash) {
        (Some(hash), Some(Ok(wanted))) => {
            if shadow.is_none_or(|it| it.unlocked() != wanted.reveal()) {
                // `!` alone is how a new account begins, and no lock that somebody set.
                let locked = present.locked.unwrap_or(locked && has_password);
                let (name, hash) = (name.clone(), hash.clone());
                difference.changes.push(Change::Password { name, hash, locked });
                return;
            }
        }
        (Some(_), Some(Err(error))) => {
            failed_look(difference, "password_hash", error);
            return;
        }
        (Some(_) | None, _) => {
            if shadow.is_some_and(|it| it.password.reveal().is_empty()) {
                difference.notes.push("it has an empty password".to_owned());
            }
        }
    }
    let name = name.clone();
    match present.locked {
        Some(true) if !locked => difference.changes.push(Change::Lock { name }),
        Some(false) if locked && has_password => difference.changes.push(Change::Unlock { name }),
        Some(false) if locked => difference.changes.push(Change::NoPassword { name }),
        Some(_) | None => {}
    }
}

fn plan_groups(
    difference: &mut Difference<Change>,
    name: &UserName,
    primary: &str,
    current: &[GroupName],
    present: &Present,
    have: &State,
) {
    let Some(groups) = &present.groups else { return };
    let (join, leave): (Vec<&GroupName>, Vec<&GroupName>) = match groups {
        Groups::AtLeast(wanted) => (wanted.iter().collect(), vec![]),
        Groups::Exactly(wanted) => (
            wanted.iter().collect(),
            current.iter().filter(|it| !wanted.contains(it) && it.as_str() != primary).collect(),
        ),
        Groups::Without(unwanted) => {
            if unwanted.iter().any(|it| it.as_str() == primary) {
                refuse(difference, format!("{primary} is the primary group"));
            }
            (vec![], current.iter().filter(|it| unwanted.contains(it)).collect())
        }
    };
    let join: Vec<GroupName> = join
        .into_iter()
        .filter(|it| !current.contains(it) && it.as_str() != primary)
        .cloned()
        .collect();
    for group in &join {
        if have.missing_groups.contains(group) {
            difference.obstacles.push(Obstacle::Missing(Identity::Group(group.clone())));
        }
        if have.foreign_groups.contains(group) {
            let words = format!("group {group} is not in /etc/group: the name service has it");
            refuse(difference, words);
        }
    }
    if !join.is_empty() {
        difference.changes.push(Change::Join { name: name.clone(), groups: join });
    }
    for group in leave {
        difference.changes.push(Change::Leave { name: name.clone(), group: group.clone() });
    }
}

/// Plans the home of an account that is there, and says whether there is one afterwards.
fn plan_home(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) -> bool {
    let Some((home, look)) = &have.home else {
        if present.home_state == Some(HomeState::Present) {
            let words = format!("{} is no path of a home: promise `home`", words(&account.home));
            refuse(difference, words);
        }
        return false;
    };
    // The account of a run that was cut may have come without its home, which `ssh_keys` need.
    let promised = match present.home_state {
        None if !present.system && present.ssh_keys.is_some() => Some(HomeState::Present),
        said => said,
    };
    match (promised, look.shape) {
        (Some(HomeState::Present), HomeShape::Nothing) => {
            missing_parent(difference, home, look);
            difference.changes.push(Change::MakeHome {
                name: name.clone(),
                home: home.clone(),
                umask: have.defaults.home_umask,
            });
            true
        }
        (Some(HomeState::Present), HomeShape::Other) => {
            refuse(difference, format!("{home} is in the way of the home"));
            false
        }
        (Some(HomeState::Absent), HomeShape::Directory { .. } | HomeShape::Other) => {
            let uid = account.uid;
            match not_removable(home, look, uid, have) {
                Some(why) => refuse(difference, why),
                None => {
                    // A new uid owns it by then, where usermod re-owns it.
                    let re_owned = *home.as_str() == *account.home;
                    let uid = present.uid.filter(|_| re_owned).unwrap_or(uid);
                    difference.changes.push(Change::RemoveHome { home: home.clone(), uid });
                }
            }
            false
        }
        (_, HomeShape::Directory { .. }) => true,
        (_, HomeShape::Nothing | HomeShape::Other) => false,
    }
}

fn missing_parent(difference: &mut Difference<Change>, home: &AbsPath, look: &Home) {
    if !look.folder_there
        && let Some(parent) = home.parent()
    {
        difference.obstacles.push(Obstacle::Missing(Identity::Path(parent)));
    }
}

/// Why a home is not the user's own, to be removed with the user.
fn not_removable(home: &AbsPath, look: &Home, uid: u32, have: &State) -> Option<String> {
    let HomeShape::Directory { uid: owner, link } = look.shape else {
        return Some(format!("{home} is no directory, and is not removed"));
    };
    if link {
        return Some(format!("{home} is a symbolic link, and is not removed"));
    }
    if owner != uid || owner == 0 {
        return Some(format!("{home} belongs to uid {owner}, and is not removed"));
    }
    if home.parent().is_none_or(|it| it.parent().is_none()) {
        return Some(format!("{home} is too near to the root, and is not removed"));
    }
    if !have.homes_within.is_empty() {
        return Some(format!("{home} is also the home of {}", listed(&have.homes_within)));
    }
    None
}

fn plan_keys(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    have: &State,
    has_home: bool,
) {
    let (Some(want), Some(found)) = (&present.ssh_keys, &have.keys) else { return };
    let seen = match found {
        Ok(seen) => seen,
        Err(error) => {
            failed_look(difference, "ssh_keys", error);
            return;
        }
    };
    let content: &[u8] = match seen {
        KeysFile::Content(content) => content,
        KeysFile::InTheWay(what) => {
            refuse(difference, format!("{what}, and no file of keys"));
            return;
        }
        KeysFile::Nothing | KeysFile::NoHome => &[],
    };
    match (keys::difference(want, content), &have.home) {
        (Ok(None), _) => {}
        (Ok(Some(new)), Some((home, _))) if has_home => difference.changes.push(Change::Keys {
            name: name.clone(),
            home: home.clone(),
            seen: seen.clone(),
            new,
        }),
        (Ok(Some(_)), _) => {
            refuse(difference, "ssh_keys need a home: promise `home_state: present`");
        }
        (Err(why), Some((home, _))) => {
            refuse(difference, format!("{home}/.ssh/authorized_keys: {why}"));
        }
        (Err(why), None) => refuse(difference, why),
    }
}

fn plan_absent(
    name: &UserName,
    remove_home: bool,
    end_sessions: bool,
    account: &Account,
    have: &State,
) -> Difference<Change> {
    let uid = account.uid;
    if uid == 0 {
        return Difference::refused("it has uid 0, as root has");
    }
    let mut difference = Difference::none();
    if !have.processes.is_empty() {
        if !have.same_uid.is_empty() {
            let words = format!(
                "its uid has processes, and is also that of {}: {}",
                listed(&have.same_uid),
                running(have)
            );
            refuse(&mut difference, words);
        } else if end_sessions {
            let processes = have.processes.len();
            difference.changes.push(Change::EndSessions { name: name.clone(), uid, processes });
        } else {
            let words = format!("the user has processes: {}", running(have));
            refuse(&mut difference, words);
        }
    }
    if let Some((home, look)) = &have.home {
        match (remove_home, look.shape) {
            (_, HomeShape::Nothing) => {}
            (true, HomeShape::Directory { .. } | HomeShape::Other) => {
                match not_removable(home, look, uid, have) {
                    Some(why) => refuse(&mut difference, why),
                    // Before the account: what is left half done is then found again.
                    None => {
                        difference.changes.push(Change::RemoveHome { home: home.clone(), uid });
                    }
                }
            }
            (false, HomeShape::Directory { .. } | HomeShape::Other) => {
                difference.notes.push(format!("its home stays: {home}"));
            }
        }
    }
    if have.defaults.user_groups
        && account.group.as_ref().is_some_and(|it| it.as_str() == name.as_str())
    {
        difference.notes.push(format!("group {name} goes with it where nobody else is in it"));
    }
    difference.changes.push(Change::Remove { name: name.clone(), uid });
    difference
}

fn running(have: &State) -> String {
    let shown: Vec<String> =
        have.processes.iter().map(|it| format!("{} (pid {})", it.name, it.pid)).collect();
    listed(&shown)
}

fn note_shell(difference: &mut Difference<Change>, present: &Present, have: &State) {
    if let (Some(shell), Some(false)) = (&present.shell, have.shell_there) {
        difference.notes.push(format!("{shell} is no program on this machine now"));
    }
}

// Acting.

fn apply(change: &Change, sys: &dyn Actuate) -> Result<(), SystemError> {
    match change {
        Change::EndSessions { name, uid, processes: _ } => sys.end_processes(name, *uid),
        Change::Add(user) => sys.add_user(user),
        Change::Uid { name, was: _, uid } => sys.set_attribute(name, &Attribute::Uid(*uid)),
        Change::Group { name, was: _, group } => {
            sys.set_attribute(name, &Attribute::Group(group.clone()))
        }
        Change::Home { name, was: _, home } => {
            sys.set_attribute(name, &Attribute::Home(home.clone()))
        }
        Change::Shell { name, was: _, shell } => {
            sys.set_attribute(name, &Attribute::Shell(shell.clone()))
        }
        Change::Comment { name, was: _, comment } => {
            sys.set_attribute(name, &Attribute::Comment(comment.clone()))
        }
        Change::Limits { name, limits } => {
            let limits: Vec<_> = limits.iter().map(|(limit, _, to)| (*limit, *to)).collect();
            sys.set_limits(name, &limits)
        }
        Change::Password { name, hash, locked } => {
            let hash = resolve(hash, sys.as_probe())?;
            let mut field = if *locked { b"!".to_vec() } else { vec![] };
            field.extend_from_slice(hash.reveal());
            sys.set_password(name, &Secret::new(field))
        }
        Change::NoPassword { name } => sys.set_password(name, &Secret::new(b"*".to_vec())),
        Change::Lock { name } => sys.lock(name),
        Change::Unlock { name } => sys.unlock(name),
        Change::Join { name, groups } => sys.join_groups(name, groups),
        Change::Leave { name, group } => sys.remove_member(group, name.as_str()),
        Change::MakeHome { name, home: _, umask } => sys.make_home(name, *umask),
        Change::RemoveHome { home, uid } => sys.remove_home(home, *uid),
        Change::Keys { name, home, seen, new } => sys.write_keys(name, home, seen, &new.content),
        Change::Remove { name, uid: _ } => sys.remove_user(name),
    }
}

/// Promises of users and of groups' members that cannot both be kept: the indexes of the two, and why.
pub fn contradictions(
    users: &[&Desired],
    members: &[&members::Desired],
) -> Vec<(usize, usize, String)> {
    let mut found = vec![];
    for (user_at, user) in users.iter().enumerate() {
        for (members_at, members) in members.iter().enumerate() {
            if let Some(why) = contradiction(user, members) {
                found.push((user_at, members_at, why));
            }
        }
    }
    found
}

fn contradiction(user: &Desired, members: &members::Desired) -> Option<String> {
    let (name, group) = (&user.name, &members.group);
    let is_member = members.names.contains(name);
    let present = match &user.state {
        Wanted::Present(present) => present,
        Wanted::Absent { .. } => {
            return is_member.then(|| {
                format!("user {name} is promised absent, and group {group} is to have that member")
            });
        }
    };
    // The primary group needs no line in the list of members.
    let primary = present.group.as_ref().map_or(name.as_str(), GroupName::as_str);
    if primary == group.as_str() {
        return None;
    }
    let is_in_list = |groups: &[GroupName]| groups.contains(group);
    let excluded = match &present.groups {
        Some(Groups::Exactly(groups)) => !is_in_list(groups),
        Some(Groups::Without(groups)) => is_in_list(groups),
        Some(Groups::AtLeast(_)) | None => false,
    };
    if is_member && excluded {
        return Some(format!(
            "group {group} is to have the member {name}, and user {name} is not to be in it"
        ));
    }
    let included = match &present.groups {
        Some(Groups::AtLeast(groups) | Groups::Exactly(groups)) => is_in_list(groups),
        Some(Groups::Without(_)) | None => false,
    };
    (included && members.exactly && !is_member).then(|| {
        format!("user {name} is to be in group {group}, which is to have exactly other members")
    })
}

#[cfg(test)]
mod tests;

//! What can be done to a user.

use super::desired::PasswordHash;
use super::keys::NewKeys;
use super::limits::{limit_name, limit_shown};
use crate::account_files;
use crate::identity::Identity;
use std::fmt;
use std::sync::Arc;
use steadfast_system::accounts::{KeysFile, Limit, NewPrimary, NewUser};
use steadfast_system::{AbsPath, GroupName, UserName};

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
        /// How many things are in it, where that is known.
        count: Option<u64>,
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

impl Change {
    /// The files of all accounts that the tool has to replace for it.
    pub(super) fn files(&self) -> &'static [&'static str] {
        match self {
            Change::Add(_) | Change::Remove { .. } => account_files::ALL,
            Change::Uid { .. }
            | Change::Group { .. }
            | Change::Home { .. }
            | Change::Shell { .. }
            | Change::Comment { .. }
            | Change::Limits { .. }
            | Change::Password { .. }
            | Change::NoPassword { .. }
            | Change::Lock { .. }
            | Change::Unlock { .. } => account_files::OF_USERS,
            Change::Join { .. } => account_files::OF_USERS_AND_MEMBERS,
            Change::Leave { .. } => account_files::OF_MEMBERS,
            Change::EndSessions { .. }
            | Change::MakeHome { .. }
            | Change::RemoveHome { .. }
            | Change::Keys { .. } => &[],
        }
    }

    /// What it makes free for a later step.
    pub(super) fn frees(&self) -> Vec<Identity> {
        match self {
            Change::Remove { name, uid } => vec![
                Identity::uid(*uid, name),
                Identity::primary_of(name),
                Identity::own_group(name.as_str()),
            ],
            Change::Uid { name, was, uid: _ } => vec![Identity::uid(*was, name)],
            Change::Group { name, .. } => vec![Identity::primary_of(name)],
            Change::EndSessions { .. }
            | Change::Add(_)
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
            | Change::Keys { .. } => vec![],
        }
    }

    /// Whether the user can make it fail, or take it back at once: by a process, below the home, or with
    /// chsh, chfn and passwd.
    pub(super) fn may_be_thwarted(&self) -> bool {
        match self {
            Change::EndSessions { .. }
            | Change::Uid { .. }
            | Change::Home { .. }
            | Change::Shell { .. }
            | Change::Comment { .. }
            | Change::Password { .. }
            | Change::RemoveHome { .. }
            | Change::Keys { .. }
            | Change::Remove { .. } => true,
            Change::Add(_)
            | Change::Group { .. }
            | Change::Limits { .. }
            | Change::NoPassword { .. }
            | Change::Lock { .. }
            | Change::Unlock { .. }
            | Change::Join { .. }
            | Change::Leave { .. }
            | Change::MakeHome { .. } => false,
        }
    }

    /// The home that it makes.
    pub(super) fn home(&self) -> Option<&AbsPath> {
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
            Change::Add(user) => add_line(f, user),
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
                let shown = |(limit, was, to): &(Limit, Option<i64>, Option<i64>)| {
                    let (was, to) = (limit_shown(*limit, *was), limit_shown(*limit, *to));
                    format!("{} {was} -> {to}", limit_name(*limit))
                };
                let limits: Vec<String> = limits.iter().map(shown).collect();
                write!(f, "set {}", limits.join(", "))
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
            Change::Leave { name: _, group } => write!(f, "remove from {group}"),
            Change::MakeHome { name: _, home, umask: _ } => write!(f, "make home {home}"),
            Change::RemoveHome { home, uid: _, count: _ } => {
                write!(f, "remove home {home} with all that is in it")
            }
            Change::Keys { name: _, home, seen, new } => {
                let (added, removed) = (new.added.len(), new.removed);
                write!(f, "write {home}/.ssh/authorized_keys (+{added} -{removed} keys")?;
                match seen {
                    KeysFile::Unfit { content: _, why } => write!(f, "; {why})"),
                    KeysFile::NoHome
                    | KeysFile::Nothing
                    | KeysFile::Content(_)
                    | KeysFile::InTheWay(_) => f.write_str(")"),
                }
            }
            Change::Remove { name: _, uid } => write!(f, "remove user (uid {uid})"),
        }
    }
}

/// `add user (group users, home /home/deploy, shell /bin/bash)`
fn add_line(f: &mut fmt::Formatter<'_>, user: &NewUser) -> fmt::Result {
    let NewUser { name, uid, group, home, make_home, shell, comment, system } = user;
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

/// What was in a file, in quotes where it could be taken for our own words.
pub(super) fn words(text: &str) -> String {
    if text.is_empty() || text.contains(char::is_whitespace) || text.contains(char::is_control) {
        format!("\"{}\"", steadfast_system::text::safe(text))
    } else {
        text.to_owned()
    }
}

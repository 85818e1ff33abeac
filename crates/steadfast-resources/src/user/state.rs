//! What the machine shows of a user.

use crate::account_files::Forbids;
use crate::kind::Refusal;
use std::sync::Arc;
use steadfast_system::accounts::{Defaults, Home, KeysFile, Process, Shadow};
use steadfast_system::secrets::Secret;
use steadfast_system::{AbsPath, GroupName, SystemError, UserName};

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub account: Option<Account>,
    /// The uid that the name service knows, where /etc/passwd has no such user.
    pub elsewhere: Option<u32>,
    /// The gid of the promised primary group, where it is there.
    pub wanted_gid: Option<u32>,
    /// Where there is no account: whether there is a group of its name.
    pub own_group: bool,
    pub forbids: Forbids,
    /// Why the file of keys cannot be replaced.
    pub keys_barred: Option<Refusal>,
    /// Of the promised groups, those that stand in a file more than once, with that file.
    pub repeated_groups: Vec<(GroupName, &'static str)>,
    /// Other users who have the promised uid.
    pub holders: Vec<UserName>,
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
    /// How many things are in the home of a user whose home is to go; none where nobody can tell.
    pub in_home: Option<u64>,
    /// What stays of a user who is to go, beside the home.
    pub left: Vec<AbsPath>,
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

pub(super) fn group_shown(group: Option<&GroupName>, gid: u32) -> String {
    group.map_or_else(|| gid.to_string(), GroupName::to_string)
}

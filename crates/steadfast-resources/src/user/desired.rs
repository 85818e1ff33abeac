//! What is promised of a user.

use super::keys::Keys;
use crate::account_files;
use crate::made::Made;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use steadfast_model::Rendered;
use steadfast_system::accounts::Limit;
use steadfast_system::{AbsPath, GroupName, UserName};

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

impl Desired {
    /// Whether a home that is there is to go.
    pub(super) fn removes_home(&self) -> bool {
        match &self.state {
            Wanted::Absent { remove_home, end_sessions: _ } => *remove_home,
            Wanted::Present(present) => present.home_state == Some(HomeState::Absent),
        }
    }

    pub(super) fn says_keys(&self) -> bool {
        match &self.state {
            Wanted::Absent { .. } => true,
            Wanted::Present(wanted) => wanted.ssh_keys.is_some(),
        }
    }

    pub(super) fn has_keys_exactly(&self) -> bool {
        match &self.state {
            Wanted::Absent { .. } => false,
            Wanted::Present(wanted) => matches!(wanted.ssh_keys, Some(Keys::Exactly(_))),
        }
    }

    /// Whether it says of this group whether the user is in it.
    pub(super) fn decides(&self, group: &GroupName) -> bool {
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

impl Present {
    /// Whether a new account gets a home.
    pub(super) fn makes_home(&self) -> bool {
        match self.home_state {
            Some(HomeState::Present) => true,
            Some(HomeState::Absent | HomeState::Unmanaged) => false,
            None => !self.system,
        }
    }
}

/// A user that is promised has a home, mail that waits, and keys where these are promised.
pub(super) fn makes(want: &Desired) -> Vec<Made> {
    let user = want.name.clone();
    let Wanted::Present(present) = &want.state else { return vec![Made::Nobody(user)] };
    let home = present.home.clone();
    let mail = ["/var/mail", "/var/spool/mail"];
    let mail = mail.iter().filter_map(|it| AbsPath::parse(it).ok()?.join(user.as_str()).ok());
    let mut made: Vec<Made> = account_files::shared().collect();
    made.extend(mail.map(|path| Made::Mail { user: user.clone(), path }));
    match present.home_state {
        Some(HomeState::Present) | None => {
            made.push(Made::Home { user: user.clone(), home: home.clone() });
        }
        Some(HomeState::Absent) => made.push(Made::Nobody(user.clone())),
        Some(HomeState::Unmanaged) => {}
    }
    if present.ssh_keys.is_some() {
        made.push(Made::Keys { user, home });
    }
    made
}

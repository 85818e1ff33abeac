//! Users and groups: what may be asked about them and what may be done to them.
//!
//! What is promised are the *local* accounts, those of /etc/passwd and /etc/group. Names that are only
//! referred to (owners, members) may also come from the name service.

pub mod at_once;
pub(crate) mod cache;
pub mod fitness;
mod host;
mod parse;

use crate::secrets::Secret;
use crate::{AbsPath, ErrorKind, GroupName, SystemError, UserName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

/// A line of /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: UserName,
    pub uid: u32,
    pub gid: u32,
    pub comment: Arc<str>,
    /// As it stands there: it may be empty or no path at all.
    pub home: Arc<str>,
    pub shell: Arc<str>,
}

/// A line of /etc/group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: GroupName,
    pub gid: u32,
    /// As they stand there: they need not exist, and need not be names that we would accept.
    pub members: Vec<Arc<str>>,
}

/// A line of /etc/shadow. Numbers are days; none where the field is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    pub password: Secret,
    /// When the password was last changed, in days since 1970.
    pub changed: Option<i64>,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub warn: Option<i64>,
    pub inactive: Option<i64>,
    /// In days since 1970.
    pub expires: Option<i64>,
}

impl Shadow {
    /// Whether the password is locked: `!` stands before it.
    pub fn is_locked(&self) -> bool {
        self.password.reveal().starts_with(b"!")
    }

    /// The password field without its lock.
    pub fn unlocked(&self) -> &[u8] {
        let field = self.password.reveal();
        let locks = field.iter().take_while(|it| **it == b'!').count();
        &field[locks..]
    }

    /// Whether a password is set, locked or not.
    pub fn has_password(&self) -> bool {
        !matches!(self.unlocked(), b"" | b"*")
    }
}

/// What new accounts get where nothing is said: from /etc/login.defs and /etc/default/useradd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Whether userdel takes the group of the user's name away with the user.
    pub user_groups: bool,
    /// The umask for a new home.
    pub home_umask: u16,
    /// The directory of homes.
    pub homes: Arc<str>,
    /// What a new home is filled with.
    pub skeleton: Arc<str>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            user_groups: false,
            home_umask: 0o022,
            homes: Arc::from("/home"),
            skeleton: Arc::from("/etc/skel"),
        }
    }
}

/// Names that more than one line of a file has, each with that file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeated {
    pub users: BTreeMap<Arc<str>, &'static str>,
    pub groups: BTreeMap<Arc<str>, &'static str>,
}

/// The local accounts at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    users: Vec<User>,
    groups: Vec<Group>,
    user_index: HashMap<UserName, usize>,
    group_index: HashMap<GroupName, usize>,
    /// Names that more than one line of a file has, with that file: the shadow tools refuse to change these.
    repeated: Repeated,
    /// Why it is not known, where it is not: only root may read it.
    pub shadow: Result<BTreeMap<UserName, Shadow>, SystemError>,
    pub defaults: Defaults,
}

impl Local {
    pub fn new(
        users: Vec<User>,
        groups: Vec<Group>,
        shadow: Result<BTreeMap<UserName, Shadow>, SystemError>,
        defaults: Defaults,
    ) -> Local {
        // Of two lines with one name, the first is the one that everybody finds.
        let mut user_index = HashMap::new();
        for (at, user) in users.iter().enumerate() {
            user_index.entry(user.name.clone()).or_insert(at);
        }
        let mut group_index = HashMap::new();
        for (at, group) in groups.iter().enumerate() {
            group_index.entry(group.name.clone()).or_insert(at);
        }
        let repeated = Repeated::default();
        Local { users, groups, user_index, group_index, repeated, shadow, defaults }
    }

    #[must_use]
    pub fn with_repeated(self, repeated: Repeated) -> Local {
        Local { repeated, ..self }
    }

    /// The file that has several lines of this user, where one has.
    pub fn repeats_user(&self, name: &UserName) -> Option<&'static str> {
        self.repeated.users.get(name.as_str()).copied()
    }

    /// The same of a group.
    pub fn repeats_group(&self, name: &GroupName) -> Option<&'static str> {
        self.repeated.groups.get(name.as_str()).copied()
    }

    /// In the order of the file.
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// In the order of the file.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn user(&self, name: &UserName) -> Option<&User> {
        self.user_index.get(name).and_then(|at| self.users.get(*at))
    }

    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.group_index.get(name).and_then(|at| self.groups.get(*at))
    }

    pub fn user_with(&self, uid: u32) -> Option<&User> {
        self.users.iter().find(|it| it.uid == uid)
    }

    pub fn group_with(&self, gid: u32) -> Option<&Group> {
        self.groups.iter().find(|it| it.gid == gid)
    }
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// What it calls itself, without control characters.
    pub name: Arc<str>,
}

/// What is at the path of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    pub folder: HomeFolder,
    pub shape: HomeShape,
}

/// The directory that a home lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HomeFolder {
    Missing,
    /// Only root can put something there.
    Closed,
    /// Others can: they can swap what is there at any moment.
    Open,
    /// A symbolic link leads there that others can swap, so nothing is done there; the words say which.
    Unsafe(Arc<str>),
}

impl HomeFolder {
    /// Whether others than root can put something else in the place of the home.
    pub fn is_open(&self) -> bool {
        match self {
            HomeFolder::Open | HomeFolder::Unsafe(_) => true,
            HomeFolder::Missing | HomeFolder::Closed => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeShape {
    Nothing,
    Directory {
        uid: u32,
        /// Whether the path itself is a symbolic link to that directory.
        link: bool,
    },
    Other,
}

/// What is at `.ssh/authorized_keys` below a home.
#[derive(Clone, PartialEq, Eq)]
pub enum KeysFile {
    /// There is no home for it to lie in.
    NoHome,
    /// There is a home, and no such file in it.
    Nothing,
    Content(Arc<[u8]>),
    /// There is something, and not as the file of a user's keys is promised to be: what it is, whose it is, or who
    /// may write or read it.
    Unfit {
        /// None where somebody else may have written it, or the user must not come to read it: it is kept
        /// beside the file that is written.
        content: Option<Arc<[u8]>>,
        why: Arc<str>,
    },
    /// There cannot be one, because of what stands in the place of its directory.
    InTheWay(Arc<str>),
}

impl KeysFile {
    /// One whose keys are not taken over.
    pub fn unfit(why: impl Into<Arc<str>>) -> KeysFile {
        KeysFile::Unfit { content: None, why: why.into() }
    }
}

impl fmt::Debug for KeysFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeysFile::NoHome => f.write_str("NoHome"),
            KeysFile::Nothing => f.write_str("Nothing"),
            // A user's own file: options may hold what is nobody else's business.
            KeysFile::Content(content) => write!(f, "Content({} bytes)", content.len()),
            KeysFile::Unfit { content: Some(content), why } => {
                write!(f, "Unfit({} bytes, {why})", content.len())
            }
            KeysFile::Unfit { content: None, why } => write!(f, "Unfit({why})"),
            KeysFile::InTheWay(what) => write!(f, "InTheWay({what})"),
        }
    }
}

/// What may be asked.
pub trait Read: fmt::Debug {
    /// The uid of a user by name, as chown would find it (local files first, then the name service);
    /// none where there is no such user.
    fn uid(&self, name: &UserName) -> Result<Option<u32>, SystemError>;

    /// The gid of a group by name; none where there is no such group.
    fn gid(&self, name: &GroupName) -> Result<Option<u32>, SystemError>;

    /// Names for ids, for what people read; none where nobody has it.
    fn user_of(&self, uid: u32) -> Result<Option<UserName>, SystemError>;
    fn group_of(&self, gid: u32) -> Result<Option<GroupName>, SystemError>;

    /// The local accounts as they are now. Read once, and again where the files have changed.
    fn local(&self) -> Result<Arc<Local>, SystemError>;

    /// The processes that run as this user, those in containers with a root of their own left out.
    fn processes_of(&self, uid: u32) -> Result<Vec<Process>, SystemError>;

    /// What is at the paths of homes, in their order.
    fn homes(&self, paths: &[&AbsPath]) -> Vec<Result<Home, SystemError>>;

    fn home(&self, path: &AbsPath) -> Result<Home, SystemError> {
        let silence = || SystemError::new(ErrorKind::Other, "the look gave no answer");
        self.homes(&[path]).pop().unwrap_or_else(|| Err(silence()))
    }

    /// The keys file of a home, and whether it is fit to be that of the user with this uid, where there is one
    /// already. Below the home no link is followed, and only a regular file of 1 MiB at most is read, which
    /// has no other name and is the user's, or root's for everybody to read: another's file could have been
    /// linked or moved there to be read.
    fn keys_file(&self, home: &AbsPath, user: Option<u32>) -> Result<KeysFile, SystemError>;

    /// Whether a program that may be run is at this path.
    fn is_program(&self, path: &AbsPath) -> Result<bool, SystemError>;
}

/// A group to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    pub name: GroupName,
    pub gid: Option<u32>,
    pub system: bool,
}

/// The primary group of an account to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewPrimary {
    /// This one, which is there.
    Group(GroupName),
    /// One of the user's name, made with the user.
    Own,
}

/// An account to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    pub name: UserName,
    pub uid: Option<u32>,
    pub group: NewPrimary,
    pub home: AbsPath,
    /// Whether the home itself is made too, from the skeleton.
    pub make_home: bool,
    pub shell: Option<AbsPath>,
    pub comment: Option<Arc<str>>,
    pub system: bool,
}

/// One field of a line of /etc/passwd, with what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// The files below the home that belong to the user are re-owned, and nothing else. The tool goes there by
    /// its path, so not where others could swap what is on the way.
    Uid(u32),
    Group(GroupName),
    /// The entry only: nothing is moved.
    Home(AbsPath),
    Shell(AbsPath),
    Comment(Arc<str>),
}

/// A limit in /etc/shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// In days since 1970.
    Expires,
    Inactive,
    MinDays,
    MaxDays,
    WarnDays,
}

/// What may be done. One at a time. Files of accounts are written by the shadow tools alone, which
/// lock them and replace them as a whole.
pub trait Write {
    fn add_group(&self, group: &NewGroup) -> Result<(), SystemError>;
    /// Users whose primary group it is keep it as that; files are not re-owned.
    fn set_gid(&self, group: &GroupName, gid: u32) -> Result<(), SystemError>;
    fn remove_group(&self, group: &GroupName) -> Result<(), SystemError>;
    fn add_member(&self, group: &GroupName, user: &UserName) -> Result<(), SystemError>;
    /// `member` is as it stands in the file.
    fn remove_member(&self, group: &GroupName, member: &str) -> Result<(), SystemError>;

    fn add_user(&self, user: &NewUser) -> Result<(), SystemError>;
    fn set_attribute(&self, user: &UserName, attribute: &Attribute) -> Result<(), SystemError>;
    /// None takes the limit away. All in one step.
    fn set_limits(
        &self,
        user: &UserName,
        limits: &[(Limit, Option<i64>)],
    ) -> Result<(), SystemError>;
    /// The whole password field: a hash, `!` and a hash, or `*`.
    fn set_password(&self, user: &UserName, field: &Secret) -> Result<(), SystemError>;
    fn lock(&self, user: &UserName) -> Result<(), SystemError>;
    fn unlock(&self, user: &UserName) -> Result<(), SystemError>;
    fn join_groups(&self, user: &UserName, groups: &[GroupName]) -> Result<(), SystemError>;
    /// Makes the home that /etc/passwd names, from the skeleton, where nothing is there.
    fn make_home(&self, user: &UserName, umask: u16) -> Result<(), SystemError>;
    /// Removes a directory with all below it, on its file system only; it must be owned by `uid`.
    fn remove_home(&self, path: &AbsPath, uid: u32) -> Result<(), SystemError>;
    /// Ends the sessions and all processes of a user: asked first, killed after ten seconds.
    fn end_processes(&self, user: &UserName, uid: u32) -> Result<(), SystemError>;
    /// The account alone.
    fn remove_user(&self, user: &UserName) -> Result<(), SystemError>;
    /// Replaces the keys file below `home` with the rights that the user has, or as root where only root can
    /// write. It becomes the user's, with the mode 0600. `seen` is what it was when the decision was made.
    fn write_keys(
        &self,
        user: &UserName,
        home: &AbsPath,
        seen: &KeysFile,
        content: &[u8],
    ) -> Result<(), SystemError>;
}

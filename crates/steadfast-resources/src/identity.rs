//! What a promise is about, as a thing on the machine.

use std::fmt::{self, Display};
use std::sync::Arc;
use steadfast_system::{AbsPath, GroupName, PackageName, UnitName, UserName};

/// A thing on the machine that a promise is about. Two promises that claim one thing are an error of
/// the model. A file, a directory and a link at one path are one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    Package(PackageName),
    Group(GroupName),
    User(UserName),
    Path(AbsPath),
    Unit(UnitName),
    Setting(Setting),
}

/// One value of the machine itself, which is no file, account or unit: what the kernel holds in memory. Its
/// kind looks after it, and knows it by the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setting {
    /// As in [`Kind::NAME`](crate::Kind::NAME).
    pub kind: Arc<str>,
    pub name: Arc<str>,
}

impl Setting {
    pub fn new(kind: &str, name: &str) -> Setting {
        Setting { kind: kind.into(), name: name.into() }
    }
}

impl Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.name, self.kind)
    }
}

impl Identity {
    /// The unit whose file this one has, if it is an instance of a template.
    pub fn template(&self) -> Option<Identity> {
        let Identity::Unit(unit) = self else { return None };
        UnitName::parse(&unit.template()?).ok().map(Identity::Unit)
    }

    /// The one name of this thing, whatever names it has; `native` is the architecture of the machine, where
    /// that is known.
    #[must_use]
    pub fn usual(self, native: Option<&str>) -> Identity {
        match (self, native) {
            (Identity::Package(name), Some(native)) => Identity::Package(name.usual(native)),
            (Identity::Path(path), _) => Identity::Path(path.usual()),
            (
                it @ (Identity::Package(_)
                | Identity::Group(_)
                | Identity::User(_)
                | Identity::Unit(_)
                | Identity::Setting(_)),
                _,
            ) => it,
        }
    }

    /// The hold that a user has on a number: several may have one and the same.
    pub fn uid(uid: u32, of: &UserName) -> Identity {
        Identity::Setting(Setting::new("uid", &format!("{uid} of {of}")))
    }

    /// The hold that a group has on a number.
    pub fn gid(gid: u32, of: &GroupName) -> Identity {
        Identity::Setting(Setting::new("gid", &format!("{gid} of {of}")))
    }

    /// The hold that a user has on the group that is their primary one.
    pub fn primary_of(user: &UserName) -> Identity {
        Identity::Setting(Setting::new("primary group", user.as_str()))
    }

    /// The group of a user's name, which goes with the user.
    pub fn own_group(name: &str) -> Identity {
        Identity::Setting(Setting::new("own group", name))
    }

    /// The path, if it is one.
    pub fn as_path(&self) -> Option<&AbsPath> {
        if let Identity::Path(path) = self { Some(path) } else { None }
    }
}

impl Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Package(name) => write!(f, "package {name}"),
            Identity::Group(name) => write!(f, "group {name}"),
            Identity::User(name) => write!(f, "user {name}"),
            Identity::Path(path) => write!(f, "{path}"),
            Identity::Unit(name) => write!(f, "unit {name}"),
            Identity::Setting(setting) => setting.fmt(f),
        }
    }
}

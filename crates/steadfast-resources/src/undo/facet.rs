//! What can be undone, one by one, and what a promise says of it.

use crate::identity::{Identity, Setting};
use std::fmt;
use std::sync::Arc;
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
    Setting(Setting),
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
            Facet::Setting(setting) => vec![Identity::Setting(setting.clone())],
        }
    }

    /// The path, if it is one.
    pub fn as_path(&self) -> Option<&AbsPath> {
        if let Facet::Path(path) = self { Some(path) } else { None }
    }

    /// The unit, if it is about whether one runs or is enabled.
    pub fn as_unit(&self) -> Option<&UnitName> {
        if let Facet::Running(unit) | Facet::Enabled(unit) = self { Some(unit) } else { None }
    }

    /// The group, if it is one.
    pub fn as_group(&self) -> Option<&GroupName> {
        if let Facet::Group(name) = self { Some(name) } else { None }
    }

    /// The setting, if it is one that this kind looks after.
    pub fn as_setting(&self, kind: &str) -> Option<&Setting> {
        if let Facet::Setting(setting) = self
            && *setting.kind == *kind
        {
            Some(setting)
        } else {
            None
        }
    }

    /// The user, if it is one.
    pub fn as_user(&self) -> Option<&UserName> {
        if let Facet::User(name) = self { Some(name) } else { None }
    }
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
            Facet::Setting(setting) => setting.fmt(f),
        }
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

    /// Everything or nothing, as of what has no parts.
    pub fn all_if(says: bool) -> Says {
        if says { Says::ALL } else { Says::default() }
    }

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

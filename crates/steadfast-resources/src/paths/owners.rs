//! Whose something is: the names that are promised, and what the machine knows by them.

use crate::fact::Fact;
use crate::identity::Identity;
use crate::mode::Wish;
use crate::undo::Says;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use steadfast_model::{Fields, codes};
use steadfast_system::files::{Attributes, Entry, Folder};
use steadfast_system::{AbsPath, GroupName, Probe, SystemError, UserName};

/// What all three kinds may say about whose it is. (A link has no mode.)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Owners {
    pub owner: Option<UserName>,
    pub group: Option<GroupName>,
}

impl Owners {
    pub fn lower(fields: &mut Fields<'_, '_, '_>) -> Owners {
        Owners {
            owner: fields.parsed("owner", codes::BAD_NAME, UserName::parse),
            group: fields.parsed("group", codes::BAD_NAME, GroupName::parse),
        }
    }

    /// The names that something new is told by.
    #[must_use]
    pub fn of_new(&self, inherits: Option<&Inherited>) -> Owners {
        let group = self.group.clone().or_else(|| inherits?.name.clone());
        Owners { owner: self.owner.clone(), group }
    }

    /// What a promise with this mode says of a path.
    pub fn says(&self, content: bool, mode: Option<&Wish>) -> Says {
        Says {
            content,
            owner: self.owner.is_some(),
            group: self.group.is_some(),
            mode: mode.is_some_and(Wish::is_exact),
        }
    }

    /// The directory, the owner and the group, as needs of what is at the path.
    pub fn uses(&self, path: &AbsPath) -> Vec<Identity> {
        let parent = path.parent().map(Identity::Path);
        let owner = self.owner.clone().map(Identity::User);
        let group = self.group.clone().map(Identity::Group);
        parent.into_iter().chain(owner).chain(group).collect()
    }
}

pub fn lower_mode(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Wish> {
    fields.parsed(key, codes::BAD_MODE, Wish::parse)
}

/// A promised owner or group as the machine knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Who {
    /// Nothing is promised about it.
    #[default]
    Unsaid,
    Id(u32),
    /// There is nobody of this name.
    Missing,
}

impl Who {
    pub fn id(self) -> Option<u32> {
        match self {
            Who::Id(id) => Some(id),
            Who::Unsaid | Who::Missing => None,
        }
    }

    fn from_found(found: Option<u32>) -> Who {
        found.map_or(Who::Missing, Who::Id)
    }
}

/// Both, for one promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    pub owner: Who,
    pub group: Who,
}

impl Ids {
    /// What is missing of what is promised.
    pub fn missing(self, owners: &Owners) -> Vec<Identity> {
        let owner = owners.owner.clone().filter(|_| self.owner == Who::Missing);
        let group = owners.group.clone().filter(|_| self.group == Who::Missing);
        owner.map(Identity::User).into_iter().chain(group.map(Identity::Group)).collect()
    }

    /// Whose something new becomes: root's and its group, or the directory's where that is setgid.
    pub fn of_new(self, inherits: Option<&Inherited>) -> (u32, u32) {
        let inherited = inherits.map_or(0, |it| it.gid);
        (self.owner.id().unwrap_or(0), self.group.id().unwrap_or(inherited))
    }
}

/// The group that something new gets from its directory, which is setgid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    pub gid: u32,
    /// Where the machine has a name for it, or gets one in this run.
    pub name: Option<GroupName>,
}

impl Inherited {
    /// From this directory.
    pub fn from_folder(folder: &Folder, name: Option<GroupName>) -> Option<Inherited> {
        (folder.mode.0 & 0o2000 != 0).then_some(Inherited { gid: folder.gid, name })
    }
}

/// Names that have been looked up in one batch.
#[derive(Debug, Default)]
pub struct Accounts {
    users: BTreeMap<UserName, Result<Option<u32>, SystemError>>,
    groups: BTreeMap<GroupName, Result<Option<u32>, SystemError>>,
    names: BTreeMap<u32, Option<GroupName>>,
}

impl Accounts {
    /// The name of the group that a setgid directory hands on.
    pub fn group_of(&mut self, entry: &Entry, sys: &dyn Probe) -> Option<GroupName> {
        let folder = Folder { uid: entry.uid, gid: entry.gid, mode: entry.mode, open: false };
        self.inherited(Some(&folder), sys)?.name
    }

    /// What something new in this directory gets from it.
    pub fn inherited(&mut self, folder: Option<&Folder>, sys: &dyn Probe) -> Option<Inherited> {
        Inherited::from_folder(folder?, None).map(|it| {
            // A name is for people only.
            let find = || sys.group_of(it.gid).ok().flatten();
            Inherited { name: self.names.entry(it.gid).or_insert_with(find).clone(), ..it }
        })
    }

    pub fn ids(&mut self, owners: &Owners, sys: &dyn Probe) -> Result<Ids, SystemError> {
        let owner = match &owners.owner {
            None => Who::Unsaid,
            Some(name) => {
                let found = self.users.entry(name.clone()).or_insert_with(|| sys.uid(name));
                Who::from_found(found.clone()?)
            }
        };
        let group = match &owners.group {
            None => Who::Unsaid,
            Some(name) => {
                let found = self.groups.entry(name.clone()).or_insert_with(|| sys.gid(name));
                Who::from_found(found.clone()?)
            }
        };
        Ok(Ids { owner, group })
    }
}

/// A number where no name is known; root is 0 everywhere.
fn id(id: u32) -> String {
    if id == 0 { "root".to_owned() } else { id.to_string() }
}

pub(super) fn named(name: Option<&str>, number: u32) -> String {
    name.map_or_else(|| id(number), str::to_owned)
}

/// What an entry has now and gets, where that differs.
pub fn attributes(from: &Attributes, to: &Attributes, names: &Owners) -> Vec<Fact> {
    let mut facts = vec![];
    if let (Some(to), Some(from)) = (to.mode, from.mode)
        && to != from
    {
        facts.push(Fact::set("mode", from, to));
    }
    if let (Some(to), Some(from)) = (to.uid, from.uid)
        && to != from
    {
        let to = named(names.owner.as_ref().map(UserName::as_str), to);
        facts.push(Fact::set("owner", named(None, from), to));
    }
    if let (Some(to), Some(from)) = (to.gid, from.gid)
        && to != from
    {
        let to = named(names.group.as_ref().map(GroupName::as_str), to);
        facts.push(Fact::set("group", named(None, from), to));
    }
    facts
}

//! Whose something is: the names that are promised, and what the machine knows by them.

use crate::fact::Fact;
use crate::identity::Identity;
use crate::mode::Wish;
use crate::undo::Says;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use steadfast_model::{Fields, Node, Takes, Value, codes};
use steadfast_system::accounts::Read as _;
use steadfast_system::accounts::at_once::AtOnce;
use steadfast_system::files::{Attributes, Entry, Folder};
use steadfast_system::{AbsPath, GroupName, Probe, SystemError, UserName};

/// An account by its name, or by its number where it need not have one.
pub const NAME_OR_NUMBER: Takes = Takes::OneOf(&[Takes::Text, Takes::Integer]);

/// What all three kinds may say about whose it is. (A link has no mode.)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Owners {
    pub owner: Option<Whose<UserName>>,
    pub group: Option<Whose<GroupName>>,
}

/// Whose something is promised to be: by name, or by a number that needs no name here. What a container
/// writes belongs to such numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Whose<N> {
    Name(N),
    Number(u32),
}

impl<N: Clone> Whose<N> {
    fn name(&self) -> Option<N> {
        match self {
            Whose::Name(name) => Some(name.clone()),
            Whose::Number(_) => None,
        }
    }

    /// An integer, or text; as with chown(1), text that is digits alone is a number too.
    fn lower<E: std::fmt::Display>(
        fields: &mut Fields<'_, '_, '_>,
        key: &str,
        parse: impl Fn(&str) -> Result<N, E>,
    ) -> Option<Whose<N>> {
        if let Some(Node::Scalar(scalar)) = fields.node(key)
            && let Value::Integer(_) = scalar.value.value
        {
            return fields.id(key).map(Whose::Number);
        }
        fields.parsed(key, codes::BAD_NAME, |text| {
            let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
            if !is_number {
                return parse(text).map(Whose::Name).map_err(|err| err.to_string());
            }
            let number = text.parse().ok().filter(|it| *it < u32::MAX);
            let too_large = || format!("`{key}` must be from 0 to {}", u32::MAX - 1);
            number.map(Whose::Number).ok_or_else(too_large)
        })
    }
}

impl Owners {
    pub fn lower(fields: &mut Fields<'_, '_, '_>) -> Owners {
        Owners {
            owner: Whose::lower(fields, "owner", UserName::parse),
            group: Whose::lower(fields, "group", GroupName::parse),
        }
    }

    /// The promised name, where it is one.
    pub fn owner_name(&self) -> Option<&str> {
        match &self.owner {
            Some(Whose::Name(name)) => Some(name.as_str()),
            Some(Whose::Number(_)) | None => None,
        }
    }

    /// The promised name, where it is one.
    pub fn group_name(&self) -> Option<&str> {
        match &self.group {
            Some(Whose::Name(name)) => Some(name.as_str()),
            Some(Whose::Number(_)) | None => None,
        }
    }

    /// Whether it is promised to belong to somebody other than root.
    pub fn is_not_roots(&self) -> bool {
        match &self.owner {
            Some(Whose::Name(name)) => name.as_str() != "root",
            Some(Whose::Number(uid)) => *uid != 0,
            None => false,
        }
    }

    /// The names that something new is told by.
    #[must_use]
    pub fn of_new(&self, inherits: Option<&Inherited>) -> Owners {
        let group = self.group.clone().or_else(|| inherits?.name.clone().map(Whose::Name));
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
        let owner = self.owner.as_ref().and_then(Whose::name).map(Identity::User);
        let group = self.group.as_ref().and_then(Whose::name).map(Identity::Group);
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
        let owner = owners.owner.as_ref().and_then(Whose::name);
        let owner = owner.filter(|_| self.owner == Who::Missing);
        let group = owners.group.as_ref().and_then(Whose::name);
        let group = group.filter(|_| self.group == Who::Missing);
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
#[derive(Debug)]
pub struct Accounts<'a> {
    sys: AtOnce<'a>,
    users: BTreeMap<UserName, Result<Option<u32>, SystemError>>,
    groups: BTreeMap<GroupName, Result<Option<u32>, SystemError>>,
    names: BTreeMap<u32, Option<GroupName>>,
}

impl<'a> Accounts<'a> {
    pub fn new(sys: &'a dyn Probe) -> Accounts<'a> {
        let (users, groups, names) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Accounts { sys: AtOnce::new(sys), users, groups, names }
    }

    /// The name of the group that a setgid directory hands on.
    pub fn group_of(&mut self, entry: &Entry) -> Option<GroupName> {
        let folder =
            Folder { uid: entry.uid, gid: entry.gid, mode: entry.mode, open: false, bar: None };
        self.inherited(Some(&folder))?.name
    }

    /// What something new in this directory gets from it.
    pub fn inherited(&mut self, folder: Option<&Folder>) -> Option<Inherited> {
        Inherited::from_folder(folder?, None).map(|it| {
            // A name is for people only.
            let find = || self.sys.group_of(it.gid).ok().flatten();
            Inherited { name: self.names.entry(it.gid).or_insert_with(find).clone(), ..it }
        })
    }

    pub fn ids(&mut self, owners: &Owners) -> Result<Ids, SystemError> {
        let owner = match &owners.owner {
            None => Who::Unsaid,
            Some(Whose::Number(uid)) => Who::Id(*uid),
            Some(Whose::Name(name)) => {
                let found = self.users.entry(name.clone()).or_insert_with(|| self.sys.uid(name));
                Who::from_found(found.clone()?)
            }
        };
        let group = match &owners.group {
            None => Who::Unsaid,
            Some(Whose::Number(gid)) => Who::Id(*gid),
            Some(Whose::Name(name)) => {
                let found = self.groups.entry(name.clone()).or_insert_with(|| self.sys.gid(name));
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
        let to = named(names.owner_name(), to);
        facts.push(Fact::set("owner", named(None, from), to));
    }
    if let (Some(to), Some(from)) = (to.gid, from.gid)
        && to != from
    {
        let to = named(names.group_name(), to);
        facts.push(Fact::set("group", named(None, from), to));
    }
    facts
}

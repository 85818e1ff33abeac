//! What promises make beside what they claim: the keys and the home of a user, the links by which a unit
//! starts at boot, the files that hold all accounts.
//!
//! Another promise that takes things away (purge, `absent`) spares these, and one that would write them is
//! refused: both would undo each other in every run. Where they are, the model says only sometimes, because the
//! home of a user stands in /etc/passwd and the links of a unit hang on its unit file. So a promise is told
//! what the others make as [`Made`], and looks on the machine where that is: [`Places`].
//!
//! What a package brings is not among them: to take a packaged default out of a directory is what purge is
//! for, and dpkg does not bring it back (decision 0035).

use crate::naming::Naming;
use crate::paths::vital;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_system::files::{Entry, Shape};
use steadfast_system::services;
use steadfast_system::{AbsPath, Probe, SystemError, UnitName, UserName};

/// Something that a promise makes, wherever that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Made {
    /// A file that many promises have a part in.
    Shared(AbsPath),
    /// The mail that waits for a user.
    Mail { user: UserName, path: AbsPath },
    /// The home of a user with all that is in it, which is the user's. The path where the model says it.
    Home { user: UserName, home: Option<AbsPath> },
    /// The file of the keys that a user may log in with.
    Keys { user: UserName, home: Option<AbsPath> },
    /// Nothing, and what is in the home of this user is the user's no more.
    Nobody(UserName),
    /// The link to /dev/null that masks a unit.
    Mask { unit: UnitName, path: AbsPath },
    /// The links by which a unit starts at boot.
    Links(UnitName),
}

/// The unit that this program runs in.
const OWN_UNIT: &str = "steadfast.service";

/// The numbers of accounts that people have, on every supported system.
const PEOPLE: std::ops::RangeInclusive<u32> = 1_000..=60_000;

/// Where a user's keys lie below the home.
const KEYS: &str = ".ssh/authorized_keys";

impl Made {
    /// Where it is, as far as the model says that.
    pub fn path(&self) -> Option<AbsPath> {
        match self {
            Made::Shared(path) | Made::Mail { path, .. } | Made::Mask { path, .. } => {
                Some(path.clone())
            }
            Made::Home { home, .. } => home.clone(),
            Made::Keys { home, .. } => home.as_ref().and_then(|it| it.join(KEYS).ok()),
            Made::Links(_) | Made::Nobody(_) => None,
        }
    }

    /// Whether no other promise can say anything about it.
    pub fn is_alone(&self) -> bool {
        match self {
            Made::Keys { .. } | Made::Mask { .. } => true,
            Made::Shared(_)
            | Made::Mail { .. }
            | Made::Home { .. }
            | Made::Links(_)
            | Made::Nobody(_) => false,
        }
    }

    /// Whether it says where the home of this user is, or that there is none: then that counts.
    fn says_home_of(&self, name: &UserName) -> bool {
        match self {
            Made::Nobody(user) | Made::Home { user, home: Some(_) } => user == name,
            Made::Home { home: None, .. }
            | Made::Shared(_)
            | Made::Mail { .. }
            | Made::Keys { .. }
            | Made::Mask { .. }
            | Made::Links(_) => false,
        }
    }

    /// Whether this may be the path of a file of keys.
    pub(crate) fn is_path_of_keys(path: &AbsPath) -> bool {
        path.as_str().ends_with(KEYS)
    }

    /// Whether it may be at this path, or below it where the path is a directory's; `known` is its own path. A
    /// link of the machine may lead from any directory to any other.
    pub(crate) fn may_be_at(&self, known: Option<&AbsPath>, path: &AbsPath, below: bool) -> bool {
        if below || known == Some(path) {
            return true;
        }
        match self {
            Made::Keys { .. } => Made::is_path_of_keys(path),
            Made::Links(_) => enabling_folder(path).is_some(),
            Made::Shared(_)
            | Made::Mail { .. }
            | Made::Home { .. }
            | Made::Mask { .. }
            | Made::Nobody(_) => false,
        }
    }

    /// Who makes it, and by what.
    fn by(&self) -> Arc<str> {
        match self {
            Made::Shared(_) => "accounts are promised, and it holds them".into(),
            Made::Mail { user, .. } => format!("it is the mail of {user}, who is promised").into(),
            Made::Nobody(user) => format!("nobody is to be {user}").into(),
            Made::Home { user, .. } => format!("it is the home of {user}, who is promised").into(),
            Made::Keys { user, .. } => format!("`ssh_keys` of the user {user} keeps it").into(),
            Made::Mask { unit, .. } | Made::Links(unit) => {
                format!("`enabled` of the service {} keeps it", unit.short()).into()
            }
        }
    }
}

/// Where on this machine it is what other promises make, and why it is to stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    alone: BTreeMap<AbsPath, Arc<str>>,
    /// With all below them.
    whole: BTreeMap<AbsPath, Arc<str>>,
    /// The homes of people that no promise names: with all below them, but that owner and mode may be set there.
    people: BTreeMap<AbsPath, Arc<str>>,
    units: Vec<UnitName>,
}

impl Places {
    /// Where it is, by its own path and as it is called from `at`.
    pub(crate) fn find(
        made: &[Made],
        at: &AbsPath,
        naming: &mut Naming<'_>,
    ) -> Result<Places, SystemError> {
        let mut places = Places::default();
        places.spare_ourselves();
        let sys = naming.probe();
        let mut found = vec![];
        for it in made {
            let path = match it {
                Made::Shared(_) | Made::Mail { .. } | Made::Mask { .. } => it.path(),
                Made::Home { user, home } => home_of(user, home.as_ref(), sys)?,
                Made::Keys { user, home } => {
                    home_of(user, home.as_ref(), sys)?.and_then(|it| it.join(KEYS).ok())
                }
                Made::Links(unit) => {
                    places.units.push(unit.clone());
                    None
                }
                Made::Nobody(_) => None,
            };
            found.extend(path.map(|path| (it, path)));
        }
        naming.learn(&found.iter().map(|(_, path)| path.clone()).collect::<Vec<_>>());
        for (it, path) in found {
            let places = match it {
                Made::Home { .. } => &mut places.whole,
                Made::Shared(_)
                | Made::Mail { .. }
                | Made::Keys { .. }
                | Made::Mask { .. }
                | Made::Links(_)
                | Made::Nobody(_) => &mut places.alone,
            };
            insert(places, path, &it.by(), at, naming);
        }
        Ok(places)
    }

    /// The same for a directory that what is in it may go with: also the homes of people that no promise
    /// names, and directories of the system that are elsewhere on this machine.
    pub(crate) fn find_below(
        made: &[Made],
        at: &AbsPath,
        naming: &mut Naming<'_>,
    ) -> Result<Places, SystemError> {
        let mut places = Places::find(made, at, naming)?;
        let local = naming.probe().local()?;
        let people = local.users().iter().filter(|it| PEOPLE.contains(&it.uid));
        let people = people.filter(|user| !made.iter().any(|it| it.says_home_of(&user.name)));
        let homes = people.filter_map(|it| Some((AbsPath::parse(&it.home).ok()?, &it.name)));
        let homes: Vec<(AbsPath, &UserName)> = homes.collect();
        let system: Vec<AbsPath> = vital::folders().collect();
        let asked: Vec<AbsPath> = homes.iter().map(|(it, _)| it).chain(&system).cloned().collect();
        naming.learn(&asked);
        for (home, user) in homes {
            if !places.whole.contains_key(&home) {
                let why = format!("it is the home of {user}, who has an account here").into();
                insert(&mut places.people, home, &why, at, naming);
            }
        }
        for folder in system {
            let why = format!("it is {folder}, a directory of the system").into();
            let seen = naming.seen_from(at, &folder);
            places.whole.extend(seen.into_iter().map(|it| (it, Arc::clone(&why))));
        }
        Ok(places)
    }

    /// By these this program itself starts at boot.
    fn spare_ourselves(&mut self) {
        if let Ok(unit) = UnitName::parse(OWN_UNIT) {
            self.units.push(unit);
        }
        let file = AbsPath::parse(services::FOLDER).and_then(|it| it.join(OWN_UNIT));
        self.alone.extend(file.into_iter().map(|it| (it, "this program starts by it".into())));
    }

    pub(crate) fn has_units(&self) -> bool {
        !self.units.is_empty()
    }

    /// Single things.
    pub(crate) fn alone(&self) -> impl Iterator<Item = &AbsPath> {
        self.alone.keys()
    }

    /// Directories of which all that is in them is meant.
    pub(crate) fn whole(&self) -> impl Iterator<Item = &AbsPath> {
        self.whole.keys()
    }

    /// Homes that stay with all that is in them.
    pub(crate) fn people(&self) -> impl Iterator<Item = &AbsPath> {
        self.people.keys()
    }

    /// Why what is at a path stays; `target` is where it leads, where it is a link.
    fn why(&self, path: &AbsPath, target: Option<&str>) -> Option<Arc<str>> {
        let whole = || self.whole.iter().find(|(it, _)| path.is_within(it)).map(|(_, why)| why);
        let known = self.alone.get(path).or_else(whole).cloned();
        known.or_else(|| self.enables(path, target?))
    }

    /// Why a promise has no say about a path; `entry` is what is there.
    pub(crate) fn forbid(&self, path: &AbsPath, entry: Option<&Entry>) -> Option<String> {
        let target = entry.and_then(|it| match &it.shape {
            Shape::Link { target } => Some(&**target),
            Shape::File { .. } | Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
                None
            }
        });
        self.why(path, target).map(|why| format!("{path} is another promise's: {why}"))
    }

    /// What is at a directory or below it and stays, as far as that is known by its path, and why.
    pub(crate) fn first_within(&self, folder: &AbsPath) -> Option<(AbsPath, Arc<str>)> {
        let mut all = self.alone.iter().chain(&self.whole).chain(&self.people);
        let (path, why) = all.find(|(it, _)| it.is_within(folder))?;
        Some((path.clone(), Arc::clone(why)))
    }

    /// Why a link stays: by it, one of these units starts at boot.
    pub(crate) fn enables(&self, path: &AbsPath, target: &str) -> Option<Arc<str>> {
        // A mask starts nothing.
        let folder = enabling_folder(path).filter(|_| target != "/dev/null")?;
        let name = path.file_name();
        let leads_to = target.rsplit('/').next().unwrap_or(target);
        let enables = |unit: &&UnitName| {
            let same = |it: &str| it == unit.as_str() || unit.template().as_deref() == Some(it);
            match folder {
                Enabling::Units => same(name) || same(leads_to),
                // S01cron leads to ../init.d/cron.
                Enabling::Scripts => name.get(3..) == Some(unit.short()),
            }
        };
        self.units.iter().find(enables).map(|it| match it.as_str() {
            OWN_UNIT => "this program starts by it".into(),
            _ => Made::Links(it.clone()).by(),
        })
    }
}

/// A place by its own path, and as it is called from `at`.
fn insert(
    places: &mut BTreeMap<AbsPath, Arc<str>>,
    path: AbsPath,
    why: &Arc<str>,
    at: &AbsPath,
    naming: &mut Naming<'_>,
) {
    let seen = naming.seen_from(at, &path);
    places.extend(seen.into_iter().chain([path]).map(|it| (it, Arc::clone(why))));
}

/// The home that a user has once the user's promise is kept.
fn home_of(
    user: &UserName,
    home: Option<&AbsPath>,
    sys: &dyn Probe,
) -> Result<Option<AbsPath>, SystemError> {
    if let Some(home) = home {
        return Ok(Some(home.clone()));
    }
    let local = sys.local()?;
    let home = match local.user(user) {
        Some(account) => AbsPath::parse(&account.home),
        None => AbsPath::parse(&format!("{}/{user}", local.defaults.homes)),
    };
    // A home that is no path holds nothing.
    Ok(home.ok())
}

/// By what a link in a directory starts something at boot.
#[derive(Clone, Copy)]
enum Enabling {
    Units,
    Scripts,
}

fn enabling_folder(path: &AbsPath) -> Option<Enabling> {
    let folder = path.parent()?;
    if let Some(below) = folder.as_str().strip_prefix(services::FOLDER) {
        let known = [".wants", ".requires", ".upholds"].iter().any(|it| below.ends_with(it));
        return (below.is_empty() || known).then_some(Enabling::Units);
    }
    let level = folder.as_str().strip_prefix("/etc/rc")?.strip_suffix(".d")?;
    ["0", "1", "2", "3", "4", "5", "6", "S"].contains(&level).then_some(Enabling::Scripts)
}

//! Packages of the machine in memory: shelves of versions, and what their installation brings.

use super::files::{Matter, Thing};
use super::{FakeHost, World, lock, refuse};
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_system::accounts::NewGroup;
use steadfast_system::packages::decide::decide;
use steadfast_system::packages::fit::{Fit, fit};
use steadfast_system::packages::version::Version;
use steadfast_system::packages::{
    Along, Conffiles, Foreseen, Goal, Health, Installed, Interruption, Item, Lists, Look, Mark,
    Offer, Offers, Options, Read, Transaction, Verdict, Write,
};
use steadfast_system::{AbsPath, ErrorKind, GroupName, PackageName, SystemError, UnitName};

/// The versions of a package that can be had.
pub type Shelf = Vec<Stock>;

#[derive(Clone, Debug, PartialEq)]
pub struct Stock {
    pub version: Version,
    pub priority: i32,
    pub suites: Vec<Arc<str>>,
    pub brings: Vec<Brought>,
    /// Packages that have to go for it.
    pub conflicts: Vec<PackageName>,
    /// Packages that have to be there for it.
    pub depends: Vec<PackageName>,
}

/// What installing a package does beside its record.
#[derive(Clone, Debug, PartialEq)]
pub enum Brought {
    /// A file of its own, written whatever is there.
    File(AbsPath, Arc<str>),
    Conffile(AbsPath, Arc<str>),
    Directory(AbsPath),
    /// A user with a group of its name, without a home.
    User(GroupName, u32),
    /// Starts and enables a unit.
    Runs(UnitName),
}

fn failed<T>(why: impl Into<Arc<str>>) -> Result<T, SystemError> {
    refuse(ErrorKind::Command, why)
}

impl FakeHost {
    #[must_use]
    pub fn with_stock(self, name: &str, version: &str, brings: Vec<Brought>) -> FakeHost {
        self.with(|world| world.stock(name, version, brings))
    }

    #[must_use]
    pub fn with_package(self, name: &str, version: &str) -> FakeHost {
        self.with(|world| {
            let installed = installed(Version::parse(version).unwrap());
            world.packages.insert(PackageName::parse(name).unwrap(), (installed, false));
        })
    }
}

fn installed(version: Version) -> Installed {
    Installed {
        architecture: Arc::from("amd64"),
        version: Some(version),
        health: Health::Installed,
        hold: false,
        broken: false,
        essential: false,
    }
}

impl World {
    pub fn stock(&mut self, name: &str, version: &str, brings: Vec<Brought>) {
        let stock = Stock {
            version: Version::parse(version).unwrap(),
            priority: 500,
            suites: vec!["bookworm".into()],
            brings,
            conflicts: vec![],
            depends: vec![],
        };
        self.shelves.entry(PackageName::parse(name).unwrap()).or_default().push(stock);
    }

    /// The record of a package.
    pub fn package(&self, name: &str) -> Option<&Installed> {
        self.packages.get(&PackageName::parse(name).unwrap()).map(|(it, _)| it)
    }

    fn offers(&self, name: &PackageName) -> Option<Offers> {
        let shelf = self.shelves.get(name)?;
        let have = self.packages.get(name).and_then(|(it, _)| it.version.clone());
        let candidate = shelf
            .iter()
            .filter(|it| have.as_ref().is_none_or(|have| it.version.order(have).is_ge()))
            .max_by(|a, b| a.priority.cmp(&b.priority).then_with(|| a.version.order(&b.version)))
            .map(|it| it.version.clone())
            .or(have);
        let versions = shelf
            .iter()
            .map(|it| Offer {
                version: it.version.clone(),
                priority: it.priority,
                suites: it.suites.clone(),
            })
            .collect();
        Some(Offers { candidate, versions })
    }

    /// The version that an item gets, as apt's lists are now.
    fn decided(&self, item: &Item, options: &Options) -> Result<Option<Version>, SystemError> {
        let have = self.packages.get(&item.package);
        let have = have.filter(|(it, _)| it.health == Health::Installed && !it.broken);
        let have = have.and_then(|(it, _)| it.version.as_ref());
        decide(item, self.offers(&item.package).as_ref(), options.from.as_deref(), have)
    }

    fn carry_out(&mut self, item: &Item, options: &Options) -> Result<(), SystemError> {
        let name = &item.package;
        let held = self.packages.get(name).is_some_and(|(it, _)| it.hold);
        if held && !item.held {
            return failed(format!("{name} is held"));
        }
        match &item.goal {
            Goal::Install { .. } => match self.decided(item, options)? {
                Some(version) => self.install(item, &version, options, held),
                None => Ok(()),
            },
            Goal::Remove | Goal::Purge => {
                self.uninstall(name, item.goal == Goal::Purge);
                Ok(())
            }
        }
    }

    fn install(
        &mut self,
        item: &Item,
        version: &Version,
        options: &Options,
        held: bool,
    ) -> Result<(), SystemError> {
        let name = &item.package;
        let stock = self.shelves[name].iter().find(|it| it.version.order(version).is_eq());
        let stock = stock.unwrap().clone();
        for other in stock.conflicts.iter().filter(|it| self.packages.contains_key(it)) {
            if item.stays.iter().any(|it| it.0 == *other) {
                return failed(format!("{other} is promised present"));
            }
            if !item.removals.allow(other.as_str()) && !item.going.contains(other) {
                return failed(format!("{other} would have to be removed"));
            }
        }
        for other in &stock.conflicts {
            self.uninstall(other, false);
        }
        self.install_needs(item, &stock, options)?;
        self.bring(&stock, options)?;
        let record = Installed { hold: held, ..installed(version.clone()) };
        self.packages.insert(name.clone(), (record, false));
        Ok(())
    }

    /// What a package needs comes along, as a dependency.
    fn install_needs(
        &mut self,
        item: &Item,
        stock: &Stock,
        options: &Options,
    ) -> Result<(), SystemError> {
        for need in &stock.depends {
            if self.packages.get(need).is_some_and(|(it, _)| it.health == Health::Installed) {
                continue;
            }
            if item.going.contains(need) {
                return failed(format!(
                    "{} depends on {need}, which is promised absent",
                    item.package
                ));
            }
            let Some(version) = self.offers(need).and_then(|it| it.candidate) else {
                return failed(format!("{} depends on {need}, which is not there", item.package));
            };
            let along = Item { package: need.clone(), ..item.clone() };
            self.install(&along, &version, options, false)?;
            self.packages.entry(need.clone()).and_modify(|it| it.1 = true);
        }
        Ok(())
    }

    fn bring(&mut self, stock: &Stock, options: &Options) -> Result<(), SystemError> {
        for brought in &stock.brings {
            match brought {
                Brought::Directory(path) => {
                    if !self.files.contains_key(path) {
                        let folder = Thing { mode: 0o755, ..Thing::of(Matter::Directory) };
                        self.put(path, folder);
                    }
                }
                Brought::File(path, text) => self.put(path, Thing::file(text)),
                Brought::Conffile(path, text) => {
                    let there = self.files.contains_key(path);
                    if !there || options.conffiles == Conffiles::Replace {
                        self.put(path, Thing::file(text));
                    }
                }
                Brought::User(name, uid) => {
                    let group = NewGroup { name: name.clone(), gid: Some(*uid), system: true };
                    if !self.groups.contains_key(name) {
                        self.add_group(&group)?;
                    }
                    let user = steadfast_system::accounts::NewUser {
                        name: steadfast_system::UserName::parse(name.as_str()).unwrap(),
                        uid: Some(*uid),
                        group: steadfast_system::accounts::NewPrimary::Group(name.clone()),
                        home: AbsPath::parse("/nonexistent").unwrap(),
                        make_home: false,
                        shell: None,
                        comment: None,
                        system: true,
                    };
                    if !self.users.contains_key(&user.name) {
                        self.add_user(&user)?;
                    }
                }
                Brought::Runs(unit) => {
                    if options.start {
                        self.start(unit)?;
                    }
                }
            }
        }
        // As maintainer scripts do.
        self.load_units();
        Ok(())
    }

    fn uninstall(&mut self, name: &PackageName, purge: bool) {
        let Some((record, _)) = self.packages.remove(name) else { return };
        let brings: Vec<Brought> = self
            .shelves
            .get(name)
            .and_then(|shelf| shelf.iter().find(|it| Some(&it.version) == record.version.as_ref()))
            .map(|it| it.brings.clone())
            .unwrap_or_default();
        let mut left = false;
        for brought in &brings {
            match brought {
                Brought::File(path, _) => self.take(path),
                Brought::Conffile(path, _) if purge => self.take(path),
                Brought::Conffile(..) => left = true,
                Brought::Runs(unit) => {
                    self.started.remove(unit);
                }
                Brought::Directory(_) | Brought::User(..) => {}
            }
        }
        if left {
            let record = Installed { health: Health::ConfigFiles, hold: false, ..record };
            self.packages.insert(name.clone(), (record, false));
        }
    }
}

/// What happens to packages that nobody named.
fn along(before: &World, after: &World, items: &[Item]) -> Vec<Along> {
    let is_named = |name: &PackageName| items.iter().any(|it| it.package == *name);
    let version = |world: &World, name: &PackageName| {
        let (record, _) = world.packages.get(name)?;
        record.version.clone().filter(|_| record.health == Health::Installed)
    };
    let names: BTreeSet<&PackageName> =
        before.packages.keys().chain(after.packages.keys()).filter(|it| !is_named(it)).collect();
    let change = |package: &PackageName| {
        let name: Arc<str> = Arc::from(package.as_str());
        match (version(before, package), version(after, package)) {
            (None, Some(version)) => Some(Along::Installed { name, version }),
            (Some(_), None) => Some(Along::Removed { name }),
            (Some(old), Some(new)) if old != new => Some(Along::Changed { name, old, new }),
            (Some(_), Some(_)) | (None, None) => None,
        }
    };
    names.into_iter().filter_map(change).collect()
}

impl Read for FakeHost {
    fn foresee(&self, transaction: &Transaction) -> Vec<Foreseen> {
        let Transaction { options, items } = transaction;
        let world = self.look_at(|world| world.clone());
        let mut all: Vec<Foreseen> = items.iter().map(|_| Foreseen::goes()).collect();
        let is_known = |it: &Item| match &it.goal {
            Goal::Install { version, .. } => version.is_some(),
            Goal::Remove | Goal::Purge => true,
        };
        let which: Vec<usize> = (0..items.len()).filter(|at| is_known(&items[*at])).collect();
        let Fit { set, found, refused } = fit(which, &mut |which: &[usize]| {
            let mut then = world.clone();
            for at in which {
                let lifted = Item { held: true, ..items[*at].clone() };
                then.carry_out(&lifted, options)?;
            }
            Ok(then)
        });
        let first = set.iter().find(|at| items[**at].installs()).or(set.first());
        if let (Some(first), Some(then)) = (first, found) {
            all[*first].along = along(&world, &then, items);
        }
        for (at, why) in refused {
            let words = why.to_string();
            all[at].verdict = match self.apt_lists().stale && items.iter().any(Item::installs) {
                true => Verdict::Unknown(words),
                false => Verdict::Refused(words),
            };
        }
        all
    }

    fn package_looks(&self, names: &[&PackageName]) -> Result<Vec<Look>, SystemError> {
        Ok(self.look_at(|world| {
            let look = |name: &&PackageName| {
                let record = world.packages.get(*name);
                Look {
                    installed: record.map(|(it, _)| it.clone()),
                    automatic: record.is_some_and(|(_, automatic)| *automatic),
                    interruption: world.interruption.clone(),
                    ..Look::default()
                }
            };
            names.iter().map(look).collect()
        }))
    }

    fn offers(
        &self,
        names: &[&PackageName],
        _suites: bool,
    ) -> Result<Vec<Option<Offers>>, SystemError> {
        Ok(self.look_at(|world| names.iter().map(|it| world.offers(it)).collect()))
    }

    fn apt_lists(&self) -> Lists {
        self.look_at(|world| {
            let lists = world.lists.clone();
            Lists { stale: lists.stale && !lists.refreshed, ..lists }
        })
    }
}

impl Write for FakeHost {
    fn transact(&self, transaction: &Transaction) -> Vec<Result<(), SystemError>> {
        let installs = |it: &Item| matches!(it.goal, Goal::Install { .. });
        let stale = self.apt_lists().stale;
        if stale && transaction.items.iter().any(installs) {
            let refreshed = self.effect("refresh lists", |world| {
                let news = std::mem::take(&mut world.news);
                for (name, shelf) in news {
                    world.shelves.entry(name).or_default().extend(shelf);
                }
                world.lists = Lists {
                    age: Some(std::time::Duration::ZERO),
                    stale: false,
                    refreshed: true,
                    failed: None,
                };
                Ok(())
            });
            if let Err(error) = refreshed {
                // What the lists have may do all the same.
                let lists = &mut lock(&self.world).lists;
                lists.refreshed = true;
                lists.failed = Some(error.chain().join(": ").into());
            }
        }
        let failed = self.apt_lists().failed;
        let carry_out = |item: &Item| {
            // What has to be planned anew is refused before anything is done.
            let decided = self.look_at(|world| world.decided(item, &transaction.options));
            if let Err(error) = &decided
                && error.kind == ErrorKind::Moved
            {
                return Err(error.clone());
            }
            if let (Err(error), Some(why)) = (&decided, &failed) {
                let why = SystemError::new(ErrorKind::Network, Arc::clone(why));
                return Err(why.during(error.to_string()));
            }
            let verb = match item.goal {
                Goal::Install { .. } => "install",
                Goal::Remove => "remove package",
                Goal::Purge => "purge",
            };
            self.effect(format!("{verb} {}", item.package), |world| {
                world.carry_out(item, &transaction.options)
            })
        };
        transaction.items.iter().map(carry_out).collect()
    }

    fn mark_packages(&self, marks: &[(&PackageName, Mark)]) -> Vec<Result<(), SystemError>> {
        let mark = |(name, mark): &(&PackageName, Mark)| {
            let word = match mark {
                Mark::Hold => "hold",
                Mark::Unhold => "unhold",
                Mark::Manual => "mark manual",
            };
            self.effect(format!("{word} {name}"), |world| {
                let Some((record, automatic)) = world.packages.get_mut(*name) else {
                    return failed(format!("{name} is not installed"));
                };
                match mark {
                    Mark::Hold => record.hold = true,
                    Mark::Unhold => record.hold = false,
                    Mark::Manual => *automatic = false,
                }
                Ok(())
            })
        };
        marks.iter().map(mark).collect()
    }

    fn complete_packages(&self) -> Result<(), SystemError> {
        self.effect("complete packages", |world| {
            if world.interruption == Some(Interruption::Foreign) {
                return failed("dpkg was interrupted by somebody else");
            }
            world.interruption = None;
            for (record, _) in world.packages.values_mut().filter(|(it, _)| it.health.is_cut()) {
                record.health = Health::Installed;
            }
            Ok(())
        })
    }

    fn tidy_packages(&self) -> Result<(), SystemError> {
        Ok(())
    }
}

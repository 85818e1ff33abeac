//! One thing under two names on this machine: where a link leads from the path of one promise to the path of
//! another.
//!
//! The links that every supported system has are resolved when the model is read ([`AbsPath::usual`]), so that
//! two promises about one thing are a mistake of the model. What links a machine has beside them only a look at
//! it tells (decision 0033): then neither of the two is kept, and no purge takes what the other one promises.

use crate::promised::Promises;
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_resources::{Identity, Refusal, State};
use steadfast_system::files::Mounts;
use steadfast_system::{AbsPath, Probe, SystemError};

/// Where the directories of some paths really are, and what else is called as they are.
#[derive(Debug, Default)]
pub(crate) struct RealFolders {
    elsewhere: BTreeMap<AbsPath, AbsPath>,
    mounts: Mounts,
    /// Of these directories, without links: their other names.
    others: BTreeMap<AbsPath, Vec<AbsPath>>,
}

impl RealFolders {
    pub(crate) fn look<'p>(
        paths: impl IntoIterator<Item = &'p AbsPath>,
        sys: &dyn Probe,
    ) -> RealFolders {
        // Most paths share their directory with others, often with the one before.
        let folders = paths.into_iter().filter_map(|it| it.as_str().rsplit_once('/'));
        let mut folders: Vec<&str> =
            folders.map(|(folder, _)| if folder.is_empty() { "/" } else { folder }).collect();
        folders.dedup();
        folders.sort_unstable();
        folders.dedup();
        let folders: Vec<AbsPath> =
            folders.into_iter().filter_map(|it| AbsPath::parse_found(it).ok()).collect();
        let folders: Vec<&AbsPath> = folders.iter().collect();
        let real = sys.real_folders(&folders).into_iter();
        let elsewhere = folders.iter().copied().zip(real);
        let elsewhere: BTreeMap<AbsPath, AbsPath> =
            elsewhere.filter_map(|(it, real)| Some((it.clone(), real?))).collect();
        let mounts = sys.mounts();
        let mut others = BTreeMap::new();
        if !mounts.is_plain() {
            let real = folders.iter().map(|it| elsewhere.get(*it).unwrap_or(it));
            let named = real.map(|it| (it.clone(), mounts.other_names(it)));
            others.extend(named.filter(|(_, names)| !names.is_empty()));
        }
        RealFolders { elsewhere, mounts, others }
    }

    /// Whether every path is what it seems to be.
    fn is_plain(&self) -> bool {
        self.elsewhere.is_empty() && self.mounts.is_plain()
    }

    /// The path without a link on the way, where its directory was looked at.
    fn without_links(&self, path: &AbsPath) -> AbsPath {
        let folder = path.parent().and_then(|it| self.elsewhere.get(&it));
        folder.map_or_else(|| path.clone(), |it| it.found(path.file_name()))
    }

    /// Of all paths that lead there without a link, the first in their order: one for each thing.
    pub(crate) fn real(&self, path: &AbsPath) -> AbsPath {
        first(&self.names(path), path)
    }

    /// What else a path without links is called; that of a directory in which something was looked at.
    fn others(&self, real: &AbsPath) -> Vec<AbsPath> {
        let name = real.file_name();
        if self.mounts.may_be_one(name) {
            return self.mounts.other_names(real);
        }
        let folders = real.parent().and_then(|it| self.others.get(&it));
        folders.into_iter().flatten().map(|it| it.found(name)).collect()
    }

    /// All of these paths.
    fn names(&self, path: &AbsPath) -> Vec<AbsPath> {
        let real = self.without_links(path);
        self.others(&real).into_iter().chain([real]).collect()
    }
}

/// What follows from the links of a machine for the promises of a node.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    /// The promises that are about one thing with another, by index, and in which words that is said.
    clashes: BTreeMap<usize, Refusal>,
    /// For directories that rule what is below them: the names there that others promise by another path.
    below: BTreeMap<usize, Arc<[Arc<str>]>>,
    /// Whether any directory is elsewhere.
    is_any: bool,
}

/// A path that a promise claims.
struct Claim {
    at: usize,
    path: AbsPath,
    /// One for each thing.
    real: AbsPath,
    /// All paths without a link that lead to it.
    names: Vec<AbsPath>,
}

impl Aliases {
    pub(crate) fn look(promises: &Promises, sys: &dyn Probe) -> Aliases {
        let paths: Vec<(usize, AbsPath)> = (promises.all.iter().enumerate())
            .flat_map(|(at, it)| it.want.claims().into_iter().map(move |claim| (at, claim)))
            .filter_map(|(at, claim)| match claim {
                Identity::Path(path) => Some((at, path)),
                Identity::Package(_)
                | Identity::Group(_)
                | Identity::User(_)
                | Identity::Unit(_)
                | Identity::Setting(_) => None,
            })
            .collect();
        let folders = RealFolders::look(paths.iter().map(|(_, path)| path), sys);
        // Where no path leads elsewhere, only a directory may turn out to be one of the system's.
        if folders.is_plain() && !paths.iter().any(|(at, path)| may_be_folder(promises, *at, path))
        {
            return Aliases::default();
        }
        let claim = |(at, path): (usize, AbsPath)| {
            let names = folders.names(&path);
            Claim { at, real: first(&names, &path), path, names }
        };
        let mut claims: Vec<Claim> = paths.into_iter().map(claim).collect();
        claims.sort_by(|a, b| (&a.real, a.at).cmp(&(&b.real, b.at)));
        let is_elsewhere = |it: &Claim| it.names.iter().any(|name| *name != it.path);
        let mut aliases = Aliases { is_any: claims.iter().any(is_elsewhere), ..Aliases::default() };
        aliases.protected(promises, &claims, &folders, sys);
        if aliases.is_any {
            aliases.same_things(promises, &claims);
            aliases.things_below(promises, &claims, &folders);
        }
        aliases
    }

    /// What turns out to be a directory or a file that the system needs, or to lie where this program keeps what is
    /// its own: what is refused of the usual path when a model is read is refused of this one.
    fn protected(
        &mut self,
        promises: &Promises,
        claims: &[Claim],
        folders: &RealFolders,
        sys: &dyn Probe,
    ) {
        let (all, files) = steadfast_resources::of_the_system();
        let mut needed: BTreeMap<AbsPath, AbsPath> =
            all.iter().chain(&files).map(|it| (it.clone(), it.clone())).collect();
        if claims.iter().any(|it| may_be_folder(promises, it.at, &it.path)) {
            let real = sys.real_folders(&all.iter().collect::<Vec<_>>());
            for (usual, real) in all.iter().zip(real) {
                let real = real.unwrap_or_else(|| usual.clone());
                let others = folders.mounts.other_names(&real);
                for name in others.into_iter().chain([real]) {
                    needed.entry(name).or_insert_with(|| usual.clone());
                }
            }
        }
        let own: Vec<AbsPath> = match self.is_any || !folders.mounts.is_plain() {
            true => sys
                .own_folders()
                .into_iter()
                .filter(|it| !it.promisable)
                .map(|it| it.path)
                .collect(),
            false => vec![],
        };
        for claim in claims {
            let want = &promises.all[claim.at].want;
            // The files of a directory are said to be files, and nothing else.
            let is_itself = want.folder().is_none_or(|it| *it == claim.path);
            let usual = claim.names.iter().filter_map(|it| needed.get(it));
            let harm = usual.filter(|it| is_itself && **it != claim.path).find_map(|it| {
                Some(format!("it is {it} on this machine, which {}", want.harms(it)?))
            });
            let ours = || {
                let within = |it: &&AbsPath| claim.names.iter().any(|name| name.is_within(it));
                let it = own.iter().find(within).filter(|it| !claim.path.is_within(it))?;
                Some(format!(
                    "it lies in {it} on this machine, where this program keeps what is its own"
                ))
            };
            if let Some(why) = harm.or_else(ours) {
                self.clashes.entry(claim.at).or_insert_with(|| Refusal::machine(why));
            }
        }
    }

    /// Of a thing that goes by two names on this machine, and of which both are promised: what is promised of
    /// the other name is not attempted.
    pub(crate) fn tell_names(
        &mut self,
        promises: &Promises,
        states: &[Result<State, SystemError>],
    ) {
        let name =
            |at: usize| states[at].as_ref().ok().and_then(steadfast_resources::another_name_of);
        let (others, themselves): (Vec<usize>, Vec<usize>) = (0..promises.all.len())
            .filter(|at| !promises.all[*at].implied)
            .partition(|at| name(*at).is_some());
        let mut units: BTreeMap<String, usize> = BTreeMap::new();
        for at in themselves {
            let claims = promises.all[at].want.claims();
            units.extend(claims.iter().filter_map(|it| match it {
                Identity::Unit(unit) => Some((unit.to_string(), at)),
                Identity::Path(_)
                | Identity::Package(_)
                | Identity::Group(_)
                | Identity::User(_)
                | Identity::Setting(_) => None,
            }));
        }
        for at in others {
            let Some(of) = name(at) else { continue };
            if let Some(other) = units.get(of) {
                let id = &promises.all[*other].id;
                let words =
                    format!("it is another name of {of} on this machine, and {id} promises it too");
                self.clashes.entry(at).or_insert_with(|| Refusal::machine(words));
            } else {
                units.insert(of.to_owned(), at);
            }
        }
    }

    /// Why this promise cannot be kept: another one is about the same thing.
    pub(crate) fn clash(&self, at: usize) -> Option<&Refusal> {
        self.clashes.get(&at)
    }

    pub(crate) fn is_any(&self) -> bool {
        self.is_any
    }

    pub(crate) fn below(&self, at: usize) -> Option<&Arc<[Arc<str>]>> {
        self.below.get(&at)
    }

    fn same_things(&mut self, promises: &Promises, claims: &[Claim]) {
        for same in claims.chunk_by(|a, b| a.real == b.real) {
            for one in same {
                if let Some(other) = same.iter().find(|it| it.path != one.path) {
                    self.clash_of(promises, one, other);
                }
            }
        }
    }

    fn clash_of(&mut self, promises: &Promises, one: &Claim, other: &Claim) {
        let id = &promises.all[other.at].id;
        let words = if one.real == other.real {
            format!(
                "{} and {} are one thing on this machine, and {id} promises it too",
                one.path, other.path
            )
        } else {
            format!(
                "{} and {} lie in each other on this machine, and {id} promises something else",
                one.path, other.path
            )
        };
        self.clashes.entry(one.at).or_insert_with(|| Refusal::machine(words));
    }

    /// What lies below a promised directory by one of its names, and not by the name that it is promised by.
    fn things_below(&mut self, promises: &Promises, claims: &[Claim], folders: &RealFolders) {
        let is_absent = |it: &Claim| promises.all[it.at].want.is_absent();
        let mut places: Vec<(&AbsPath, &Claim)> =
            claims.iter().flat_map(|it| it.names.iter().map(move |name| (name, it))).collect();
        places.sort_by(|a, b| (a.0, a.1.at).cmp(&(b.0, b.1.at)));
        for folder in claims {
            let want = &promises.all[folder.at].want;
            let path = folders.without_links(&folder.path);
            let prefix = format!("{}/", path.as_str().trim_end_matches('/'));
            let from = places.partition_point(|(it, _)| it.as_str() <= &*prefix);
            let below =
                places[from..].iter().take_while(|(it, _)| it.as_str().starts_with(&prefix));
            let below = below.filter(|(_, it)| !it.path.is_within(&folder.path) && !is_absent(it));
            if want.is_absent() {
                for (_, inner) in below {
                    self.clash_of(promises, folder, inner);
                    self.clash_of(promises, inner, folder);
                }
            } else if want.rules_below() && want.folder() == Some(&folder.path) {
                let names: Vec<Arc<str>> =
                    below.map(|(it, _)| Arc::from(&it.as_str()[prefix.len()..])).collect();
                if !names.is_empty() {
                    self.below.insert(folder.at, Arc::from(names));
                }
            }
        }
    }
}

/// The one of its names that stands for a thing.
fn first(names: &[AbsPath], path: &AbsPath) -> AbsPath {
    names.iter().min().unwrap_or(path).clone()
}

/// Only of what may be a directory it matters where those of the system are.
fn may_be_folder(promises: &Promises, at: usize, path: &AbsPath) -> bool {
    let want = &promises.all[at].want;
    want.folder() == Some(path) || want.is_absent()
}

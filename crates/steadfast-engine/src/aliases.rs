//! One thing under two names on this machine: where a link leads from the path of one promise to the path of
//! another.
//!
//! The links that every supported system has are resolved when the model is read ([`AbsPath::usual`]), so that
//! two promises about one thing are a mistake of the model. What links a machine has beside them only a look at
//! it tells (decision 0033): then neither of the two is kept, and no purge takes what the other one promises.

use crate::promised::Promises;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_resources::{Identity, Refusal, State};
use steadfast_system::{AbsPath, Probe, SystemError};

/// Where the directories of some paths really are.
#[derive(Debug, Default)]
pub(crate) struct RealFolders(BTreeMap<AbsPath, AbsPath>);

impl RealFolders {
    pub(crate) fn look<'p>(
        paths: impl IntoIterator<Item = &'p AbsPath>,
        sys: &dyn Probe,
    ) -> RealFolders {
        // Most paths share their directory with others.
        let folders = paths.into_iter().filter_map(|it| it.as_str().rsplit_once('/'));
        let folders: BTreeSet<&str> =
            folders.map(|(folder, _)| if folder.is_empty() { "/" } else { folder }).collect();
        let folders: Vec<AbsPath> =
            folders.into_iter().filter_map(|it| AbsPath::parse_found(it).ok()).collect();
        let folders: Vec<&AbsPath> = folders.iter().collect();
        let real = sys.real_folders(&folders).into_iter();
        let elsewhere = folders.into_iter().zip(real);
        RealFolders(elsewhere.filter_map(|(it, real)| Some((it.clone(), real?))).collect())
    }

    /// Whether every path is what it seems to be.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The path without a link on the way, where its directory was looked at.
    pub(crate) fn real(&self, path: &AbsPath) -> AbsPath {
        let folder = path.parent().and_then(|it| self.0.get(&it));
        folder.map_or_else(|| path.clone(), |it| it.found(path.file_name()))
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
    real: AbsPath,
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
        if folders.is_empty() {
            return Aliases::default();
        }
        let claim = |(at, path): (usize, AbsPath)| Claim { at, real: folders.real(&path), path };
        let mut claims: Vec<Claim> = paths.into_iter().map(claim).collect();
        claims.sort_by(|a, b| (&a.real, a.at).cmp(&(&b.real, b.at)));
        let mut aliases = Aliases { is_any: true, ..Aliases::default() };
        aliases.same_things(promises, &claims);
        aliases.things_below(promises, &claims);
        aliases
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

    /// What lies below a promised directory by its real path, and not by its name.
    fn things_below(&mut self, promises: &Promises, claims: &[Claim]) {
        let is_absent = |it: &Claim| promises.all[it.at].want.is_absent();
        for folder in claims {
            let want = &promises.all[folder.at].want;
            let prefix = format!("{}/", folder.real.as_str().trim_end_matches('/'));
            let from = claims.partition_point(|it| it.real.as_str() <= &*prefix);
            let below =
                claims[from..].iter().take_while(|it| it.real.as_str().starts_with(&prefix));
            let below = below.filter(|it| !it.path.is_within(&folder.path) && !is_absent(it));
            if want.is_absent() {
                for inner in below {
                    self.clash_of(promises, folder, inner);
                    self.clash_of(promises, inner, folder);
                }
            } else if want.rules_below() && want.folder() == Some(&folder.path) {
                let names: Vec<Arc<str>> =
                    below.map(|it| Arc::from(&it.real.as_str()[prefix.len()..])).collect();
                if !names.is_empty() {
                    self.below.insert(folder.at, Arc::from(names));
                }
            }
        }
    }
}

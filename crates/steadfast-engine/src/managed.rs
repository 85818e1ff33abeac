//! What the promises of a node are about. None of that is an orphan, and none of it is undone.

use crate::aliases::RealFolders;
use crate::ledger::UndoEntry;
use crate::promised::Promises;
use std::collections::{HashMap, HashSet};
use steadfast_model::Keep;
use steadfast_resources::undo::{self, Says};
use steadfast_resources::{Facet, FacetState, Identity, Resource};
use steadfast_system::{AbsPath, Probe};

/// Which things the promises of a node are about.
#[derive(Debug)]
pub struct Managed<'a> {
    by: HashMap<Identity, Vec<(&'a Resource, Keep)>>,
    /// The directories that promised paths lie in, directly or further below.
    folders: HashSet<AbsPath>,
    /// What others refer to: the owner of a promised file, the user of a job.
    used: HashSet<Identity>,
    names: Names<'a>,
}

/// How one thing has one name on this machine.
#[derive(Debug)]
struct Names<'a> {
    folders: RealFolders,
    architecture: Option<&'a str>,
}

impl Names<'_> {
    fn usual(&self, thing: Identity) -> Identity {
        match thing.usual(self.architecture) {
            Identity::Path(path) => Identity::Path(self.folders.real(&path)),
            it @ (Identity::Package(_)
            | Identity::Group(_)
            | Identity::User(_)
            | Identity::Unit(_)
            | Identity::Setting(_)) => it,
        }
    }

    fn usual_path(&self, path: &AbsPath) -> AbsPath {
        self.folders.real(&path.clone().usual())
    }
}

impl<'a> Managed<'a> {
    /// `made` is what will be asked about; where the paths of both lead is looked at.
    pub fn from_promises(
        promises: &'a Promises,
        made: &[UndoEntry],
        sys: &dyn Probe,
    ) -> Managed<'a> {
        let claims: Vec<Identity> = promises.all.iter().flat_map(|it| it.want.concerns()).collect();
        let made: Vec<AbsPath> =
            made.iter().filter_map(|it| it.facet.as_path().cloned()).map(AbsPath::usual).collect();
        let paths = claims.iter().filter_map(Identity::as_path).chain(&made);
        let names = Names {
            folders: RealFolders::look(paths, sys),
            architecture: promises.architecture.as_deref(),
        };
        let mut managed =
            Managed { by: HashMap::new(), folders: HashSet::new(), used: HashSet::new(), names };
        for promised in promises.all.iter().filter(|it| !it.implied) {
            if !promised.want.is_absent() {
                let uses = promised.want.uses().into_iter();
                managed.used.extend(uses.map(|it| managed.names.usual(it)));
            }
            for claim in promised.want.concerns() {
                let claim = managed.names.usual(claim);
                if !promised.want.is_absent() {
                    managed.lies_in(claim.as_path().and_then(AbsPath::parent));
                }
                managed.by.entry(claim).or_default().push((&promised.want, promised.keep));
            }
        }
        managed
    }

    /// Something promised lies in a directory, and in all above it.
    fn lies_in(&mut self, mut folder: Option<AbsPath>) {
        while let Some(it) = folder {
            let above = it.parent();
            folder = if self.folders.insert(it) { above } else { None };
        }
    }

    /// The promises about a thing: its own, and those of directories that rule what is below them. What was
    /// made goes only where it is purged; the rest has at least its owner and mode from there.
    fn about(&self, made: &UndoEntry) -> impl Iterator<Item = (&'a Resource, Keep)> + '_ {
        let mut own: Vec<(&Resource, Keep)> = vec![];
        for owner in made.facet.owners() {
            own.extend(self.by.get(&self.names.usual(owner)).into_iter().flatten().copied());
        }
        let Facet::Path(path) = &made.facet else { return own.into_iter() };
        let path = self.names.usual_path(path);
        let mut above = path.parent();
        while let Some(folder) = above {
            let rules = |(want, _): &&(&Resource, Keep)| match was_made(made) {
                true => want.purges(&self.by_its_name(want, &path), is_folder(made)),
                false => want.rules_below(),
            };
            above = folder.parent();
            let its = self.by.get(&Identity::Path(folder));
            own.extend(its.into_iter().flatten().filter(rules).copied());
        }
        own.into_iter()
    }

    /// A path below a promised directory, by the name that the promise has for that.
    fn by_its_name(&self, want: &Resource, path: &AbsPath) -> AbsPath {
        let named = want.folder().and_then(|folder| {
            let below = path.as_str().strip_prefix(self.names.usual_path(folder).as_str())?;
            Some(folder.found(below.trim_start_matches('/')))
        });
        named.unwrap_or_else(|| path.clone())
    }

    /// Whether something promised lies in it.
    fn holds(&self, facet: &Facet) -> bool {
        facet.as_path().is_some_and(|it| self.folders.contains(&self.names.usual_path(it)))
    }

    /// Whether somebody promises anything about it, or refers to it.
    pub fn names(&self, made: &UndoEntry) -> bool {
        let is_used =
            || made.facet.owners().into_iter().any(|it| self.used.contains(&self.names.usual(it)));
        self.holds(&made.facet) || self.about(made).next().is_some() || is_used()
    }

    /// What of it keeping the promises does not make what it is to be, as a thing of its own; none where
    /// they are enough.
    pub fn leaves(&self, made: &UndoEntry) -> Option<UndoEntry> {
        // A directory in use does not go; who it belongs to is another matter.
        if self.holds(&made.facet) && !matches!(made.before, FacetState::Directory { .. }) {
            return None;
        }
        let purges = |want: &Resource| {
            let path = made.facet.as_path().filter(|_| was_made(made));
            path.is_some_and(|it| {
                let path = self.by_its_name(want, &self.names.usual_path(it));
                want.purges(&path, is_folder(made))
            })
        };
        let says = (self.about(made).filter(|(_, keep)| *keep == Keep::Repair))
            .map(|(want, _)| match purges(want) {
                true => Says::ALL,
                false => want.says(&made.facet, is_folder(made)),
            })
            .fold(Says::default(), Says::or);
        let (before, after) = undo::unsaid(says, &made.before, &made.after)?;
        Some(UndoEntry { before, after, ..made.clone() })
    }
}

fn was_made(made: &UndoEntry) -> bool {
    made.before == FacetState::Nothing
}

fn is_folder(made: &UndoEntry) -> bool {
    matches!(made.after, FacetState::Directory { .. })
}

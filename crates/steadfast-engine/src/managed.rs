//! What the promises of a node are about. None of that is an orphan, and none of it is undone.

use crate::ledger::UndoEntry;
use crate::promised::Promises;
use std::collections::{HashMap, HashSet};
use steadfast_model::Keep;
use steadfast_resources::undo::{self, Says};
use steadfast_resources::{Facet, FacetState, Identity, Resource};
use steadfast_system::AbsPath;

/// Which things the promises of a node are about.
#[derive(Debug)]
pub struct Managed<'a> {
    by: HashMap<Identity, Vec<(&'a Resource, Keep)>>,
    /// The directories that promised paths lie in.
    folders: HashSet<AbsPath>,
    /// What others refer to: the owner of a promised file, the user of a job.
    used: HashSet<Identity>,
}

impl<'a> Managed<'a> {
    pub fn from_promises(promises: &'a Promises) -> Managed<'a> {
        let mut managed =
            Managed { by: HashMap::new(), folders: HashSet::new(), used: HashSet::new() };
        for promised in promises.all.iter().filter(|it| !it.implied) {
            if !promised.want.is_absent() {
                managed.used.extend(promised.want.uses());
            }
            for claim in promised.want.concerns() {
                if !promised.want.is_absent() {
                    managed.folders.extend(claim.as_path().and_then(AbsPath::parent));
                }
                managed.by.entry(claim).or_default().push((&promised.want, promised.keep));
            }
        }
        managed
    }

    /// The promises about a thing: its own, and those of directories that rule what is below them. What was
    /// made goes only where it is purged; the rest has at least its owner and mode from there.
    fn about(&self, made: &UndoEntry) -> impl Iterator<Item = (&'a Resource, Keep)> + '_ {
        let mut own: Vec<(&Resource, Keep)> = vec![];
        for owner in made.facet.owners() {
            own.extend(self.by.get(&owner).into_iter().flatten().copied());
        }
        let Facet::Path(path) = &made.facet else { return own.into_iter() };
        let mut above = path.parent();
        while let Some(folder) = above {
            let rules = |(want, _): &&(&Resource, Keep)| match was_made(made) {
                true => want.purges(path, is_folder(made)),
                false => want.rules_below(),
            };
            above = folder.parent();
            let its = self.by.get(&Identity::Path(folder));
            own.extend(its.into_iter().flatten().filter(rules).copied());
        }
        own.into_iter()
    }

    /// Whether something promised lies in it.
    fn holds(&self, facet: &Facet) -> bool {
        if let Facet::Path(path) = facet { self.folders.contains(path) } else { false }
    }

    /// Whether somebody promises anything about it, or refers to it.
    pub fn names(&self, made: &UndoEntry) -> bool {
        let is_used = || made.facet.owners().iter().any(|it| self.used.contains(it));
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
            path.is_some_and(|it| want.purges(it, is_folder(made)))
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

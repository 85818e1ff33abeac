//! Removing deployments that nobody goes back to: what `retention` of the engine says is not needed, as far as no
//! process uses it. What cannot be removed, or may be in use, stays, and that is told.

use super::mark::Mark;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use steadfast_engine::component::retention::{
    Document, Folder, Known, Lying, Tree, Unneeded, good, unneeded,
};
use steadfast_model::application::frozen::Frozen;
use steadfast_store::{Instance, Store, StoreError};
use steadfast_system::SystemError;
use steadfast_system::processes::{self, Question};
use steadfast_system::trees::{self, Releases, Shelf};
use steadfast_trust::text::chain;

/// Which component, and how much of it stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retaining<'a> {
    /// `people/api`.
    pub(super) component: &'a str,
    /// So many good deployments.
    pub(super) retain: u32,
    /// By its own digest.
    pub(super) wanted: Option<&'a str>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Retained {
    /// Whether anything was removed.
    pub(super) has_removed: bool,
    /// What stays though it is not needed, and what is not ours.
    pub(super) notes: Vec<String>,
}

/// Where it lies.
struct Place {
    shelf: Option<Shelf>,
    releases: Option<Releases>,
}

/// Removes what is not needed any more, and brings what is `known` of the component up to date. The component is left
/// as it is where that cannot be told.
pub(super) fn retain(
    retaining: &Retaining<'_>,
    known: &mut Instance,
    store: &Store,
) -> Result<Retained, StoreError> {
    let component = retaining.component;
    known.good = good(&known.good, &known.row);
    let instance = &*known;
    let looked = Place::open(instance).and_then(|place| {
        let lying = place.lying(component)?;
        Ok((place, lying))
    });
    let (place, (lying, names)) = match looked {
        Ok(looked) => looked,
        Err(error) => {
            let note = format!("old deployments stay: {}", chain(&error));
            return Ok(Retained { has_removed: false, notes: vec![note] });
        }
    };
    let documents = documents(component, &names, store)?;
    let known = Known {
        row: &instance.row,
        good: &instance.good,
        retain: usize::try_from(retaining.retain).unwrap_or(usize::MAX),
        wanted: retaining.wanted,
        documents: &documents,
    };
    let mut unneeded = unneeded(&known, &lying);
    let mut retained = Retained::default();
    retained.notes.extend(foreign(&instance.directory, &unneeded));
    let asked = question(&instance.directory, &unneeded, &lying);
    if !asked.1.trees.is_empty() {
        spare(&mut unneeded, asked, &lying, &mut retained.notes);
    }
    place.remove(&unneeded, &lying, &mut retained);
    for own in &unneeded.documents {
        store.forget_document(component, own)?;
    }
    Ok(retained)
}

impl Place {
    fn open(instance: &Instance) -> Result<Place, SystemError> {
        let directory = Path::new(&instance.directory);
        let releases = Releases::there(directory)?;
        if let Some(releases) = &releases {
            releases.sweep()?;
        }
        Ok(Place { shelf: Shelf::open(directory)?, releases })
    }

    /// What lies there, and the names of directories by the digests that their marks say.
    fn lying(&self, component: &str) -> Result<(Lying, BTreeMap<String, String>), SystemError> {
        let (mut lying, mut names) = (Lying::default(), BTreeMap::new());
        let linked = self.shelf.iter().flat_map(|it| [it.linked("current"), it.linked("previous")]);
        lying.linked = linked.flatten().map(Arc::from).collect();
        for trees::Lying { name, mark, tree } in
            self.shelf.as_ref().map_or(Ok(vec![]), Shelf::list)?
        {
            let mark = mark.and_then(|it| Mark::read(&it, component));
            let folder = Folder {
                name: Arc::from(&*name),
                is_ours: mark.is_some(),
                tree: tree.map(Arc::from),
            };
            lying.deployments.push(folder);
            names.extend(mark.map(|it| (it.digest, name)));
        }
        let trees = self.releases.as_ref().map_or(Ok(vec![]), Releases::list)?;
        let tree = |(name, has_list): (String, bool)| Tree { name: Arc::from(name), has_list };
        lying.trees = trees.into_iter().map(tree).collect();
        Ok((lying, names))
    }

    /// The trees first: by the directory of its deployment one is known to be ours.
    fn remove(&self, unneeded: &Unneeded, lying: &Lying, retained: &mut Retained) {
        let mut stuck: Vec<&Arc<str>> = vec![];
        for tree in &unneeded.trees {
            let removed = self.releases.as_ref().map_or(Ok(()), |it| it.remove(tree));
            if !retained.tell(removed) {
                stuck.push(tree);
            }
        }
        for folder in &unneeded.deployments {
            if !stuck.iter().any(|it| leads_to(lying, folder, it)) {
                let removed = self.shelf.as_ref().map_or(Ok(()), |it| it.remove(folder));
                retained.tell(removed);
            }
        }
    }
}

impl Retained {
    /// Whether it is gone.
    fn tell(&mut self, removed: Result<(), SystemError>) -> bool {
        match removed {
            Ok(()) => self.has_removed = true,
            Err(ref error) => self.notes.push(chain(error)),
        }
        removed.is_ok()
    }
}

fn leads_to(lying: &Lying, folder: &str, tree: &Arc<str>) -> bool {
    lying.deployments.iter().any(|it| *it.name == *folder && it.tree.as_ref() == Some(tree))
}

/// The deployments of a component that are written down. One that cannot be read names nothing.
fn documents(
    component: &str,
    names: &BTreeMap<String, String>,
    store: &Store,
) -> Result<Vec<Document>, StoreError> {
    let mut documents = vec![];
    for own in store.documents(component)? {
        let text = store.document(component, &own)?.unwrap_or_default();
        let frozen: Option<Frozen> = serde_json::from_str(&text).ok();
        let id = frozen.as_ref().map(Frozen::id);
        let folder = names.get(&own).cloned().or(id).unwrap_or_else(|| own.clone());
        let tree = frozen.and_then(|it| it.tree_id()).map(Arc::from);
        documents.push(Document { own: Arc::from(own), folder: Arc::from(folder), tree });
    }
    Ok(documents)
}

/// What somebody else has put there is nobody's business, and takes room.
fn foreign(directory: &str, unneeded: &Unneeded) -> Option<String> {
    let first = unneeded.foreign.first()?;
    Some(match unneeded.foreign.len() - 1 {
        0 => format!("{directory}/{first} is none of ours, and stays"),
        more => format!("{directory}/{first} and {more} more are none of ours, and stay"),
    })
}

/// What is asked of each that would be removed: its name among the unneeded, in the order of the question.
type Asked = (Vec<(bool, Arc<str>)>, Question);

fn question(directory: &str, unneeded: &Unneeded, lying: &Lying) -> Asked {
    let (mut names, mut trees) = (vec![], vec![]);
    for tree in &unneeded.trees {
        let leads = lying.deployments.iter().filter(|it| it.tree.as_ref() == Some(tree));
        names.push((true, Arc::clone(tree)));
        trees.push(processes::Tree {
            path: format!("{directory}/releases/{tree}"),
            names: leads.map(|it| format!("{directory}/deployments/{}/tree", it.name)).collect(),
        });
    }
    for folder in &unneeded.deployments {
        names.push((false, Arc::clone(folder)));
        let path = format!("{directory}/deployments/{folder}");
        trees.push(processes::Tree { path, names: vec![] });
    }
    (names, Question { trees, ports: vec![] })
}

/// Leaves what is in use. Where that is not known, all of it.
fn spare(unneeded: &mut Unneeded, asked: Asked, lying: &Lying, notes: &mut Vec<String>) {
    let (names, question) = asked;
    let answer = std::env::current_exe()
        .map_err(|err| SystemError::io("find this program", err))
        .and_then(|program| processes::ask(&program, &["internal", "who"], &question));
    let why = match answer {
        Ok(answer) if answer.unknown.is_none() => {
            for found in &answer.uses {
                let Some((is_tree, name)) = names.get(found.tree) else { continue };
                let all = if *is_tree { &mut unneeded.trees } else { &mut unneeded.deployments };
                if all.remove(name) {
                    let path = &question.trees[found.tree].path;
                    notes.push(format!("{path} stays: {} {}", found.process, found.how));
                }
                if *is_tree {
                    unneeded.deployments.retain(|it| !leads_to(lying, it, name));
                }
            }
            return;
        }
        Ok(answer) => answer.unknown.unwrap_or_default(),
        Err(error) => chain(&error),
    };
    notes.push(format!("old deployments stay, as it is not known whether they are in use: {why}"));
    (unneeded.trees, unneeded.deployments) = (BTreeSet::new(), BTreeSet::new());
}

//! By which paths one place can be reached on this machine: what is to be spared in a directory is known by what
//! it is, not by how somebody has written it.
//!
//! Two things give a place a second path: a symbolic link that root has made (`/home` leads to `/data/home`), and
//! a bind mount. Both are looked at anew in each run (decision 0071).

use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_system::files::Mounts;
use steadfast_system::{AbsPath, Probe};

/// What is known of the names of places, for the time of a look.
pub(crate) struct Naming<'a> {
    sys: &'a dyn Probe,
    mounts: Option<Mounts>,
    known: BTreeMap<AbsPath, Names>,
}

/// What else a place is called.
#[derive(Clone, Default)]
struct Names {
    /// By the links on the way to it.
    itself: Arc<[AbsPath]>,
    /// Also by the link that it is itself.
    led_to: Arc<[AbsPath]>,
}

impl<'a> Naming<'a> {
    pub(crate) fn new(sys: &'a dyn Probe) -> Naming<'a> {
        Naming { sys, mounts: None, known: BTreeMap::new() }
    }

    pub(crate) fn probe(&self) -> &'a dyn Probe {
        self.sys
    }

    /// All names of what is at these paths is asked for at once.
    pub(crate) fn learn(&mut self, paths: &[AbsPath]) {
        let new: Vec<&AbsPath> = paths.iter().filter(|it| !self.known.contains_key(*it)).collect();
        if new.is_empty() {
            return;
        }
        let parents: Vec<AbsPath> =
            new.iter().map(|it| it.parent().unwrap_or_else(|| (*it).clone())).collect();
        let asked: Vec<&AbsPath> = parents.iter().chain(new.iter().copied()).collect();
        let real = self.sys.real_folders(&asked);
        let (of_parents, of_paths) = real.split_at(parents.len());
        let mounts = &*self.mounts.get_or_insert_with(|| self.sys.mounts());
        let all = |path: &AbsPath, more: [Option<AbsPath>; 2]| -> Arc<[AbsPath]> {
            let mut names: Vec<AbsPath> =
                more.into_iter().flatten().chain([path.clone()]).collect();
            let others: Vec<AbsPath> = names.iter().flat_map(|it| mounts.other_names(it)).collect();
            names.extend(others);
            names.retain(|it| it != path);
            names.sort();
            names.dedup();
            names.into()
        };
        for ((path, parent), target) in new.into_iter().zip(of_parents).zip(of_paths) {
            let real = parent.as_ref().map(|it| it.found(path.file_name()));
            let itself = all(path, [real.clone(), None]);
            let led_to = all(path, [real, target.clone()]);
            self.known.insert(path.clone(), Names { itself, led_to });
        }
    }

    /// What else the place at a path is called.
    fn others(&mut self, path: &AbsPath) -> Names {
        self.learn(std::slice::from_ref(path));
        self.known.get(path).cloned().unwrap_or_default()
    }

    /// A place as it is called from a directory that it lies in, or is: each name that begins with that of the
    /// directory, but its own.
    pub(crate) fn seen_from(&mut self, folder: &AbsPath, place: &AbsPath) -> Vec<AbsPath> {
        let (of_place, of_folder) = (self.others(place).led_to, self.others(folder).itself);
        let places = of_place.iter().chain([place]);
        let mut seen: Vec<AbsPath> = places
            .flat_map(|place| {
                let folders = of_folder.iter().chain([folder]);
                folders.filter_map(|it| below(place, it)).map(|below| match below {
                    "" => folder.clone(),
                    below => folder.found(below),
                })
            })
            .filter(|it| it != place)
            .collect();
        seen.sort();
        seen.dedup();
        seen
    }
}

/// The path of a place in a directory; empty where it is the directory.
fn below<'p>(place: &'p AbsPath, folder: &AbsPath) -> Option<&'p str> {
    let prefix = folder.as_str().trim_end_matches('/');
    place.is_within(folder).then(|| place.as_str()[prefix.len()..].trim_start_matches('/'))
}

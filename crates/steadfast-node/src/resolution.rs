//! What is remembered of a resolved model from one run to the next, and under which inputs.

use crate::model::Files;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use steadfast_engine::{Budget, Extent, Promised, Promises, Ties};
use steadfast_model::{Diagnostic, Place, PromiseId};
use steadfast_resources::contents::Contents;
use steadfast_store::{KnownContents, Layout, Places, Recalled, ResolveCache};
use steadfast_system::AbsPath;
use steadfast_system::packages::PackagePolicy;

/// All that a run needs, but the contents of files.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resolution {
    pub environment: Arc<str>,
    pub packages: PackagePolicy,
    pub promises: Promises,
    /// How much of what left the model goes when an agent adopts it.
    pub orphans: Option<Extent>,
    pub limits: Limits,
    /// What was said of the model.
    pub warnings: Vec<Diagnostic>,
}

/// What one run may do at most. A budget itself is stored by name, which this form has none of.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    changes: Option<u64>,
    deletions: Option<u64>,
    restarts: Option<u64>,
}

impl From<Budget> for Limits {
    fn from(budget: Budget) -> Limits {
        let Budget { changes, deletions, restarts } = budget;
        Limits { changes, deletions, restarts }
    }
}

impl From<Limits> for Budget {
    fn from(limits: Limits) -> Budget {
        let Limits { changes, deletions, restarts } = limits;
        Budget { changes, deletions, restarts }
    }
}

impl Resolution {
    /// What there is to know of a model that does not name this node.
    pub fn nothing(environment: &str, warnings: Vec<Diagnostic>) -> Resolution {
        Resolution {
            environment: Arc::from(environment),
            packages: PackagePolicy::default(),
            promises: Promises::default(),
            orphans: None,
            limits: Limits::default(),
            warnings,
        }
    }
}

/// What is remembered of a resolution beside its promises.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    environment: Arc<str>,
    packages: PackagePolicy,
    /// Without the promises themselves.
    frame: Promises,
    orphans: Option<Extent>,
    limits: Limits,
    warnings: Vec<Diagnostic>,
    /// Of all files of the model and of the standard bundles.
    digest: [u8; 32],
}

impl Known {
    fn with(self, promises: Promises) -> Resolution {
        let Known { environment, packages, frame: _, orphans, limits, warnings, digest: _ } = self;
        Resolution { environment, packages, promises, orphans, limits, warnings }
    }
}

/// What an earlier run has resolved from the same inputs.
pub(crate) fn recall(cache: &ResolveCache) -> Option<Resolution> {
    let found = cache.recall().and_then(|it| all_of(&it));
    match &found {
        Some(it) => {
            tracing::debug!(promises = it.promises.count(), "resolve: remembered from another run");
        }
        None => tracing::debug!("resolve: not remembered"),
    }
    found
}

fn all_of(recalled: &Recalled) -> Option<Resolution> {
    let mut known: Known = recalled.whole()?;
    let all: Option<Vec<Promised>> = (0..recalled.count()).map(|it| recalled.part(it)).collect();
    let promises = Promises { all: all?, ..std::mem::take(&mut known.frame) };
    Some(known.with(promises))
}

/// What a run of a few promises needs to know of a model.
pub(crate) struct Remembered {
    /// The promises themselves, and what they hang on.
    pub(crate) resolution: Resolution,
    /// Which ones these are, by their indices among all.
    pub(crate) which: Vec<usize>,
    pub(crate) places: KnownPlaces,
    /// Where the paths of all promises lie.
    pub(crate) folders: Vec<AbsPath>,
    /// Of all files of the model and of the standard bundles.
    pub(crate) digest: [u8; 32],
}

/// Where a promise stands: in which of the model's files.
#[derive(Debug, Serialize, Deserialize)]
struct Stand {
    file: usize,
    line: usize,
    column: usize,
}

/// Where promises stand in a model that nobody has read.
#[derive(Debug)]
pub(crate) struct KnownPlaces(HashMap<PromiseId, String>);

impl Places for KnownPlaces {
    fn place_of(&self, promise: &Promised) -> String {
        self.0.get(&promise.id).cloned().unwrap_or_default()
    }
}

/// The same of a few promises. What was said of the model is not said again for them.
pub(crate) fn recall_few(cache: &ResolveCache, names: &[String]) -> Option<Remembered> {
    let recalled = cache.recall()?;
    let mut known: Known = recalled.whole()?;
    let (ties, files): (Ties, Vec<Arc<str>>) = recalled.beside()?;
    let which = ties.around(&known.frame, names)?;
    known.warnings.clear();
    let few = of_these(&recalled, known, which, &files)?;
    let ids: HashSet<&str> = few.resolution.promises.all.iter().map(|it| &*it.id.0).collect();
    if !names.iter().all(|it| ids.contains(it.as_str())) {
        return None;
    }
    drop(ids);
    Some(Remembered { folders: ties.into_folders(), ..few })
}

/// The same of promises that are known by their indices, where all others are known to be kept.
pub(crate) fn recall_these(cache: &ResolveCache, these: &[usize]) -> Option<Remembered> {
    let recalled = cache.recall()?;
    let known: Known = recalled.whole()?;
    let (ties, files): (Ties, Vec<Arc<str>>) = recalled.beside()?;
    if these.iter().any(|it| *it >= recalled.count()) {
        return None;
    }
    let which = ties.around_these(&known.frame, these);
    let settled = recalled.count() - which.len();
    let mut these = of_these(&recalled, known, which, &files)?;
    these.resolution.promises.settled = settled;
    Some(these)
}

fn of_these(
    recalled: &Recalled,
    known: Known,
    which: Vec<usize>,
    files: &[Arc<str>],
) -> Option<Remembered> {
    let parts: Option<Vec<(Promised, Option<Stand>)>> =
        which.iter().map(|it| recalled.part(*it)).collect();
    let (all, places): (Vec<Promised>, Vec<Option<Stand>>) = parts?.into_iter().unzip();
    let of = |it: &Promised, stand: Option<Stand>| {
        let Stand { file, line, column } = stand?;
        let file = Arc::clone(files.get(file)?);
        Some((it.id.clone(), Place { file, line, column }.to_string()))
    };
    let places = all.iter().zip(places).filter_map(|(it, stand)| of(it, stand));
    let places = KnownPlaces(places.collect());
    let promises = known.frame.around_only(&which, all);
    tracing::debug!(promises = promises.count(), "resolve: a few remembered from another run");
    let digest = known.digest;
    let resolution = known.with(promises);
    Some(Remembered { resolution, which, places, folders: vec![], digest })
}

/// What it takes to repair a difference without the model: its contents. None where they are not all known.
pub(crate) fn attach_contents(
    cache: &ResolveCache,
    resolution: &mut Resolution,
) -> Option<Arc<KnownContents>> {
    let known = Arc::new(cache.contents()?);
    let contents: Arc<dyn Contents> = known.clone();
    resolution.promises.all.iter_mut().for_each(|it| it.want.take_contents_from(&contents));
    Some(known)
}

/// Keeps it for the next run. It only saves time: a run without it is as good.
pub(crate) fn remember(cache: &ResolveCache, resolution: &Resolution, files: &Files) {
    let all = resolution.promises.all.iter().flat_map(|it| it.want.contents());
    let all: Vec<_> = all.map(|(digest, bytes)| (digest, &**bytes)).collect();
    // They come first: what is found without them can be judged, but not repaired.
    match cache.put_contents(&all).and_then(|()| put(cache, resolution, files)) {
        Ok(()) => tracing::debug!("resolve: kept for the next run"),
        Err(error) => tracing::debug!(%error, "resolve: not kept for the next run"),
    }
}

fn put(cache: &ResolveCache, resolution: &Resolution, files: &Files) -> std::io::Result<()> {
    let Resolution { environment, packages, promises, orphans, limits, warnings } = resolution;
    let known = Known {
        environment: Arc::clone(environment),
        packages: *packages,
        frame: promises.frame(),
        orphans: *orphans,
        limits: *limits,
        warnings: warnings.clone(),
        digest: files.revision.digest,
    };
    let sources = &files.sources;
    let names: Vec<Arc<str>> = sources.iter().map(|(_, it)| Arc::clone(&it.path)).collect();
    let numbers: HashMap<&str, usize> =
        names.iter().enumerate().map(|(number, it)| (&**it, number)).collect();
    let stand = |promised: &Promised| {
        let Place { file, line, column } = sources.place(promised.origins.first()?.span);
        Some(Stand { file: *numbers.get(&*file)?, line, column })
    };
    let parts = promises.all.iter().map(|it| (it, stand(it)));
    cache.remember(&known, &(Ties::of(promises), &names), parts)
}

/// The place for what these inputs came to: the content of every file of the model, the facts, the environment
/// that was asked for, and the node. The program itself, which brings the standard bundles, is taken in by the
/// store.
pub fn cache_for(
    layout: &Layout,
    content: &[u8; 32],
    facts: &serde_json::Value,
    environment: Option<&str>,
    node: &str,
) -> Option<ResolveCache> {
    let facts = serde_json::to_vec(facts).ok()?;
    let asked: &[&[u8]] = match &environment {
        Some(name) => &[b"asked", name.as_bytes()],
        None => &[b"any"],
    };
    let inputs = [&[&content[..], &facts, node.as_bytes()], asked].concat();
    ResolveCache::for_inputs(&layout.cache, &inputs)
}

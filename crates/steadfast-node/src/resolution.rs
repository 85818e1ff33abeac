//! What is remembered of a resolved model from one run to the next, and under which inputs.

use crate::model::Files;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_engine::{Budget, Extent, Promises};
use steadfast_model::Diagnostic;
use steadfast_resources::contents::Contents;
use steadfast_store::{KnownContents, Layout, ResolveCache};
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

/// What an earlier run has resolved from the same inputs.
pub(crate) fn recall(cache: &ResolveCache) -> Option<Resolution> {
    let found: Option<Resolution> = cache.recall();
    match &found {
        Some(it) => {
            tracing::debug!(promises = it.promises.count(), "resolve: remembered from another run");
        }
        None => tracing::debug!("resolve: not remembered"),
    }
    found
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
pub(crate) fn remember(cache: &ResolveCache, resolution: &Resolution) {
    let all = resolution.promises.all.iter().flat_map(|it| it.want.contents());
    let all: Vec<_> = all.map(|(digest, bytes)| (digest, &**bytes)).collect();
    // They come first: what is found without them can be judged, but not repaired.
    match cache.put_contents(&all).and_then(|()| cache.remember(resolution)) {
        Ok(()) => tracing::debug!("resolve: kept for the next run"),
        Err(error) => tracing::debug!(%error, "resolve: not kept for the next run"),
    }
}

/// The place for what these inputs came to: the content of every file of the model and of the standard
/// bundles, the facts, the environment that was asked for, and the node. The program itself is taken in
/// by the store.
pub fn cache_for(
    layout: &Layout,
    files: &Files,
    facts: &serde_json::Value,
    environment: Option<&str>,
    node: &str,
) -> Option<ResolveCache> {
    let facts = serde_json::to_vec(facts).ok()?;
    let asked: &[&[u8]] = match &environment {
        Some(name) => &[b"asked", name.as_bytes()],
        None => &[b"any"],
    };
    let inputs = [&[&files.revision.digest[..], &facts, node.as_bytes()], asked].concat();
    ResolveCache::for_inputs(&layout.cache, &inputs)
}

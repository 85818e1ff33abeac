//! What a run of the agent over a few promises knows, because somebody has touched them: what else the model
//! promises is neither read nor decoded nor looked at, so that such a run costs what it changes.
//!
//! The model that was adopted lies in a directory that is named by its content, so nothing of it has to be read to
//! know which one it is. Wherever this is not enough, the run takes the way of all others.

use crate::Context;
use crate::keep::Keeping;
use crate::model::Files;
use crate::resolution::{self, KnownPlaces, Resolution};
use std::sync::Arc;
use steadfast_model::SourceSet;
use steadfast_source::Revision;
use steadfast_store::KnownContents;
use steadfast_system::AbsPath;
use steadfast_system::files::Read as _;

/// A few promises of a model, with what they hang on.
pub(crate) struct Few {
    pub(crate) resolution: Resolution,
    pub(crate) contents: Option<Arc<KnownContents>>,
    pub(crate) places: KnownPlaces,
    /// Without what is in them.
    pub(crate) files: Files,
}

/// What is remembered of these promises. None where all of the model has to be known.
pub(crate) fn recall(
    names: &[String],
    keeping: &Keeping,
    cx: &Context,
    facts: &serde_json::Value,
    environment: Option<&str>,
    node: &str,
) -> Option<Few> {
    if keeping.is_more_than_keeping() || keeping.watch {
        return None;
    }
    let content = steadfast_trust::text::unhex(&keeping.content)?;
    let cache = resolution::cache_for(&cx.layout, &content, facts, environment, node)?;
    let remembered = resolution::recall_few(&cache, names)?;
    if leads_elsewhere(cx, &remembered.folders) {
        return None;
    }
    let mut resolution = remembered.resolution;
    let contents = resolution::attach_contents(&cache, &mut resolution);
    let revision = Revision { digest: remembered.digest, commit: None };
    let files = Files { sources: SourceSet::default(), content, revision };
    Some(Few { resolution, contents, places: remembered.places, files })
}

/// Whether a link leads elsewhere from where promised paths lie, or a mount shows it a second time: then one thing may be promised twice, which
/// only a look at all promises shows.
fn leads_elsewhere(cx: &Context, folders: &[AbsPath]) -> bool {
    let folders: Vec<&AbsPath> = folders.iter().collect();
    let host = cx.host();
    let mounts = host.mounts();
    host.real_folders(&folders).iter().any(Option::is_some)
        || folders.iter().any(|it| mounts.shows_twice(it))
}

//! What a component runs, where nothing is known of it any more: each deployment has a mark in its directory that says
//! which it is, and only root can write there.

use super::instance::Instance;
use super::mark::Mark;
use std::path::Path;
use std::sync::Arc;
use steadfast_engine::component::Row;
use steadfast_system::trees::Shelf;

/// Takes what is in place to be what the component runs, where that is just what is wanted: it is current and good, and
/// there is no step. What has failed before is not known any more. Anything else that is there is what the first
/// deployment finds, and brings back where it fails.
pub(super) fn recognize(instance: &mut Instance) {
    let known = &instance.known;
    if known.row != Row::default() || known.position.is_some() {
        return;
    }
    let Some(wanted) = &instance.wanted else { return };
    let there = in_place(instance.directory(), &instance.id.to_string());
    let Some((folder, _)) = there.filter(|(_, digest)| **digest == *wanted.deployment.own) else {
        return;
    };
    let mut wanted = wanted.clone();
    wanted.deployment.folder = folder;
    instance.known.row.current = Some(wanted.deployment.clone());
    instance.known.rise();
    instance.wanted = Some(wanted);
}

/// The directory that `current` leads to, and the digest of what lies there.
fn in_place(directory: &str, component: &str) -> Option<(Arc<str>, String)> {
    let shelf = Shelf::open(Path::new(directory)).ok()??;
    let folder = shelf.linked("current")?;
    let mark = Mark::read(&shelf.look(&folder).ok()?.mark?, component)?;
    Some((Arc::from(folder), mark.digest))
}

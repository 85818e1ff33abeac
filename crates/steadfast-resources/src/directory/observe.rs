//! What the machine shows of directories and below them, and what it says of one.

use super::desired::Desired;
use super::state::State;
use crate::kind::Fingerprint;
use crate::made::Places;
use crate::paths::{self, Accounts};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_system::files::{Content, Digest, Look, OwnFolder, Shape, TreeEntry, Wanted};
use steadfast_system::{Probe, SystemError};

pub(super) fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
    let asked: Vec<_> = wants
        .iter()
        .map(|it| (&it.path, if it.force { Wanted::Digest } else { Wanted::Nothing }))
        .collect();
    let mut accounts = Accounts::new(sys);
    let own: Arc<[OwnFolder]> = Arc::from(sys.own_folders());
    (wants.iter().zip(sys.look(&asked)))
        .map(|(want, look)| {
            let ids = accounts.ids(&want.owners)?;
            let Look { folder, entry } = look?;
            let is_folder = entry.as_ref().is_some_and(|it| it.shape == Shape::Directory);
            let mut below = None;
            if is_folder && want.looks_below() {
                let sources: BTreeMap<&str, u64> = want
                    .sources()
                    .iter()
                    .filter(|_| !want.absent)
                    .map(|it| (&*it.below, it.bytes.size()))
                    .collect();
                let tree = sys.tree(&want.path, &|it| sources.get(it).copied())?;
                below = Some(Arc::from(tree));
            }
            let sources = want.source.as_ref().map(|_| digest_of_sources(want, &below));
            let made = if is_folder { Places::find(&want.made, sys)? } else { Places::default() };
            let inherits = accounts.inherited(folder.as_ref());
            let group = entry.as_ref().and_then(|it| accounts.group_of(it));
            Ok(State {
                folder,
                entry,
                ids,
                inherits,
                group,
                below,
                also_promised: Arc::from([]),
                sources,
                made,
                own: Arc::clone(&own),
            })
        })
        .collect()
}

fn digest_of_sources(want: &Desired, below: &Option<Arc<[TreeEntry]>>) -> Digest {
    let sources: BTreeSet<&str> = want.sources().iter().map(|it| &*it.below).collect();
    let mut bytes = vec![];
    for it in below.iter().flat_map(|it| it.iter()).filter(|it| sources.contains(&*it.path)) {
        bytes.extend_from_slice(it.path.as_bytes());
        bytes.push(0);
        bytes.extend(it.entry.mode.0.to_le_bytes());
        if let Shape::File { content: Content::Digest(digest), .. } = &it.entry.shape
            && !it.entry.marks.secret.is_secret()
        {
            bytes.extend_from_slice(digest);
        }
    }
    paths::sha256(&bytes)
}

/// Owner, group, mode, and the files that have their source in the model.
pub(super) fn fingerprint(have: &State) -> Fingerprint {
    let Some(entry) = &have.entry else {
        return Fingerprint { digest: paths::sha256(b"nothing"), changed: None };
    };
    let mut bytes = paths::words(&entry.shape).as_bytes().to_vec();
    bytes.extend(entry.uid.to_le_bytes());
    bytes.extend(entry.gid.to_le_bytes());
    bytes.extend(entry.mode.0.to_le_bytes());
    bytes.extend(have.sources.unwrap_or_default());
    // Only entries that were read are inputs.
    let files = have
        .below
        .iter()
        .flat_map(|it| it.iter())
        .filter(|it| matches!(it.entry.shape, Shape::File { content: Content::Digest(_), .. }));
    let changed = files.map(|it| it.entry.changed).max();
    Fingerprint {
        digest: paths::sha256(&bytes),
        changed: Some(changed.map_or(entry.changed, |it| it.max(entry.changed))),
    }
}

pub(super) fn describe(have: &State) -> Vec<(&'static str, String)> {
    let mut all = paths::describe(have.entry.as_ref());
    if let Some(below) = &have.below {
        all.push(("entries below it", paths::thousands(below.len() as u64)));
    }
    all
}

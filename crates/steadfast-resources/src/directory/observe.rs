//! What the machine shows of directories and below them, and what it says of one.

use super::desired::Desired;
use super::plan;
use super::rule::Rule;
use super::sieve::Sieve;
use super::state::State;
use crate::kind::Fingerprint;
use crate::made::Places;
use crate::naming::Naming;
use crate::paths::{self, Accounts};
use std::sync::Arc;
use steadfast_system::files::{Content, Look, OwnFolder, Shape, Wanted};
use steadfast_system::{Probe, SystemError};

pub(super) fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
    let asked: Vec<_> = wants
        .iter()
        .map(|it| (&it.path, if it.force { Wanted::Digest } else { Wanted::Nothing }))
        .collect();
    let mut accounts = Accounts::new(sys);
    let own: Arc<[OwnFolder]> = Arc::from(sys.own_folders());
    let mut naming = Naming::new(sys);
    (wants.iter().zip(sys.look(&asked)))
        .map(|(want, look)| {
            let ids = accounts.ids(&want.owners)?;
            let Look { folder, entry } = look?;
            let is_folder = entry.as_ref().is_some_and(|it| it.shape == Shape::Directory);
            let (made, own) = if is_folder && want.looks_below() {
                let made = Places::find_below(&want.made, &want.path, &mut naming)?;
                (made, paths::own_seen_from(&want.path, &own, &mut naming))
            } else {
                (Places::default(), Arc::clone(&own))
            };
            let inherits = accounts.inherited(folder.as_ref());
            let group = entry.as_ref().and_then(|it| accounts.group_of(it));
            let mut have = State {
                folder,
                entry,
                ids,
                inherits,
                group,
                below: None,
                count: 0,
                also_promised: Arc::from([]),
                sources: None,
                made,
                own,
            };
            look_below(want, &mut have, is_folder && want.looks_below(), sys)?;
            Ok(have)
        })
        .collect()
}

fn look_below(
    want: &Desired,
    have: &mut State,
    is_wanted: bool,
    sys: &dyn Probe,
) -> Result<(), SystemError> {
    let (tree, sources) = {
        let rule = Rule::new(want, have, plan::folder_after(want, have));
        let sieve = Sieve::new(want, have, rule);
        let tree = if is_wanted { Some(sys.tree(&want.path, &sieve)?) } else { None };
        let told = tree.as_ref().map_or(&[][..], |it| &it.entries);
        let sources = want.source.as_ref().map(|_| sieve.sources(told));
        (tree, sources)
    };
    have.sources = sources;
    if let Some(tree) = tree {
        have.count = tree.count;
        have.below = Some(Arc::from(tree.entries));
    }
    Ok(())
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
    bytes.extend(have.sources.as_ref().map(|it| it.digest).unwrap_or_default());
    // Only entries that were read are inputs.
    let files = have
        .below
        .iter()
        .flat_map(|it| it.iter())
        .filter(|it| matches!(it.entry.shape, Shape::File { content: Content::Digest(_), .. }));
    let kept = have.sources.as_ref().and_then(|it| it.changed);
    let changed = files.map(|it| it.entry.changed).chain(kept).max();
    Fingerprint {
        digest: paths::sha256(&bytes),
        changed: Some(changed.map_or(entry.changed, |it| it.max(entry.changed))),
    }
}

pub(super) fn describe(have: &State) -> Vec<(&'static str, String)> {
    let mut all = paths::describe(have.entry.as_ref());
    if have.below.is_some() {
        all.push(("entries below it", paths::thousands(have.count)));
    }
    all
}

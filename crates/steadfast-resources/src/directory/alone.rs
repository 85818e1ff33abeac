//! A tree of which nothing but the kernel has to say whether its promise is still kept.

use super::desired::Desired;
use super::plan::plan;
use super::state::State;
use steadfast_system::AbsPath;
use steadfast_system::files::{Digest, Shape};

/// A directory that was found as promised with all that is in it. As long as nothing in it changes, only the
/// directory itself has to be looked at.
#[derive(Debug)]
pub struct AloneTree<'s> {
    pub path: &'s AbsPath,
    /// How many entries are in it.
    pub count: u64,
    want: &'s Desired,
}

impl AloneTree<'_> {
    /// The contents that are promised, by their paths below it.
    pub fn contents(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.want.sources().iter().map(|it| (&*it.below, it.digest))
    }
}

/// None where its verdict hangs on more: secrets, accounts, what other promises make, links that lead there.
pub fn alone<'s>(want: &'s Desired, have: &'s State) -> Option<AloneTree<'s>> {
    let entry = have.entry.as_ref()?;
    let below = have.below.as_deref()?;
    let has_all = have.sources.as_ref().is_none_or(|it| it.kept.iter().all(|kept| *kept));
    let folder = have.folder.as_ref()?;
    let is_roots_alone = entry.uid == 0 && entry.mode.0 & 0o022 == 0 && !folder.open;
    let is_alone = is_roots_alone
        && !want.absent
        && want.made.is_empty()
        && have.also_promised.is_empty()
        && have.made.first_within(&want.path).is_none()
        && !have.own.iter().any(|it| it.path.is_within(&want.path))
        && !entry.mounted
        && entry.shape == Shape::Directory
        && has_all
        && !below.iter().any(|it| it.entry.marks.secret.is_secret());
    let is_kept = || {
        let difference = plan(want, have);
        difference.is_kept() && difference.notes.is_empty()
    };
    (is_alone && is_kept()).then_some(AloneTree { path: &want.path, count: have.count, want })
}

/// What is said of the directory itself, of its owner and group, and nothing of what is in it.
pub fn itself(want: &Desired) -> Desired {
    Desired {
        owners: want.owners.clone(),
        mode: want.mode.clone(),
        ..Desired::plain(want.path.clone(), want.absent)
    }
}

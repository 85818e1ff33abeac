//! A file of which nothing but the kernel has to say whether its promise is still kept.

use super::desired::{Content, Desired};
use super::plan::plan;
use super::state::{Compared, State};
use crate::paths::Owners;
use steadfast_system::AbsPath;
use steadfast_system::files::{Digest, Entry, Shape};

/// A file that was found as promised, and what was seen of it. As long as neither the file nor its directory
/// changes, and the same accounts have these names, its promise is kept.
#[derive(Debug)]
pub struct Alone<'s> {
    pub path: &'s AbsPath,
    pub owners: &'s Owners,
    /// The content that it was compared with, where one is promised.
    pub digest: Option<Digest>,
    pub entry: &'s Entry,
}

/// None where more is promised or was seen: secrets, edits, a directory that others than root can write.
pub fn alone<'s>(want: &'s Desired, have: &'s State) -> Option<Alone<'s>> {
    let digest = match &want.content {
        Content::Plain { digest, .. } => want.replace.then_some(*digest),
        Content::Unsaid => None,
        Content::Secret(_) | Content::Edits(_) => return None,
    };
    let entry = have.entry.as_ref()?;
    let is_plain = matches!(entry.shape, Shape::File { .. }) && !entry.mounted;
    let compared = match have.content {
        Compared::Unsaid | Compared::Same => true,
        Compared::Other { .. } | Compared::Refused(_) => false,
    };
    let folder = have.folder.as_ref()?;
    let is_alone = !want.absent
        && !want.sensitive
        && !have.sensitive
        && want.made.is_empty()
        && have.ours.is_none()
        && !folder.open
        && compared
        && is_plain;
    let difference = plan(want, have);
    let is_kept = difference.is_kept() && difference.notes.is_empty();
    (is_alone && is_kept).then_some(Alone { path: &want.path, owners: &want.owners, digest, entry })
}

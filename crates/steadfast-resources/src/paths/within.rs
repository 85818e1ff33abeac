//! A directory that gives way to a file or a link: all that is in it goes with it.

use super::entry::{holds_ours, may_be_filled, own_seen_from};
use super::numbers::thousands;
use crate::kind::Refusal;
use crate::made::{Made, Places};
use crate::naming::Naming;
use std::sync::Arc;
use steadfast_system::files::{Bar, Entry, Shape, TreeEntry};
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, SystemError};

/// What is in a directory that gives way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// How many things there are below it.
    pub count: u64,
    /// Why it does not go, if there is a reason.
    pub refusal: Option<Refusal>,
}

impl Within {
    /// Why another promise has the say about what is at a path; and where that is a directory and `gives_way`, what
    /// is in it.
    pub(crate) fn find(
        path: &AbsPath,
        entry: Option<&Entry>,
        made: &[Made],
        gives_way: bool,
        naming: &mut Naming<'_>,
    ) -> Result<(Option<String>, Within), SystemError> {
        let is_folder = |it: &&Entry| it.shape == Shape::Directory && !it.mounted;
        let folder = entry.filter(is_folder).filter(|_| gives_way);
        let places = match folder {
            Some(_) => Places::find_below(made, path, naming)?,
            None => Places::find(made, path, naming)?,
        };
        let theirs = if made.is_empty() { None } else { places.forbid(path, entry) };
        let (None, Some(entry)) = (&theirs, folder) else { return Ok((theirs, Within::default())) };
        let matters =
            |_: &str, it: &Entry| it.mounted || it.marks.bar.is_some() || may_be_filled(it);
        let sys = naming.probe();
        let tree = sys.tree(path, &matters)?;
        let all = &tree.entries;
        let open = may_be_filled(entry) || all.iter().any(|it| may_be_filled(&it.entry));
        let own = Arc::from(sys.own_folders());
        let ours = holds_ours(path, &own_seen_from(path, &own, naming));
        let refusal = places
            .first_within(path)
            .map(|(at, why)| Refusal::model(format!("{at} would go with it: {why}")))
            .or_else(|| ours.map(Refusal::model))
            .or_else(|| why_it_stays(all).map(|why| Refusal::of_place(open, why)));
        Ok((None, Within { count: tree.count, refusal }))
    }
}

/// Why the directory that holds all this cannot go.
fn why_it_stays(all: &[TreeEntry]) -> Option<String> {
    if let Some(it) = all.iter().find(|it| it.entry.mounted) {
        return Some(format!("something is mounted at {} in it", safe(&it.path)));
    }
    barred(all).map(|(it, bar)| format!("{} in it {}", safe(&it.path), bar.words()))
}

/// The first of them that not even root can remove.
pub fn barred(all: &[TreeEntry]) -> Option<(&TreeEntry, Bar)> {
    all.iter().find_map(|it| Some((it, it.entry.marks.bar?)))
}

/// ` and 3 below it`
pub(super) fn and_below(count: u64) -> String {
    match count {
        0 => String::new(),
        below => format!(" and {} below it", thousands(below)),
    }
}

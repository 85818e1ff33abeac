//! A directory that gives way to a file or a link: all that is in it goes with it.

use super::entry::may_be_filled;
use super::numbers::thousands;
use crate::kind::Refusal;
use crate::made::Places;
use steadfast_system::files::{Bar, Entry, Shape, TreeEntry};
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, Probe, SystemError};

/// What is in a directory that gives way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// How many things there are below it.
    pub count: u64,
    /// Why it does not go, if there is a reason.
    pub refusal: Option<Refusal>,
}

impl Within {
    /// Looks below what is to give way, where that is a directory.
    pub fn find(
        path: &AbsPath,
        entry: Option<&Entry>,
        places: &Places,
        sys: &dyn Probe,
    ) -> Result<Within, SystemError> {
        let is_folder = |it: &&Entry| it.shape == Shape::Directory && !it.mounted;
        let Some(entry) = entry.filter(is_folder) else { return Ok(Within::default()) };
        let matters =
            |_: &str, it: &Entry| it.mounted || it.marks.bar.is_some() || may_be_filled(it);
        let tree = sys.tree(path, &matters)?;
        let all = &tree.entries;
        let open = may_be_filled(entry) || all.iter().any(|it| may_be_filled(&it.entry));
        let refusal = places
            .first_within(path)
            .map(|(at, why)| Refusal::model(format!("{at} would go with it: {why}")))
            .or_else(|| why_it_stays(all).map(|why| Refusal::of_place(open, why)));
        Ok(Within { count: tree.count, refusal })
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

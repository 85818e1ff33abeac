//! What a promise says of the entries below a directory: the same where a look decides what of a tree is told,
//! and where a plan is made of that.

use super::desired::{Desired, SourceFile};
use super::state::State;
use crate::mode::Wish;
use crate::paths::{Ids, STATE, Setting};
use std::collections::BTreeSet;
use steadfast_system::AbsPath;
use steadfast_system::files::{Content, Entry, Folder, Mode, Shape};

/// The paths of the directories that an entry lies in, outermost first.
pub(super) fn folders(below: &str) -> impl Iterator<Item = &str> {
    below.match_indices('/').map(|(at, _)| &below[..at])
}

/// The directories that lead to sources, which are in the order of their paths: those of neighbours are the same,
/// and are not told twice in a row.
pub(super) fn leading(sources: &[SourceFile]) -> impl Iterator<Item = &str> {
    let folder_of =
        |it: &SourceFile| it.below.rsplit_once('/').map_or(0, |(folder, _)| folder.len());
    let mut last = "";
    let news = sources.iter().filter(move |it| {
        let folder = &it.below[..folder_of(it)];
        let is_new = folder != last;
        last = folder;
        is_new
    });
    news.flat_map(|it| folders(&it.below))
}

/// A path as it is below a directory.
pub(super) fn relative<'p>(path: &'p AbsPath, folder: &AbsPath) -> Option<&'p str> {
    path.as_str().strip_prefix(folder.as_str().trim_end_matches('/'))?.strip_prefix('/')
}

pub(super) struct Rule<'a> {
    pub(super) want: &'a Desired,
    ids: Ids,
    /// The directory itself as it is once the promise is kept.
    pub(super) root: Folder,
    /// What is ours, and the homes of promised users.
    foreign: BTreeSet<&'a str>,
    /// The homes of people that no promise names.
    people: BTreeSet<&'a str>,
}

impl<'a> Rule<'a> {
    pub(super) fn new(want: &'a Desired, have: &'a State, root: Folder) -> Rule<'a> {
        let own = have.own.iter().map(|it| it.path.as_str()).chain([STATE]);
        let own = own.filter_map(|it| it.strip_prefix(want.path.as_str())?.strip_prefix('/'));
        let homes = have.made.whole().filter_map(|it| relative(it, &want.path));
        let people = have.made.people().filter_map(|it| relative(it, &want.path));
        let foreign = own.chain(homes).collect();
        Rule { want, ids: have.ids, root, foreign, people: people.collect() }
    }

    /// Whether the promise has no say about an entry: a pattern names it, it is ours or in a promised user's
    /// home, or it lies in such a directory.
    pub(super) fn leaves_alone(&self, below: &str) -> bool {
        let is_foreign = |it: &str| self.foreign.contains(it);
        let foreign = !self.foreign.is_empty() && folders(below).chain([below]).any(is_foreign);
        foreign || !self.want.ignore.is_empty() && self.want.spares(below)
    }

    /// What stays with all that is in it, whether it is there or not.
    pub(super) fn stays(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.foreign.iter().chain(&self.people).copied()
    }

    /// Whether it is a home that nobody promised.
    pub(super) fn is_home(&self, below: &str) -> bool {
        self.people.contains(below)
    }

    /// Whether nothing of it goes with a purge: it lies in such a home.
    pub(super) fn is_of_people(&self, below: &str) -> bool {
        !self.people.is_empty() && folders(below).chain([below]).any(|it| self.is_home(it))
    }

    /// What a mode becomes below the directory.
    pub(super) fn mode(&self, base: Mode, is_folder: bool) -> Mode {
        self.wish(is_folder).map_or(base, |it| it.of(base, is_folder))
    }

    fn wish(&self, is_folder: bool) -> Option<&Wish> {
        let of_files = self.want.file_mode.as_ref().filter(|_| !is_folder);
        of_files.or(self.want.mode.as_ref()).filter(|_| self.want.recurse)
    }

    /// Whose things below the directory are to be.
    pub(super) fn ids(&self) -> Ids {
        if self.want.recurse { self.ids } else { Ids::default() }
    }

    /// The mode that recursion gives an entry; a link has none.
    pub(super) fn recursive_mode(&self, entry: &Entry) -> Option<Mode> {
        let is_link = matches!(entry.shape, Shape::Link { .. });
        (!is_link).then(|| self.mode(entry.mode, entry.shape == Shape::Directory))
    }

    /// Whether recursion gives an entry another owner or mode, or would if it touched links.
    pub(super) fn is_out_of_place(&self, entry: &Entry) -> bool {
        self.want.recurse
            && Setting::is_needed(entry, self.ids(), self.recursive_mode(entry), false)
    }

    /// A source says whether it can be executed, and no more of its mode.
    pub(super) fn source_mode(&self, file: &SourceFile, base: Mode) -> Mode {
        let bits = if file.executable { (base.0 & 0o444) >> 2 } else { 0 };
        self.mode(Mode(base.0 & !0o111 | bits), false)
    }

    /// Whether nothing is to be done about a file that has its source in the model.
    pub(super) fn is_source_kept(&self, file: &SourceFile, entry: &Entry) -> bool {
        let Shape::File { content, .. } = &entry.shape else { return false };
        let mode = self.source_mode(file, entry.mode);
        *content == Content::Digest(file.digest)
            && !Setting::is_needed(entry, self.ids(), Some(mode), false)
    }
}

//! What separates the tree below a directory from the promise: purge, sources, recursion.

mod purge;
mod recurse;
mod sources;

use crate::directory::desired::Desired;
use crate::directory::rule::{Rule, folders, leading, relative};
use crate::directory::state::State;
use crate::kind::{self, Difference, Obstacle};
use crate::paths::{self, Change, Inherited, NewDirectory, Removal, Setting, Writing, grouped};
use std::collections::{BTreeMap, BTreeSet};
use steadfast_system::files::{Folder, OwnFolder, Shape, TreeEntry};
use steadfast_system::text::safe;

/// Whether it lies below a directory.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|it| it.starts_with('/'))
}

/// What is to be done below a directory.
pub(super) struct Below<'a> {
    want: &'a Desired,
    rule: Rule<'a>,
    own: &'a [OwnFolder],
    /// What is new directly in it gets from it.
    inherits: Option<Inherited>,
    entries: BTreeMap<&'a str, &'a TreeEntry>,
    /// Which sources are as promised.
    kept: &'a [bool],
    /// What another promise names or makes.
    promised: BTreeSet<&'a str>,
    /// What a pattern names, with all below it, and what is ours, a promised user's home, or another file
    /// system's.
    ignored: BTreeSet<&'a str>,
    /// What purge leaves, with the directories that lead there.
    spared: BTreeSet<&'a str>,
    /// Directories that go as a whole, and what goes alone.
    gone: BTreeSet<&'a str>,
    removals: Vec<Removal>,
    directories: Vec<NewDirectory>,
    writings: Vec<Writing>,
    settings: Vec<Setting>,
}

impl<'a> Below<'a> {
    pub(super) fn new(
        want: &'a Desired,
        have: &'a State,
        root: Folder,
        inherits: Option<Inherited>,
        entries: &'a [TreeEntry],
    ) -> Below<'a> {
        let named = want.promised_below.iter().chain(have.made.alone());
        let also = have.also_promised.iter().map(|it| &**it);
        let mut promised: BTreeSet<&str> =
            named.filter_map(|it| relative(it, &want.path)).chain(also).collect();
        let entries: BTreeMap<&str, &TreeEntry> =
            entries.iter().map(|it| (&*it.path, it)).collect();
        promised.extend(links_of_units(want, have, &entries));
        let rule = Rule::new(want, have, root);
        let alone =
            |(path, it): &(&&'a str, &&TreeEntry)| it.entry.mounted || rule.leaves_alone(path);
        let ignored: BTreeSet<&str> = entries.iter().filter(alone).map(|(path, _)| *path).collect();
        let mut spared = BTreeSet::new();
        if want.purge {
            let named = promised.iter().chain(&ignored).copied().chain(rule.stays());
            spared.extend(named.flat_map(|it| folders(it).chain([it])));
            spared
                .extend(want.sources().iter().map(|it| &*it.below).chain(leading(want.sources())));
        }
        Below {
            want,
            rule,
            own: &have.own,
            inherits,
            entries,
            kept: have.sources.as_ref().map_or(&[], |it| &it.kept),
            promised,
            ignored,
            spared,
            gone: BTreeSet::new(),
            removals: vec![],
            directories: vec![],
            writings: vec![],
            settings: vec![],
        }
    }

    pub(super) fn plan(mut self, difference: &mut Difference<Change>) {
        if self.want.purge {
            self.purge(difference);
        }
        self.sources(difference);
        if self.want.recurse {
            self.recurse(difference);
        }
        if !kind::refuses(&difference.obstacles) {
            let written: BTreeSet<&str> =
                self.writings.iter().filter_map(|it| it.below.as_deref()).collect();
            let goes = |path: &str| self.is_gone(path) || written.contains(path);
            let gone = self.entries.iter().filter(|(path, _)| goes(path)).map(|(_, it)| *it);
            difference.notes.extend(not_kept(gone));
            difference.obstacles.extend(self.barred());
        }
        difference.changes.extend(grouped(self.removals, Change::Remove));
        difference.changes.extend(grouped(self.directories, Change::MakeDirectories));
        difference.changes.extend(grouped(self.writings, Change::Write));
        difference.changes.extend(grouped(self.settings, Change::SetAttributes));
    }

    /// Whether others than root can have put there what is there: a directory that it lies in is theirs.
    fn is_open(&self, path: &str) -> bool {
        let theirs =
            |it: &str| self.entries.get(it).is_some_and(|it| paths::may_be_filled(&it.entry));
        self.rule.root.open || folders(path).any(theirs)
    }

    /// What of it not even root can change. The rest is done all the same.
    fn barred(&self) -> Option<Obstacle> {
        let of = |it: &'a str| self.entries.get(it).and_then(|it| it.entry.marks.bar);
        let folder_of = |it: &'a str| match it.rsplit_once('/') {
            Some((folder, _)) => of(folder),
            None => self.rule.root.bar,
        };
        let place = |it: &'a str| {
            let of_folder = || Some(paths::its_directory(folder_of(it)?.words()));
            Some((it, of(it).map(|it| it.words().to_owned()).or_else(of_folder)?))
        };
        let gone = self.entries.keys().copied().filter(|it| self.is_gone(it));
        let settings = self.settings.iter().filter_map(|it| it.below.as_deref());
        let settings = settings.filter_map(|it| {
            let (path, _) = self.entries.get_key_value(it)?;
            Some((*path, of(path)?.words().to_owned()))
        });
        let (at, why) = gone.filter_map(place).chain(settings).next()?;
        Some(Obstacle::Unknown(format!("{}: {why}", safe(at))))
    }

    fn is_gone(&self, path: &str) -> bool {
        self.gone.contains(path) || folders(path).any(|it| self.gone.contains(it))
    }
}

/// The links by which promised services start at boot.
fn links_of_units<'a>(
    want: &'a Desired,
    have: &'a State,
    entries: &BTreeMap<&'a str, &'a TreeEntry>,
) -> Vec<&'a str> {
    let enables = |it: &TreeEntry| match &it.entry.shape {
        Shape::Link { target } => {
            want.path.join(&it.path).is_ok_and(|path| have.made.enables(&path, target).is_some())
        }
        Shape::File { .. } | Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            false
        }
    };
    let links = entries.iter().filter(|(_, it)| have.made.has_units() && enables(it));
    links.map(|(path, _)| *path).collect()
}

/// How many files go whose content is too large to be kept.
pub(super) fn not_kept<'a>(gone: impl IntoIterator<Item = &'a TreeEntry>) -> Option<String> {
    let count = gone.into_iter().filter(|it| paths::is_too_large_to_keep(&it.entry)).count();
    (count > 0).then(|| {
        let count = paths::thousands(count as u64);
        format!("files larger than 16 MiB, whose content will not be kept: {count}")
    })
}

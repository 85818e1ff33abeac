//! What separates the tree below a directory from the promise: purge, sources, recursion.

use super::desired::Desired;
use super::state::State;
use crate::kind::{self, Difference, Obstacle};
use crate::mode::{NEW_DIRECTORY, NEW_FILE};
use crate::paths::{
    self, Change, Ids, NewDirectory, Owners, Removal, STATE, Setting, Was, Writing, grouped,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_system::files::{
    Content, Expected, Folder, Mode, NewFile, OwnFolder, Shape, TreeEntry,
};
use steadfast_system::text::safe;

/// The paths of the folders that an entry lies in, outermost first.
fn folders(below: &str) -> impl Iterator<Item = &str> {
    below.match_indices('/').map(|(at, _)| &below[..at])
}

/// What is to be done below a directory.
pub(super) struct Below<'a> {
    want: &'a Desired,
    ids: Ids,
    own: &'a [OwnFolder],
    root: Folder,
    entries: BTreeMap<&'a str, &'a TreeEntry>,
    /// What another promise names.
    promised: BTreeSet<&'a str>,
    /// What a pattern names, with all below it, and what is ours or another file system's.
    ignored: BTreeSet<&'a str>,
    /// What purge leaves, with the folders that lead there.
    spared: BTreeSet<&'a str>,
    /// Folders that go as a whole, and what goes alone.
    gone: BTreeSet<&'a str>,
    /// How many entries have a name that no path can have.
    nameless: u64,
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
        entries: &'a [TreeEntry],
    ) -> Below<'a> {
        let root_path = want.path.as_str();
        let relative = |path: &'a str| path.strip_prefix(root_path)?.strip_prefix('/');
        let promised: BTreeSet<&str> =
            want.promised_below.iter().filter_map(|it| relative(it.as_str())).collect();
        let entries: BTreeMap<&str, &TreeEntry> =
            entries.iter().map(|it| (&*it.path, it)).collect();
        let own = have.own.iter().map(|it| it.path.as_str()).chain([STATE]);
        let own: BTreeSet<&str> = own.filter_map(relative).collect();
        let mut ignored = BTreeSet::new();
        // Folders come before what is in them.
        for (path, it) in &entries {
            let inside = path.rsplit_once('/').is_some_and(|(folder, _)| ignored.contains(folder));
            if inside || it.entry.mounted || own.contains(path) || want.ignores(path) {
                ignored.insert(*path);
            }
        }
        let mut spared = BTreeSet::new();
        let sources = want.sources().iter().map(|it| &*it.below);
        for path in promised.iter().copied().chain(ignored.iter().copied()).chain(sources) {
            spared.insert(path);
            spared.extend(folders(path));
        }
        Below {
            want,
            ids: have.ids,
            own: &have.own,
            root,
            entries,
            promised,
            ignored,
            spared,
            gone: BTreeSet::new(),
            nameless: 0,
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
        if self.nameless > 0 {
            difference.notes.push(format!(
                "left alone, because their names have control characters in them: {}",
                paths::thousands(self.nameless)
            ));
        }
        if !kind::refuses(&difference.obstacles) {
            let written: BTreeSet<&str> =
                self.writings.iter().filter_map(|it| it.below.as_deref()).collect();
            let goes = |path: &str| self.is_gone(path) || written.contains(path);
            let gone = self.entries.iter().filter(|(path, _)| goes(path)).map(|(_, it)| *it);
            difference.notes.extend(not_kept(gone));
        }
        difference.changes.extend(grouped(self.removals, Change::Remove));
        difference.changes.extend(grouped(self.directories, Change::MakeDirectories));
        difference.changes.extend(grouped(self.writings, Change::Write));
        difference.changes.extend(grouped(self.settings, Change::SetAttributes));
    }

    fn is_gone(&self, path: &str) -> bool {
        self.gone.contains(path) || folders(path).any(|it| self.gone.contains(it))
    }

    fn purge(&mut self, difference: &mut Difference<Change>) {
        // Folders that nobody promised, and that stay with all that is in them.
        let mut left: BTreeSet<&str> = BTreeSet::new();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (path, it) in &self.entries {
            if let Some(folder) = folders(path).find(|folder| self.gone.contains(folder)) {
                *counts.entry(folder).or_default() += 1;
                continue;
            }
            if self.spared.contains(path) || folders(path).any(|folder| left.contains(folder)) {
                continue;
            }
            if it.entry.shape == Shape::Directory && !self.want.force {
                left.insert(path);
                continue;
            }
            if self.want.path.join(path).is_err() {
                self.nameless += 1;
                continue;
            }
            self.gone.insert(path);
            *counts.entry(path).or_default() += 1;
        }
        let total: u64 = counts.values().sum();
        if total > self.want.purge_max {
            difference.obstacles.push(Obstacle::refused(format!(
                "purge would remove {} entries, more than {} (`purge_max`), so it removes none",
                paths::thousands(total),
                paths::thousands(self.want.purge_max)
            )));
            return;
        }
        for path in &self.gone {
            let (Some(it), Ok(whole_path)) = (self.entries.get(path), self.want.path.join(path))
            else {
                continue;
            };
            self.removals.push(Removal {
                path: whole_path,
                below: Some(Arc::clone(&it.path)),
                seen: paths::seen(&it.entry),
                whole: it.entry.shape == Shape::Directory,
                keep: true,
                count: counts.get(path).copied().unwrap_or(1),
            });
        }
        if !left.is_empty() {
            difference.notes.push(format!(
                "folders that nobody promised stay: {} (`force: true` purges folders too)",
                paths::thousands(left.len() as u64)
            ));
        }
    }

    /// What a mode becomes below the directory.
    fn mode(&self, base: Mode, is_folder: bool) -> Mode {
        let wish = if is_folder {
            self.want.mode.as_ref()
        } else {
            self.want.file_mode.as_ref().or(self.want.mode.as_ref())
        };
        match wish {
            Some(wish) if self.want.recurse => wish.of(base, is_folder),
            Some(_) | None => base,
        }
    }

    /// Whose things below the directory are to be.
    fn ids(&self) -> Ids {
        if self.want.recurse { self.ids } else { Ids::default() }
    }

    /// Whether something may give way to something of another shape.
    fn gives_way(&mut self, it: &'a TreeEntry, obstacles: &mut Vec<Obstacle>) -> bool {
        if self.want.force && !it.entry.mounted {
            self.gone.insert(&it.path);
            return true;
        }
        obstacles.push(Obstacle::refused(format!(
            "{}: {} is in the way (`force: true` removes it)",
            safe(&it.path),
            paths::words(&it.entry.shape)
        )));
        false
    }

    fn sources(&mut self, difference: &mut Difference<Change>) {
        let want = self.want;
        let (uid, gid) = self.ids().of_new(Some(&self.root));
        let names = if want.recurse { want.owners.clone() } else { Owners::default() };
        let wanted: BTreeSet<&str> =
            want.sources().iter().flat_map(|it| folders(&it.below)).collect();
        for below in wanted {
            let Ok(path) = want.path.join(below) else { continue };
            let there = self.entries.get(below).copied();
            if let Some(it) = there
                && (it.entry.shape == Shape::Directory
                    || !self.gives_way(it, &mut difference.obstacles))
            {
                continue;
            }
            self.directories.push(NewDirectory {
                path,
                below: Some(Arc::from(below)),
                uid,
                gid,
                mode: self.mode(NEW_DIRECTORY, true),
                names: names.clone(),
                replaces: there.map_or(Expected::Nothing, |it| paths::seen(&it.entry)),
            });
        }
        for file in want.sources() {
            let Ok(path) = want.path.join(&file.below) else { continue };
            if let Some(why) = paths::lies_in_ours(&path, self.own) {
                let why = format!("{}: {why}", safe(&file.below));
                difference.obstacles.push(Obstacle::refused(why));
                continue;
            }
            let there = self.entries.get(&*file.below).copied();
            let executable = |mode: Mode| {
                let bits = if file.executable { (mode.0 & 0o444) >> 2 } else { 0 };
                Mode(mode.0 & !0o111 | bits)
            };
            let mut new = NewFile {
                path: path.clone(),
                content: file.bytes.bytes().cloned().unwrap_or_default(),
                uid,
                gid,
                mode: self.mode(executable(NEW_FILE), false),
                replaces: there.map_or(Expected::Nothing, |it| paths::seen(&it.entry)),
                validate: None,
                keep: true,
                in_place: false,
            };
            let mut was = None;
            match there.map(|it| (it, &it.entry.shape)) {
                None | Some((_, Shape::Link { .. })) => {}
                Some((it, Shape::File { size, content })) => {
                    let entry = &it.entry;
                    let mode = self.mode(executable(entry.mode), false);
                    if *content == Content::Digest(file.digest) {
                        let foreign = entry.links > 1 && self.root.open;
                        let ids = self.ids();
                        let set = Setting::of(
                            &path,
                            Some(&it.path),
                            entry,
                            ids,
                            Some(mode),
                            &want.owners,
                        );
                        // With several hard links it may be another's; then it is written anew.
                        if set.is_none() || !foreign {
                            self.settings.extend(set);
                            continue;
                        }
                    }
                    was =
                        Some(Was { size: *size, uid: entry.uid, gid: entry.gid, mode: entry.mode });
                    new.uid = self.ids().owner.id().unwrap_or(entry.uid);
                    new.gid = self.ids().group.id().unwrap_or(entry.gid);
                    new.mode = mode;
                    new.in_place = entry.mounted;
                }
                Some((it, Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device)) => {
                    if !self.gives_way(it, &mut difference.obstacles) {
                        continue;
                    }
                }
            }
            if file.bytes.bytes().is_none() {
                let why = paths::ONLY_REMEMBERED.to_owned();
                difference.obstacles.push(Obstacle::refused(why));
                continue;
            }
            self.writings.push(Writing {
                file: new,
                names: names.clone(),
                below: Some(Arc::clone(&file.below)),
                was,
                present: None,
                sensitive: false,
                open: self.root.open,
            });
        }
    }

    fn recurse(&mut self, difference: &mut Difference<Change>) {
        let sources: BTreeSet<&str> = self.want.sources().iter().map(|it| &*it.below).collect();
        let (mut links, mut hard) = (0u64, 0u64);
        let mut settings = vec![];
        for (path, it) in &self.entries {
            let named = self.promised.contains(path) || sources.contains(path);
            if named || self.ignored.contains(path) || self.is_gone(path) {
                continue;
            }
            let Ok(whole_path) = self.want.path.join(path) else {
                self.nameless += 1;
                continue;
            };
            let entry = &it.entry;
            let is_folder = entry.shape == Shape::Directory;
            let is_link = matches!(entry.shape, Shape::Link { .. });
            let mode = (!is_link).then(|| self.mode(entry.mode, is_folder));
            let owners = &self.want.owners;
            let set = Setting::of(&whole_path, Some(&it.path), entry, self.ids, mode, owners);
            let Some(set) = set else { continue };
            if is_link {
                links += 1;
            } else if matches!(entry.shape, Shape::File { .. }) && entry.links > 1 {
                hard += 1;
            } else {
                settings.push(set);
            }
        }
        self.settings.extend(settings);
        let counts = [(links, "symbolic links"), (hard, "files with several hard links")];
        for (count, what) in counts {
            if count > 0 {
                let count = paths::thousands(count);
                difference.notes.push(format!("{what} left alone, whatever they have: {count}"));
            }
        }
    }
}

/// How many files go whose content is too large to be kept.
pub(super) fn not_kept<'a>(gone: impl IntoIterator<Item = &'a TreeEntry>) -> Option<String> {
    let count = gone.into_iter().filter(|it| paths::is_too_large_to_keep(&it.entry)).count();
    (count > 0).then(|| {
        let count = paths::thousands(count as u64);
        format!("files larger than 16 MiB, whose content will not be kept: {count}")
    })
}

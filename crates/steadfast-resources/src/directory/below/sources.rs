//! Files of the model belong below the directory.

use super::{Below, is_below};
use crate::directory::desired::SourceFile;
use crate::directory::rule::leading;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::mode::{NEW_DIRECTORY, NEW_FILE};
use crate::paths::{self, Change, NewDirectory, Owners, Setting, Was, Writing};
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_system::AbsPath;
use steadfast_system::files::{Content, Entry, Expected, NewFile, Shape, TreeEntry};
use steadfast_system::text::safe;

impl<'a> Below<'a> {
    pub(super) fn sources(&mut self, difference: &mut Difference<Change>) {
        let folders: BTreeSet<&str> = leading(self.want.sources()).collect();
        for below in folders {
            self.source_folder(below, &mut difference.obstacles);
        }
        for (at, file) in self.want.sources().iter().enumerate() {
            if self.kept.get(at) == Some(&true) {
                continue;
            }
            self.source_file(file, &mut difference.obstacles);
        }
    }

    /// A directory that leads to a source.
    fn source_folder(&mut self, below: &str, obstacles: &mut Vec<Obstacle>) {
        let Ok(path) = self.want.path.join(below) else { return };
        let there = self.entries.get(below).copied();
        if let Some(it) = there
            && (it.entry.shape == Shape::Directory || !self.gives_way(it, obstacles))
        {
            return;
        }
        let (uid, gid) = self.rule.ids().of_new(self.inherits.as_ref());
        self.directories.push(NewDirectory {
            path,
            below: Some(Arc::from(below)),
            uid,
            gid,
            mode: self.rule.mode(NEW_DIRECTORY, true),
            names: self.names().of_new(self.inherits.as_ref()),
            replaces: there.map_or(Expected::Nothing, |it| paths::seen(&it.entry)),
        });
    }

    fn source_file(&mut self, file: &SourceFile, obstacles: &mut Vec<Obstacle>) {
        let Ok(path) = self.want.path.join(&file.below) else { return };
        if let Some(why) = paths::lies_in_ours(&path, self.own) {
            let why = format!("{}: {why}", safe(&file.below));
            obstacles.push(Obstacle::refused(Refusal::Model(why)));
            return;
        }
        let there = self.entries.get(&*file.below).copied();
        let mut over = None;
        match there.map(|it| (it, &it.entry.shape)) {
            None | Some((_, Shape::Link { .. })) => {}
            Some((it, Shape::File { content, .. })) => {
                if *content == Content::Digest(file.digest) && self.attributes_do(file, &path, it) {
                    return;
                }
                over = Some(&it.entry);
            }
            Some((it, Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device)) => {
                if !self.gives_way(it, obstacles) {
                    return;
                }
            }
        }
        let Some(content) = file.bytes.bytes(&file.digest) else {
            obstacles.push(Obstacle::refused(Refusal::machine(paths::ONLY_REMEMBERED)));
            return;
        };
        let replaces = there.map_or(Expected::Nothing, |it| paths::seen(&it.entry));
        let with = match there.filter(|it| it.entry.shape == Shape::Directory) {
            Some(it) => self.entries.keys().filter(|at| is_below(at, &it.path)).count() as u64,
            None => 0,
        };
        let new = self.new_file(file, path, content, replaces, over);
        self.writings.push(Writing {
            file: new,
            with,
            names: match over {
                Some(_) => self.names(),
                None => self.names().of_new(self.inherits.as_ref()),
            },
            below: Some(Arc::clone(&file.below)),
            was: over.map(|it| Was {
                size: paths::shown_size(it),
                uid: it.uid,
                gid: it.gid,
                mode: it.mode,
            }),
            present: None,
            sensitive: false,
            open: self.rule.root.open,
        });
    }

    /// Whether a file with the promised content needs no more than another owner or mode. With several hard
    /// links it may be another's; then it is written anew.
    fn attributes_do(&mut self, file: &SourceFile, path: &AbsPath, it: &TreeEntry) -> bool {
        let mode = self.rule.source_mode(file, it.entry.mode);
        let owners = &self.want.owners;
        let set = Setting::between(
            path,
            Some(&it.path),
            &it.entry,
            self.rule.ids(),
            Some(mode),
            false,
            owners,
        );
        let foreign = it.entry.links > 1 && self.is_open(&it.path);
        if set.is_some() && foreign {
            return false;
        }
        self.settings.extend(set);
        true
    }

    /// The file as it becomes; `over` is the regular file that is there.
    fn new_file(
        &self,
        file: &SourceFile,
        path: AbsPath,
        content: Arc<[u8]>,
        replaces: Expected,
        over: Option<&Entry>,
    ) -> NewFile {
        let ids = self.rule.ids();
        let (uid, gid) = match over {
            Some(it) => (ids.owner.id().unwrap_or(it.uid), ids.group.id().unwrap_or(it.gid)),
            None => ids.of_new(self.inherits.as_ref()),
        };
        NewFile {
            path,
            content,
            uid,
            gid,
            mode: self.rule.source_mode(file, over.map_or(NEW_FILE, |it| it.mode)),
            replaces,
            validate: None,
            keep: true,
            in_place: over.is_some_and(|it| it.mounted),
        }
    }

    fn names(&self) -> Owners {
        if self.want.recurse { self.want.owners.clone() } else { Owners::default() }
    }

    /// Whether something may give way to something of another shape.
    fn gives_way(&mut self, it: &'a TreeEntry, obstacles: &mut Vec<Obstacle>) -> bool {
        let mount =
            self.entries.iter().find(|(at, below)| below.entry.mounted && is_below(at, &it.path));
        if let Some((at, _)) = mount {
            let why = format!("{}: something is mounted at {}", safe(&it.path), safe(at));
            obstacles.push(Obstacle::refused(Refusal::of_place(self.is_open(&it.path), why)));
            return false;
        }
        if self.want.force && !it.entry.mounted {
            self.gone.insert(&it.path);
            return true;
        }
        let why = format!(
            "{}: {} is in the way (`force: true` removes it)",
            safe(&it.path),
            paths::words(&it.entry.shape)
        );
        obstacles.push(Obstacle::refused(Refusal::of_place(self.is_open(&it.path), why)));
        false
    }
}

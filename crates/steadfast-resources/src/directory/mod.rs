//! # Directories
//!
//! A directory is there, with this owner, group and mode, and says what may be below it.
//!
//! ```yaml
//! directories:
//!   /srv/www: { owner: deploy, group: www-data, mode: "2755" }
//!   /srv/people: { owner: people, mode: "u=rwX,go=rX", recurse: true, ignore: ["*.sock"] }
//!   /etc/nginx/conf.d: { purge: true, source: files/nginx-conf.d }
//!   /var/spool/old: absent
//! ```
//!
//! A new directory has mode 0755 and belongs to root and root's group, or to its folder's group where
//! that is setgid. Parent folders are not made. A file or link in the way is not kept without `force`.
//!
//! **recurse**: owner, group and mode hold for all below, `X` as in chmod; `file_mode` says another mode
//! for what is no folder. Left alone are symbolic links, files with several hard links, other file
//! systems, what `ignore` names, and what has a promise of its own.
//!
//! **purge**: what no promise names goes, in this directory and in promised folders below it; a folder
//! that nobody promised stays as it is, unless `force` is true. Beyond `purge_max` entries nothing goes
//! and the promise is not kept. What goes is kept in the state directory.
//!
//! **source** is a folder of the model: its files are put below the directory, with their executable bit
//! and nothing else of theirs. With `recurse`, owner, group and mode hold for them too.
//!
//! **ignore** has patterns. One without `/` is compared with every name, one with `/` with the path below
//! the directory. What is below an ignored folder is ignored.
//!
//! **absent**: it goes if it is empty, with `force` also otherwise.

mod below;
mod lower;
mod observe;
mod plan;

use crate::glob::Glob;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn, Watch};
use crate::mode::Wish;
use crate::paths::{self, Ids, Owners};
use crate::undo::{Effect, Facet, Says};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::files::{Digest, Entry, Folder, OwnFolder, TreeEntry};
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

const PURGE_MAX: u64 = 100;
/// Of how many entries below it, which get another owner or mode at once, is remembered what they had.
const TRACED_MAX: usize = 1_000;

/// What a promise says about a directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    path: AbsPath,
    absent: bool,
    owners: Owners,
    mode: Option<Wish>,
    recurse: bool,
    file_mode: Option<Wish>,
    purge: bool,
    purge_max: u64,
    ignore: Arc<[Glob]>,
    force: bool,
    source: Option<Arc<[SourceFile]>>,
    /// What other promises name below it.
    pub promised_below: Arc<[AbsPath]>,
}

/// A file of the model that has its place below the directory.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct SourceFile {
    below: Arc<str>,
    bytes: paths::Promised,
    digest: Digest,
    executable: bool,
}

impl std::fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SourceFile({}, {} bytes)", self.below, self.bytes.size())
    }
}

impl Desired {
    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// What it says of its own path and of those that have their source in the model; of others below it,
    /// what holds for all of them.
    fn says(&self, path: &AbsPath, is_folder: bool) -> Says {
        if self.absent {
            return if *path == self.path { Says::ALL } else { Says::default() };
        }
        if *path == self.path {
            return self.owners.says(true, self.mode.as_ref());
        }
        let Some(below) = self.below(path) else { return Says::default() };
        let content = self.sources().iter().any(|it| *it.below == *below);
        if !self.recurse || self.spares(below) {
            return Says { content, ..Says::default() };
        }
        let of_files = self.file_mode.as_ref().filter(|_| !is_folder);
        self.owners.says(content, of_files.or(self.mode.as_ref()))
    }

    fn below<'p>(&self, path: &'p AbsPath) -> Option<&'p str> {
        path.as_str().strip_prefix(self.path.as_str())?.strip_prefix('/')
    }

    /// Whether a pattern names an entry, or a folder that it lies in.
    fn spares(&self, below: &str) -> bool {
        let folders = below.match_indices('/').map(|(at, _)| &below[..at]);
        folders.chain([below]).any(|it| self.ignores(it))
    }

    fn sources(&self) -> &[SourceFile] {
        self.source.as_deref().unwrap_or(&[])
    }

    fn looks_below(&self) -> bool {
        self.absent || self.recurse || self.purge || self.source.is_some()
    }

    /// Whether a pattern names an entry itself (and not a folder that it lies in).
    fn ignores(&self, below: &str) -> bool {
        let name = below.rsplit('/').next().unwrap_or(below);
        self.ignore
            .iter()
            .any(|it| it.matches(if it.as_str().contains('/') { below } else { name }))
    }
}

/// What is at the path, and below it where that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub folder: Option<Folder>,
    pub entry: Option<Entry>,
    pub ids: Ids,
    pub below: Option<Arc<[TreeEntry]>>,
    /// A digest over the files that have their source in the model, as they are.
    pub sources: Option<Digest>,
    /// Where this program keeps what is its own.
    pub own: Arc<[OwnFolder]>,
}

pub use crate::paths::Change;

#[derive(Debug)]
pub struct Directory;

const STATES: &[&str] = &["present", "absent"];

impl Kind for Directory {
    const NAME: &'static str = "directory";
    const SHORT_FORMS: &'static [Takes] = &[Takes::Words(STATES)];
    const FIELDS: &'static [Field] = &[
        Field::new("state", Takes::Words(STATES), "whether it is there (present)"),
        Field::new("owner", Takes::Text, "a user's name (of a new directory: root)"),
        Field::new("group", Takes::Text, "a group's name (new: root, or the folder's)"),
        Field::new("mode", Takes::Text, "\"0755\" or u=rwX,go=rX (of a new directory: 0755)"),
        Field::new("recurse", Takes::Boolean, "owner, group and mode hold for all below (false)"),
        Field::new("file_mode", Takes::Text, "with recurse: the mode of what is no folder"),
        Field::new("purge", Takes::Boolean, "what no promise names below it goes (false)"),
        Field::new("purge_max", Takes::Integer, "with more to purge than this, nothing goes (100)"),
        Field::new("ignore", Takes::TextList, "patterns of what is neither purged nor recursed"),
        Field::new("force", Takes::Boolean, "folders are purged, what is in the way goes (false)"),
        Field::new("source", Takes::Text, "a folder of the model: its files belong below it"),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    /// The directory, and the files that have their source in the model.
    fn claims(want: &Desired) -> Vec<Identity> {
        let files = want.sources().iter().filter(|_| !want.absent);
        let files = files.filter_map(|it| want.path.join(&it.below).ok());
        std::iter::once(want.path.clone()).chain(files).map(Identity::Path).collect()
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        want.owners.uses(&want.path)
    }

    fn is_absent(want: &Desired) -> bool {
        want.absent
    }

    fn turn(want: &Desired) -> Turn {
        paths::turn(want.absent, &Self::claims(want))
    }

    fn may_come_with_packages(want: &Desired) -> bool {
        paths::may_come_with_packages(&Self::claims(want))
    }

    /// Where it matters which names there are in the directory itself, they are watched too.
    fn watch(want: &Desired) -> Watch {
        let mut watch = Watch::of(&Self::claims(want));
        if want.recurse || want.purge || want.source.is_some() {
            watch.folders = watch.paths.clone();
            let files = want.sources().iter().map(|it| format!("{}/{}", want.path, it.below));
            watch.paths.extend(files);
        }
        watch
    }

    fn folder(want: &Desired) -> Option<&AbsPath> {
        Some(&want.path)
    }

    fn rules_below(want: &Desired) -> bool {
        !want.absent && (want.purge || want.recurse)
    }

    /// What lies in a folder that nobody promised stays with that folder.
    fn purges(want: &Desired, path: &AbsPath, is_folder: bool) -> bool {
        let goes = |below: &str| {
            (want.force || !(is_folder || below.contains('/'))) && !want.spares(below)
        };
        !want.absent && want.purge && want.below(path).is_some_and(goes)
    }

    /// Purge spares these and the folders that lead to them, and recursion leaves these alone.
    fn set_promised(want: &mut Desired, below: Arc<[AbsPath]>) {
        want.promised_below = below;
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        observe::observe(wants, sys)
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan::plan(want, have)
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        paths::apply(batch, sys)
    }

    fn effects(change: &Change, _want: &Desired, have: &State) -> Vec<Effect> {
        if let Change::SetAttributes(all) = change
            && all.len() > TRACED_MAX
        {
            return vec![];
        }
        let below: HashMap<&str, &Entry> =
            have.below.iter().flat_map(|it| it.iter()).map(|it| (&*it.path, &it.entry)).collect();
        paths::effects(change, |at| match at {
            None => have.entry.as_ref(),
            Some(at) => below.get(at).copied(),
        })
    }

    fn says(want: &Desired, facet: &Facet, is_folder: bool) -> Says {
        facet.as_path().map_or(Says::default(), |path| want.says(path, is_folder))
    }

    fn folders(change: &Change) -> Vec<&AbsPath> {
        match change {
            Change::MakeDirectories(all) => all.iter().map(|it| &it.path).collect(),
            Change::MakeLink(_)
            | Change::Write(_)
            | Change::SetAttributes(_)
            | Change::Remove(_) => vec![],
        }
    }

    fn fingerprint(have: &State) -> Fingerprint {
        observe::fingerprint(have)
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        observe::describe(have)
    }

    fn detail(change: &Change) -> Option<String> {
        paths::detail(change)
    }

    fn deletes(change: &Change) -> u64 {
        paths::deletes(change)
    }
}

#[cfg(test)]
mod tests;

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

use crate::glob::Glob;
use crate::kind::{self, Applied, Difference, Fingerprint, Identity, Kind, Obstacle};
use crate::mode::{NEW_DIRECTORY, NEW_FILE, Wish};
use crate::paths::{
    self, Accounts, Ids, NewDirectory, Owners, Removal, STATE, Setting, Was, Writing, grouped,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_model::{Diagnostic, Field, Fields, Lower, Node, Spanned, Takes, codes};
use steadfast_system::files::{
    Content, Digest, Entry, Folder, Look, Mode, NewFile, OwnFolder, Seen, Shape, TreeEntry, Wanted,
};
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

const PURGE_MAX: u64 = 100;

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
    /// What other promises name below it; set by [`Desired::set_promised`].
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

    /// Whether anything hangs on what other promises name below it.
    pub fn asks_for_promised(&self) -> bool {
        !self.absent && (self.purge || self.recurse)
    }

    /// Says what other promises name below it: purge spares these and the folders that lead to them,
    /// and recursion leaves these alone.
    pub fn set_promised(&mut self, paths: Arc<[AbsPath]>) {
        self.promised_below = paths;
    }

    /// Where it matters which names there are in the directory itself, and whose they are.
    pub fn is_about_its_names(&self) -> bool {
        self.recurse || self.purge || self.source.is_some()
    }

    /// The files that have their source in the model.
    pub fn promised_files(&self) -> impl Iterator<Item = String> + '_ {
        self.sources().iter().map(|it| format!("{}/{}", self.path, it.below))
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
        let path = paths::lower_path(name, cx);
        let plain = |path, absent| Desired {
            path,
            absent,
            owners: Owners::default(),
            mode: None,
            recurse: false,
            file_mode: None,
            purge: false,
            purge_max: PURGE_MAX,
            ignore: Arc::from([]),
            force: false,
            source: None,
            promised_below: Arc::from([]),
        };
        if matches!(body, Node::Scalar(_)) {
            let absent = paths::lower_short("directory", body, cx)?;
            if absent && let Some(path) = &path {
                lower_absence(path, name, cx);
            }
            return cx.is_sound().then_some(plain(path?, absent));
        }
        let mut fields = Fields::of(body, "directory", Self::FIELDS, cx)?;
        let absent = fields.one_of("state", &[("present", false), ("absent", true)]);
        let absent = absent.unwrap_or(false);
        if absent && let Some(path) = &path {
            lower_absence(path, name, fields.cx);
        }
        let owners = Owners::lower(&mut fields);
        let mode = paths::lower_mode(&mut fields, "mode");
        let recurse = fields.boolean("recurse").unwrap_or(false);
        let file_mode = paths::lower_mode(&mut fields, "file_mode");
        let purge = fields.boolean("purge").unwrap_or(false);
        let purge_max = lower_purge_max(&mut fields);
        let ignore = fields.parsed_list("ignore", codes::BAD_VALUE, Glob::parse);
        let force = fields.boolean("force").unwrap_or(false);
        let source = match (&path, fields.text("source")) {
            (Some(path), Some(from)) => Some(lower_source(path, &from, fields.cx)),
            (_, _) => None,
        };
        let attributes = ["owner", "group", "mode", "file_mode"];
        let attributes = attributes.iter().any(|it| fields.has(it));
        let conflicts = [
            ("recurse", !recurse || attributes, "`recurse` needs an owner, group or mode"),
            ("file_mode", recurse, "`file_mode` is for what `recurse` reaches"),
            ("purge_max", purge, "`purge_max` is for `purge`"),
            ("ignore", purge || recurse, "`ignore` is for `purge` and `recurse`"),
        ];
        for (key, good, message) in conflicts {
            if fields.has(key) && !good {
                let span = fields.key_span(key);
                fields.error(codes::CONFLICTING_FIELDS, span, message);
            }
        }
        if path.as_ref().is_some_and(|it| it.as_str() == "/") {
            for key in ["recurse", "purge", "source"] {
                if fields.has(key) {
                    let span = fields.key_span(key);
                    fields.error(codes::BAD_VALUE, span, format!("`{key}` is not for `/`"));
                }
            }
        }
        if !fields.complete() {
            return None;
        }
        Some(Desired {
            owners,
            mode,
            recurse,
            file_mode,
            purge,
            purge_max,
            ignore: Arc::from(ignore.unwrap_or_default()),
            force,
            source,
            ..plain(path?, absent)
        })
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

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let asked: Vec<_> = wants
            .iter()
            .map(|it| (&it.path, if it.force { Wanted::Digest } else { Wanted::Nothing }))
            .collect();
        let mut accounts = Accounts::default();
        let own: Arc<[OwnFolder]> = Arc::from(sys.own_folders());
        (wants.iter().zip(sys.look(&asked)))
            .map(|(want, look)| {
                let ids = accounts.ids(&want.owners, sys)?;
                let Look { folder, entry } = look?;
                let is_folder = entry.as_ref().is_some_and(|it| it.shape == Shape::Directory);
                let mut below = None;
                if is_folder && want.looks_below() {
                    let sources: BTreeMap<&str, u64> = want
                        .sources()
                        .iter()
                        .filter(|_| !want.absent)
                        .map(|it| (&*it.below, it.bytes.size()))
                        .collect();
                    let tree = sys.tree(&want.path, &|it| sources.get(it).copied())?;
                    below = Some(Arc::from(tree));
                }
                let sources = want.source.as_ref().map(|_| digest_of_sources(want, &below));
                Ok(State { folder, entry, ids, below, sources, own: Arc::clone(&own) })
            })
            .collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        if let Some(why) = paths::lies_in_ours(&want.path, &have.own) {
            return Difference::refused(why);
        }
        if want.absent {
            return plan_absent(want, have);
        }
        let mut obstacles: Vec<Obstacle> =
            have.ids.missing(&want.owners).into_iter().map(Obstacle::Missing).collect();
        if have.folder.is_none() {
            obstacles.extend(want.path.parent().map(|it| Obstacle::Missing(Identity::Path(it))));
        }
        if let Some(entry) = &have.entry
            && entry.shape != Shape::Directory
        {
            let what = paths::words(&entry.shape);
            if entry.mounted {
                let why = format!("{what} is in the way, and something is mounted there");
                obstacles.push(Obstacle::Refused(why));
            } else if !want.force {
                let why = format!("{what} is in the way (`force: true` removes it)");
                obstacles.push(Obstacle::Refused(why));
            }
        }
        if kind::refuses(&obstacles) {
            return Difference { obstacles, ..Difference::none() };
        }
        let there = have.entry.as_ref().filter(|it| it.shape == Shape::Directory);
        let base = there.map_or(NEW_DIRECTORY, |it| it.mode);
        let mode = want.mode.as_ref().map_or(base, |it| it.of(base, true));
        let (uid, gid) = match there {
            Some(it) => {
                (have.ids.owner.id().unwrap_or(it.uid), have.ids.group.id().unwrap_or(it.gid))
            }
            None => have.ids.of_new(have.folder.as_ref()),
        };
        let mut changes = vec![];
        match there {
            Some(entry) => {
                let set = Setting::of(&want.path, None, entry, have.ids, Some(mode), &want.owners);
                changes.extend(set.map(|it| Change::SetAttributes(vec![it])));
            }
            None => changes.push(Change::MakeDirectories(vec![NewDirectory {
                path: want.path.clone(),
                below: None,
                uid,
                gid,
                mode,
                names: want.owners.clone(),
                replaces: have.entry.as_ref().map_or(Seen::Nothing, paths::seen),
            }])),
        }
        let notes = have.entry.as_ref().and_then(paths::not_kept).into_iter().collect();
        let mut difference = Difference { changes, obstacles, notes };
        if want.looks_below() {
            // Whoever can write the folder can write below it.
            let open =
                have.folder.as_ref().is_some_and(|it| it.open) || uid != 0 || mode.0 & 0o022 != 0;
            let root = Folder { uid, gid, mode, open };
            let entries = have.below.as_deref().filter(|_| there.is_some()).unwrap_or(&[]);
            Below::new(want, have, root, entries).plan(&mut difference);
        }
        if difference.obstacles.iter().any(|it| matches!(it, Obstacle::Refused(_))) {
            difference.changes.clear();
        }
        difference
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        paths::apply(batch, sys)
    }

    /// Owner, group, mode, and the files that have their source in the model.
    fn fingerprint(have: &State) -> Fingerprint {
        let Some(entry) = &have.entry else {
            return Fingerprint { digest: paths::sha256(b"nothing"), changed: None };
        };
        let mut bytes = paths::words(&entry.shape).as_bytes().to_vec();
        bytes.extend(entry.uid.to_le_bytes());
        bytes.extend(entry.gid.to_le_bytes());
        bytes.extend(entry.mode.0.to_le_bytes());
        bytes.extend(have.sources.unwrap_or_default());
        // Only entries that were read are inputs.
        let files =
            have.below.iter().flat_map(|it| it.iter()).filter(|it| {
                matches!(it.entry.shape, Shape::File { content: Content::Digest(_), .. })
            });
        let changed = files.map(|it| it.entry.changed).max();
        Fingerprint {
            digest: paths::sha256(&bytes),
            changed: Some(changed.map_or(entry.changed, |it| it.max(entry.changed))),
        }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        let mut all = paths::describe(have.entry.as_ref());
        if let Some(below) = &have.below {
            all.push(("entries below it", paths::thousands(below.len() as u64)));
        }
        all
    }

    fn detail(change: &Change) -> Option<String> {
        paths::detail(change)
    }

    fn deletes(change: &Change) -> u64 {
        paths::deletes(change)
    }
}

fn lower_absence(path: &AbsPath, name: &Spanned<Arc<str>>, cx: &mut Lower<'_>) {
    if AbsPath::parse(STATE).is_ok_and(|it| it.is_within(path)) {
        let message = format!("`{path}` cannot be absent: the state of this program lies below it");
        cx.error(codes::BAD_VALUE, name.span, message);
    }
}

fn lower_purge_max(fields: &mut Fields<'_, '_, '_>) -> u64 {
    let Some(number) = fields.integer("purge_max") else { return PURGE_MAX };
    u64::try_from(number.value).unwrap_or_else(|_| {
        fields.error(codes::BAD_VALUE, number.span, "`purge_max` cannot be negative");
        PURGE_MAX
    })
}

/// The files of the model below a folder, beside the file that names it or below the model's root.
fn lower_source(path: &AbsPath, from: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Arc<[SourceFile]> {
    let folder = from.value.trim_end_matches('/');
    let beside = cx.sources.get(from.span.source).and_then(|it| it.path.rsplit_once('/'));
    let prefixes = [beside.map(|(it, _)| format!("{it}/{folder}/")), Some(format!("{folder}/"))];
    let mut files = vec![];
    for prefix in prefixes.into_iter().flatten() {
        files = cx
            .sources
            .iter()
            .filter_map(|(_, source)| {
                let below = source.path.strip_prefix(&*prefix)?;
                Some(SourceFile {
                    below: Arc::from(below),
                    bytes: paths::Promised::new(Arc::clone(&source.bytes)),
                    digest: source.digest,
                    executable: source.executable,
                })
            })
            .collect();
        if !files.is_empty() {
            break;
        }
    }
    if files.is_empty() {
        let message = format!("the model has no files below `{}`", from.value);
        cx.report(
            Diagnostic::error(codes::UNKNOWN_FILE, from.span, message)
                .help("paths are below the model's root, or beside the file that names them"),
        );
    }
    for file in &files {
        if let Err(refusal) = path.join(&file.below) {
            cx.error(codes::BAD_PATH, from.span, refusal.to_string());
        }
    }
    Arc::from(files)
}

fn digest_of_sources(want: &Desired, below: &Option<Arc<[TreeEntry]>>) -> Digest {
    let sources: BTreeSet<&str> = want.sources().iter().map(|it| &*it.below).collect();
    let mut bytes = vec![];
    for it in below.iter().flat_map(|it| it.iter()).filter(|it| sources.contains(&*it.path)) {
        bytes.extend_from_slice(it.path.as_bytes());
        bytes.push(0);
        bytes.extend(it.entry.mode.0.to_le_bytes());
        if let Shape::File { content: Content::Digest(digest), .. } = &it.entry.shape {
            bytes.extend_from_slice(digest);
        }
    }
    paths::sha256(&bytes)
}

fn plan_absent(want: &Desired, have: &State) -> Difference<Change> {
    let Some(entry) = &have.entry else { return Difference::none() };
    let what = paths::words(&entry.shape);
    let below = have.below.as_deref().unwrap_or(&[]);
    if let Some(why) = paths::holds_ours(&want.path, &have.own)
        && entry.shape == Shape::Directory
    {
        return Difference::refused(why);
    }
    if entry.mounted || below.iter().any(|it| it.entry.mounted) {
        let why = format!("{what} is there, and something is mounted on it or below it");
        return Difference::refused(why);
    }
    if entry.shape != Shape::Directory && !want.force {
        return Difference::refused(format!("{what} is there (`force: true` removes it)"));
    }
    if !below.is_empty() && !want.force {
        let count = paths::thousands(below.len() as u64);
        return Difference::refused(format!(
            "the directory is not empty: {count} below it (`force: true` removes all)"
        ));
    }
    let mut difference = Difference::of(vec![Change::Remove(vec![Removal {
        path: want.path.clone(),
        below: None,
        seen: paths::seen(entry),
        whole: !below.is_empty(),
        keep: true,
        count: 1 + below.len() as u64,
    }])]);
    difference.notes.extend(paths::not_kept(entry));
    difference.notes.extend(not_kept(below));
    difference
}

/// How many files go whose content is too large to be kept.
fn not_kept<'a>(gone: impl IntoIterator<Item = &'a TreeEntry>) -> Option<String> {
    let count = gone.into_iter().filter(|it| paths::is_too_large_to_keep(&it.entry)).count();
    (count > 0).then(|| {
        let count = paths::thousands(count as u64);
        format!("files larger than 16 MiB, whose content will not be kept: {count}")
    })
}

/// The paths of the folders that an entry lies in, outermost first.
fn folders(below: &str) -> impl Iterator<Item = &str> {
    below.match_indices('/').map(|(at, _)| &below[..at])
}

/// What is to be done below a directory.
struct Below<'a> {
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
    fn new(
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

    fn plan(mut self, difference: &mut Difference<Change>) {
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
            difference.obstacles.push(Obstacle::Refused(format!(
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
        obstacles.push(Obstacle::Refused(format!(
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
                replaces: there.map_or(Seen::Nothing, |it| paths::seen(&it.entry)),
            });
        }
        for file in want.sources() {
            let Ok(path) = want.path.join(&file.below) else { continue };
            if let Some(why) = paths::lies_in_ours(&path, self.own) {
                let why = format!("{}: {why}", safe(&file.below));
                difference.obstacles.push(Obstacle::Refused(why));
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
                replaces: there.map_or(Seen::Nothing, |it| paths::seen(&it.entry)),
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
                difference.obstacles.push(Obstacle::Refused(why));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Who;
    use crate::paths::tests::{abs, bad, check_example, entry, file, folder, link, lower, show};
    use expect_test::{Expect, expect};

    fn want(text: &str) -> Desired {
        let files = [
            ("files/site/index.html", "hello"),
            ("files/site/bin/run.sh", "#!/bin/sh\n"),
            ("files/other", "x"),
        ];
        lower::<Directory>(text, &files).unwrap()
    }

    fn at(below: &[(&str, Entry)]) -> State {
        let below = below
            .iter()
            .map(|(path, entry)| TreeEntry { path: Arc::from(*path), entry: entry.clone() });
        State {
            folder: folder(),
            entry: Some(dir()),
            ids: Ids::default(),
            below: Some(below.collect()),
            sources: None,
            own: Arc::from([]),
        }
    }

    fn dir() -> Entry {
        entry(Shape::Directory, 0o755)
    }

    #[track_caller]
    fn check(want: &Desired, have: &State, expected: Expect) -> Difference<Change> {
        let difference = Directory::plan(want, have);
        expected.assert_eq(&show(&difference));
        difference
    }

    #[track_caller]
    fn plans(text: &str, have: &State, expected: Expect) -> Difference<Change> {
        check(&want(text), have, expected)
    }

    #[test]
    fn what_is_wrong_with_a_promise_is_said() {
        bad::<Directory>(
            "/x: { recurse: true }",
            expect![[r#"
            conflicting-fields at 1:7: `recurse` needs an owner, group or mode
        "#]],
        );
        bad::<Directory>(
            "/x: { file_mode: \"0644\", purge_max: 3, ignore: [\"[\"] }",
            expect![[r#"
            bad-value at 1:49: the pattern `[` has a `[` without its `]`
            conflicting-fields at 1:7: `file_mode` is for what `recurse` reaches
            conflicting-fields at 1:26: `purge_max` is for `purge`
            conflicting-fields at 1:40: `ignore` is for `purge` and `recurse`
        "#]],
        );
        bad::<Directory>(
            "/x: { purge: true, purge_max: -1, mode: 755 }",
            expect![[r#"
            unquoted at 1:41: `mode` is an integer, not text
            bad-value at 1:31: `purge_max` cannot be negative
        "#]],
        );
        bad::<Directory>(
            "/: { purge: true, mode: \"0755\" }",
            expect![[r#"
            bad-value at 1:6: `purge` is not for `/`
        "#]],
        );
        bad::<Directory>(
            "/var: absent",
            expect![[r#"
            bad-value at 1:1: `/var` cannot be absent: the state of this program lies below it
        "#]],
        );
        bad::<Directory>(
            "/x: { source: files/none }",
            expect![[r#"
            unknown-file at 1:15: the model has no files below `files/none`
        "#]],
        );
        bad::<Directory>(
            "/sys/x: present",
            expect![[r#"
            bad-path at 1:1: `/sys/x` belongs to the kernel: nothing is promised below /sys
        "#]],
        );
    }

    #[test]
    fn the_example_in_the_documentation_is_right() {
        let files = [("files/nginx-conf.d/a.conf", "")];
        check_example::<Directory>(include_str!("directory.rs"), &files);
    }

    #[test]
    fn a_directory_owns_what_its_source_puts_there() {
        let want = want("/srv: { source: files/site, owner: deploy }");
        let claims: Vec<_> = Directory::claims(&want).iter().map(Identity::to_string).collect();
        assert_eq!(claims, ["/srv", "/srv/bin/run.sh", "/srv/index.html"]);
        let uses: Vec<_> = Directory::uses(&want).iter().map(Identity::to_string).collect();
        assert_eq!(uses, ["/", "user deploy"]);
    }

    #[test]
    fn a_missing_directory_is_made_and_its_parent_is_not() {
        let mut have = at(&[]);
        have.entry = None;
        have.below = None;
        plans(
            "/x: present",
            &have,
            expect![[r#"
            make directory (mode 0755)
        "#]],
        );
        have.folder = Some(Folder { uid: 0, gid: 6, mode: Mode(0o2755), open: false });
        let new = Directory::plan(&want("/x: { mode: g+w }"), &have);
        let Change::MakeDirectories(all) = &new.changes[0] else { panic!("{new:?}") };
        assert_eq!((all[0].uid, all[0].gid, all[0].mode), (0, 6, Mode(0o775)));
        have.folder = None;
        have.ids.owner = Who::Missing;
        plans(
            "/srv/x: { owner: deploy }",
            &have,
            expect![[r#"
                make directory (deploy:root, mode 0755)
                missing: user deploy
                missing: /srv
            "#]],
        );
    }

    #[test]
    fn attributes_are_set_on_the_directory_alone() {
        let mut have = at(&[("a", file("", 0o600))]);
        have.ids.group = Who::Id(6);
        plans(
            "/x: { mode: \"2755\", group: www-data }",
            &have,
            expect![[r#"
            set mode 0755 -> 2755, group root -> www-data
        "#]],
        );
        have.ids.group = Who::Unsaid;
        assert!(Directory::plan(&want("/x: present"), &have).is_kept());
    }

    #[test]
    fn what_is_in_the_way_gives_way_to_force_alone() {
        let mut have = at(&[]);
        for (there, words) in
            [(file("a", 0o644), "a regular file"), (link("/srv"), "a symbolic link")]
        {
            have.entry = Some(there);
            assert_eq!(
                Directory::plan(&want("/x: present"), &have),
                Difference::refused(format!("{words} is in the way (`force: true` removes it)"))
            );
            let new = Directory::plan(&want("/x: { force: true }"), &have);
            assert_eq!(new.changes.len(), 1);
            assert_eq!(Directory::deletes(&new.changes[0]), 1);
        }
    }

    #[test]
    fn recursion_reaches_all_but_links_and_what_has_a_promise_of_its_own() {
        let mut hard = file("", 0o600);
        hard.links = 2;
        let mut have = at(&[
            ("a", dir()),
            ("a/file", file("", 0o600)),
            ("a/tool", file("", 0o700)),
            ("hard", hard),
            ("link", link("/etc/shadow")),
            ("odd\u{1b}[2J", file("", 0o600)),
            ("own", file("", 0o600)),
            ("run.sock", entry(Shape::Socket, 0o600)),
        ]);
        have.ids.owner = Who::Id(5);
        let mut want = want(
            "/x: { owner: deploy, mode: \"u=rwX,go=rX\", recurse: true, ignore: [\"*.sock\"] }",
        );
        want.set_promised(Arc::from([abs("/x/own"), abs("/y/a")]));
        check(
            &want,
            &have,
            expect![[r#"
                set owner root -> deploy
                a: set owner root -> deploy
                a/file: set mode 0600 -> 0644, owner root -> deploy
                a/tool: set mode 0700 -> 0755, owner root -> deploy
                note: symbolic links left alone, whatever they have: 1
                note: files with several hard links left alone, whatever they have: 1
                note: left alone, because their names have control characters in them: 1
            "#]],
        );
    }

    #[test]
    fn files_may_have_another_mode_than_folders() {
        let have = at(&[("a", dir()), ("a/file", file("", 0o600)), ("b", file("", 0o640))]);
        plans(
            "/x: { mode: \"0750\", file_mode: \"0640\", recurse: true }",
            &have,
            expect![[r#"
            set mode 0755 -> 0750
            a: set mode 0755 -> 0750
            a/file: set mode 0600 -> 0640
        "#]],
        );
    }

    #[test]
    fn many_entries_are_one_line() {
        let names: Vec<String> = (0..312).map(|it| format!("{it}")).collect();
        let below: Vec<_> = names.iter().map(|it| (&**it, file("", 0o644))).collect();
        let mut have = at(&below);
        have.ids.owner = Who::Id(5);
        have.entry.as_mut().unwrap().uid = 5;
        plans(
            "/x: { owner: deploy, recurse: true }",
            &have,
            expect![[r#"
            set owner of 312 entries
        "#]],
        );
        let mut want = want("/x: { purge: true }");
        check(
            &want,
            &have,
            expect![[r#"
            refused: purge would remove 312 entries, more than 100 (`purge_max`), so it removes none
        "#]],
        );
        want.purge_max = 312;
        let gone = check(
            &want,
            &have,
            expect![[r#"
            remove 312 entries
        "#]],
        );
        assert_eq!(gone.changes.iter().map(Directory::deletes).sum::<u64>(), 312);
    }

    fn purged() -> State {
        at(&[
            ("dir", dir()),
            ("dir/inner", file("", 0o644)),
            ("keep", dir()),
            ("keep/promised", file("", 0o644)),
            ("keep/stray", file("", 0o644)),
            ("link", link("x")),
            ("stray", file("", 0o644)),
            ("stray.bak", file("", 0o644)),
            ("sub", dir()),
            ("sub/inner", file("", 0o644)),
        ])
    }

    #[test]
    fn purge_removes_what_no_promise_names_and_leaves_folders() {
        let mut want = want("/x: { purge: true, ignore: [\"*.bak\"] }");
        want.set_promised(Arc::from([abs("/x/keep/promised"), abs("/x/sub")]));
        check(
            &want,
            &purged(),
            expect![[r#"
                keep/stray: remove file
                link: remove symbolic link
                stray: remove file
                sub/inner: remove file
                note: folders that nobody promised stay: 1 (`force: true` purges folders too)
            "#]],
        );
        want.force = true;
        let gone = check(
            &want,
            &purged(),
            expect![[r#"
            dir: remove directory and 1 below it
            keep/stray: remove file
            link: remove symbolic link
            stray: remove file
            sub/inner: remove file
        "#]],
        );
        assert_eq!(gone.changes.iter().map(Directory::deletes).sum::<u64>(), 6);
        want.purge_max = 5;
        assert!(matches!(Directory::plan(&want, &purged()).obstacles[..], [Obstacle::Refused(_)]));
        // A refusal leaves everything.
        assert_eq!(Directory::plan(&want, &purged()).changes, []);
    }

    #[test]
    fn our_own_folders_are_spared_wherever_they_are() {
        let mut have = at(&[
            ("own", dir()),
            ("own/state.db", file("", 0o600)),
            ("settings", dir()),
            ("settings/secret", file("", 0o600)),
            ("stray", file("", 0o600)),
        ]);
        have.own = Arc::from(paths::tests::own_folders());
        plans(
            "/x: { purge: true, force: true }",
            &have,
            expect![[r#"
            stray: remove file
        "#]],
        );
        plans(
            "/x: { recurse: true, mode: \"a=rX\" }",
            &have,
            expect![[r#"
            set mode 0755 -> 0555
            stray: set mode 0600 -> 0444
        "#]],
        );
        plans(
            "/x: { state: absent, force: true }",
            &have,
            expect![[r#"
            refused: /x/own, where this program keeps what is its own, would go with it
        "#]],
        );
        let below = at(&[("state.db", file("", 0o600))]);
        let have = State { own: have.own, ..below };
        plans(
            "/x/own: { purge: true }",
            &have,
            expect![[r#"
            refused: it lies in /x/own, where this program keeps what is its own
        "#]],
        );
        plans(
            "/x/own/cache: absent",
            &have,
            expect![[r#"
            refused: it lies in /x/own, where this program keeps what is its own
        "#]],
        );
        plans(
            "/x/settings: { mode: \"0700\", purge: true }",
            &have,
            expect![[r#"
            set mode 0755 -> 0700
            state.db: remove file
        "#]],
        );
    }

    #[test]
    fn that_large_contents_are_not_kept_is_said() {
        let large = paths::tests::large_file;
        let full = at(&[
            ("dir", dir()),
            ("dir/large", large()),
            ("index.html", large()),
            ("large", large()),
            ("small", file("", 0o644)),
        ]);
        plans(
            "/x: { purge: true, force: true, source: files/site }",
            &full,
            expect![[r#"
            dir: remove directory and 1 below it
            large: remove file
            small: remove file
            bin: make directory (mode 0755)
            bin/run.sh: write 10 bytes (new, mode 0755)
            index.html: write 5 bytes (was 16,777,217)
            note: files larger than 16 MiB, whose content will not be kept: 3
        "#]],
        );
        plans(
            "/x: { purge: true }",
            &full,
            expect![[r#"
            index.html: remove file
            large: remove file
            small: remove file
            note: folders that nobody promised stay: 1 (`force: true` purges folders too)
            note: files larger than 16 MiB, whose content will not be kept: 2
        "#]],
        );
        plans(
            "/x: { state: absent, force: true }",
            &full,
            expect![[r#"
            remove directory and 5 below it
            note: files larger than 16 MiB, whose content will not be kept: 3
        "#]],
        );
        plans(
            "/x: { purge: true, purge_max: 1 }",
            &full,
            expect![[r#"
            refused: purge would remove 3 entries, more than 1 (`purge_max`), so it removes none
        "#]],
        );
        let mut instead = at(&[]);
        instead.entry = Some(large());
        plans(
            "/x: { force: true }",
            &instead,
            expect![[r#"
            make directory (mode 0755) in the place of a file
            note: its content is larger than 16 MiB and will not be kept
        "#]],
        );
    }

    #[test]
    fn purge_spares_ignored_folders_other_file_systems_and_our_own_state() {
        let mut mounted = dir();
        mounted.mounted = true;
        let have = at(&[
            ("lib", dir()),
            ("lib/other", dir()),
            ("lib/steadfast", dir()),
            ("lib/steadfast/store", file("", 0o600)),
            ("mnt", dir()),
            ("mnt/disk", mounted),
            ("mnt/stray", file("", 0o644)),
            ("skip", dir()),
            ("skip/deep", file("", 0o644)),
        ]);
        let want = want("/var: { purge: true, force: true, ignore: [skip] }");
        check(
            &want,
            &have,
            expect![[r#"
            lib/other: remove directory
            mnt/stray: remove file
        "#]],
        );
    }

    #[test]
    fn a_source_brings_files_and_their_executable_bit() {
        let text = "/x: { source: files/site, purge: true }";
        plans(
            text,
            &at(&[("stray", file("", 0o644))]),
            expect![[r#"
            stray: remove file
            bin: make directory (mode 0755)
            bin/run.sh: write 10 bytes (new, mode 0755)
            index.html: write 5 bytes (new, mode 0644)
        "#]],
        );
        plans(
            text,
            &at(&[
                ("bin", dir()),
                ("bin/run.sh", file("#!/bin/sh\n", 0o640)),
                ("index.html", file("older", 0o755)),
            ]),
            expect![[r#"
                index.html: write 5 bytes (was 5), mode 0755 -> 0644
                bin/run.sh: set mode 0640 -> 0750
            "#]],
        );
        let kept = at(&[
            ("bin", dir()),
            ("bin/run.sh", file("#!/bin/sh\n", 0o755)),
            ("index.html", file("hello", 0o600)),
        ]);
        assert!(Directory::plan(&want(text), &kept).is_kept());
    }

    #[test]
    fn with_recursion_owner_and_mode_hold_for_the_source_too() {
        let mut have = at(&[("index.html", file("hello", 0o644))]);
        have.ids.owner = Who::Id(5);
        have.entry.as_mut().unwrap().uid = 5;
        let new = plans(
            "/x: { source: files/site, owner: deploy, mode: \"o=\", recurse: true }",
            &have,
            expect![[r#"
                set mode 0755 -> 0750
                bin: make directory (deploy:root, mode 0750)
                bin/run.sh: write 10 bytes (new, deploy:root, mode 0750)
                index.html: set mode 0644 -> 0640, owner root -> deploy
            "#]],
        );
        let Change::Write(all) = &new.changes[2] else { panic!("{new:?}") };
        assert_eq!(all[0].file.uid, 5);
    }

    #[test]
    fn what_is_in_the_way_of_a_source_gives_way_to_force_alone() {
        let have = at(&[
            ("bin", link("/bin")),
            ("index.html", dir()),
            ("index.html/inner", file("", 0o600)),
        ]);
        plans(
            "/x: { source: files/site }",
            &have,
            expect![[r#"
            refused: bin: a symbolic link is in the way (`force: true` removes it)
            refused: index.html: a directory is in the way (`force: true` removes it)
        "#]],
        );
        plans(
            "/x: { source: files/site, force: true, recurse: true, mode: \"0755\" }",
            &have,
            expect![[r#"
            bin: make directory (mode 0755) in the place of a symbolic link
            bin/run.sh: write 10 bytes (new, mode 0755)
            index.html: write 5 bytes in the place of a directory
        "#]],
        );
        // A link in the way of a file is replaced, never followed.
        let have = at(&[("bin", dir()), ("index.html", link("/etc/passwd"))]);
        plans(
            "/x: { source: files/site }",
            &have,
            expect![[r#"
            bin/run.sh: write 10 bytes (new, mode 0755)
            index.html: write 5 bytes in the place of a symbolic link
        "#]],
        );
    }

    #[test]
    fn an_absent_directory_goes_if_it_is_empty() {
        plans(
            "/x: absent",
            &at(&[]),
            expect![[r#"
            remove directory
        "#]],
        );
        let full = at(&[("a", dir()), ("a/b", file("", 0o644))]);
        plans(
            "/x: absent",
            &full,
            expect![[r#"
            refused: the directory is not empty: 2 below it (`force: true` removes all)
        "#]],
        );
        let gone = plans(
            "/x: { state: absent, force: true }",
            &full,
            expect![[r#"
            remove directory and 2 below it
        "#]],
        );
        assert_eq!(Directory::deletes(&gone.changes[0]), 3);
        let mut mounted = dir();
        mounted.mounted = true;
        plans(
            "/x: { state: absent, force: true }",
            &at(&[("a", mounted)]),
            expect![[r#"
            refused: a directory is there, and something is mounted on it or below it
        "#]],
        );
        let mut none = at(&[]);
        none.entry = None;
        assert!(Directory::plan(&want("/x: absent"), &none).is_kept());
        none.entry = Some(file("", 0o644));
        plans(
            "/x: absent",
            &none,
            expect![[r#"
            refused: a regular file is there (`force: true` removes it)
        "#]],
        );
    }
}

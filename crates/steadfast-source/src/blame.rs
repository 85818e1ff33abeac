//! Who wrote which line, computed from the objects of a repository: every line of a revision is followed
//! from its commit into the parent that has it too, until a commit is found of which no parent has it, or
//! until there is no more to look at. Nobody's word is taken for it: it follows from the contents, and
//! those follow by their names from the commit that was verified. What is not there, too large or would
//! take too long costs precision and nothing else: the line was written in that commit *or before*.

use crate::attribution::{Attribution, Commit, Owner};
use crate::content::{Place, place};
use crate::object::{self, Entry};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Where objects come from. One that is not there, or is not what its name says, is none.
pub(crate) trait Objects {
    fn commit(&mut self, id: &str) -> Option<object::Commit>;
    fn tree(&mut self, id: &str) -> Option<Vec<Entry>>;
    /// None for one that is larger than [`MAX_BLOB`], too.
    fn blob(&mut self, id: &str) -> Option<Arc<[u8]>>;
}

/// Larger files are not compared: their lines are as old as the file.
pub(crate) const MAX_BLOB: usize = 1024 * 1024;
/// How many files that a commit took away are compared with one that it brought.
const MAX_RENAMES: usize = 32;
/// Into so many pieces the lines of all files may come apart; more runs than this are never read back.
const MAX_PIECES: usize = 1_000_000;
/// Merges have two parents, and few have more: a commit has no more on average.
const MAX_PARENTS: usize = 16;

/// What it may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub commits: usize,
    /// Entries of trees that are compared.
    pub entries: usize,
    /// Paths that are held at a time. A tree that names another one many times is a few bytes, and its
    /// paths are without number.
    pub paths: Paths,
    pub until: Instant,
}

/// Room for paths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths {
    pub count: usize,
    /// Of all of them together.
    pub bytes: usize,
}

impl Paths {
    /// Whether there was room for one more.
    pub(crate) fn take(&mut self, path: &str) -> Option<()> {
        self.count = self.count.checked_sub(1)?;
        self.bytes = self.bytes.checked_sub(path.len())?;
        Some(())
    }
}

/// The revision before, from which is known who wrote its lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    pub commit: &'a str,
    pub known: Option<&'a Attribution>,
}

/// Lines that are asked about, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub first: u32,
    pub length: u32,
    /// Where they begin in the file as the commit has it; none where it does not have them.
    pub committed: Option<u32>,
}

impl Lines {
    pub(crate) const ALL: Lines = Lines { first: 0, length: u32::MAX, committed: Some(0) };
}

/// Follows the lines of some files, which lie below a folder of the repository.
pub(crate) fn blame(
    objects: &mut dyn Objects,
    tip: &Commit,
    below: &str,
    files: impl IntoIterator<Item = (String, Vec<Lines>)>,
    base: Option<Base<'_>>,
    bounds: Bounds,
) -> Attribution {
    let (graph, order) = graph(objects, &tip.id, base.map(|it| it.commit), bounds);
    let mut walk = Walk {
        objects,
        graph,
        below,
        bounds,
        names: vec![],
        owned: vec![],
        pieces: 0,
        waiting: HashMap::new(),
    };
    let mut pending = Pending::new();
    for (path, lines) in files {
        let file = walk.names.len();
        for Lines { first, length, committed } in lines {
            match committed {
                Some(line) => {
                    pending.entry(path.clone()).or_default().push(Piece {
                        file,
                        first,
                        line,
                        length,
                    });
                }
                None => walk.owned.push((file, first, Owner::Nobody)),
            }
        }
        walk.names.push(path);
    }
    if order.is_empty() {
        walk.own(pending, &Owner::Before(tip.clone()));
    } else {
        walk.waiting.insert(tip.id.clone(), pending);
    }
    for id in order {
        let Some(pending) = walk.waiting.remove(&id) else { continue };
        match base {
            Some(base) if base.commit == id => walk.arrive(&id, pending, base.known),
            Some(_) | None => walk.step(&id, pending),
        }
    }
    let Walk { names, mut owned, .. } = walk;
    owned.sort_by_key(|it| (it.0, it.1));
    let mut parts: BTreeMap<String, Vec<(u32, Owner)>> = BTreeMap::new();
    for (file, first, owner) in owned {
        parts.entry(names[file].clone()).or_default().push((first.saturating_add(1), owner));
    }
    Attribution::of(tip.clone(), parts)
}

/// Lines of the revision, as a commit on the way has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    file: usize,
    /// In the revision.
    first: u32,
    /// In the commit.
    line: u32,
    length: u32,
}

/// By the paths that the files have in a commit.
type Pending = BTreeMap<String, Vec<Piece>>;

struct Node {
    commit: Commit,
    tree: String,
    parents: Vec<String>,
    /// Whether the base is among its ancestors, or is it.
    leads: bool,
}

/// The commits from the tip to the base, each before its parents.
fn graph(
    objects: &mut dyn Objects,
    tip: &str,
    base: Option<&str>,
    bounds: Bounds,
) -> (HashMap<String, Node>, Vec<String>) {
    let mut graph: HashMap<String, Node> = HashMap::new();
    let mut asked = HashSet::from([tip.to_owned()]);
    let mut ways = 0_usize;
    let mut next = VecDeque::from([tip.to_owned()]);
    while let Some(id) = next.pop_front() {
        if graph.len() >= bounds.commits || Instant::now() >= bounds.until {
            break;
        }
        let Some(object::Commit { tree, mut parents, author, authored, subject, .. }) =
            objects.commit(&id)
        else {
            continue;
        };
        ways += parents.len();
        if ways > bounds.commits.saturating_mul(MAX_PARENTS) {
            break;
        }
        let leads = base == Some(id.as_str());
        if leads {
            // What is older is known already.
            parents.clear();
        }
        next.extend(parents.iter().filter(|it| asked.insert((*it).clone())).cloned());
        let authored = Timestamp::from_second(authored).ok();
        let commit = Commit { id: id.clone(), author, authored, subject };
        graph.insert(id, Node { commit, tree, parents, leads });
    }
    let mut children: HashMap<&str, usize> = HashMap::new();
    for node in graph.values() {
        for parent in &node.parents {
            *children.entry(parent).or_default() += 1;
        }
    }
    let mut order = vec![];
    let mut next: Vec<&str> =
        graph.get_key_value(tip).map(|it| it.0.as_str()).into_iter().collect();
    while let Some(id) = next.pop() {
        let Some(node) = graph.get(id) else { continue };
        order.push(id.to_owned());
        for parent in &node.parents {
            if let Some(left) = children.get_mut(parent.as_str()) {
                *left -= 1;
                if *left == 0 {
                    next.push(parent);
                }
            }
        }
    }
    for id in order.iter().rev() {
        let leads = |id: &String| graph.get(id).is_some_and(|it| it.leads);
        if graph.get(id).is_some_and(|it| it.parents.iter().any(leads))
            && let Some(node) = graph.get_mut(id)
        {
            node.leads = true;
        }
    }
    (graph, order)
}

/// A file that two trees do not have alike: its object in the newer one and in the older one.
#[derive(Clone, Debug, Default)]
struct Change {
    new: Option<String>,
    old: Option<String>,
}

type Changes = BTreeMap<String, Change>;

/// Lines that two versions of a file have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Same {
    old: u32,
    new: u32,
    length: u32,
}

/// How two versions of a file compare.
#[derive(Clone, Debug, Default)]
struct Compared {
    same: Vec<Same>,
    new_lines: u32,
    old_lines: u32,
}

struct Walk<'a> {
    objects: &'a mut dyn Objects,
    graph: HashMap<String, Node>,
    below: &'a str,
    bounds: Bounds,
    names: Vec<String>,
    /// File, first line and whose it is.
    owned: Vec<(usize, u32, Owner)>,
    /// How many pieces have come of what was asked about.
    pieces: usize,
    /// What commits are still to be asked about.
    waiting: HashMap<String, Pending>,
}

impl Walk<'_> {
    fn own(&mut self, pending: Pending, owner: &Owner) {
        let pieces = pending.into_values().flatten();
        self.owned.extend(pieces.map(|it| (it.file, it.first, owner.clone())));
    }

    /// The lines that the base had.
    fn arrive(&mut self, id: &str, pending: Pending, known: Option<&Attribution>) {
        let Some(known) = known else {
            let Some(node) = self.graph.get(id) else { return };
            let owner = Owner::Before(node.commit.clone());
            return self.own(pending, &owner);
        };
        let before = self.graph.get(id).map(|it| Owner::Before(it.commit.clone()));
        for (path, pieces) in pending {
            for Piece { file, first, line, length } in pieces {
                if self.is_over() {
                    self.owned.extend(before.clone().map(|it| (file, first, it)));
                    continue;
                }
                let begin = line.saturating_add(1);
                let parts = known.parts(&path, begin, length);
                self.pieces += parts.len() - 1;
                for (from, owner) in parts {
                    let first = first.saturating_add(from - begin);
                    self.owned.push((file, first, owner));
                }
            }
        }
    }

    /// Whether no more may be spent on it.
    fn is_over(&self) -> bool {
        self.pieces >= MAX_PIECES || Instant::now() >= self.bounds.until
    }

    /// Hands what a parent of the commit has to that parent; the rest was written by the commit.
    fn step(&mut self, id: &str, mut pending: Pending) {
        let Some(node) = self.graph.get(id) else { return };
        let (commit, tree) = (node.commit.clone(), node.tree.clone());
        // What several parents have came on the way that leads to the base.
        let (mut parents, others): (Vec<String>, Vec<String>) = node
            .parents
            .iter()
            .cloned()
            .partition(|it| self.graph.get(it).is_some_and(|it| it.leads));
        parents.extend(others);
        let mut sure = true;
        let mut differences = vec![];
        // For all parents together: they are held at the same time.
        let mut room = self.bounds.paths;
        for parent in parents {
            match self.changes(&tree, &parent, &mut room) {
                Some(changes) => differences.push((parent, changes)),
                None => sure = false,
            }
        }
        for (parent, changes) in &differences {
            let mut changed = Pending::new();
            for path in changes.keys() {
                if let Some((path, pieces)) = pending.remove_entry(path) {
                    changed.insert(path, pieces);
                }
            }
            let same = std::mem::replace(&mut pending, changed);
            let target = self.waiting.entry(parent.clone()).or_default();
            if target.is_empty() {
                *target = same;
            } else {
                for (path, pieces) in same {
                    target.entry(path).or_default().extend(pieces);
                }
            }
        }
        let mut unsure = Pending::new();
        let gone: Vec<Gone<'_>> = differences.iter().map(|it| Gone::of(&it.1)).collect();
        for (path, mut pieces) in std::mem::take(&mut pending) {
            let mut compared_all = true;
            for ((parent, changes), gone) in differences.iter().zip(&gone) {
                match self.earlier(&path, changes, gone) {
                    Earlier::Is { path: old, compared } => {
                        let (passed, left) = split(&pieces, &compared);
                        let more = (passed.len() + left.len()).saturating_sub(pieces.len());
                        self.pieces += more;
                        pieces = left;
                        let target = self.waiting.entry(parent.clone()).or_default();
                        target.entry(old).or_default().extend(passed);
                    }
                    Earlier::Nothing => {}
                    Earlier::Unknown => compared_all = false,
                }
            }
            if compared_all {
                pending.insert(path, pieces);
            } else {
                unsure.insert(path, pieces);
            }
        }
        let before = Owner::Before(commit.clone());
        let owner = if sure { Owner::By(commit) } else { before.clone() };
        self.own(pending, &owner);
        self.own(unsure, &before);
    }

    fn changes(&mut self, tree: &str, parent: &str, room: &mut Paths) -> Option<Changes> {
        if Instant::now() >= self.bounds.until {
            return None;
        }
        let old = self.graph.get(parent)?.tree.clone();
        let (new, old) = (self.folder(tree)?, self.folder(&old)?);
        let mut changes = Changes::new();
        self.compare(new.as_deref(), old.as_deref(), "", &mut changes, room)?;
        Some(changes)
    }

    /// The tree of the folder that is asked about, in a whole tree: there may be none.
    fn folder(&mut self, root: &str) -> Option<Option<String>> {
        let mut at = root.to_owned();
        for name in self.below.split('/').filter(|it| !it.is_empty()) {
            let entries = self.objects.tree(&at)?;
            match entries.into_iter().find(|it| it.name == name.as_bytes() && is_folder(it.mode)) {
                Some(entry) => at = entry.object,
                None => return Some(None),
            }
        }
        Some(Some(at))
    }

    /// What differs between two trees; none where it cannot be told.
    fn compare(
        &mut self,
        new: Option<&str>,
        old: Option<&str>,
        below: &str,
        changes: &mut Changes,
        room: &mut Paths,
    ) -> Option<()> {
        if new == old {
            return Some(());
        }
        if Instant::now() >= self.bounds.until {
            return None;
        }
        let mut names: BTreeMap<String, [Option<Entry>; 2]> = BTreeMap::new();
        for (side, tree) in [new, old].into_iter().enumerate() {
            let Some(tree) = tree else { continue };
            let entries = self.objects.tree(tree)?;
            self.bounds.entries = self.bounds.entries.checked_sub(entries.len())?;
            for entry in entries {
                // A name that is no text is no name in a model.
                let Ok(name) = String::from_utf8(entry.name.clone()) else { continue };
                let sides = names.entry(name).or_default();
                sides[side] = Some(entry);
            }
        }
        for (name, sides) in names {
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if place(&path) != Place::Model {
                continue;
            }
            let of = |kind: fn(u32) -> bool| {
                sides
                    .each_ref()
                    .map(|it| it.as_ref().filter(|it| kind(it.mode)).map(|it| it.object.as_str()))
            };
            let [new, old] = of(is_file);
            if new != old {
                room.take(&path)?;
                let [new, old] = [new, old].map(|it| it.map(str::to_owned));
                changes.insert(path.clone(), Change { new, old });
            }
            let [new, old] = of(is_folder);
            self.compare(new, old, &path, changes, room)?;
        }
        Some(())
    }

    /// What a changed file was in a parent.
    fn earlier(&mut self, path: &str, changes: &Changes, gone: &Gone<'_>) -> Earlier {
        if self.is_over() {
            return Earlier::Unknown;
        }
        let Some(Change { new: Some(new), old }) = changes.get(path) else {
            return Earlier::Nothing;
        };
        if let Some(old) = old {
            return match self.compared(new, old) {
                Some(compared) => Earlier::Is { path: path.to_owned(), compared },
                None => Earlier::Unknown,
            };
        }
        // It is new: perhaps it is one that is gone now, under another name.
        if let Some(old) = gone.by_object.get(new.as_str()) {
            let same = vec![Same { old: 0, new: 0, length: u32::MAX }];
            let compared = Compared { same, new_lines: u32::MAX, old_lines: u32::MAX };
            return Earlier::Is { path: (*old).to_owned(), compared };
        }
        let mut best: Option<(u64, String, Compared)> = None;
        for (old, object) in gone.like(path) {
            // It may be the one.
            let Some(compared) = self.compared(new, object) else { return Earlier::Unknown };
            let same: u64 = compared.same.iter().map(|it| u64::from(it.length)).sum();
            let most = u64::from(compared.new_lines.max(compared.old_lines));
            if same * 2 >= most && same > 0 && best.as_ref().is_none_or(|it| it.0 < same) {
                best = Some((same, old.to_owned(), compared));
            }
        }
        match best {
            Some((_, path, compared)) => Earlier::Is { path, compared },
            None => Earlier::Nothing,
        }
    }

    fn compared(&mut self, new: &str, old: &str) -> Option<Compared> {
        let (new, old) = (self.objects.blob(new)?, self.objects.blob(old)?);
        compare_lines(&lines(&new), &lines(&old), self.bounds.until)
    }
}

/// The files that a commit took away, as one is looked for that came back under another name.
#[derive(Default)]
struct Gone<'a> {
    /// The first that has this content.
    by_object: HashMap<&'a str, &'a str>,
    by_name: HashMap<&'a str, Vec<usize>>,
    by_ending: HashMap<Option<&'a str>, Vec<usize>>,
    /// Path and object.
    all: Vec<(&'a str, &'a str)>,
}

impl<'a> Gone<'a> {
    fn of(changes: &'a Changes) -> Gone<'a> {
        let mut gone = Gone::default();
        for (path, change) in changes {
            let Change { new: None, old: Some(object) } = change else { continue };
            let at = gone.all.len();
            gone.all.push((path, object));
            gone.by_object.entry(object).or_insert(path);
            // No more of them are ever asked for.
            for places in [
                gone.by_name.entry(name_of(path)).or_default(),
                gone.by_ending.entry(ending_of(path)).or_default(),
            ] {
                if places.len() < MAX_RENAMES {
                    places.push(at);
                }
            }
        }
        gone
    }

    /// Those that are most likely to have been this one: of the same name, then of the same ending.
    fn like(&self, path: &str) -> Vec<(&'a str, &'a str)> {
        let named = self.by_name.get(name_of(path));
        let ending = self.by_ending.get(&ending_of(path));
        let others = 0..self.all.len().min(MAX_RENAMES);
        let mut seen = HashSet::new();
        named
            .into_iter()
            .chain(ending)
            .flatten()
            .copied()
            .chain(others)
            .filter(|it| seen.insert(*it))
            .map(|it| self.all[it])
            .take(MAX_RENAMES)
            .collect()
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn ending_of(path: &str) -> Option<&str> {
    path.rsplit_once('.').map(|it| it.1)
}

enum Earlier {
    Is { path: String, compared: Compared },
    Nothing,
    Unknown,
}

fn is_file(mode: u32) -> bool {
    matches!(mode, 0o100_644 | 0o100_664 | 0o100_755)
}

fn is_folder(mode: u32) -> bool {
    mode == 0o040_000
}

/// Lines with their ends, as git counts them.
fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|it| *it == b'\n').collect()
}

/// None where there was not enough time: what is found by then is not the whole.
fn compare_lines<'a>(new: &[&'a [u8]], old: &[&'a [u8]], until: Instant) -> Option<Compared> {
    let mut numbers: HashMap<&'a [u8], usize> = HashMap::new();
    let [new, old] = [new, old].map(|lines| -> Vec<usize> {
        lines
            .iter()
            .map(|line| {
                let next = numbers.len();
                *numbers.entry(line).or_insert(next)
            })
            .collect()
    });
    // Of its algorithms this one agrees with `git blame` most, and is the fastest here.
    let found = similar::capture_diff_slices_deadline(
        similar::Algorithm::Histogram,
        &old,
        &new,
        Some(until),
    );
    if Instant::now() >= until {
        return None;
    }
    let count = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    let same = found
        .into_iter()
        .filter_map(|it| match it {
            similar::DiffOp::Equal { old_index, new_index, len } => {
                Some(Same { old: count(old_index), new: count(new_index), length: count(len) })
            }
            similar::DiffOp::Delete { .. }
            | similar::DiffOp::Insert { .. }
            | similar::DiffOp::Replace { .. } => None,
        })
        .collect();
    Some(Compared { same, new_lines: count(new.len()), old_lines: count(old.len()) })
}

/// The lines of a file as it lies there, which may not be committed: where the commit has them.
pub(crate) fn against(there: &[u8], committed: &[u8], until: Instant) -> Option<Vec<Lines>> {
    // Whether lines end with a carriage return may depend on where they were checked out.
    let plain = |content| -> Vec<&[u8]> {
        let ends = |it: &u8| matches!(it, b'\n' | b'\r');
        let cut = |line: &'_ [u8]| line.iter().rposition(|it| !ends(it)).map_or(0, |at| at + 1);
        lines(content).into_iter().map(|it| &it[..cut(it)]).collect()
    };
    let compared = compare_lines(&plain(there), &plain(committed), until)?;
    let whole = [Piece { file: 0, first: 0, line: 0, length: compared.new_lines }];
    let (passed, left) = split(&whole, &compared);
    let known = passed.iter().map(|it| (it, Some(it.line)));
    let parts = known.chain(left.iter().map(|it| (it, None)));
    Some(
        parts
            .map(|(it, committed)| Lines { first: it.first, length: it.length, committed })
            .collect(),
    )
}

/// What of the lines the older version has, and the rest.
fn split(pieces: &[Piece], compared: &Compared) -> (Vec<Piece>, Vec<Piece>) {
    let (mut passed, mut left) = (vec![], vec![]);
    for piece in pieces {
        let end = piece.line.saturating_add(piece.length).min(compared.new_lines);
        let mut at = piece.line;
        let part = |from: u32, to: u32, line: u32| Piece {
            file: piece.file,
            first: piece.first.saturating_add(from - piece.line),
            line,
            length: to - from,
        };
        let after = |it: &Same| it.new.saturating_add(it.length) <= piece.line;
        let begin = compared.same.partition_point(after);
        for same in &compared.same[begin..] {
            let from = same.new.max(at);
            let to = same.new.saturating_add(same.length).min(end);
            if from >= end || from >= to {
                break;
            }
            if at < from {
                left.push(part(at, from, at));
            }
            passed.push(part(from, to, same.old + (from - same.new)));
            at = to;
        }
        if at < end {
            left.push(part(at, end, at));
        }
    }
    (passed, left)
}

#[cfg(test)]
mod tests;

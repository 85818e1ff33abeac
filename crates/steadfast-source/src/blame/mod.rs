//! Who wrote which line, computed from the objects of a repository: every line of a revision is followed
//! from its commit into the parent that has it too, until a commit is found of which no parent has it, or
//! until there is no more to look at. Nobody's word is taken for it: it follows from the contents, and
//! those follow by their names from the commit that was verified. What is not there, too large or would
//! take too long costs precision and nothing else: the line was written in that commit *or before*.

mod changes;
mod diff;
mod graph;
mod objects;
mod renames;

pub(crate) use self::diff::{Lines, against};
pub(crate) use self::objects::{Bounds, MAX_BLOB, Objects, Paths};

use self::changes::{Change, Changes, compare, folder};
use self::diff::{Compared, Piece, Same, compare_lines, lines, split};
use self::graph::{Node, graph};
use self::renames::Gone;
use crate::attribution::{Attribution, Commit, Owner};
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// Into so many pieces the lines of all files may come apart; more runs than this are never read back.
const MAX_PIECES: usize = 1_000_000;

/// The revision before, from which is known who wrote its lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    pub commit: &'a str,
    pub known: Option<&'a Attribution>,
}

/// Follows the lines of some files, which lie below a directory of the repository.
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
    Attribution::from_parts(tip.clone(), parts)
}

/// By the paths that the files have in a commit.
type Pending = BTreeMap<String, Vec<Piece>>;

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
        let commit = node.commit.clone();
        let (differences, sure) = self.differences(id);
        for difference in &differences {
            pending = self.hand_over_the_same(difference, pending);
        }
        let (own, unsure) = self.follow_changed(&differences, pending);
        let before = Owner::Before(commit.clone());
        let owner = if sure { Owner::By(commit) } else { before.clone() };
        self.own(own, &owner);
        self.own(unsure, &before);
    }

    /// What the commit changed against each parent, and whether that is known of all of them.
    fn differences(&mut self, id: &str) -> (Vec<(String, Changes)>, bool) {
        let Some(node) = self.graph.get(id) else { return (vec![], false) };
        let tree = node.tree.clone();
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
        (differences, sure)
    }

    /// Files that a parent has just so are its own; what is left is returned.
    fn hand_over_the_same(
        &mut self,
        (parent, changes): &(String, Changes),
        mut pending: Pending,
    ) -> Pending {
        let mut changed = Pending::new();
        for path in changes.keys() {
            if let Some((path, pieces)) = pending.remove_entry(path) {
                changed.insert(path, pieces);
            }
        }
        let target = self.waiting.entry(parent.clone()).or_default();
        if target.is_empty() {
            *target = pending;
        } else {
            for (path, pieces) in pending {
                target.entry(path).or_default().extend(pieces);
            }
        }
        changed
    }

    /// Lines of changed files that a parent has are its own. What is left was written by the commit, or may
    /// have been: the second where an earlier version could not be compared.
    fn follow_changed(
        &mut self,
        differences: &[(String, Changes)],
        pending: Pending,
    ) -> (Pending, Pending) {
        let (mut own, mut unsure) = (Pending::new(), Pending::new());
        let gone: Vec<Gone<'_>> = differences.iter().map(|it| Gone::from_changes(&it.1)).collect();
        for (path, mut pieces) in pending {
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
            let rest = if compared_all { &mut own } else { &mut unsure };
            rest.insert(path, pieces);
        }
        (own, unsure)
    }

    fn changes(&mut self, tree: &str, parent: &str, room: &mut Paths) -> Option<Changes> {
        if Instant::now() >= self.bounds.until {
            return None;
        }
        let old = self.graph.get(parent)?.tree.clone();
        let new = folder(self.objects, tree, self.below)?;
        let old = folder(self.objects, &old, self.below)?;
        let mut changes = Changes::new();
        let bounds = &mut self.bounds;
        compare(self.objects, bounds, new.as_deref(), old.as_deref(), "", &mut changes, room)?;
        Some(changes)
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

enum Earlier {
    Is { path: String, compared: Compared },
    Nothing,
    Unknown,
}

#[cfg(test)]
mod tests;

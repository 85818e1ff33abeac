//! What of a tree below a directory is worth telling: nothing of what is as promised.

use super::desired::{Desired, SourceFile};
use super::rule::{Rule, folders, leading, relative};
use super::state::{Sources, State};
use crate::paths;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use steadfast_system::files::{self, Content, Entry, Mode, Shape, TreeEntry};

/// It tells everything that a plan could do something about, and may tell more.
pub(super) struct Sieve<'a> {
    rule: Rule<'a>,
    has_units: bool,
    /// What other promises name below it.
    promised: HashSet<&'a str>,
    /// Directories that lead to a source.
    leading: HashSet<&'a str>,
    /// Where the sources are in their order.
    places: HashMap<&'a str, usize>,
    /// What was seen of each source that is as promised, in their order.
    kept: Vec<OnceLock<Kept>>,
}

/// A file that is as its source says.
struct Kept {
    mode: Mode,
    changed: i64,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(want: &'a Desired, have: &'a State, rule: Rule<'a>) -> Sieve<'a> {
        let sources = if want.absent { &[] } else { want.sources() };
        let named = want.promised_below.iter().filter(|_| want.purge);
        Sieve {
            rule,
            has_units: have.made.has_units(),
            promised: named.filter_map(|it| relative(it, &want.path)).collect(),
            leading: leading(sources).collect(),
            places: sources.iter().enumerate().map(|(at, it)| (&*it.below, at)).collect(),
            kept: sources.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    fn source(&self, below: &str) -> Option<(&'a SourceFile, &OnceLock<Kept>)> {
        let at = *self.places.get(below)?;
        Some((self.rule.want.sources().get(at)?, self.kept.get(at)?))
    }

    /// What an absent directory does not go with, or takes with it without a trace.
    fn matters_where_all_goes(&self, entry: &Entry) -> bool {
        let may_enable = matches!(entry.shape, Shape::Link { .. }) && self.has_units;
        entry.mounted
            || may_enable
            || entry.marks.bar.is_some()
            || paths::may_be_filled(entry)
            || paths::is_too_large_to_keep(entry)
    }

    /// What is known of the sources once the tree was looked at.
    pub(super) fn sources(&self, told: &[TreeEntry]) -> Sources {
        let mut bytes = vec![];
        let mut changed: Option<i64> = None;
        let all = self.rule.want.sources().iter();
        for (at, source) in all.enumerate() {
            let kept = self.kept.get(at).and_then(OnceLock::get);
            let found = || told.binary_search_by(|it| it.path.cmp(&source.below)).ok();
            let (mode, digest) = if let Some(kept) = kept {
                changed = changed.max(Some(kept.changed));
                (kept.mode, Some(&source.digest))
            } else if let Some(it) = found().map(|at| &told[at].entry) {
                let secret = it.marks.secret.is_secret();
                match &it.shape {
                    Shape::File { content: Content::Digest(digest), .. } => {
                        (it.mode, (!secret).then_some(digest))
                    }
                    Shape::File { .. }
                    | Shape::Directory
                    | Shape::Link { .. }
                    | Shape::Socket
                    | Shape::Fifo
                    | Shape::Device => (it.mode, None),
                }
            } else {
                continue;
            };
            bytes.extend_from_slice(source.below.as_bytes());
            bytes.push(0);
            bytes.extend(mode.0.to_le_bytes());
            bytes.extend(digest.into_iter().flatten());
        }
        Sources {
            digest: paths::sha256(&bytes),
            changed,
            kept: self.kept.iter().map(|it| it.get().is_some()).collect(),
        }
    }
}

impl files::Sieve for Sieve<'_> {
    fn promised(&self, below: &str) -> Option<u64> {
        self.source(below).map(|(file, _)| file.bytes.size())
    }

    /// What nothing is said of is not looked at. An absent directory goes with all that is in it.
    fn enters(&self, below: &str) -> bool {
        let want = self.rule.want;
        let says_nothing =
            self.rule.leaves_alone(below) || !want.recurse && self.rule.is_of_people(below);
        want.absent || self.leading.contains(below) || !says_nothing
    }

    fn tells(&self, below: &str, entry: &Entry) -> bool {
        let want = self.rule.want;
        if want.absent {
            return self.matters_where_all_goes(entry);
        }
        if let Some((file, kept)) = self.source(below) {
            // Of what was a secret another digest is told.
            let is_kept = !entry.marks.secret.is_secret() && self.rule.is_source_kept(file, entry);
            if is_kept {
                let _met_twice = kept.set(Kept { mode: entry.mode, changed: entry.changed });
            }
            return !is_kept;
        }
        if self.leading.contains(below) {
            return true;
        }
        // Who can have brought about what is in it, and whether that can go.
        let is_told_of = paths::may_be_filled(entry) || entry.marks.bar.is_some();
        if (want.purge || want.source.is_some()) && is_told_of {
            return true;
        }
        // It may go with a directory that is in a source's place.
        if want.source.is_some() && folders(below).any(|it| self.source(it).is_some()) {
            return true;
        }
        if want.purge {
            return !self.promised.contains(below);
        }
        self.rule.is_out_of_place(entry) && !entry.mounted && !self.rule.leaves_alone(below)
    }
}

#[cfg(test)]
mod tests;

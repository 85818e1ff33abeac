//! Files that come back under another name.

use super::changes::{Change, Changes};
use std::collections::{HashMap, HashSet};

/// How many files that a commit took away are compared with one that it brought.
const MAX_RENAMES: usize = 32;

/// The files that a commit took away, as one is looked for that came back under another name.
#[derive(Default)]
pub(super) struct Gone<'a> {
    /// The first that has this content.
    pub(super) by_object: HashMap<&'a str, &'a str>,
    pub(super) by_name: HashMap<&'a str, Vec<usize>>,
    pub(super) by_ending: HashMap<Option<&'a str>, Vec<usize>>,
    /// Path and object.
    pub(super) all: Vec<(&'a str, &'a str)>,
}

impl<'a> Gone<'a> {
    pub(super) fn from_changes(changes: &'a Changes) -> Gone<'a> {
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
    pub(super) fn like(&self, path: &str) -> Vec<(&'a str, &'a str)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the files that are gone, those of the same name are compared first, then those of the same ending.
    #[test]
    fn files_that_are_most_alike_by_name_are_compared_first() {
        let change = || Change { new: None, old: Some("o".into()) };
        let mut changes: Changes =
            (0..100).map(|it| (format!("a/{it:03}.txt"), change())).collect();
        changes.extend(["m/other.yaml", "z/web.yaml"].map(|it| (it.to_owned(), change())));
        let gone = Gone::from_changes(&changes);
        let like: Vec<&str> = gone.like("b/web.yaml").into_iter().map(|it| it.0).collect();
        assert_eq!(like[..3], ["z/web.yaml", "m/other.yaml", "a/000.txt"]);
        assert_eq!(like.len(), MAX_RENAMES);
    }
}

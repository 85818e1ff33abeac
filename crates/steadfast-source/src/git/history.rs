//! How a new commit and the highest one accepted before are connected: the commits between them, which the
//! accepting side follows again. One way would prove it; where there are not too many, those of merged branches
//! come too, because they may say which revisions are superseded.

use super::repository::Repository;
use std::collections::{HashMap, HashSet, VecDeque};
use steadfast_download::DownloadError;

/// More than this many are not handed over for the sake of what they say.
const MOST_BETWEEN: usize = 1_024;

/// How a new commit and the one accepted before are connected.
pub(super) enum Way {
    /// The commits between them, each after one that names it as its parent.
    Found(Vec<String>),
    /// All history that there is does not lead there.
    Nowhere,
    TooFar,
}

/// The commits between a new one and the one accepted before, deepening until it is found.
pub(super) fn find_way(
    repository: &Repository<'_>,
    tip: &str,
    accepted: &str,
) -> Result<Way, DownloadError> {
    let limits = repository.limits;
    if repository.url.is_none() {
        return way_here(repository, tip, accepted);
    }
    for depth in [16, 128, 1024, limits.commits] {
        let depth = depth.min(limits.commits);
        repository.fetch(depth)?;
        match way_here(repository, tip, accepted)? {
            Way::TooFar => {}
            way @ (Way::Found(_) | Way::Nowhere) => return Ok(way),
        }
        if depth == limits.commits {
            break;
        }
    }
    Ok(Way::TooFar)
}

/// The way in what has been fetched so far.
fn way_here(repository: &Repository<'_>, tip: &str, accepted: &str) -> Result<Way, DownloadError> {
    let mut git = repository.git();
    git.arg("--git-dir").arg(&repository.folder);
    // Merges bring more commits than generations.
    let most = repository.limits.commits.saturating_mul(4);
    git.args(["rev-list", "--parents", &format!("--max-count={most}"), tip, "--"]);
    let finished = repository.run(git)?;
    let listed = finished.text();
    let parents: HashMap<&str, Vec<&str>> = listed
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.collect()))
        })
        .collect();
    if let Some(way) = shortest_way(&parents, tip, accepted) {
        return Ok(Way::Found(all_between(&parents, tip, accepted).unwrap_or(way)));
    }
    // Where the history that is here ends for want of depth, more of it may lead there.
    let ends = std::fs::read_to_string(repository.folder.join("shallow")).unwrap_or_default();
    let more = parents.len() >= most || ends.lines().any(|it| parents.contains_key(it));
    Ok(if more { Way::TooFar } else { Way::Nowhere })
}

/// All that lead from the tip to anything that is not new since the accepted one, children first; nothing
/// where they are too many.
fn all_between(
    parents: &HashMap<&str, Vec<&str>>,
    tip: &str,
    accepted: &str,
) -> Option<Vec<String>> {
    let of = |commit: &str| parents.get(commit).into_iter().flatten().copied();
    let reached = |from, without: &HashSet<&str>| {
        let (mut all, mut next) = (HashSet::new(), vec![from]);
        while let Some(commit) = next.pop() {
            if !without.contains(commit) && all.insert(commit) {
                next.extend(of(commit));
            }
        }
        all
    };
    let old = reached(accepted, &HashSet::new());
    let new = reached(tip, &old);
    if new.len() > MOST_BETWEEN {
        return None;
    }
    // What was not brought, because the history ends there, cannot be handed over.
    let is_new = |it: &&str| new.contains(it) && parents.contains_key(it);
    let mut children: HashMap<&str, usize> = HashMap::new();
    for parent in new.iter().flat_map(|it| of(it)).filter(is_new) {
        *children.entry(parent).or_default() += 1;
    }
    let (mut ordered, mut next) = (vec![], VecDeque::from([tip]));
    while let Some(commit) = next.pop_front() {
        for parent in of(commit).filter(is_new) {
            let left = children.entry(parent).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                ordered.push(parent.to_owned());
                next.push_back(parent);
            }
        }
    }
    Some(ordered)
}

/// From the tip's parent to the child of the accepted one, by as few commits as there are.
fn shortest_way(
    parents: &HashMap<&str, Vec<&str>>,
    tip: &str,
    accepted: &str,
) -> Option<Vec<String>> {
    let mut from: HashMap<&str, &str> = HashMap::new();
    let mut next = VecDeque::from([tip]);
    while let Some(commit) = next.pop_front() {
        for parent in parents.get(commit).into_iter().flatten() {
            if *parent == accepted {
                let mut path = vec![];
                let mut at = commit;
                while at != tip {
                    path.push(at.to_owned());
                    at = from.get(at).copied().unwrap_or(tip);
                }
                path.reverse();
                return Some(path);
            }
            if *parent != tip && !from.contains_key(parent) {
                from.insert(parent, commit);
                next.push_back(parent);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_new_comes_children_first_and_nothing_that_was_there_before() {
        // `t` merges `s1`, which was begun before `b`, the accepted one.
        let parents = HashMap::from([
            ("t", vec!["c", "s1"]),
            ("c", vec!["b"]),
            ("s1", vec!["s2"]),
            ("s2", vec!["a"]),
            ("b", vec!["a"]),
            ("a", vec![]),
        ]);
        let mut all = all_between(&parents, "t", "b").unwrap();
        let place = |name: &str| all.iter().position(|it| it == name);
        assert!(place("s1") < place("s2"), "{all:?}");
        all.sort_unstable();
        assert_eq!(all, ["c", "s1", "s2"]);
        assert_eq!(all_between(&parents, "c", "b").unwrap(), [""; 0]);
    }
}

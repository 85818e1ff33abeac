//! How a new commit and the highest one accepted before are connected: the commits between them, which the
//! accepting side follows again.

use super::repository::Repository;
use std::collections::{HashMap, VecDeque};
use steadfast_download::DownloadError;

/// How a new commit and the one accepted before are connected.
pub(super) enum Way {
    /// From the tip's parent to the child of the accepted one.
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
        return Ok(Way::Found(way));
    }
    // Where the history that is here ends for want of depth, more of it may lead there.
    let ends = std::fs::read_to_string(repository.folder.join("shallow")).unwrap_or_default();
    let more = parents.len() >= most || ends.lines().any(|it| parents.contains_key(it));
    Ok(if more { Way::TooFar } else { Way::Nowhere })
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

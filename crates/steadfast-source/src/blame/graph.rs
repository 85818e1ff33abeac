//! The commits that lines are followed through.

use super::objects::{Bounds, Objects};
use crate::attribution::Commit;
use crate::object;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

/// Merges have two parents, and few have more: a commit has no more on average.
const MAX_PARENTS: usize = 16;

pub(super) struct Node {
    pub(super) commit: Commit,
    pub(super) tree: String,
    pub(super) parents: Vec<String>,
    /// Whether the base is among its ancestors, or is it.
    pub(super) leads: bool,
}

/// The commits from the tip to the base, each before its parents.
pub(super) fn graph(
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
    let order = parents_last(&graph, tip);
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

/// All commits that the tip leads to, each before its parents.
fn parents_last(graph: &HashMap<String, Node>, tip: &str) -> Vec<String> {
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
    order
}

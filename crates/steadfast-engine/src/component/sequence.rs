//! Several components on one node: one step at a time, providers first.

use super::deployment::Deployment;
use super::reason::Gate;
use super::row::Row;
use std::collections::BTreeSet;
use steadfast_model::application::ComponentId;

/// One component among the others of a node.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    pub id: &'a ComponentId,
    pub row: &'a Row,
    pub wanted: Option<&'a Deployment>,
    /// The components that provide what it uses.
    pub uses: &'a BTreeSet<ComponentId>,
}

impl Standing<'_> {
    /// Whether it has to take a step, or is taking one.
    fn is_due(&self) -> bool {
        let moves = self.wanted.is_some_and(|wanted| {
            !self.row.current.as_ref().is_some_and(|current| current.is(wanted))
        });
        self.row.step.is_some() || moves
    }

    /// Whether what is wanted of it was tried and failed.
    fn has_failed(&self) -> bool {
        self.wanted.is_some_and(|it| {
            self.row.bad(it).is_some() || self.row.again.as_ref().is_some_and(|a| a.own == it.own)
        })
    }
}

/// In which order components are asked: the one whose step is open, then providers before their users, in a circle and
/// beside each other by name.
pub fn order(all: &[Standing<'_>]) -> Vec<usize> {
    let reach = reach(all);
    let mut left: Vec<usize> = (0..all.len()).collect();
    left.sort_by_key(|at| (all[*at].row.step.is_none(), all[*at].id));
    let mut ordered = vec![];
    while !left.is_empty() {
        // Of those that are left there is always one that waits for none but those of its own circle.
        let waits = |at: &usize| left.iter().any(|other| is_before(&reach, *other, *at));
        let next =
            left.iter().position(|at| all[*at].row.step.is_some() || !waits(at)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

/// The gate that the others close for one of them.
pub fn beside(all: &[Standing<'_>], at: usize) -> Option<Gate> {
    let open = all.iter().enumerate().find(|(other, it)| *other != at && it.row.step.is_some());
    if let Some((_, it)) = open {
        return Some(Gate::Other(it.id.clone()));
    }
    let reach = reach(all);
    let mut before: Vec<&Standing<'_>> = (all.iter().enumerate())
        .filter(|(other, it)| is_before(&reach, *other, at) && it.is_due())
        .map(|(_, it)| it)
        .collect();
    before.sort_by_key(|it| (!it.has_failed(), it.id));
    let it = before.first()?;
    Some(Gate::Provider { component: it.id.clone(), failed: it.has_failed() })
}

/// Whether `user` uses `provider`, through others or not, and is not used by it.
fn is_before(reach: &[BTreeSet<usize>], provider: usize, user: usize) -> bool {
    reach[user].contains(&provider) && !reach[provider].contains(&user)
}

/// For each all that it uses, through others or not.
fn reach(all: &[Standing<'_>]) -> Vec<BTreeSet<usize>> {
    let place = |id: &ComponentId| all.iter().position(|it| it.id == id);
    let direct: Vec<Vec<usize>> =
        all.iter().map(|it| it.uses.iter().filter_map(place).collect()).collect();
    let from = |at: usize| {
        let mut found = BTreeSet::new();
        let mut open = direct[at].clone();
        while let Some(it) = open.pop() {
            if found.insert(it) {
                open.extend(&direct[it]);
            }
        }
        found
    };
    (0..all.len()).map(from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(names: &[&str]) -> BTreeSet<ComponentId> {
        names.iter().map(|it| it.parse().unwrap()).collect()
    }

    #[test]
    fn providers_come_first_and_a_circle_by_name() {
        let row = Row::default();
        let names =
            ["a/user", "a/web", "b/left", "c/right", "z/schema"].map(|it| it.parse().unwrap());
        let uses = [
            uses(&["a/web"]),
            uses(&["z/schema", "b/left"]),
            uses(&["c/right"]),
            uses(&["b/left"]),
            uses(&["z/schema"]),
        ];
        let all: Vec<Standing<'_>> = (names.iter().zip(&uses))
            .map(|(id, uses)| Standing { id, row: &row, wanted: None, uses })
            .collect();
        let ordered: Vec<String> = order(&all).iter().map(|it| names[*it].to_string()).collect();
        assert_eq!(ordered, ["b/left", "c/right", "z/schema", "a/web", "a/user"]);
    }
}

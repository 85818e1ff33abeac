//! What is kept of a component's deployments, and what is not needed any more: decided from what is known of it and
//! what lies in its directory. Before anything of that is removed it is asked whether it is in use.

use super::row::Row;
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many good deployments are remembered in the order in which they were committed.
const GOOD_REMEMBERED: usize = 64;

/// What is known of a component.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub row: &'a Row,
    /// By their own digests, the newest last.
    pub good: &'a [Arc<str>],
    /// So many good ones stay.
    pub retain: usize,
    /// The deployment that is wanted.
    pub wanted: Option<&'a str>,
    /// The deployments that are written down.
    pub documents: &'a [Document],
}

/// A deployment that is written down, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub own: Arc<str>,
    pub folder: Arc<str>,
    pub tree: Option<Arc<str>>,
}

/// What lies in its directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lying {
    pub deployments: Vec<Folder>,
    pub trees: Vec<Tree>,
    /// Where the links for people lead, whatever is known: programs may have been started from there.
    pub linked: BTreeSet<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    pub name: Arc<str>,
    /// Whether it has a mark of ours for this component.
    pub is_ours: bool,
    pub tree: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub name: Arc<str>,
    /// Whether what it has was written down beside it.
    pub has_list: bool,
}

/// What is not needed any more, and what is nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unneeded {
    pub deployments: BTreeSet<Arc<str>>,
    pub trees: BTreeSet<Arc<str>>,
    /// The documents, by their own digests.
    pub documents: BTreeSet<Arc<str>>,
    /// Nothing that this program has made, by its name in the directory.
    pub foreign: BTreeSet<String>,
}

/// The good ones, after what is current may have become another: the newest last, each once.
pub fn good(former: &[Arc<str>], row: &Row) -> Vec<Arc<str>> {
    let mut all = former.to_vec();
    for deployment in [&row.previous, &row.current].into_iter().flatten() {
        let is_known = all.contains(&deployment.own);
        let is_current = row.current.as_ref().is_some_and(|it| it.is(deployment));
        if is_current || !is_known {
            all.retain(|it| *it != deployment.own);
            all.push(Arc::clone(&deployment.own));
        }
    }
    let beyond = all.len().saturating_sub(GOOD_REMEMBERED);
    all.drain(..beyond);
    all
}

/// What can be removed of what lies there. What is not ours is not among it, whatever it is called.
pub fn unneeded(known: &Known<'_>, lying: &Lying) -> Unneeded {
    let kept = kept(known);
    let of_document = |own: &str| known.documents.iter().find(|it| *it.own == *own);
    let folders: BTreeSet<&str> =
        kept.iter().filter_map(|it| of_document(it)).map(|it| &*it.folder).collect();
    let in_row: BTreeSet<&str> = in_row(known.row).map(|it| &*it.folder).collect();
    let is_kept = |it: &&Folder| {
        let name = &*it.name;
        folders.contains(name) || in_row.contains(name) || lying.linked.contains(name)
    };
    let (kept_here, rest): (Vec<&Folder>, Vec<&Folder>) =
        lying.deployments.iter().partition(is_kept);
    let (ours, foreign): (Vec<&Folder>, Vec<&Folder>) = rest.into_iter().partition(|it| it.is_ours);

    let named_by = |all: &[&Folder]| -> BTreeSet<Arc<str>> {
        all.iter().filter_map(|it| it.tree.clone()).collect()
    };
    let mut needed = named_by(&kept_here);
    // What somebody else has put there may need a tree of ours.
    needed.extend(named_by(&foreign));
    needed.extend(kept.iter().filter_map(|it| of_document(it)?.tree.clone()));
    let mut made: BTreeSet<Arc<str>> = named_by(&ours);
    made.extend(known.documents.iter().filter_map(|it| it.tree.clone()));
    let (trees, unknown): (Vec<&Tree>, Vec<&Tree>) = (lying.trees.iter())
        .filter(|it| !needed.contains(&it.name))
        .partition(|it| it.has_list || made.contains(&it.name));

    let documents = known.documents.iter().map(|it| &it.own);
    let foreign = foreign.iter().map(|it| format!("deployments/{}", it.name));
    Unneeded {
        deployments: ours.iter().map(|it| Arc::clone(&it.name)).collect(),
        trees: trees.iter().map(|it| Arc::clone(&it.name)).collect(),
        documents: documents.filter(|it| !kept.contains(&***it)).cloned().collect(),
        foreign: foreign.chain(unknown.iter().map(|it| format!("releases/{}", it.name))).collect(),
    }
}

/// The deployments that stay, by their own digests.
fn kept<'a>(known: &Known<'a>) -> BTreeSet<&'a str> {
    let row = known.row;
    let mut kept: BTreeSet<&str> = in_row(row).map(|it| &*it.own).collect();
    kept.extend(known.wanted);
    // Those that are current and previous count, whenever they were committed.
    let mut good: BTreeSet<&str> =
        [&row.current, &row.previous].into_iter().flatten().map(|it| &*it.own).collect();
    for own in known.good.iter().rev() {
        if good.len() < known.retain {
            good.insert(own);
        }
    }
    kept.extend(good);
    kept.extend(newest_failed(row));
    kept
}

fn in_row(row: &Row) -> impl Iterator<Item = &super::Deployment> {
    let step = row.step.iter().flat_map(|it| it.from.iter().chain([&it.to]));
    row.current.iter().chain(&row.previous).chain(step)
}

/// It stays to be looked at.
fn newest_failed(row: &Row) -> Option<&str> {
    let bad = row.bad.iter().map(|it| (it.at, &*it.own)).max_by_key(|it| it.0);
    let again = row.again.as_ref().map(|it| (it.wall, &*it.own));
    bad.into_iter().chain(again).max_by_key(|it| it.0).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use super::super::{Again, Bad, Deployment, Moment, Switch, Terms, Trouble};
    use super::*;
    use std::time::Duration;

    fn word(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    fn deployment(own: &str) -> Deployment {
        Deployment {
            own: word(own),
            public: word(own),
            folder: word(&format!("f-{own}")),
            release: word("1"),
            terms: Terms {
                digest: word("t"),
                switch: Switch::Restart,
                units: word("u"),
                within: Duration::from_secs(30),
                lasts: Duration::from_secs(5),
                bake: Duration::ZERO,
                drains: false,
                readies: false,
                drain_for: Duration::ZERO,
                quiesces: None,
            },
        }
    }

    fn bad(own: &str, at: i64) -> Bad {
        Bad {
            own: word(own),
            public: word(own),
            terms: word("t"),
            release: word("1"),
            reason: Trouble::Lost,
            at,
        }
    }

    /// Deployments that are written down and lie there, each with a tree of its own.
    fn all(names: &[&str]) -> (Vec<Document>, Lying) {
        let tree = |it: &str| word(&format!("t-{it}"));
        let document = |it: &&str| Document {
            own: word(it),
            folder: word(&format!("f-{it}")),
            tree: Some(tree(it)),
        };
        let folder = |it: &&str| Folder {
            name: word(&format!("f-{it}")),
            is_ours: true,
            tree: Some(tree(it)),
        };
        let trees = names.iter().map(|it| Tree { name: tree(it), has_list: true }).collect();
        let deployments = names.iter().map(folder).collect();
        let lying = Lying { deployments, trees, linked: BTreeSet::new() };
        (names.iter().map(document).collect(), lying)
    }

    fn known<'a>(row: &'a Row, good: &'a [Arc<str>], documents: &'a [Document]) -> Known<'a> {
        Known { row, good, retain: 3, wanted: None, documents }
    }

    fn words(all: &BTreeSet<Arc<str>>) -> Vec<&str> {
        all.iter().map(|it| &**it).collect()
    }

    #[test]
    fn twenty_that_failed_take_no_place_of_one_that_was_good() {
        let mut row = Row {
            current: Some(deployment("g3")),
            previous: Some(deployment("g2")),
            ..Row::default()
        };
        let failed: Vec<String> = (10..30).map(|it| format!("b{it}")).collect();
        row.bad = failed.iter().zip(1..).map(|(it, at)| bad(it, at)).collect();
        let names: Vec<&str> =
            ["g0", "g1", "g2", "g3"].into_iter().chain(failed.iter().map(|it| &**it)).collect();
        let (documents, lying) = all(&names);
        let good = ["g0", "g1", "g2", "g3"].map(word);
        let found = unneeded(&known(&row, &good, &documents), &lying);
        let gone: Vec<&str> = failed[..19].iter().map(|it| &**it).chain(["g0"]).collect();
        assert_eq!(words(&found.documents), gone);
        assert_eq!(
            words(&found.deployments),
            gone.iter().map(|it| format!("f-{it}")).collect::<Vec<_>>()
        );
        assert_eq!(
            words(&found.trees),
            gone.iter().map(|it| format!("t-{it}")).collect::<Vec<_>>()
        );
        assert!(found.foreign.is_empty());

        // What waits to be tried again failed last.
        let moment = Moment { boot: word("b"), at: Duration::ZERO };
        row.again = Some(Again {
            own: word("b10"),
            terms: word("t"),
            source: word("s"),
            failures: 1,
            since: moment,
            wall: 99,
            waited: Duration::ZERO,
            once_well: false,
            why: Trouble::Lost,
        });
        let found = unneeded(&known(&row, &good, &documents), &lying);
        assert!(!found.documents.contains("b10") && found.documents.contains("b29"));
    }

    #[test]
    fn what_is_current_counts_though_it_was_committed_long_ago() {
        let row = Row {
            current: Some(deployment("g0")),
            previous: Some(deployment("g3")),
            ..Row::default()
        };
        let (documents, lying) = all(&["g0", "g1", "g2", "g3"]);
        let good = ["g0", "g1", "g2", "g3"].map(word);
        let found = unneeded(&known(&row, &good, &documents), &lying);
        assert_eq!(words(&found.documents), ["g1"]);
        assert_eq!(super::good(&good, &row), ["g1", "g2", "g3", "g0"].map(word));
        assert_eq!(super::good(&[], &row), ["g3", "g0"].map(word));
    }

    #[test]
    fn what_is_wanted_or_under_way_stays_with_its_tree_and_so_does_what_is_not_ours() {
        let row = Row { current: Some(deployment("g0")), ..Row::default() };
        let (documents, mut lying) = all(&["g0", "w", "x", "y"]);
        // The configuration alone is another: one tree.
        lying.deployments[2].tree = Some(word("t-g0"));
        lying.deployments.push(Folder {
            name: word("mine"),
            is_ours: false,
            tree: Some(word("t-y")),
        });
        lying.trees.push(Tree { name: word("other"), has_list: false });
        // Nothing is known of one whose documents were lost; it has our mark.
        lying.deployments.push(Folder {
            name: word("f-lost"),
            is_ours: true,
            tree: Some(word("of the model")),
        });
        lying.trees.push(Tree { name: word("of the model"), has_list: false });
        let known = Known { wanted: Some("w"), ..known(&row, &[], &documents) };
        let found = unneeded(&known, &lying);
        assert_eq!(words(&found.deployments), ["f-lost", "f-x", "f-y"]);
        assert_eq!(words(&found.trees), ["of the model", "t-x"]);
        // Where a link leads to it, it is what programs may run from.
        let mut linked = lying.clone();
        linked.linked.insert(word("f-lost"));
        let spared = unneeded(&known, &linked);
        assert_eq!(words(&spared.deployments), ["f-x", "f-y"]);
        assert_eq!(words(&spared.trees), ["t-x"]);
        assert_eq!(
            found.foreign.into_iter().collect::<Vec<_>>(),
            ["deployments/mine", "releases/other"]
        );
    }
}

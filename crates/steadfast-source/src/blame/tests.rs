//! Histories in memory, and whose each line comes out as.

use super::*;
use crate::attribution::Written;
use crate::object::{self, Entry};
use jiff::Timestamp;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// A repository whose objects are named by what they hold.
#[derive(Default)]
struct Fake {
    commits: HashMap<String, object::Commit>,
    trees: HashMap<String, Vec<Entry>>,
    blobs: HashMap<String, Arc<[u8]>>,
    /// Objects that cannot be had.
    lost: HashSet<String>,
    asked: usize,
}

impl Objects for Fake {
    fn commit(&mut self, id: &str) -> Option<object::Commit> {
        self.commits.get(id).filter(|_| !self.lost.contains(id)).cloned()
    }

    fn tree(&mut self, id: &str) -> Option<Vec<Entry>> {
        self.asked += 1;
        self.trees.get(id).filter(|_| !self.lost.contains(id)).cloned()
    }

    fn blob(&mut self, id: &str) -> Option<Arc<[u8]>> {
        self.asked += 1;
        self.blobs.get(id).filter(|_| !self.lost.contains(id)).cloned()
    }
}

impl Fake {
    /// A commit by the name of its subject, with all files that it has.
    fn commit(&mut self, subject: &str, parents: &[&str], files: &[(&str, &str)]) {
        let tree = self.tree_of(files);
        let commit = object::Commit {
            tree,
            parents: parents.iter().map(|it| (*it).to_owned()).collect(),
            author: format!("{subject}@x"),
            authored: 1_700_000_000,
            committed: 1_700_000_000,
            subject: subject.to_owned(),
            signed: None,
        };
        self.commits.insert(subject.to_owned(), commit);
    }

    fn tree_of(&mut self, files: &[(&str, &str)]) -> String {
        let mut entries = vec![];
        let mut folders: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for (path, content) in files {
            match path.split_once('/') {
                Some((folder, rest)) => folders.entry(folder).or_default().push((rest, content)),
                None => {
                    let object = format!("blob {content}");
                    self.blobs.insert(object.clone(), content.as_bytes().into());
                    entries.push(Entry { mode: 0o100_644, name: (*path).into(), object });
                }
            }
        }
        for (folder, files) in folders {
            let object = self.tree_of(&files);
            entries.push(Entry { mode: 0o040_000, name: folder.into(), object });
        }
        let name = format!("tree {entries:?}");
        self.trees.insert(name.clone(), entries);
        name
    }

    fn blame(&mut self, tip: &str, files: &[&str], base: Option<Base<'_>>) -> Attribution {
        let until = Instant::now() + Duration::from_secs(600);
        self.blame_within(tip, files, base, bounds(until))
    }

    fn blame_within(
        &mut self,
        tip: &str,
        files: &[&str],
        base: Option<Base<'_>>,
        bounds: Bounds,
    ) -> Attribution {
        let files = files.iter().map(|it| ((*it).to_owned(), vec![Lines::ALL]));
        blame(self, &about(tip), "", files, base, bounds)
    }
}

fn bounds(until: Instant) -> Bounds {
    let paths = Paths { count: 100_000, bytes: 10_000_000 };
    Bounds { commits: 1000, entries: 100_000, paths, until }
}

fn about(id: &str) -> Commit {
    Commit {
        id: id.to_owned(),
        author: format!("{id}@x"),
        authored: Timestamp::from_second(1_700_000_000).ok(),
        subject: id.to_owned(),
    }
}

/// `a b <c`: the first line is of commit a, the second of b, the third of c or one before it.
fn whose(attribution: &Attribution, path: &str, lines: u32) -> String {
    let words: Vec<String> = (1..=lines)
        .map(|line| match attribution.line(path, line) {
            Written::By(commit) => commit.id.clone(),
            Written::InOrBefore(commit) => format!("<{}", commit.id),
            Written::NotCommitted => "-".to_owned(),
        })
        .collect();
    words.join(" ")
}

#[test]
fn each_line_is_of_the_commit_that_brought_it_and_moves_with_what_comes_before_it() {
    let mut fake = Fake::default();
    fake.commit("a", &[], &[("x", "1\n2\n3\n")]);
    fake.commit("b", &["a"], &[("x", "0\n1\n2\n3\n"), ("y", "n\n")]);
    fake.commit("c", &["b"], &[("x", "0\n1\ntwo\n3\n"), ("y", "n\n")]);
    fake.commit("d", &["c"], &[("x", "0\n1\ntwo\n3\n4"), ("y", "n\n")]);
    let all = fake.blame("d", &["x", "y"], None);
    assert_eq!(whose(&all, "x", 5), "b a c a d");
    assert_eq!(whose(&all, "y", 1), "b");
}

#[test]
fn a_block_that_is_added_after_one_like_it_begins_with_its_own_first_line() {
    let mut fake = Fake::default();
    let block = |name: &str| format!("  {name}:\n    mode: \"0644\"\n    owner: root\n");
    let (one, two, three) = (block("one"), block("two"), block("three"));
    fake.commit("a", &[], &[("x", &format!("files:\n{one}{three}"))]);
    fake.commit("b", &["a"], &[("x", &format!("files:\n{one}{two}{three}"))]);
    assert_eq!(whose(&fake.blame("b", &["x"], None), "x", 10), "a a a a b b b a a a");
}

#[test]
fn what_is_known_of_the_revision_before_is_carried_over_to_where_its_lines_are_now() {
    let mut fake = Fake::default();
    fake.commit("a", &[], &[("x", "1\n2\n3\n"), ("y", "y\n")]);
    fake.commit("b", &["a"], &[("x", "1\n2\n3\n4\n"), ("y", "y\n")]);
    let known = fake.blame("b", &["x", "y"], None);
    assert_eq!(whose(&known, "x", 4), "a a a b");
    fake.commit("c", &["b"], &[("x", "new\n1\n3\n4\n"), ("y", "y\n")]);
    // What is older than the base is not there any more.
    fake.lost.insert("a".to_owned());
    let base = Base { commit: "b", known: Some(&known) };
    let carried = fake.blame("c", &["x", "y"], Some(base));
    assert_eq!(whose(&carried, "x", 4), "c a a b");
    assert_eq!(whose(&carried, "y", 1), "a");
    let nothing = fake.blame("c", &["x", "y"], Some(Base { commit: "b", known: None }));
    assert_eq!(whose(&nothing, "x", 4), "c <b <b <b");
    // The same revision again.
    let again = fake.blame("b", &["x", "y"], Some(base));
    assert_eq!(again, known);
}

#[test]
fn a_file_that_gets_another_name_keeps_its_lines() {
    let mut fake = Fake::default();
    fake.commit("a", &[], &[("servers/web.yaml", "1\n2\n3\n"), ("other.yaml", "1\n")]);
    fake.commit("b", &["a"], &[("servers/www.yaml", "1\n2\n3\n"), ("other.yaml", "1\n")]);
    fake.commit("c", &["b"], &[("bundles/www.yaml", "1\nzwei\n3\n"), ("other.yaml", "1\n")]);
    fake.commit("d", &["c"], &[("bundles/www.yaml", "1\nzwei\n3\n"), ("new.yaml", "unlike\n")]);
    let all = fake.blame("d", &["bundles/www.yaml", "new.yaml"], None);
    assert_eq!(whose(&all, "bundles/www.yaml", 3), "a c a");
    assert_eq!(whose(&all, "new.yaml", 1), "d");
    // Where the file that it was cannot be had, nobody wrote its lines by giving it another name.
    fake.lost.insert("blob 1\n2\n3\n".to_owned());
    let all = fake.blame("d", &["bundles/www.yaml", "new.yaml"], None);
    assert_eq!(whose(&all, "bundles/www.yaml", 3), "<c <c <c");
    fake.lost.clear();
    let known = fake.blame("a", &["servers/web.yaml"], None);
    let base = Base { commit: "a", known: Some(&known) };
    let carried = fake.blame("d", &["bundles/www.yaml"], Some(base));
    assert_eq!(whose(&carried, "bundles/www.yaml", 3), "a c a");
}

#[test]
fn a_merge_wrote_only_what_neither_side_has() {
    let mut fake = Fake::default();
    fake.commit("a", &[], &[("x", "1\n2\n3\n4\n5\n"), ("y", "y\n")]);
    fake.commit("l", &["a"], &[("x", "left\n2\n3\n4\n5\n"), ("y", "y\n")]);
    fake.commit("r", &["a"], &[("x", "1\n2\n3\n4\nright\n"), ("y", "why\n")]);
    fake.commit("m", &["l", "r"], &[("x", "left\n2\nmerge\n4\nright\n"), ("y", "why\n")]);
    let all = fake.blame("m", &["x", "y"], None);
    assert_eq!(whose(&all, "x", 5), "l a m a r");
    assert_eq!(whose(&all, "y", 1), "r");
    // What both sides have came by the way of the revision before, also where that is the second parent.
    let known = fake.blame("l", &["x", "y"], None);
    fake.commit("n", &["r", "l"], &[("x", "left\n2\nmerge\n4\nright\n"), ("y", "why\n")]);
    fake.lost.insert("a".to_owned());
    for tip in ["m", "n"] {
        let base = Base { commit: "l", known: Some(&known) };
        let carried = fake.blame(tip, &["x", "y"], Some(base));
        assert_eq!(whose(&carried, "x", 5), format!("l a {tip} a <r"), "{tip}");
        assert_eq!(whose(&carried, "y", 1), "<r");
    }
}

#[test]
fn what_cannot_be_had_makes_lines_older_and_never_anybodys() {
    let files = |word: &str| [("x", format!("{word}\nsame\n")), ("y", "y\n".to_owned())];
    let mut fake = Fake::default();
    let mut before: Option<String> = None;
    for name in ["a", "b", "c"] {
        let files = files(name);
        let files: Vec<(&str, &str)> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
        let parents: Vec<&str> = before.as_deref().into_iter().collect();
        fake.commit(name, &parents, &files);
        before = Some(name.to_owned());
    }
    assert_eq!(whose(&fake.blame("c", &["x", "y"], None), "x", 2), "c a");
    let tree = fake.commits["b"].tree.clone();
    for (lost, expected) in [("b", "<c <c"), (tree.as_str(), "<c <c"), ("blob b\nsame\n", "<c <c")]
    {
        fake.lost = HashSet::from([lost.to_owned()]);
        assert_eq!(whose(&fake.blame("c", &["x", "y"], None), "x", 2), expected, "{lost}");
    }
    fake.lost = HashSet::from(["a".to_owned()]);
    assert_eq!(whose(&fake.blame("c", &["x", "y"], None), "x", 2), "c <b");
    fake.lost = HashSet::from(["c".to_owned()]);
    assert_eq!(whose(&fake.blame("c", &["x", "y"], None), "x", 2), "<c <c");
}

#[test]
fn bounds_are_kept() {
    let mut fake = Fake::default();
    fake.commit("0", &[], &[("x", "0\n")]);
    for number in 1..50_u8 {
        let (name, parent) = (number.to_string(), (number - 1).to_string());
        fake.commit(&name, &[&parent], &[("x", &format!("{}0\n", "new\n".repeat(number.into())))]);
    }
    let until = Instant::now() + Duration::from_secs(600);
    let bounds = bounds(until);
    let all = fake.blame_within("49", &["x"], None, bounds);
    assert!(whose(&all, "x", 50).ends_with(" 0"));
    let few = fake.blame_within("49", &["x"], None, Bounds { commits: 10, ..bounds });
    assert!(whose(&few, "x", 50).ends_with("<40"));
    let few = fake.blame_within("49", &["x"], None, Bounds { entries: 10, ..bounds });
    assert!(whose(&few, "x", 50).ends_with("<44"));
    fake.asked = 0;
    let none = fake.blame_within("49", &["x"], None, Bounds { until: Instant::now(), ..bounds });
    assert_eq!((whose(&none, "x", 1), fake.asked), ("<49".to_owned(), 0));
}

/// A directory that is in itself many times is a few objects, and looked into without end.
#[test]
fn trees_that_hold_each_other_end_at_the_bound() {
    let mut fake = Fake::default();
    for (which, content) in [("old", "o\n"), ("new", "n\n")] {
        let mut below = fake.tree_of(&[("x", content)]);
        for level in 0..30 {
            let entry =
                |name: &str| Entry { mode: 0o040_000, name: name.into(), object: below.clone() };
            let entries: Vec<Entry> = ["a", "b", "c", "d"].map(entry).into();
            below = format!("{which} {level}");
            fake.trees.insert(below.clone(), entries);
        }
        fake.commit(which, if which == "new" { &["old"] } else { &[] }, &[]);
        if let Some(commit) = fake.commits.get_mut(which) {
            commit.tree = below;
        }
    }
    let path = format!("{}x", "a/".repeat(30));
    let all = fake.blame("new", &[&path], None);
    assert_eq!(whose(&all, &path, 1), "<new");
    assert!(fake.asked < 200_000);
}

#[test]
fn lines_that_are_not_committed_are_nobodys() {
    let until = Instant::now() + Duration::from_secs(600);
    let mut fake = Fake::default();
    fake.commit("a", &[], &[("x", "1\n2\n3\n")]);
    fake.commit("b", &["a"], &[("x", "1\n2\n3\n4\n")]);
    let there = b"zero\r\n1\r\nzwei\r\n3\r\n4\r\nfive";
    let lines = against(there, b"1\n2\n3\n4\n", until).unwrap();
    let bounds = bounds(until);
    let files = [("x".to_owned(), lines)];
    let all = blame(&mut fake, &about("b"), "", files, None, bounds);
    assert_eq!(whose(&all, "x", 6), "- a - a b -");
}

#[test]
fn nothing_beside_the_model_is_followed() {
    let mut fake = Fake::default();
    fake.commit("a", &[], &[("model/x", "1\n"), ("x", "1\n"), ("model/.github/x", "1\n")]);
    fake.commit("b", &["a"], &[("model/x", "1\n2\n"), ("x", "1\n"), ("model/.github/x", "2\n")]);
    fake.lost.insert("blob 2\n".to_owned());
    let until = Instant::now() + Duration::from_secs(600);
    let bounds = bounds(until);
    let files = [("x".to_owned(), vec![Lines::ALL])];
    let all = blame(&mut fake, &about("b"), "model", files, None, bounds);
    assert_eq!(whose(&all, "x", 2), "a b");
}

/// The worst that two files can be for a comparison, and the time runs out.
#[test]
fn lines_that_take_too_long_to_compare_are_older() {
    let mut state = 1_u64;
    let mut noise = || {
        let mut text = String::new();
        for _ in 0..100_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push(if state >> 63 == 0 { 'a' } else { 'b' });
            text.push(char::from(b'a' + u8::try_from((state >> 58) & 15).unwrap()));
            text.push('\n');
        }
        text
    };
    let (old, new) = (noise(), noise());
    let mut fake = Fake::default();
    fake.commit("a", &[], &[("x", &old), ("y", "y\n")]);
    fake.commit("b", &["a"], &[("x", &new), ("y", "y\n")]);
    let until = Instant::now() + Duration::from_millis(50);
    let bounds = bounds(until);
    let all = fake.blame_within("b", &["x", "y"], None, bounds);
    let found = whose(&all, "x", 100_000);
    assert!(found.split(' ').all(|it| it == "<b"), "{}", &found[..200]);
}

/// A subtree that is named many times is one object, and as many paths as anybody likes.
#[test]
fn no_more_paths_are_held_than_a_model_may_have() {
    let mut fake = Fake::default();
    for (which, parents) in [("old", &[][..]), ("new", &["old"])] {
        let below = fake.tree_of(&[("x", which)]);
        let entry = |at: u32| Entry {
            mode: 0o040_000,
            name: format!("f{at}").into(),
            object: below.clone(),
        };
        let root = format!("root {which}");
        fake.commit(which, parents, &[]);
        fake.trees.insert(root.clone(), (0..1000).map(entry).collect());
        if let Some(commit) = fake.commits.get_mut(which) {
            commit.tree = root;
        }
    }
    let all = bounds(Instant::now() + Duration::from_secs(600));
    let within = |paths: Paths| Bounds { paths, ..all };
    let line = |fake: &mut Fake, paths| {
        whose(&fake.blame_within("new", &["f7/x"], None, within(paths)), "f7/x", 1)
    };
    assert_eq!(line(&mut fake, all.paths), "new");
    fake.asked = 0;
    assert_eq!(line(&mut fake, Paths { count: 999, ..all.paths }), "<new");
    assert_eq!(line(&mut fake, Paths { bytes: 4000, ..all.paths }), "<new");
    // Two roots, and no more of both sides than there is room for.
    assert!(fake.asked <= 2 * (2 + 2 * 1000), "{}", fake.asked);
}

/// Room is for all parents of a merge together: what they differ in is held at the same time.
#[test]
fn the_parents_of_a_merge_share_the_room_for_paths() {
    let mut fake = Fake::default();
    for side in ["a", "b"] {
        fake.commit(side, &[], &[("x", side), ("y", side)]);
    }
    fake.commit("m", &["a", "b"], &[("x", "m"), ("y", "m")]);
    let all = bounds(Instant::now() + Duration::from_secs(600));
    let mut line = |count| {
        let paths = Paths { count, ..all.paths };
        whose(&fake.blame_within("m", &["x"], None, Bounds { paths, ..all }), "x", 1)
    };
    assert_eq!((line(4), line(3)), ("m".to_owned(), "<m".to_owned()));
}

/// Time that has run out is noticed before anything is looked at or put in order for it.
#[test]
fn past_the_deadline_no_earlier_file_is_looked_for() {
    let mut fake = Fake::default();
    fake.commit("old", &[], &[("gone", "same\n")]);
    fake.commit("new", &["old"], &[("here", "same\n")]);
    let parents = vec!["old".to_owned()];
    let tree = |it: &str| fake.commits[it].tree.clone();
    let node =
        |id: &str, parents| Node { commit: about(id), tree: tree(id), parents, leads: false };
    let graph = HashMap::from([
        ("old".to_owned(), node("old", vec![])),
        ("new".to_owned(), node("new", parents)),
    ]);
    let mut walk = Walk {
        objects: &mut fake,
        graph,
        below: "",
        bounds: bounds(Instant::now() + Duration::from_secs(600)),
        names: vec!["here".into()],
        owned: vec![],
        pieces: 0,
        waiting: HashMap::new(),
    };
    let new = walk.graph["new"].tree.clone();
    let mut room = walk.bounds.paths;
    let changes = walk.changes(&new, "old", &mut room).unwrap();
    let gone = Gone::from_changes(&changes);
    assert!(matches!(walk.earlier("here", &changes, &gone), Earlier::Is { .. }));
    walk.bounds.until = Instant::now();
    assert!(matches!(walk.earlier("here", &changes, &gone), Earlier::Unknown));
    // What arrives at a revision that is known is not followed into it either.
    let known = Attribution::from_parts(about("old"), BTreeMap::new());
    let piece = Piece { file: 0, first: 0, line: 0, length: 1 };
    let pending = Pending::from([("gone".to_owned(), vec![piece])]);
    walk.arrive("old", pending, Some(&known));
    assert_eq!(walk.owned, [(0, 0, Owner::Before(about("old")))]);
}

//! Looks at trees of many directories, of many names, and of many levels.

use super::*;
use crate::files::Read as _;
use crate::files::tests::{all, host_in};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

struct World {
    folder: tempfile::TempDir,
    host: Host,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let host = host_in(&folder.path().join("ours"));
        fs::create_dir(folder.path().join("tree")).unwrap();
        World { folder, host }
    }

    fn root(&self) -> AbsPath {
        AbsPath::parse(self.folder.path().join("tree").to_str().unwrap()).unwrap()
    }

    fn make(&self, path: &str) {
        let path = self.folder.path().join("tree").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    fn words(&self, limits: Limits, sieve: &dyn Sieve) -> (ErrorKind, String) {
        let error = look(&self.host, &self.root(), sieve, limits).unwrap_err();
        let folder = self.folder.path().to_str().unwrap();
        (error.kind, error.chain().join(": ").replace(folder, ""))
    }
}

fn below(folder: &Path, path: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder.join(path)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        if folder.join(&path).is_dir() {
            below(folder, &path, found);
        }
        found.insert(path);
    }
}

/// Eight threads, also where there are fewer cores.
const MANY: Limits = Limits { threads: || 8, ..LIMITS };

#[test]
fn many_threads_tell_each_entry_once_and_in_the_order_of_paths() {
    let world = World::new();
    for folder in 0..60 {
        for file in 0..20 {
            world.make(&format!("{folder}/{}/{file}", file % 3));
        }
    }
    (0..2_000).for_each(|it| world.make(&format!("flat/a-name-of-some-length-{it}")));
    (0..700).for_each(|it| world.make(&format!("wide/{it}/x")));
    let mut expected = BTreeSet::new();
    below(Path::new(world.root().as_str()), "", &mut expected);
    for _ in 0..20 {
        let tree = look(&world.host, &world.root(), &all, MANY).unwrap();
        assert!(tree.entries.iter().map(|it| &*it.path).eq(expected.iter().map(|it| &**it)));
        assert_eq!(tree.count, expected.len() as u64);
        // What is not told is counted.
        let some = |path: &str, _: &Entry| path.ends_with("/x");
        let tree = look(&world.host, &world.root(), &some, MANY).unwrap();
        assert_eq!((tree.entries.len(), tree.count), (700, expected.len() as u64));
    }
}

#[test]
fn however_deep_and_wide_a_tree_is_few_of_its_directories_are_open() {
    let world = World::new();
    for chain in 0..12 {
        let path = (0..240).map(|_| "d/f").collect::<Vec<_>>();
        let path = format!("{chain}/{}", path[..100].join("/").replace("d/f", "d"));
        for at in 0..8 {
            world.make(&format!("{path}/{at}/{path}/x"));
        }
    }
    // With more than these at a time, opening one more fails.
    let few = OPEN_MAX as u64 + 256 + 64;
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let less = rustix::process::Rlimit { current: Some(few), ..before };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, less).unwrap();
    let tree = look(&world.host, &world.root(), &all, MANY);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, before).unwrap();
    assert_eq!(tree.unwrap().entries.iter().filter(|it| it.path.ends_with("/x")).count(), 96);
}

#[test]
fn what_others_make_for_nothing_is_bounded_and_what_is_promised_does_not_count() {
    let world = World::new();
    (0..20).for_each(|it| world.make(&format!("{it}")));
    // Whatever lies below /tmp may be others'.
    let limits = Limits { of_others: 10, ..MANY };
    let words =
        "/tree has more than 10 entries that are not as promised where others than root can write";
    assert_eq!(world.words(limits, &all), (ErrorKind::Swappable, words.to_owned()));
    assert!(look(&world.host, &world.root(), &Wanted, limits).is_ok());
    let none = |_: &str, _: &Entry| false;
    assert_eq!(look(&world.host, &world.root(), &none, limits).unwrap().count, 20);
    let limits = Limits { all: 19, ..MANY };
    let words = "/tree has more than 19 entries".to_owned();
    assert_eq!(world.words(limits, &none), (ErrorKind::Swappable, words));
}

/// Everything is promised, and told.
struct Wanted;

impl Sieve for Wanted {
    fn promised(&self, _below: &str) -> Option<u64> {
        Some(1)
    }

    fn enters(&self, _below: &str) -> bool {
        true
    }

    fn tells(&self, _below: &str, _entry: &Entry) -> bool {
        true
    }
}

/// Does not enter one directory.
struct Closed;

impl Sieve for Closed {
    fn promised(&self, _below: &str) -> Option<u64> {
        None
    }

    fn enters(&self, below: &str) -> bool {
        below != "closed"
    }

    fn tells(&self, _below: &str, _entry: &Entry) -> bool {
        true
    }
}

#[test]
fn a_directory_that_is_not_entered_may_hold_anything() {
    let world = World::new();
    (0..40).for_each(|it| world.make(&format!("closed/{it}")));
    world.make("open/x");
    let tree = look(&world.host, &world.root(), &Closed, Limits { all: 3, ..MANY }).unwrap();
    assert_eq!(
        tree.entries.iter().map(|it| &*it.path).collect::<Vec<_>>(),
        ["closed", "open", "open/x"]
    );
}

#[test]
fn a_directory_of_many_names_is_held_by_portions() {
    let world = World::new();
    (0..3_000).for_each(|it| world.make(&format!("a-name-of-some-length-{it}")));
    let dir = walk::open_tree(&mut Walker::default(), &world.root()).unwrap();
    let mut names = Names::new();
    let (mut most, mut all) = (0, 0);
    while names.read_more(&dir.fd).unwrap() {
        most = most.max(names.length());
        all += names.iter().count();
    }
    assert_eq!(all, 3_000);
    assert!(most < 16 * 1024, "{most}");
    assert!(
        world.host.tree(&world.root(), &|_: &str, _: &Entry| false).unwrap().entries.is_empty()
    );
}

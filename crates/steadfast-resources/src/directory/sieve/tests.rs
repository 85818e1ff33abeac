//! What the sieve keeps back would have changed no plan.

use super::*;
use crate::directory::plan::folder_after;
use crate::directory::{Desired, Directory, plan};
use crate::kind::Kind as _;
use crate::made::Places;
use crate::paths::tests::{abs, entry, file, folder, large_file, link, lower, own_folders, show};
use crate::paths::{Ids, Who};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_system::files::{Bar, Secrecy, Sieve as _};

const NAMES: [&str; 5] = ["a", "b", "own", "skip", "run.sh"];

fn entries() -> impl Strategy<Value = BTreeMap<String, Entry>> {
    let path = proptest::collection::vec(proptest::sample::select(&NAMES[..]), 1..4);
    let shape = prop_oneof![
        3 => Just(entry(Shape::Directory, 0o755)),
        1 => Just(entry(Shape::Directory, 0o775)),
        2 => Just(file("hello", 0o644)),
        2 => Just(file("#!/bin/sh\n", 0o755)),
        1 => Just(file("other", 0o600)),
        1 => Just(link("/lib/systemd/system/x.service")),
        1 => Just(entry(Shape::Fifo, 0o644)),
        1 => Just(large_file()),
    ];
    let rest = (0_u8..16, 0_u32..2, 0_i64..9);
    let one = (path, shape, rest).prop_map(|(path, mut entry, (bits, uid, changed))| {
        entry.uid = 5 * uid;
        entry.links = if bits & 3 == 3 { 2 } else { 1 };
        entry.mounted = bits == 4;
        entry.changed = changed;
        entry.marks.bar = (bits == 9).then_some(Bar::Immutable);
        if bits == 8 {
            entry.marks.secret = Secrecy::Secret { keep: false };
        }
        (path.join("/"), entry)
    });
    proptest::collection::btree_map("[ab]", Just(()), 0..1)
        .prop_flat_map(move |_| proptest::collection::vec(one.clone(), 0..24).prop_map(whole))
}

/// A tree in which everything lies in a directory in which nothing is mounted.
fn whole(all: Vec<(String, Entry)>) -> BTreeMap<String, Entry> {
    let mut tree: BTreeMap<String, Entry> = BTreeMap::new();
    for (path, it) in all {
        for folder in folders(&path) {
            tree.insert(folder.to_owned(), entry(Shape::Directory, 0o755));
        }
        tree.entry(path).or_insert(it);
    }
    let is_open = |path: &str| {
        folders(path).all(|it| tree[it].shape == Shape::Directory && !tree[it].mounted)
    };
    tree.iter()
        .filter(|(it, _)| is_open(it))
        .map(|(it, entry)| (it.clone(), entry.clone()))
        .collect()
}

fn wants() -> impl Strategy<Value = Desired> {
    let kept = (any::<[bool; 6]>(), 0_u8..4).prop_map(|(flags, which)| {
        let [recurse, purge, force, source, ignore, file_mode] = flags;
        let mut fields = vec![format!("force: {force}")];
        if recurse {
            fields.push("recurse: true, owner: deploy, mode: \"u=rwX,go=rX\"".to_owned());
            fields.extend(file_mode.then(|| "file_mode: \"0640\"".to_owned()));
        }
        if purge {
            fields.push("purge: true, purge_max: 2".to_owned());
        }
        if source {
            fields.push("source: files/site".to_owned());
        }
        if ignore && (purge || recurse) {
            fields.push("ignore: [skip, \"a/*.sh\"]".to_owned());
        }
        let text = match which {
            0 => "/x: absent".to_owned(),
            1 => format!("/x: {{ state: absent, force: {force} }}"),
            _ => format!("/x: {{ {} }}", fields.join(", ")),
        };
        let files = [
            ("files/site/a", "hello"),
            ("files/site/b/run.sh", "#!/bin/sh\n"),
            ("files/site/skip/a", "hello"),
        ];
        lower::<Directory>(&text, &files).unwrap()
    });
    (kept, any::<bool>()).prop_map(|(mut want, named)| {
        if named {
            Directory::set_promised(&mut want, Arc::from([abs("/x/a/own"), abs("/x/b")]));
        }
        want
    })
}

fn bare(owner: Who) -> State {
    State {
        folder: folder(),
        entry: Some(entry(Shape::Directory, 0o755)),
        ids: Ids { owner, ..Ids::default() },
        inherits: None,
        group: None,
        below: None,
        count: 0,
        also_promised: Arc::from([]),
        sources: None,
        made: Places::default(),
        own: own_folders().into(),
    }
}

/// What a machine gives where `tells` has a say beside the sieve's.
fn looked(want: &Desired, tree: &BTreeMap<String, Entry>, tells_all: bool, bare: &State) -> State {
    let sieve = Sieve::new(want, bare, Rule::new(want, bare, folder_after(want, bare)));
    let mut told = vec![];
    let mut count = 0;
    for (path, it) in tree {
        if !folders(path).all(|it| sieve.enters(it)) {
            continue;
        }
        count += 1;
        let mut entry = it.clone();
        if let Shape::File { size, content } = &mut entry.shape
            && sieve.promised(path).is_none_or(|it| it != *size)
        {
            *content = Content::NotRead;
        }
        if tells_all || sieve.tells(path, &entry) {
            told.push(TreeEntry { path: path.as_str().into(), entry });
        }
    }
    let sources = want.source.as_ref().map(|_| sieve.sources(&told));
    drop(sieve);
    State { below: Some(told.into()), count, sources, ..bare.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_told_would_have_changed_nothing(
        tree in entries(),
        want in wants(),
        id in 0_u32..2,
    ) {
        let bare = bare(Who::Id(id * 5));
        let (all, told) = (looked(&want, &tree, true, &bare), looked(&want, &tree, false, &bare));
        prop_assert_eq!(show(&plan::plan(&want, &all)), show(&plan::plan(&want, &told)));
        prop_assert_eq!(plan::plan(&want, &all), plan::plan(&want, &told));
        prop_assert_eq!(Directory::fingerprint(&all), Directory::fingerprint(&told));
        prop_assert_eq!(Directory::describe(&all), Directory::describe(&told));
    }
}

#[test]
fn of_a_tree_that_is_as_promised_nothing_is_told() {
    let want = "/x: { owner: deploy, mode: \"u=rwX,go=rX\", recurse: true, ignore: [\"*.sock\"] }";
    let want = lower::<Directory>(want, &[]).unwrap();
    let mut tree: BTreeMap<String, Entry> =
        (0..1_000).map(|it| (format!("d/{it}"), Entry { uid: 5, ..file("x", 0o644) })).collect();
    tree.insert("d".to_owned(), Entry { uid: 5, ..entry(Shape::Directory, 0o755) });
    tree.insert("run.sock".to_owned(), entry(Shape::Socket, 0o777));
    let have = looked(&want, &tree, false, &bare(Who::Id(5)));
    assert_eq!((have.below, have.count), (Some(Arc::from([])), 1_002));
    tree.get_mut("d/7").unwrap().uid = 0;
    let have = looked(&want, &tree, false, &bare(Who::Id(5)));
    assert_eq!(have.below.unwrap().len(), 1);
}

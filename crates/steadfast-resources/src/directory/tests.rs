//! What is read, planned and seen of directories, with literals.

use super::*;
use crate::kind::{Obstacle, Refusal};
use crate::made::Places;
use crate::paths::tests::{abs, bad, check_example, entry, file, folder, link, lower, show};
use crate::paths::{Ids, Who};
use expect_test::{Expect, expect};
use steadfast_system::files::{Mode, Shape, TreeEntry};

fn want(text: &str) -> Desired {
    let files = [
        ("files/site/index.html", "hello"),
        ("files/site/bin/run.sh", "#!/bin/sh\n"),
        ("files/other", "x"),
    ];
    lower::<Directory>(text, &files).unwrap()
}

fn at(below: &[(&str, Entry)]) -> State {
    let below = below
        .iter()
        .map(|(path, entry)| TreeEntry { path: Arc::from(*path), entry: entry.clone() });
    State {
        folder: folder(),
        entry: Some(dir()),
        ids: Ids::default(),
        inherits: None,
        group: None,
        count: below.len() as u64,
        below: Some(below.collect()),
        also_promised: Arc::from([]),
        sources: None,
        made: Places::default(),
        own: Arc::from([]),
    }
}

fn dir() -> Entry {
    entry(Shape::Directory, 0o755)
}

#[track_caller]
fn check(want: &Desired, have: &State, expected: Expect) -> Difference<Change> {
    let difference = Directory::plan(want, have);
    expected.assert_eq(&show(&difference));
    difference
}

#[track_caller]
fn plans(text: &str, have: &State, expected: Expect) -> Difference<Change> {
    check(&want(text), have, expected)
}

#[test]
fn what_is_wrong_with_a_promise_is_said() {
    bad::<Directory>(
        "/x: { recurse: true }",
        expect![[r#"
        conflicting-fields at 1:7: `recurse` needs an owner, group or mode
    "#]],
    );
    bad::<Directory>(
        "/x: { file_mode: \"0644\", purge_max: 3, ignore: [\"[\"] }",
        expect![[r#"
        bad-value at 1:49: the pattern `[` has a `[` without its `]`
        conflicting-fields at 1:7: `file_mode` is for what `recurse` reaches
        conflicting-fields at 1:26: `purge_max` is for `purge`
        conflicting-fields at 1:40: `ignore` is for `purge` and `recurse`
    "#]],
    );
    bad::<Directory>(
        "/x: { purge: true, purge_max: -1, mode: 755 }",
        expect![[r#"
        unquoted at 1:41: `mode` is an integer, not text
        bad-value at 1:31: `purge_max` cannot be negative
    "#]],
    );
    bad::<Directory>(
        "/: { purge: true, mode: \"0755\" }",
        expect![[r#"
        bad-value at 1:6: `/` cannot be purged
    "#]],
    );
    bad::<Directory>(
        "/var: absent",
        expect![[r#"
            bad-value at 1:1: `/var` cannot be absent
        "#]],
    );
    bad::<Directory>(
        "/x: { source: files/none }",
        expect![[r#"
        unknown-file at 1:15: the model has no files below `files/none`
    "#]],
    );
    bad::<Directory>(
        "/sys/x: present",
        expect![[r#"
        bad-path at 1:1: `/sys/x` belongs to the kernel: nothing is promised below /sys
    "#]],
    );
}

#[test]
fn the_example_in_the_documentation_is_right() {
    let files = [("files/nginx-conf.d/a.conf", "")];
    check_example::<Directory>(include_str!("mod.rs"), &files);
}

#[test]
fn a_directory_owns_what_its_source_puts_there() {
    let want = want("/srv: { source: files/site, owner: deploy }");
    let claims: Vec<_> = Directory::claims(&want).iter().map(Identity::to_string).collect();
    assert_eq!(claims, ["/srv", "/srv/bin/run.sh", "/srv/index.html"]);
    let uses: Vec<_> = Directory::uses(&want).iter().map(Identity::to_string).collect();
    assert_eq!(uses, ["/", "user deploy"]);
}

#[test]
fn a_missing_directory_is_made_and_its_parent_is_not() {
    let mut have = at(&[]);
    have.entry = None;
    have.below = None;
    plans(
        "/x: present",
        &have,
        expect![[r#"
        make directory (mode 0755)
    "#]],
    );
    have.inherits = Some(Inherited { gid: 6, name: None });
    let new = Directory::plan(&want("/x: { mode: g+w }"), &have);
    let Change::MakeDirectories(all) = &new.changes[0] else { panic!("{new:?}") };
    assert_eq!((all[0].uid, all[0].gid, all[0].mode), (0, 6, Mode(0o775)));
    (have.folder, have.inherits) = (None, None);
    have.ids.owner = Who::Missing;
    plans(
        "/srv/x: { owner: deploy }",
        &have,
        expect![[r#"
            make directory (deploy:root, mode 0755)
            missing: user deploy
            missing: /srv
        "#]],
    );
}

#[test]
fn attributes_are_set_on_the_directory_alone() {
    let mut have = at(&[("a", file("", 0o600))]);
    have.ids.group = Who::Id(6);
    plans(
        "/x: { mode: \"2755\", group: www-data }",
        &have,
        expect![[r#"
        set mode 0755 -> 2755, group root -> www-data
    "#]],
    );
    have.ids.group = Who::Unsaid;
    assert!(Directory::plan(&want("/x: present"), &have).is_kept());
}

#[test]
fn what_is_in_the_way_gives_way_to_force_alone() {
    let mut have = at(&[]);
    for (there, words) in [(file("a", 0o644), "a regular file"), (link("/srv"), "a symbolic link")]
    {
        have.entry = Some(there);
        assert_eq!(
            Directory::plan(&want("/x: present"), &have),
            Difference::refused(Refusal::machine(format!(
                "{words} is in the way (`force: true` removes it)"
            )))
        );
        let new = Directory::plan(&want("/x: { force: true }"), &have);
        assert_eq!(new.changes.len(), 1);
        assert_eq!(Directory::deletes(&new.changes[0]), 1);
    }
}

#[test]
fn recursion_reaches_all_but_links_and_what_has_a_promise_of_its_own() {
    let mut hard = file("", 0o600);
    hard.links = 2;
    let mut have = at(&[
        ("a", dir()),
        ("a/file", file("", 0o600)),
        ("a/tool", file("", 0o700)),
        ("hard", hard),
        ("link", link("/etc/shadow")),
        ("odd\u{1b}[2J", file("", 0o600)),
        ("own", file("", 0o600)),
        ("run.sock", entry(Shape::Socket, 0o600)),
    ]);
    have.ids.owner = Who::Id(5);
    let mut want =
        want("/x: { owner: deploy, mode: \"u=rwX,go=rX\", recurse: true, ignore: [\"*.sock\"] }");
    Directory::set_promised(&mut want, Arc::from([abs("/x/own"), abs("/y/a")]));
    check(
        &want,
        &have,
        expect![[r#"
            set owner root -> deploy
            a: set owner root -> deploy
            a/file: set mode 0600 -> 0644, owner root -> deploy
            a/tool: set mode 0700 -> 0755, owner root -> deploy
            odd\u{1b}[2J: set mode 0600 -> 0644, owner root -> deploy
            note: symbolic links left alone, whatever they have: 1
            note: files with several hard links left alone, whatever they have: 1
        "#]],
    );
}

#[test]
fn files_may_have_another_mode_than_folders() {
    let have = at(&[("a", dir()), ("a/file", file("", 0o600)), ("b", file("", 0o640))]);
    plans(
        "/x: { mode: \"0750\", file_mode: \"0640\", recurse: true }",
        &have,
        expect![[r#"
        set mode 0755 -> 0750
        a: set mode 0755 -> 0750
        a/file: set mode 0600 -> 0640
    "#]],
    );
}

#[test]
fn many_entries_are_one_line() {
    let names: Vec<String> = (0..312).map(|it| format!("{it}")).collect();
    let below: Vec<_> = names.iter().map(|it| (&**it, file("", 0o644))).collect();
    let mut have = at(&below);
    have.ids.owner = Who::Id(5);
    have.entry.as_mut().unwrap().uid = 5;
    plans(
        "/x: { owner: deploy, recurse: true }",
        &have,
        expect![[r#"
        set owner of 312 entries
    "#]],
    );
    let mut want = want("/x: { purge: true }");
    check(
        &want,
        &have,
        expect![[r#"
        refused: purge would remove 312 entries, more than 100 (`purge_max`), so it removes none
    "#]],
    );
    want.purge_max = 312;
    let gone = check(
        &want,
        &have,
        expect![[r#"
        remove 312 entries
    "#]],
    );
    assert_eq!(gone.changes.iter().map(Directory::deletes).sum::<u64>(), 312);
}

fn purged() -> State {
    at(&[
        ("dir", dir()),
        ("dir/inner", file("", 0o644)),
        ("keep", dir()),
        ("keep/promised", file("", 0o644)),
        ("keep/stray", file("", 0o644)),
        ("link", link("x")),
        ("stray", file("", 0o644)),
        ("stray.bak", file("", 0o644)),
        ("sub", dir()),
        ("sub/inner", file("", 0o644)),
    ])
}

#[test]
fn purge_removes_what_no_promise_names_and_leaves_folders() {
    let mut want = want("/x: { purge: true, ignore: [\"*.bak\"] }");
    Directory::set_promised(&mut want, Arc::from([abs("/x/keep/promised"), abs("/x/sub")]));
    check(
        &want,
        &purged(),
        expect![[r#"
            keep/stray: remove file
            link: remove symbolic link
            stray: remove file
            sub/inner: remove file
            note: directories that nobody promised stay: 1 (`force: true` purges directories too)
        "#]],
    );
    want.force = true;
    let gone = check(
        &want,
        &purged(),
        expect![[r#"
        dir: remove directory and 1 below it
        keep/stray: remove file
        link: remove symbolic link
        stray: remove file
        sub/inner: remove file
    "#]],
    );
    assert_eq!(gone.changes.iter().map(Directory::deletes).sum::<u64>(), 6);
    want.purge_max = 5;
    assert!(matches!(Directory::plan(&want, &purged()).obstacles[..], [Obstacle::Refused(_)]));
    // A refusal leaves everything.
    assert_eq!(Directory::plan(&want, &purged()).changes, []);
}

#[test]
fn whoever_makes_names_that_no_text_has_stops_no_purge() {
    let have = at(&[
        ("bad\u{0}ff", file("", 0o644)),
        ("line\n\u{1b}[2J", file("", 0o644)),
        ("promised", file("", 0o644)),
        ("z", file("", 0o644)),
    ]);
    let mut want = want("/x: { purge: true }");
    Directory::set_promised(&mut want, Arc::from([abs("/x/promised")]));
    let gone = check(
        &want,
        &have,
        expect![[r#"
        bad\xff: remove file
        line\n\u{1b}[2J: remove file
        z: remove file
    "#]],
    );
    let Change::Remove(all) = &gone.changes[0] else { panic!("{gone:?}") };
    assert_eq!(all[0].path.as_str(), "/x/bad\u{0}ff");
    assert_eq!(all[0].path.to_string(), "/x/bad\\xff");
}

#[test]
fn what_is_promised_by_another_name_is_spared() {
    let mut have = purged();
    Directory::set_also_promised(&mut have, &Arc::from([Arc::from("stray"), Arc::from("keep/x")]));
    check(
        &want("/x: { purge: true, force: true }"),
        &have,
        expect![[r#"
        dir: remove directory and 1 below it
        keep/promised: remove file
        keep/stray: remove file
        link: remove symbolic link
        stray.bak: remove file
        sub: remove directory and 1 below it
    "#]],
    );
}

#[test]
fn our_own_folders_are_spared_wherever_they_are() {
    let mut have = at(&[
        ("own", dir()),
        ("own/state.db", file("", 0o600)),
        ("settings", dir()),
        ("settings/secret", file("", 0o600)),
        ("stray", file("", 0o600)),
    ]);
    have.own = Arc::from(paths::tests::own_folders());
    plans(
        "/x: { purge: true, force: true }",
        &have,
        expect![[r#"
        stray: remove file
    "#]],
    );
    plans(
        "/x: { recurse: true, mode: \"a=rX\" }",
        &have,
        expect![[r#"
        set mode 0755 -> 0555
        stray: set mode 0600 -> 0444
    "#]],
    );
    plans(
        "/x: { state: absent, force: true }",
        &have,
        expect![[r#"
        refused: /x/own, where this program keeps what is its own, would go with it
    "#]],
    );
    let below = at(&[("state.db", file("", 0o600))]);
    let have = State { own: have.own, ..below };
    plans(
        "/x/own: { purge: true }",
        &have,
        expect![[r#"
        refused: it lies in /x/own, where this program keeps what is its own
    "#]],
    );
    plans(
        "/x/own/cache: absent",
        &have,
        expect![[r#"
        refused: it lies in /x/own, where this program keeps what is its own
    "#]],
    );
    plans(
        "/x/settings: { mode: \"0700\", purge: true }",
        &have,
        expect![[r#"
        set mode 0755 -> 0700
        state.db: remove file
    "#]],
    );
}

#[test]
fn that_large_contents_are_not_kept_is_said() {
    let large = paths::tests::large_file;
    let full = at(&[
        ("dir", dir()),
        ("dir/large", large()),
        ("index.html", large()),
        ("large", large()),
        ("small", file("", 0o644)),
    ]);
    plans(
        "/x: { purge: true, force: true, source: files/site }",
        &full,
        expect![[r#"
        dir: remove directory and 1 below it
        large: remove file
        small: remove file
        bin: make directory (mode 0755)
        bin/run.sh: write 10 bytes (new, mode 0755)
        index.html: write 5 bytes (was 16,777,217)
        note: files larger than 16 MiB, whose content will not be kept: 3
    "#]],
    );
    plans(
        "/x: { purge: true }",
        &full,
        expect![[r#"
        index.html: remove file
        large: remove file
        small: remove file
        note: directories that nobody promised stay: 1 (`force: true` purges directories too)
        note: files larger than 16 MiB, whose content will not be kept: 2
    "#]],
    );
    plans(
        "/x: { state: absent, force: true }",
        &full,
        expect![[r#"
        remove directory and 5 below it
        note: files larger than 16 MiB, whose content will not be kept: 3
    "#]],
    );
    plans(
        "/x: { purge: true, purge_max: 1 }",
        &full,
        expect![[r#"
        refused: purge would remove 3 entries, more than 1 (`purge_max`), so it removes none
    "#]],
    );
    let mut instead = at(&[]);
    instead.entry = Some(large());
    plans(
        "/x: { force: true }",
        &instead,
        expect![[r#"
        make directory (mode 0755), replacing a file
        note: its content is larger than 16 MiB and will not be kept
    "#]],
    );
}

#[test]
fn purge_spares_ignored_folders_other_file_systems_and_our_own_state() {
    let mut mounted = dir();
    mounted.mounted = true;
    let have = at(&[
        ("lib", dir()),
        ("lib/other", dir()),
        ("lib/steadfast", dir()),
        ("lib/steadfast/store", file("", 0o600)),
        ("mnt", dir()),
        ("mnt/disk", mounted),
        ("mnt/stray", file("", 0o644)),
        ("skip", dir()),
        ("skip/deep", file("", 0o644)),
    ]);
    let mut want = want("/x: { purge: true, force: true, ignore: [skip] }");
    want.path = abs("/var");
    check(
        &want,
        &have,
        expect![[r#"
        lib/other: remove directory
        mnt/stray: remove file
    "#]],
    );
}

#[test]
fn a_source_brings_files_and_their_executable_bit() {
    let text = "/x: { source: files/site, purge: true }";
    plans(
        text,
        &at(&[("stray", file("", 0o644))]),
        expect![[r#"
        stray: remove file
        bin: make directory (mode 0755)
        bin/run.sh: write 10 bytes (new, mode 0755)
        index.html: write 5 bytes (new, mode 0644)
    "#]],
    );
    plans(
        text,
        &at(&[
            ("bin", dir()),
            ("bin/run.sh", file("#!/bin/sh\n", 0o640)),
            ("index.html", file("older", 0o755)),
        ]),
        expect![[r#"
            index.html: write 5 bytes (was 5), mode 0755 -> 0644
            bin/run.sh: set mode 0640 -> 0750
        "#]],
    );
    let kept = at(&[
        ("bin", dir()),
        ("bin/run.sh", file("#!/bin/sh\n", 0o755)),
        ("index.html", file("hello", 0o600)),
    ]);
    assert!(Directory::plan(&want(text), &kept).is_kept());
}

#[test]
fn with_recursion_owner_and_mode_hold_for_the_source_too() {
    let mut have = at(&[("index.html", file("hello", 0o644))]);
    have.ids.owner = Who::Id(5);
    have.entry.as_mut().unwrap().uid = 5;
    let new = plans(
        "/x: { source: files/site, owner: deploy, mode: \"o=\", recurse: true }",
        &have,
        expect![[r#"
            set mode 0755 -> 0750
            bin: make directory (deploy:root, mode 0750)
            bin/run.sh: write 10 bytes (new, deploy:root, mode 0750)
            index.html: set mode 0644 -> 0640, owner root -> deploy
        "#]],
    );
    let Change::Write(all) = &new.changes[2] else { panic!("{new:?}") };
    assert_eq!(all[0].file.uid, 5);
}

#[test]
fn what_is_in_the_way_of_a_source_gives_way_to_force_alone() {
    let have =
        at(&[("bin", link("/bin")), ("index.html", dir()), ("index.html/inner", file("", 0o600))]);
    plans(
        "/x: { source: files/site }",
        &have,
        expect![[r#"
        refused: bin: a symbolic link is in the way (`force: true` removes it)
        refused: index.html: a directory is in the way (`force: true` removes it)
    "#]],
    );
    plans(
        "/x: { source: files/site, force: true, recurse: true, mode: \"0755\" }",
        &have,
        expect![[r#"
        bin: make directory (mode 0755), replacing a symbolic link
        bin/run.sh: write 10 bytes (new, mode 0755)
        index.html: write 5 bytes, replacing a directory and 1 below it
    "#]],
    );
    // A link in the way of a file is replaced, never followed.
    let have = at(&[("bin", dir()), ("index.html", link("/etc/passwd"))]);
    plans(
        "/x: { source: files/site }",
        &have,
        expect![[r#"
        bin/run.sh: write 10 bytes (new, mode 0755)
        index.html: write 5 bytes, replacing a symbolic link
    "#]],
    );
}

#[test]
fn an_absent_directory_goes_if_it_is_empty() {
    plans(
        "/x: absent",
        &at(&[]),
        expect![[r#"
        remove directory
    "#]],
    );
    let full = at(&[("a", dir()), ("a/b", file("", 0o644))]);
    plans(
        "/x: absent",
        &full,
        expect![[r#"
        refused: the directory is not empty: 2 below it (`force: true` removes all)
    "#]],
    );
    let gone = plans(
        "/x: { state: absent, force: true }",
        &full,
        expect![[r#"
        remove directory and 2 below it
    "#]],
    );
    assert_eq!(Directory::deletes(&gone.changes[0]), 3);
    let mut mounted = dir();
    mounted.mounted = true;
    plans(
        "/x: { state: absent, force: true }",
        &at(&[("a", mounted)]),
        expect![[r#"
        refused: a directory is there, and something is mounted on it or below it
    "#]],
    );
    let mut none = at(&[]);
    none.entry = None;
    assert!(Directory::plan(&want("/x: absent"), &none).is_kept());
    none.entry = Some(file("", 0o644));
    plans(
        "/x: absent",
        &none,
        expect![[r#"
        refused: a regular file is there (`force: true` removes it)
    "#]],
    );
}

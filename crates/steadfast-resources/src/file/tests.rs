//! What is read, planned and seen of files, with literals.

use super::observe::observe_with;
use super::*;
use crate::kind::{self, Refusal};
use crate::paths::tests::{abs, bad, check_example, entry, file, folder, link, lower, show};
use crate::paths::{Bytes, Ids, Inherited, Who, Within};
use expect_test::{Expect, expect};
use std::collections::BTreeMap;
use std::sync::Mutex;
use steadfast_system::files::{
    self, Digest, Entry, Expected, Look, Mode, Mounts, NewFile, OwnFolder, Shape, Sieve, Tree,
    Wanted,
};
use steadfast_system::secrets::{self, Secret};
use steadfast_system::{AbsPath, ErrorKind, GroupName};

fn want(text: &str) -> Desired {
    lower::<File>(text, &[("files/motd", "from the model\n"), ("servers/t.j2", "text\n")]).unwrap()
}

fn secret(name: &str) -> Refusal {
    Refusal::Secret(format!("read the secret {name}: it is not there"))
}

#[test]
fn an_owner_may_be_a_number_that_no_account_here_has() {
    for text in [
        "/srv/x: { content: a, owner: 4242, group: 4243 }",
        "/srv/x: { content: a, owner: \"4242\", group: \"4243\" }",
    ] {
        let want = want(text);
        assert_eq!(want.owners.owner, Some(paths::Whose::Number(4242)), "{text}");
        assert_eq!(want.owners.group, Some(paths::Whose::Number(4243)), "{text}");
        let uses: Vec<String> = File::uses(&want).iter().map(ToString::to_string).collect();
        assert_eq!(uses, ["/srv"], "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_promise_is_said() {
    bad::<File>(
        "etc/motd: present",
        expect![[r#"
        bad-path at 1:1: `etc/motd` is not an absolute path: it must begin with `/`
    "#]],
    );
    bad::<File>(
        "/: present",
        expect![[r#"
        bad-path at 1:1: `/` is not a file
    "#]],
    );
    bad::<File>(
        "/proc/sys/x: { content: a }",
        expect![[r#"
        bad-path at 1:1: `/proc/sys/x` belongs to the kernel: nothing is promised below /proc
    "#]],
    );
    bad::<File>(
        "/var/lib/steadfast/x: absent",
        expect![[r#"
        bad-path at 1:1: `/var/lib/steadfast/x` lies in the state directory of this program, /var/lib/steadfast
    "#]],
    );
    bad::<File>(
        "/x: gone",
        expect![[r#"
        bad-value at 1:5: a file cannot be `gone`
    "#]],
    );
    bad::<File>(
        "/x: { mode: 0644 }",
        expect![[r#"
            yaml-trap at 1:13: `0644` is octal to some readers of YAML and not to others
        "#]],
    );
    bad::<File>(
        "/x: { mode: \"0999\", owner: \"a b\", group: 7, stat: present }",
        expect![[r#"
            unknown-field at 1:45: `file` has no field `stat`
            bad-name at 1:28: `a b` is not a user name: it has a `:`, `/`, `,`, space or control character
            bad-mode at 1:13: `0999` is not a mode: octal digits go from 0 to 7
        "#]],
    );
    bad::<File>(
        "/x: { content: a, source: b }",
        expect![[r#"
        conflicting-fields at 1:19: the content comes from `content` or from `source`, not from both
    "#]],
    );
    bad::<File>(
        "/x: { content_base64: \"a!\" }",
        expect![[r#"
        bad-value at 1:23: `content_base64` is not base64: Invalid symbol 33, offset 1.
    "#]],
    );
    bad::<File>(
        "/x: { source: nowhere }",
        expect![[r#"
        unknown-file at 1:15: the model has no file `nowhere`
    "#]],
    );
    bad::<File>(
        "/x: { mode: \"0644\", variables: {}, create: true, validate: [a, \"{file}\"] }",
        expect![[r#"
            conflicting-fields at 1:21: `variables` are for a `template`
            conflicting-fields at 1:36: `create` is for `edits`
            conflicting-fields at 1:50: `validate` needs a content that it checks
        "#]],
    );
    bad::<File>(
        "/x: { edits: [{ line: a }], replace: false }",
        expect![[r#"
        conflicting-fields at 1:29: `replace` is not for `edits`
    "#]],
    );
    bad::<File>(
        "/x: { content: a, validate: [visudo, -c] }",
        expect![[r#"
        bad-value at 1:29: `validate` never names the file: put {file} in it
    "#]],
    );
    bad::<File>(
        "/x: { content: a, validate: [] }",
        expect![[r#"
        bad-value at 1:29: `validate` names no program
    "#]],
    );
    bad::<File>(
        "/x: { content: { secret: ../x } }",
        expect![[r#"
        bad-name at 1:26: `../x` is not the name of a secret
    "#]],
    );
    bad::<File>(
        "/x: { owner: { secret: x } }",
        expect![[r#"
        misplaced-secret at 1:14: a secret cannot stand in `owner`: its value would be seen
    "#]],
    );
}

#[test]
fn that_a_large_content_is_not_kept_is_said() {
    let mut have = at(Some(paths::tests::large_file()), Compared::Unsaid);
    plans(
        "/x: absent",
        &have,
        expect![[r#"
        remove file
        note: its content is larger than 16 MiB and will not be kept
    "#]],
    );
    plans(
        "/x: { state: absent, keep_backup: false }",
        &have,
        expect![[r#"
        remove file
    "#]],
    );
    have.content = other("new", None);
    plans(
        "/x: { content: new }",
        &have,
        expect![[r#"
        write 3 bytes (was 16,777,217)
        note: its content is larger than 16 MiB and will not be kept
    "#]],
    );
}

#[test]
fn what_is_wrong_with_an_edit_is_said() {
    let edits = |text: &str, expected: Expect| {
        bad::<File>(&format!("/x: {{ edits: {text} }}"), expected);
    };
    edits(
        "[]",
        expect![[r#"
        bad-value at 1:14: `edits` is empty, so it says nothing
    "#]],
    );
    edits(
        "[{ after: x }]",
        expect![[r#"
        missing-field at 1:15: an edit needs one of the fields `line`, `block` and `key`
    "#]],
    );
    edits(
        "[{ line: a, key: b }]",
        expect![[r#"
        conflicting-fields at 1:26: an edit has only one of the fields `line`, `block` and `key`
    "#]],
    );
    edits(
        "[{ line: a, section: b }, { line: b, match: \"(\" }]",
        expect![[r#"
        conflicting-fields at 1:26: `section` says nothing about a line
        bad-value at 1:58: `(` is not a regular expression: found open group without closing ')'
    "#]],
    );
    edits(
        "[{ line: a, after: x, before: y }]",
        expect![[r#"
        conflicting-fields at 1:36: `after` and `before` exclude each other
    "#]],
    );
    edits(
        "[{ line: a, all: true }]",
        expect![[r#"
        conflicting-fields at 1:26: `all` needs `match`
    "#]],
    );
    edits(
        "[{ line: \"a\\nb\" }]",
        expect![[r#"
        bad-value at 1:23: a line cannot have a line break in it
    "#]],
    );
    edits(
        "[{ match: a }]",
        expect![[r#"
        missing-field at 1:15: `edit` needs the field `line`
    "#]],
    );
    edits(
        "[{ block: a }, { name: x }]",
        expect![[r#"
        missing-field at 1:15: `edit` needs the field `name`
        missing-field at 1:29: `edit` needs the field `block`
    "#]],
    );
    edits(
        "[{ block: \"# END steadfast y\", name: x }]",
        expect![[r#"
        bad-value at 1:24: a block cannot have the marker of a block in it
    "#]],
    );
    edits(
        "[{ block: a, name: \"x\\n\" }]",
        expect![[r#"
        bad-name at 1:33: `x\n` is not the name of a block: it is empty, has space around it, or a control character in it
    "#]],
    );
    edits(
        "[{ key: a }, { key: \"a=b\", value: c }, { key: \"#a\", value: c }]",
        expect![[r#"
        missing-field at 1:15: `edit` needs the field `value`
        bad-value at 1:34: the key `a=b` has the separator in it
        bad-value at 1:60: the key `#a` would be read as a section or a comment
    "#]],
    );
    edits(
        "[{ key: a, value: \"b\\nc\" }, { key: a, value: b, absent: true }]",
        expect![[r#"
        bad-value at 1:32: a value has only one line
        conflicting-fields at 1:52: a key that is absent has no `value`
    "#]],
    );
    edits(
        "[{ line: { secret: x } }]",
        expect![[r#"
        misplaced-secret at 1:23: a secret cannot stand in `line`: its value would be seen
    "#]],
    );
}

#[test]
fn the_example_in_the_documentation_is_right() {
    let files = [("templates/nginx.conf.j2", "")];
    check_example::<File>(include_str!("mod.rs"), &files);
}

#[test]
fn the_content_comes_from_many_places() {
    let digest = |text: &str| Some(paths::sha256(text.as_bytes()));
    assert_eq!(want("/x: { content: \"a\\n\" }").digest(), digest("a\n"));
    assert_eq!(want("/x: { content: \"\" }").digest(), digest(""));
    assert_eq!(want("/x: { content_base64: \"YQ==\\n\" }").digest(), digest("a"));
    assert_eq!(want("/x: { source: files/motd }").digest(), digest("from the model\n"));
    assert_eq!(want("/x: { template: t.j2 }").digest(), digest("text\n"));
    assert_eq!(want("/x: { mode: \"0600\" }").digest(), None);
    assert!(want("/x: absent").absent);
    assert!(want("/x: { state: absent }").absent);
}

#[test]
fn a_file_with_a_secret_is_sensitive_as_a_whole() {
    for text in [
        "/x: { content: { secret: a/b } }",
        "/x: { edits: [{ key: a, value: { secret: b } }] }",
        "/x: { content: a, sensitive: true }",
        "/x: { content: { secret: a }, sensitive: false }",
    ] {
        let want = want(text);
        assert!(want.sensitive && !want.keep_backup, "{text}");
    }
    assert!(want("/x: { content: { secret: a }, keep_backup: true }").keep_backup);
    assert!(want("/x: { content: a }").keep_backup);
}

#[test]
fn a_promise_names_what_it_owns_and_needs() {
    let want = want("/srv/x: { owner: deploy, group: www-data }");
    assert_eq!(File::claims(&want), [Identity::Path(abs("/srv/x"))]);
    let uses: Vec<_> = File::uses(&want).iter().map(Identity::to_string).collect();
    assert_eq!(uses, ["/srv", "user deploy", "group www-data"]);
}

fn other(wanted: &str, present: Option<&str>) -> Compared {
    let bytes = |text: &str| Bytes(Arc::from(text.as_bytes()));
    Compared::Other { wanted: bytes(wanted), present: present.map(bytes) }
}

fn at(entry: Option<Entry>, content: Compared) -> State {
    State {
        folder: folder(),
        entry,
        ids: Ids::default(),
        inherits: None,
        content,
        mark: None,
        sensitive: false,
        ours: None,
        within: Within::default(),
    }
}

#[test]
fn what_is_ours_is_no_target() {
    let machine = Machine { files: BTreeMap::new(), ..Machine::default() };
    for (text, ours) in [
        ("/x/own/a: { content: a }", true),
        ("/x/own/a: absent", true),
        ("/x/settings/a: { content: a }", false),
    ] {
        let want = want(text);
        let have =
            observe_with(&[&want], &machine, |_, _| Ok((Ids::default(), None))).remove(0).unwrap();
        let refused = kind::refuses(&File::plan(&want, &have).obstacles);
        assert_eq!(refused, ours, "{text}");
    }
}

#[track_caller]
fn plans(text: &str, have: &State, expected: Expect) -> Difference<Change> {
    let difference = File::plan(&want(text), have);
    expected.assert_eq(&show(&difference));
    difference
}

#[track_caller]
fn written(difference: &Difference<Change>) -> NewFile {
    let Some(Change::Write(all)) = difference.changes.last() else { panic!("nothing written") };
    all[0].file.clone()
}

#[test]
fn a_missing_file_is_written() {
    let new = plans(
        "/x: { content: hello }",
        &at(None, other("hello", None)),
        expect![[r#"
        write 5 bytes (new, mode 0644)
    "#]],
    );
    let file = written(&new);
    assert_eq!(
        (file.uid, file.gid, file.mode, &file.replaces),
        (0, 0, Mode(0o644), &Expected::Nothing)
    );
    let mut have = at(None, other("hello", None));
    have.inherits = Some(Inherited { gid: 6, name: Some(GroupName::parse("www").unwrap()) });
    let new = File::plan(&want("/x: { content: hello, mode: g+w }"), &have);
    let file = written(&new);
    assert_eq!((file.uid, file.gid, file.mode), (0, 6, Mode(0o664)));
    plans(
        "/x: { content: hello, sensitive: true }",
        &at(None, other("hello", None)),
        expect![[r#"
        write sensitive content (new, mode 0600)
    "#]],
    );
    plans(
        "/x: { mode: \"0600\" }",
        &at(None, Compared::Unsaid),
        expect![[r#"
        refused: there is no such file, and the promise says nothing to make
    "#]],
    );
}

#[test]
fn other_content_is_replaced_and_what_is_not_said_stays() {
    let mut there = file("old", 0o640);
    (there.uid, there.gid) = (5, 6);
    let have = at(Some(there), other("hello", Some("old")));
    let new = plans(
        "/x: { content: hello }",
        &have,
        expect![[r#"
        write 5 bytes (was 3)
    "#]],
    );
    let file = written(&new);
    assert_eq!((file.uid, file.gid, file.mode, file.keep), (5, 6, Mode(0o640), true));
    assert_eq!(file.replaces, Expected::File { digest: paths::sha256(b"old") });
    expect![[r#"
        --- /x (current)
        +++ /x (promised)
        @@ -1 +1 @@
        -old
        \ No newline at end of file
        +hello
        \ No newline at end of file
    "#]]
    .assert_eq(&File::detail(&new.changes[0]).unwrap());
    plans(
        "/x: { content: hello, mode: \"0600\" }",
        &have,
        expect![[r#"
        write 5 bytes (was 3), mode 0640 -> 0600
    "#]],
    );
    plans(
        "/x: { content: hello, validate: [check, \"{file}\"] }",
        &have,
        expect![[r#"
        write 5 bytes (was 3)
        unknown: `validate` has not run yet
    "#]],
    );
    let secret = "/x: { content: { secret: a } }";
    let new = plans(
        secret,
        &have,
        expect![[r#"
        write sensitive content
        note: it is sensitive, and others may read it (mode 0640)
    "#]],
    );
    assert!(!written(&new).keep);
    assert_eq!(File::detail(&new.changes[0]), None);
}

#[test]
fn what_is_as_promised_is_kept() {
    let have = at(Some(file("hello", 0o644)), Compared::Same);
    for text in [
        "/x: { content: hello }",
        "/x: { content: hello, mode: \"0644\", validate: [check, \"{file}\"] }",
        "/x: { content: hello, mode: \"u=rw,go=r\" }",
    ] {
        assert!(File::plan(&want(text), &have).is_kept(), "{text}");
    }
    let have = at(Some(file("hello", 0o644)), Compared::Unsaid);
    assert!(File::plan(&want("/x: present"), &have).is_kept());
    assert!(File::plan(&want("/x: absent"), &at(None, Compared::Unsaid)).is_kept());
}

#[test]
fn attributes_are_set_without_the_content() {
    let mut have = at(Some(file("hello", 0o644)), Compared::Same);
    have.ids = Ids { owner: Who::Id(5), group: Who::Id(0) };
    plans(
        "/x: { content: hello, owner: deploy, group: root, mode: go-r }",
        &have,
        expect![[r#"
        set mode 0644 -> 0600, owner root -> deploy
    "#]],
    );
    // A private file does not become readable by a mode that only takes.
    let have = at(Some(file("hello", 0o600)), Compared::Unsaid);
    assert!(File::plan(&want("/x: { mode: go-w }"), &have).is_kept());
}

#[test]
fn what_is_missing_may_still_come() {
    let mut have = at(None, other("hello", None));
    have.folder = None;
    have.ids = Ids { owner: Who::Missing, group: Who::Missing };
    plans(
        "/srv/x: { content: hello, owner: deploy, group: www }",
        &have,
        expect![[r#"
            write 5 bytes (new, deploy:www, mode 0644)
            missing: user deploy
            missing: group www
            missing: /srv
        "#]],
    );
    let mut have = at(None, Compared::Unsaid);
    have.folder = None;
    plans(
        "/srv/x: { mode: \"0644\" }",
        &have,
        expect![[r#"
        missing: /srv
    "#]],
    );
    let have = at(None, Compared::Refused(secret("a")));
    plans(
        "/x: { content: { secret: a } }",
        &have,
        expect![[r#"
        refused: read the secret a: it is not there
    "#]],
    );
}

#[test]
fn a_link_gives_way_and_other_things_do_not() {
    let have = at(Some(link("/etc/passwd")), other("hello", None));
    let new = plans(
        "/x: { content: hello }",
        &have,
        expect![[r#"
        write 5 bytes, replacing a symbolic link
    "#]],
    );
    assert_eq!(written(&new).replaces, Expected::Link { target: Arc::from("/etc/passwd") });
    // What stood there says nothing about the new file's mode.
    assert_eq!(written(&new).mode, Mode(0o644));
    plans(
        "/x: { content: hello, replace: false }",
        &have,
        expect![[r#"
        refused: a symbolic link is in the way, and `replace` is false
    "#]],
    );
    let have = at(Some(link("/etc/passwd")), Compared::Unsaid);
    plans(
        "/x: { mode: \"0644\", force: true }",
        &have,
        expect![[r#"
        refused: a symbolic link is in the way, and the promise says nothing to make
    "#]],
    );
    for (shape, words) in [
        (Shape::Directory, "a directory"),
        (Shape::Socket, "a socket"),
        (Shape::Fifo, "a fifo"),
        (Shape::Device, "a device"),
    ] {
        let mut have = at(Some(entry(shape, 0o755)), other("hello", None));
        assert_eq!(
            File::plan(&want("/x: { content: hello }"), &have),
            Difference::refused(Refusal::machine(format!(
                "{words} is in the way (`force: true` removes it)"
            )))
        );
        let forced = File::plan(&want("/x: { content: hello, force: true }"), &have);
        assert!(matches!(written(&forced).replaces, Expected::Directory | Expected::Other));
        assert_eq!(File::deletes(&forced.changes[0]), 1);
        have.entry.as_mut().unwrap().mounted = true;
        assert_eq!(
            File::plan(&want("/x: { content: hello, force: true }"), &have),
            Difference::refused(Refusal::machine(format!(
                "{words} is in the way, and something is mounted there"
            )))
        );
    }
}

#[test]
fn a_file_that_is_mounted_is_written_in_place() {
    let mut there = file("old", 0o644);
    there.mounted = true;
    let new = File::plan(&want("/x: { content: hello }"), &at(Some(there), other("hello", None)));
    assert!(written(&new).in_place);
}

#[test]
fn a_hard_link_where_others_can_write_is_left_alone() {
    let mut there = file("x", 0o644);
    there.links = 2;
    let mut have = at(Some(there), Compared::Unsaid);
    assert_eq!(File::plan(&want("/x: { mode: \"0600\" }"), &have).changes.len(), 1);
    have.folder.as_mut().unwrap().open = true;
    plans(
        "/x: { mode: \"0600\" }",
        &have,
        expect![[r#"
        refused: it has several hard links, in a directory that others can write: it may be another's file
    "#]],
    );
    assert!(File::plan(&want("/x: { mode: \"0644\" }"), &have).is_kept());
    // A new file takes its place, so nothing is done to the other one.
    have.content = other("hello", None);
    assert_eq!(File::plan(&want("/x: { content: hello }"), &have).changes.len(), 1);
}

#[test]
fn an_absent_file_is_removed() {
    let gone = plans(
        "/x: absent",
        &at(Some(file("a", 0o644)), Compared::Unsaid),
        expect![[r#"
        remove file
    "#]],
    );
    assert_eq!(File::deletes(&gone.changes[0]), 1);
    plans(
        "/x: absent",
        &at(Some(link("y")), Compared::Unsaid),
        expect![[r#"
        remove symbolic link
    "#]],
    );
    let folder = at(Some(entry(Shape::Directory, 0o755)), Compared::Unsaid);
    plans(
        "/x: absent",
        &folder,
        expect![[r#"
        refused: a directory is there (`force: true` removes it)
    "#]],
    );
    plans(
        "/x: { state: absent, force: true }",
        &folder,
        expect![[r#"
        remove directory
    "#]],
    );
    let mut there = file("a", 0o644);
    there.mounted = true;
    plans(
        "/x: absent",
        &at(Some(there), Compared::Unsaid),
        expect![[r#"
        refused: a regular file is there, and something is mounted on it
    "#]],
    );
}

/// Files and secrets of a machine; what is asked of it is noted.
#[derive(Debug, Default)]
struct Machine {
    files: BTreeMap<&'static str, (Entry, &'static str)>,
    open: bool,
    asked: Mutex<Vec<(String, Wanted)>>,
}

impl files::Read for Machine {
    fn look(&self, wanted: &[(&AbsPath, Wanted)]) -> Vec<Result<Look, SystemError>> {
        let look = |(path, wanted): &(&AbsPath, Wanted)| {
            self.asked.lock().unwrap().push((path.to_string(), *wanted));
            let mut found = folder();
            found.as_mut().unwrap().open = self.open;
            let Some((entry, text)) = self.files.get(path.as_str()) else {
                return Ok(Look { folder: found, entry: None });
            };
            let mut entry = entry.clone();
            if let Shape::File { size, content } = &mut entry.shape {
                let digest = files::Content::Digest(paths::sha256(text.as_bytes()));
                *content = match wanted {
                    Wanted::Nothing => files::Content::NotRead,
                    Wanted::DigestIfSize(other) if other != size => files::Content::NotRead,
                    Wanted::DigestIfSize(_) | Wanted::Digest | Wanted::DigestOfOurs => digest,
                    Wanted::Bytes if text.len() > 100 => files::Content::TooLarge,
                    Wanted::Bytes => files::Content::Bytes(Arc::from(text.as_bytes())),
                };
            }
            Ok(Look { folder: found, entry: Some(entry) })
        };
        wanted.iter().map(look).collect()
    }
    fn own_folders(&self) -> Vec<OwnFolder> {
        paths::tests::own_folders()
    }
    fn real_folders(&self, folders: &[&AbsPath]) -> Vec<Option<AbsPath>> {
        vec![None; folders.len()]
    }

    fn mounts(&self) -> Mounts {
        Mounts::default()
    }

    fn tree(&self, _: &AbsPath, _: &dyn Sieve) -> Result<Tree, SystemError> {
        Ok(Tree::default())
    }
    fn kept(&self, _: &Digest) -> Result<Option<Vec<u8>>, SystemError> {
        Ok(None)
    }
}

impl secrets::Read for Machine {
    fn secret(&self, name: &str) -> Result<Secret, SystemError> {
        match name {
            "known" => Ok(Secret::new(b"hunter2".to_vec())),
            _ => Err(SystemError::new(ErrorKind::Other, "it is not there")
                .during(format!("read the secret {name}"))),
        }
    }
    fn keyed_digest(&self, content: &[u8]) -> Result<[u8; 32], SystemError> {
        Ok(paths::sha256(&[b"key", content].concat()))
    }
}

impl Machine {
    fn with(files: &[(&'static str, &'static str)]) -> Machine {
        let files = files.iter().map(|(path, text)| (*path, (file(text, 0o644), *text)));
        Machine { files: files.collect(), ..Machine::default() }
    }

    fn states(&self, wants: &[Desired]) -> Vec<State> {
        let wants: Vec<&Desired> = wants.iter().collect();
        let states = observe_with(&wants, self, |_, _| Ok((Ids::default(), None)));
        states.into_iter().map(Result::unwrap).collect()
    }

    fn asked(&self) -> Vec<(String, Wanted)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[test]
fn what_is_equal_is_read_once_and_not_held() {
    let machine = Machine::with(&[("/same", "hello"), ("/size", "hell"), ("/other", "HELLO")]);
    let wants = ["/same", "/size", "/other", "/none"];
    let wants = wants.map(|it| want(&format!("{it}: {{ content: hello }}")));
    let states = machine.states(&wants);
    let contents: Vec<_> = states.into_iter().map(|it| it.content).collect();
    assert_eq!(
        contents,
        [
            Compared::Same,
            other("hello", Some("hell")),
            other("hello", Some("HELLO")),
            other("hello", None),
        ]
    );
    let first = Wanted::DigestIfSize(5);
    let asked = |path: &str, wanted| (path.to_owned(), wanted);
    assert_eq!(
        machine.asked(),
        [
            asked("/same", first),
            asked("/size", first),
            asked("/other", first),
            asked("/none", first),
            asked("/size", Wanted::Bytes),
            asked("/other", Wanted::Bytes),
        ]
    );
}

#[test]
fn a_file_that_may_be_anothers_by_its_other_name_gets_its_mode_from_a_new_one() {
    let mut machine = Machine::with(&[("/a", "hello")]);
    machine.files.get_mut("/a").unwrap().0.links = 2;
    for (open, promise, is_written) in [
        (true, "content: hello, mode: \"0600\"", true),
        (true, "content: hello, mode: \"0644\"", false),
        (true, "content: hello, mode: \"0600\", replace: false", false),
        (false, "content: hello, mode: \"0600\"", false),
    ] {
        machine.open = open;
        let want = want(&format!("/a: {{ {promise} }}"));
        let state = machine.states(std::slice::from_ref(&want)).remove(0);
        let expected = if is_written { other("hello", None) } else { Compared::Same };
        assert_eq!(state.content, expected, "{promise}");
        if is_written {
            let plan = File::plan(&want, &state);
            assert_eq!(written(&plan).mode, Mode(0o600));
        }
    }
}

#[test]
fn nothing_of_a_sensitive_file_is_held_for_showing() {
    let machine = Machine::with(&[("/a", "hunter2"), ("/b", "other"), ("/c", "hunter3")]);
    let wants = ["/a", "/b", "/c"];
    let wants = wants.map(|it| want(&format!("{it}: {{ content: {{ secret: known }} }}")));
    let states = machine.states(&wants);
    assert_eq!(states[0].content, Compared::Same);
    assert_eq!(states[1].content, other("hunter2", None));
    assert_eq!(states[2].content, other("hunter2", None));
    // Known by a keyed digest alone.
    let plain = paths::sha256(b"hunter2");
    assert_eq!(states[0].mark, Some(paths::sha256(&[&b"key"[..], &plain].concat())));
    assert!(machine.asked().iter().all(|(_, wanted)| *wanted != Wanted::Bytes));
    for (want, state) in wants.iter().zip(&states) {
        let plan = File::plan(want, state);
        let words = format!("{want:?} {plan:?} {} {:?}", show(&plan), File::describe(state));
        assert!(!words.contains("hunter") && !words.contains("104, 117"), "{words}");
        assert!(plan.changes.iter().all(|it| File::detail(it).is_none()));
    }
    // What is removed is as secret as what was written.
    assert!(!want("/a: { state: absent, content: { secret: known } }").keep_backup);
}

#[test]
fn a_secret_that_is_missing_is_this_promises_matter() {
    let machine = Machine::with(&[("/b", "hello")]);
    let wants = [want("/a: { content: { secret: unknown } }"), want("/b: { content: hello }")];
    let states = machine.states(&wants);
    assert_eq!(states[0].content, Compared::Refused(secret("unknown")));
    assert!(File::plan(&wants[1], &states[1]).is_kept());
}

#[test]
fn edits_are_compared_with_what_is_there() {
    let machine = Machine::with(&[("/a", "x\n"), ("/b", "x\nhello\n"), ("/c", LARGE)]);
    let text =
        |path: &str, more: &str| want(&format!("{path}: {{ edits: [{{ line: hello }}]{more} }}"));
    let wants = [
        text("/a", ""),
        text("/b", ""),
        text("/c", ""),
        text("/d", ""),
        text("/e", ", create: true"),
    ];
    let contents: Vec<_> = machine.states(&wants).into_iter().map(|it| it.content).collect();
    assert_eq!(
        contents,
        [
            other("x\nhello\n", Some("x\n")),
            Compared::Same,
            Compared::Refused(Refusal::machine("it is too large to be edited")),
            Compared::Refused(Refusal::machine(
                "there is no file to edit, and `create` is not true"
            )),
            other("hello\n", None),
        ]
    );
}

const LARGE: &str = "a long text a long text a long text a long text a long text a long text a long text a long text a long text";

#[test]
fn another_mans_file_is_not_read_through_a_hard_link() {
    let mut machine = Machine::with(&[("/a", "secret"), ("/b", "secret")]);
    machine.open = true;
    machine.files.values_mut().for_each(|(entry, _)| entry.links = 2);
    let wants = [want("/a: { content: hello }"), want("/b: { edits: [{ line: a }] }")];
    let states = machine.states(&wants);
    assert_eq!(states[0].content, other("hello", None));
    assert!(matches!(&states[1].content, Compared::Refused(_)));
}

#[test]
fn a_content_for_a_missing_file_only_leaves_the_one_that_is_there() {
    let machine = Machine::with(&[("/a", "mine")]);
    let wants = [
        want("/a: { content: hello, replace: false }"),
        want("/b: { content: hello, replace: false }"),
    ];
    let states = machine.states(&wants);
    assert!(File::plan(&wants[0], &states[0]).is_kept());
    assert_eq!(show(&File::plan(&wants[1], &states[1])), "write 5 bytes (new, mode 0644)\n");
    assert!(states[0].mark.is_some());
}

#[test]
fn a_fingerprint_is_of_content_and_attributes() {
    let state = |text: &str, mode| {
        let mut state = at(Some(file(text, mode)), Compared::Same);
        state.mark = Some(paths::sha256(text.as_bytes()));
        state
    };
    let digest = |state: &State| File::fingerprint(state).digest;
    let one = state("a", 0o644);
    assert_eq!(digest(&one), digest(&one.clone()));
    let mut others = vec![state("b", 0o644), state("a", 0o600), at(None, Compared::Unsaid)];
    let mut owned = one.clone();
    owned.entry.as_mut().unwrap().uid = 5;
    others.push(owned);
    for other in others {
        assert_ne!(digest(&one), digest(&other));
    }
    assert_eq!(File::fingerprint(&one).changed, Some(7));
}

//! Tables: what a name may be in a model, and what a machine differs by.

use super::*;
use crate::paths::tests::{entry, folder, lower};
use expect_test::{Expect, expect};
use steadfast_system::files::Folder;

fn want() -> Desired {
    lower::<Hostname>("web-1: {}", &[]).unwrap()
}

fn file(text: &str, mode: u16) -> Entry {
    let content = Content::Bytes(Arc::from(text.as_bytes()));
    entry(Shape::File { size: text.len() as u64, content }, mode)
}

fn have(entry: Option<Entry>, running: Option<&str>) -> State {
    State { file: Look { folder: folder(), entry }, running: running.map(Arc::from) }
}

#[track_caller]
fn differs(have: &State, expected: &Expect) {
    let Difference { changes, obstacles, notes } = Hostname::plan(&want(), have);
    let lines = changes.iter().map(ToString::to_string);
    let obstacles = obstacles.iter().map(|it| format!("{it:?}"));
    let notes = notes.iter().map(|it| format!("note: {it}"));
    expected.assert_eq(&lines.chain(obstacles).chain(notes).collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_a_model_may_say() {
    assert_eq!((want().name.as_str(), want().running), ("web-1", true));
    assert!(!lower::<Hostname>("web-1.example.org: { running: false }", &[]).unwrap().running);
    let told = ["Web: {}", "a: { running: 7, state: absent }", "a: absent"]
        .map(|it| lower::<Hostname>(it, &[]).unwrap_err());
    expect![[r#"
        bad-name at 1:1: `Web` is not a hostname: only lower case letters, digits, `-` and `.` are allowed
        unknown-field at 1:18: `hostname` has no field `state`
        wrong-type at 1:15: `running` must be true or false, and is an integer
        wrong-type at 1:4: a hostname must be a map, and is text
    "#]].assert_eq(&told.concat());
}

#[test]
fn what_a_machine_differs_by() {
    differs(&have(Some(file("web-1\n", 0o644)), Some("web-1")), &expect![""]);
    differs(&have(Some(file("# a\n\n web-1 \nold\n", 0o644)), None), &expect![""]);
    differs(
        &have(None, Some("old")),
        &expect![[r#"
        /etc/hostname: write 6 bytes (new, mode 0644)
        set running hostname old -> web-1
        note: a run by hand that is not told its --node looks for it by the new name"#]],
    );
    differs(
        &have(Some(file("old\n", 0o600)), Some("web-1")),
        &expect!["/etc/hostname: write 6 bytes (was 4), mode 0600 -> 0644"],
    );
    differs(
        &have(Some(file("web-1\n", 0o600)), None),
        &expect!["/etc/hostname: set mode 0600 -> 0644"],
    );
    let link = entry(Shape::Link { target: "/x".into() }, 0o777);
    differs(
        &have(Some(link), None),
        &expect!["/etc/hostname: write 6 bytes, replacing a symbolic link"],
    );
    differs(
        &have(Some(entry(Shape::Directory, 0o755)), Some("old")),
        &expect![[r#"Refused(Machine("/etc/hostname is a directory, not a file with the name"))"#]],
    );
    let nowhere = Look { folder: None::<Folder>, entry: None };
    differs(
        &State { file: nowhere, running: None },
        &expect![[r#"
        /etc/hostname: write 6 bytes (new, mode 0644)
        Missing(Path(AbsPath("/etc")))"#]],
    );
}

#[test]
fn what_is_told_of_a_machine() {
    let told = |have: &State| {
        let lines = Hostname::describe(have);
        lines.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
    };
    let other = have(Some(file("old\n", 0o644)), Some("web-1"));
    assert_eq!(told(&other), "/etc/hostname: old, mode: 0644, uid: 0, gid: 0, running: web-1");
    assert_eq!(told(&have(None, None)), "/etc/hostname: missing, running: left alone");
    let names =
        |file: &str, running| Hostname::fingerprint(&have(Some(self::file(file, 0o644)), running));
    assert_eq!(names("a\n", Some("a")), names("# x\na\n", Some("a")));
    assert_ne!(names("a\n", Some("a")), names("a\n", Some("b")));
    assert_ne!(names("a\n", Some("a")), names("b\n", Some("a")));
}

//! What the kinds of paths share in their tests, and the tests of what they share.

use super::detail::{SHOWN_DIFFERENCE, SHOWN_OF_OTHERS};
use super::*;
use crate::kind::{Applied, Difference, Kind, Obstacle};
use expect_test::{Expect, expect};
use std::fmt::Write as _;
use std::sync::Mutex;
use steadfast_model::scope::Scope;
use steadfast_model::{Diagnostics, SourceSet, yaml};
use steadfast_system::files::{
    self, Attributes, Content, Entry, Expected, Folder, KEPT_FILE_MAX, Marks, Mode, NewFile,
    OwnFolder, Shape, Staged,
};
use steadfast_system::{ErrorKind, SystemError};

pub(crate) fn abs(path: &str) -> AbsPath {
    AbsPath::parse(path).unwrap()
}

/// A promise that is an error of the model.
#[track_caller]
pub(crate) fn refused<K: Kind>(text: &str) {
    assert!(lower::<K>(text, &[]).is_err(), "`{text}` is taken");
}

/// A promise that is none.
#[track_caller]
pub(crate) fn taken<K: Kind>(text: &str) {
    assert_eq!(lower::<K>(text, &[]).err(), None, "`{text}`");
}

/// Lowers the one promise of a section; what is wrong as text.
pub(crate) fn lower<K: Kind>(text: &str, files: &[(&str, &str)]) -> Result<K::Desired, String> {
    let mut sources = SourceSet::default();
    let id = sources.add("servers/web.yaml", text.as_bytes(), false);
    for (path, content) in files {
        sources.add(*path, content.as_bytes(), path.ends_with(".sh"));
    }
    let mut diagnostics = Diagnostics::default();
    let node = yaml::read(id, sources.get(id).unwrap(), &mut diagnostics).unwrap();
    let Node::Map(entries, _) = &node else { panic!("a map") };
    let (name, body) = &entries[0];
    let scope = Scope::default();
    let want = K::lower(name, body, &mut Lower::new(&mut diagnostics, &sources, &scope));
    let mut words = String::new();
    for it in &diagnostics {
        let place = sources.place(it.span);
        writeln!(words, "{} at {}:{}: {}", it.code.0, place.line, place.column, it.message)
            .unwrap();
    }
    match want {
        Some(want) if diagnostics.is_empty() => Ok(want),
        Some(_) | None => Err(words),
    }
}

/// The promises in the example of a kind's documentation.
#[track_caller]
pub(crate) fn check_example<K: Kind>(source: &str, files: &[(&str, &str)]) {
    let lines = source.lines().map_while(|it| it.strip_prefix("//!"));
    let yaml = lines.skip_while(|it| *it != " ```yaml").skip(2);
    let yaml: Vec<&str> = yaml.take_while(|it| *it != " ```").map(|it| &it[3..]).collect();
    let mut promises: Vec<String> = vec![];
    for line in yaml {
        match promises.last_mut() {
            Some(last) if line.starts_with(' ') => last.push_str(&format!("{line}\n")),
            Some(_) | None => promises.push(format!("{line}\n")),
        }
    }
    assert!(promises.len() > 2);
    for text in promises {
        if let Err(words) = lower::<K>(&text, files) {
            panic!("{text}{words}");
        }
    }
}

#[track_caller]
pub(crate) fn bad<K: Kind>(text: &str, expected: Expect) {
    expected.assert_eq(&lower::<K>(text, &[]).unwrap_err());
}

/// A plan as an operator reads it.
pub(crate) fn show(difference: &Difference<Change>) -> String {
    let mut out = String::new();
    for it in &difference.changes {
        writeln!(out, "{it}").unwrap();
    }
    for it in &difference.obstacles {
        match it {
            Obstacle::Missing(what) => writeln!(out, "missing: {what}"),
            Obstacle::Refused(why) => writeln!(out, "refused: {why}"),
            Obstacle::Unknown(why) => writeln!(out, "unknown: {why}"),
            Obstacle::InTheWay { of: _, why } => writeln!(out, "in the way: {why}"),
            Obstacle::HangsOn(things) => writeln!(out, "hangs on {things:?}"),
            Obstacle::Presumed(why) => writeln!(out, "presumed: {why}"),
            Obstacle::Unhealthy(_) | Obstacle::HealthNotAsked => writeln!(out, "health"),
        }
        .unwrap();
    }
    for it in &difference.notes {
        writeln!(out, "note: {it}").unwrap();
    }
    out
}

pub(crate) fn folder() -> Option<Folder> {
    Some(Folder { uid: 0, gid: 0, mode: Mode(0o755), open: false, bar: None })
}

pub(crate) fn entry(shape: Shape, mode: u16) -> Entry {
    Entry {
        shape,
        uid: 0,
        gid: 0,
        mode: Mode(mode),
        links: 1,
        changed: 7,
        mounted: false,
        marks: steadfast_system::files::Marks::default(),
    }
}

pub(crate) fn file(content: &str, mode: u16) -> Entry {
    let digest = Content::Digest(sha256(content.as_bytes()));
    entry(Shape::File { size: content.len() as u64, content: digest }, mode)
}

/// Two directories of ours, the second of which people write in.
pub(crate) fn own_folders() -> Vec<OwnFolder> {
    let all = [("/x/own", false), ("/x/settings", true)];
    all.map(|(path, promisable)| OwnFolder { path: abs(path), promisable }).into()
}

#[test]
fn what_is_ours_is_no_target_and_does_not_go_with_what_it_lies_in() {
    let own = own_folders();
    let dir = entry(Shape::Directory, 0o755);
    for (path, ours) in [
        ("/x/own", true),
        ("/x/own/a/b", true),
        ("/x/owner", false),
        ("/x/settings/a", false),
        ("/x/settings", true),
        ("/x", true),
        ("/", true),
    ] {
        assert_eq!(is_ours(&abs(path), Some(&dir), &own).is_some(), ours, "{path}");
    }
    assert_eq!(is_ours(&abs("/x"), Some(&link("/y")), &own), None);
    assert_eq!(is_ours(&abs("/x/settings"), None, &own), None);
    assert!(is_ours(&abs("/x/own/a"), None, &own).is_some());
}

/// One that is too large to be kept.
pub(crate) fn large_file() -> Entry {
    entry(Shape::File { size: KEPT_FILE_MAX + 1, content: Content::Digest([7; 32]) }, 0o644)
}

pub(crate) fn link(target: &str) -> Entry {
    entry(Shape::Link { target: Arc::from(target) }, 0o777)
}

/// Notes what it is told to do; what has `bad` in its path fails.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, path: &AbsPath, what: &str) -> Result<(), SystemError> {
        self.0.lock().unwrap().push(format!("{what} {path}"));
        if path.as_str().contains("bad") {
            return Err(SystemError::new(ErrorKind::Moved, "it moved"));
        }
        Ok(())
    }
}

impl files::Write for Notes {
    fn remember_secrets(&self, _: &[(AbsPath, bool)]) -> Result<Vec<AbsPath>, SystemError> {
        Ok(vec![])
    }
    fn forget_secrets(&self, _: &[AbsPath]) -> Result<(), SystemError> {
        Ok(())
    }
    fn stage(&self, files: &[NewFile]) -> Vec<Result<Staged, SystemError>> {
        self.0.lock().unwrap().push(format!("{} files:", files.len()));
        files.iter().map(|it| Ok(Staged::new(it.clone(), ()))).collect()
    }
    fn place(&self, staged: Vec<Staged>) -> Vec<Result<(), SystemError>> {
        staged.iter().map(|it| self.note(it.path(), "write")).collect()
    }
    fn set_attributes(
        &self,
        all: &[(&AbsPath, &Expected, Attributes)],
    ) -> Vec<Result<(), SystemError>> {
        self.0.lock().unwrap().push(format!("{} attributes:", all.len()));
        all.iter().map(|(path, ..)| self.note(path, "set")).collect()
    }
    fn make_directory(
        &self,
        path: &AbsPath,
        _: u32,
        _: u32,
        _: Mode,
        _: &Expected,
    ) -> Result<(), SystemError> {
        self.note(path, "mkdir")
    }
    fn make_link(
        &self,
        path: &AbsPath,
        _: &str,
        _: u32,
        _: u32,
        _: &Expected,
    ) -> Result<(), SystemError> {
        self.note(path, "link")
    }
    fn remove(&self, path: &AbsPath, _: &Expected, _: bool, _: bool) -> Result<(), SystemError> {
        self.note(path, "remove")
    }
}

pub(crate) fn writing(path: &str, content: &str) -> Writing {
    Writing {
        file: NewFile {
            path: abs(path),
            content: Arc::from(content.as_bytes()),
            uid: 0,
            gid: 0,
            mode: Mode(0o644),
            replaces: Expected::Nothing,
            validate: None,
            keep: true,
            in_place: false,
        },
        with: 0,
        names: Owners::default(),
        below: None,
        was: None,
        present: None,
        sensitive: false,
        open: false,
    }
}

fn removal(path: &str) -> Removal {
    Removal {
        path: abs(path),
        below: None,
        seen: Expected::AnyFile,
        whole: false,
        keep: true,
        count: 1,
    }
}

#[test]
fn files_of_many_promises_are_written_together_and_a_failure_stays_with_its_promise() {
    let write = |path: &str| Change::Write(vec![writing(path, "x")]);
    let set = |path: &str| {
        Change::SetAttributes(vec![
            Setting::between(
                &abs(path),
                None,
                &file("", 0o644),
                Ids { owner: Who::Id(5), group: Who::Unsaid },
                None,
                false,
                &Owners::default(),
            )
            .unwrap(),
        ])
    };
    let first =
        [Change::Remove(vec![removal("/a/old")]), write("/a/one"), write("/a/two"), set("/a/one")];
    let second = [write("/b/one"), write("/b/bad"), write("/b/three"), set("/b/one")];
    let third = [Change::Remove(vec![removal("/c/bad"), removal("/c/x")]), write("/c/one")];
    let fourth = [write("/d")];
    let notes = Notes::default();
    let results = apply(&[&first, &second, &third, &fourth, &[]], &notes);
    let error = SystemError::new(ErrorKind::Moved, "it moved");
    assert_eq!(
        results,
        [
            Applied::All,
            Applied::Failed { at: 1, error: error.clone() },
            Applied::Failed { at: 0, error },
            Applied::All,
            Applied::All
        ]
    );
    expect![[r#"
        remove /a/old
        remove /c/bad
        remove /c/x
        4 files:
        write /b/one
        write /b/bad
        write /b/three
        write /d
        2 files:
        write /a/one
        write /a/two
        1 attributes:
        set /a/one
    "#]]
    .assert_eq(&notes.0.lock().unwrap().iter().fold(String::new(), |all, it| all + it + "\n"));
}

#[test]
fn a_failure_below_a_directory_holds_nothing_else_and_one_of_its_own_holds_all() {
    let below = |path: &str| Some(Arc::from(path));
    let remove = |path: &str| {
        Change::Remove(vec![Removal { below: below(path), ..removal(&format!("/a/{path}")) }])
    };
    let write = |path: &str| {
        let writing = writing(&format!("/a/{path}"), "x");
        Change::Write(vec![Writing { below: below(path), ..writing }])
    };
    let make = |path: &str| {
        Change::MakeDirectories(vec![NewDirectory {
            path: abs(path),
            below: None,
            uid: 0,
            gid: 0,
            mode: Mode(0o755),
            names: Owners::default(),
            replaces: Expected::Nothing,
        }])
    };
    let below =
        [make("/a"), remove("bad1"), remove("x"), remove("bad2"), write("bad3"), write("y")];
    let own = [make("/bad"), remove("z")];
    let notes = Notes::default();
    let results = apply(&[&below, &own], &notes);
    let error = SystemError::new(ErrorKind::Moved, "it moved");
    let failed = [1, 3, 4].map(|at| (at, error.clone())).into();
    assert_eq!(results, [Applied::Partly { failed }, Applied::Failed { at: 0, error }]);
    assert_eq!(results[0].done(&below), [&below[0], &below[2], &below[5]]);
    assert_eq!(results[1].done(&own), [&own[0]; 0]);
    expect![[r#"
        mkdir /a
        mkdir /bad
        remove /a/bad1
        remove /a/x
        remove /a/bad2
        2 files:
        write /a/bad3
        write /a/y
    "#]]
    .assert_eq(&notes.0.lock().unwrap().iter().fold(String::new(), |all, it| all + it + "\n"));
}

#[track_caller]
fn shows(old: &[u8], new: &[u8], expected: Expect) {
    let mut it = writing("/etc/x", "");
    it.file.content = Arc::from(new);
    it.was = Some(Was { size: Some(old.len() as u64), uid: 0, gid: 0, mode: Mode(0o644) });
    it.present = Some(Bytes(Arc::from(old)));
    expected.assert_eq(&detail(&Change::Write(vec![it])).unwrap_or_default());
}

#[test]
fn a_difference_is_shown_and_harmless_on_a_terminal() {
    shows(
        b"1\n2\n3\n4\n5\n6\n",
        b"1\n2\n3\n4\nfive\n6",
        expect![[r#"
            --- /etc/x (current)
            +++ /etc/x (promised)
            @@ -2,5 +2,5 @@
             2
             3
             4
            -5
            -6
            +five
            +6
            \ No newline at end of file
        "#]],
    );
    shows(
        b"\x1b[31m\ta\r\n",
        "\u{202e}b\n".as_bytes(),
        expect![[r#"
            --- /etc/x (current)
            +++ /etc/x (promised)
            @@ -1 +1 @@
            -\u{1b}[31m	a\r
            +\u{202e}b
        "#]],
    );
    shows(b"a\0b", b"1234", expect!["binary files differ (3 -> 4 bytes)\n"]);
    shows(b"\xff", b"1234", expect!["binary files differ (1 -> 4 bytes)\n"]);
}

#[test]
fn a_difference_has_its_limits() {
    let long: String = (0..20_000).map(|it| format!("line {it}\n")).collect();
    let mut it = writing("/etc/x", &long);
    let shown = detail(&Change::Write(vec![it.clone()])).unwrap();
    assert!(shown.len() < SHOWN_DIFFERENCE + 100);
    assert!(shown.ends_with(" more lines\n"), "{}", &shown[shown.len() - 100..]);
    it.open = true;
    let shown = detail(&Change::Write(vec![it.clone()])).unwrap();
    assert_eq!(shown.lines().count(), SHOWN_OF_OTHERS + 1);
    it.sensitive = true;
    assert_eq!(detail(&Change::Write(vec![it.clone()])), None);
    it.sensitive = false;
    // What it is compared with was not read.
    it.was = Some(Was { size: Some(3), uid: 0, gid: 0, mode: Mode(0o644) });
    assert_eq!(detail(&Change::Write(vec![it])), None);
}

#[test]
fn many_changes_of_one_sort_are_one_line_that_can_be_opened() {
    let few: Vec<_> = (0..20).map(|it| removal(&format!("/x/{it}"))).collect();
    assert_eq!(grouped(few, Change::Remove).len(), 20);
    let many: Vec<_> = (0..2_100).map(|it| removal(&format!("/x/{it}"))).collect();
    let one = grouped(many, Change::Remove);
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].to_string(), "remove 2,100 entries");
    assert_eq!(deletes(&one[0]), 2_100);
    assert_eq!(detail(&one[0]).unwrap().lines().count(), 2_100);
    assert_eq!(grouped(vec![], Change::Remove), []);
}

#[test]
fn setuid_is_said_again_where_a_new_owner_would_take_it_away() {
    let ids = Ids { owner: Who::Id(5), group: Who::Unsaid };
    let set =
        Setting::between(&abs("/x"), None, &file("", 0o4755), ids, None, false, &Owners::default())
            .unwrap();
    assert_eq!(set.to.mode, Some(Mode(0o4755)));
    assert_eq!(set.to_string(), "set owner root -> 5");
}

#[test]
fn what_owner_and_mode_do_not_show_is_said_before_it_goes() {
    let marked = |access_list, capabilities| {
        let mut entry = file("", 0o755);
        entry.marks = Marks { access_list, capabilities, ..Marks::default() };
        entry
    };
    let set = |entry: &Entry, owner, mode: Option<u16>| {
        let ids = Ids { owner, group: Who::Unsaid };
        let (mode, says) = (mode.or(Some(0o755)).map(Mode), mode.is_some());
        let owners = Owners::default();
        let set = Setting::between(&abs("/x"), None, entry, ids, mode, says, &owners)?;
        let facts: Vec<String> = facts(&Change::SetAttributes(vec![set.clone()]))
            .iter()
            .map(|it| format!("{} {}", it.verb, it.facet))
            .collect();
        Some(format!("{set} [{}] {:?}", facts.join(", "), set.to.mode))
    };
    let list = marked(true, false);
    assert_eq!(set(&list, Who::Unsaid, None), None, "no mode is promised");
    let expected = "remove its access list, which lets in others than the mode says \
        [remove access list] Some(Mode(493))";
    assert_eq!(set(&list, Who::Unsaid, Some(0o755)).as_deref(), Some(expected));
    let expected = "set mode 0755 -> 0700, remove its access list, which lets in others than the mode says \
        [set mode, remove access list] Some(Mode(448))";
    assert_eq!(set(&list, Who::Unsaid, Some(0o700)).as_deref(), Some(expected));
    let program = marked(false, true);
    assert_eq!(set(&program, Who::Unsaid, Some(0o755)), None);
    let expected = "set owner root -> 5, which takes its file capabilities away \
        [set owner, remove capabilities] None";
    assert_eq!(set(&program, Who::Id(5), None).as_deref(), Some(expected));
}

#[test]
fn numbers_are_written_in_groups() {
    for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(thousands(number), text);
    }
}

//! Files, in a folder that root alone can write and in one that others can.

use super::{Transcript, path, real_host};
use crate::require::is_root;
use expect_test::expect_file;
use steadfast_system::files::{
    Attributes, Content, Digest, Entry, Expected, Mode, NewFile, Shape, Sieve, Staged, TreeEntry,
    Validation, Wanted,
};
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, Actuate};
use steadfast_testkit::FakeHost;
use steadfast_testkit::host::{Matter, Thing};

/// The machine, below a folder.
struct Suite<'a> {
    sys: &'a dyn Actuate,
    root: AbsPath,
    said: Transcript,
}

fn digest(text: &str) -> Digest {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).into()
}

fn file(text: &str) -> Expected {
    Expected::File { digest: digest(text) }
}

fn link(target: &str) -> Expected {
    Expected::Link { target: target.into() }
}

impl Suite<'_> {
    fn at(&self, name: &str) -> AbsPath {
        self.root.found(name)
    }

    fn new_file(&self, name: &str, content: &str, replaces: Expected) -> NewFile {
        NewFile {
            path: self.at(name),
            content: content.as_bytes().into(),
            uid: 0,
            gid: 0,
            mode: Mode(0o640),
            replaces,
            validate: None,
            keep: true,
            in_place: false,
        }
    }

    fn put(&mut self, file: NewFile) {
        let result = self.sys.write_files(std::slice::from_ref(&file)).remove(0);
        let name = file.path.file_name().to_owned();
        self.said.done(&format!("write {name}"), result);
        self.look(&name, Wanted::Bytes);
    }

    fn write(&mut self, name: &str, content: &str, replaces: Expected) {
        let file = self.new_file(name, content, replaces);
        let result = self.sys.write_files(&[file]).remove(0);
        self.said.done(&format!("write {}", safe(name)), result);
        self.look(name, Wanted::Bytes);
    }

    /// Writes files beside their places, and gives what waits there.
    fn stage(&mut self, files: &[NewFile]) -> Vec<Staged> {
        let mut all = vec![];
        for (file, result) in files.iter().zip(self.sys.stage(files)) {
            let name = file.path.as_str()[self.root.as_str().len() + 1..].to_owned();
            self.said.done(&format!("stage {name}"), result.map(|it| all.push(it)));
            self.look(&name, Wanted::Bytes);
        }
        all
    }

    fn place(&mut self, staged: Vec<Staged>) {
        let paths: Vec<AbsPath> = staged.iter().map(|it| it.path().clone()).collect();
        for (path, result) in paths.iter().zip(self.sys.place(staged)) {
            let name = path.as_str()[self.root.as_str().len() + 1..].to_owned();
            self.said.done(&format!("place {name}"), result);
            self.look(&name, Wanted::Bytes);
        }
    }

    fn set(&mut self, name: &str, seen: &Expected, ids: Option<u32>, mode: Option<u16>) {
        let to = Attributes { uid: ids, gid: ids, mode: mode.map(Mode) };
        let mode = to.mode.map_or("-".to_owned(), |it| it.to_string());
        let path = self.at(name);
        let result = self.sys.set_attributes(&[(&path, seen, to)]).remove(0);
        self.said.done(&format!("set {} {ids:?} {mode}", safe(name)), result);
        self.look(name, Wanted::Nothing);
    }

    fn directory(&mut self, name: &str, replaces: &Expected) {
        let result = self.sys.make_directory(&self.at(name), 0, 0, Mode(0o750), replaces);
        self.said.done(&format!("make directory {}", safe(name)), result);
        self.look(name, Wanted::Nothing);
    }

    fn link(&mut self, name: &str, target: &str, replaces: &Expected) {
        let result = self.sys.make_link(&self.at(name), target, 0, 0, replaces);
        self.said.done(&format!("link {} to {}", safe(name), safe(target)), result);
        self.look(name, Wanted::Nothing);
    }

    fn remove(&mut self, name: &str, seen: &Expected, whole: bool) {
        let result = self.sys.remove(&self.at(name), seen, whole, true);
        self.said.done(&format!("remove {}", safe(name)), result);
        self.look(name, Wanted::Nothing);
    }

    fn look(&mut self, name: &str, wanted: Wanted) {
        let line = match self.sys.look(&[(&self.at(name), wanted)]).remove(0) {
            Err(error) => format!("{:?}", error.kind),
            Ok(look) => {
                let folder = look.folder.map_or("no folder".to_owned(), |it| {
                    format!("folder {}:{} {} open={}", it.uid, it.gid, it.mode, it.open)
                });
                let entry = look.entry.map_or("nothing".to_owned(), |it| {
                    let shape = match &it.shape {
                        Shape::File { size, content } => {
                            let content = match content {
                                Content::Bytes(bytes) => {
                                    String::from_utf8_lossy(bytes).into_owned()
                                }
                                Content::Digest(_) => "a digest".to_owned(),
                                Content::NotRead | Content::TooLarge | Content::Leased => {
                                    format!("{content:?}")
                                }
                            };
                            format!("file of {size}: {content}")
                        }
                        Shape::Directory => "directory".to_owned(),
                        Shape::Link { target } => format!("link to {}", safe(target)),
                        Shape::Socket | Shape::Fifo | Shape::Device => format!("{:?}", it.shape),
                    };
                    // A folder's count of links says how many are in it, on some file systems.
                    let links = if it.shape == Shape::Directory { 0 } else { it.links };
                    format!(
                        "{shape} {}:{} {} links={links} mounted={}",
                        it.uid, it.gid, it.mode, it.mounted
                    )
                });
                format!("{entry} ({folder})")
            }
        };
        self.said.say(format_args!("  {}: {line}", safe(name)));
    }

    fn kept(&mut self, text: &str) {
        let found = self.sys.kept(&digest(text)).unwrap();
        let found = found.map(|it| String::from_utf8_lossy(&it).into_owned());
        self.said.say(format_args!("kept {text:?}: {found:?}"));
    }

    /// Where a folder really is, below the root of the suite.
    fn real(&mut self, name: &str) {
        let real = self.sys.real_folders(&[&self.at(name)]).remove(0);
        let below = real.map(|it| it.as_str().replace(self.root.as_str(), "."));
        self.said.say(format_args!("really {name}: {below:?}"));
    }

    fn tree(&mut self, name: &str) {
        let line = |it: &TreeEntry| {
            let digest = matches!(it.entry.shape, Shape::File { content: Content::Digest(_), .. });
            format!("{} {} digest={digest}", safe(&it.path), it.entry.mode)
        };
        let (lines, count) = match self.sys.tree(&self.at(name), &ByName) {
            Err(error) => (vec![format!("{:?}", error.kind)], 0),
            Ok(tree) => (tree.entries.iter().map(line).collect(), tree.count),
        };
        self.said.say(format_args!("tree {name}: {lines:?} of {count}"));
    }
}

/// What is told of a tree hangs on the names in it.
struct ByName;

impl Sieve for ByName {
    fn promised(&self, below: &str) -> Option<u64> {
        below.ends_with("read").then_some(5)
    }

    fn enters(&self, below: &str) -> bool {
        !below.ends_with("closed")
    }

    fn tells(&self, below: &str, _entry: &Entry) -> bool {
        !below.ends_with("untold")
    }
}

/// `next` is the same machine as another process sees it.
fn suite<'a>(sys: &'a dyn Actuate, next: &'a dyn Actuate, root: AbsPath) -> String {
    let mut it = Suite { sys, root, said: Transcript::default() };
    it.look("f", Wanted::Bytes);
    it.look("missing/f", Wanted::Bytes);
    it.write("f", "one", Expected::Nothing);
    it.write("f", "two", Expected::Nothing);
    it.write("f", "two", file("other"));
    it.write("f", "two", Expected::Directory);
    it.write("f", "two", Expected::Other);
    it.write("f", "two", link("one"));
    it.write("f", "two", file("one"));
    it.kept("one");
    it.kept("two");
    it.write("f", "three", Expected::AnyFile);
    it.kept("two");
    it.write("gone", "x", Expected::AnyFile);
    it.write("gone", "x", file("x"));
    it.write("missing/f", "x", Expected::Nothing);
    it.write("f/x", "x", Expected::Nothing);
    for wanted in
        [Wanted::Nothing, Wanted::DigestIfSize(5), Wanted::DigestIfSize(4), Wanted::Digest]
    {
        it.look("f", wanted);
    }
    let not_kept = NewFile { keep: false, ..it.new_file("f", "four", file("three")) };
    it.put(not_kept);
    it.kept("three");
    let in_place = NewFile { in_place: true, ..it.new_file("f", "five", file("four")) };
    it.put(in_place);
    for program in ["/bin/false", "/bin/true"] {
        let arguments = vec![program.into(), "{file}".into()];
        let validate = Some(Validation { arguments, sensitive: false });
        let checked = NewFile { validate, ..it.new_file("f", program, file("four")) };
        it.put(checked);
    }

    it.set("f", &Expected::AnyFile, None, Some(0o4755));
    it.set("f", &Expected::AnyFile, Some(33), None);
    it.set("f", &Expected::AnyFile, Some(0), Some(0o2755));
    it.set("f", &Expected::AnyFile, Some(33), None);
    it.set("f", &Expected::AnyFile, None, Some(0o2644));
    it.set("f", &Expected::AnyFile, Some(0), None);
    it.set("f", &file("not that"), None, Some(0o600));
    it.set("f", &Expected::Directory, None, Some(0o640));
    it.set("f", &Expected::Nothing, None, Some(0o640));
    it.set("gone", &Expected::AnyFile, None, Some(0o640));
    it.set("missing/f", &Expected::AnyFile, None, Some(0o640));

    it.directory("d", &Expected::Nothing);
    it.directory("d", &Expected::Nothing);
    it.directory("d", &Expected::Directory);
    it.directory("missing/d", &Expected::Nothing);
    it.directory("f", &file("one"));
    it.set("d", &Expected::Directory, Some(33), Some(0o2755));
    it.set("d", &Expected::Directory, Some(0), None);

    it.link("l", "somewhere", &Expected::Nothing);
    it.link("l", "elsewhere", &Expected::Nothing);
    it.link("l", "elsewhere", &link("nowhere"));
    it.link("l", "elsewhere", &link("somewhere"));
    it.set("l", &link("somewhere"), Some(33), None);
    it.set("l", &link("elsewhere"), Some(33), None);
    it.set("l", &link("elsewhere"), None, Some(0o600));
    it.write("l", "in the place of a link", link("elsewhere"));
    it.link("l", "d", &file("in the place of a link"));
    it.write("l/read", "through a link", Expected::Nothing);
    it.look("d/read", Wanted::Bytes);

    it.directory("d/sub", &Expected::Nothing);
    it.write("d/sub/read", "x", Expected::Nothing);
    it.write("d/sub.x", "x", Expected::Nothing);
    it.link("d/sub/link", "/", &Expected::Nothing);
    it.tree("d");
    it.tree("f");
    it.tree("l");
    it.tree("gone");
    it.directory("t", &Expected::Nothing);
    for folder in ["t/closed", "t/untold", "t/untold/sub"] {
        it.directory(folder, &Expected::Nothing);
    }
    for file in ["t/closed/x", "t/untold/x", "t/untold/sub/untold"] {
        it.write(file, "x", Expected::Nothing);
    }
    it.tree("t");
    it.remove("t", &Expected::Directory, true);
    for folder in ["d", "d/sub", "l", "l/sub", "l/sub/none/x", "gone/x", "f"] {
        it.real(folder);
    }
    names(&mut it);

    it.remove("gone", &Expected::AnyFile, false);
    it.remove("gone", &Expected::Nothing, false);
    it.remove("missing/f", &Expected::AnyFile, false);
    it.remove("f", &file("one"), false);
    it.remove("f", &Expected::Directory, true);
    it.remove("d", &Expected::AnyFile, false);
    it.remove("d", &Expected::Directory, false);
    it.write("d", "in the place of a folder", Expected::Directory);
    it.kept("x");
    it.directory("d", &file("in the place of a folder"));
    it.write("d/x", "deep", Expected::Nothing);
    it.link("d", "f", &Expected::Directory);
    it.kept("deep");
    it.directory("d", &link("f"));
    it.remove("d", &Expected::Directory, false);
    it.remove("l", &link("f"), false);
    it.remove("l", &link("d"), false);
    it.remove("f", &Expected::AnyFile, true);
    staging(&mut it, next);
    it.said.0
}

/// Names are bytes: of control characters, and of what is no UTF-8.
fn names(it: &mut Suite<'_>) {
    it.directory("n", &Expected::Nothing);
    for name in ["n/bad\0ff", "n/bad\0fe", "n/bad\u{fffd}", "n/line\n\u{1b}[2J", "n/\0c3\0ff"] {
        it.write(name, "one", Expected::Nothing);
        it.write(name, "two", file("one"));
        it.set(name, &Expected::AnyFile, Some(33), Some(0o600));
    }
    it.link("n/link\0ff", "to\0fe", &Expected::Nothing);
    it.link("n/link\0ff", "to\0fd", &link("to\0fe"));
    it.set("n/link\0ff", &link("to\0fe"), Some(33), None);
    it.set("n/link\0ff", &link("to\0fd"), Some(33), None);
    it.directory("n/dir\0ff", &Expected::Nothing);
    it.write("n/dir\0ff/in\0ff", "one", Expected::Nothing);
    it.tree("n");
    it.remove("n/bad\0ff", &file("two"), false);
    it.remove("n/bad\0fd", &Expected::AnyFile, false);
    it.remove("n/link\0ff", &link("to\0fd"), false);
    it.remove("n/dir\0ff", &Expected::Directory, false);
    it.remove("n/dir\0ff", &Expected::Directory, true);
    it.tree("n");
    it.remove("n", &Expected::Directory, true);
}

/// Files of several promises that take their places together, and what becomes of those that do not.
fn staging<'a>(it: &mut Suite<'a>, next: &'a dyn Actuate) {
    it.directory("s", &Expected::Nothing);
    it.directory("s/sub", &Expected::Nothing);
    it.write("s/old", "old", Expected::Nothing);

    // Nothing is in its place before it is placed, and what is replaced is kept by then.
    let both = [
        it.new_file("s/old", "new", file("old")),
        it.new_file("s/sub/first", "first", Expected::Nothing),
    ];
    let staged = it.stage(&both);
    it.kept("old");
    it.place(staged);
    it.tree("s");

    // What cannot be placed hinders no other, and does not stay.
    let staged = it.stage(&[
        it.new_file("s/old", "third", file("new")),
        it.new_file("s/sub/second", "second", Expected::Nothing),
        it.new_file("s/gone", "x", file("x")),
    ]);
    it.write("s/old", "somebody else's", file("new"));
    it.place(staged);
    it.tree("s");

    // What a validator refuses is not staged, and what is dropped leaves nothing.
    let validate = Some(Validation { arguments: vec!["/bin/false".into()], sensitive: false });
    let refused = NewFile { validate, ..it.new_file("s/refused", "x", Expected::Nothing) };
    let staged = it.stage(&[refused, it.new_file("s/old", "fourth", Expected::AnyFile)]);
    drop(staged);
    it.tree("s");

    // Whoever dies in between leaves the old file, and the next one who writes there clears the rest.
    let staged = it.stage(&[it.new_file("s/old", "fifth", Expected::AnyFile)]);
    std::mem::forget(staged);
    it.look("s/old", Wanted::Bytes);
    it.sys = next;
    it.write("s/next", "next", Expected::Nothing);
    it.tree("s");
    it.remove("s", &Expected::Directory, true);
}

/// The same folder on the machine in memory.
fn fake(folder: &AbsPath) -> FakeHost {
    let mut host = FakeHost::debian();
    let mut above = vec![];
    let mut next = folder.parent();
    while let Some(it) = next {
        above.push(it.clone());
        next = it.parent();
    }
    for it in above.into_iter().rev() {
        if host.world().thing(it.as_str()).is_none() {
            host = host.with_directory(it.as_str());
        }
    }
    host.with_thing(folder.as_str(), Thing { mode: 0o700, ..Thing::of(Matter::Directory) })
}

fn make_private(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn in_a_closed_folder_both_machines_are_the_same() {
    let folder = path("/root/closed");
    let golden = expect_file!["../../contract/files-closed.out"];
    let host = fake(&folder);
    golden.assert_eq(&suite(&host, &host, folder));
    if !is_root() {
        return;
    }
    let real = tempfile::tempdir_in("/root").unwrap();
    let below = path(real.path().to_str().unwrap()).join("closed").unwrap();
    std::fs::create_dir(below.as_str()).unwrap();
    make_private(std::path::Path::new(below.as_str()));
    let host = real_host(real.path());
    golden.assert_eq(&suite(&host, &real_host(real.path()), below));
}

#[test]
fn in_an_open_folder_both_machines_are_the_same() {
    let folder = path("/tmp/open");
    let golden = expect_file!["../../contract/files-open.out"];
    let host = fake(&folder);
    golden.assert_eq(&suite(&host, &host, folder));
    if !is_root() {
        return;
    }
    let real = tempfile::tempdir_in("/tmp").unwrap();
    make_private(real.path());
    let state = tempfile::tempdir_in("/root").unwrap();
    let host = real_host(state.path());
    let next = real_host(state.path());
    golden.assert_eq(&suite(&host, &next, path(real.path().to_str().unwrap())));
}

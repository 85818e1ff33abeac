//! The real implementation, held to its rules in directories of its own. What needs root or a mount says
//! so where it cannot be had.

use super::*;
use crate::command::Command;
use crate::host::Settings;
use crate::require::{is_root, skip};
use crate::{ErrorKind, Host};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

/// A uid that nobody has.
const SOMEBODY: u32 = 54_321;

pub(crate) fn host_in(folder: &Path) -> Host {
    Host::new(Settings {
        state: folder.join("state"),
        cache: folder.join("cache"),
        secrets: folder.join("secrets"),
        credentials: None,
        own_files: vec![],
    })
}

/// A directory with a machine that keeps its state in it.
struct World {
    folder: tempfile::TempDir,
    host: Host,
}

impl World {
    /// A directory below one that everybody can write.
    fn open() -> World {
        World::at(tempfile::tempdir().unwrap())
    }

    /// A directory that root alone can write, as all above it; none for who is not root.
    fn closed() -> Option<World> {
        if !is_root() {
            return None;
        }
        let world = World::at(tempfile::tempdir_in("/root").unwrap());
        let look = world.look("x", Wanted::Nothing).unwrap();
        if look.folder.unwrap().open {
            skip("others than root can write above /root here");
            return None;
        }
        Some(world)
    }

    fn at(folder: tempfile::TempDir) -> World {
        let host = host_in(folder.path());
        World { folder, host }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn abs(&self, name: &str) -> AbsPath {
        AbsPath::parse(self.path(name).to_str().unwrap()).unwrap()
    }

    fn put(&self, name: &str, content: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), content).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> Mode {
        let mode = self.path(name).symlink_metadata().unwrap().permissions().mode();
        Mode(u16::try_from(mode & 0o7777).unwrap())
    }

    fn set_mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn fifo(&self, name: &str) {
        Command::new("mkfifo").arg(self.path(name)).succeed().unwrap();
    }

    /// All names in a directory.
    fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path(folder))
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .filter(|it| it != "state")
            .collect();
        names.sort();
        names
    }

    fn look(&self, name: &str, wanted: Wanted) -> Result<Look, SystemError> {
        let path = self.abs(name);
        let mut looks = self.host.look(&[(&path, wanted)]);
        assert_eq!(looks.len(), 1);
        looks.remove(0)
    }

    fn shape(&self, name: &str, wanted: Wanted) -> Option<Shape> {
        self.look(name, wanted).unwrap().entry.map(|it| it.shape)
    }

    fn new_file(&self, name: &str, content: &str, replaces: Expected) -> NewFile {
        NewFile {
            path: self.abs(name),
            content: content.as_bytes().into(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mode: Mode(0o640),
            replaces,
            validate: None,
            keep: true,
            in_place: false,
        }
    }

    fn write(&self, file: NewFile) -> Result<(), SystemError> {
        self.host.write_files(&[file]).remove(0)
    }

    fn kept(&self, content: &str) -> bool {
        let kept = self.host.kept(&walk::digest(content.as_bytes())).unwrap();
        kept.is_some_and(|it| it == content.as_bytes())
    }

    /// The words of an error, without where this world is.
    fn words(&self, error: &SystemError) -> String {
        error.chain().join(": ").replace(self.folder.path().to_str().unwrap(), "")
    }
}

fn seen(content: &str) -> Expected {
    Expected::File { digest: walk::digest(content.as_bytes()) }
}

/// Something that is mounted, until it goes out of scope.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: PathBuf, arguments: &[&str]) -> Option<Mounted> {
        if !is_root() {
            return None;
        }
        match Command::new("mount").args(arguments).arg(&at).succeed() {
            Ok(_) => Some(Mounted(at)),
            Err(err) => {
                skip(&format!("nothing can be mounted here: {}", err.chain().join(": ")));
                None
            }
        }
    }

    fn tmpfs(at: PathBuf, options: &str) -> Option<Mounted> {
        std::fs::create_dir_all(&at).unwrap();
        Mounted::new(at, &["-t", "tmpfs", "-o", options, "tmpfs"])
    }

    fn bind(from: &Path, to: PathBuf) -> Option<Mounted> {
        Mounted::new(to, &["--bind", from.to_str().unwrap()])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).succeed().unwrap();
    }
}

// Looking

#[test]
fn each_thing_has_its_shape_and_nothing_blocks() {
    let world = World::open();
    world.put("file", "abc");
    world.put("directory/x", "");
    symlink("no/where", world.path("link")).unwrap();
    world.fifo("fifo");
    let socket = std::os::unix::net::UnixListener::bind(world.path("socket")).unwrap();
    for wanted in [Wanted::Nothing, Wanted::Digest, Wanted::Bytes, Wanted::DigestIfSize(0)] {
        let shape = |name| world.shape(name, wanted);
        assert!(matches!(shape("file"), Some(Shape::File { size: 3, .. })));
        assert_eq!(shape("directory"), Some(Shape::Directory));
        assert_eq!(shape("link"), Some(Shape::Link { target: "no/where".into() }));
        assert_eq!(shape("fifo"), Some(Shape::Fifo));
        assert_eq!(shape("socket"), Some(Shape::Socket));
        assert_eq!(shape("nothing"), None);
        let null = AbsPath::parse("/dev/null").unwrap();
        let look = world.host.look(&[(&null, wanted)]).remove(0).unwrap();
        assert_eq!(look.entry.unwrap().shape, Shape::Device);
        let root = AbsPath::parse("/").unwrap();
        let look = world.host.look(&[(&root, wanted)]).remove(0).unwrap();
        assert_eq!(look.entry.unwrap().shape, Shape::Directory);
    }
    drop(socket);
}

#[test]
fn where_there_is_no_folder_there_is_nothing() {
    let world = World::open();
    world.put("file", "abc");
    for name in ["nothing/x", "nothing/x/y", "file/x", "file/x/y"] {
        let look = world.look(name, Wanted::Digest).unwrap();
        assert_eq!(look, Look { folder: None, entry: None }, "{name}");
    }
}

#[test]
fn only_the_wanted_content_is_read() {
    let world = World::open();
    let digest = Content::Digest(walk::digest(b"abc"));
    world.put("file", "abc");
    world.put("empty", "");
    let content = |name, wanted| match world.shape(name, wanted) {
        Some(Shape::File { content, .. }) => content,
        other => panic!("{other:?}"),
    };
    assert_eq!(content("file", Wanted::Nothing), Content::NotRead);
    assert_eq!(content("file", Wanted::DigestIfSize(3)), digest);
    assert_eq!(content("file", Wanted::DigestIfSize(4)), Content::NotRead);
    assert_eq!(content("file", Wanted::Digest), digest);
    assert_eq!(content("file", Wanted::Bytes), Content::Bytes(b"abc"[..].into()));
    assert_eq!(content("empty", Wanted::Bytes), Content::Bytes([].into()));
    // Several pieces of the buffer, and one that is just full.
    for size in [walk::BUFFER, 3 * walk::BUFFER + 1] {
        let text = "x".repeat(size);
        world.put("large", &text);
        assert_eq!(
            content("large", Wanted::Digest),
            Content::Digest(walk::digest(text.as_bytes()))
        );
        assert_eq!(content("large", Wanted::Bytes), Content::Bytes(text.as_bytes().into()));
    }
    // The kernel says that files of /proc have no size, and they have content.
    let version = AbsPath::parse("/proc/version").unwrap();
    let look = world.host.look(&[(&version, Wanted::Bytes)]).remove(0).unwrap();
    let Some(Entry { shape: Shape::File { content: Content::Bytes(bytes), .. }, .. }) = look.entry
    else {
        panic!("{look:?}")
    };
    assert!(bytes.starts_with(b"Linux"));
}

#[test]
fn a_file_is_read_up_to_a_size_and_less_where_others_can_write() {
    let sized = |world: &World, size: u64, wanted| {
        let file = std::fs::File::create(world.path("file")).unwrap();
        file.set_len(size).unwrap();
        match world.shape("file", wanted) {
            Some(Shape::File { content, size: told }) if told == size => content,
            other => panic!("{other:?}"),
        }
    };
    const MIB: u64 = 1024 * 1024;
    let world = World::open();
    assert!(matches!(sized(&world, MIB, Wanted::Bytes), Content::Bytes(_)));
    assert_eq!(sized(&world, MIB + 1, Wanted::Bytes), Content::TooLarge);
    assert!(matches!(sized(&world, MIB, Wanted::Digest), Content::Digest(_)));
    assert_eq!(sized(&world, MIB + 1, Wanted::Digest), Content::TooLarge);
    let promised = Wanted::DigestIfSize(17 * MIB);
    assert!(matches!(sized(&world, 17 * MIB, promised), Content::Digest(_)));
    assert_eq!(sized(&world, 17 * MIB + 1, promised), Content::NotRead);
    // What was seen to be another content of the promised size can be told again when it goes.
    let Content::Digest(digest) = sized(&world, 17 * MIB, promised) else { panic!() };
    let file = world.new_file("file", &"x".repeat(17 << 20), Expected::File { digest });
    assert_eq!(world.write(file.clone()), Ok(()));
    assert_eq!(world.write(file).unwrap_err().kind, ErrorKind::Moved);
    let Some(world) = World::closed() else { return };
    assert!(matches!(sized(&world, 16 * MIB, Wanted::Bytes), Content::Bytes(_)));
    assert_eq!(sized(&world, 16 * MIB + 1, Wanted::Bytes), Content::TooLarge);
    assert!(matches!(sized(&world, 16 * MIB, Wanted::Digest), Content::Digest(_)));
    assert_eq!(sized(&world, 16 * MIB + 1, Wanted::Digest), Content::TooLarge);
    assert!(matches!(sized(&world, 16 * MIB + 1, Wanted::DigestOfOurs), Content::Digest(_)));
    // Of a disk image in the place of a small file nothing is read: not even its size in pages is there.
    for wanted in [Wanted::DigestIfSize(6), Wanted::Digest, Wanted::DigestOfOurs, Wanted::Bytes] {
        let content = sized(&world, 1 << 42, wanted);
        assert!(matches!(content, Content::NotRead | Content::TooLarge), "{wanted:?}");
    }
}

#[test]
fn our_own_folders_are_told_by_all_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    std::fs::create_dir(folder.join("disk")).unwrap();
    std::os::unix::fs::symlink("disk", folder.join("state")).unwrap();
    let host = Host::new(Settings {
        state: folder.join("state"),
        cache: folder.join("state/cache"),
        secrets: folder.join("settings/secrets"),
        credentials: None,
        own_files: vec![(folder.join("metrics/ours.prom"), false)],
    });
    let root = format!("{}/", folder.display());
    let own: Vec<(String, bool)> = (host.own_folders().iter())
        .map(|it| (it.path.as_str().replace(&root, ""), it.promisable))
        .collect();
    let expected = [
        ("state", false),
        ("disk", false),
        ("state/cache", false),
        ("/run/steadfast", false),
        ("settings", true),
        ("settings/secrets", true),
        ("metrics/ours.prom", false),
    ];
    assert_eq!(own, expected.map(|(path, promisable)| (path.to_owned(), promisable)));
}

#[test]
fn a_large_batch_says_in_order_what_single_looks_say() {
    let world = World::open();
    for index in 0..300 {
        world.put(&format!("{}/{index}", index % 70), &"x".repeat(index));
    }
    let paths: Vec<AbsPath> =
        (0..600).map(|index| world.abs(&format!("{}/{index}", index % 70))).collect();
    let wanted: Vec<_> = paths.iter().map(|path| (path, Wanted::Digest)).collect();
    let together = world.host.look(&wanted);
    assert_eq!(together.len(), 600);
    for (one, look) in wanted.iter().zip(together) {
        assert_eq!(world.host.look(&[*one]).remove(0), look);
    }
}

#[test]
fn attributes_are_told_even_where_content_may_not_be_read() {
    let world = World::open();
    world.put("file", "abc");
    world.set_mode("file", 0o200);
    world.set_mode("", 0o755);
    let as_somebody = |act: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                if rustix::process::geteuid().is_root() {
                    let id = rustix::process::Uid::from_raw(SOMEBODY);
                    // Of this thread alone.
                    rustix::thread::set_thread_res_uid(id, id, id).unwrap();
                }
                act();
            });
            thread.join().unwrap();
        });
    };
    as_somebody(&|| {
        let shape = Some(Shape::File { size: 3, content: Content::NotRead });
        assert_eq!(world.shape("file", Wanted::Nothing), shape);
        assert_eq!(world.shape("file", Wanted::DigestIfSize(4)), shape);
        for wanted in [Wanted::DigestIfSize(3), Wanted::Digest, Wanted::Bytes] {
            let error = world.look("file", wanted).unwrap_err();
            assert_eq!(error.kind, ErrorKind::PermissionDenied);
            assert_eq!(world.words(&error), "read /file: Permission denied (os error 13)");
        }
    });
    world.put("closed/file", "abc");
    world.set_mode("closed", 0o000);
    as_somebody(&|| {
        let error = world.look("closed/file", Wanted::Nothing).unwrap_err();
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
    });
    world.set_mode("closed", 0o755);
}

#[test]
fn a_folder_is_open_where_others_can_write_it_or_anything_above() {
    let Some(world) = World::closed() else { return };
    for (mode, uid, gid, open) in [
        (0o755, 0, 0, false),
        (0o775, 0, 0, false),
        (0o775, 0, SOMEBODY, true),
        (0o755, 0, SOMEBODY, false),
        (0o757, 0, 0, true),
        (0o1777, 0, 0, true),
        (0o700, SOMEBODY, 0, true),
    ] {
        world.put("folder/inner/file", "");
        chown(world.path("folder"), Some(uid), Some(gid)).unwrap();
        world.set_mode("folder", mode);
        for name in ["folder/x", "folder/inner/file"] {
            let folder = world.look(name, Wanted::Nothing).unwrap().folder.unwrap();
            assert_eq!(folder.open, open, "{mode:o} {uid} {gid} {name}");
        }
    }
}

#[test]
fn a_link_on_the_way_is_followed_where_root_alone_can_write() {
    let Some(world) = World::closed() else { return };
    world.put("real/deep/file", "abc");
    std::fs::create_dir(world.path("links")).unwrap();
    for (name, target) in [
        ("absolute", world.path("real/deep").to_str().unwrap()),
        ("relative", "../real/./deep"),
        ("up", "../real/deep/../deep"),
        ("twice", "relative"),
        ("through", "../links/twice"),
    ] {
        symlink(target, world.path("links").join(name)).unwrap();
        let shape = world.shape(&format!("links/{name}/file"), Wanted::Nothing);
        assert!(matches!(shape, Some(Shape::File { size: 3, .. })), "{name}: {shape:?}");
    }
    symlink("../nowhere", world.path("links/dangling")).unwrap();
    assert_eq!(world.look("links/dangling/x", Wanted::Nothing).unwrap().folder, None);
    symlink("circle", world.path("links/circle")).unwrap();
    let error = world.look("links/circle/x", Wanted::Nothing).unwrap_err();
    assert!(world.words(&error).starts_with("follow the link /links/circle: Too many levels"));
    // What lies behind a link is as open as it is where it really lies.
    std::fs::create_dir(world.path("home")).unwrap();
    chown(world.path("home"), Some(SOMEBODY), None).unwrap();
    symlink("../home", world.path("links/home")).unwrap();
    assert!(world.look("links/home/x", Wanted::Nothing).unwrap().folder.unwrap().open);
}

#[test]
fn nothing_goes_through_a_link_that_others_could_have_put_there() {
    let Some(world) = World::closed() else { return };
    world.put("etc/passwd", "root");
    std::fs::create_dir(world.path("home")).unwrap();
    chown(world.path("home"), Some(SOMEBODY), None).unwrap();
    symlink("../etc", world.path("home/config")).unwrap();
    let refused = |error: SystemError| {
        assert_eq!(
            world.words(&error),
            "/home/config is a symbolic link in a directory that others than root can write; it is not \
             followed"
        );
    };
    let passwd = world.abs("home/config/passwd");
    let new = world.abs("home/config/new");
    refused(world.look("home/config/passwd", Wanted::Digest).unwrap_err());
    refused(world.write(world.new_file("home/config/passwd", "evil", seen("root"))).unwrap_err());
    refused(world.write(world.new_file("home/config/new", "evil", Expected::Nothing)).unwrap_err());
    refused(world.host.make_directory(&new, 0, 0, Mode(0o755), &Expected::Nothing).unwrap_err());
    refused(world.host.make_link(&new, "x", 0, 0, &Expected::Nothing).unwrap_err());
    refused(world.host.remove(&passwd, &seen("root"), false, false).unwrap_err());
    let attributes = Attributes { mode: Some(Mode(0o666)), ..Attributes::default() };
    refused(
        world
            .host
            .set_attributes(&[(&passwd, &Expected::AnyFile, attributes)])
            .remove(0)
            .unwrap_err(),
    );
    refused(world.host.tree(&passwd, &all).unwrap_err());
    assert!(world.host.tree(&world.abs("home/config"), &all).is_err());
    assert_eq!(world.names("etc"), ["passwd"]);
    assert_eq!(
        (world.text("etc/passwd").as_str(), world.mode("etc/passwd")),
        ("root", Mode(0o644))
    );
}

#[test]
fn a_mount_at_the_very_path_is_seen() {
    let world = World::open();
    world.put("hosts", "old");
    world.put("from", "mounted");
    std::fs::create_dir(world.path("folder")).unwrap();
    let mounted = |name| world.look(name, Wanted::Nothing).unwrap().entry.unwrap().mounted;
    assert!(!mounted("hosts") && !mounted("folder"));
    let Some(_file) = Mounted::bind(&world.path("from"), world.path("hosts")) else { return };
    let Some(_folder) = Mounted::tmpfs(world.path("folder"), "size=64k") else { return };
    assert!(mounted("hosts") && mounted("folder") && !mounted("from"));
    let look = world.look("hosts", Wanted::Digest).unwrap().entry.unwrap();
    assert!(look.mounted);
    // A file within a mounted directory is not itself mounted.
    world.put("folder/x", "");
    assert!(!mounted("folder/x"));
}

/// Tells everything.
pub(super) fn all(_: &str, _: &Entry) -> bool {
    true
}

/// The same, with a file that is promised with so many bytes.
pub(super) struct Promised(pub(super) &'static str, pub(super) u64);

impl Sieve for Promised {
    fn promised(&self, below: &str) -> Option<u64> {
        (below == self.0).then_some(self.1)
    }

    fn enters(&self, _below: &str) -> bool {
        true
    }

    fn tells(&self, _below: &str, _entry: &Entry) -> bool {
        true
    }
}

#[test]
fn a_tree_is_told_in_order_without_following_or_leaving() {
    let world = World::open();
    world.put("tree/b/c", "abc");
    world.put("tree/b-", "abc");
    world.put("tree/a", "abc");
    symlink("/etc", world.path("tree/link")).unwrap();
    world.fifo("tree/fifo");
    std::fs::create_dir(world.path("tree/mount")).unwrap();
    let mount = Mounted::tmpfs(world.path("tree/mount"), "size=64k");
    if mount.is_some() {
        world.put("tree/mount/hidden", "");
    }
    let sieve = Promised("b/c", 1);
    let tree = world.host.tree(&world.abs("tree"), &sieve).unwrap().entries;
    let paths: Vec<&str> = tree.iter().map(|it| &*it.path).collect();
    assert_eq!(paths, ["a", "b", "b-", "b/c", "fifo", "link", "mount"]);
    let shapes: Vec<&Shape> = tree.iter().map(|it| &it.entry.shape).collect();
    let unread = Shape::File { size: 3, content: Content::NotRead };
    let read = Shape::File { size: 3, content: Content::Digest(walk::digest(b"abc")) };
    let link = Shape::Link { target: "/etc".into() };
    assert_eq!(
        shapes,
        [&unread, &Shape::Directory, &unread, &read, &Shape::Fifo, &link, &Shape::Directory]
    );
    assert_eq!(tree[6].entry.mounted, mount.is_some());
    let error = world.host.tree(&world.abs("tree/a"), &all).unwrap_err();
    assert_eq!(world.words(&error), "open the directory /tree/a: Not a directory (os error 20)");
    let error = world.host.tree(&world.abs("none"), &all).unwrap_err();
    assert!(world.words(&error).starts_with("open the directory /none: No such file"));
}

#[test]
fn a_tree_that_is_too_deep_is_refused() {
    let world = World::open();
    let mut path = world.path("tree");
    for _ in 0..270 {
        path.push("d");
    }
    std::fs::create_dir_all(&path).unwrap();
    let error = world.host.tree(&world.abs("tree"), &all).unwrap_err();
    assert_eq!(world.words(&error), "/tree is more than 256 directories deep");
    let error =
        world.host.remove(&world.abs("tree"), &Expected::Directory, true, true).unwrap_err();
    assert_eq!(world.words(&error), "/tree is more than 256 directories deep");
    assert!(path.exists());
}

// Writing

#[test]
fn a_new_file_is_there_whole_with_owner_and_mode() {
    let Some(world) = World::closed() else { return };
    let file = NewFile {
        uid: SOMEBODY,
        gid: SOMEBODY + 1,
        // A change of owner would take setuid away.
        mode: Mode(0o6755),
        ..world.new_file("file", "new", Expected::Nothing)
    };
    world.write(file).unwrap();
    let about = world.path("file").metadata().unwrap();
    assert_eq!((about.uid(), about.gid()), (SOMEBODY, SOMEBODY + 1));
    assert_eq!((world.text("file").as_str(), world.mode("file")), ("new", Mode(0o6755)));
    assert_eq!(world.names(""), ["file"]);
}

#[test]
fn what_is_replaced_is_kept_where_that_is_asked_for() {
    let world = World::open();
    for (old, keep) in [("one", true), ("two", false)] {
        world.put("file", old);
        let file = NewFile { keep, ..world.new_file("file", "new", seen(old)) };
        world.write(file).unwrap();
        assert_eq!((world.text("file").as_str(), world.mode("file")), ("new", Mode(0o640)));
        assert_eq!(world.kept(old), keep);
    }
    // Too large to be kept is no reason not to be replaced.
    std::fs::File::create(world.path("file")).unwrap().set_len(KEPT_FILE_MAX + 1).unwrap();
    world.write(world.new_file("file", "new", Expected::AnyFile)).unwrap();
    assert_eq!(world.text("file"), "new");
}

#[test]
fn a_batch_of_many_files_in_many_folders_is_written_whole() {
    let world = World::open();
    let mut files = vec![];
    for index in 0..200 {
        let name = format!("{}/{index}", index % 60);
        if index % 2 == 0 {
            world.put(&name, &format!("old {index}"));
        } else {
            std::fs::create_dir_all(world.path(&name).parent().unwrap()).unwrap();
        }
        let replaces =
            if index % 2 == 0 { seen(&format!("old {index}")) } else { Expected::Nothing };
        files.push(world.new_file(&name, &format!("new {index}"), replaces));
    }
    // One that moved and one without a directory do not stop the others.
    files[10].replaces = seen("else");
    files[11].path = world.abs("none/x");
    let results = world.host.write_files(&files);
    for (index, result) in results.iter().enumerate() {
        let name = format!("{}/{index}", index % 60);
        match index {
            10 => {
                assert_eq!(result.as_ref().unwrap_err().kind, ErrorKind::Moved);
                assert_eq!(world.text(&name), "old 10");
            }
            11 => assert!(result.is_err()),
            _ => {
                assert_eq!(*result, Ok(()));
                assert_eq!(world.text(&name), format!("new {index}"));
                assert!(index % 2 == 1 || world.kept(&format!("old {index}")));
            }
        }
    }
    for folder in 0..60 {
        let names = world.names(&folder.to_string());
        assert!(names.iter().all(|it| !it.contains("steadfast")), "{names:?}");
    }
}

#[test]
fn nothing_is_replaced_that_is_not_what_was_seen() {
    let world = World::open();
    let link = |target: &str| Expected::Link { target: target.into() };
    let cases: [(&str, Expected, &str); 14] = [
        ("file", Expected::Nothing, "something is there now"),
        ("file", seen("other"), "its content changed"),
        ("file", Expected::Directory, "it became something else"),
        ("file", link("x"), "it became something else"),
        ("file", Expected::Other, "it became something else"),
        ("link", seen("abc"), "it became something else"),
        ("link", Expected::AnyFile, "it became something else"),
        ("link", link("else"), "the link points elsewhere now"),
        ("link", Expected::Nothing, "something is there now"),
        ("fifo", seen("abc"), "it became something else"),
        ("fifo", Expected::AnyFile, "it became something else"),
        ("directory", Expected::AnyFile, "it became something else"),
        ("none", seen("abc"), "nothing is there any more"),
        ("none", Expected::Directory, "nothing is there any more"),
    ];
    world.put("file", "abc");
    world.put("directory/x", "abc");
    symlink("file", world.path("link")).unwrap();
    world.fifo("fifo");
    let before = world.names("");
    for (name, replaces, why) in cases {
        let path = world.abs(name);
        let mut errors = vec![
            world.write(world.new_file(name, "new", replaces.clone())).unwrap_err(),
            world.host.make_link(&path, "new", 0, 0, &replaces).unwrap_err(),
            world.host.remove(&path, &replaces, true, true).unwrap_err(),
        ];
        if replaces != Expected::Directory {
            errors
                .push(world.host.make_directory(&path, 0, 0, Mode(0o755), &replaces).unwrap_err());
        }
        for error in errors {
            assert_eq!(
                error.kind,
                ErrorKind::Moved,
                "{name} {replaces:?}: {}",
                world.words(&error)
            );
            assert_eq!(world.words(&error), format!("/{name} is not as it was seen: {why}"));
        }
    }
    assert_eq!(world.names(""), before);
    assert_eq!(world.text("file"), "abc");
}

#[test]
fn what_is_in_the_way_is_replaced_and_never_followed() {
    let world = World::open();
    world.put("target", "untouched");
    symlink("target", world.path("link")).unwrap();
    let replaces = Expected::Link { target: "target".into() };
    world.write(world.new_file("link", "new", replaces)).unwrap();
    assert!(world.path("link").symlink_metadata().unwrap().is_file());
    assert_eq!(world.text("target"), "untouched");

    world.fifo("fifo");
    world.write(world.new_file("fifo", "new", Expected::Other)).unwrap();
    assert_eq!(world.text("fifo"), "new");

    world.put("directory/a/b", "one");
    world.put("directory/c", "two");
    symlink("../target", world.path("directory/link")).unwrap();
    world.write(world.new_file("directory", "new", Expected::Directory)).unwrap();
    assert_eq!(world.text("directory"), "new");
    assert!(world.kept("one") && world.kept("two") && !world.kept("untouched"));
    assert_eq!(world.names(""), ["directory", "fifo", "link", "target"]);
    assert_eq!(world.text("target"), "untouched");
}

#[test]
fn what_a_killed_run_left_goes_at_the_next_write() {
    let Some(world) = World::closed() else { return };
    let left = ".steadfast-0123456789abcdef-00000007";
    world.put(left, "half");
    world.put(&format!("{left}.service"), "half");
    world.put(".steadfast-0123456789abcdef-00000008/inner", "half");
    let others = [
        ".steadfast",
        ".steadfast-0123456789abcdef-0000000",
        ".steadfast-0123456789abcdef-00000007.x.y",
        ".steadfast-0123456789ABCDEF-00000007",
        "x.steadfast-0123456789abcdef-00000007",
    ];
    for name in others {
        world.put(name, "not ours");
    }
    world.write(world.new_file("file", "new", Expected::Nothing)).unwrap();
    let mut expected: Vec<&str> = others.to_vec();
    expected.push("file");
    expected.sort_unstable();
    assert_eq!(world.names(""), expected);
    // Of this run, one thread's file is not another's left-over.
    let ours = world.host.files.temporary_name("");
    assert!(!world.host.files.is_left_over(ours.as_ref()));
    assert!(host_in(world.folder.path()).files.is_left_over(ours.as_ref()));
}

#[test]
fn in_an_open_folder_only_harmless_left_overs_go() {
    let world = World::open();
    // Whoever can write the directory can give such a name to a directory of root's.
    world.put(".steadfast-0123456789abcdef-00000001/precious", "root's");
    world.put(".steadfast-0123456789abcdef-00000002", "half");
    std::fs::create_dir(world.path(".steadfast-0123456789abcdef-00000003")).unwrap();
    let mut expected = vec![".steadfast-0123456789abcdef-00000001"];
    let foreign = ".steadfast-0123456789abcdef-00000004";
    if rustix::process::geteuid().is_root() {
        world.put(foreign, "somebody's");
        chown(world.path(foreign), Some(SOMEBODY), None).unwrap();
        expected.push(foreign);
    }
    world.write(world.new_file("file", "new", Expected::Nothing)).unwrap();
    expected.push("file");
    assert_eq!(world.names(""), expected);
    assert_eq!(world.text(".steadfast-0123456789abcdef-00000001/precious"), "root's");
}

#[test]
fn attributes_of_what_is_replaced_come_along_where_they_can_be_trusted() {
    // An access list: owner rw, uid 54321 rw, group r, mask rw, others none.
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (0x01_u16, 6_u16, u32::MAX),
        (0x02, 6, SOMEBODY),
        (0x04, 4, u32::MAX),
        (0x10, 6, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let none = rustix::fs::XattrFlags::empty();
    let Some(closed) = World::closed() else { return };
    let open = World::open();
    for (world, trusted) in [(&closed, true), (&open, false)] {
        world.put("file", "old");
        let path = world.path("file");
        let set = rustix::fs::setxattr(&path, c"user.note", b"x", none)
            .and_then(|()| rustix::fs::setxattr(&path, walk::ACCESS_LIST, &list, none));
        if set.is_err() {
            skip("no extended attributes here");
            return;
        }
        let file = NewFile { mode: Mode(0o660), ..world.new_file("file", "new", seen("old")) };
        world.write(file).unwrap();
        assert_eq!((world.text("file").as_str(), world.mode("file")), ("new", Mode(0o660)));
        let mut value = [0; 256];
        let note = rustix::fs::getxattr(&path, c"user.note", &mut value);
        assert_eq!(note.is_ok(), trusted);
        let size = rustix::fs::getxattr(&path, walk::ACCESS_LIST, &mut value);
        assert_eq!(size.ok().map(|size| value[..size].to_vec()), trusted.then(|| list.clone()));
        // What replaces a file without a list has none, whatever the directory hands down.
        std::fs::create_dir(world.path("folder")).unwrap();
        world.put("folder/old", "old");
        rustix::fs::setxattr(world.path("folder"), c"system.posix_acl_default", &list, none)
            .unwrap();
        world.write(world.new_file("folder/old", "new", seen("old"))).unwrap();
        world.write(world.new_file("folder/new", "new", Expected::Nothing)).unwrap();
        let has_list =
            |name| rustix::fs::getxattr(world.path(name), walk::ACCESS_LIST, &mut [0; 256]).is_ok();
        assert!(!has_list("folder/old"));
        assert_eq!(has_list("folder/new"), trusted);
    }
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    let world = World::open();
    let Some(_mount) = Mounted::tmpfs(world.path("small"), "size=64k") else { return };
    world.put("small/file", "old");
    let file = world.new_file("small/file", &"x".repeat(1024 * 1024), seen("old"));
    let error = world.write(file.clone()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage);
    assert_eq!(
        world.words(&error),
        "write temporary file beside /small/file: No space left on device (os error 28)"
    );
    let many = vec![file; 20];
    assert!(
        world
            .host
            .write_files(&many)
            .iter()
            .all(|it| { it.as_ref().is_err_and(|err| err.kind == ErrorKind::Storage) })
    );
    assert_eq!(world.names("small"), ["file"]);
    assert_eq!(world.text("small/file"), "old");
}

#[test]
fn nothing_is_replaced_where_the_old_content_cannot_be_kept() {
    let world = World::open();
    let Some(_mount) = Mounted::tmpfs(world.path("state"), "size=16k") else { return };
    let old = "x".repeat(100_000);
    for count in [1, 20] {
        let mut files = vec![];
        for index in 0..count {
            world.put(&format!("file{index}"), &old);
            files.push(world.new_file(&format!("file{index}"), "new", seen(&old)));
        }
        for result in world.host.write_files(&files) {
            let error = result.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Storage);
            assert_eq!(
                world.words(&error),
                "keep the old content below /state/kept-of-others: No space left on device (os error 28)"
            );
        }
        for index in 0..count {
            assert_eq!(world.text(&format!("file{index}")), old);
            let path = world.abs(&format!("file{index}"));
            assert!(world.host.remove(&path, &seen(&old), false, true).is_err());
            assert!(world.path(&format!("file{index}")).exists());
        }
    }
    assert!(world.names("").iter().all(|it| !it.contains("steadfast")));
    assert!(world.host.make_link(&world.abs("file0"), "x", 0, 0, &seen(&old)).is_err());
    assert_eq!(world.text("file0"), old);
}

#[test]
fn a_read_only_file_system_is_an_error_of_storage() {
    let world = World::open();
    let Some(_mount) = Mounted::tmpfs(world.path("fixed"), "size=64k") else { return };
    world.put("fixed/file", "old");
    let path = world.path("fixed");
    Command::new("mount").args(["-o", "remount,ro"]).arg(&path).succeed().unwrap();
    let file = world.abs("fixed/file");
    let new = world.abs("fixed/new");
    let attributes = Attributes { mode: Some(Mode(0o600)), ..Attributes::default() };
    for error in [
        world.write(world.new_file("fixed/file", "new", seen("old"))),
        world.host.make_directory(&new, 0, 0, Mode(0o755), &Expected::Nothing),
        world.host.make_link(&new, "x", 0, 0, &Expected::Nothing),
        world.host.remove(&file, &seen("old"), false, true),
        world.host.set_attributes(&[(&file, &Expected::AnyFile, attributes)]).remove(0),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Storage, "{}", world.words(&error));
        assert!(world.words(&error).contains("Read-only file system"));
    }
}

#[test]
fn a_mounted_file_is_written_in_place() {
    let world = World::open();
    world.put("hosts", "");
    world.put("from", "a longer old content");
    let Some(_mount) = Mounted::bind(&world.path("from"), world.path("hosts")) else { return };
    let file = world.new_file("hosts", "new", seen("a longer old content"));
    let error = world.write(file.clone()).unwrap_err();
    assert_eq!(world.words(&error), "rename into place at /hosts: something is mounted there");
    let inode = world.path("from").metadata().unwrap().ino();
    world.write(NewFile { in_place: true, uid: SOMEBODY, ..file }).unwrap();
    assert_eq!((world.text("hosts").as_str(), world.mode("hosts")), ("new", Mode(0o640)));
    let about = world.path("from").metadata().unwrap();
    assert_eq!((about.ino(), about.uid(), world.text("from").as_str()), (inode, SOMEBODY, "new"));
    assert!(world.kept("a longer old content"));
    let file = NewFile { in_place: true, ..world.new_file("from", "x", seen("new")) };
    let error = world.write(file).unwrap_err();
    assert!(world.words(&error).ends_with("nothing is mounted there any more"));
    assert_eq!(world.text("from"), "new");
    let file = NewFile { in_place: true, ..world.new_file("hosts", "x", seen("else")) };
    assert_eq!(world.write(file).unwrap_err().kind, ErrorKind::Moved);
}

#[test]
fn an_immutable_file_says_that_it_is_and_stays_so() {
    let Some(world) = World::closed() else { return };
    world.put("file", "old");
    if Command::new("chattr").arg("+i").arg(world.path("file")).succeed().is_err() {
        skip("no immutable flag here");
        return;
    }
    let path = world.abs("file");
    let attributes = Attributes { mode: Some(Mode(0o600)), ..Attributes::default() };
    let results = [
        world.write(world.new_file("file", "new", seen("old"))),
        world.host.make_link(&path, "x", 0, 0, &seen("old")),
        world.host.remove(&path, &seen("old"), false, false),
        world.host.set_attributes(&[(&path, &Expected::AnyFile, attributes)]).remove(0),
    ];
    let text = world.text("file");
    Command::new("chattr").arg("-i").arg(world.path("file")).succeed().unwrap();
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
        let words = world.words(&error);
        assert!(
            words.ends_with("file has the immutable flag (`chattr -i` takes it away)"),
            "{words}"
        );
    }
    assert_eq!(text, "old");
    assert_eq!(world.names(""), ["file"]);
}

fn validation(script: &str) -> Option<Validation> {
    let arguments = ["sh", "-c", script, "sh", "{file}"].map(Arc::from).to_vec();
    Some(Validation { arguments, sensitive: false })
}

#[test]
fn a_validator_has_its_say_before_anything_is_replaced() {
    let Some(closed) = World::closed() else { return };
    for (world, beside) in [(closed, true), (World::open(), false)] {
        world.put("x.service", "old");
        let file =
            |validate| NewFile { validate, ..world.new_file("x.service", "new", seen("old")) };
        // It sees the new content, under a name with the same suffix, where root alone can write or
        // in a directory of root's; and the file itself is still the old one.
        let folder = world.folder.path().display();
        let script = format!("echo \"$1\" >{folder}/said; cat \"$1\" {folder}/x.service; exit 1");
        let error = world.write(file(validation(&script))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert_eq!(world.words(&error), "validate /x.service with sh: sh exited with 1: newold");
        let said = world.text("said");
        let said = said.trim().strip_prefix(&format!("{folder}/")).unwrap();
        assert!(said.ends_with(".service"), "{said}");
        assert_eq!(!said.starts_with("state/"), beside, "{said}");
        // Its words name the file that people know.
        let error =
            world.write(file(validation("echo \"bad line in $1\" >&2; exit 2"))).unwrap_err();
        assert!(world.words(&error).ends_with("sh exited with 2: bad line in /x.service"));
        let mut sensitive = validation("cat \"$1\"; exit 1");
        if let Some(it) = &mut sensitive {
            it.sensitive = true;
        }
        let error = world.write(file(sensitive)).unwrap_err();
        assert_eq!(world.words(&error), "validate /x.service with sh: sh exited with 1");
        let missing = Some(Validation { arguments: vec!["/no/program".into()], sensitive: false });
        assert!(world.write(file(missing)).is_err());
        assert_eq!(world.text("x.service"), "old");
        assert!(!world.kept("old"), "nothing was replaced");
        world.write(file(validation("grep -q new \"$1\""))).unwrap();
        assert_eq!(world.text("x.service"), "new");
        assert_eq!(world.names(""), ["said", "x.service"]);
        let state: Vec<_> = std::fs::read_dir(world.path("state"))
            .unwrap()
            .map(|it| it.unwrap().file_name())
            .collect();
        assert_eq!(state, [if beside { "kept" } else { "kept-of-others" }]);
    }
}

#[test]
fn a_file_that_changes_during_its_validation_is_not_replaced() {
    let world = World::open();
    world.put("file", "old");
    let script = format!("echo edited >{}", world.path("file").display());
    let file =
        NewFile { validate: validation(&script), ..world.new_file("file", "new", seen("old")) };
    let error = world.write(file).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Moved);
    assert_eq!(
        (world.text("file").as_str(), world.names("")),
        ("edited\n", vec!["file".to_owned()])
    );
    // The same where nothing was there.
    let script = format!("echo mine >{}", world.path("new").display());
    let file =
        NewFile { validate: validation(&script), ..world.new_file("new", "x", Expected::Nothing) };
    assert_eq!(world.write(file).unwrap_err().kind, ErrorKind::Moved);
    assert_eq!(world.text("new"), "mine\n");
}

// Attributes, directories, links, removing

#[test]
fn owner_and_mode_are_set_and_never_through_a_link() {
    let Some(world) = World::closed() else { return };
    world.put("file", "abc");
    world.put("directory/x", "");
    symlink("file", world.path("link")).unwrap();
    let all = Attributes { uid: Some(SOMEBODY), gid: None, mode: Some(Mode(0o4711)) };
    let owner = Attributes { uid: Some(SOMEBODY + 1), gid: Some(7), mode: None };
    let link = Expected::Link { target: "file".into() };
    let paths = ["file", "directory", "link", "link", "file", "none"].map(|it| world.abs(it));
    let results = world.host.set_attributes(&[
        (&paths[0], &seen("abc"), all),
        (&paths[1], &Expected::Directory, all),
        (&paths[2], &link, owner),
        (&paths[3], &Expected::AnyFile, all),
        (&paths[4], &Expected::Directory, all),
        (&paths[5], &Expected::AnyFile, all),
    ]);
    assert_eq!(results[..3], [Ok(()), Ok(()), Ok(())]);
    for result in &results[3..] {
        assert_eq!(result.as_ref().unwrap_err().kind, ErrorKind::Moved);
    }
    let ids = |name: &str| {
        let about = world.path(name).symlink_metadata().unwrap();
        (about.uid(), about.gid())
    };
    assert_eq!((ids("file"), world.mode("file")), ((SOMEBODY, 0), Mode(0o4711)));
    assert_eq!((ids("directory"), world.mode("directory")), ((SOMEBODY, 0), Mode(0o4711)));
    assert_eq!(ids("link"), (SOMEBODY + 1, 7));
    // A large batch is flushed as a whole.
    let many: Vec<AbsPath> = (0..100).map(|index| world.abs(&format!("many/{index}"))).collect();
    (0..100).for_each(|index| world.put(&format!("many/{index}"), ""));
    let batch: Vec<_> = many.iter().map(|path| (path, &Expected::AnyFile, owner)).collect();
    assert!(world.host.set_attributes(&batch).iter().all(Result::is_ok));
    assert_eq!(ids("many/99"), (SOMEBODY + 1, 7));
}

#[test]
fn where_others_can_write_a_file_with_several_hard_links_keeps_its_owner() {
    let world = World::open();
    world.put("shadow", "");
    std::fs::hard_link(world.path("shadow"), world.path("mine")).unwrap();
    let attributes = Attributes { mode: Some(Mode(0o666)), ..Attributes::default() };
    let mine = world.abs("mine");
    let error = world
        .host
        .set_attributes(&[(&mine, &Expected::AnyFile, attributes)])
        .remove(0)
        .unwrap_err();
    assert!(world.words(&error).starts_with("/mine has several hard links in a directory"));
    assert_eq!(world.mode("shadow"), Mode(0o644));
}

/// A lease on a file, as its owner may have one: it ends with the descriptor.
fn leased(path: &Path) -> std::fs::File {
    let file = std::fs::File::open(path).unwrap();
    #[expect(unsafe_code, reason = "there is no safe call for it")]
    // SAFETY: it takes numbers. That it is broken is told by a signal that nobody minds.
    let taken = unsafe {
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
        nix::libc::signal(nix::libc::SIGIO, nix::libc::SIG_IGN);
        nix::libc::fcntl(descriptor, nix::libc::F_SETLEASE, nix::libc::F_WRLCK)
    };
    assert_eq!(taken, 0, "{}", std::io::Error::last_os_error());
    file
}

#[test]
fn a_lease_of_its_owner_keeps_no_file_as_it_is() {
    let world = World::open();
    for name in ["written", "moded", "removed", "tree/file", "gone/file"] {
        world.put(name, "old");
    }
    let leases = ["written", "moded", "removed", "tree/file", "gone/file"];
    let _leases = leases.map(|it| leased(&world.path(it)));
    let held = Shape::File { size: 3, content: Content::Leased };
    for wanted in [Wanted::Digest, Wanted::Bytes, Wanted::DigestIfSize(3)] {
        assert_eq!(world.shape("written", wanted), Some(held.clone()), "{wanted:?}");
    }
    let tree = world.host.tree(&world.abs("tree"), &Promised("file", 3)).unwrap();
    assert_eq!(tree.entries[0].entry.shape, held);

    world.write(world.new_file("written", "new", Expected::AnyFile)).unwrap();
    assert_eq!(world.text("written"), "new");
    let attributes = Attributes { mode: Some(Mode(0o600)), ..Attributes::default() };
    let path = world.abs("moded");
    world.host.set_attributes(&[(&path, &Expected::AnyFile, attributes)]).remove(0).unwrap();
    assert_eq!(world.mode("moded"), Mode(0o600));
    world.host.remove(&world.abs("removed"), &Expected::AnyFile, false, true).unwrap();
    world.host.remove(&world.abs("gone"), &Expected::Directory, true, true).unwrap();
    assert_eq!(world.names("."), ["moded", "tree", "written"]);
    // What was seen to have another content may have this one again.
    let late = world.write(world.new_file("moded", "new", seen("old"))).unwrap_err();
    assert_eq!(late.kind, ErrorKind::Swappable, "{}", world.words(&late));
}

#[test]
fn a_directory_is_made_with_owner_and_mode_also_in_the_place_of_something() {
    let world = World::open();
    let me = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let make = |name: &str, replaces: Expected| {
        world.host.make_directory(&world.abs(name), me, group, Mode(0o2751), &replaces)
    };
    make("new", Expected::Nothing).unwrap();
    world.put("file", "old");
    make("file", seen("old")).unwrap();
    assert!(world.kept("old"));
    symlink("new", world.path("link")).unwrap();
    make("link", Expected::Link { target: "new".into() }).unwrap();
    for name in ["new", "file", "link"] {
        assert!(world.path(name).symlink_metadata().unwrap().is_dir());
        assert_eq!(world.mode(name), Mode(0o2751), "{name}");
    }
    assert_eq!(make("new", Expected::Directory).unwrap_err().kind, ErrorKind::Moved);
    let error = make("none/x", Expected::Nothing).unwrap_err();
    assert!(world.words(&error).starts_with("open the directory /none: No such file"));
    assert_eq!(world.names(""), ["file", "link", "new"]);
}

#[test]
fn a_link_takes_the_place_of_what_was_there() {
    let world = World::open();
    let me = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let make = |name: &str, replaces: Expected| {
        world.host.make_link(&world.abs(name), "/tar/get", me, group, &replaces)
    };
    world.put("file", "old");
    world.put("directory/a/b", "deep");
    symlink("else", world.path("link")).unwrap();
    make("new", Expected::Nothing).unwrap();
    make("file", seen("old")).unwrap();
    make("directory", Expected::Directory).unwrap();
    make("link", Expected::Link { target: "else".into() }).unwrap();
    for name in ["new", "file", "directory", "link"] {
        assert_eq!(world.path(name).read_link().unwrap(), Path::new("/tar/get"), "{name}");
    }
    assert!(world.kept("old") && world.kept("deep"));
    assert_eq!(world.names(""), ["directory", "file", "link", "new"]);
}

#[test]
fn what_is_removed_is_kept_and_a_full_directory_goes_only_whole() {
    let world = World::open();
    let remove = |name: &str, seen: Expected, whole, keep| {
        world.host.remove(&world.abs(name), &seen, whole, keep)
    };
    world.put("target/x", "untouched");
    world.put("file", "one");
    world.put("gone", "two");
    world.put("full/a/b", "three");
    world.put("empty/x", "");
    std::fs::remove_file(world.path("empty/x")).unwrap();
    symlink("../target", world.path("full/link")).unwrap();
    symlink("target", world.path("link")).unwrap();
    world.fifo("fifo");
    let name = std::ffi::OsStr::from_bytes(b"full/\xff");
    std::fs::write(world.folder.path().join(name), "four").unwrap();
    remove("file", seen("one"), false, true).unwrap();
    remove("gone", Expected::AnyFile, false, false).unwrap();
    remove("link", Expected::Link { target: "target".into() }, false, true).unwrap();
    remove("fifo", Expected::Other, false, true).unwrap();
    remove("empty", Expected::Directory, false, true).unwrap();
    remove("nothing", Expected::Nothing, false, true).unwrap();
    let error = remove("full", Expected::Directory, false, true).unwrap_err();
    assert_eq!(world.words(&error), "remove /full: Directory not empty (os error 39)");
    assert!(!world.kept("three"));
    remove("full", Expected::Directory, true, true).unwrap();
    assert_eq!(world.names(""), ["target"]);
    assert_eq!(world.text("target/x"), "untouched");
    for (content, kept) in [("one", true), ("two", false), ("three", true), ("four", true)] {
        assert_eq!(world.kept(content), kept, "{content}");
    }
    let root = AbsPath::parse("/").unwrap();
    assert!(world.host.remove(&root, &Expected::Directory, true, false).is_err());
}

#[test]
fn a_directory_with_a_mount_in_it_is_neither_removed_nor_replaced() {
    let world = World::open();
    world.put("tree/a", "abc");
    let Some(_mount) = Mounted::tmpfs(world.path("tree/inner/mount"), "size=64k") else { return };
    world.put("tree/inner/mount/x", "precious");
    let tree = world.abs("tree");
    for error in [
        world.host.remove(&tree, &Expected::Directory, true, true).unwrap_err(),
        world.host.make_link(&tree, "x", 0, 0, &Expected::Directory).unwrap_err(),
        world.write(world.new_file("tree", "new", Expected::Directory)).unwrap_err(),
    ] {
        assert_eq!(world.words(&error), "something is mounted at /tree/inner/mount");
    }
    assert_eq!(world.names("tree"), ["a", "inner"]);
    assert_eq!(world.names(""), ["tree"]);
}

/// An access list that lets somebody in.
fn list_for_somebody() -> Vec<u8> {
    let nobody = u32::MAX;
    let entries =
        [(1, 7, nobody), (2, 7, SOMEBODY), (4, 5, nobody), (16, 7, nobody), (32, 0, nobody)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(u16::to_le_bytes(rights));
        bytes.extend(u32::to_le_bytes(id));
    }
    bytes
}

const LISTS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

fn lists_of(path: &Path) -> Vec<&'static str> {
    let has = |it: &&str| rustix::fs::getxattr(path, *it, &mut [0_u8; 0][..]).is_ok();
    LISTS.into_iter().filter(has).collect()
}

/// Lays a list; false where the file system has none.
fn lay(path: &Path, list: &str) -> bool {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path, list, &list_for_somebody(), flags).is_ok()
}

#[test]
fn the_list_that_a_directory_of_others_hands_on_lets_nobody_into_what_root_makes_in_it() {
    let world = World::open();
    let folder = world.folder.path().join("theirs");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    if !lay(&folder, LISTS[1]) {
        return;
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let made = world.abs("theirs/made");
    let make = |it| world.host.make_directory(it, uid, gid, Mode(0o750), &Expected::Nothing);
    make(&made).unwrap();
    let file = world.new_file("theirs/file", "x", Expected::Nothing);
    world.host.write_files(&[NewFile { uid, gid, mode: Mode(0o640), ..file }]).remove(0).unwrap();
    for name in ["made", "file"] {
        assert_eq!(lists_of(&folder.join(name)), [""; 0], "{name}");
    }
}

#[test]
fn a_list_that_others_can_have_laid_is_seen_and_goes_where_a_mode_is_set() {
    let world = World::open();
    let folder = world.folder.path().join("theirs");
    std::fs::create_dir_all(folder.join("made")).unwrap();
    std::fs::write(folder.join("file"), "x").unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    if !lay(&folder.join("file"), LISTS[0]) {
        return;
    }
    assert!(lay(&folder.join("made"), LISTS[1]));
    for (name, seen) in [("file", Expected::AnyFile), ("made", Expected::Directory)] {
        let path = world.abs(&format!("theirs/{name}"));
        let entry =
            || world.host.look(&[(&path, Wanted::Nothing)]).remove(0).unwrap().entry.unwrap();
        assert!(entry().marks.access_list, "{name}");
        let to = Attributes { mode: Some(entry().mode), ..Attributes::default() };
        world.host.set_attributes(&[(&path, &seen, to)]).remove(0).unwrap();
        assert!(!entry().marks.access_list, "{name}");
        assert_eq!(lists_of(&folder.join(name)), [""; 0], "{name}");
    }
}

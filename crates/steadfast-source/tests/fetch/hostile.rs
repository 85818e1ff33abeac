//! Servers that mean harm: they lead elsewhere, never end, say a little at a time, or send what is small on its
//! way and large where it arrives. Each is left within what a fetch may cost, and the words say what was wrong.

use crate::objects::{committed, delta_bomb, entry, written};
use crate::server::{Server, folder, git, hang, reply};
use crate::support::{World, files};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use steadfast_download::DownloadErrorKind;
use steadfast_source::RefusalKind;
use steadfast_source::download::download;
use steadfast_source::settings::{Git, Limits, Reference, Snapshot, Source, Trust};
use steadfast_source::terms::{Credentials, Known, from_line, to_line};

/// What a server does with whoever connects.
type Serves = fn(TcpStream);

fn main_of(url: &str) -> Git {
    Git::new(url, Reference::Branch("main".into()))
}

/// A git repository and a snapshot at the same address.
fn both(url: &str) -> [Source; 2] {
    [Source::Git(main_of(url)), Source::Snapshot(Snapshot::new(url))]
}

/// A port of the loopback, at which everybody is served like this.
fn port(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

/// Says it again and again, until nobody listens.
fn without_end(mut stream: TcpStream, begin: &[u8], more: &[u8]) {
    let mut going = stream.write_all(begin);
    while going.is_ok() {
        going = stream.write_all(more);
    }
}

#[test]
fn git_goes_to_no_other_address_than_the_one_that_root_named() {
    let mut world = World::new();
    world.repository();
    let other = Server::http(git(world.folder.path().to_owned()));
    let there = format!("{}/work/.git/info/refs?service=git-upload-pack", other.url);
    let targets = [&there, "file:///etc/passwd", "http://169.254.169.254/latest/", "ssh://h/x"];
    for to in targets {
        for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
            let to = to.to_owned();
            let server = Server::http(move |_, stream| {
                reply(stream, status, &format!("Location: {to}\r\n"), b"");
            });
            let words = world.refused(&Source::Git(main_of(&server.url)), &Trust::None);
            assert!(words.contains("it leads to another address"), "{words}");
        }
    }
    assert_eq!(other.count(), 0);
    let taken = Source::Git(main_of(&format!("{}/work/.git", other.url)));
    let words = world.refused(&taken, &Trust::None);
    assert!(words.starts_with("nothing protects git http://"), "it is a good one: {words}");
}

#[test]
fn over_tls_a_snapshot_is_led_to_no_other_protocol_to_nobody_without_a_certificate_and_not_for_ever()
 {
    let mut world = World::new();
    let plain = Server::http(folder(world.path("www")));
    let other = Server::https(&["127.0.0.1"], folder(world.path("www")));
    let leads = |to: String| {
        Server::https(&["127.0.0.1"], move |_, stream| {
            reply(stream, "302 Found", &format!("Location: {to}\r\n"), b"");
        })
    };
    for (to, words) in [
        (plain.url.clone(), "something other than https"),
        ("http://169.254.169.254/latest/".to_owned(), "something other than https"),
        ("file:///etc/passwd".to_owned(), "the server answered 302 Found"),
        // Only the first of the two is certified by the authority that is trusted.
        (other.url.clone(), "certificate"),
        ("/again".to_owned(), "it redirects too often"),
    ] {
        let server = leads(to.clone());
        std::fs::write(world.path("ca.pem"), &server.certificate).unwrap();
        let ca = Some(world.path("ca.pem"));
        let source = Source::Snapshot(Snapshot { url: server.url.clone(), ca, proxy: None });
        let said = world.refused(&source, &Trust::None);
        assert!(said.contains(words), "{to}: {said}");
        assert!(server.count() < 6, "{to}");
    }
    assert_eq!((plain.count(), other.count()), (0, 0));
}

/// A server that is ended with the test.
struct Tls(Child);

impl Drop for Tls {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A server that speaks this version of TLS and no other, with any cipher that there ever was.
fn speaks(world: &World, version: &str) -> (Tls, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl");
    server.args(["s_server", version, "-quiet", "-www", "-cipher", "ALL:@SECLEVEL=0"]);
    server.arg("-cert").arg(world.path("ca.pem")).arg("-key").arg(world.path("key.pem"));
    server.args(["-port", &port.to_string()]).stdin(Stdio::null());
    let server = Tls(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    while TcpStream::connect(("127.0.0.1", port)).is_err() {}
    (server, port)
}

#[test]
fn nobody_talks_us_down_to_a_version_of_tls_that_is_broken() {
    let mut world = World::new();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(world.path("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(world.path("key.pem"), key.serialize_pem()).unwrap();
    for (version, words) in [
        ("-tls1", ["protocol version", "ProtocolVersion"]),
        ("-tls1_1", ["protocol version", "ProtocolVersion"]),
        // With these we speak, and what it says is no model.
        ("-tls1_2", ["not valid: is this a git repository?", "the manifest: "]),
        ("-tls1_3", ["not valid: is this a git repository?", "the manifest: "]),
    ] {
        let (_server, port) = speaks(&world, version);
        let url = format!("https://127.0.0.1:{port}");
        let ca = Some(world.path("ca.pem"));
        let git = Source::Git(Git { ca: ca.clone(), ..main_of(&url) });
        let snapshot = Source::Snapshot(Snapshot { url, ca, proxy: None });
        for (source, words) in [git, snapshot].iter().zip(words) {
            let said = world.refused(source, &Trust::None);
            assert!(said.contains(words), "{version}: {said}");
        }
    }
}

#[test]
fn what_never_gets_as_far_as_an_answer_over_http_is_left() {
    let mut world = World::new();
    // By its size, or where that is never said, by its time.
    world.limits.total = Duration::from_secs(10);
    let cases: [(&str, Serves); 5] = [
        ("headers without end", |it| without_end(it, b"HTTP/1.1 200 OK\r\n", b"X-A: aaaa\r\n")),
        ("a header without end", |it| without_end(it, b"HTTP/1.1 200 OK\r\nX-A: ", &[b'x'; 4096])),
        ("only that it goes on", |it| without_end(it, b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
        ("a status without end", |it| without_end(it, b"", b"HTTP/1.1")),
        ("another protocol", |mut it| {
            let _sent = it.write_all(b"220 mail.example.test ESMTP\r\n");
        }),
    ];
    for (what, serve) in cases {
        for source in both(&format!("http://127.0.0.1:{}", port(serve))) {
            let refusal = world.fetch(&source, &Trust::None).unwrap_err();
            let kinds = [RefusalKind::Unreachable, RefusalKind::Broken];
            assert!(kinds.contains(&refusal.kind()), "{what}: {refusal}");
        }
    }
}

#[test]
fn an_answer_that_is_small_on_its_way_is_not_unpacked_because_it_says_that_it_is_packed() {
    let mut world = World::new();
    let mut zip = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    for _ in 0..100 {
        zip.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let packed = zip.finish().unwrap();
    let server = Server::http(move |_, stream| {
        reply(stream, "200 OK", "Content-Encoding: gzip\r\n", &packed);
    });
    let words = world.refused(&Source::Snapshot(Snapshot::new(&server.url)), &Trust::None);
    assert!(words.starts_with("the manifest: "), "{words}");
}

#[test]
fn an_ssh_server_that_never_begins_is_left() {
    let mut world = World::new();
    std::fs::write(world.path("known_hosts"), "").unwrap();
    let cases: [(u64, &str, Serves); 4] = [
        (600, "banner line too long", |it| without_end(it, b"", &[b'x'; 4096])),
        (600, "No SSH version received", |it| without_end(it, b"", b"Welcome!\x1b[2J\r\n")),
        (1, "git took longer than 1 s", |mut it| hang(&mut it)),
        (1, "git took longer than 1 s", |mut it| {
            while it.write_all(b"Wait\r\n").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        }),
    ];
    for (seconds, words, serve) in cases {
        world.limits.total = Duration::from_secs(seconds);
        let known_hosts = Some(world.path("known_hosts"));
        let url = format!("ssh://git@127.0.0.1:{}/x", port(serve));
        let refusal = world.fetch(&Source::Git(Git { known_hosts, ..main_of(&url) }), &Trust::None);
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Unreachable, "{refusal}");
        let line = refusal.line();
        assert!(line.contains(words) && !line.contains('\u{1b}'), "{line}");
    }
}

/// Names as hostile trees have them, and why they are no names of a model.
const NAMES: [(&[u8], &str); 16] = [
    (b".git", "hasDotgit"),
    (b".GIT", "hasDotgit"),
    (b".git ", "hasDotgit"),
    (b"git~1", "hasDotgit"),
    ("\u{200c}.git".as_bytes(), "hasDotgit"),
    (".g\u{200c}it".as_bytes(), "hasDotgit"),
    (b"..", "hasDotdot"),
    (b".", "hasDot"),
    (b"a/b", "fullPathname"),
    (b"", "empty filename"),
    (&[b'l'; 256], "is no path that a model may have"),
    (&[b'l'; 5000], "largePathname"),
    (b"\xff\xfe", "is not UTF-8"),
    (b"a\nb", "is no path that a model may have"),
    (b"a\rb", "is no path that a model may have"),
    (b"a\x1b[2J\n", "is no path that a model may have"),
];

#[test]
fn names_and_modes_that_no_model_has_are_refused_wherever_they_stand() {
    let mut world = World::new();
    world.repository();
    let blob = written(&world, "blob", b"x");
    let tree = written(&world, "tree", &entry("100644", b"f", &blob));
    let refused = |world: &mut World, content: &[u8], words: &str| {
        let inner = written(world, "tree", content);
        let deeper = written(world, "tree", &entry("40000", b"files", &inner));
        for tree in [inner, deeper] {
            committed(world, &tree);
            let said = world.refused(&world.branch(), &Trust::None);
            assert!(said.contains(words), "{}: {said}", content.escape_ascii());
            assert!(!said.contains(char::is_control), "{said:?}");
        }
    };
    for (name, words) in NAMES {
        refused(&mut world, &entry("100644", name, &blob), words);
        refused(&mut world, &entry("40000", name, &tree), words);
    }
    let odd = "neither a file nor a directory";
    for (mode, words) in [
        ("120000", odd),
        ("160000", odd),
        ("100600", odd),
        ("104755", odd),
        ("10644", odd),
        ("0100644", "zeroPaddedFilemode"),
    ] {
        refused(&mut world, &entry(mode, b"m", &blob), words);
    }
    let twice = [entry("100644", b"a", &blob), entry("100755", b"a", &blob)].concat();
    refused(&mut world, &twice, "duplicateEntries");
    // Other control characters are names like any other; whoever shows them marks them.
    let shown =
        [entry("100644", b"a\x1b[2J", &blob), entry("100644", "a\u{202e}b".as_bytes(), &blob)];
    committed(&world, &written(&world, "tree", &shown.concat()));
    let fetched = world.fetch(&world.branch(), &Trust::None).unwrap().unwrap();
    assert_eq!(files(&fetched), ["a\u{1b}[2J", "a\u{202e}b"]);
}

#[test]
fn a_few_trees_that_name_each_other_many_times_and_one_that_is_deep_are_no_model() {
    let mut world = World::new();
    world.repository();
    let file = written(&world, "tree", &entry("100644", b"f", &written(&world, "blob", b"x")));
    // 10 directories in each of 10 directories, and so on: a thousand million files of ten small trees.
    let mut many = file.clone();
    for _ in 0..9 {
        let ten = (0..10).flat_map(|it| entry("40000", format!("d{it}").as_bytes(), &many));
        many = written(&world, "tree", &ten.collect::<Vec<u8>>());
    }
    committed(&world, &many);
    let words = world.refused(&world.branch(), &Trust::None);
    assert!(words.contains("too many directories"), "{words}");
    let deep = |levels: usize| {
        let mut tree = file.clone();
        for _ in 0..levels {
            tree = written(&world, "tree", &entry("40000", b"d", &tree));
        }
        tree
    };
    let (most, too_deep) = (deep(31), deep(300));
    committed(&world, &too_deep);
    let words = world.refused(&world.branch(), &Trust::None);
    assert!(words.contains("is no path that a model may have"), "{words}");
    committed(&world, &most);
    world.fetch(&world.branch(), &Trust::None).unwrap().unwrap();
}

/// Downloads in a process that has no more memory than this.
fn downloaded_with_little_memory(world: &World, url: &str) -> (DownloadErrorKind, String) {
    let limited = "ulimit -d 131072; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::the_side_with_little_memory", "--test-threads=1"])
        .env("STEADFAST_TEST_LITTLE", world.folder.path())
        .env("STEADFAST_TEST_URL", url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = std::fs::read_to_string(world.path("report")).unwrap();
    let error = from_line(&report).unwrap_err();
    (error.kind, error.words)
}

/// What runs in that process; nothing where it was not started for that.
#[test]
fn the_side_with_little_memory() {
    let Some(world) = std::env::var_os("STEADFAST_TEST_LITTLE") else { return };
    let world = Path::new(&world);
    let source = Source::Git(main_of(&std::env::var("STEADFAST_TEST_URL").unwrap()));
    let (nothing, known, limits) = (Credentials::default(), Known::default(), Limits::default());
    let result = download(&source, &nothing, &known, &world.join("cache"), &limits);
    std::fs::write(world.join("report"), to_line(&result)).unwrap();
}

const TOO_MUCH: &str = "what it sends takes more memory than a fetch may have";

#[test]
fn a_thousand_bytes_that_unpack_to_more_than_a_fetch_may_have_end_the_fetch_alone() {
    let mut world = World::new();
    world.repository();
    let first = world.git(&["rev-parse", "HEAD"]);
    delta_bomb(&world, 200 << 20);
    let (kind, words) = downloaded_with_little_memory(&world, &world.url());
    assert_eq!(kind, DownloadErrorKind::TooLarge, "{words}");
    assert!(words.ends_with(TOO_MUCH), "{words}");
    assert_eq!(world.packs(), [""; 0], "what came in part stays");
    // Where there is memory enough, it is a file that no model has.
    delta_bomb(&world, 300 << 20);
    let words = world.refused(&world.branch(), &Trust::None);
    let size = format!("has {} bytes, more than it may have", 300 << 20);
    assert!(words.starts_with("files/bomb: ") && words.contains(&size), "{words}");
    world.git(&["update-ref", "refs/heads/main", &first]);
    world.fetch(&world.branch(), &Trust::None).unwrap().unwrap();
}

#[test]
fn a_list_of_branches_without_end_ends_the_fetch_alone() {
    let world = World::new();
    let endless = port(|mut stream| {
        let mut request = [0; 1024];
        let _asked = stream.read(&mut request);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n\
                    001e# service=git-upload-pack\n0000";
        let branches = format!("003f{} refs/heads/mainn\n", "1".repeat(40)).repeat(1000);
        without_end(stream, head.as_bytes(), branches.as_bytes());
    });
    let (kind, words) =
        downloaded_with_little_memory(&world, &format!("http://127.0.0.1:{endless}/x"));
    assert_eq!(kind, DownloadErrorKind::TooLarge, "{words}");
    assert!(words.ends_with(TOO_MUCH), "{words}");
}

/// A directory that holds no more than this.
struct Small<'a>(&'a Path);

impl Small<'_> {
    fn mount<'a>(path: &'a Path, options: &str) -> Small<'a> {
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(path).status();
        assert!(done.unwrap().success());
        Small(path)
    }

    fn grow(&self) {
        let mut mount = Command::new("mount");
        let done = mount.args(["-o", "remount,size=64m,nr_inodes=10k"]).arg(self.0).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg(self.0).status();
    }
}

/// A repository with two megabytes that do not compress.
fn with_noise(world: &World) {
    world.repository();
    let mut noise = vec![0; 2 << 20];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    std::fs::write(world.path("work/noise"), &noise).unwrap();
    world.commit("a", "x", &[]);
}

#[test]
fn a_full_disk_is_told_as_that_and_what_came_in_part_does_not_fill_it() {
    if !crate::require::is_root() {
        return;
    }
    let mut world = World::new();
    with_noise(&world);
    let cache = world.path("cache");
    for size in ["size=256k", "size=1m", "size=2500k"] {
        let small = Small::mount(&cache, size);
        let refusal = world.fetch(&world.branch(), &Trust::None).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Local, "{size}: {refusal}");
        assert!(refusal.line().contains("No space left on device"), "{size}: {refusal}");
        assert!(!world.packs().iter().any(|it| it.starts_with("tmp_")), "{size}");
        small.grow();
        world.fetch_knowing(&world.branch(), &Trust::None, &Known::default()).unwrap().unwrap();
        world.anti_rollback = Default::default();
    }
}

#[test]
fn a_disk_that_has_room_for_no_more_files_is_told_as_that_wherever_it_ends() {
    if !crate::require::is_root() {
        return;
    }
    let mut world = World::new();
    world.repository();
    let cache = world.path("cache");
    let mut refused = 0;
    for files in 2..60 {
        let small = Small::mount(&cache, &format!("nr_inodes={files}"));
        let Err(refusal) = world.fetch(&world.branch(), &Trust::None) else { break };
        refused += 1;
        assert_eq!(refusal.kind(), RefusalKind::Local, "{files}: {refusal}");
        let words = refusal.line();
        let git_says_no_more = words.contains("unable to create directory");
        assert!(words.contains("No space left on device") || git_says_no_more, "{words}");
        small.grow();
        world.fetch_knowing(&world.branch(), &Trust::None, &Known::default()).unwrap().unwrap();
        world.anti_rollback = Default::default();
    }
    assert!((10..50).contains(&refused), "{refused}");
}

/// The other side says of itself what ours would say: that is no reason to look at our disk.
#[test]
fn what_the_other_side_says_of_its_own_disk_is_not_taken_for_ours() {
    let mut world = World::new();
    world.repository();
    let server = Server::http(|request, stream| {
        let line = "ERR fatal: write error: No space left on device";
        let body = format!("{:04x}{line}", line.len() + 4);
        let service = "application/x-git-upload-pack-advertisement";
        assert!(request.path.contains("info/refs"));
        reply(stream, "200 OK", &format!("Content-Type: {service}\r\n"), body.as_bytes());
    });
    let refusal = world.fetch(&Source::Git(main_of(&server.url)), &Trust::None).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unreachable, "{refusal}");
}

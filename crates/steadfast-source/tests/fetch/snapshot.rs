//! Signed snapshots from a directory and from web servers, good and hostile ones.

use crate::server::{Server, folder, git, hang, identity, reply};
use crate::support::{World, files};
use jiff::SignedDuration;
use rcgen::{CertificateParams, KeyPair};
use sha2::Digest as _;
use ssh_key::PrivateKey;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use steadfast_model::SourceSet;
use steadfast_source::anti_rollback::{Advance, Expected, Force};
use steadfast_source::manifest::{Archive, File, Manifest};
use steadfast_source::publish::{
    EXPIRES, Publication, PublishError, Published, add_signature, create_key, publish, read_key,
    rotate,
};
use steadfast_source::settings::{Git, Reference, Snapshot, Source, Trust};
use steadfast_source::terms::{Fetched, Known};
use steadfast_source::{RefusalKind, terms};
use steadfast_trust::key_set::KeySet;

fn key(world: &World, name: &str) -> PrivateKey {
    create_key(&world.path(name), name).unwrap();
    read_key(&world.path(name)).unwrap()
}

fn trust(threshold: usize, keys: &[&PrivateKey]) -> Trust {
    let keys = keys.iter().map(|it| it.public_key().to_openssh().unwrap()).collect();
    Trust::Keys { files: vec![], keys, threshold }
}

fn set(keys: &[&PrivateKey]) -> KeySet {
    KeySet { keys: keys.iter().map(|it| it.public_key().clone()).collect(), threshold: 1 }
}

fn put(world: &World, content: &str, signers: &[&PrivateKey]) -> Published {
    let mut sources = SourceSet::default();
    sources.add("model.yaml", content.as_bytes(), false);
    let long = format!("files/{}x", "a-long-name/".repeat(12));
    sources.add(long, &b"#!/bin/sh\n"[..], true);
    let publication = Publication {
        model: "m",
        channel: "production",
        sources: &sources,
        commit: None,
        attribution: None,
        now: world.now,
        expires: EXPIRES,
    };
    let signers: Vec<PrivateKey> = signers.iter().map(|it| (*it).clone()).collect();
    publish(&world.path("www"), &publication, &signers).unwrap()
}

fn local(world: &World) -> Source {
    Source::Snapshot(Snapshot::new(format!("file://{}", world.path("www").display())))
}

fn remote(server: &Server) -> Source {
    Source::Snapshot(Snapshot::new(&server.url))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_snapshot_is_fetched_followed_and_asked_for_once() {
    let mut world = World::new();
    world.expected = Expected { model: Some("m".into()), channel: Some("production".into()) };
    let anna = key(&world, "anna");
    let trust = trust(1, &[&anna]);
    put(&world, "model: m\n", &[&anna]);
    let server = Server::http(folder(world.path("www")));
    let source = remote(&server);
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!((fetched.advance, server.count()), (Advance::First, 2));
    assert_eq!(files(&fetched).len(), 2);
    assert!(fetched.sources.iter().next().unwrap().1.executable);
    assert_eq!(fetched.signers[0].name, "anna");

    let known = Known::from_state(&world.anti_rollback, true, fetched.validator.clone());
    assert!(world.fetch_knowing(&source, &trust, &known).unwrap().is_none());
    assert_eq!(server.count(), 3, "a poll without news is one request");

    // A renewal brings no archive again; other content does.
    world.now += SignedDuration::from_hours(24);
    assert_eq!((put(&world, "model: m\n", &[&anna]).sequence, server.count()), (1, 3));
    let renewed = world.fetch_knowing(&source, &trust, &known).unwrap().unwrap();
    assert_eq!((renewed.advance, server.count()), (Advance::Renewed, 4));
    assert_eq!(put(&world, "model: m # 2\n", &[&anna]).sequence, 2);
    let fetched: Fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!((fetched.advance, server.count()), (Advance::Forward, 6));

    world.expected.channel = Some("staging".into());
    let words = world.refused(&source, &trust);
    assert_eq!(words, "the snapshot is for channel `production`, and not for `staging`");
}

#[test]
fn an_old_an_expired_and_a_second_content_are_refused() {
    let mut world = World::new();
    let anna = key(&world, "anna");
    let trust = trust(1, &[&anna]);
    let source = local(&world);
    put(&world, "a: 1\n", &[&anna]);
    copy(&world.path("www"), &world.path("old"));
    put(&world, "a: 2\n", &[&anna]);
    world.fetch(&source, &trust).unwrap().unwrap();
    copy(&world.path("www"), &world.path("new"));

    copy(&world.path("old"), &world.path("www"));
    let words = world.refused(&source, &trust);
    assert_eq!(words, "snapshot 1 is older than snapshot 2, which was accepted before");
    put(&world, "a: 3\n", &[&anna]);
    let words = world.refused(&source, &trust);
    assert_eq!(words, "snapshot 2 has another content than the one accepted under that number");

    copy(&world.path("new"), &world.path("www"));
    world.now += EXPIRES;
    let refusal = world.fetch(&source, &trust).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Stale);
    assert!(refusal.line().ends_with("the model is stale"), "{refusal}");
    assert!(put(&world, "a: 2\n", &[&anna]).renewed);
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().advance, Advance::Renewed);
}

#[test]
fn what_has_expired_stays_so_when_the_clock_is_put_back() {
    let mut world = World::new();
    let anna = key(&world, "anna");
    let (trust, source) = (trust(1, &[&anna]), local(&world));
    put(&world, "a: 1\n", &[&anna]);
    let before = world.now;
    world.now += EXPIRES;
    assert!(world.refused(&source, &trust).ends_with("the model is stale"));
    world.now = before;
    let refusal = world.fetch(&source, &trust).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Stale);
    assert!(refusal.line().contains("this machine's clock says"), "{refusal}");
    // So does a key that was good until then.
    let believed = world.anti_rollback.believed.unwrap();
    assert_eq!(believed, before + EXPIRES);
    assert_eq!(world.anti_rollback.time(before, Force::No), believed);
    // The clock was ahead, and root says so.
    world.force = Force::Yes;
    world.fetch(&source, &trust).unwrap().unwrap();
    world.force = Force::No;
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().advance, Advance::Same);
}

#[test]
fn who_has_signed_is_asked_before_any_file_is_read() {
    let mut world = World::new();
    let (anna, eve) = (key(&world, "anna"), key(&world, "eve"));
    let (trusted, source) = (trust(1, &[&anna]), local(&world));
    put(&world, "a: 1\n", &[&eve]);
    assert!(world.refused(&source, &trusted).ends_with("which is not trusted"));
    let offer = world.path("cache/offer");
    let brought = std::fs::read(&offer).unwrap();
    let at = brought.windows(6).position(|it| it == b"\nfile ").unwrap() + 1;
    for (behind, words) in [
        (&b"file 40 99999999999\n"[..], "larger than it may be"),
        (b"keys 1 99999999999\n", "larger than it may be"),
        (b"tree 1 1\n", "out of place"),
    ] {
        std::fs::write(&offer, [&brought[..at], behind].concat()).unwrap();
        let refusal = world.accept(&source, &trust(1, &[&eve])).unwrap_err();
        assert!(refusal.line().ends_with(words), "{refusal}");
        if !behind.starts_with(b"keys") {
            let refusal = world.accept(&source, &trusted).unwrap_err();
            assert!(refusal.line().ends_with("which is not trusted"), "{refusal}");
        }
    }
}

#[test]
fn as_many_keys_as_the_threshold_says_must_sign() {
    let mut world = World::new();
    let (anna, bert, eve) = (key(&world, "anna"), key(&world, "bert"), key(&world, "eve"));
    let both = trust(2, &[&anna, &bert]);
    let source = local(&world);
    put(&world, "a: 1\n", &[]);
    assert_eq!(world.refused(&source, &both), "snapshot 1 is not signed");
    put(&world, "a: 1\n", &[&eve]);
    assert!(world.refused(&source, &both).ends_with("which is not trusted"));
    put(&world, "a: 1\n", &[&anna, &eve]);
    let few = "snapshot 1 has 1 of the 2 signatures that it needs";
    assert_eq!(world.refused(&source, &both), few);
    add_signature(&world.path("www"), &anna).unwrap();
    assert_eq!(world.refused(&source, &both), few);
    add_signature(&world.path("www"), &bert).unwrap();
    assert_eq!(world.fetch(&source, &both).unwrap().unwrap().signers.len(), 2);
    // Changed after it was signed.
    let path = world.path("www/manifest.signed");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"sequence\": 1", "\"sequence\": 9")).unwrap();
    assert!(world.refused(&source, &both).contains("what is signed is something else"));
    // What ssh-keygen signs under the right namespace counts too, under another it does not.
    std::fs::write(world.path("signed"), text.split("-----BEGIN").next().unwrap()).unwrap();
    for (namespace, good) in [("git", false), ("steadfast-snapshot", true)] {
        let _old = std::fs::remove_file(world.path("signed.sig"));
        world.run("ssh-keygen", &["-q", "-Y", "sign", "-n", namespace, "-f", "anna", "signed"]);
        let one = std::fs::read_to_string(world.path("signed")).unwrap();
        let signature = std::fs::read_to_string(world.path("signed.sig")).unwrap();
        std::fs::write(&path, format!("{one}{signature}")).unwrap();
        let result = world.fetch(&source, &trust(1, &[&anna]));
        assert_eq!(result.is_ok(), good, "{namespace}: {result:?}");
    }
}

#[test]
fn keys_are_rotated_along_a_chain_and_never_back() {
    let mut world = World::new();
    let (anna, bert, carl) = (key(&world, "anna"), key(&world, "bert"), key(&world, "carl"));
    let trust = trust(1, &[&anna]);
    let source = local(&world);
    put(&world, "a: 1\n", &[&anna]);
    world.fetch(&source, &trust).unwrap().unwrap();
    copy(&world.path("www"), &world.path("before"));

    let www = world.path("www");
    let wrong = rotate(&www, "m", &set(&[&anna]), set(&[&carl]), std::slice::from_ref(&carl));
    assert!(matches!(wrong, Err(PublishError::OldKeys(_))), "{wrong:?}");
    rotate(&www, "m", &set(&[&anna]), set(&[&bert]), std::slice::from_ref(&anna)).unwrap();
    // The old key signs on: not any more.
    put(&world, "a: 2\n", &[&anna]);
    assert!(world.refused(&source, &trust).ends_with("which is not trusted"));
    put(&world, "a: 2\n", &[&bert]);
    world.fetch(&source, &trust).unwrap().unwrap();
    rotate(&www, "m", &set(&[&bert]), set(&[&carl]), std::slice::from_ref(&bert)).unwrap();
    put(&world, "a: 3\n", &[&carl]);
    world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(world.anti_rollback.removed_keys.len(), 2);
    assert_eq!(world.anti_rollback.key_set.unwrap().number, 2);
    put(&world, "a: 4\n", &[&carl]);
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().advance, Advance::Forward);

    // Whoever has an old key cannot go on from before the rotation, nor make another chain.
    let (bad, www) = (world.path("before"), world.path("www"));
    std::fs::remove_dir_all(&www).unwrap();
    copy(&bad, &www);
    for content in ["b: 1\n", "b: 2\n", "b: 3\n", "b: 4\n"] {
        put(&world, content, &[&anna]);
    }
    assert_eq!(
        world.refused(&source, &trust),
        "key set 0 is older than key set 2, which was accepted before"
    );
    let eve = key(&world, "eve");
    rotate(&www, "m", &set(&[&anna]), set(&[&eve]), std::slice::from_ref(&anna)).unwrap();
    rotate(&www, "m", &set(&[&eve]), set(&[&eve, &anna]), std::slice::from_ref(&eve)).unwrap();
    put(&world, "b: 5\n", &[&eve]);
    assert!(world.refused(&source, &trust).contains("key set 2 is another than the one accepted"));
}

#[test]
fn a_new_node_walks_the_whole_chain_or_starts_where_its_settings_stand() {
    let mut world = World::new();
    let (anna, bert, carl) = (key(&world, "anna"), key(&world, "bert"), key(&world, "carl"));
    let www = world.path("www");
    std::fs::create_dir(&www).unwrap();
    rotate(&www, "m", &set(&[&anna]), set(&[&bert]), std::slice::from_ref(&anna)).unwrap();
    rotate(&www, "m", &set(&[&bert]), set(&[&carl]), std::slice::from_ref(&bert)).unwrap();
    put(&world, "a: 1\n", &[&carl]);
    let source = local(&world);
    for start in [&anna, &bert, &carl] {
        world.anti_rollback = Default::default();
        world.fetch(&source, &trust(1, &[start])).unwrap().unwrap();
        assert_eq!(world.anti_rollback.key_set.unwrap().number, 2);
    }
    let eve = key(&world, "eve");
    world.anti_rollback = Default::default();
    assert!(world.refused(&source, &trust(1, &[&eve])).ends_with("which is not trusted"));
    std::fs::remove_file(www.join("keys/1.signed")).unwrap();
    assert!(world.refused(&source, &trust(1, &[&anna])).contains("keys/1.signed"));
}

#[test]
fn an_archive_that_is_cut_off_changed_or_too_large_is_refused() {
    let mut world = World::new();
    let anna = key(&world, "anna");
    let trust = trust(1, &[&anna]);
    let source = local(&world);
    put(&world, "a: 1\n", &[&anna]);
    let archive = std::fs::read_dir(world.path("www/archives")).unwrap().next().unwrap().unwrap();
    let whole = std::fs::read(archive.path()).unwrap();
    std::fs::write(archive.path(), &whole[..whole.len() / 2]).unwrap();
    assert!(world.refused(&source, &trust).contains("is cut off"));
    let mut changed = whole.clone();
    changed[20] ^= 1;
    std::fs::write(archive.path(), &changed).unwrap();
    assert!(world.refused(&source, &trust).ends_with("has other content than the manifest says"));
    let mut longer = whole.clone();
    longer.extend([0; 100]);
    std::fs::write(archive.path(), &longer).unwrap();
    assert!(world.refused(&source, &trust).contains("has more than"));
    std::fs::write(archive.path(), &whole).unwrap();
    world.fetch(&source, &trust).unwrap().unwrap();
}

#[test]
fn a_server_that_sends_without_end_or_hardly_at_all_is_left() {
    let mut world = World::new();
    let trust = trust(1, &[&key(&world, "anna")]);
    world.limits.idle = Duration::from_millis(200);
    world.limits.total = Duration::from_millis(600);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let silent = Server::http(|_, stream| hang(stream));
    let stuck = Server::http(move |_, stream| {
        let _sent = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
        hang(stream);
    });
    let dripping = Server::http(move |_, stream| {
        let mut sent = stream.write_all(head.as_bytes());
        while sent.is_ok() {
            std::thread::sleep(Duration::from_millis(50));
            sent = stream.write_all(b"{").and_then(|()| stream.flush());
        }
    });
    for server in [silent, stuck, dripping] {
        let refusal = world.fetch(&remote(&server), &trust).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Unreachable, "{refusal}");
        assert!(refusal.line().contains("it is too slow"), "{refusal}");
    }
    world.limits = Default::default();
    let endless = Server::http(|_, stream| {
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while sent.is_ok() {
            sent = stream.write_all(&[b' '; 65_536]);
        }
    });
    let huge = Server::http(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n";
        let _sent = stream.write_all(head.as_bytes());
    });
    for server in [endless, huge] {
        let refusal = world.fetch(&remote(&server), &trust).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Broken, "{refusal}");
        assert!(refusal.line().contains("has more than 67108864 bytes"), "{refusal}");
    }
    let cut = Server::http(move |_, stream| {
        let _sent = stream.write_all(head.as_bytes());
    });
    assert_eq!(world.fetch(&remote(&cut), &trust).unwrap_err().kind(), RefusalKind::Broken);
}

#[test]
fn redirects_lead_to_https_and_answers_are_what_they_say() {
    let mut world = World::new();
    let trust = trust(1, &[&key(&world, "anna")]);
    let elsewhere = |to: &'static str| {
        Server::http(move |_, stream| {
            reply(stream, "302 Found", &format!("Location: {to}\r\n"), b"");
        })
    };
    for to in ["http://127.0.0.1:1/x", "/again"] {
        let words = world.refused(&remote(&elsewhere(to)), &trust);
        assert!(words.contains("something other than https"), "{to}: {words}");
    }
    let words = world.refused(&remote(&elsewhere("file:///etc/passwd")), &trust);
    assert!(words.ends_with("the server answered 302 Found"), "{words}");
    let gone = Server::http(|_, stream| reply(stream, "404 Not Found", "", b""));
    let words = world.refused(&remote(&gone), &trust);
    assert!(words.ends_with("/manifest.signed: the server answered 404 Not Found"), "{words}");
    let unasked = Server::http(|_, stream| reply(stream, "304 Not Modified", "", b""));
    assert!(world.refused(&remote(&unasked), &trust).contains("304"));
    let html = Server::http(|_, stream| reply(stream, "200 OK", "", b"<html>\x1b[2J"));
    let words = world.refused(&remote(&html), &trust);
    assert!(words.starts_with("the manifest: ") && !words.contains('\u{1b}'), "{words}");
}

#[test]
fn tls_is_believed_only_with_the_right_authority_and_name() {
    let mut world = World::new();
    let anna = key(&world, "anna");
    let trust = trust(1, &[&anna]);
    put(&world, "a: 1\n", &[&anna]);
    let server = Server::https(&["127.0.0.1"], folder(world.path("www")));
    let words = world.refused(&remote(&server), &trust);
    assert!(words.contains("certificate"), "{words}");
    std::fs::write(world.path("ca.pem"), &server.certificate).unwrap();
    let with_ca = |server: &Server| {
        let ca = Some(world.path("ca.pem"));
        Source::Snapshot(Snapshot { url: server.url.clone(), ca, proxy: None })
    };
    let (good, other) = (with_ca(&server), Server::https(&["other.example"], |_, _| {}));
    world.fetch(&good, &trust).unwrap().unwrap();
    // A certificate that has run out is told as that, of git too.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 12, 31);
    let expired = params.self_signed(&key).unwrap();
    server.present(identity(&expired, &key));
    std::fs::write(world.path("ca.pem"), expired.pem()).unwrap();
    let git = Git {
        ca: Some(world.path("ca.pem")),
        ..Git::new(format!("{}/.git", server.url), Reference::Branch("main".into()))
    };
    for (source, trust) in [(&good, &trust), (&Source::Git(git), &Trust::None)] {
        let words = world.fetch(source, trust).unwrap_err().line();
        assert!(words.contains("certificate expired"), "{words}");
    }
    std::fs::write(world.path("ca.pem"), &other.certificate).unwrap();
    let other = Source::Snapshot(Snapshot {
        url: other.url.clone(),
        ca: Some(world.path("ca.pem")),
        proxy: None,
    });
    let words = world.refused(&other, &trust);
    assert!(words.contains("certificate"), "{words}");
    std::fs::write(world.path("ca.pem"), "no certificate").unwrap();
    assert!(world.refused(&other, &trust).contains("no certificate in the file"));
}

#[test]
fn a_poll_without_news_costs_one_small_answer_over_tls() {
    let mut world = World::new();
    let anna = key(&world, "anna");
    let trust = trust(1, &[&anna]);
    put(&world, &format!("a: {}\n", "x".repeat(100_000)), &[&anna]);
    let server = Server::https(&["127.0.0.1"], folder(world.path("www")));
    std::fs::write(world.path("ca.pem"), &server.certificate).unwrap();
    let (port, moved) = counting(&server);
    let source = Source::Snapshot(Snapshot {
        url: format!("https://127.0.0.1:{port}"),
        ca: Some(world.path("ca.pem")),
        proxy: None,
    });
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    let first = moved.swap(0, Ordering::SeqCst);
    let known = Known::from_state(&world.anti_rollback, true, fetched.validator.clone());
    for poll in 0..3 {
        assert!(world.fetch_knowing(&source, &trust, &known).unwrap().is_none());
        // All that goes over the wire in both directions: the TLS handshake and one 304.
        let bytes = moved.swap(0, Ordering::SeqCst);
        eprintln!("poll {poll}: {bytes} bytes; the first fetch: {first}");
        assert!((500..4096).contains(&bytes), "{bytes}");
    }
    assert_eq!(server.count(), 2 + 3);
    // Without the content a 304 would be of no use, so it is not asked for.
    let known = Known::from_state(&world.anti_rollback, false, fetched.validator);
    assert!(world.fetch_knowing(&source, &trust, &known).unwrap().is_some());
}

/// A port that leads to a server, and how many bytes went through it.
fn counting(server: &Server) -> (u16, Arc<AtomicU64>) {
    let to = server.url.rsplit('/').next().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let moved = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&moved);
    let pump = |mut from: TcpStream, mut to: TcpStream, count: Arc<AtomicU64>| {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            // Before it arrives, so that whoever got it finds it counted.
            count.fetch_add(bytes as u64, Ordering::SeqCst);
            if to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        let _closed = to.shutdown(Shutdown::Write);
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&to).unwrap();
            let (from, into) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let (one, other) = (Arc::clone(&count), Arc::clone(&count));
            std::thread::spawn(move || pump(from, into, one));
            std::thread::spawn(move || pump(client, server, other));
        }
    });
    (port, moved)
}

#[test]
fn ten_gibibytes_in_a_small_archive_are_not_unpacked() {
    let mut world = World::new();
    let trust = trust(1, &[&key(&world, "anna")]);
    const GIB: u64 = 1 << 30;
    let digest = [7; 32];
    let named = |path: &str, size: u64| File { path: path.into(), digest, size, executable: false };
    let entry = |kind: tar::EntryType, path: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path(path).unwrap();
        header.set_size(10 * GIB);
        header.set_mode(0o644);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let cases = [
        // What is in it, what the manifest says of it, the reason.
        (
            entry(tar::EntryType::Regular, "model.yaml"),
            named("model.yaml", 9),
            "has another size than the manifest says",
        ),
        (
            entry(tar::EntryType::GNULongName, "model.yaml"),
            named("model.yaml", 9),
            "the archive holds more than the manifest says",
        ),
        (
            entry(tar::EntryType::Regular, "model.yaml"),
            named("model.yaml", 10 * GIB),
            "it is larger than a model may be",
        ),
        (
            entry(tar::EntryType::GNULongName, "model.yaml"),
            // The most that a model may have: so much is unpacked, and no more.
            named("model.yaml", 256 * 1024 * 1024),
            "the archive holds more than the manifest says",
        ),
    ];
    for (first, file, reason) in cases {
        let bytes = bomb(&first, 10 * GIB);
        assert!(bytes.len() < 20_000_000, "{} bytes", bytes.len());
        let www = world.path("www");
        std::fs::create_dir_all(www.join("archives")).unwrap();
        let archive =
            Archive { digest: sha2::Sha256::digest(&bytes).into(), size: bytes.len() as u64 };
        std::fs::write(www.join(archive.name()), &bytes).unwrap();
        // Nobody signs it: that is looked at by the other side, which never unpacks.
        let manifest = Manifest {
            model: "m".into(),
            channel: "production".into(),
            sequence: 1,
            keys: 0,
            created: world.now,
            expires: world.now + SignedDuration::from_hours(1),
            commit: None,
            archive,
            lines: None,
            files: vec![file],
        };
        std::fs::write(www.join("manifest.signed"), manifest.write()).unwrap();
        let server = Server::https(&["127.0.0.1"], folder(www));
        std::fs::write(world.path("ca.pem"), &server.certificate).unwrap();
        let ca = Some(world.path("ca.pem"));
        let source = Source::Snapshot(Snapshot { url: server.url.clone(), ca, proxy: None });
        let refusal = world.fetch(&source, &trust).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Broken, "{refusal}");
        assert!(refusal.line().ends_with(reason), "{refusal}");
        let left: u64 = std::fs::read_dir(world.path("cache"))
            .unwrap()
            .map(|it| it.unwrap().metadata().unwrap().len())
            .sum();
        assert!(left < 40_000_000, "{left} bytes lie in the cache");
    }
}

/// A gzip file of something and many zeros after it, made by repeating one compressed block.
fn bomb(first: &[u8], zeros: u64) -> Vec<u8> {
    let deflated = |bytes: &[u8]| {
        let mut zip = flate2::Compress::new(flate2::Compression::best(), false);
        let mut out = Vec::with_capacity(1 << 20);
        zip.compress_vec(bytes, &mut out, flate2::FlushCompress::Full).unwrap();
        out
    };
    const BLOCK: usize = 16 << 20;
    let block = deflated(&vec![0; BLOCK]);
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.extend(deflated(first));
    for _ in 0..zeros / BLOCK as u64 {
        bytes.extend(&block);
    }
    // An empty last block; nobody comes as far as the checksum.
    bytes.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn git_is_fetched_over_http_and_https_too() {
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    world.signed("model.yaml", "model: y\n", &key);
    let server = Server::http(git(world.folder.path().to_owned()));
    let branch = Reference::Branch("main".into());
    let source = Source::Git(Git::new(format!("{}/work/.git", server.url), branch.clone()));
    world.fetch(&source, &trust).unwrap().unwrap();

    world.commit("a", "x", &[]);
    world.signed("model.yaml", "model: z\n", &key);
    let server = Server::https(&["127.0.0.1"], git(world.folder.path().to_owned()));
    let mut secure = Git::new(format!("{}/work/.git", server.url), branch);
    std::fs::write(world.path("token"), "secret\n").unwrap();
    secure.token_file = Some(world.path("token"));
    let words = world.refused(&Source::Git(secure.clone()), &trust);
    assert!(words.contains("certificate"), "{words}");
    std::fs::write(world.path("ca.pem"), &server.certificate).unwrap();
    secure.ca = Some(world.path("ca.pem"));
    let fetched = world.fetch(&Source::Git(secure.clone()), &trust).unwrap().unwrap();
    assert_eq!(fetched.advance, Advance::Forward);
    let log = server.log.lock().unwrap();
    assert!(log.iter().all(|it| it.header("authorization") == Some("Basic dG9rZW46c2VjcmV0")));
    drop(log);

    // A server that never answers.
    let silent = Server::http(|_, stream| hang(stream));
    world.limits.total = Duration::from_millis(500);
    secure = Git::new(&silent.url, Reference::Branch("main".into()));
    let refusal = world.fetch(&Source::Git(secure), &trust).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unreachable);
    assert!(refusal.line().contains("took longer than"), "{refusal}");
}

#[test]
fn a_report_crosses_to_another_process_on_one_line() {
    use steadfast_download::{DownloadError, DownloadErrorKind};
    let results = [
        Ok(terms::Download::Unchanged),
        Ok(terms::Download::Offer { validator: Some(Default::default()) }),
        Err(DownloadError::new(DownloadErrorKind::TimedOut, "a\nb\u{1b}[2J")),
    ];
    for result in results {
        let line = terms::to_line(&result);
        assert!(!line.contains('\n'));
        assert_eq!(terms::from_line(&line), result);
    }
    assert!(terms::from_line("").unwrap_err().words.contains("without a word"));
}

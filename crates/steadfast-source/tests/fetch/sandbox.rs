//! Fetching in a process that has given up what it had, and accepting outside of it.

use crate::require::is_root;
use crate::server::Server;
use crate::support::{World, exists};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use steadfast_download::sandbox::{Confined, confine};
use steadfast_source::accept::accept;
use steadfast_source::anti_rollback::Force;
use steadfast_source::download::{download, download_and_tell};
use steadfast_source::settings::{Git, Limits, Reference, Source};
use steadfast_source::terms::{Credentials, Download, Known, Terms, from_line, to_line};

const USER: u32 = 64_321;

#[test]
fn a_confined_process_brings_a_model_and_can_do_nothing_else() {
    if !is_root() {
        return;
    }
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    world.signed("model.yaml", "model: y\n", &key);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(world.folder.path(), open).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sandbox::the_confined_side", "--nocapture", "--test-threads=1"])
        .env("STEADFAST_TEST_WORLD", world.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = std::fs::read_to_string(world.path("cache/report")).unwrap();
    assert_eq!(from_line(&line), Ok(Download::Offer { validator: None }));
    assert!(!exists(&world.path("cache/run")));
    let source = world.branch();
    let terms = Terms {
        source: &source,
        trust: &trust,
        expected: &world.expected,
        now: world.now,
        zone: &jiff::tz::TimeZone::UTC,
        force: Force::No,
        run_as: None,
        limits: &world.limits,
    };
    let fetched =
        accept(&terms, &mut world.anti_rollback, &world.folder.path().join("cache")).unwrap();
    assert_eq!(fetched.signers[0].name, "anna@x");
}

/// What runs in the process of its own; nothing where it was not started for that.
#[test]
fn the_confined_side() {
    let Some(world) = std::env::var_os("STEADFAST_TEST_WORLD") else { return };
    let world = Path::new(&world);
    let cache = world.join("cache");
    let url = format!("file://{}", world.join("work").display());
    let mut git = Git::new(url, Reference::Branch("main".into()));
    git.ssh_key = None;
    let source = Source::Git(git);
    let credentials = Credentials::read(&source).unwrap();
    let limits = Limits::default();
    assert_eq!(confine(&cache, Some((USER, USER)), &limits.transfer()).unwrap(), Confined::AsUser);

    assert!(std::fs::read(world.join("anna")).is_err(), "it reads a private key");
    assert!(std::fs::write(world.join("x"), "").is_err(), "it writes beside its directory");
    assert!(std::fs::read("/etc/shadow").is_err(), "it reads what is root's");
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find_map(|it| it.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("Uid:"), [USER; 4].map(|it| it.to_string()).join(" "));
    assert_eq!(line("Gid:"), [USER; 4].map(|it| it.to_string()).join(" "));
    assert_eq!(
        (line("Groups:"), line("NoNewPrivs:"), line("CapEff:")),
        (String::new(), "1".into(), "0".repeat(16))
    );

    let result = download(&source, &credentials, &Known::default(), &cache, &limits);
    std::fs::write(cache.join("report"), to_line(&result)).unwrap();
}

/// Name and number of all that a process has started, and what that has.
fn started_by(parent: i32) -> Vec<(String, Pid)> {
    let mut processes = vec![];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else { continue };
        let pid: i32 = stat[..open].trim().parse().unwrap();
        let of: i32 = stat[close + 1..].split_whitespace().nth(1).unwrap().parse().unwrap();
        processes.push((of, pid, stat[open + 1..close].to_owned()));
    }
    let mut found = vec![];
    let mut parents = vec![parent];
    while let Some(parent) = parents.pop() {
        for (_, pid, name) in processes.iter().filter(|it| it.0 == parent) {
            parents.push(*pid);
            found.push((name.clone(), Pid::from_raw(*pid).unwrap()));
        }
    }
    found
}

/// A server that sends a byte now and then is never too slow for git.
#[test]
fn no_git_outlives_a_fetcher_that_is_killed() {
    let world = World::new();
    let (began, begins) = std::sync::mpsc::channel();
    let server = Server::http(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement";
        let _gone = write!(stream, "{head}\r\n\r\n").and_then(|()| stream.flush());
        let _seen = began.send(());
        while stream.write_all(b"0").and_then(|()| stream.flush()).is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sandbox::the_side_that_is_killed", "--nocapture", "--test-threads=1"])
        .env("STEADFAST_TEST_CACHE", world.path("cache"))
        .env("STEADFAST_TEST_URL", &server.url)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    begins.recv_timeout(Duration::from_secs(60)).unwrap();
    let started = started_by(i32::try_from(child.id()).unwrap());
    assert!(started.iter().any(|it| it.0.starts_with("git-remote")), "{started:?}");
    let handles: Vec<_> = started
        .iter()
        .map(|it| (&it.0, rustix::process::pidfd_open(it.1, PidfdFlags::empty()).unwrap()))
        .collect();
    // It alone, and not its group.
    child.kill().unwrap();
    child.wait().unwrap();
    for (name, handle) in handles {
        let mut ends = [PollFd::new(&handle, PollFlags::IN)];
        let most = Timespec { tv_sec: 30, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut ends, Some(&most)), Ok(1), "{name} still runs");
    }
}

/// What runs in the process that is killed; nothing where it was not started for that.
#[test]
fn the_side_that_is_killed() {
    let Some(cache) = std::env::var_os("STEADFAST_TEST_CACHE") else { return };
    let url = std::env::var("STEADFAST_TEST_URL").unwrap();
    let source = Source::Git(Git::new(url, Reference::Branch("main".into())));
    let limits = Limits::default();
    let result =
        download(&source, &Credentials::default(), &Known::default(), Path::new(&cache), &limits);
    panic!("it ended by itself: {result:?}");
}

/// What is written down of a history may take long and end in a kill; the answer does not wait for it.
#[test]
fn the_answer_is_told_before_the_history_is_written_down() {
    let mut world = World::new();
    world.repository();
    world.commit("model.yaml", "model: y\n", &[]);
    let source = world.branch();
    world.fetch(&source, &steadfast_source::settings::Trust::None).unwrap().unwrap();
    world.commit("model.yaml", "model: z\n", &[]);
    let known = Known::from_state(&world.anti_rollback, true, None);
    let cache = world.path("cache");
    let mut told = None;
    download_and_tell(&source, &Credentials::default(), &known, &cache, &world.limits, |it| {
        told = Some((it, exists(&cache.join("offer")), exists(&cache.join("history"))));
    });
    assert_eq!(told, Some((Ok(Download::Offer { validator: None }), true, false)));
    assert!(exists(&cache.join("history")));
}

/// Each transfer may take its time, and many of them one after the other no more than all together.
#[test]
fn the_transfers_of_a_fetch_share_one_deadline() {
    let world = World::new();
    let server = Server::http(|_, stream| crate::server::hang(stream));
    let snapshot = steadfast_source::settings::Snapshot::new(&server.url);
    for source in [
        Source::Git(Git::new(server.url.clone(), Reference::Branch("main".into()))),
        Source::Snapshot(snapshot),
    ] {
        let limits = Limits { total: Duration::ZERO, ..Limits::default() };
        let result = download(
            &source,
            &Credentials::default(),
            &Known::default(),
            &world.path("cache"),
            &limits,
        );
        assert_eq!(result.unwrap_err().kind, steadfast_download::DownloadErrorKind::TimedOut);
    }
    assert_eq!(server.count(), 0);
}

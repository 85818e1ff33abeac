//! The agent and its source over the network: what is right is adopted and kept, and whatever is not is
//! refused, told, and changes nothing.

use super::lab::beside::{Authority, HOST, commit, desk, push, says};
use super::lab::installed::{
    ask, installed, is_idle, journal, revision, settings, status, until, wait_for,
};
use super::lab::machine::Machine;
use super::lab::nspawn::{children, must};
use crate::publish::Desk;
use crate::source_servers::server::{Request, Stream, folder, git, hang, reply};
use jiff::Timestamp;
use serde_json::{Value, json};
use sshd::Sshd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use steadfast_model::SourceSet;
use steadfast_source::directory::read_directory;
use steadfast_source::publish::{EXPIRES, Publication, publish, read_key};

#[path = "../../../crates/steadfast-source/tests/fetch/sshd.rs"]
mod sshd;

/// It is adopted, and says so.
#[track_caller]
fn takes(machine: &Machine, wanted: &str, text: &str) -> Value {
    let status = wait_for(machine, "adopted", |it| revision(it) == wanted && is_idle(it));
    assert_eq!(machine.text("/etc/motd"), format!("{text}\n"), "{status:#}");
    status
}

fn git_over_https() -> String {
    format!(
        "source: {{ git: {{ url: \"https://{HOST}/.git\", branch: main, ca: /etc/steadfast/ca.pem }} }}
trust: {{ allowed_signers: /etc/steadfast/allowed_signers }}"
    )
}

/// What the agent keeps.
struct Kept<'a> {
    machine: &'a Machine,
    revision: &'a str,
    text: &'a str,
}

impl Kept<'_> {
    /// The source is asked, and its answer is not taken for this reason. What was adopted before is kept.
    #[track_caller]
    fn refuses(&self, kind: &str, words: &str) {
        let Kept { machine, revision: wanted, text } = self;
        machine.write("/etc/motd", "drifted\n");
        let before = status(machine)["next_fetch"].clone();
        ask(machine);
        let status = wait_for(machine, words, |it| {
            // It has an answer to this question, and not only to one before.
            let next = it["next_fetch"].as_str().unwrap_or_default().parse::<Timestamp>();
            next.is_ok_and(|next| next > Timestamp::now())
                && it["next_fetch"] != before
                && it["refusal"]["kind"] == kind
                && it["refusal"]["because"].as_str().is_some_and(|it| it.contains(words))
        });
        assert_eq!(revision(&status), *wanted, "{status:#}");
        until(machine, "still kept", || machine.text("/etc/motd") == format!("{text}\n"));
        let page = machine.ok(&["steadfast", "status"]);
        // Only a long name is not broken.
        let fits = |it: &str| it.chars().count() <= 80 || it.split_whitespace().count() <= 2;
        assert!(page.lines().all(fits), "{page}");
        let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{page}");
    }
}

#[test]
fn git_over_https_is_followed_by_whom_it_can_be_believed() {
    let Some(machine) = installed() else { return };
    let desk = desk(&machine, &["anna", "eve"]);
    let authority = Authority::new("ours");
    let silent = Arc::new(AtomicBool::new(false));
    let (says_nothing, mut answer) = (Arc::clone(&silent), git(desk.model.path().to_owned()));
    let server = authority.server(&machine, move |request, stream| {
        if says_nothing.load(Ordering::Relaxed) { hang(stream) } else { answer(request, stream) }
    });
    let first = commit(&desk, "one", "anna");
    settings(&machine, &git_over_https().replace("branch: main", "branch: main, timeout: 5s"));
    machine.ok(&["systemctl", "start", "steadfast"]);
    takes(&machine, &first, "one");
    let second = commit(&desk, "two", "anna");
    takes(&machine, &second, "two");
    let kept = Kept { machine: &machine, revision: &second, text: "two" };

    commit(&desk, "forged", "eve");
    kept.refuses("signature", "which is not trusted");
    desk.git(&[], &["reset", "--quiet", "--hard", &first]);
    commit(&desk, "rewritten", "anna");
    kept.refuses("not-forward", &format!("does not descend from {second}"));

    for (identity, words) in [
        (Authority::new("another").certifies(HOST, 4000), "UnknownIssuer"),
        (authority.certifies("other.example.test", 4000), "does not match target host name"),
        (authority.certifies(HOST, 2025), "certificate expired"),
    ] {
        server.present(identity);
        kept.refuses("unreachable", words);
    }
    server.present(authority.certifies(HOST, 4000));
    silent.store(true, Ordering::Relaxed);
    kept.refuses("unreachable", "git took longer than 5 s");
    silent.store(false, Ordering::Relaxed);
    desk.git(&[], &["reset", "--quiet", "--hard", &second]);
    let third = commit(&desk, "three", "anna");
    ask(&machine);
    takes(&machine, &third, "three");
}

#[test]
fn git_over_ssh_is_followed_from_the_host_that_is_known() {
    let Some(machine) = installed() else { return };
    let desk = desk(&machine, &["anna", "deploy", "host", "other"]);
    let public = |key: &str| std::fs::read_to_string(desk.path(&format!("{key}.pub"))).unwrap();
    std::fs::write(desk.path("authorized_keys"), format!("restrict {}", public("deploy"))).unwrap();
    let network = format!("--net={}", machine.network().display());
    let Some(sshd) = Sshd::start(desk.folder.path(), 22, &["nsenter", &network]) else { return };
    let first = commit(&desk, "one", "anna");
    push(&machine, &desk.path("deploy"));
    let know = |key: &str| {
        machine.write("/etc/steadfast/known_hosts", format!("{HOST} {}", public(key)));
    };
    know("host");
    let (user, model) = (&sshd.user, desk.model.path().display());
    let source = format!(
        "source: {{ git: {{ url: \"ssh://{user}@{HOST}{model}\", branch: main, \
         ssh_key: /etc/steadfast/deploy, known_hosts: /etc/steadfast/known_hosts }} }}
trust: {{ allowed_signers: /etc/steadfast/allowed_signers }}"
    );
    settings(&machine, &source);
    machine.ok(&["systemctl", "start", "steadfast"]);
    takes(&machine, &first, "one");

    // The host has another key than before.
    know("other");
    let second = commit(&desk, "two", "anna");
    let kept = Kept { machine: &machine, revision: &first, text: "one" };
    kept.refuses("unreachable", "the host has another key than the one that is known");
    machine.write("/etc/steadfast/known_hosts", "");
    kept.refuses("unreachable", "the key of the host is not known");
    know("host");
    ask(&machine);
    takes(&machine, &second, "two");
    let left = machine.ok(&["find", "/var/cache/steadfast", "/tmp", "-name", "*key*"]);
    assert_eq!(left, "", "no key stays");
}

/// What is to be seen on the machine when its power is cut, if the agent does not come before.
#[derive(Debug)]
enum Moment {
    /// Git is at work.
    Fetching,
    /// Something was brought, and is not accepted yet.
    Offered,
    /// This directory holds more than before.
    More(&'static str),
    /// This file is another than before.
    Replaced(&'static str),
    /// The promise was kept.
    Repaired,
}

/// By then it has come, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

const MOMENTS: [Moment; 8] = [
    Moment::Fetching,
    Moment::Offered,
    Moment::More("/var/lib/steadfast/content"),
    Moment::More("/var/lib/steadfast/revisions"),
    Moment::Replaced("/var/lib/steadfast/trust/floor.1"),
    Moment::Replaced("/var/lib/steadfast/agent.1.json"),
    Moment::Replaced("/var/lib/steadfast/agent.2.json"),
    Moment::Repaired,
];

impl Moment {
    /// Something that is different once the moment has come.
    fn look(&self, machine: &Machine) -> Vec<String> {
        match self {
            Moment::Fetching => machine.names("/var/cache/steadfast/fetch", "run"),
            Moment::Offered => {
                let whole = machine.stamp("/var/cache/steadfast/fetch/offer");
                whole.iter().map(|it| format!("{it:?}")).collect()
            }
            Moment::More(folder) => {
                let mut names = machine.names(folder, "");
                names.sort();
                names
            }
            Moment::Replaced(file) => vec![machine.text(file)],
            Moment::Repaired => vec![machine.text("/etc/motd")],
        }
    }

    /// Whether it has come, or is over: that an earlier offer was taken away is not yet a new one.
    fn has_come(&self, machine: &Machine, before: &[String]) -> bool {
        let now = self.look(machine);
        let is_there = match self {
            Moment::Offered => !now.is_empty(),
            Moment::Fetching | Moment::More(_) | Moment::Replaced(_) | Moment::Repaired => true,
        };
        is_there && now != before
    }
}

#[test]
fn a_machine_that_is_cut_off_while_it_adopts_goes_on_afterwards() {
    let Some(mut machine) = installed() else { return };
    let desk = desk(&machine, &["anna"]);
    let authority = Authority::new("ours");
    let server = authority.server(&machine, git(desk.model.path().to_owned()));
    let first = commit(&desk, "begin", "anna");
    settings(&machine, &git_over_https());
    machine.ok(&["systemctl", "start", "steadfast"]);
    takes(&machine, &first, "begin");
    for (at, moment) in MOMENTS.iter().enumerate() {
        let text = format!("moment {at}");
        let next = commit(&desk, &text, "anna");
        let before = moment.look(&machine);
        ask(&machine);
        // It comes, or has come and gone: then there is the end to cut into.
        let asked = Instant::now();
        while !moment.has_come(&machine, &before) && !machine.text("/etc/motd").contains(&text) {
            // It is over too soon for looking less often.
            assert!(asked.elapsed() < PATIENCE, "never {moment:?}\n{}", journal(&machine));
        }
        machine.kill();
        machine.boot_again();
        server.listen(machine.listen(443));
        wait_for(&machine, "up", |it| !it.is_null());
        ask(&machine);
        let status = takes(&machine, &next, &text);
        assert_eq!((&status["bad"], &status["refusal"]), (&json!([]), &Value::Null), "{moment:?}");
        let torn = machine.ok(&["find", "/var/lib/steadfast", "-name", "*damaged*"]);
        assert_eq!(torn, "", "{moment:?}");
    }
}

/// How a web server behaves.
enum How {
    Well,
    /// It ends in the middle of the archive.
    Torn,
    /// Its archive is as long as nobody's disk.
    Endless {
        said: bool,
    },
    /// It says a little from time to time.
    Dripping,
    /// It says nothing.
    Silent,
}

struct Www {
    folder: PathBuf,
    how: How,
    /// Of the endless archive.
    sent: u64,
}

/// What a whole disk would have no room for.
const HUGE: u64 = 10 << 30;

fn www(www: Arc<Mutex<Www>>) -> impl FnMut(&Request, &mut dyn Stream) + Send {
    move |request, stream| {
        let mut www = www.lock().unwrap();
        let archive = request.path.starts_with("/archives/");
        match www.how {
            How::Torn if archive => {
                let whole = std::fs::read(www.folder.join(&request.path[1..])).unwrap();
                reply(stream, "200 OK", "", &whole[..whole.len() / 2]);
            }
            How::Endless { said } if archive => {
                let length =
                    if said { format!("Content-Length: {HUGE}\r\n") } else { String::new() };
                let mut going =
                    stream.write_all(format!("HTTP/1.1 200 OK\r\n{length}\r\n").as_bytes());
                while going.is_ok() && www.sent < HUGE {
                    going = stream.write_all(&[0; 65_536]);
                    www.sent += 65_536;
                }
            }
            How::Dripping => {
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
                let mut going = stream.write_all(head.as_bytes());
                while going.is_ok() {
                    std::thread::sleep(Duration::from_millis(200));
                    going = stream.write_all(b"{").and_then(|()| stream.flush());
                }
            }
            How::Silent => hang(stream),
            How::Well | How::Torn | How::Endless { .. } => {
                folder(www.folder.clone())(request, stream);
            }
        }
    }
}

/// Writes a snapshot as no good publisher would: with another's key, of another model, at another time.
fn published(desk: &Desk, www: &str, (key, model, now): (&str, &str, &str)) {
    let mut sources = SourceSet::default();
    read_directory(desk.model.path(), &mut sources).unwrap();
    let publication = Publication {
        model,
        channel: "test",
        sources: &sources,
        commit: None,
        attribution: None,
        now: now.parse().unwrap(),
        expires: EXPIRES,
    };
    publish(&desk.path(www), &publication, &[read_key(&desk.path(key)).unwrap()]).unwrap();
}

#[test]
fn snapshots_are_followed_over_https_and_no_server_does_harm() {
    let Some(machine) = installed() else { return };
    let desk = desk(&machine, &["anna", "eve"]);
    let authority = Authority::new("ours");
    let state = Arc::new(Mutex::new(Www { folder: desk.path("www"), how: How::Well, sent: 0 }));
    let server = authority.server(&machine, www(Arc::clone(&state)));
    let serve = |folder: &str, how: How| {
        let mut state = state.lock().unwrap();
        (state.folder, state.how) = (desk.path(folder), how);
    };
    let copy = |from: &str, to: &str| {
        must(Command::new("cp").arg("-a").arg(desk.path(from)).arg(desk.path(to)));
    };
    let publish = |text: &str| {
        says(&desk, text);
        desk.published(&["anna"], &[]);
    };
    let takes = |number: u64, text: &str| {
        let status = wait_for(&machine, "adopted", |it| sequence(it) == number && is_idle(it));
        assert_eq!(machine.text("/etc/motd"), format!("{text}\n"), "{status:#}");
        revision(&status)
    };
    publish("one");
    copy("www", "first");
    settings(
        &machine,
        &format!(
            "source: {{ snapshot: {{ url: \"https://{HOST}\", ca: /etc/steadfast/ca.pem, timeout: 5s }} }}
trust: {{ keys: /etc/steadfast/anna.pub }}"
        ),
    );
    // Whatever comes: no process of the agent may have more memory than this.
    machine.sh("mkdir -p /etc/systemd/system/steadfast.service.d
         printf '[Service]\nLimitDATA=1G\n' >/etc/systemd/system/steadfast.service.d/test.conf
         systemctl daemon-reload; systemctl start steadfast");
    takes(1, "one");

    // A poll without news.
    let (before, heard) = (server.count(), status(&machine)["heard"].clone());
    ask(&machine);
    wait_for(&machine, "heard again", |it| it["heard"] != heard && is_idle(it));
    let log = server.log.lock().unwrap().split_off(before);
    let is_poll =
        |it: &Request| it.path == "/manifest.signed" && it.header("if-none-match").is_some();
    assert!(!log.is_empty() && log.iter().all(is_poll), "{log:?}");

    publish("two");
    ask(&machine);
    let second = takes(2, "two");
    let kept = Kept { machine: &machine, revision: &second, text: "two" };

    // An older one, another one under its number, one that has expired, and one of another model.
    serve("first", How::Well);
    kept.refuses("not-forward", "snapshot 1 is older than snapshot 2, which was accepted before");
    copy("first", "second");
    let now = Timestamp::now().to_string();
    says(&desk, "twofold");
    published(&desk, "second", ("anna", "test", &now));
    serve("second", How::Well);
    kept.refuses("two-contents", "snapshot 2 has another content than the one accepted under");
    copy("www", "stale");
    published(&desk, "stale", ("anna", "test", "2025-01-01T00:00:00Z"));
    serve("stale", How::Well);
    kept.refuses("expired", "snapshot 3 expired at 2025-01-31T00:00:00Z");
    copy("www", "forged");
    published(&desk, "forged", ("eve", "test", &now));
    serve("forged", How::Well);
    kept.refuses("signature", "which is not trusted");
    for text in ["a", "b", "c"] {
        says(&desk, text);
        published(&desk, "foreign", ("anna", "foreign", &now));
    }
    serve("foreign", How::Well);
    kept.refuses("foreign", "the snapshot is of model `foreign`, and not of `test`");

    // Servers that do not send what they should.
    publish("three");
    serve("www", How::Torn);
    kept.refuses("broken", "is cut off");
    for said in [true, false] {
        serve("www", How::Endless { said });
        kept.refuses("broken", "has more than");
    }
    let sent = state.lock().unwrap().sent;
    assert!(sent < 64 << 20, "it listened to {sent} bytes");
    serve("www", How::Silent);
    kept.refuses("unreachable", "it is too slow");
    verifies_as_another_user(&machine);
    serve("www", How::Dripping);
    kept.refuses("unreachable", "it is too slow");
    let size = machine.ok(&["du", "-s", "-B1", "/var/cache/steadfast"]);
    let size: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
    assert!(size < 4 << 20, "{size} bytes lie in the cache");
    serve("www", How::Well);
    for (identity, words) in [
        (Authority::new("another").certifies(HOST, 4000), "UnknownIssuer"),
        (authority.certifies("other.example.test", 4000), "not valid for name"),
        (authority.certifies(HOST, 2025), "expired"),
    ] {
        server.present(identity);
        kept.refuses("unreachable", words);
    }

    server.present(authority.certifies(HOST, 4000));
    ask(&machine);
    takes(3, "three");
    let verified = machine.run(&VERIFY);
    assert_eq!((verified.status, &*verified.stderr), (0, ""), "{verified:#?}");
    assert!(verified.stdout.starts_with("snapshot   3 of test for test\n"), "{verified:#?}");
}

const VERIFY: [&str; 7] = [
    "steadfast",
    "verify",
    "https://source.example.test",
    "--keys",
    "/etc/steadfast/anna.pub",
    "--ca",
    "/etc/steadfast/ca.pem",
];

/// By hand it is not root either who speaks with a server. This one does not answer.
fn verifies_as_another_user(machine: &Machine) {
    let verifying = machine.spawn(&VERIFY);
    let owner = |pid: u32| std::fs::metadata(format!("/proc/{pid}")).map_or(0, |it| it.uid());
    assert_eq!(owner(verifying.pid()), 0);
    until(machine, "fetched as another user", || {
        children(verifying.pid()).into_iter().any(|it| owner(it) != 0)
    });
}

fn sequence(status: &Value) -> u64 {
    status["adopted"]["sequence"].as_u64().unwrap_or_default()
}

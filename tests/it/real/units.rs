//! What a step does to units and asks of them, on a booted machine: units that crash, ignore SIGTERM, fork, are
//! activated by sockets, and have others that hang on them. The second half of each test runs inside the machine.

use super::lab::machine::Machine;
use crate::contract::{inside, real_host};
use std::path::Path;
use std::time::Duration;
use steadfast_engine::component::{Answer, Health};
use steadfast_model::application::Port;
use steadfast_model::application::component::Ask;
use steadfast_node::deployments::units::{self, Asked, Units};
use steadfast_system::services::{Lives as _, Write as _};
use steadfast_system::{Host, UnitName};

const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// A server that answers with a status and a header.
const SERVER: &str = r#"#!/usr/bin/perl
use IO::Socket::INET;
my ($port, $status) = @ARGV;
my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 5, ReuseAddr => 1)
    or die "no port: $!";
while (my $client = $socket->accept) {
    while (<$client>) { last if /^\r?$/ }
    print $client "HTTP/1.1 $status\r\nX-Release: 1.4\r\nContent-Length: 0\r\n\r\n";
    close $client;
}
"#;

fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

fn units(names: &[&str]) -> Units {
    let all: Vec<UnitName> = names.iter().map(|it| unit(it)).collect();
    let running = all.iter().cloned().collect();
    Units { all, running }
}

fn host() -> Host {
    real_host(Path::new("/root/steadfast"))
}

const PATIENCE: Duration = Duration::from_secs(20);

/// The names of what is there.
fn there(all: &Units, host: &Host) -> Vec<String> {
    let found = units::running(all, false, host).unwrap();
    found.iter().map(|it| it.unit.to_string()).collect()
}

fn port(number: u16) -> Port {
    Port { address: None, number, is_udp: false }
}

/// What it answers, without its journal.
fn asked(all: &Units, ask: Option<&Ask>, ports: &[Port], host: &Host) -> String {
    let now = jiff::Timestamp::now().as_second();
    let question = Asked { units: all, ask, ports, tree: "/srv", now };
    words(&units::ask(question, host))
}

fn words(answer: &Answer) -> String {
    match &answer.health {
        Health::Well => "well".to_owned(),
        Health::Ill(it) => format!("ill: {}", it.reason),
        Health::Dead(it) => format!("dead: {}", it.reason),
    }
}

/// Asks until the answer is as expected: programs take a moment to begin.
#[track_caller]
fn becomes(expected: &str, answer: impl Fn() -> String) {
    let mut last = String::new();
    for _ in 0..200 {
        last = answer();
        if last == expected {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(last, expected);
}

fn machine(files: &[(&str, &str)]) -> Option<Machine> {
    let machine = Machine::boot()?;
    for (name, text) in files {
        machine.write(&format!("/etc/systemd/system/{name}"), text);
    }
    machine.write("/usr/local/bin/server", SERVER);
    machine.ok(&["chmod", "755", "/usr/local/bin/server"]);
    machine.ok(&["systemctl", "daemon-reload"]);
    Some(machine)
}

/// Runs the other half of a test.
fn run(machine: &Machine, test: &str) {
    inside(machine, &format!("real::units::{test}"));
}

fn done() {
    crate::contract::tell(&crate::contract::Transcript::default());
}

#[test]
fn what_a_stop_takes_along_is_known_and_nothing_of_a_unit_is_left() {
    let unit = |more: &str| format!("[Unit]\n{more}{SLEEPS}");
    let stubborn = "[Service]\nTimeoutStopSec=1\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n";
    let keeps =
        "[Service]\nKillMode=process\nExecStart=/bin/sh -c 'sleep 1000 & exec sleep infinity'\n";
    let forks = "[Service]\nExecStart=/bin/sh -c '(sleep 1000 &) ; exec sleep infinity'\n";
    let Some(machine) = machine(&[
        ("app.service", SLEEPS),
        ("needs.service", &unit("Requires=app.service\nAfter=app.service\n")),
        ("bound.service", &unit("BindsTo=needs.service\n")),
        ("part.service", &unit("PartOf=app.service\n")),
        ("idle.service", &unit("Requires=app.service\n")),
        ("beside.service", &unit("Wants=app.service\n")),
        ("tick.timer", "[Timer]\nOnActiveSec=1h\nUnit=app.service\n"),
        ("stubborn.service", stubborn),
        ("keeps.service", keeps),
        ("forks.service", forks),
        ("many@.service", SLEEPS),
    ]) else {
        return;
    };
    machine.ok(&["systemctl", "start", "needs", "bound", "part", "beside", "tick.timer"]);
    machine.ok(&["systemctl", "start", "stubborn", "keeps", "forks", "many@1", "many@2"]);
    run(&machine, "stops_inside_a_machine");
    // The same without a bus, by systemctl.
    machine.ok(&["systemctl", "kill", "--signal=KILL", "keeps"]);
    machine.ok(&["systemctl", "restart", "stubborn", "keeps", "forks", "many@1", "many@2"]);
    machine.ok(&["systemctl", "stop", "dbus.socket", "dbus.service"]);
    run(&machine, "stops_inside_a_machine");
}

#[test]
#[ignore = "the test above starts it in a machine of its own"]
fn stops_inside_a_machine() {
    let host = host();
    let app = units(&["app"]);
    let along = units::along(&app, false, &host).unwrap();
    let names: Vec<&str> = along.iter().map(|it| &**it).collect();
    assert_eq!(names, ["bound.service", "needs.service", "part.service", "tick.timer"]);
    assert_eq!(there(&app, &host), ["app.service"]);
    units::stop(&app, &[], false, &host).unwrap();
    let taken: Vec<UnitName> = names.iter().map(|it| unit(it)).collect();
    let lives = host.lives(&taken.iter().collect::<Vec<_>>()).unwrap();
    assert!(lives.iter().all(|it| !it.is_there()), "{lives:#?}");
    assert!(there(&app, &host).is_empty());
    units::start(&app, PATIENCE, &host).unwrap();
    units::start_again(&taken, PATIENCE, &host).unwrap();
    let lives = host.lives(&taken.iter().collect::<Vec<_>>()).unwrap();
    assert!(lives.iter().all(|it| it.active.runs()), "{lives:#?}");

    // One that does not listen to SIGTERM, one that leaves children in its group, instances of a template.
    for names in [&["stubborn"][..], &["forks"], &["many@"]] {
        let all = units(names);
        assert!(!there(&all, &host).is_empty(), "{names:?}");
        units::stop(&all, &[], false, &host).unwrap();
        assert!(there(&all, &host).is_empty(), "{names:?}");
    }
    // One whose processes systemd does not end: it says so, and goes on saying so.
    let keeps = units(&["keeps"]);
    for _ in 0..2 {
        let error = units::stop(&keeps, &[], false, &host).unwrap_err().to_string();
        assert!(error.contains("(sleep) is still there"), "{error}");
        assert_eq!(there(&keeps, &host), ["keeps.service"]);
    }
    done();
}

#[test]
fn what_is_well_is_told_by_more_than_a_word_of_systemd() {
    let Some(machine) = machine(&[
        (
            "crash.service",
            "[Service]\nRestart=always\nRestartSec=1h\nExecStart=/bin/sh -c 'echo why; exit 3'\n",
        ),
        ("ends.service", "[Service]\nExecStart=/bin/sh -c 'echo the reason; exit 4'\n"),
        (
            "never.service",
            "[Service]\nType=notify\nTimeoutStartSec=1\nExecStart=/bin/sleep infinity\n",
        ),
        ("once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n"),
        ("stays.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"),
        (
            "forking.service",
            "[Service]\nType=forking\nExecStart=/bin/sh -c 'sleep infinity & exit 0'\n",
        ),
        ("web.service", "[Service]\nUser=daemon\nExecStart=/usr/local/bin/server 8081 '200 OK'\n"),
        ("moved.service", "[Service]\nExecStart=/usr/local/bin/server 8082 '302 Found'\n"),
        ("other.service", SLEEPS),
        ("lazy.socket", "[Socket]\nListenStream=127.0.0.1:8083\n"),
        ("lazy.service", "[Service]\nExecStart=/bin/sleep infinity\n"),
    ]) else {
        return;
    };
    run(&machine, "answers_inside_a_machine");
    machine.ok(&["systemctl", "stop", "lazy.socket", "lazy", "dbus.socket", "dbus.service"]);
    run(&machine, "answers_inside_a_machine");
}

#[test]
#[ignore = "the test above starts it in a machine of its own"]
fn answers_inside_a_machine() {
    let host = host();
    let start = |names: &[&str]| units::start(&units(names), PATIENCE, &host);
    let services = |names: &[&str]| asked(&units(names), None, &[], &host);
    start(&["once", "stays", "forking", "web", "moved", "other"]).unwrap();
    assert_eq!(services(&["once", "stays", "forking", "web"]), "well");
    assert_eq!(services(&["web", "nowhere"]), "dead: there is no unit nowhere.service");

    // What does not come to run says why.
    let why = start(&["never"]).unwrap_err();
    assert!(why.reason.contains("start never.service"), "{why:?}");
    assert_eq!(
        services(&["never"]),
        "dead: never.service is failed (failed): it was not ready within its time"
    );
    start(&["ends"]).unwrap();
    becomes("dead: ends.service is failed (failed): it exited with an error", || {
        services(&["ends"])
    });
    let all = units(&["ends"]);
    let now = jiff::Timestamp::now().as_second();
    let question = Asked { units: &all, ask: None, ports: &[], tree: "/srv", now };
    let Health::Dead(illness) = units::ask(question, &host).health else { panic!() };
    assert!(illness.journal.iter().any(|it| &**it == "the reason"), "{illness:?}");
    start(&["crash"]).unwrap();
    becomes("ill: crash.service is activating (auto-restart)", || services(&["crash"]));

    // A process is known again, and another one is another one.
    let process = |all: &Units| units::running(all, false, &host).unwrap()[0].process.clone();
    let web = units(&["web"]);
    let before = process(&web);
    assert_eq!((process(&web), before.is_some()), (before.clone(), true));
    host.restart(&unit("web"), PATIENCE).unwrap();
    assert_ne!(process(&web), before);

    // What is asked over the network.
    let http = |port: u16, status: &[u16], release: &str| Ask::Http {
        url: format!("http://127.0.0.1:{port}/").into(),
        status: status.into(),
        header: [("x-release".into(), release.into())].into(),
    };
    let ask =
        |names: &[&str], ask: &Ask, ports: &[Port]| asked(&units(names), Some(ask), ports, &host);
    becomes("well", || ask(&["web"], &http(8081, &[200], "1.4"), &[port(8081)]));
    assert_eq!(
        ask(&["web"], &http(8081, &[200], "1.5"), &[]),
        "ill: http://127.0.0.1:8081/ answers with x-release: 1.4, and not 1.5"
    );
    assert_eq!(
        ask(&["moved"], &http(8082, &[200], "1.4"), &[]),
        "ill: http://127.0.0.1:8082/ answers 302 Found"
    );
    assert_eq!(ask(&["moved"], &http(8082, &[200, 302], "1.4"), &[]), "well");
    assert_eq!(ask(&["web"], &Ask::Tcp("127.0.0.1:8081".into()), &[port(8081)]), "well");
    let refused = ask(&["web"], &Ask::Tcp("127.0.0.1:8090".into()), &[]);
    assert!(refused.starts_with("ill: connect to 127.0.0.1:8090"), "{refused}");
    // Somebody else answers on a port of its own.
    let foreign = ask(&["other"], &Ask::Tcp("127.0.0.1:8081".into()), &[port(8081)]);
    assert!(
        foreign.starts_with("ill: who answers is not proven: web.service (")
            && foreign.ends_with("listens on 127.0.0.1:8081"),
        "{foreign}"
    );
    assert_eq!(ask(&["other"], &Ask::Tcp("127.0.0.1:8081".into()), &[port(8090)]), "well");

    // A socket that systemd holds for a service is its own, also before anybody has come.
    start(&["lazy.socket"]).unwrap();
    let lazy = &["lazy.socket", "lazy"];
    let tcp = Ask::Tcp("127.0.0.1:8083".into());
    assert_eq!(services(lazy), "well");
    assert_eq!(ask(lazy, &tcp, &[port(8083)]), "well");
    let foreign = ask(&["other"], &tcp, &[port(8083)]);
    assert!(foreign.starts_with("ill: who answers is not proven: "), "{foreign}");

    // Who is on a port is told before anything is stopped.
    let none = |_: &str| None;
    let on =
        |names: &[&str], all: &[Port]| units::foreign(all, &units(names), &none, &host).unwrap();
    assert_eq!(on(&["web"], &[port(8081), port(8099)]), [""; 0]);
    let promised = |it: &str| (it == "web.service").then(|| "service:web".to_owned());
    let told = units::foreign(&[port(8081)], &units(&["other"]), &promised, &host).unwrap();
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(
        told.starts_with("port 8081 is in use: web.service (")
            && told.ends_with("which service:web promises listens on 127.0.0.1:8081"),
        "{told}"
    );
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let number = udp.local_addr().unwrap().port();
    let of_udp = Port { is_udp: true, ..port(number) };
    assert_eq!(on(&["other"], std::slice::from_ref(&of_udp)).len(), 1);
    assert_eq!(on(&["other"], &[port(number)]), [""; 0]);
    let elsewhere = Port { address: Some([127, 0, 0, 2].into()), ..of_udp };
    assert_eq!(on(&["other"], &[elsewhere]), [""; 0]);

    // Open connections are counted where they are cut.
    let clients: Vec<_> =
        (0..3).map(|_| std::net::TcpStream::connect("127.0.0.1:8081").unwrap()).collect();
    let stopped = units::stop(&units(&["web"]), &[], false, &host).unwrap();
    assert_eq!((stopped.connections, clients.len()), (Some(3), 3));
    start(&["web"]).unwrap();

    // A program runs as the user of the first service, in the tree.
    let command = |words: &str, user: Option<&str>| {
        let arguments = ["/bin/sh", "-c", words].map(Into::into).to_vec();
        Ask::Command(steadfast_model::application::component::Command {
            arguments,
            user: user.map(Into::into),
        })
    };
    assert_eq!(
        ask(&["web"], &command("test $(id -un) = daemon && test $PWD = /srv", None), &[]),
        "well"
    );
    assert_eq!(ask(&["web"], &command("test $(id -un) = root", Some("root")), &[]), "well");
    assert_eq!(
        ask(&["web"], &command("echo sick; exit 5", None), &[]),
        "ill: /bin/sh exited with 5: sick"
    );
    done();
}

#[test]
fn jobs_come_to_rest_and_begin_again() {
    let job = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'until test -e /run/end; do sleep 0.1; done'\n";
    let Some(machine) = machine(&[
        ("job.service", job),
        ("job.timer", "[Timer]\nOnActiveSec=0\nOnUnitInactiveSec=1\nAccuracySec=1ms\n"),
        ("worker.service", SLEEPS),
        ("spare.service", SLEEPS),
    ]) else {
        return;
    };
    machine.ok(&["systemctl", "start", "worker", "job.timer"]);
    run(&machine, "quiesces_inside_a_machine");
}

#[test]
#[ignore = "the test above starts it in a machine of its own"]
fn quiesces_inside_a_machine() {
    let host = host();
    let named = ["worker", "job", "spare"].map(unit);
    let busy = || units::busy(&named, &host).unwrap().join(" ");
    becomes("worker.service job.timer job.service", busy);
    units::quiesce(&named, "people/api", false, &host).unwrap();
    // The job is waited for, and nothing begins it again.
    assert_eq!(busy(), "job.service");
    std::fs::write("/run/end", "").unwrap();
    becomes("", busy);
    std::fs::remove_file("/run/end").unwrap();
    // What was active before is again, and nothing else.
    units::resume("people/api", PATIENCE, &host).unwrap();
    becomes("worker.service job.timer job.service", busy);
    // Or it is stopped.
    units::quiesce(&named, "people/api", true, &host).unwrap();
    assert_eq!(busy(), "");
    units::resume("people/api", PATIENCE, &host).unwrap();
    becomes("worker.service job.timer job.service", busy);
    units::resume("people/api", PATIENCE, &host).unwrap();
    done();
}

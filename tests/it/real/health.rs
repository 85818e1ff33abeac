//! Services that promise to be healthy, asked over HTTP and by programs on a booted machine.

use super::lab::installed::{
    DIRECTORY, installed, is_idle, journal, kept, revision, settings, wait_for,
};
use super::lab::machine::Machine;
use serde_json::{Value, json};

/// An HTTP server that gives the status it is started with, or the one that stands in /run/answer. It
/// says in the journal that it was asked.
const SERVER: &str = r#"use IO::Socket::INET;
$| = 1;
my ($answer, $pause) = @ARGV;
sleep $pause;
my $socket = IO::Socket::INET->new(
    LocalAddr => "127.0.0.1", LocalPort => 8081, Listen => 5, ReuseAddr => 1) or die "no port: $!";
while (my $client = $socket->accept) {
    while (<$client>) { last if /^\r?$/ }
    if (open my $file, "<", "/run/answer") { chomp($answer = <$file>) }
    print "asked, and says $answer\n";
    print $client "HTTP/1.1 $answer\r\nContent-Length: 0\r\n\r\n";
    close $client;
}
"#;

/// A model with a greeting, and with the server where it is given arguments.
fn model(machine: &Machine, greeting: &str, arguments: Option<&str>) {
    let mut server =
        format!("server: web\nfiles:\n  /etc/motd: {{ content: \"{greeting}\\n\" }}\n");
    if let Some(arguments) = arguments {
        server += &format!(
            "services:
  api:
    running: true
    settle: 0s
    health: {{ http: \"http://127.0.0.1:8081/health\", within: 20s }}
    unit: {{ content: \"[Service]\\nExecStart=/usr/bin/perl /srv/api.pl {arguments}\\n\" }}
"
        );
    }
    machine.server_model(&[("servers/web.yaml", &server)]);
}

fn process(machine: &Machine) -> String {
    machine.ok(&["systemctl", "show", "-P", "InvocationID", "api"])
}

#[test]
fn a_revision_whose_service_is_not_healthy_is_gone_back_from_and_remembered() {
    let Some(machine) = installed() else { return };
    machine.write("/srv/api.pl", SERVER);
    model(&machine, "one", None);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let good = revision(&kept(&machine));

    // Nothing of it was kept before, so only its health speaks against it.
    model(&machine, "two", Some("'500 Internal Server Error' 0"));
    let is_bad = |it: &Value| it["bad"].as_array().is_some_and(|it| !it.is_empty());
    let back = wait_for(&machine, "gone back", is_bad);
    assert_eq!(revision(&back), good, "{back:#}");
    assert_eq!(back["bad"][0]["promise"], "service:api", "{back:#}");
    let because = back["bad"][0]["reason"].as_str().unwrap_or_default();
    assert!(because.contains("it is not healthy"), "{because}");
    assert!(because.contains("answers 500 Internal Server Error"), "{because}");
    assert!(because.contains("journal: asked, and says 500"), "{because}");
    assert_eq!(machine.text("/etc/motd"), "one\n");

    // One that needs some time is waited for.
    model(&machine, "three", Some("'204 No Content' 3"));
    let next = wait_for(&machine, "adopted", |it| {
        revision(it) != good && is_idle(it) && it["trying"].is_null()
    });
    assert_eq!(next["last_run"]["not_kept"], json!([]), "{next:#}\n{}", journal(&machine));
    assert_eq!(machine.text("/etc/motd"), "three\n");

    // Later it says that it is sick: that is not kept, and nothing is restarted.
    let before = process(&machine);
    machine.write("/run/answer", "503 Service Unavailable\n");
    let dry = machine.steadfast(&["run", "--dry-run"]);
    assert_eq!(dry.status, 4, "{dry:#?}");
    assert!(dry.stdout.contains("answers 503 Service Unavailable"), "{dry:#?}");
    let run = machine.steadfast(&["run"]);
    assert_eq!(run.status, 4, "{run:#?}");
    assert!(run.stdout.contains("answers 503 Service Unavailable"), "{run:#?}");
    assert_eq!(process(&machine), before);

    // Once it is well again, the first run says so, and the next one has nothing to say.
    machine.write("/run/answer", "200 OK\n");
    let run = machine.steadfast(&["run"]);
    assert_eq!(run.status, 0, "{run:#?}");
    let history = machine.ok(&["steadfast", "history"]);
    let same = machine.steadfast(&["run"]);
    assert_eq!((same.status, &same.stdout), (0, &run.stdout));
    assert_eq!(process(&machine), before);
    assert_eq!(machine.ok(&["steadfast", "history"]), history, "a healthy look left a trace");
}

#[test]
fn a_revision_with_a_window_in_an_unknown_zone_is_not_taken() {
    let Some(machine) = installed() else { return };
    model(&machine, "one", None);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let good = revision(&kept(&machine));
    model(&machine, "two", None);
    let environment = machine.text("/srv/model/environments/test.yaml");
    machine.write(
        "/srv/model/environments/test.yaml",
        format!("{environment}policy: {{ adopt: {{ window: Mon 09:00-16:00 Mars/Olympus }} }}\n"),
    );
    let waits = wait_for(&machine, "refused", |it| {
        it["newer"]["because"].to_string().contains("Mars/Olympus")
    });
    assert_eq!(revision(&waits), good, "{waits:#}");
    assert_eq!(machine.text("/etc/motd"), "one\n");
}

#[test]
fn of_a_service_that_fails_the_words_of_its_last_start_are_shown_in_lines_and_no_others() {
    let Some(machine) = Machine::boot() else { return };
    machine.write(
        "/usr/lib/systemd/system/broken.service",
        "[Service]\nExecStart=/bin/sh /srv/broken.sh\n",
    );
    let script = "echo attempt $(cat /srv/attempt)\necho \"it's \\\"broken\\\"\"\nexit 7\n";
    machine.write("/srv/broken.sh", script);
    machine.ok(&["systemctl", "daemon-reload"]);
    machine.server_model(&[(
        "servers/web.yaml",
        "server: web\nservices: { broken: { running: true, settle: 1s } }\n",
    )]);
    // One after the other, and well within the time of which its journal is of interest.
    for attempt in ["one", "two", "three"] {
        machine.write("/srv/attempt", format!("{attempt}\n"));
        let run = machine.steadfast(&["run", "--model", "/srv/model"]);
        assert_eq!(run.status, 4, "{run:#?}");
        let said: Vec<&str> = run.stdout.lines().filter(|it| it.contains("attempt ")).collect();
        assert_eq!(said.len(), 1, "{run:#?}");
        assert!(said[0].ends_with(&format!("journal: attempt {attempt}")), "{run:#?}");
        assert!(run.stdout.contains("journal: it's \"broken\""), "{run:#?}");
    }
}

#[test]
fn an_agent_shows_the_words_of_a_service_that_fails_in_lines() {
    let Some(machine) = installed() else { return };
    machine.write("/srv/api.pl", SERVER);
    model(&machine, "one", Some("'500 Internal Server Error' 0"));
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let now = wait_for(&machine, "not kept", |it| !it["last_run"]["not_kept"][0].is_null());
    let broken = &now["last_run"]["not_kept"][0];
    let because = broken["because"].as_str().unwrap();
    assert!(because.contains("answers 500 Internal Server Error"), "{because}");
    assert!(!because.contains("journal") && !because.contains('\n'), "{because}");
    let said = |line: &Value| line.as_str().is_some_and(|it| it.starts_with("asked, and says 500"));
    assert!(broken["journal"].as_array().unwrap().iter().any(said), "{broken:#}");
    let page = machine.ok(&["steadfast", "status"]);
    assert!(page.contains("\n             journal: asked, and says 500 "), "{page}");
    let told = machine.ok(&["journalctl", "STEADFAST_EVENT=not-kept", "-o", "cat"]);
    assert!(told.contains("\njournal: asked, and says 500 "), "{told}");
}

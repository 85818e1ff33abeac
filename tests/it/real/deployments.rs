//! Applications on a booted machine: a component is deployed, upgraded, repaired, and taken back as a whole where the
//! new one is ill.

use super::lab::installed::{DIRECTORY, installed, journal, settings, wait_for};
use super::lab::machine::{Machine, Output};
use serde_json::Value;

/// A server that answers as its configuration says, and says which release it is of.
pub(super) const PROGRAM: &str = r##"#!/usr/bin/perl
use IO::Socket::INET;
$| = 1;
my $release = "RELEASE";
open my $file, "<", $ARGV[0] or die "no configuration: $!";
chomp(my $answer = <$file>);
my $socket = IO::Socket::INET->new(
    LocalAddr => "127.0.0.1", LocalPort => 8081, Listen => 5, ReuseAddr => 1) or die "no port: $!";
while (my $client = $socket->accept) {
    while (<$client>) { last if /^\r?$/ }
    print $client "HTTP/1.1 $answer\r\nContent-Length: " . length($release) . "\r\n\r\n$release";
    close $client;
}
"##;

pub(super) const APPLICATION: &str = r#"application: people
owner: team-people
parameters: { answer: { type: string, default: "200 OK" } }
components:
  api:
    servers: [web]
    directory: /srv/people-api
    users: { people: { system: true } }
    files:
      "{{ deployment.directory }}/etc/api.conf":
        template: templates/api.conf.j2
        restarts: [people-api]
      /etc/people.conf: { content: "release {{ release.version }}\n" }
    services:
      people-api:
        running: true
        enabled: true
        unit: { template: templates/api.service.j2 }
    health: { http: "http://127.0.0.1:8081/health", within: 10s, for: 1s }
    switch: restart
"#;

const SERVICE: &str = "[Service]
User=people
ExecStart={{ deployment.tree }}/bin/api {{ deployment.directory }}/etc/api.conf
[Install]
WantedBy=multi-user.target
";

const RELEASES: [&str; 4] = ["1.3", "1.4", "1.5", "1.6"];

/// The model with all releases, of which one is promised. The program of 1.5 is ill.
pub(super) fn model(machine: &Machine, release: &str) {
    machine.server_model(&[("servers/web.yaml", "server: web\n")]);
    let programs = RELEASES.map(|it| format!("/srv/model/dist/{it}/bin"));
    machine.sh(&format!(
        "mkdir -p /srv/model/applications/people/releases /srv/model/templates \
         /srv/model/environments/test {}",
        programs.join(" ")
    ));
    machine.write("/srv/model/applications/people/application.yaml", APPLICATION);
    machine.write("/srv/model/templates/api.conf.j2", "{{ answer }}\nfrom {{ deployment.id }}\n");
    machine.write("/srv/model/templates/api.service.j2", SERVICE);
    for release in RELEASES {
        let dist = format!("/srv/model/dist/{release}/bin/api");
        let program = PROGRAM.replace("RELEASE", release);
        let program = match release {
            "1.5" => program.replace("$answer\\r", "500 Internal Server Error\\r"),
            _ => program,
        };
        machine.write(&dist, program);
        machine.ok(&["chmod", "755", &dist]);
        let document = format!(
            "release: people {release}\ncomponents: {{ api: {{ artifact: {{ url: \"model:dist/{release}\" }} }} }}\n"
        );
        machine.write(&format!("/srv/model/applications/people/releases/{release}.yaml"), document);
    }
    target(machine, release, "");
}

pub(super) fn target(machine: &Machine, release: &str, more: &str) {
    let document = format!("target: people\nrelease: \"{release}\"\n{more}");
    machine.write("/srv/model/environments/test/people.yaml", document);
}

pub(super) fn run(machine: &Machine, more: &[&str]) -> Output {
    machine.steadfast(&[&["run", "--model", "/srv/model"], more].concat())
}

/// What the run says of the component.
pub(super) fn component(run: &Output) -> Value {
    let lines = run.stdout.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
    let found = lines.rev().find(|it| it["component"] == "people/api");
    found.unwrap_or_else(|| panic!("{run:#?}"))
}

/// What answers: the status, and the release.
pub(super) fn answer(machine: &Machine) -> String {
    machine.sh("perl -MHTTP::Tiny -e '$r = HTTP::Tiny->new->get(\"http://127.0.0.1:8081/\"); print \"$r->{status} $r->{content}\"'")
}

pub(super) fn current(machine: &Machine) -> String {
    machine.ok(&["readlink", "/srv/people-api/current"]).trim().to_owned()
}

pub(super) fn process(machine: &Machine) -> String {
    machine.ok(&["systemctl", "show", "-P", "InvocationID", "people-api"])
}

/// Everything that belongs to the component.
fn all(machine: &Machine) -> Vec<(String, String)> {
    let roots = ["/srv/people-api", "/etc/people.conf", "/etc/systemd/system"];
    machine.listing(&roots, &[]).into_iter().collect()
}

#[test]
fn a_component_is_deployed_upgraded_repaired_and_taken_back_whole() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.3");
    let first = run(&machine, &["--format", "json"]);
    assert_eq!(first.status, 0, "{first:#?}");
    let told = component(&first);
    assert_eq!((&told["outcome"], &told["step"]), (&"repaired".into(), &"committed".into()));
    assert_eq!((&told["from"], &told["to"]), (&Value::Null, &"1.3".into()));
    // Where it is written is told from its first deployment on.
    for line in first.stdout.lines().filter(|it| it.contains("people-api")) {
        let told: Value = serde_json::from_str(line).unwrap();
        assert_eq!(told["origin"], "applications/people/application.yaml:5", "{line}");
    }
    assert_eq!(answer(&machine), "200 1.3");
    let of_1_3 = current(&machine);
    let conf = machine.text("/srv/people-api/current/etc/api.conf");
    assert_eq!(conf, format!("200 OK\nfrom {}\n", of_1_3.trim_start_matches("deployments/")));

    // What is kept is not touched, and leaves no trace.
    let before = (process(&machine), all(&machine), machine.ok(&["steadfast", "history"]));
    let again = run(&machine, &["--format", "json"]);
    assert_eq!(
        (again.status, component(&again)["outcome"].as_str()),
        (0, Some("kept")),
        "{again:#?}"
    );
    assert_eq!((process(&machine), all(&machine), machine.ok(&["steadfast", "history"])), before);

    // A look says what is to come, and does nothing.
    target(&machine, "1.4", "");
    let look = run(&machine, &["--dry-run", "--format", "json"]);
    let foreseen = component(&look);
    assert_eq!((look.status, foreseen["certainty"].as_str()), (0, Some("expected")), "{look:#?}");
    assert!(!look.stdout.contains("\"certain\",\"change\""), "{look:#?}");
    assert_eq!((process(&machine), all(&machine)), (before.0, before.1));

    let upgraded = run(&machine, &["--format", "json"]);
    assert_eq!(upgraded.status, 0, "{upgraded:#?}");
    let told = component(&upgraded);
    assert_eq!((&told["from"], &told["release"]), (&"1.3".into(), &"1.4".into()), "{told}");
    assert_eq!(answer(&machine), "200 1.4");
    assert_eq!(machine.text("/etc/people.conf"), "release 1.4\n");
    assert_eq!(machine.ok(&["readlink", "/srv/people-api/previous"]).trim(), of_1_3);
    assert_eq!(run(&machine, &[]).status, 0);

    // Drift of its files and of its tree is repaired, and its service begins anew.
    let good = all(&machine);
    machine.sh("echo '500 Drifted' > /srv/people-api/current/etc/api.conf; rm /etc/people.conf; \
                echo >> /srv/people-api/current/tree/bin/api; rm /srv/people-api/current");
    let repaired = run(&machine, &["--format", "json"]);
    assert_eq!(
        (repaired.status, component(&repaired)["outcome"].as_str()),
        (0, Some("repaired")),
        "{repaired:#?}"
    );
    assert_eq!(component(&repaired)["step"], Value::Null);
    let names = |all: Vec<(String, String)>| all.into_iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(names(all(&machine)), names(good));
    assert_eq!(answer(&machine), "200 1.4");

    // One that is ill is taken back as a whole, and not tried again.
    let files = machine.sh(
        "cd /srv/people-api; find . -type f | sort | xargs sha256sum; readlink current previous",
    );
    target(&machine, "1.5", "");
    let bad = run(&machine, &["--format", "json"]);
    assert_eq!(bad.status, 4, "{bad:#?}");
    let told = component(&bad);
    assert_eq!(
        (&told["outcome"], &told["step"]),
        (&"not-kept".into(), &"went-back".into()),
        "{told}"
    );
    assert_eq!((&told["release"], &told["to"]), (&"1.4".into(), &"1.5".into()), "{told}");
    assert!(told["reason"].as_str().unwrap().contains("answers 500"), "{told}");
    assert_eq!(answer(&machine), "200 1.4");
    assert_eq!(machine.text("/etc/people.conf"), "release 1.4\n");
    let after = machine.sh(
        "cd /srv/people-api; find . -type f | sort | xargs sha256sum; readlink current previous",
    );
    // What failed stays for looking at, and nothing else is another.
    let missing: Vec<&str> =
        files.lines().filter(|it| !after.lines().any(|line| line == *it)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "{after}");
    let before = process(&machine);
    let again = run(&machine, &["--format", "json"]);
    assert_eq!(again.status, 4, "{again:#?}");
    assert!(
        component(&again)["reason"].as_str().unwrap().contains("not tried again"),
        "{again:#?}"
    );
    assert_eq!(process(&machine), before);
    let history: String = (1..9)
        .map(|it| machine.run(&["steadfast", "history", "show", &it.to_string()]).stdout)
        .collect();
    assert!(history.contains("went back to 1.4"), "{history}");

    // The next release goes from where it is; and a configuration alone is a step as well.
    target(&machine, "1.6", "");
    assert_eq!(run(&machine, &[]).status, 0);
    assert_eq!(answer(&machine), "200 1.6");
    target(&machine, "1.6", "parameters: { answer: \"200 Fine\" }\n");
    assert_eq!(run(&machine, &[]).status, 0);
    assert_eq!(answer(&machine), "200 1.6");
    assert!(machine.text("/srv/people-api/current/etc/api.conf").starts_with("200 Fine\n"));
    // A release below is not gone back to.
    target(&machine, "1.4", "");
    let held = run(&machine, &["--exit-code"]);
    assert_eq!(held.status, 3, "{held:#?}");
    assert!(held.stdout.contains("below 1.6"), "{held:#?}");
    assert_eq!(answer(&machine), "200 1.6");
}

#[test]
fn an_agent_brings_a_component_to_the_release_that_its_target_says() {
    let Some(machine) = installed() else { return };
    model(&machine, "1.3");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let answers = |what: &str| {
        wait_for(&machine, what, |_| {
            machine.run(&["test", "-e", "/srv/people-api/current"]).status == 0
                && answer(&machine) == what
        })
    };
    answers("200 1.3");
    target(&machine, "1.4", "");
    answers("200 1.4");
    // What is ill is not what the revision is judged by.
    target(&machine, "1.5", "");
    let status = wait_for(&machine, "gone back", |it| {
        it["last_run"]["not_kept"].to_string().contains("component:people/api")
    });
    assert_eq!(
        status["bad"].as_array().map(Vec::len),
        Some(0),
        "{status:#}\n{}",
        journal(&machine)
    );
    assert_eq!(answer(&machine), "200 1.4");
    target(&machine, "1.6", "");
    answers("200 1.6");
}

#[test]
fn the_tree_of_an_archive_is_fetched_before_anything_is_switched_and_repaired_when_it_is_changed() {
    let Some(machine) = installed() else { return };
    model(&machine, "1.3");
    let release = |version: &str, archive: &str| {
        machine.sh(&format!(
            "mkdir -p /srv/dist; tar -C /srv/model/dist/{version} -czf /srv/dist/{archive} bin"
        ));
        let sum = machine.sh(&format!("sha256sum /srv/dist/{archive}"));
        let digest = &sum[..64];
        machine.write(
            &format!("/srv/model/applications/people/releases/{version}.yaml"),
            format!(
                "release: people {version}\ncomponents: {{ api: {{ artifact: {{ url: \"file:///srv/dist/{archive}\", sha256: \"{digest}\" }} }} }}\n"
            ),
        );
    };
    release("1.3", "1.3.tar.gz");
    let first = run(&machine, &["--format", "json"]);
    assert_eq!((first.status, answer(&machine).as_str()), (0, "200 1.3"), "{first:#?}");

    // What is there need not be fetched again. A tree that somebody has changed is exchanged, and its program
    // begins anew.
    machine.ok(&["mv", "/srv/dist/1.3.tar.gz", "/srv/dist/away"]);
    assert_eq!(run(&machine, &[]).status, 0);
    machine.ok(&["mv", "/srv/dist/away", "/srv/dist/1.3.tar.gz"]);
    let before = process(&machine);
    let program = "/srv/people-api/current/tree/bin/api";
    let good = machine.text(program);
    machine.sh(&format!("echo '# changed' >> {program}"));
    let repaired = run(&machine, &["--format", "json"]);
    assert_eq!(
        (repaired.status, component(&repaired)["outcome"].as_str()),
        (0, Some("repaired")),
        "{repaired:#?}"
    );
    assert_eq!(machine.text(program), good);
    assert_ne!(process(&machine), before);

    // One that is not to be had changes nothing.
    release("1.4", "1.4.tar.gz");
    machine.ok(&["mv", "/srv/dist/1.4.tar.gz", "/srv/dist/away"]);
    target(&machine, "1.4", "");
    let (before, there) = (process(&machine), current(&machine));
    let away = run(&machine, &["--format", "json"]);
    let told = component(&away);
    assert_eq!((away.status, told["outcome"].as_str()), (4, Some("not-kept")), "{away:#?}");
    assert!(told["reason"].as_str().unwrap().contains("is away"), "{told}");
    assert_eq!((process(&machine), current(&machine)), (before, there));
    machine.ok(&["mv", "/srv/dist/away", "/srv/dist/1.4.tar.gz"]);
    assert_eq!(run(&machine, &[]).status, 0);
    assert_eq!(answer(&machine), "200 1.4");
}

#[test]
fn what_others_could_swap_is_not_deployed_into() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.3");
    machine.sh("useradd -m ann; chgrp ann /srv; chmod 0775 /srv");
    let refused = run(&machine, &["--format", "json"]);
    let told = component(&refused);
    assert_eq!((refused.status, told["outcome"].as_str()), (4, Some("not-kept")), "{refused:#?}");
    let words = told["reason"].to_string();
    assert!(words.contains("the directory /srv can be written by others than root"), "{words}");
    assert!(!machine.exists("/srv/people-api/current"));
    machine.ok(&["chmod", "0755", "/srv"]);
    assert_eq!(run(&machine, &[]).status, 0);
    // Afterwards as well.
    machine.ok(&["chmod", "0775", "/srv"]);
    let refused = run(&machine, &["--format", "json"]);
    assert_eq!((refused.status, component(&refused)["outcome"].as_str()), (4, Some("not-kept")));
    machine.ok(&["chmod", "0755", "/srv"]);
    let kept = run(&machine, &["--format", "json"]);
    assert_eq!((kept.status, component(&kept)["outcome"].as_str()), (0, Some("kept")), "{kept:#?}");
}

/// Serves an archive to whoever shows the token, and tells others that they may not have it.
const GUARDED: &str = r##"#!/usr/bin/perl
use IO::Socket::INET;
my $socket = IO::Socket::INET->new(
    LocalAddr => "127.0.0.1", LocalPort => 8090, Listen => 5, ReuseAddr => 1) or die "no port: $!";
open my $ready, ">", "/run/guarded" or die; close $ready;
while (my $client = $socket->accept) {
    my $knows = 0;
    while (<$client>) { last if /^\r?$/; $knows = 1 if /^x-token: hunter2\r?$/i }
    open my $file, "<:raw", "/srv/dist/1.3.tar.gz" or die;
    my $bytes = do { local $/; <$file> };
    my $length = length $bytes;
    print $client $knows ? "HTTP/1.1 200 OK\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$bytes"
        : "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    close $client;
}
"##;

#[test]
fn an_artifact_is_asked_for_with_what_the_policy_of_the_node_says_of_its_server() {
    let Some(machine) = installed() else { return };
    model(&machine, "1.3");
    machine.sh("mkdir -p /srv/dist; tar -C /srv/model/dist/1.3 -czf /srv/dist/1.3.tar.gz bin");
    let sum = machine.sh("sha256sum /srv/dist/1.3.tar.gz");
    machine.write(
        "/srv/model/applications/people/releases/1.3.yaml",
        format!(
            "release: people 1.3\ncomponents: {{ api: {{ artifact: {{ url: \"http://127.0.0.1:8090/1.3.tar.gz\", sha256: \"{}\" }} }} }}\n",
            &sum[..64]
        ),
    );
    machine.write("/usr/local/bin/guarded", GUARDED);
    machine.sh("chmod 755 /usr/local/bin/guarded; systemd-run --quiet --unit guarded /usr/local/bin/guarded");
    machine.sh("until [ -e /run/guarded ]; do systemctl is-active --quiet guarded || exit 1; done");

    // Without the token it is away, and nothing is switched.
    let refused = run(&machine, &["--format", "json"]);
    let told = component(&refused);
    assert_eq!((refused.status, told["outcome"].as_str()), (4, Some("not-kept")), "{refused:#?}");
    assert!(told["reason"].as_str().unwrap().contains("401"), "{told}");

    let policy = "environment: test
nodes: { MACHINE: { servers: [web] } }
policy:
  artifacts:
    - prefix: http://127.0.0.1:8090
      header: { X-Token: { secret: token } }
";
    let name = machine.ok(&["hostname"]);
    machine.write("/srv/model/environments/test.yaml", policy.replace("MACHINE", name.trim()));
    // A secret that is missing is told, too.
    let missing = run(&machine, &["--format", "json"]);
    assert_eq!(missing.status, 4, "{missing:#?}");
    assert!(component(&missing)["reason"].as_str().unwrap().contains("token"), "{missing:#?}");
    machine.sh("mkdir -p -m 0700 /etc/steadfast/secrets; umask 077; echo hunter2 > /etc/steadfast/secrets/token");
    let deployed = run(&machine, &["--format", "json"]);
    assert_eq!((deployed.status, answer(&machine).as_str()), (0, "200 1.3"), "{deployed:#?}");
    let (state, journal) = ("/var/lib/steadfast", "/tmp/journal");
    machine.sh(&format!("journalctl -o export > {journal}"));
    let leaked = machine.steadfast(&["history"]);
    assert!(!leaked.stdout.contains("hunter2"), "{leaked:#?}");
    machine.sh(&format!("! grep -rqa hunter2 {state} {journal}"));
}

#[test]
fn a_command_that_asks_for_health_runs_in_the_tree_in_a_step_and_between_steps() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.3");
    let asked = "command: [sh, -c, 'test -e bin/api && ! test -e /run/ill']";
    let application = APPLICATION.replace("http: \"http://127.0.0.1:8081/health\"", asked);
    assert_ne!(application, APPLICATION);
    machine.write("/srv/model/applications/people/application.yaml", application);
    let fares = || {
        let run = run(&machine, &["--format", "json"]);
        let told = component(&run);
        (run.status, told["outcome"].clone(), told["reason"].to_string())
    };
    let (status, outcome, _) = fares();
    assert_eq!((status, outcome), (0, Value::from("repaired")));
    let (status, outcome, reason) = fares();
    assert_eq!((status, outcome), (0, Value::from("kept")), "{reason}");
    // It is told, and what was committed does not go back by itself.
    machine.ok(&["touch", "/run/ill"]);
    let (before, (status, outcome, reason)) = (process(&machine), fares());
    assert_eq!((status, outcome), (4, Value::from("not-kept")), "{reason}");
    assert!(reason.contains("it is not well"), "{reason}");
    assert_eq!(process(&machine), before);
    machine.ok(&["rm", "/run/ill"]);
    let (status, outcome, reason) = fares();
    assert_eq!((status, outcome), (0, Value::from("kept")), "{reason}");
}

//! What stays of a component on a booted machine: its good deployments whatever fails, trees that are in use, what is
//! not ours; what is recognized after the state is lost; and a component that leaves.

use super::deployments::component;
use super::lab::installed::{DIRECTORY, installed, journal, settings, until};
use super::lab::machine::{Machine, Output};
use serde_json::Value;

/// A program that says which configuration it has, and ends at once where that says so.
const PROGRAM: &str = r##"#!/usr/bin/perl
use IO::Socket::INET;
$| = 1;
open my $file, "<", $ARGV[0] or die "no configuration: $!";
chomp(my $word = <$file>);
die "told to" if $word =~ /die/;
my $socket = IO::Socket::INET->new(
    LocalAddr => "127.0.0.1", LocalPort => 8081, Listen => 5, ReuseAddr => 1) or die "no port: $!";
while (my $client = $socket->accept) {
    while (<$client>) { last if /^\r?$/ }
    print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($word) . "\r\n\r\n$word";
    close $client;
}
"##;

const APPLICATION: &str = r#"application: people
owner: team-people
parameters: { word: { type: string, default: "one" } }
components:
  api:
    servers: [web]
    directory: /srv/people-api
    users: { people: { system: true } }
    files:
      "{{ deployment.directory }}/etc/api.conf": { content: "{{ word }}\n" }
      /etc/people.conf: { content: "{{ word }}\n" }
    services:
      people-api:
        running: true
        enabled: true
        unit: { content: "[Service]\nUser=people\nExecStart={{ deployment.tree }}/bin/api {{ deployment.directory }}/etc/api.conf\n[Install]\nWantedBy=multi-user.target\n" }
    health: { http: "http://127.0.0.1:8081/", within: 5s, for: 0s }
"#;

/// A release with an archive of its own.
fn release(machine: &Machine, version: &str) {
    machine.write(&format!("/srv/dist/{version}/bin/api"), PROGRAM);
    machine.sh(&format!(
        "cd /srv/dist/{version}; echo {version} > VERSION; chmod 755 bin/api; tar -czf ../{version}.tar.gz bin VERSION"
    ));
    let sum = machine.sh(&format!("sha256sum /srv/dist/{version}.tar.gz"));
    let document = format!(
        "release: people {version}\ncomponents: {{ api: {{ artifact: {{ url: \"file:///srv/dist/{version}.tar.gz\", sha256: \"{}\" }} }} }}\n",
        &sum[..64]
    );
    machine.write(&format!("/srv/model/applications/people/releases/{version}.yaml"), document);
}

fn model(machine: &Machine, releases: &[&str]) {
    machine.server_model(&[("servers/web.yaml", "server: web\n")]);
    let dist: Vec<String> = releases.iter().map(|it| format!("/srv/dist/{it}/bin")).collect();
    machine.sh(&format!(
        "mkdir -p /srv/model/applications/people/releases /srv/model/environments/test {}",
        dist.join(" ")
    ));
    machine.write("/srv/model/applications/people/application.yaml", APPLICATION);
    releases.iter().for_each(|it| release(machine, it));
    target(machine, releases[0], "one");
}

fn target(machine: &Machine, release: &str, word: &str) {
    let document =
        format!("target: people\nrelease: \"{release}\"\nparameters: {{ word: {word} }}\n");
    machine.write("/srv/model/environments/test/people.yaml", document);
}

fn run(machine: &Machine) -> Output {
    machine.steadfast(&["run", "--model", "/srv/model", "--format", "json"])
}

/// Runs, and gives what is said of the component.
#[track_caller]
fn ran(machine: &Machine, status: i32) -> Value {
    let run = run(machine);
    assert_eq!(run.status, status, "{run:#?}");
    component(&run)
}

fn answer(machine: &Machine) -> String {
    machine.sh(
        "perl -MHTTP::Tiny -e 'print HTTP::Tiny->new->get(\"http://127.0.0.1:8081/\")->{content}'",
    )
}

/// The names of what lies below the component's directory.
fn names(machine: &Machine, folder: &str) -> Vec<String> {
    let all = machine.sh(&format!("ls -A /srv/people-api/{folder}"));
    all.lines().filter(|it| !it.ends_with(".manifest")).map(str::to_owned).collect()
}

fn folder(machine: &Machine) -> String {
    let to = machine.ok(&["readlink", "/srv/people-api/current"]);
    to.trim().trim_start_matches("deployments/").to_owned()
}

fn tree(machine: &Machine) -> String {
    let to = machine.ok(&["readlink", "/srv/people-api/current/tree"]);
    to.trim().rsplit('/').next().unwrap().to_owned()
}

#[test]
fn twenty_that_fail_leave_the_good_ones_where_they_are() {
    let Some(machine) = installed() else { return };
    model(&machine, &["1.0"]);
    let mut good = vec![];
    for word in ["one", "two", "three", "four"] {
        target(&machine, "1.0", word);
        ran(&machine, 0);
        good.push(folder(&machine));
    }
    machine.sh("mkdir /srv/people-api/deployments/mine /srv/people-api/releases/mine");
    let mut last = String::new();
    for number in 0..20 {
        target(&machine, "1.0", &format!("die{number}"));
        let told = ran(&machine, 4);
        assert_eq!(
            (&told["outcome"], &told["step"]),
            (&"not-kept".into(), &"went-back".into()),
            "{told}"
        );
        let new = names(&machine, "deployments")
            .into_iter()
            .filter(|it| !good.contains(it) && it != "mine");
        last = new.collect::<Vec<_>>().join(" ");
    }
    assert_eq!(answer(&machine), "four");
    // One that failed is there to be looked at.
    assert_eq!(last.split(' ').count(), 1, "{last}");
    let mut there = names(&machine, "deployments");
    there.retain(|it| *it != last && it != "mine");
    good.sort();
    let kept: Vec<String> = good.iter().filter(|it| there.contains(it)).cloned().collect();
    assert_eq!(there, kept, "{good:?}");
    assert_eq!(there.len(), 3, "{there:?}");
    // Of what was written into them it is kept what these four need, of some thirty.
    let contents = machine.sh("ls /var/lib/steadfast/deployments | wc -l");
    assert!(contents.trim().parse::<usize>().unwrap() < 16, "{contents}");
    assert!(
        machine.exists("/srv/people-api/deployments/mine")
            && machine.exists("/srv/people-api/releases/mine")
    );
    target(&machine, "1.0", "three");
    ran(&machine, 0);
    assert_eq!(answer(&machine), "three");
}

#[test]
fn a_tree_stays_while_a_process_uses_it_and_goes_then_as_the_agent_finds_it() {
    let Some(machine) = installed() else { return };
    model(&machine, &["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"]);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let goes_to = |release: &str, word: &str| {
        target(&machine, release, word);
        until(&machine, word, || {
            machine.run(&["test", "-e", "/srv/people-api/current"]).status == 0
                && answer(&machine) == word
        });
        until(&machine, "committed", || {
            machine.text("/srv/people-api/current/tree/VERSION").trim() == release
        });
    };
    goes_to("1.0", "zero");
    let first = tree(&machine);
    // A job of another user, in a mount namespace of its own, that looks like nothing of ours.
    machine.sh(&format!(
        "useradd -m ann; systemd-run --quiet --unit=job -p User=ann -p PrivateTmp=yes \
         -p BindReadOnlyPaths=/srv/people-api/releases/{first}:/mnt -p WorkingDirectory=/mnt/bin sleep 3600"
    ));
    for (release, word) in
        [("1.1", "first"), ("1.2", "second"), ("1.3", "third"), ("1.4", "fourth")]
    {
        goes_to(release, word);
    }
    until(&machine, "told that it stays", || journal(&machine).contains("stays: process"));
    let words = journal(&machine);
    assert!(words.contains("job.service"), "{words}");
    until(&machine, "three trees, and that one", || names(&machine, "releases").len() == 4);
    assert!(names(&machine, "releases").contains(&first), "{words}");
    machine.ok(&["systemctl", "stop", "job"]);
    goes_to("1.5", "fifth");
    until(&machine, "gone", || !names(&machine, "releases").contains(&first));
    assert_eq!(names(&machine, "releases").len(), 3);
}

#[test]
fn what_lies_there_is_recognized_after_the_state_is_lost() {
    let Some(machine) = installed() else { return };
    model(&machine, &["1.0", "1.1"]);
    ran(&machine, 0);
    let process = || machine.ok(&["systemctl", "show", "-P", "InvocationID", "people-api"]);
    let before = (process(), folder(&machine));
    machine.sh("rm -r /var/lib/steadfast /var/cache/steadfast");
    let told = ran(&machine, 0);
    assert_eq!((&told["outcome"], &told["step"]), (&"kept".into(), &Value::Null), "{told}");
    assert_eq!((process(), folder(&machine)), before);
    // It is what is gone back to.
    target(&machine, "1.1", "die");
    let told = ran(&machine, 4);
    assert_eq!((&told["release"], &told["step"]), (&"1.0".into(), &"went-back".into()), "{told}");
    assert_eq!((answer(&machine).as_str(), folder(&machine)), ("one", before.1.clone()));

    // A mark that somebody else could have written proves nothing: then it is a first deployment.
    target(&machine, "1.0", "one");
    ran(&machine, 0);
    machine.sh("rm -r /var/lib/steadfast; chmod 0644 /srv/people-api/current/.steadfast");
    let told = ran(&machine, 0);
    assert_eq!((&told["from"], &told["step"]), (&Value::Null, &"committed".into()), "{told}");
}

#[test]
fn a_tree_is_read_once_in_a_while_whatever_the_kernel_shows_of_it() {
    let Some(machine) = installed() else { return };
    model(&machine, &["1.0"]);
    let application = APPLICATION.replace("    health:", "    verify: 1s\n    health:");
    machine.write("/srv/model/applications/people/application.yaml", application);
    ran(&machine, 0);
    ran(&machine, 0);
    let program = "/srv/people-api/current/tree/bin/api";
    let good = machine.text(program);
    let process = || machine.ok(&["systemctl", "show", "-P", "InvocationID", "people-api"]);
    // Size and time are as they were, and it is told to be so by the list beside it as well.
    let before = process();
    machine.sh(&format!(
        "stat -c %y {program} > /root/time; sed -i s/perl/parl/ {program}
         sed -i s/parl/perl/ {program}; sed -i 's/told to/TOLD TO/' {program}
         chmod 555 {program}; touch -d \"$(cat /root/time)\" {program}"
    ));
    let told = ran(&machine, 0);
    assert_eq!(told["outcome"], "repaired", "{told}");
    assert_eq!(machine.text(program), good);
    assert_ne!(process(), before);
    // Also where inode and change time are what the list says.
    let (list, tree) =
        (format!("/srv/people-api/releases/{}.manifest", tree(&machine)), tree(&machine));
    machine.sh(&format!(
        "cd /srv/people-api/releases/{tree}; old=$(stat -c '%i' bin/api); cat bin/api > /root/api
         sed -i 's/told to/TOLD TO/' /root/api; cat /root/api > bin/api; touch -d \"$(cat /root/time)\" bin/api
         z() {{ printf '%s%s' \"$(stat -c %Z bin/api)\" \"$(stat -c %z bin/api | sed 's/.*\\.\\([0-9]*\\) .*/\\1/')\"; }}
         line=$(grep ' bin/api$' {list}); set -- $line
         sed -i \"s|^file $2 $3 $4 $5 .* bin/api\\$|file $2 $old $(z) $5 $6 $7 bin/api|\" {list}
         sed -i \"s/^at .*/at $(date -d '+1 hour' +%s)000000000/\" {list}; sleep 1.1"
    ));
    let told = ran(&machine, 0);
    assert_eq!(told["outcome"], "repaired", "{told}");
    assert_eq!(machine.text(program), good);
}

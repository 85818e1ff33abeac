//! What an agent takes back: what a bad revision did, and what left the model; and what it does not
//! adopt by itself, because it would be too much.

use super::lab::apt::AptRepository;
use super::lab::installed::{
    DIRECTORY, installed, is_idle, journal, kept, revision, settings, status, until, wait_for,
};
use super::lab::machine::Machine;
use serde_json::{Value, json};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg ci";

/// Starts with a machine that keeps this server, and gives its revision.
fn keeping(machine: &Machine, files: &[(&str, &str)]) -> String {
    machine.server_model(files);
    settings(machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let first = kept(machine);
    assert_eq!(first["last_run"]["not_kept"], json!([]), "{first:#}");
    revision(&first)
}

/// The policy stands beside the node.
fn environment(policy: &str) -> String {
    format!("environment: test\nnodes:\n  node1.example.test: {{ servers: [web] }}\n{policy}\n")
}

fn worker(command: &str) -> String {
    format!(
        "  worker:
    running: true
    settle: 1s
    unit: {{ content: \"[Service]\\nExecStart=/bin/sh -c '{command}'\\n\" }}
"
    )
}

#[test]
fn what_a_bad_revision_did_is_gone_after_going_back_and_what_somebody_changed_is_left() {
    let Some(machine) = installed() else { return };
    machine.sh("mkdir -p -m 0700 /root/.ssh; echo '# theirs' >/root/.ssh/authorized_keys
        printf 'theirs\\n' >/etc/theirs; chmod 0600 /etc/theirs; chown games /etc/theirs
        ln -s a /etc/which
        printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >/etc/systemd/system/reader.service
        systemctl daemon-reload; systemctl start reader");
    let process = || machine.ok(&["systemctl", "show", "-P", "InvocationID", "reader"]);
    let first = process();
    let good = format!(
        "server: web\nfiles:\n  /etc/motd: {{ content: \"good\\n\" }}\nservices:\n{}",
        worker("exec sleep infinity")
    );
    let good = keeping(&machine, &[("servers/web.yaml", &good)]);

    let bad = format!(
        "server: web
files:
  /etc/motd: {{ content: \"bad\\n\" }}
  /etc/theirs: {{ content: \"ours\\n\", owner: root, mode: \"0644\", restarts: reader }}
  /etc/new: {{ content: \"ours\\n\" }}
  /etc/folder/in: {{ content: \"ours\\n\" }}
  /etc/moved: {{ content: \"ours\\n\", replace: false }}
directories: {{ /etc/folder: {{ mode: \"0700\" }} }}
links: {{ /etc/which: b }}
groups: {{ crew: present, adm: {{ members: [games] }} }}
users:
  deploy: {{ groups: [crew] }}
  root: {{ ssh_keys: [\"{KEY}\"] }}
cron: {{ job: {{ schedule: \"@daily\", command: \"true\" }} }}
services:
  helper:
    running: true
    enabled: true
    settle: 0s
    unit: {{ content: \"[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n\" }}
{}",
        worker("exit 1")
    );
    machine.server_model(&[("servers/web.yaml", &bad)]);
    // The first try has ended, and the second is still to come.
    wait_for(&machine, "tried", |it| {
        revision(it) != good && is_idle(it) && it["last_run"]["why"] == "adopt"
    });
    assert_eq!(machine.text("/etc/theirs"), "ours\n");
    assert!(machine.text("/root/.ssh/authorized_keys").contains(KEY));
    assert!(machine.text("/etc/passwd").contains("deploy"));
    let restarted = process();
    assert_ne!(restarted, first);
    machine.ok(&["systemctl", "is-active", "helper"]);
    machine.write("/etc/moved", "by hand\n");

    let is_bad = |it: &Value| it["bad"].as_array().is_some_and(|it| !it.is_empty());
    let back = wait_for(&machine, "gone back", is_bad);
    assert_eq!(revision(&back), good, "{back:#}");
    assert_eq!(machine.text("/etc/motd"), "good\n");
    assert_eq!(machine.ok(&["systemctl", "is-active", "worker"]), "active\n");
    assert_eq!(machine.text("/etc/theirs"), "theirs\n");
    assert_eq!(machine.ok(&["stat", "-c", "%U %a", "/etc/theirs"]), "games 600\n");
    assert_eq!(machine.ok(&["readlink", "/etc/which"]), "a\n");
    for gone in ["/etc/new", "/etc/folder", "/etc/cron.d/job", "/etc/systemd/system/helper.service"]
    {
        assert!(!machine.exists(gone), "{gone}: {}", journal(&machine));
    }
    assert_eq!(machine.text("/etc/moved"), "by hand\n");
    let (passwd, group) = (machine.text("/etc/passwd"), machine.text("/etc/group"));
    assert!(!passwd.contains("deploy") && machine.exists("/home/deploy"), "{passwd}");
    assert!(!group.contains("crew") && !group.contains("deploy"), "{group}");
    assert!(group.lines().any(|it| it.starts_with("adm:") && !it.contains("games")), "{group}");
    assert_ne!(machine.run(&["systemctl", "is-active", "helper"]).status, 0);
    assert_eq!(machine.text("/root/.ssh/authorized_keys"), "# theirs\n");
    assert_ne!(process(), restarted, "it has read what is no more");

    let told = journal(&machine);
    assert!(told.contains("undid file:/etc/new: remove file"), "{told}");
    assert!(told.contains("left as it is: file:/etc/moved"), "{told}");
    let runs = machine.ok(&["steadfast", "history", "--format", "json"]);
    let run = serde_json::from_str::<Value>(runs.lines().next().unwrap()).unwrap()["run"].clone();
    let shown = machine.ok(&["steadfast", "history", "show", &run.to_string()]);
    assert!(shown.contains("undone    file:/etc/theirs"), "{shown}");
    assert!(shown.contains("left      file:/etc/moved"), "{shown}");
}

#[test]
fn what_leaves_the_model_goes_or_is_restored_where_the_policy_says_so() {
    let Some(machine) = installed() else { return };
    machine.sh("echo theirs >/etc/theirs; echo theirs >/etc/other");
    AptRepository::new()
        .package("alone", "1", |p| p.file("/usr/share/alone", "1\n").conffile("/etc/alone", "1\n"))
        .package("needed", "1", |p| p.file("/usr/share/needed", "1\n"))
        .package("needs-it", "1", |p| p.depends("needed"))
        .install(&machine);
    let server = "server: web
files:
  /etc/motd: { content: \"kept\\n\" }
  /etc/theirs: { content: \"ours\\n\" }
  /etc/other: { content: \"ours\\n\" }
  /etc/new: { content: \"ours\\n\" }
  /etc/changed: { content: \"ours\\n\", replace: false }
users: { deploy: { system: true } }
packages: { alone: present, needed: present }
services:
  own: { running: true, settle: 0s, unit: { content: \"[Service]\\nExecStart=/bin/sleep infinity\\n\" } }
";
    keeping(&machine, &[("servers/web.yaml", server)]);
    machine.write("/etc/changed", "by hand\n");
    machine.sh("DEBIAN_FRONTEND=noninteractive apt-get install -q -y needs-it");

    // Nothing goes before somebody adopts it.
    let other = "  /etc/other: { content: \"ours\\n\" }\n";
    let rest = format!("server: web\nfiles:\n  /etc/motd: {{ content: \"kept\\n\" }}\n{other}");
    machine.ok(&["steadfast", "suspend", "--reason", "a look first"]);
    let remove = environment("policy: { orphans: remove }");
    machine.server_model(&[("servers/web.yaml", &rest), ("environments/test.yaml", &remove)]);
    let dry = machine.ok(&["steadfast", "run", "--dry-run", "--model", "/srv/model"]);
    assert!(dry.contains("orphan    file:/etc/new"), "{dry}");
    assert!(dry.contains("when the agent adopts this model: /etc/new: remove file"), "{dry}");
    assert!(dry.contains("when the agent adopts this model, it stays: /etc/changed has"), "{dry}");
    assert!(dry.lines().all(|it| it.chars().count() <= 80), "{dry}");
    let by_hand = machine.steadfast(&["run", "--model", "/srv/model"]);
    assert_eq!(by_hand.status, 0, "{by_hand:#?}");
    assert!(by_hand.stdout.contains("orphan    user:deploy"), "{by_hand:#?}");
    assert!(machine.exists("/etc/new") && machine.text("/etc/passwd").contains("deploy"));

    machine.ok(&["steadfast", "resume"]);
    until(&machine, "removed", || !machine.exists("/etc/new"));
    wait_for(&machine, "quiet", |it| is_idle(it) && it["trying"].is_null());
    assert!(!machine.exists("/etc/systemd/system/own.service"));
    assert_ne!(machine.run(&["systemctl", "is-active", "own"]).status, 0);
    assert!(!machine.text("/etc/passwd").contains("deploy"));
    assert!(!machine.exists("/usr/share/alone") && machine.exists("/etc/alone"), "not purged");
    assert!(machine.exists("/usr/share/needed"), "needs-it would have gone with it");
    let told = journal(&machine);
    assert!(told.contains("left as it is: package:needed"), "{told}");
    assert_eq!(machine.text("/etc/changed"), "by hand\n");
    assert_eq!(machine.text("/etc/theirs"), "ours\n", "it was not made, but replaced");

    let rest = "server: web\nfiles: { /etc/motd: { content: \"kept\\n\" } }\n";
    let restore = environment("policy: { orphans: restore }");
    machine.server_model(&[("servers/web.yaml", rest), ("environments/test.yaml", &restore)]);
    until(&machine, "restored", || machine.text("/etc/other") == "theirs\n");
    let last = wait_for(&machine, "quiet", |it| is_idle(it) && it["trying"].is_null());
    assert_eq!(last["last_run"]["not_kept"], json!([]), "{last:#}");
    // What was told once is not ours any more.
    machine.ok(&["steadfast", "suspend", "--reason", "a last look"]);
    let dry = machine.ok(&["steadfast", "run", "--dry-run", "--model", "/srv/model"]);
    assert!(!dry.contains("orphan    file") && !dry.contains("orphan    user"), "{dry}");
    assert!(dry.contains("orphan    package:needed"), "it is not gone yet: {dry}");
}

#[test]
fn a_revision_beyond_the_budget_waits_for_somebodys_word() {
    let Some(machine) = installed() else { return };
    machine.sh("touch /etc/one /etc/two /etc/three");
    let server = |rest: &str| {
        format!("server: web\nfiles:\n  /etc/motd: {{ content: \"kept\\n\" }}\n{rest}")
    };
    let strict = environment("policy: { budget: { deletions: 2 } }");
    let first = keeping(
        &machine,
        &[("servers/web.yaml", &server("")), ("environments/test.yaml", &strict)],
    );
    let gone = server("  /etc/one: absent\n  /etc/two: absent\n  /etc/three: absent\n");
    let generous = environment("policy: { budget: { deletions: 5 } }");
    machine.server_model(&[("servers/web.yaml", &gone), ("environments/test.yaml", &generous)]);
    let waiting = wait_for(&machine, "waiting", |it| it["newer"]["waits_for"] == "budget");
    assert_eq!(revision(&waiting), first, "{waiting:#}");
    let text = machine.ok(&["steadfast", "status"]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("needs 3 deletions in one run, and the budget allows 2"), "{text}");
    assert!(text.lines().all(|it| it.chars().count() <= 80), "{text}");
    assert!(machine.exists("/etc/one"));

    let newer = waiting["newer"]["revision"].as_str().unwrap().to_owned();
    machine.ok(&["steadfast", "adopt", &newer]);
    let next = wait_for(&machine, "adopted", |it| revision(it) == newer && is_idle(it));
    assert!(!machine.exists("/etc/one") && !machine.exists("/etc/three"), "{next:#}");
    assert_eq!(status(&machine)["last_run"]["held"], json!([]));
}

//! The agent as a service: it fetches, adopts and keeps by itself, goes back from what is bad, and
//! outlives whatever ends it.

use super::lab::installed::{
    DIRECTORY, ask, installed, is_idle, journal, kept, main_pid, motd, refused, revision, server,
    settings, status, until, wait_for,
};
use super::lab::machine::Machine;
use super::lab::model;
use serde_json::{Value, json};

/// A git repository of the model in the machine, and two keys that can sign in it.
pub(super) fn repository(machine: &Machine) {
    machine.sh("ssh-keygen -q -t ed25519 -N '' -f /root/signer
         ssh-keygen -q -t ed25519 -N '' -f /root/other
         git config --global user.name Ann; git config --global user.email ann@example.test
         git config --global gpg.format ssh; git config --global user.signingkey /root/signer
         echo ann@example.test $(cut -d' ' -f1,2 /root/signer.pub) >/etc/steadfast/allowed_signers
         git init -q -b main /srv/model");
}

/// Commits the model with this greeting; the commit.
fn commit(machine: &Machine, text: &str, signed: &str) -> String {
    machine.write("/srv/model/servers/web.yaml", server(text));
    let script = format!(
        "cd /srv/model; git add -A; git commit -q {signed} -m 'say {text}'; git rev-parse HEAD"
    );
    machine.sh(&script).trim().to_owned()
}

#[test]
fn a_directory_is_adopted_and_kept() {
    let Some(machine) = installed() else { return };
    machine.ok(&["systemctl", "start", "steadfast"]);
    let waiting = wait_for(&machine, "waiting for settings", |it| !it["missing"].is_null());
    assert_eq!(waiting["missing"].as_array().map(Vec::len), Some(2), "{waiting:#}");

    motd(&machine, "one");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "reload", "steadfast"]);
    let first = revision(&kept(&machine));
    assert_eq!(machine.text("/etc/motd"), "one\n");

    motd(&machine, "two");
    let next = wait_for(&machine, "adopted", |it| revision(it) != first && is_idle(it));
    assert_eq!(machine.text("/etc/motd"), "two\n", "{next:#}");
    let text = machine.ok(&["steadfast", "status"]);
    assert!(text.contains("1 repaired, 0 not kept"), "{text}");
    assert!(text.lines().all(|it| it.chars().count() <= 80), "{text}");
}

#[test]
fn what_is_touched_is_repaired_at_once() {
    let Some(machine) = installed() else { return };
    let server = "server: web
files:
  /etc/motd: { content: \"kept\\n\" }
users:
  deploy: { uid: 2000, comment: Deployments }
services:
  cron: { running: true, enabled: true }
cron:
  purge: { schedule: \"*/15 * * * *\", user: root, command: \"true\" }
";
    machine.server_model(&[("servers/web.yaml", server)]);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let before = kept(&machine);
    let works = |command: &[&str]| machine.run(command).status == 0;

    machine.write("/etc/motd", "drifted\n");
    until(&machine, "repaired content", || machine.text("/etc/motd") == "kept\n");
    machine.sh("rm /etc/motd");
    until(&machine, "a file again", || machine.exists("/etc/motd"));
    machine.sh("chmod 0600 /etc/motd; usermod -c Nobody deploy");
    until(&machine, "a repaired account", || machine.text("/etc/passwd").contains("Deployments"));
    let jobs = machine.names("/etc/cron.d", "");
    assert!(jobs.iter().any(|it| it.contains("purge")), "{jobs:?}");
    machine.sh("rm /etc/cron.d/*purge");
    until(&machine, "a job again", || machine.names("/etc/cron.d", "") == jobs);
    machine.sh("systemctl stop cron");
    until(&machine, "running", || works(&["systemctl", "is-active", "-q", "cron"]));
    machine.sh("systemctl disable -q cron");
    until(&machine, "enabled", || works(&["systemctl", "is-enabled", "-q", "cron"]));

    let after = wait_for(&machine, "quiet", is_idle);
    assert_eq!(after["next_keep"], before["next_keep"], "no full run was needed: {after:#}");
    assert_eq!(after["last_run"]["not_kept"], json!([]), "{after:#}");
}

/// Nothing is watched before the first run has ended, and what it has looked at can be changed until then: here
/// by the program that checks another file.
#[test]
fn what_drifts_after_the_first_look_and_before_it_is_watched_is_repaired() {
    let Some(machine) = installed() else { return };
    let server = "server: web
files:
  /srv/looked-at: { content: \"kept\\n\" }
  /srv/checked:
    content: \"checked\\n\"
    validate: [sh, -c, 'echo drifted >/srv/looked-at; test -s $0', \"{file}\"]
";
    machine.server_model(&[("servers/web.yaml", server)]);
    machine.write("/srv/looked-at", "kept\n");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let before = kept(&machine);
    assert!(machine.exists("/srv/checked"), "{before:#}");
    until(&machine, "repaired", || machine.text("/srv/looked-at") == "kept\n");
    let after = wait_for(&machine, "quiet", is_idle);
    assert_eq!(after["next_keep"], before["next_keep"], "no full run was needed: {after:#}");
}

#[test]
fn a_signed_commit_is_adopted_and_no_other() {
    let Some(machine) = installed() else { return };
    motd(&machine, "nothing");
    repository(&machine);
    let first = commit(&machine, "one", "-S");
    settings(
        &machine,
        "source: { git: { url: \"file:///srv/model\", branch: main } }
trust: { allowed_signers: /etc/steadfast/allowed_signers }",
    );
    machine.ok(&["systemctl", "start", "steadfast"]);
    wait_for(&machine, "adopted", |it| revision(it) == first && is_idle(it));
    assert_eq!(machine.text("/etc/motd"), "one\n");

    machine.sh("git config --global user.signingkey /root/other");
    commit(&machine, "forged", "-S");
    ask(&machine);
    let answer = wait_for(&machine, "refused", |it| it["refusal"]["kind"] == "signature");
    let because = answer["refusal"]["because"].as_str().unwrap_or_default();
    assert!(because.contains("which is not trusted"), "{because}");
    assert_eq!(revision(&answer), first);
    machine.write("/etc/motd", "drifted\n");
    until(&machine, "the last good one", || machine.text("/etc/motd") == "one\n");

    machine.sh("git config --global user.signingkey /root/signer");
    let second = commit(&machine, "two", "-S");
    // A refusal is followed by longer and longer pauses; somebody who knows better need not wait.
    machine.ok(&["steadfast", "adopt", &second]);
    let next = wait_for(&machine, "adopted", |it| revision(it) == second && is_idle(it));
    assert_eq!(machine.text("/etc/motd"), "two\n", "{next:#}");

    // Rewritten history does not lead forward, whoever signed it.
    machine.sh(&format!("cd /srv/model; git reset -q --hard {first}"));
    commit(&machine, "rewritten", "-S");
    ask(&machine);
    let answer = wait_for(&machine, "refused", |it| it["refusal"]["kind"] == "not-forward");
    assert_eq!(revision(&answer), second, "{answer:#}");
    assert_eq!(machine.text("/etc/motd"), "two\n");
}

#[test]
fn what_nobody_signs_is_adopted_where_the_settings_say_so_and_said_aloud() {
    let Some(machine) = installed() else { return };
    motd(&machine, "nothing");
    repository(&machine);
    let first = commit(&machine, "one", "");
    settings(
        &machine,
        "source: { git: { url: \"file:///srv/model\", branch: main } }\ntrust: none",
    );
    machine.ok(&["systemctl", "start", "steadfast"]);
    wait_for(&machine, "adopted", |it| revision(it) == first && is_idle(it));
    let text = machine.ok(&["steadfast", "status"]);
    assert!(text.contains("UNSIGNED"), "{text}");
    let line = machine.ok(&["systemctl", "show", "-P", "StatusText", "steadfast"]);
    assert!(line.contains("(unsigned)"), "{line}");
    let second = commit(&machine, "two", "");
    ask(&machine);
    wait_for(&machine, "adopted", |it| revision(it) == second && is_idle(it));
    assert_eq!(machine.text("/etc/motd"), "two\n");
}

#[test]
fn while_it_is_suspended_the_agent_touches_nothing() {
    let Some(machine) = installed() else { return };
    motd(&machine, "one");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    let by_hand = machine.steadfast(&["run", "--model", "/srv/model"]);
    refused(&by_hand, 2, "an agent keeps this machine");
    let dry = machine.steadfast(&["run", "--model", "/srv/model", "--dry-run"]);
    assert_eq!(dry.status, 0, "{dry:#?}");
    let asked = machine.steadfast(&["run"]);
    assert!(asked.stdout.contains("1 kept"), "{asked:#?}");
    let some = machine.steadfast(&["run", "--only", "file:*", "--format", "json"]);
    assert!(some.stdout.contains("\"kept\":1"), "{some:#?}");
    refused(&machine.steadfast(&["run", "--only", "user:*"]), 2, "there is nothing to run");
    let explained = machine.ok(&["steadfast", "explain", "/etc/motd"]);
    assert!(explained.contains("servers/web.yaml"), "{explained}");

    machine.ok(&["steadfast", "suspend", "--reason", "moving racks", "--until", "2h"]);
    machine.write("/etc/motd", "by hand\n");
    refused(&machine.steadfast(&["run"]), 2, "suspended: moving racks");
    // Only root may ask for anything to be done, and only the group for the status.
    machine.sh("useradd -r -G adm reader; useradd -r stranger");
    let may = |user: &str, command: &str| {
        let into = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"];
        machine.run(&[&into, &["sh", "-c", command][..]].concat())
    };
    let read = may("reader", "steadfast status");
    assert_eq!(read.status, 0, "{read:#?}");
    refused(&may("reader", "steadfast resume"), 2, "only root may do that");
    refused(&may("stranger", "steadfast status"), 2, "is for root and the agent's group");
    assert_eq!(machine.text("/etc/motd"), "by hand\n");
    let by_hand = machine.steadfast(&["run", "--model", "/srv/model"]);
    assert_eq!(by_hand.status, 0, "a run by hand is not refused now: {by_hand:#?}");
    machine.write("/etc/motd", "by hand\n");
    machine.ok(&["steadfast", "resume"]);
    until(&machine, "repaired content", || machine.text("/etc/motd") == "one\n");
    refused(&machine.steadfast(&["resume"]), 2, "the agent is not suspended");
}

/// A server with a service that does as it is told.
fn service(machine: &Machine, command: &str) {
    let server = format!(
        "server: web
services:
  worker:
    running: true
    settle: 1s
    unit:
      content: |
        [Service]
        ExecStart=/bin/sh -c '{command}'
"
    );
    machine.server_model(&[("servers/web.yaml", &server)]);
}

#[test]
fn a_revision_that_breaks_a_service_is_gone_back_from_and_remembered() {
    let Some(machine) = installed() else { return };
    service(&machine, "exec sleep infinity");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let good = kept(&machine);
    assert_eq!(good["last_run"]["not_kept"], json!([]), "{good:#}");
    let good = revision(&good);

    service(&machine, "exit 1");
    let is_bad = |it: &Value| it["bad"].as_array().is_some_and(|it| !it.is_empty());
    let back = wait_for(&machine, "gone back", is_bad);
    assert_eq!(revision(&back), good, "{back:#}");
    assert_eq!(back["bad"][0]["promise"], "service:worker", "{back:#}");
    assert_eq!(back["newer"]["waits_for"], "bad", "{back:#}");
    assert_eq!(machine.ok(&["systemctl", "is-active", "worker"]), "active\n");
    let text = machine.ok(&["steadfast", "status"]);
    assert!(text.contains("rolled back at"), "{text}");

    // It is remembered after a start too, until there is a newer one.
    machine.ok(&["systemctl", "restart", "steadfast"]);
    let again = kept(&machine);
    assert_eq!((revision(&again), is_bad(&again)), (good.clone(), true), "{again:#}");
    service(&machine, "exec sleep 1000000");
    wait_for(&machine, "adopted", |it| {
        revision(it) != good && is_idle(it) && it["trying"].is_null()
    });
    assert_eq!(machine.ok(&["systemctl", "is-active", "worker"]), "active\n");
}

#[test]
fn whatever_ends_the_agent_it_goes_on_where_it_was() {
    let Some(mut machine) = installed() else { return };
    motd(&machine, "one");
    settings(&machine, DIRECTORY);
    machine.sh("mkdir -p /etc/systemd/system/steadfast.service.d
         printf '[Service]\\nRestartSec=1s\\n' >/etc/systemd/system/steadfast.service.d/test.conf
         systemctl daemon-reload; systemctl start steadfast");
    let first = revision(&kept(&machine));
    let back = |machine: &Machine| {
        wait_for(machine, "back", |it| revision(it) == first && is_idle(it));
        machine.write("/etc/motd", "drifted\n");
        until(machine, "repaired content", || machine.text("/etc/motd") == "one\n");
    };

    let before = main_pid(&machine);
    machine.sh("systemctl kill --signal=KILL steadfast");
    until(&machine, "started again", || !["0\n", &before].contains(&&*main_pid(&machine)));
    back(&machine);

    machine.kill();
    machine.boot_again();
    back(&machine);
    machine.reboot();
    back(&machine);

    // One of the two copies of its memory is damaged; the other one is taken.
    machine.sh("systemctl stop steadfast; echo nonsense >/var/lib/steadfast/agent.1.json
         systemctl start steadfast");
    back(&machine);
    assert_eq!(machine.names("/var/lib/steadfast", "agent.1.json.damaged").len(), 1);

    // Another binary in its place takes over without an end of the service.
    let before = main_pid(&machine);
    let said = |words: &str| journal(&machine).contains(words);
    machine.sh("cd /usr/bin; cp steadfast good; printf '#!/bin/false\\n' >broken; chmod +x broken
         mv broken steadfast; systemctl kill --kill-who=main --signal=USR2 steadfast");
    until(&machine, "a broken binary noticed", || said("the new binary does not work"));
    // Nor do its children need what lies there.
    machine.write("/etc/motd", "drifted\n");
    until(&machine, "repaired content", || machine.text("/etc/motd") == "one\n");
    machine.sh("mv /usr/bin/good /usr/bin/steadfast
         systemctl kill --kill-who=main --signal=USR2 steadfast");
    until(&machine, "a new binary started", || said("restarting into it"));
    back(&machine);
    assert_eq!(main_pid(&machine), before);

    // Whatever it is told while it becomes another one does not end it.
    machine.sh("cd /usr/bin; cp steadfast next; mv next steadfast
         pid=$(systemctl show -P MainPID steadfast); n=0
         while [ $n -lt 30000 ]; do kill -USR2 $pid; kill -HUP $pid; n=$((n + 1)); done");
    let taken_over = || journal(&machine).matches("restarting into it").count() == 2;
    until(&machine, "another binary started", taken_over);
    back(&machine);
    assert_eq!(main_pid(&machine), before);
}

#[test]
fn everything_that_can_be_promised_is_kept_from_within_the_sandbox_of_the_unit() {
    let Some(machine) = installed() else { return };
    model::repository().install(&machine);
    machine.server_model(&model::files(model::SERVER));
    settings(&machine, &format!("{DIRECTORY}\nmetrics: {{ listen: \"127.0.0.1:9270\" }}"));
    machine.ok(&["systemctl", "start", "steadfast"]);
    let all = kept(&machine);
    let run = &all["last_run"];
    assert_eq!((&run["not_kept"], &run["held"]), (&json!([]), &json!([])), "{all:#}");
    let again = machine.steadfast(&["run"]);
    assert!(again.stdout.contains(" kept.\n"), "nothing was left to repair: {again:#?}");
    assert_eq!(again.status, 0);
    // Many things were touched by our own run: none of that is drift for ever.
    let quiet = wait_for(&machine, "quiet", is_idle);
    let scrape =
        "exec 3<>/dev/tcp/127.0.0.1/9270; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
    let metrics = machine.ok(&["bash", "-c", scrape]);
    assert!(metrics.contains("steadfast_promises{verdict=\"not-kept\"} 0"), "{metrics}");
    let elsewhere = scrape.replace("/metrics", "/v1/status");
    let other = machine.ok(&["bash", "-c", &elsewhere]);
    assert!(other.starts_with("HTTP/1.0 404"), "only metrics are served there: {other}");
    let last = quiet["last_run"]["ended"].clone();
    machine.ok(&["sleep", "2"]);
    assert_eq!(status(&machine)["last_run"]["ended"], last, "{}", journal(&machine));
}

#[test]
fn a_machine_that_lacks_something_is_no_reason_to_go_back() {
    let Some(machine) = installed() else { return };
    motd(&machine, "one");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let first = revision(&kept(&machine));
    // The same promise, that now needs a secret which this node does not have.
    let server = "server: web\nfiles:\n  /etc/motd: { content: { secret: motd } }\n";
    machine.server_model(&[("servers/web.yaml", server)]);
    ask(&machine);
    let next = wait_for(&machine, "settled", |it| {
        revision(it) != first && is_idle(it) && it["trying"].is_null()
    });
    assert_eq!(next["bad"], json!([]), "{next:#}");
    assert_eq!(next["last_run"]["not_kept"][0]["promise"], "file:/etc/motd", "{next:#}");
    let because = &next["last_run"]["not_kept"][0]["because"];
    assert!(because.as_str().is_some_and(|it| it.contains("secret")), "{because}");
    assert_eq!(machine.text("/etc/motd"), "one\n");
}

#[test]
fn a_revision_that_is_no_good_for_this_node_is_never_adopted() {
    let Some(machine) = installed() else { return };
    motd(&machine, "one");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let first = revision(&kept(&machine));
    machine.write("/srv/model/servers/web.yaml", "server: web\nfile:\n  /etc/motd: absent\n");
    ask(&machine);
    let invalid = wait_for(&machine, "invalid", |it| it["newer"]["waits_for"] == "invalid");
    let because = invalid["newer"]["because"].as_str().unwrap_or_default();
    assert!(because.contains("servers/web.yaml:2"), "{because}");
    assert_eq!(revision(&invalid), first);
    // Neither is one that has forgotten the node, without somebody's word.
    machine.write("/srv/model/servers/web.yaml", server("two"));
    machine.write("/srv/model/environments/test.yaml", "environment: test\nnodes: {}\n");
    ask(&machine);
    let unnamed = wait_for(&machine, "unnamed", |it| it["newer"]["waits_for"] == "unnamed");
    let newer = unnamed["newer"]["revision"].as_str().unwrap_or_default();
    assert_eq!(revision(&unnamed), first);
    machine.ok(&["steadfast", "adopt", &newer[..12]]);
    wait_for(&machine, "adopted", |it| revision(it) == newer && is_idle(it));
    assert_eq!(machine.text("/etc/motd"), "one\n");
}

/// A model in whose environment each revision needs somebody's word.
fn approved(machine: &Machine, text: &str) {
    let environment = format!(
        "environment: test\nnodes:\n  {}: {{ servers: [web] }}\npolicy: {{ adopt: {{ approval: required }} }}\n",
        Machine::NODE
    );
    let server = server(text);
    let files = [("servers/web.yaml", &*server), ("environments/test.yaml", &*environment)];
    machine.server_model(&files);
}

#[test]
fn a_revision_that_waits_can_be_adopted_though_the_source_has_newer_ones_by_now() {
    let Some(machine) = installed() else { return };
    approved(&machine, "one");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    let mut all = vec![];
    for text in ["two", "three", "four"] {
        let before = status(&machine)["newer"]["revision"].clone();
        approved(&machine, text);
        ask(&machine);
        let waits = wait_for(&machine, "waiting", |it| {
            it["newer"]["revision"] != before && it["newer"]["waits_for"] == "approval"
        });
        all.push(waits["newer"]["revision"].as_str().unwrap().to_owned());
    }
    // Nothing of it is lost with the process.
    machine.ok(&["systemctl", "restart", "steadfast"]);
    let known = wait_for(&machine, "restarted", |it| it["newer"]["waits_for"] == "approval");
    assert_eq!(known["newer"]["revision"], json!(all[2]));
    let others: Vec<&Value> = known["waiting"].as_array().unwrap().iter().collect();
    let others: Vec<&Value> = others.into_iter().map(|it| &it["revision"]).collect();
    assert_eq!(others, [&json!(all[0]), &json!(all[1])], "{known:#}");
    let page = machine.ok(&["steadfast", "status"]);
    assert!(page.contains(&format!("and          {}", &all[0][..12])), "{page}");

    machine.ok(&["steadfast", "adopt", &all[1][..12]]);
    let next = wait_for(&machine, "adopted", |it| revision(it) == all[1] && is_idle(it));
    assert_eq!(machine.text("/etc/motd"), "three\n", "{next:#}");
    // The one before it is of no use any more, and the newest still waits.
    assert_eq!((&next["newer"]["revision"], &next["waiting"]), (&json!(all[2]), &Value::Null));
}

#[test]
fn settings_that_are_wrong_at_the_start_stop_nobody_from_keeping_what_was_adopted() {
    let Some(machine) = installed() else { return };
    motd(&machine, "kept");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    let good = machine.text("/etc/steadfast/agent.yaml");
    let is_wrong = |it: &Value| !it["wrong_settings"].is_null() && is_idle(it);
    // As an editor, a full disk or somebody in a hurry leaves them.
    for wrong in [&*good.replace("source: {", "source: { git: {"), "", "enviroment: test\n"] {
        machine.write("/etc/steadfast/agent.yaml", wrong);
        machine.ok(&["systemctl", "restart", "steadfast"]);
        let now = wait_for(&machine, "started", is_wrong);
        let why = now["wrong_settings"].as_str().unwrap();
        assert!(why.contains("/etc/steadfast/agent.yaml"), "{why}");
        machine.write("/etc/motd", "drifted\n");
        until(&machine, "kept", || machine.text("/etc/motd") == "kept\n");
        let page = machine.ok(&["steadfast", "status"]);
        assert!(page.contains("settings     have errors"), "{page}");
        assert!(page.contains("adopted "), "{page}");
    }
    // What is to be read as lines arrives as lines.
    let all = machine.ok(&["journalctl", "-q", "-u", "steadfast", "-o", "cat"]);
    let at = all.lines().position(|it| it.contains("those from before stay in effect")).unwrap();
    let lines: Vec<&str> = all.lines().skip(at + 1).take(3).collect();
    assert!(lines[0].contains("agent.yaml") && lines.len() == 3, "{all}");
    assert!(!all.contains("\\n"), "{all}");
    let restarts = machine.ok(&["systemctl", "show", "-P", "NRestarts", "steadfast"]);
    assert_eq!(restarts, "0\n");

    // Once they are mended nobody has to say so.
    machine.write("/etc/steadfast/agent.yaml", &good);
    wait_for(&machine, "mended", |it| it["wrong_settings"].is_null() && is_idle(it));
}

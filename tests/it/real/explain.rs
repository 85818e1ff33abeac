//! Every change on a machine leads back to a line, a commit, an author and a subject.

use super::agent::repository;
use super::lab::installed::{installed, is_idle, motd, revision, settings, until, wait_for};
use super::lab::machine::Machine;
use serde_json::Value;

/// Commits a server by somebody, signed by the key that is trusted; the commit.
fn commit(machine: &Machine, who: &str, subject: &str, server: &str) -> String {
    machine.write("/srv/model/servers/web.yaml", server);
    let address = who.split(' ').next().unwrap().to_lowercase();
    let script = format!(
        "cd /srv/model; git add -A
         git commit -q -S --author '{who} <{address}@example.test>' -m '{subject}'
         git rev-parse HEAD"
    );
    machine.sh(&script).trim().to_owned()
}

#[track_caller]
fn says(machine: &Machine, arguments: &[&str], parts: &[&str]) -> String {
    let said = machine.steadfast(arguments);
    assert_eq!(said.status, 0, "{said:#?}");
    for part in parts {
        assert!(said.stdout.contains(part), "{part:?} is not in:\n{}", said.stdout);
    }
    // Lines of a difference are not broken.
    let is_diff =
        |it: &&str| it.starts_with("          ") && it.trim_start().starts_with(['+', '-']);
    for line in said.stdout.lines().filter(|it| !is_diff(it)) {
        assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
    }
    said.stdout
}

#[test]
fn two_authors_are_told_by_the_lines_that_they_wrote() {
    let Some(machine) = installed() else { return };
    motd(&machine, "nothing");
    repository(&machine);
    let first = "server: web\nfiles:\n  /etc/motd: { content: \"one\\n\" }\n";
    let first_commit = commit(&machine, "Anna Peeters", "Say one", first);
    settings(
        &machine,
        "source: { git: { url: \"file:///srv/model\", branch: main } }
trust: { allowed_signers: /etc/steadfast/allowed_signers }",
    );
    machine.ok(&["systemctl", "start", "steadfast"]);
    wait_for(&machine, "adopted", |it| revision(it) == first_commit && is_idle(it));
    let short = |it: &str| it[..12].to_owned();
    // Nothing is known of what is older than the first revision.
    let older = format!("written in or before {} of ", short(&first_commit));
    says(&machine, &["explain", "/etc/motd"], &[&older]);

    // A commit in between, of which the node never adopts the tip, and one more.
    let second = format!("# A line before\n{first}  /etc/issue: {{ content: \"two\\n\" }}\n");
    let second_commit = commit(&machine, "Bert Claes", "Greet at the door, too", &second);
    let third = format!("{second}  /etc/issue.net: {{ content: \"three\\n\", mode: \"0644\" }}\n");
    let third_commit = commit(&machine, "Carla Diaz", "Greet the net", &third);
    machine.ok(&["steadfast", "adopt", &third_commit]);
    wait_for(&machine, "adopted", |it| revision(it) == third_commit && is_idle(it));
    let by_bert = format!("written in {} of ", short(&second_commit));
    let said = says(&machine, &["explain", "/etc/issue"], &[&by_bert, "servers/web.yaml:5"]);
    let flat = said.split_whitespace().collect::<Vec<&str>>().join(" ");
    assert!(flat.contains("by Bert Claes <bert@example.test>: Greet at the door, too"), "{said}");
    let by_carla = format!("written in {} of ", short(&third_commit));
    says(&machine, &["explain", "/etc/issue.net"], &[&by_carla]);
    // The line has moved, and is as old as it was.
    says(&machine, &["explain", "/etc/motd"], &[&older, "servers/web.yaml:4"]);
    let data = machine.ok(&["steadfast", "explain", "/etc/issue", "--format", "json"]);
    let data: Value = serde_json::from_str(&data).unwrap();
    let written = &data["origins"][0]["origin"]["written"];
    assert_eq!(written["commit"], second_commit.as_str(), "{data:#}");

    let by = "by Carla Diaz <carla@example.test>: Greet the net";
    says(&machine, &["status"], &[by]);
    let status = machine.ok(&["steadfast", "status", "--format", "json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["adopted"]["author"], "Carla Diaz <carla@example.test>", "{status:#}");
    let history = says(&machine, &["history"], &[&format!("{} {by}", short(&third_commit))]);
    let run = history.split_whitespace().next().unwrap();
    says(&machine, &["history", "show", run], &[&by_bert, &by_carla]);

    // Somebody breaks it; it is repaired at once, and both are told.
    machine.sh("chmod 0600 /etc/issue.net");
    until(&machine, "repaired", || machine.ok(&["stat", "-c", "%a", "/etc/issue.net"]) == "644\n");
    let parts = ["last repaired ", ": was mode 0600\n"];
    let quiet = wait_for(&machine, "quiet", is_idle);
    assert_eq!(quiet["last_run"]["not_kept"], Value::Array(vec![]), "{quiet:#}");
    says(&machine, &["explain", "/etc/issue.net"], &parts);
    let runs = machine.ok(&["steadfast", "history", "--format", "json", "--limit", "1"]);
    let run: Value = serde_json::from_str(runs.lines().next().unwrap()).unwrap();
    assert_eq!(run["subject"], "Greet the net", "{run:#}");
}

#[test]
fn a_run_under_way_is_told_from_one_that_was_cut_short() {
    let Some(machine) = Machine::boot() else { return };
    // Whoever opens one end of it waits until somebody opens the other.
    machine.sh("mkfifo /root/gate");
    machine.server_model(&[(
        "servers/web.yaml",
        "server: web\nfiles:\n  \
         /etc/x: { content: x, validate: [sh, -c, \"cat /root/gate\", \"{file}\"] }\n",
    )]);
    let is = |words: &str| {
        let said = machine.steadfast(&["history"]);
        assert_eq!(said.status, 0, "{said:#?}");
        said.stdout.contains(words)
    };
    let run = machine.spawn_steadfast(&["run", "--model", "/srv/model"]);
    until(&machine, "under way", || is("in progress"));
    says(&machine, &["history", "show", "1"], &["ended     not yet: it is in progress"]);
    run.kill();
    drop(run);
    until(&machine, "cut short", || is("interrupted"));
    says(&machine, &["history", "show", "1"], &["ended     never: it was interrupted"]);

    // The next one is under way, and the one that was cut short stays that.
    let run = machine.spawn_steadfast(&["run", "--model", "/srv/model"]);
    until(&machine, "under way", || is("in progress"));
    let said = machine.steadfast(&["history", "--format", "json"]).stdout;
    let ways: Vec<Value> = said
        .lines()
        .map(|it| serde_json::from_str::<Value>(it).unwrap()["under_way"].clone())
        .collect();
    assert_eq!(ways, [Value::Bool(true), Value::Bool(false)], "{said}");
    machine.sh("timeout 60 sh -c ': >/root/gate'");
    let ended = run.wait();
    assert_eq!(ended.status, 0, "{ended:#?}");
    assert!(!is("in progress") && is("interrupted"));
}

#[test]
fn a_node_that_takes_snapshots_tells_the_authors_that_were_published_with_them() {
    let Some(machine) = installed() else { return };
    motd(&machine, "nothing");
    repository(&machine);
    let first = "server: web\nfiles:\n  /etc/motd: { content: \"one\\n\" }\n";
    let first_commit = commit(&machine, "Anna Peeters", "Say one", first);
    let second = format!("{first}  /etc/issue: {{ content: \"two\\n\" }}\n");
    let second_commit = commit(&machine, "Bert Claes", "Greet at the door, too", &second);
    machine.sh("steadfast keys create /root/key
        steadfast publish /srv/model --revision HEAD --key /root/key --output /srv/www");
    settings(
        &machine,
        "source: { snapshot: { url: \"file:///srv/www\" } }\ntrust: { keys: /root/key.pub }",
    );
    machine.ok(&["systemctl", "start", "steadfast"]);
    let status = wait_for(&machine, "adopted", |it| !revision(it).is_empty() && is_idle(it));
    assert_eq!(status["adopted"]["author"], "Bert Claes <bert@example.test>", "{status:#}");
    // All of its history was there when it was published.
    let short = |it: &str| it[..12].to_owned();
    let by_anna = format!("written in {} of ", short(&first_commit));
    let by_bert = format!("written in {} of ", short(&second_commit));
    says(&machine, &["explain", "/etc/motd"], &[&by_anna]);
    says(&machine, &["explain", "/etc/issue"], &[&by_bert]);
    says(&machine, &["history", "show", "1"], &[&by_anna, &by_bert]);
}

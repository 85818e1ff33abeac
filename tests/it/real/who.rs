//! Who changed what was promised: as the history, `explain` and the journal name it.

use super::lab::apt::AptRepository;
use super::lab::installed::{
    DIRECTORY, installed, is_idle, journal, kept, settings, until, wait_for,
};
use super::lab::machine::{Inside, Machine};
use serde_json::Value;

const NOTE: &str = "/srv/shared/note";

/// A machine with a user, whose agent keeps a file that the user may write. What checks the file leaves
/// behind what it may do itself.
fn watched() -> Option<Machine> {
    let machine = installed()?;
    machine.sh("useradd -m -u 1000 ann");
    let server = "server: web
directories:
  /srv/shared: { owner: ann }
files:
  /srv/shared/note:
    content: \"kept\\n\"
    owner: ann
    validate: [sh, -c, 'cat /proc/self/status >/root/child; ls -l /proc/self/fd >/root/fds; test -s $0', \"{file}\"]
";
    machine.server_model(&[("servers/web.yaml", server)]);
    settings(&machine, DIRECTORY);
    Some(machine)
}

/// Writes the note as a process that lives on for a while, and waits until it was repaired.
#[track_caller]
fn write_as(machine: &Machine, into: &[&str]) -> Inside {
    // A run that found everything as promised names nobody.
    let named = || {
        let by = latest(machine).map(|it| it["changed_by"].clone());
        by.filter(|it| it.as_array().is_some_and(|it| !it.is_empty()))
    };
    let before = named();
    let script = format!("echo drifted >{NOTE}; sleep 600; :");
    let writer = machine.spawn(&[into, &["sh", "-c", &script]].concat());
    until(machine, "repaired, and somebody named", || {
        machine.text(NOTE) == "kept\n" && named().is_some_and(|it| Some(it) != before)
    });
    writer
}

/// What the latest run in the history says about the note.
fn latest(machine: &Machine) -> Option<Value> {
    let runs = machine.run(&["steadfast", "history", "--limit", "1", "--format", "json"]).stdout;
    let run = serde_json::from_str::<Value>(runs.lines().next()?).ok()?["run"].to_string();
    let shown = machine.ok(&["steadfast", "history", "show", &run, "--format", "json"]);
    let judged = shown.lines().filter_map(|it| serde_json::from_str::<Value>(it).ok());
    judged.into_iter().find(|it| it["promise"].as_str().is_some_and(|it| it.ends_with(NOTE)))
}

/// What the latest run says of the process that changed the note.
#[track_caller]
fn process(machine: &Machine) -> Value {
    let judged = latest(machine).unwrap();
    let by = judged["changed_by"].as_array().unwrap();
    by.last().unwrap_or_else(|| panic!("nobody: {judged:#}\n{}", journal(machine)))["process"]
        .clone()
}

/// SYS_ADMIN and SETPCAP are in none of the sets of a process.
#[track_caller]
fn has_given_up(status: &str) {
    let sets: Vec<&str> = status.lines().filter(|it| it.starts_with("Cap")).collect();
    assert_eq!(sets.len(), 5, "{status}");
    for set in sets {
        let bits = u64::from_str_radix(set.split_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(bits & (1 << 21 | 1 << 8), 0, "{set}");
    }
}

fn main_pid(machine: &Machine) -> String {
    machine.ok(&["systemctl", "show", "-P", "MainPID", "steadfast"]).trim().to_owned()
}

#[test]
fn history_explain_and_journal_name_who_changed_a_file() {
    let Some(machine) = watched() else { return };
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    assert!(!journal(&machine).contains("change attribution"), "{}", journal(&machine));
    has_given_up(&machine.text(&format!("/proc/{}/status", main_pid(&machine))));
    has_given_up(&machine.text("/root/child"));
    // The thread that asks leaves the signals to the loop: HUP, INT, USR2 and TERM.
    let threads = format!("cat /proc/{}/task/*/status", main_pid(&machine));
    let threads = machine.sh(&threads);
    let asks =
        threads.split("Name:").find(|it| it.trim_start().starts_with("attribution")).unwrap();
    let blocked = asks.lines().find_map(|it| it.strip_prefix("SigBlk:")).unwrap().trim();
    let wanted = [1, 2, 12, 15].iter().fold(0, |all, it| all | 1u64 << (it - 1));
    assert_eq!(u64::from_str_radix(blocked, 16).unwrap() & wanted, wanted, "{asks}");

    let ann = write_as(&machine, &["runuser", "-u", "ann", "--"]);
    let by = process(&machine);
    assert_eq!((&by["name"], &by["user"]), (&"sh".into(), &"ann".into()), "{by:#}");
    assert_eq!(by["command"], Value::Null, "what was given as text is not kept: {by:#}");
    drop(ann);
    let explained = machine.ok(&["steadfast", "explain", NOTE]);
    let line = explained.lines().find(|it| it.contains("changed at ")).unwrap_or(&explained);
    assert!(line.contains(" by sh (pid ") && line.contains(") of ann"), "{explained}");
    let run = machine.ok(&["steadfast", "history", "--limit", "1"]);
    let number = run.split_whitespace().next().unwrap();
    let shown = machine.ok(&["steadfast", "history", "show", number]);
    assert!(shown.contains(line.trim()), "{shown}");
    let judged = latest(&machine).unwrap();
    let words = judged["changed_by"][0]["words"].as_str().unwrap();
    assert!(line.ends_with(words), "{judged:#}");
    let told = machine.ok(&[
        "journalctl",
        "STEADFAST_PROMISE=file:/srv/shared/note",
        "STEADFAST_EVENT=repaired",
        "-u",
        "steadfast",
        "-o",
        "json",
    ]);
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(told["PRIORITY"], "6");
    assert_eq!(told["MESSAGE_ID"].as_str().map(str::len), Some(32));
    let message = told["MESSAGE"].as_str().unwrap();
    assert!(
        message.starts_with("repaired file:/srv/shared/note, changed by sh (pid "),
        "{message}"
    );

    // A service, and somebody who has logged in as one and acts as another.
    let robot =
        write_as(&machine, &["systemd-run", "--quiet", "--pipe", "--uid=ann", "--unit=robot"]);
    let by = process(&machine);
    assert_eq!((&by["unit"], &by["user"]), (&"robot.service".into(), &"ann".into()), "{by:#}");
    machine.ok(&["systemctl", "stop", "robot"]);
    drop(robot);
    let login = "echo 1000 >/proc/self/loginuid; exec \"$@\"";
    if machine.run(&["sh", "-c", login, "sh", "true"]).stderr.is_empty() {
        drop(write_as(&machine, &["sh", "-c", login, "sh"]));
        let by = process(&machine);
        assert_eq!((&by["login"], &by["user"]), (&"ann".into(), &"root".into()), "{by:#}");
    }

    // The descriptor is handed on to the program that takes over; the capability is gone by then.
    let before = main_pid(&machine);
    machine.sh("cd /usr/bin; cp steadfast new; mv new steadfast
        systemctl kill --kill-who=main --signal=USR2 steadfast");
    until(&machine, "taken over", || {
        let said = journal(&machine);
        said.split_once("restarting into it").is_some_and(|(_, after)| after.contains(": keeps "))
    });
    wait_for(&machine, "back", is_idle);
    let ann = write_as(&machine, &["runuser", "-u", "ann", "--"]);
    assert_eq!(process(&machine)["user"], "ann", "{}", journal(&machine));
    drop(ann);
    assert_eq!(main_pid(&machine), before);
    let descriptors = machine.text("/root/fds");
    assert!(!descriptors.contains("fanotify"), "children have it not: {descriptors}");
    assert!(!journal(&machine).contains("change attribution"), "{}", journal(&machine));

    // Again and again is a fight, and the words about it name who fights.
    until(&machine, "a fight", || {
        let told = journal(&machine).contains("is flapping");
        if !told {
            drop(write_as(&machine, &["runuser", "-u", "ann", "--"]));
        }
        told
    });
    let fight = machine.ok(&["journalctl", "STEADFAST_EVENT=fight", "-o", "cat"]);
    assert!(fight.contains("; last changed by sh (pid ") && fight.contains(" of ann"), "{fight}");
}

#[test]
fn what_the_package_manager_was_told_is_named_with_who_asked() {
    const DATA: &str = "/srv/hello/data";
    let Some(machine) = watched() else { return };
    let repository =
        AptRepository::new().package("hello-test", "1.0", |p| p.file(DATA, "the package's\n"));
    repository.install(&machine);
    let server = "server: web
packages: { hello-test: present }
directories: { /srv/hello: {} }
files: { /srv/hello/data: { content: \"ours\\n\" } }
";
    machine.server_model(&[("servers/web.yaml", server)]);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    let is_kept = || {
        machine.run(&["dpkg", "-s", "hello-test"]).stdout.contains("ok installed")
            && machine.exists(DATA)
            && machine.text(DATA) == "ours\n"
    };
    until(&machine, "kept", is_kept);
    let named = |command: &str, promise: &str, words: &str| {
        machine.sh(command);
        until(&machine, "named", || {
            let told = machine.ok(&["steadfast", "explain", promise]);
            // Text is broken where a line of the terminal ends.
            let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
            is_kept() && told.contains("changed at ") && told.contains(words)
        });
    };
    let asked = "export SUDO_UID=1000 SUDO_USER=ann DEBIAN_FRONTEND=noninteractive";
    named(
        &format!("{asked}; apt-get remove -q -y hello-test"),
        "package:hello-test",
        "apt-get remove -q -y hello-test, asked for by ann (1000)",
    );
    named(
        &format!("{asked}; apt-get install -q -y --reinstall hello-test"),
        DATA,
        "; apt-get install -q -y --reinstall hello-test, asked for by ann (1000)",
    );
    // apt's log has whole seconds, so what is done in the same one might be its doing.
    machine.sh("now=$(date +%s); while [ $(date +%s) -le $now ]; do sleep 0.05; done");
    let alone = "of root: dpkg --remove hello-test";
    named("dpkg --remove hello-test", "package:hello-test", alone);
    let told = machine.ok(&["journalctl", "STEADFAST_EVENT=repaired", "-o", "cat"]);
    assert!(told.contains("asked for by ann (1000)"), "{told}");
}

#[test]
fn without_the_capability_everything_is_kept_and_nobody_is_named() {
    let Some(machine) = watched() else { return };
    machine.sh("mkdir -p /etc/systemd/system/steadfast.service.d
        printf '[Service]\\nCapabilityBoundingSet=~CAP_SYS_ADMIN CAP_SETPCAP\\n' \
            >/etc/systemd/system/steadfast.service.d/test.conf
        systemctl daemon-reload; systemctl start steadfast");
    kept(&machine);
    let said = journal(&machine);
    let words = "the authors of changes are not recorded: open fanotify: Operation not permitted";
    assert_eq!(said.matches(words).count(), 1, "{said}");
    machine.write(NOTE, "drifted\n");
    until(&machine, "repaired", || machine.text(NOTE) == "kept\n" && latest(&machine).is_some());
    assert_eq!(latest(&machine).unwrap()["changed_by"], serde_json::json!([]));
    let explained = machine.ok(&["steadfast", "explain", NOTE]);
    assert!(!explained.contains("changed at"), "{explained}");
    assert!(journal(&machine).contains("repaired file:/srv/shared/note"));
}

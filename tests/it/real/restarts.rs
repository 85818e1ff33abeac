//! What a service owes is a state: it is paid once, whatever happens between the cause and the payment.
//!
//! `demo-server` copies its configuration to `/run/demo/loaded` when it starts or reloads, so what it
//! works with can be seen; the unit's InvocationID says whether it is another process.

use super::lab::machine::{Machine, Output};
use super::lab::model::{self, Run, run};

/// A machine on which `demo` runs already, as somebody else has set it up.
fn demo() -> Option<Machine> {
    let machine = Machine::boot()?;
    with_demo(&machine);
    Some(machine)
}

pub(super) fn with_demo(machine: &Machine) {
    model::repository().install(machine);
    machine.sh("DEBIAN_FRONTEND=noninteractive apt-get install -q -y demo-server >/dev/null");
    // Lets nobody through while there is a gate, and says when somebody waits there.
    machine.write(
        "/usr/local/bin/gate",
        "#!/bin/sh\n[ -p /run/gate ] || exit 0\necho waits >/run/waits\nread -r _ </run/gate\n",
    );
    machine.ok(&["chmod", "+x", "/usr/local/bin/gate"]);
}

/// A model with these sections.
fn promise(machine: &Machine, sections: &str) {
    machine.server_model(&[("servers/web.yaml", &format!("server: web\n{sections}"))]);
}

/// The configuration with this line, and the consequence it has.
fn configured(line: &str, consequence: &str) -> String {
    format!("files:\n  /etc/demo/demo.conf: {{ content: \"{line}\\n\", {consequence}: demo }}\n")
}

const RUNNING: &str = "services:\n  demo: { running: true, settle: 0s, validate: [gate] }\n";

pub(super) fn loaded(machine: &Machine) -> String {
    machine.text("/run/demo/loaded").trim_end().to_owned()
}

/// Which process of the unit runs; empty where none does.
pub(super) fn process(machine: &Machine, unit: &str) -> String {
    machine.ok(&["systemctl", "show", "-P", "InvocationID", unit]).trim_end().to_owned()
}

/// How often the demo server has read its configuration in this boot.
fn readings(machine: &Machine) -> usize {
    let journal = machine.ok(&["journalctl", "-b", "-u", "demo", "-o", "cat"]);
    journal.matches("demo-server: loaded").count()
}

fn outcome(run: &Run, promise: &str) -> String {
    let mut found = run.judged().filter(|(id, _)| id == promise).map(|(_, outcome)| outcome);
    found.next().unwrap_or_else(|| "not judged".to_owned())
}

/// What a run did about a promise, a line each.
fn done(run: &Run, promise: &str) -> Vec<String> {
    run.events
        .iter()
        .filter(|it| it["promise"] == promise)
        .flat_map(|it| it["changes"].as_array().cloned().unwrap_or_default())
        .map(|it| it["change"].as_str().unwrap().to_owned())
        .collect()
}

/// Runs until everything but the restart is done, and ends the run there. The gate is gone after it.
pub(super) fn cut_before_the_restart(machine: &Machine) -> Output {
    machine.sh("rm -f /run/gate /run/waits; mkfifo /run/gate /run/waits");
    let cut = machine.spawn_steadfast(&["run", "--model", "/srv/model"]);
    machine.ok(&["timeout", "60", "cat", "/run/waits"]);
    cut.kill();
    machine.sh("timeout 10 sh -c 'echo >/run/gate'; rm /run/gate /run/waits");
    cut.wait()
}

/// A machine whose demo server owes a restart for `line`, because the run that wrote it was cut.
fn owing(machine: &Machine, line: &str) -> String {
    promise(machine, &format!("{}{RUNNING}", configured(line, "restarts")));
    let before = process(machine, "demo");
    let cut = cut_before_the_restart(machine);
    assert_eq!(cut.status, 128 + 9, "{cut:#?}");
    assert_eq!(machine.text("/etc/demo/demo.conf"), format!("{line}\n"));
    assert_eq!(process(machine, "demo"), before);
    assert_ne!(loaded(machine), line);
    before
}

/// Everything is kept, and nothing is done.
fn assert_quiet(machine: &Machine, more: &[&str]) {
    let before = process(machine, "demo");
    let quiet = run(machine, more);
    assert_eq!((quiet.outcomes(), quiet.exit), (vec![], 0), "{quiet:#?}");
    assert_eq!(process(machine, "demo"), before);
}

#[test]
fn a_debt_outlives_a_killed_run_until_something_pays_it() {
    let Some(mut machine) = demo() else { return };
    let first = process(&machine, "demo");
    promise(&machine, "services:\n  demo: { running: true, restart_on: [\"file:*\"] }\n");
    assert_quiet(&machine, &[]);
    promise(&machine, &format!("{}{RUNNING}", configured("greeting = hello from 1.0", "restarts")));
    assert_quiet(&machine, &[]);
    assert_eq!(process(&machine, "demo"), first, "who is met for the first time owes nothing");

    // The next run pays, and a look before it says so.
    let before = owing(&machine, "one");
    let history = machine.ok(&["steadfast", "history"]);
    assert!(history.lines().next().unwrap().contains("interrupted"), "{history}");
    let dry = run(&machine, &["--dry-run"]);
    let forecast: Vec<String> = dry
        .events
        .iter()
        .filter(|it| it["event"] == "forecast")
        .map(|it| {
            format!("{}: {}", it["promise"].as_str().unwrap(), it["change"].as_str().unwrap())
        })
        .collect();
    assert_eq!(forecast, ["service:demo: restart (file:/etc/demo/demo.conf changed)"]);
    assert_eq!(process(&machine, "demo"), before);
    let pays = run(&machine, &[]);
    assert_eq!(pays.outcomes(), [("service:demo".to_owned(), "repaired".to_owned())], "{pays:#?}");
    assert_eq!(loaded(&machine), "one");
    assert_ne!(process(&machine, "demo"), before);
    assert_quiet(&machine, &[]);

    // So does somebody else's restart.
    owing(&machine, "two");
    machine.ok(&["systemctl", "restart", "demo"]);
    assert_quiet(&machine, &[]);
    assert_eq!(loaded(&machine), "two");

    // So does a run that attempts only the cause, or only the service, and no other run.
    let before = owing(&machine, "three");
    let other = run(&machine, &["--only", "file:/etc/motd"]);
    assert_eq!((other.outcomes(), other.exit), (vec![], 0), "{other:#?}");
    assert_eq!(process(&machine, "demo"), before);
    let cause = run(&machine, &["--only", "file:/etc/demo/demo.conf"]);
    assert_eq!(outcome(&cause, "service:demo"), "repaired", "{cause:#?}");
    assert_eq!(loaded(&machine), "three");
    assert_quiet(&machine, &[]);
    owing(&machine, "four");
    let service = run(&machine, &["--only", "service:demo"]);
    assert_eq!(done(&service, "service:demo"), ["restart (file:/etc/demo/demo.conf changed)"]);
    assert_eq!(loaded(&machine), "four");
    assert_quiet(&machine, &[]);

    // A later model, in which the cause is not even promised any more.
    let before = owing(&machine, "five");
    promise(&machine, RUNNING);
    let later = run(&machine, &[]);
    assert_eq!(outcome(&later, "service:demo"), "repaired", "{later:#?}");
    assert_ne!(process(&machine, "demo"), before);
    assert_quiet(&machine, &[]);
    // And one that changes the cause once more: one restart pays both.
    owing(&machine, "six");
    let before = readings(&machine);
    promise(&machine, &format!("{}{RUNNING}", configured("seven", "restarts")));
    let later = run(&machine, &[]);
    assert_eq!(later.exit, 0, "{later:#?}");
    assert_eq!((loaded(&machine).as_str(), readings(&machine)), ("seven", before + 1));
    assert_quiet(&machine, &[]);

    // Who has been stopped owes nothing, and is not started.
    owing(&machine, "eight");
    machine.ok(&["systemctl", "stop", "demo"]);
    promise(&machine, &configured("eight", "restarts"));
    let stopped = run(&machine, &[]);
    assert_eq!((stopped.outcomes(), stopped.exit), (vec![], 0), "{stopped:#?}");
    assert_eq!(machine.run(&["systemctl", "is-active", "demo"]).stdout, "inactive\n");
    machine.ok(&["systemctl", "start", "demo"]);
    assert_quiet(&machine, &[]);

    // A boot pays.
    owing(&machine, "nine");
    machine.reboot();
    assert_eq!(loaded(&machine), "nine");
    assert_quiet(&machine, &[]);
    assert_eq!(readings(&machine), 1);
}

#[test]
fn a_restart_that_fails_is_reported_with_its_journal_and_stays_owed() {
    let Some(machine) = demo() else { return };
    // As a promise of its own, and as a unit that is only named by the file.
    for services in [RUNNING, ""] {
        promise(&machine, &format!("{}{services}", configured("good", "restarts")));
        assert_eq!(run(&machine, &[]).exit, 0);
        assert_eq!(loaded(&machine), "good");
        promise(&machine, &format!("{}{services}", configured("broken", "restarts")));
        let failed = run(&machine, &[]);
        assert_eq!(failed.exit, 4);
        assert_eq!(outcome(&failed, "service:demo"), "not-kept", "{failed:#?}");
        assert_eq!(outcome(&failed, "file:/etc/demo/demo.conf"), "repaired");
        let because = failed.because("service:demo");
        assert!(because.contains("demo-server: /etc/demo/demo.conf is broken"), "{because}");
        // It stays so, and is said again.
        let again = run(&machine, &[]);
        assert_eq!(
            (outcome(&again, "service:demo").as_str(), again.exit),
            ("not-kept", 4),
            "{again:#?}"
        );
        // The model is repaired, and with it the service that the run had taken down.
        promise(&machine, &format!("{}{services}", configured("mended", "restarts")));
        let mended = run(&machine, &[]);
        assert_eq!(mended.exit, 0, "{mended:#?}");
        assert_eq!(machine.run(&["systemctl", "is-active", "demo"]).stdout, "active\n");
        assert_eq!(loaded(&machine), "mended");
        assert_quiet(&machine, &[]);
    }
}

#[test]
fn a_service_gets_its_inputs_once_and_in_the_way_that_was_promised() {
    let Some(machine) = demo() else { return };
    let sections = |extra: &str, service: &str| {
        format!(
            "files:\n  /etc/demo/demo.conf: {{ content: \"one\\n\", reloads: demo }}\n\
             {extra}services:\n  demo: {{ running: true, settle: 0s{service} }}\n"
        )
    };
    // A reload keeps the process; a change by somebody else is put right and loaded.
    let before = process(&machine, "demo");
    promise(&machine, &sections("", ""));
    let first = run(&machine, &[]);
    assert_eq!(done(&first, "service:demo"), ["reload (file:/etc/demo/demo.conf changed)"]);
    assert_eq!((loaded(&machine).as_str(), process(&machine, "demo")), ("one", before.clone()));
    machine.write("/etc/demo/demo.conf", "drifted\n");
    machine.ok(&["systemctl", "reload", "demo"]);
    assert_eq!(loaded(&machine), "drifted");
    let repaired = run(&machine, &[]);
    assert_eq!(done(&repaired, "service:demo"), ["reload (file:/etc/demo/demo.conf changed)"]);
    assert_eq!((loaded(&machine).as_str(), process(&machine, "demo")), ("one", before.clone()));
    assert_quiet(&machine, &[]);

    // Three causes, one of which needs another process: one restart, and no reload beside it.
    let readings_before = readings(&machine);
    let more = "  /etc/demo/a: { content: \"a\\n\", reloads: demo }\n  \
                /etc/demo/b: { content: \"b\\n\" }\n  /etc/demo/c: { content: \"c\\n\", restarts: [demo] }\n";
    machine.write("/etc/demo/demo.conf", "drifted\n");
    promise(&machine, &sections(more, ", restart_on: [\"file:/etc/demo/[bc]\"]"));
    let several = run(&machine, &[]);
    assert_eq!(several.exit, 0, "{several:#?}");
    let did = done(&several, "service:demo");
    assert!(did.len() == 1 && did[0].starts_with("restart ("), "{did:?}");
    for cause in ["demo.conf", "demo/a", "demo/b", "demo/c"] {
        assert!(did[0].contains(cause), "{did:?}");
    }
    assert_eq!(readings(&machine), readings_before + 1);
    assert_ne!(process(&machine, "demo"), before);
    assert_quiet(&machine, &[]);

    // Its own drop-in: systemd reads its files once, and the service is restarted.
    let with = |limit: u32| {
        let drop_in = format!(
            ", drop_ins: {{ limits: {{ content: \"[Service]\\nLimitNOFILE={limit}\\n\" }} }}"
        );
        sections("", &drop_in)
    };
    for limit in [1000, 2000] {
        let before = process(&machine, "demo");
        promise(&machine, &with(limit));
        let run = run(&machine, &[]);
        assert_eq!(run.exit, 0, "{run:#?}");
        let did = done(&run, "service:demo");
        let words: Vec<&str> = did.iter().map(|it| it.split(' ').next().unwrap()).collect();
        assert!(words.ends_with(&["write", "reload", "restart"]), "{did:?}");
        assert_ne!(process(&machine, "demo"), before);
        let shown = machine.ok(&["systemctl", "show", "-P", "LimitNOFILE", "demo"]);
        assert_eq!(shown.trim_end(), limit.to_string());
        assert_quiet(&machine, &[]);
    }
    // Only its cause is selected: it is paid, and the next whole run has nothing left to do.
    machine.write("/etc/demo/demo.conf", "drifted\n");
    let only = run(&machine, &["--only", "file:/etc/demo/demo.conf"]);
    assert_eq!(done(&only, "service:demo"), ["reload (file:/etc/demo/demo.conf changed)"]);
    assert_quiet(&machine, &[]);

    // A promised file at a unit's path: systemd reads it, and nothing is restarted that nobody named.
    let before = process(&machine, "demo");
    let file = "files:\n  /etc/systemd/system/demo.service.d/note.conf:\n    \
                content: \"[Unit]\\nDescription=Noted\\n\"\n";
    promise(
        &machine,
        &format!(
            "{file}services:\n  demo: {{ running: true, settle: 0s, drop_ins: {{ limits: {{ content: \"[Service]\\nLimitNOFILE=2000\\n\" }} }} }}\n"
        ),
    );
    let dry = run(&machine, &["--dry-run"]);
    let file = "file:/etc/systemd/system/demo.service.d/note.conf";
    let read = "reload systemd's unit files (daemon-reload)";
    let foreseen = |it: &(String, String, String)| it.0 == file && it.1 == read;
    assert!(dry.forecasts().iter().any(foreseen), "{:?}", dry.forecasts());
    let noted = run(&machine, &[]);
    assert_eq!(noted.exit, 0, "{noted:#?}");
    assert_eq!(done(&noted, file).last().map(String::as_str), Some(read));
    assert_eq!(noted.outcomes(), [(file.to_owned(), "repaired".to_owned())]);
    assert_eq!(machine.ok(&["systemctl", "show", "-P", "Description", "demo"]), "Noted\n");
    assert_eq!(process(&machine, "demo"), before);
    assert_quiet(&machine, &[]);
}

#[test]
fn what_fails_its_validation_or_does_not_stay_up_is_not_kept() {
    let Some(machine) = demo() else { return };
    let sections = |line: &str, validate: &str| {
        format!(
            "{}services:\n  demo: {{ running: true, settle: 0s, validate: {validate} }}\n",
            configured(line, "restarts")
        )
    };
    // The old process stays, and the debt too.
    let before = process(&machine, "demo");
    promise(&machine, &sections("broken", "[demo-server, --check, /etc/demo/demo.conf]"));
    for _ in 0..2 {
        let refused = run(&machine, &[]);
        assert_eq!((outcome(&refused, "service:demo").as_str(), refused.exit), ("not-kept", 4));
        let because = refused.because("service:demo");
        assert!(because.contains("/etc/demo/demo.conf is broken"), "{because}");
        assert_eq!(process(&machine, "demo"), before);
        assert_eq!(loaded(&machine), "greeting = hello from 1.0");
    }
    // A selection by the cause validates as well.
    let refused = run(&machine, &["--only", "file:*"]);
    assert_eq!(outcome(&refused, "service:demo"), "not-kept", "{refused:#?}");
    assert_eq!(process(&machine, "demo"), before);
    promise(&machine, &sections("mended", "[demo-server, --check, /etc/demo/demo.conf]"));
    assert_eq!(run(&machine, &[]).exit, 0);
    assert_eq!(loaded(&machine), "mended");

    // One that starts, and dies again and again.
    let unit = "services:\n  crasher:\n    running: true\n    settle: 5s\n    unit:\n      content: |\n        \
                [Service]\n        ExecStart=/bin/sh -c 'echo I cannot go on; exit 7'\n        \
                Restart=always\n        RestartSec=100ms\n        StartLimitBurst=1000\n";
    promise(&machine, unit);
    let crashed = run(&machine, &[]);
    assert_eq!((outcome(&crashed, "service:crasher").as_str(), crashed.exit), ("not-kept", 4));
    let because = crashed.because("service:crasher");
    assert!(because.contains("I cannot go on"), "{because}");
    machine.ok(&["systemctl", "stop", "crasher"]);
}

#[test]
fn a_lost_record_is_said_and_never_taken_for_nothing_owed() {
    let Some(machine) = demo() else { return };
    promise(&machine, &format!("{}{RUNNING}", configured("one", "restarts")));
    assert_eq!(run(&machine, &[]).exit, 0);
    owing(&machine, "two");
    let before = process(&machine, "demo");
    machine.write("/var/lib/steadfast/state.db", [0x53; 8192]);
    let lost = run(&machine, &[]);
    assert!(lost.stderr.contains("set aside"), "{}", lost.stderr);
    assert_eq!((outcome(&lost, "service:demo").as_str(), lost.exit), ("held", 0), "{lost:#?}");
    let because = lost.because("service:demo");
    assert!(because.contains("a restart may be owed"), "{because}");
    assert_eq!(process(&machine, "demo"), before);
    // It is said until somebody restarts it, and asked for with --exit-code.
    let again = run(&machine, &["--exit-code"]);
    assert_eq!((outcome(&again, "service:demo").as_str(), again.exit), ("held", 3), "{again:#?}");
    machine.ok(&["systemctl", "restart", "demo"]);
    assert_quiet(&machine, &["--exit-code"]);
    assert!(machine.exists("/var/lib/steadfast/state.db.damaged-1"));
}

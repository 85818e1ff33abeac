//! The main job: from bare to kept, and then nothing.

use super::drift::came_true;
use super::lab::listing::changes;
use super::lab::machine::Machine;
use super::lab::model::{bare, kept, run};
use std::fmt::Write as _;

/// What a run may not touch when there is nothing to do.
const WITHOUT: &[&str] = &["/var/log/journal", "/var/lib/systemd"];

#[test]
fn from_bare_to_kept_and_the_second_run_writes_nothing() {
    let Some(machine) = bare() else { return };
    let first = run(&machine, &[]);
    assert_eq!(first.exit, 0, "{first:#?}");
    let bad: Vec<_> = first.judged().filter(|(_, it)| it != "kept" && it != "repaired").collect();
    assert_eq!(bad, []);
    let nothing_more = |without: &[&str]| {
        let before = machine.listing(&["/"], without);
        let run = run(&machine, &[]);
        assert_eq!(run.outcomes(), [], "{run:#?}");
        assert_eq!(run.exit, 0);
        let after = machine.listing(&["/"], without);
        assert_eq!(changes(&before, &after), Vec::<String>::new());
    };
    // What it knows from the runs before goes into the cache, until there is no more to know.
    let but_its_cache = [WITHOUT, &["/var/cache/steadfast"]].concat();
    nothing_more(&but_its_cache);
    nothing_more(&but_its_cache);
    nothing_more(WITHOUT);
}

#[test]
fn a_run_with_nothing_to_change_starts_no_process() {
    let Some(machine) = kept() else { return };
    let arguments = ["run", "--model", "/srv/model"];
    for what in ["remembered", "resolved anew"] {
        if what == "resolved anew" {
            machine.sh("rm /var/cache/steadfast/resolved; rm -f /var/cache/steadfast/kept");
        }
        let calls = "execve,execveat,fork,vfork,clone,clone3";
        let Some((output, log)) = machine.traced_steadfast(calls, &arguments) else { return };
        assert_eq!(output.status, 0, "{output:#?}");
        let Some((_, ours)) = log.split_once("/usr/local/bin/steadfast") else {
            panic!("it was not started: {log}")
        };
        let processes: Vec<&str> = ours
            .lines()
            .skip(1)
            .filter(|it| it.contains("exec") || it.contains("fork(") || it.contains("clone"))
            .filter(|it| !it.contains("CLONE_THREAD") && !it.contains("resumed>"))
            .collect();
        assert_eq!(processes, Vec::<&str>::new(), "{what}");
    }
}

#[test]
fn what_many_promises_share_is_asked_for_as_often_as_for_few() {
    let Some(machine) = Machine::boot() else { return };
    let arguments = ["run", "--model", "/srv/model"];
    let shared = [
        "/etc/passwd",
        "/etc/group",
        "/etc/shadow",
        "/etc/nsswitch.conf",
        "/etc/systemd/system",
        "/run/systemd/transient",
        "/var/lib/steadfast/state.db-journal",
        "/var/lib/steadfast/secret-paths.json",
    ];
    let mut all: Vec<Vec<(&str, usize)>> = vec![];
    for count in [2, 12] {
        let mut server = "server: many\nusers:\n".to_owned();
        for at in 0..count {
            writeln!(server, "  person{at}: {{ group: adm, home: /srv/person{at} }}").unwrap();
        }
        server.push_str("services:\n");
        for at in 0..count {
            let unit = "[Service]\\nExecStart=/bin/sleep infinity\\n";
            writeln!(
                server,
                "  many{at}: {{ running: true, settle: 0s, unit: {{ content: \"{unit}\" }} }}"
            )
            .unwrap();
        }
        machine.server_model(&[("servers/many.yaml", &server)]);
        for _ in 0..2 {
            let run = machine.steadfast(&arguments);
            assert_eq!(run.status, 0, "{run:#?}");
        }
        let calls = "open,openat,stat,lstat,newfstatat,statx";
        let Some((output, log)) = machine.traced_steadfast(calls, &arguments) else { return };
        assert_eq!(output.status, 0, "{output:#?}");
        let asked = |path: &&'static str| {
            let quoted = format!("\"{path}\"");
            (*path, log.lines().filter(|it| it.contains(&quoted)).count())
        };
        all.push(shared.iter().map(asked).collect());
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn what_is_remembered_of_a_model_is_never_in_the_way_of_what_is_true() {
    let Some(machine) = kept() else { return };
    let remembered = "/var/cache/steadfast/resolved";
    assert_eq!(machine.ok(&["stat", "-c", "%a %U", remembered]), "600 root\n");
    let outcome = |promise: &str| {
        let run = run(&machine, &[]);
        assert_eq!(run.exit, 0, "{run:#?}");
        let all = run.outcomes();
        assert!(all.iter().all(|(_, it)| it == "repaired"), "{all:?}");
        all.iter().any(|(it, _)| it == promise)
    };
    // The machine drifted: the whole content comes back, from the model.
    let index = "/srv/www/index.html";
    machine.sh(&format!("echo drifted >{index}"));
    assert!(outcome(&format!("file:{index}")));
    assert_eq!(machine.text(index), "<h1>hello</h1>\n");
    // A file that the model takes in changed, and nothing else.
    machine.write("/srv/model/files/index.html", "<h1>other</h1>\n");
    assert!(outcome(&format!("file:{index}")));
    assert_eq!(machine.text(index), "<h1>other</h1>\n");
    // A fact changed.
    machine.sh("mkdir -p /etc/steadfast/facts.d; echo '{\"x\": 1}' >/etc/steadfast/facts.d/x.json");
    let before = machine.read(remembered);
    assert_eq!(run(&machine, &[]).outcomes(), []);
    assert_ne!(machine.read(remembered), before);
    // It is damaged, cut or gone: it is made anew, and nothing else is different.
    for script in
        ["printf x | dd of=F bs=1 seek=500 conv=notrunc status=none", "truncate -s 100 F", "rm F"]
    {
        let good = machine.read(remembered);
        machine.sh(&script.replace('F', remembered));
        assert_eq!(run(&machine, &[]).outcomes(), [], "{script}");
        assert_eq!(machine.read(remembered), good, "{script}");
    }
    // Nothing to change, nothing written.
    let before = machine.listing(&["/"], WITHOUT);
    assert_eq!(run(&machine, &[]).outcomes(), []);
    assert_eq!(changes(&before, &machine.listing(&["/"], WITHOUT)), Vec::<String>::new());
}

#[test]
fn a_dry_run_changes_nothing_and_what_it_says_comes_true() {
    let Some(machine) = bare() else { return };
    let before = machine.listing(&["/"], WITHOUT);
    let dry = run(&machine, &["--dry-run"]);
    assert_eq!(dry.exit, 0, "{dry:#?}");
    let after = machine.listing(&["/"], WITHOUT);
    assert_eq!(changes(&before, &after), Vec::<String>::new());
    let real = run(&machine, &[]);
    assert_eq!(real.exit, 0, "{real:#?}");
    assert_eq!(came_true(&dry, &real), [""; 0], "{dry:#?}\n{real:#?}");
}

#[test]
fn many_services_are_asked_about_within_the_limits_of_the_bus() {
    let Some(machine) = Machine::boot() else { return };
    let mut server = "server: web\nservices:\n".to_owned();
    for it in 0..60 {
        writeln!(
            server,
            "  many{it}:\n    running: true\n    settle: 0s\n    unit:\n      content: |\n        \
             [Service]\n        ExecStart=/bin/sleep infinity"
        )
        .unwrap();
    }
    machine.server_model(&[("servers/web.yaml", &server)]);
    let first = run(&machine, &[]);
    let bad: Vec<_> = first.judged().filter(|(_, it)| it != "repaired").collect();
    let whys: Vec<String> = bad.iter().map(|(it, _)| first.because(it)).collect();
    assert_eq!((bad, first.exit), (vec![], 0), "{whys:#?}");
    assert_eq!(run(&machine, &[]).outcomes(), []);
}

//! What a run leaves alone, what it selects and orders, and how it is told afterwards.

use super::drift::{came_true, keep};
use super::lab::machine::Machine;
use super::lab::model::run;

const SERVER: &str = r#"server: web
parameters: { big: false }
groups: { team: { gid: 2100 } }
users: { worker: { uid: 2100, group: team, shell: /bin/bash } }
directories: { /srv/d: { owner: worker, mode: "0750" } }
files:
  /srv/d/one: { content: "one for {{ node.name }}\n", owner: worker, mode: "0640" }
  /srv/d/two: { content: "two\n", after: ["file:/srv/z"] }
  /srv/z: { content: "z\n" }
  /srv/big: { content: "big\n", when: "{{ big }}" }
  /srv/small: { content: "small\n", when: "not big" }
links: { /srv/l: d }
cron: { job: { schedule: "@daily", command: "true" } }
services: { cron: { running: true, settle: 0s } }
"#;

const DRIFT: &str = "usermod -s /bin/sh worker; chmod 0777 /srv/d; echo drift >/srv/d/one; rm /srv/z /srv/d/two; \
    ln -sfn / /srv/l; echo '#' >/etc/cron.d/job; systemctl stop cron; groupmod -g 2222 team; echo mine >/srv/big";

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut list: Vec<_> = list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    list.sort();
    list
}

fn sorted(mut list: Vec<(String, String)>) -> Vec<(String, String)> {
    list.sort();
    list
}

const ALL: &[&str] = &[
    "group:team",
    "user:worker",
    "directory:/srv/d",
    "file:/srv/d/one",
    "file:/srv/d/two",
    "file:/srv/z",
    "link:/srv/l",
    "cron:job",
    "service:cron",
];

#[test]
fn what_is_only_to_be_reported_is_held_and_not_touched() {
    let Some(machine) = Machine::boot() else { return };
    keep(&machine, SERVER, &[]);
    machine.sh("test ! -e /srv/big; test -e /srv/small");
    machine.sh(DRIFT);
    let report = SERVER.replace("server: web\n", "server: web\nkeep: report\n");
    machine.server_model(&[("servers/web.yaml", &report)]);
    let look = || machine.listing(&["/etc", "/srv"], &["/srv/model"]);
    let before = look();
    let dry = run(&machine, &["--dry-run"]);
    let real = run(&machine, &[]);
    let held: Vec<(&str, &str)> = ALL.iter().map(|it| (*it, "held")).collect();
    assert_eq!(sorted(real.outcomes()), pairs(&held), "{real:#?}");
    assert_eq!(sorted(dry.outcomes()), pairs(&held), "{dry:#?}");
    assert_eq!((dry.exit, real.exit, real.changes()), (0, 0, vec![]));
    assert_eq!(run(&machine, &["--exit-code"]).exit, 3);
    assert_eq!(super::lab::listing::changes(&before, &look()), [""; 0]);
    machine.sh("! systemctl is-active cron");
    // What it would do is said.
    assert!(real.because("user:worker").contains("/bin/sh -> /bin/bash"), "{real:#?}");
    assert!(real.because("directory:/srv/d").contains("0777 -> 0750"), "{real:#?}");

    let text = machine.steadfast(&["run", "--model", "/srv/model"]).stdout;
    assert_eq!(text.matches("set shell").count(), 1, "{text}");
    assert!(text.contains("-drift\n") && !text.contains("would write"), "{text}");

    // On one promise alone, the others are mended; what needs it is held too.
    let one = SERVER
        .replace("/srv/z: { content: \"z\\n\" }", "/srv/z: { content: \"z\\n\", keep: report }");
    machine.server_model(&[("servers/web.yaml", &one)]);
    let dry = run(&machine, &["--dry-run"]);
    let real = run(&machine, &[]);
    let expected = ALL.iter().map(|it| match *it {
        "file:/srv/z" | "file:/srv/d/two" => (*it, "held"),
        it => (it, "repaired"),
    });
    assert_eq!(sorted(real.outcomes()), pairs(&expected.collect::<Vec<_>>()), "{real:#?}");
    assert!(real.because("file:/srv/d/two").contains("file:/srv/z"), "{real:#?}");
    assert_eq!(came_true(&dry, &real), [""; 0]);
    machine.sh("test ! -e /srv/z; test ! -e /srv/d/two; systemctl is-active cron");

    // What is needed and is repaired holds nothing; a `when` that turns.
    let big = SERVER.replace("big: false", "big: true");
    machine.server_model(&[("servers/web.yaml", &big)]);
    let dry = run(&machine, &["--dry-run"]);
    let real = run(&machine, &[]);
    let expected = [
        ("file:/srv/big", "repaired"),
        ("file:/srv/z", "repaired"),
        ("file:/srv/d/two", "repaired"),
    ];
    assert_eq!(sorted(real.outcomes()), pairs(&expected));
    assert_eq!(came_true(&dry, &real), [""; 0]);
    machine.sh("grep -qx big /srv/big; test -e /srv/small");
}

#[test]
fn only_what_is_selected_is_mended() {
    let Some(machine) = Machine::boot() else { return };
    keep(&machine, SERVER, &[]);
    machine.sh(DRIFT);
    // What is selected, what is repaired, and what is held because it needs what is not selected.
    type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&["--only", "link:/srv/l"], &["link:/srv/l"], &[]),
        (&["--only", "file:/srv/d/on*"], &[], &["file:/srv/d/one"]),
        (&["--only", "group:*", "--only", "user:*"], &["group:team", "user:worker"], &[]),
        (&["--only", "directory:*"], &["directory:/srv/d"], &[]),
        (&["--only", "file:/srv/d/*"], &["file:/srv/d/one"], &["file:/srv/d/two"]),
        (&["--only", "file:/srv/*"], &["file:/srv/z"], &[]),
        (&["--only", "service:*"], &["service:cron"], &[]),
        (&[], &["file:/srv/d/two", "cron:job"], &[]),
        (&["--only", "**"], &[], &[]),
    ];
    for (only, repaired, held) in cases {
        let dry = run(&machine, &[&["--dry-run"], *only].concat());
        let real = run(&machine, only);
        let repaired = repaired.iter().map(|it| (*it, "repaired"));
        let held = held.iter().map(|it| (*it, "held"));
        let expected: Vec<(&str, &str)> = repaired.chain(held).collect();
        assert_eq!(sorted(real.outcomes()), pairs(&expected), "{only:?}: {real:#?}");
        assert_eq!(came_true(&dry, &real), [""; 0], "{only:?}");
    }
    // Alone, what needs something that is not selected and not kept is held.
    machine.sh("rm /srv/z /srv/d/two");
    let real = run(&machine, &["--only", "file:/srv/d/two"]);
    assert_eq!(real.outcomes(), pairs(&[("file:/srv/d/two", "held")]), "{real:#?}");
    machine.sh("test ! -e /srv/z");
    let nothing = machine.steadfast(&["run", "--model", "/srv/model", "--only", "file:/nowhere"]);
    assert_eq!(nothing.status, 0);
    assert!(nothing.stderr.contains("file:/nowhere matches no promise"), "{}", nothing.stderr);
}

#[test]
fn a_run_is_told_afterwards_and_a_path_is_explained() {
    let Some(machine) = Machine::boot() else { return };
    keep(&machine, SERVER, &[]);
    machine.sh("echo drift >/srv/d/one; usermod -s /bin/sh worker; mkdir -p /srv/x; rm /srv/l; touch /srv/l");
    let say = |arguments: &[&str]| machine.steadfast(arguments);
    let explained = say(&["explain", "/srv/d/one", "--model", "/srv/model"]);
    assert_eq!(explained.status, 0, "{explained:?}");
    for words in ["file:/srv/d/one", "servers/web.yaml:7", "0640", "worker", "on this machine"] {
        assert!(explained.stdout.contains(words), "{words}: {}", explained.stdout);
    }
    let by_id = say(&["explain", "file:/srv/d/one", "--model", "/srv/model"]);
    assert_eq!(by_id, explained);
    let nothing = say(&["explain", "/nowhere", "--model", "/srv/model"]);
    assert!(nothing.stdout.contains("nothing is promised about /nowhere"), "{nothing:?}");

    let shown = say(&["run", "--model", "/srv/model", "--dry-run"]);
    let ran = say(&["run", "--model", "/srv/model"]);
    assert_eq!(ran.status, 4, "{ran:?}");
    for output in [&shown, &ran] {
        for words in [
            "-drift",
            "+one for node1.example.test",
            "set shell /bin/sh -> /bin/bash",
            "is in the way",
        ] {
            assert!(output.stdout.contains(words), "{words}: {}", output.stdout);
        }
    }
    let list = say(&["history"]);
    assert_eq!(list.stdout.lines().count(), 2, "{}", list.stdout);
    assert!(list.stdout.contains("2 repaired, 1 not kept"), "{}", list.stdout);
    let show = say(&["history", "show", "2"]);
    for words in [
        "run 2: 2 repaired, 1 not kept",
        "node      node1.example.test in test",
        "model     /srv/model",
        "repaired  file:/srv/d/one",
        "promised at servers/web.yaml:7",
        "-drift",
        "+one for node1.example.test",
        "repaired  user:worker",
        "set shell /bin/sh -> /bin/bash",
        "not kept  link:/srv/l",
        "because: a regular file is in the way",
    ] {
        assert!(show.stdout.contains(words), "{words}: {}", show.stdout);
    }
    // The same failure again is no news, and explaining tells of the past.
    assert_eq!(say(&["run", "--model", "/srv/model"]).status, 4);
    assert_eq!(say(&["history"]).stdout, list.stdout);
    let explained = say(&["explain", "/srv/d/one", "--model", "/srv/model"]);
    assert!(explained.stdout.contains("run 2"), "{}", explained.stdout);
    assert_eq!(say(&["history", "show", "77"]).status, 2);
}

#[test]
fn what_leaves_the_model_is_told_and_left_alone() {
    let Some(machine) = Machine::boot() else { return };
    let put = |files: &str| {
        machine.server_model(&[("servers/web.yaml", &format!("server: web\n{files}"))]);
    };
    put("files: { /etc/a: { content: \"a\\n\" }, /etc/b: { content: \"b\\n\" } }\n");
    assert_eq!(run(&machine, &[]).exit, 0);
    put("files: { /etc/b: { content: \"b\\n\" } }\n");
    let orphans = |said: &super::lab::model::Run| {
        let named = |event: &str| {
            let events = said.events.iter().filter(|it| it["event"] == event);
            events.map(|it| it["promise"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        // By the name of before too, for those who read that (decision 0031).
        assert_eq!(named("orphan"), named("released"));
        named("orphan")
    };
    assert_eq!(orphans(&run(&machine, &["--dry-run"])), ["file:/etc/a"]);
    let said = run(&machine, &[]);
    assert_eq!((orphans(&said), said.exit), (vec!["file:/etc/a".to_owned()], 0));
    assert_eq!(machine.text("/etc/a"), "a\n");
    machine.sh("rm /etc/a");
    assert_eq!(orphans(&run(&machine, &[])), [""; 0]);
    // What was put there by somebody else later is not ours.
    machine.write("/etc/a", "theirs\n");
    assert_eq!(orphans(&run(&machine, &[])), [""; 0]);
}

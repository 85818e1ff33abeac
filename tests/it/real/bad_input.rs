//! Whatever is wrong with a model or a machine: it is said clearly, the exit code says which it was, and
//! nothing is changed that could not be changed well.

use super::lab::apt::AptRepository;
use super::lab::listing::changes;
use super::lab::machine::{Machine, Output};
use super::lab::model::{Run, run};
use std::collections::BTreeSet;

/// What a run may touch even where it changes nothing.
const WITHOUT: &[&str] = &["/var/log/journal", "/var/lib/systemd", "/srv"];

const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

fn promise(machine: &Machine, sections: &str) {
    machine.server_model(&[("servers/web.yaml", &format!("server: web\n{sections}"))]);
}

fn promise_with_policy(machine: &Machine, policy: &str, sections: &str) {
    let model = format!("model: test\nformat: 1\npolicy: {{ {policy} }}\n");
    let server = format!("server: web\n{sections}");
    machine.server_model(&[("model.yaml", &model), ("servers/web.yaml", &server)]);
}

fn plain(machine: &Machine) -> Output {
    machine.steadfast(&["run", "--model", "/srv/model"])
}

fn as_nobody(machine: &Machine, arguments: &[&str]) -> Output {
    machine.run(&[NOBODY, &["steadfast", "run", "--model", "/srv/model"], arguments].concat())
}

/// Of a promise: `not-kept: [reasons]`.
fn verdict(run: &Run, promise: &str) -> String {
    let outcome = run.judged().find(|(id, _)| id == promise).map(|(_, outcome)| outcome);
    format!("{}: {}", outcome.unwrap_or_else(|| "not judged".into()), run.because(promise))
}

/// Wherever its lines end.
fn assert_has(text: &str, parts: &[&str]) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn a_model_that_cannot_be_is_refused_with_its_place_and_nothing_is_changed() {
    let Some(machine) = Machine::boot() else { return };
    machine.ok(&["steadfast", "--version"]);
    machine.sh("mkdir -p /srv/model");
    let before = machine.listing(&["/"], WITHOUT);

    let deep = format!("files: {}\n", "[".repeat(500));
    let mut bomb = String::from("parameters:\n  a0: [x, x, x, x, x, x, x, x, x, x]\n");
    bomb = bomb.replace("a0: ", "a0: &a0 ");
    for level in 1..10 {
        let all = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("  a{level}: &a{level} [{all}]\n");
    }
    let looping = "files:\n  /etc/x:\n    content: \"{% for a in range(9999) %}{% for b in range(9999) \
                   %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}\"\n";
    // What a server promises, and what is said about it.
    let servers: &[(&str, &[&str])] = &[
        (&deep, &["servers/web.yaml:2", "deep"]),
        (&bomb, &["servers/web.yaml"]),
        (
            "files:\n  /etc/a: { content: a, after: [\"file:/etc/b\"] }\n  \
             /etc/b: { content: b, after: [\"file:/etc/a\"] }\n",
            &["file:/etc/a → file:/etc/b → file:/etc/a"],
        ),
        (looping, &["servers/web.yaml:4"]),
        ("files:\n  /: { mode: \"0755\" }\n", &["servers/web.yaml:3"]),
        ("directories:\n  /: { purge: true, force: true }\n", &["servers/web.yaml:3"]),
        ("files:\n  \"/etc/a\\nb\": { content: a }\n", &["servers/web.yaml:3"]),
        ("files:\n  \"/etc/a\\0b\": { content: a }\n", &["servers/web.yaml:3"]),
        ("packages:\n  \"a\\nb\": present\n", &["servers/web.yaml:3"]),
        ("users:\n  \"a\\nb\": {}\n", &["servers/web.yaml:3"]),
        ("cron:\n  \"a\\nb\": { schedule: \"* * * * *\", command: x }\n", &["servers/web.yaml:3"]),
        ("services:\n  \"a\\0b\": { running: true }\n", &["servers/web.yaml:3"]),
        ("files:\n  /etc/a: { content: a, mode: 0644 }\n", &["servers/web.yaml:3", "\"0644\""]),
        ("users:\n  -o: {}\n", &["servers/web.yaml:3", "-o"]),
        ("packages:\n  -o: present\n", &["servers/web.yaml:3", "-o"]),
        ("files:\n  /etc/../shadow: { content: a }\n", &["servers/web.yaml:3", ".."]),
        ("files:\n  /etc/a: { source: ../../../etc/shadow }\n", &["servers/web.yaml:3"]),
        ("files:\n  /etc/a: { source: /etc/shadow }\n", &["servers/web.yaml:3"]),
        ("include: [../web]\n", &["servers/web.yaml:2"]),
        ("cron:\n  a: { schedule: \"61 * * * *\", command: x }\n", &["servers/web.yaml:3", "61"]),
    ];
    for (sections, says) in servers {
        promise(&machine, sections);
        let refused = plain(&machine);
        assert_eq!(refused.status, 5, "{sections:.200}\n{refused:?}");
        assert_has(&refused.stderr, says);
        assert_has(&refused.stderr, &["nothing was changed"]);
        assert!(refused.stderr.len() < 20_000, "{}", refused.stderr);
    }

    // What is wrong with its files.
    let good = "files:\n  /etc/changed: { content: a }\n";
    let trees: &[(&str, i32, &[&str])] = &[
        ("rm -r /srv/model", 2, &["there is no model at /srv/model"]),
        ("rm -r /srv/model; touch /srv/model", 7, &["read /srv/model"]),
        (
            "printf 'model: test\\nformat: 2\\n' >/srv/model/model.yaml",
            5,
            &["model.yaml:2", "format"],
        ),
        ("printf 'server: \\377\\376\\n' >/srv/model/servers/other.yaml", 5, &["UTF-8"]),
        ("truncate -s 1G /srv/model/files.bin", 5, &["256 MiB", "files.bin"]),
        ("truncate -s 20M /srv/model/servers/big.yaml", 5, &["servers/big.yaml"]),
        ("ln -s /etc /srv/model/files", 5, &["/srv/model/files", "no links"]),
        ("ln -s /etc/shadow /srv/model/servers/x.yaml", 5, &["x.yaml", "no links"]),
        ("mkfifo /srv/model/servers/x.yaml", 5, &["x.yaml", "no special files"]),
        ("touch \"$(printf '/srv/model/\\377')\"", 5, &["not UTF-8"]),
        ("d=/srv/model; for i in $(seq 40); do d=$d/d; done; mkdir -p $d", 5, &["deeper than 32"]),
    ];
    for (spoil, exit, says) in trees {
        promise(&machine, good);
        machine.sh(spoil);
        let refused = plain(&machine);
        assert_eq!(refused.status, *exit, "{spoil}: {refused:?}");
        assert_has(&refused.stderr, says);
        machine.sh("rm -rf /srv/model");
    }

    // What the arguments name, and who may not read it.
    promise(&machine, good);
    let usage = |arguments: &[&str], says: &[&str]| {
        let refused = machine.steadfast(arguments);
        assert_eq!(refused.status, 2, "{arguments:?}: {refused:?}");
        assert_has(&refused.stderr, says);
    };
    usage(&["run"], &["no model"]);
    usage(&["run", "--modle", "/srv/model"], &["--model"]);
    usage(&["run", "--model", "/srv/model", "--environment", "x"], &["no environment `x`", "test"]);
    usage(&["run", "--model", "/srv/model", "--only", "[z"], &["--only"]);
    let refused = as_nobody(&machine, &[]);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert_has(&refused.stderr, &["only root"]);
    machine.sh("chmod 700 /srv/model");
    let refused = as_nobody(&machine, &["--dry-run"]);
    assert_eq!(refused.status, 7, "{refused:?}");
    assert_has(&refused.stderr, &["/srv/model", "ermission denied"]);

    machine.sh("rm -rf /srv/model; mkdir /srv/model");
    let after = machine.listing(&["/"], WITHOUT);
    assert_eq!(changes(&before, &after), Vec::<String>::new());
}

#[test]
fn what_cannot_be_kept_on_this_machine_is_said_and_the_rest_is_kept() {
    let Some(machine) = Machine::boot() else { return };
    AptRepository::new().package("small", "1.0", |it| it).install(&machine);
    machine.sh("mkdir -p /srv/full /srv/ro /srv/fixed /srv/dir/inside; touch /srv/dir/inside/x
         mount -t tmpfs -o size=64k none /srv/full; echo old >/srv/full/big
         mount -t tmpfs none /srv/ro; echo old >/srv/ro/a; mount -o remount,ro /srv/ro
         echo old >/srv/fixed/a");
    let immutable = machine.run(&["chattr", "+i", "/srv/fixed/a"]).status == 0;
    let big = "x".repeat(200_000);
    let server = "server: web
packages: { no-such-package: present }
users: { deploy: {} }
files:
  /srv/dir: { content: a }
  /srv/full/big: { source: files/big }
  /srv/full/small: { content: small }
  /srv/ro/a: { content: new }
  /srv/ro/b: { content: new }
  /srv/fixed/a: { content: new }
  /etc/owned: { content: a, owner: no-such-user }
  /etc/folder/missing: { content: a }
  /etc/fine: { content: \"fine\\n\" }
";
    machine.server_model(&[("servers/web.yaml", server), ("files/big", &big)]);
    for _ in 0..2 {
        let run = run(&machine, &[]);
        assert_eq!(run.exit, 4, "{run:#?}");
        let cases: &[(&str, &[&str])] = &[
            ("package:no-such-package", &["not-kept", "apt's lists have no package"]),
            ("file:/srv/dir", &["not-kept", "directory"]),
            ("file:/srv/full/big", &["not-kept", "No space left"]),
            ("file:/srv/ro/a", &["not-kept", "mounted read-only"]),
            ("file:/srv/ro/b", &["not-kept", "mounted read-only"]),
            ("file:/etc/owned", &["not-kept", "user no-such-user does not exist"]),
            ("file:/etc/folder/missing", &["not-kept", "/etc/folder"]),
        ];
        for (promise, says) in cases {
            assert_has(&verdict(&run, promise), says);
        }
        if immutable {
            assert_has(&verdict(&run, "file:/srv/fixed/a"), &["not-kept", "chattr -i"]);
        } else {
            crate::require::skip("needs a file system with immutable files");
        }
        assert_eq!(machine.text("/etc/fine"), "fine\n");
        assert_eq!(machine.text("/srv/full/small"), "small");
        assert_eq!(machine.text("/srv/full/big"), "old\n");
        assert_eq!(machine.text("/srv/ro/a"), "old\n");
        assert!(machine.exists("/srv/dir/inside/x"));
        assert!(!machine.exists("/etc/owned") && !machine.exists("/etc/folder"));
        assert_eq!(machine.sh("find /srv /etc -name '*.steadfast-*'"), "");
    }
    machine.run(&["chattr", "-i", "/srv/fixed/a"]);

    // Where the state cannot be written, nothing is changed whose consequence could be lost.
    machine.sh(
        "umount /srv/full /srv/ro; rm -rf /var/lib/steadfast; mkdir -m 700 /var/lib/steadfast
        mount -t tmpfs -o size=256k,mode=700 none /var/lib/steadfast
        head -c 262144 /dev/zero >/var/lib/steadfast/fill 2>/dev/null || true
        echo old >/etc/motd",
    );
    promise(
        &machine,
        "files:\n  /etc/motd: { content: new }\n  /etc/caused: { content: new, restarts: cron }\n  \
         /etc/free: { content: new }\n",
    );
    let cron = machine.ok(&["systemctl", "show", "-P", "InvocationID", "cron"]);
    let full = run(&machine, &[]);
    assert_eq!(full.exit, 4, "{full:#?}");
    assert_has(&verdict(&full, "file:/etc/caused"), &["not-kept", "restart"]);
    assert!(!machine.exists("/etc/caused"));
    assert_has(&verdict(&full, "file:/etc/motd"), &["not-kept", "No space left"]);
    assert_eq!(machine.text("/etc/motd"), "old\n");
    assert_has(&full.stderr, &["history"]);
    assert_eq!(machine.ok(&["systemctl", "show", "-P", "InvocationID", "cron"]), cron);
    machine.sh("rm /var/lib/steadfast/fill");
    let freed = run(&machine, &[]);
    assert_eq!(freed.exit, 0, "{freed:#?}");
    assert_ne!(machine.ok(&["systemctl", "show", "-P", "InvocationID", "cron"]), cron);
    machine.sh("umount /var/lib/steadfast");
}

#[test]
fn dpkg_that_others_hold_or_left_half_done_is_said_and_not_forced() {
    let Some(machine) = Machine::boot() else { return };
    AptRepository::new()
        .package("small", "1.0", |it| it.file("/usr/share/small/x", "1\n"))
        .package("broken", "1.0", |it| it.postinst("[ -e /run/mended ]\n"))
        .package("slow", "1.0", |it| {
            it.postinst("[ ! -p /run/post ] || { echo x >/run/here; read -r _ </run/post; }\n")
        })
        .install(&machine);
    promise_with_policy(&machine, "wait_for_dpkg: 1s", "packages: { small: present }\n");
    let hold = "use Fcntl; open(my $f, '+>', '/var/lib/dpkg/lock-frontend') or die; \
                my $l = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0); fcntl($f, F_SETLK, $l) or die; \
                open(my $o, '>', '/run/held') or die; print $o 'x'; close $o; sleep 300;";
    machine.sh("mkfifo /run/held");
    let holder = machine.spawn(&["perl", "-e", hold]);
    machine.ok(&["timeout", "60", "cat", "/run/held"]);
    let locked = run(&machine, &[]);
    assert_eq!(locked.exit, 4, "{locked:#?}");
    let says = &["not-kept", "/var/lib/dpkg/lock-frontend is held by perl (pid "];
    assert_has(&verdict(&locked, "package:small"), says);
    holder.kill();
    holder.wait();

    // Cut while somebody else was at it: not ours to complete, but where the policy says so.
    machine.sh("mkfifo /run/here /run/post");
    let theirs = machine.spawn(&["apt-get", "install", "-q", "-y", "slow"]);
    machine.ok(&["timeout", "60", "cat", "/run/here"]);
    machine.sh("kill -9 $(pidof dpkg)");
    machine.sh("timeout 10 sh -c 'echo >/run/post'; rm /run/here /run/post");
    assert_ne!(theirs.wait().status, 0);
    let refused = run(&machine, &[]);
    assert_eq!(refused.exit, 4, "{refused:#?}");
    assert_has(&verdict(&refused, "package:small"), &["not-kept", "dpkg --configure -a"]);
    assert!(!machine.exists("/usr/share/small/x"));
    let state = || machine.ok(&["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "slow", "small"]);
    promise_with_policy(&machine, "repair_dpkg: true", "packages: { small: present }\n");
    let repaired = run(&machine, &[]);
    assert_eq!(repaired.exit, 0, "{repaired:#?}");
    assert_eq!(state(), "ii ii ");

    // A promised package that somebody else left half configured.
    assert_ne!(machine.run(&["apt-get", "install", "-q", "-y", "broken"]).status, 0);
    promise(&machine, "packages: { broken: present }\n");
    let refused = run(&machine, &[]);
    assert_eq!(refused.exit, 4, "{refused:#?}");
    assert_has(&verdict(&refused, "package:broken"), &["not-kept", "dpkg --configure -a"]);

    // Ours, and it fails: said with what the package said, and said again.
    machine.sh("dpkg --purge broken >/dev/null");
    promise(&machine, "packages: { broken: present }\n");
    for _ in 0..2 {
        let ours = run(&machine, &[]);
        assert_eq!(ours.exit, 4, "{ours:#?}");
        assert_has(&verdict(&ours, "package:broken"), &["not-kept", "broken"]);
    }
    // What failed before is not called certain.
    let dry = run(&machine, &["--dry-run"]);
    let certainties: Vec<String> = dry.forecasts().into_iter().map(|it| it.2).collect();
    assert_eq!(certainties, ["unknown"], "{dry:#?}");
    machine.write("/run/mended", "");
    assert_eq!(run(&machine, &[]).exit, 0);
}

#[test]
fn exit_codes_event_names_and_the_lock_are_what_they_are_documented_to_be() {
    let Some(machine) = Machine::boot() else { return };
    let good = "files:\n  /etc/a: { content: a }\n  /etc/shadow: { mode: \"0640\" }\n  \
                /root/secret: { content: a }\n";
    promise(&machine, good);

    // Who is not root sees what may be seen, and the rest is unknown with the reason.
    machine.write("/root/secret", "a");
    let seen = Run::of(&as_nobody(&machine, &["--dry-run", "--format", "json"]));
    assert_eq!(seen.exit, 0, "{seen:#?}");
    let forecast = |promise: &str| {
        let found = seen.events.iter().find(|it| it["promise"] == promise).unwrap();
        format!("{} {} {}", found["event"], found["certainty"], found["because"])
    };
    assert_has(&forecast("file:/etc/a"), &["forecast"]);
    assert_has(&forecast("file:/root/secret"), &["forecast", "unknown", "ermission denied"]);

    let exit = |arguments: &[&str]| {
        machine.steadfast(&[&["run", "--model", "/srv/model"], arguments].concat()).status
    };
    assert_eq!(exit(&["--dry-run"]), 0);
    assert_eq!(exit(&["--dry-run", "--exit-code"]), 3);
    assert_eq!(exit(&[]), 0);
    assert_eq!(exit(&["--dry-run", "--exit-code"]), 0);
    assert_eq!(exit(&["--node", "nobody.example.test"]), 0);
    promise(&machine, "files:\n  /etc/debian_version: { mode: \"0600\", keep: report }\n");
    assert_eq!(exit(&[]), 0);
    assert_eq!(exit(&["--exit-code"]), 3);

    // The events of one run with every outcome, and what each of them carries.
    let every = "files:
  /etc/a: { content: a }
  /etc/b: { content: b }
  /etc/c/d: { content: d }
  /etc/e: { content: e, after: [\"file:/etc/c/d\"] }
";
    promise(&machine, every);
    let mut names = BTreeSet::new();
    for arguments in [&["--dry-run"][..], &[]] {
        for event in run(&machine, arguments).events {
            let keys: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
            let keys = BTreeSet::from_iter(keys);
            let keys = Vec::from_iter(keys);
            names.insert(format!("{}: {}", event["event"].as_str().unwrap(), keys.join(" ")));
            if event["event"] == "judged" {
                names.insert(format!("outcome {}", event["outcome"].as_str().unwrap()));
            }
            if event["event"] == "forecast" {
                names.insert(format!("certainty {}", event["certainty"].as_str().unwrap()));
            }
        }
    }
    expect_test::expect![[r#"
        certainty certain
        forecast: because certainty change diff event facts notes origin promise
        judged: because changes event notes origin outcome promise
        outcome held
        outcome kept
        outcome not-kept
        outcome repaired
        summary: event exit forecast held implied kept not_kept pending repaired
        summary: event exit forecast held implied kept not_kept repaired"#]]
    .assert_eq(&names.into_iter().collect::<Vec<_>>().join("\n"));

    // Two at once: the second says who the first is, and a look needs no lock.
    machine
        .write("/usr/local/bin/gate", "#!/bin/sh\necho waits >/run/waits\nread -r _ </run/gate\n");
    machine.sh("chmod +x /usr/local/bin/gate; mkfifo /run/gate /run/waits");
    promise(&machine, "files:\n  /etc/gated: { content: a, validate: [gate, \"{file}\"] }\n");
    let first = machine.spawn_steadfast(&["run", "--model", "/srv/model"]);
    machine.ok(&["timeout", "60", "cat", "/run/waits"]);
    let second = plain(&machine);
    assert_eq!(second.status, 8, "{second:?}");
    assert_has(&second.stderr, &["another run is in progress: pid ", ": steadfast run"]);
    assert_eq!(exit(&["--dry-run"]), 0);
    machine.sh("echo >/run/gate");
    assert_eq!(first.wait().status, 0);
    assert_eq!(machine.text("/etc/gated"), "a");
}

#[test]
fn nothing_outside_a_user_s_folder_is_reached_through_it() {
    let Some(machine) = Machine::boot() else { return };
    let server = "users:
  deploy:
    home: /srv/deploy
    ssh_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4lUKYkBxGbeRCzmrbZJVCQ8P4jDPWmq8kSqwTRXMn3 ci@xyz\"]
directories:
  /srv/deploy/app: { owner: deploy }
  /srv/deploy/tree: { owner: deploy, mode: \"0777\", recurse: true }
files:
  /srv/deploy/app/motd: { content: \"ours\\n\", owner: deploy }
  /srv/deploy/app/bare: { content: \"ours\\n\", mode: \"0666\" }
  /srv/deploy/note: { content: \"ours\\n\", owner: deploy }
  /srv/deploy/lines: { create: true, edits: [{ line: ours }] }
";
    promise(&machine, server);
    let first = run(&machine, &[]);
    assert_eq!(first.exit, 0, "{first:#?}");
    let before = machine.listing(&["/etc", "/root"], &[]);

    // The user puts links to what is root's in the way of everything.
    let attack = "cd /srv/deploy; rm -rf app note lines
        ln -s /etc app; ln -s /etc/shadow note; ln -s /etc/shadow lines
        ln -s /etc tree/etc; ln -s /etc/shadow tree/shadow
        rm .ssh/authorized_keys; ln -s /etc/shadow .ssh/authorized_keys";
    machine.ok(&[
        "setpriv",
        "--reuid=deploy",
        "--regid=deploy",
        "--clear-groups",
        "sh",
        "-euc",
        attack,
    ]);
    machine.sh("ln /etc/shadow /srv/deploy/tree/hard");
    let attacked = run(&machine, &[]);
    assert_has(&verdict(&attacked, "user:deploy"), &["repaired"]);
    machine
        .sh("test ! -L /srv/deploy/.ssh/authorized_keys; test -f /srv/deploy/.ssh/authorized_keys");
    assert!(
        verdict(&attacked, "directory:/srv/deploy/app").starts_with("not-kept"),
        "{attacked:#?}"
    );
    for promise in ["file:/srv/deploy/app/motd", "file:/srv/deploy/app/bare"] {
        let verdict = verdict(&attacked, promise);
        assert!(verdict.starts_with("not-kept") || verdict.starts_with("held"), "{verdict}");
    }
    let words = attacked.events.iter().map(ToString::to_string).collect::<String>();
    assert!(!words.contains("root:*") && !words.contains("root:!"), "a reason shows /etc/shadow");
    assert_eq!(changes(&before, &machine.listing(&["/etc", "/root"], &[])), Vec::<String>::new());

    // A fifo blocks nobody.
    let block = "cd /srv/deploy; rm -f note lines .ssh/authorized_keys
        mkfifo note lines .ssh/authorized_keys";
    machine.ok(&[
        "setpriv",
        "--reuid=deploy",
        "--regid=deploy",
        "--clear-groups",
        "sh",
        "-euc",
        block,
    ]);
    let blocked = run(&machine, &[]);
    assert_eq!(blocked.exit, 4, "{blocked:#?}");
    assert_has(&verdict(&blocked, "user:deploy"), &["repaired"]);
    assert_has(&verdict(&blocked, "file:/srv/deploy/note"), &["not-kept", "fifo"]);
    machine.sh("rm -f /srv/deploy/note /srv/deploy/.ssh/authorized_keys");
    machine.ok(&[
        "setpriv",
        "--reuid=deploy",
        "--regid=deploy",
        "--clear-groups",
        "sh",
        "-euc",
        "rm -rf /srv/deploy/.ssh; ln -s /root /srv/deploy/.ssh",
    ]);
    let linked = run(&machine, &[]);
    assert_has(&verdict(&linked, "user:deploy"), &["not-kept"]);
    assert_eq!(changes(&before, &machine.listing(&["/etc", "/root"], &[])), Vec::<String>::new());
}

//! What lies at paths, and how it got there: names that are bytes, names that lead to one thing, and what
//! somebody else put in the way. One booted machine, and a model for each.

use super::lab::machine::Machine;
use super::lab::model::{Run, run};

fn promise(machine: &Machine, sections: &str, more: &[(&str, &str)]) -> Run {
    let server = format!("server: web\n{sections}");
    machine.server_model(&[&[("servers/web.yaml", &*server)], more].concat());
    run(machine, &[])
}

fn outcome(run: &Run, promise: &str) -> String {
    let found = run.judged().find(|(id, _)| id == promise);
    found.map_or_else(|| panic!("{promise} is not judged: {run:#?}"), |(_, outcome)| outcome)
}

#[test]
fn what_others_put_in_the_way_and_what_has_two_names_takes_nothing_away() {
    let Some(machine) = Machine::boot() else { return };
    names_are_bytes(&machine);
    what_cannot_be_removed_holds_nothing_else(&machine);
    what_not_even_root_can_change_is_foreseen(&machine);
    one_thing_has_one_promise(&machine);
    links_of_this_machine(&machine);
    a_tree_brings_its_dotfiles(&machine);
    a_large_file_of_another_size(&machine);
    the_group_of_a_setgid_directory(&machine);
    directories_of_the_system(&machine);
}

fn names_are_bytes(machine: &Machine) {
    machine.sh(
        "mkdir -p /srv/nu/sub /srv/np; cd /srv; for n in ok zz $(printf 'bad\\377') $(printf 'bad\\376'); do \
         touch nu/$n nu/sub/$n np/$n; done; ln -s $(printf 'to\\377') np/$(printf 'link\\377'); \
         touch \"np/$(printf 'line\\033[2J\\n.')\"",
    );
    let sections = "directories:\n  /srv/nu: { recurse: true, owner: daemon }\n  \
                    /srv/np: { purge: true }\nfiles: { /srv/np/keep: { content: \"k\\n\" } }\n";
    let first = promise(machine, sections, &[]);
    assert_eq!(first.exit, 0, "{first:#?}");
    assert_eq!(machine.sh("find /srv/nu ! -user daemon | wc -l"), "0\n");
    assert_eq!(machine.sh("ls -A /srv/np"), "keep\n");
    // What is told of them is harmless, and what they held can be had again.
    let lines: Vec<String> = first.changes().into_iter().map(|(_, line)| line).collect();
    for line in [r"bad\xff: remove file", r"bad\xfe: remove file", r"line\u{1b}[2J\n.: remove file"]
    {
        assert!(lines.iter().any(|it| it == line), "{line} is not in {lines:#?}");
    }
    let again = run(machine, &[]);
    assert_eq!((again.exit, again.outcomes()), (0, vec![]), "{again:#?}");
}

/// What a dry run says of one promise: how certain each of its lines is, or its verdict.
fn foreseen(machine: &Machine, sections: &str, promise: &str) -> Vec<String> {
    let server = format!("server: web\n{sections}");
    machine.server_model(&[("servers/web.yaml", &*server)]);
    let run = run(machine, &["--dry-run"]);
    let lines = run.forecasts().into_iter().filter(|(id, ..)| id == promise).map(|it| it.2);
    let verdict = run.judged().filter(|(id, _)| id == promise).map(|it| it.1);
    lines.chain(verdict).collect()
}

fn what_not_even_root_can_change_is_foreseen(machine: &Machine) {
    machine.sh("mkdir -p /srv/ro /srv/fl/in; mount -t tmpfs none /srv/ro; mkdir /srv/ro/d; touch /srv/ro/d/a; \
                mount -o remount,ro /srv/ro; touch /srv/fl/in/a");
    let sections = "directories: { /srv/ro/d: { purge: true } }\n";
    assert_eq!(foreseen(machine, sections, "directory:/srv/ro/d"), ["unknown"]);
    for sections in ["/srv/ro/d/a: absent", "/srv/ro/new: { content: n }"] {
        let promise = format!("file:{}", sections.split_once(": ").unwrap().0);
        let sections = format!("files: {{ {sections} }}\n");
        assert_eq!(foreseen(machine, &sections, &promise), ["not-kept"], "{sections}");
    }
    machine.sh("umount /srv/ro");
    if machine.run(&["chattr", "+i", "/srv/fl/in/a"]).status != 0 {
        return;
    }
    for (sections, promise, expected) in [
        (
            "directories: { /srv/fl: { purge: true, force: true } }\n",
            "directory:/srv/fl",
            "unknown",
        ),
        ("links: { /srv/fl: { target: /srv, force: true } }\n", "link:/srv/fl", "not-kept"),
        ("files: { /srv/fl/in/a: absent }\n", "file:/srv/fl/in/a", "not-kept"),
        ("files: { /srv/fl/in/a: { mode: \"0600\" } }\n", "file:/srv/fl/in/a", "not-kept"),
    ] {
        assert_eq!(foreseen(machine, sections, promise), [expected], "{sections}");
    }
    machine.sh("chattr -i /srv/fl/in/a; chattr +i /srv/fl/in");
    let sections = "files: { /srv/fl/in/a: absent }\n";
    assert_eq!(foreseen(machine, sections, "file:/srv/fl/in/a"), ["not-kept"]);
    machine.sh("chattr -i /srv/fl/in");
    let run = promise(machine, sections, &[]);
    assert_eq!(outcome(&run, "file:/srv/fl/in/a"), "repaired");
}

fn what_cannot_be_removed_holds_nothing_else(machine: &Machine) {
    machine.sh("mkdir -p /srv/pu; touch /srv/pu/a /srv/pu/stuck /srv/pu/z");
    if machine.run(&["chattr", "+i", "/srv/pu/stuck"]).status != 0 {
        return;
    }
    let sections = "directories: { /srv/pu: { purge: true } }\n\
                    files: { /srv/pu/keep: { content: \"k\\n\" } }\n";
    let run = promise(machine, sections, &[]);
    assert_eq!(machine.sh("ls -A /srv/pu"), "keep\nstuck\n", "{run:#?}");
    assert_eq!(outcome(&run, "file:/srv/pu/keep"), "repaired");
    assert_eq!(outcome(&run, "directory:/srv/pu"), "not-kept");
    assert!(run.because("directory:/srv/pu").contains("chattr -i"), "{run:#?}");
    machine.sh("chattr -i /srv/pu/stuck");

    machine.sh(
        "mkdir -p /srv/ab/m; touch /srv/ab/a /srv/ab/m/a /srv/ab/m/stuck /srv/ab/m/z /srv/ab/z; \
         chattr +i /srv/ab/m/stuck",
    );
    let absent = "directories: { /srv/ab: { state: absent, force: true } }\n";
    let run = promise(machine, absent, &[]);
    assert_eq!(outcome(&run, "directory:/srv/ab"), "not-kept");
    assert!(run.because("directory:/srv/ab").contains("chattr -i"), "{run:#?}");
    assert_eq!(machine.sh("find /srv/ab ! -type d"), "/srv/ab/m/stuck\n", "{run:#?}");
    machine.sh("chattr -i /srv/ab/m/stuck");
}

fn one_thing_has_one_promise(machine: &Machine) {
    for sections in [
        "files:\n  /lib/two.conf: { content: \"a\\n\" }\n  /usr/lib/two.conf: { content: \"b\\n\" }\n",
        "files: { /var/run/two: { content: a } }\ndirectories: { /run/two: {} }\n",
        "links: { /bin/two: /bin/true }\nfiles: { /usr/bin/two: absent }\n",
        "packages:\n  \"bash:amd64\": present\n  bash: absent\n",
    ] {
        if sections.contains("amd64") && machine.sh("dpkg --print-architecture") != "amd64\n" {
            continue;
        }
        let server = format!("server: web\n{sections}");
        machine.server_model(&[("servers/web.yaml", &server)]);
        for command in ["run", "check"] {
            let model: &[&str] =
                if command == "run" { &["--model", "/srv/model"] } else { &["/srv/model"] };
            let refused = machine.steadfast(&[&[command], model].concat());
            // Without facts nobody knows whether the two packages are one.
            let expected = if command == "check" && sections.contains("amd64") { 0 } else { 5 };
            assert_eq!(refused.status, expected, "{command} {sections}: {refused:?}");
            let said = format!("{}{}", refused.stdout, refused.stderr);
            assert!(said.contains("two-promises-one-thing"), "{refused:?}");
        }
        assert!(!machine.exists("/usr/lib/two.conf") && !machine.exists("/run/two"));
    }
    // By either name alone it is one file, and no purge by the other name takes it.
    machine.sh("mkdir -p /usr/lib/two.d; touch /usr/lib/two.d/stray");
    let sections = "files: { /lib/two.d/kept: { content: \"a\\n\" } }\n\
                    directories: { /usr/lib/two.d: { purge: true } }\n";
    let first = promise(machine, sections, &[]);
    assert_eq!((first.exit, &*machine.sh("ls -A /usr/lib/two.d")), (0, "kept\n"), "{first:#?}");
    let again = run(machine, &[]);
    assert_eq!((again.exit, again.outcomes()), (0, vec![]), "{again:#?}");
}

fn links_of_this_machine(machine: &Machine) {
    machine.sh("mkdir -p /data/www; ln -s /data/www /srv/www; touch /data/www/stray");
    let sections = "files:\n  /srv/www/same: { content: \"a\\n\" }\n  /data/www/same: { content: \"b\\n\" }\n  \
                    /srv/www/kept: { content: \"c\\n\" }\ndirectories: { /data/www: { purge: true } }\n";
    for _ in 0..2 {
        let run = promise(machine, sections, &[]);
        assert_ne!(run.exit, 0, "{run:#?}");
        for two in ["file:/srv/www/same", "file:/data/www/same"] {
            assert_eq!(outcome(&run, two), "not-kept");
            assert!(run.because(two).contains("one thing on this machine"), "{run:#?}");
        }
        assert_eq!(machine.sh("ls -A /data/www"), "kept\n", "{run:#?}");
    }
}

fn a_tree_brings_its_dotfiles(machine: &Machine) {
    let tree = [
        ("files/skel/.bashrc", "# shell\n"),
        ("files/skel/.config/x", "x\n"),
        ("files/skel/visible", "x\n"),
        (".github/workflows/ci.yaml", "on: push\n"),
    ];
    machine.sh("mkdir -p /srv/skel; touch /srv/skel/.own");
    let sections = "directories: { /srv/skel: { source: files/skel, purge: true } }\n\
                    files: { /srv/one: { source: files/skel/.bashrc } }\n";
    let first = promise(machine, sections, &tree);
    assert_eq!(first.exit, 0, "{first:#?}");
    assert_eq!(
        machine.sh("cd /srv/skel; find . -type f | sort"),
        "./.bashrc\n./.config/x\n./visible\n"
    );
    assert_eq!(machine.text("/srv/one"), "# shell\n");
}

fn a_large_file_of_another_size(machine: &Machine) {
    // Nobody reads 4 TiB for a file of six bytes.
    machine.sh("truncate -s 4T /srv/big; truncate -s 4T /srv/old; mkdir -p /srv/tree; truncate -s 4T /srv/tree/a");
    let sections = "files:\n  /srv/big: { content: \"small\\n\" }\n  /srv/old: absent\n\
                    directories: { /srv/tree: { source: files/tree } }\n";
    let first = promise(machine, sections, &[("files/tree/a", "a\n")]);
    assert_eq!(first.exit, 0, "{first:#?}");
    assert_eq!(machine.text("/srv/big"), "small\n");
    assert_eq!(machine.text("/srv/tree/a"), "a\n");
    assert!(!machine.exists("/srv/old"));
}

fn the_group_of_a_setgid_directory(machine: &Machine) {
    let sections = "directories: { /srv/gid: { group: adm, mode: \"2755\" } }\n\
                    files: { /srv/gid/f: { content: \"a\\n\" } }\n";
    let server = format!("server: web\n{sections}");
    machine.server_model(&[("servers/web.yaml", &server)]);
    let foreseen = run(machine, &["--dry-run"]).forecasts();
    let done = run(machine, &[]);
    let expected =
        ("file:/srv/gid/f".to_owned(), "write 2 bytes (new, root:adm, mode 0644)".to_owned());
    assert!(done.changes().contains(&expected), "{done:#?}");
    assert!(
        foreseen.iter().any(|(id, line, _)| (id, line) == (&expected.0, &expected.1)),
        "{foreseen:#?}"
    );
}

fn directories_of_the_system(machine: &Machine) {
    let before =
        machine.sh("stat -c '%n %a %U %F' / /etc /usr /bin /lib /home /root /run /var /proc");
    for sections in [
        "directories: { /: { mode: \"0700\" } }\n",
        "directories: { /etc: { state: absent, force: true } }\n",
        "directories: { /home: { purge: true, force: true, purge_max: 100000 } }\n",
        "directories: { /usr: { recurse: true, owner: games } }\n",
        "directories: { /lib: { force: true } }\n",
        "files: { /run: { content: a, force: true } }\n",
        "links: { /bin: { target: /srv/bin, force: true } }\n",
        "directories: { /proc: absent }\n",
        "directories: { /lib/systemd: { mode: \"0700\" } }\n",
    ] {
        let server = format!("server: web\n{sections}");
        machine.server_model(&[("servers/web.yaml", &server)]);
        let refused = machine.steadfast(&["run", "--model", "/srv/model"]);
        assert_eq!(refused.status, 5, "{sections}: {refused:?}");
    }
    let after =
        machine.sh("stat -c '%n %a %U %F' / /etc /usr /bin /lib /home /root /run /var /proc");
    assert_eq!(after, before);
}

//! What is foretold comes true in one run: where one promise makes way for another, where one changes what another
//! follows from, and where the machine lets nobody change something.

use super::lab::machine::{Machine, Output};

/// What a run says, as one line.
fn run(machine: &Machine, more: &[&str]) -> Output {
    let node = ["run", "--model", "/srv/model", "--node", Machine::NODE];
    let output = machine.steadfast(&[&node, more].concat());
    let stdout = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    Output { stdout, ..output }
}

#[track_caller]
fn says(text: &str, words: &str) {
    assert!(text.contains(words), "no `{words}` in {text}");
}

/// The forecast says that all is repaired, the run does it, and the next one has nothing to do.
#[track_caller]
fn in_one_run(machine: &Machine, server: &str) -> String {
    machine.server_model(&[("servers/web.yaml", server)]);
    let plan = run(machine, &["--dry-run"]);
    assert_eq!(plan.status, 0, "{}{}", plan.stdout, plan.stderr);
    let done = run(machine, &[]);
    assert_eq!(done.status, 0, "{}", done.stdout);
    let again = run(machine, &[]);
    assert_eq!(again.status, 0, "{}", again.stdout);
    assert!(!again.stdout.contains("repaired"), "{}", again.stdout);
    plan.stdout
}

#[test]
fn numbers_pass_from_one_to_the_next_and_what_no_tool_changes_is_told() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("groupadd -g 2001 carl; groupadd -g 2002 bob; groupadd -g 2003 ann
        useradd -M -u 2001 -g carl carl; useradd -M -u 2002 -g bob bob; useradd -M -u 2003 -g ann ann");
    let plan = in_one_run(
        &machine,
        "server: web
users: { ann: { uid: 2002 }, bob: { uid: 2001 }, carl: { uid: 2010 }, new: { uid: 2003, home_state: unmanaged } }
groups: { ann: 2002, bob: 2001, carl: 2010 }
",
    );
    says(&plan, "user:carl");
    let passwd = machine.text("/etc/passwd");
    for line in ["carl:x:2010:2010:", "bob:x:2001:2001:", "ann:x:2002:2002:", "new:x:2003:"] {
        says(&passwd, line);
    }

    // Two who exchange their numbers; two names that stand twice; one number that two have.
    machine.sh(
        "echo 'ann:x:3000:2002::/home/other:/bin/sh' >>/etc/passwd; echo 'bob:x:3001:' >>/etc/group
        useradd -M -u 2200 -N one; useradd -M -o -u 2200 -N two",
    );
    machine.server_model(&[(
        "servers/web.yaml",
        "server: web
users:
  carl: { uid: 2003 }
  new: { uid: 2010 }
  ann: { shell: /bin/bash }
  one: { uid: 2201 }
  third: { uid: 2200, home_state: unmanaged }
groups: { bob: 2300 }
",
    )]);
    for arguments in [&["--dry-run"][..], &[]] {
        let told = run(&machine, arguments);
        assert_eq!(told.status, 4, "{}", told.stdout);
        says(&told.stdout, "uid 2003 belongs to user new");
        says(&told.stdout, "numbers are not exchanged in one run");
        says(&told.stdout, "user ann stands in /etc/passwd more than once");
        says(&told.stdout, "group bob stands in /etc/group more than once");
        says(&told.stdout, "uid 2200 belongs to user two");
    }
    says(&machine.text("/etc/passwd"), "one:x:2201:");
}

#[test]
fn what_a_model_makes_of_facts_is_made_of_those_that_the_run_leaves() {
    let Some(machine) = Machine::boot() else { return };
    let server = |content: &str| {
        format!(
            "server: web
hostname: n2
directories: {{ /etc/steadfast: present, /etc/steadfast/facts.d: present }}
files:
  /etc/steadfast/facts.d/own.yaml: {{ content: \"rack: r1\\n\" }}
  /etc/hosts: {{ content: \"127.0.1.1 n2.example.test n2\\n\" }}
  /etc/name: {{ content: \"{content}\\n\" }}
"
        )
    };
    let plan =
        in_one_run(&machine, &server("{{ facts.hostname }} {{ facts.fqdn }} {{ facts.rack }}"));
    says(&plan, "expected file:/etc/name");
    assert_eq!(machine.text("/etc/name"), "n2 n2.example.test r1\n");

    // The name drifts: nothing is rendered with another one than that which is promised.
    machine.sh("hostname other");
    let done = run(&machine, &[]);
    says(&done.stdout, "1 repaired");
    assert_eq!(machine.text("/etc/name"), "n2 n2.example.test r1\n");

    // Where the name cannot be set, what follows from it waits.
    machine.sh("hostname other; echo other >/etc/hostname; chattr +i /etc/hostname");
    machine.server_model(&[("servers/web.yaml", &server("name {{ facts.hostname }}"))]);
    for arguments in [&["--dry-run"][..], &[]] {
        let told = run(&machine, arguments);
        assert_eq!(told.status, 4, "{}", told.stdout);
        says(&told.stdout, "/etc/hostname: it has the immutable flag");
        says(&told.stdout, "held file:/etc/name");
    }
    machine.sh("chattr -i /etc/hostname");
    machine.server_model(&[(
        "servers/web.yaml",
        "server: web\nhostname: \"{{ facts.hostname }}x\"\n",
    )]);
    says(&run(&machine, &["--dry-run"]).stderr, "it changes a fact from which it follows itself");
}

#[test]
fn what_has_a_flag_against_it_is_refused_before_any_tool_tries() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("useradd -m ann; mkdir /home/ann/.ssh; chown ann:ann /home/ann/.ssh; echo x >/etc/cron.d/job
        chattr +i /etc/group /etc/cron.d/job /home/ann/.ssh");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg ci";
    let server = format!(
        "server: web
users: {{ ann: {{ ssh_keys: [\"{key}\"] }}, sam: present, games: {{ shell: /bin/sh }} }}
groups: {{ made: present, ann: {{ members: [games] }} }}
cron: {{ job: {{ schedule: \"@daily\", command: \"true\" }} }}
"
    );
    machine.server_model(&[("servers/web.yaml", &server)]);
    for arguments in [&["--dry-run"][..], &[]] {
        let told = run(&machine, arguments);
        assert_eq!(told.status, 4, "{}", told.stdout);
        for what in ["user:sam", "group:made", "cron:job", "user:ann", "group:ann"] {
            says(&told.stdout, &format!("not kept {what}"));
        }
        assert!(!told.stdout.contains("failed:"), "{}", told.stdout);
    }
    says(&machine.text("/etc/passwd"), "/usr/games:/bin/sh");
    machine.sh("chattr -i /etc/group /etc/cron.d/job /home/ann/.ssh");
    in_one_run(&machine, &server);
}

#[test]
fn what_a_unit_file_says_of_boot_is_foreseen_also_where_it_takes_others_along() {
    let Some(machine) = Machine::boot() else { return };
    let unit = |install: &str| {
        format!("[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\n{install}")
    };
    let wanted = "WantedBy=multi-user.target\\n";
    machine.sh("cd /etc/systemd/system
        printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >old.service
        for unit in second third; do
          printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' >$unit.service
        done
        { cat third.service; echo 'Also=second.service third.service each@.service'; } >first.service
        { cat third.service; echo 'DefaultInstance=one'; } >each@.service
        systemctl daemon-reload");
    let (can, cannot, old, each) =
        (unit(wanted), unit(""), unit(wanted), unit(&format!("{wanted}DefaultInstance=dd\\n")));
    let files = format!(
        "files:
  /etc/systemd/system/can.service: {{ content: \"{can}\" }}
  /etc/systemd/system/cannot.service: {{ content: \"{cannot}\" }}
  /etc/systemd/system/old.service: {{ content: \"{old}\" }}
  /etc/systemd/system/t@.service: {{ content: \"{each}\" }}
"
    );
    let server = format!(
        "server: web
{files}services:
  can: {{ enabled: true }}
  cannot: {{ enabled: true }}
  old: {{ enabled: true }}
  t@x: {{ enabled: true }}
  second: {{ enabled: false, running: false }}
  third: {{ enabled: true }}
  each@one: {{ enabled: false }}
  first: {{ enabled: true }}
"
    );
    let plan = in_one_run(&machine, &server);
    says(&plan, "kept service:cannot");
    says(&plan, "with it enabled: second.service, third.service and each@one.service");
    for (unit, is) in [
        ("can", "enabled"),
        ("cannot", "static"),
        ("old", "enabled"),
        ("t@x", "enabled"),
        ("second", "disabled"),
        ("third", "enabled"),
        ("each@one", "disabled"),
        ("first", "enabled"),
    ] {
        assert_eq!(machine.run(&["systemctl", "is-enabled", unit]).stdout.trim(), is, "{unit}");
    }

    // The other way round: one that goes does not take along what stays.
    let server = "server: web
services: { third: { enabled: true }, second: { enabled: true, running: true }, first: { enabled: false } }
";
    in_one_run(&machine, server);
    for (unit, is) in [("first", "disabled"), ("second", "enabled"), ("third", "enabled")] {
        assert_eq!(machine.run(&["systemctl", "is-enabled", unit]).stdout.trim(), is, "{unit}");
    }
}

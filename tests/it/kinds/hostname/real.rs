//! The name of a booted Debian: given, drifted by other tools and repaired, and taken back.

use crate::real::drift::{Row, each_is_repaired, keep};
use crate::real::lab::installed::{DIRECTORY, installed, is_idle, kept, settings, until, wait_for};
use crate::real::lab::machine::Machine;
use crate::real::lab::model::run;
use serde_json::json;

const PROMISE: &str = "hostname:web-1.example.org";
const SERVER: &str = "server: web\nhostname: web-1.example.org\n";
/// A run by hand looks for its node by the host's name, which drifts.
const ANY_NAME: (&str, &str) =
    ("environments/test.yaml", "environment: test\nnodes: { \"*\": { servers: [web] } }\n");

const RIGHT: &str = "grep -qx web-1.example.org /etc/hostname
    test \"$(uname -n)\" = web-1.example.org; test \"$(hostnamectl --static)\" = web-1.example.org
    test ! -L /etc/hostname; test \"$(stat -c '%U:%G %a' /etc/hostname)\" = 'root:root 644'";

const ROWS: &[Row<'_>] = &[
    ("hostnamectl", "hostnamectl set-hostname other.example.org", PROMISE, RIGHT),
    ("an edited file", "echo other >/etc/hostname", PROMISE, RIGHT),
    ("the kernel alone", "hostname other", PROMISE, RIGHT),
    ("no file", "rm /etc/hostname", PROMISE, RIGHT),
    ("an empty file", ": >/etc/hostname", PROMISE, RIGHT),
    ("a link", "cp /etc/hostname /root/name; ln -sf /root/name /etc/hostname", PROMISE, RIGHT),
    ("its mode", "chmod 0600 /etc/hostname", PROMISE, RIGHT),
    ("its owner", "chown games:games /etc/hostname", PROMISE, RIGHT),
    (
        "a comment is no drift",
        "sed -i '1i # kept\\n' /etc/hostname",
        "",
        "grep -q kept /etc/hostname",
    ),
];

#[test]
fn the_name_is_given_and_repaired_whoever_changes_it() {
    let Some(machine) = Machine::boot() else { return };
    let hosts = machine.text("/etc/hosts");
    keep(&machine, SERVER, &[ANY_NAME]);
    machine.sh(RIGHT);
    each_is_repaired(&machine, ROWS);
    assert_eq!(machine.text("/etc/hosts"), hosts);

    machine.sh("rm /etc/hostname; mkdir /etc/hostname; hostname other");
    let refused = run(&machine, &[]);
    assert_eq!(refused.outcomes(), [(PROMISE.to_owned(), "not-kept".to_owned())], "{refused:#?}");
    assert!(refused.because(PROMISE).contains("is a directory"), "{refused:#?}");
    machine.sh("test -d /etc/hostname; test \"$(uname -n)\" = other");
}

#[test]
fn an_agent_keeps_a_name_that_is_not_its_nodes_and_gives_the_former_back() {
    let Some(machine) = installed() else { return };
    let was = (machine.text("/etc/hostname"), machine.ok(&["uname", "-n"]));
    let motd = "files: { /etc/motd: { content: \"kept\\n\" } }\n";
    machine.server_model(&[("servers/web.yaml", &format!("{SERVER}{motd}"))]);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let first = kept(&machine);
    assert_eq!(first["last_run"]["not_kept"], json!([]), "{first:#}");
    machine.sh(RIGHT);
    let is_right = || machine.run(&["sh", "-euc", RIGHT]).status == 0;

    machine.ok(&["hostnamectl", "set-hostname", "other.example.org"]);
    until(&machine, "repaired", is_right);
    // It does not look for another node because the host has another name.
    machine.ok(&["systemctl", "restart", "steadfast"]);
    machine.sh("echo other >/etc/hostname");
    until(&machine, "repaired after a restart", is_right);
    machine.sh("echo drift >/etc/motd");
    until(&machine, "still the same node", || machine.text("/etc/motd") == "kept\n");

    let restore = "environment: test\nnodes: { node1.example.test: { servers: [web] } }\n\
        policy: { orphans: restore }\n";
    let without = format!("server: web\n{motd}");
    let files = [("servers/web.yaml", &*without), ("environments/test.yaml", restore)];
    machine.server_model(&files);
    let is_back = || (machine.text("/etc/hostname"), machine.ok(&["uname", "-n"])) == was;
    until(&machine, "the former name", is_back);
    let last = wait_for(&machine, "quiet", |it| is_idle(it) && it["trying"].is_null());
    assert_eq!(last["last_run"]["not_kept"], json!([]), "{last:#}");
}

//! What is known of processes that use a directory or listen on a port: by a helper in a unit of its own, as the
//! agent itself may not look at them.

use super::lab::machine::Machine;
use serde_json::{Value, json};
use std::io::Write as _;

const TREE: &str = "/srv/api/releases/0123456789ab";

/// What the helper says, with the privilege that its unit has.
fn look(machine: &Machine, question: &Value) -> Value {
    machine.write("/root/question", question.to_string());
    let said = machine.sh("systemd-run --pipe --wait --collect --quiet -p NoNewPrivileges=yes \
         -p 'CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH' \
         steadfast internal who < /root/question");
    serde_json::from_str(&said).unwrap_or_else(|err| panic!("{err}: {said}"))
}

/// In which ways the tree is used, and by whom.
fn uses(machine: &Machine) -> (Vec<(String, i64)>, Value) {
    let tree = json!({ "path": TREE, "names": ["/srv/api/deployments/ab/tree"] });
    let answer = look(machine, &json!({ "trees": [tree], "ports": [] }));
    let uses = answer["uses"].as_array().unwrap().iter();
    let mut uses: Vec<_> = uses
        .map(|it| (it["how"].as_str().unwrap().to_owned(), it["process"]["pid"].as_i64().unwrap()))
        .collect();
    uses.sort();
    (uses, answer)
}

/// Starts a unit, waits until what it does has said so, and asks how it uses the tree.
fn as_unit(machine: &Machine, properties: &[&str], script: &str) -> (String, Value) {
    machine.sh("rm -f /run/ready; systemctl reset-failed");
    let properties: Vec<String> = properties.iter().map(|it| format!("-p '{it}'")).collect();
    machine.sh(&format!(
        "systemd-run --quiet --unit=user.service {} sh -c '{script}'
         for n in $(seq 600); do test -e /run/ready && exit 0; sleep 0.1; done; exit 1",
        properties.join(" ")
    ));
    let (uses, answer) = uses(machine);
    assert_eq!(answer["unknown"], Value::Null, "{answer:#}");
    let how = uses.iter().map(|it| it.0.as_str()).collect::<Vec<_>>().join(" ");
    machine.sh("systemctl stop user.service");
    (how, answer)
}

#[test]
fn a_tree_is_known_to_be_used_whatever_the_process_looks_like() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh(&format!(
        "useradd -m ann; mkdir -p {TREE}/bin {TREE}/lib /mnt/seen; cp /bin/sleep {TREE}/bin/nap
         cp $(ldconfig -p | sed -n 's/.*libm.so.6.*=> //p' | head -1) {TREE}/lib/libm.so.6
         cp -a {TREE} {TREE}x"
    ));
    assert_eq!(uses(&machine).0, []);

    let ready = "touch /run/ready; exec sleep 600";
    let is = |properties: &[&str], script: &str, how: &str| {
        let (found, answer) = as_unit(&machine, properties, script);
        assert_eq!(found, how, "{script}: {answer:#}");
        answer
    };
    let answer = is(&[&format!("WorkingDirectory={TREE}/lib")], ready, "WorksThere");
    assert_eq!(answer["uses"][0]["process"]["unit"], "user.service");
    // Under another name, in a mount namespace of its own, as another user.
    let bind = format!("BindPaths={TREE}/lib:/mnt/seen");
    is(&[&bind, "WorkingDirectory=/mnt/seen"], ready, "WorksThere");
    is(
        &[],
        &format!("touch /run/ready; exec setpriv --reuid ann {TREE}/bin/nap 600"),
        "StartedFromThere",
    );
    let mapped = format!("touch /run/ready; LD_PRELOAD={TREE}/lib/libm.so.6 exec sleep 600");
    is(&[], &mapped, "MappedFromThere");
    is(&[], "touch /run/ready; exec -a /srv/api/deployments/ab/tree/job.py sleep 600; :", "");
    is(
        &[],
        "touch /run/ready; exec perl -e \"sleep 600\" /srv/api/deployments/ab/tree/job.py",
        "NamedOnCommandLine",
    );
    // Beside it, or of a like name, is another.
    is(&[&format!("WorkingDirectory={TREE}x/lib")], ready, "");
    is(&["WorkingDirectory=/srv/api"], ready, "");

    // A program that has many thousands of pieces of memory, and a name that would speak to a terminal.
    let hostile = format!(
        "$0 = \"\\e[31m{{\\\"unknown\\\":1}}\\n\"; chdir \"{TREE}\";
         for (1..50000) {{ syscall(9, 0, 4096, 1 + 2 * ($_ % 2), 34, -1, 0) }}
         open F, \">\", \"/run/ready\"; sleep 600"
    );
    machine.write("/root/hostile.pl", hostile);
    let answer = is(&[], "exec perl /root/hostile.pl", "WorksThere");
    assert!(!answer.to_string().contains("\\u001b"), "{answer:#}");

    // Without the privilege nothing is known, which is said.
    machine.write("/root/question", json!({ "trees": [], "ports": [] }).to_string());
    let said = machine.sh(
        "setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace steadfast internal who < /root/question",
    );
    assert!(said.contains("may not look"), "{said}");
}

#[test]
fn who_listens_on_a_port_is_named_with_its_unit() {
    let Some(machine) = Machine::boot() else { return };
    let mut script = vec![];
    writeln!(script, "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => \"127.0.0.1\", LocalPort => 8081, Listen => 5) or die;").unwrap();
    writeln!(script, "open F, \">\", \"/run/ready\"; sleep 600").unwrap();
    machine.write("/root/listen.pl", script);
    machine.sh("systemd-run --quiet --unit=listens.service perl /root/listen.pl
         for n in $(seq 600); do test -e /run/ready && exit 0; sleep 0.1; done; exit 1");
    let port = |number: u16, address: Option<&str>| json!({ "number": number, "is_udp": false, "address": address });
    let ports = [
        port(8081, None),
        port(8081, Some("192.0.2.1")),
        port(8082, None),
        port(8081, Some("127.0.0.1")),
    ];
    let answer = look(&machine, &json!({ "trees": [], "ports": ports }));
    let found: Vec<_> = answer["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["port"], &it["process"]["unit"]))
        .collect();
    let unit = &json!("listens.service");
    assert_eq!(found, [(&json!(0), unit), (&json!(3), unit)], "{answer:#}");
    assert!(
        answer["listeners"][0]["process"]["program"].as_str().unwrap().contains("perl"),
        "{answer:#}"
    );
}

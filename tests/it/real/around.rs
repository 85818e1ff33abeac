//! What is done around a step of a component on a booted machine: calls, jobs that stand still, units that hang on it, and
//! strangers on its port.

use super::deployments::{APPLICATION, answer, component, model, process, run, target};
use super::lab::machine::Machine;

/// Whoever brings traffic: it writes down what it is asked.
const BALANCER: &str = r#"#!/usr/bin/perl
use IO::Socket::INET;
my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8090, Listen => 5, ReuseAddr => 1)
    or die "no port: $!";
while (my $client = $socket->accept) {
    my ($first, $key);
    while (<$client>) {
        $first //= $_;
        $key = $1 if /^x-key: (.*?)\r?$/i;
        last if /^\r?$/;
    }
    $first =~ s/ HTTP.*//s;
    open my $calls, ">>", "/run/calls";
    print $calls "$first with $key\n";
    close $calls;
    print $client "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
    close $client;
}
"#;

const AROUND: &str = r#"    ports: [8081]
    drain: [/bin/sh, -c, "test ! -e /run/refuses || { echo no; exit 1; }; echo drain >> /run/calls"]
    drain_for: 0s
    ready: { http: "http://127.0.0.1:8090/ready", method: PUT, header: { X-Key: "a key" } }
    quiesce: [worker]
"#;

fn is_active(machine: &Machine, unit: &str) -> bool {
    machine.run(&["systemctl", "is-active", "--quiet", unit]).status == 0
}

fn invocation(machine: &Machine, unit: &str) -> String {
    machine.ok(&["systemctl", "show", "-P", "InvocationID", unit])
}

fn reason(told: &serde_json::Value) -> String {
    told["reason"].to_string()
}

#[test]
fn traffic_jobs_and_dependants_come_back_and_a_stranger_is_named() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.3");
    machine
        .write("/srv/model/applications/people/application.yaml", format!("{APPLICATION}{AROUND}"));
    machine.ok(&["useradd", "--system", "steadfast-fetch"]);
    machine.write("/usr/local/bin/balancer", BALANCER);
    machine.ok(&["chmod", "755", "/usr/local/bin/balancer"]);
    let sleeps = "[Service]\nExecStart=/bin/sleep infinity\n";
    let user = format!("[Unit]\nRequires=people-api.service\nAfter=people-api.service\n{sleeps}");
    let stranger = "[Service]\nExecStart=/usr/bin/perl -MIO::Socket::INET -e \
         '@a = (IO::Socket::INET->new(LocalPort => 8081, Listen => 5) or die); sleep'\n";
    for (name, text) in [
        ("balancer", "[Service]\nExecStart=/usr/local/bin/balancer\n"),
        ("stranger", stranger),
        ("worker", sleeps),
        ("user", &user),
    ] {
        machine.write(&format!("/etc/systemd/system/{name}.service"), text);
    }
    machine.ok(&["systemctl", "daemon-reload"]);
    machine.ok(&["systemctl", "start", "balancer", "stranger", "worker"]);
    machine.sh("timeout 20 sh -c 'until perl -MIO::Socket::INET -e \"exit !IO::Socket::INET->new(PeerAddr => q(127.0.0.1:8081))\"; do sleep 0.1; done'");

    // A stranger on its port is named before anything is done.
    let refused = run(&machine, &["--format", "json"]);
    assert_eq!(refused.status, 4, "{refused:#?}");
    let told = component(&refused);
    assert!(
        reason(&told).contains("port 8081 is in use: stranger.service (perl, process "),
        "{told}"
    );
    assert!(!machine.exists("/etc/people.conf") && !is_active(&machine, "people-api"));
    machine.ok(&["systemctl", "stop", "stranger"]);

    let calls = || machine.sh("cat /run/calls; rm /run/calls");
    let first = run(&machine, &["--format", "json"]);
    assert_eq!((first.status, &component(&first)["step"]), (0, &"committed".into()), "{first:#?}");
    assert_eq!(calls(), "PUT /ready with a key\n");

    machine.ok(&["systemctl", "start", "user"]);
    let (before, worker) = (invocation(&machine, "user"), invocation(&machine, "worker"));
    target(&machine, "1.4", "");
    let upgraded = run(&machine, &["--format", "json"]);
    assert_eq!(upgraded.status, 0, "{upgraded:#?}");
    assert_eq!(answer(&machine), "200 1.4");
    assert_eq!(calls(), "drain\nPUT /ready with a key\n");
    assert!(is_active(&machine, "user") && is_active(&machine, "worker"));
    assert_ne!(invocation(&machine, "user"), before, "the stop took it along");
    assert_ne!(invocation(&machine, "worker"), worker, "it stood still");

    // So do they on the way back.
    target(&machine, "1.5", "");
    let bad = run(&machine, &["--format", "json"]);
    assert_eq!((bad.status, &component(&bad)["step"]), (4, &"went-back".into()), "{bad:#?}");
    assert_eq!(answer(&machine), "200 1.4");
    assert!(is_active(&machine, "user") && is_active(&machine, "worker"));
    assert_eq!(calls(), "drain\nPUT /ready with a key\n");

    // Where traffic cannot be taken away nothing is stopped.
    machine.write("/run/refuses", "");
    target(&machine, "1.6", "");
    let serves = process(&machine);
    let put_off = run(&machine, &["--format", "json"]);
    assert_eq!(put_off.status, 4, "{put_off:#?}");
    assert!(reason(&component(&put_off)).contains("exited with 1"), "{put_off:#?}");
    assert_eq!((process(&machine), answer(&machine)), (serves, "200 1.4".to_owned()));
    assert!(is_active(&machine, "worker"));
    machine.ok(&["rm", "/run/refuses"]);
    let again = run(&machine, &["--format", "json"]);
    assert_eq!((again.status, answer(&machine)), (0, "200 1.6".to_owned()), "{again:#?}");
}

//! A machine with the agent as a service, and what its tests ask of it.

use super::machine::{Machine, Output};
use serde_json::Value;
use std::path::Path;

/// How often something is looked at before it is too late for it: two minutes or more.
const PATIENCE: u32 = 1200;

/// A booted machine with the service installed as the package has it, not started yet.
pub(crate) fn installed() -> Option<Machine> {
    let machine = Machine::boot()?;
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    machine.sh("install -m 0755 /usr/local/bin/steadfast /usr/bin/steadfast
        rm /usr/local/bin/steadfast; mkdir -p /etc/steadfast");
    for (from, to) in [
        ("systemd/steadfast.service", "/usr/lib/systemd/system/steadfast.service"),
        ("sysusers.d/steadfast.conf", "/usr/lib/sysusers.d/steadfast.conf"),
        ("tmpfiles.d/steadfast.conf", "/usr/lib/tmpfiles.d/steadfast.conf"),
    ] {
        machine.push(&packaging.join(from), to, 0o644);
    }
    machine.sh("systemd-sysusers steadfast.conf; systemd-tmpfiles --create steadfast.conf
        systemctl daemon-reload; systemctl enable --quiet steadfast");
    Some(machine)
}

/// Settings that ask often, because a test waits.
pub(crate) fn settings(machine: &Machine, source: &str) {
    let text = format!("environment: test\n{source}\nintervals: {{ fetch: 10s, keep: 7d }}\n");
    machine.write("/etc/steadfast/agent.yaml", text);
}

pub(crate) const DIRECTORY: &str = "source: { directory: /srv/model }\ntrust: none";

pub(crate) fn status(machine: &Machine) -> Value {
    let output = machine.run(&["steadfast", "status", "--format", "json"]);
    serde_json::from_str(&output.stdout).unwrap_or(Value::Null)
}

pub(crate) fn journal(machine: &Machine) -> String {
    machine.run(&["journalctl", "-u", "steadfast", "-o", "short-precise", "-n", "80"]).stdout
}

pub(crate) fn main_pid(machine: &Machine) -> String {
    machine.ok(&["systemctl", "show", "-P", "MainPID", "steadfast"])
}

/// Lets the agent look at its settings and at its source now, and not only when it is time.
pub(crate) fn ask(machine: &Machine) {
    machine.ok(&["systemctl", "reload", "steadfast"]);
}

/// Asks for the status until it is as it should be.
#[track_caller]
pub(crate) fn wait_for(machine: &Machine, what: &str, test: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..PATIENCE {
        last = status(machine);
        if test(&last) {
            return last;
        }
        machine.ok(&["sleep", "0.1"]);
    }
    panic!("never {what}: {last:#}\n{}", journal(machine));
}

/// Looks until the machine is as it should be, without waiting for any interval.
#[track_caller]
pub(crate) fn until(machine: &Machine, what: &str, test: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if test() {
            return;
        }
        machine.ok(&["sleep", "0.1"]);
    }
    panic!("never {what}: {:#}\n{}", status(machine), journal(machine));
}

pub(crate) fn revision(status: &Value) -> String {
    status["adopted"]["revision"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn is_idle(status: &Value) -> bool {
    status["running"].is_null() && status["last_run"].is_object()
}

/// Waits until a revision is adopted and its run has ended.
#[track_caller]
pub(crate) fn kept(machine: &Machine) -> Value {
    wait_for(machine, "kept", |it| !revision(it).is_empty() && is_idle(it))
}

pub(crate) fn motd(machine: &Machine, text: &str) {
    machine.server_model(&[("servers/web.yaml", &server(text))]);
}

pub(crate) fn server(text: &str) -> String {
    format!("server: web\nfiles:\n  /etc/motd: {{ content: \"{text}\\n\" }}\n")
}

#[track_caller]
pub(crate) fn refused(output: &Output, exit: i32, words: &str) {
    assert_eq!(output.status, exit, "{output:#?}");
    assert!(output.stderr.contains(words), "{output:#?}");
}

//! A program that a run starts, from a terminal or in the agent, cannot type into the terminal of whoever watches.

use super::lab::installed::{DIRECTORY, installed, kept, settings};
use super::lab::machine::Machine;

/// Tries to type into every terminal that it has, and writes down how many letters it got in.
const PUSH: &str = r#"#!/usr/bin/perl
my ($typed, $terminal) = (0, undef);
open($terminal, '+<', '/dev/tty');
for my $one (*STDIN, *STDOUT, *STDERR, $terminal) {
    next unless defined $one && defined fileno($one);
    for my $letter (split //, "touch /tmp/pushed\n") { $typed++ if ioctl($one, 0x5412, $letter) }
}
open(my $told, '>>', '/tmp/typed') or die; print $told "$typed\n";
"#;

/// Runs a command on a terminal of its own, and gives what is left to be read there afterwards.
fn on_a_terminal(machine: &Machine, command: &str) -> String {
    let then = "stty -icanon min 0 time 0; head -c 100 >/tmp/left";
    let script = format!("{command}; {then}");
    machine.run(&["script", "-qec", &script, "/dev/null"]);
    // The end of what `script` itself is given stands there as a letter.
    machine.text("/tmp/left").replace(['\0', '\u{4}'], "")
}

#[test]
fn what_a_run_starts_types_nothing_into_the_terminal_that_it_was_started_from() {
    let Some(machine) = installed() else { return };
    machine.write("/usr/local/bin/push", PUSH);
    machine.sh("chmod 0755 /usr/local/bin/push; sysctl -qw dev.tty.legacy_tiocsti=1 || true");
    let directly = on_a_terminal(&machine, "/usr/local/bin/push");
    if !directly.contains("pushed") {
        crate::require::skip("needs a kernel that lets a program type into its own terminal");
        return;
    }
    let sections = |content: &str| {
        let validate = "[/usr/local/bin/push, \"{file}\"]";
        let file = format!("{{ content: \"{content}\\n\", validate: {validate} }}");
        format!("server: web\nfiles: {{ /etc/one: {file} }}\n")
    };
    machine.sh("rm /tmp/typed");
    machine.server_model(&[("servers/web.yaml", &*sections("by hand"))]);
    let run = "steadfast run --model /srv/model --environment test >/tmp/said 2>&1";
    for run in [run, &run.replace(" >/tmp/said 2>&1", "")] {
        machine.sh("rm -f /etc/one");
        assert_eq!(on_a_terminal(&machine, run), "");
        assert_eq!(machine.text("/etc/one"), "by hand\n", "{}", machine.text("/tmp/said"));
    }
    // The agent itself, where somebody starts it by hand to see what it does.
    machine.server_model(&[("servers/web.yaml", &*sections("by the agent"))]);
    settings(&machine, DIRECTORY);
    let agent = machine.spawn(&["script", "-qec", "steadfast agent", "/dev/null"]);
    kept(&machine);
    agent.kill();
    assert_eq!(machine.text("/etc/one"), "by the agent\n");
    assert_eq!(machine.text("/tmp/typed"), "0\n0\n0\n");
    assert!(!machine.exists("/tmp/pushed"));
}

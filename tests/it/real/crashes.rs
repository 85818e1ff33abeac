//! A run may die at any moment, alone or with the whole machine: the next one ends kept, and nothing is
//! ever torn.

use super::lab::machine::{Inside, Machine};
use super::lab::model::{self, Run, SERVER, run};
use std::collections::BTreeSet;

/// Takes the packages away.
const UNDO_PACKAGES: &str = "dpkg --force-all --purge demo-server small >/dev/null 2>&1 || true";

/// Takes the rest back to where nothing of the model is kept. What steadfast knows stays.
const UNDO: &str = "
systemctl disable --now worker demo 2>/dev/null || true
rm -rf /etc/systemd/system/worker.service /etc/systemd/system/worker.service.d
userdel deploy 2>/dev/null || true
userdel app 2>/dev/null || true
groupdel deploy 2>/dev/null || true
groupdel ops 2>/dev/null || true
rm -rf /srv/deploy /srv/www /srv/current /etc/demo.d /etc/default/demo /etc/cron.d/purge /etc/localtime
printf 'old motd\n' >/etc/motd
if [ -d /etc/demo ]; then printf 'greeting = hello from 1.0\n' >/etc/demo/demo.conf; fi
systemctl daemon-reload
";

/// The content of promised files as it is before a run, if there is any, and after it.
const FILES: &[(&str, &[&str])] = &[
    ("/etc/motd", &["old motd\n", "node1.example.test is test\n"]),
    ("/etc/demo/demo.conf", &["greeting = hello from 1.0\n", "greeting = hello\n"]),
    ("/srv/www/index.html", &["<h1>hello</h1>\n"]),
    ("/etc/systemd/system/worker.service.d/limits.conf", &["[Service]\nLimitNOFILE=1024\n"]),
    ("/etc/default/demo", &["LEVEL=high\n# BEGIN steadfast demo\n# ours\n# END steadfast demo\n"]),
];

/// What is to be seen on the machine when the run is ended.
enum Moment {
    /// There is something at this path.
    There(&'static str),
    /// This file has this text in it.
    Holds(&'static str, &'static str),
    /// A process of this name runs.
    Runs(&'static str),
    /// A file that is being written and has not taken its place.
    Beside(&'static str),
}

use Moment::{Beside, Holds, Runs, There};

const MOMENTS: [Moment; 20] = [
    There("/run/steadfast/lock/run.lock"),
    Runs("apt-get"),
    Runs("dpkg"),
    There("/usr/share/small/x"),
    There("/usr/sbin/demo-server"),
    There("/run/demo/loaded"),
    Holds("/var/lib/dpkg/status", "Package: small\nStatus: hold"),
    Holds("/etc/group", "\nops:"),
    Holds("/etc/group", "\ndeploy:"),
    Holds("/etc/passwd", "\napp:"),
    Holds("/etc/passwd", "\ndeploy:"),
    There("/srv/deploy/.ssh/authorized_keys"),
    There("/srv/www"),
    There("/etc/demo.d/kept"),
    Beside("/etc"),
    Holds("/etc/motd", "is test"),
    Holds("/etc/demo/demo.conf", "greeting = hello\n"),
    There("/etc/cron.d/purge"),
    There("/etc/systemd/system/worker.service"),
    There("/etc/systemd/system/multi-user.target.wants/worker.service"),
];

/// So many of them are moments of a run that has packages to install, which takes most of its time.
const WITH_PACKAGES: usize = 9;

impl Moment {
    fn has_come(&self, machine: &Machine) -> bool {
        match self {
            There(path) => machine.exists(path),
            Holds(path, text) => machine.exists(path) && machine.text(path).contains(text),
            Runs(name) => runs(machine, name),
            Beside(folder) => !machine.names(folder, ".steadfast-").is_empty(),
        }
    }
}

/// Whether a process of this name is in the machine.
fn runs(machine: &Machine, name: &str) -> bool {
    let proc = format!("/proc/{}/root/proc", machine.leader_pid());
    std::fs::read_dir(proc).unwrap().flatten().any(|entry| {
        let comm = entry.path().join("comm");
        std::fs::read_to_string(comm).is_ok_and(|it| it.trim_end() == name)
    })
}

/// Waits for the moment, or for the end of the run where it does not come.
fn until(machine: &Machine, moment: &Moment, run: &Inside) -> bool {
    let process = format!("/proc/{}/exe", run.pid());
    loop {
        if moment.has_come(machine) {
            return true;
        }
        // Of a process that has ended there is nothing to read.
        if std::fs::read_link(&process).is_err() {
            return false;
        }
    }
}

fn assert_nothing_torn(machine: &Machine, moment: usize) {
    for (path, contents) in FILES {
        if machine.exists(path) {
            let text = machine.text(path);
            assert!(contents.contains(&&*text), "moment {moment}: {path} holds {text:?}");
        }
    }
    for (path, lines) in [("/etc/passwd", 7), ("/etc/group", 4), ("/etc/shadow", 9)] {
        let text = machine.text(path);
        assert!(text.ends_with('\n'), "moment {moment}: {path} is torn");
        for line in text.lines() {
            assert_eq!(line.split(':').count(), lines, "moment {moment}: {path}: {line}");
        }
    }
}

/// What a run did not keep, with the reasons.
fn not_kept(run: &Run) -> Vec<String> {
    run.outcomes()
        .into_iter()
        .filter(|(_, outcome)| outcome != "repaired")
        .map(|(promise, outcome)| format!("{promise} {outcome}: {}", run.because(&promise)))
        .collect()
}

/// The run after it ends kept, and has left nothing to do.
fn assert_recovers(machine: &Machine, moment: usize) {
    let next = run(machine, &[]);
    assert_eq!((not_kept(&next), next.exit), (vec![], 0), "moment {moment}: {}", next.stderr);
    let quiet = run(machine, &[]);
    assert_eq!((quiet.outcomes(), quiet.exit), (vec![], 0), "moment {moment}: {quiet:#?}");
    for (path, contents) in FILES {
        assert_eq!(Some(&&*machine.text(path)), contents.last(), "moment {moment}: {path}");
    }
    assert_eq!(machine.text("/run/demo/loaded"), "greeting = hello\n", "moment {moment}");
    let left = machine.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /var/lib/steadfast -o -path /srv/model \\) -prune \
         -o -name '*.steadfast-*' -print; find /usr/sbin/policy-rc.d 2>/dev/null || true",
    );
    assert_eq!(left, "", "moment {moment}: something was left behind");
}

fn machine() -> Option<Machine> {
    let machine = Machine::boot()?;
    model::repository().install(&machine);
    let quick = SERVER.replace(
        "  demo: { running: true, enabled: true }",
        "  demo: { running: true, enabled: true, settle: 0s }",
    );
    assert_ne!(quick, SERVER);
    machine.server_model(&model::files(&quick));
    Some(machine)
}

fn start(machine: &Machine) -> Inside {
    machine.sh("rm -f /run/steadfast/lock/run.lock");
    machine.spawn_steadfast(&["run", "--model", "/srv/model", "--format", "json"])
}

#[test]
fn a_run_that_is_killed_at_any_of_twenty_moments_is_made_good_by_the_next() {
    let Some(machine) = machine() else { return };
    let mut cut = BTreeSet::new();
    for (at, moment) in MOMENTS.iter().enumerate() {
        machine.sh(UNDO);
        if at < WITH_PACKAGES {
            machine.sh(UNDO_PACKAGES);
        }
        let begun = start(&machine);
        if until(&machine, moment, &begun) {
            begun.kill();
        }
        let ended = begun.wait();
        if ended.status == 128 + 9 {
            cut.insert(at);
        }
        assert_nothing_torn(&machine, at);
        assert_recovers(&machine, at);
    }
    // A moment that passed too quickly to be met is not one of the twenty that count.
    assert!(cut.len() >= 15, "only these runs were cut: {cut:?}");
    let history = machine.ok(&["steadfast", "history", "--limit", "100"]);
    let short = history.lines().filter(|it| it.contains("interrupted")).count();
    // The first moments (the lock, apt as it is asked what it would do) may come before the run has
    // anything to write down.
    assert!(short + 4 >= cut.len(), "{short} of {cut:?}\n{history}");
}

#[test]
fn a_power_cut_is_made_good_by_the_run_after_the_boot() {
    let Some(mut machine) = machine() else { return };
    let moments = [
        Runs("dpkg"),
        There("/usr/sbin/demo-server"),
        Holds("/etc/passwd", "\ndeploy:"),
        Holds("/etc/motd", "is test"),
    ];
    for (at, moment) in moments.iter().enumerate() {
        machine.sh(UNDO);
        machine.sh(UNDO_PACKAGES);
        let begun = start(&machine);
        assert!(until(&machine, moment, &begun), "moment {at} did not come");
        machine.kill();
        drop(begun);
        machine.boot_again();
        assert_nothing_torn(&machine, at);
        assert_recovers(&machine, at);
    }
    // At the first moment it may not have had anything to write down yet.
    let history = machine.ok(&["steadfast", "history", "--limit", "100"]);
    let short = history.lines().filter(|it| it.contains("interrupted")).count();
    assert!(short + 1 >= moments.len(), "{history}");
}

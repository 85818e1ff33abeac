//! The harness itself holds what it says.

use std::path::Path;
use std::process::{Command, Stdio};

use super::apt::AptRepository;
use super::listing::changes;
use super::machine::Machine;

#[test]
fn the_runners_start_four_of_these_tests_at_a_time() {
    let config = include_str!("../../../../.config/nextest.toml");
    let (module, _) = module_path!().strip_prefix("it::").unwrap().split_once("::").unwrap();
    let package = env!("CARGO_PKG_NAME");
    let filter = format!("filter = \"package({package}) and test(/(^|::){module}::/)\"");
    assert!(config.contains(&format!("{filter}\ntest-group = \"machine\"\n")), "{config}");
    assert!(config.contains("machine = { max-threads = 4 }"), "{config}");
    // Nor does the fast profile start any, with either runner.
    let fast = format!(
        "default-filter = \"not (package({package}) and test(/(^|::)({module}|contract)::/))\""
    );
    assert!(config.contains(&fast), "{config}");
    let script = include_str!("../../../run");
    assert!(script.contains(&format!("--test-threads 4 {module}:: contract::")));
    assert_eq!(script.matches(&format!("--skip {module}:: --skip contract::")).count(), 2);
}

#[test]
fn a_machine_boots_and_its_systemd_answers() {
    let Some(machine) = Machine::boot() else { return };
    assert_eq!(machine.ok(&["systemctl", "is-system-running"]), "running\n");
    assert_eq!(machine.ok(&["systemctl", "is-active", "cron"]), "active\n");
    assert_eq!(machine.ok(&["hostname", "--fqdn"]).trim_end(), Machine::NODE);
    assert_eq!(machine.text("/proc/1/comm"), "systemd\n");

    let failed = machine.run(&["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((failed.status, &*failed.stdout, &*failed.stderr), (3, "out\n", "err\n"));
    assert_eq!(machine.run(&["sh", "-c", "kill -9 $$"]).status, 128 + 9);
    let environment = machine.ok(&["env"]);
    assert_eq!(environment.lines().count(), 3, "nothing of ours comes along: {environment}");
}

#[test]
fn no_link_in_a_machine_leads_to_the_host() {
    let Some(machine) = Machine::boot() else { return };
    let host = tempfile::tempdir().unwrap();
    let bait = host.path().join("bait");
    std::fs::write(&bait, "the host's").unwrap();
    machine.sh(&format!("mkdir -p {0}; ln -s {0}/bait /srv/link", host.path().display()));
    assert!(!machine.exists(bait.to_str().unwrap()));
    machine.write("/srv/link", "the machine's");
    assert_eq!(machine.text(bait.to_str().unwrap()), "the machine's");
    assert_eq!(std::fs::read_to_string(&bait).unwrap(), "the host's");
}

#[test]
fn a_package_of_the_test_s_own_is_installed_and_its_service_runs() {
    let Some(machine) = Machine::boot() else { return };
    let hello = |text: &str| format!("#!/bin/sh\necho {text}\n");
    let repository = AptRepository::new()
        .package("hello-test", "1.0", |p| p.executable("/usr/bin/hello-test", &hello("one")))
        .package("hello-test", "1:0.5", |p| {
            p.executable("/usr/bin/hello-test", &hello("two"))
                .depends("hello-data (>= 2)")
                .preinst("echo preinst $1 >>/root/scripts\n")
        })
        .package("hello-data", "2", |p| {
            p.field("Multi-Arch", "foreign").file("/usr/share/hello-test/data", "data\n")
        })
        .demo_server("1.0")
        .demo_server("2.0");
    repository.install(&machine);

    let install = |what: &str| {
        let apt = "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --allow-downgrades";
        machine.sh(&format!("{apt} {what}"))
    };
    install("hello-test");
    assert_eq!(machine.ok(&["hello-test"]), "two\n");
    assert_eq!(machine.text("/usr/share/hello-test/data"), "data\n");
    assert_eq!(machine.text("/root/scripts"), "preinst install\n");
    install("hello-test=1.0");
    assert_eq!(machine.ok(&["hello-test"]), "one\n");

    install("demo-server=1.0");
    assert_eq!(machine.ok(&["systemctl", "is-active", "demo"]), "active\n");
    assert_eq!(machine.ok(&["systemctl", "is-enabled", "demo"]), "enabled\n");
    assert_eq!(machine.text("/run/demo/loaded"), "greeting = hello from 1.0\n");
    let started = machine.ok(&["systemctl", "show", "-P", "InvocationID", "demo"]);

    machine.write("/etc/demo/demo.conf", "greeting = changed\n");
    machine.ok(&["systemctl", "reload", "demo"]);
    assert_eq!(machine.text("/run/demo/loaded"), "greeting = changed\n");
    assert_eq!(machine.ok(&["systemctl", "show", "-P", "InvocationID", "demo"]), started);
    let journal = machine.ok(&["journalctl", "-u", "demo", "-o", "cat"]);
    assert_eq!(journal.matches("loaded /etc/demo/demo.conf").count(), 2, "{journal}");

    machine.write("/etc/demo/demo.conf", "broken\n");
    assert_ne!(machine.run(&["systemctl", "reload", "demo"]).status, 0);
    assert_ne!(machine.run(&["demo-server", "--check", "/etc/demo/demo.conf"]).status, 0);
    assert_eq!(machine.text("/run/demo/loaded"), "greeting = changed\n");
    assert_ne!(machine.run(&["systemctl", "restart", "demo"]).status, 0);

    machine.write("/etc/demo/demo.conf", "greeting = mended\n");
    install("-o DPkg::Options::=--force-confold demo-server=2.0");
    assert_eq!(machine.ok(&["systemctl", "is-active", "demo"]), "active\n");
    assert_eq!(machine.text("/run/demo/loaded"), "greeting = mended\n");
    machine.sh("apt-get purge -q -y demo-server");
    assert!(!machine.exists("/etc/demo/demo.conf"));
    assert!(!machine.exists("/etc/systemd/system/multi-user.target.wants/demo.service"));

    // A package by hand, and a repository that changes under apt.
    let later = AptRepository::new().package("by-hand", "3", |p| {
        p.conffile("/etc/by-hand", "3\n")
            .postinst("touch /root/in\n")
            .prerm("rm /root/in\n")
            .postrm("touch /root/out\n")
    });
    machine.push(&later.dir().join("by-hand_3_all.deb"), "/root/by-hand.deb", 0o600);
    machine.ok(&["dpkg", "-i", "/root/by-hand.deb"]);
    assert!(machine.exists("/root/in"));
    machine.ok(&["dpkg", "-P", "by-hand"]);
    assert!(!machine.exists("/root/in") && machine.exists("/root/out"));
    later.publish(&machine);
    machine.ok(&["apt-get", "update"]);
    let known = machine.ok(&["apt-cache", "policy", "by-hand", "demo-server"]);
    assert!(known.contains("by-hand:") && !known.contains("2.0"), "{known}");
    later.install_beside(&machine);
}

#[test]
fn a_reboot_keeps_the_disk() {
    let Some(mut machine) = Machine::boot() else { return };
    let boot = machine.text("/proc/sys/kernel/random/boot_id");
    machine.write("/srv/kept", "here\n");
    machine.write("/run/lost", "gone\n");
    machine.reboot();
    assert_eq!(machine.text("/srv/kept"), "here\n");
    assert!(!machine.exists("/run/lost"));
    assert_ne!(machine.text("/proc/sys/kernel/random/boot_id"), boot);
    assert_eq!(machine.ok(&["systemctl", "is-system-running"]), "running\n");
}

#[test]
fn the_disk_survives_a_power_cut_and_nothing_else_does() {
    let Some(mut machine) = Machine::boot() else { return };
    let long = machine.spawn(&["sh", "-c", "echo begun; echo x >/srv/kept; sleep infinity"]);
    machine.sh("until [ -s /srv/kept ]; do sleep 0.01; done");
    machine.kill();
    let output = long.wait();
    assert_eq!((output.status, &*output.stdout), (128 + 9, "begun\n"));
    // A machine that is off can still be looked at.
    assert_eq!(machine.text("/srv/kept"), "x\n");
    machine.boot_again();
    assert_eq!(machine.text("/srv/kept"), "x\n");
    assert_ne!(machine.run(&["pgrep", "-x", "sleep"]).status, 0);
}

#[test]
fn a_process_inside_is_killed_at_once_and_alone() {
    let Some(machine) = Machine::boot() else { return };
    let process =
        machine.spawn(&["sh", "-c", "sleep infinity >/dev/null 2>&1 & echo x >/srv/x; wait"]);
    machine.sh("until [ -s /srv/x ]; do sleep 0.01; done");
    assert_ne!(process.pid(), machine.leader_pid());
    process.kill();
    assert_eq!(process.wait().status, 128 + 9);
    assert_eq!(machine.ok(&["pgrep", "-c", "-x", "sleep"]), "1\n");
    // One that is let go of is killed too, and one that ends by itself has its own status.
    drop(machine.spawn(&["sleep", "infinity"]));
    assert_eq!(machine.ok(&["pgrep", "-c", "-x", "sleep"]), "1\n");
    assert_eq!(machine.spawn(&["false"]).wait().status, 1);
}

#[test]
fn a_listing_sees_every_change_and_a_quiet_machine_has_none() {
    let Some(machine) = Machine::boot() else { return };
    let look = || machine.listing(&["/"], &["/var/log/journal"]);
    let mut before = look();
    assert!(before.len() > 5_000, "{} paths", before.len());
    assert!(before["/etc/passwd"].starts_with("file 0644 0:0 "), "{}", before["/etc/passwd"]);
    assert!(!before.contains_key("/proc/1"));
    assert_eq!(changes(&before, &look()), [""; 0]);

    let table = [
        ("chmod 0600 /etc/cron.d", vec!["/etc/cron.d"]),
        ("chown games /etc/motd", vec!["/etc/motd"]),
        ("touch -d 2001-01-01 /etc/motd", vec!["/etc/motd"]),
        (
            "printf x | dd of=/etc/motd conv=notrunc status=none; touch -d 2001-01-01 /etc/motd",
            vec!["/etc/motd"],
        ),
        ("ln -s nowhere /srv/link", vec!["/srv", "/srv/link"]),
        ("ln -sfn elsewhere /srv/link", vec!["/srv", "/srv/link"]),
        ("touch /srv/x; rm /srv/x", vec!["/srv"]),
        ("mkfifo /srv/fifo", vec!["/srv", "/srv/fifo"]),
        ("rm -r /srv/fifo /srv/link", vec!["/srv", "/srv/fifo", "/srv/link"]),
    ];
    for (script, touched) in table {
        machine.sh(script);
        let after = look();
        let seen = changes(&before, &after);
        let mut paths: Vec<&str> = seen.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        paths.dedup();
        assert_eq!(paths, touched, "{script}: {seen:#?}");
        before = after;
    }
    let part = machine.listing(&["/etc/cron.d", "/srv/"], &[]);
    assert!(part.keys().all(|path| path.starts_with("/etc/cron.d") || path.starts_with("/srv")));
    assert!(part.contains_key("/etc/cron.d") && part.contains_key("/srv"));
}

#[test]
fn two_machines_at_once_leave_each_other_s_services_alone() {
    let Some(mut first) = Machine::boot() else { return };
    let started = |machine: &Machine| {
        machine.ok(&["systemctl", "show", "-P", "InvocationID", "cron", "dbus", "systemd-journald"])
    };
    let before = started(&first);
    let Some(second) = Machine::boot() else { return };
    second.write("/srv/second", "");
    assert!(!first.exists("/srv/second"));
    assert_eq!(started(&first), before);
    assert_eq!(first.ok(&["systemctl", "is-active", "cron", "dbus"]), "active\nactive\n");
    let before = started(&second);
    first.reboot();
    drop(first);
    assert_eq!(started(&second), before);
    assert_eq!(second.ok(&["systemctl", "is-active", "cron", "dbus"]), "active\nactive\n");
}

/// Not a test: what the next one starts as a process of its own.
#[test]
#[ignore = "dies on purpose, for the test below"]
fn dies_with_its_machine_on() {
    let Some(machine) = Machine::boot() else { return };
    println!("leader {}", machine.leader_pid());
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .unwrap();
}

#[test]
fn what_a_killed_test_left_behind_is_cleared_at_the_next_boot() {
    let Some(first) = Machine::boot() else { return };
    let mut dying = Command::new(std::env::current_exe().unwrap());
    dying.args([
        "--ignored",
        "--exact",
        "--nocapture",
        "real::lab::harness::dies_with_its_machine_on",
    ]);
    let dying = dying.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let died = dying.id();
    let output = dying.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let (_, leader) = said.split_once("leader ").expect("it had a machine");
    let leader = Path::new("/proc").join(leader.lines().next().unwrap());
    // A dead process that nobody has fetched yet has no command line any more.
    let lives = || std::fs::read(leader.join("cmdline")).is_ok_and(|line| !line.is_empty());
    assert!(lives(), "nobody ended the machine yet");

    let second = Machine::boot().unwrap();
    assert!(!lives());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&format!("steadfast-{died}-")), "{mounts}");
    // Those that live were left alone.
    assert_eq!(first.ok(&["systemctl", "is-active", "cron"]), "active\n");
    assert_eq!(second.ok(&["systemctl", "is-active", "cron"]), "active\n");
}

#[test]
fn the_product_runs_in_a_machine_and_finds_its_model() {
    let Some(machine) = Machine::boot() else { return };
    let version = machine.steadfast(&["--version"]);
    assert_eq!((version.status, &*version.stderr), (0, ""));
    assert_eq!(machine.spawn_steadfast(&["--version"]).wait(), version);

    machine.server_model(&[("servers/old.yaml", "server: old\n")]);
    machine.server_model(&[
        ("servers/web.yaml", "server: web\n"),
        ("servers/db.yaml", "server: db\n"),
        ("files/motd", "hello\n"),
    ]);
    assert!(!machine.exists("/srv/model/servers/old.yaml"));
    assert_eq!(machine.text("/srv/model/files/motd"), "hello\n");
    assert_eq!(machine.text("/srv/model/model.yaml"), "model: test\nformat: 1\n");
    assert_eq!(
        machine.text("/srv/model/environments/test.yaml"),
        "environment: test\nnodes:\n  node1.example.test: { servers: [web, db] }\n"
    );
    let own = "environment: test\nnodes: {}\n";
    machine.server_model(&[("environments/test.yaml", own)]);
    assert_eq!(machine.text("/srv/model/environments/test.yaml"), own);
}

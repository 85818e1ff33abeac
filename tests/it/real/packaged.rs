//! The packages that we ship: what is in them, and what becomes of a machine that they come to.

use super::lab::apt::AptRepository;
use super::lab::installed::{
    DIRECTORY, ask, journal, kept, main_pid, motd, revision, settings, status, until, wait_for,
};
use super::lab::machine::Machine;
use super::lab::nspawn::{must, profile};
use crate::require;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds a package of the binary under test.
fn built(format: &str, folder: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/build");
    let mut command = Command::new(script);
    command.args([format, "--fast", "--binary"]).arg(profile().join("steadfast"));
    let output = command.arg("--output").arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// The same Debian package, as another version and perhaps with something else as its program.
fn version(package: &Path, version: &str, program: Option<&str>) -> PathBuf {
    let folder = package.parent().unwrap();
    let tree = folder.join(version);
    must(Command::new("dpkg-deb").arg("-R").arg(package).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).unwrap();
    std::fs::write(&control, text.replace("Version: 0.1.0", &format!("Version: {version}")))
        .unwrap();
    if let Some(program) = program {
        std::fs::write(tree.join("usr/bin/steadfast"), program).unwrap();
    }
    let other = folder.join(format!("steadfast_{version}_all.deb"));
    must(Command::new("dpkg-deb").args(["-Znone", "-b"]).arg(&tree).arg(&other));
    other
}

/// Puts a package into the machine.
fn push(machine: &Machine, package: &Path) -> String {
    let path = format!("/root/{}", package.file_name().unwrap().to_str().unwrap());
    machine.push(package, &path, 0o644);
    path
}

fn install(machine: &Machine, package: &Path) {
    let path = push(machine, package);
    machine.ok(&["apt-get", "install", "-q", "-y", &path]);
}

/// What must not change while the agent becomes another program: its process, and the service's life.
fn life(machine: &Machine) -> (String, String) {
    let asked = ["systemctl", "show", "-P", "InvocationID", "-P", "NRestarts", "steadfast"];
    (main_pid(machine), machine.ok(&asked))
}

/// A server that says something, and whose run ends only once it may.
const SLOW: &str = "server: web
files:
  /etc/motd: { content: \"two\\n\" }
  /etc/slow: { content: \"slow\\n\", validate: [sh, -c, \"until [ -e /srv/go ]; do sleep 0.1; done\", \"{file}\"] }
";

#[test]
fn the_debian_package_brings_the_agent_lets_it_go_on_and_takes_all_of_it_away() {
    let Some(machine) = Machine::boot() else { return };
    machine.ok(&["rm", "/usr/local/bin/steadfast"]);
    let folder = tempfile::tempdir().unwrap();
    let package = built("deb", folder.path());
    // Without what apt, dpkg and systemd write down for themselves.
    let without = ["/var/log", "/var/lib/dpkg", "/var/lib/apt", "/var/cache/apt", "/root", "/srv"];
    let look = || {
        let accounts = ["/etc/passwd", "/etc/group", "/etc/shadow"].map(|it| machine.text(it));
        (machine.listing(&["/"], &without), accounts)
    };
    let (before, accounts) = look();

    // Nothing is set.
    install(&machine, &package);
    let state = ["systemctl", "is-active", "steadfast"];
    assert_eq!(machine.ok(&state), "active\n");
    assert_eq!(machine.ok(&["systemctl", "is-enabled", "steadfast"]), "enabled\n");
    wait_for(&machine, "waiting", |it| it["missing"].as_array().is_some_and(|it| it.len() == 2));
    let page = machine.ok(&["steadfast", "status"]);
    assert!(page.contains("missing      environment: which environment of the model"), "{page}");
    let all = || machine.ok(&["journalctl", "-q", "-u", "steadfast"]);
    let said = |words: &str| all().matches(words).count();
    assert_eq!(said("waiting for the setting environment"), 1);
    assert_eq!(machine.ok(&["systemctl", "is-system-running"]), "running\n");

    motd(&machine, "one");
    settings(&machine, DIRECTORY);
    ask(&machine);
    let first = revision(&kept(&machine));

    // An upgrade in the middle of a run, which is finished before.
    let (alive, takes_over) = (life(&machine), || said("restarting into it"));
    let next = version(&package, "0.2.0", None);
    machine.server_model(&[("servers/web.yaml", SLOW)]);
    ask(&machine);
    wait_for(&machine, "a run", |it| revision(it) != first && it["running"].is_string());
    install(&machine, &next);
    until(&machine, "noticed", || takes_over() == 1);
    assert!(!machine.exists("/etc/slow"));
    machine.write("/srv/go", "");
    let second = revision(&wait_for(&machine, "kept", |it| {
        let is_new = !revision(it).is_empty() && revision(it) != first;
        is_new && it["last_run"]["revision"] == it["adopted"]["revision"] && it["running"].is_null()
    }));
    let keeps = || {
        machine.write("/etc/motd", "drifted\n");
        until(&machine, "repaired content", || machine.text("/etc/motd") == "two\n");
        assert_eq!(life(&machine), alive, "{}", journal(&machine));
        assert_eq!(machine.ok(&state), "active\n");
    };
    assert!(second != first && machine.exists("/etc/slow"));
    keeps();
    assert_eq!(revision(&status(&machine)), second);

    // A program that does not work takes nothing away.
    install(&machine, &version(&package, "0.3.0", Some("#!/bin/sh\nexit 1\n")));
    until(&machine, "noticed", || said("the new binary does not work") == 1);
    keeps();
    install(&machine, &version(&package, "0.4.0", None));
    until(&machine, "taken over", || takes_over() == 2);
    keeps();

    // And one that it has promised itself.
    AptRepository::new().built(&version(&package, "0.5.0", None)).install(&machine);
    let promise = format!("{SLOW}packages:\n  steadfast: {{ version: 0.5.0 }}\n");
    machine.server_model(&[("servers/web.yaml", &promise)]);
    ask(&machine);
    until(&machine, "taken over", || takes_over() == 3);
    let third = wait_for(&machine, "kept", |it| {
        revision(it) != second && it["last_run"]["repaired"] == 0 && it["running"].is_null()
    });
    assert_eq!(third["last_run"]["not_kept"], serde_json::json!([]), "{third:#}");
    assert_eq!(machine.ok(&["dpkg-query", "-W", "-f", "${Version}", "steadfast"]), "0.5.0");
    keeps();
    assert_eq!(said("Failed"), 0, "{}", all());

    machine.ok(&["apt-get", "purge", "-q", "-y", "steadfast"]);
    let (after, accounts_after) = look();
    let new: Vec<&String> = after.keys().filter(|it| !before.contains_key(*it)).collect();
    // What the agent has made stays, and so does what the test has.
    assert_eq!(new, ["/etc/apt/sources.list.d/test.list", "/etc/slow"]);
    assert_eq!(accounts_after, accounts);
}

/// Where a file of the RPM lies in the Debian package.
fn in_debian(path: &str) -> String {
    [
        ("/usr/lib/systemd/", "/lib/systemd/"),
        ("/usr/share/zsh/site-functions/", "/usr/share/zsh/vendor-completions/"),
        ("/usr/share/licenses/steadfast/LICENSE", "/usr/share/doc/steadfast/copyright"),
        ("/usr/share/doc/steadfast/CHANGELOG.md", "/usr/share/doc/steadfast/changelog.gz"),
    ]
    .iter()
    .find_map(|(rpm, deb)| Some(format!("{deb}{}", path.strip_prefix(rpm)?)))
    .unwrap_or_else(|| path.to_owned())
}

fn has_rpm() -> bool {
    let there = Path::new("/usr/bin/rpmbuild").exists();
    if !there {
        require::skip("needs rpmbuild (tests/run installs it)");
    }
    there
}

fn asked(package: &Path, arguments: &[&str]) -> String {
    let output = Command::new("rpm").arg("-qp").args(arguments).arg(package).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_rpm_has_in_it_what_the_debian_package_has() {
    if !has_rpm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (deb, rpm) = (built("deb", folder.path()), built("rpm", folder.path()));
    let contents = Command::new("dpkg-deb").arg("-c").arg(&deb).output().unwrap();
    let contents = String::from_utf8(contents.stdout).unwrap();
    let debian: BTreeMap<String, String> = contents
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let path = words[5].trim_start_matches('.').trim_end_matches('/').to_owned();
            (path, format!("{} {}", words[0], words[1]))
        })
        .collect();
    let files = "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]";
    let ours: BTreeMap<String, String> = asked(&rpm, &["--qf", files])
        .lines()
        .map(|line| {
            let (mode, path) = line.rsplit_once(' ').unwrap();
            (in_debian(path), mode.to_owned())
        })
        .filter(|(path, _)| path != "/usr/share/licenses/steadfast")
        .collect();
    for (path, mode) in &ours {
        assert_eq!(debian.get(path), Some(mode), "{path}");
    }
    // Directories that belong to others are in one only.
    let missing: Vec<&String> = debian
        .iter()
        .filter(|(path, mode)| mode.starts_with('-') && !ours.contains_key(*path))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(missing, [""; 0]);
    let flags = asked(&rpm, &["--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]"]);
    assert!(flags.contains("/etc/steadfast/agent.yaml cn\n"), "{flags}");
    let lines = contents.lines().filter(|it| it.contains("man1/steadfast")).count();
    assert!(lines > 10 && ours.keys().any(|it| it.ends_with("/_steadfast")), "{ours:#?}");
    // It says what it needs, the C library that it was linked with among it.
    let needs = asked(&rpm, &["--requires"]);
    assert!(needs.contains("systemd >= 247") && needs.contains("libc.so.6(GLIBC_"), "{needs}");
}

#[test]
fn what_the_rpm_does_at_its_install_upgrade_and_removal_is_what_the_debian_package_does() {
    if !has_rpm() {
        return;
    }
    let Some(machine) = Machine::boot() else { return };
    machine.ok(&["rm", "/usr/local/bin/steadfast"]);
    let folder = tempfile::tempdir().unwrap();
    let rpm = built("rpm", folder.path());
    // The machine is a Debian: what is unpacked there is unpacked here, and the scriptlets are run by hand.
    let root = folder.path().join("root");
    let mut unpack = Command::new("rpm");
    unpack.args(["--install", "--nodeps", "--noscripts", "--root"]).arg(&root).arg(&rpm);
    must(&mut unpack);
    let tar = folder.path().join("root.tar");
    must(Command::new("tar").arg("-C").arg(&root).args(["-c", "etc", "usr", "-f"]).arg(&tar));
    let unpack = |parts: &str| {
        machine.push(&tar, "/root/root.tar", 0o600);
        let tar = "tar -C / --keep-directory-symlink -xpf /root/root.tar";
        machine.sh(&format!("rm -f /usr/bin/steadfast; {tar} {parts}"));
    };
    let script = |name: &str, instances: &str| {
        let text = asked(&rpm, &["--qf", &format!("%{{{name}}}")]);
        machine.ok(&["sh", "-euc", &text, "sh", instances]);
    };
    unpack("etc usr");
    script("POSTIN", "1");
    assert_eq!(machine.ok(&["systemctl", "is-active", "steadfast"]), "active\n");
    assert_eq!(machine.ok(&["systemctl", "is-enabled", "steadfast"]), "enabled\n");
    motd(&machine, "one");
    settings(&machine, DIRECTORY);
    ask(&machine);
    kept(&machine);

    // In the order of rpm: the new one comes, and the old one goes.
    let alive = life(&machine);
    unpack("usr");
    script("POSTIN", "2");
    script("PREUN", "1");
    script("POSTUN", "1");
    until(&machine, "taken over", || journal(&machine).contains("restarting into it"));
    kept(&machine);
    assert_eq!(life(&machine), alive);

    script("PREUN", "0");
    until(&machine, "stopped", || {
        machine.run(&["systemctl", "is-active", "steadfast"]).status == 3
    });
    script("POSTUN", "0");
    assert!(machine.exists("/var/lib/steadfast/state.db"), "what it knew stays");
    let enabled = machine.run(&["systemctl", "is-enabled", "steadfast"]);
    assert_eq!(enabled.stdout, "disabled\n");
}

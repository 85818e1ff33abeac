//! What apt would do is said beforehand, and one package keeps no other.

use super::drift::came_true;
use super::lab::apt::AptRepository;
use super::lab::machine::Machine;
use super::lab::model::{Run, bare, run};

const APT: &str = "export DEBIAN_FRONTEND=noninteractive; apt-get -qqy";

fn model(machine: &Machine, packages: &str) {
    machine.server_model(&[("servers/web.yaml", &format!("server: web\npackages:\n{packages}"))]);
}

/// Promise and outcome of all that a dry run or a run says, but what is kept.
fn said(run: &Run) -> Vec<(String, String)> {
    let mut said = run.outcomes();
    said.extend(run.forecasts().into_iter().map(|(promise, _, certainty)| (promise, certainty)));
    said.sort();
    said
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> =
        all.iter().map(|(name, it)| (format!("package:{name}"), (*it).to_owned())).collect();
    pairs.sort();
    pairs
}

fn notes(run: &Run) -> String {
    run.events.iter().map(|it| it["notes"].to_string()).collect()
}

#[test]
fn a_dependency_that_cannot_be_had_is_foreseen_and_keeps_no_other_package() {
    let Some(machine) = Machine::boot() else { return };
    AptRepository::new()
        .package("lib", "1.0", |it| it)
        .package("lib", "2.0", |it| it)
        .package("wants-newer", "1.0", |it| it.depends("lib (>= 2.0)"))
        .package("wants-nowhere", "1.0", |it| it.depends("nowhere"))
        .package("wants-deep", "1.0", |it| it.field("Pre-Depends", "wants-nowhere"))
        .package("pinned", "1.0", |it| it)
        .package("wants-pinned", "1.0", |it| it.depends("pinned"))
        .package("fights", "1.0", |it| it.field("Conflicts", "rival"))
        .package("rival", "1.0", |it| it)
        .package("fine", "1.0", |it| it.depends("fine-data"))
        .package("fine-data", "1.0", |it| it)
        .install(&machine);
    machine
        .write("/etc/apt/preferences.d/no", "Package: pinned\nPin: version *\nPin-Priority: -1\n");
    machine.sh(&format!("{APT} install lib=1.0; apt-mark hold lib"));
    let names =
        ["wants-newer", "wants-nowhere", "wants-deep", "wants-pinned", "fights", "rival", "fine"];
    let packages: String = names.iter().map(|it| format!("  {it}: present\n")).collect();
    model(&machine, &packages);
    let dry = run(&machine, &["--dry-run"]);
    let bad = ["wants-newer", "wants-nowhere", "wants-deep", "wants-pinned", "rival"];
    let mut expected: Vec<(&str, &str)> = bad.iter().map(|it| (*it, "not-kept")).collect();
    let with = |expected: &[(&'static str, &'static str)], word| {
        pairs(&[expected, &[("fights", word), ("fine", word)]].concat())
    };
    assert_eq!(said(&dry), with(&expected, "certain"), "{dry:#?}");
    assert!(notes(&dry).contains("also installs fine-data 1.0"), "{dry:#?}");
    for (promise, why) in [
        ("wants-newer", "lib (>= 2.0)"),
        ("wants-nowhere", "nowhere"),
        ("wants-pinned", "pinned"),
        ("rival", "fights"),
    ] {
        let because = dry.because(&format!("package:{promise}"));
        assert!(because.contains(why), "{promise}: {because}");
    }
    let real = run(&machine, &[]);
    assert_eq!(said(&real), with(&expected, "repaired"), "{real:#?}");
    assert_eq!(came_true(&dry, &real), [""; 0]);
    assert_eq!((dry.exit, real.exit), (4, 4));

    // What is in the way now is expected to go with the settings of apt that change first.
    machine.write("/srv/model/servers/web.yaml", "server: web\npackages: { wants-pinned: present }\nfiles: { /etc/apt/preferences.d/no: absent }\n");
    let dry = run(&machine, &["--dry-run"]);
    expected = vec![("wants-pinned", "expected")];
    let mut foreseen = pairs(&expected);
    foreseen.insert(0, ("file:/etc/apt/preferences.d/no".to_owned(), "certain".to_owned()));
    assert_eq!(said(&dry), foreseen, "{dry:#?}");
    let real = run(&machine, &[]);
    assert_eq!(came_true(&dry, &real), [""; 0]);
    assert_eq!((dry.exit, real.exit), (0, 0), "{real:#?}");
}

#[test]
fn a_package_is_not_installed_against_what_is_promised_of_another() {
    let Some(machine) = Machine::boot() else { return };
    AptRepository::new()
        .package("lib", "1.0", |it| it)
        .package("lib", "2.0", |it| it)
        .package("wants-newer", "1.0", |it| it.depends("lib (>= 2.0)"))
        .package("wants-data", "1.0", |it| it.depends("data"))
        .package("data", "1.0", |it| it)
        .package("suggests-data", "1.0", |it| it.field("Recommends", "data"))
        .package("rival", "1.0", |it| it.field("Conflicts", "tool"))
        .package("tool", "1.0", |it| it)
        .install(&machine);
    machine.sh(&format!("{APT} install lib=1.0 tool"));
    model(
        &machine,
        "  lib: \"1.0\"\n  wants-newer: present\n  data: absent\n  wants-data: present\n  \
         suggests-data: { recommends: true }\n  tool: present\n  rival: { allow_removals: [tool] }\n",
    );
    let dry = run(&machine, &["--dry-run"]);
    let refused = |goes| {
        let bad = ["wants-newer", "wants-data", "rival"].map(|it| (it, "not-kept"));
        pairs(&[&bad[..], &[("suggests-data", goes)]].concat())
    };
    assert_eq!(said(&dry), refused("certain"), "{dry:#?}");
    for (promise, why) in [
        ("wants-newer", "that would change lib in version 2.0, and `1.0` is promised"),
        ("wants-data", "without data, which is promised absent"),
        ("rival", "that would remove tool, which is promised present"),
    ] {
        let because = dry.because(&format!("package:{promise}"));
        assert!(because.contains(why), "{promise}: {because}");
    }
    let real = run(&machine, &[]);
    assert_eq!(said(&real), refused("repaired"), "{real:#?}");
    assert_eq!(came_true(&dry, &real), [""; 0]);
    assert_eq!((dry.exit, real.exit), (4, 4));
    let there = machine.sh("dpkg-query -W -f '${Package} ${Version}\n' lib tool suggests-data");
    assert_eq!(there, "lib 1.0\nsuggests-data 1.0\ntool 1.0\n");
    let again = run(&machine, &[]);
    assert_eq!(again.changes(), [], "{again:#?}");
}

#[test]
fn an_account_that_a_package_may_make_is_not_certain() {
    let Some(machine) = Machine::boot() else { return };
    AptRepository::new()
        .package("daemon", "1.0", |it| {
            it.postinst("groupadd -f -r more; id served >/dev/null 2>&1 || useradd -r served\n")
        })
        .install(&machine);
    machine.server_model(&[(
        "servers/web.yaml",
        "server: web\npackages: { daemon: present }\ngroups: { more: { system: true } }\n\
         users:\n  served: { groups: [adm] }\n  root: { groups: [adm] }\n",
    )]);
    let (dry, real) = (run(&machine, &["--dry-run"]), run(&machine, &[]));
    let sure = |promise: &str| {
        let mut all = dry.forecasts().into_iter().filter(|it| it.0 == promise);
        all.next().map(|it| it.2)
    };
    let foreseen = ["package:daemon", "group:more", "user:served", "user:root"].map(sure);
    let words = ["certain", "expected", "expected", "certain"].map(|it| Some(it.to_owned()));
    assert_eq!(foreseen, words, "{dry:#?}");
    assert_eq!((dry.exit, real.exit), (0, 0), "{real:#?}");
    assert_eq!(run(&machine, &[]).outcomes(), []);
}

#[test]
fn a_package_takes_the_place_of_what_is_promised_gone_in_one_transaction() {
    let Some(machine) = Machine::boot() else { return };
    AptRepository::new()
        .package("old-mta", "1.0", |it| it.field("Provides", "mta").conffile("/etc/old", "1\n"))
        .package("mail", "1.0", |it| it.depends("old-mta | mta"))
        .package("new-mta", "1.0", |it| it.field("Provides", "mta").field("Conflicts", "mta"))
        .package("tool", "1.0", |it| it.depends("lib"))
        .package("lib", "1.0", |it| it)
        .package("extra", "1.0", |it| it)
        .demo_server("1.0")
        .install(&machine);
    let gone = |name: &str| {
        let status = machine.run(&["dpkg-query", "-W", "-f", "${db:Status-Status}", name]);
        status.stdout.replace("not-installed", "")
    };
    let transactions = || machine.sh("grep -c ^Commandline /var/log/apt/history.log");
    let rows = [
        // What needs one of the two is never without.
        ("old-mta mail", "old-mta: absent", "new-mta: present", "config-files"),
        ("old-mta mail", "old-mta: purged", "new-mta: present", ""),
        ("old-mta mail", "old-mta: absent", "new-mta: { recommends: false }", "config-files"),
        ("old-mta mail", "old-mta: absent", "new-mta: { start: false }", "config-files"),
        ("old-mta mail", "\"old-mta:amd64\": absent", "new-mta: present", "config-files"),
    ];
    for (there, goes, comes, left) in rows {
        machine.sh(&format!("{APT} purge old-mta new-mta mail extra; {APT} install {there}"));
        model(&machine, &format!("  {goes}\n  {comes}\n"));
        let before = transactions();
        let dry = run(&machine, &["--dry-run"]);
        let real = run(&machine, &[]);
        let shown = format!("{goes}, {comes}: {dry:#?} {real:#?}");
        assert_eq!((dry.exit, real.exit), (0, 0), "{shown}");
        assert_eq!(came_true(&dry, &real), [""; 0], "{shown}");
        assert_eq!(gone("mail"), "installed", "{shown}");
        assert_eq!(gone("old-mta"), left, "{shown}");
        let one = (before.trim().parse::<u32>().unwrap() + 1).to_string();
        assert_eq!(transactions().trim(), one, "{shown}");
        assert_eq!(run(&machine, &[]).outcomes(), []);
    }
    // What needs another goes with it, whichever of the two is purged.
    for (first, second) in [("absent", "purged"), ("purged", "absent"), ("purged", "purged")] {
        machine.sh(&format!("{APT} install tool lib"));
        model(&machine, &format!("  tool: {first}\n  lib: {second}\n  extra: present\n"));
        let (dry, real) = (run(&machine, &["--dry-run"]), run(&machine, &[]));
        assert_eq!(came_true(&dry, &real), [""; 0], "{dry:#?}");
        assert_eq!((dry.exit, real.exit), (0, 0), "{real:#?}");
    }
    // What goes is stopped, though what comes with it may not start.
    machine.sh(&format!("{APT} purge extra; {APT} install demo-server; systemctl is-active demo"));
    model(&machine, "  demo-server: absent\n  extra: { start: false }\n");
    let real = run(&machine, &[]);
    assert_eq!(real.exit, 0, "{real:#?}");
    assert_ne!(machine.run(&["systemctl", "is-active", "demo"]).status, 0);
    // What is only reported is not taken away for another.
    machine.sh(&format!("{APT} purge mail new-mta; {APT} install old-mta"));
    model(&machine, "  old-mta: { state: absent, keep: report }\n  new-mta: present\n");
    let dry = run(&machine, &["--dry-run"]);
    let expected = pairs(&[("old-mta", "held"), ("new-mta", "not-kept")]);
    assert_eq!(said(&dry), expected, "{dry:#?}");
    assert_eq!(said(&run(&machine, &[])), expected);
}

#[test]
fn a_package_whose_script_fails_keeps_no_other_from_going_or_coming() {
    let Some(machine) = Machine::boot() else { return };
    let broken = "exit 1\n";
    AptRepository::new()
        .package("bad-going", "1.0", |it| it.prerm(broken))
        .package("bad-late", "1.0", |it| it.postrm("[ $1 != remove ] || exit 1\n"))
        .package("bad-coming", "1.0", |it| it.preinst(broken))
        .package("bad-configured", "1.0", |it| it.postinst("[ ! -e /srv/bad ] || exit 1\n"))
        .package("goes", "1.0", |it| it)
        .package("goes-too", "1.0", |it| it)
        .package("comes", "1.0", |it| it)
        .package("comes-too", "1.0", |it| it.depends("comes"))
        .install(&machine);
    machine.sh(&format!("touch /srv/bad; {APT} install bad-going bad-late goes goes-too"));
    model(
        &machine,
        "  bad-going: absent\n  bad-late: absent\n  goes: absent\n  goes-too: purged\n  \
         bad-coming: present\n  bad-configured: present\n  comes: present\n  comes-too: present\n",
    );
    let real = run(&machine, &[]);
    let expected = pairs(&[
        ("bad-going", "not-kept"),
        ("bad-late", "not-kept"),
        ("bad-coming", "not-kept"),
        ("bad-configured", "not-kept"),
        ("goes", "repaired"),
        ("goes-too", "repaired"),
        ("comes", "repaired"),
        ("comes-too", "repaired"),
    ]);
    assert_eq!(said(&real), expected, "{real:#?}");
    // Each is blamed with its own error.
    for (name, script) in [
        ("bad-going", "pre-removal"),
        ("bad-coming", "pre-installation"),
        ("bad-configured", "post-installation"),
    ] {
        let because = real.because(&format!("package:{name}"));
        assert!(because.contains(script) && because.contains(name), "{name}: {because}");
        assert_eq!(because.matches("dpkg: error").count(), 1, "{name}: {because}");
    }
}

/// The time of the last change of state counts, which nobody can put back.
fn stamps(machine: &Machine) -> Vec<String> {
    let without = ["/var/lib/steadfast", "/var/log/journal", "/run/log", "/run/systemd/journal"];
    let without: String = without.iter().map(|it| format!("-path {it} -prune -o ")).collect();
    let list = machine.sh(&format!(
        "find /var /etc /run /usr /root /srv {without} -printf '%p %C@ %s %i\\n' 2>/dev/null || true"
    ));
    let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_dry_run_of_every_kind_changes_nothing_outside_the_state_directory() {
    let Some(machine) = bare() else { return };
    machine.sh("rm -f /var/cache/apt/*.bin");
    let extra = "\
packages:
  demo-server: latest
  small: { state: present, hold: true, conffiles: fail }
  cron: { version: \"> 1\" }
  nowhere: present
  login: absent
  debianutils: purged
  tzdata: { version: \"99\" }
";
    let rest = super::lab::model::SERVER.split_once("groups:\n").unwrap().1;
    let server = format!("server: web\nparameters:\n  greeting: hello\n{extra}groups:\n{rest}");
    machine.server_model(&super::lab::model::files(&server));
    // What a first run makes for itself is there.
    let first = run(&machine, &["--dry-run"]);
    let before = stamps(&machine);
    let dry = run(&machine, &["--dry-run"]);
    let after = stamps(&machine);
    assert_eq!(said(&dry), said(&first));
    let changed: Vec<&String> =
        after.iter().filter(|it| before.binary_search(it).is_err()).collect();
    assert_eq!(changed, [""; 0], "{dry:#?}");
    assert_eq!(before.len(), after.len());
    assert!(!machine.exists("/var/cache/apt/pkgcache.bin"));
    let planned = |kind: &str| dry.forecasts().iter().any(|it| it.0.starts_with(kind));
    for kind in ["package:", "group:", "user:", "directory:", "file:", "link:", "service:", "cron:"]
    {
        assert!(planned(kind), "{kind} {dry:#?}");
    }
}

//! Sources of packages that cannot be had: nothing becomes fresh by that, and somebody hears of it.

use super::lab::apt::AptRepository;
use super::lab::machine::Machine;
use super::lab::model::{Run, run};

/// A machine with one good source, and `away` of which the directory is not there: it waits in /root.
fn machine() -> Option<Machine> {
    let machine = Machine::boot()?;
    let late = AptRepository::new().package("late", "1.0", |it| it).package("late", "2.0", |it| it);
    late.publish(&machine);
    machine.sh("mv /srv/apt /root/away");
    let good = AptRepository::new().package("good", "1.0", |it| it).package("fine", "1.0", |it| it);
    good.install(&machine);
    Some(machine)
}

fn add_source(machine: &Machine) {
    machine.write("/etc/apt/sources.list.d/away.list", "deb [trusted=yes] file:/srv/away ./\n");
}

fn model(machine: &Machine, packages: &str) {
    let server = format!("server: web\npackages: {{ {packages} }}\n");
    machine.server_model(&[("servers/web.yaml", &server)]);
}

/// The one outcome or forecast of a promise.
fn of(run: &Run, promise: &str) -> String {
    let mut all = run.judged().chain(run.forecasts().into_iter().map(|it| (it.0, it.2)));
    all.find(|it| it.0 == promise).map(|it| it.1).unwrap_or_default()
}

fn notes(run: &Run, promise: &str) -> String {
    let its = run.events.iter().filter(|it| it["promise"] == promise);
    its.map(|it| it["notes"].to_string()).collect()
}

#[test]
fn a_source_that_is_away_is_told_by_every_run_and_asked_again_by_the_next() {
    // Whoever was the first to try: we, or somebody by hand a minute ago.
    for by_hand in [false, true] {
        let Some(machine) = machine() else { return };
        add_source(&machine);
        if by_hand {
            machine.sh("apt-get update 2>&1 | grep -q away");
        }
        model(&machine, "late: present");
        for _ in 0..2 {
            let away = run(&machine, &[]);
            assert_eq!(of(&away, "package:late"), "not-kept", "{away:#?}");
            let why = away.because("package:late");
            assert!(why.contains("/srv/away") && why.contains("not found"), "{why}");
            let dry = run(&machine, &["--dry-run"]);
            assert_eq!(of(&dry, "package:late"), "unknown", "{dry:#?}");
            assert!(dry.because("package:late").contains("/srv/away"), "{dry:#?}");
        }
        machine.sh("mv /root/away /srv/away");
        let back = run(&machine, &[]);
        assert_eq!(of(&back, "package:late"), "repaired", "{back:#?}");
        assert_eq!(notes(&back, "package:late"), "[]");
        // All was fetched, so nothing is fetched for what is lacking a minute later.
        machine.sh("mv /srv/away /root/away");
        model(&machine, "late: { version: '> 5' }");
        let fresh = run(&machine, &[]);
        assert_eq!(of(&fresh, "package:late"), "not-kept", "{fresh:#?}");
        assert!(!fresh.because("package:late").contains("/srv/away"), "{fresh:#?}");
    }
}

#[test]
fn a_dead_source_that_nothing_needs_stops_nobody_and_is_named() {
    let Some(machine) = machine() else { return };
    add_source(&machine);
    model(&machine, "good: present, fine: present");
    let dry = run(&machine, &["--dry-run"]);
    assert_eq!(of(&dry, "package:good"), "expected", "{dry:#?}");
    let first = run(&machine, &[]);
    assert_eq!(of(&first, "package:good"), "repaired", "{first:#?}");
    assert_eq!((dry.exit, first.exit), (0, 0));
    let noted = [notes(&first, "package:good"), notes(&first, "package:fine")].concat();
    assert_eq!(noted.matches("not all of apt's sources").count(), 1, "{noted}");
    assert!(noted.contains("/srv/away"), "{noted}");
    // With nothing to do nothing is fetched, and nobody is told.
    let second = run(&machine, &[]);
    assert_eq!(second.outcomes(), []);
    assert_eq!(notes(&second, "package:good"), "[]");
    // What is the newest is not known while a source is away.
    model(&machine, "good: latest");
    let latest = run(&machine, &[]);
    assert_eq!(of(&latest, "package:good"), "kept", "{latest:#?}");
    assert!(notes(&latest, "package:good").contains("/srv/away"), "{latest:#?}");
}

#[test]
fn what_the_preferences_forbid_is_not_said_to_be_missing() {
    let Some(machine) = machine() else { return };
    machine.sh("mv /root/away /srv/away");
    add_source(&machine);
    machine.sh("apt-get update");
    machine
        .write("/etc/apt/preferences.d/late", "Package: late\nPin: version 2*\nPin-Priority: -1\n");
    model(&machine, "late: { version: '> 1.5' }, good: present");
    for options in [&["--dry-run"][..], &[]] {
        let run = run(&machine, options);
        let why = run.because("package:late");
        assert!(why.contains("preferences forbid 2.0") && !why.contains("no version"), "{why}");
    }
    model(&machine, "late: present");
    assert_eq!(of(&run(&machine, &[]), "package:late"), "repaired");
    assert!(machine.ok(&["dpkg", "-s", "late"]).contains("Version: 1.0"));
}

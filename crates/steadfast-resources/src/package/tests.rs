//! What is read, planned and seen of packages, with literals.

use super::observe::needs_apt;
use super::*;
use crate::Obstacle;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::time::Duration;
use steadfast_model::scope::Scope;
use steadfast_model::{Diagnostics, SourceSet};
use steadfast_system::PackageName;
use steadfast_system::packages::version::Version;
use steadfast_system::packages::{
    Along, Conffiles, Foreseen, Goal, Health, Installed, Interruption, Item, Lists, Look, Offers,
    Options, Removals, Verdict, apt,
};

/// Lowers the packages of a YAML map; what is wrong comes as `code: message`.
fn lower(yaml: &str) -> (Vec<Desired>, Vec<String>) {
    let mut sources = SourceSet::default();
    let mut diagnostics = Diagnostics::default();
    let id = sources.add("servers/web.yaml", yaml.as_bytes().to_vec(), false);
    let source = sources.get(id).unwrap();
    let node = steadfast_model::yaml::read(id, source, &mut diagnostics);
    let scope = Scope::default();
    let mut wants = vec![];
    if let Some(Node::Map(entries, _)) = node {
        for (name, body) in entries.iter() {
            let mut cx = Lower::new(&mut diagnostics, &sources, &scope);
            wants.extend(Package::lower(name, body, &mut cx));
        }
    }
    let said = diagnostics.iter().map(|it| format!("{}: {}", it.code.0, it.message)).collect();
    (wants, said)
}

#[track_caller]
fn want(yaml: &str) -> Desired {
    let (mut wants, said) = lower(yaml);
    assert_eq!((wants.len(), &*said), (1, &[][..]), "{yaml}");
    wants.remove(0)
}

fn installed(version: &str) -> Installed {
    Installed {
        architecture: Arc::from("amd64"),
        version: Some(Version::parse(version).unwrap()),
        health: Health::Installed,
        hold: false,
        broken: false,
        essential: false,
    }
}

/// nginx 1.22.1-9 in bookworm, 1.26.0-1~bpo12+1 in its backports.
fn offers() -> Offers {
    let text = "nginx:\n  Installed: (none)\n  Candidate: 1.22.1-9\n  Version table:\n     1.26.0-1~bpo12+1 100\n        100 http://x bookworm-backports/main amd64 Packages\n     1.22.1-9 500\n        500 http://x bookworm/main amd64 Packages\n";
    apt::policy(text, &std::collections::BTreeMap::new())["nginx"].clone()
}

const FRESH: Lists =
    Lists { age: Some(Duration::from_secs(600)), stale: false, refreshed: false, failed: None };
const OLD: Lists =
    Lists { age: Some(Duration::from_secs(3 * 3600)), stale: true, refreshed: false, failed: None };
const JUST_NOW: Lists =
    Lists { age: Some(Duration::ZERO), stale: false, refreshed: true, failed: None };

fn state(installed: Option<Installed>) -> State {
    State {
        look: Look { installed, ..Look::default() },
        apt: Some((Some(offers()), FRESH)),
        foreseen: None,
    }
}

/// What a plan says, line by line.
#[track_caller]
fn plans(yaml: &str, have: &State, expected: Expect) {
    let difference = Package::plan(&want(yaml), have);
    let mut lines: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
    lines.extend(difference.obstacles.iter().filter_map(|it| match it {
        Obstacle::Missing(it) => Some(format!("missing: {it}")),
        Obstacle::Refused(words) => Some(format!("refused: {words}")),
        Obstacle::Unknown(words) => Some(format!("unknown: {words}")),
        Obstacle::Unhealthy(_) | Obstacle::HealthNotAsked => Some("health".to_owned()),
        Obstacle::InTheWay { of: _, why } => Some(format!("in the way: {why}")),
        // So does everything that apt chooses.
        Obstacle::HangsOn(_) => None,
        Obstacle::Presumed(words) => Some(format!("presumed: {words}")),
    }));
    lines.extend(difference.notes.iter().map(|it| format!("note: {it}")));
    if lines.is_empty() {
        lines.push("kept".to_owned());
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_version_above_the_range_is_not_upgraded_into_it_where_apt_has_none() {
    let have = state(Some(installed("1.22.1-9")));
    plans(
        "nginx: { version: \"< 1\" }",
        &have,
        expect!["refused: 1.22.1-9 is installed, above `< 1`, and `allow_downgrade` is false"],
    );
    plans(
        "nginx: { version: \"< 1\", allow_downgrade: true }",
        &have,
        expect![[r#"
        downgrade 1.22.1-9, to a version in `< 1`
        unknown: apt's lists have no version in `< 1`, only 1.26.0-1~bpo12+1, 1.22.1-9; they are 10 min old"#]],
    );
    plans(
        "nginx: { version: \">= 2\" }",
        &have,
        expect![[r#"
        upgrade 1.22.1-9, to a version in `>= 2`
        unknown: apt's lists have no version in `>= 2`, only 1.26.0-1~bpo12+1, 1.22.1-9; they are 10 min old"#]],
    );
}

#[test]
fn short_forms_are_a_state_or_a_range() {
    let plain = want("nginx: {}");
    assert_eq!(want("nginx: present"), plain);
    assert_eq!(want("nginx: purged"), want("nginx: { state: purged }"));
    let range = want("curl: \">= 7.88, < 8\"");
    assert_eq!(range, want("curl: { version: \">= 7.88, < 8\" }"));
    assert_eq!((plain.options.start, plain.options.recommends), (true, None));
    assert_eq!(plain.options.conffiles, Conffiles::Keep);
}

#[test]
fn every_field_is_read() {
    let it = want(
        "a-b: { state: latest, version: \"1*\", hold: false, conffiles: fail, recommends: false, \
         allow_downgrade: true, allow_removals: [c-d], from: bookworm-backports, \
         debconf: { a-b/question: some words, a-b/flag: true }, start: false }",
    );
    assert_eq!(it.state, Presence::Latest);
    assert_eq!((it.hold, it.allow_downgrade), (Some(false), true));
    assert_eq!(it.allow_removals, Removals::Named(vec![PackageName::parse("c-d").unwrap()]));
    assert_eq!(
        it.options,
        Options {
            conffiles: Conffiles::Fail,
            recommends: Some(false),
            from: Some(Arc::from("bookworm-backports")),
            start: false,
        }
    );
    let answers: Vec<(&str, &str)> = it.debconf.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(answers, [("a-b/question", "some words"), ("a-b/flag", "true")]);
    assert_eq!(Package::claims(&it), [Identity::Package(it.name.clone())]);
}

#[track_caller]
fn refuses(yaml: &str, expected: Expect) {
    let (wants, said) = lower(yaml);
    assert_eq!(wants, [], "{yaml}");
    expected.assert_eq(&said.join("\n"));
}

#[test]
fn what_is_wrong_is_said() {
    refuses(
        "Nginx: present",
        expect![
            "bad-name: `Nginx` is not a package name: lower case letters, digits, `+`, `-` and `.`, two at least"
        ],
    );
    refuses(
        "\"-y\": present",
        expect![
            "bad-name: `-y` is not a package name: lower case letters, digits, `+`, `-` and `.`, two at least"
        ],
    );
    refuses("nginx: 1.10", expect!["unquoted: a package is a number, not text"]);
    refuses(
        "nginx: installed",
        expect!["bad-value: `installed` is not a version: it does not begin with a digit"],
    );
    refuses(
        "nginx: { state: absent, version: \"1\", hold: true }",
        expect![[r#"
            conflicting-fields: `version` says nothing about a package that is promised to be gone
            conflicting-fields: a package that is gone cannot be held"#]],
    );
    refuses(
        "nginx: { allow_removals: true }",
        expect!["bad-value: `allow_removals` is false or a list of the packages that may go"],
    );
    refuses(
        "nginx: { from: \"-o\" }",
        expect!["bad-name: `-o` is not the name of a suite, as bookworm-backports is"],
    );
    refuses(
        "nginx: { debconf: { \"a b\": x, a/b: \"x\\ny\" } }",
        expect![[r#"
            bad-name: `a b` is not a question, as postfix/mailname is
            bad-value: the answer to `a/b` has a control character"#]],
    );
    refuses(
        "nginx: { debconf: { a/b: { secret: x } } }",
        expect!["misplaced-secret: a secret cannot stand in `a/b`: its value would be seen"],
    );
}

#[test]
fn what_is_missing_is_installed_in_the_version_that_was_promised() {
    let missing = state(None);
    plans("nginx: present", &missing, expect!["install 1.22.1-9"]);
    plans("nginx: latest", &missing, expect!["install 1.22.1-9"]);
    plans("nginx: \"> 1.24\"", &missing, expect!["install 1.26.0-1~bpo12+1"]);
    plans("nginx: { from: bookworm-backports }", &missing, expect!["install 1.26.0-1~bpo12+1"]);
    plans(
        "nginx: { hold: true }",
        &missing,
        expect![[r#"
            install 1.22.1-9
            hold"#]],
    );
}

#[test]
fn what_apt_does_not_know_hangs_on_newer_lists() {
    let mut have = state(None);
    have.apt = Some((None, OLD));
    plans(
        "nosuch: \">= 2\"",
        &have,
        expect![[r#"
            install, to a version in `>= 2`
            unknown: nosuch is not in apt's lists; they are 3 h old"#]],
    );
    have.apt = Some((None, JUST_NOW));
    plans("nosuch: present", &have, expect!["refused: nosuch is not in apt's lists"]);
    // What could not be fetched may have it.
    let failed = Some("Failed to fetch http://x  Connection refused".into());
    have.apt = Some((None, Lists { failed: failed.clone(), ..JUST_NOW }));
    plans(
        "nosuch: present",
        &have,
        expect![
            "refused: nosuch is not in apt's lists; not all sources could be fetched: Failed to fetch http://x  Connection refused"
        ],
    );
    have.apt = Some((None, Lists { failed, ..OLD }));
    plans(
        "nosuch: present",
        &have,
        expect![[r#"
        install
        unknown: nosuch is not in apt's lists; they could not all be fetched when that was last tried: Failed to fetch http://x  Connection refused"#]],
    );
    have.apt = Some((Some(offers()), JUST_NOW));
    plans(
        "nginx: \"> 2, < 1\"",
        &have,
        expect![
            "refused: apt's lists have no version in `> 2, < 1`, only 1.26.0-1~bpo12+1, 1.22.1-9"
        ],
    );
    plans(
        "nginx: { from: sid }",
        &have,
        expect!["refused: apt's lists have no version from sid, only 1.26.0-1~bpo12+1, 1.22.1-9"],
    );
}

#[test]
fn a_version_outside_the_range_is_replaced_and_never_by_an_older_one_unasked() {
    plans("nginx: \">= 1.22\"", &state(Some(installed("1.22.1-9"))), expect!["kept"]);
    plans(
        "nginx: \">= 1.22\"",
        &state(Some(installed("1.18.0-6"))),
        expect!["upgrade 1.18.0-6 -> 1.22.1-9"],
    );
    let above = state(Some(installed("1.26.0-1~bpo12+1")));
    plans(
        "nginx: \"< 1.25\"",
        &above,
        expect![
            "refused: 1.26.0-1~bpo12+1 is installed, above `< 1.25`, and `allow_downgrade` is false"
        ],
    );
    plans(
        "nginx: { version: \"< 1.25\", allow_downgrade: true }",
        &above,
        expect!["downgrade 1.26.0-1~bpo12+1 -> 1.22.1-9"],
    );
}

#[test]
fn a_version_of_another_suite_is_not_from_the_promised_one() {
    let yaml = "nginx: { from: bookworm-backports }";
    plans(
        yaml,
        &state(Some(installed("1.22.1-9"))),
        expect!["upgrade 1.22.1-9 -> 1.26.0-1~bpo12+1"],
    );
    plans(yaml, &state(Some(installed("1.26.0-1~bpo12+1"))), expect!["kept"]);
    // No suite has it any more: nobody can tell where it came from.
    plans(yaml, &state(Some(installed("1.25.9-1~bpo12+1"))), expect!["kept"]);
    plans(
        "nginx: { from: bookworm }",
        &state(Some(installed("1.26.0-1~bpo12+1"))),
        expect![
            "refused: 1.26.0-1~bpo12+1 is installed, above what bookworm has, and `allow_downgrade` is false"
        ],
    );
}

#[test]
fn the_latest_version_is_looked_for_where_the_lists_are_old() {
    plans(
        "nginx: latest",
        &state(Some(installed("1.22.0-1"))),
        expect!["upgrade 1.22.0-1 -> 1.22.1-9"],
    );
    let mut newest = state(Some(installed("1.22.1-9")));
    plans("nginx: latest", &newest, expect!["kept"]);
    newest.apt = Some((Some(offers()), OLD));
    plans(
        "nginx: latest",
        &newest,
        expect![[r#"
            look for a newer version than 1.22.1-9
            unknown: apt's lists are 3 h old"#]],
    );
    // Newer than anything that apt has: it came by other means.
    plans("nginx: latest", &state(Some(installed("1.30-1"))), expect!["kept"]);
}

#[test]
fn a_hold_of_somebody_else_is_respected() {
    let held = state(Some(Installed { hold: true, ..installed("1.18.0-6") }));
    plans(
        "nginx: \">= 1.22\"",
        &held,
        expect![
            "refused: it would have to be installed in another version, and somebody else holds it; `hold: false` takes that away"
        ],
    );
    plans(
        "nginx: absent",
        &held,
        expect![
            "refused: it would have to be removed, and somebody else holds it; `hold: false` takes that away"
        ],
    );
    plans("nginx: present", &held, expect!["kept"]);
    plans(
        "nginx: { version: \">= 1.22\", hold: false }",
        &held,
        expect![[r#"
            lift its hold
            upgrade 1.18.0-6 -> 1.22.1-9"#]],
    );
    plans("nginx: { hold: false }", &held, expect!["lift its hold"]);
    plans("nginx: { hold: true }", &held, expect!["kept"]);
    // A hold that is promised is ours, and does not stand in the way.
    let difference = Package::plan(&want("nginx: { version: \">= 1.22\", hold: true }"), &held);
    let [Change::Upgrade(act)] = &*difference.changes else {
        panic!("{difference:?}");
    };
    assert!(act.item.held);
}

#[test]
fn what_came_as_a_dependency_is_marked() {
    let mut have = state(Some(installed("1.22.1-9")));
    have.look.automatic = true;
    plans(
        "nginx: { hold: true }",
        &have,
        expect![[r#"
            hold
            mark as manually installed (it was a dependency)"#]],
    );
}

#[test]
fn what_is_promised_gone_is_removed_or_purged() {
    let there = state(Some(installed("1.22.1-9")));
    plans("nginx: absent", &there, expect!["remove 1.22.1-9"]);
    plans("nginx: purged", &there, expect!["purge 1.22.1-9"]);
    plans("nginx: absent", &state(None), expect!["kept"]);
    plans("nginx: purged", &state(None), expect!["kept"]);
    let left = state(Some(Installed { health: Health::ConfigFiles, ..installed("1.22.1-9") }));
    plans("nginx: absent", &left, expect!["kept"]);
    plans("nginx: purged", &left, expect!["purge its leftover configuration"]);
    plans("nginx: present", &left, expect!["install 1.22.1-9"]);
    plans(
        "dpkg: absent",
        &state(Some(Installed { essential: true, ..installed("1.21.22") })),
        expect!["refused: it is essential: the system does not work without it"],
    );
}

#[test]
fn what_was_cut_is_completed_where_it_is_ours() {
    let half = Installed { health: Health::HalfConfigured, ..installed("1.18.0-6") };
    let mut have = state(Some(half));
    have.look.interruption = Some(Interruption::Ours);
    plans(
        "nginx: \">= 1.22\"",
        &have,
        expect![[r#"
            complete its installation (it is half configured)
            upgrade 1.18.0-6 -> 1.22.1-9
            unknown: its scripts failed or were interrupted; whether they succeed now is known when they have run"#]],
    );
    have.look.interruption = Some(Interruption::Foreign);
    plans(
        "nginx: present",
        &have,
        expect![
            "refused: dpkg was interrupted by somebody else: run `dpkg --configure -a`, or allow it with `repair_dpkg: true`"
        ],
    );
    let broken = Installed { broken: true, health: Health::HalfInstalled, ..installed("1.22.1-9") };
    plans(
        "nginx: present",
        &state(Some(broken.clone())),
        expect![[r#"
        install 1.22.1-9
        unknown: its scripts failed or were interrupted; whether they succeed now is known when they have run"#]],
    );
    // A script that failed when it was to go fails again, as far as anybody knows.
    plans(
        "nginx: absent",
        &state(Some(broken)),
        expect![[r#"
        remove 1.22.1-9
        unknown: its scripts failed or were interrupted; whether they succeed now is known when they have run"#]],
    );
    // Somebody else's cut is no reason where nothing has to be done.
    let mut kept = state(Some(installed("1.22.1-9")));
    kept.look.interruption = Some(Interruption::Foreign);
    plans("nginx: present", &kept, expect!["kept"]);
}

#[test]
fn a_virtual_package_is_there_where_another_one_provides_it() {
    let mut have = state(None);
    have.apt = Some((None, FRESH));
    have.look.provided_by = vec![(Arc::from("exim4"), None)];
    plans("mail-transport-agent: present", &have, expect!["note: exim4 provides it"]);
    have.apt = Some((Some(offers()), FRESH));
    plans("nginx: present", &have, expect!["install 1.22.1-9"]);
}

#[test]
fn what_apt_foresees_of_the_transaction_is_said() {
    let mut have = state(None);
    let along = vec![
        Along::Installed { name: "lib".into(), version: Version::parse("2").unwrap() },
        Along::Removed { name: "old".into() },
        Along::Removed { name: "older".into() },
        Along::Changed {
            name: "base".into(),
            old: Version::parse("1").unwrap(),
            new: Version::parse("2").unwrap(),
        },
    ];
    have.foreseen = Some(Foreseen { verdict: Verdict::Goes, along });
    plans(
        "nginx: present",
        &have,
        expect![[r#"
            install 1.22.1-9
            note: its transaction also removes old, older
            note: its transaction also installs lib 2
            note: its transaction also changes base 1 -> 2"#]],
    );
    // What goes along counts as a deletion, also where the promise itself removes nothing.
    let difference = Package::plan(&want("nginx: present"), &have);
    assert_eq!(difference.changes.iter().map(Package::deletes).sum::<u64>(), 2);
    let foreseen = |verdict| Some(Foreseen { verdict, along: vec![] });
    have.foreseen = foreseen(Verdict::Refused("nginx : Depends: nowhere".to_owned()));
    plans(
        "nginx: present",
        &have,
        expect![[r#"
            install 1.22.1-9
            in the way: nginx : Depends: nowhere"#]],
    );
    have.foreseen = foreseen(Verdict::Unknown("apt could not tell".to_owned()));
    plans(
        "nginx: present",
        &have,
        expect![[r#"
            install 1.22.1-9
            unknown: apt could not tell"#]],
    );
    // What is kept has no transaction.
    have.look.installed = Some(installed("1.22.1-9"));
    plans("nginx: present", &have, expect!["kept"]);
}

#[test]
fn what_old_lists_offer_is_presumed_to_be_offered_still() {
    let mut have = state(None);
    have.apt = Some((Some(offers()), OLD));
    plans(
        "nginx: present",
        &have,
        expect![[r#"
            install 1.22.1-9
            presumed: apt's lists are 3 h old; they are fetched first"#]],
    );
}

#[test]
fn what_goes_is_resolved_together_with_what_comes() {
    let want = |yaml: &str, going: &[&str]| {
        let going = going.iter().map(|it| PackageName::parse(it).unwrap()).collect();
        Desired { going, ..want(yaml) }
    };
    let there = state(Some(installed("1.22.1-9")));
    let shown = |wants: &[(Desired, &State)]| -> Vec<String> {
        let acts: Vec<(usize, usize, Change)> = wants
            .iter()
            .enumerate()
            .flat_map(|(at, (want, have))| {
                Package::plan(want, have).changes.into_iter().map(move |it| (at, 0, it))
            })
            .collect();
        let shown = |(_, places): (Options, Vec<(usize, usize, Item)>)| {
            let names: Vec<String> = places.iter().map(|it| it.2.package.to_string()).collect();
            names.join(" ")
        };
        apply::transactions(&acts).into_iter().map(shown).collect()
    };
    let missing = state(None);
    let (new, other) = (want("nginx: present", &[]), want("more: { recommends: false }", &[]));
    let goes = want("old: absent", &["old"]);
    let reported = want("seen: purged", &["old"]);
    assert_eq!(shown(&[(new.clone(), &missing), (goes.clone(), &there)]), ["old nginx"]);
    assert_eq!(shown(&[(goes.clone(), &there)]), ["old"]);
    assert_eq!(
        shown(&[(new, &missing), (other, &missing), (reported, &there), (goes, &there)]),
        ["seen", "old nginx", "more"]
    );
}

#[test]
fn left_over_configuration_is_a_note() {
    let mut have = state(Some(installed("1.22.1-9")));
    have.look.leftovers = vec![Arc::from("/etc/nginx/nginx.conf.dpkg-dist")];
    plans(
        "nginx: present",
        &have,
        expect!["note: /etc/nginx/nginx.conf.dpkg-dist was left beside the file that was kept"],
    );
}

#[test]
fn a_service_sees_the_version_and_nothing_else_of_a_package() {
    let print = |it: Installed| Package::fingerprint(&state(Some(it))).digest;
    let base = print(installed("1.22.1-9"));
    assert_eq!(print(Installed { hold: true, ..installed("1.22.1-9") }), base);
    assert_ne!(print(installed("1.26.0-1")), base);
    assert_ne!(Package::fingerprint(&state(None)).digest, base);
}

#[test]
fn only_what_the_database_cannot_tell_is_asked_of_apt() {
    let look = |it: Option<Installed>| Look { installed: it, ..Look::default() };
    let there = look(Some(installed("1.22.1-9")));
    for (yaml, asked) in [
        ("nginx: present", false),
        ("nginx: \">= 1.22\"", false),
        ("nginx: \">= 1.24\"", true),
        ("nginx: latest", true),
        ("nginx: { from: bookworm }", true),
        ("nginx: absent", false),
    ] {
        assert_eq!(needs_apt(&want(yaml), &there), asked, "{yaml}");
    }
    assert!(needs_apt(&want("nginx: present"), &look(None)));
    assert!(!needs_apt(&want("nginx: purged"), &look(None)));
}

proptest! {
    /// Whatever is there, a plan never lowers a version unasked, and once its version is there the
    /// promise is kept.
    #[test]
    fn a_plan_never_goes_down_unasked(
        have in prop::sample::select(vec!["1.18.0-6", "1.22.1-9", "1.24-1", "1.26.0-1~bpo12+1", "2-1"]),
        range in prop::sample::select(vec!["", ">= 1.22", "< 1.25", "1.22*", "> 1.24", "3"]),
        latest in any::<bool>(),
        allow in any::<bool>(),
        from in prop::sample::select(vec!["", "bookworm", "bookworm-backports", "sid"]),
    ) {
        let word = if latest { "latest" } else { "present" };
        let mut yaml = format!("nginx: {{ state: {word}, allow_downgrade: {allow}");
        if !range.is_empty() { yaml.push_str(&format!(", version: \"{range}\"")); }
        if !from.is_empty() { yaml.push_str(&format!(", from: {from}")); }
        yaml.push_str(" }");
        let want = want(&yaml);
        let difference = Package::plan(&want, &state(Some(installed(have))));
        for change in &difference.changes {
            let Some((_, act)) = change.act() else { continue };
            let Goal::Install { version: Some(to), .. } = &act.item.goal else { continue };
            if to.order(act.have.as_ref().unwrap()).is_lt() {
                prop_assert!(allow, "{yaml}: {change}");
            }
            let after = Package::plan(&want, &state(Some(installed(to.as_str()))));
            prop_assert!(after.is_kept(), "{yaml}: {change}, then {after:?}");
        }
    }
}

//! Going back undoes what a bad revision did, wherever the process dies on the way, and never more.

use std::collections::BTreeMap;
use steadfast_engine::Budget;
use steadfast_system::{AbsPath, GroupName, UnitName, UserName};
use steadfast_testkit::host::Thing;
use steadfast_testkit::run::{
    Model, Notebook, converge, converge_or_die, go_back, managed_by, or_die,
};
use steadfast_testkit::{FakeHost, Fault, Moment, World};

const GOOD: &str = "files: { /etc/both: { content: \"good\\n\" } }\n";
const BAD: &str = r#"
files:
  /etc/both: { content: "bad\n" }
  /etc/theirs: { content: "ours\n", mode: "0600", restarts: reader }
  /etc/owned: { mode: "0600" }
  /etc/new: { content: "ours\n", restarts: reader }
  /etc/folder/in: { content: "x\n" }
  /etc/gone: absent
directories: { /etc/folder: { mode: "0700" } }
links: { /etc/which: b, /etc/other: c }
cron: { job: { schedule: "@daily", command: "true" } }
groups: { adm: { members: [ann] }, web: present }
users:
  deploy: { home_state: unmanaged }
  ann: { ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg ci"] }
packages: { curl: present }
services:
  stopped: { running: true, enabled: true }
  runs: { running: false, enabled: false }
  own: { running: true, enabled: true, unit: { content: "[Service]\nExecStart=/bin/own\n[Install]\nWantedBy=multi-user.target\n" } }
  reader: { drop_ins: { more: { content: "[Service]\nNice=5\n" } } }
"#;

fn host() -> FakeHost {
    let unit = "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n";
    FakeHost::debian()
        .with_file("/etc/both", "before\n")
        .with_file("/etc/theirs", "theirs\n")
        .with_file("/etc/owned", "theirs\n")
        .with_file("/etc/gone", "theirs\n")
        .with_link("/etc/which", "a")
        .with_group("ann", 2000)
        .with_user("ann", 2000, 2000, "/home/ann")
        .with_directory("/home/ann")
        .with_directory("/home/ann/.ssh")
        .with_thing(
            "/home/ann/.ssh/authorized_keys",
            Thing { uid: 2000, gid: 2000, mode: 0o600, ..Thing::file("# hers\n") },
        )
        .with_unit("stopped", unit)
        .with_unit("runs", unit)
        .with_unit("reader", unit)
        .with_running("runs")
        .with_running("reader")
        .with_enabled("runs")
        .with(|world| world.stock("curl", "8", vec![]))
}

fn model(text: &str) -> Model {
    Model::of(text, &[]).unwrap()
}

/// What has to be as it was: all but clocks, processes and what is remembered.
fn seen(world: &World) -> World {
    let mut seen = World {
        clock: 0,
        kept: BTreeMap::new(),
        next_invocation: 0,
        read: BTreeMap::new(),
        loaded: 0,
        waited: BTreeMap::new(),
        ..world.clone()
    };
    for thing in seen.files.values_mut() {
        thing.changed = 0;
    }
    seen.started.clear();
    seen
}

fn reader(world: &World) -> u64 {
    world.started[&UnitName::parse("reader").unwrap()].invocation
}

fn running(world: &World) -> Vec<String> {
    world.started.keys().map(ToString::to_string).collect()
}

/// A machine that keeps the good revision, and what is known of that.
fn good() -> (FakeHost, Notebook) {
    let host = host();
    let mut ledger = Notebook::default();
    converge(&host, &model(GOOD).promises, &mut ledger, Budget::default());
    ledger.made.clear();
    (host, ledger)
}

#[test]
fn what_a_bad_revision_did_is_undone_and_nothing_is_left_of_it() {
    let (host, mut ledger) = good();
    let before = host.world();
    let run = converge(&host, &model(BAD).promises, &mut ledger, Budget::default());
    assert_eq!((run.summary.not_kept, run.summary.held), (0, 0), "{:#?}", run.verdicts);
    assert_ne!(seen(&host.world()), seen(&before));
    let run = go_back(&host, &model(GOOD).promises, &mut ledger);
    let left: Vec<_> = run.undone.iter().filter(|it| !it.left.is_empty()).collect();
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(seen(&host.world()), seen(&before));
    assert_eq!(running(&host.world()), running(&before));
}

#[test]
fn wherever_the_process_dies_while_it_goes_back_the_next_attempt_finishes() {
    let count = {
        let (host, mut ledger) = good();
        converge(&host, &model(BAD).promises, &mut ledger, Budget::default());
        host.expect_fault(None);
        go_back(&host, &model(GOOD).promises, &mut ledger);
        host.log().len()
    };
    assert!(count > 15, "{count}");
    for at in 0..count {
        for moment in [Moment::DeathBefore, Moment::DeathAfter, Moment::Before, Moment::After] {
            let (host, mut ledger) = good();
            let before = host.world();
            converge(&host, &model(BAD).promises, &mut ledger, Budget::default());
            let ran = reader(&host.world());
            host.expect_fault(Some(Fault { at, moment }));
            let died = or_die(|| go_back(&host, &model(GOOD).promises, &mut ledger)).is_none();
            assert_eq!(died, matches!(moment, Moment::DeathBefore | Moment::DeathAfter));
            host.expect_fault(None);
            go_back(&host, &model(GOOD).promises, &mut ledger);
            let what = format!("{moment:?} at {at}");
            assert!(seen(&host.world()) == seen(&before), "{what}");
            assert_eq!(running(&host.world()), running(&before), "{what}");
            assert_ne!(reader(&host.world()), ran, "{what}");
        }
    }
}

#[test]
fn wherever_the_bad_run_dies_what_it_did_is_undone() {
    let count = {
        let (host, mut ledger) = good();
        host.expect_fault(None);
        converge(&host, &model(BAD).promises, &mut ledger, Budget::default());
        host.log().len()
    };
    for at in 0..count {
        for moment in [Moment::DeathBefore, Moment::DeathAfter, Moment::Before, Moment::After] {
            let (host, mut ledger) = good();
            let before = host.world();
            host.expect_fault(Some(Fault { at, moment }));
            converge_or_die(&host, &model(BAD).promises, &mut ledger, Budget::default());
            host.expect_fault(None);
            go_back(&host, &model(GOOD).promises, &mut ledger);
            let what = format!("{moment:?} at {at}");
            // A number that the machine chose, and nobody could write down, is not known as ours.
            host.drift(|world| {
                world.users.remove(&UserName::parse("deploy").unwrap());
                for group in ["deploy", "web"] {
                    world.groups.remove(&GroupName::parse(group).unwrap());
                }
            });
            assert!(seen(&host.world()) == seen(&before), "{what}");
            assert_eq!(running(&host.world()), running(&before), "{what}");
        }
    }
}

const MANY: &str = r#"
files:
  /etc/app.d/app.conf: { content: "x\n", mode: "0600" }
directories:
  /etc/app.d: {}
  /srv/all: { mode: "0700", recurse: true }
  /srv/tree: { source: files/tree }
links: { /etc/which: b }
cron: { job: { schedule: "@daily", command: "true" } }
groups: { adm: { members: [ann] }, web: present }
users:
  deploy: { groups: [adm] }
  ann: { ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg ci"] }
packages: { curl: present }
services:
  stopped: { running: true, enabled: true }
  own: { running: true, unit: { content: "[Service]\nExecStart=/bin/own\n" }, drop_ins: { more: { content: "[Service]\nNice=5\n" } } }
"#;

#[test]
fn whatever_a_run_makes_belongs_to_the_promises_that_made_it() {
    let host = host()
        .with_directory("/srv/all")
        .with_directory("/srv/all/below")
        .with_file("/srv/all/below/it", "x\n");
    let files = [("files/tree/a", "a\n"), ("files/tree/b/c", "c\n")];
    let model = Model::of(MANY, &files).unwrap();
    let mut ledger = Notebook::default();
    let run = converge(&host, &model.promises, &mut ledger, Budget::default());
    assert_eq!((run.summary.not_kept, run.summary.held), (0, 0), "{:#?}", run.verdicts);
    let managed = managed_by(&host, &model.promises, &ledger);
    assert!(ledger.made.len() > 18, "{:#?}", ledger.made.keys());
    for made in ledger.made.values() {
        assert!(managed.names(made), "{}", made.facet);
        assert_eq!(managed.leaves(made), None, "{}", made.facet);
    }
    // Of another model nothing is said.
    let other = Model::of(GOOD, &[]).unwrap();
    let managed = managed_by(&host, &other.promises, &ledger);
    for made in ledger.made.values() {
        assert!(!managed.names(made), "{}", made.facet);
        assert_eq!(managed.leaves(made).as_ref(), Some(made));
    }
}

#[test]
fn accounts_that_somebody_has_changed_since_are_left() {
    let (host, mut ledger) = good();
    let text = "users: { deploy: { home_state: unmanaged }, other: { home_state: unmanaged } }\n\
                groups: { web: present, crew: { members: [other] } }\n";
    converge(&host, &model(text).promises, &mut ledger, Budget::default());
    host.drift(|world| {
        let deploy = world.users.get_mut(&UserName::parse("deploy").unwrap()).unwrap();
        deploy.user.shell = "/bin/zsh".into();
        let web = world.groups.get_mut(&GroupName::parse("web").unwrap()).unwrap();
        web.members.push("ann".into());
    });
    let run = go_back(&host, &model(GOOD).promises, &mut ledger);
    let left: Vec<&str> =
        run.undone.iter().filter(|it| !it.left.is_empty()).map(|it| &*it.promise).collect();
    assert_eq!(left, ["user:deploy", "group:web"], "{:#?}", run.undone);
    let world = host.world();
    let user = |name: &str| world.users.contains_key(&UserName::parse(name).unwrap());
    let group = |name: &str| world.groups.contains_key(&GroupName::parse(name).unwrap());
    assert!(user("deploy") && !user("other") && group("web") && !group("crew"));
}

#[test]
fn what_others_refer_to_is_not_released() {
    let (host, mut ledger) = good();
    let all = "users: { deploy: { home_state: unmanaged }, old: { home_state: unmanaged } }\n\
               groups: { web: present, crew: present }\n";
    converge(&host, &model(all).promises, &mut ledger, Budget::default());
    let rest = "files: { /etc/x: { content: \"x\\n\", owner: deploy, group: web } }\n";
    let rest = model(rest);
    let managed = managed_by(&host, &rest.promises, &ledger);
    let named: Vec<String> = ledger
        .made
        .values()
        .filter(|it| managed.names(it))
        .map(|it| it.facet.to_string())
        .collect();
    assert_eq!(named, ["group deploy", "group web", "user deploy"]);
}

fn path(text: &str) -> steadfast_resources::Facet {
    steadfast_resources::Facet::Path(AbsPath::parse(text).unwrap())
}

fn there<'a>(world: &'a mut World, path: &str) -> &'a mut Thing {
    world.files.get_mut(&AbsPath::parse(path).unwrap()).unwrap()
}

/// Somebody sets another mode, and a run sets it right: what the file held is known all the same.
#[test]
fn a_new_mode_does_not_hide_whose_content_is_there() {
    let (host, mut ledger) = good();
    let bad = model(
        "files:\n  /etc/new: { content: \"ours\\n\", mode: \"0644\" }\n  \
         /etc/secret: { content: \"secret\\n\", mode: \"0600\", sensitive: true }\n",
    );
    converge(&host, &bad.promises, &mut ledger, Budget::default());
    host.drift(|world| {
        for path in ["/etc/new", "/etc/secret"] {
            there(world, path).mode = 0o640;
        }
    });
    let run = converge(&host, &bad.promises, &mut ledger, Budget::default());
    assert_eq!(run.summary.repaired, 2, "{:#?}", run.verdicts);
    let attempt = || (host_of(&host.world()), ledger.clone());
    // Nobody has touched it: both go, and nothing of the secret is kept.
    let (again, mut known) = attempt();
    go_back(&again, &model(GOOD).promises, &mut known);
    let world = again.world();
    assert!(world.thing("/etc/new").is_none() && world.thing("/etc/secret").is_none());
    assert!(!world.kept.values().any(|it| it == b"secret\n"), "{:?}", world.kept);
    // Somebody has: both stay.
    let (again, mut known) = attempt();
    again.drift(|world| {
        for path in ["/etc/new", "/etc/secret"] {
            let thing = there(world, path);
            *thing = Thing { mode: thing.mode, ..Thing::file("theirs\n") };
        }
    });
    let run = go_back(&again, &model(GOOD).promises, &mut known);
    let world = again.world();
    assert_eq!(world.text("/etc/new"), Some("theirs\n"));
    assert_eq!(world.text("/etc/secret"), Some("theirs\n"));
    let left: usize = run.undone.iter().map(|it| it.left.len()).sum();
    assert_eq!(left, 2, "{:#?}", run.undone);
}

/// Another machine that is the same.
fn host_of(world: &World) -> FakeHost {
    let same = world.clone();
    FakeHost::debian().with(move |it| *it = same)
}

#[test]
fn a_repair_that_fails_does_not_make_the_thing_theirs() {
    let (host, mut ledger) = good();
    let bad = model("files: { /etc/new: { content: \"ours\\n\" } }\n");
    converge(&host, &bad.promises, &mut ledger, Budget::default());
    host.drift(|world| {
        *there(world, "/etc/new") = Thing::file("drifted\n");
    });
    host.expect_fault(Some(Fault { at: 0, moment: Moment::Before }));
    let run = converge(&host, &bad.promises, &mut ledger, Budget::default());
    assert_eq!(run.summary.not_kept, 1, "{:#?}", run.verdicts);
    assert!(ledger.made.contains_key(&path("/etc/new")));
    host.expect_fault(None);
    converge(&host, &bad.promises, &mut ledger, Budget::default());
    go_back(&host, &model(GOOD).promises, &mut ledger);
    assert!(host.world().thing("/etc/new").is_none());
}

#[test]
fn what_the_old_revision_leaves_unsaid_is_put_back() {
    const OLD: &str = r#"
files:
  /etc/said: { content: "x\n" }
  /etc/gone: { content: "theirs\n" }
  /etc/both: { content: "good\n", owner: root, group: root, mode: "0644" }
  /etc/kept/in: { content: "x\n" }
directories:
  /srv/all: { recurse: true, mode: "0755" }
  /srv/purged: { purge: true, ignore: ["*.keep"] }
"#;
    const NEW: &str = r#"
files:
  /etc/said: { content: "y\n", mode: "0600" }
  /etc/gone: absent
  /etc/both: { content: "bad\n", mode: "0600" }
  /etc/kept/in: { content: "x\n" }
  /srv/all/new: { content: "x\n" }
  /srv/purged/new: { content: "x\n" }
  /srv/purged/new.keep: { content: "x\n" }
directories:
  /etc/kept: { mode: "0700" }
  /srv/all: { recurse: true, mode: "0755" }
  /srv/purged: { purge: true, ignore: ["*.keep"] }
"#;
    let host = host()
        .with_directory("/etc/kept")
        .with_directory("/srv/all")
        .with_directory("/srv/purged")
        .with_thing("/etc/gone", Thing { mode: 0o600, ..Thing::file("theirs\n") });
    let mut ledger = Notebook::default();
    let old = model(OLD);
    converge(&host, &old.promises, &mut ledger, Budget::default());
    ledger.made.clear();
    let before = host.world();
    let run = converge(&host, &model(NEW).promises, &mut ledger, Budget::default());
    assert_eq!((run.summary.not_kept, run.summary.held), (0, 0), "{:#?}", run.verdicts);
    let run = go_back(&host, &old.promises, &mut ledger);
    assert!(run.undone.iter().all(|it| it.left.is_empty()), "{:#?}", run.undone);
    let (now, before) = (seen(&host.world()), seen(&before));
    assert_eq!(now.files, before.files);
    // What the old one says is left to it.
    let told: Vec<&str> = run.undone.iter().map(|it| &*it.promise).collect();
    assert!(!told.contains(&"file:/etc/both"), "{told:?}");
    assert!(!told.contains(&"file:/srv/purged/new"), "{told:?}");
    assert!(told.contains(&"file:/srv/purged/new.keep"), "{told:?}");
}

#[test]
fn what_refused_at_first_goes_when_its_turn_comes() {
    let bad = r#"
users: { app: { uid: 3000, home_state: unmanaged } }
services: { own: { running: true, unit: { content: "[Service]\nExecStart=/bin/own\n" } } }
"#;
    for (limit, goes) in [(None, true), (Some(2), false)] {
        let (host, mut ledger) = good();
        converge(&host, &model(bad).promises, &mut ledger, Budget::default());
        let name = UserName::parse("app").unwrap();
        let uid = host.world().users[&name].user.uid;
        let unit = UnitName::parse("own").unwrap();
        let host = host_of(&host.world()).with_process(uid, 77, unit.as_str());
        let made: Vec<_> = ledger.made.values().cloned().collect();
        let budget = Budget { changes: limit, ..Budget::default() };
        let mut told = steadfast_testkit::run::Run::default();
        let everything = steadfast_engine::Extent::Everything;
        steadfast_engine::undo(&made, everything, budget, &host, &mut ledger, &mut told);
        assert_eq!(!host.world().users.contains_key(&name), goes, "{:#?}", told.undone);
    }
}

#[test]
fn changes_of_several_kinds_are_each_made_by_their_own() {
    use steadfast_resources::{Applied, Change, cron, group};
    let host = FakeHost::debian().with_group("old", 7).with_group("older", 8);
    let gone = |name: &str, gid| {
        let name = GroupName::parse(name).unwrap();
        Change::Group(group::Change::Remove { name, gid })
    };
    let at = AbsPath::parse("/etc/cron.d/none").unwrap();
    let (seen, was) = (steadfast_system::files::Expected::Directory, cron::Was::Nothing);
    let job = Change::Cron(cron::Change::Remove { path: at, seen, was });
    let batch: [&[Change]; 4] = [&[gone("old", 7)], &[job], &[], &[gone("older", 8)]];
    let applied = steadfast_resources::apply(&batch, &host);
    let failed = applied.iter().map(|it| matches!(it, Applied::Failed { .. })).collect::<Vec<_>>();
    assert_eq!(failed, [false, true, false, false], "{applied:?}");
    let world = host.world();
    assert!(world.group("old").is_none() && world.group("older").is_none());
}

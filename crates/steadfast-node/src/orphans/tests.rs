//! Taking back with the ledger on the disk: wherever the process dies, the next attempt goes on from what
//! was written.

use super::*;
use std::path::Path;
use steadfast_engine::{Circumstances, Observer};
use steadfast_model::SourceSet;
use steadfast_store::{Journal, RunHeader};
use steadfast_system::AbsPath;
use steadfast_testkit::run::{Model, Run, or_die};
use steadfast_testkit::{FakeHost, Fault, Moment};

const GOOD: &str = "files: { /etc/both: { content: \"good\\n\" } }\n";
const BAD: &str = r#"
files:
  /etc/both: { content: "bad\n" }
  /etc/theirs: { content: "ours\n", mode: "0600", restarts: reader }
  /etc/new: { content: "ours\n" }
  /etc/hidden: { content: "ours\n", sensitive: true }
users: { deploy: { home_state: unmanaged } }
services:
  own: { running: true, unit: { content: "[Service]\nExecStart=/bin/own\n" } }
"#;

fn host() -> FakeHost {
    FakeHost::debian()
        .with_file("/etc/theirs", "theirs\n")
        .with_unit("reader", "[Service]\nExecStart=/bin/reader\n")
        .with_running("reader")
}

fn promises(text: &str) -> Promises {
    Model::of(text, &[]).unwrap().promises
}

fn store(folder: &Path) -> Store {
    Store::open(&folder.join("state.db")).unwrap()
}

/// What an agent's run does with a content of this name.
fn run(folder: &Path, host: &FakeHost, content: &str, text: &str, back_from: Option<&str>) -> Run {
    let (store, promises, sources) = (store(folder), promises(text), SourceSet::default());
    let said = |it: &str| it.to_owned();
    let header = RunHeader {
        started: 0,
        node: said("n"),
        environment: said("e"),
        model: said("m"),
        revision: said(content),
        commit: None,
    };
    let (mut told, mut journal) = (Run::default(), Journal::new(&store, &sources, header, host));
    let mut out: Vec<&mut dyn Reporter> = vec![&mut told, &mut journal];
    match back_from {
        None => store.adopt(content).unwrap(),
        Some(from) => assert!(go_back(&store, &promises, from, content, host, &mut out).unwrap()),
    }
    let circumstances = Circumstances { root: true, budget: Budget::default() };
    let assessment =
        steadfast_engine::look(&promises, Observer::MayRun(host), &&store, circumstances);
    steadfast_engine::converge(&promises, assessment, host, &mut &store, &mut out);
    assert!(journal.problem.is_none(), "{:?}", journal.problem);
    told
}

/// What is at these paths, and whether the account and the service are there.
fn shown(host: &FakeHost) -> Vec<Option<String>> {
    let world = host.world();
    let text = |path: &str| world.text(path).map(str::to_owned);
    let mut all: Vec<_> = ["/etc/both", "/etc/theirs", "/etc/new", "/etc/hidden"].map(text).into();
    all.push(text("/etc/systemd/system/own.service"));
    all.push(world.thing("/etc/theirs").map(|it| format!("{:o}", it.mode)));
    all.extend(world.users.keys().map(|it| Some(it.to_string())));
    all.extend(world.started.keys().map(|it| Some(it.to_string())));
    all
}

#[test]
fn wherever_it_dies_between_the_machine_and_the_disk_it_is_taken_back_once() {
    let effects = {
        let (folder, host) = (tempfile::tempdir().unwrap(), host());
        run(folder.path(), &host, "a", GOOD, None);
        let before = shown(&host);
        run(folder.path(), &host, "b", BAD, None);
        assert_ne!(shown(&host), before);
        host.expect_fault(None);
        let told = run(folder.path(), &host, "a", GOOD, Some("b"));
        assert_eq!(shown(&host), before, "{:#?}", told.undone);
        assert!(told.undone.iter().all(|it| it.left.is_empty()), "{:#?}", told.undone);
        // It is in the history, and nothing of it is remembered but what the good one made.
        let (_, judged) = store(folder.path()).run(3).unwrap().unwrap();
        let undone =
            |it: &str| judged.iter().any(|one| one.promise == it && one.outcome == "undone");
        assert!(undone("file:/etc/new") && undone("user:deploy") && undone("service:own"));
        let hidden = judged.iter().find(|it| it.promise == "file:/etc/hidden").unwrap();
        assert!(hidden.changes.iter().all(|it| it.detail.is_none()));
        let left = store(folder.path()).made().unwrap();
        let left: Vec<String> = left.iter().map(|it| it.facet.to_string()).collect();
        assert_eq!(left, ["/etc/both"]);
        host.log().len()
    };
    for at in 0..effects {
        let (folder, host) = (tempfile::tempdir().unwrap(), host());
        run(folder.path(), &host, "a", GOOD, None);
        let before = shown(&host);
        run(folder.path(), &host, "b", BAD, None);
        let reader = |host: &FakeHost| {
            let unit = steadfast_system::UnitName::parse("reader").unwrap();
            host.world().started[&unit].invocation
        };
        let ran = reader(&host);
        host.expect_fault(Some(Fault { at, moment: Moment::DeathAfter }));
        assert!(or_die(|| run(folder.path(), &host, "a", GOOD, Some("b"))).is_none());
        host.expect_fault(None);
        run(folder.path(), &host, "a", GOOD, Some("b"));
        assert_eq!(shown(&host), before, "after effect {at}");
        assert_ne!(reader(&host), ran, "after effect {at}");
    }
}

#[test]
fn what_a_revision_replaced_twice_comes_back_as_the_one_before_had_it() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let says = |text: &str| format!("files: {{ /etc/theirs: {{ content: \"{text}\\n\" }} }}\n");
    run(folder.path(), &host, "a", &says("a"), None);
    // It leaves the model, and stays; a later revision promises it again, and is bad.
    run(folder.path(), &host, "b", GOOD, None);
    run(folder.path(), &host, "c", &says("c"), None);
    run(folder.path(), &host, "b", GOOD, Some("c"));
    assert_eq!(host.world().text("/etc/theirs"), Some("a\n"));
    // What was there before all of them is remembered all the same.
    let (store, promises) = (store(folder.path()), promises(GOOD));
    let everything = Some(Extent::Everything);
    let mut told = Run::default();
    act(&store, &promises, everything, Budget::default(), &host, &mut told).unwrap();
    assert_eq!(host.world().text("/etc/theirs"), Some("theirs\n"));
    assert!(find(&store, &promises, None, &host).unwrap().is_all_promised());
}

#[test]
fn what_was_released_is_told_or_goes_within_the_budget_and_is_forgotten() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    run(folder.path(), &host, "a", BAD, None);
    let (store, promises) = (store(folder.path()), promises(GOOD));
    let names = |released: &Orphans| -> Vec<String> {
        released.promises().iter().map(|it| it.promise.to_string()).collect()
    };
    let all =
        ["file:/etc/hidden", "file:/etc/new", "file:/etc/theirs", "service:own", "user:deploy"];
    assert_eq!(names(&find(&store, &promises, None, &host).unwrap()), all);
    let mut told = Run::default();
    let none = Budget::default();
    let acted = act(&store, &promises, None, none, &host, &mut told).unwrap();
    assert_eq!((acted.told.len(), told.undone.len()), (7, 0), "{:#?}", acted.told);
    assert!(host.world().text("/etc/new").is_some());

    // One file more than may go stays ours, for the next time.
    let tight = Budget { deletions: Some(1), ..none };
    let mut told = Run::default();
    let acted = act(&store, &promises, Some(Extent::Made), tight, &host, &mut told).unwrap();
    assert_eq!(acted.rest.deletions, Some(0));
    let held = told.undone.iter().filter(|it| it.left.iter().any(|it| it.contains("budget")));
    assert!(held.count() > 0, "{:#?}", told.undone);
    let mut told = Run::default();
    act(&store, &promises, Some(Extent::Made), none, &host, &mut told).unwrap();
    assert_eq!(host.world().text("/etc/new"), None);
    assert_eq!(host.world().text("/etc/theirs"), Some("ours\n"), "it was not made by us");
    assert_eq!(names(&find(&store, &promises, None, &host).unwrap()), [""; 0]);
}

/// What a content did is not known where another one was adopted since.
#[test]
fn only_the_last_adoption_is_taken_back() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    run(folder.path(), &host, "a", GOOD, None);
    run(folder.path(), &host, "b", BAD, None);
    let (store, promises) = (store(folder.path()), promises(GOOD));
    let mut told = Run::default();
    assert!(!go_back(&store, &promises, "other", "a", &host, &mut told).unwrap());
    told.report(&Event::Finished { summary: &steadfast_engine::Summary::default() });
    assert!(told.undone.is_empty());
    assert!(host.world().thing("/etc/new").is_some());
    let motd = AbsPath::parse("/etc/new").unwrap();
    assert!(store.made().unwrap().iter().any(|it| it.facet == Facet::Path(motd.clone())));
}

#[test]
fn a_package_is_never_brought_down_and_that_is_said() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host().with_package("curl", "7"));
    let host = host.with(|world| world.stock("curl", "8", vec![]));
    let says = |text: &str| format!("packages: {{ curl: {text} }}\n");
    run(folder.path(), &host, "a", &says("present"), None);
    let told = run(folder.path(), &host, "b", &says("{ version: \">= 8\" }"), None);
    assert_eq!(told.summary.repaired, 1, "{:#?}", told.verdicts);
    let told = run(folder.path(), &host, "a", &says("present"), Some("b"));
    assert_eq!(told.undone.len(), 1, "{:#?}", told.undone);
    assert_eq!(
        told.undone[0].left,
        ["package curl was installed before in another version, which is not restored"]
    );
}

#[test]
fn what_is_not_known_as_the_doing_of_a_revision_is_never_taken_back() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let (store, promises) = (store(folder.path()), promises(BAD));
    // Nobody has adopted anything.
    let circumstances = Circumstances { root: true, budget: Budget::default() };
    let assessment =
        steadfast_engine::look(&promises, Observer::MayRun(&host), &&store, circumstances);
    steadfast_engine::converge(&promises, assessment, &host, &mut &store, &mut Run::default());
    let mut told = Run::default();
    assert!(!go_back(&store, &self::promises(GOOD), "", "a", &host, &mut told).unwrap());
    assert!(told.undone.is_empty(), "{:#?}", told.undone);
    assert!(host.world().thing("/etc/new").is_some());
}

#[test]
fn going_back_spares_what_was_done_by_hand() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    run(folder.path(), &host, "a", GOOD, None);
    run(folder.path(), &host, "b", BAD, None);
    let hotfix = promises("files: { /etc/hotfix: { content: \"fixed\\n\" } }\n");
    let by_hand = store(folder.path());
    by_hand.set_by_hand();
    let circumstances = Circumstances { root: true, budget: Budget::default() };
    let assessment =
        steadfast_engine::look(&hotfix, Observer::MayRun(&host), &&by_hand, circumstances);
    steadfast_engine::converge(&hotfix, assessment, &host, &mut &by_hand, &mut Run::default());
    run(folder.path(), &host, "b", BAD, None);
    run(folder.path(), &host, "a", GOOD, Some("b"));
    assert_eq!(host.world().text("/etc/hotfix"), Some("fixed\n"));
    assert!(host.world().thing("/etc/new").is_none());
}

#[test]
fn what_the_old_format_knew_of_a_package_is_not_taken_for_another_version() {
    let facet = Facet::Package(steadfast_system::PackageName::parse("curl").unwrap());
    let mut made = UndoEntry {
        scope: steadfast_engine::Scope::Node,
        promise: PromiseId::new("package", "curl"),
        facet,
        run: 0,
        before: FacetState::Unknown,
        after: FacetState::Unknown,
        readers: vec![],
        begun: false,
    };
    let host = host().with_package("curl", "7");
    let because = |made: &UndoEntry| {
        let all = std::slice::from_ref(made);
        let seen = steadfast_engine::plan_undo(all, Extent::Made, Budget::default(), &host);
        let [UndoPlan::Stays(left)] = &seen[..] else { panic!("{seen:?}") };
        left.because(&made.facet).join(": ")
    };
    assert_eq!(because(&made), "what package curl was before is not known");
    made.after = FacetState::There;
    let version = "package curl was installed before in another version, which is not restored";
    assert_eq!(because(&made), version);
}

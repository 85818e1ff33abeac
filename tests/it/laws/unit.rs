//! A unit is wholly as it was before or wholly as it shall be, whatever fails and wherever the run dies.

use steadfast_engine::{Budget, Forecast, Held, Outcome, Promises, Step, Unit, UnitId};
use steadfast_model::PromiseId;
use steadfast_testkit::run::{Model, Notebook, converge, converge_or_die};
use steadfast_testkit::{FakeHost, Fault, Moment, World};

const RELEASE: &str = r#"
files:
  /etc/api/main.conf: { content: "new\n" }
  /etc/api/more.conf: { content: "more\n", mode: "0600" }
  /etc/gone.conf: absent
  /srv/beside: { content: "no member\n" }
links: { /srv/current: releases/2 }
"#;

const MEMBERS: [&str; 4] = [
    "file:/etc/api/main.conf",
    "file:/etc/api/more.conf",
    "file:/etc/gone.conf",
    "link:/srv/current",
];

const PATHS: [&str; 4] =
    ["/etc/api/main.conf", "/etc/api/more.conf", "/etc/gone.conf", "/srv/current"];

fn host() -> FakeHost {
    FakeHost::debian()
        .with_directory("/etc/api")
        .with_file("/etc/api/main.conf", "old\n")
        .with_file("/etc/gone.conf", "there\n")
        .with_directory("/srv")
        .with_link("/srv/current", "releases/1")
}

/// The promises of the release as one unit.
fn release() -> Promises {
    let mut promises = Model::of(RELEASE, &[]).unwrap().promises;
    let id = UnitId("component:api".into());
    let its = |at: &usize| MEMBERS.contains(&&*promises.all[*at].id.0);
    let members: Vec<usize> = (0..promises.all.len()).filter(its).collect();
    assert_eq!(members.len(), MEMBERS.len());
    for at in &members {
        promises.all[*at].unit = Some(id.clone());
    }
    promises.units.push(Unit { id, members });
    promises
}

/// What the members of the unit are now.
fn shown(world: &World) -> Vec<String> {
    let one = |path: &&str| {
        let path = steadfast_system::AbsPath::parse(path).unwrap();
        let thing = world.files.get(&path).map(|it| (it.matter.clone(), it.mode));
        format!("{path}: {thing:?}")
    };
    PATHS.iter().map(one).collect()
}

fn run(host: &FakeHost, promises: &Promises, ledger: &mut Notebook) {
    converge(host, promises, ledger, Budget::default());
}

/// How many effects a run has that nothing disturbs, and what the unit is then.
fn undisturbed(promises: &Promises) -> (usize, Vec<String>) {
    let host = host();
    host.expect_fault(None);
    let mut ledger = Notebook::default();
    run(&host, promises, &mut ledger);
    assert!(ledger.steps.is_empty() && !ledger.made.is_empty());
    (host.log().len(), shown(&host.world()))
}

#[test]
fn a_unit_is_wholly_before_or_wholly_after_whatever_fails() {
    let promises = release();
    let before = shown(&host().world());
    let (count, after) = undisturbed(&promises);
    assert!(count >= 5 && before != after);
    let mut went_back = 0;
    for at in 0..count {
        for moment in [Moment::Before, Moment::After] {
            let (host, mut ledger) = (host(), Notebook::default());
            host.expect_fault(Some(Fault { at, moment }));
            run(&host, &promises, &mut ledger);
            let now = shown(&host.world());
            assert!(now == before || now == after, "{moment:?} at {at}: {now:#?}");
            went_back += usize::from(now == before);
        }
    }
    assert!(went_back > 2, "{went_back}");
}

#[test]
fn wherever_a_run_dies_the_next_one_leaves_no_unit_in_the_middle() {
    let promises = release();
    let before = shown(&host().world());
    let (count, after) = undisturbed(&promises);
    let mut middle = 0;
    for at in 0..count {
        for moment in [Moment::DeathBefore, Moment::DeathAfter] {
            for broken in [false, true] {
                let (host, mut ledger) = (host(), Notebook::default());
                host.expect_fault(Some(Fault { at, moment }));
                assert!(
                    converge_or_die(&host, &promises, &mut ledger, Budget::default()).is_none()
                );
                let now = shown(&host.world());
                middle += usize::from(now != before && now != after);
                host.expect_fault(None);
                if broken {
                    // One member cannot be kept any more: then none of them may be as promised.
                    host.break_effect("write /etc/api/more.conf", "No space left on device");
                }
                run(&host, &promises, &mut ledger);
                let what = format!("{moment:?} at {at}, broken: {broken}");
                assert_eq!(shown(&host.world()), if broken { &*before } else { &*after }, "{what}");
                assert!(ledger.steps.is_empty(), "{what}");
            }
        }
    }
    assert!(middle > 2, "{middle}");
}

#[test]
fn a_run_about_something_else_leaves_no_unit_in_the_middle_either() {
    let promises = release();
    let before = shown(&host().world());
    let (count, after) = undisturbed(&promises);
    let mut beside = promises.clone();
    beside.select_named(&["file:/srv/beside".to_owned()]);
    let mut went_back = 0;
    for at in 0..count {
        let (host, mut ledger) = (host(), Notebook::default());
        host.expect_fault(Some(Fault { at, moment: Moment::DeathAfter }));
        assert!(converge_or_die(&host, &promises, &mut ledger, Budget::default()).is_none());
        let now = shown(&host.world());
        host.expect_fault(None);
        run(&host, &beside, &mut ledger);
        let shown = shown(&host.world());
        assert!(shown == before || shown == after, "death after {at}: {shown:#?}");
        went_back += usize::from(now != before && shown == before);
    }
    assert!(went_back > 2, "{went_back}");
    // Who attempts one member attempts the unit.
    let mut one = promises.clone();
    one.select_named(&[MEMBERS[3].to_owned()]);
    let host = host();
    run(&host, &one, &mut Notebook::default());
    assert_eq!(shown(&host.world()), after);
}

#[test]
fn a_member_that_cannot_be_kept_is_foreseen_to_hold_the_others() {
    let mut promises = release();
    let ids: Vec<PromiseId> = promises.all.iter().map(|it| it.id.clone()).collect();
    let at = |id: &str| ids.iter().position(|it| &*it.0 == id).unwrap();
    // What is no member of the unit, and needs one that could be kept by itself.
    let (beside, current) = (at("file:/srv/beside"), at(MEMBERS[3]));
    promises.all[beside].needs.push(current);
    promises.waves =
        vec![(0..promises.all.len()).filter(|it| *it != beside).collect(), vec![beside]];
    let host = host().with_directory("/etc/api/more.conf");
    let before = shown(&host.world());
    let mut ledger = Notebook::default();
    let run = converge(&host, &promises, &mut ledger, Budget::default());
    let foreseen = |id: &str| &run.plan.entries[at(id)].forecast;
    let held = |needed: &str| Held::NeedNotKept { needed: PromiseId(needed.into()) };
    let held_by_it = held(MEMBERS[1]);
    assert!(matches!(foreseen(MEMBERS[1]), Forecast::NotKept(_)), "{:?}", foreseen(MEMBERS[1]));
    for (id, held) in [
        (MEMBERS[0], &held_by_it),
        (MEMBERS[2], &held_by_it),
        (MEMBERS[3], &held_by_it),
        ("file:/srv/beside", &held(MEMBERS[3])),
    ] {
        assert_eq!(foreseen(id), &Forecast::Held(held.clone()), "{id}");
    }
    for id in [MEMBERS[0], MEMBERS[2], MEMBERS[3]] {
        assert_eq!(run.outcome(id), Some(&Outcome::Held(held_by_it.clone())), "{id}");
    }
    assert_eq!(shown(&host.world()), before);
}

/// Budgets for which the changes of the release are too many, or the files that it takes away.
fn tight() -> Vec<Budget> {
    let changes = |it| Budget { changes: Some(it), ..Budget::default() };
    let deletions = Budget { deletions: Some(0), ..Budget::default() };
    (0..8).map(changes).chain([deletions]).collect()
}

#[test]
fn a_unit_is_begun_only_if_the_budget_is_enough_for_all_of_it() {
    let promises = release();
    let before = shown(&host().world());
    let (_, after) = undisturbed(&promises);
    let mut waves = promises.clone();
    waves.waves = (0..promises.all.len()).map(|it| vec![it]).collect();
    for promises in [promises, waves] {
        let (mut stayed, mut came) = (0, 0);
        for budget in tight() {
            let (host, mut ledger) = (host(), Notebook::default());
            let run = converge(&host, &promises, &mut ledger, budget);
            let now = shown(&host.world());
            let foreseen = |id: &str| {
                let at = promises.all.iter().position(|it| &*it.id.0 == id).unwrap();
                &run.plan.entries[at].forecast
            };
            assert_eq!(run.undone, [], "{budget:?}");
            if now == before {
                stayed += 1;
                for id in MEMBERS {
                    let Some(Outcome::Held(held @ Held::Budget { .. })) = run.outcome(id) else {
                        panic!("{id}: {:?}", run.outcome(id));
                    };
                    assert_eq!(foreseen(id), &Forecast::Held(held.clone()), "{id} {budget:?}");
                }
                let is_member = |it: &&String| PATHS.iter().any(|path| it.contains(path));
                assert_eq!(host.log().iter().find(is_member), None, "{budget:?}");
            } else {
                came += 1;
                assert_eq!(now, after, "{budget:?}");
                assert!(MEMBERS.iter().all(|it| foreseen(it) == &Forecast::Certain), "{budget:?}");
            }
            // What is no member has its own share, the same in the forecast and in the run.
            let is_held = matches!(run.outcome("file:/srv/beside"), Some(Outcome::Held(_)));
            let foreseen = matches!(foreseen("file:/srv/beside"), Forecast::Held(_));
            assert_eq!(is_held, foreseen, "{budget:?}");
        }
        assert!(stayed > 2 && came > 2, "{stayed} {came}");
    }
}

#[test]
fn what_was_taken_back_is_not_told_as_done() {
    let promises = release();
    let host = host();
    host.break_effect("write /etc/api/more.conf", "No space left on device");
    let run = converge(&host, &promises, &mut Notebook::default(), Budget::default());
    assert!(!run.undone.is_empty());
    for verdict in run.verdicts.iter().filter(|it| MEMBERS.contains(&&*it.promise)) {
        assert!(!verdict.outcome.is_good(), "{verdict:?}");
        assert_eq!(verdict.changes, [""; 0], "{verdict:?}");
    }
    // Of what was foreseen, only what is beside the unit came true.
    assert_eq!(run.summary.certain.1, 1);
}

#[test]
fn what_becomes_of_a_unit_is_told() {
    let promises = release();
    let steps = |broken: &[(&str, &str)]| {
        let host = host();
        for (effect, words) in broken {
            host.break_effect(effect, words);
        }
        let run = converge(&host, &promises, &mut Notebook::default(), Budget::default());
        run.steps.into_iter().map(|(_, it)| it).collect::<Vec<_>>()
    };
    assert_eq!(steps(&[]), [Step::Begun, Step::Committed]);
    let full = ("write /etc/api/more.conf", "No space left on device");
    assert_eq!(steps(&[full]), [Step::Begun, Step::TakenBack]);
}

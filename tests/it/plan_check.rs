//! Each rule of the plan linter finds a plan that breaks it. That plans keep them is asked with every law
//! and scenario.

use expect_test::{Expect, expect};
use steadfast_engine::{
    Budget, Circumstances, Forecast, Held, Limited, Observed, Observer, Plan, Promises, Unit,
    UnitId,
};
use steadfast_resources::{Change, user};
use steadfast_system::UserName;
use steadfast_testkit::FakeHost;
use steadfast_testkit::run::{Model, Notebook};

const MODEL: &str = r#"
files:
  /etc/app.conf: { content: "new\n", restarts: app }
  /etc/gone: absent
  /etc/right: { content: "right\n" }
  /srv/below/it: { content: "x\n" }
directories: { /srv/below: {} }
services: { app: { running: true } }
"#;

struct Case {
    promises: Promises,
    observed: Observed,
    plan: Plan,
    budget: Budget,
}

impl Case {
    fn new() -> Case {
        let host = FakeHost::debian()
            .with_file("/etc/app.conf", "old\n")
            .with_file("/etc/gone", "x\n")
            .with_file("/etc/right", "right\n")
            .with_unit("app", "[Service]\nExecStart=/bin/app\n")
            .with_running("app");
        let promises = Model::of(MODEL, &[]).unwrap().promises;
        let observed = Observed::all(&promises, Observer::ReadOnly(&host), &Notebook::default());
        let budget = Budget::default();
        let circumstances = Circumstances { root: true, budget };
        let plan = steadfast_engine::plan::plan(&promises, &observed, circumstances);
        Case { promises, observed, plan, budget }
    }

    fn at(&self, id: &str) -> usize {
        self.promises.all.iter().position(|it| &*it.id.0 == id).unwrap()
    }

    fn flaws(&self) -> String {
        let Case { promises, observed, plan, budget } = self;
        let flaws = steadfast_engine::check(promises, observed, plan, *budget);
        flaws.iter().map(|it| format!("{it}\n")).collect()
    }
}

#[track_caller]
fn breaks(how: impl FnOnce(&mut Case), expected: Expect) {
    let mut case = Case::new();
    assert_eq!(case.flaws(), "");
    how(&mut case);
    expected.assert_eq(&case.flaws());
}

#[test]
fn there_is_one_entry_and_one_turn_for_each_promise() {
    breaks(
        |it| drop(it.plan.entries.pop()),
        expect![[r#"
        5 entries for 6 promises
    "#]],
    );
    breaks(
        |it| {
            let first = it.promises.waves[0][0];
            it.promises.waves[0].push(first);
        },
        expect![[r#"
            file:/etc/gone has 2 turns
        "#]],
    );
}

#[test]
fn what_is_not_selected_or_kept_has_no_changes_and_what_is_certain_has_some() {
    breaks(
        |it| {
            let at = it.at("file:/etc/gone");
            it.promises.all[at].selected = false;
        },
        expect![[r#"
            file:/etc/gone is not selected, and is planned
        "#]],
    );
    breaks(
        |it| {
            let at = it.at("file:/etc/gone");
            it.plan.entries[at].forecast = Forecast::Kept;
        },
        expect![[r#"
            file:/etc/gone is kept, and has changes
        "#]],
    );
    breaks(
        |it| {
            let at = it.at("file:/etc/right");
            it.plan.entries[at].forecast = Forecast::Certain;
        },
        expect![[r#"
            file:/etc/right is certain of no change
        "#]],
    );
    breaks(
        |it| {
            let at = it.at("file:/etc/gone");
            let change = it.plan.entries[at].changes[0].clone();
            it.plan.entries[at].changes.push(change);
        },
        expect![[r#"
            file:/etc/gone would remove file twice
        "#]],
    );
}

#[test]
fn each_change_has_a_fact() {
    breaks(
        |it| {
            let at = it.at("file:/etc/gone");
            let name = UserName::parse("web").unwrap();
            let nothing = user::Change::Limits { name, limits: vec![] };
            let held = Held::Budget { what: Limited::Changes, limit: 0 };
            it.plan.entries[at].changes = vec![Change::User(nothing)];
            it.plan.entries[at].forecast = Forecast::Held(held);
        },
        expect![[r#"
            file:/etc/gone would set , and no fact says so
        "#]],
    );
}

#[test]
fn changes_are_surer_than_their_promise_where_there_is_reason_alone() {
    let mark = |id: &'static str, certain: &'static [bool]| {
        move |it: &mut Case| {
            let at = it.at(id);
            it.plan.entries[at].certain = certain.to_vec();
        }
    };
    // Its promise is as certain; there is no such change.
    for (id, certain) in [("file:/etc/gone", &[true][..]), ("service:app", &[true, false, true])] {
        let said = format!("changes of {id} are marked as certain for no reason\n");
        let mut case = Case::new();
        mark(id, certain)(&mut case);
        assert_eq!(case.flaws(), said);
    }
}

#[test]
fn what_a_promise_needs_comes_before_it_and_will_be_kept() {
    breaks(
        |it| it.promises.waves.reverse(),
        expect![[r#"
        file:/srv/below/it does not come after directory:/srv/below, which it needs
        service:app does not come after file:/etc/app.conf, which it pays for
    "#]],
    );
    breaks(
        |it| {
            let at = it.at("directory:/srv/below");
            let held = Held::Budget { what: Limited::Changes, limit: 0 };
            it.plan.entries[at].forecast = Forecast::Held(held);
        },
        expect![[r#"
            file:/srv/below/it is attempted without directory:/srv/below, which it needs
        "#]],
    );
}

#[test]
fn a_member_of_a_unit_is_not_attempted_where_another_will_not_be_kept() {
    breaks(
        |it| {
            let (conf, gone) = (it.at("file:/etc/app.conf"), it.at("file:/etc/gone"));
            let mut members = vec![conf, gone];
            members.sort_unstable();
            it.promises.units.push(Unit { id: UnitId("component:app".into()), members });
            let held = Held::Budget { what: Limited::Deletions, limit: 0 };
            it.plan.entries[gone].forecast = Forecast::Held(held);
        },
        expect![[r#"
            file:/etc/app.conf is attempted without file:/etc/gone, which is of its unit
        "#]],
    );
}

#[test]
fn one_thing_is_changed_by_one_promise_at_a_time() {
    breaks(
        |it| {
            // Another promise about the same file, in the same turn.
            let at = it.at("file:/etc/app.conf");
            let mut other = it.promises.all[at].clone();
            other.id = steadfast_model::PromiseId::new("file", "/etc/other.conf");
            it.promises.all.push(other);
            let new = it.promises.all.len() - 1;
            let wave = it.promises.waves.iter_mut().find(|wave| wave.contains(&at)).unwrap();
            wave.push(new);
            it.plan.entries.push(it.plan.entries[at].clone());
            it.observed.states.push(it.observed.states[at].clone());
        },
        expect![[r#"
            file:/etc/app.conf and file:/etc/other.conf change /etc/app.conf in one turn
        "#]],
    );
}

#[test]
fn a_runner_pays_after_its_causes() {
    breaks(
        |it| {
            let (app, cause) = (it.at("service:app"), it.at("file:/etc/app.conf"));
            for wave in &mut it.promises.waves {
                wave.retain(|at| *at != app);
            }
            let wave = it.promises.waves.iter_mut().find(|wave| wave.contains(&cause)).unwrap();
            wave.push(app);
        },
        expect![[r#"
            service:app does not come after file:/etc/app.conf, which it pays for
        "#]],
    );
}

#[test]
fn no_more_is_planned_than_a_run_may_do() {
    breaks(
        |it| it.budget.deletions = Some(0),
        expect![[r#"
        more than 0 deletions
    "#]],
    );
    breaks(
        |it| it.budget.restarts = Some(0),
        expect![[r#"
        more than 0 restarts
    "#]],
    );
}

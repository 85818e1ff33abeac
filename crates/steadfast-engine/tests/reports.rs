//! What a run tells of a component, for each way in which it can end: the line that people read, the object of JSON,
//! and what it does to the exit code of the run.

#![expect(clippy::unwrap_used, reason = "a test whose helpers are no test functions")]

use expect_test::{Expect, expect};
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::Summary;
use steadfast_engine::component::{
    Bad, Baking, Baseline, Deployment, End, Finished, Gate, Judging, Kind, Measured, Next, Now,
    Phase, Row, Step, Switch, Terms, Trouble, Until, Waiting, forecast, held, report,
};

fn deployment(release: &str) -> Deployment {
    let terms = Terms {
        digest: "7e".into(),
        switch: Switch::Restart,
        units: "11".into(),
        within: Duration::from_secs(30),
        lasts: Duration::from_secs(5),
        bake: Duration::from_secs(600),
        drains: false,
        readies: false,
        drain_for: Duration::from_secs(30),
        quiesces: None,
    };
    let own: Arc<str> = format!("own-of-{release}").into();
    Deployment {
        folder: own.clone(),
        own,
        public: format!("public-of-{release}").into(),
        release: release.into(),
        terms,
    }
}

fn now() -> Now {
    Now { boot: "1".into(), at: Duration::from_secs(100), wall: 36_000 }
}

fn clock(seconds: i64) -> String {
    format!("{:02}:{:02}", seconds / 3_600, seconds / 60 % 60)
}

fn row(current: Option<&str>) -> Row {
    Row { current: current.map(deployment), ..Row::default() }
}

fn open(phase: Phase) -> Row {
    let moment = now().moment();
    let step = Step {
        number: 12,
        kind: Kind::Move,
        from: Some(deployment("1.3.0")),
        to: deployment("1.4.0"),
        chained: false,
        baseline: Baseline::Well,
        phase,
        since: moment.clone(),
        tries: 0,
        boots: 0,
        back: None,
        stuck: None,
        stopped: Some(moment),
        gap: Some(Duration::from_millis(480)),
        connections: Some(3),
    };
    Row { step: Some(step), ..row(Some("1.3.0")) }
}

fn finished(from: Option<&str>) -> Option<Finished> {
    Some(Finished {
        number: 12,
        from: from.map(deployment),
        to: deployment("1.4.0"),
        gap: from.map(|_| Duration::from_millis(480)),
        connections: from.map(|_| 3),
    })
}

fn ill() -> Trouble {
    let reason = "http://127.0.0.1:8081/health answered 500".into();
    Trouble::Ill { reason, journal: vec!["no column firstname".into()] }
}

fn ended(row: Row, end: End, step: Option<Finished>, due: Option<u64>) -> Next {
    let due = due.map_or(Until::Change, |it| Until::Boot(Duration::from_secs(it)));
    Next::Ended { row, end, step, due }
}

fn waits(row: Row, why: Waiting, until: Option<u64>) -> Next {
    let until = until.map_or(Until::Change, |it| Until::Boot(Duration::from_secs(it)));
    Next::Wait { row, until, why }
}

/// The line, the object, and the exit codes without and with `--exit-code`.
#[track_caller]
fn told(next: &Next, expected: Expect) {
    let component = "people/api".parse().unwrap();
    let report = report(&component, next, Some(&deployment("1.4.0")), &now(), &clock).unwrap();
    let mut summary = Summary::default();
    report.outcome.count(&mut summary);
    let (plain, asked) = match summary {
        Summary { not_kept: 1, .. } => (4, 4),
        Summary { held: 1, .. } => (0, 3),
        _ => (0, 0),
    };
    let json = serde_json::to_string(&report).unwrap();
    expected.assert_eq(&format!("{}\n{json}\n{plain} {asked}\n", report.line()));
}

#[test]
fn what_is_wanted_is_current_or_was_brought() {
    told(
        &ended(row(Some("1.4.0")), End::Settled, None, None),
        expect![[r#"
        component:people/api is kept
        {"event":"component","component":"people/api","outcome":"kept","release":"1.4.0","deployment":"public-of-1.4.0","folder":"own-of-1.4.0","from":null,"to":null,"step":null,"reason":null,"gap_ms":null,"open_connections":null}
        0 0
    "#]],
    );
    told(
        &ended(row(Some("1.4.0")), End::Committed, finished(Some("1.3.0")), None),
        expect![[r#"
        component:people/api is repaired
        {"event":"component","component":"people/api","outcome":"repaired","release":"1.4.0","deployment":"public-of-1.4.0","folder":"own-of-1.4.0","from":"1.3.0","to":"1.4.0","step":"committed","reason":null,"gap_ms":480,"open_connections":3}
        0 0
    "#]],
    );
    told(
        &ended(row(Some("1.4.0")), End::Committed, finished(None), None),
        expect![[r#"
        component:people/api is repaired
        {"event":"component","component":"people/api","outcome":"repaired","release":"1.4.0","deployment":"public-of-1.4.0","folder":"own-of-1.4.0","from":null,"to":"1.4.0","step":"committed","reason":null,"gap_ms":null,"open_connections":null}
        0 0
    "#]],
    );
    told(
        &ended(row(Some("1.3.0")), End::Withdrawn, finished(Some("1.3.0")), None),
        expect![[r#"
        component:people/api is repaired: went back to 1.3.0, which is wanted again
        {"event":"component","component":"people/api","outcome":"repaired","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"went-back","reason":"went back to 1.3.0, which is wanted again","gap_ms":480,"open_connections":3}
        0 0
    "#]],
    );
    let component = "people/api".parse().unwrap();
    let absent = ended(row(None), End::Absent, None, None);
    assert_eq!(report(&component, &absent, None, &now(), &clock), None);
}

#[test]
fn a_step_that_failed_is_not_kept_and_says_what_helps() {
    let back = || row(Some("1.3.0"));
    told(
        &ended(back(), End::WentBack(ill()), finished(Some("1.3.0")), None),
        expect![[r#"
        component:people/api is not kept: went back to 1.3.0, because http://127.0.0.1:8081/health answered 500; not tried again: `steadfast retry people/api`
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"went-back","reason":"went back to 1.3.0, because http://127.0.0.1:8081/health answered 500; not tried again: `steadfast retry people/api`","gap_ms":480,"open_connections":3}
        4 4
    "#]],
    );
    let bad = Bad {
        own: "own-of-1.4.0".into(),
        public: "public-of-1.4.0".into(),
        terms: "7e".into(),
        release: "1.4.0".into(),
        reason: ill(),
        at: 0,
    };
    told(
        &ended(back(), End::Bad(bad), None, None),
        expect![[r#"
        component:people/api is not kept: 1.4.0 was bad: http://127.0.0.1:8081/health answered 500; not tried again: `steadfast retry people/api`
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":null,"to":null,"step":null,"reason":"1.4.0 was bad: http://127.0.0.1:8081/health answered 500; not tried again: `steadfast retry people/api`","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    told(
        &ended(back(), End::Inconclusive(ill()), finished(Some("1.3.0")), Some(160)),
        expect![[r#"
            component:people/api is not kept: went back to 1.3.0, because http://127.0.0.1:8081/health answered 500; whose fault it is, is not known; tried again at 10:01
            {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"inconclusive","reason":"went back to 1.3.0, because http://127.0.0.1:8081/health answered 500; whose fault it is, is not known; tried again at 10:01","gap_ms":480,"open_connections":3}
            4 4
        "#]],
    );
    told(
        &waits(back(), Waiting::Again(ill()), Some(160)),
        expect![[r#"
        component:people/api is not kept: http://127.0.0.1:8081/health answered 500; tried again at 10:01
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":null,"to":null,"step":null,"reason":"http://127.0.0.1:8081/health answered 500; tried again at 10:01","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    told(
        &waits(back(), Waiting::OnceWell(ill()), Some(160)),
        expect![[r#"
        component:people/api is not kept: http://127.0.0.1:8081/health answered 500; the one before is not well either, and has to be first
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":null,"to":null,"step":null,"reason":"http://127.0.0.1:8081/health answered 500; the one before is not well either, and has to be first","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    told(
        &ended(row(None), End::Failed(ill()), finished(None), Some(160)),
        expect![[r#"
        component:people/api is not kept: http://127.0.0.1:8081/health answered 500; tried again at 10:01
        {"event":"component","component":"people/api","outcome":"not-kept","release":null,"deployment":null,"folder":null,"from":null,"to":"1.4.0","step":"failed","reason":"http://127.0.0.1:8081/health answered 500; tried again at 10:01","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
}

#[test]
fn what_could_not_be_prepared_or_begun_is_not_kept_and_nothing_was_switched() {
    let failed = |why, due| ended(row(Some("1.3.0")), End::Failed(why), None, due);
    told(
        &failed(Trouble::Away("connection refused".into()), Some(160)),
        expect![[r#"
        component:people/api is not kept: its artifact is away: connection refused; tried again at 10:01
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"failed","reason":"its artifact is away: connection refused; tried again at 10:01","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    told(
        &failed(Trouble::Refused("its sha256 is another".into()), None),
        expect![[r#"
        component:people/api is not kept: its artifact was refused: its sha256 is another; not fetched again until it changes: `steadfast retry people/api`
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"failed","reason":"its artifact was refused: its sha256 is another; not fetched again until it changes: `steadfast retry people/api`","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    told(
        &failed(Trouble::NoSpace("12 MiB are missing".into()), Some(160)),
        expect![[r#"
        component:people/api is not kept: there is no space for it: 12 MiB are missing; tried again at 10:01
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"failed","reason":"there is no space for it: 12 MiB are missing; tried again at 10:01","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    let listener = "nginx.service listens on 8081".into();
    told(
        &failed(Trouble::Unprepared(listener), Some(160)),
        expect![[r#"
        component:people/api is not kept: it cannot be prepared: nginx.service listens on 8081; tried again at 10:01
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"failed","reason":"it cannot be prepared: nginx.service listens on 8081; tried again at 10:01","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    told(
        &failed(Trouble::Busy(vec!["report.service".into()]), Some(160)),
        expect![[r#"
        component:people/api is not kept: report.service did not come to rest in time; tried again at 10:01
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"failed","reason":"report.service did not come to rest in time; tried again at 10:01","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    told(
        &failed(Trouble::Drain("it answered 503".into()), Some(160)),
        expect![[r#"
        component:people/api is not kept: `drain` failed: it answered 503; tried again at 10:01
        {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"failed","reason":"`drain` failed: it answered 503; tried again at 10:01","gap_ms":null,"open_connections":null}
        4 4
    "#]],
    );
    told(
        &waits(row(Some("1.3.0")), Waiting::Owed("it answered 503".into()), Some(160)),
        expect![[r#"
            component:people/api is not kept: what was taken away for its step cannot be given back: it answered 503
            {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":null,"to":null,"step":null,"reason":"what was taken away for its step cannot be given back: it answered 503","gap_ms":null,"open_connections":null}
            4 4
        "#]],
    );
    let back = Phase::Switch;
    told(
        &waits(open(back), Waiting::Stuck("read-only file system".into()), Some(160)),
        expect![[r#"
            component:people/api is not kept: cannot go back yet: read-only file system
            {"event":"component","component":"people/api","outcome":"not-kept","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"failed","reason":"cannot go back yet: read-only file system","gap_ms":480,"open_connections":3}
            4 4
        "#]],
    );
}

#[test]
fn what_waits_is_held() {
    let gate = |it| waits(row(Some("1.3.0")), Waiting::Gate(it), None);
    told(
        &gate(Gate::Window { opens: Some(57_600) }),
        expect![[r#"
        component:people/api is held: outside of its window, which opens 16:00 (`--now` passes it)
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"outside of its window, which opens 16:00 (`--now` passes it)","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::Wave { opens: 57_600 }),
        expect![[r#"
        component:people/api is held: its wave comes 16:00
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"its wave comes 16:00","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::Suspended { reason: "migration".into(), until: None }),
        expect![[r#"
        component:people/api is held: the agent is suspended: migration
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"the agent is suspended: migration","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::Budget { limit: 1 }),
        expect![[r#"
        component:people/api is held: it would exceed the budget of 1 restart for one run (policy: budget)
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"it would exceed the budget of 1 restart for one run (policy: budget)","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::Approval),
        expect![[r#"
        component:people/api is held: it needs an approval, which nobody can give it in this version yet
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"it needs an approval, which nobody can give it in this version yet","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::ReportOnly),
        expect![[r#"
        component:people/api is held: it is only reported (keep: report)
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"it is only reported (keep: report)","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::Lowered { position: "1.5.0".into() }),
        expect![[r#"
        component:people/api is held: its target is below 1.5.0, which it has entered (`steadfast rollback`)
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"its target is below 1.5.0, which it has entered (`steadfast rollback`)","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::Mistaken("`directory` is mandatory".into())),
        expect![[r#"
        component:people/api is held: the documents of its application have mistakes: `directory` is mandatory
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"the documents of its application have mistakes: `directory` is mandatory","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    let schema = || "people/schema".parse().unwrap();
    told(
        &gate(Gate::Other(schema())),
        expect![[r#"
        component:people/api is held: the step of people/schema has not ended
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"the step of people/schema has not ended","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::Provider { component: schema(), failed: false }),
        expect![[r#"
        component:people/api is held: people/schema, which it uses, has to go first
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"people/schema, which it uses, has to go first","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
    told(
        &gate(Gate::Provider { component: schema(), failed: true }),
        expect![[r#"
        component:people/api is held: the step of people/schema, which it uses, failed
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"the step of people/schema, which it uses, failed","gap_ms":null,"open_connections":null}
        0 3
    "#]],
    );
}

#[test]
fn what_a_run_of_the_agent_leaves_in_the_middle_is_held() {
    let judge = || Phase::Judge(Judging::default());
    told(
        &waits(open(Phase::Drained), Waiting::Draining, Some(130)),
        expect![[r#"
        component:people/api is held: what is open may end, until 10:00
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"what is open may end, until 10:00","gap_ms":480,"open_connections":3}
        0 3
    "#]],
    );
    let busy = Waiting::Quiescing(vec!["report.service".into()]);
    told(
        &waits(open(Phase::Quiesce), busy, Some(130)),
        expect![[r#"
        component:people/api is held: waits until report.service have come to rest
        {"event":"component","component":"people/api","outcome":"held","release":"1.3.0","deployment":"public-of-1.3.0","folder":"own-of-1.3.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"waits until report.service have come to rest","gap_ms":480,"open_connections":3}
        0 3
    "#]],
    );
    told(
        &waits(open(judge()), Waiting::Answer(None), Some(130)),
        expect![[r#"
        component:people/api is held: waits for its first good answer
        {"event":"component","component":"people/api","outcome":"held","release":"1.4.0","deployment":"public-of-1.4.0","folder":"own-of-1.4.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"waits for its first good answer","gap_ms":480,"open_connections":3}
        0 3
    "#]],
    );
    told(
        &waits(open(judge()), Waiting::Lasting, Some(130)),
        expect![[r#"
        component:people/api is held: is well, and has to stay so for longer
        {"event":"component","component":"people/api","outcome":"held","release":"1.4.0","deployment":"public-of-1.4.0","folder":"own-of-1.4.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"is well, and has to stay so for longer","gap_ms":480,"open_connections":3}
        0 3
    "#]],
    );
    let bakes = open(Phase::Bake(Baking::default()));
    told(
        &waits(bakes, Waiting::Baking, Some(130)),
        expect![[r#"
            component:people/api is held: bakes until 10:10
            {"event":"component","component":"people/api","outcome":"held","release":"1.4.0","deployment":"public-of-1.4.0","folder":"own-of-1.4.0","from":"1.3.0","to":"1.4.0","step":"held","reason":"bakes until 10:10","gap_ms":480,"open_connections":3}
            0 3
        "#]],
    );
    told(
        &waits(open(Phase::Retire), Waiting::Retiring, Some(130)),
        expect![[r#"
        component:people/api is repaired: the program in the other slot stops at 10:00
        {"event":"component","component":"people/api","outcome":"repaired","release":"1.4.0","deployment":"public-of-1.4.0","folder":"own-of-1.4.0","from":"1.3.0","to":"1.4.0","step":"committed","reason":"the program in the other slot stops at 10:00","gap_ms":480,"open_connections":3}
        0 0
    "#]],
    );
}

#[test]
fn what_keeps_a_component_from_everything_is_told_without_asking_it() {
    let component = "people/api".parse().unwrap();
    let wanted = deployment("1.4.0");
    for (gate, words) in [
        (Gate::NotAsked, "its step is not asked for (`--only`)"),
        (Gate::GoingBack, "going back to the revision before moves no component"),
    ] {
        let it = held(&component, &row(Some("1.3.0")), Some(&wanted), &gate, &clock);
        assert_eq!(it.line(), format!("component:people/api is held: {words}"));
        assert_eq!((it.from.as_deref(), it.to.as_deref()), (Some("1.3.0"), Some("1.4.0")));
    }
}

/// What a dry run foretells of a step by what steps before it have shown here.
#[test]
fn the_gap_of_a_step_is_foretold_by_those_before_it() {
    let switched = |switch| {
        let it = deployment("1.4.0");
        Deployment { terms: Terms { switch, ..it.terms.clone() }, ..it }
    };
    let measured = |all: &[(Switch, u64)]| {
        let gap = |it: &(Switch, u64)| Measured { switch: it.0, gap: Duration::from_millis(it.1) };
        let row = row(Some("1.3.0"));
        let current = row.current.map(|it| Deployment { terms: switched(all[0].0).terms, ..it });
        Row { current, measured: all.iter().map(gap).collect(), ..Row::default() }
    };
    let mut told = String::new();
    for (row, switch) in [
        (row(None), Switch::Restart),
        (row(Some("1.3.0")), Switch::Restart),
        (row(Some("1.3.0")), Switch::Socket),
        (measured(&[(Switch::Restart, 740)]), Switch::Restart),
        (measured(&[(Switch::Restart, 740), (Switch::Restart, 1_260)]), Switch::Restart),
        (measured(&[(Switch::Socket, 90), (Switch::Restart, 740)]), Switch::Socket),
        // What another way has shown says nothing.
        (measured(&[(Switch::Socket, 90)]), Switch::Restart),
        (measured(&[(Switch::Reload, 0)]), Switch::Reload),
        (measured(&[(Switch::BlueGreen, 0)]), Switch::BlueGreen),
    ] {
        let forecast = forecast(&row, &switched(switch));
        told += &format!("{forecast}\n{}\n", serde_json::to_string(&forecast).unwrap());
    }
    expect![[r#"
        restart: no user sees a gap
        {"switch":"restart","gap":"none"}
        restart: away for a time that is not measured yet
        {"switch":"restart","gap":"not-measured"}
        restart: away for a time that is not measured yet
        {"switch":"restart","gap":"not-measured"}
        restart: away for 0.8 s (measured here in 1 step)
        {"switch":"restart","gap":{"measured":{"least_ms":740,"most_ms":740,"steps":1}}}
        restart: away for 0.8 to 1.3 s (measured here in 2 steps)
        {"switch":"restart","gap":{"measured":{"least_ms":740,"most_ms":1260,"steps":2}}}
        socket: new connections wait for 0.1 s (measured here in 1 step)
        {"switch":"socket","gap":{"measured":{"least_ms":90,"most_ms":90,"steps":1}}}
        restart: away for a time that is not measured yet
        {"switch":"restart","gap":"not-measured"}
        reload: no user sees a gap
        {"switch":"reload","gap":"none"}
        blue-green: no user sees a gap
        {"switch":"blue-green","gap":"none"}
    "#]]
    .assert_eq(&told);
}

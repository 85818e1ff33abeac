//! What is read, planned and done for a service, with literals.

use super::apply::carry_out;
use super::change::{FOLDER_MODE, MODE};
use super::desired::{Check, Question, SETTLE, TIMEOUT, WITHIN};
use super::*;
use crate::kind::Obstacle;
use crate::runner::{Consequence, Process, RunnerChange as _};
use expect_test::{Expect, expect};
use std::sync::Mutex;
use std::time::Duration;
use steadfast_model::scope::Scope;
use steadfast_model::{Diagnostics, PromiseId, SourceSet};
use steadfast_system::files::{
    self, Attributes, Content, Entry, Expected, Look, Mode, NewFile, Shape,
};
use steadfast_system::services::{
    self, Active, Enablement, HealthUrl, LastStart, Load, Mask, Unit,
};
use steadfast_system::{AbsPath, ErrorKind, UnitName};

/// Reads `services: { NAME: BODY }`, with the model's files `app.service` and `app.j2` beside it.
fn lowered(name: &str, body: &str) -> Result<Desired, String> {
    let mut sources = SourceSet::default();
    let text = format!("{name}: {body}\n");
    let id = sources.add("servers/web.yaml", text.into_bytes(), false);
    sources.add("app.service", *b"[Service]\nExecStart=/app\n", false);
    sources.add("app.j2", *b"[Service]\nExecStart=/templated\n", false);
    sources.add("app.bin", *b"\xff", false);
    let mut diagnostics = Diagnostics::default();
    let source = sources.get(id).unwrap();
    let node = steadfast_model::yaml::read(id, source, &mut diagnostics).unwrap();
    let Node::Map(entries, _) = &node else { panic!("{node:?}") };
    let scope = Scope::default();
    let mut cx = Lower::new(&mut diagnostics, &sources, &scope);
    let want = Service::lower(&entries[0].0, &entries[0].1, &mut cx);
    let said: Vec<String> = diagnostics
        .iter()
        .map(|it| format!("{} {}: {}", sources.place(it.span).column, it.code.0, it.message))
        .collect();
    match want {
        Some(want) if said.is_empty() => Ok(want),
        _ => Err(said.join("\n")),
    }
}

#[track_caller]
fn bad(name: &str, body: &str, expected: Expect) {
    expected.assert_eq(&lowered(name, body).expect_err("it is wrong"));
}

#[test]
fn every_field_is_read() {
    let want = lowered(
        "nginx",
        "{ running: true, enabled: masked-not, reload_on: x }"
            .replace("masked-not", "true")
            .as_str(),
    )
    .unwrap();
    assert_eq!((want.running, want.enabled), (Some(true), Some(Enabled::True)));
    assert_eq!(want.unit().as_str(), "nginx.service");
    assert_eq!((want.settle, want.timeout), (SETTLE, TIMEOUT));
    assert_eq!(&*want.reload_on()[0].value, "x");

    let want = lowered(
        "logrotate.timer",
        "{ running: false, enabled: masked, restart_on: [a, b], validate: [x, y], settle: 1s, timeout: 2m,
           drop_ins: { b: { source: app.service }, a.conf: { template: app.j2 } } }",
    )
    .unwrap();
    assert_eq!((want.running, want.enabled), (Some(false), Some(Enabled::Masked)));
    assert_eq!(want.restart_on().len(), 2);
    assert_eq!(want.validate, [Arc::from("x"), Arc::from("y")]);
    assert_eq!((want.settle.as_secs(), want.timeout.as_secs()), (1, 120));
    let files: Vec<(&str, &str)> =
        want.files().map(|it| (it.path.as_str(), it.content.as_ref())).collect();
    assert_eq!(
        files,
        [
            ("/etc/systemd/system/logrotate.timer.d/a.conf", "[Service]\nExecStart=/templated\n"),
            ("/etc/systemd/system/logrotate.timer.d/b.conf", "[Service]\nExecStart=/app\n"),
        ]
    );
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    bad("-x", "{}", expect!["1 bad-name: `-x` is not a unit name: it begins with `-` or `.`"]);
    bad("x", "{ runing: true }", expect!["6 unknown-field: `service` has no field `runing`"]);
    bad(
        "x",
        "{ running: 1 }",
        expect!["15 wrong-type: `running` must be true or false, and is an integer"],
    );
    bad("x", "{ enabled: mask }", expect!["15 bad-value: `enabled` cannot be `mask`"]);
    bad(
        "x",
        "{ running: true, enabled: masked }",
        expect!["21 conflicting-fields: a service that is masked cannot be promised to run"],
    );
    bad(
        "x",
        "{ unit: { content: x }, enabled: masked }",
        expect!["28 conflicting-fields: a mask stands where the promised unit file would be"],
    );
    bad(
        "x@",
        "{ running: true }",
        expect![
            "7 conflicting-fields: a template does not run; promise its instances, `name@instance`"
        ],
    );
    bad(
        "x",
        "{ unit: {} }",
        expect!["12 missing-field: a unit needs one of content, template and source"],
    );
    bad(
        "x",
        "{ unit: { content: a, source: b } }",
        expect!["26 conflicting-fields: a unit has one of content, template and source"],
    );
    bad(
        "x",
        "{ unit: { content: { secret: a } } }",
        expect!["23 misplaced-secret: a secret cannot stand in `content`: its value would be seen"],
    );
    bad(
        "x",
        "{ unit: { source: nothing } }",
        expect!["22 unknown-file: the model has no file `nothing`"],
    );
    bad("x", "{ unit: { source: app.bin } }", expect!["22 not-utf-8: app.bin is not UTF-8 text"]);
    bad(
        "x",
        "{ drop_ins: { ../x: { content: a } } }",
        expect!["18 bad-name: `../x` is not the name of a drop-in"],
    );
    bad(
        "x",
        "{ drop_ins: { a: { content: a }, a.conf: { content: b } } }",
        expect!["37 conflicting-fields: there are two drop-ins `a.conf`"],
    );
    bad("x", "{ validate: [] }", expect!["6 bad-value: `validate` names no program"]);
    bad("x", "{ timeout: 0s }", expect!["6 bad-value: `timeout` must be one second at least"]);
    bad(
        "x",
        "{ reload_on: { a: b } }",
        expect!["17 wrong-type: `reload_on` must be a list, and is a map"],
    );
}

#[test]
fn a_unit_claims_itself_and_its_files() {
    let names =
        |all: Vec<Identity>| all.iter().map(Identity::to_string).collect::<Vec<_>>().join(", ");
    let want = lowered("a", "{ unit: { content: x }, drop_ins: { b: { content: x } } }").unwrap();
    assert_eq!(
        names(Service::claims(&want)),
        "unit a.service, /etc/systemd/system/a.service, /etc/systemd/system/a.service.d/b.conf"
    );
    assert_eq!(names(Service::uses(&want)), "/etc/systemd/system/a.service.d");
    let want = lowered("a@b", "{ running: true }").unwrap();
    assert_eq!(names(Service::claims(&want)), "unit a@b.service");
    assert_eq!(names(Service::uses(&want)), "");
    let from = names(Service::comes_from(&want));
    for folder in ["/etc/systemd/system", "/usr/lib/systemd/system", "/run/systemd/system"] {
        assert!(from.contains(&format!("{folder}/a@b.service")), "{from}");
        assert!(from.contains(&format!("{folder}/a@.service")), "{from}");
    }
}

#[test]
fn going_down_is_what_counts_as_absent() {
    for (body, absent) in [
        ("{ running: false }", true),
        ("{ running: false, enabled: false }", true),
        ("{ running: false, enabled: masked }", true),
        ("{ running: false, enabled: true }", false),
        ("{ running: true }", false),
        ("{ enabled: false }", false),
    ] {
        assert_eq!(Service::is_absent(&lowered("x", body).unwrap()), absent, "{body}");
    }
}

/// A unit in words: its state, enablement, mask, and what else is told of it.
fn unit(words: &str) -> Unit {
    let mut unit = Unit {
        load: Load::Loaded,
        active: Active::Inactive,
        sub: Arc::from("dead"),
        enablement: Enablement::Disabled,
        mask: Mask::Not,
        fragment: AbsPath::parse("/usr/lib/systemd/system/x.service").ok(),
        invocation: None,
        since: None,
        needs_reload: false,
        can_reload: false,
        oneshot: None,
    };
    for word in words.split_whitespace() {
        match word {
            "active" => unit.active = Active::Active,
            "reloading" => unit.active = Active::Reloading,
            "inactive" => unit.active = Active::Inactive,
            "failed" => unit.active = Active::Failed,
            "activating" => unit.active = Active::Activating,
            "deactivating" => unit.active = Active::Deactivating,
            "enabled" => unit.enablement = Enablement::Enabled,
            "enabled-runtime" => unit.enablement = Enablement::EnabledRuntime,
            "disabled" => unit.enablement = Enablement::Disabled,
            "static" => unit.enablement = Enablement::Static,
            "indirect" => unit.enablement = Enablement::Indirect,
            "generated" => unit.enablement = Enablement::Generated,
            "transient" => unit.enablement = Enablement::Transient,
            "linked" => unit.enablement = Enablement::Linked,
            "alias" => unit.enablement = Enablement::Alias(Arc::from("other.service")),
            "not-found" => {
                (unit.enablement, unit.load) = (Enablement::NotFound, Load::NotFound);
                unit.fragment = None;
            }
            "masked" => (unit.mask, unit.load) = (Mask::Persistent, Load::Masked),
            "masked-runtime" => (unit.mask, unit.load) = (Mask::Runtime, Load::Masked),
            "masked-vendor" => (unit.mask, unit.load) = (Mask::Vendor, Load::Masked),
            "in-etc" => unit.fragment = AbsPath::parse("/etc/systemd/system/x.service").ok(),
            "needs-reload" => unit.needs_reload = true,
            "can-reload" => unit.can_reload = true,
            "bad-setting" => unit.load = Load::Failed(Arc::from("bad-setting")),
            "never-ran" => unit.oneshot = Some(LastStart::Never),
            "succeeded" => unit.oneshot = Some(LastStart::Succeeded),
            "last-failed" => unit.oneshot = Some(LastStart::Failed),
            other => panic!("{other}"),
        }
    }
    if unit.active.runs() {
        unit.invocation = Some(Arc::from("one"));
        unit.since = Some(1);
    }
    unit
}

/// What the machine shows; what it owes stands among the words, see [`owing`].
fn state(words: &str) -> State {
    let shown: Vec<&str> =
        words.split_whitespace().filter(|it| !it.starts_with("owes-") && *it != "comes").collect();
    State { unit: unit(&shown.join(" ")), files: vec![], also: vec![], process: None }
}

fn owing(words: &str) -> Owing {
    let mut owing = Owing::default();
    for word in words.split_whitespace() {
        match word {
            "owes-reload" => owing.action = Some(Consequence::Reload),
            "owes-restart" => owing.action = Some(Consequence::Restart),
            "comes" => owing.comes = true,
            _ => continue,
        }
        owing.causes = vec![PromiseId::new("file", "/x")];
    }
    owing
}

/// What is planned for a service about which these words are true.
fn planned(want: &Desired, have: &str) -> Difference<Change> {
    plan(want, &state(have), &owing(have))
}

fn look(shape: Option<Shape>) -> Look {
    let folder = files::Folder { uid: 0, gid: 0, mode: FOLDER_MODE, open: false, bar: None };
    let entry = shape.map(|shape| Entry {
        shape,
        uid: 0,
        gid: 0,
        mode: MODE,
        links: 1,
        changed: 7,
        mounted: false,
        marks: steadfast_system::files::Marks::default(),
    });
    Look { folder: Some(folder), entry }
}

fn file(text: &str) -> Look {
    let content = Content::Bytes(Arc::from(text.as_bytes()));
    look(Some(Shape::File { size: text.len() as u64, content }))
}

/// A plan in words: changes as they are shown, `!` what refuses it, `missing`, `?` what is unknown, and
/// notes in parentheses.
fn said(difference: &Difference<Change>) -> String {
    let Difference { changes, obstacles, notes } = difference;
    let mut said: Vec<String> = changes.iter().map(Change::to_string).collect();
    said.extend(obstacles.iter().map(|it| match it {
        Obstacle::Missing(what) => format!("missing {what}"),
        Obstacle::Refused(why) => format!("! {why}"),
        Obstacle::Unknown(why) => format!("? {why}"),
        Obstacle::Unhealthy(why) => format!("sick: {}", why.chain().join(": ")),
        Obstacle::InTheWay { of: _, why } => format!("in the way: {why}"),
        Obstacle::HangsOn(things) => format!("hangs on {things:?}"),
        Obstacle::Presumed(words) => format!("presumed: {words}"),
        Obstacle::HealthNotAsked => "health?".to_owned(),
    }));
    said.extend(notes.iter().map(|it| format!("({it})")));
    said.join("; ")
}

#[track_caller]
fn plans(body: &str, have: &str, expected: &str) {
    let want = lowered("x", body).unwrap();
    assert_eq!(said(&planned(&want, have)), expected);
}

#[track_caller]
fn plans_with(body: &str, have: &str, files: Vec<Look>, expected: Expect) {
    let want = lowered("x", body).unwrap();
    let (have, owing) = (State { files, ..state(have) }, owing(have));
    expected.assert_eq(&said(&plan(&want, &have, &owing)).replace("; ", "\n"));
}

#[test]
fn running_is_a_promise_of_its_own() {
    plans("{ running: true }", "active", "");
    plans("{ running: true }", "reloading", "");
    plans("{ running: true }", "inactive", "start");
    plans("{ running: true }", "failed", "start");
    plans("{ running: true }", "deactivating", "start");
    plans("{ running: true }", "activating", "wait until it is active");
    plans("{ running: false }", "active enabled", "stop");
    plans("{ running: false }", "activating", "stop");
    plans("{ running: false }", "deactivating", "stop");
    plans("{ running: false }", "inactive enabled", "");
    plans("{ running: false }", "failed", "");
    plans("{ running: false }", "not-found", "");
    plans("{}", "active enabled", "");
    plans("{}", "failed disabled", "");
}

#[test]
fn health_is_asked_where_nothing_else_is_left_to_do() {
    let want = "{ running: true, health: \"http://127.0.0.1/\" }";
    plans(want, "active", "health?");
    plans(want, "inactive succeeded", "health?");
    plans(want, "inactive", "start");
    plans(want, "active owes-restart", "restart (file:/x changed)");
    plans(want, "not-found", "missing unit x.service");
    let sick = Health::Bad(SystemError::new(ErrorKind::Command, "it answers 500"));
    let told = |health| {
        let owing = Owing { health, ..Owing::default() };
        plan(&lowered("x", want).unwrap(), &state("active"), &owing)
    };
    assert_eq!(said(&told(sick.clone())), "sick: it answers 500");
    assert!(!told(sick).is_kept());
    assert_eq!(told(Health::Good), Difference::none());
    // Who is not promised to be healthy is not asked.
    plans("{ running: true }", "active", "");
    // Where a run is about others, it is asked too if it runs.
    let paying = lowered("x", want).unwrap().debts_only();
    assert_eq!(said(&planned(&paying, "active")), "health?");
    assert_eq!(said(&planned(&paying, "inactive")), "");
}

#[test]
fn health_has_three_forms() {
    let check = |body: &str| {
        let body = format!("{{ running: true, health: {body} }}");
        lowered("x", &body).map(|it| it.health.unwrap())
    };
    let url = |text| Question::Http(HealthUrl::parse(text).unwrap());
    let of = |question| Check { question, within: WITHIN };
    assert_eq!(check("\"http://[::1]:81/x\""), Ok(of(url("http://[::1]:81/x"))));
    let command =
        |words: &[&str]| Question::Command(words.iter().map(|it| Arc::from(*it)).collect());
    assert_eq!(check("[pg_isready, -q]"), Ok(of(command(&["pg_isready", "-q"]))));
    let minute = Duration::from_secs(60);
    assert_eq!(
        check("{ http: \"http://localhost\", within: 1m }"),
        Ok(Check { question: url("http://localhost"), within: minute })
    );
    assert_eq!(
        check("{ command: [true-ish], within: 1m }"),
        Ok(Check { question: command(&["true-ish"]), within: minute })
    );
}

#[test]
fn what_is_wrong_with_health_is_said() {
    let wrong = |body: &str, expected: Expect| {
        bad("x", &format!("{{ running: true, health: {body} }}"), expected);
    };
    wrong(
        "\"https://localhost/\"",
        expect![
            "29 bad-url: `https://localhost/` is not a URL for health: it does not begin with http://"
        ],
    );
    wrong("true", expect!["29 unquoted: `health` is a boolean, not text"]);
    wrong("[]", expect!["29 bad-value: `health` names no program"]);
    wrong("{ command: [\"\"] }", expect!["40 bad-value: `command` names no program"]);
    wrong("[\"a\\0\"]", expect!["29 bad-value: an argument cannot have a NUL byte in it"]);
    wrong("{}", expect!["29 missing-field: `health` needs `http` or `command`"]);
    wrong("{ within: 5s }", expect!["29 missing-field: `health` needs `http` or `command`"]);
    wrong(
        "{ http: \"http://www.xyz.example/\", within: 2h }",
        expect![[r#"
            64 bad-value: `within` can be 1h at most: a run waits
            37 bad-url: `http://www.xyz.example/` is not a URL for health: its host is neither localhost nor an IP address"#]],
    );
    wrong(
        "{ http: \"http://localhost\", command: [x] }",
        expect![
            "57 conflicting-fields: `health` is asked by `http` or by a `command`, not by both"
        ],
    );
    wrong(
        "{ htp: \"http://localhost\" }",
        expect![[r#"
        31 unknown-field: `health` has no field `htp`
        29 missing-field: `health` needs `http` or `command`"#]],
    );
    bad(
        "x",
        "{ health: [x] }",
        expect![
            "6 conflicting-fields: only what is promised to run can be healthy: `health` needs `running: true`"
        ],
    );
    bad(
        "x",
        "{ running: false, health: [x] }",
        expect![
            "22 conflicting-fields: only what is promised to run can be healthy: `health` needs `running: true`"
        ],
    );
}

#[test]
fn a_oneshot_is_kept_by_a_start_that_succeeded() {
    plans("{ running: true }", "inactive never-ran", "start");
    plans("{ running: true }", "inactive succeeded", "");
    plans("{ running: true }", "failed last-failed", "start");
}

#[test]
fn enabled_is_a_promise_of_its_own() {
    plans("{ enabled: true }", "enabled", "");
    plans("{ enabled: true }", "disabled active", "enable");
    plans("{ enabled: true }", "enabled-runtime", "enable");
    plans("{ enabled: true }", "linked", "enable");
    plans("{ enabled: false }", "enabled active", "disable");
    plans("{ enabled: false }", "enabled-runtime", "disable");
    plans("{ enabled: false }", "disabled", "");
    plans("{ enabled: false }", "not-found", "");
    plans("{ enabled: true }", "not-found", "missing unit x.service");
    plans("{ enabled: true }", "alias", "! it is another name of other.service; promise that one");
    for (state, why) in [
        ("static", "it is static: nothing in its unit file says what would start it"),
        ("indirect", "it is indirect: other units are enabled in its place"),
        ("generated", "it is generated at boot from another configuration"),
        ("transient", "it is transient, and goes with what made it"),
    ] {
        plans("{ enabled: true }", state, &format!("(`enabled` does not apply: {why})"));
    }
}

#[test]
fn a_mask_is_lifted_by_enabled_true_alone() {
    plans("{ enabled: true }", "masked disabled", "unmask; enable");
    plans("{ enabled: true }", "masked enabled", "unmask");
    plans("{ enabled: true }", "masked-runtime enabled", "unmask");
    plans("{ enabled: true }", "masked-vendor", "! its package ships it masked");
    plans("{ enabled: true, running: true }", "masked disabled", "unmask; enable; start");
    plans("{ running: true }", "masked", "! it is masked, so it cannot be started");
    plans("{ running: true }", "masked active", "");
    plans("{ enabled: false }", "masked disabled", "");
    plans("{ running: true, enabled: true }", "masked not-found", "missing unit x.service");
}

#[test]
fn masking_takes_what_no_file_of_the_administrator_stands_for() {
    plans("{ enabled: masked }", "enabled", "mask");
    plans("{ enabled: masked }", "masked", "");
    plans("{ enabled: masked }", "masked-runtime", "mask");
    plans("{ enabled: masked }", "not-found", "mask");
    plans("{ enabled: masked, running: false }", "active enabled", "stop; mask");
    plans(
        "{ enabled: masked }",
        "active",
        "mask; (it goes on running; `running: false` would stop it)",
    );
    plans(
        "{ enabled: masked }",
        "in-etc",
        "! its unit file lies in /etc/systemd/system, where the mask would have to be",
    );
}

#[test]
fn a_unit_that_is_not_there_may_still_come() {
    plans("{ running: true }", "not-found", "missing unit x.service");
    plans("{ running: true, enabled: true }", "not-found", "missing unit x.service");
    plans(
        "{ running: true }",
        "not-found active",
        "(it runs, and its unit file is gone: it will not start again)",
    );
    plans("{ running: true, enabled: true }", "not-found active", "missing unit x.service");
    plans(
        "{ running: true, enabled: true }",
        "not-found comes",
        "enable; start; missing unit x.service",
    );
    let implied = Desired::implied(UnitName::parse("x").unwrap());
    assert_eq!(said(&planned(&implied, "not-found")), "missing unit x.service");
    assert_eq!(said(&planned(&implied, "inactive")), "");
    assert_eq!(
        said(&planned(&implied, "active needs-reload owes-restart")),
        "reload systemd's unit files (daemon-reload); restart (file:/x changed)"
    );
}

#[test]
fn what_is_owed_is_paid_once_and_by_the_strongest() {
    plans("{ running: true }", "active can-reload owes-reload", "reload (file:/x changed)");
    plans("{ running: true }", "active owes-reload", "restart (file:/x changed)");
    plans("{ running: true }", "active can-reload owes-restart", "restart (file:/x changed)");
    plans("{}", "active owes-restart", "restart (file:/x changed)");
    plans("{ running: true }", "activating owes-restart", "restart (file:/x changed)");
    // A start pays, a stopped service is not started, and one that goes down owes nothing; one that
    // failed before it had paid is started.
    plans("{ running: true }", "inactive owes-restart", "start");
    plans("{}", "inactive owes-restart", "");
    plans("{}", "failed owes-restart", "start (file:/x changed)");
    plans("{}", "failed", "");
    plans("{ running: false }", "failed owes-restart", "");
    plans("{ running: false }", "active owes-restart", "stop");
    plans("{}", "active masked owes-restart", "! it is masked, so it cannot be restarted");
}

#[test]
fn systemd_reads_changed_files_first() {
    plans(
        "{ running: true }",
        "inactive needs-reload",
        "reload systemd's unit files (daemon-reload); start",
    );
    plans(
        "{ running: true }",
        "active needs-reload",
        "reload systemd's unit files (daemon-reload)",
    );
    plans(
        "{ running: true }",
        "inactive bad-setting",
        "! it cannot be started: systemd cannot load it (bad-setting)",
    );
    plans(
        "{ running: true }",
        "inactive bad-setting needs-reload",
        "reload systemd's unit files (daemon-reload); start",
    );
}

#[test]
fn validation_leaves_the_outcome_open() {
    plans("{ running: true, validate: [x] }", "inactive", "start; ? `validate` has not run yet");
    plans(
        "{ validate: [x] }",
        "active owes-restart",
        "restart (file:/x changed); ? `validate` has not run yet",
    );
    plans("{ running: true, validate: [x] }", "active", "");
    plans("{ running: false, validate: [x] }", "active", "stop");
}

const APP: &str = "[Service]\\nExecStart=/app\\n";
const INSTALLED: &str = "[Install]\\nWantedBy=multi-user.target\\n";

#[test]
fn a_promised_unit_file_is_written_and_read_before_it_starts() {
    let body =
        format!("{{ running: true, enabled: true, unit: {{ content: \"{APP}{INSTALLED}\" }} }}");
    plans_with(
        &body,
        "not-found",
        vec![look(None)],
        expect![[r#"
            write /etc/systemd/system/x.service, 62 bytes (new, mode 0644)
            enable
            reload systemd's unit files (daemon-reload)
            start"#]],
    );
    plans_with(
        &body,
        "active enabled",
        vec![file("[Service]\n")],
        expect![[r#"
            write /etc/systemd/system/x.service, 62 bytes (was 10)
            reload systemd's unit files (daemon-reload)
            restart (its unit file changed)"#]],
    );
    let same = file("[Service]\nExecStart=/app\n[Install]\nWantedBy=multi-user.target\n");
    plans_with(&body, "active enabled", vec![same.clone()], expect![""]);
    let mut mode = same;
    if let Some(entry) = &mut mode.entry {
        entry.mode = Mode(0o600);
    }
    plans_with(
        &body,
        "active enabled",
        vec![mode],
        expect!["give /etc/systemd/system/x.service uid 0, gid 0, mode 0644 (was 0, 0, 0600)"],
    );
}

#[test]
fn a_unit_file_with_other_rules_for_boot_is_enabled_anew() {
    let old = || vec![file("[Install]\nWantedBy=timers.target\n")];
    let body = format!("{{ enabled: true, unit: {{ content: \"{APP}{INSTALLED}\" }} }}");
    plans_with(
        &body,
        "enabled",
        old(),
        expect![[r#"
            write /etc/systemd/system/x.service, 62 bytes (was 33)
            disable
            enable
            reload systemd's unit files (daemon-reload)
            (what starts it at boot changed in its unit file)"#]],
    );
}

#[test]
fn a_mask_where_the_unit_file_belongs_goes_only_with_enabled_true() {
    let mask = || vec![look(Some(Shape::Link { target: Arc::from("/dev/null") }))];
    plans_with(
        &format!("{{ enabled: true, unit: {{ content: \"{APP}{INSTALLED}\" }} }}"),
        "masked not-found",
        mask(),
        expect![[r#"
            write /etc/systemd/system/x.service, 62 bytes (was a link to /dev/null)
            enable
            reload systemd's unit files (daemon-reload)"#]],
    );
    plans_with(
        &format!("{{ running: true, unit: {{ content: \"{APP}\" }} }}"),
        "masked not-found",
        mask(),
        expect![
            "! it is masked where its unit file would be, and only `enabled: true` lifts a mask"
        ],
    );
    plans_with(
        &format!("{{ unit: {{ content: \"{APP}\" }} }}"),
        "inactive",
        vec![look(Some(Shape::Directory))],
        expect!["! a directory is in the way at /etc/systemd/system/x.service"],
    );
}

#[test]
fn drop_ins_get_their_folder_and_lead_to_a_restart() {
    let body =
        format!("{{ drop_ins: {{ b: {{ content: \"{APP}\" }}, a: {{ content: \"{APP}\" }} }} }}");
    let nothing = || Look { folder: None, entry: None };
    plans_with(
        &body,
        "active can-reload owes-reload",
        vec![nothing(), nothing()],
        expect![[r#"
            make directory /etc/systemd/system/x.service.d
            write /etc/systemd/system/x.service.d/a.conf, 25 bytes (new, mode 0644)
            write /etc/systemd/system/x.service.d/b.conf, 25 bytes (new, mode 0644)
            reload systemd's unit files (daemon-reload)
            restart (file:/x, its unit file changed)"#]],
    );
    plans_with(
        &body,
        "inactive",
        vec![file("[Service]\nExecStart=/app\n"), file("")],
        expect![[r#"
            write /etc/systemd/system/x.service.d/b.conf, 25 bytes (was 0)
            reload systemd's unit files (daemon-reload)"#]],
    );
}

#[test]
fn a_static_unit_that_gets_something_to_enable_is_enabled() {
    plans_with(
        &format!("{{ enabled: true, drop_ins: {{ a: {{ content: \"{INSTALLED}\" }} }} }}"),
        "static",
        vec![look(None)],
        expect![[r#"
            write /etc/systemd/system/x.service.d/a.conf, 37 bytes (new, mode 0644)
            enable
            reload systemd's unit files (daemon-reload)"#]],
    );
    plans_with(
        &format!("{{ enabled: true, unit: {{ content: \"{APP}\" }} }}"),
        "not-found",
        vec![look(None)],
        expect![[r#"
            write /etc/systemd/system/x.service, 25 bytes (new, mode 0644)
            reload systemd's unit files (daemon-reload)
            (`enabled` does not apply: it is static: nothing in its unit file says what would start it)"#]],
    );
}

#[test]
fn a_written_file_shows_its_difference() {
    let want = lowered("x", &format!("{{ unit: {{ content: \"{APP}\" }} }}")).unwrap();
    let have = State { files: vec![file("[Service]\nExecStart=/old\n")], ..state("inactive") };
    let plan = Service::plan(&want, &have);
    expect![[r#"
        --- /etc/systemd/system/x.service (current)
        +++ /etc/systemd/system/x.service (promised)
        @@ -1,2 +1,2 @@
         [Service]
        -ExecStart=/old
        +ExecStart=/app
    "#]]
    .assert_eq(&Service::detail(&plan.changes[0]).unwrap());
}

#[test]
fn own_inputs_are_the_bytes_on_disk() {
    let with = |files| Service::fingerprint(&State { files, ..state("active") });
    assert_ne!(with(vec![file("a")]).digest, with(vec![file("b")]).digest);
    assert_ne!(with(vec![look(None)]).digest, with(vec![file("")]).digest);
    assert_ne!(with(vec![file("a"), look(None)]).digest, with(vec![look(None), file("a")]).digest);
    assert_eq!(with(vec![file("a")]).changed, Some(7));
    assert_eq!(with(vec![]).changed, None);
}

#[test]
fn only_what_starts_the_process_anew_pays_a_restart() {
    let act = lowered("x", "{}").unwrap().act(vec![]);
    assert_eq!(Change::Reload(act.clone()).pays(), Some(Consequence::Reload));
    assert_eq!(Change::Restart(act.clone()).pays(), Some(Consequence::Restart));
    assert_eq!(Change::Start(act.clone()).pays(), Some(Consequence::Restart));
    assert_eq!(Change::Await(act).pays(), None);
    assert!(Consequence::Restart > Consequence::Reload);
}

#[test]
fn the_machine_is_described() {
    let have = State {
        process: Some(Process { invocation: "one".into(), since: 1_732_540_811_000_000 }),
        ..state("active enabled needs-reload")
    };
    let said: Vec<String> =
        Service::describe(&have).iter().map(|(name, value)| format!("{name}: {value}")).collect();
    expect![[r#"
        state: active (dead)
        enabled: enabled
        unit file: /usr/lib/systemd/system/x.service
        since: 2024-11-25T13:20:11Z
        note: its files changed since systemd read them"#]]
    .assert_eq(&said.join("\n"));
}

/// A machine that writes down what is done to it, and fails where it is told.
#[derive(Debug, Default)]
struct Machine {
    done: Mutex<Vec<String>>,
    fails: Option<&'static str>,
}

impl Machine {
    fn does(&self, what: String) -> Result<(), SystemError> {
        let fails = self.fails == Some(&*what);
        self.done.lock().unwrap().push(what);
        if fails {
            Err(SystemError::new(steadfast_system::ErrorKind::Command, "no"))
        } else {
            Ok(())
        }
    }
}

impl files::Write for Machine {
    fn remember_secrets(&self, _: &[(AbsPath, bool)]) -> Result<Vec<AbsPath>, SystemError> {
        Ok(vec![])
    }
    fn forget_secrets(&self, _: &[AbsPath]) -> Result<(), SystemError> {
        Ok(())
    }
    fn stage(&self, files: &[NewFile]) -> Vec<Result<files::Staged, SystemError>> {
        files.iter().map(|it| Ok(files::Staged::new(it.clone(), ()))).collect()
    }
    fn place(&self, staged: Vec<files::Staged>) -> Vec<Result<(), SystemError>> {
        staged.iter().map(|it| self.does(format!("write {}", it.path()))).collect()
    }
    fn set_attributes(
        &self,
        all: &[(&AbsPath, &Expected, Attributes)],
    ) -> Vec<Result<(), SystemError>> {
        all.iter().map(|(path, ..)| self.does(format!("set attributes of {path}"))).collect()
    }
    fn make_directory(
        &self,
        path: &AbsPath,
        _: u32,
        _: u32,
        _: Mode,
        _: &Expected,
    ) -> Result<(), SystemError> {
        self.does(format!("make {path}"))
    }
    fn make_link(
        &self,
        _: &AbsPath,
        _: &str,
        _: u32,
        _: u32,
        _: &Expected,
    ) -> Result<(), SystemError> {
        panic!("services make no links")
    }
    fn remove(&self, _: &AbsPath, _: &Expected, _: bool, _: bool) -> Result<(), SystemError> {
        panic!("services remove nothing")
    }
}

impl services::Write for Machine {
    fn daemon_reload(&self) -> Result<(), SystemError> {
        self.does("daemon-reload".into())
    }
    fn start(&self, unit: &UnitName, _: Duration) -> Result<(), SystemError> {
        self.does(format!("start {}", unit.short()))
    }
    fn stop(&self, unit: &UnitName, _: Duration) -> Result<(), SystemError> {
        self.does(format!("stop {}", unit.short()))
    }
    fn restart(&self, unit: &UnitName, _: Duration) -> Result<(), SystemError> {
        self.does(format!("restart {}", unit.short()))
    }
    fn reload(&self, unit: &UnitName, _: Duration) -> Result<(), SystemError> {
        self.does(format!("reload {}", unit.short()))
    }
    fn settled(
        &self,
        units: &mut [services::Settling],
        _: Duration,
    ) -> Vec<Option<Result<(), SystemError>>> {
        let one = |it: &services::Settling| self.does(format!("settled {}", it.unit.short()));
        units.iter().map(|it| Some(one(it))).collect()
    }
    fn enable(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.does(format!("enable {}", unit.short()))
    }
    fn disable(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.does(format!("disable {}", unit.short()))
    }
    fn mask(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.does(format!("mask {}", unit.short()))
    }
    fn unmask(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.does(format!("unmask {}", unit.short()))
    }
    fn validate(&self, arguments: &[Arc<str>]) -> Result<(), SystemError> {
        if arguments.is_empty() { Ok(()) } else { self.does(format!("validate {}", arguments[0])) }
    }
}

/// What is done for a new service `a` and a changed service `b`, and how far each got.
#[track_caller]
fn applies(fails: Option<&'static str>, done: &str, how: &str) {
    let content = format!("{{ content: \"{APP}{INSTALLED}\" }}");
    let a = format!("{{ running: true, enabled: true, unit: {content} }}");
    let a = Service::plan(
        &lowered("a", &a).unwrap(),
        &State { files: vec![look(None)], ..state("not-found") },
    );
    let b = format!("{{ validate: [check], unit: {content} }}");
    let b = Service::plan(
        &lowered("b", &b).unwrap(),
        &State { files: vec![file("")], ..state("active enabled") },
    );
    let machine = Machine { fails, ..Machine::default() };
    let applied = carry_out(&[&a.changes, &b.changes], &machine);
    // The two services get their turn beside each other.
    let all = machine.done.into_inner().unwrap();
    let of = |name: &str| {
        let of_it = |it: &&String| {
            !it.ends_with(" a") && !it.ends_with(" b") && *it != "validate check"
                || it.ends_with(name)
                || (name == " b" && *it == "validate check")
        };
        all.iter().filter(of_it).cloned().collect::<Vec<_>>().join(", ")
    };
    assert_eq!(format!("{}\n{}", of(" a"), of(" b")).replace("/etc/systemd/system/", ""), done);
    let ended: Vec<String> = applied
        .iter()
        .map(|it| match it {
            Applied::Noted(notes) => notes.join("; "),
            Applied::All => "all".to_owned(),
            Applied::Failed { at, .. } => format!("failed at {at}"),
            Applied::Partly { failed } => format!("failed in part: {failed:?}"),
        })
        .collect();
    assert_eq!(ended.join(", "), how);
}

#[test]
fn a_batch_writes_all_files_first_and_reads_them_once() {
    applies(
        None,
        "write a.service, write b.service, enable a, daemon-reload, start a, settled a\n\
         write a.service, write b.service, daemon-reload, validate check, restart b, settled b",
        "all, all",
    );
}

#[test]
fn the_failure_of_one_service_is_not_that_of_another() {
    applies(
        Some("enable a"),
        "write a.service, write b.service, enable a, daemon-reload\n\
         write a.service, write b.service, daemon-reload, validate check, restart b, settled b",
        "failed at 1, all",
    );
    applies(
        Some("validate check"),
        "write a.service, write b.service, enable a, daemon-reload, start a, settled a\n\
         write a.service, write b.service, daemon-reload, validate check",
        "all, failed at 2",
    );
    applies(
        Some("daemon-reload"),
        "write a.service, write b.service, enable a, daemon-reload\n\
         write a.service, write b.service, daemon-reload",
        "failed at 2, failed at 1",
    );
    applies(
        Some("settled a"),
        "write a.service, write b.service, enable a, daemon-reload, start a, settled a\n\
         write a.service, write b.service, daemon-reload, validate check, restart b, settled b",
        "failed at 3, all",
    );
}

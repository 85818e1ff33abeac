//! What is typed about components where nothing of them has ever run.

use super::{Said, steadfast};
use expect_test::{Expect, expect};

#[track_caller]
fn check(arguments: &[&str], code: i32, expected: Expect) {
    let Said { code: found, out, err } = steadfast(arguments);
    expected.assert_eq(&format!("{out}{err}"));
    assert_eq!(found, code);
}

#[test]
fn a_component_of_which_nothing_is_known_is_a_mistake_of_who_types() {
    for command in [&["retry"][..], &["history"], &["status"], &["task"]] {
        for name in ["people/api", "component:people/api"] {
            let after: &[&str] = if command == ["task"] { &["--", "ls"] } else { &[] };
            let Said { code, out, err } = steadfast(&[command, &[name], after].concat());
            let root = rustix::process::geteuid().is_root();
            assert_eq!((code, &*out), (2, ""), "{command:?} {err}");
            let known = err.contains("nothing is known of people/api on this machine");
            assert!(known || !root, "{command:?} {err}");
        }
    }
}

#[test]
fn what_is_no_component_is_told_apart() {
    check(
        &["retry", "people"],
        2,
        expect![[r#"
        error: invalid value 'people' for '<COMPONENT>': `people` is not APPLICATION/COMPONENT, as in people/api

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn a_component_that_only_the_model_has_is_explained() {
    let model = super::flags::model();
    let path = model.path().to_str().unwrap();
    let explain = |thing: &str, more: &[&str]| {
        let asked = ["explain", thing, "--model", path, "--node", "web1"];
        let Said { code, out, err } = steadfast(&[&asked[..], more].concat());
        assert_eq!((code, &*err), (0, ""));
        out
    };
    let text = explain("people/api", &[]);
    assert_eq!(text, explain("component:people/api", &[]));
    expect![[r#"
        component:people/api
          promised by application people at applications/people/application.yaml:8
          production has release 1.4.0 at environments/production/people.yaml:3
          last named by release 1.4.0 at applications/people/releases/1.4.0.yaml:1
          its deployments lie in /srv/people-api

        consists of
          file:/etc/sites/api
          directory:/etc/sites
          user:people
          file:/srv/people-api/current/etc/old.toml
          file:/srv/people-api/current/etc/api.toml
          service:people-api

        on this machine
          nothing of it runs here yet
    "#]]
    .assert_eq(&text);
    expect![[r#"
        {"event":"component","component":"people/api","outcome":null,"release":null,"deployment":null,"previous":null,"bad":[],"waits_for":null,"since":null,"origin":"applications/people/application.yaml:8","wanted":"1.4.0","promises":["file:/etc/sites/api","directory:/etc/sites","user:people","file:/srv/people-api/current/etc/old.toml","file:/srv/people-api/current/etc/api.toml","service:people-api"]}
    "#]].assert_eq(&explain("people/api", &["--format", "json"]));
    expect![[r#"
        nothing is promised about component:people/apt on web1
        did you mean people/api?
    "#]]
    .assert_eq(&explain("people/apt", &[]));
}

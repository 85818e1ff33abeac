//! `steadfast flags`: what a component's programs read on a node, from the model alone.

use super::{Said, steadfast};
use expect_test::{Expect, expect};

/// The model with all that may be said of applications, as files.
pub(super) fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in crate::language::example("ok/applications.txt") {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn flags(more: &[&str]) -> Said {
    let model = model();
    let model = model.path().to_str().unwrap();
    steadfast(&[&["flags", "--model", model], more].concat())
}

#[track_caller]
fn check(more: &[&str], expected: Expect) {
    let said = flags(more);
    assert_eq!((said.code, &*said.err), (0, ""));
    expected.assert_eq(&said.out);
}

#[test]
fn each_flag_has_its_value_and_says_who_gave_it() {
    check(
        &["people/api", "--node", "web1"],
        expect![[r#"
        colour             red    default, not read by this release
        dark               true   node
        first-name-search  false  target
    "#]],
    );
    check(
        &["people/api", "--node", "web2"],
        expect![[r#"
        colour             red    default, not read by this release
        dark               false  default
        first-name-search  false  target
    "#]],
    );
    check(
        &["people/api", "--node", "web1", "--format", "json"],
        expect![[r#"
        {"event":"flag","flag":"colour","value":"red","from":"default","read":false}
        {"event":"flag","flag":"dark","value":true,"from":"node","read":true}
        {"event":"flag","flag":"first-name-search","value":false,"from":"target","read":true}
    "#]],
    );
}

#[test]
fn the_file_is_what_the_programs_read() {
    check(
        &["people/api", "--node", "web1", "--format", "file"],
        expect![[r#"
        {
          "dark": true,
          "first-name-search": false
        }
    "#]],
    );
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let said = |more: &[&str]| {
        let said = flags(more);
        assert_eq!((said.code, &*said.out), (2, ""));
        said.err
    };
    expect![[r#"
        error: no environment of the model names web9
    "#]]
    .assert_eq(&said(&["people/api", "--node", "web9"]));
    expect![[r#"
        error: web1 does not carry people/apo: it has orders/app, people/api, people/listener, people/reader, people/site, people/web
    "#]]
    .assert_eq(&said(&["people/apo", "--node", "web1"]));
    expect![[r#"
        error: db1 does not carry orders/app: it has people/schema
    "#]]
    .assert_eq(&said(&["orders/app", "--node", "db1"]));
    assert!(said(&["people", "--node", "db1"]).contains("APPLICATION/COMPONENT"));
    expect![[r#"
        error: people/web has no `flags: { file: … }`
    "#]]
    .assert_eq(&said(&["people/web", "--node", "web1", "--format", "file"]));
}

#[test]
fn where_a_document_of_the_application_is_broken_its_mistake_is_told() {
    for (path, broken, told) in [
        (
            "environments/production/people.yaml",
            "target: people\nrelease: 1.4.0\nrlease: 1\n",
            "unknown-field",
        ),
        ("environments/production/people.yaml", "target: people\n", "missing-field"),
        (
            "environments/production/people.yaml",
            "target: people\nrelease: 9.9.9\n",
            "unknown-release",
        ),
        (
            "applications/people/releases/1.4.0.yaml",
            "release: people 1.4.0\ncomponents: [\n",
            "bad-yaml",
        ),
        ("applications/people/application.yaml", "application: people\n- a\n", "bad-yaml"),
    ] {
        let model = model();
        std::fs::write(model.path().join(path), broken).unwrap();
        let model = model.path().to_str().unwrap();
        let said = steadfast(&["flags", "--model", model, "people/api", "--node", "web1"]);
        assert_eq!((said.code, &*said.out), (5, ""), "{path}: {}", said.err);
        assert!(said.err.contains(&format!("error[{told}]")), "{path}: {}", said.err);
        assert!(!said.err.contains("does not carry"), "{}", said.err);
    }
}

#[test]
fn more_components_than_a_node_may_have_hold_those_past_the_limit_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in crate::language::example("bad/too-many-components.txt") {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let model = folder.path().to_str().unwrap();
    let flags =
        |component: &str| steadfast(&["flags", "--model", model, component, "--node", "web1"]);
    let held = flags("people/c99");
    assert_eq!(held.code, 5);
    assert!(held.err.contains("error[too-many-components]"), "{}", held.err);
    assert_eq!(flags("people/c0").code, 0);
    // What the node itself promises is not touched by it.
    let run = steadfast(&["run", "--dry-run", "--model", model, "--node", "web1"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
}

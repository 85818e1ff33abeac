//! A run of some promises looks at what bears on them, and at nothing else.

use steadfast_engine::{Observed, Observer};
use steadfast_testkit::host::FakeHost;
use steadfast_testkit::run::{Model, Notebook};

const SERVER: &str = r#"
directories:
  /etc/demo: { mode: "0755" }
files:
  /etc/demo/demo.conf: { content: "a\n", after: ["directory:/etc/demo"], restarts: demo }
  /etc/motd: { content: "b\n" }
  /etc/other: { content: "c\n" }
services:
  demo: { running: true }
"#;

fn looked_at(names: &[&str]) -> Vec<String> {
    let mut promises = Model::of(SERVER, &[]).unwrap().promises;
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    promises.select_named(&names);
    let observed =
        Observed::all(&promises, Observer::ReadOnly(&FakeHost::debian()), &Notebook::default());
    let seen = promises.all.iter().zip(&observed.states).filter(|(_, it)| it.is_ok());
    seen.map(|(it, _)| it.id.to_string()).collect()
}

#[test]
fn one_promise_is_looked_at_alone() {
    assert_eq!(looked_at(&["file:/etc/motd"]), ["file:/etc/motd"]);
}

#[test]
fn with_a_cause_its_service_and_its_needs_are_looked_at() {
    let expected = ["directory:/etc/demo", "file:/etc/demo/demo.conf", "service:demo"];
    assert_eq!(looked_at(&["file:/etc/demo/demo.conf"]), expected);
    assert_eq!(looked_at(&["service:demo"]), ["file:/etc/demo/demo.conf", "service:demo"]);
}

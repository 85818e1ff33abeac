//! What a command says as JSON where there is nothing to say, or where it fails: a program that reads its lines
//! learns as much as a person.

use super::{model, steadfast};
use serde_json::{Value, json};

/// The lines that a command says, and how it ends. A line that names an exit code names that one.
fn lines(arguments: &[&str]) -> (i32, Vec<Value>) {
    let said = steadfast(arguments);
    let all: Vec<Value> = said
        .out
        .lines()
        .map(|it| {
            serde_json::from_str(it).unwrap_or_else(|err| panic!("{arguments:?}: {err}: {it}"))
        })
        .collect();
    assert!(!all.is_empty(), "{arguments:?} ends with {} and says nothing", said.code);
    for line in &all {
        if let Some(exit) = line.get("exit") {
            assert_eq!(exit, said.code, "{arguments:?}: {line}");
        }
    }
    (said.code, all)
}

#[test]
fn every_command_that_fails_or_finds_nothing_says_so_in_json() {
    let (good, bad) = (model("server: web\n"), model("server: web\nfiles: [oops\n"));
    let nobodys = model("server: web\n");
    let environment = nobodys.path().join("environments/test.yaml");
    std::fs::write(environment, "environment: test\nnodes: {}\n").unwrap();
    let [good, bad, nobodys] =
        [&good, &bad, &nobodys].map(|it| it.path().to_str().unwrap().to_owned());
    let (good, bad, nobodys) = (good.as_str(), bad.as_str(), nobodys.as_str());
    let node = ["--node", "node1"];
    let cases: [(&[&str], i32, &str); 13] = [
        (&["run", "--dry-run", "--model", "/nowhere"], 2, "error"),
        (&["run", "--dry-run", "--model", bad, node[0], node[1]], 5, "error"),
        (&["run", "--dry-run"], 2, "error"),
        (&["run", "--dry-run", "--model", good, "--environment", "none"], 2, "error"),
        (&["check", "/nowhere"], 2, "error"),
        (&["check", bad], 5, "summary"),
        (&["check", nobodys], 2, "error"),
        (&["explain", "/a"], 2, "error"),
        (&["explain", "/a", "--model", bad, node[0], node[1]], 5, "error"),
        (&["explain", "/a", "--model", good, node[0], node[1]], 0, "nothing-promised"),
        (&["status"], 7, "error"),
        (&["history"], 0, "no-runs"),
        (&["history", "show", "7"], 2, "error"),
    ];
    for (arguments, code, last) in cases {
        let arguments = [arguments, &["--format", "json"]].concat();
        let (ended, lines) = lines(&arguments);
        assert_eq!(ended, code, "{arguments:?}");
        let event = lines.last().unwrap().get("event").unwrap();
        assert_eq!(event, last, "{arguments:?}: {lines:?}");
    }
    // The mistakes of a model come before, as `check` says them.
    let (_, of_run) =
        lines(&["run", "--dry-run", "--model", bad, "--node", "node1", "--format", "json"]);
    let (_, of_check) = lines(&["check", bad, "--format", "json"]);
    assert_eq!(of_run[0]["event"], "diagnostic");
    assert_eq!(of_run[0], of_check[0]);
}

#[test]
fn what_is_promised_about_nothing_is_told_with_what_may_have_been_meant() {
    let model = model("server: web\nfiles: { /etc/motd: { content: x } }\n");
    let path = model.path().to_str().unwrap();
    let said = ["explain", "file:/etc/mtod", "--model", path, "--node", "node1"];
    let (code, lines) = lines(&[&said[..], &["--format", "json"]].concat());
    let expected = json!({
        "event": "nothing-promised",
        "node": "node1",
        "thing": "file:/etc/mtod",
        "words": "nothing is promised about file:/etc/mtod on node1",
        "near": "file:/etc/motd",
    });
    assert_eq!((code, lines), (0, vec![expected]));
    let said = steadfast(&said);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "nothing is promised about file:/etc/mtod on node1\ndid you mean file:/etc/motd?\n")
    );
}

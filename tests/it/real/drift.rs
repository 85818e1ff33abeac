//! Drift: what other tools do to a machine that keeps its model, and that the next run mends.
//!
//! Each row of a table is one drift. A dry run must foresee its repair, line by line, and change nothing;
//! the run must do exactly that and nothing else; what a shell says afterwards is the witness; and a
//! further run has nothing to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::lab::machine::Machine;
use super::lab::model::{Run, run};

/// What it is called, the script that drifts, the promises that are repaired (with spaces between), and
/// the script that must succeed afterwards.
pub(crate) type Row<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Puts a model of one server into the machine and keeps it.
pub(crate) fn keep(machine: &Machine, server: &str, more: &[(&str, &str)]) {
    machine.server_model(&[&[("servers/web.yaml", server)], more].concat());
    let first = run(machine, &[]);
    assert_eq!(first.exit, 0, "{first:#?}");
    let second = run(machine, &[]);
    assert_eq!(second.outcomes(), [], "{second:#?}");
}

/// Drifts and repairs, row by row. Says what went wrong in all of them.
#[track_caller]
pub(crate) fn each_is_repaired(machine: &Machine, rows: &[Row<'_>]) {
    let mut wrong = String::new();
    for (name, drift, promises, check) in rows {
        let complaints = repaired(machine, drift, promises, check);
        if !complaints.is_empty() {
            writeln!(wrong, "{name}:").unwrap();
            for it in complaints {
                writeln!(wrong, "    {it}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn repaired(machine: &Machine, drift: &str, promises: &str, check: &str) -> Vec<String> {
    let shell = |script: &str| machine.run(&["sh", "-euc", script]);
    let output = shell(drift);
    if output.status != 0 {
        return vec![format!("the drift itself failed: {}{}", output.stdout, output.stderr)];
    }
    let dry = run(machine, &["--dry-run"]);
    let real = run(machine, &[]);
    let mut wrong = came_true(&dry, &real);
    let expected: BTreeSet<&str> = promises.split(' ').filter(|it| !it.is_empty()).collect();
    let outcomes = real.outcomes();
    let seen: BTreeSet<&str> = outcomes.iter().map(|(promise, _)| promise.as_str()).collect();
    if seen != expected || outcomes.iter().any(|(_, outcome)| outcome != "repaired") {
        wrong.push(format!("the run: {outcomes:?}"));
        wrong.extend(seen.iter().map(|it| format!("{it} because {}", real.because(it))));
    }
    if dry.exit != 0 || real.exit != 0 {
        wrong.push(format!("exits {} and {}: {}{}", dry.exit, real.exit, dry.stderr, real.stderr));
    }
    let output = shell(check);
    if output.status != 0 {
        wrong.push(format!("not mended: {}{}", output.stdout, output.stderr));
    }
    let again = run(machine, &[]);
    if !again.outcomes().is_empty() || again.exit != 0 {
        wrong.push(format!("a further run: {:?}", again.outcomes()));
    }
    wrong
}

/// Compares a dry run with the run after it: every line that was certain was done, and nothing was done
/// that was not foreseen, word by word. Where an earlier step has to bring something first, a forecast may
/// be without words.
pub(crate) fn came_true(dry: &Run, real: &Run) -> Vec<String> {
    let done = real.changes();
    let foreseen = dry.forecasts();
    let mut wrong = vec![];
    // A package that is installed may bring what was expected to be done after it, or something else.
    let brought = done.iter().any(|it| it.0.starts_with("package:"));
    let loose =
        |change: &str, certainty: &str| certainty != "certain" && (brought || change.is_empty());
    for (promise, change, certainty) in &foreseen {
        let is_done =
            done.iter().any(|it| it.0 == *promise && (it.1 == *change || loose(change, certainty)));
        let may_be_spared = certainty == "unknown" || (certainty == "expected" && brought);
        if !is_done && !may_be_spared {
            wrong.push(format!("{certainty}, and not done: {promise} {change}"));
        }
    }
    for (promise, change) in &done {
        if !foreseen.iter().any(|it| it.0 == *promise && (it.1 == *change || loose(&it.1, &it.2))) {
            wrong.push(format!("done, and not foreseen: {promise} {change}"));
        }
    }
    wrong
}

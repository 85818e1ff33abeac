//! Scenarios: small scripts about a machine and its model, played by the whole engine.
//!
//! ```text
//! # a title
//! host
//!   group stranger 42
//!   file /etc/motd "old\n" mode=0600
//! model
//!   files: { /etc/app.conf: { content: "a\n" } }
//! fail write /etc/app.conf: No space left on device
//! run
//! heal
//! run
//! ```
//!
//! `host` and `drift` have the same lines below them, `model` has the text of a server. `dry-run`,
//! `run` and `crash N` (a run that dies right after its Nth effect) print what they said. `adopt` says
//! that what follows is another revision's doing; `back` goes back from it to the model that was said
//! last, `back N` dies after the Nth effect; `release remove` and `release restore` act on what left the
//! model.

use crate::host::{Brought, FakeHost, Fault, Matter, Moment, Stock, Thing};
use crate::run::{Model, Notebook, Run, converge_or_die, dry_run, go_back, or_die, release};
use std::fmt::Write as _;
use std::sync::Arc;
use steadfast_engine::debt::RunnerRecord;
use steadfast_engine::{Budget, Extent, Forecast, NotKept, Outcome};
use steadfast_system::files::Bar;
use steadfast_system::packages::version::Version;
use steadfast_system::{AbsPath, GroupName, PackageName, UnitName, UserName};

/// Plays a script; gives what it printed.
pub fn play(script: &str) -> String {
    let mut out = String::new();
    let mut host = FakeHost::debian();
    let mut model: Option<Model> = None;
    let mut ledger = Notebook::default();
    let mut budget = Budget::default();
    let lines: Vec<&str> = script.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        let block: Vec<&str> = lines[at..]
            .iter()
            .take_while(|it| it.starts_with("  ") || it.is_empty())
            .map(|it| it.get(2..).unwrap_or(""))
            .collect();
        at += block.len();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        writeln!(out, "> {line}").unwrap();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "host" => {
                for line in block {
                    let starts = line.starts_with("running ");
                    host = setting(host, line);
                    host = if starts { host } else { host.booted() };
                }
            }
            "drift" => {
                for line in block {
                    host = setting(host, line);
                }
            }
            "model" => match Model::of(&block.join("\n"), &[]) {
                Ok(new) => {
                    out.push_str(&new.warnings);
                    model = Some(new);
                }
                Err(told) => out.push_str(&told),
            },
            "budget" => {
                for (name, value) in rest.split(' ').filter_map(|it| it.split_once('=')) {
                    let value = Some(value.parse().unwrap());
                    match name {
                        "changes" => budget.changes = value,
                        "deletions" => budget.deletions = value,
                        "restarts" => budget.restarts = value,
                        _ => panic!("no such budget: {name}"),
                    }
                }
            }
            "fail" => {
                let (prefix, why) = rest.split_once(": ").unwrap();
                host.break_effect(prefix, why);
            }
            "heal" => host.heal(),
            "forget" => ledger = Notebook::default(),
            "damage" => {
                let record = RunnerRecord { damaged: true, ..RunnerRecord::default() };
                ledger.records.insert(UnitName::parse(rest).unwrap(), record);
            }
            "run" | "crash" => {
                let model = model.as_ref().expect("a model comes before a run");
                host.expect_fault(
                    rest.parse::<usize>()
                        .ok()
                        .map(|it| Fault { at: it - 1, moment: Moment::DeathAfter }),
                );
                match converge_or_die(&host, &model.promises, &mut ledger, budget) {
                    Some(run) => show(&mut out, &run),
                    None => out.push_str("the process died\n"),
                }
                for effect in host.log() {
                    writeln!(out, "  . {effect}").unwrap();
                }
            }
            "adopt" => ledger.made.clear(),
            "back" | "release" => {
                let model = model.as_ref().expect("a model comes before a run");
                host.expect_fault(
                    rest.parse::<usize>()
                        .ok()
                        .map(|it| Fault { at: it - 1, moment: Moment::DeathAfter }),
                );
                let run = or_die(|| match rest {
                    "remove" => release(&host, &model.promises, &mut ledger, Extent::Made),
                    "restore" => release(&host, &model.promises, &mut ledger, Extent::Everything),
                    _ => go_back(&host, &model.promises, &mut ledger),
                });
                match run {
                    Some(run) => show(&mut out, &run),
                    None => out.push_str("the process died\n"),
                }
                for effect in host.log() {
                    writeln!(out, "  . {effect}").unwrap();
                }
            }
            "dry-run" => {
                let model = model.as_ref().expect("a model comes before a run");
                host.expect_fault(None);
                forecast(&mut out, model, &host, &ledger, budget);
                assert_eq!(host.log(), [""; 0], "a dry run had effects");
            }
            _ => panic!("no such command: {line}"),
        }
    }
    out
}

fn show(out: &mut String, run: &Run) {
    for undone in &run.undone {
        writeln!(out, "undone {}", undone.promise).unwrap();
        for change in &undone.changes {
            writeln!(out, "  {change}").unwrap();
        }
        for why in &undone.left {
            writeln!(out, "  left: {why}").unwrap();
        }
    }
    for verdict in &run.verdicts {
        let outcome = &verdict.outcome;
        if *outcome == Outcome::Kept && verdict.notes.is_empty() {
            continue;
        }
        writeln!(out, "{} {}", outcome.word(), verdict.promise).unwrap();
        for change in &verdict.changes {
            writeln!(out, "  {change}").unwrap();
        }
        if let Outcome::NotKept(NotKept::Failed { change, .. }) = outcome {
            writeln!(out, "  {change}").unwrap();
        }
        for why in outcome.because() {
            writeln!(out, "  because: {why}").unwrap();
        }
        for note in &verdict.notes {
            writeln!(out, "  note: {note}").unwrap();
        }
    }
    let it = run.summary;
    writeln!(
        out,
        "{} kept, {} repaired, {} not kept, {} held; of the forecast {} of {} certain and {} of {} expected",
        it.kept,
        it.repaired,
        it.not_kept,
        it.held,
        it.certain.1,
        it.certain.0,
        it.expected.1,
        it.expected.0
    )
    .unwrap();
}

fn forecast(out: &mut String, model: &Model, host: &FakeHost, ledger: &Notebook, budget: Budget) {
    let plan = dry_run(host, &model.promises, ledger, budget);
    for (promise, entry) in model.promises.all.iter().zip(&plan.entries) {
        if promise.implied && entry.forecast == Forecast::Kept {
            continue;
        }
        for (forecast, changes) in entry.steps() {
            writeln!(out, "{} {}", forecast.word(), promise.id).unwrap();
            for change in changes {
                writeln!(out, "  {change}").unwrap();
            }
            for why in forecast.because() {
                writeln!(out, "  because: {why}").unwrap();
            }
        }
        for note in &entry.notes {
            writeln!(out, "  note: {note}").unwrap();
        }
    }
}

/// The words of a line; `"a b\n"` is one, with its escapes.
fn words(line: &str) -> Vec<String> {
    let mut all = vec![];
    let mut letters = line.chars().peekable();
    while letters.peek().is_some() {
        let mut word = String::new();
        let (mut quoted, mut any) = (false, false);
        while let Some(it) = letters.next() {
            match it {
                '"' => {
                    quoted = !quoted;
                    any = true;
                }
                ' ' if !quoted => break,
                '\\' if quoted => match letters.next() {
                    Some('n') => word.push('\n'),
                    Some(it) => word.push(it),
                    None => {}
                },
                it => word.push(it),
            }
        }
        if any || !word.is_empty() {
            all.push(word);
        }
    }
    all
}

/// One line below `host` or `drift`.
fn setting(host: FakeHost, line: &str) -> FakeHost {
    let words = words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let path = |text: &str| AbsPath::parse(text).unwrap();
    let unit = |text: &str| UnitName::parse(text).unwrap();
    let options = |from: usize| -> Vec<(&str, &str)> {
        words.iter().skip(from).filter_map(|it| it.split_once('=')).collect()
    };
    match words[..] {
        [] => host,
        ["group", name, gid] => host.with_group(name, gid.parse().unwrap()),
        ["members", group, ref members @ ..] => host.with_members(group, members),
        ["user", name, id, home] => {
            let id: u32 = id.parse().unwrap();
            host.with_group(name, id).with_user(name, id, id, home)
        }
        ["process", uid, name] => host.with_process(uid.parse().unwrap(), 4711, name),
        ["file", at, content, ..] => {
            host.with_thing(at, attributes(Thing::file(content), &options(3)))
        }
        ["directory", at, ..] => {
            let folder = Thing { mode: 0o755, ..Thing::of(Matter::Directory) };
            host.with_thing(at, attributes(folder, &options(2)))
        }
        ["link", at, target] => host.with_link(at, target),
        ["remove", at] => host.with(|world| world.take(&path(at))),
        ["immutable", at] => host.with(|world| {
            world.files.get_mut(&path(at)).unwrap().bar = Some(Bar::Immutable);
        }),
        ["changeable", at] => host.with(|world| {
            world.files.get_mut(&path(at)).unwrap().bar = None;
        }),
        ["remove-group", name] => host.with(|world| {
            world.groups.remove(&GroupName::parse(name).unwrap());
        }),
        ["remove-user", name] => host.with(|world| {
            world.users.remove(&UserName::parse(name).unwrap());
        }),
        ["unit", name, text] => host.with_unit(name, text),
        ["running", name] => host.with_running(name),
        ["enabled", name] => host.with_enabled(name),
        ["masked", name] => host.with_mask(name),
        ["stopped", name] => host.with(|world| {
            world.started.remove(&unit(name));
        }),
        ["restarted", name] => host
            .with(|world| {
                world.started.remove(&unit(name));
            })
            .with_running(name),
        ["broken", name] => host.with(|world| {
            world.failing.insert(unit(name));
        }),
        ["mended", name] => host.with(|world| {
            world.failing.remove(&unit(name));
        }),
        ["sick", name, answer] => host.with(|world| {
            world.sick.insert(unit(name), answer.to_owned());
        }),
        ["well", name] => host.with(|world| {
            world.sick.remove(&unit(name));
        }),
        ["secret", name, value] => host.with_secret(name, value),
        ["stale"] => host.with(|world| world.lists.stale = true),
        ["package", name, version] => host.with_package(name, version),
        ["held", name] => host.with(|world| {
            world.packages.get_mut(&PackageName::parse(name).unwrap()).unwrap().0.hold = true;
        }),
        ["stock", name, version, ..] => {
            let stock = stock(version, &options(3));
            host.with(|world| {
                world.shelves.entry(PackageName::parse(name).unwrap()).or_default().push(stock);
            })
        }
        ["news", name, version, ..] => {
            let stock = stock(version, &options(3));
            host.with(|world| {
                world.news.entry(PackageName::parse(name).unwrap()).or_default().push(stock);
            })
        }
        _ => panic!("no such line: {line}"),
    }
}

fn attributes(mut thing: Thing, options: &[(&str, &str)]) -> Thing {
    for (name, value) in options {
        match *name {
            "mode" => thing.mode = u16::from_str_radix(value, 8).unwrap(),
            "uid" => thing.uid = value.parse().unwrap(),
            "gid" => thing.gid = value.parse().unwrap(),
            "links" => thing.links = value.parse().unwrap(),
            _ => panic!("no such attribute: {name}"),
        }
    }
    thing
}

fn stock(version: &str, options: &[(&str, &str)]) -> Stock {
    let mut stock = Stock {
        version: Version::parse(version).unwrap(),
        priority: 500,
        suites: vec![Arc::from("bookworm")],
        brings: vec![],
        conflicts: vec![],
        depends: vec![],
    };
    let Stock { brings, conflicts, depends, .. } = &mut stock;
    let two = |value: &str| -> (AbsPath, Arc<str>) {
        let (path, text) = value.split_once(':').unwrap();
        (AbsPath::parse(path).unwrap(), Arc::from(text))
    };
    for (name, value) in options {
        match *name {
            "file" => {
                let (path, text) = two(value);
                brings.push(Brought::File(path, text));
            }
            "conffile" => {
                let (path, text) = two(value);
                brings.push(Brought::Conffile(path, text));
            }
            "directory" => brings.push(Brought::Directory(AbsPath::parse(value).unwrap())),
            "user" => {
                let (name, uid) = value.split_once(':').unwrap();
                let name = GroupName::parse(name).unwrap();
                brings.push(Brought::User(name, uid.parse().unwrap()));
            }
            "runs" => brings.push(Brought::Runs(UnitName::parse(value).unwrap())),
            "conflicts" => conflicts.push(PackageName::parse(value).unwrap()),
            "depends" => depends.push(PackageName::parse(value).unwrap()),
            _ => panic!("nothing brings a {name}"),
        }
    }
    stock
}

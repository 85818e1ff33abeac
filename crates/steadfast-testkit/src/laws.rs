//! The laws: what holds for every kind of promise, from every starting point, whatever fails when.
//!
//! What a promise means is said once more by each test, as an oracle over the machine that knows
//! nothing of `observe` and `plan`: that a second look finds no difference proves only that `plan`
//! agrees with itself.

use crate::host::{FakeHost, Fault, INJECTED, Moment, World};
use crate::run::{Model, Notebook, Run, certain, converge, converge_or_die, dry_run};
use std::collections::BTreeMap;
use std::fmt::Debug;
use steadfast_engine::{Budget, Held, NotKept, Outcome};

/// A promise, as a test makes it.
pub trait Subject: Debug {
    /// `group:app`.
    fn id(&self) -> String;
    /// `groups`.
    fn section(&self) -> &'static str;
    /// `app: { gid: 7 }`, on one line.
    fn yaml(&self) -> String;
    /// Whether the machine is as promised.
    fn holds(&self, world: &World) -> bool;
    /// Whether a run can keep it on this machine, where nothing fails.
    fn keepable(&self, start: &World) -> bool;
    /// The verdict where nothing fails and it can be kept; none where that hangs on other promises.
    fn verdict(&self, start: &World) -> Option<Outcome> {
        Some(if self.holds(start) { Outcome::Kept } else { Outcome::Repaired })
    }
    /// Takes out of the machine whatever the promise is about, as seen from where the run started.
    fn erase(&self, world: &mut World, start: &World);
}

/// How many runs may be needed after a fault.
const PATIENCE: usize = 3;

/// The text of a server that makes these promises, in this order.
pub fn text(subjects: &[&dyn Subject]) -> String {
    let mut sections: Vec<(&str, String)> = vec![];
    for subject in subjects {
        let line = format!("  {}\n", subject.yaml());
        match sections.iter_mut().find(|(section, _)| *section == subject.section()) {
            Some((_, text)) => text.push_str(&line),
            None => sections.push((subject.section(), line)),
        }
    }
    sections.iter().map(|(section, text)| format!("{section}:\n{text}")).collect()
}

/// A machine without what runs always touch: clocks, backups, counters.
fn frame(world: &World, subjects: &[&dyn Subject], start: &World) -> World {
    let mut world = world.clone();
    for subject in subjects {
        subject.erase(&mut world, start);
    }
    let packages = subjects.iter().any(|it| it.section() == "packages");
    if packages {
        world.news.clear();
        world.shelves.clear();
        world.lists.age = None;
        world.lists.stale = false;
        world.lists.refreshed = false;
        world.lists.failed = None;
    }
    world.clock = 0;
    world.loaded = 0;
    world.kept.clear();
    world.secret_paths.clear();
    world.next_invocation = 0;
    world.read.clear();
    world.waited.clear();
    world.asked.clear();
    world
}

/// What differs between two machines, as lines; none where they are equal.
fn differences(before: &World, after: &World) -> Option<String> {
    if before == after {
        return None;
    }
    let lines = |world: &World| -> Vec<String> {
        let files = world.files.iter().map(|(path, it)| format!("{path}: {it:?}"));
        let rest = World { files: BTreeMap::new(), ..world.clone() };
        files.chain(format!("{rest:#?}").lines().map(str::to_owned)).collect()
    };
    let (before, after) = (lines(before), lines(after));
    let gone = before.iter().filter(|it| !after.contains(it)).map(|it| format!("- {it}\n"));
    let new = after.iter().filter(|it| !before.contains(it)).map(|it| format!("+ {it}\n"));
    Some(gone.chain(new).collect())
}

/// A machine without the times and numbers that hang on the order of things.
fn timeless(world: &World) -> World {
    let mut world = frame(world, &[], world);
    for thing in world.files.values_mut() {
        thing.changed = 0;
    }
    for started in world.started.values_mut() {
        (started.invocation, started.since, started.configured) = (0, 0, 0);
    }
    for group in world.groups.values_mut() {
        group.members.sort();
    }
    world
}

/// Checks every law for these promises from this starting point. Gives how many faults were tried.
#[track_caller]
pub fn check(start: &World, subjects: &[&dyn Subject], files: &[(&str, &str)]) -> usize {
    let text = text(subjects);
    let model = Model::of(&text, files).unwrap_or_else(|told| panic!("{text}\n{told}"));
    let budget = Budget::default();
    let framed = frame(start, subjects, start);

    // Where nothing fails.
    let host = FakeHost::new(start.clone());
    let mut ledger = Notebook::default();
    let plan = dry_run(&host, &model.promises, &ledger, budget);
    assert_eq!(host.log(), [""; 0], "a dry run had effects\n{text}");
    let run = converge(&host, &model.promises, &mut ledger, budget);
    let effects = host.log();
    let end = host.world();
    let context = || format!("\n{text}{:#?}\n{effects:#?}", run.verdicts);
    for subject in subjects {
        let outcome =
            run.outcome(&subject.id()).unwrap_or_else(|| panic!("no verdict{}", context()));
        if !subject.keepable(start) {
            let told = match outcome {
                Outcome::NotKept(
                    NotKept::Refused(_) | NotKept::Missing(_) | NotKept::Unhealthy(_),
                )
                | Outcome::Held(Held::NeedNotKept { .. }) => true,
                Outcome::NotKept(
                    NotKept::Unobserved(_) | NotKept::Failed { .. } | NotKept::StillDiffers { .. },
                )
                | Outcome::Held(_)
                | Outcome::Kept
                | Outcome::Repaired => false,
            };
            assert!(told, "{subject:?} cannot be kept: {outcome:?}{}", context());
            continue;
        }
        match subject.verdict(start) {
            Some(expected) => assert_eq!(*outcome, expected, "{subject:?}{}", context()),
            None => assert!(outcome.is_good(), "{subject:?}: {outcome:?}{}", context()),
        }
        assert!(subject.holds(&end), "{subject:?} does not hold{}\n{end:#?}", context());
    }
    if let Some(what) = differences(&framed, &frame(&end, subjects, start)) {
        panic!("something that nobody promised changed:\n{what}{}", context());
    }
    let done: Vec<(String, String)> = run
        .verdicts
        .iter()
        .flat_map(|it| it.changes.iter().map(|change| (it.promise.clone(), change.clone())))
        .collect();
    for line in certain(&model.promises, &plan) {
        assert!(done.contains(&line), "certain, and not done: {line:?}{}", context());
    }
    fixed(&host, &model, &mut ledger, subjects, start, &text);

    // With every fault.
    let mut faults = 0;
    for at in 0..effects.len() {
        for moment in [Moment::Before, Moment::After, Moment::DeathBefore, Moment::DeathAfter] {
            faults += 1;
            let fault = Fault { at, moment };
            let host = FakeHost::new(start.clone());
            let mut ledger = Notebook::default();
            host.expect_fault(Some(fault));
            let run = converge_or_die(&host, &model.promises, &mut ledger, budget);
            if let Some(run) = &run {
                honest(run, &host.world(), subjects, start, fault, &text);
            }
            host.heal();
            let kept = |run: &Run| {
                subjects
                    .iter()
                    .filter(|it| it.keepable(start))
                    .all(|it| run.outcome(&it.id()).is_some_and(Outcome::is_good))
            };
            let mut last = None;
            for _ in 0..PATIENCE {
                host.expect_fault(None);
                let run = converge(&host, &model.promises, &mut ledger, budget);
                let good = kept(&run);
                last = Some(run);
                if good {
                    break;
                }
            }
            let end = host.world();
            for subject in subjects.iter().filter(|it| it.keepable(start)) {
                assert!(
                    subject.holds(&end),
                    "{subject:?} does not hold after {fault:?} of {effects:#?}\n{text}{run:#?}\n{last:#?}"
                );
            }
            if let Some(what) = differences(&framed, &frame(&end, subjects, start)) {
                panic!(
                    "something that nobody promised changed:\n{what}after {fault:?} of {effects:#?}\n{text}"
                );
            }
            fixed(&host, &model, &mut ledger, subjects, start, &text);
        }
    }
    faults
}

/// The next run does nothing.
#[track_caller]
fn fixed(
    host: &FakeHost,
    model: &Model,
    ledger: &mut Notebook,
    subjects: &[&dyn Subject],
    start: &World,
    text: &str,
) {
    host.expect_fault(None);
    let run = converge(host, &model.promises, ledger, Budget::default());
    for subject in subjects.iter().filter(|it| it.keepable(start)) {
        assert_eq!(run.outcome(&subject.id()), Some(&Outcome::Kept), "not a fixed point\n{text}");
    }
    assert_eq!(host.log(), [""; 0], "a run with nothing to do had effects\n{text}");
}

/// Nothing is claimed that is not so, and what failed is named.
#[track_caller]
fn honest(
    run: &Run,
    end: &World,
    subjects: &[&dyn Subject],
    start: &World,
    fault: Fault,
    text: &str,
) {
    let (mut named, mut good) = (0, 0);
    for subject in subjects {
        let context = || format!("{subject:?} with {fault:?}\n{text}{run:#?}");
        match run.outcome(&subject.id()) {
            Some(Outcome::Kept | Outcome::Repaired) => {
                assert!(subject.holds(end), "claimed, and not so: {}", context());
                good += 1;
            }
            Some(Outcome::NotKept(NotKept::Failed { error, change: _ })) => {
                let chain = error.chain();
                assert!(chain.iter().any(|it| it == INJECTED), "{chain:?}: {}", context());
                named += 1;
            }
            Some(Outcome::Held(Held::NeedNotKept { .. })) => {}
            Some(Outcome::NotKept(
                NotKept::Refused(_) | NotKept::Missing(_) | NotKept::Unhealthy(_),
            )) if !subject.keepable(start) || subjects.len() > 1 => {}
            other => panic!("{other:?}: {}", context()),
        }
    }
    // What was done in spite of its error may be judged by what it did.
    let harmless = fault.moment == Moment::After && good == subjects.len();
    assert!(named > 0 || harmless, "nobody names the fault {fault:?}\n{text}{run:#?}");
}

/// Whatever the order of the promises in the model, the machine becomes the same.
#[track_caller]
pub fn check_order(start: &World, subjects: &[&dyn Subject], orders: &[Vec<usize>]) {
    let mut ends: BTreeMap<String, World> = BTreeMap::new();
    for order in orders {
        let permuted: Vec<&dyn Subject> = order.iter().map(|at| subjects[*at]).collect();
        let text = text(&permuted);
        let model = Model::of(&text, &[]).unwrap_or_else(|told| panic!("{text}\n{told}"));
        let host = FakeHost::new(start.clone());
        converge(&host, &model.promises, &mut Notebook::default(), Budget::default());
        ends.insert(text, timeless(&host.world()));
    }
    let mut all = ends.iter();
    let Some((first_text, first)) = all.next() else { return };
    for (text, end) in all {
        if let Some(what) = differences(first, end) {
            panic!("order matters:\n{what}{first_text}\n{text}");
        }
    }
}

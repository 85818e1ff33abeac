//! A model as text, carried out on a machine in memory by the whole engine, with a ledger in memory.

use crate::host::{Crash, FakeHost};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use steadfast_engine::debt::{Debt, RunnerRecord};
use steadfast_engine::{
    Amended, Assessment, Budget, Circumstances, Event, Extent, Forecast, Ledger, Managed, Observer,
    Outcome, Plan, Promises, Reporter, Scope, Step, StepEnd, Summary, UndoEntry, UnitId, promised,
};
use steadfast_model::{Diagnostics, NodeInput, Severity, SourceSet, document, render};
use steadfast_resources::Facet;
use steadfast_system::{SystemError, UnitName};

/// The promises of the only node of a model.
#[derive(Debug)]
pub struct Model {
    pub promises: Promises,
    /// What was said without being an error.
    pub warnings: String,
}

impl Model {
    /// `server` is the text of a server below its first line; `files` are further files of the model.
    pub fn of(server: &str, files: &[(&str, &str)]) -> Result<Model, String> {
        let mut sources = SourceSet::default();
        sources.add("model.yaml", b"model: test\nformat: 1\n".as_slice(), false);
        let environment = "environment: test\nnodes: { node: { servers: [web] } }\n";
        sources.add("environments/test.yaml", environment.as_bytes(), false);
        sources.add("servers/web.yaml", format!("server: web\n{server}").as_bytes(), false);
        for (path, text) in files {
            sources.add(*path, text.as_bytes(), false);
        }
        let mut diagnostics = Diagnostics::default();
        let (model, found) = document::parse(&sources);
        diagnostics.extend(found);
        let facts = serde_json::json!({ "hostname": "node", "fqdn": "node" });
        let input = NodeInput {
            environment: "test",
            node: "node",
            facts: Some(&facts),
            releases: &BTreeMap::new(),
        };
        let (_, promises, found) = promised::lower(&model, &sources, &input);
        diagnostics.extend(found);
        let told: String = diagnostics
            .iter()
            .filter(|it| it.severity != Severity::Hint)
            .map(|it| render::text(it, &sources, false))
            .collect();
        let bad = diagnostics.iter().any(|it| it.severity == Severity::Error);
        if bad { Err(told) } else { Ok(Model { promises, warnings: told }) }
    }
}

/// What services owe, as the state directory would know it. It survives a crash.
#[derive(Clone, Debug, Default)]
pub struct Notebook {
    pub records: BTreeMap<UnitName, RunnerRecord>,
    /// What was made since it was last cleared.
    pub made: BTreeMap<Facet, UndoEntry>,
    /// The steps of units that are under way, with what each has made.
    pub steps: BTreeMap<UnitId, BTreeMap<Facet, UndoEntry>>,
}

impl Notebook {
    fn rows(&mut self, scope: &Scope) -> &mut BTreeMap<Facet, UndoEntry> {
        match scope {
            Scope::Node => &mut self.made,
            Scope::Unit(unit) => self.steps.entry(unit.clone()).or_default(),
        }
    }
}

impl Ledger for Notebook {
    fn records(&self, units: &[UnitName]) -> Vec<RunnerRecord> {
        units.iter().map(|it| self.records.get(it).cloned().unwrap_or_default()).collect()
    }

    fn owe(&mut self, debts: &[(UnitName, Debt)]) -> Result<(), SystemError> {
        for (unit, debt) in debts {
            self.records.entry(unit.clone()).or_default().debts.push(debt.clone());
        }
        Ok(())
    }

    fn settle(&mut self, unit: &UnitName, record: RunnerRecord) -> Result<(), SystemError> {
        self.records.insert(unit.clone(), record);
        Ok(())
    }

    fn trace(&mut self, made: &[UndoEntry]) -> Result<(), SystemError> {
        for one in made {
            match self.rows(&one.scope).entry(one.facet.clone()) {
                Entry::Vacant(unknown) => drop(unknown.insert(one.clone())),
                Entry::Occupied(mut known) => known.get_mut().again(one),
            }
        }
        Ok(())
    }

    fn amend(&mut self, scope: &Scope, amended: &[(Facet, Amended)]) -> Result<(), SystemError> {
        let rows = self.rows(scope);
        for (thing, amended) in amended {
            let Some(made) = rows.get_mut(thing) else { continue };
            if amended.ends(made) {
                rows.remove(thing);
            } else if let Amended::After(after) = amended {
                made.after = after.clone();
            }
        }
        Ok(())
    }

    fn begin_undo(&mut self, scope: &Scope, things: &[Facet]) -> Result<(), SystemError> {
        let rows = self.rows(scope);
        for thing in things {
            if let Some(made) = rows.get_mut(thing) {
                made.begun = true;
            }
        }
        Ok(())
    }

    fn begin_step(&mut self, unit: &UnitId) -> Result<(), SystemError> {
        self.steps.entry(unit.clone()).or_default();
        Ok(())
    }

    fn open_steps(&self) -> Result<Vec<(UnitId, Vec<UndoEntry>)>, SystemError> {
        let step = |(unit, its): (&UnitId, &BTreeMap<Facet, UndoEntry>)| {
            (unit.clone(), its.values().cloned().collect())
        };
        Ok(self.steps.iter().map(step).collect())
    }

    fn end_step(&mut self, unit: &UnitId, _end: StepEnd) -> Result<(), SystemError> {
        self.steps.remove(unit);
        Ok(())
    }
}

/// The verdict on one promise, with what was done and said.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub promise: String,
    pub outcome: Outcome,
    pub changes: Vec<String>,
    pub notes: Vec<String>,
}

/// What was taken back of what a promise had left.
#[derive(Clone, Debug, PartialEq)]
pub struct Undone {
    pub promise: String,
    pub changes: Vec<String>,
    pub left: Vec<String>,
}

/// A run that came to its end.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub plan: Plan,
    pub verdicts: Vec<Verdict>,
    pub undone: Vec<Undone>,
    /// What became of the steps of units.
    pub steps: Vec<(String, Step)>,
    pub summary: Summary,
}

impl Run {
    pub fn outcome(&self, promise: &str) -> Option<&Outcome> {
        self.verdicts.iter().find(|it| it.promise == promise).map(|it| &it.outcome)
    }
}

impl Reporter for Run {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { plan, .. } => self.plan = (*plan).clone(),
            Event::Working { .. } | Event::Undoing { .. } => {}
            Event::Step { unit, step } => self.steps.push((unit.to_string(), *step)),
            Event::Undone { promise, changes, left } => self.undone.push(Undone {
                promise: promise.to_string(),
                changes: changes.iter().map(ToString::to_string).collect(),
                left: left.to_vec(),
            }),
            Event::Judged { promise, outcome, changes, notes } => self.verdicts.push(Verdict {
                promise: promise.id.to_string(),
                outcome: (*outcome).clone(),
                changes: changes.iter().map(ToString::to_string).collect(),
                notes: notes.to_vec(),
            }),
            Event::Finished { summary } => self.summary = **summary,
        }
    }
}

fn root(budget: Budget) -> Circumstances {
    Circumstances { root: true, budget }
}

/// Looks and plans. Whoever asks, the plan is held to what must be true of every plan.
fn assess(
    promises: &Promises,
    observer: Observer<'_>,
    ledger: &Notebook,
    budget: Budget,
) -> Assessment {
    let assessment = steadfast_engine::look(promises, observer, ledger, root(budget));
    let flaws: Vec<String> = assessment.flaws(promises).iter().map(ToString::to_string).collect();
    assert_eq!(flaws, [""; 0], "{:#?}", assessment.plan);
    assessment
}

/// One run.
pub fn converge(
    host: &FakeHost,
    promises: &Promises,
    ledger: &mut Notebook,
    budget: Budget,
) -> Run {
    let mut run = Run::default();
    let assessment = assess(promises, Observer::MayRun(host), ledger, budget);
    steadfast_engine::converge(promises, assessment, host, ledger, &mut run);
    run
}

/// How the standard library tells that a scoped thread died.
const SCOPED: &str = "a scoped thread panicked";

/// Goes back to these promises: what they do not decide is taken back first, then they are kept. What
/// was taken back is forgotten.
pub fn go_back(host: &FakeHost, promises: &Promises, ledger: &mut Notebook) -> Run {
    let managed = managed_by(host, promises, ledger);
    take_back(host, promises, ledger, Extent::Everything, |it| managed.leaves(it))
}

/// Acts on what these promises do not name any more, and keeps them.
pub fn release(host: &FakeHost, promises: &Promises, ledger: &mut Notebook, extent: Extent) -> Run {
    let managed = managed_by(host, promises, ledger);
    take_back(host, promises, ledger, extent, |it| (!managed.names(it)).then(|| it.clone()))
}

/// What these promises are about, beside what the ledger remembers.
pub fn managed_by<'a>(host: &FakeHost, promises: &'a Promises, ledger: &Notebook) -> Managed<'a> {
    let made: Vec<UndoEntry> = ledger.made.values().cloned().collect();
    Managed::from_promises(promises, &made, host)
}

fn take_back(
    host: &FakeHost,
    promises: &Promises,
    ledger: &mut Notebook,
    extent: Extent,
    which: impl Fn(&UndoEntry) -> Option<UndoEntry>,
) -> Run {
    let made: Vec<UndoEntry> = ledger.made.values().filter_map(which).collect();
    let mut run = Run::default();
    let budget = Budget::default();
    let results = steadfast_engine::undo(&made, extent, budget, host, ledger, &mut run);
    for (made, result) in made.iter().zip(results) {
        if result.is_ok() {
            ledger.made.remove(&made.facet);
        }
    }
    let assessment = assess(promises, Observer::MayRun(host), ledger, budget);
    steadfast_engine::converge(promises, assessment, host, ledger, &mut run);
    run
}

/// One run, in which the process may die: then there is no verdict.
pub fn converge_or_die(
    host: &FakeHost,
    promises: &Promises,
    ledger: &mut Notebook,
    budget: Budget,
) -> Option<Run> {
    or_die(|| converge(host, promises, ledger, budget))
}

/// A run, in which the process may die: then there is no verdict.
pub fn or_die(run: impl FnOnce() -> Run) -> Option<Run> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&SCOPED) {
                tell(info);
            }
        }));
    });
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(run) => Some(run),
        Err(thrown) => {
            let scoped = thrown.downcast_ref::<&str>() == Some(&SCOPED);
            if thrown.is::<Crash>() || scoped {
                return None;
            }
            std::panic::resume_unwind(thrown)
        }
    }
}

pub fn dry_run(host: &FakeHost, promises: &Promises, ledger: &Notebook, budget: Budget) -> Plan {
    let mut run = Run::default();
    let assessment = assess(promises, Observer::ReadOnly(host), ledger, budget);
    steadfast_engine::dry_run(promises, assessment, &mut run)
}

/// The lines that a plan says are certain, for each promise.
pub fn certain(promises: &Promises, plan: &Plan) -> Vec<(String, String)> {
    let entries = promises.all.iter().zip(&plan.entries);
    entries
        .flat_map(|(promise, entry)| {
            let lines = entry.foreseen().filter(|it| *it.1 == Forecast::Certain);
            lines.map(|it| (promise.id.to_string(), it.0.to_string()))
        })
        .collect()
}

//! Preparing a revision for this node, and running.

use crate::Surroundings;
use crate::adopted;
use crate::commands::run::{self, ByAgent, RunArgs, Task, run_once};
use crate::exit::{Exit, Failure, Outcome};
use crate::model;
use crate::released;
use crate::render::report;
use crate::ui::Ui;
use steadfast_agent::machine::{Hindrance, Prepared, Why};
use steadfast_agent::memory::{self, Gate, Revision};
use steadfast_agent::wire::{PrepareAnswer, PrepareTask, RunLine, RunTask};
use steadfast_engine::{Budget, Circumstances, Observer};
use steadfast_model::Severity;
use steadfast_store::Layout;

/// So many problems are told: whoever wants all of them checks the model.
const PROBLEMS: usize = 5;

pub(super) fn prepare(
    task: &PrepareTask,
    layout: &Layout,
    surroundings: &Surroundings,
    ui: &Ui,
) -> PrepareAnswer {
    let failed = |words: String| PrepareAnswer::Problems(vec![words]);
    let record = match adopted::record(layout, &task.revision) {
        Ok(record) => record,
        Err(error) => return failed(format!("{error:#}")),
    };
    let mut loaded = match model::load(&layout.content().join(&record.content)) {
        Ok(loaded) => loaded,
        Err(failure) => return failed(format!("{:#}", failure.error)),
    };
    let named_model = loaded.model.name.as_ref().map(|it| it.value.to_string()).unwrap_or_default();
    let facts = model::facts(layout, ui);
    let target = model::target(&mut loaded, Some(&task.environment), &task.node, &facts);
    if let Ok(Some(target)) = &target {
        loaded.diagnostics.extend(model::unknown_zones(&target.resolved.policy));
    }
    let problems: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| format!("{}: {}", loaded.sources.place(it.span), it.message))
        .collect();
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(PROBLEMS);
        let mut told: Vec<String> = problems.into_iter().take(PROBLEMS).collect();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        return PrepareAnswer::Problems(told);
    }
    let target = match target {
        Ok(target) => target,
        Err(failure) => return failed(format!("{:#}", failure.error)),
    };
    let prepared = match target {
        None => Prepared {
            model: named_model,
            named: false,
            promises: 0,
            gate: Gate::default(),
            hindrance: None,
        },
        Some(target) => {
            let hindrance = match hindrance(task, &target, layout, surroundings, ui) {
                Ok(found) => found,
                // Whoever cannot tell what it would do must not let it.
                Err(failure) => return failed(format!("{:#}", failure.error)),
            };
            let policy = &target.resolved.policy;
            Prepared {
                model: named_model,
                named: true,
                promises: target.promises.count() as u64,
                gate: Gate::of(&policy.adopt, policy.budget, policy.stale_after),
                hindrance,
            }
        }
    };
    PrepareAnswer::Prepared(prepared)
}

/// What its first run would do beyond the budget that holds now. The machine is only looked at.
fn hindrance(
    task: &PrepareTask,
    target: &model::Target,
    layout: &Layout,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Result<Option<Hindrance>, Failure> {
    let memory::Budget { changes, deletions, restarts } = task.budget;
    let budget = Budget { changes, deletions, restarts };
    if budget.is_none() {
        return Ok(None);
    }
    let host = model::host(layout, surroundings);
    host.set_package_policy(run::package_policy(&target.resolved.policy));
    let store = run::open(layout, false, ui)?;
    let extent = released::extent(target.resolved.policy.released);
    let cost = released::foresee(&store, &target.promises, extent, &host)
        .map_err(|error| Failure::new(Exit::State, error))?;
    let circumstances = Circumstances { root: surroundings.root, budget };
    let sight =
        steadfast_engine::look(&target.promises, Observer::ReadOnly(&host), &&store, circumstances);
    let all = cost.and(sight.plan.cost());
    let beyond = all.beyond(budget);
    Ok(beyond.map(|(what, limit)| {
        let planned = all.of_what(what);
        Hindrance::Budget { what: what.to_owned(), limit, planned }
    }))
}

pub(super) fn keep(
    task: RunTask,
    layout: &Layout,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Outcome {
    let not_started = |exit, words: String| {
        report::line(ui, &RunLine::NotStarted(words));
        Ok(exit)
    };
    let RunTask { revision, why, node, environment, only, against, report_only, watch, changed } =
        task;
    let content = |revision: &Revision| {
        let record = adopted::record(layout, revision)?;
        anyhow::Ok((layout.content().join(&record.content), record.content, record.commit))
    };
    let (path, kept, commit) = match content(&revision) {
        Ok(found) => found,
        Err(error) => return not_started(Exit::State, format!("{error:#}")),
    };
    let against = against.and_then(|it| content(&it).ok());
    let task = match why {
        Why::Adopt | Why::SecondTry => Task::Adopt,
        // What is not known here has left nothing that would be known.
        Why::GoBack => {
            Task::GoBack { from: against.as_ref().map(|(_, it, _)| it.clone()).unwrap_or_default() }
        }
        Why::Keep | Why::Drift | Why::Asked => Task::Nothing,
    };
    let against = against.map(|(it, ..)| it);
    let by_agent =
        ByAgent { only, against, report_only, watch, commit, changed, content: kept, task };
    let args = RunArgs::by_agent(path.clone(), node, environment, by_agent);
    match run_once(&args, &path, None, layout, surroundings, ui) {
        Ok(exit) => Ok(exit),
        Err(failure) if failure.exit == Exit::Locked => {
            report::line(ui, &RunLine::Busy(format!("{:#}", failure.error)));
            Ok(Exit::Locked)
        }
        Err(failure) => not_started(failure.exit, format!("{:#}", failure.error)),
    }
}

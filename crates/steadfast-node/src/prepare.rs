//! Preparing a revision: whether it is one for this node, and what its first run would do. The machine is
//! only looked at.

use crate::gate::Gate;
use crate::wire::{Hindrance, PrepareAnswer, PrepareTask, Prepared};
use crate::{Context, NodeError, adopted, model, orphans, run};
use steadfast_engine::{Circumstances, Observer};
use steadfast_model::Severity;

/// So many problems are told: whoever wants all of them checks the model.
const PROBLEMS: usize = 5;

/// What is to know beside the answer, and stops nothing, goes to `notices`.
pub fn prepare(task: &PrepareTask, cx: &Context, notices: &mut Vec<String>) -> PrepareAnswer {
    let answer = try_prepare(task, cx, notices)
        .unwrap_or_else(|error| PrepareAnswer::Problems(vec![error.line()]));
    match &answer {
        PrepareAnswer::Prepared(it) => tracing::debug!(
            revision = %task.revision,
            named = it.named,
            promises = it.promises,
            beyond_budget = it.hindrance.is_some(),
            "prepared"
        ),
        PrepareAnswer::Problems(problems) => {
            tracing::debug!(revision = %task.revision, problems = problems.len(), "not prepared");
        }
    }
    answer
}

fn try_prepare(
    task: &PrepareTask,
    cx: &Context,
    notices: &mut Vec<String>,
) -> Result<PrepareAnswer, NodeError> {
    let record = adopted::record(&cx.layout, &task.revision)?;
    let mut loaded = model::load(&cx.layout.content().join(&record.content))?;
    let named_model = loaded.model.name.as_ref().map(|it| it.value.to_string()).unwrap_or_default();
    let (facts, unread) = model::facts(&cx.layout);
    notices.extend(unread);
    let target =
        model::target(&mut loaded, Some(&task.environment), &task.node, &facts, &cx.layout);
    if let Ok(Some(target)) = &target {
        loaded.diagnostics.extend(model::unknown_zones(&target.resolved.policy));
    }
    let problems = problems(&loaded);
    if !problems.is_empty() {
        return Ok(PrepareAnswer::Problems(problems));
    }
    let prepared = match target? {
        None => Prepared {
            model: named_model,
            named: false,
            promises: 0,
            gate: Gate::default(),
            hindrance: None,
        },
        Some(target) => {
            // Whoever cannot tell what it would do must not let it.
            let hindrance = hindrance(task, &target, cx, notices)?;
            let policy = &target.resolved.policy;
            Prepared {
                model: named_model,
                named: true,
                promises: target.promises.count() as u64,
                gate: Gate::from_policy(&policy.adopt, policy.budget, policy.stale_after),
                hindrance,
            }
        }
    };
    Ok(PrepareAnswer::Prepared(prepared))
}

/// The first errors of a model, each with its place.
fn problems(loaded: &model::Loaded) -> Vec<String> {
    let mut problems: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| format!("{}: {}", loaded.sources.place(it.span), it.message))
        .collect();
    let more = problems.len().saturating_sub(PROBLEMS);
    if more > 0 {
        problems.truncate(PROBLEMS);
        problems.push(format!("and {more} more"));
    }
    problems
}

/// What its first run would do beyond the budget that holds now.
fn hindrance(
    task: &PrepareTask,
    target: &model::Target,
    cx: &Context,
    notices: &mut Vec<String>,
) -> Result<Option<Hindrance>, NodeError> {
    let budget = task.budget;
    if budget.is_none() {
        return Ok(None);
    }
    let host = cx.host();
    host.set_package_policy(run::package_policy(&target.resolved.policy));
    let store = run::open(cx, false, notices)?;
    let extent = orphans::extent(target.resolved.policy.orphans);
    let cost = orphans::cost(&store, &target.promises, extent, &host)?;
    let circumstances = Circumstances { root: cx.root, budget };
    let assessment =
        steadfast_engine::look(&target.promises, Observer::ReadOnly(&host), &&store, circumstances);
    let all = cost.and(assessment.plan.cost());
    let beyond = all.beyond(budget);
    Ok(beyond.map(|(what, limit)| {
        let planned = all.of(what);
        Hindrance::Budget { what: what.name().to_owned(), limit, planned }
    }))
}

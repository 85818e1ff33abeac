//! `steadfast run`: bring this machine to its model once, or say what that would do.

mod args;
mod onlooker;
mod totals;

pub(crate) use args::RunArgs;
pub(crate) use onlooker::{Onlooker, Shows};

use crate::adopted::{self, Adopted};
use crate::commands::{adopt, facts_of};
use crate::exit::{Exit, Failure, Outcome};
use crate::render::Forecasts;
use crate::render::json;
use crate::render::orphans;
use crate::ui::{Format, Ui};
use std::path::Path;
use steadfast_agent::api::v1;
use steadfast_agent::client;
use steadfast_engine::Summary;
use steadfast_node::orphans::Orphans;
use steadfast_node::run::{Done, Hand, Purpose, Scope};
use steadfast_node::{Context, Run, model};
use steadfast_store::Layout;
use totals::{forecast, nothing_promised, totals};

pub(crate) fn run(args: &RunArgs, cx: &Context, by: &str, ui: &Ui) -> Outcome {
    let layout = &cx.layout;
    if let Some(path) = &args.model {
        if !args.dry_run {
            beside_an_agent(layout)?;
        }
        return run_once(args, path, None, (cx, by), ui);
    }
    let adopted = adopted::find(layout)?;
    if !args.dry_run && (args.node.is_some() || args.environment.is_some()) {
        let failure =
            Failure::usage("the agent keeps this machine, under its own name and environment");
        return Err(failure.help("look with --dry-run, or name a --model"));
    }
    // The agent waits for nothing, and nobody tells it to hurry: what a person asks for here is done here, and the
    // agent goes on from where that ends.
    let is_here = args.now || args.wait;
    if !args.dry_run && !is_here && cx.root && client::is_running(&layout.socket()) {
        if args.verify {
            let forgotten = cx.host().forget_looks();
            forgotten.map_err(|err| {
                let error = anyhow::Error::new(err).context("forget what was read before");
                Failure::new(Exit::State, error)
            })?;
        }
        return through_the_agent(args, &adopted, layout, ui);
    }
    run_once(args, &adopted.content, Some(&adopted), (cx, by), ui)
}

/// A run of another model beside a running agent would be undone by the agent's next one.
fn beside_an_agent(layout: &Layout) -> Result<(), Failure> {
    match client::status(&layout.socket()) {
        Ok(status) if status.suspended.is_none() && status.adopted.is_some() => {
            let failure = Failure::usage("an agent keeps this machine, and would undo this run");
            Err(failure.help(
                "look with --dry-run, or suspend the agent first: steadfast suspend --reason TEXT",
            ))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// There is one engine on a machine: where an agent runs, it is asked.
fn through_the_agent(args: &RunArgs, adopted: &Adopted, layout: &Layout, ui: &Ui) -> Outcome {
    let only = match args.only[..] {
        [] => None,
        _ => Some(named(args, adopted, layout, ui)?),
    };
    ui.progress("the agent runs");
    let answer = client::request(&layout.socket(), &v1::Request::Run { only });
    ui.clear();
    let answer = answer.map_err(adopt::failure)?;
    let (kept, repaired, not_kept, held) = match answer {
        v1::Answer::RunEnded { kept, repaired, not_kept, held } => (kept, repaired, not_kept, held),
        v1::Answer::Refused { because } => {
            return Err(Failure::usage(format!("the agent did not run: {because}")));
        }
        v1::Answer::RunFailed { because } => {
            let error = anyhow::anyhow!("the agent's run failed: {because}");
            return Err(Failure::new(Exit::State, error));
        }
        // An agent of another version, perhaps: nobody can tell what its run came to.
        v1::Answer::Accepted { words } => {
            return Err(Failure::new(Exit::Unreachable, anyhow::anyhow!("{words}")));
        }
    };
    let count = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
    let summary = Summary {
        kept: count(kept),
        repaired: count(repaired),
        not_kept: count(not_kept),
        held: count(held),
        ..Summary::default()
    };
    let exit = verdict(args, summary.not_kept, summary.held);
    match args.format {
        Format::Json => json::summary(ui, &summary, &Summary::default(), exit),
        Format::Text => {
            ui.line(&format!("The agent ran, keeping {}.", adopted.revision));
            if not_kept + held > 0
                && let Ok(status) = client::status(&layout.socket())
                && let Some(run) = status.last_run
            {
                for (word, all) in [("not kept", &run.not_kept), ("held", &run.held)] {
                    for one in all {
                        let line = format!("  {word:<9} {}: {}", one.promise, one.because);
                        ui.line(&crate::ui::clean(&line));
                    }
                }
            }
            totals(ui, &summary, &Summary::default(), None);
            if repaired + not_kept + held > 0 {
                ui.line("To see what was done: steadfast history");
            }
        }
    }
    Ok(exit)
}

/// The promises that `--only` means: the agent is told their names.
fn named(
    args: &RunArgs,
    adopted: &Adopted,
    layout: &Layout,
    ui: &Ui,
) -> Result<Vec<String>, Failure> {
    let mut loaded = model::load(&adopted.content)?;
    let facts = facts_of(layout, ui);
    let node = model::node_name(adopted.node.as_deref(), &facts);
    let environment = adopted.environment.as_deref();
    let target = model::target(&mut loaded, environment, &node, &facts, layout)?;
    loaded.sound()?;
    let components = target.iter().flat_map(|it| &it.resolved.components);
    let components: Vec<String> = components.map(|it| format!("component:{}", it.id)).collect();
    let promises = target.map(|it| it.promises).unwrap_or_default();
    let mut names: Vec<String> = vec![];
    for glob in &args.only {
        let before = names.len();
        let ids = promises.all.iter().map(|it| &*it.id.0).chain(components.iter().map(|it| &**it));
        let ids = ids.filter(|it| glob.matches(it));
        names.extend(ids.map(str::to_owned));
        if names.len() == before {
            ui.warn(&format!("--only {} matches no promise of {node}", glob.as_str()));
        }
    }
    names.sort();
    names.dedup();
    if names.is_empty() { Err(Failure::usage("there is nothing to run")) } else { Ok(names) }
}

/// A run in this process.
fn run_once(
    args: &RunArgs,
    path: &Path,
    adopted: Option<&Adopted>,
    (cx, by): (&Context, &str),
    ui: &Ui,
) -> Outcome {
    let said = adopted.map(|it| (it.node.as_deref(), it.environment.as_deref()));
    let (node, environment) = said.unwrap_or_default();
    let run = Run {
        model: path,
        node: args.node.as_deref().or(node),
        environment: args.environment.as_deref().or(environment),
        commit: adopted.and_then(|it| it.commit.clone()),
        is_adopted: adopted.is_some(),
        reads_all: args.verify,
        scope: match args.only[..] {
            [] => Scope::All,
            _ => Scope::Matching(args.only.clone()),
        },
        purpose: if args.dry_run { Purpose::Forecast } else { Purpose::ByHand },
        hand: Hand { now: args.now, waits: args.wait, by: Some(by.to_owned()) },
    };
    let shows = match args.format {
        Format::Text => Shows::Text { dry_run: args.dry_run },
        Format::Json => Shows::JsonLines { dry_run: args.dry_run },
    };
    let mut onlooker = Onlooker { ui, shows };
    let done = steadfast_node::run(&run, cx, &mut onlooker)?;
    Ok(tell(args, ui, done))
}

/// How it ends, in words or as the last line.
fn tell(args: &RunArgs, ui: &Ui, done: Done) -> Exit {
    let left = |orphans: &Orphans| match args.format {
        Format::Text => orphans::show(ui, orphans),
        Format::Json => orphans::json(ui, orphans),
    };
    match done {
        Done::Nothing { node, warnings } => {
            ui.diagnostics(&warnings.all, &warnings.sources);
            nothing_promised(args, ui, &node);
            Exit::Fine
        }
        Done::Foreseen { promises, plan, orphans, components } => {
            left(&orphans);
            forecast(args, ui, Forecasts::count(&promises, &plan).with(&components))
        }
        Done::Ran { summary, implied, run, orphans } => {
            left(&orphans);
            let not_kept = summary.not_kept + implied.not_kept;
            let exit = verdict(args, not_kept, summary.held + implied.held);
            match args.format {
                Format::Text => totals(ui, &summary, &implied, run),
                Format::Json => json::summary(ui, &summary, &implied, exit),
            }
            exit
        }
        // What only the agent asks for.
        Done::Kept { report, promises: _ } => verdict(args, report.not_kept.len(), 0),
    }
}

fn verdict(args: &RunArgs, not_kept: usize, held: usize) -> Exit {
    if not_kept > 0 {
        Exit::NotKept
    } else if args.exit_code && held > 0 {
        Exit::Pending
    } else {
        Exit::Fine
    }
}

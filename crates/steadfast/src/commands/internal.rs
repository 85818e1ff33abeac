//! What the agent's children do. Each gets one task on standard input and answers in lines of JSON; see
//! steadfast-node's `wire`. Nobody is meant to type these.

use crate::commands::facts_of;
use crate::commands::run::{Onlooker, Shows};
use crate::exit::{Exit, Failure, Outcome};
use crate::ui::Ui;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Read as _;
use steadfast_engine::Promises;
use steadfast_node::artifact::{transfer_as_child, unpack_as_child};
use steadfast_node::run::{Done, Hand, Purpose, Scope};
use steadfast_node::watched::watched;
use steadfast_node::wire::{Fetched, Report, RunLine, RunTask};
use steadfast_node::{Context, NodeError, Run, download, fetch, keep, model, prepare};
use steadfast_source::terms::to_line;
use steadfast_store::LockError;
use steadfast_system::processes;

#[derive(Debug, Args)]
pub(crate) struct InternalArgs {
    #[command(subcommand)]
    pub child: Child,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Child {
    /// Download, verify and store what the source offers
    Fetch,
    /// Download from the source, without privileges
    Download,
    /// Transfer an artifact, without privileges
    Transfer,
    /// Take an archive apart, without privileges
    Unpack { order: String },
    /// Check a revision for this node
    Prepare,
    /// Run once for the agent
    Run,
    /// Print this node's name
    Name,
    /// Look at what processes use, with the privilege that this takes
    Who,
}

impl Child {
    /// Whether it gives up its privileges, which a process does with one thread only.
    pub(crate) fn is_single(&self) -> bool {
        match self {
            Child::Download | Child::Transfer | Child::Unpack { .. } => true,
            Child::Fetch | Child::Prepare | Child::Run | Child::Name | Child::Who => false,
        }
    }
}

pub(crate) fn run(args: &InternalArgs, cx: &Context, ui: &Ui) -> Outcome {
    // Else it would be named after the link that it was started by; a name is for people to look at.
    let _named = rustix::thread::set_name(c"steadfast");
    match &args.child {
        Child::Fetch => {
            let (answer, after) = match fetch::fetch(&task()?, &cx.layout) {
                Ok((answer, after)) => (answer, after),
                Err(refusal) => (Fetched::Refused(refusal), None),
            };
            let said = say(ui, &answer);
            // The answer is given: whatever becomes of this, it stands.
            if let Some(after) = after {
                after.keep_blame(&cx.layout);
            }
            said
        }
        Child::Download => {
            download::download_as_child(&task()?, |it| ui.line(&to_line(it)));
            Ok(Exit::Fine)
        }
        Child::Transfer => apart(transfer_as_child(|| task().map_err(|_| ()))),
        Child::Unpack { order } => apart(unpack_as_child(order)),
        Child::Prepare => {
            let mut notices = vec![];
            let answer = prepare::prepare(&task()?, cx, &mut notices);
            notices.iter().for_each(|it| ui.warn(it));
            say(ui, &answer)
        }
        Child::Run => keep(&task()?, cx, ui),
        Child::Name => {
            ui.line(&model::node_name(None, &facts_of(&cx.layout, ui)));
            Ok(Exit::Fine)
        }
        Child::Who => say(ui, &processes::look(task()?)),
    }
}

/// What works without privileges says by its records what came of it; where nobody reads them any more, nobody is
/// left to be told.
fn apart(handed_over: std::io::Result<()>) -> Outcome {
    handed_over.map(|()| Exit::Fine).map_err(|err| Failure::new(Exit::State, err))
}

/// Runs for the agent, and tells it line by line what came of it.
fn keep(task: &RunTask, cx: &Context, ui: &Ui) -> Outcome {
    match try_to_keep(task, cx, ui) {
        Ok((report, promises)) => {
            let exit = if report.not_kept.is_empty() { Exit::Fine } else { Exit::NotKept };
            for watched in promises.iter().flat_map(watched) {
                say(ui, &RunLine::Watch(watched))?;
            }
            say(ui, &RunLine::Report(report))?;
            Ok(exit)
        }
        Err(error @ NodeError::Lock(LockError::Held { .. })) => {
            say(ui, &RunLine::Busy(error.line()))?;
            Ok(Exit::Locked)
        }
        Err(error) => {
            let failure = Failure::from(error);
            if let Some(mistakes) = failure.mistakes() {
                ui.diagnostics(&mistakes.all, &mistakes.sources);
            }
            say(ui, &RunLine::NotStarted(format!("{:#}", failure.error)))?;
            Ok(failure.exit)
        }
    }
}

/// What the run reports, and the promises where the agent wants to know what is to be watched.
fn try_to_keep(
    task: &RunTask,
    cx: &Context,
    ui: &Ui,
) -> Result<(Report, Option<Promises>), NodeError> {
    let kept = keep::task(task, &cx.layout)?;
    let run = Run {
        model: &kept.path,
        node: Some(&task.node),
        environment: Some(&task.environment),
        commit: kept.commit,
        is_adopted: true,
        reads_all: false,
        scope: task.only.clone().map_or(Scope::All, |it| Scope::Named(it.0)),
        purpose: Purpose::Keep(kept.keeping),
        hand: Hand::default(),
    };
    match steadfast_node::run(&run, cx, &mut Onlooker { ui, shows: Shows::Warnings })? {
        Done::Kept { report, promises } => Ok((report, task.watch.then_some(promises))),
        // What is foreseen or run by hand; this run is neither.
        Done::Nothing { .. } | Done::Foreseen { .. } | Done::Ran { .. } => {
            Ok((Report::default(), None))
        }
    }
}

/// A task is a few names, or those of some promises.
const TASK_MAX: u64 = 16 * 1024 * 1024;

fn task<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut bytes = vec![];
    std::io::stdin()
        .take(TASK_MAX)
        .read_to_end(&mut bytes)
        .map_err(|err| Failure::new(Exit::State, err))?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Failure::usage("this is a part of the agent, not a command for people"))
}

fn say(ui: &Ui, answer: &impl Serialize) -> Outcome {
    // Plain data, whose serialization cannot fail.
    ui.line(&serde_json::to_string(answer).unwrap_or_default());
    Ok(Exit::Fine)
}

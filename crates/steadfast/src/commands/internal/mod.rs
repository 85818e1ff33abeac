//! What the agent's children do. Each gets one task on standard input and answers in lines of JSON; see
//! steadfast-agent's `wire`. Nobody is meant to type these.

pub(super) mod bring;
mod fetch;
mod run;

use crate::Surroundings;
use crate::exit::{Exit, Failure, Outcome};
use crate::model;
use crate::ui::Ui;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Read as _;
use steadfast_agent::wire::Fetched;
use steadfast_source::fetcher;
use steadfast_store::Layout;

#[derive(Debug, Args)]
pub(crate) struct InternalArgs {
    #[command(subcommand)]
    pub child: Child,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Child {
    /// Bring, verify and keep what the source offers
    Fetch,
    /// Talk to the source, without privileges
    Bring,
    /// Check a revision for this node
    Prepare,
    /// Run once
    Run,
    /// Say this node's name
    Name,
}

pub(crate) fn run(
    args: &InternalArgs,
    layout: &Layout,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Outcome {
    // Else it would be named after the link that it was started by; a name is for people to look at.
    let _named = rustix::thread::set_name(c"steadfast");
    match args.child {
        Child::Fetch => {
            let task = task()?;
            let (answer, after) = match fetch::fetch(&task, layout) {
                Ok((answer, after)) => (answer, after),
                Err(refusal) => (Fetched::Refused(refusal), None),
            };
            let said = say(ui, &answer);
            // The answer is given: whatever becomes of this, it stands.
            if let Some(after) = after {
                after.keep_lines(layout);
            }
            said
        }
        Child::Bring => {
            bring::bring(&task()?, |it| ui.line(&fetcher::to_line(it)));
            Ok(Exit::Fine)
        }
        Child::Prepare => say(ui, &run::prepare(&task()?, layout, surroundings, ui)),
        Child::Run => run::keep(task()?, layout, surroundings, ui),
        Child::Name => {
            ui.line(&model::node_name(None, &model::facts(layout, ui)));
            Ok(Exit::Fine)
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
        .map_err(|_| Failure::usage("this is a part of the agent, and no command for people"))
}

fn say(ui: &Ui, answer: &impl Serialize) -> Outcome {
    // Plain data, whose serialization cannot fail.
    ui.line(&serde_json::to_string(answer).unwrap_or_default());
    Ok(Exit::Fine)
}

/// `a: b: c`.
fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

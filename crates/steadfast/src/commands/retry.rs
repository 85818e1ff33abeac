//! `steadfast retry`: what was found to be bad is tried again.

use super::{component, state, unknown_component};
use crate::exit::{Exit, Failure, Outcome};
use crate::ui::Ui;
use clap::Args;
use jiff::Timestamp;
use steadfast_model::ComponentId;
use steadfast_node::Context;
use steadfast_node::deployments::shown::{Retried, retry};
use steadfast_store::{RunLock, Store};

/// Have a component's failed deployment tried again
///
/// Only what the model wants now is tried again, by the agent or the next run. Use it once the cause is
/// gone, where that is not in the model: a database was down, an artifact was replaced.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The component, as in people/api
    #[arg(value_name = "COMPONENT", value_parser = component)]
    component: ComponentId,
}

pub(crate) fn run(args: &RetryArgs, cx: &Context, by: &str, ui: &Ui) -> Outcome {
    if !cx.root {
        return Err(Failure::usage("only root may have it tried again").help("run it as root"));
    }
    let component = &args.component;
    let store = Store::open(&cx.layout.database()).map_err(state)?;
    if store.instance(&component.to_string()).map_err(state)?.is_none() {
        return Err(unknown_component(component, &store));
    }
    let _lock = RunLock::acquire(&cx.layout, "steadfast retry")
        .map_err(|error| Failure::from(steadfast_node::NodeError::Lock(error)))?;
    let asked = (by, Timestamp::now().as_second());
    let words = match retry(&component.to_string(), asked, &store).map_err(state)? {
        Retried::Unknown => return Err(unknown_component(component, &store)),
        Retried::Nothing => {
            format!("{component}: nothing is bad, and nothing waits to be tried again.")
        }
        Retried::Again(Some(release)) => {
            format!("{component} {release} is tried again by the agent, or by the next run.")
        }
        Retried::Again(None) => {
            format!("{component} is tried again by the agent, or by the next run.")
        }
    };
    ui.below(0, crate::ui::Tone::Plain, &words);
    Ok(Exit::Fine)
}

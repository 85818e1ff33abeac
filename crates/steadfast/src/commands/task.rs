//! `steadfast task`: a command with what a component runs with.

use super::{component, state, unknown_component};
use crate::exit::{Exit, Failure, Outcome};
use clap::Args;
use steadfast_model::ComponentId;
use steadfast_node::Context;
use steadfast_node::deployments::task::{NotReady, OWN_ERROR, Order, ready, run as carry_out};
use steadfast_store::Store;

/// Run a command with what a component runs with
///
/// As the user of its service, in the tree of its current deployment, with the service's environment and
/// credentials. It ends with the command's exit code: 127 where there is no such program, 126 where it
/// cannot be started, 125 where steadfast failed. Who ran what is written into the component's history.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    /// The component, as in people/api
    #[arg(value_name = "COMPONENT", value_parser = component)]
    component: ComponentId,

    /// The service whose user and environment it has [default: the first]
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,

    /// Write down the program alone, and not its arguments
    #[arg(long)]
    sensitive: bool,

    /// The program and its arguments, after `--`
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &TaskArgs, cx: &Context, by: &str) -> Outcome {
    if !cx.root {
        return Err(Failure::usage("only root may run a task").help("run it as root"));
    }
    let TaskArgs { component, unit, sensitive, command } = args;
    let store = Store::open(&cx.layout.database()).map_err(state)?;
    let unit = unit.as_deref();
    let order = Order { component, unit, command, is_sensitive: *sensitive, by };
    let ready = match ready(&order, &store).map_err(own)? {
        Ok(ready) => ready,
        Err(NotReady::Unknown) => return Err(unknown_component(component, &store)),
        Err(NotReady::NoService(there)) => {
            let failure = Failure::usage(match unit {
                Some(unit) => format!("{component} has no service {unit}"),
                None => format!("{component} has no service whose user a task could have"),
            });
            return Err(failure.help(format!("it has: {}", there.join(", "))));
        }
        Err(NotReady::NothingRuns) => {
            return Err(own(anyhow::anyhow!("nothing of {component} runs here yet")));
        }
        Err(NotReady::Lost) => {
            let words = format!("what is written down of the deployment of {component} is lost");
            return Err(own(anyhow::anyhow!(words)));
        }
    };
    let code = carry_out(&order, &ready, &store).map_err(own)?;
    Ok(Exit::Of(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// As of env(1).
fn own(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::Of(u8::try_from(OWN_ERROR).unwrap_or(u8::MAX)), error)
}

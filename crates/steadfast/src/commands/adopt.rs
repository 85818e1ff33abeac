//! `steadfast adopt`: approves a revision that waits for approval.

use crate::exit::{Exit, Failure, Outcome};
use crate::ui::{Ui, clean};
use clap::Args;
use steadfast_agent::api::v1::{Answer, Request};
use steadfast_agent::client::{self, ClientError};
use steadfast_store::Layout;

/// Approve a revision, so that the agent adopts it
#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// The revision or the start of its name, as 'steadfast status' shows it
    #[arg(value_name = "REVISION")]
    revision: String,

    /// Adopt it even if it is older or was rolled back before, and record why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) fn run(args: &AdoptArgs, layout: &Layout, ui: &Ui) -> Outcome {
    let status = client::status(&layout.socket()).map_err(failure)?;
    // People type the beginning that the status shows.
    let newer = status.newer.iter().chain(&status.waiting);
    let known = newer.map(|it| &it.revision.revision);
    let known: Vec<&String> = known
        .chain(status.bad.iter().map(|it| &it.revision))
        .filter(|it| args.revision.len() >= 7 && it.starts_with(&args.revision))
        .collect();
    let revision = match known[..] {
        [one] => one.clone(),
        [first, second] if first == second => first.clone(),
        _ => args.revision.clone(),
    };
    ask(layout, &Request::Adopt { revision, reason: args.reason.clone() }, ui)
}

/// Asks the agent for something that it does or refuses.
pub(crate) fn ask(layout: &Layout, request: &Request, ui: &Ui) -> Outcome {
    match client::request(&layout.socket(), request).map_err(failure)? {
        Answer::Accepted { words } => {
            ui.line(&clean(&words));
            Ok(Exit::Fine)
        }
        Answer::Refused { because } | Answer::RunFailed { because } => {
            Err(Failure::usage(clean(&because)))
        }
        Answer::RunEnded { .. } => Ok(Exit::Fine),
    }
}

pub(crate) fn failure(error: ClientError) -> Failure {
    match error {
        error @ ClientError::NotThere => {
            Failure::new(Exit::Unreachable, error).help("start it: systemctl start steadfast")
        }
        ClientError::Refused(because) => Failure::usage(format!("the agent refused: {because}")),
        ClientError::Connect { path, err }
            if err.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            let message = format!("{} is for root and the agent's group", path.display());
            Failure::usage(message).help("run it as root, or see `socket:` in the agent's settings")
        }
        error @ (ClientError::Connect { .. }
        | ClientError::Talk(_)
        | ClientError::Closed
        | ClientError::Strange) => Failure::new(Exit::Unreachable, error),
    }
}

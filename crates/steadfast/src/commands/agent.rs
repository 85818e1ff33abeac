//! `steadfast agent`: the daemon, as systemd starts it.

use crate::Surroundings;
use crate::adopted;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui::Ui;
use clap::Args;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::Duration;
use steadfast_agent::shell::{self, Ended, Setup, ShellError};
use steadfast_store::Layout;
use steadfast_system::command::Command;

/// Keep this machine by itself: the daemon, as systemd starts it
///
/// Fetches the model, verifies it, adopts it when it may, and keeps what it has adopted.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// The settings [default: /etc/steadfast/agent.yaml]
    #[arg(long, value_name = "PATH")]
    settings: Option<PathBuf>,

    /// Say what the settings come to, and start nothing
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(
    args: &AgentArgs,
    state: Option<PathBuf>,
    layout: Layout,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Outcome {
    let settings = args.settings.clone().unwrap_or_else(|| layout.agent_settings());
    if args.check {
        return check(&settings, ui);
    }
    if !surroundings.root {
        let failure = Failure::usage("only root can keep a machine");
        return Err(failure.help("look at its settings: steadfast agent --check"));
    }
    let program = std::env::current_exe().map_err(|err| Failure::new(Exit::Bug, err))?;
    let host = match adopted::settled_name(&layout) {
        Some(name) => name,
        None => name(&program)?,
    };
    let setup = Setup {
        program: program.clone(),
        settings,
        layout,
        state,
        host,
        notify: surroundings.notify.clone(),
        watchdog: surroundings.watchdog,
        journal: surroundings.journal,
        credentials: surroundings.credentials.clone(),
    };
    match shell::run(setup) {
        Ok(Ended::Stopped) => Ok(Exit::Fine),
        Ok(Ended::Reexecute) => Err(Failure::new(Exit::Bug, become_another(&program))),
        Err(error) => Err(failure(error)),
    }
}

fn failure(error: ShellError) -> Failure {
    let exit = match &error {
        ShellError::Running { .. } => Exit::Locked,
        ShellError::Settings { .. } => Exit::Usage,
        ShellError::ReadSettings { .. } => Exit::Unreachable,
        ShellError::Lock(_)
        | ShellError::Memory { .. }
        | ShellError::Newer(_)
        | ShellError::Runtime(_)
        | ShellError::Socket { .. } => Exit::Bug,
    };
    Failure::new(exit, error)
}

/// Replaces this process by the program that lies in its place now, with the same arguments, number and
/// surroundings. Comes back only where that fails.
#[expect(clippy::disallowed_methods, reason = "it is this process that goes on, not another")]
fn become_another(program: &std::path::Path) -> anyhow::Error {
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    anyhow::Error::from(error).context("become the new binary")
}

/// In a process of its own, because the name service brings libraries along that stay.
fn name(program: &std::path::Path) -> Result<String, Failure> {
    let finished = Command::new(program)
        .args(["internal", "name"])
        .timeout(Duration::from_secs(30))
        .run()
        .map_err(|err| Failure::new(Exit::Bug, err))?;
    let name = finished.stdout_text().trim().to_owned();
    if name.is_empty() {
        let error = anyhow::anyhow!("this machine's name cannot be told: {}", finished.words());
        return Err(Failure::new(Exit::Bug, error));
    }
    Ok(name)
}

fn check(path: &std::path::Path, ui: &Ui) -> Outcome {
    let (settings, warnings) = shell::read_settings(path).map_err(|error| match error {
        ShellError::Settings { path, words } => {
            ui.say(&words);
            Failure::usage(format!("the settings in {} have errors", path.display()))
        }
        other @ (ShellError::Running { .. }
        | ShellError::ReadSettings { .. }
        | ShellError::Lock(_)
        | ShellError::Memory { .. }
        | ShellError::Newer(_)
        | ShellError::Runtime(_)
        | ShellError::Socket { .. }) => failure(other),
    })?;
    for warning in warnings {
        ui.say(&warning);
    }
    ui.line(settings.to_string().trim_end());
    for missing in settings.missing() {
        ui.warn(&format!("the agent waits for the setting {missing}"));
    }
    Ok(Exit::Fine)
}

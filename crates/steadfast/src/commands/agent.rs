//! `steadfast agent`: the daemon, as systemd starts it.

use crate::exit::{Exit, Failure, Outcome};
use crate::surroundings::{Surroundings, WRITERS};
use crate::ui::Ui;
use clap::Args;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use steadfast_agent::shell::{self, Ended, Setup, ShellError};
use steadfast_node::settings::{self, SettingsError};
use steadfast_node::wire::OURSELVES;
use steadfast_node::{Context, adopted};
use steadfast_system::attribution::{Group, give_up_admin};
use steadfast_system::command::Command;

/// Run the daemon that keeps this machine; systemd starts it
///
/// It fetches the model, verifies it, adopts it when policy allows, and repairs drift.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// The settings file [default: /etc/steadfast/agent.yaml]
    #[arg(long, value_name = "PATH")]
    settings: Option<PathBuf>,

    /// Check the settings, print those in effect, and exit
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(
    args: &AgentArgs,
    state: Option<PathBuf>,
    cx: Context,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Outcome {
    let settings = args.settings.clone().unwrap_or_else(|| cx.layout.agent_settings());
    if args.check {
        return check(&settings, ui);
    }
    if !cx.root {
        let failure = Failure::usage("the agent must be root");
        return Err(failure.help("to check its settings: steadfast agent --check"));
    }
    // First of all, and while there is one thread: with a capability that no later line has.
    let writers = writers(surroundings.writers.as_deref());
    give_up_admin().map_err(|err| {
        let error = anyhow::Error::from(err).context("give up CAP_SYS_ADMIN");
        Failure::new(Exit::State, error)
    })?;
    let program = std::env::current_exe().map_err(|err| Failure::new(Exit::State, err))?;
    let program = place(program);
    // Under another name other promises would be made.
    let settled = adopted::settled_name(&cx.layout);
    let host = match settled.map_err(|err| Failure::new(Exit::State, err))? {
        Some(name) => name,
        None => name()?,
    };
    let setup = Setup {
        program: program.clone(),
        settings,
        layout: cx.layout,
        state,
        host,
        filter: surroundings.log.clone(),
        credentials: cx.credentials,
        attribution: writers.clone(),
    };
    match shell::run(setup) {
        Ok(Ended::Stopped) => Ok(Exit::Fine),
        Ok(Ended::Reexecute) => {
            Err(Failure::new(Exit::State, become_another(&program, writers.ok().as_deref())))
        }
        Err(error) => Err(failure(error)),
    }
}

fn failure(error: ShellError) -> Failure {
    let exit = match &error {
        ShellError::Running { .. } => Exit::Locked,
        ShellError::Lock(_)
        | ShellError::Memory { .. }
        | ShellError::Newer(_)
        | ShellError::Runtime(_)
        | ShellError::Socket { .. } => Exit::State,
    };
    Failure::new(exit, error)
}

/// What tells who changes files: handed on by the program that this one replaced, or opened anew; or why
/// there is nothing.
fn writers(handed_on: Option<&str>) -> Result<Arc<Group>, String> {
    let inherited = handed_on.and_then(|it| it.parse().ok()).and_then(|it| Group::inherit(it).ok());
    let group = match inherited {
        Some(group) => group,
        None => Group::open().map_err(|err| {
            let missing = "; it takes CAP_SYS_ADMIN at the start";
            let missing = if err.kind() == ErrorKind::PermissionDenied { missing } else { "" };
            format!("open fanotify: {err}{missing}")
        })?,
    };
    Ok(Arc::new(group))
}

/// Where a program lies, as the kernel says it: also where another has taken its place already.
fn place(program: PathBuf) -> PathBuf {
    match program.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) => PathBuf::from(OsStr::from_bytes(path)),
        None => program,
    }
}

/// Replaces this process by the program that lies in its place now, with the same arguments, number and
/// surroundings. Comes back only where that fails.
#[expect(clippy::disallowed_methods, reason = "it is this process that goes on, not another")]
fn become_another(program: &std::path::Path, writers: Option<&Group>) -> anyhow::Error {
    // Where they cannot be held, a signal in the wrong moment ends the agent, and systemd starts it again.
    let _held = shell::hold_signals();
    let mut command = std::process::Command::new(program);
    command.args(std::env::args_os().skip(1)).env_remove(WRITERS);
    if let Some(Ok(number)) = writers.map(Group::hand_on) {
        command.env(WRITERS, number.to_string());
    }
    anyhow::Error::from(command.exec()).context("become the new binary")
}

/// In a process of its own, because the name service brings libraries along that stay.
fn name() -> Result<String, Failure> {
    let finished = Command::new(OURSELVES)
        .args(["internal", "name"])
        .timeout(Duration::from_secs(30))
        .run()
        .map_err(|err| Failure::new(Exit::State, err))?;
    let name = finished.stdout_text().trim().to_owned();
    if name.is_empty() {
        let error = anyhow::anyhow!("this machine's name cannot be told: {}", finished.words());
        return Err(Failure::new(Exit::State, error));
    }
    Ok(name)
}

fn check(path: &std::path::Path, ui: &Ui) -> Outcome {
    let (settings, warnings) = settings::read_file(path).map_err(|error| match error {
        SettingsError::Wrong { path, words } => {
            ui.say(&words);
            Failure::usage(format!("the settings in {} have errors", path.display()))
        }
        error @ SettingsError::Read { .. } => Failure::new(Exit::Unreachable, error),
    })?;
    for warning in warnings {
        ui.say(&warning);
    }
    ui.line(settings.to_string().trim_end());
    for missing in settings.missing() {
        ui.warn(&format!("the setting is missing: {missing}"));
    }
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_has_the_place_of_the_one_that_replaced_it() {
        for path in ["/usr/bin/steadfast (deleted)", "/usr/bin/steadfast"] {
            assert_eq!(place(PathBuf::from(path)), PathBuf::from("/usr/bin/steadfast"));
        }
    }
}

//! The steadfast command: arguments in, words and an exit code out.

mod adopted;
mod args;
mod commands;
mod exit;
mod logging;
mod render;
mod ui;

use clap::Parser as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

/// What is asked of the surroundings, once.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub root: bool,
    /// `$CREDENTIALS_DIRECTORY`, where systemd gave the service any.
    pub credentials: Option<std::path::PathBuf>,
    /// Whether standard error goes to the journal.
    pub journal: bool,
    /// `$STEADFAST_LOG`: what is to be told beside the output.
    pub log: Option<String>,
    /// The descriptor by which the program that this one replaced was told who changes files.
    pub writers: Option<String>,
    /// Whether standard output and standard error are terminals.
    pub terminals: (bool, bool),
    /// `NO_COLOR` is set, or `TERM` is `dumb`.
    pub no_color: bool,
    /// The width of the terminal in columns.
    pub width: usize,
}

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no mistakes.
            let code = if error.use_stderr() { exit::Exit::Usage } else { exit::Exit::Fine };
            let _written = error.print();
            return code.into();
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the environment is read here only")]
    let variable = |name: &str| std::env::var_os(name);
    let mut surroundings = Surroundings {
        root: rustix::process::geteuid().is_root(),
        credentials: variable("CREDENTIALS_DIRECTORY").map(Into::into),
        journal: variable("JOURNAL_STREAM").is_some(),
        log: variable(steadfast_agent::logging::VARIABLE).and_then(|it| it.into_string().ok()),
        writers: variable(commands::agent::WRITERS).and_then(|it| it.into_string().ok()),
        terminals: (std::io::stdout().is_terminal(), std::io::stderr().is_terminal()),
        no_color: variable("NO_COLOR").is_some_and(|it| !it.is_empty())
            || variable("TERM").is_some_and(|it| it == "dumb"),
        width: rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|it| usize::from(it.ws_col))
            .filter(|it| *it >= 40)
            .unwrap_or(80),
    };
    // What children are told is what was asked for here, by whichever way.
    surroundings.log = logging::start(args.command.audience(), args.verbose, &surroundings);
    let single = args.command.is_single();
    let act = move || {
        let ui = ui::Ui::new(&surroundings, args.color);
        match commands::dispatch(args, &surroundings, &ui) {
            Ok(code) => code,
            Err(failure) => {
                ui.failure(&failure);
                failure.exit
            }
        }
    };
    // What talks to strangers gives up its privileges, and a process does that with one thread only.
    if single {
        return act().into();
    }
    let exit = match std::thread::Builder::new().stack_size(STACK).spawn(act) {
        // A panic has said what it had to say.
        Ok(worker) => worker.join().unwrap_or(exit::Exit::Bug),
        Err(err) => {
            // Where this cannot be written either, nobody is there to be told.
            let _told = writeln!(std::io::stderr(), "error: start a thread: {err}");
            exit::Exit::State
        }
    };
    exit.into()
}

/// A template can nest a list in itself as often as its bounded amount of work allows, and taking such
/// a value apart again goes as deep: see the limits in steadfast-model. Only what is used takes memory.
const STACK: usize = 512 * 1024 * 1024;

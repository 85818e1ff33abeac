//! What a command is told by whoever starts it, beside its arguments: the environment, the terminals, and
//! whether we are root.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use steadfast_agent::logging::VARIABLE;

/// In which variable the program that replaces a running agent finds the number of the descriptor by which
/// it is told who changes files.
pub(crate) const WRITERS: &str = "STEADFAST_WRITERS";

/// What is asked of the surroundings, once.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub root: bool,
    /// `$CREDENTIALS_DIRECTORY`, where systemd gave the service any.
    pub credentials: Option<PathBuf>,
    /// Whether standard error goes to the journal.
    pub journal: bool,
    /// `$STEADFAST_LOG`: what is to be told beside the output.
    pub log: Option<String>,
    /// The descriptor by which the program that this one replaced was told who changes files.
    pub writers: Option<String>,
    /// `$SUDO_USER`: who has become root by sudo.
    pub sudo_user: Option<String>,
    /// Whether standard output and standard error are terminals.
    pub terminals: (bool, bool),
    /// `NO_COLOR` is set, or `TERM` is `dumb`.
    pub no_color: bool,
    /// The width of the terminal in columns.
    pub width: usize,
}

impl Surroundings {
    pub(crate) fn read() -> Surroundings {
        #[expect(clippy::disallowed_methods, reason = "the environment is read here only")]
        let variable = |name: &str| std::env::var_os(name);
        Surroundings {
            root: rustix::process::geteuid().is_root(),
            credentials: variable("CREDENTIALS_DIRECTORY").map(Into::into),
            journal: variable("JOURNAL_STREAM").is_some(),
            log: variable(VARIABLE).and_then(|it| it.into_string().ok()),
            writers: variable(WRITERS).and_then(|it| it.into_string().ok()),
            sudo_user: variable("SUDO_USER").and_then(|it| it.into_string().ok()),
            terminals: (std::io::stdout().is_terminal(), std::io::stderr().is_terminal()),
            no_color: variable("NO_COLOR").is_some_and(|it| !it.is_empty())
                || variable("TERM").is_some_and(|it| it == "dumb"),
            width: rustix::termios::tcgetwinsize(std::io::stdout())
                .ok()
                .map(|it| usize::from(it.ws_col))
                .filter(|it| *it >= 40)
                .unwrap_or(80),
        }
    }

    /// Who it is that has started this, for what is written down: root is whoever became it.
    pub(crate) fn who(&self) -> String {
        let login = || {
            let own = i32::try_from(std::process::id()).ok()?;
            let process = steadfast_system::attribution::ask(own)?;
            Some(process.login.unwrap_or(process.user))
        };
        self.sudo_user.clone().or_else(login).unwrap_or_else(|| "root".to_owned())
    }
}

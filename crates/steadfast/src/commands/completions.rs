//! `steadfast completions`: scripts with which shells complete the command line.

use crate::exit::Exit;
use clap::{Args, Command};

/// Print the completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &CompletionsArgs, mut command: Command) -> Exit {
    clap_complete::generate(args.shell, &mut command, "steadfast", &mut std::io::stdout());
    Exit::Fine
}

//! `steadfast man`: the manual pages.

use crate::exit::{Exit, Failure, Outcome};
use crate::ui::Ui;
use clap::{Args, Command};
use std::path::{Path, PathBuf};

/// Print the manual page, or write one page for each command
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write one page for each command into this directory
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, command: Command, ui: &Ui) -> Outcome {
    let failed = |err| Failure::new(Exit::Bug, anyhow::Error::from(err).context("write the page"));
    // `help` is not a command that would need a page.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(folder) = &args.output else {
        let mut page = vec![];
        clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
        ui.line(String::from_utf8_lossy(&page).trim_end());
        return Ok(Exit::Fine);
    };
    for (name, command) in pages("steadfast", &command) {
        let mut page = vec![];
        clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
        let path = folder.join(format!("{name}.1"));
        write(&path, &page)?;
        ui.line(&path.display().to_string());
    }
    Ok(Exit::Fine)
}

/// The page of a command, and those of all commands below it.
fn pages(name: &str, command: &Command) -> Vec<(String, Command)> {
    let mut all = vec![(name.to_owned(), command.clone().display_name(name.to_owned()))];
    for sub in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        all.extend(pages(&format!("{name}-{}", sub.get_name()), sub));
    }
    all
}

/// Writes a file that somebody asked for by its directory.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "an output that was asked for, nothing managed")]
    std::fs::write(path, bytes).map_err(|err| {
        let what = format!("write {}", path.display());
        Failure::new(Exit::Usage, anyhow::Error::from(err).context(what))
    })
}

//! Running a program that a promise names, and nothing else: whoever holds a `&dyn Run` can start the
//! program by which a service says whether it is healthy, but writes no file and stops no unit.

pub(crate) mod host;

use crate::command::Finished;
use crate::{AbsPath, SystemError, UserName};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A program and how it is run: without a terminal, with a cleared environment, and to its time at most,
/// when it is ended with all that it started. Of what it says the first 1 MiB of each output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// The program, by path or by a name in the usual directories, and its arguments.
    pub command: &'a [Arc<str>],
    /// Whom it runs as, with all groups of that user; as we do where none is named.
    pub user: Option<&'a UserName>,
    /// The directory it runs in; `/` where none is named.
    pub folder: Option<&'a AbsPath>,
    pub timeout: Duration,
}

pub trait Run: fmt::Debug + Sync {
    /// Runs it to its end. That it says no is no error here: see [`Finished::succeeded`].
    fn run_program(&self, program: &Program<'_>) -> Result<Finished, SystemError>;
}

impl Program<'_> {
    /// Its name, for messages.
    pub fn name(&self) -> &str {
        self.command.first().map_or("", |it| &**it)
    }
}

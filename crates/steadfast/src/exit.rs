//! Exit codes: one documented list, and the failures that end a command.

use std::process::ExitCode;
use steadfast_node::NodeError;
use steadfast_node::findings::Findings;
use steadfast_source::ReadError;
use steadfast_store::LockError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing is *not kept*.
    Fine,
    /// A mistake of the program.
    Bug,
    /// Wrong arguments; also a model path or an environment that does not exist.
    Usage,
    /// Something is pending, only with `--exit-code`: steps in a dry run, held promises in either.
    Pending,
    /// Something is not kept, or can already be seen not to be keepable.
    NotKept,
    /// The model has errors.
    BadModel,
    /// The model is signed by nobody trusted, leads backwards, is expired or damaged.
    Refused,
    /// The model could not be read, or the agent did not answer.
    Unreachable,
    /// Another run holds the lock.
    Locked,
    /// The state could not be read or written, or a process could not be started or came to no end: the
    /// machine's fault, not the program's.
    State,
    /// `steadfast task`: as the command has ended, or 125 to 127 where it could not be started.
    Of(u8),
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Fine => 0,
            Exit::Bug => 1,
            Exit::Usage => 2,
            Exit::Pending => 3,
            Exit::NotKept => 4,
            Exit::BadModel => 5,
            Exit::Refused => 6,
            Exit::Unreachable => 7,
            Exit::Locked => 8,
            Exit::State => 9,
            Exit::Of(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// What stands below `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  success; after a run, no promise is not kept
  1  a bug in steadfast
  2  wrong arguments, or the model or environment does not exist
  3  changes are pending, or promises are held (only with --exit-code)
  4  at least one promise is not kept, or cannot be
  5  the model has errors
  6  the model was refused (signature, anti-rollback, expiry, damage)
  7  the model could not be read or fetched, or the agent did not answer
  8  another run is in progress
  9  an error on this machine: the state directory could not be read or
     written, or a process could not be started";

/// Why a command ended early: what was tried, and why it failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub error: anyhow::Error,
    /// What to do about it.
    pub help: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit, error: error.into(), help: None }
    }

    pub(crate) fn usage(message: impl std::fmt::Display) -> Failure {
        Failure::new(Exit::Usage, anyhow::anyhow!("{message}"))
    }

    /// The mistakes of a model: they are shown before.
    pub(crate) fn mistakes(&self) -> Option<&Findings> {
        if let Some(NodeError::BadModel { errors, consequence: _ }) = self.error.downcast_ref() {
            Some(errors)
        } else {
            None
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }
}

/// What a command gives.
pub(crate) type Outcome = Result<Exit, Failure>;

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Failure {
        let (exit, help) = match &error {
            NodeError::Read(error) => (unreadable(error), None),
            NodeError::NoEnvironment { asked: _, there } => {
                let there = match there[..] {
                    [] => "it has none".to_owned(),
                    _ => format!("it has: {}", there.join(", ")),
                };
                (Exit::Usage, Some(there))
            }
            NodeError::TwoEnvironments { .. } => {
                (Exit::Usage, Some("choose one: --environment NAME".to_owned()))
            }
            NodeError::NotRoot => {
                let look = "run it as root, or with --dry-run to see what would change";
                (Exit::Usage, Some(look.to_owned()))
            }
            NodeError::BadModel { .. } => (Exit::BadModel, None),
            NodeError::Lock(LockError::Held { .. }) => (Exit::Locked, None),
            NodeError::Lock(LockError::Create { .. })
            | NodeError::State(_)
            | NodeError::Record(_) => (Exit::State, None),
        };
        Failure { exit, error: error.into(), help }
    }
}

/// How a directory of a model that cannot be read ends a command.
fn unreadable(error: &ReadError) -> Exit {
    match error {
        ReadError::NotThere { .. } => Exit::Usage,
        ReadError::Read { .. } => Exit::Unreachable,
        ReadError::Special { .. }
        | ReadError::Name { .. }
        | ReadError::TooLarge { .. }
        | ReadError::TooMany { .. } => Exit::BadModel,
    }
}

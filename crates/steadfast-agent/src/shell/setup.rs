//! What the agent is given at its start, and what it may end with.

use crate::memory::Unreadable;
use std::path::PathBuf;
use std::sync::Arc;
use steadfast_store::{Layout, LockError};
use steadfast_system::attribution::Group;

/// What the agent is given at its start.
#[derive(Debug)]
pub struct Setup {
    /// Where this program lies, to see when there is another one.
    pub program: PathBuf,
    pub settings: PathBuf,
    pub layout: Layout,
    /// `--state`, as the children are to be told.
    pub state: Option<PathBuf>,
    /// The name of this machine, where the settings do not say one.
    pub host: String,
    /// What its children are to tell of what they do, as `STEADFAST_LOG` has it.
    pub filter: Option<String>,
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// What tells who changes a file, or why nobody does.
    pub attribution: Result<Arc<Group>, String>,
}

/// How the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Stopped,
    /// Another binary lies in the place of this one: become it.
    Reexecute,
}

#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error("another agent is running: {holder}")]
    Running { holder: String },
    #[error("take the agent's lock")]
    Lock(#[source] LockError),
    #[error("read the agent's memory {path}")]
    Memory {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("{0}: this program is older than its state")]
    Newer(Unreadable),
    #[error("start the agent's loop")]
    Runtime(#[source] std::io::Error),
    #[error("open the agent's socket {path}")]
    Socket {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
}

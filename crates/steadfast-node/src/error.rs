//! Why something that a node does ended early. Whoever asked decides what follows: a command maps each to
//! an exit code, the agent to what it tells and tries again.

use crate::findings::Findings;
use std::sync::Arc;
use steadfast_source::ReadError;
use steadfast_store::{LockError, StoreError};
use steadfast_trust::text::chain;

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The directory of the model is not there, or cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the model has no environment `{asked}`")]
    NoEnvironment { asked: String, there: Vec<Arc<str>> },
    #[error("{node} is in the environments {first} and {second}")]
    TwoEnvironments { node: String, first: Arc<str>, second: Arc<str> },
    #[error("the model has {}; {consequence}", crate::counted(errors.all.len(), "error"))]
    BadModel { errors: Findings, consequence: &'static str },
    #[error("only root can change this machine")]
    NotRoot,
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    State(#[from] StoreError),
    /// What is kept beside the content of a revision.
    #[error(transparent)]
    Record(#[from] crate::adopted::RecordError),
}

impl NodeError {
    /// The error and its causes, outermost first, as one line.
    pub fn line(&self) -> String {
        chain(self)
    }
}

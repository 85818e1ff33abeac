//! What is promised of a job.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_system::files::Mode;
use steadfast_system::{AbsPath, UserName};

pub(super) const FOLDER: &str = "/etc/cron.d";
pub(super) const MODE: Mode = Mode(0o644);

/// A job's file, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    pub(super) path: AbsPath,
    /// None where the job is promised to be absent.
    pub(super) job: Option<Job>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) user: UserName,
    /// The whole file.
    pub(super) text: Arc<str>,
}

//! What the agent and its children say to each other: one task on standard input, lines of JSON on
//! standard output. Both are the same build of the same program, so this is no format that has to last.

use crate::machine::{Offer, Prepared, Refusal, Report};
use crate::memory::{Floor, Revision};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Ask the source what is above the floor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchTask {
    pub settings: PathBuf,
    /// What the source was called when the agent read the settings.
    pub source: String,
    pub floor: Floor,
    /// The revision that somebody asked for.
    pub wanted: Option<Revision>,
    /// They gave a reason, so it need not lead forward.
    pub forced: bool,
    /// Revisions of which the content stays.
    pub keep: Vec<Revision>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fetched {
    Unchanged,
    Offer(Offer),
    Refused(Refusal),
}

/// Find out whether a revision is one for this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrepareTask {
    pub revision: Revision,
    pub node: String,
    pub environment: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrepareAnswer {
    Prepared(Prepared),
    Problems(Vec<String>),
}

/// Run once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunTask {
    pub revision: Revision,
    pub node: String,
    pub environment: String,
    /// Promises by name, or patterns of them; all where nothing is said.
    pub only: Option<Vec<String>>,
    pub against: Option<Revision>,
    /// Only report, whatever the model says.
    pub report_only: bool,
    /// Tell what is to be watched.
    pub watch: bool,
}

/// A line of a runner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunLine {
    Watch(Watched),
    /// The last one: without it the run has crashed.
    Report(Report),
    /// Somebody else holds the lock.
    Busy(String),
    NotStarted(String),
}

/// Where it shows that somebody has touched what a promise is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    pub promise: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Folders in which every name counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
}

//! What the agent and its children say to each other: one task on standard input, lines of JSON on
//! standard output. Both are the same build of the same program, so this is no format that has to last.

use crate::machine::{Offer, Prepared, Refusal, Report, Why};
use crate::memory::{Budget, Floor, Revision};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use steadfast_system::writers::Writer;

/// Where children are started from: the program of this very process, whatever has been put in its place
/// since. So both speak the same, and a binary that does not work takes nothing away.
pub const OURSELVES: &str = "/proc/self/exe";

/// Ask the source what is above the floor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchTask {
    pub settings: PathBuf,
    /// What the source was called when the agent read the settings.
    pub source: String,
    pub floor: Floor,
    /// The model that was adopted from it; another one is refused. Nothing where it is the first.
    pub model: Option<String>,
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
    /// What it may do by the policy that holds now; no limit before the first adoption.
    pub budget: Budget,
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
    pub why: Why,
    pub node: String,
    pub environment: String,
    /// Promises by name, or patterns of them; all where nothing is said.
    pub only: Option<Vec<String>>,
    /// The revision that is compared with, or gone back from.
    pub against: Option<Revision>,
    /// Only report, whatever the model says.
    pub report_only: bool,
    /// Tell what is to be watched.
    pub watch: bool,
    /// Who has changed what it is about.
    pub changed: Vec<Changed>,
}

/// A promise of which something was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub promise: String,
    /// The first time, in microseconds since 1970.
    pub since: i64,
    /// As far as it is known.
    pub writers: Vec<Writer>,
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

//! Version 5 of what the database holds: what is known of the components of this node, and of each deployment that
//! one of them had or was to have. Everything else is as in version 4.

use super::step::Row;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of one component of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Where its deployments lie.
    pub directory: String,
    /// The highest release that it has committed to, and none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// How often its position has begun anew.
    pub incarnation: u64,
    pub row: Row,
    /// Which start of each of its units was for which deployment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub started: BTreeMap<String, Started>,
    /// Deployments that were committed, by their own digests, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub good: Vec<Arc<str>>,
    /// When every file of its tree was read last, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<i64>,
}

/// systemd's invocation of a unit, and the deployment that it was started for, by its own digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started(pub Arc<str>, pub Arc<str>);

/// What the last run has told of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// `kept`, `repaired`, `not-kept` or `held`.
    pub outcome: String,
    /// What became of a step that was due.
    pub step: Option<String>,
    /// Releases.
    pub from: Option<String>,
    pub to: Option<String>,
    pub reason: Option<String>,
    /// Since when that is so, in seconds since 1970.
    pub since: i64,
}

/// What happened to a component, at a time in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happened {
    /// A step has ended.
    Step {
        at: i64,
        step: u64,
        outcome: String,
        ended: String,
        from: Option<String>,
        to: Option<String>,
        reason: Option<String>,
        gap_ms: Option<u64>,
        open_connections: Option<u64>,
        /// Who asked for it by hand; nobody where the agent did it.
        by: Option<String>,
    },
    /// Somebody has run a command with what its program runs with.
    Task {
        at: i64,
        by: String,
        command: Vec<String>,
        /// None while it runs, and where nobody knows.
        code: Option<i32>,
        ms: Option<u64>,
    },
    /// Somebody has asked that what is wanted be tried again.
    Retry { at: i64, by: String, release: String },
}

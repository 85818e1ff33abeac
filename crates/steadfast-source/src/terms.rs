//! The words that fetching and accepting have in common: what the node knows, what is read before
//! privileges are given up, what a fetch reports, by what a model is accepted and what comes of it.

use crate::anti_rollback::{Advance, AntiRollback, Candidate, Descent, Expected, Force, Point};
use crate::attribution::Attribution;
use crate::openpgp::RunAs;
use crate::refusal::Refusal;
use crate::settings::{Git, Limits, Snapshot, Source, Trust};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use steadfast_download::https::Validator;
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_model::SourceSet;
use steadfast_trust::files::{FileError, read_small};
use steadfast_trust::signature::Signer;

/// What is read before privileges are given up: keys and tokens that only root may read.
#[derive(Clone, Default)]
pub struct Credentials {
    pub ssh_key: Option<Vec<u8>>,
    pub known_hosts: Option<Vec<u8>>,
    pub token: Option<String>,
    pub ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    pub fn read(source: &Source) -> Result<Credentials, FileError> {
        let one = |path: &Option<std::path::PathBuf>| path.as_deref().map(read_small).transpose();
        match source {
            Source::Git(Git {
                url: _,
                reference: _,
                ssh_key,
                known_hosts,
                token_file,
                ca,
                proxy: _,
            }) => {
                let token = one(token_file)?.map(|it| String::from_utf8_lossy(&it).into_owned());
                Ok(Credentials {
                    ssh_key: one(ssh_key)?,
                    known_hosts: one(known_hosts)?,
                    token,
                    ca: one(ca)?,
                })
            }
            Source::Snapshot(Snapshot { url: _, ca, proxy: _ }) => {
                Ok(Credentials { ca: one(ca)?, ..Credentials::default() })
            }
            Source::Directory(_) => Ok(Credentials::default()),
        }
    }
}

/// What the node has, so that only news is brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The highest commit accepted.
    pub commit: Option<String>,
    /// Whether the content of the highest revision is still there.
    pub content: bool,
    /// What the server gave with the last manifest that was accepted.
    pub validator: Option<Validator>,
}

impl Known {
    pub fn from_state(
        anti_rollback: &AntiRollback,
        content: bool,
        validator: Option<Validator>,
    ) -> Known {
        let commit = match &anti_rollback.highest {
            Some(Point::Git { commit, .. }) => Some(commit.clone()),
            Some(Point::Snapshot { .. } | Point::Directory { .. }) | None => None,
        };
        Known { commit, content, validator: validator.filter(|_| content) }
    }
}

/// What became of a fetch. It crosses from the fetcher's process to the agent's as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Download {
    /// There is nothing new. That is the fetcher's word: believing it costs freshness and nothing else.
    Unchanged,
    /// Something lies in the cache directory, to be accepted.
    Offer { validator: Option<Validator> },
}

/// The line in which a fetcher's process reports.
pub fn to_line(result: &Result<Download, DownloadError>) -> String {
    serde_json::to_string(result).unwrap_or_default()
}

/// Reads such a line; one that is not understood is the report of a broken fetcher.
pub fn from_line(line: &str) -> Result<Download, DownloadError> {
    serde_json::from_str::<Result<Download, DownloadError>>(line).unwrap_or_else(|_| {
        Err(DownloadError::new(DownloadErrorKind::Local, "the fetcher ended without a word"))
    })
}

/// By what a model is accepted.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    pub source: &'a Source,
    pub trust: &'a Trust,
    pub expected: &'a Expected,
    pub now: Timestamp,
    /// For times in an allowed-signers file.
    pub zone: &'a TimeZone,
    pub force: Force,
    /// As whom `gpgv` runs, where we are root.
    pub run_as: Option<RunAs>,
    pub limits: &'a Limits,
}

/// A model that may be adopted.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub sources: SourceSet,
    pub point: Point,
    pub advance: Advance,
    pub origin: Origin,
    /// Empty under `trust: none`, and then every status says so.
    pub signers: Vec<Signer>,
    /// To be kept once the anti-rollback state is saved, and given to the next fetch.
    pub validator: Option<Validator>,
}

/// What people want to know of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Git {
        commit: String,
        tag: Option<String>,
        author: String,
        authored: Option<Timestamp>,
        committed: Option<Timestamp>,
        subject: String,
        /// The revisions that its trailers take out of the queues of all nodes, as they name them.
        supersedes: Vec<String>,
    },
    Snapshot {
        created: Timestamp,
        expires: Timestamp,
        commit: Option<String>,
        /// What the publisher says of its lines.
        attribution: Option<Attribution>,
    },
    Directory,
}

pub(crate) fn unsigned(point: Point, descent: Descent) -> Candidate {
    Candidate { point, descent, key_set: None, keys: None, signers: vec![] }
}

pub(crate) fn mismatch(terms: &Terms<'_>) -> Refusal {
    Refusal::TrustMismatch { origin: terms.source.kind(), trust: terms.trust.kind() }
}

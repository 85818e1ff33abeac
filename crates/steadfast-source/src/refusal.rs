//! Why a model was not taken. Every refusal is one line of words, with its causes as a chain; none of
//! them ever stops the node from keeping what it has.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// What a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The source did not answer, or not in time: worth another try soon.
    Unreachable,
    /// What was brought is cut off, too large or does not add up.
    Broken,
    /// Nobody trusted has signed it.
    Untrusted,
    /// It would lead backwards, or is known as bad.
    NotForward,
    /// It was signed for an earlier time.
    Stale,
    /// The settings of this node do not allow it.
    Settings,
    /// Something on this node failed.
    Local,
}

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Source(#[from] BringError),

    #[error("a {origin} source is not signed with what trust names: {trust}")]
    TrustMismatch { origin: &'static str, trust: &'static str },
    #[error("read the trusted keys")]
    TrustedKeys(#[source] crate::signature::KeysError),
    #[error("{what} is not signed")]
    Unsigned { what: String },
    #[error("{what} has more than one signature")]
    TwoSignatures { what: String },
    #[error("the signature of {what} is not good: {why}")]
    BadSignature { what: String, why: String },
    #[error("{what} is signed by {key}, which is not trusted")]
    UnknownSigner { what: String, key: String },
    #[error("{what} is signed by {key}, which is {when}")]
    NotValidNow { what: String, key: String, when: String },
    #[error("{what} is signed by {key}, which was removed from the trusted keys before")]
    RemovedKey { what: String, key: String },
    #[error("{what} has {have} of the {threshold} signatures that it needs")]
    TooFewSigners { what: String, have: usize, threshold: usize },
    #[error("no program to verify OpenPGP signatures is installed: gpgv or sqv")]
    NoVerifier,
    #[error("the tag is named `{named}` in what is signed, and not `{expected}`")]
    WrongTag { named: String, expected: String },
    #[error("the snapshot is of model `{named}`, and not of `{expected}`")]
    WrongModel { named: String, expected: String },
    #[error("the snapshot is for channel `{named}`, and not for `{expected}`")]
    WrongChannel { named: String, expected: String },

    #[error("the highest revision accepted was a {was}, and this is a {now}")]
    OtherSource { was: &'static str, now: &'static str },
    #[error("snapshot {offered} is older than snapshot {highest}, which was accepted before")]
    LowerSequence { offered: u64, highest: u64 },
    #[error("snapshot {sequence} has another content than the one accepted under that number")]
    TwoContents { sequence: u64 },
    #[error("key set {offered} is older than key set {highest}, which was accepted before")]
    OlderKeys { offered: u32, highest: u32 },
    #[error("commit {commit} does not descend from {floor}, which was accepted before")]
    NotDescended { commit: String, floor: String },
    #[error(
        "commit {commit} is too far from {floor}, which was accepted before, to prove that it descends from it"
    )]
    TooFar { commit: String, floor: String },
    #[error("snapshot {sequence} expired at {expires}: the model is stale")]
    Expired { sequence: u64, expires: Timestamp },
    #[error("{revision} is known as bad: {reason}")]
    KnownBad { revision: String, reason: String },

    #[error("what was brought does not add up: {why}")]
    Broken { why: String },
    #[error("read the model")]
    Content(#[from] crate::directory::ReadError),
    #[error("{what}")]
    Local {
        what: String,
        #[source]
        err: std::io::Error,
    },
}

impl Refusal {
    pub fn kind(&self) -> RefusalKind {
        match self {
            Refusal::Source(error) => match error.trouble {
                Trouble::Unreachable | Trouble::TimedOut => RefusalKind::Unreachable,
                Trouble::TooLarge | Trouble::Broken => RefusalKind::Broken,
                Trouble::Settings => RefusalKind::Settings,
                Trouble::Local => RefusalKind::Local,
            },
            Refusal::TrustMismatch { .. } | Refusal::TrustedKeys(_) | Refusal::NoVerifier => {
                RefusalKind::Settings
            }
            Refusal::Unsigned { .. }
            | Refusal::TwoSignatures { .. }
            | Refusal::BadSignature { .. }
            | Refusal::UnknownSigner { .. }
            | Refusal::NotValidNow { .. }
            | Refusal::RemovedKey { .. }
            | Refusal::TooFewSigners { .. }
            | Refusal::WrongTag { .. }
            | Refusal::WrongModel { .. }
            | Refusal::WrongChannel { .. } => RefusalKind::Untrusted,
            Refusal::OtherSource { .. }
            | Refusal::LowerSequence { .. }
            | Refusal::TwoContents { .. }
            | Refusal::OlderKeys { .. }
            | Refusal::NotDescended { .. }
            | Refusal::TooFar { .. }
            | Refusal::KnownBad { .. } => RefusalKind::NotForward,
            Refusal::Expired { .. } => RefusalKind::Stale,
            Refusal::Broken { .. } | Refusal::Content(_) => RefusalKind::Broken,
            Refusal::Local { .. } => RefusalKind::Local,
        }
    }

    /// The words of every layer on one line.
    pub fn line(&self) -> String {
        chain(self)
    }

    pub(crate) fn broken(why: impl Into<String>) -> Refusal {
        Refusal::Broken { why: why.into() }
    }

    pub(crate) fn local(what: impl Into<String>, err: impl Into<std::io::Error>) -> Refusal {
        Refusal::Local { what: what.into(), err: err.into() }
    }
}

/// `a: b: c`, every layer once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !line.ends_with(&words) {
            line.push_str(": ");
            line.push_str(&words);
        }
        next = cause.source();
    }
    line
}

/// What went wrong while a model was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    Unreachable,
    TimedOut,
    TooLarge,
    Broken,
    Settings,
    Local,
}

/// An error of the fetching side, in a form that crosses from the fetcher's process to the agent's.
/// Nothing depends on its words: they come from whom we do not trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BringError {
    pub trouble: Trouble,
    /// One line without control characters.
    pub words: String,
}

impl BringError {
    pub fn new(trouble: Trouble, words: impl AsRef<str>) -> BringError {
        BringError { trouble, words: one_line(words.as_ref()) }
    }

    pub(crate) fn local(what: impl fmt::Display, err: impl Into<std::io::Error>) -> BringError {
        let err: std::io::Error = err.into();
        BringError::new(Trouble::Local, format!("{what}: {err}"))
    }
}

impl fmt::Display for BringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.words))
    }
}

impl Error for BringError {}

/// Text from elsewhere, fit for a line of ours.
pub(crate) fn one_line(text: &str) -> String {
    let text: String =
        text.lines().map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("; ");
    text.chars().filter(|it| !it.is_control()).take(600).collect()
}

/// A file that could not be read, for those who need a path beside the reason.
#[derive(Debug, thiserror::Error)]
#[error("read {path}")]
pub struct FileError {
    pub path: PathBuf,
    #[source]
    pub err: std::io::Error,
}

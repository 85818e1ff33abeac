//! Why a model was not taken. Every refusal is one line of words, with its causes as a chain; none of
//! them ever stops the node from keeping what it has.

use jiff::Timestamp;
use steadfast_download::offer::OfferError;
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_trust::key_set::KeysError;
use steadfast_trust::signature::SignatureError;
use steadfast_trust::text::chain;

/// What a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The source did not answer, or not in time: worth another try soon.
    Unreachable,
    /// What was brought is cut off, too large or does not add up.
    Broken,
    /// Nobody trusted has signed it.
    Untrusted,
    /// It would lead backwards.
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
    Source(#[from] DownloadError),

    #[error("nothing protects {what} on its way: without signatures, use https or ssh")]
    Plain { what: String },
    #[error("a {origin} source is not signed with what trust names: {trust}")]
    TrustMismatch { origin: &'static str, trust: &'static str },
    #[error("read the trusted keys")]
    TrustedKeys(#[source] KeysError),
    #[error(transparent)]
    Signature(#[from] SignatureError),
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
    #[error("commit {commit} does not descend from {highest}, which was accepted before")]
    NotDescended { commit: String, highest: String },
    #[error(
        "commit {commit} is too far from {highest}, which was accepted before, to prove that it descends from it"
    )]
    TooFar { commit: String, highest: String },
    #[error("snapshot {sequence} expired at {expires}: the model is stale")]
    Expired { sequence: u64, expires: Timestamp },

    #[error(
        "snapshot {sequence} expired at {expires}, and this machine's clock says {now} but was at {believed} before"
    )]
    ExpiredBefore { sequence: u64, expires: Timestamp, now: Timestamp, believed: Timestamp },

    #[error("what was downloaded is inconsistent: {why}")]
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
            Refusal::Source(error) => match error.kind {
                DownloadErrorKind::Unreachable | DownloadErrorKind::TimedOut => {
                    RefusalKind::Unreachable
                }
                DownloadErrorKind::TooLarge
                | DownloadErrorKind::Refused
                | DownloadErrorKind::Broken => RefusalKind::Broken,
                DownloadErrorKind::Settings => RefusalKind::Settings,
                DownloadErrorKind::Local | DownloadErrorKind::NotInstalled => RefusalKind::Local,
            },
            Refusal::Plain { .. }
            | Refusal::TrustMismatch { .. }
            | Refusal::TrustedKeys(_)
            | Refusal::NoVerifier => RefusalKind::Settings,
            Refusal::Signature(_)
            | Refusal::WrongTag { .. }
            | Refusal::WrongModel { .. }
            | Refusal::WrongChannel { .. } => RefusalKind::Untrusted,
            Refusal::OtherSource { .. }
            | Refusal::LowerSequence { .. }
            | Refusal::TwoContents { .. }
            | Refusal::OlderKeys { .. }
            | Refusal::NotDescended { .. }
            | Refusal::TooFar { .. } => RefusalKind::NotForward,
            Refusal::Expired { .. } | Refusal::ExpiredBefore { .. } => RefusalKind::Stale,
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

    pub(crate) fn out_of_place() -> Refusal {
        Refusal::broken("a record of the offer is out of place")
    }

    pub(crate) fn local(what: impl Into<String>, err: impl Into<std::io::Error>) -> Refusal {
        Refusal::Local { what: what.into(), err: err.into() }
    }
}

/// What was brought cannot be read.
impl From<OfferError> for Refusal {
    fn from(error: OfferError) -> Refusal {
        match error {
            OfferError::Broken { why } => Refusal::broken(why),
            OfferError::Local { what, err } => Refusal::local(what, err),
        }
    }
}

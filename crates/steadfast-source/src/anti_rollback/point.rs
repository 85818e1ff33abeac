//! Revisions and key sets, as far as going forward is concerned, and what is said of them.

use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt;
use steadfast_trust::signature::Signer;
use steadfast_trust::text::hex;

/// One revision of a model, as far as going forward is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    Git {
        commit: String,
        content: [u8; 32],
    },
    Snapshot {
        model: String,
        channel: String,
        sequence: u64,
        content: [u8; 32],
        expires: Timestamp,
    },
    Directory {
        content: [u8; 32],
    },
}

impl Point {
    pub fn kind(&self) -> &'static str {
        match self {
            Point::Git { .. } => "git commit",
            Point::Snapshot { .. } => "snapshot",
            Point::Directory { .. } => "directory",
        }
    }

    pub fn content(&self) -> [u8; 32] {
        match self {
            Point::Git { content, .. }
            | Point::Snapshot { content, .. }
            | Point::Directory { content } => *content,
        }
    }
}

/// The name of it: `commit 0123…`, `snapshot 12`, `content 0123…`. Two revisions of one source with the
/// same name are the same.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::Git { commit, .. } => write!(f, "commit {commit}"),
            Point::Snapshot { sequence, .. } => write!(f, "snapshot {sequence}"),
            Point::Directory { content } => write!(f, "content {}", hex(content)),
        }
    }
}

/// The set of snapshot keys that was reached by rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySetPoint {
    pub number: u32,
    pub digest: [u8; 32],
}

/// What is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub point: Point,
    pub descent: Descent,
    pub key_set: Option<KeySetPoint>,
    /// None where no keys are trusted that have names here.
    pub keys: Option<TrustedKeys>,
    pub signers: Vec<Signer>,
}

/// The keys that are trusted while something is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys {
    pub now: BTreeSet<String>,
    /// Those that a signed rotation has replaced.
    pub replaced: BTreeSet<String>,
}

impl TrustedKeys {
    /// The keys of a file of this machine.
    pub fn listed(now: BTreeSet<String>) -> TrustedKeys {
        TrustedKeys { now, replaced: BTreeSet::new() }
    }
}

/// How a commit relates to the highest one that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// There is nothing to descend from, or the source has no history.
    None,
    Proved,
    NotProved,
    /// Not proved within the limits of a fetch.
    TooFar,
}

/// What the node wants to be signed; what is not named is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub model: Option<String>,
    pub channel: Option<String>,
}

/// Whether history may be forced: that of the model, of the snapshot keys, of keys that were removed, and of
/// this machine's clock. Signatures by whom the settings trust now, names and expiry are never waived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    No,
    /// Root on this node said so, with a reason.
    Yes,
}

/// How a revision that may be taken leads forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    First,
    Forward,
    /// The revision that was accepted before.
    Same,
    /// The same content, signed for longer.
    Renewed,
    /// Not forward, but root said so.
    Forced,
}

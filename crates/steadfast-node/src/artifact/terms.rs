//! What is asked for, with which means, and what may come of it.

use super::key::{ModelFile, TreeKey};
use crate::download::{Duty, OwnUser};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steadfast_child::User;
use steadfast_download::DownloadError;
use steadfast_download::transfer::Access;
use steadfast_model::application::Files;
use steadfast_model::application::component::Unpack;
use steadfast_system::trees::{TreeError, TreeRefusal};
use steadfast_system::{ErrorKind, SystemError};

/// A tree that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct TreeOrder<'a> {
    /// Where the deployments of the component lie.
    pub directory: &'a Path,
    pub artifact: &'a Files,
    pub unpack: &'a Unpack,
    /// Paths in it that units start: they have to be programs of this machine.
    pub programs: &'a [&'a str],
    /// What the directory of the model holds, where the artifact is one.
    pub folder: &'a [ModelFile<'a>],
}

/// With what it is brought about.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// A directory for what is being fetched: root's, and nobody else's business.
    pub cache: &'a Path,
    /// This program, which is started for what is done without privileges.
    pub program: &'a Path,
    /// How servers are talked to; of several the longest prefix holds.
    pub access: &'a [Access],
    pub proxy: Option<&'a str>,
    /// A transfer that moves nothing for so long is given up; [`IDLE`].
    pub idle: Duration,
}

/// How long a transfer may be idle.
pub const IDLE: Duration = Duration::from_secs(30);

/// Whether a tree that is there is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    IfMissing,
    /// It is made again, and exchanged for the one that is there.
    Anew,
}

/// A tree that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub key: TreeKey,
    pub path: PathBuf,
    /// Whether it was made now.
    pub is_new: bool,
    /// What people should be told although it went well: sources that were passed over, programs of
    /// other machines.
    pub notes: Vec<String>,
}

/// Why there is no tree.
#[derive(Debug)]
pub enum NoTree {
    /// It could not be fetched: worth another try later.
    Away(String),
    /// It is not what it should be, or nothing that is unpacked: another try brings the same, until its URL, its digest
    /// or how it is unpacked is changed.
    Refused(String),
    NoSpace(String),
    /// Something on this machine.
    Failed(SystemError),
}

impl fmt::Display for NoTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoTree::Away(words) => write!(f, "the artifact cannot be fetched: {words}"),
            NoTree::Refused(words) => write!(f, "the artifact is refused: {words}"),
            NoTree::NoSpace(words) => write!(f, "there is not enough room: {words}"),
            NoTree::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for NoTree {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            NoTree::Failed(error) => error.source(),
            NoTree::Away(_) | NoTree::Refused(_) | NoTree::NoSpace(_) => None,
        }
    }
}

impl From<SystemError> for NoTree {
    fn from(error: SystemError) -> NoTree {
        NoTree::Failed(error)
    }
}

impl From<TreeError> for NoTree {
    fn from(error: TreeError) -> NoTree {
        match error {
            TreeError::Refused(refusal) => NoTree::Refused(refusal.to_string()),
            TreeError::NoSpace => NoTree::NoSpace("the disk was full while it was unpacked".into()),
            TreeError::Failed(error) => NoTree::Failed(error),
        }
    }
}

/// The largest artifact, and the largest tree.
pub(super) const MAX_BYTES: u64 = 64 << 30;
/// As whom something is done without privileges.
pub(crate) fn worker_user(duty: Duty) -> Result<Option<User>, NoTree> {
    let user = duty.user().map_err(|err| {
        let kind = ErrorKind::NotHere;
        NoTree::Failed(SystemError::new(kind, err.to_string()))
    })?;
    Ok(user.map(|OwnUser { uid, gid }| User { uid, gid, groups: vec![] }))
}

/// Something went wrong on this side.
pub(super) fn as_system(error: DownloadError) -> NoTree {
    NoTree::Failed(SystemError::new(ErrorKind::Command, error.words))
}

impl From<TreeRefusal> for NoTree {
    fn from(refusal: TreeRefusal) -> NoTree {
        NoTree::Refused(refusal.to_string())
    }
}

//! Secrets: values that are on the machine alone, and never in a model, a message or the history.

mod host;
mod kept;

pub use kept::KeptSecrets;

use crate::SystemError;
use std::fmt;
use std::sync::Mutex;

/// A secret's value. It is never printed: `Debug` says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(value: Vec<u8>) -> Secret {
        Secret(value)
    }

    /// The value, for the moment of writing.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What may be asked.
pub trait Read: fmt::Debug {
    /// The secret of this name: from the credentials of the service, else from
    /// /etc/steadfast/secrets/NAME, which must be owned by root and readable by nobody else. `NAME@DIGEST` is the value
    /// that is kept under this digest (see [`KeptSecrets`]).
    fn secret(&self, name: &str) -> Result<Secret, SystemError>;

    /// SHA-256 of `content`, keyed with a key of this node, so that a short secret cannot be guessed
    /// from a report or the history.
    fn keyed_digest(&self, content: &[u8]) -> Result<[u8; 32], SystemError>;
}

/// What the real machine remembers of it within one run.
#[derive(Default)]
pub(crate) struct Cache {
    /// The key of this node, once it was needed.
    key: Mutex<Option<[u8; 32]>>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache(…)")
    }
}

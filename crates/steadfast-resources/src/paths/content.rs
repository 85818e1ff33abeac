//! The content of a file: never printed, and only counted where it is written down.

use crate::contents::Contents;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use steadfast_system::files::Digest;

/// Content of a file, which is never printed with the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Arc<[u8]>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Bytes that the model promises; their digest stands beside them. Written down and read again, only their
/// number is left, and where they may be found.
#[derive(Clone)]
pub struct Promised {
    size: u64,
    bytes: Held,
}

#[derive(Clone)]
enum Held {
    Here(Arc<[u8]>),
    There(Arc<dyn Contents>),
    Nowhere,
}

/// What has the same digest has the same bytes, wherever they are.
impl PartialEq for Promised {
    fn eq(&self, other: &Promised) -> bool {
        self.size == other.size
    }
}

impl Promised {
    pub fn new(bytes: Arc<[u8]>) -> Promised {
        Promised { size: bytes.len() as u64, bytes: Held::Here(bytes) }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of this digest; none where only their number is known.
    pub fn bytes(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        match &self.bytes {
            Held::Here(bytes) => Some(Arc::clone(bytes)),
            Held::There(contents) => contents.content(digest),
            Held::Nowhere => None,
        }
    }

    /// The bytes, where they are at hand.
    pub(crate) fn at_hand(&self) -> Option<&Arc<[u8]>> {
        match &self.bytes {
            Held::Here(bytes) => Some(bytes),
            Held::There(_) | Held::Nowhere => None,
        }
    }

    /// From now on they are taken from there.
    pub(crate) fn take_from(&mut self, contents: &Arc<dyn Contents>) {
        self.bytes = Held::There(Arc::clone(contents));
    }
}

impl fmt::Debug for Promised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.size)
    }
}

impl Serialize for Promised {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.size.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Promised {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Promised, D::Error> {
        Ok(Promised { size: u64::deserialize(deserializer)?, bytes: Held::Nowhere })
    }
}

/// Why nothing is done for a promise of which only the digest is known. Whoever has the model never
/// meets it.
pub const ONLY_REMEMBERED: &str = "its content is only known by a digest";

pub fn sha256(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

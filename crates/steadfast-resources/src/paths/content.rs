//! The content of a file: never printed, and only counted where it is written down.

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

/// Bytes that the model promises. Written down and read again, only their number is left: what is
/// remembered of a model can be compared with the machine, and never be written to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Promised {
    size: u64,
    bytes: Option<Arc<[u8]>>,
}

impl Promised {
    pub fn new(bytes: Arc<[u8]>) -> Promised {
        Promised { size: bytes.len() as u64, bytes: Some(bytes) }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// None where only the number is known.
    pub fn bytes(&self) -> Option<&Arc<[u8]>> {
        self.bytes.as_ref()
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
        Ok(Promised { size: u64::deserialize(deserializer)?, bytes: None })
    }
}

/// Why nothing is done for a promise of which only the digest is known. Whoever has the model never
/// meets it.
pub const ONLY_REMEMBERED: &str = "its content is only known by a digest";

pub fn sha256(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

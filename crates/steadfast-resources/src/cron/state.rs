//! What the machine shows of a job's file.

use crate::paths::sha256;
use std::sync::Arc;
use steadfast_system::files::{Content, Digest, Look, Shape};

/// What stands at the job's path.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub(super) look: Look,
    /// Whether the machine has the user; true where nobody asked.
    pub(super) user_exists: bool,
}

pub(super) fn noun(shape: &Shape) -> &'static str {
    match shape {
        Shape::File { .. } => "file",
        Shape::Directory => "directory",
        Shape::Link { .. } => "link",
        Shape::Socket => "socket",
        Shape::Fifo => "fifo",
        Shape::Device => "device",
    }
}

pub(super) fn digest_of(content: &Content) -> Option<Digest> {
    match content {
        Content::Digest(digest) => Some(*digest),
        Content::Bytes(bytes) => Some(sha256(bytes)),
        Content::NotRead | Content::TooLarge | Content::Leased => None,
    }
}

pub(super) fn bytes_of(content: &Content) -> Option<Arc<[u8]>> {
    match content {
        Content::Bytes(bytes) => Some(Arc::clone(bytes)),
        Content::Digest(_) | Content::NotRead | Content::TooLarge | Content::Leased => None,
    }
}

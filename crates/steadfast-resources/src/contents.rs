//! Where the contents of a model are, once it has been resolved.

use std::fmt::Debug;
use std::sync::Arc;
use steadfast_system::files::Digest;

/// Contents that a model promises, found by their digest.
pub trait Contents: Debug + Send + Sync {
    /// The content of this digest, whole and unharmed; none where it is not to be had.
    fn content(&self, digest: &Digest) -> Option<Arc<[u8]>>;
}

//! What the machine shows of a directory.

use crate::made::Places;
use crate::paths::Ids;
use std::sync::Arc;
use steadfast_system::files::{Digest, Entry, Folder, OwnFolder, TreeEntry};

/// What is at the path, and below it where that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub folder: Option<Folder>,
    pub entry: Option<Entry>,
    pub ids: Ids,
    pub below: Option<Arc<[TreeEntry]>>,
    /// A digest over the files that have their source in the model, as they are.
    pub sources: Option<Digest>,
    /// Where it is what other promises make.
    pub made: Places,
    /// Where this program keeps what is its own.
    pub own: Arc<[OwnFolder]>,
}

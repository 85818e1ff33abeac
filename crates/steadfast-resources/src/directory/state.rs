//! What the machine shows of a directory.

use crate::made::Places;
use crate::paths::{Ids, Inherited};
use std::sync::Arc;
use steadfast_system::GroupName;
use steadfast_system::files::{Digest, Entry, Folder, OwnFolder, TreeEntry};

/// What is at the path, and below it where that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub folder: Option<Folder>,
    pub entry: Option<Entry>,
    pub ids: Ids,
    /// What a new directory gets from the one that it lies in.
    pub inherits: Option<Inherited>,
    /// The name of its own group, where that matters and there is one.
    pub group: Option<GroupName>,
    /// What of it may not be as promised, in the order of paths.
    pub below: Option<Arc<[TreeEntry]>>,
    /// How many entries are below it, what nothing is said of left out.
    pub count: u64,
    /// What other promises name below it by other paths, because a link of this machine leads there.
    pub also_promised: Arc<[Arc<str>]>,
    pub sources: Option<Sources>,
    /// Where it is what other promises make.
    pub made: Places,
    /// Where this program keeps what is its own.
    pub own: Arc<[OwnFolder]>,
}

/// The files that have their source in the model, as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Sources {
    /// Over all of them.
    pub(super) digest: Digest,
    /// When one of those that are as promised last changed.
    pub(super) changed: Option<i64>,
    /// Which of them are as promised, in their order; of these nothing else is told.
    pub(super) kept: Arc<[bool]>,
}

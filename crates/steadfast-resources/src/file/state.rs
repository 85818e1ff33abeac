//! What the machine shows of a file, compared with the promise.

use crate::kind::Refusal;
use crate::paths::{Bytes, Ids, Inherited, Within};
use steadfast_system::files::{Entry, Folder};

/// What is at the path, beside what is promised of it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub folder: Option<Folder>,
    /// Its content is a digest, or was not read.
    pub entry: Option<Entry>,
    pub ids: Ids,
    /// What a new file gets from the directory.
    pub inherits: Option<Inherited>,
    pub content: Compared,
    /// The digest of the content, keyed where the file is sensitive.
    pub mark: Option<[u8; 32]>,
    pub sensitive: bool,
    /// Why it is no place for a promise.
    pub ours: Option<String>,
    /// What is in the directory that gives way to it.
    pub within: Within,
}

/// The content that is there, compared with the promised one.
#[derive(Clone, Debug, PartialEq)]
pub enum Compared {
    /// Nothing is promised.
    Unsaid,
    Same,
    Other {
        wanted: Bytes,
        /// What is there, where the difference may be shown.
        present: Option<Bytes>,
    },
    /// What should be there cannot be told: a secret is missing, an edit has no place.
    Refused(Refusal),
}

//! What a facet is at one moment, and how what is known of it at several moments goes together.

use std::sync::Arc;
use steadfast_system::files::{Digest, Mode};

/// What a facet is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FacetState {
    /// There is none; of a unit: it does not run, nothing starts it.
    Nothing,
    File {
        content: Content,
        uid: u32,
        gid: u32,
        mode: Mode,
    },
    Directory {
        uid: u32,
        gid: u32,
        mode: Mode,
    },
    Link {
        target: Arc<str>,
        uid: u32,
        gid: u32,
    },
    /// None where the machine chooses the number.
    Group {
        gid: Option<u32>,
    },
    /// A digest of its line in /etc/passwd; none where nobody has looked since.
    User {
        line: Option<Digest>,
    },
    /// A digest of our block in a file of keys.
    Keys {
        block: Digest,
    },
    /// A member, a unit that runs or is enabled, a package that is installed.
    There,
    /// A unit that nobody can start.
    Masked,
    /// The value of a setting.
    Text(Arc<str>),
    Unknown,
}

/// The content of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing was done to it, or it was not read.
    Unsaid,
    Digest(Digest),
    /// Keyed with a key of this node, because the content is not for everybody.
    Keyed(Digest),
}

impl FacetState {
    /// Whether this is what was left, or was there before. `key` makes a keyed digest of a plain one.
    pub fn is_met_by(&self, now: &FacetState, key: impl Fn(&Digest) -> Option<Digest>) -> bool {
        let same = |there: &Content, content: &Content| match (content, there) {
            (Content::Unsaid, _) => true,
            (Content::Digest(a), Content::Digest(b)) => a == b,
            (Content::Keyed(a), Content::Digest(b)) => key(b).as_ref() == Some(a),
            (Content::Digest(_) | Content::Keyed(_), Content::Unsaid | Content::Keyed(_)) => false,
        };
        match (self, now) {
            (
                FacetState::File { content, uid, gid, mode },
                FacetState::File { content: there, uid: u, gid: g, mode: m },
            ) => same(there, content) && (uid, gid, mode) == (u, g, m),
            // A number or a line that nobody has written down can be anybody's.
            (FacetState::Group { gid: None }, _) | (FacetState::User { line: None }, _) => false,
            (FacetState::Unknown, _) | (_, FacetState::Unknown) => false,
            (
                FacetState::Nothing
                | FacetState::File { .. }
                | FacetState::Directory { .. }
                | FacetState::Link { .. }
                | FacetState::Group { .. }
                | FacetState::User { .. }
                | FacetState::Keys { .. }
                | FacetState::There
                | FacetState::Masked
                | FacetState::Text(_),
                _,
            ) => self == now,
        }
    }

    /// Takes in what an earlier change did not need to know: the content of a file that got a new owner
    /// first. Where a later change did not find a content that is known, nobody knows it.
    pub fn complete(&mut self, later: &FacetState) {
        if let FacetState::File { content: known @ Content::Unsaid, .. } = self {
            match later {
                FacetState::File { content, .. } => *known = content.clone(),
                FacetState::Nothing
                | FacetState::Directory { .. }
                | FacetState::Link { .. }
                | FacetState::Group { .. }
                | FacetState::User { .. }
                | FacetState::Keys { .. }
                | FacetState::There
                | FacetState::Masked
                | FacetState::Text(_)
                | FacetState::Unknown => *self = FacetState::Unknown,
            }
        }
    }

    /// Takes in what a later change left. What was not known of that does not hide what was known: a new
    /// owner or mode says nothing of the content. Where no content of ours was there, the later change did
    /// not find what was left, and whose content it is cannot be told.
    pub fn then(&mut self, later: &FacetState) {
        let known = match (&*self, later) {
            (_, FacetState::Unknown) => return,
            (
                FacetState::File { content, .. },
                FacetState::File { content: Content::Unsaid, uid, gid, mode },
            ) => FacetState::File { content: content.clone(), uid: *uid, gid: *gid, mode: *mode },
            (_, FacetState::File { content: Content::Unsaid, .. }) => FacetState::Unknown,
            (_, later) => later.clone(),
        };
        *self = known;
    }

    /// What was left is not known by its digest to everybody who reads it. Without a key nothing is known:
    /// any content would do otherwise.
    pub fn keyed(&mut self, key: impl Fn(&Digest) -> Option<Digest>) {
        if let FacetState::File { content: Content::Digest(plain), .. } = self {
            match key(plain).map(Content::Keyed) {
                Some(keyed) => {
                    if let FacetState::File { content, .. } = self {
                        *content = keyed;
                    }
                }
                None => *self = FacetState::Unknown,
            }
        }
    }
}

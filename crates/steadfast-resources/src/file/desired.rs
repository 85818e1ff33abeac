//! What is promised of a file.

use crate::contents::Contents;
use crate::edit::Edit;
use crate::made::Made;
use crate::mode::Wish;
use crate::paths::{self, Owners};
use crate::undo::Says;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_model::Rendered;
use steadfast_system::AbsPath;
use steadfast_system::files::{Digest, Validation};

/// What a promise says about a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    pub(super) path: AbsPath,
    pub(super) absent: bool,
    pub(super) content: Content,
    pub(super) owners: Owners,
    pub(super) mode: Option<Wish>,
    pub(super) validate: Option<Arc<[Arc<str>]>>,
    pub(super) replace: bool,
    pub(super) create: bool,
    pub(super) sensitive: bool,
    pub(super) force: bool,
    pub(super) keep_backup: bool,
    /// What other promises make there without naming it.
    pub(super) made: Arc<[Made]>,
}

/// Where the content comes from.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Content {
    Unsaid,
    Plain {
        bytes: paths::Promised,
        digest: Digest,
    },
    /// Text with secrets in it.
    Secret(Rendered),
    Edits(Arc<[Edit]>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Unsaid => f.write_str("Unsaid"),
            Content::Plain { bytes, .. } => write!(f, "Plain({} bytes)", bytes.size()),
            Content::Secret(text) => write!(f, "Secret({:?})", text.secrets().collect::<Vec<_>>()),
            Content::Edits(edits) => f.debug_tuple("Edits").field(edits).finish(),
        }
    }
}

impl Desired {
    /// A file of which nothing else is said.
    pub(super) fn plain(path: AbsPath, absent: bool) -> Desired {
        Desired {
            path,
            absent,
            content: Content::Unsaid,
            owners: Owners::default(),
            mode: None,
            validate: None,
            replace: true,
            create: false,
            sensitive: false,
            force: false,
            keep_backup: true,
            made: Arc::default(),
        }
    }

    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// The digest of the content, where the model alone says it.
    pub fn digest(&self) -> Option<Digest> {
        match &self.content {
            Content::Plain { digest, .. } => Some(*digest),
            Content::Unsaid | Content::Secret(_) | Content::Edits(_) => None,
        }
    }

    pub(super) fn contents(&self) -> Vec<(&Digest, &Arc<[u8]>)> {
        match &self.content {
            Content::Plain { digest, bytes } => {
                bytes.at_hand().map(|it| (digest, it)).into_iter().collect()
            }
            Content::Unsaid | Content::Secret(_) | Content::Edits(_) => vec![],
        }
    }

    pub(super) fn take_contents_from(&mut self, contents: &Arc<dyn Contents>) {
        match &mut self.content {
            Content::Plain { digest: _, bytes } => bytes.take_from(contents),
            Content::Unsaid | Content::Secret(_) | Content::Edits(_) => {}
        }
    }

    /// What it says of its path. Edits say only a part of the content.
    pub(super) fn says(&self) -> Says {
        if self.absent {
            return Says::ALL;
        }
        let content = match &self.content {
            Content::Unsaid | Content::Edits(_) => false,
            Content::Plain { .. } | Content::Secret(_) => self.replace,
        };
        self.owners.says(content, self.mode.as_ref())
    }

    /// Whether its validation has to run before the outcome is known.
    pub(super) fn validation(&self) -> Option<Validation> {
        let arguments = self.validate.as_ref()?.to_vec();
        Some(Validation { arguments, sensitive: self.sensitive })
    }
}

/// The names of the secrets in a content.
pub(super) fn secrets_of(content: &Content) -> impl Iterator<Item = &Arc<str>> {
    let (text, edits) = match content {
        Content::Secret(text) => (Some(text), None),
        Content::Edits(edits) => (None, Some(edits)),
        Content::Unsaid | Content::Plain { .. } => (None, None),
    };
    let values = edits.into_iter().flat_map(|it| it.iter()).filter_map(|it| match it {
        Edit::Key { value, .. } => value.as_ref(),
        Edit::Line { .. } | Edit::Block { .. } => None,
    });
    text.into_iter().chain(values).flat_map(Rendered::secrets)
}

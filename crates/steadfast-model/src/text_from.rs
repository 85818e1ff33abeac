//! Where a promise takes a text from: a file of the model, or one that comes with the artifact of its component.
//!
//! The files of an artifact are not in the model. A node that has unpacked it gives those that are read to the
//! sources, below `tree_path`; until then a text stands there in their place that says which file is meant.

use crate::application::{Deployment, tree_path};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lower::{Fields, Lower};
use crate::node::Node;
use crate::schema::{Field, Takes};
use crate::source::Source;
use crate::span::{Span, Spanned};
use std::sync::Arc;

/// What may stand in a field that names a file.
pub const TEXT_FROM: Takes = Takes::OneOf(&[Takes::Text, Takes::Fields(ARTIFACT)]);

const ARTIFACT: &[Field] =
    &[Field::new("artifact", Takes::Text, "The path of a file in the unpacked artifact")];

/// The file that a field names.
#[derive(Clone, Debug)]
pub enum TextFrom {
    Model(Spanned<Arc<str>>),
    /// Below the tree of the component's artifact.
    Artifact(Spanned<Arc<str>>),
}

/// What is in it.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    Source(&'a Source),
    /// It is in an artifact that has not been unpacked yet.
    Later,
}

impl TextFrom {
    pub fn span(&self) -> Span {
        let (TextFrom::Model(path) | TextFrom::Artifact(path)) = self;
        path.span
    }

    /// What stands for the text as long as the artifact is not at hand.
    pub fn stand_in(&self) -> Arc<str> {
        let (TextFrom::Model(path) | TextFrom::Artifact(path)) = self;
        Arc::from(format!("(the file {} of the artifact)\n", path.value))
    }
}

impl Fields<'_, '_, '_> {
    /// A path of the model, or `{ artifact: PATH }`.
    pub fn text_from(&mut self, key: &str) -> Option<TextFrom> {
        match self.node(key)? {
            node @ Node::Map(entries, _)
                if entries.iter().any(|(name, _)| &*name.value == "artifact") =>
            {
                let mut fields = Fields::read(node, "file of an artifact", ARTIFACT, self.cx)?;
                let path = fields.text("artifact")?;
                of_artifact(path, fields.cx)
            }
            Node::Scalar(_) | Node::List(..) | Node::Map(..) | Node::Unknown(_) => {
                self.text(key).map(TextFrom::Model)
            }
        }
    }
}

fn of_artifact(path: Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<TextFrom> {
    let is_plain = path.value.split('/').all(|it| !["", ".", ".."].contains(&it));
    if !is_plain || path.value.contains('\0') {
        let message = format!("`{}` is not a path in an artifact", path.value.escape_debug());
        let error = Diagnostic::error(codes::BAD_PATH, path.span, message);
        cx.report(
            error.help("relative to the tree, as it is once `strip` is done: deploy/api.toml"),
        );
        return None;
    }
    if cx.scope.deployment().is_none() {
        let error = Diagnostic::error(codes::NO_ARTIFACT, path.span, "there is no artifact here");
        cx.report(error.help("a component that has a `directory` may read from its artifact"));
        return None;
    }
    cx.read.of_artifact.push(path.clone());
    Some(TextFrom::Artifact(path))
}

impl<'a> Lower<'a> {
    /// The file, or a report that there is none.
    pub fn found(&mut self, from: &TextFrom) -> Option<Found<'a>> {
        match from {
            TextFrom::Model(path) => self.file(path).map(Found::Source),
            TextFrom::Artifact(path) => {
                let deployment = self.scope.deployment()?;
                if !deployment.is_unpacked {
                    return Some(Found::Later);
                }
                let found = self.sources.find(&tree_path(&deployment.component, &path.value));
                if found.is_none() {
                    let message = format!("the artifact has no file `{}`", path.value);
                    self.error(codes::UNKNOWN_FILE, path.span, message);
                }
                found.map(|(_, source)| Found::Source(source))
            }
        }
    }
}

/// Where the templates of a file's place include others from: the root of the model, or of the artifact's tree.
pub(crate) fn root_of(source: &Source, deployment: Option<&Arc<Deployment>>) -> String {
    let root = deployment.map(|it| tree_path(&it.component, "")).unwrap_or_default();
    if source.path.starts_with('/') { root } else { String::new() }
}

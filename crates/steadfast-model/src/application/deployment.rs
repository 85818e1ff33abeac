//! The words for a deployment in what its component promises: its id, its directory and tree, and the port of a
//! slot.
//!
//! The digest of a deployment is made from its promises, and these may name the deployment. So they are made with
//! words that only stand for it, hashed, and made again with its own. Nothing else may hang on the words: what names
//! them is computed with two sets of them, and the results must be the same but for the words.

use super::ComponentId;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::node::{Node, Scalar, Value as Plain};
use crate::span::{Span, Spanned};
use crate::value;
use minijinja::Value;
use std::sync::Arc;

/// Which words a component's promises are made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    id: Arc<str>,
    port: Option<u16>,
    /// Whether the files of its artifact are among the sources, below [`tree_path`].
    is_unpacked: bool,
}

impl Words {
    /// Those that stand for a deployment of which the digest is not known.
    pub fn standing_in() -> Words {
        Words { id: Arc::from(ID), port: None, is_unpacked: false }
    }

    /// Those of a deployment. `port`: of the slot, where it has slots.
    pub fn of(id: &str, port: Option<u16>) -> Words {
        Words { id: Arc::from(id), port, is_unpacked: false }
    }

    /// Whether a text says which deployment it is.
    pub fn are_in(&self, text: &str) -> bool {
        text.contains(&*self.id)
    }

    /// The same where the files of the artifact that its promises read are among the sources.
    #[must_use]
    pub fn unpacked(self) -> Words {
        Words { is_unpacked: true, ..self }
    }
}

/// Where among the sources a file of the unpacked artifact of a component is. No file of a model can be there: their
/// paths are relative.
pub fn tree_path(component: &ComponentId, path: &str) -> String {
    format!("/artifact/{component}/{path}")
}

/// Stands for the id of a deployment. None is like this: ids are hexadecimal digits. Deployments are stored with it, so
/// it stays what it is.
pub(crate) const ID: &str = "zgivenlaterz";

/// Stands for the port of a slot.
const PORT: &str = "zportz";

/// Words like those of a deployment, for a second look.
const OTHER_ID: &str = "5eedf4c70b9a";
const OTHER_PORT: &str = "65021";

/// What expressions of one place see as `deployment`.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) component: ComponentId,
    /// That of the component.
    directory: Arc<str>,
    id: Arc<str>,
    port: Option<Arc<str>>,
    pub(crate) is_unpacked: bool,
}

/// How a place sees the port of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortSeen {
    /// Not at all.
    Never,
    /// In what is hashed, so as a word that stands for it.
    AsWord,
    /// In what has to be understood, so as a port.
    As(u16),
}

impl Deployment {
    pub(crate) fn new(
        component: &ComponentId,
        directory: &Arc<str>,
        words: &Words,
        port: PortSeen,
    ) -> Deployment {
        let port = match (port, words.port) {
            (PortSeen::Never, _) => None,
            (PortSeen::AsWord | PortSeen::As(_), Some(port)) | (PortSeen::As(port), None) => {
                Some(Arc::from(port.to_string()))
            }
            (PortSeen::AsWord, None) => Some(Arc::from(PORT)),
        };
        let (component, directory) = (component.clone(), Arc::clone(directory));
        let (id, is_unpacked) = (Arc::clone(&words.id), words.is_unpacked);
        Deployment { component, directory, id, port, is_unpacked }
    }

    /// `deployment.id`, `deployment.directory`, `deployment.tree`, `deployment.port`.
    pub(crate) fn value(&self) -> Value {
        let folder = format!("{}/deployments/{}", self.directory, self.id);
        let tree = format!("{folder}/tree");
        let id = serde_json::Value::from(&*self.id);
        let mut all = serde_json::Map::from_iter([
            ("id".to_owned(), id),
            ("directory".to_owned(), folder.into()),
            ("tree".to_owned(), tree.into()),
        ]);
        if let Some(port) = &self.port {
            all.insert("port".to_owned(), (&**port).into());
        }
        value::of_json(&serde_json::Value::Object(all))
    }

    /// The same with other words: of two sets one only stands for a deployment.
    pub(crate) fn other(&self) -> Deployment {
        let (id, port) = if &*self.id == ID { (OTHER_ID, OTHER_PORT) } else { (ID, PORT) };
        let port = self.port.as_ref().map(|own| {
            // One that has to be understood is the same both times.
            if &*self.id == ID && &**own != PORT { Arc::clone(own) } else { Arc::from(port) }
        });
        Deployment { id: Arc::from(id), port, ..self.clone() }
    }

    /// Whether a text has words of this deployment in it.
    pub(crate) fn is_named_in(&self, node: &Node) -> bool {
        match node {
            Node::Scalar(it) => it.value.text.contains(&*self.id),
            Node::List(items, _) => items.iter().any(|it| self.is_named_in(it)),
            Node::Map(entries, _) => (entries.iter())
                .any(|(key, it)| key.value.contains(&*self.id) || self.is_named_in(it)),
            Node::Unknown(_) => false,
        }
    }

    /// A tree with the words of another deployment in the place of these.
    pub(crate) fn renamed(&self, node: &Node, to: &Deployment) -> Node {
        match node {
            Node::Scalar(it) if it.value.value == Plain::Text => {
                let Scalar { value, text, style } = &it.value;
                let text = Arc::from(self.replaced(text, to));
                Node::Scalar(Spanned::new(Scalar { value: *value, text, style: *style }, it.span))
            }
            Node::Scalar(_) | Node::Unknown(_) => node.clone(),
            Node::List(items, span) => {
                Node::List(items.iter().map(|it| self.renamed(it, to)).collect(), *span)
            }
            Node::Map(entries, span) => {
                let entries = entries.iter().map(|(key, it)| {
                    let name = Arc::from(self.replaced(&key.value, to));
                    (Spanned::new(name, key.span), self.renamed(it, to))
                });
                Node::Map(entries.collect(), *span)
            }
        }
    }

    fn replaced(&self, text: &str, to: &Deployment) -> String {
        let text = text.replace(&*self.id, &to.id);
        match (&self.port, &to.port) {
            (Some(own), Some(port)) if &**own == PORT => text.replace(PORT, port),
            (_, _) => text,
        }
    }

    /// Whether two results, made with the words of each, differ in nothing but the words.
    pub(crate) fn differ_by_words(&self, own: &Node, other: &Deployment, others: &Node) -> bool {
        if &*self.id == ID {
            self.renamed(own, other).same(others)
        } else {
            other.renamed(others, self).same(own)
        }
    }

    /// The same of two texts.
    pub(crate) fn texts_differ_by_words(
        &self,
        own: &str,
        other: &Deployment,
        others: &str,
    ) -> bool {
        if &*self.id == ID {
            self.replaced(own, other) == others
        } else {
            other.replaced(others, self) == own
        }
    }
}

pub(crate) fn in_logic(span: Span) -> Diagnostic {
    let message = "this hangs on what the deployment is called";
    Diagnostic::error(codes::DEPLOYMENT_IN_LOGIC, span, message)
        .help("put the words of `deployment` out as they are, without conditions and filters")
}

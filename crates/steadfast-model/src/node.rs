//! The spanned tree that every YAML document becomes before anything is typed.

use crate::span::{Span, Spanned};
use std::sync::Arc;

/// One node of a document. Substitution happens on this tree, so a value keeps the span of the text
/// that produced it. Cloning is cheap: text is shared.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Scalar(Spanned<Scalar>),
    List(Arc<[Node]>, Span),
    /// Entries in source order; keys are unique.
    Map(Arc<[Entry]>, Span),
    /// A value that hangs on a fact which is not known here (only in `check`). What needs it is
    /// checked no further.
    Unknown(Span),
}

/// A key and its value.
pub type Entry = (Spanned<Arc<str>>, Node);

/// One value, with the text it was written as: `mode: 0644` and `mode: "0644"` differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    pub value: Value,
    /// The text as written, or as computed by an expression.
    pub text: Arc<str>,
    pub style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    /// Stands in [`Scalar::text`].
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: YAML decides what it is.
    Plain,
    /// In quotes, or a block: text.
    Quoted,
    /// The result of an expression, or made by the program.
    Computed,
}

impl Node {
    pub fn span(&self) -> Span {
        match self {
            Node::Scalar(scalar) => scalar.span,
            Node::List(_, span) | Node::Map(_, span) | Node::Unknown(span) => *span,
        }
    }

    /// A text made by the program or by an expression.
    pub fn text(text: impl Into<Arc<str>>, span: Span) -> Node {
        Node::computed(Value::Text, text, span)
    }

    pub fn computed(value: Value, text: impl Into<Arc<str>>, span: Span) -> Node {
        Node::Scalar(Spanned::new(
            Scalar { value, text: text.into(), style: Style::Computed },
            span,
        ))
    }

    /// The value of `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Map(entries, _) => {
                entries.iter().find(|(name, _)| &*name.value == key).map(|(_, node)| node)
            }
            Node::Scalar(_) | Node::List(..) | Node::Unknown(_) => None,
        }
    }

    /// What it is, in an author's words.
    pub fn describe(&self) -> &'static str {
        match self {
            Node::Scalar(scalar) => match scalar.value.value {
                Value::Null => "nothing",
                Value::Boolean(_) => "a boolean",
                Value::Integer(_) => "an integer",
                Value::Number(_) => "a number",
                Value::Text => "text",
            },
            Node::List(..) => "a list",
            Node::Map(..) => "a map",
            Node::Unknown(_) => "unknown",
        }
    }

    /// The value as one line of text.
    pub fn one_line(&self) -> String {
        match self {
            Node::Scalar(it) => match it.value.value {
                Value::Text => format!("{:?}", it.value.text),
                Value::Null => "null".to_owned(),
                Value::Boolean(value) => value.to_string(),
                Value::Integer(value) => value.to_string(),
                Value::Number(_) => it.value.text.to_string(),
            },
            Node::List(items, _) => {
                let items: Vec<String> = items.iter().map(Node::one_line).collect();
                format!("[{}]", items.join(", "))
            }
            Node::Map(entries, _) => {
                let entries =
                    entries.iter().map(|(key, it)| format!("{}: {}", key.value, it.one_line()));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
            Node::Unknown(_) => "unknown".to_owned(),
        }
    }

    /// Plain data as JSON; what is not known here is null.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Node::Scalar(it) => match it.value.value {
                Value::Null => serde_json::Value::Null,
                Value::Boolean(value) => value.into(),
                Value::Integer(value) => value.into(),
                Value::Number(value) => value.into(),
                Value::Text => (&*it.value.text).into(),
            },
            Node::List(items, _) => items.iter().map(Node::to_json).collect(),
            Node::Map(entries, _) => {
                let entries =
                    entries.iter().map(|(key, node)| (key.value.to_string(), node.to_json()));
                serde_json::Value::Object(entries.collect())
            }
            Node::Unknown(_) => serde_json::Value::Null,
        }
    }

    /// The items of a list; of anything else, none.
    pub(crate) fn items(&self) -> &[Node] {
        match self {
            Node::List(items, _) => items,
            Node::Scalar(_) | Node::Map(..) | Node::Unknown(_) => &[],
        }
    }

    /// Whether the two say the same, wherever and in whatever quotes they were written.
    pub fn same(&self, other: &Node) -> bool {
        match (self, other) {
            (Node::Scalar(a), Node::Scalar(b)) => {
                a.value.value == b.value.value
                    && (a.value.value != Value::Text || a.value.text == b.value.text)
            }
            (Node::List(a, _), Node::List(b, _)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same(b))
            }
            (Node::Map(a, _), Node::Map(b, _)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, value)| {
                        b.iter().any(|(other, node)| other.value == key.value && value.same(node))
                    })
            }
            (Node::Unknown(_), Node::Unknown(_)) => true,
            (Node::Scalar(_) | Node::List(..) | Node::Map(..) | Node::Unknown(_), _) => false,
        }
    }
}

//! Interfaces: what components provide and use, by name and version. Here they are read and checked for
//! form; versions are compared as they were written, for equality only.

use super::id::is_name;
use crate::codes;
use crate::lower::{Fields, Lower};
use crate::node::{Node, Scalar, Style, Value};
use crate::schema::Takes;
use crate::span::{Span, Spanned};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Interfaces by name, as a document lists them.
pub type Interfaces = BTreeMap<InterfaceName, Versions>;

/// `people`, of the own application or from outside, or `people/api` of another application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName(pub Arc<str>);

/// The versions that are provided, or of which any will do.
#[derive(Clone, Debug)]
pub struct Versions {
    /// Where the name stands.
    pub span: Span,
    pub versions: Vec<Spanned<Arc<str>>>,
}

/// The version of an interface that is named without one.
const FIRST: &str = "1";

/// A list of names, or a map of names to versions.
pub(crate) const TAKES: Takes = Takes::OneOf(&[
    Takes::TextList,
    Takes::MapOf(&Takes::OneOf(&[Takes::Text, Takes::Integer, Takes::Anything])),
]);

/// Whose interfaces may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The component's own, as in `provides`.
    Own,
    /// Also `APPLICATION/NAME`.
    Anyone,
}

/// A list of names, or a map of names to versions; `None` where the field is not there.
pub(super) fn interfaces(
    fields: &mut Fields<'_, '_, '_>,
    key: &str,
    whose: Whose,
) -> Option<Interfaces> {
    let node = fields.node(key)?;
    let what = format!("`{key}`");
    let mut all = Interfaces::new();
    let cx = &mut *fields.cx;
    match node {
        Node::List(items, _) => {
            for item in items.iter() {
                let Some(name) = cx.as_text(item, &what) else { continue };
                let first = vec![Spanned::new(Arc::from(FIRST), name.span)];
                add(&mut all, &name, first, whose, cx);
            }
        }
        Node::Map(entries, _) => {
            for (name, node) in entries.iter() {
                let versions = versions(name, node, cx);
                add(&mut all, name, versions, whose, cx);
            }
        }
        Node::Scalar(_) | Node::Unknown(_) => {
            return cx.wrong(node, &what, "a list of names, or a map of names to versions");
        }
    }
    Some(all)
}

fn add(
    all: &mut Interfaces,
    name: &Spanned<Arc<str>>,
    versions: Vec<Spanned<Arc<str>>>,
    whose: Whose,
    cx: &mut Lower<'_>,
) {
    let is_good = match (whose, name.value.split_once('/')) {
        (_, None) => is_name(&name.value),
        (Whose::Anyone, Some((application, name))) => is_name(application) && is_name(name),
        (Whose::Own, Some(_)) => false,
    };
    if !is_good {
        let form = match whose {
            Whose::Own => "NAME: lower case letters, digits, `_` and `-`",
            Whose::Anyone => "NAME or APPLICATION/NAME, of lower case letters, digits, `_` and `-`",
        };
        let message = format!("`{}` is not the name of an interface", name.value);
        let error = crate::Diagnostic::error(codes::BAD_NAME, name.span, message);
        return cx.report(error.help(form));
    }
    let key = InterfaceName(Arc::clone(&name.value));
    if let Some(first) = all.get(&key) {
        let message = format!("`{}` is listed twice", name.value);
        let error = crate::Diagnostic::error(codes::DUPLICATE_KEY, name.span, message);
        return cx.report(error.related(first.span, "first here"));
    }
    all.insert(key, Versions { span: name.span, versions });
}

/// The field `versions` of an external.
pub(crate) fn versions_of(
    name: &Spanned<Arc<str>>,
    fields: &mut Fields<'_, '_, '_>,
) -> Option<Vec<Spanned<Arc<str>>>> {
    fields.require("versions");
    let node = fields.node("versions")?;
    Some(versions(name, node, fields.cx))
}

/// Nothing, one version or a list of them.
fn versions(name: &Spanned<Arc<str>>, node: &Node, cx: &mut Lower<'_>) -> Vec<Spanned<Arc<str>>> {
    match node {
        Node::Scalar(it) if it.value.value == Value::Null => {
            vec![Spanned::new(Arc::from(FIRST), name.span)]
        }
        Node::List(items, span) => {
            if items.is_empty() {
                let message = format!("`{}` has no version", name.value);
                cx.error(codes::BAD_VALUE, *span, message);
            }
            items.iter().filter_map(|it| version(it, cx)).collect()
        }
        Node::Scalar(_) | Node::Map(..) | Node::Unknown(_) => {
            version(node, cx).into_iter().collect()
        }
    }
}

fn version(node: &Node, cx: &mut Lower<'_>) -> Option<Spanned<Arc<str>>> {
    if let Node::Scalar(Spanned { value: Scalar { value: Value::Integer(_), text, style }, span }) =
        node
        && *style == Style::Plain
        && text.bytes().all(|it| it.is_ascii_digit())
    {
        return Some(Spanned::new(Arc::clone(text), *span));
    }
    let text = cx.as_text(node, "the version of an interface")?;
    let is_plain = !text.value.is_empty()
        && text.value.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it));
    if !is_plain {
        let message = format!("`{}` is not the version of an interface", text.value);
        let error = crate::Diagnostic::error(codes::BAD_VALUE, text.span, message);
        cx.report(error.help("letters, digits, `.`, `_` and `-`; most count 1, 2, 3"));
        return None;
    }
    Some(text)
}

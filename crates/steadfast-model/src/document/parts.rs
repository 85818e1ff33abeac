//! What documents of several kinds have in common: sections, includes, declared parameters.

use super::fields::PARAMETER_FIELDS;
use super::types::{Include, Parameter, ParameterType, Section};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::keep::Keep;
use crate::lower::{Fields, Lower};
use crate::node::{Entry, Node};
use crate::section::{self, Holds};
use crate::span::Spanned;
use std::sync::Arc;

const TYPES: [(&str, ParameterType); 6] = [
    ("string", ParameterType::String),
    ("integer", ParameterType::Integer),
    ("number", ParameterType::Number),
    ("boolean", ParameterType::Boolean),
    ("list", ParameterType::List),
    ("map", ParameterType::Map),
];

pub(crate) fn keep(fields: &mut Fields<'_, '_, '_>) -> Keep {
    fields.one_of("keep", &[("repair", Keep::Repair), ("report", Keep::Report)]).unwrap_or_default()
}

pub(crate) fn description(fields: &mut Fields<'_, '_, '_>) -> Option<Arc<str>> {
    fields.text("description").map(|it| it.value)
}

/// The entries of a map field; none where it is not said.
pub(crate) fn entries(fields: &mut Fields<'_, '_, '_>, key: &str) -> Vec<Entry> {
    match fields.node(key) {
        Some(node) => {
            fields.cx.as_map(node, &format!("`{key}`")).map(<[Entry]>::to_vec).unwrap_or_default()
        }
        None => vec![],
    }
}

/// The sections of a document, in the order in which they stand there.
pub(crate) fn sections(root: &Node, cx: &mut Lower<'_>) -> Vec<Section> {
    let Node::Map(all, _) = root else { return vec![] };
    let mut sections = vec![];
    for (key, body) in all.iter() {
        if let Some(section) = section::section(&key.value)
            && let Some(entries) = promises(section, body, cx)
        {
            sections.push(Section { kind: section.kind, entries });
        }
    }
    sections
}

/// The entries of a section: a map, or the name of the one thing that it holds.
fn promises(section: &section::Section, body: &Node, cx: &mut Lower<'_>) -> Option<Arc<[Entry]>> {
    let what = format!("`{}`", section.name);
    match body {
        Node::Scalar(_) if section.holds == Holds::One => {
            let name = cx.as_text(body, &what)?;
            let nothing_more = Node::Map(Arc::from([]), name.span);
            Some(Arc::from([(name, nothing_more)]))
        }
        Node::Map(entries, _) => Some(Arc::clone(entries)),
        Node::Scalar(_) | Node::List(..) | Node::Unknown(_) => {
            cx.as_map(body, &what).map(Arc::from)
        }
    }
}

/// The parameters that a document declares.
pub(crate) fn declared(fields: &mut Fields<'_, '_, '_>) -> Vec<Parameter> {
    let all = entries(fields, "parameters");
    all.iter().filter_map(|(name, body)| parameter(name, body, fields.cx)).collect()
}

/// The bundles that a document takes in.
pub(crate) fn includes(fields: &mut Fields<'_, '_, '_>) -> Vec<Include> {
    let Some(node) = fields.node("include") else { return vec![] };
    let all = fields.cx.as_list(node, "`include`").unwrap_or_default();
    all.iter().filter_map(|node| include(node, fields.cx)).collect()
}

/// A map with the declaration's fields, or a plain value as a short form of its default. A map that is
/// meant as a default is written out: `{ type: map, default: { … } }`.
fn parameter(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Parameter> {
    let name = name.clone();
    if !matches!(body, Node::Map(..)) {
        return Some(Parameter {
            name,
            takes: None,
            default: Some(body.clone()),
            choices: None,
            pattern: None,
            description: None,
        });
    }
    let mut fields = Fields::read(body, "parameter", PARAMETER_FIELDS, cx)?;
    let takes = fields.one_of("type", &TYPES);
    let default = fields.node("default").cloned();
    let choices = match fields.node("choices") {
        Some(node) => fields.cx.as_list(node, "`choices`").map(Arc::from),
        None => None,
    };
    let pattern = fields.text("pattern");
    let description = description(&mut fields);
    Some(Parameter { name, takes, default, choices, pattern, description })
}

/// `- base`, `- std/ssh: { port: 22 }`, or one with `for_each` and `when` beside it.
fn include(node: &Node, cx: &mut Lower<'_>) -> Option<Include> {
    let span = node.span();
    if let Node::Scalar(_) = node {
        let bundle = cx.as_text(node, "an include")?;
        return Some(Include { bundle, arguments: vec![], for_each: None, when: None, span });
    }
    let all = cx.as_map(node, "an include")?;
    let is_word = |key: &str| ["for_each", "when"].contains(&key);
    let mut bundles = all.iter().filter(|(key, _)| !is_word(&key.value));
    let (Some((bundle, arguments)), None) = (bundles.next(), bundles.next()) else {
        let error = Diagnostic::error(codes::BAD_VALUE, span, "an include names one bundle");
        cx.report(error.help("write each bundle as an item of its own: - NAME: { arguments }"));
        return None;
    };
    let nothing = matches!(arguments, Node::Scalar(it) if it.value.value == crate::Value::Null);
    let arguments = if nothing {
        vec![]
    } else {
        cx.as_map(arguments, &format!("the arguments of `{}`", bundle.value))?.to_vec()
    };
    let (for_each, when) = (node.get("for_each").cloned(), node.get("when").cloned());
    Some(Include { bundle: bundle.clone(), arguments, for_each, when, span })
}

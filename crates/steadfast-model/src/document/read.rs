//! Reads documents: what can be understood of each, and a report of all that cannot.

use super::fields::{
    ANY_MAP, BUNDLE_FIELDS, ENVIRONMENT_FIELDS, MODEL_FIELDS, PARAMETER_FIELDS, SELECTOR_FIELDS,
};
use super::place::{KINDS, Place, elsewhere, place};
use super::types::{
    Bundle, Environment, Include, Model, Parameter, ParameterType, Section, Selector,
};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keep::Keep;
use crate::lower::{Fields, Lower, nearest};
use crate::node::{Entry, Node};
use crate::schema::Field;
use crate::scope::Scope;
use crate::section::{self, Holds, SECTIONS};
use crate::source::{Source, SourceSet};
use crate::span::{SourceId, Span, Spanned};
use crate::yaml;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The newest version of the language that is understood.
const FORMAT: i64 = 1;

const TYPES: [(&str, ParameterType); 6] = [
    ("string", ParameterType::String),
    ("integer", ParameterType::Integer),
    ("number", ParameterType::Number),
    ("boolean", ParameterType::Boolean),
    ("list", ParameterType::List),
    ("map", ParameterType::Map),
];

/// Reads all documents of a model. What could not be understood is reported, and missing.
pub fn parse(sources: &SourceSet) -> (Model, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let mut model = Model::default();
    let scope = Scope::default();
    for (id, source) in sources.iter() {
        match place(&source.path) {
            Place::Document => {
                let Some(root) = yaml::read(id, source, &mut diagnostics) else { continue };
                let mut cx = Lower::new(&mut diagnostics, sources, &scope);
                document(&mut model, source, &root, &mut cx);
            }
            Place::Elsewhere => elsewhere(id, source, &mut diagnostics),
            Place::Material => {}
        }
    }
    if model.name.is_none() && sources.find("model.yaml").is_none() {
        let nowhere = Span { source: SourceId(u32::MAX), start: 0, end: 0 };
        let error = Diagnostic::error(codes::NO_MODEL, nowhere, "there is no model.yaml");
        diagnostics.push(error.help("it begins with: model: NAME, and format: 1"));
    }
    (model, diagnostics)
}

fn document(model: &mut Model, source: &Source, root: &Node, cx: &mut Lower<'_>) {
    let Some(entries) = cx.as_map(root, "a document") else { return };
    let Some((first, _)) = entries.first() else { return };
    let Some((kind, folder)) = KINDS.iter().find(|(kind, _)| *kind == &*first.value) else {
        let message = format!("a document cannot begin with `{}`", first.value);
        let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let mut error = Diagnostic::error(codes::UNKNOWN_DOCUMENT, first.span, message);
        if let Some(near) = nearest(&first.value, &kinds) {
            error = error.label(format!("did you mean `{near}`?"));
        }
        return cx
            .report(error.help(format!("its first key says what it is: {}", kinds.join(", "))));
    };
    let inner = source.path.strip_prefix("std/").map_or(&*source.path, |_| *folder);
    let in_place = if folder.is_empty() { !inner.contains('/') } else { inner.starts_with(folder) };
    if !in_place {
        let message = format!("{} holds a document of kind `{kind}`", source.path);
        let belongs = if folder.is_empty() {
            "model.yaml".to_owned()
        } else {
            format!("the directory {folder}")
        };
        cx.report(
            Diagnostic::warning(codes::OUT_OF_PLACE, first.span, message)
                .help(format!("it belongs in {belongs}")),
        );
    }
    match *kind {
        "model" => model_document(model, root, cx),
        "environment" => {
            if let Some(it) = environment(root, cx) {
                let (environments, name) = (&mut model.environments, it.name.clone());
                insert(environments, "environment", &name, it, |it| it.name.span, cx);
            }
        }
        "server" => {
            if let Some(it) = bundle("server", root, cx) {
                let name = it.name.clone();
                insert(&mut model.servers, "server", &name, it, |it| it.name.span, cx);
            }
        }
        "bundle" => {
            if let Some(mut it) = bundle("bundle", root, cx) {
                if source.path.starts_with("std/") {
                    it.name.value = Arc::from(format!("std/{}", it.name.value));
                }
                let name = it.name.clone();
                insert(&mut model.bundles, "bundle", &name, it, |it| it.name.span, cx);
            }
        }
        // Applications and releases are checked no further yet than that they are documents.
        _ => {}
    }
}

fn insert<T>(
    all: &mut BTreeMap<Arc<str>, T>,
    kind: &str,
    name: &Spanned<Arc<str>>,
    it: T,
    span: impl Fn(&T) -> Span,
    cx: &mut Lower<'_>,
) {
    if let Some(first) = all.get(&name.value) {
        let message = format!("there are two documents `{kind}: {}`", name.value);
        let error = Diagnostic::error(codes::DUPLICATE_DOCUMENT, name.span, message);
        cx.report(error.related(span(first), "first here"));
    } else {
        all.insert(Arc::clone(&name.value), it);
    }
}

fn keep(fields: &mut Fields<'_, '_, '_>) -> Keep {
    fields.one_of("keep", &[("repair", Keep::Repair), ("report", Keep::Report)]).unwrap_or_default()
}

fn description(fields: &mut Fields<'_, '_, '_>) -> Option<Arc<str>> {
    fields.text("description").map(|it| it.value)
}

/// The entries of a map field; none where it is not said.
fn entries(fields: &mut Fields<'_, '_, '_>, key: &str) -> Vec<Entry> {
    match fields.node(key) {
        Some(node) => {
            fields.cx.as_map(node, &format!("`{key}`")).map(<[Entry]>::to_vec).unwrap_or_default()
        }
        None => vec![],
    }
}

fn model_document(model: &mut Model, root: &Node, cx: &mut Lower<'_>) {
    let Some(mut fields) = Fields::read(root, "model", MODEL_FIELDS, cx) else { return };
    model.name = fields.text("model");
    model.description = description(&mut fields);
    if fields.require("format")
        && let Some(format) = fields.integer("format")
        && format.value != FORMAT
    {
        let message = format!("format {} is not understood; this program knows 1", format.value);
        let error = Diagnostic::error(codes::UNKNOWN_FORMAT, format.span, message);
        fields.cx.report(if format.value > FORMAT {
            error.help("the model is newer than the program: upgrade steadfast on this machine")
        } else {
            error
        });
    }
    model.parameters = entries(&mut fields, "parameters");
    model.policy = fields.node("policy").cloned();
    model.keep = keep(&mut fields);
}

fn environment(root: &Node, cx: &mut Lower<'_>) -> Option<Environment> {
    let mut fields = Fields::read(root, "environment", ENVIRONMENT_FIELDS, cx)?;
    let name = fields.text("environment");
    let description = description(&mut fields);
    let parameters = entries(&mut fields, "parameters");
    let nodes = entries(&mut fields, "nodes");
    let policy = fields.node("policy").cloned();
    let keep = keep(&mut fields);
    let nodes = nodes.iter().filter_map(|(nodes, body)| selector(nodes, body, fields.cx)).collect();
    Some(Environment { name: name?, description, parameters, nodes, policy, keep })
}

fn selector(nodes: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Selector> {
    let mut fields = Fields::read(body, "node", SELECTOR_FIELDS, cx)?;
    let servers = fields.texts("servers").unwrap_or_default();
    let labels = entries(&mut fields, "labels");
    let parameters = entries(&mut fields, "parameters");
    let keep = keep(&mut fields);
    Some(Selector { nodes: nodes.clone(), servers, labels, parameters, keep })
}

fn bundle(kind: &'static str, root: &Node, cx: &mut Lower<'_>) -> Option<Bundle> {
    let other = if kind == "server" { "bundle" } else { "server" };
    let mut known: Vec<Field> =
        BUNDLE_FIELDS.iter().filter(|it| it.name != other).copied().collect();
    known.extend(SECTIONS.iter().map(|it| Field::new(it.name, ANY_MAP, "")));
    let mut fields = Fields::read(root, kind, &known, cx)?;
    let name = fields.text(kind);
    let description = description(&mut fields);
    let parameters = entries(&mut fields, "parameters")
        .iter()
        .filter_map(|(name, body)| parameter(name, body, fields.cx))
        .collect();
    let include = match fields.node("include") {
        Some(node) => fields.cx.as_list(node, "`include`").unwrap_or_default(),
        None => &[],
    };
    let include = include.iter().filter_map(|node| self::include(node, fields.cx)).collect();
    let keep = keep(&mut fields);
    let mut sections = vec![];
    if let Node::Map(all, _) = root {
        for (key, body) in all.iter() {
            if let Some(section) = section::section(&key.value)
                && let Some(entries) = promises(section, body, fields.cx)
            {
                sections.push(Section { kind: section.kind, entries });
            }
        }
    }
    Some(Bundle { name: name?, description, parameters, include, keep, sections })
}

/// The entries of a section: a map, or the name of the one thing that it holds.
fn promises(section: &section::Section, body: &Node, cx: &mut Lower<'_>) -> Option<Arc<[Entry]>> {
    let what = format!("`{}`", section.name);
    match (section.holds, body) {
        (Holds::One, Node::Scalar(_)) => {
            let name = cx.as_text(body, &what)?;
            let nothing_more = Node::Map(Arc::from([]), name.span);
            Some(Arc::from([(name, nothing_more)]))
        }
        (Holds::One | Holds::Many, _) => cx.as_map(body, &what).map(Arc::from),
    }
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

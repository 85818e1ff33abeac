//! Reads documents: what can be understood of each, and a report of all that cannot.

use super::fields::{
    ANY_MAP, BUNDLE_FIELDS, ENVIRONMENT_FIELDS, EXTERNAL_FIELDS, MODEL_FIELDS, SELECTOR_FIELDS,
};
use super::model::Model;
use super::parts::{declared, description, entries, includes, keep, sections};
use super::place::{KINDS, Place, application_at, elsewhere, holds_several, place};
use super::types::{Bundle, Environment, External, Selector};
use crate::application;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lower::{Fields, Lower, nearest};
use crate::node::Node;
use crate::schema::Field;
use crate::scope::Scope;
use crate::section::SECTIONS;
use crate::source::{Source, SourceSet};
use crate::span::{SourceId, Span, Spanned};
use crate::yaml;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The newest version of the language that is understood.
const FORMAT: i64 = 1;

/// Reads all documents of a model. What could not be understood is reported, and missing. What is wrong with
/// an application is told in the model's catalog: it holds that application, and nothing else.
pub fn parse(sources: &SourceSet) -> (Model, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let mut model = Model::default();
    for (id, source) in sources.iter() {
        match place(&source.path) {
            Place::Document => file(&mut model, id, source, sources, &mut diagnostics),
            Place::Elsewhere => elsewhere(id, source, &mut diagnostics),
            Place::Material => {}
        }
    }
    if model.name.is_none() && sources.find("model.yaml").is_none() {
        let nowhere = Span { source: SourceId(u32::MAX), start: 0, end: 0 };
        let error = Diagnostic::error(codes::NO_MODEL, nowhere, "there is no model.yaml");
        diagnostics.push(error.help("it begins with: model: NAME, and format: 1"));
    }
    let Model { catalog, environments, servers, .. } = &mut model;
    application::judge(catalog, environments, servers, sources);
    (model, diagnostics)
}

/// The documents of one file.
fn file(
    model: &mut Model,
    id: SourceId,
    source: &Source,
    sources: &SourceSet,
    diagnostics: &mut Diagnostics,
) {
    let scope = Scope::default();
    let owner = application_at(&source.path, sources);
    let mut found = Diagnostics::default();
    let roots = yaml::read_all(id, source, holds_several(&source.path), &mut found);
    // What cannot be read as YAML belongs to whom its path names.
    tell(model, owner.as_ref(), found, diagnostics);
    for root in roots {
        let mut found = Diagnostics::default();
        let mut cx = Lower::new(&mut found, sources, &scope);
        let owner = match document(model, source, &root, &mut cx) {
            Whose::Models => None,
            Whose::Applications(name) => Some(name),
            Whose::Unknown => owner.clone(),
        };
        tell(model, owner.as_ref(), found, diagnostics);
    }
}

/// Whose affair the mistakes of a document are.
enum Whose {
    Models,
    Applications(Arc<str>),
    /// As its path says.
    Unknown,
}

fn tell(model: &mut Model, owner: Option<&Arc<str>>, found: Diagnostics, all: &mut Diagnostics) {
    match owner {
        Some(_) if found.is_empty() => {}
        Some(name) => model.catalog.of(name).mistakes.extend(found),
        None => all.extend(found),
    }
}

fn document(model: &mut Model, source: &Source, root: &Node, cx: &mut Lower<'_>) -> Whose {
    let Some(entries) = cx.as_map(root, "a document") else { return Whose::Unknown };
    let Some((first, _)) = entries.first() else { return Whose::Unknown };
    let Some((kind, folder)) = KINDS.iter().find(|(kind, _)| *kind == &*first.value) else {
        let message = format!("a document cannot begin with `{}`", first.value);
        let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let mut error = Diagnostic::error(codes::UNKNOWN_DOCUMENT, first.span, message);
        if let Some(near) = nearest(&first.value, &kinds) {
            error = error.label(format!("did you mean `{near}`?"));
        }
        cx.report(error.help(format!("its first key says what it is: {}", kinds.join(", "))));
        return Whose::Unknown;
    };
    in_place(source, first, kind, folder, cx);
    match *kind {
        "model" => model_document(model, root, cx),
        "environment" => environment_document(model, root, cx),
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
        "application" => return application_document(model, source, root, cx),
        "release" => return release_document(model, source, root, cx),
        _ => return target_document(model, source, root, cx),
    }
    Whose::Models
}

/// Reports a document that is not in the directory of its kind.
fn in_place(
    source: &Source,
    first: &Spanned<Arc<str>>,
    kind: &str,
    folder: &str,
    cx: &mut Lower<'_>,
) {
    let inner = source.path.strip_prefix("std/").map_or(&*source.path, |_| folder);
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

fn environment_document(model: &mut Model, root: &Node, cx: &mut Lower<'_>) {
    if let Some(it) = environment(root, cx) {
        let (environments, name) = (&mut model.environments, it.name.clone());
        insert(environments, "environment", &name, it, |it| it.name.span, cx);
    }
}

fn environment(root: &Node, cx: &mut Lower<'_>) -> Option<Environment> {
    let mut fields = Fields::read(root, "environment", ENVIRONMENT_FIELDS, cx)?;
    let name = fields.text("environment");
    let description = description(&mut fields);
    let parameters = entries(&mut fields, "parameters");
    let nodes = entries(&mut fields, "nodes");
    let policy = fields.node("policy").cloned();
    let keep = keep(&mut fields);
    let applications = entries(&mut fields, "applications");
    let flags = entries(&mut fields, "flags");
    let external = entries(&mut fields, "external");
    let external = external.iter().filter_map(|(name, body)| self::external(name, body, fields.cx));
    let external = external.collect();
    let nodes = nodes.iter().filter_map(|(nodes, body)| selector(nodes, body, fields.cx)).collect();
    let name = name?;
    Some(Environment {
        name,
        description,
        parameters,
        nodes,
        applications,
        flags,
        external,
        policy,
        keep,
    })
}

fn selector(nodes: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Selector> {
    let mut fields = Fields::read(body, "node", SELECTOR_FIELDS, cx)?;
    let servers = fields.texts("servers").unwrap_or_default();
    let labels = entries(&mut fields, "labels");
    let parameters = entries(&mut fields, "parameters");
    let applications = entries(&mut fields, "applications");
    let keep = keep(&mut fields);
    Some(Selector { nodes: nodes.clone(), servers, labels, parameters, applications, keep })
}

fn external(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<External> {
    let mut fields = Fields::read(body, "external", EXTERNAL_FIELDS, cx)?;
    let versions = application::versions_of(name, &mut fields)?;
    let until = application::date(&mut fields, "until");
    Some(External { name: name.clone(), versions, until })
}

fn bundle(kind: &'static str, root: &Node, cx: &mut Lower<'_>) -> Option<Bundle> {
    let other = if kind == "server" { "bundle" } else { "server" };
    let mut known: Vec<Field> =
        BUNDLE_FIELDS.iter().filter(|it| it.name != other).copied().collect();
    known.extend(SECTIONS.iter().map(|it| Field::new(it.name, ANY_MAP, "")));
    let mut fields = Fields::read(root, kind, &known, cx)?;
    let name = fields.text(kind);
    let description = description(&mut fields);
    let parameters = declared(&mut fields);
    let include = includes(&mut fields);
    let keep = keep(&mut fields);
    let sections = sections(root, fields.cx);
    Some(Bundle { name: name?, description, parameters, include, keep, sections })
}

/// `applications/NAME/application.yaml`.
fn application_document(
    model: &mut Model,
    source: &Source,
    root: &Node,
    cx: &mut Lower<'_>,
) -> Whose {
    let Some(it) = application::read_application(root, cx) else { return Whose::Unknown };
    let name = it.name.clone();
    let folder = format!("applications/{}/", name.value);
    if !source.path.starts_with(&folder) {
        let message = format!("{} holds the application `{}`", source.path, name.value);
        let warning = Diagnostic::warning(codes::OUT_OF_PLACE, name.span, message);
        cx.report(warning.help(format!("it belongs in the directory {folder}")));
    }
    model.catalog.take_application(it, cx);
    Whose::Applications(name.value)
}

/// `applications/NAME/releases/VERSION.yaml`.
fn release_document(model: &mut Model, source: &Source, root: &Node, cx: &mut Lower<'_>) -> Whose {
    let Some(it) = application::read_release(root, cx) else { return Whose::Unknown };
    let application = Arc::clone(&it.id.value.application);
    let folder = format!("applications/{application}/releases/");
    if source.path.starts_with(&folder) {
        model.catalog.take_release(it, cx);
    } else {
        let message = format!("{} holds a release of `{application}`", source.path);
        let error = Diagnostic::error(codes::OUT_OF_PLACE, it.id.span, message);
        cx.report(error.help(format!("it belongs in the directory {folder}")));
    }
    Whose::Applications(application)
}

/// `environments/ENVIRONMENT/APPLICATION.yaml`.
fn target_document(model: &mut Model, source: &Source, root: &Node, cx: &mut Lower<'_>) -> Whose {
    let Some((it, environment)) = application::read_target(root, cx) else { return Whose::Unknown };
    let application = it.application.clone();
    let parts: Vec<&str> = source.path.split('/').collect();
    let is_own = |file: &str| {
        let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"));
        stem == Some(&*application.value)
    };
    match parts[..] {
        ["environments", folder, file] if is_own(file) => {
            if let Some(said) = environment.filter(|it| *it.value != *folder) {
                let message = format!("{} is a target of `{}`", source.path, said.value);
                let error = Diagnostic::error(codes::OUT_OF_PLACE, said.span, message);
                cx.report(error.help(format!("in this directory it is one of `{folder}`")));
            } else {
                model.catalog.take_target(&Arc::from(folder), it, cx);
            }
        }
        _ => {
            let message = format!("{} holds a target of `{}`", source.path, application.value);
            let error = Diagnostic::error(codes::OUT_OF_PLACE, application.span, message);
            let place = format!("environments/ENVIRONMENT/{}.yaml", application.value);
            cx.report(error.help(format!("it belongs in {place}")));
        }
    }
    Whose::Applications(application.value)
}

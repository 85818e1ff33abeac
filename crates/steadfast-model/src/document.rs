//! The documents of a model, typed as far as their own schema goes: what stands in a section stays a
//! tree, because each kind owns its schema.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lower::{Fields, Lower, nearest};
use crate::node::{Entry, Node};
use crate::promise::Keep;
use crate::schema::{Field, Takes};
use crate::scope::Scope;
use crate::section::{self, SECTIONS};
use crate::source::{Source, SourceSet};
use crate::span::{SourceId, Span, Spanned};
use crate::yaml;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The whole model, as far as it could be understood.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub name: Option<Spanned<Arc<str>>>,
    pub description: Option<Arc<str>>,
    /// Values for the parameters of servers, everywhere.
    pub parameters: Vec<Entry>,
    pub policy: Option<Node>,
    pub keep: Keep,
    pub environments: BTreeMap<Arc<str>, Environment>,
    pub servers: BTreeMap<Arc<str>, Bundle>,
    pub bundles: BTreeMap<Arc<str>, Bundle>,
}

/// A server or a bundle: a reusable set of promises with parameters.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub name: Spanned<Arc<str>>,
    pub description: Option<Arc<str>>,
    pub parameters: Vec<Parameter>,
    pub include: Vec<Include>,
    pub keep: Keep,
    pub sections: Vec<Section>,
}

/// One section: its kind, and what stands at each name.
#[derive(Clone, Debug)]
pub struct Section {
    pub kind: &'static str,
    pub entries: Arc<[Entry]>,
}

/// A declared parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: Spanned<Arc<str>>,
    /// Any type where only a default was written.
    pub takes: Option<ParameterType>,
    pub default: Option<Node>,
    pub choices: Option<Arc<[Node]>>,
    pub pattern: Option<Spanned<Arc<str>>>,
    pub description: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    String,
    Integer,
    Number,
    Boolean,
    List,
    Map,
}

/// A bundle that is taken in, once or once for each item.
#[derive(Clone, Debug)]
pub struct Include {
    pub bundle: Spanned<Arc<str>>,
    pub arguments: Vec<Entry>,
    pub for_each: Option<Node>,
    pub when: Option<Node>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Environment {
    pub name: Spanned<Arc<str>>,
    pub description: Option<Arc<str>>,
    pub parameters: Vec<Entry>,
    pub nodes: Vec<Selector>,
    pub policy: Option<Node>,
    pub keep: Keep,
}

/// Which nodes, and what they are.
#[derive(Clone, Debug)]
pub struct Selector {
    /// A name or a glob.
    pub nodes: Spanned<Arc<str>>,
    pub servers: Vec<Spanned<Arc<str>>>,
    pub labels: Vec<Entry>,
    pub parameters: Vec<Entry>,
    pub keep: Keep,
}

const KEEP: Takes = Takes::Words(&["repair", "report"]);
const ANY_MAP: Takes = Takes::MapOf(&Takes::Anything);

pub(crate) const MODEL_FIELDS: &[Field] = &[
    Field::new("model", Takes::Text, "The model's name"),
    Field::new("format", Takes::Integer, "The version of the language: 1"),
    Field::new("description", Takes::Text, "What this model is for"),
    Field::new("parameters", ANY_MAP, "Values for the parameters of servers, everywhere"),
    Field::new("policy", ANY_MAP, "Defaults of the policy; an environment's wins, key by key"),
    Field::new("keep", KEEP, "Whether differences are repaired (default) or only reported"),
];

pub(crate) const BUNDLE_FIELDS: &[Field] = &[
    Field::new("server", Takes::Text, "The server model's name"),
    Field::new("bundle", Takes::Text, "The bundle's name"),
    Field::new("description", Takes::Text, "What it is for"),
    Field::new("parameters", ANY_MAP, "Declared parameters: name to type, default, choices, …"),
    Field::new("include", Takes::Anything, "Bundles that are taken in, with their arguments"),
    Field::new("keep", KEEP, "Whether differences are repaired (default) or only reported"),
];

pub(crate) const ENVIRONMENT_FIELDS: &[Field] = &[
    Field::new("environment", Takes::Text, "The environment's name"),
    Field::new("description", Takes::Text, "What it is for"),
    Field::new("parameters", ANY_MAP, "Values for the parameters of servers in this environment"),
    Field::new("nodes", ANY_MAP, "Node name or glob to servers, labels, parameters and keep"),
    Field::new("applications", ANY_MAP, "Which release of each application is promised here"),
    Field::new("policy", ANY_MAP, "When and how nodes adopt, and what a run may do"),
    Field::new("keep", KEEP, "Whether differences are repaired (default) or only reported"),
];

pub(crate) const SELECTOR_FIELDS: &[Field] = &[
    Field::new("servers", Takes::TextList, "The server models that the node is"),
    Field::new("labels", ANY_MAP, "Free words for expressions: node.labels"),
    Field::new("parameters", ANY_MAP, "Values for the parameters of its servers"),
    Field::new("keep", KEEP, "Whether differences are repaired (default) or only reported"),
];

pub(crate) const PARAMETER_FIELDS: &[Field] = &[
    Field::new("type", Takes::Words(&TYPE_WORDS), "What values it takes"),
    Field::new("default", Takes::Anything, "Its value where none is given"),
    Field::new("choices", Takes::Anything, "The values that it may have"),
    Field::new("pattern", Takes::Text, "A regular expression that its whole text must match"),
    Field::new("description", Takes::Text, "What it is for"),
];

const TYPE_WORDS: [&str; 6] = ["string", "integer", "number", "boolean", "list", "map"];

const TYPES: [(&str, ParameterType); 6] = [
    ("string", ParameterType::String),
    ("integer", ParameterType::Integer),
    ("number", ParameterType::Number),
    ("boolean", ParameterType::Boolean),
    ("list", ParameterType::List),
    ("map", ParameterType::Map),
];

/// The first keys that documents have, and the folder in which each belongs.
const KINDS: [(&str, &str); 6] = [
    ("model", ""),
    ("environment", "environments/"),
    ("server", "servers/"),
    ("bundle", "bundles/"),
    ("application", "applications/"),
    ("release", "applications/"),
];

/// The newest version of the language that is understood.
const FORMAT: i64 = 1;

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

enum Place {
    Document,
    /// YAML where no document belongs.
    Elsewhere,
    /// Templates, files and facts, and whatever is no YAML.
    Material,
}

fn place(path: &str) -> Place {
    let is_yaml = path.ends_with(".yaml") || path.ends_with(".yml");
    // Standard bundles lie together with their templates.
    let below = path.strip_prefix("std/");
    let inner = below.unwrap_or(path);
    let is_material = inner.split('/').any(|it| ["files", "templates", "facts"].contains(&it));
    if !is_yaml || is_material {
        return Place::Material;
    }
    let folder = inner.split_once('/').map_or("", |(folder, _)| folder);
    let known = ["environments", "servers", "bundles", "applications"].contains(&folder);
    let is_root = below.is_none() && ["model.yaml", "model.yml"].contains(&path);
    if known || is_root || below.is_some() { Place::Document } else { Place::Elsewhere }
}

fn elsewhere(id: SourceId, source: &Source, diagnostics: &mut Diagnostics) {
    // Hidden folders hold the settings of other tools.
    if source.path.split('/').any(|it| it.starts_with('.')) {
        return;
    }
    let span = Span { source: id, start: 0, end: 0 };
    let message = format!("{} is not read: no document belongs there", source.path);
    diagnostics.push(Diagnostic::warning(codes::OUT_OF_PLACE, span, message).help(
        "documents are model.yaml and what lies below environments/, servers/, bundles/ and applications/",
    ));
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
            format!("the folder {folder}")
        };
        cx.report(
            Diagnostic::warning(codes::OUT_OF_PLACE, first.span, message)
                .help(format!("its place is {belongs}")),
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
    let Some(mut fields) = Fields::of(root, "model", MODEL_FIELDS, cx) else { return };
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
    let mut fields = Fields::of(root, "environment", ENVIRONMENT_FIELDS, cx)?;
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
    let mut fields = Fields::of(body, "node", SELECTOR_FIELDS, cx)?;
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
    known.extend(SECTIONS.iter().map(|(name, _)| Field::new(name, ANY_MAP, "")));
    let mut fields = Fields::of(root, kind, &known, cx)?;
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
            if let Some(kind) = section::kind_of(&key.value)
                && let Some(found) = fields.cx.as_map(body, &format!("`{}`", key.value))
            {
                sections.push(Section { kind, entries: Arc::from(found) });
            }
        }
    }
    Some(Bundle { name: name?, description, parameters, include, keep, sections })
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
    let mut fields = Fields::of(body, "parameter", PARAMETER_FIELDS, cx)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render;
    use expect_test::{Expect, expect};

    fn read(files: &[(&str, &str)]) -> (Model, String) {
        let mut sources = SourceSet::default();
        for (path, text) in files {
            sources.add(*path, text.as_bytes(), false);
        }
        let (model, diagnostics) = parse(&sources);
        let lines: Vec<String> = diagnostics
            .iter()
            .map(|it| {
                let place = sources.place(it.span);
                let level = render::severity(it.severity);
                format!("{level}[{}] {place}:{} {}", it.code.0, place.column, it.message)
            })
            .collect();
        (model, lines.join("\n"))
    }

    const MODEL: (&str, &str) = ("model.yaml", "model: xyz\nformat: 1\n");

    #[track_caller]
    fn check(path: &str, text: &str, expected: Expect) {
        expected.assert_eq(&read(&[MODEL, (path, text)]).1);
    }

    #[test]
    fn a_whole_model_is_read() {
        let server = "server: web\nparameters:\n  port: { type: integer, default: 8080 }\n  \
                      sites: [a, b]\ninclude:\n  - base\n  - std/ssh: { port: 22 }\n  \
                      - { site: { name: \"{{ item }}\" }, for_each: \"{{ sites }}\" }\n\
                      keep: report\nfiles:\n  /etc/motd: { content: hello }\n";
        let environment = "environment: production\nparameters: { domain: xyz.example }\nnodes:\n  \
                           web1: { servers: [web], labels: { zone: a } }\napplications: {}\n";
        let ssh = ("std/ssh.yaml", "bundle: ssh\npackages: { openssh-server: present }\n");
        let (model, problems) = read(&[
            MODEL,
            ("servers/web.yaml", server),
            ("environments/production.yaml", environment),
            ssh,
        ]);
        assert_eq!(problems, "");
        let web = &model.servers["web"];
        assert_eq!(web.keep, Keep::Report);
        assert_eq!(web.parameters[0].takes, Some(ParameterType::Integer));
        assert!(web.parameters[1].takes.is_none() && web.parameters[1].default.is_some());
        let bundles: Vec<&str> = web.include.iter().map(|it| &*it.bundle.value).collect();
        assert_eq!(bundles, ["base", "std/ssh", "site"]);
        assert!(web.include[2].for_each.is_some() && web.include[1].arguments.len() == 1);
        assert_eq!((web.sections[0].kind, web.sections[0].entries.len()), ("file", 1));
        assert_eq!(&*model.environments["production"].nodes[0].servers[0].value, "web");
        assert!(model.bundles.contains_key("std/ssh"));
    }

    #[test]
    fn unknown_keys_are_offered_the_nearest_name() {
        check(
            "servers/a.yaml",
            "server: a\nfile: {}\nbundle: b\n",
            expect![[r#"
            error[unknown-field] servers/a.yaml:2:1 `server` has no field `file`
            error[unknown-field] servers/a.yaml:3:1 `server` has no field `bundle`"#]],
        );
    }

    #[test]
    fn a_document_says_what_it_is_by_its_first_key() {
        check(
            "servers/a.yaml",
            "sever: a\n",
            expect![[
                r#"error[unknown-document] servers/a.yaml:1:1 a document cannot begin with `sever`"#
            ]],
        );
        check(
            "servers/a.yaml",
            "bundle: a\n",
            expect![[
                r#"warning[out-of-place] servers/a.yaml:1:1 servers/a.yaml holds a document of kind `bundle`"#
            ]],
        );
        check(
            "other/a.yaml",
            "server: a\n",
            expect![[
                r#"warning[out-of-place] other/a.yaml:1:1 other/a.yaml is not read: no document belongs there"#
            ]],
        );
        check(".github/a.yaml", "on: push\n", expect![[""]]);
        check("servers/files/a.yaml", "- anything\n", expect![[""]]);
    }

    #[test]
    fn a_repository_with_applications_is_not_refused() {
        check("applications/p/application.yaml", "application: p\nowner: x\n", expect![[""]]);
        check("applications/p/releases/1.yaml", "release: p 1.4.0\n", expect![[""]]);
    }

    #[test]
    fn two_documents_of_one_name_are_an_error() {
        let (model, problems) =
            read(&[MODEL, ("servers/a.yaml", "server: x\n"), ("servers/b.yaml", "server: x\n")]);
        assert_eq!(model.servers.len(), 1);
        expect!["error[duplicate-document] servers/b.yaml:1:9 there are two documents `server: x`"]
            .assert_eq(&problems);
    }

    #[test]
    fn a_newer_format_is_refused_and_a_missing_model_is_told() {
        let (_, problems) = read(&[("model.yaml", "model: x\nformat: 2\n")]);
        expect![
            "error[unknown-format] model.yaml:2:9 format 2 is not understood; this program knows 1"
        ]
        .assert_eq(&problems);
        let (_, problems) = read(&[]);
        expect!["error[no-model] ?:0:0 there is no model.yaml"].assert_eq(&problems);
    }

    #[test]
    fn an_include_names_one_bundle_and_gives_it_a_map() {
        check(
            "servers/a.yaml",
            "server: a\ninclude:\n  - {a: {}, b: {}}\n  - c: 1\n  - d:\n",
            expect![[r#"
            error[bad-value] servers/a.yaml:3:5 an include names one bundle
            error[wrong-type] servers/a.yaml:4:8 the arguments of `c` must be a map, and is an integer"#]],
        );
    }
}

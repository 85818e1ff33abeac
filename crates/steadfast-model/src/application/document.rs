//! The document of an application: its components, flags and parameters, and who uses it from outside.

use super::component;
use super::flag::{self, Flags};
use super::id::{bad_name, is_name};
use super::interface::{self, Interfaces, Whose, interfaces};
use super::release::with_sections;
use crate::codes;
use crate::date::Date;
use crate::diagnostic::Diagnostic;
use crate::document::parts::{declared, description, entries, includes, keep, sections};
use crate::document::types::{Include, Parameter, Section};
use crate::keep::Keep;
use crate::lower::{Fields, Lower};
use crate::node::Node;
use crate::schema::{Field, Takes};
use crate::span::Spanned;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Application {
    pub name: Spanned<Arc<str>>,
    pub description: Option<Arc<str>>,
    pub owner: Option<Spanned<Arc<str>>>,
    /// Where its commits are.
    pub source: Option<Spanned<Arc<str>>>,
    /// How the id of a feature becomes a link: it has `{id}` in it.
    pub tracker: Option<Spanned<Arc<str>>>,
    pub parameters: Vec<Parameter>,
    pub components: BTreeMap<Arc<str>, Component>,
    pub flags: Flags,
    pub consumers: Vec<Consumer>,
    pub keep: Keep,
}

/// A part of an application that is placed on nodes.
#[derive(Clone, Debug)]
pub struct Component {
    pub name: Spanned<Arc<str>>,
    pub description: Option<Arc<str>>,
    /// Every node that is one of these carries an instance.
    pub servers: Vec<Spanned<Arc<str>>>,
    pub instance: Instance,
    pub when: Option<Node>,
    pub keep: Keep,
    /// Where its deployments are.
    pub directory: Option<Node>,
    pub include: Vec<Include>,
    pub sections: Vec<Section>,
    /// The whole map: what of it [`component::Settings`] reads may have expressions.
    pub body: Node,
}

/// How many instances a component has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Instance {
    /// One on each of its nodes.
    #[default]
    EachNode,
    /// One in an environment, whichever node looks at it.
    Shared,
}

/// A user of an application that is not in any model, and cannot be recalled.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub name: Spanned<Arc<str>>,
    pub uses: Interfaces,
    pub until: Option<Spanned<Date>>,
    /// The environments that it uses; all where nothing is said.
    pub environments: Vec<Spanned<Arc<str>>>,
}

pub(crate) const FIELDS: &[Field] = &[
    Field::new("application", Takes::Text, "The application's name"),
    Field::new("description", Takes::Text, "What it is for"),
    Field::new("owner", Takes::Text, "The team that owns it"),
    Field::new("source", Takes::Text, "The URL of the repository of its source"),
    Field::new("tracker", Takes::Text, "The URL of a feature in the tracker, with {id} in it"),
    Field::new("parameters", Takes::Anything, "Parameter declarations, by name"),
    Field::new("components", Takes::Anything, "Its components, by name"),
    Field::new("flags", Takes::MapOf(&Takes::Fields(flag::FIELDS)), "Its flags, by name"),
    Field::new(
        "consumers",
        Takes::ListOf(CONSUMER),
        "Users that no model knows, such as mobile apps",
    ),
    Field::new(
        "keep",
        Takes::Words(&["repair", "report"]),
        "Repair differences, or only report them",
    ),
];

/// The fields of a component that are read before any expression is computed.
pub(crate) const COMPONENT_FIELDS: &[Field] = &[
    Field::new("description", Takes::Text, "A description"),
    Field::new(
        "servers",
        Takes::TextList,
        "Every node that is one of these servers carries an instance",
    ),
    Field::new(
        "instance",
        Takes::Words(&["each-node", "shared"]),
        "One on each node (default), or one for all of them, as a database's schema",
    ),
    Field::new(
        "when",
        Takes::OneOf(&[Takes::Text, Takes::Boolean]),
        "An expression; placed only where true",
    ),
    Field::new(
        "keep",
        Takes::Words(&["repair", "report"]),
        "Repair differences, or only report them",
    ),
    Field::new(
        "directory",
        Takes::Text,
        "The directory of its deployments, writable by root alone",
    ),
    Field::new("include", Takes::Anything, "Bundles to include, with their arguments"),
];

const CONSUMER: &[Field] = &[
    Field::new("name", Takes::Text, "What it is called"),
    Field::new("uses", interface::TAKES, "The interfaces that it uses"),
    Field::new("until", Takes::Text, "The day until which it does"),
    Field::new("in", Takes::TextList, "The environments that it uses (default: all)"),
];

pub(crate) fn application(root: &Node, cx: &mut Lower<'_>) -> Option<Application> {
    let mut fields = Fields::read(root, "application", FIELDS, cx)?;
    let name = fields.text("application");
    if let Some(name) = &name
        && !is_name(&name.value)
    {
        fields.cx.report(bad_name(name, "an application"));
        return None;
    }
    fields.require("owner");
    let tracker = fields.text("tracker");
    if let Some(tracker) = &tracker
        && !tracker.value.contains("{id}")
    {
        let error =
            Diagnostic::error(codes::BAD_VALUE, tracker.span, "`tracker` has no {id} in it");
        fields.cx.report(error.help("the id of a feature is put there"));
    }
    let all = entries(&mut fields, "components");
    let components = all.iter().filter_map(|(name, body)| component(name, body, fields.cx));
    let components = components.map(|it| (Arc::clone(&it.name.value), it)).collect();
    let all = entries(&mut fields, "flags");
    let flags = flag::flags(&all, fields.cx);
    let consumers = fields.node("consumers").map(|it| consumers(it, fields.cx)).unwrap_or_default();
    Some(Application {
        name: name?,
        description: description(&mut fields),
        owner: fields.text("owner"),
        source: fields.text("source"),
        tracker,
        parameters: declared(&mut fields),
        components,
        flags,
        consumers,
        keep: keep(&mut fields),
    })
}

fn component(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Component> {
    if !is_name(&name.value) {
        cx.report(bad_name(name, "a component"));
        return None;
    }
    let own: Vec<Field> = COMPONENT_FIELDS.iter().chain(component::FIELDS).copied().collect();
    let mut fields = Fields::read(body, "component", &with_sections(&own), cx)?;
    let instances = [("each-node", Instance::EachNode), ("shared", Instance::Shared)];
    Some(Component {
        name: name.clone(),
        description: description(&mut fields),
        servers: fields.texts("servers").unwrap_or_default(),
        instance: fields.one_of("instance", &instances).unwrap_or_default(),
        when: fields.node("when").cloned(),
        keep: keep(&mut fields),
        directory: fields.node("directory").cloned(),
        include: includes(&mut fields),
        sections: sections(body, fields.cx),
        body: body.clone(),
    })
}

fn consumers(node: &Node, cx: &mut Lower<'_>) -> Vec<Consumer> {
    let items = cx.as_list(node, "`consumers`").unwrap_or_default();
    items
        .iter()
        .filter_map(|item| {
            let mut fields = Fields::read(item, "consumer", CONSUMER, cx)?;
            fields.require("name");
            fields.require("uses");
            let name = fields.text("name");
            let uses = interfaces(&mut fields, "uses", Whose::Anyone).unwrap_or_default();
            let until = flag::date(&mut fields, "until");
            let environments = fields.texts("in").unwrap_or_default();
            Some(Consumer { name: name?, uses, until, environments })
        })
        .collect()
}

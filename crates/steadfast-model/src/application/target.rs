//! Which release of an application an environment promises, with its parameters and flags, and how it
//! is rolled out.

use super::flag;
use super::id::{bad_name, is_name};
use super::release::version;
use super::version::Version;
use crate::codes;
use crate::document::parts::entries;
use crate::lower::{Fields, Lower};
use crate::node::{Entry, Node, Value};
use crate::policy::{self, Approval, Wave, Window};
use crate::schema::{Field, Takes};
use crate::span::{Span, Spanned};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Target {
    pub application: Spanned<Arc<str>>,
    pub release: Spanned<Version>,
    /// Where this environment began.
    pub since: Option<Spanned<Version>>,
    /// Releases of other lines at which this environment has been.
    pub via: Vec<Spanned<Version>>,
    pub parameters: Vec<Entry>,
    pub flags: Vec<Entry>,
    pub rollout: Rollout,
}

#[derive(Clone, Debug, Default)]
pub struct Rollout {
    pub max_unavailable: MaxUnavailable,
    pub bake: Duration,
    /// Any of them; at any time where there is none.
    pub windows: Vec<Spanned<Window>>,
    pub waves: Vec<Wave>,
    pub approval: Approval,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxUnavailable {
    Instances(u32),
    All,
}

impl Default for MaxUnavailable {
    fn default() -> MaxUnavailable {
        MaxUnavailable::Instances(1)
    }
}

/// What a target says within the document of its environment.
pub(crate) const INNER_FIELDS: &[Field] = &[
    Field::new("release", Takes::Text, "The version that is promised here"),
    Field::new("since", Takes::Text, "The version at which this environment began"),
    Field::new(
        "via",
        Takes::TextList,
        "Versions of other lines at which this environment has been",
    ),
    Field::new(
        "parameters",
        Takes::MapOf(&Takes::Anything),
        "Values of the application's parameters",
    ),
    Field::new("flags", Takes::MapOf(&flag::SETTING_TAKES), "Values of its flags"),
    Field::new("rollout", Takes::Fields(ROLLOUT), "How a new release is rolled out"),
];

/// Of a document of its own.
pub(crate) const OWN_FIELDS: &[Field] = &[
    Field::new("target", Takes::Text, "The application's name"),
    Field::new("environment", Takes::Text, "The environment, as the directory says it"),
];

pub(crate) const ROLLOUT: &[Field] = &[
    Field::new(
        "max_unavailable",
        Takes::OneOf(&[Takes::Integer, Takes::Words(&["all"])]),
        "How many instances may be away at once (default: 1)",
    ),
    Field::new("bake", Takes::Duration, "How long it is watched before it counts (default: 0s)"),
    Field::new(
        "window",
        Takes::OneOf(&[Takes::Text, Takes::TextList]),
        "DAYS HH:MM-HH:MM ZONE, or a list",
    ),
    Field::new("waves", Takes::MapOf(&Takes::Duration), "Shares of the nodes with their delay"),
    Field::new(
        "approval",
        Takes::Words(&["none", "required"]),
        "Whether each release needs approval",
    ),
];

/// A document of its own, and the environment that it names.
pub(crate) fn document(
    root: &Node,
    cx: &mut Lower<'_>,
) -> Option<(Target, Option<Spanned<Arc<str>>>)> {
    let known: Vec<Field> = OWN_FIELDS.iter().chain(INNER_FIELDS).copied().collect();
    let mut fields = Fields::read(root, "target", &known, cx)?;
    let name = fields.text("target")?;
    let environment = fields.text("environment");
    Some((read(&name, &mut fields)?, environment))
}

/// An entry below `applications:` of an environment.
pub(crate) fn inner(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Target> {
    let mut fields = Fields::read(body, "target", INNER_FIELDS, cx)?;
    read(name, &mut fields)
}

fn read(name: &Spanned<Arc<str>>, fields: &mut Fields<'_, '_, '_>) -> Option<Target> {
    if !is_name(&name.value) {
        fields.cx.report(bad_name(name, "an application"));
        return None;
    }
    fields.require("release");
    let release = version(fields, "release");
    let since = version(fields, "since");
    let via = versions(fields, "via");
    let parameters = entries(fields, "parameters");
    let flags = entries(fields, "flags");
    let rollout = fields.node("rollout").and_then(|it| rollout(it, fields.cx)).unwrap_or_default();
    let application = name.clone();
    Some(Target { application, release: release?, since, via, parameters, flags, rollout })
}

fn versions(fields: &mut Fields<'_, '_, '_>, key: &str) -> Vec<Spanned<Version>> {
    let Some(node) = fields.node(key) else { return vec![] };
    let what = format!("`{key}`");
    let items = fields.cx.as_list(node, &what).unwrap_or_default();
    let parsed = items.iter().filter_map(|item| {
        let version =
            fields.cx.as_parsed(item, &what, codes::BAD_VERSION, str::parse::<Version>)?;
        Some(Spanned::new(version, item.span()))
    });
    parsed.collect()
}

fn rollout(node: &Node, cx: &mut Lower<'_>) -> Option<Rollout> {
    let mut fields = Fields::read(node, "rollout", ROLLOUT, cx)?;
    let windows = fields.one_or_more("window");
    let windows = windows.iter().filter_map(|it| policy::window(it, fields.cx)).collect();
    let waves = fields.node("waves").map(|it| policy::waves(it, fields.cx)).unwrap_or_default();
    let approvals = [("none", Approval::None), ("required", Approval::Required)];
    Some(Rollout {
        max_unavailable: max_unavailable(&mut fields).unwrap_or_default(),
        bake: fields.duration("bake").unwrap_or_default(),
        windows,
        waves,
        approval: fields.one_of("approval", &approvals).unwrap_or_default(),
    })
}

fn max_unavailable(fields: &mut Fields<'_, '_, '_>) -> Option<MaxUnavailable> {
    let refuse = |fields: &mut Fields<'_, '_, '_>, span: Span| {
        let message = "`max_unavailable` is a number of instances from 1, or `all`";
        fields.error(codes::BAD_VALUE, span, message);
        None
    };
    match fields.node("max_unavailable")? {
        Node::Scalar(it) => match it.value.value {
            Value::Integer(number) => match u32::try_from(number) {
                Ok(number) if number > 0 => Some(MaxUnavailable::Instances(number)),
                Ok(_) | Err(_) => refuse(fields, it.span),
            },
            Value::Text if &*it.value.text == "all" => Some(MaxUnavailable::All),
            Value::Text | Value::Null | Value::Boolean(_) | Value::Number(_) => {
                refuse(fields, it.span)
            }
        },
        node @ (Node::List(..) | Node::Map(..)) => refuse(fields, node.span()),
        Node::Unknown(_) => None,
    }
}

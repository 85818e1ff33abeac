//! One version of an application: what its components consist of, and what they provide and use.

use super::ReleaseId;
use super::artifact::{self, Artifacts, artifacts};
use super::flag;
use super::id::{bad_name, is_name};
use super::interface::{self, Interfaces, Whose, interfaces};
use super::version::Version;
use crate::codes;
use crate::date::Date;
use crate::document::parts::sections;
use crate::document::types::Section;
use crate::lower::{Fields, Lower};
use crate::node::Node;
use crate::schema::{Field, Takes};
use crate::span::{Span, Spanned};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Release {
    pub id: Spanned<ReleaseId>,
    pub description: Option<Arc<str>>,
    pub date: Option<Spanned<Date>>,
    /// The release whose components it inherits; the greatest lower one where nothing is said.
    pub follows: Option<Spanned<Version>>,
    /// The commit of the application's source.
    pub built_from: Option<Arc<str>>,
    pub features: Vec<Feature>,
    /// The flags that its programs read.
    pub flags: Option<Vec<Spanned<Arc<str>>>>,
    pub components: BTreeMap<Arc<str>, Named>,
    /// Why nobody is to take it any more.
    pub withdrawn: Option<Spanned<Arc<str>>>,
}

/// A feature that came with a release.
#[derive(Clone, Debug)]
pub struct Feature {
    pub id: Spanned<Arc<str>>,
    pub name: Option<Arc<str>>,
    pub flag: Option<Spanned<Arc<str>>>,
}

/// What a release says of a component that it names.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: Spanned<Arc<str>>,
    pub says: Says,
}

#[derive(Clone, Debug)]
pub enum Says {
    /// The component ends here.
    Absent,
    Content(Box<Content>),
}

/// A component of one release. What stands here is whole: nothing of it is inherited.
#[derive(Clone, Debug)]
pub struct Content {
    pub span: Span,
    pub artifact: Option<Artifacts>,
    /// Whether it names an artifact, right or wrong.
    pub(super) has_artifact: bool,
    /// Of a component with `migrate`: the version of its schema.
    pub version: Option<Spanned<i64>>,
    pub provides: Option<Interfaces>,
    pub uses: Option<Interfaces>,
    /// Interfaces that it still provides, and the day until which it is meant to.
    pub deprecated: Vec<Deprecated>,
    /// Promises that replace the application's of the same id from this release on.
    pub sections: Vec<Section>,
}

#[derive(Clone, Debug)]
pub struct Deprecated {
    pub interface: Spanned<Arc<str>>,
    pub version: Spanned<Arc<str>>,
    pub until: Spanned<Date>,
}

pub(crate) const FIELDS: &[Field] = &[
    Field::new("release", Takes::Text, "APPLICATION VERSION, as in people 1.4.0"),
    Field::new("description", Takes::Text, "A description"),
    Field::new("date", Takes::Text, "The day of the release, 2026-11-30"),
    Field::new(
        "follows",
        Takes::Text,
        "The version whose components it inherits (default: the greatest lower one)",
    ),
    Field::new("built_from", Takes::Text, "The commit of the application's source"),
    Field::new("features", Takes::ListOf(FEATURE), "What came with this release"),
    Field::new("flags", Takes::TextList, "The flags that its programs read"),
    Field::new(
        "components",
        Takes::MapOf(&Takes::Anything),
        "What changes: a component that is not named is as in the release that this one follows",
    ),
    Field::new("withdrawn", Takes::Text, "Why nobody is to take this release any more"),
];

pub(crate) const FEATURE: &[Field] = &[
    Field::new("id", Takes::Text, "Its id in the application's tracker"),
    Field::new("name", Takes::Text, "What it is, in a few words"),
    Field::new("flag", Takes::Text, "The flag that turns it on"),
];

/// The fields of a component of a release, beside its sections.
pub(crate) const COMPONENT_FIELDS: &[Field] = &[
    Field::new(
        "artifact",
        Takes::OneOf(&[
            Takes::Fields(artifact::FIELDS),
            Takes::MapOf(&Takes::Fields(artifact::FIELDS)),
        ]),
        "What it consists of; one, or one for each of Debian's architectures",
    ),
    Field::new(
        "version",
        Takes::Integer,
        "Of a component with `migrate`: the version of its schema",
    ),
    Field::new(
        "provides",
        interface::TAKES,
        "Interfaces: a list of names, or a map of names to versions",
    ),
    Field::new(
        "uses",
        interface::TAKES,
        "Interfaces that must be there; of the versions any will do",
    ),
    Field::new(
        "deprecated",
        Takes::MapOf(&Takes::MapOf(&Takes::Text)),
        "Interfaces that will end: { people: { 1: 2027-01-31 } }",
    ),
];

pub(crate) fn release(root: &Node, cx: &mut Lower<'_>) -> Option<Release> {
    let mut fields = Fields::read(root, "release", FIELDS, cx)?;
    let id = fields.text("release");
    let id = id.and_then(|text| match text.value.parse::<ReleaseId>() {
        Ok(id) => Some(Spanned::new(id, text.span)),
        Err(why) => {
            fields.error(codes::BAD_VERSION, text.span, why);
            None
        }
    });
    let description = fields.text("description").map(|it| it.value);
    let date = flag::date(&mut fields, "date");
    let follows = version(&mut fields, "follows");
    let built_from = fields.text("built_from").map(|it| it.value);
    let features = fields.node("features").map(|it| features(it, fields.cx)).unwrap_or_default();
    let flags = fields.texts("flags");
    let withdrawn = fields.text("withdrawn");
    if let Some(reason) = &withdrawn
        && reason.value.trim().is_empty()
    {
        fields.error(codes::BAD_VALUE, reason.span, "`withdrawn` says why");
    }
    let mut components = BTreeMap::new();
    if let Some(node) = fields.node("components") {
        for (name, body) in fields.cx.as_map(node, "`components`").unwrap_or_default() {
            if let Some(it) = named(name, body, fields.cx) {
                components.insert(Arc::clone(&name.value), it);
            }
        }
    }
    Some(Release {
        id: id?,
        description,
        date,
        follows,
        built_from,
        features,
        flags,
        components,
        withdrawn,
    })
}

/// A version that a field names. One that YAML reads as a number must be in quotes.
pub(super) fn version(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Spanned<Version>> {
    let span = fields.node(key)?.span();
    let version = fields.parsed(key, codes::BAD_VERSION, str::parse::<Version>)?;
    Some(Spanned::new(version, span))
}

fn features(node: &Node, cx: &mut Lower<'_>) -> Vec<Feature> {
    let items = cx.as_list(node, "`features`").unwrap_or_default();
    items
        .iter()
        .filter_map(|item| {
            let mut fields = Fields::read(item, "feature", FEATURE, cx)?;
            fields.require("id");
            let id = fields.text("id");
            let name = fields.text("name").map(|it| it.value);
            let flag = fields.text("flag");
            Some(Feature { id: id?, name, flag })
        })
        .collect()
}

fn named(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Named> {
    if !is_name(&name.value) {
        cx.report(bad_name(name, "a component"));
        return None;
    }
    let name = name.clone();
    if let Node::Scalar(it) = body
        && &*it.value.text == "absent"
    {
        return Some(Named { name, says: Says::Absent });
    }
    let known = with_sections(COMPONENT_FIELDS);
    let mut fields = Fields::read(body, "component of a release", &known, cx)?;
    let span = fields.span();
    let artifact = fields.node("artifact").and_then(|it| artifacts(it, fields.cx));
    let has_artifact = fields.has("artifact");
    let version = fields.integer("version");
    let provides = interfaces(&mut fields, "provides", Whose::Own);
    let uses = interfaces(&mut fields, "uses", Whose::Anyone);
    let deprecated =
        fields.node("deprecated").map(|it| deprecated(it, fields.cx)).unwrap_or_default();
    let sections = sections(body, fields.cx);
    let content =
        Content { span, artifact, has_artifact, version, provides, uses, deprecated, sections };
    Some(Named { name, says: Says::Content(Box::new(content)) })
}

/// The fields of a document that has sections beside them.
pub(super) fn with_sections(fields: &[Field]) -> Vec<Field> {
    let sections = crate::section::SECTIONS;
    let sections =
        sections.iter().map(|it| Field::new(it.name, Takes::MapOf(&Takes::Anything), ""));
    fields.iter().copied().chain(sections).collect()
}

fn deprecated(node: &Node, cx: &mut Lower<'_>) -> Vec<Deprecated> {
    let mut all = vec![];
    for (interface, versions) in cx.as_map(node, "`deprecated`").unwrap_or_default() {
        let what = format!("the versions of `{}`", interface.value);
        for (version, until) in cx.as_map(versions, &what).unwrap_or_default() {
            let day = cx.as_parsed(until, "the day", codes::BAD_VALUE, str::parse::<Date>);
            let Some(day) = day else { continue };
            let until = Spanned::new(day, until.span());
            all.push(Deprecated { interface: interface.clone(), version: version.clone(), until });
        }
    }
    all
}

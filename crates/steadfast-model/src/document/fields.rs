//! The fields that each kind of document has, for its reader and for the JSON Schema.

use crate::schema::{Field, Takes};

const KEEP: Takes = Takes::Words(&["repair", "report"]);
pub(super) const ANY_MAP: Takes = Takes::MapOf(&Takes::Anything);

pub(crate) const MODEL_FIELDS: &[Field] = &[
    Field::new("model", Takes::Text, "The model's name"),
    Field::new("format", Takes::Integer, "The version of the language: 1"),
    Field::new("description", Takes::Text, "What this model is for"),
    Field::new("parameters", ANY_MAP, "Parameter values for all servers"),
    Field::new("policy", ANY_MAP, "Default policy; an environment overrides it key by key"),
    Field::new("keep", KEEP, "Repair differences (default) or only report them"),
];

pub(crate) const BUNDLE_FIELDS: &[Field] = &[
    Field::new("server", Takes::Text, "The server model's name"),
    Field::new("bundle", Takes::Text, "The bundle's name"),
    Field::new("description", Takes::Text, "A description"),
    Field::new("parameters", ANY_MAP, "Parameter declarations, by name: type, default, choices, …"),
    Field::new("include", Takes::Anything, "Bundles to include, with their arguments"),
    Field::new("keep", KEEP, "Repair differences (default) or only report them"),
];

pub(crate) const ENVIRONMENT_FIELDS: &[Field] = &[
    Field::new("environment", Takes::Text, "The environment's name"),
    Field::new("description", Takes::Text, "A description"),
    Field::new("parameters", ANY_MAP, "Parameter values for servers in this environment"),
    Field::new("nodes", ANY_MAP, "Servers, labels, parameters and keep, by node name or glob"),
    Field::new("applications", ANY_MAP, "Targets of applications that have no file of their own"),
    Field::new("flags", ANY_MAP, "Values of flags: APPLICATION: { FLAG: value }"),
    Field::new(
        "external",
        Takes::MapOf(&Takes::Fields(EXTERNAL_FIELDS)),
        "Interfaces that something outside of the model provides here",
    ),
    Field::new("policy", ANY_MAP, "When and how nodes adopt, and what a run may do"),
    Field::new("keep", KEEP, "Repair differences (default) or only report them"),
];

pub(crate) const EXTERNAL_FIELDS: &[Field] = &[
    Field::new("versions", Takes::Anything, "The versions that it provides"),
    Field::new("until", Takes::Text, "The day until which it does"),
];

pub(crate) const SELECTOR_FIELDS: &[Field] = &[
    Field::new("servers", Takes::TextList, "The servers (roles) assigned to the node"),
    Field::new("labels", ANY_MAP, "Labels, available in expressions as node.labels"),
    Field::new("parameters", ANY_MAP, "Parameter values for its servers"),
    Field::new(
        "applications",
        Takes::MapOf(&Takes::Fields(NODE_APPLICATION_FIELDS)),
        "Parameters and flags of applications on this node",
    ),
    Field::new("keep", KEEP, "Repair differences (default) or only report them"),
];

pub(crate) const NODE_APPLICATION_FIELDS: &[Field] = &[
    Field::new("parameters", ANY_MAP, "Values of the application's parameters"),
    Field::new("flags", ANY_MAP, "Values of its flags"),
];

pub(crate) const PARAMETER_FIELDS: &[Field] = &[
    Field::new("type", Takes::Words(&TYPE_WORDS), "The type of its values"),
    Field::new("default", Takes::Anything, "The default value"),
    Field::new("choices", Takes::Anything, "The allowed values"),
    Field::new("pattern", Takes::Text, "A regular expression that the whole value must match"),
    Field::new("description", Takes::Text, "A description"),
];

const TYPE_WORDS: [&str; 6] = ["string", "integer", "number", "boolean", "list", "map"];

//! The fields that each kind of document has, for its reader and for the JSON Schema.

use crate::schema::{Field, Takes};

const KEEP: Takes = Takes::Words(&["repair", "report"]);
pub(super) const ANY_MAP: Takes = Takes::MapOf(&Takes::Anything);

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
    Field::new("description", Takes::Text, "A description"),
    Field::new("parameters", ANY_MAP, "Declared parameters: name to type, default, choices, …"),
    Field::new("include", Takes::Anything, "Bundles to include, with their arguments"),
    Field::new("keep", KEEP, "Whether differences are repaired (default) or only reported"),
];

pub(crate) const ENVIRONMENT_FIELDS: &[Field] = &[
    Field::new("environment", Takes::Text, "The environment's name"),
    Field::new("description", Takes::Text, "A description"),
    Field::new("parameters", ANY_MAP, "Values for the parameters of servers in this environment"),
    Field::new("nodes", ANY_MAP, "Node name or glob to servers, labels, parameters and keep"),
    Field::new("applications", ANY_MAP, "Which release of each application is promised here"),
    Field::new("policy", ANY_MAP, "When and how nodes adopt, and what a run may do"),
    Field::new("keep", KEEP, "Whether differences are repaired (default) or only reported"),
];

pub(crate) const SELECTOR_FIELDS: &[Field] = &[
    Field::new("servers", Takes::TextList, "The servers (roles) that the node has"),
    Field::new("labels", ANY_MAP, "Labels, which expressions see as node.labels"),
    Field::new("parameters", ANY_MAP, "Values for the parameters of its servers"),
    Field::new("keep", KEEP, "Whether differences are repaired (default) or only reported"),
];

pub(crate) const PARAMETER_FIELDS: &[Field] = &[
    Field::new("type", Takes::Words(&TYPE_WORDS), "The type of its values"),
    Field::new("default", Takes::Anything, "The default value"),
    Field::new("choices", Takes::Anything, "The allowed values"),
    Field::new("pattern", Takes::Text, "A regular expression that its whole text must match"),
    Field::new("description", Takes::Text, "A description"),
];

const TYPE_WORDS: [&str; 6] = ["string", "integer", "number", "boolean", "list", "map"];

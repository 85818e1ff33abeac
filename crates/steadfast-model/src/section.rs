//! The sections of a server, bundle or component, and the kind of promise that each holds.

use crate::schema::{Field, Takes};

/// Section name and kind, in the order in which documents usually write them.
pub const SECTIONS: &[(&str, &str)] = &[
    ("packages", "package"),
    ("groups", "group"),
    ("users", "user"),
    ("directories", "directory"),
    ("files", "file"),
    ("links", "link"),
    ("services", "service"),
    ("cron", "cron"),
];

/// The kind of the promises in a section.
pub fn kind_of(section: &str) -> Option<&'static str> {
    SECTIONS.iter().find(|(name, _)| *name == section).map(|(_, kind)| *kind)
}

/// The fields that every promise may have; they never reach a kind's `lower`.
pub const COMMON_FIELDS: &[&str] = &["when", "after", "keep", "reloads", "restarts", "description"];

/// The same with what they take, for the documentation and the schema.
pub const COMMON: &[Field] = &[
    Field::new(
        "when",
        Takes::OneOf(&[Takes::Text, Takes::Boolean]),
        "An expression: the promise is made only where it is true",
    ),
    Field::new("after", ONE_OR_MORE, "Ids of promises that must be kept before this one"),
    Field::new(
        "keep",
        Takes::Words(&["repair", "report"]),
        "Whether a difference is repaired (default) or only reported; the stricter wins inward",
    ),
    Field::new("reloads", ONE_OR_MORE, "Units that are reloaded when this has changed"),
    Field::new("restarts", ONE_OR_MORE, "Units that are restarted when this has changed"),
    Field::new("description", Takes::Text, "What it is for"),
];

const ONE_OR_MORE: Takes = Takes::OneOf(&[Takes::Text, Takes::TextList]);

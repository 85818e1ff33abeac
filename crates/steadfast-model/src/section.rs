//! The sections of a server, bundle or component, and the kind of promise that each holds.

use crate::schema::{Field, Takes};

/// One section of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    pub name: &'static str,
    /// The kind of its promises.
    pub kind: &'static str,
    pub holds: Holds,
}

/// How many things of its kind a node can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The section is a map from their names to what is promised about each.
    Many,
    /// The name of the one may stand there alone: `hostname: web-1` is short for `hostname: { web-1: {} }`.
    One,
}

/// All of them, in the order in which documents usually write them.
pub const SECTIONS: &[Section] = &[
    many("packages", "package"),
    many("groups", "group"),
    many("users", "user"),
    many("directories", "directory"),
    many("files", "file"),
    many("links", "link"),
    many("services", "service"),
    many("cron", "cron"),
    one("hostname", "hostname"),
];

const fn many(name: &'static str, kind: &'static str) -> Section {
    Section { name, kind, holds: Holds::Many }
}

const fn one(name: &'static str, kind: &'static str) -> Section {
    Section { name, kind, holds: Holds::One }
}

/// The section of this name, if there is one.
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|it| it.name == name)
}

/// All kinds that a promise may be of.
pub fn kinds() -> Vec<&'static str> {
    SECTIONS.iter().map(|it| it.kind).collect()
}

/// The fields that every promise may have; they never reach a kind's `lower`.
pub const COMMON_FIELDS: &[&str] = &["when", "after", "keep", "reloads", "restarts", "description"];

/// The same with what they take, for the documentation and the schema.
pub const COMMON: &[Field] = &[
    Field::new(
        "when",
        Takes::OneOf(&[Takes::Text, Takes::Boolean]),
        "An expression; the promise applies only where it is true",
    ),
    Field::new("after", ONE_OR_MORE, "Ids of promises that must be kept before this one"),
    Field::new(
        "keep",
        Takes::Words(&["repair", "report"]),
        "Repair differences (default) or only report them; `report` at an outer level always wins",
    ),
    Field::new("reloads", ONE_OR_MORE, "Units to reload when this changes"),
    Field::new("restarts", ONE_OR_MORE, "Units to restart when this changes"),
    Field::new("description", Takes::Text, "A description"),
];

const ONE_OR_MORE: Takes = Takes::OneOf(&[Takes::Text, Takes::TextList]);

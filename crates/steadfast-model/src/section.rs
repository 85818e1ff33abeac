//! The sections of a server, bundle or component, and the kind of promise that each holds.

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

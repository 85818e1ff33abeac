//! What an edit says.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_model::{Field, Rendered, Takes};

/// Fields of one edit. Exactly one of `line`, `block` and `key` says what it is.
pub const FIELDS: &[Field] = &[
    Field::new("line", Takes::Text, "A line that must be present; appended if missing"),
    Field::new("match", Takes::Text, "A regular expression for the line that `line` replaces"),
    Field::new("only_replace", Takes::Boolean, "Add nothing if no line matches (default: false)"),
    Field::new("all", Takes::Boolean, "Remove further matching lines (default: false)"),
    Field::new("block", Takes::Text, "Lines to keep between two markers"),
    Field::new("name", Takes::Text, "The name of the block in its markers"),
    Field::new("comment", Takes::Text, "The comment prefix of the markers (default: #)"),
    Field::new("key", Takes::Text, "A key of an INI or `key = value` file"),
    Field::new("value", Takes::TextOrSecret, "The value of the key"),
    Field::new(
        "section",
        Takes::Text,
        "The INI section of the key (default: before the first section)",
    ),
    Field::new("separator", Takes::Text, "The separator between key and value (default: =)"),
    Field::new(
        "after",
        Takes::Text,
        "A regular expression for the line to insert a new line or block after",
    ),
    Field::new(
        "before",
        Takes::Text,
        "A regular expression for the line to insert a new line or block before",
    ),
    Field::new("absent", Takes::Boolean, "Remove it (default: false)"),
];

/// One edit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Edit {
    Line {
        line: Option<Arc<str>>,
        pattern: Option<Pattern>,
        place: Place,
        only_replace: bool,
        all: bool,
        absent: bool,
    },
    Block {
        name: Arc<str>,
        lines: Arc<[Arc<str>]>,
        comment: Arc<str>,
        place: Place,
        absent: bool,
    },
    Key {
        key: Arc<str>,
        /// None: the key is absent.
        value: Option<Rendered>,
        section: Option<Arc<str>>,
        separator: Arc<str>,
    },
}

/// Where something new goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Place {
    #[default]
    End,
    /// Behind the last line that matches.
    After(Pattern),
    /// Before the first line that matches.
    Before(Pattern),
}

/// A regular expression that has been read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(regex_lite::Regex);

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, String> {
        regex_lite::Regex::new(text)
            .map(Pattern)
            .map_err(|err| format!("`{}` is not a regular expression: {err}", text.escape_debug()))
    }

    pub(super) fn matches(&self, line: &[u8]) -> bool {
        std::str::from_utf8(line).is_ok_and(|it| self.0.is_match(it))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Pattern, String> {
        Pattern::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0.as_str().to_owned()
    }
}

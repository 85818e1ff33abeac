//! What an edit says.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_model::{Field, Rendered, Takes};

/// Fields of one edit. Exactly one of `line`, `block` and `key` says what it is.
pub const FIELDS: &[Field] = &[
    Field::new("line", Takes::Text, "a line that is there; appended where it is not"),
    Field::new("match", Takes::Text, "regular expression: the line that becomes `line`"),
    Field::new("only_replace", Takes::Boolean, "without a match, nothing is added (false)"),
    Field::new("all", Takes::Boolean, "further lines that match go (false)"),
    Field::new("block", Takes::Text, "lines that stand between two markers"),
    Field::new("name", Takes::Text, "the block's name, which its markers carry"),
    Field::new("comment", Takes::Text, "what begins a comment, for the markers (#)"),
    Field::new("key", Takes::Text, "a key of an INI or key = value file"),
    Field::new("value", Takes::TextOrSecret, "the key's value"),
    Field::new("section", Takes::Text, "the section that the key is in; else before the first"),
    Field::new("separator", Takes::Text, "what stands between key and value (=)"),
    Field::new("after", Takes::Text, "regular expression: a new line or block goes behind it"),
    Field::new("before", Takes::Text, "regular expression: a new line or block goes before it"),
    Field::new("absent", Takes::Boolean, "it is not there (false)"),
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

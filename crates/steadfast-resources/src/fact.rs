//! What a change does, for programs: history keeps it beside the line that people read, and nobody has to take
//! such a line apart.

use std::fmt;

/// One attribute that a change gives another value.
///
/// `set mode 0600 -> 0644` is the verb `set`, the facet `mode`, `0600` before and `0644` after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// `create`, `write`, `set`, `remove`, `install`, `restart`, and so on: one word.
    pub verb: &'static str,
    /// What of the promise it is about: `content`, `mode`, `version`.
    pub facet: &'static str,
    /// Where, if the promise is about more than one path: as the line has it.
    pub path: Option<String>,
    /// `absent` where there was nothing; of `content` the size in bytes. None where the change does not
    /// look, or the value may not be shown.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The value of something that is not there.
pub const ABSENT: &str = "absent";

impl Fact {
    /// What has no value that could be shown, such as a restart.
    pub fn new(verb: &'static str, facet: &'static str) -> Fact {
        Fact { verb, facet, path: None, before: None, after: None }
    }

    /// An attribute gets another value.
    pub fn set(facet: &'static str, before: impl fmt::Display, after: impl fmt::Display) -> Fact {
        Fact::new("set", facet).before(before).after(after)
    }

    /// An attribute of something new.
    pub fn given(facet: &'static str, value: impl fmt::Display) -> Fact {
        Fact::new("create", facet).after(value)
    }

    /// Something new as a whole: a user, a directory.
    pub fn created(what: impl fmt::Display) -> Fact {
        Fact::new("create", "entry").before(ABSENT).after(what)
    }

    /// The same goes.
    pub fn removed(what: impl fmt::Display) -> Fact {
        Fact::new("remove", "entry").before(what).after(ABSENT)
    }

    #[must_use]
    pub fn before(self, before: impl fmt::Display) -> Fact {
        Fact { before: Some(before.to_string()), ..self }
    }

    #[must_use]
    pub fn after(self, after: impl fmt::Display) -> Fact {
        Fact { after: Some(after.to_string()), ..self }
    }

    /// By another verb than the usual.
    #[must_use]
    pub fn verb(self, verb: &'static str) -> Fact {
        Fact { verb, ..self }
    }

    #[must_use]
    pub fn at(self, path: Option<&str>) -> Fact {
        Fact { path: path.map(str::to_owned), ..self }
    }
}

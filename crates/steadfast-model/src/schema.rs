//! What a field takes, in one table for each kind: the reader of the model, the JSON Schema for
//! editors and the documentation all use it.

/// One field of a map in the model.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub takes: Takes,
    /// One line for an author: what it means, its default, its unit.
    pub about: &'static str,
}

/// The forms that a field's value may have. Any of them may also be an expression in text.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    Text,
    Boolean,
    Integer,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A number with its unit, `30s`.
    Duration,
    /// Text, or `{ secret: NAME }`.
    TextOrSecret,
    TextList,
    /// A list of values of this form.
    ListOfAny(&'static Takes),
    /// A list of maps with these fields.
    ListOf(&'static [Field]),
    /// A map with these fields.
    Fields(&'static [Field]),
    /// A map of any names to values of this form.
    MapOf(&'static Takes),
    /// Any of several forms.
    OneOf(&'static [Takes]),
    Anything,
}

impl Field {
    pub const fn new(name: &'static str, takes: Takes, about: &'static str) -> Field {
        Field { name, takes, about }
    }
}

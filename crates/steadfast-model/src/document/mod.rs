//! The documents of a model. What stands in a section stays a tree, because each kind owns its schema.

mod fields;
mod place;
mod read;
mod types;

pub(crate) use fields::{
    BUNDLE_FIELDS, ENVIRONMENT_FIELDS, MODEL_FIELDS, PARAMETER_FIELDS, SELECTOR_FIELDS,
};
pub use read::parse;
pub use types::{Bundle, Environment, Include, Model, Parameter, ParameterType, Section, Selector};

#[cfg(test)]
mod tests;

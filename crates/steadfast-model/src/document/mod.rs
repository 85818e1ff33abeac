//! The documents of a model. What stands in a section stays a tree, because each kind owns its schema.

pub(crate) mod fields;
mod model;
pub(crate) mod parts;
mod place;
mod read;
pub(crate) mod types;

pub(crate) use fields::{
    BUNDLE_FIELDS, ENVIRONMENT_FIELDS, MODEL_FIELDS, NODE_APPLICATION_FIELDS, PARAMETER_FIELDS,
    SELECTOR_FIELDS,
};
pub use model::Model;
pub use read::parse;
pub use types::{
    Bundle, Environment, External, Include, Parameter, ParameterType, Section, Selector,
};

#[cfg(test)]
mod tests;

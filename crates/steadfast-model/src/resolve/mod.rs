//! From the documents of a model to the promises of one node: which servers it is, what their
//! parameters are, what they include, and every expression replaced by its value.

mod bundle;
mod component;
mod declared;
mod everywhere;
mod neighbours;
mod node;
mod resolver;
mod section;

pub use node::{NodeInput, resolve, resolve_component, resolve_each};

#[cfg(test)]
mod tests;

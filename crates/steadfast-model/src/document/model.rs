//! The whole model.

use super::types::{Bundle, Environment};
use crate::application::Catalog;
use crate::keep::Keep;
use crate::node::{Entry, Node};
use crate::span::Spanned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The whole model, as far as it could be understood.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub name: Option<Spanned<Arc<str>>>,
    pub description: Option<Arc<str>>,
    /// Values for the parameters of servers, everywhere.
    pub parameters: Vec<Entry>,
    pub policy: Option<Node>,
    pub keep: Keep,
    pub environments: BTreeMap<Arc<str>, Environment>,
    pub servers: BTreeMap<Arc<str>, Bundle>,
    pub bundles: BTreeMap<Arc<str>, Bundle>,
    /// What it says of applications.
    pub catalog: Catalog,
}

//! The documents, typed as far as their own schema goes.

use crate::date::Date;
use crate::keep::Keep;
use crate::node::{Entry, Node};
use crate::span::{Span, Spanned};
use std::sync::Arc;

/// A server or a bundle: a reusable set of promises with parameters.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub name: Spanned<Arc<str>>,
    pub description: Option<Arc<str>>,
    pub parameters: Vec<Parameter>,
    pub include: Vec<Include>,
    pub keep: Keep,
    pub sections: Vec<Section>,
}

/// One section: its kind, and what stands at each name.
#[derive(Clone, Debug)]
pub struct Section {
    pub kind: &'static str,
    pub entries: Arc<[Entry]>,
}

/// A declared parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: Spanned<Arc<str>>,
    /// Any type where only a default was written.
    pub takes: Option<ParameterType>,
    pub default: Option<Node>,
    pub choices: Option<Arc<[Node]>>,
    pub pattern: Option<Spanned<Arc<str>>>,
    pub description: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    String,
    Integer,
    Number,
    Boolean,
    List,
    Map,
}

/// A bundle that is taken in, once or once for each item.
#[derive(Clone, Debug)]
pub struct Include {
    pub bundle: Spanned<Arc<str>>,
    pub arguments: Vec<Entry>,
    pub for_each: Option<Node>,
    pub when: Option<Node>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Environment {
    pub name: Spanned<Arc<str>>,
    pub description: Option<Arc<str>>,
    pub parameters: Vec<Entry>,
    pub nodes: Vec<Selector>,
    /// Targets of applications that have no file of their own.
    pub applications: Vec<Entry>,
    /// Values of flags, by application.
    pub flags: Vec<Entry>,
    pub external: Vec<External>,
    pub policy: Option<Node>,
    pub keep: Keep,
}

/// Which nodes, and what they are.
#[derive(Clone, Debug)]
pub struct Selector {
    /// A name or a glob.
    pub nodes: Spanned<Arc<str>>,
    pub servers: Vec<Spanned<Arc<str>>>,
    pub labels: Vec<Entry>,
    pub parameters: Vec<Entry>,
    /// What the node says of applications.
    pub applications: Vec<Entry>,
    pub keep: Keep,
}

/// An interface that something outside of the model provides.
#[derive(Clone, Debug)]
pub struct External {
    pub name: Spanned<Arc<str>>,
    pub versions: Vec<Spanned<Arc<str>>>,
    pub until: Option<Spanned<Date>>,
}

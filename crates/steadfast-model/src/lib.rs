//! Turns YAML text into the promises that one node has made, with spans and diagnostics.
//!
//! This crate has no idea that machines exist: no file is opened, no clock read, no process started.

pub mod application;
pub mod check;
pub mod codes;
pub mod date;
pub mod deploying;
pub mod diagnostic;
pub mod document;
mod dynamic;
mod expression;
mod keep;
pub mod lower;
mod nesting;
pub mod node;
mod parameters;
pub mod policy;
pub mod promise;
pub mod render;
pub mod resolve;
pub mod schema;
pub mod schema_json;
pub mod scope;
pub mod section;
pub mod select;
pub mod share;
pub mod source;
pub mod span;
mod substitute;
mod template;
mod text_from;
mod value;
pub mod yaml;

pub use application::{ComponentId, ReleaseId};
pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity};
pub use keep::Keep;
pub use lower::{Fields, Lower, Piece, Read, Rendered};
pub use node::{Entry, Node, Scalar, Style, Value};
pub use policy::Policy;
pub use promise::{
    Author, Origin, ParameterSource, ParameterTrace, Placed, Promise, PromiseId, Resolved, Used,
};
pub use resolve::{NodeInput, resolve, resolve_component, resolve_each};
pub use schema::{Field, Takes};
pub use scope::Scope;
pub use source::{Later, Place, Source, SourceSet};
pub use span::{SourceId, Span, Spanned};
pub use text_from::{Found, TEXT_FROM, TextFrom};

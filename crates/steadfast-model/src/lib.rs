//! Turns YAML text into the promises that one node has made, with spans and diagnostics.
//!
//! This crate has no idea that machines exist: no file is opened, no clock read, no process started.

pub mod codes;
pub mod diagnostic;
pub mod document;
pub mod lower;
pub mod node;
pub mod promise;
pub mod render;
pub mod schema;
pub mod scope;
pub mod section;
pub mod source;
pub mod span;
pub mod yaml;

pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity};
pub use lower::{Fields, Lower, Rendered};
pub use node::{Entry, Node, Scalar, Style, Value};
pub use promise::{Keep, Origin, Promise, PromiseId, Resolved};
pub use schema::{Field, Takes};
pub use source::{Place, Source, SourceSet};
pub use span::{SourceId, Span, Spanned};

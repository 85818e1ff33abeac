//! What a node does once: it accepts a revision, prepares it, runs, rolls back, and judges. The agent's
//! children and the commands call this; nothing here prints, parses arguments or knows exit codes.

pub mod adopted;
pub mod artifact;
pub mod audience;
pub mod changed;
pub mod context;
pub mod deployments;
pub mod download;
pub mod error;
pub mod explain;
pub mod fetch;
mod few;
pub mod findings;
mod foreseen;
pub mod gate;
mod implied;
pub mod keep;
pub mod model;
pub mod origin;
pub mod orphans;
pub mod prepare;
mod recognized;
pub mod resolution;
pub mod revision;
pub mod run;
pub mod settings;
pub mod standard;
pub mod verdict;
pub mod watched;
pub mod when;
pub mod wire;

pub use context::Context;
pub use error::NodeError;
pub use run::{Run, run};

/// `1 error`, `2 errors`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

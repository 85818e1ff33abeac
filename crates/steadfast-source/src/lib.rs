//! Brings a model to the node, and refuses what is not signed, newer and whole.

pub mod attribution;
mod blame;
pub mod content;
pub mod directory;
pub mod fetcher;
pub mod floor;
mod git;
mod https;
pub mod manifest;
mod object;
mod offer;
mod process;
pub mod publish;
pub mod refusal;
pub mod revision;
pub mod sandbox;
pub mod settings;
pub mod signature;
mod snapshot;

pub use directory::{ReadError, read_directory};
pub use refusal::{BringError, Refusal, RefusalKind};
pub use revision::Revision;

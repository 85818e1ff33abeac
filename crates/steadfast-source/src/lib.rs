//! Fetches a model, and refuses one that is not signed, leads backwards (anti-rollback) or is damaged.

pub mod accept;
pub mod anti_rollback;
pub mod attribute;
pub mod attribution;
mod blame;
pub mod content;
pub mod directory;
pub mod download;
pub mod fetch;
mod git;
pub mod manifest;
mod object;
pub mod openpgp;
pub mod publish;
pub mod refusal;
pub mod revision;
pub mod settings;
mod snapshot;
pub mod terms;
mod trailers;

pub use directory::{ReadError, read_directory, read_directory_noting};
pub use refusal::{Refusal, RefusalKind};
pub use revision::Revision;

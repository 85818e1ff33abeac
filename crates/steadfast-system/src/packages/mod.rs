//! What the package manager knows and does.

pub mod version;

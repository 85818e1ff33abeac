//! What is written, in types of its own: domain types may change freely, these may not.

pub mod step;
pub mod v1;
pub mod v2;
pub mod v3;
pub mod v4;
pub mod v5;

/// Records are plain data, whose serialization cannot fail.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! What is written, in types of its own: domain types may change freely, these may not.

pub mod v1;
pub mod v2;

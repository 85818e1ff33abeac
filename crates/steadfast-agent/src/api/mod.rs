//! What is said on the agent's socket. Each format that was ever spoken has a module; the values that
//! the agent works with are not serializable themselves, so that a change to them cannot change what
//! programs of other people read.

pub mod v1;

//! A machine in memory with fault switches, and the laws that every kind must pass on it. Tests alone
//! use it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use it, and what is wrong in a test is to be seen at once"
)]

pub mod host;
pub mod laws;
pub mod run;
pub mod scenario;

pub use host::{Crash, FakeHost, Fault, Moment, World};

//! The daemon. What it decides is a pure state machine with its memory, its schedule and its
//! status: none of that opens a file, reads a clock or starts a process. [`shell`] does, and decides
//! nothing.

pub mod api;
pub mod client;
pub mod known;
pub mod logging;
pub mod machine;
pub mod memory;
pub mod metrics;
pub mod schedule;
pub mod shell;
pub mod status;

mod changes;
mod flapping;

#[cfg(test)]
#[path = "../../../tests/it/require.rs"]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "it serves the tests of other crates too, and tells whoever runs them what is left out"
)]
mod require;

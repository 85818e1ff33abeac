//! Models fetched from real repositories and real servers, good and hostile ones.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of it is tests, also what is not marked as one"
)]

mod events;
mod git;
mod hostile;
mod lines;
mod objects;
#[path = "../../../../tests/it/require.rs"]
mod require;
mod sandbox;
mod server;
mod snapshot;
mod ssh;
mod sshd;
mod support;

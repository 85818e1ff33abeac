//! Starting other programs apart from us: in a session of their own, so that no terminal of ours is theirs;
//! with no descriptor of ours but the three that they are given; bounded, and as another user where one is
//! named, who gets no privileges back. And ending what a program leaves behind.
//!
//! Every program that we start is started through here.

mod apart;
mod behind;

#[cfg(test)]
#[path = "../../../tests/it/require.rs"]
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to see what is left out")]
mod require;

pub use apart::{Apart, Limit, User};
pub use behind::{leaving_nothing_behind, who_runs_as};

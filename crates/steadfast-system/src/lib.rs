//! The only crate that touches what is managed: one module for each facility of the operating
//! system, each with a `Read` and a `Write` trait and the real implementation beside it.
//!
//! The split into two traits *is* the dry run: observing gets a [`Probe`], which has no way to change
//! anything; only applying gets an [`Actuate`].

pub mod accounts;
pub mod attribution;
pub mod cache_file;
pub mod clock;
pub mod command;
pub mod error;
pub mod facts;
pub mod files;
pub mod host;
pub mod hostname;
pub mod memory;
pub mod names;
pub mod packages;
pub mod processes;
pub mod programs;
pub mod secrets;
pub mod services;
pub mod sockets;
pub mod tasks;
pub mod text;
pub mod trees;

#[cfg(test)]
#[path = "../../../tests/it/require.rs"]
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to see what is left out")]
mod require;

pub use error::{ErrorKind, SystemError};
pub use host::Host;
pub use names::{AbsPath, BadName, GroupName, PackageName, UnitName, UserName};

/// Everything that may be asked of a machine. `observe` gets this and so cannot change anything.
pub trait Probe:
    accounts::Read
    + clock::Read
    + files::Read
    + hostname::Read
    + packages::Read
    + secrets::Read
    + services::Read
    + Sync
{
}

impl<T> Probe for T where
    T: accounts::Read
        + clock::Read
        + files::Read
        + hostname::Read
        + packages::Read
        + secrets::Read
        + services::Read
        + Sync
{
}

/// Everything that may be done to a machine. Only `apply` gets this.
pub trait Actuate:
    Probe
    + accounts::Write
    + files::Write
    + hostname::Write
    + packages::Write
    + programs::Run
    + services::Write
{
    /// The same machine, to look at only.
    fn as_probe(&self) -> &dyn Probe;
}

impl<T> Actuate for T
where
    T: Probe
        + accounts::Write
        + files::Write
        + hostname::Write
        + packages::Write
        + programs::Run
        + services::Write,
{
    fn as_probe(&self) -> &dyn Probe {
        self
    }
}

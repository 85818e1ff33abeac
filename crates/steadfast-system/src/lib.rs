//! The only crate that touches what is managed: one module for each facility of the operating
//! system, each with a `Read` and a `Write` trait and the real implementation beside it.
//!
//! The split into two traits *is* the dry run: observing gets a [`Probe`], which has no way to change
//! anything; only applying gets an [`Actuate`].

pub mod accounts;
pub mod error;
pub mod files;
pub mod names;
pub mod packages;
pub mod secrets;
pub mod services;

pub use error::{ErrorKind, SystemError};
pub use names::{AbsPath, BadName, GroupName, PackageName, UnitName, UserName};

/// Everything that may be asked of a machine. `observe` gets this and so cannot change anything.
pub trait Probe:
    accounts::Read + files::Read + packages::Read + services::Read + secrets::Read + Sync
{
}

impl<T> Probe for T where
    T: accounts::Read + files::Read + packages::Read + services::Read + secrets::Read + Sync
{
}

/// Everything that may be done to a machine. Only `apply` gets this.
pub trait Actuate:
    Probe + accounts::Write + files::Write + packages::Write + services::Write
{
    /// The same machine, to look at only.
    fn as_probe(&self) -> &dyn Probe;
}

/// The real machine.
#[derive(Debug)]
pub struct Host {
    settings: Settings,
}

/// Where the agent's own things lie.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state directory, `/var/lib/steadfast`: kept content and markers go below it.
    pub state: std::path::PathBuf,
    /// What can be made again, `/var/cache/steadfast`.
    pub cache: std::path::PathBuf,
    /// `/etc/steadfast`: settings, secrets and static facts.
    pub etc: std::path::PathBuf,
}

impl Host {
    pub fn new(settings: Settings) -> Host {
        Host { settings }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Actuate for Host {
    fn as_probe(&self) -> &dyn Probe {
        self
    }
}

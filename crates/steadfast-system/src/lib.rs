//! The only crate that touches what is managed: one module for each facility of the operating
//! system, each with a `Read` and a `Write` trait and the real implementation beside it.
//!
//! The split into two traits *is* the dry run: observing gets a [`Probe`], which has no way to change
//! anything; only applying gets an [`Actuate`].

pub mod error;
pub mod names;
pub mod packages;
pub mod secrets;

pub use error::{ErrorKind, SystemError};
pub use names::{AbsPath, BadName, GroupName, PackageName, UnitName, UserName};

/// Everything that may be asked of a machine. `observe` gets this and so cannot change anything. Each
/// facility adds its `Read` here.
pub trait Probe: secrets::Read + Sync {}

impl<T> Probe for T where T: secrets::Read + Sync {}

/// Everything that may be done to a machine. Only `apply` gets this. Each facility adds its `Write`
/// here.
pub trait Actuate: Probe {
    /// The same machine, to look at only.
    fn as_probe(&self) -> &dyn Probe;
}

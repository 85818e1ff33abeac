//! The workshop of the real machine tests: what boots a machine, fills it and looks at it.
//!
//! `nspawn.rs` has the root, the control groups and the processes of a machine, `machine.rs` is what a test
//! holds of it. `apt.rs` makes packages, `beside.rs` a source out here that the machine can reach.
//! `installed.rs` is a machine with the agent as a service, `model.rs` one with something of every kind.
//! `load.rs` has users of web servers. `harness.rs` tests the workshop.

pub(crate) mod apt;
pub(crate) mod beside;
mod harness;
pub(crate) mod installed;
pub(crate) mod listing;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod model;
pub(crate) mod nspawn;

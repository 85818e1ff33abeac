//! What the engine does for what runs with its inputs: which promises are those inputs, what is owed when
//! they change, and whether the runner says that it is healthy.

pub mod debt;
mod health;
pub mod inputs;
pub(crate) mod owing;
pub(crate) mod pay;
pub(crate) mod unit_files;

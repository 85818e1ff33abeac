//! From the promises of a model to what the engine works on: typed, compared with each other, with
//! their needs and consequences as indices, and in the order of a run.

mod inputs;
mod lower;
mod promises;
mod settled;
mod ties;

pub use lower::{check, lower};
pub use promises::{Promised, Promises};
pub use ties::Ties;

//! From the promises of a model to what the engine works on: typed, compared with each other, with
//! their needs and consequences as indices, and in the order of a run.

mod deployed;
mod foreseen;
mod inputs;
mod instance;
mod lower;
mod part;
mod promises;
mod settled;
mod ties;
mod units;

pub use deployed::Deployed;
pub use instance::{Instance, instance, instances};
pub use lower::{check, lower, lower_with};
pub use part::lower_part;
pub use promises::{Promised, Promises};
pub use settled::Settleable;
pub use ties::Ties;

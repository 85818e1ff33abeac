//! The components of applications in one run. Each is kept to the deployment that it runs, whatever the model says by
//! now, drift and all; then, one after the other, the step of each goes on as far as it may: `steadfast_engine::component`
//! decides what is next, and what it says is done here.
//!
//! What a model without applications costs does not hang on any of this.

mod act;
mod around;
pub mod calls;
mod clearing;
mod deploy;
mod fates;
mod flags;
mod foresee;
pub mod gates;
mod instance;
mod look;
mod mark;
mod question;
mod recognized;
mod retention;
#[cfg(test)]
mod sample;
mod secrets;
pub mod shown;
mod stage;
mod step;
mod stepping;
pub mod task;
pub mod terms;
pub mod told;
mod tree;
pub mod units;

pub(crate) use deploy::{Deploying, Input, deploy, deploy_nothing};
pub(crate) use fates::{Amid, Fates};
pub(crate) use foresee::foresee;
pub(crate) use gates::Suspended;
pub(crate) use instance::Instance;
pub(crate) use stepping::{Asking, Stepping, Taken, now};
pub use told::Told;

//! The kinds of promises, one file for each: schema, observe, plan and apply side by side.

pub mod cron;
pub mod kind;

pub use kind::{Difference, Fingerprint, Identity, Kind, Obstacle};

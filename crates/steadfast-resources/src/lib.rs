//! The kinds of promises, one file or folder for each: what it reads, sees, plans, does and undoes, side by
//! side. `group.rs` is the smallest, whole; `kind.rs` says what a kind is.
//!
//! A new kind is a room here, a row in `kinds.rs`, a row in the model's `SECTIONS`, and, where it has facets of
//! its own to undo, their words in the store. Nobody else names the kinds.

pub mod identity;
pub mod kind;
pub mod undo;

#[macro_use]
mod kinds;
mod all;
mod ask;

pub mod cron;
pub mod directory;
pub mod file;
pub mod group;
pub mod link;
pub mod members;
pub mod package;
pub mod service;
pub mod user;

// What several kinds share.
pub mod account_fields;
pub mod edit;
pub mod glob;
pub mod mode;
pub mod paths;
pub mod runner;

pub use all::{
    absence, apply, changes_back, effects, lower, observe, observe_facets, plan, relate,
};
pub use identity::Identity;
pub use kind::{Applied, Difference, Fingerprint, Kind, Obstacle, Refusal, Turn, Watch};
pub use kinds::{Change, KINDS, KindRow, Resource, State};
pub use undo::{Effect, Facet, FacetState};

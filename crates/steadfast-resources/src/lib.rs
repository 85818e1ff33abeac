//! The kinds of promises, one file or directory for each: what it reads, sees, plans, does and undoes, side by
//! side. `group.rs` is the smallest, whole; `kind.rs` says what a kind is.
//!
//! A new kind is a room here, its line among the modules and its row in the table below, and a row in the model's
//! `SECTIONS`; CONTRIBUTING.md says what else belongs to it. Nobody else names the kinds.

pub mod fact;
pub mod identity;
pub mod kind;
pub mod undo;

#[macro_use]
mod kinds;

// The kinds.
pub mod contents;
pub mod cron;
pub mod directory;
pub mod file;
pub mod group;
pub mod hostname;
pub mod link;
pub mod members;
pub mod package;
pub mod service;
pub mod user;

// What several kinds share.
pub mod account_fields;
mod account_files;
pub mod edit;
pub mod glob;
pub mod made;
pub mod mode;
mod naming;
pub mod paths;
pub mod runner;

kinds! { $
    Package => package,
    Group => group,
    Members => members, // no section of its own: a part of `groups`
    User => user,
    Directory => directory,
    File => file,
    Link => link,
    Service => service,
    Cron => cron,
    Hostname => hostname,
}

// What is asked of whichever kind it is.
mod all;
mod ask;

pub use all::{
    absence, act, alone, alone_tree, another_name_of, apply, awaited, changes_back, effects,
    hands_on, is_place, itself, lower, observe, observe_facets, plan, relate, relate_going,
    relate_packages, set_also_promised, set_inherits,
};
/// The directories, and the files, that the system needs.
pub fn of_the_system() -> (Vec<AbsPath>, Vec<AbsPath>) {
    (paths::vital::folders().collect(), paths::vital_files::files().collect())
}

pub use directory::AloneTree;
pub use fact::Fact;
pub use file::Alone;
pub use identity::Identity;
pub use kind::{Applied, Difference, Fingerprint, Kind, Obstacle, Refusal, Turn, Watch};
pub use kinds::KindRow;
pub use made::Made;
pub use undo::{Effect, Facet, FacetState};

use steadfast_system::AbsPath;

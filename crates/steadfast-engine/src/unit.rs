//! Units: promises that change together, from that to this, and go back together.
//!
//! The components of applications are units. What a unit does is a step: it is written down when it begins,
//! with what it makes, and it ends with the whole unit as it shall be or as it was before.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// `component:people/api`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitId(pub Arc<str>);

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Promises that are kept all together or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    pub id: UnitId,
    /// Indices of promises, in rising order.
    pub members: Vec<usize>,
}

/// Whose doing something is, so that it is taken back with that and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The revision that the node keeps.
    Node,
    Unit(UnitId),
}

/// How a step of a unit came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// All of it is as promised.
    Committed,
    /// All of it is as it was before.
    TakenBack,
}

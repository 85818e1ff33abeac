//! Deployments of components among the promises of a node.

use crate::unit::UnitId;
use steadfast_model::Promise;

/// The promises of one deployment of a component, and what changes with them.
#[derive(Debug)]
pub struct Deployed {
    pub unit: UnitId,
    /// Whether they are all kept or all taken back: the machine is brought from one deployment to another.
    pub is_step: bool,
    pub promises: Vec<Promise>,
    /// Promises that hold for all deployments of the component, and change by themselves.
    pub shared: Vec<Promise>,
}

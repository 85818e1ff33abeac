//! What one run has made beside what was made before.

use std::collections::BTreeSet;
use steadfast_resources::Facet;

/// What one run has made, and the model that was known to promise all that was remembered before; no name
/// where none was.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) model: String,
    pub(crate) things: BTreeSet<Facet>,
}

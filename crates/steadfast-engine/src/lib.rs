//! Orders, plans, checks, converges and judges promises.

pub mod debt;
pub mod graph;

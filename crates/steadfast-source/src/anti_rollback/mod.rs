//! Anti-rollback: a node takes no model that leads backwards, nor two under one number, nor one that is
//! signed with a key which was removed before. What that needs outlives every cache and database: the
//! highest revision ever accepted, and the keys that were once trusted. It lies in a directory of its own, in
//! two copies (see [`steadfast_trust::copies`]), so that losing those does not let an old model back in.
//!
//! Whether a candidate leads forward is decided by [`judge`], a function of data alone.

mod format;
mod judge;
mod point;
mod state;

pub use judge::judge;
pub use point::{Advance, Candidate, Descent, Expected, Force, KeySetPoint, Point, TrustedKeys};
pub use state::AntiRollback;

//! What the package manager knows and does.

pub mod version;

use std::fmt::Debug;

/// What may be asked.
pub trait Read: Debug {}
/// What may be done.
pub trait Write: Debug {}

impl Read for crate::Host {}
impl Write for crate::Host {}

//! The machine's time.

use std::fmt;

/// What may be asked.
pub trait Read: fmt::Debug {
    /// Microseconds since 1970.
    fn now(&self) -> i64;
}

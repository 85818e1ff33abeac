//! When the next run of a trial is due. The trial itself must not be forgotten: see
//! [`crate::memory::Trial`].

use jiff::Timestamp;

#[derive(Debug)]
pub(crate) struct TrialTimer {
    pub(crate) due: Timestamp,
}

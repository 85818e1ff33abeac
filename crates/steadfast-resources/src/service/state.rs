//! What the machine shows of a unit.

use crate::runner::{Process, RunnerState};
use steadfast_system::files::Look;
use steadfast_system::services::{Active, Load, Mask, Unit};

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub unit: Unit,
    /// What is at the paths of the promised unit file and drop-ins, in that order.
    pub files: Vec<Look>,
    /// What runs now.
    pub process: Option<Process>,
}

impl RunnerState for State {
    fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    fn has_failed(&self) -> bool {
        self.unit.active == Active::Failed
    }

    fn is_loaded(&self) -> bool {
        self.unit.load == Load::Loaded
    }

    fn is_masked_by_link(&self) -> bool {
        self.unit.mask == Mask::Persistent
    }
}

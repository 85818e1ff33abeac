//! What the machine shows of a unit.

use crate::runner::{Process, RunnerState};
use steadfast_system::UnitName;
use steadfast_system::files::Look;
use steadfast_system::services::{Active, Enablement, Load, Mask, Unit};

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub unit: Unit,
    /// What is at the paths of the promised unit file and drop-ins, in that order.
    pub files: Vec<Look>,
    /// The units that are enabled and disabled with it, where one of this is due.
    pub also: Vec<UnitName>,
    /// What runs now.
    pub process: Option<Process>,
}

impl RunnerState for State {
    fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    fn also(&self) -> &[UnitName] {
        &self.also
    }

    fn set_enabled(&mut self, enabled: bool) {
        self.unit.enablement = if enabled { Enablement::Enabled } else { Enablement::Disabled };
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

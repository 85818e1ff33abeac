//! What happens in a run, as events. The engine reports, reporters render: for a terminal, as JSON
//! lines, into the history.

use crate::ledger::UndoEntry;
use crate::outcome::{Outcome, Summary};
use crate::plan::Plan;
use crate::promised::{Promised, Promises};
use crate::unit::UnitId;
use steadfast_model::PromiseId;
use steadfast_resources::Change;

#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// All promises were looked at, and this is what the run would do.
    Planned {
        promises: &'a Promises,
        plan: &'a Plan,
    },
    /// These changes are about to be made: indices of promises, and what is done to each.
    Working {
        promises: &'a Promises,
        work: &'a [(usize, Vec<Change>)],
    },
    /// The verdict on one promise, with what was done.
    Judged {
        promise: &'a Promised,
        outcome: &'a Outcome,
        changes: &'a [Change],
        notes: &'a [String],
    },
    /// These things are about to be taken back, and what is done to each.
    Undoing {
        work: &'a [(&'a UndoEntry, &'a [Change])],
    },
    /// What became of what a promise, which nobody makes any more, had left: what was done, and why the
    /// rest stays.
    Undone {
        promise: &'a PromiseId,
        changes: &'a [Change],
        left: &'a [String],
    },
    /// What becomes of the step of a unit.
    Step {
        unit: &'a UnitId,
        step: Step,
    },
    Finished {
        summary: &'a Summary,
    },
}

/// How far the step of a unit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its first member is about to be changed.
    Begun,
    /// All of it is as promised.
    Committed,
    /// All of it is as it was before.
    TakenBack,
    /// It was to be taken back, and some of it remains for the next run.
    LeftOpen,
}

pub trait Reporter {
    fn report(&mut self, event: &Event<'_>);
}

/// Several reporters as one.
impl Reporter for Vec<&mut dyn Reporter> {
    fn report(&mut self, event: &Event<'_>) {
        for one in self.iter_mut() {
            one.report(event);
        }
    }
}

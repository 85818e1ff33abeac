//! The steps of units: a unit is wholly as it shall be or wholly as it was before.
//!
//! A step is written down before the first member is changed. It ends with the unit as promised, or with
//! all that it made taken back; one that a run was cut off in is taken back by the next run before anything
//! else.

use crate::budget::Budget;
use crate::event::{Event, Reporter, Step};
use crate::ledger::{Extent, Ledger, UndoEntry};
use crate::outcome::{Held, Outcome};
use crate::promised::Promises;
use crate::undo::undo;
use crate::unit::{StepEnd, Unit, UnitId};
use steadfast_model::PromiseId;
use steadfast_system::Actuate;

/// Takes back the steps that earlier runs were cut off in. Whether there were any.
pub(crate) fn take_back_open(
    sys: &dyn Actuate,
    ledger: &mut dyn Ledger,
    out: &mut dyn Reporter,
) -> bool {
    // What cannot be read now is asked for again by the next run.
    let open = ledger.open_steps().unwrap_or_default();
    for (unit, made) in &open {
        take_back(unit, made, sys, ledger, out);
    }
    !open.is_empty()
}

/// Ends the steps of this run: those whose members are all as promised are committed, the others are taken
/// back. Gives the units that were, and whether nothing of it is left to do.
pub(crate) fn end(
    promises: &Promises,
    outcomes: &[Option<Outcome>],
    sys: &dyn Actuate,
    ledger: &mut dyn Ledger,
    out: &mut dyn Reporter,
) -> Vec<(UnitId, bool)> {
    if promises.units.is_empty() {
        return vec![];
    }
    let mut taken_back = vec![];
    for (unit, made) in ledger.open_steps().unwrap_or_default() {
        let its = promises.units.iter().find(|it| it.id == unit);
        if its.is_some_and(|it| broken(promises, it, outcomes).is_none()) {
            tracing::info!(%unit, "committed");
            // Where it cannot be written, the next run takes it back, and the run after that brings it again.
            let _written = ledger.end_step(&unit, StepEnd::Committed);
            out.report(&Event::Step { unit: &unit, step: Step::Committed });
        } else {
            let wholly = take_back(&unit, &made, sys, ledger, out);
            taken_back.push((unit, wholly));
        }
    }
    taken_back
}

/// Takes a step back. Whether nothing of it is left to do.
fn take_back(
    unit: &UnitId,
    made: &[UndoEntry],
    sys: &dyn Actuate,
    ledger: &mut dyn Ledger,
    out: &mut dyn Reporter,
) -> bool {
    tracing::info!(%unit, things = made.len(), "taking a step back");
    let results = undo(made, Extent::Everything, Budget::default(), sys, ledger, out);
    // What another attempt may still take back keeps the step open.
    let wholly = results.iter().all(|it| it.as_ref().err().is_none_or(|why| why.is_final()));
    if wholly {
        let _written = ledger.end_step(unit, StepEnd::TakenBack);
    }
    let step = if wholly { Step::TakenBack } else { Step::LeftOpen };
    out.report(&Event::Step { unit, step });
    wholly
}

/// The first member that was judged and is not as promised.
pub(crate) fn broken(
    promises: &Promises,
    unit: &Unit,
    outcomes: &[Option<Outcome>],
) -> Option<PromiseId> {
    let bad = |at: &&usize| outcomes[**at].as_ref().is_some_and(|it| !it.is_good());
    unit.members.iter().find(bad).map(|at| promises.all[*at].id.clone())
}

/// The other members of a unit that was taken back wait for the one that is broken.
pub(crate) fn hold(promises: &Promises, unit: &UnitId, outcomes: &mut [Option<Outcome>]) {
    let Some(unit) = promises.units.iter().find(|it| it.id == *unit) else { return };
    let Some(needed) = broken(promises, unit, outcomes) else { return };
    for at in &unit.members {
        if outcomes[*at].as_ref().is_some_and(Outcome::is_good) {
            outcomes[*at] = Some(Outcome::Held(Held::NeedNotKept { needed: needed.clone() }));
        }
    }
}

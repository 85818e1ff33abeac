//! Paying what is owed by units that a run is not about: it has taken back what they read.

use crate::ledger::{Ledger, UndoEntry};
use crate::obstacles::refusals;
use crate::runner::debt::{self, Debt, RunnerRecord};
use crate::runner::owing::SetOwed as _;
use std::collections::BTreeMap;
use steadfast_resources::runner::{Consequence, Owing, Process, RunnerState};
use steadfast_resources::{Change, Difference, Resource, State};
use steadfast_system::{Actuate, ErrorKind, SystemError, UnitName};

/// A unit that reads what is taken back.
pub(crate) struct Debtor {
    pub unit: UnitName,
    /// What it reads of that, by index.
    pub reads: Vec<usize>,
    /// What was written down of it before.
    before: RunnerRecord,
}

/// Writes down what the readers of these will owe, before they are taken back. A unit that has failed may
/// have failed because of what it read, so it owes too; one that rests will start with what is there.
pub(crate) fn owe(
    made: &[UndoEntry],
    which: &[usize],
    sys: &dyn Actuate,
    ledger: &mut dyn Ledger,
) -> Result<Vec<Debtor>, SystemError> {
    let mut readers: BTreeMap<&UnitName, (Consequence, Vec<usize>)> = BTreeMap::new();
    for at in which.iter().copied() {
        for (unit, owes) in &made[at].readers {
            let known = readers.entry(unit).or_insert((*owes, vec![]));
            known.0 = known.0.max(*owes);
            known.1.push(at);
        }
    }
    let wants: Vec<Resource> =
        readers.keys().map(|it| Resource::implied_runner((*it).clone())).collect();
    let wants: Vec<&Resource> = wants.iter().collect();
    let states = steadfast_resources::observe(&wants, sys.as_probe());
    let (mut debtors, mut debts) = (vec![], vec![]);
    for ((unit, (action, reads)), state) in readers.into_iter().zip(states) {
        // One that cannot be seen now is asked again when it is to pay.
        if let Ok(state) = state {
            let Some(invocation) = state.as_runner().and_then(invocation) else { continue };
            // The first stands for all: each of them is taken back by the same run.
            let Some(cause) = reads.first().map(|at| made[*at].promise.clone()) else { continue };
            debts.push((unit.clone(), Debt { action, cause, invocation, since: sys.now() }));
        }
        debtors.push(Debtor { unit: unit.clone(), reads, before: ledger.record(unit) });
    }
    if !debts.is_empty() {
        ledger.owe(&debts)?;
    }
    Ok(debtors)
}

/// Which process owes; nobody in particular where the unit failed, and none where nothing does.
fn invocation(state: &dyn RunnerState) -> Option<String> {
    // systemd remembers that a unit failed when its file is gone.
    if !state.is_loaded() {
        return None;
    }
    match state.process() {
        Some(Process { invocation, .. }) => Some(invocation.clone()),
        None => state.has_failed().then(String::new),
    }
}

/// Takes a debt back whose causes all came to nothing.
pub(crate) fn forgive(debtor: Debtor, ledger: &mut dyn Ledger) -> Result<(), SystemError> {
    ledger.settle(&debtor.unit, debtor.before)
}

/// Lets units pay what is written down of them, as they would in a run that is about them: one result for
/// each, with what was done.
pub(crate) fn pay(
    debtors: &[Debtor],
    sys: &dyn Actuate,
    ledger: &mut dyn Ledger,
) -> Vec<Result<Vec<Change>, SystemError>> {
    let wants: Vec<Resource> =
        debtors.iter().map(|it| Resource::implied_runner(it.unit.clone())).collect();
    let wants: Vec<&Resource> = wants.iter().collect();
    let mut results: Vec<Result<Vec<Change>, SystemError>> = vec![];
    for ((debtor, want), state) in
        debtors.iter().zip(&wants).zip(steadfast_resources::observe(&wants, sys.as_probe()))
    {
        let record = ledger.record(&debtor.unit);
        results.push(state.and_then(|state| due(want, &state, &record)));
    }
    let slices: Vec<&[Change]> =
        results.iter().map(|it| it.as_ref().map_or(&[][..], Vec::as_slice)).collect();
    let applied = steadfast_resources::apply(&slices, sys);
    for (result, applied) in results.iter_mut().zip(applied) {
        if let Some((_, error)) = applied.failed().next() {
            *result = Err(error.clone());
        }
    }
    let paid = debtors.iter().zip(&results).filter(|(_, it)| it.is_ok());
    for debtor in paid.map(|(debtor, _)| debtor) {
        tracing::debug!(unit = %debtor.unit, "paid what it owed for what was taken back");
        let record = RunnerRecord { debts: vec![], ..ledger.record(&debtor.unit) };
        // Where it cannot be written, the debt stays: it is paid without need.
        let _written = ledger.settle(&debtor.unit, record);
    }
    results
}

/// What a unit has to do for what is written down of it.
fn due(want: &Resource, state: &State, record: &RunnerRecord) -> Result<Vec<Change>, SystemError> {
    let Some(runner) = state.as_runner().filter(|it| it.is_loaded()) else { return Ok(vec![]) };
    let record = RunnerRecord { baseline: None, ..record.clone() };
    let owed = match runner.has_failed() {
        true => debt::owed_by_failed(&record),
        false => debt::owed(&record, runner.process(), &debt::Inputs::default()),
    };
    let mut owing = Owing::default();
    owing.set(owed);
    let Difference { changes, obstacles, notes: _ } = want.plan(state, &owing);
    match &refusals(&obstacles)[..] {
        [] => Ok(changes),
        [why, ..] => Err(SystemError::new(ErrorKind::Other, why.words())),
    }
}

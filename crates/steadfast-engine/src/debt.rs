//! Restart debts: whether a service runs with its current inputs.
//!
//! It is a state that is compared, never an event that can get lost. Before a cause is changed, a debt
//! is written down with the process that owes it; it stays owed until that process has reloaded or
//! another one has started since. What others change (an upgrade by another tool) shows in the digest
//! of the inputs that the process is known to run with.

use steadfast_model::PromiseId;

/// Digest over all inputs of one service.
pub type InputsDigest = [u8; 32];

/// What settles a debt. A restart settles both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Reload,
    Restart,
}

/// One process of a service, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// systemd's InvocationID: another one after every start.
    pub invocation: String,
    /// When it started, in microseconds since 1970.
    pub since: i64,
}

/// A debt as it was written down before its cause was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debt {
    pub action: Action,
    /// The promise whose repair caused it.
    pub cause: PromiseId,
    /// The process that owes it.
    pub invocation: String,
    /// When it was written down, in microseconds since 1970.
    pub since: i64,
}

/// The inputs that a process is known to run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    pub invocation: String,
    pub reload: InputsDigest,
    pub restart: InputsDigest,
}

/// All that the state directory knows about one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub baseline: Option<Baseline>,
    pub debts: Vec<Debt>,
    /// Whether the record was lost: then nothing here says that nothing is owed.
    pub damaged: bool,
}

/// The inputs as the machine shows them now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    pub reload: InputsDigest,
    pub restart: InputsDigest,
    /// When the newest of them last changed, in microseconds since 1970, where that can be told.
    pub changed: Option<i64>,
}

/// What a service owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    /// The stronger of all actions owed, and the promises that caused it; none where somebody else
    /// changed an input.
    Due {
        action: Action,
        causes: Vec<PromiseId>,
    },
    /// The record was damaged and an input changed after the service started: a restart may be owed,
    /// and whether it is cannot be known.
    Perhaps,
}

/// Judges one service. A service that does not run owes nothing, and is never started by a debt.
pub fn owed(record: &Record, running: Option<&Running>, inputs: &Inputs) -> Owed {
    let Some(running) = running else { return Owed::Nothing };
    let changed_since_start = inputs.changed.is_some_and(|changed| changed > running.since);
    let mut action = None;
    let mut causes: Vec<PromiseId> = vec![];
    for debt in &record.debts {
        // Any start that began after the change pays, whoever did it, the boot included.
        let paid = debt.invocation != running.invocation && running.since > debt.since;
        if !paid {
            action = action.max(Some(debt.action));
            if !causes.contains(&debt.cause) {
                causes.push(debt.cause.clone());
            }
        }
    }
    match &record.baseline {
        Some(baseline) if baseline.invocation == running.invocation => {
            if baseline.restart != inputs.restart {
                action = Some(Action::Restart);
            } else if baseline.reload != inputs.reload {
                action = action.max(Some(Action::Reload));
            }
        }
        // Another process than the one we knew: it has what was there when it started.
        Some(baseline) if changed_since_start => {
            if baseline.restart != inputs.restart {
                action = Some(Action::Restart);
            } else if baseline.reload != inputs.reload {
                action = action.max(Some(Action::Reload));
            }
        }
        None if record.damaged && changed_since_start && action.is_none() => return Owed::Perhaps,
        // A service met for the first time owes nothing.
        Some(_) | None => {}
    }
    match action {
        Some(action) => Owed::Due { action, causes },
        None => Owed::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(invocation: &str, since: i64) -> Running {
        Running { invocation: invocation.to_owned(), since }
    }

    fn inputs(reload: u8, restart: u8, changed: i64) -> Inputs {
        Inputs { reload: [reload; 32], restart: [restart; 32], changed: Some(changed) }
    }

    fn baseline(invocation: &str, reload: u8, restart: u8) -> Option<Baseline> {
        let invocation = invocation.to_owned();
        Some(Baseline { invocation, reload: [reload; 32], restart: [restart; 32] })
    }

    fn debt(action: Action, cause: &str, invocation: &str, since: i64) -> Debt {
        let cause = PromiseId::new("file", cause);
        Debt { action, cause, invocation: invocation.to_owned(), since }
    }

    fn due(action: Action, causes: &[&str]) -> Owed {
        let causes = causes.iter().map(|it| PromiseId::new("file", it)).collect();
        Owed::Due { action, causes }
    }

    #[test]
    fn a_debt_stays_owed_while_the_same_process_runs() {
        let record = Record {
            baseline: baseline("one", 1, 1),
            debts: vec![debt(Action::Restart, "/a", "one", 50)],
            damaged: false,
        };
        let now = inputs(1, 1, 60);
        assert_eq!(owed(&record, Some(&running("one", 10)), &now), due(Action::Restart, &["/a"]));
    }

    #[test]
    fn any_later_start_pays() {
        let record = Record {
            baseline: baseline("one", 1, 1),
            debts: vec![debt(Action::Restart, "/a", "one", 50)],
            damaged: false,
        };
        assert_eq!(owed(&record, Some(&running("two", 70)), &inputs(1, 2, 60)), Owed::Nothing);
    }

    #[test]
    fn a_start_before_the_change_does_not_pay() {
        let record = Record {
            baseline: baseline("one", 1, 1),
            debts: vec![debt(Action::Reload, "/a", "one", 50)],
            damaged: false,
        };
        let verdict = owed(&record, Some(&running("two", 40)), &inputs(2, 1, 60));
        assert_eq!(verdict, due(Action::Reload, &["/a"]));
    }

    #[test]
    fn the_stronger_action_wins_and_every_cause_is_named_once() {
        let record = Record {
            baseline: None,
            debts: vec![
                debt(Action::Reload, "/a", "one", 50),
                debt(Action::Restart, "/b", "one", 51),
                debt(Action::Reload, "/a", "one", 52),
            ],
            damaged: false,
        };
        let verdict = owed(&record, Some(&running("one", 10)), &inputs(1, 1, 60));
        assert_eq!(verdict, due(Action::Restart, &["/a", "/b"]));
    }

    #[test]
    fn what_somebody_else_changed_is_owed_too() {
        let record = Record { baseline: baseline("one", 1, 1), ..Record::default() };
        let one = running("one", 10);
        assert_eq!(owed(&record, Some(&one), &inputs(1, 1, 60)), Owed::Nothing);
        assert_eq!(owed(&record, Some(&one), &inputs(2, 1, 60)), due(Action::Reload, &[]));
        assert_eq!(owed(&record, Some(&one), &inputs(2, 2, 60)), due(Action::Restart, &[]));
        let two = running("two", 55);
        assert_eq!(owed(&record, Some(&two), &inputs(1, 2, 60)), due(Action::Restart, &[]));
        assert_eq!(owed(&record, Some(&two), &inputs(1, 2, 50)), Owed::Nothing);
    }

    #[test]
    fn a_service_that_does_not_run_or_is_met_first_owes_nothing() {
        let record =
            Record { debts: vec![debt(Action::Restart, "/a", "one", 50)], ..Record::default() };
        assert_eq!(owed(&record, None, &inputs(1, 1, 60)), Owed::Nothing);
        let met = owed(&Record::default(), Some(&running("one", 10)), &inputs(1, 1, 60));
        assert_eq!(met, Owed::Nothing);
    }

    #[test]
    fn after_a_damaged_record_nobody_claims_to_know() {
        let record = Record { damaged: true, ..Record::default() };
        assert_eq!(owed(&record, Some(&running("one", 10)), &inputs(1, 1, 60)), Owed::Perhaps);
        assert_eq!(owed(&record, Some(&running("one", 70)), &inputs(1, 1, 60)), Owed::Nothing);
    }
}

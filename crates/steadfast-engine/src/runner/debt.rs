//! Restart debts: whether a service runs with its current inputs.
//!
//! It is a state that is compared, never an event that can get lost. Before a cause is changed, a debt
//! is written down with the process that owes it; it stays owed until that process has reloaded or
//! another one has started since. What others change (an upgrade by another tool) shows in the digest
//! of the inputs that the process is known to run with.

use std::collections::BTreeMap;
use steadfast_model::PromiseId;
pub use steadfast_resources::runner::{Consequence as Action, Process as Running};

/// Digest of one input of a service.
pub type InputDigest = [u8; 32];

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
    /// Each by its promise: what the model adds to them later is met for the first time then.
    pub inputs: BTreeMap<PromiseId, InputDigest>,
}

/// All that the state directory knows about one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerRecord {
    pub baseline: Option<Baseline>,
    pub debts: Vec<Debt>,
    /// Whether the record was lost: then nothing here says that nothing is owed.
    pub damaged: bool,
}

/// The inputs as the machine shows them now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs(pub BTreeMap<PromiseId, Input>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What its change asks.
    pub asks: Action,
    pub digest: InputDigest,
    /// When it last changed, in microseconds since 1970, where that can be told.
    pub changed: Option<i64>,
    /// Of what systemd reads in the place of the service: when it last began to read its files. Only a process
    /// that was started after that is known to have the input as it is.
    pub loaded: Option<i64>,
}

impl Inputs {
    /// Whether any of them changed after a process began to start.
    fn changed_since(&self, running: &Running) -> bool {
        self.0.values().any(|it| it.changed_since(running))
    }
}

impl Input {
    fn changed_since(&self, running: &Running) -> bool {
        self.changed.is_some_and(|changed| changed > running.since)
    }

    /// Whether systemd has not read it as it is.
    fn is_unread(&self) -> bool {
        self.loaded.zip(self.changed).is_some_and(|(loaded, changed)| changed >= loaded)
    }

    fn is_known_to(&self, running: &Running) -> bool {
        let read =
            |changed| self.loaded.is_none_or(|loaded| changed < loaded && loaded <= running.since);
        self.changed.is_none_or(|changed| changed <= running.since && read(changed))
    }
}

/// What a service owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    /// The stronger of all actions owed, and the promises that caused it.
    Due {
        action: Action,
        causes: Vec<PromiseId>,
    },
    /// The record was damaged and an input changed after the service started: a restart may be owed,
    /// and whether it is cannot be known.
    Perhaps,
}

/// Judges one service. A service that does not run owes nothing, and is never started by a debt.
pub fn owed(record: &RunnerRecord, running: Option<&Running>, inputs: &Inputs) -> Owed {
    let Some(running) = running else { return Owed::Nothing };
    let changed_since_start = inputs.changed_since(running);
    let mut action = None;
    let mut causes: Vec<PromiseId> = vec![];
    for debt in &record.debts {
        // Any start that began after the change pays, whoever did it, the boot included. The debt was
        // written down before the change, so a start between the two is seen by the input itself.
        let paid = debt.invocation != running.invocation
            && running.since > debt.since
            && inputs.0.get(&debt.cause).is_none_or(|it| it.is_known_to(running));
        if !paid {
            action = action.max(Some(debt.action));
            if !causes.contains(&debt.cause) {
                causes.push(debt.cause.clone());
            }
        }
    }
    match &record.baseline {
        Some(baseline) => {
            let is_other = baseline.invocation != running.invocation;
            for (input, now) in &inputs.0 {
                // Another process than the one we knew has what was there when it started.
                if is_other && now.is_known_to(running) {
                    continue;
                }
                // Another process was started with what systemd had read, and nobody knows what that was.
                let is_doubtful = is_other && now.is_unread();
                let known = baseline.inputs.get(input);
                if known.is_some_and(|known| is_doubtful || *known != now.digest) {
                    action = action.max(Some(now.asks));
                    if !causes.contains(input) {
                        causes.push(input.clone());
                    }
                }
            }
        }
        None if record.damaged && changed_since_start && action.is_none() => return Owed::Perhaps,
        // A service met for the first time owes nothing.
        None => {}
    }
    match action {
        Some(action) => Owed::Due { action, causes },
        None => Owed::Nothing,
    }
}

/// Judges a service that has failed, which is not to be stopped: where something is still written down,
/// the restart that was to pay it may be what took the service down, so it is owed until it succeeds.
pub fn owed_by_failed(record: &RunnerRecord) -> Owed {
    let mut causes: Vec<PromiseId> = vec![];
    for debt in &record.debts {
        if !causes.contains(&debt.cause) {
            causes.push(debt.cause.clone());
        }
    }
    match causes.is_empty() {
        true => Owed::Nothing,
        false => Owed::Due { action: Action::Restart, causes },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(invocation: &str, since: i64) -> Running {
        Running { invocation: invocation.to_owned(), since }
    }

    /// Two inputs: what asks for a reload, and what asks for a restart.
    fn inputs(reload: u8, restart: u8, changed: i64) -> Inputs {
        Inputs(
            [
                (PromiseId::new("file", "/r"), input(Action::Reload, reload, changed)),
                (PromiseId::new("file", "/s"), input(Action::Restart, restart, changed)),
            ]
            .into(),
        )
    }

    fn input(asks: Action, digest: u8, changed: i64) -> Input {
        Input { asks, digest: [digest; 32], changed: Some(changed), loaded: None }
    }

    fn baseline(invocation: &str, reload: u8, restart: u8) -> Option<Baseline> {
        let inputs = inputs(reload, restart, 0).0.into_iter().map(|(id, it)| (id, it.digest));
        Some(Baseline { invocation: invocation.to_owned(), inputs: inputs.collect() })
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
    fn another_process_owes_only_for_what_has_changed_since_its_start() {
        let record = RunnerRecord { baseline: baseline("a", 0, 0), ..RunnerRecord::default() };
        let other = running("b", 50);
        // Both are others than the former process had; one of them was so before this one was started.
        let both = |reload: i64, restart: i64| {
            let mut both = inputs(1, 1, reload);
            both.0.get_mut(&PromiseId::new("file", "/s")).unwrap().changed = Some(restart);
            owed(&record, Some(&other), &both)
        };
        assert_eq!(both(60, 40), due(Action::Reload, &["/r"]));
        assert_eq!(both(40, 60), due(Action::Restart, &["/s"]));
        assert_eq!(both(60, 60), due(Action::Restart, &["/r", "/s"]));
        assert_eq!(both(40, 40), Owed::Nothing);
    }

    #[test]
    fn a_debt_stays_owed_while_the_same_process_runs() {
        let record = RunnerRecord {
            baseline: baseline("one", 1, 1),
            debts: vec![debt(Action::Restart, "/a", "one", 50)],
            damaged: false,
        };
        let now = inputs(1, 1, 60);
        assert_eq!(owed(&record, Some(&running("one", 10)), &now), due(Action::Restart, &["/a"]));
    }

    #[test]
    fn any_later_start_pays() {
        let record = RunnerRecord {
            baseline: baseline("one", 1, 1),
            debts: vec![debt(Action::Restart, "/a", "one", 50)],
            damaged: false,
        };
        assert_eq!(owed(&record, Some(&running("two", 70)), &inputs(1, 2, 60)), Owed::Nothing);
    }

    #[test]
    fn a_start_before_the_change_does_not_pay() {
        let record = RunnerRecord {
            baseline: baseline("one", 1, 1),
            debts: vec![debt(Action::Reload, "/a", "one", 50)],
            damaged: false,
        };
        let verdict = owed(&record, Some(&running("two", 40)), &inputs(2, 1, 60));
        assert_eq!(verdict, due(Action::Reload, &["/a", "/r"]));
    }

    /// The debt is written down first, then the file is validated and renamed.
    #[test]
    fn a_start_between_the_debt_and_its_cause_does_not_pay() {
        let record = RunnerRecord {
            baseline: None,
            debts: vec![debt(Action::Restart, "/s", "one", 50)],
            damaged: false,
        };
        let two = running("two", 55);
        assert_eq!(owed(&record, Some(&two), &inputs(1, 1, 60)), due(Action::Restart, &["/s"]));
        assert_eq!(owed(&record, Some(&two), &inputs(1, 1, 54)), Owed::Nothing);
        // What else changed since is no cause of it.
        let mut now = inputs(1, 1, 54);
        now.0.insert(PromiseId::new("file", "/r"), input(Action::Reload, 1, 60));
        assert_eq!(owed(&record, Some(&two), &now), Owed::Nothing);
    }

    #[test]
    fn a_start_pays_for_a_unit_file_only_where_systemd_had_read_it_before() {
        let record = RunnerRecord {
            baseline: baseline("one", 1, 1),
            debts: vec![debt(Action::Restart, "/s", "one", 50)],
            damaged: false,
        };
        let owes = |since: i64, loaded: i64| {
            let mut now = inputs(1, 2, 60);
            let unit_file = now.0.get_mut(&PromiseId::new("file", "/s")).unwrap();
            unit_file.loaded = Some(loaded);
            owed(&record, Some(&running("two", since)), &now)
        };
        let due = due(Action::Restart, &["/s"]);
        assert_eq!(owes(80, 70), Owed::Nothing);
        // systemd has not read it yet, or had not when somebody started the service by hand.
        assert_eq!(owes(80, 10), due);
        assert_eq!(owes(80, 60), due);
        assert_eq!(owes(80, 90), due);
        // The same stands in the file again: what systemd had read of it, nobody knows.
        let mut now = inputs(1, 1, 60);
        now.0.values_mut().for_each(|it| it.loaded = Some(55));
        let back = RunnerRecord { baseline: baseline("one", 1, 1), ..RunnerRecord::default() };
        let all = Owed::Due {
            action: Action::Restart,
            causes: ["/r", "/s"].map(|it| PromiseId::new("file", it)).to_vec(),
        };
        assert_eq!(owed(&back, Some(&running("two", 80)), &now), all);
        assert_eq!(owed(&back, Some(&running("one", 10)), &now), Owed::Nothing);
        // What is written down as what the process runs with is known, however often systemd reads since.
        let mut now = inputs(1, 1, 60);
        now.0.values_mut().for_each(|it| it.loaded = Some(90));
        let known = RunnerRecord { baseline: baseline("two", 1, 1), ..RunnerRecord::default() };
        assert_eq!(owed(&known, Some(&running("two", 80)), &now), Owed::Nothing);
    }

    #[test]
    fn the_stronger_action_wins_and_every_cause_is_named_once() {
        let record = RunnerRecord {
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
        let record = RunnerRecord { baseline: baseline("one", 1, 1), ..RunnerRecord::default() };
        let one = running("one", 10);
        assert_eq!(owed(&record, Some(&one), &inputs(1, 1, 60)), Owed::Nothing);
        assert_eq!(owed(&record, Some(&one), &inputs(2, 1, 60)), due(Action::Reload, &["/r"]));
        assert_eq!(
            owed(&record, Some(&one), &inputs(2, 2, 60)),
            due(Action::Restart, &["/r", "/s"])
        );
        let two = running("two", 55);
        assert_eq!(owed(&record, Some(&two), &inputs(1, 2, 60)), due(Action::Restart, &["/s"]));
        assert_eq!(owed(&record, Some(&two), &inputs(1, 2, 50)), Owed::Nothing);
    }

    #[test]
    fn an_input_that_the_model_adds_or_takes_away_is_no_change_of_it() {
        let record = RunnerRecord { baseline: baseline("one", 1, 1), ..RunnerRecord::default() };
        let mut now = inputs(1, 1, 60);
        now.0.insert(PromiseId::new("file", "/new"), input(Action::Restart, 7, 60));
        assert_eq!(owed(&record, Some(&running("one", 10)), &now), Owed::Nothing);
        now.0.remove(&PromiseId::new("file", "/s"));
        assert_eq!(owed(&record, Some(&running("one", 10)), &now), Owed::Nothing);
        // Nor is it one that it asks for something else now.
        now.0.insert(PromiseId::new("file", "/r"), input(Action::Restart, 1, 60));
        assert_eq!(owed(&record, Some(&running("one", 10)), &now), Owed::Nothing);
    }

    #[test]
    fn a_service_that_does_not_run_or_is_met_first_owes_nothing() {
        let record = RunnerRecord {
            debts: vec![debt(Action::Restart, "/a", "one", 50)],
            ..RunnerRecord::default()
        };
        assert_eq!(owed(&record, None, &inputs(1, 1, 60)), Owed::Nothing);
        let met = owed(&RunnerRecord::default(), Some(&running("one", 10)), &inputs(1, 1, 60));
        assert_eq!(met, Owed::Nothing);
    }

    #[test]
    fn a_service_that_failed_owes_what_is_written_down() {
        let debts =
            vec![debt(Action::Reload, "/a", "one", 50), debt(Action::Restart, "/a", "one", 51)];
        let record = RunnerRecord { debts, ..RunnerRecord::default() };
        assert_eq!(owed_by_failed(&record), due(Action::Restart, &["/a"]));
        assert_eq!(owed_by_failed(&RunnerRecord::default()), Owed::Nothing);
    }

    #[test]
    fn after_a_damaged_record_nobody_claims_to_know() {
        let record = RunnerRecord { damaged: true, ..RunnerRecord::default() };
        assert_eq!(owed(&record, Some(&running("one", 10)), &inputs(1, 1, 60)), Owed::Perhaps);
        assert_eq!(owed(&record, Some(&running("one", 70)), &inputs(1, 1, 60)), Owed::Nothing);
    }
}

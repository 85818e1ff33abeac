//! What services owe and run with: the engine's ledger, kept in the database. What was made is in
//! [`crate::undo_ledger`].

use crate::format::{json, v1};
use crate::store::Store;
use rusqlite::OptionalExtension as _;
use steadfast_engine::debt::{Debt, RunnerRecord};
use steadfast_engine::{Amended, Ledger, Scope, StepEnd, UndoEntry, UnitId};
use steadfast_resources::Facet;
use steadfast_system::{ErrorKind, SystemError, UnitName};

/// A shared store is enough: the history of the same run is written beside it.
impl Ledger for &Store {
    fn record(&self, unit: &UnitName) -> RunnerRecord {
        let read = self.read("read the record of a service", |connection| {
            let record: Option<String> = connection
                .query_row("SELECT record FROM services WHERE unit = ?1", [unit.as_str()], |row| {
                    row.get(0)
                })
                .optional()?;
            let damaged = connection
                .query_row("SELECT 1 FROM notes WHERE name = 'damaged'", [], |_| Ok(()))
                .optional()?
                .is_some();
            Ok((record, damaged))
        });
        match read {
            Ok(None) => RunnerRecord::default(),
            Ok(Some((None, damaged))) => RunnerRecord { damaged, ..RunnerRecord::default() },
            Ok(Some((Some(record), _))) => serde_json::from_str::<v1::Record>(&record)
                .ok()
                .and_then(v1::Record::into_domain)
                .unwrap_or(RunnerRecord { damaged: true, ..RunnerRecord::default() }),
            // Whatever it was, it does not say that nothing is owed.
            Err(_) => RunnerRecord { damaged: true, ..RunnerRecord::default() },
        }
    }

    fn owe(&mut self, debts: &[(UnitName, Debt)]) -> Result<(), SystemError> {
        let mut records: Vec<(UnitName, RunnerRecord)> = vec![];
        for (unit, debt) in debts {
            let at = records.iter().position(|(it, _)| it == unit).unwrap_or_else(|| {
                records.push((unit.clone(), self.record(unit)));
                records.len() - 1
            });
            let known = &mut records[at].1.debts;
            let same = |it: &Debt| {
                it.action == debt.action
                    && it.cause == debt.cause
                    && it.invocation == debt.invocation
            };
            // The later one takes the place of the earlier, so that debts do not pile up.
            known.retain(|it| !same(it));
            known.push(debt.clone());
        }
        put(self, &records)
    }

    fn settle(&mut self, unit: &UnitName, record: RunnerRecord) -> Result<(), SystemError> {
        put(self, &[(unit.clone(), record)])
    }

    fn trace(&mut self, made: &[UndoEntry]) -> Result<(), SystemError> {
        Store::trace(self, made)
    }

    fn amend(&mut self, scope: &Scope, amended: &[(Facet, Amended)]) -> Result<(), SystemError> {
        Store::amend(self, scope, amended)
    }

    fn begin_undo(&mut self, scope: &Scope, things: &[Facet]) -> Result<(), SystemError> {
        Store::begin_undo(self, scope, things)
    }

    fn begin_step(&mut self, unit: &UnitId) -> Result<(), SystemError> {
        Store::begin_step(self, unit)
    }

    fn open_steps(&self) -> Result<Vec<(UnitId, Vec<UndoEntry>)>, SystemError> {
        Store::open_steps(self)
    }

    fn end_step(&mut self, unit: &UnitId, end: StepEnd) -> Result<(), SystemError> {
        Store::end_step(self, unit, end)
    }
}

fn put(store: &Store, records: &[(UnitName, RunnerRecord)]) -> Result<(), SystemError> {
    let rows: Vec<(&str, String)> = records
        .iter()
        .map(|(unit, record)| (unit.as_str(), json(&v1::Record::from(record))))
        .collect();
    store
        .write(|connection| {
            for (unit, record) in &rows {
                connection.execute(
                    "INSERT OR REPLACE INTO services (unit, record) VALUES (?1, ?2)",
                    (unit, record),
                )?;
            }
            Ok(())
        })
        .map_err(|err| {
            SystemError::caused(ErrorKind::Storage, "write the record of a service", err)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_engine::debt::{Action, Baseline};
    use steadfast_model::PromiseId;

    fn debt(cause: &str, since: i64) -> Debt {
        Debt {
            action: Action::Restart,
            cause: PromiseId(cause.into()),
            invocation: "a".to_owned(),
            since,
        }
    }

    #[test]
    fn debts_are_found_again_and_do_not_pile_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let unit = UnitName::parse("nginx").unwrap();
        let opened = Store::open(&path).unwrap();
        let mut store = &opened;
        assert_eq!(store.record(&unit), RunnerRecord::default());
        store
            .owe(&[(unit.clone(), debt("file:/a", 1)), (unit.clone(), debt("file:/b", 1))])
            .unwrap();
        store.owe(&[(unit.clone(), debt("file:/a", 2))]).unwrap();
        let opened = Store::open(&path).unwrap();
        let mut store = &opened;
        assert_eq!(store.record(&unit).debts, [debt("file:/b", 1), debt("file:/a", 2)]);
        let inputs =
            [(PromiseId("file:/a".into()), [1; 32]), (PromiseId("file:/b".into()), [2; 32])];
        let baseline = Baseline { invocation: "b".to_owned(), inputs: inputs.into() };
        let paid = RunnerRecord { baseline: Some(baseline), debts: vec![], damaged: false };
        store.settle(&unit, paid.clone()).unwrap();
        assert_eq!(store.record(&unit), paid);
    }

    #[test]
    fn after_damage_nothing_says_that_nothing_is_owed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        std::fs::write(&path, [7; 5000]).unwrap();
        let store = Store::open(&path).unwrap();
        assert!((&store).record(&UnitName::parse("nginx").unwrap()).damaged);
    }
}

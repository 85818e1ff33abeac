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
    fn records(&self, units: &[UnitName]) -> Vec<RunnerRecord> {
        // One transaction: each by itself costs as much as all of them.
        let read = self.read("read the records of services", |connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut one = transaction.prepare("SELECT record FROM services WHERE unit = ?1")?;
            let records = (units.iter())
                .map(|it| one.query_row([it.as_str()], |row| row.get::<_, String>(0)).optional())
                .collect::<rusqlite::Result<Vec<Option<String>>>>()?;
            let damaged = transaction
                .query_row("SELECT 1 FROM notes WHERE name = 'damaged'", [], |_| Ok(()))
                .optional()?
                .is_some();
            Ok((records, damaged))
        });
        let lost = || RunnerRecord { damaged: true, ..RunnerRecord::default() };
        match read {
            Ok(None) => vec![RunnerRecord::default(); units.len()],
            Ok(Some((records, damaged))) => (records.into_iter())
                .map(|record| match record {
                    None => RunnerRecord { damaged, ..RunnerRecord::default() },
                    Some(record) => serde_json::from_str::<v1::Record>(&record)
                        .ok()
                        .and_then(v1::Record::into_domain)
                        .unwrap_or_else(lost),
                })
                .collect(),
            // Whatever it was, it does not say that nothing is owed.
            Err(_) => vec![lost(); units.len()],
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
    fn of_many_units_each_is_told_what_is_written_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Store::open(&folder.path().join("state.db")).unwrap();
        let mut store = &opened;
        let units: Vec<UnitName> =
            ["a", "b", "c", "d"].iter().map(|it| UnitName::parse(it).unwrap()).collect();
        let none = vec![RunnerRecord::default(); units.len()];
        assert_eq!(store.records(&units), none);
        store
            .owe(&[(units[2].clone(), debt("file:/c", 1)), (units[0].clone(), debt("file:/a", 1))])
            .unwrap();
        let damaged = "INSERT INTO services (unit, record) VALUES ('d.service', 'no record')";
        store.write(|it| it.execute(damaged, [])).unwrap();
        let records = store.records(&units);
        let debts: Vec<usize> = records.iter().map(|it| it.debts.len()).collect();
        assert_eq!(debts, [1, 0, 1, 0]);
        assert_eq!(records[0].debts, [debt("file:/a", 1)]);
        // What cannot be understood does not say that nothing is owed, and says nothing about others.
        let damaged: Vec<bool> = records.iter().map(|it| it.damaged).collect();
        assert_eq!(damaged, [false, false, false, true]);
        assert_eq!(store.record(&units[2]), records[2]);
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

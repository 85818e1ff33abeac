//! The steps of units: which is under way, what it has made so far, and how it ended.

use super::rows::{Epoch, delete, epoch, failed, put_epoch, rows};
use crate::format::v3::scope_of;
use crate::store::Store;
use rusqlite::Connection;
use steadfast_engine::{Scope, StepEnd, UndoEntry, UnitId};
use steadfast_system::SystemError;

impl Store {
    /// See [`steadfast_engine::Ledger::begin_step`].
    pub(crate) fn begin_step(&self, unit: &UnitId) -> Result<(), SystemError> {
        let scope = Scope::Unit(unit.clone());
        let written = self.write(|connection| {
            let last = epoch(connection, &scope)?;
            if last.open {
                return Ok(());
            }
            put_epoch(connection, &scope, &Epoch { number: last.number + 1, open: true, ..last })
        });
        written.map_err(|err| failed("write down that a step begins", err))
    }

    /// See [`steadfast_engine::Ledger::open_steps`].
    pub(crate) fn open_steps(&self) -> Result<Vec<(UnitId, Vec<UndoEntry>)>, SystemError> {
        let open = self.read("read which steps are under way", |connection| {
            let units = open_units(connection)?.into_iter();
            units.map(|unit| made_by_step(connection, unit)).collect()
        });
        let open = open.map_err(|err| failed("read which steps are under way", err))?;
        Ok(open.unwrap_or_default())
    }

    /// See [`steadfast_engine::Ledger::end_step`].
    pub(crate) fn end_step(&self, unit: &UnitId, end: StepEnd) -> Result<(), SystemError> {
        let scope = Scope::Unit(unit.clone());
        let written = self.write(|connection| {
            let last = epoch(connection, &scope)?;
            match end {
                StepEnd::Committed => {}
                StepEnd::TakenBack => {
                    for row in rows(connection, &scope)? {
                        if row.epoch == last.number {
                            delete(connection, row.id)?;
                        }
                    }
                }
            }
            put_epoch(connection, &scope, &Epoch { open: false, ..last })
        });
        written.map_err(|err| failed("write down how a step ended", err))
    }
}

fn open_units(connection: &Connection) -> rusqlite::Result<Vec<UnitId>> {
    let open: Vec<String> = connection
        .prepare("SELECT scope FROM scopes WHERE open <> 0 ORDER BY scope")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let unit = |it: &String| match scope_of(it) {
        Some(Scope::Unit(unit)) => Some(unit),
        Some(Scope::Node) | None => None,
    };
    Ok(open.iter().filter_map(unit).collect())
}

fn made_by_step(
    connection: &Connection,
    unit: UnitId,
) -> rusqlite::Result<(UnitId, Vec<UndoEntry>)> {
    let scope = Scope::Unit(unit.clone());
    let number = epoch(connection, &scope)?.number;
    let its = rows(connection, &scope)?.into_iter().filter(|it| it.epoch == number);
    Ok((unit, its.map(|it| it.made).collect()))
}

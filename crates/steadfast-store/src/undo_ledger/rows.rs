//! The rows of the undo ledger, and the epochs of the scopes that they belong to.

use crate::format::json;
use crate::format::v2::{Record, text_of, thing_of};
use crate::format::v3::{scope_of, text_of_scope};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension as _};
use steadfast_engine::{Scope, UndoEntry};
use steadfast_resources::Facet;
use steadfast_system::{ErrorKind, SystemError};

/// The number of what runs by hand made: they are no doing of a revision.
pub(super) const BY_HAND: i64 = -1;

/// What a scope is doing: the adoption of the node, or the step of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch {
    pub number: i64,
    /// What was adopted; nothing for a unit.
    pub content: String,
    /// Whether it is a step that is under way.
    pub open: bool,
}

/// The last that a scope has begun.
pub(super) fn epoch(connection: &Connection, scope: &Scope) -> rusqlite::Result<Epoch> {
    let known = connection
        .prepare_cached("SELECT epoch, content, open FROM scopes WHERE scope = ?1")?
        .query_row([text_of_scope(scope)], |row| {
            Ok(Epoch { number: row.get(0)?, content: row.get(1)?, open: row.get(2)? })
        })
        .optional()?;
    Ok(known.unwrap_or_default())
}

pub(super) fn put_epoch(
    connection: &Connection,
    scope: &Scope,
    epoch: &Epoch,
) -> rusqlite::Result<()> {
    let Epoch { number, content, open } = epoch;
    connection.execute(
        "INSERT OR REPLACE INTO scopes (scope, epoch, content, open) VALUES (?1, ?2, ?3, ?4)",
        (text_of_scope(scope), number, content, open),
    )?;
    Ok(())
}

pub(super) struct Row {
    pub id: i64,
    pub epoch: i64,
    pub made: UndoEntry,
}

const COLUMNS: &str = "id, scope, epoch, thing, promise, run, record";

/// None where it is about no thing, or no scope, that this program knows.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Row>> {
    let (id, scope, epoch, thing): (i64, String, i64, String) =
        (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    let (promise, run, record): (String, i64, String) = (row.get(4)?, row.get(5)?, row.get(6)?);
    let (Some(scope), Some(thing)) = (scope_of(&scope), thing_of(&thing)) else { return Ok(None) };
    // A record that cannot be read tells nothing of what was there.
    let record: Record = serde_json::from_str(&record).unwrap_or_default();
    Ok(Some(Row { id, epoch, made: record.into_domain(scope, thing, &promise, run) }))
}

/// Everything that a scope has made, oldest first.
pub(super) fn rows(connection: &Connection, scope: &Scope) -> rusqlite::Result<Vec<Row>> {
    let rows: Vec<Option<Row>> = connection
        .prepare(&format!("SELECT {COLUMNS} FROM undo_ledger WHERE scope = ?1 ORDER BY id"))?
        .query_map([text_of_scope(scope)], row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().flatten().collect())
}

/// The rows of one thing, oldest first.
pub(super) fn rows_of(
    connection: &Connection,
    scope: &Scope,
    thing: &Facet,
) -> rusqlite::Result<Vec<Row>> {
    let rows: Vec<Option<Row>> = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM undo_ledger WHERE thing = ?1 AND scope = ?2 ORDER BY id"
        ))?
        .query_map([text_of(thing), text_of_scope(scope)], row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().flatten().collect())
}

pub(super) fn insert(
    connection: &Connection,
    epoch: i64,
    (run, revision): (i64, &str),
    made: &UndoEntry,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO undo_ledger (scope, epoch, thing, promise, run, revision, record) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            text_of_scope(&made.scope),
            epoch,
            text_of(&made.facet),
            &*made.promise.0,
            run,
            revision,
            json(&Record::from(made)),
        ))?;
    Ok(())
}

pub(super) fn update(connection: &Connection, id: i64, made: &UndoEntry) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE undo_ledger SET promise = ?2, record = ?3 WHERE id = ?1")?
        .execute((id, &*made.promise.0, json(&Record::from(made))))?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM undo_ledger WHERE id = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn failed(what: &'static str, err: StoreError) -> SystemError {
    SystemError::caused(ErrorKind::Storage, what, err)
}

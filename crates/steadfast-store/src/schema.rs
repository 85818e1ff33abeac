//! The tables of the state database, and how those of earlier versions become these.

use crate::format::json;
use crate::format::v2::{self, Record, text_of};
use crate::format::{v1, v4};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

/// The version of the tables below. In version 1, of what was made only the promise and the run were known;
/// in version 2 all of it was the doing of the node; in version 3 the differences of files were part of the
/// verdicts; in version 4 there were no deployments.
pub(crate) const FORMAT: i64 = 5;

const TABLES: &str = "
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        started INTEGER NOT NULL,
        finished INTEGER,
        node TEXT NOT NULL,
        environment TEXT NOT NULL,
        model TEXT NOT NULL,
        revision TEXT NOT NULL,
        kept INTEGER, repaired INTEGER, not_kept INTEGER, held INTEGER,
        commit_id TEXT
    );
    CREATE TABLE judged (
        run INTEGER NOT NULL REFERENCES runs (id),
        promise TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (run, promise)
    );
    CREATE TABLE services (unit TEXT PRIMARY KEY, record TEXT NOT NULL);
    CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
";

/// What was made, each row as the doing of a scope: `node`, or a unit. Its epoch is the adoption or the step
/// that did it.
const UNDO_LEDGER: &str = "
    CREATE TABLE scopes (
        scope TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        content TEXT NOT NULL,
        open INTEGER NOT NULL
    );
    CREATE TABLE undo_ledger (
        id INTEGER PRIMARY KEY,
        scope TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        thing TEXT NOT NULL,
        promise TEXT NOT NULL,
        run INTEGER NOT NULL,
        revision TEXT NOT NULL,
        record TEXT NOT NULL
    );
    CREATE INDEX undo_ledger_thing ON undo_ledger (thing, scope);
";

/// What changes show beyond their lines, apart from the verdicts: it is most of what a run writes, so it is
/// written once, and goes first where room is needed. Nothing here is looked up by a promise alone: an index
/// for that would have every run write in as many places as it has promises.
const DETAILS: &str = "
    CREATE TABLE details (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (id),
        promise TEXT NOT NULL,
        record TEXT NOT NULL
    );
    CREATE UNIQUE INDEX details_promise ON details (run, promise);
";

/// What the components of this node run with, and what they ran with.
const DEPLOYMENTS: &str = "
    CREATE TABLE instances (component TEXT PRIMARY KEY, record TEXT NOT NULL);
    CREATE TABLE documents (
        component TEXT NOT NULL,
        digest TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (component, digest)
    );
    CREATE TABLE told (component TEXT PRIMARY KEY, record TEXT NOT NULL);
    CREATE TABLE happened (id INTEGER PRIMARY KEY, component TEXT NOT NULL, record TEXT NOT NULL);
";

/// Makes the tables in a new database.
pub(crate) fn make(connection: &Connection) -> rusqlite::Result<()> {
    let tables = format!(
        "BEGIN IMMEDIATE; {TABLES} {UNDO_LEDGER} {DETAILS} {DEPLOYMENTS} \
         PRAGMA user_version = {FORMAT}; COMMIT"
    );
    connection.execute_batch(&tables)
}

/// Brings a database of an earlier version to this one, as a whole or not at all. Where another process
/// has just done so, nothing is left to do.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found < 2 {
        from_1_to_2(&transaction)?;
    }
    if found < 3 {
        from_2_to_3(&transaction)?;
    }
    if found < 4 {
        from_3_to_4(&transaction)?;
    }
    if found < 5 {
        transaction.execute_batch(DEPLOYMENTS)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {FORMAT}"))?;
    }
    transaction.commit()
}

/// Of version 2.
const MADE: &str = "
    CREATE TABLE made (
        id INTEGER PRIMARY KEY,
        thing TEXT NOT NULL,
        adoption INTEGER NOT NULL,
        promise TEXT NOT NULL,
        run INTEGER NOT NULL,
        revision TEXT NOT NULL,
        record TEXT NOT NULL
    );
    CREATE INDEX made_thing ON made (thing);
";

/// Brings the table of version 1 to that of version 2. Of what was before, nothing is known.
fn from_1_to_2(connection: &Connection) -> rusqlite::Result<()> {
    let old: Vec<(String, i64)> = connection
        .prepare("SELECT promise, run FROM made ORDER BY promise")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    connection.execute_batch("DROP TABLE made;")?;
    connection.execute_batch(MADE)?;
    let record = json(&Record::default());
    for (promise, run) in old {
        let Some(thing) = v2::thing_of_promise(&promise) else { continue };
        connection.execute(
            "INSERT INTO made (thing, adoption, promise, run, revision, record) \
             VALUES (?1, 0, ?2, ?3, '', ?4)",
            (text_of(&thing), promise, run, &record),
        )?;
    }
    Ok(())
}

/// Everything was the doing of the node. The adoption that was under way is its epoch. A run said its commit,
/// shortened, at the end of its revision only.
fn from_2_to_3(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "ALTER TABLE runs ADD COLUMN commit_id TEXT;
         UPDATE runs SET commit_id = substr(revision, instr(revision, ' commit ') + 8)
             WHERE instr(revision, ' commit ') > 0;",
    )?;
    connection.execute_batch(UNDO_LEDGER)?;
    connection.execute_batch(
        "INSERT INTO undo_ledger (id, scope, epoch, thing, promise, run, revision, record)
             SELECT id, 'node', adoption, thing, promise, run, revision, record FROM made;
         DROP TABLE made;",
    )?;
    let note: Option<String> = connection
        .query_row("SELECT value FROM notes WHERE name = 'adoption'", [], |row| row.get(0))
        .optional()?;
    if let Some((number, content)) = note.as_deref().and_then(|it| it.split_once(' ')) {
        let number: i64 = number.parse().unwrap_or(0);
        connection.execute(
            "INSERT INTO scopes (scope, epoch, content, open) VALUES ('node', ?1, ?2, 0)",
            (number, content),
        )?;
    }
    connection.execute("DELETE FROM notes WHERE name = 'adoption'", [])?;
    Ok(())
}

/// What changes show moves out of the verdicts. A record that cannot be read stays as it is.
fn from_3_to_4(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DROP INDEX judged_promise;")?;
    connection.execute_batch(DETAILS)?;
    let mut some = connection.prepare(
        "SELECT rowid, run, promise, record FROM judged WHERE rowid > ?1 ORDER BY rowid LIMIT 256",
    )?;
    let mut last = i64::MIN;
    loop {
        let rows: Vec<(i64, i64, String, String)> = some
            .query_map([last], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let Some((newest, ..)) = rows.last() else { return Ok(()) };
        last = *newest;
        for (row, run, promise, record) in rows {
            let Ok(judged) = serde_json::from_str::<v1::Judged>(&record) else { continue };
            let (judged, Some(details)) = v4::split(judged) else { continue };
            connection
                .prepare_cached("UPDATE judged SET record = ?2 WHERE rowid = ?1")?
                .execute((row, json(&judged)))?;
            connection
                .prepare_cached("INSERT INTO details (run, promise, record) VALUES (?1, ?2, ?3)")?
                .execute((run, promise, json(&details)))?;
        }
    }
}

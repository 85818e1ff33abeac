//! Reading the history.

use crate::format::{v1, v4};
use crate::store::{Store, StoreError};
use rusqlite::{Connection, OptionalExtension as _, Row};

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLine {
    pub id: i64,
    /// Microseconds since 1970.
    pub started: i64,
    /// None where it was cut short.
    pub finished: Option<i64>,
    pub node: String,
    pub environment: String,
    pub model: String,
    pub revision: String,
    /// Kept, repaired, not kept, held; none where it was cut short.
    pub counts: Option<[i64; 4]>,
    /// The commit, or its first twelve digits in what earlier versions have written.
    pub commit: Option<String>,
}

/// What one run did about one promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub run: i64,
    pub started: i64,
    pub revision: String,
    pub judged: v1::Judged,
}

const RUN: &str = "runs.id, started, finished, node, environment, model, revision, \
                   kept, repaired, not_kept, held, commit_id";

fn line(row: &Row<'_>) -> rusqlite::Result<RunLine> {
    line_at(row, 0)
}

/// The columns of a run, from this one on.
fn line_at(row: &Row<'_>, at: usize) -> rusqlite::Result<RunLine> {
    let finished: Option<i64> = row.get(at + 2)?;
    let counts = match finished {
        Some(_) => Some([row.get(at + 7)?, row.get(at + 8)?, row.get(at + 9)?, row.get(at + 10)?]),
        None => None,
    };
    Ok(RunLine {
        id: row.get(at)?,
        started: row.get(at + 1)?,
        finished,
        node: row.get(at + 3)?,
        environment: row.get(at + 4)?,
        model: row.get(at + 5)?,
        revision: row.get(at + 6)?,
        counts,
        commit: row.get(at + 11)?,
    })
}

/// A verdict as it is stored, and what its changes show.
struct Record(String, Option<String>);

const DETAILS: &str =
    "LEFT JOIN details ON details.run = judged.run AND details.promise = judged.promise";
const VERDICT: &str = "judged.record, details.record FROM judged";

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record(row.get(0)?, row.get(1)?))
}

impl Record {
    /// None where it cannot be read. Details that cannot are none.
    fn into_verdict(self, is_finished: bool) -> Option<v1::Judged> {
        let Record(judged, details) = self;
        let details = details.and_then(|it| serde_json::from_str(&it).ok());
        Some(v4::join(serde_json::from_str(&judged).ok()?, details, is_finished))
    }
}

/// What is written down of a promise in a run that is under way.
pub(crate) fn verdict(
    connection: &Connection,
    run: i64,
    promise: &str,
) -> rusqlite::Result<Option<v1::Judged>> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {VERDICT} {DETAILS} WHERE judged.run = ?1 AND judged.promise = ?2"
        ))?
        .query_row((run, promise), record)
        .optional()?;
    Ok(found.and_then(|it| it.into_verdict(false)))
}

impl Store {
    /// The latest runs, newest first.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunLine>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let runs = self.read("read the history", |connection| {
            connection
                .prepare(&format!("SELECT {RUN} FROM runs ORDER BY id DESC LIMIT ?1"))?
                .query_map([limit], line)?
                .collect()
        })?;
        Ok(runs.unwrap_or_default())
    }

    /// One run with what it did; none where there is no such run.
    pub fn run(&self, id: i64) -> Result<Option<(RunLine, Vec<v1::Judged>)>, StoreError> {
        let found = self.read("read a run", |connection| {
            let run = connection
                .query_row(&format!("SELECT {RUN} FROM runs WHERE id = ?1"), [id], line)
                .optional()?;
            let judged: Vec<Record> = connection
                .prepare(&format!(
                    "SELECT {VERDICT} {DETAILS} WHERE judged.run = ?1 ORDER BY judged.rowid"
                ))?
                .query_map([id], record)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(run.map(|it| (it, judged)))
        })?;
        Ok(found.flatten().map(|(run, judged)| {
            let is_finished = run.finished.is_some();
            (run, judged.into_iter().filter_map(|it| it.into_verdict(is_finished)).collect())
        }))
    }

    /// What the latest runs did about one promise, newest first.
    pub fn about(&self, promise: &str, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.entries("read the history of a promise", promise, "1", limit)
    }

    /// The latest run that repaired it, where the history goes back so far.
    pub fn last_repair(&self, promise: &str) -> Result<Option<Entry>, StoreError> {
        let repaired = "CASE WHEN json_valid(judged.record) \
                        THEN json_extract(judged.record, '$.outcome') = 'repaired' \
                        OR (json_extract(judged.record, '$.outcome') = 'begun' \
                            AND runs.finished IS NOT NULL) END";
        Ok(self.entries("read when it was repaired", promise, repaired, 1)?.pop())
    }

    fn entries(
        &self,
        what: &'static str,
        promise: &str,
        which: &str,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Run after run: there is no index of promises, see the tables.
        let rows: Option<Vec<(RunLine, Record)>> = self.read(what, |connection| {
            connection
                .prepare(&format!(
                    "SELECT judged.record, details.record, {RUN} FROM runs \
                     CROSS JOIN judged ON judged.run = runs.id AND judged.promise = ?1 {DETAILS} \
                     WHERE {which} ORDER BY runs.id DESC LIMIT ?2"
                ))?
                .query_map((promise, limit), |row| Ok((line_at(row, 2)?, record(row)?)))?
                .collect()
        })?;
        let entry = |(run, record): (RunLine, Record)| {
            let judged = record.into_verdict(run.finished.is_some())?;
            Some(Entry { run: run.id, started: run.started, revision: run.revision, judged })
        };
        Ok(rows.unwrap_or_default().into_iter().filter_map(entry).collect())
    }

    /// What was not kept or held in the latest run of the history but this one. Its other verdicts,
    /// which may be many and long, are not read.
    pub(crate) fn last_bad_verdicts(
        &self,
        this: Option<i64>,
    ) -> Result<Vec<v1::Judged>, StoreError> {
        let Some(last) = self.runs(2)?.into_iter().find(|it| Some(it.id) != this) else {
            return Ok(vec![]);
        };
        // One that was cut short has no counts and no verdicts.
        if last.counts.is_none_or(|[_, _, not_kept, held]| not_kept + held == 0) {
            return Ok(vec![]);
        }
        let bad = self.read("read what was not kept", |connection| {
            connection
                .prepare(
                    "SELECT record, NULL FROM judged WHERE run = ?1 AND CASE WHEN json_valid(record) \
                     THEN json_extract(record, '$.outcome') IN ('not-kept', 'held') END ORDER BY rowid",
                )?
                .query_map([last.id], record)?
                .collect::<rusqlite::Result<Vec<Record>>>()
        })?;
        Ok(bad.unwrap_or_default().into_iter().filter_map(|it| it.into_verdict(true)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_repair_is_found_behind_other_verdicts_and_damaged_ones() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        assert_eq!(store.last_repair("file:/a").unwrap(), None);
        let record = |outcome: &str| format!(r#"{{"promise":"file:/a","outcome":"{outcome}"}}"#);
        let (repaired, not_kept) = (record("repaired"), record("not-kept"));
        store
            .write(|connection| {
                for (run, record) in [(1, &*repaired), (2, &*repaired), (3, &*not_kept), (4, "{")] {
                    let values = "(?1, ?1, 1, 'n', 'e', 'm', 'r', 1, 0, 0, 0, NULL)";
                    connection.execute(&format!("INSERT INTO runs VALUES {values}"), [run])?;
                    connection
                        .execute("INSERT INTO judged VALUES (?1, 'file:/a', ?2)", (run, record))?;
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(store.last_repair("file:/a").unwrap().map(|it| it.run), Some(2));
        assert_eq!(store.last_repair("file:/b").unwrap(), None);
    }
}

//! Reading the history.

use crate::format::v1;
use crate::store::{Store, StoreError};
use rusqlite::{OptionalExtension as _, Row};

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

const RUN: &str = "id, started, finished, node, environment, model, revision, \
                   kept, repaired, not_kept, held, commit_id";

fn line(row: &Row<'_>) -> rusqlite::Result<RunLine> {
    let finished: Option<i64> = row.get(2)?;
    let counts = match finished {
        Some(_) => Some([row.get(7)?, row.get(8)?, row.get(9)?, row.get(10)?]),
        None => None,
    };
    Ok(RunLine {
        id: row.get(0)?,
        started: row.get(1)?,
        finished,
        node: row.get(3)?,
        environment: row.get(4)?,
        model: row.get(5)?,
        revision: row.get(6)?,
        counts,
        commit: row.get(11)?,
    })
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
            let judged: Vec<String> = connection
                .prepare("SELECT record FROM judged WHERE run = ?1 ORDER BY rowid")?
                .query_map([id], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(run.map(|it| (it, judged)))
        })?;
        Ok(found.flatten().map(|(run, judged)| {
            (run, judged.iter().filter_map(|it| serde_json::from_str(it).ok()).collect())
        }))
    }

    /// What the latest runs did about one promise, newest first.
    pub fn about(&self, promise: &str, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.entries("read the history of a promise", promise, "1", limit)
    }

    /// The latest run that repaired it, where the history goes back so far.
    pub fn last_repair(&self, promise: &str) -> Result<Option<Entry>, StoreError> {
        let repaired = "CASE WHEN json_valid(judged.record) \
                        THEN json_extract(judged.record, '$.outcome') = 'repaired' END";
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
        let rows: Option<Vec<(i64, i64, String, String)>> = self.read(what, |connection| {
            connection
                .prepare(&format!(
                    "SELECT runs.id, runs.started, runs.revision, judged.record \
                     FROM judged JOIN runs ON runs.id = judged.run \
                     WHERE judged.promise = ?1 AND {which} ORDER BY runs.id DESC LIMIT ?2"
                ))?
                .query_map((promise, limit), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?
                .collect()
        })?;
        Ok(rows
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(run, started, revision, record)| {
                let judged = serde_json::from_str(&record).ok()?;
                Some(Entry { run, started, revision, judged })
            })
            .collect())
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
        let judged = self.run(last.id)?.map(|(_, judged)| judged).unwrap_or_default();
        let bad = |it: &v1::Judged| it.outcome == "not-kept" || it.outcome == "held";
        Ok(judged.into_iter().filter(bad).collect())
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

//! What people are told of a component where nothing runs: what the last run has said of it, and its history. Steps have
//! numbers of their own there.

pub use crate::format::v5::{Happened, Told};

use crate::format::json;
use crate::store::{Store, StoreError};
use rusqlite::OptionalExtension as _;

/// So much of the history of one component is kept.
const REMEMBERED: usize = 500;

impl Happened {
    /// Seconds since 1970.
    pub fn at(&self) -> i64 {
        match self {
            Happened::Step { at, .. } | Happened::Task { at, .. } | Happened::Retry { at, .. } => {
                *at
            }
        }
    }
}

impl Store {
    /// What the last run has told of a component. A record that cannot be read is none.
    pub fn told(&self, component: &str) -> Result<Option<Told>, StoreError> {
        let found = self.read("read what was told of a component", |connection| {
            connection
                .prepare_cached("SELECT record FROM told WHERE component = ?1")?
                .query_row([component], |row| row.get::<_, String>(0))
                .optional()
        })?;
        Ok(found.flatten().and_then(|it| serde_json::from_str(&it).ok()))
    }

    /// Writes down what a run tells. That one thing is told again does not change since when it is so.
    pub fn put_told(&self, component: &str, told: &Told) -> Result<(), StoreError> {
        let mut told = told.clone();
        if let Some(before) = self.told(component)? {
            let of =
                |it: &Told| (it.outcome.clone(), it.step.clone(), it.from.clone(), it.to.clone());
            if of(&before) == of(&told) {
                told.since = before.since;
            }
            if before == told {
                return Ok(());
            }
        }
        let record = json(&told);
        self.write(|connection| {
            connection
                .prepare_cached("INSERT OR REPLACE INTO told (component, record) VALUES (?1, ?2)")?
                .execute((component, &record))?;
            Ok(())
        })
    }

    /// What happened to a component, the newest first.
    pub fn happened(&self, component: &str, limit: usize) -> Result<Vec<Happened>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = self.read("read what happened to a component", |connection| {
            let mut statement = connection.prepare(
                "SELECT record FROM happened WHERE component = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = statement.query_map((component, limit), |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        })?;
        let found = found.unwrap_or_default();
        Ok(found.iter().filter_map(|it| serde_json::from_str(it).ok()).collect())
    }

    /// Writes down what has happened. Gives the place of the record.
    pub fn put_happened(&self, component: &str, one: &Happened) -> Result<i64, StoreError> {
        let record = json(one);
        let kept = i64::try_from(REMEMBERED).unwrap_or(i64::MAX);
        self.write(|connection| {
            connection
                .prepare_cached("INSERT INTO happened (component, record) VALUES (?1, ?2)")?
                .execute((component, &record))?;
            let place = connection.last_insert_rowid();
            connection
                .prepare_cached(
                    "DELETE FROM happened WHERE component = ?1 AND id <= (SELECT id FROM happened \
                     WHERE component = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute((component, kept))?;
            Ok(place)
        })
    }

    /// Writes down what came of something that had only begun.
    pub fn end_happened(&self, place: i64, one: &Happened) -> Result<(), StoreError> {
        let record = json(one);
        self.write(|connection| {
            connection
                .prepare_cached("UPDATE happened SET record = ?2 WHERE id = ?1")?
                .execute((place, &record))?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "people/api";

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        (folder, store)
    }

    #[test]
    fn since_when_something_is_so_is_told_for_as_long_as_it_is_so() {
        let (_folder, store) = store();
        assert_eq!(store.told(API).unwrap(), None);
        let told = |step: &str, reason: &str, since| Told {
            outcome: "held".to_owned(),
            step: Some(step.to_owned()),
            from: Some("1.3".to_owned()),
            to: Some("1.4".to_owned()),
            reason: Some(reason.to_owned()),
            since,
        };
        for (step, reason, at, since) in [
            ("held", "opens at 9:00", 10, 10),
            ("held", "opens at 10:00", 20, 10),
            ("failed", "no space", 30, 30),
            ("held", "opens at 9:00", 40, 40),
        ] {
            store.put_told(API, &told(step, reason, at)).unwrap();
            let expected = told(step, reason, since);
            assert_eq!(store.told(API).unwrap(), Some(expected), "{step} {at}");
        }
    }

    #[test]
    fn the_history_of_a_component_is_its_own_and_bounded() {
        let (_folder, store) = store();
        let retry = |at| Happened::Retry { at, by: "Ann".to_owned(), release: "1".to_owned() };
        store.put_happened("people/web", &retry(7)).unwrap();
        let mut place = 0;
        for at in 0..510 {
            place = store.put_happened(API, &retry(at)).unwrap();
        }
        let task = |code| Happened::Task {
            at: 509,
            by: "Ann".to_owned(),
            command: vec!["ls".to_owned()],
            code,
            ms: None,
        };
        store.end_happened(place, &task(Some(2))).unwrap();
        let all = store.happened(API, 1_000).unwrap();
        assert_eq!((all.len(), &all[0], all[499].at()), (500, &task(Some(2)), 10));
        assert_eq!(store.happened(API, 2).unwrap().len(), 2);
        assert_eq!(store.happened("people/web", 9).unwrap(), [retry(7)]);
    }
}

//! What runs of ours made: so that what leaves the model is known, and not just forgotten.

use crate::store::{Store, StoreError};

/// Something that a run made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `file:/etc/motd`.
    pub promise: String,
    /// The first run that did.
    pub run: i64,
}

impl Store {
    /// Everything that is remembered, in the order of names.
    pub fn made(&self) -> Result<Vec<Made>, StoreError> {
        let made = self.read("read what earlier runs made", |connection| {
            connection
                .prepare("SELECT promise, run FROM made ORDER BY promise")?
                .query_map([], |row| Ok(Made { promise: row.get(0)?, run: row.get(1)? }))?
                .collect()
        })?;
        Ok(made.unwrap_or_default())
    }

    /// Remembers things as made by this run, where no earlier one made them.
    pub(crate) fn put_made(&self, run: i64, promises: &[&str]) -> Result<(), StoreError> {
        if promises.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            let mut insert = connection
                .prepare_cached("INSERT OR IGNORE INTO made (promise, run) VALUES (?1, ?2)")?;
            for promise in promises {
                insert.execute((promise, run))?;
            }
            Ok(())
        })
    }

    /// Forgets things that are gone from the machine.
    pub fn forget_made(&self, promises: &[&str]) -> Result<(), StoreError> {
        if promises.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            let mut delete = connection.prepare_cached("DELETE FROM made WHERE promise = ?1")?;
            for promise in promises {
                delete.execute([promise])?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_that_made_a_thing_is_remembered_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        assert_eq!(store.made().unwrap(), []);
        store.put_made(3, &["file:/b", "file:/a"]).unwrap();
        store.put_made(4, &["file:/b"]).unwrap();
        let made = |promise: &str, run| Made { promise: promise.to_owned(), run };
        assert_eq!(store.made().unwrap(), [made("file:/a", 3), made("file:/b", 3)]);
        store.forget_made(&["file:/a"]).unwrap();
        assert_eq!(store.made().unwrap(), [made("file:/b", 3)]);
    }
}

//! What runs of ours made: so that what leaves the model is known, and what a bad revision did can be
//! taken back.
//!
//! Of a thing there are three rows at most: what the first run that touched it found, what was there
//! when the model that is kept now was adopted, and what a run by hand found after that. Adoptions are
//! counted, because one content may be adopted twice.

use crate::format::json;
use crate::format::v2::{Record, text_of, thing_of};
use crate::store::{Store, StoreError};
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::BTreeMap;
use steadfast_engine::{Amended, UndoEntry};
use steadfast_resources::{Facet, FacetState};
use steadfast_system::{ErrorKind, SystemError};

/// The number of what runs by hand made: they are no doing of a revision.
const BY_HAND: i64 = -1;

/// The adoption that is under way: its number, and the content that was adopted.
fn adoption(connection: &Connection) -> rusqlite::Result<(i64, String)> {
    let note: Option<String> = connection
        .query_row("SELECT value FROM notes WHERE name = 'adoption'", [], |row| row.get(0))
        .optional()?;
    let note = note.unwrap_or_default();
    let (number, content) = note.split_once(' ').unwrap_or_default();
    Ok((number.parse().unwrap_or(0), content.to_owned()))
}

fn put_adoption(connection: &Connection, number: i64, content: &str) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO notes (name, value) VALUES ('adoption', ?1)",
        [format!("{number} {content}")],
    )?;
    Ok(())
}

struct Row {
    id: i64,
    adoption: i64,
    made: UndoEntry,
}

const COLUMNS: &str = "id, thing, adoption, promise, run, record";

/// None where it is about no thing that this program knows.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Row>> {
    let (id, thing, adoption): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (promise, run, record): (String, i64, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
    // A record that cannot be read tells nothing of what was there.
    let record: Record = serde_json::from_str(&record).unwrap_or_default();
    Ok(thing_of(&thing).map(|it| Row { id, adoption, made: record.into_domain(it, &promise, run) }))
}

/// The rows of one thing, oldest first.
fn rows_of(connection: &Connection, thing: &Facet) -> rusqlite::Result<Vec<Row>> {
    let rows: Vec<Option<Row>> = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM made WHERE thing = ?1 ORDER BY id"))?
        .query_map([text_of(thing)], row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().flatten().collect())
}

fn update(connection: &Connection, id: i64, made: &UndoEntry) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE made SET promise = ?2, record = ?3 WHERE id = ?1")?
        .execute((id, &*made.promise.0, json(&Record::from(made))))?;
    Ok(())
}

fn delete(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM made WHERE id = ?1")?.execute([id])?;
    Ok(())
}

impl Store {
    /// Says which content is kept from now on. What follows is its doing.
    pub fn adopt(&self, content: &str) -> Result<(), StoreError> {
        if self.is_adopted(content)? {
            return Ok(());
        }
        self.write(|connection| {
            let (number, _) = adoption(connection)?;
            put_adoption(connection, number + 1, content)
        })
    }

    /// Whether this content was the last that was adopted.
    pub fn is_adopted(&self, content: &str) -> Result<bool, StoreError> {
        let known = self.read("read which revision was adopted", adoption)?;
        Ok(known.is_some_and(|(_, known)| known == content))
    }

    /// Whether any content was ever adopted.
    pub fn has_adopted(&self) -> Result<bool, StoreError> {
        let known = self.read("read which revision was adopted", adoption)?;
        Ok(known.is_some_and(|(_, content)| !content.is_empty()))
    }

    /// Everything that is remembered, in the order of things: what was there before any run of ours, and
    /// what was left since.
    pub fn made(&self) -> Result<Vec<UndoEntry>, StoreError> {
        let rows = self.rows()?;
        let mut all: BTreeMap<Facet, UndoEntry> = BTreeMap::new();
        for Row { made, .. } in rows {
            match all.get_mut(&made.thing) {
                None => drop(all.insert(made.thing.clone(), made)),
                Some(first) => first.again(&made),
            }
        }
        Ok(all.into_values().collect())
    }

    /// What was made since this content was adopted, with what was there then; none where another one
    /// was adopted since.
    pub fn made_since(&self, content: &str) -> Result<Option<Vec<UndoEntry>>, StoreError> {
        let known = self.read("read which revision was adopted", adoption)?.unwrap_or_default();
        if known.1 != content {
            return Ok(None);
        }
        let since = self.rows()?.into_iter().filter(|it| it.adoption == known.0);
        let since: BTreeMap<Facet, UndoEntry> =
            since.map(|it| (it.made.thing.clone(), it.made)).collect();
        Ok(Some(since.into_values().collect()))
    }

    fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let rows = self.read("read what earlier runs made", |connection| {
            connection
                .prepare(&format!("SELECT {COLUMNS} FROM made ORDER BY id"))?
                .query_map([], row)?
                .collect::<rusqlite::Result<Vec<Option<Row>>>>()
        })?;
        Ok(rows.unwrap_or_default().into_iter().flatten().collect())
    }

    /// Whether it was found that the model of this name promises all that is remembered.
    pub fn is_all_promised(&self, model: &str) -> Result<bool, StoreError> {
        let note = self.read("read whether something left the model", |connection| {
            connection
                .query_row("SELECT value FROM notes WHERE name = 'promised'", [], |row| {
                    row.get::<_, String>(0)
                })
                .optional()
        })?;
        Ok(note.flatten().is_some_and(|it| it == model))
    }

    /// Remembers that it does, so that it need not be found again. Whatever is made since ends it.
    pub fn put_all_promised(&self, model: &str) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO notes (name, value) VALUES ('promised', ?1)",
                [model],
            )?;
            Ok(())
        })
    }

    /// Things that are gone, were taken back, or are no matter of ours any more.
    pub fn forget_made(&self, things: &[&Facet]) -> Result<(), StoreError> {
        if things.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            let mut delete = connection.prepare_cached("DELETE FROM made WHERE thing = ?1")?;
            for thing in things {
                delete.execute([text_of(thing)])?;
            }
            Ok(())
        })
    }

    /// The node went back to another content: what was taken back is forgotten, and of what that one
    /// decides only what was known before stays. The rest is still ours.
    pub fn went_back(
        &self,
        undone: &[&Facet],
        decided: &[&Facet],
        to: &str,
    ) -> Result<(), StoreError> {
        self.write(|connection| {
            let (number, _) = adoption(connection)?;
            for thing in undone {
                // What was done by hand after that is gone with it.
                let rows = rows_of(connection, thing)?;
                for row in rows.iter().skip_while(|it| it.adoption != number) {
                    delete(connection, row.id)?;
                }
            }
            for thing in decided {
                let rows = rows_of(connection, thing)?;
                for row in rows.iter().skip(1).filter(|it| it.adoption == number) {
                    delete(connection, row.id)?;
                }
            }
            put_adoption(connection, number + 1, to)
        })
    }

    /// The engine's part of the ledger: see [`steadfast_engine::Ledger::trace`].
    pub(crate) fn trace(&self, made: &[UndoEntry]) -> Result<(), SystemError> {
        if made.is_empty() {
            return Ok(());
        }
        let (run, revision) = self.run_under_way();
        let by_hand = self.is_by_hand();
        let written = self.write(|connection| {
            let (adopted, _) = adoption(connection)?;
            let number = if by_hand { BY_HAND } else { adopted };
            connection.execute("DELETE FROM notes WHERE name = 'promised'", [])?;
            let mut insert = connection.prepare_cached(
                "INSERT INTO made (thing, adoption, promise, run, revision, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for one in made {
                let mut rows = rows_of(connection, &one.thing)?;
                // What a run by hand did after it, this one has come upon.
                let known = rows.iter().rposition(|it| by_hand || it.adoption != BY_HAND);
                let stale = rows.split_off(rows.len().min(known.unwrap_or(0) + 1));
                for stale in &stale {
                    delete(connection, stale.id)?;
                    if let Some(last) = rows.last_mut().filter(|it| it.adoption != number) {
                        last.made.again(&stale.made);
                        update(connection, last.id, &last.made)?;
                    }
                }
                let mut new = one.clone();
                if let Some(last) = rows.last_mut() {
                    if last.adoption == number {
                        last.made.again(one);
                        update(connection, last.id, &last.made)?;
                        continue;
                    }
                    // What is not known to be another one is still what was left before.
                    new.after = last.made.after.clone();
                    new.after.then(&one.after);
                    if new.after == FacetState::Unknown {
                        new.after = one.after.clone();
                    }
                }
                let outlives = |it: &Row| by_hand && it.adoption == adopted;
                if let [oldest, .., latest] = &mut rows[..] {
                    oldest.made.again(&latest.made);
                    update(connection, oldest.id, &oldest.made)?;
                }
                for middle in rows.iter().skip(1).filter(|it| !outlives(it)) {
                    delete(connection, middle.id)?;
                }
                let (thing, record) = (text_of(&one.thing), json(&Record::from(&new)));
                insert.execute((thing, number, &*one.promise.0, run, &revision, record))?;
            }
            Ok(())
        });
        written.map_err(|err| failed("write down what was there before", err))
    }

    /// See [`steadfast_engine::Ledger::amend`].
    pub(crate) fn amend(&self, amended: &[(Facet, Amended)]) -> Result<(), SystemError> {
        let by_hand = self.is_by_hand();
        let written = self.write(|connection| {
            let number = if by_hand { BY_HAND } else { adoption(connection)?.0 };
            for (thing, amended) in amended {
                let mut rows = rows_of(connection, thing)?;
                let Some(last) = rows.last_mut().filter(|it| it.adoption == number) else {
                    continue;
                };
                if amended.ends(&last.made) {
                    delete(connection, last.id)?;
                } else if let Amended::After(after) = amended {
                    last.made.after = after.clone();
                    update(connection, last.id, &last.made)?;
                }
            }
            Ok(())
        });
        written.map_err(|err| failed("write down what was left", err))
    }

    /// See [`steadfast_engine::Ledger::begin_undo`].
    pub(crate) fn begin_undo(&self, things: &[Facet]) -> Result<(), SystemError> {
        let written = self.write(|connection| {
            let (number, _) = adoption(connection)?;
            for thing in things {
                let mut rows = rows_of(connection, thing)?;
                let last = rows.len().saturating_sub(1);
                for (at, row) in rows.iter_mut().enumerate() {
                    if at == last || row.adoption == number {
                        row.made.begun = true;
                        update(connection, row.id, &row.made)?;
                    }
                }
            }
            Ok(())
        });
        written.map_err(|err| failed("write down what is about to be taken back", err))
    }
}

fn failed(what: &'static str, err: StoreError) -> SystemError {
    SystemError::caused(ErrorKind::Storage, what, err)
}

#[cfg(test)]
mod tests;

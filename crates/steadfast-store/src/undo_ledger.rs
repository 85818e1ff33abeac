//! What runs of ours made: so that what leaves the model is known, and what a bad revision did can be
//! taken back.
//!
//! Of a thing there are three rows at most: what the first run that touched it found, what was there
//! when the model that is kept now was adopted, and what a run by hand found after that. Adoptions are
//! counted, because one content may be adopted twice: that is the epoch of the node. What a unit makes is
//! kept apart, by the number of its step.

mod rows;
mod steps;

use crate::beside::Beside;
use crate::format::v3::text_of_scope;
use crate::store::{Store, StoreError};
use rows::{BY_HAND, Epoch, Row, delete, epoch, failed, insert, put_epoch, rows, rows_of, update};
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::{BTreeMap, BTreeSet};
use steadfast_engine::{Amended, Scope, UndoEntry, UnitId};
use steadfast_resources::{Facet, FacetState};
use steadfast_system::SystemError;

impl Store {
    /// Says which content is kept from now on. What follows is its doing.
    pub fn adopt(&self, content: &str) -> Result<(), StoreError> {
        if self.is_adopted(content)? {
            return Ok(());
        }
        self.write(|connection| {
            let Epoch { number, .. } = epoch(connection, &Scope::Node)?;
            put_epoch(connection, &Scope::Node, &adopted(number + 1, content))
        })
    }

    /// Whether this content was the last that was adopted.
    pub fn is_adopted(&self, content: &str) -> Result<bool, StoreError> {
        Ok(self.adoption()?.is_some_and(|it| it.content == content))
    }

    /// Whether any content was ever adopted.
    pub fn has_adopted(&self) -> Result<bool, StoreError> {
        Ok(self.adoption()?.is_some_and(|it| !it.content.is_empty()))
    }

    /// The adoption that is under way; none where there is no database.
    fn adoption(&self) -> Result<Option<Epoch>, StoreError> {
        self.read("read which revision was adopted", |it| epoch(it, &Scope::Node))
    }

    /// Everything that is remembered, in the order of things: what was there before any run of ours, and
    /// what was left since.
    pub fn made(&self) -> Result<Vec<UndoEntry>, StoreError> {
        Ok(merged(self.rows()?))
    }

    /// What was made since this content was adopted, with what was there then; none where another one
    /// was adopted since.
    pub fn made_since(&self, content: &str) -> Result<Option<Vec<UndoEntry>>, StoreError> {
        let known = self.adoption()?.unwrap_or_default();
        if known.content != content {
            return Ok(None);
        }
        let since = self.rows()?.into_iter().filter(|it| it.epoch == known.number);
        let since: BTreeMap<Facet, UndoEntry> =
            since.map(|it| (it.made.facet.clone(), it.made)).collect();
        Ok(Some(since.into_values().collect()))
    }

    fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let rows = self.read("read what earlier runs made", |it| rows(it, &Scope::Node))?;
        Ok(rows.unwrap_or_default())
    }

    /// The same of what one unit has made.
    pub fn made_by(&self, unit: &UnitId) -> Result<Vec<UndoEntry>, StoreError> {
        let scope = Scope::Unit(unit.clone());
        let rows = self.read("read what a unit has made", |it| rows(it, &scope))?;
        Ok(merged(rows.unwrap_or_default()))
    }

    /// What a unit has made is no matter of its own any more.
    pub fn forget_made_by(&self, unit: &UnitId, things: &[&Facet]) -> Result<(), StoreError> {
        self.forget(&Scope::Unit(unit.clone()), things)
    }

    /// Whether it was found that the model of this name promises all that is remembered, or nothing is.
    pub fn is_all_promised(&self, model: &str) -> Result<bool, StoreError> {
        match self.all_promised_by()? {
            Some(by) => Ok(by == model),
            None => Ok(!self.has_made()?),
        }
    }

    /// Whether anything is remembered that the node made.
    fn has_made(&self) -> Result<bool, StoreError> {
        let made = self.read("read whether anything was made", |connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM undo_ledger WHERE scope = ?1)")?
                .query_row([text_of_scope(&Scope::Node)], |row| row.get(0))
        })?;
        Ok(made.unwrap_or_default())
    }

    fn all_promised_by(&self) -> Result<Option<String>, StoreError> {
        let note = self.read("read whether something left the model", |connection| {
            connection
                .query_row("SELECT value FROM notes WHERE name = 'promised'", [], |row| {
                    row.get::<_, String>(0)
                })
                .optional()
        })?;
        Ok(note.flatten())
    }

    /// What this run has made, as it is remembered, where the model of this name was known to promise all that
    /// was remembered before: then no other thing need be looked at. None where that was not known.
    pub fn made_beside_promised(&self, model: &str) -> Result<Option<Vec<UndoEntry>>, StoreError> {
        let things = match &*self.beside.borrow() {
            Some(beside) if beside.model == model => beside.things.clone(),
            Some(_) | None => return Ok(None),
        };
        let made = self.read("read what this run has made", |connection| {
            // As one look at the database: each by itself would lock it anew.
            let connection = connection.unchecked_transaction()?;
            let mut all = vec![];
            for thing in &things {
                let mut rows = rows_of(&connection, &Scope::Node, thing)?.into_iter();
                let Some(Row { made: mut first, .. }) = rows.next() else { continue };
                rows.for_each(|it| first.again(&it.made));
                all.push(first);
            }
            Ok(all)
        })?;
        Ok(made)
    }

    /// Takes note of what is made beside what a model is known to promise.
    fn note_beside(&self, made: &[UndoEntry]) -> Result<(), StoreError> {
        let mut beside = self.beside.borrow_mut();
        if beside.is_none() {
            let model = self.all_promised_by()?;
            *beside = Some(Beside { model: model.unwrap_or_default(), things: BTreeSet::new() });
        }
        if let Some(beside) = &mut *beside {
            let its = made.iter().filter(|it| it.scope == Scope::Node);
            beside.things.extend(its.map(|it| it.facet.clone()));
        }
        Ok(())
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
        self.forget(&Scope::Node, things)
    }

    fn forget(&self, scope: &Scope, things: &[&Facet]) -> Result<(), StoreError> {
        if things.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            for thing in things {
                for row in rows_of(connection, scope, thing)? {
                    delete(connection, row.id)?;
                }
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
            let Epoch { number, .. } = epoch(connection, &Scope::Node)?;
            for thing in undone {
                // What was done by hand after that is gone with it.
                let rows = rows_of(connection, &Scope::Node, thing)?;
                for row in rows.iter().skip_while(|it| it.epoch != number) {
                    delete(connection, row.id)?;
                }
            }
            for thing in decided {
                let rows = rows_of(connection, &Scope::Node, thing)?;
                for row in rows.iter().skip(1).filter(|it| it.epoch == number) {
                    delete(connection, row.id)?;
                }
            }
            put_epoch(connection, &Scope::Node, &adopted(number + 1, to))
        })
    }

    /// The engine's part of the ledger: see [`steadfast_engine::Ledger::trace`].
    pub(crate) fn trace(&self, made: &[UndoEntry]) -> Result<(), SystemError> {
        if made.is_empty() {
            return Ok(());
        }
        let (run, revision) = self.run_under_way();
        let by_hand = self.is_by_hand();
        let noted = self.note_beside(made);
        let written = noted.and_then(|()| {
            self.write(|connection| {
                connection.execute("DELETE FROM notes WHERE name = 'promised'", [])?;
                for one in made {
                    let epoch = epoch(connection, &one.scope)?.number;
                    let by_hand = by_hand && one.scope == Scope::Node;
                    write_down(connection, epoch, by_hand, (run, &revision), one)?;
                }
                Ok(())
            })
        });
        written.map_err(|err| failed("write down what was there before", err))
    }

    /// See [`steadfast_engine::Ledger::amend`].
    pub(crate) fn amend(
        &self,
        scope: &Scope,
        amended: &[(Facet, Amended)],
    ) -> Result<(), SystemError> {
        let by_hand = self.is_by_hand() && *scope == Scope::Node;
        let written = self.write(|connection| {
            let number = if by_hand { BY_HAND } else { epoch(connection, scope)?.number };
            for (thing, amended) in amended {
                let mut rows = rows_of(connection, scope, thing)?;
                let Some(last) = rows.last_mut().filter(|it| it.epoch == number) else {
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
    pub(crate) fn begin_undo(&self, scope: &Scope, things: &[Facet]) -> Result<(), SystemError> {
        let written = self.write(|connection| {
            let Epoch { number, .. } = epoch(connection, scope)?;
            for thing in things {
                let mut rows = rows_of(connection, scope, thing)?;
                let last = rows.len().saturating_sub(1);
                for (at, row) in rows.iter_mut().enumerate() {
                    if at == last || row.epoch == number {
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

/// Each thing once: as it was before the first change, and as the last one left it.
fn merged(rows: Vec<Row>) -> Vec<UndoEntry> {
    let mut all: BTreeMap<Facet, UndoEntry> = BTreeMap::new();
    for Row { made, .. } in rows {
        match all.get_mut(&made.facet) {
            None => drop(all.insert(made.facet.clone(), made)),
            Some(first) => first.again(&made),
        }
    }
    all.into_values().collect()
}

/// Writes down what one change is about to make. Of what its epoch has done to the same thing before, only
/// what is left is new.
fn write_down(
    connection: &Connection,
    epoch: i64,
    by_hand: bool,
    run: (i64, &str),
    one: &UndoEntry,
) -> rusqlite::Result<()> {
    let number = if by_hand { BY_HAND } else { epoch };
    let mut rows = rows_of(connection, &one.scope, &one.facet)?;
    // What a run by hand did after it, this one has come upon.
    let known = rows.iter().rposition(|it| by_hand || it.epoch != BY_HAND);
    let stale = rows.split_off(rows.len().min(known.unwrap_or(0) + 1));
    for stale in &stale {
        delete(connection, stale.id)?;
        if let Some(last) = rows.last_mut().filter(|it| it.epoch != number) {
            last.made.again(&stale.made);
            update(connection, last.id, &last.made)?;
        }
    }
    let mut new = one.clone();
    if let Some(last) = rows.last_mut() {
        if last.epoch == number {
            let known = last.made.clone();
            last.made.again(one);
            // The same made anew, as after somebody has removed it, is known as it is.
            return if last.made == known {
                Ok(())
            } else {
                update(connection, last.id, &last.made)
            };
        }
        // What is not known to be another one is still what was left before.
        new.after = last.made.after.clone();
        new.after.then(&one.after);
        if new.after == FacetState::Unknown {
            new.after = one.after.clone();
        }
    }
    // Of those between the first and this one, the first takes in what they did.
    let outlives = |it: &Row| by_hand && it.epoch == epoch;
    if let [oldest, .., latest] = &mut rows[..] {
        oldest.made.again(&latest.made);
        update(connection, oldest.id, &oldest.made)?;
    }
    for middle in rows.iter().skip(1).filter(|it| !outlives(it)) {
        delete(connection, middle.id)?;
    }
    insert(connection, number, run, &new)
}

fn adopted(number: i64, content: &str) -> Epoch {
    Epoch { number, content: content.to_owned(), open: false }
}

#[cfg(test)]
mod tests;

//! Writes a run into the history while it happens: what is about to be changed before it is changed,
//! so that a run that was cut short is known too, and the verdicts at its end.

use crate::format::v4::{BEGUN, REPAIRED};
use crate::format::{json, v1, v4};
use crate::history;
use crate::store::{Store, StoreError};
use crate::sweep::{BOUNDS, sweep};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashSet};
use steadfast_engine::{Event, Outcome, Promised, Reporter, Summary, UndoEntry};
use steadfast_model::SourceSet;
use steadfast_resources::Change;
use steadfast_system::attribution::Changer;

/// What is known of a run before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHeader {
    /// Microseconds since 1970.
    pub started: i64,
    pub node: String,
    pub environment: String,
    /// The path of the model.
    pub model: String,
    /// The revision: a commit where there is one, and the digest of the content.
    pub revision: String,
    /// The commit, as a whole, where there is one.
    pub commit: Option<String>,
}

/// A run that changed nothing and kept everything leaves no entry.
#[derive(Debug)]
pub struct Journal<'a> {
    store: &'a Store,
    places: &'a dyn Places,
    header: RunHeader,
    now: &'a dyn Clock,
    run: Option<i64>,
    /// What was begun so far, of each promise all of it.
    begun: BTreeMap<String, Begun>,
    /// How many bytes were written into the history.
    written: usize,
    /// The verdicts on services that nobody promised: they are no promises, and not counted.
    implied: Summary,
    verdicts: Vec<v1::Judged>,
    /// Who has changed what promises are about.
    changed_by: BTreeMap<String, Vec<v1::Changer>>,
    /// How many of them are about what was taken back: those stand first.
    undone: usize,
    /// What was not kept or held in the run before, once it is asked for, and whether this run finds it kept.
    before: Option<Vec<(v1::Judged, bool)>>,
    /// The first thing that could not be written, for the operator.
    pub problem: Option<StoreError>,
}

/// What was written down of a promise before it was changed.
#[derive(Debug, Default)]
struct Begun {
    /// The lines of its changes.
    lines: Vec<String>,
    /// All of it was done, and there is nothing else to be said: it stands there as it was begun.
    is_done: bool,
}

/// The machine's time.
pub trait Clock: std::fmt::Debug {
    fn now(&self) -> i64;
}

impl<T: steadfast_system::clock::Read> Clock for T {
    fn now(&self) -> i64 {
        steadfast_system::clock::Read::now(self)
    }
}

/// Where promises stand in the model.
pub trait Places: std::fmt::Debug {
    /// `servers/web.yaml:14:5`; nothing where it stands nowhere.
    fn place_of(&self, promise: &Promised) -> String;
}

impl Places for SourceSet {
    fn place_of(&self, promise: &Promised) -> String {
        let first = promise.origins.first();
        first.map(|it| self.place(it.span).to_string()).unwrap_or_default()
    }
}

impl<'a> Journal<'a> {
    pub fn new(
        store: &'a Store,
        places: &'a dyn Places,
        header: RunHeader,
        now: &'a dyn Clock,
    ) -> Journal<'a> {
        Journal {
            store,
            places,
            header,
            now,
            run: None,
            begun: BTreeMap::new(),
            written: 0,
            implied: Summary::default(),
            verdicts: vec![],
            changed_by: BTreeMap::new(),
            undone: 0,
            before: None,
            problem: None,
        }
    }

    /// Who has changed what a promise is about, as far as anybody knows.
    pub fn changed(&mut self, promise: &str, by: &[Changer]) {
        let by = by.iter().map(v1::Changer::from).collect();
        self.changed_by.insert(promise.to_owned(), by);
    }

    /// The number of this run in the history, if it got one.
    pub fn run(&self) -> Option<i64> {
        self.run
    }

    /// The number of this run, with a row of its own from now on.
    fn begin(&self, connection: &Connection) -> rusqlite::Result<i64> {
        if let Some(run) = self.run {
            return Ok(run);
        }
        let RunHeader { started, node, environment, model, revision, commit } = &self.header;
        connection.execute(
            "INSERT INTO runs (started, node, environment, model, revision, commit_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (started, node, environment, model, revision, commit),
        )?;
        Ok(connection.last_insert_rowid())
    }

    /// Writes down what is about to be done, one after the other: together it may be large. A part or a later
    /// round of a promise adds to what was begun of it before.
    fn put_begun<I: Iterator<Item = v1::Judged>>(&self, each: impl Fn() -> I) -> Written {
        self.store.write(|connection| {
            let run = self.begin(connection)?;
            let (mut lines, mut bytes) = (vec![], 0);
            for one in each() {
                let its = one.changes.iter().map(|it| it.line.clone()).collect();
                lines.push((one.promise.clone(), its));
                let known = self.begun.contains_key(&one.promise);
                let one = if known { after_earlier(connection, run, one)? } else { one };
                bytes += put(connection, run, one)?;
            }
            Ok((run, lines, bytes))
        })
    }

    fn take_in(&mut self, written: Written) {
        if self.problem.is_some() {
            return;
        }
        match written {
            Ok((run, lines, bytes)) => {
                self.has_begun(run);
                self.written += bytes;
                for (promise, its) in lines {
                    self.begun.entry(promise).or_default().lines.extend::<Vec<String>>(its);
                }
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    /// What became of a component, once the run has ended. A run that has left no entry gets none by this.
    pub fn component(&mut self, id: &str, outcome: &str, origin: String, lines: [Vec<String>; 2]) {
        let Some(run) = self.run else { return };
        let [because, notes] = lines;
        let one = v1::Judged { because, notes, origin, ..judged(id, outcome, &[]) };
        let column = outcome.replace('-', "_");
        let written = self.store.write(|connection| {
            put(connection, run, one.clone())?;
            connection
                .execute(&format!("UPDATE runs SET {column} = {column} + 1 WHERE id = ?1"), [run])
        });
        if let Err(problem) = written {
            self.problem.get_or_insert(problem);
        }
    }

    fn has_begun(&mut self, run: i64) {
        if self.run.is_none() {
            self.store.begin_run(run, &self.header.revision);
            self.run = Some(run);
        }
    }

    /// The verdicts, and what they come to.
    fn finish(&mut self, verdicts: Vec<v1::Judged>, summary: &Summary) {
        if self.run.is_none() && self.problem.is_some() {
            return;
        }
        let now = self.now.now();
        let implied = self.implied;
        let count = |all: usize, implied: usize| {
            i64::try_from(all.saturating_sub(implied)).unwrap_or(i64::MAX)
        };
        let written = self.store.write(|connection| {
            let run = self.begin(connection)?;
            let mut bytes = self.written;
            // What was begun and has no verdict worth a word was only looked up.
            let judged: HashSet<&str> = verdicts.iter().map(|it| &*it.promise).collect();
            let looked_up = self.begun.iter().filter(|(_, it)| !it.is_done);
            for (promise, _) in looked_up.filter(|(it, _)| !judged.contains(&***it)) {
                forget(connection, run, promise)?;
            }
            for one in &verdicts {
                bytes += put(connection, run, one.clone())?;
            }
            connection.execute(
                "UPDATE runs SET finished = ?2, kept = ?3, repaired = ?4, not_kept = ?5, held = ?6 \
                 WHERE id = ?1",
                (
                    run,
                    now,
                    count(summary.kept, implied.kept),
                    count(summary.repaired, implied.repaired),
                    count(summary.not_kept, implied.not_kept),
                    count(summary.held, implied.held),
                ),
            )?;
            sweep(connection, BOUNDS, bytes)?;
            Ok(run)
        });
        match written {
            Ok(run) => self.has_begun(run),
            Err(problem) => drop(self.problem.get_or_insert(problem)),
        }
    }

    /// All verdicts are there: they are written where they say anything that is new.
    fn end(&mut self, summary: &Summary) {
        let verdicts = std::mem::take(&mut self.verdicts);
        self.undone = 0;
        // What is held or not kept without any change is told by the run itself and by the next
        // one; written down each time it would fill the disk. See `is_news`.
        let tried = |it: &v1::Judged| {
            !it.changes.is_empty() || self.begun.contains_key(&it.promise) || it.outcome == "left"
        };
        if self.begun.values().any(|it| it.is_done)
            || verdicts.iter().any(tried)
            || is_news(self.before(), &verdicts)
        {
            self.finish(verdicts, summary);
        } else {
            self.forget();
        }
    }

    /// The run did nothing after all: it looked again, and found things as they should be.
    fn forget(&mut self) {
        let Some(run) = self.run.take() else { return };
        let written = self.store.write(|connection| {
            for table in ["judged WHERE run", "details WHERE run", "runs WHERE id"] {
                connection.execute(&format!("DELETE FROM {table} = ?1"), [run])?;
            }
            Ok(())
        });
        if let Err(problem) = written {
            self.problem.get_or_insert(problem);
        }
    }

    fn judged(&self, promise: &Promised, outcome: &str, changes: &[Change]) -> v1::Judged {
        let changed_by = self.changed_by.get(&*promise.id.0).cloned().unwrap_or_default();
        let origin = self.places.place_of(promise);
        let unit = promise.unit.as_ref().map(ToString::to_string);
        v1::Judged { origin, changed_by, unit, ..judged(&promise.id.0, outcome, changes) }
    }

    fn before(&mut self) -> &mut Vec<(v1::Judged, bool)> {
        let (store, run) = (self.store, self.run);
        self.before.get_or_insert_with(|| {
            let bad = store.last_bad_verdicts(run).unwrap_or_default();
            bad.into_iter().map(|it| (it, false)).collect()
        })
    }

    /// A promise is kept without any change, which leaves no line.
    fn kept(&mut self, promise: &Promised) {
        for (before, kept) in self.before() {
            *kept |= *before.promise == *promise.id.0;
        }
    }

    /// Whether all that is to be said of a repair was said when it was begun.
    fn is_done_as_begun(&mut self, id: &str, changes: &[Change]) -> bool {
        let undone = &self.verdicts[..self.undone];
        if self.changed_by.contains_key(id) || undone.iter().any(|it| it.promise == *id) {
            return false;
        }
        let Some(begun) = self.begun.get_mut(id) else { return false };
        begun.is_done = begun.lines.len() == changes.len()
            && begun.lines.iter().zip(changes).all(|(line, it)| *line == it.to_string());
        begun.is_done
    }

    /// Something that is said of a promise whose former doing was taken back before adds to that.
    fn verdict(&mut self, judged: v1::Judged) {
        let undone = &mut self.verdicts[..self.undone];
        match undone.iter_mut().find(|it| it.promise == judged.promise) {
            None => self.verdicts.push(judged),
            Some(undone) => {
                let v1::Judged {
                    promise: _,
                    outcome,
                    changes,
                    because,
                    journal,
                    notes,
                    origin,
                    changed_by,
                    unit,
                } = judged;
                undone.outcome = outcome;
                undone.changes.extend(changes);
                undone.because.extend(because);
                undone.journal.extend(journal);
                undone.notes.extend(notes);
                undone.origin = origin;
                undone.changed_by = changed_by;
                undone.unit = unit;
            }
        }
    }
}

fn judged(promise: &str, outcome: &str, changes: &[Change]) -> v1::Judged {
    v1::Judged {
        promise: promise.to_owned(),
        outcome: outcome.to_owned(),
        changes: changes.iter().map(v1::Change::from).collect(),
        because: vec![],
        journal: vec![],
        notes: vec![],
        origin: String::new(),
        changed_by: vec![],
        unit: None,
    }
}

impl Reporter for Journal<'_> {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { .. } | Event::Step { .. } => {}
            Event::Working { promises, work } => {
                let begun = |(at, changes): &(usize, Vec<Change>)| {
                    self.judged(&promises.all[*at], BEGUN, changes)
                };
                let written = self.put_begun(|| work.iter().map(begun));
                self.take_in(written);
            }
            Event::Undoing { work } => {
                let begun = |(made, changes): &(&UndoEntry, &[Change])| {
                    judged(&made.promise.0, BEGUN, changes)
                };
                let written = self.put_begun(|| work.iter().map(begun));
                self.take_in(written);
            }
            Event::Undone { promise, changes, left } => {
                let word = if left.is_empty() { "undone" } else { "left" };
                let mut undone = judged(&promise.0, word, changes);
                undone.because = left.to_vec();
                self.verdicts.push(undone);
                self.undone = self.verdicts.len();
            }
            Event::Judged { promise, outcome, changes, notes } => {
                if promise.implied {
                    self.implied.count(outcome);
                }
                if changes.is_empty() && **outcome == Outcome::Kept {
                    self.kept(promise);
                    return;
                }
                let word = outcome.word().replace(' ', "-");
                if word == REPAIRED
                    && notes.is_empty()
                    && self.is_done_as_begun(&promise.id.0, changes)
                {
                    return;
                }
                let mut judged = self.judged(promise, &word, changes);
                judged.because = outcome.reasons();
                judged.journal = outcome.journal();
                judged.notes = notes.to_vec();
                self.verdict(judged);
            }
            Event::Finished { summary } => {
                self.end(summary);
            }
        }
    }
}

/// What came of writing down what is begun: the run, the lines of each promise, and how many bytes it took.
type Written = Result<(i64, Vec<(String, Vec<String>)>, usize), StoreError>;

/// Writes what is said of a promise in the place of what was said of it before; how many bytes that is.
fn put(connection: &Connection, run: i64, judged: v1::Judged) -> rusqlite::Result<usize> {
    let (judged, details) = v4::split(judged);
    let record = json(&judged);
    let mut bytes = record.len();
    upsert(connection, "judged", run, &judged.promise, &record)?;
    match details {
        Some(details) => {
            let record = json(&details);
            bytes += record.len();
            upsert(connection, "details", run, &judged.promise, &record)?;
        }
        None => delete(connection, "details", run, &judged.promise)?,
    }
    Ok(bytes)
}

fn upsert(
    connection: &Connection,
    table: &str,
    run: i64,
    promise: &str,
    record: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO {table} (run, promise, record) VALUES (?1, ?2, ?3) \
             ON CONFLICT (run, promise) DO UPDATE SET record = excluded.record"
        ))?
        .execute((run, promise, record))?;
    Ok(())
}

fn delete(connection: &Connection, table: &str, run: i64, promise: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1 AND promise = ?2"))?
        .execute((run, promise))?;
    Ok(())
}

fn forget(connection: &Connection, run: i64, promise: &str) -> rusqlite::Result<()> {
    delete(connection, "judged", run, promise)?;
    delete(connection, "details", run, promise)
}

/// With what was begun of the same promise before.
fn after_earlier(
    connection: &Connection,
    run: i64,
    later: v1::Judged,
) -> rusqlite::Result<v1::Judged> {
    let earlier = history::verdict(connection, run, &later.promise)?;
    Ok(match earlier {
        Some(mut judged) => {
            judged.changes.extend(later.changes);
            judged
        }
        None => later,
    })
}

/// Whether the verdicts say anything about their promises that the run before, the latest in the history,
/// did not. A run of some promises says nothing of the others.
fn is_news(before: &[(v1::Judged, bool)], verdicts: &[v1::Judged]) -> bool {
    let bad = |it: &&v1::Judged| it.outcome == "not-kept" || it.outcome == "held";
    let now: Vec<&v1::Judged> = verdicts.iter().filter(bad).collect();
    let is_judged = |one: &v1::Judged| verdicts.iter().any(|it| it.promise == one.promise);
    // What a service has said meanwhile is always new, and is no news of ours.
    let key = |it: &v1::Judged| (it.promise.clone(), it.outcome.clone(), it.because.clone());
    let told = before.iter().filter(|(it, kept)| *kept || is_judged(it));
    let mut told: Vec<_> = told.map(|(it, _)| key(it)).collect();
    let mut now: Vec<_> = now.into_iter().map(key).collect();
    told.sort();
    now.sort();
    told != now
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use steadfast_engine::{Held, Promises};
    use steadfast_model::{Keep, PromiseId};
    use steadfast_resources::{Resource, group};
    use steadfast_system::GroupName;

    #[derive(Debug)]
    struct At(i64);

    impl Clock for At {
        fn now(&self) -> i64 {
            self.0
        }
    }

    fn name(name: &str) -> GroupName {
        GroupName::parse(name).unwrap()
    }

    fn promised(group: &str) -> Promised {
        Promised {
            id: PromiseId::new("group", group),
            want: Resource::Group(group::Desired {
                name: name(group),
                present: true,
                gid: None,
                system: false,
                members: None,
                left: false,
            }),
            needs: vec![],
            lies_in: vec![],
            keep: Keep::Repair,
            origins: vec![],
            description: None,
            implied: false,
            unit: None,
            used: None,
            selected: true,
        }
    }

    fn change(group: &str, gid: u32) -> Change {
        Change::Group(group::Change::SetGid { name: name(group), was: 1, gid })
    }

    /// A run of the promises `a` and `b` over a store, which reports what it is told to.
    fn run<T>(path: &Path, act: impl FnOnce(&mut Journal<'_>, &Promises) -> T) -> (Store, T) {
        let store = Store::open(path).unwrap();
        let sources = SourceSet::default();
        let text = |it: &str| it.to_owned();
        let header = RunHeader {
            started: 1,
            node: text("n"),
            environment: text("e"),
            model: text("m"),
            revision: text("r"),
            commit: None,
        };
        let promises = Promises { all: vec![promised("a"), promised("b")], ..Promises::default() };
        let told = act(&mut Journal::new(&store, &sources, header, &At(2)), &promises);
        (store, told)
    }

    fn working(journal: &mut Journal<'_>, promises: &Promises, work: &[(usize, Vec<Change>)]) {
        journal.report(&Event::Working { promises, work });
    }

    fn finish(
        journal: &mut Journal<'_>,
        promises: &Promises,
        verdicts: &[(usize, Outcome, Vec<Change>)],
    ) -> Option<i64> {
        let mut summary = Summary::default();
        for (at, outcome, changes) in verdicts {
            let promise = &promises.all[*at];
            summary.count(outcome);
            journal.report(&Event::Judged { promise, outcome, changes, notes: &[] });
        }
        journal.report(&Event::Finished { summary: &summary });
        assert!(journal.problem.is_none(), "{:?}", journal.problem);
        journal.run()
    }

    fn lines(judged: &[v1::Judged]) -> Vec<(&str, Vec<&str>)> {
        judged
            .iter()
            .map(|it| (&*it.outcome, it.changes.iter().map(|it| &*it.line).collect()))
            .collect()
    }

    #[test]
    fn a_run_that_was_cut_short_tells_all_that_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let (store, ()) = run(&folder.path().join("state.db"), |journal, promises| {
            working(journal, promises, &[(0, vec![change("a", 2)])]);
            working(journal, promises, &[(0, vec![change("a", 3)]), (1, vec![])]);
        });
        let (line, judged) = store.run(1).unwrap().unwrap();
        assert_eq!(line.counts, None);
        let began = [change("a", 2).to_string(), change("a", 3).to_string()];
        assert_eq!(
            lines(&judged),
            [("begun", began.iter().map(|it| &**it).collect()), ("begun", vec![])]
        );
    }

    /// What is written before a change is nearly all that there is to be written about it.
    #[test]
    fn what_was_done_as_it_was_begun_is_written_once_and_is_a_repair() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = run(&folder.path().join("state.db"), |journal, promises| {
            let changes = || vec![change("a", 2)];
            working(journal, promises, &[(0, changes()), (1, vec![change("b", 2)])]);
            let record = |it: &rusqlite::Connection| -> rusqlite::Result<String> {
                it.query_row("SELECT record FROM judged WHERE promise = 'group:a'", [], |row| {
                    row.get(0)
                })
            };
            let begun = journal.store.read("read", record).unwrap();
            let not_all = (1, Outcome::Repaired, vec![]);
            finish(journal, promises, &[(0, Outcome::Repaired, changes()), not_all]);
            assert_eq!(journal.store.read("read", record).unwrap(), begun);
        });
        let (_, judged) = store.run(1).unwrap().unwrap();
        let line = change("a", 2).to_string();
        assert_eq!(lines(&judged), [("repaired", vec![&*line]), ("repaired", vec![])]);
        assert_eq!(store.last_repair("group:a").unwrap().map(|it| it.run), Some(1));
    }

    #[test]
    fn what_was_only_looked_up_leaves_no_row_and_a_run_of_nothing_else_no_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let (store, number) = run(&path, |journal, promises| {
            working(journal, promises, &[(0, vec![change("a", 2)]), (1, vec![change("b", 2)])]);
            finish(
                journal,
                promises,
                &[(0, Outcome::Repaired, vec![change("a", 2)]), (1, Outcome::Kept, vec![])],
            )
        });
        assert_eq!(number, Some(1));
        let (line, judged) = store.run(1).unwrap().unwrap();
        assert_eq!(line.counts, Some([1, 1, 0, 0]));
        assert_eq!(lines(&judged), [("repaired", vec![&*change("a", 2).to_string()])]);
        let (store, number) = run(&path, |journal, promises| {
            working(journal, promises, &[(0, vec![change("a", 2)])]);
            finish(journal, promises, &[(0, Outcome::Kept, vec![])])
        });
        assert_eq!((number, store.runs(9).unwrap().len()), (None, 1));
        // What is held is told once, and not again by a run that has nothing else to say.
        let held = || Outcome::Held(Held::RestartUndetermined);
        for runs in [2, 2] {
            let (store, _) = run(&path, |journal, promises| {
                working(journal, promises, &[(0, vec![change("a", 2)])]);
                finish(journal, promises, &[(0, Outcome::Kept, vec![]), (1, held(), vec![])])
            });
            assert_eq!(store.runs(9).unwrap().len(), runs);
        }
    }

    #[test]
    fn a_run_of_some_promises_says_nothing_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let held = || Outcome::Held(Held::RestartUndetermined);
        // `b` is held, then the run of `a` alone finds nothing, and `b` is as it was in the next full run.
        for verdicts in [vec![(1, held(), vec![])], vec![], vec![(1, held(), vec![])]] {
            let (store, _) = run(&path, |journal, promises| {
                let all = [vec![(0, Outcome::Kept, vec![])], verdicts].concat();
                finish(journal, promises, &all)
            });
            assert_eq!(store.runs(9).unwrap().len(), 1);
        }
        // That it is kept again is worth an entry.
        let (store, _) = run(&path, |journal, promises| {
            finish(journal, promises, &[(0, Outcome::Kept, vec![]), (1, Outcome::Kept, vec![])])
        });
        assert_eq!(store.runs(9).unwrap().len(), 2);
    }

    #[test]
    fn a_unit_that_nobody_promised_is_told_and_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = run(&folder.path().join("state.db"), |journal, promises| {
            let mut promises = promises.clone();
            promises.all[1].implied = true;
            let repaired = |at, group| (at, Outcome::Repaired, vec![change(group, 2)]);
            finish(journal, &promises, &[repaired(0, "a"), repaired(1, "b")])
        });
        let (line, judged) = store.run(1).unwrap().unwrap();
        assert_eq!((line.counts, judged.len()), (Some([0, 1, 0, 0]), 2));
    }
}

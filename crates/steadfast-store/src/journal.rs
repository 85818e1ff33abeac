//! Writes a run into the history while it happens: what is about to be changed before it is changed,
//! so that a run that was cut short is known too, and the verdicts at its end.

use crate::format::{json, v1};
use crate::store::{Store, StoreError};
use rusqlite::Connection;
use std::collections::BTreeMap;
use steadfast_engine::{Event, Outcome, Promised, Reporter, Summary};
use steadfast_model::SourceSet;
use steadfast_resources::Change;
use steadfast_system::attribution::Changer;

/// How many runs the history holds. A run that changed nothing is none of them.
const MAX_RUNS: i64 = 10_000;
/// How large the database may become before the details of the oldest runs are dropped.
const MAX_BYTES: i64 = 64 * 1024 * 1024;

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
    sources: &'a SourceSet,
    header: RunHeader,
    now: &'a dyn Clock,
    run: Option<i64>,
    /// What was begun so far, of each promise all of it.
    begun: BTreeMap<String, v1::Judged>,
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

/// The machine's time.
pub trait Clock: std::fmt::Debug {
    fn now(&self) -> i64;
}

impl<T: steadfast_system::clock::Read> Clock for T {
    fn now(&self) -> i64 {
        steadfast_system::clock::Read::now(self)
    }
}

impl<'a> Journal<'a> {
    pub fn new(
        store: &'a Store,
        sources: &'a SourceSet,
        header: RunHeader,
        now: &'a dyn Clock,
    ) -> Journal<'a> {
        Journal {
            store,
            sources,
            header,
            now,
            run: None,
            begun: BTreeMap::new(),
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

    fn begin(&mut self) -> Option<i64> {
        if self.run.is_none() && self.problem.is_none() {
            let RunHeader { started, node, environment, model, revision, commit } = &self.header;
            let written = self.store.write(|connection| {
                connection.execute(
                    "INSERT INTO runs (started, node, environment, model, revision, commit_id) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    (started, node, environment, model, revision, commit),
                )?;
                Ok(connection.last_insert_rowid())
            });
            match written {
                Ok(run) => {
                    self.store.begin_run(run, revision);
                    self.run = Some(run);
                }
                Err(problem) => self.problem = Some(problem),
            }
        }
        self.run
    }

    fn put(&mut self, judged: &[v1::Judged], finish: Option<&Summary>) {
        let Some(run) = self.begin() else { return };
        let now = self.now.now();
        // A part or a later round of a promise adds to what was begun of it before.
        let mut begun = vec![];
        if finish.is_none() {
            for one in judged {
                let known = self.begun.entry(one.promise.clone());
                let known = known
                    .and_modify(|it| it.changes.extend(one.changes.iter().cloned()))
                    .or_insert_with(|| one.clone());
                begun.push(known.clone());
            }
        }
        let judged = if finish.is_none() { &begun } else { judged };
        let implied = self.implied;
        let written = self.store.write(|connection| {
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO judged (run, promise, record) VALUES (?1, ?2, ?3)",
            )?;
            for one in judged {
                insert.execute((run, &one.promise, json(one)))?;
            }
            if let Some(summary) = finish {
                // What was begun and has no verdict worth a word was only looked up.
                connection.execute(
                    "DELETE FROM judged WHERE run = ?1 AND json_extract(record, '$.outcome') = 'begun'",
                    [run],
                )?;
                let count = |all: usize, implied: usize| {
                    i64::try_from(all.saturating_sub(implied)).unwrap_or(i64::MAX)
                };
                connection.execute(
                    "UPDATE runs SET finished = ?2, kept = ?3, repaired = ?4, not_kept = ?5, \
                     held = ?6 WHERE id = ?1",
                    (
                        run,
                        now,
                        count(summary.kept, implied.kept),
                        count(summary.repaired, implied.repaired),
                        count(summary.not_kept, implied.not_kept),
                        count(summary.held, implied.held),
                    ),
                )?;
                for table in ["judged WHERE run", "runs WHERE id"] {
                    connection
                        .execute(&format!("DELETE FROM {table} <= ?1 - ?2"), (run, MAX_RUNS))?;
                }
                bound(connection, MAX_BYTES)?;
            }
            Ok(())
        });
        if let Err(problem) = written {
            self.problem.get_or_insert(problem);
        }
    }

    /// The run did nothing after all: it looked again, and found things as they should be.
    fn forget(&mut self) {
        let Some(run) = self.run.take() else { return };
        let written = self.store.write(|connection| {
            connection.execute("DELETE FROM judged WHERE run = ?1", [run])?;
            connection.execute("DELETE FROM runs WHERE id = ?1", [run])
        });
        if let Err(problem) = written {
            self.problem.get_or_insert(problem);
        }
    }

    fn judged(&self, promise: &Promised, outcome: &str, changes: &[Change]) -> v1::Judged {
        let origin = promise.origins.first().map(|it| self.sources.place(it.span).to_string());
        let changed_by = self.changed_by.get(&*promise.id.0).cloned().unwrap_or_default();
        let origin = origin.unwrap_or_default();
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
                let begun: Vec<v1::Judged> = work
                    .iter()
                    .map(|(at, changes)| self.judged(&promises.all[*at], "begun", changes))
                    .collect();
                self.put(&begun, None);
            }
            Event::Undoing { work } => {
                let begun: Vec<v1::Judged> = work
                    .iter()
                    .map(|(made, changes)| judged(&made.promise.0, "begun", changes))
                    .collect();
                self.put(&begun, None);
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
                let mut judged = self.judged(promise, &word, changes);
                judged.because = outcome.reasons();
                judged.journal = outcome.journal();
                judged.notes = notes.to_vec();
                self.verdict(judged);
            }
            Event::Finished { summary } => {
                let verdicts = std::mem::take(&mut self.verdicts);
                self.undone = 0;
                // What is held or not kept without any change is told by the run itself and by the next
                // one; written down each time it would fill the disk. See `is_news`.
                let tried = |it: &v1::Judged| {
                    !it.changes.is_empty()
                        || self.begun.contains_key(&it.promise)
                        || it.outcome == "left"
                };
                if verdicts.iter().any(tried) || is_news(self.before(), &verdicts) {
                    self.put(&verdicts, Some(summary));
                } else {
                    self.forget();
                }
            }
        }
    }
}

/// Keeps the database from growing beyond this many bytes: the oldest differences go first, and where
/// there are none any more, the oldest runs.
fn bound(connection: &Connection, bytes: i64) -> rusqlite::Result<()> {
    let pragma = |name: &str| -> rusqlite::Result<i64> {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    };
    let size = || -> rusqlite::Result<i64> {
        Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
    };
    if size()? <= bytes {
        return Ok(());
    }
    // Somewhat below, so that not every run has to.
    while size()? > bytes - bytes / 8 {
        let rows: Vec<(i64, i64, String, String)> = connection
            .prepare_cached(
                "SELECT rowid, run, promise, record FROM judged \
                 WHERE instr(record, '\"detail\":') > 0 ORDER BY run LIMIT 16",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut dropped = 0;
        for (row, run, promise, record) in rows {
            let Ok(mut judged) = serde_json::from_str::<v1::Judged>(&record) else { continue };
            let details = judged.changes.iter_mut().filter_map(|it| it.detail.take()).count();
            if details > 0 {
                dropped += 1;
                // An update would leave the page as empty as it becomes.
                connection.execute("DELETE FROM judged WHERE rowid = ?1", [row])?;
                connection.execute(
                    "INSERT INTO judged (rowid, run, promise, record) VALUES (?1, ?2, ?3, ?4)",
                    (row, run, promise, json(&judged)),
                )?;
            }
        }
        if dropped > 0 {
            continue;
        }
        let (oldest, newest): (Option<i64>, Option<i64>) =
            connection.query_row("SELECT min(id), max(id) FROM runs", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let (Some(oldest), true) = (oldest, oldest < newest) else { break };
        connection.execute("DELETE FROM judged WHERE run = ?1", [oldest])?;
        connection.execute("DELETE FROM runs WHERE id = ?1", [oldest])?;
    }
    Ok(())
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
            }),
            needs: vec![],
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

    #[test]
    fn the_oldest_differences_go_before_the_history_becomes_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path).unwrap();
        let judged = |run: i64| v1::Judged {
            promise: "file:/a".to_owned(),
            outcome: "repaired".to_owned(),
            unit: None,
            changes: vec![v1::Change {
                facts: vec![],
                line: format!("write in run {run}"),
                detail: Some("+x\n".repeat(2_000)),
            }],
            because: vec![],
            journal: vec![],
            notes: vec![],
            origin: String::new(),
            changed_by: vec![],
        };
        let limit = 400_000;
        for number in 1..=200 {
            store
                .write(|it| {
                    let values = "(?1, 0, 1, 'n', 'e', 'm', 'r', 1, 0, 0, 0, NULL)";
                    it.execute(&format!("INSERT INTO runs VALUES {values}"), [number])?;
                    it.execute(
                        "INSERT INTO judged VALUES (?1, 'file:/a', ?2)",
                        (number, json(&judged(number))),
                    )?;
                    bound(it, limit)
                })
                .unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 500_000);
        let detail = |run: i64| {
            let (_, judged) = store.run(run).unwrap().unwrap();
            assert_eq!(judged[0].changes[0].line, format!("write in run {run}"));
            judged[0].changes[0].detail.clone()
        };
        assert_eq!(detail(1), None);
        assert_eq!(detail(200), judged(200).changes[0].detail);
        // Where nothing is left to drop of them, the oldest runs go, and never the last.
        store.write(|it| bound(it, 1)).unwrap();
        assert_eq!(store.runs(999).unwrap().iter().map(|it| it.id).collect::<Vec<_>>(), [200]);
    }
}

//! Version 1 of what the database holds.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_engine::debt;
use steadfast_model::PromiseId;
use steadfast_system::text::hex;

/// What is known of a service's restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<Debt>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    pub invocation: String,
    /// Promise and digest.
    pub inputs: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    pub action: Action,
    pub cause: String,
    pub invocation: String,
    /// Microseconds since 1970.
    pub since: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Reload,
    Restart,
}

/// The verdict on one promise of one run, or what was begun and not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub promise: String,
    /// `kept`, `repaired`, `not-kept`, `held`; `begun` where the run was cut short.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// `servers/web.yaml:14`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub line: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl From<&debt::Record> for Record {
    fn from(record: &debt::Record) -> Record {
        let debt::Record { baseline, debts, damaged: _ } = record;
        Record {
            baseline: baseline.as_ref().map(|it| {
                let debt::Baseline { invocation, inputs } = it;
                let inputs = inputs.iter().map(|(id, digest)| (id.to_string(), hex(digest)));
                Baseline { invocation: invocation.clone(), inputs: inputs.collect() }
            }),
            debts: debts
                .iter()
                .map(|it| {
                    let debt::Debt { action, cause, invocation, since } = it;
                    Debt {
                        action: match action {
                            debt::Action::Reload => Action::Reload,
                            debt::Action::Restart => Action::Restart,
                        },
                        cause: cause.to_string(),
                        invocation: invocation.clone(),
                        since: *since,
                    }
                })
                .collect(),
        }
    }
}

impl Record {
    /// None where a digest is no digest.
    pub fn into_domain(self) -> Option<debt::Record> {
        let Record { baseline, debts } = self;
        let baseline = match baseline {
            Some(Baseline { invocation, inputs }) => {
                let inputs = inputs
                    .into_iter()
                    .map(|(id, digest)| Some((PromiseId(Arc::from(id)), unhex(&digest)?)))
                    .collect::<Option<_>>()?;
                Some(debt::Baseline { invocation, inputs })
            }
            None => None,
        };
        let debts = debts
            .into_iter()
            .map(|Debt { action, cause, invocation, since }| debt::Debt {
                action: match action {
                    Action::Reload => debt::Action::Reload,
                    Action::Restart => debt::Action::Restart,
                },
                cause: PromiseId(Arc::from(cause)),
                invocation,
                since,
            })
            .collect();
        Some(debt::Record { baseline, debts, damaged: false })
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Clock, Journal, RunHeader};
    use crate::store::Store;
    use rusqlite::Connection;
    use std::path::{Path, PathBuf};
    use steadfast_engine::Ledger as _;
    use steadfast_system::UnitName;

    fn sample(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/formats");
        std::fs::read_to_string(folder.join(name)).unwrap()
    }

    /// Every line of a sample is read and written again as it stands there.
    #[test]
    fn every_record_that_was_ever_stored_is_read() {
        for line in sample("store-1-services.jsonl").lines() {
            let record: Record = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap(), line);
            let domain = record.clone().into_domain().unwrap();
            assert_eq!(Record::from(&domain), record);
        }
        for line in sample("store-1-judged.jsonl").lines() {
            let judged: Judged = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&judged).unwrap(), line);
        }
    }

    /// The whole of a database as SQL: the version, the tables in order, and their rows.
    fn dump(path: &Path) -> String {
        let connection = Connection::open(path).unwrap();
        let texts = |sql: &str| -> Vec<String> {
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        let mut dump = format!("PRAGMA user_version = {version};\n");
        for made in texts("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rootpage") {
            dump.push_str(&format!("{made};\n"));
        }
        for table in ["runs", "judged", "services", "notes"] {
            let columns = texts(&format!("SELECT name FROM pragma_table_info('{table}')"));
            let quoted: Vec<String> = columns.iter().map(|it| format!("quote({it})")).collect();
            let row = quoted.join(" || ', ' || ");
            for row in texts(&format!("SELECT {row} FROM {table} ORDER BY 1")) {
                dump.push_str(&format!("INSERT INTO {table} VALUES ({row});\n"));
            }
        }
        dump
    }

    #[derive(Debug)]
    struct At(i64);

    impl Clock for At {
        fn now(&self) -> i64 {
            self.0
        }
    }

    fn scratch(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("state.db")
    }

    #[test]
    fn every_database_that_was_ever_written_is_read_and_its_next_run_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = scratch(&folder);
        Connection::open(&path).unwrap().execute_batch(&sample("store-1.sql")).unwrap();
        let store = Store::open(&path).unwrap();
        let runs: Vec<_> = store.runs(9).unwrap().iter().map(|it| (it.id, it.counts)).collect();
        assert_eq!(runs, [(2, None), (1, Some([7, 1, 1, 0]))]);
        let (run, judged) = store.run(1).unwrap().unwrap();
        assert_eq!((&*run.node, run.started, run.finished), ("web1", 1_000_000, Some(2_000_000)));
        let written: Vec<String> =
            judged.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
        let lines = sample("store-1-judged.jsonl");
        assert_eq!(written, lines.lines().take(2).collect::<Vec<_>>());
        let nginx = UnitName::parse("nginx").unwrap();
        let record = (&store).record(&nginx);
        assert_eq!((record.debts.len(), record.damaged), (1, false));
        // Written again it is the same to the byte.
        (&mut &store).settle(&nginx, record).unwrap();
        assert_eq!(dump(&path), sample("store-1.sql"));
    }

    /// The tables that are made today are those of the sample.
    #[test]
    fn a_new_database_has_the_tables_of_the_newest_sample() {
        let folder = tempfile::tempdir().unwrap();
        let path = scratch(&folder);
        let store = Store::open(&path).unwrap();
        store.write(|it| it.execute("DELETE FROM notes", [])).unwrap();
        let sample = sample("store-1.sql");
        let tables = sample.find("INSERT").unwrap();
        assert_eq!(dump(&path), sample[..tables]);
    }

    /// The row of a run is written with the words of the sample.
    #[test]
    fn a_run_is_written_as_the_sample_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = scratch(&folder);
        let store = Store::open(&path).unwrap();
        let sources = steadfast_model::SourceSet::default();
        let text = |it: &str| it.to_owned();
        let header = RunHeader {
            started: 3_000_000,
            node: text("web1"),
            environment: text("production"),
            model: text("/srv/model"),
            revision: text("content 0123456789ab"),
        };
        let promises = steadfast_engine::Promises::default();
        // The first number is taken, as it is in the sample.
        let first = "INSERT INTO runs VALUES (1, 0, 0, '', '', '', '', 0, 0, 0, 0)";
        store.write(|it| it.execute(first, [])).unwrap();
        let mut journal = Journal::new(&store, &sources, header, &At(0));
        let event = steadfast_engine::Event::Working { promises: &promises, work: &[] };
        steadfast_engine::Reporter::report(&mut journal, &event);
        let sample = sample("store-1.sql");
        let row = |it: &str| {
            it.lines().find(|it| it.starts_with("INSERT INTO runs VALUES (2")).unwrap().to_owned()
        };
        assert_eq!(row(&dump(&path)), row(&sample));
    }
}

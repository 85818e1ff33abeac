//! Every format that was ever written is read.

use super::v1::{Changer, Judged, Record};
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
    let judged = sample("store-1-judged.jsonl") + &sample("store-3-judged.jsonl");
    for line in judged.lines() {
        let judged: Judged = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&judged).unwrap(), line);
        for changer in judged.changed_by {
            assert_eq!(Changer::from(&changer.clone().into_domain()), changer);
        }
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
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let mut dump = format!("PRAGMA user_version = {version};\n");
    for made in texts("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rootpage") {
        dump.push_str(&format!("{made};\n"));
    }
    for table in [
        "runs",
        "judged",
        "details",
        "services",
        "notes",
        "scopes",
        "undo_ledger",
        "instances",
        "documents",
        "told",
        "happened",
    ] {
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
    for sample in ["store-1.sql", "store-2.sql", "store-3.sql", "store-4.sql", "store-5.sql"] {
        goes_on(sample);
    }
}

fn goes_on(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = scratch(&folder);
    Connection::open(&path).unwrap().execute_batch(&sample(name)).unwrap();
    let store = Store::open(&path).unwrap();
    let runs: Vec<_> = store.runs(9).unwrap().iter().map(|it| (it.id, it.counts)).collect();
    assert_eq!(runs, [(2, None), (1, Some([7, 1, 1, 0]))]);
    let (run, judged) = store.run(1).unwrap().unwrap();
    assert_eq!((&*run.node, run.started, run.finished), ("web1", 1_000_000, Some(2_000_000)));
    let written: Vec<String> = judged.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
    let lines = sample("store-1-judged.jsonl");
    assert_eq!(written, lines.lines().take(2).collect::<Vec<_>>());
    let nginx = UnitName::parse("nginx").unwrap();
    let record = (&store).record(&nginx);
    assert_eq!((record.debts.len(), record.damaged), (1, false));
    (&mut &store).settle(&nginx, record).unwrap();
    // Written again the newest is the same to the byte.
    if name == "store-5.sql" {
        let made = store.made().unwrap();
        assert_eq!(made.len(), 11);
        store.forget_made(&made.iter().map(|it| &it.facet).collect::<Vec<_>>()).unwrap();
        store.begin_run(1, "content 0123456789ab");
        let unit = steadfast_engine::UnitId("component:people/api".into());
        let open = store.open_steps().unwrap();
        assert_eq!(
            open.iter().map(|(it, made)| (it, made.len())).collect::<Vec<_>>(),
            [(&unit, 1)]
        );
        (&mut &store).trace(&made).unwrap();
        assert_eq!(dump(&path), sample(name));
    }
}

/// What version 1 knew of what was made is known still, and nothing of what was there before.
#[test]
fn what_version_1_knew_is_made_and_never_touched() {
    use steadfast_resources::{Facet, FacetState};
    let folder = tempfile::tempdir().unwrap();
    let path = scratch(&folder);
    let old = Connection::open(&path).unwrap();
    old.execute_batch(&sample("store-1.sql")).unwrap();
    for (promise, run) in [
        ("file:/etc/motd", 1),
        ("cron:job", 2),
        ("service:nginx", 3),
        ("package:curl", 4),
        ("user:ann", 5),
        ("group:web", 6),
    ] {
        old.execute("INSERT INTO made VALUES (?1, ?2)", (promise, run)).unwrap();
    }
    drop(old);
    let store = Store::open(&path).unwrap();
    let made = store.made().unwrap();
    let shown: Vec<String> =
        made.iter().map(|it| format!("{} {} {}", it.promise, it.run, it.facet)).collect();
    assert_eq!(
        shown,
        [
            "cron:job 2 /etc/cron.d/job",
            "file:/etc/motd 1 /etc/motd",
            "group:web 6 group web",
            "user:ann 5 user ann",
            "service:nginx 3 that nginx.service runs",
            "package:curl 4 package curl",
        ]
    );
    assert!(made.iter().all(|it| it.before == FacetState::Unknown));
    // It is known once, and a later change to it is known beside that.
    let motd = Facet::Path(steadfast_system::AbsPath::parse("/etc/motd").unwrap());
    let later = steadfast_engine::UndoEntry {
        facet: motd.clone(),
        before: FacetState::There,
        after: FacetState::There,
        ..made[1].clone()
    };
    store.adopt("b").unwrap();
    (&mut &store).trace(&[later]).unwrap();
    assert_eq!(store.made().unwrap()[1].before, FacetState::Unknown);
    assert_eq!(store.made_since("b").unwrap().unwrap()[0].before, FacetState::There);
    assert!(Store::open(&path).unwrap().take_warnings().is_empty());
}

/// The tables that are made today are those of the sample.
#[test]
fn a_new_database_has_the_tables_of_the_newest_sample() {
    let folder = tempfile::tempdir().unwrap();
    let path = scratch(&folder);
    let store = Store::open(&path).unwrap();
    store.write(|it| it.execute("DELETE FROM notes", [])).unwrap();
    let sample = sample("store-5.sql");
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
        commit: None,
    };
    let promises = steadfast_engine::Promises::default();
    // The first number is taken, as it is in the sample.
    let first = "INSERT INTO runs VALUES (1, 0, 0, '', '', '', '', 0, 0, 0, 0, NULL)";
    store.write(|it| it.execute(first, [])).unwrap();
    let mut journal = Journal::new(&store, &sources, header, &At(0));
    let event = steadfast_engine::Event::Working { promises: &promises, work: &[] };
    steadfast_engine::Reporter::report(&mut journal, &event);
    let sample = sample("store-5.sql");
    let row = |it: &str| {
        it.lines().find(|it| it.starts_with("INSERT INTO runs VALUES (2")).unwrap().to_owned()
    };
    assert_eq!(row(&dump(&path)), row(&sample));
}

/// The row that steps are decided by is known after an upgrade of this program.
#[test]
fn what_was_written_of_instances_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = scratch(&folder);
    Connection::open(&path).unwrap().execute_batch(&sample("store-5.sql")).unwrap();
    let store = Store::open(&path).unwrap();
    let api = store.instance("people/api").unwrap().unwrap();
    let release = |it: &Option<steadfast_engine::component::Deployment>| {
        it.as_ref().map(|it| it.release.to_string())
    };
    let row = &api.row;
    assert_eq!(
        [release(&row.current), release(&row.previous)],
        [Some("1.3.0".into()), Some("1.2.0".into())]
    );
    assert_eq!((&*api.directory, api.position.as_deref()), ("/srv/people-api", Some("1.3")));
    assert_eq!(&*api.started["people-api.service"].own, "31c0ffee");
    store.put_instance("people/api", &api).unwrap();
    assert_eq!(dump(&path), sample("store-5.sql"));
}

/// So is what people are told of components.
#[test]
fn what_was_written_of_what_happened_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = scratch(&folder);
    Connection::open(&path).unwrap().execute_batch(&sample("store-5.sql")).unwrap();
    let store = Store::open(&path).unwrap();
    let told = store.told("people/api").unwrap().unwrap();
    assert_eq!((&*told.outcome, told.since), ("held", 1_790_000_000));
    let happened = store.happened("people/api", 10).unwrap();
    let times: Vec<i64> = happened.iter().map(crate::happened::Happened::at).collect();
    assert_eq!(times, [1_780_000_200, 1_780_000_100, 1_780_000_000]);
    let connection = Connection::open(&path).unwrap();
    connection.execute("DELETE FROM happened", []).unwrap();
    for one in happened.iter().rev() {
        store.put_happened("people/api", one).unwrap();
    }
    store.put_told("people/api", &told).unwrap();
    assert_eq!(dump(&path), sample("store-5.sql"));
}

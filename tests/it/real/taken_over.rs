//! The state that 0.1.0 has left on a machine is taken over: all that it knew is still known, no process is
//! restarted that need not be, and the restart that is owed is paid.
//!
//! The sample in `tests/formats/state-0.1.0/` is what lay in `/var/lib/steadfast` of a machine on which that
//! version had done what `set_up` does: its agent kept a model, and then a run by hand was killed between a
//! file and the restart that it asks for. Here this version does the same on another machine, and then the
//! sample takes the place of what this version wrote down. Which process it was and when the debt arose is
//! another thing on every machine; in the sample these stand as `@demo@`, `@worker@` and `@now@`.

use super::lab::installed::{DIRECTORY, ask, installed, is_idle, kept, settings, until, wait_for};
use super::lab::machine::Machine;
use super::lab::model::run;
use super::lab::nspawn;
use super::restarts::{cut_before_the_restart, loaded, process, with_demo};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const STATE: &str = "/var/lib/steadfast";

/// What stays in the model.
const LASTING: &str = "server: web
services:
  demo: { running: true, settle: 0s, validate: [gate] }
  worker:
    running: true
    enabled: true
    settle: 0s
    unit: { content: \"[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n\" }
files:
  /etc/worker.conf: { content: \"for the worker\\n\", restarts: worker }
";

/// What leaves it in the end.
const LEAVING: &str = "  /etc/new: { content: \"ours\\n\" }
  /etc/theirs: { content: \"ours\\n\", mode: \"0644\" }
users:
  deploy: { uid: 2000, comment: Deployments }
cron:
  purge: { schedule: \"*/15 * * * *\", user: root, command: \"true\" }
";

const CONFIGURED: &str =
    "  /etc/demo/demo.conf: { content: \"greeting = hello\\n\", restarts: demo }\n";

/// Puts a model of these parts into the machine.
fn promise(machine: &Machine, parts: &[&str]) {
    let environment = format!(
        "environment: test\nnodes:\n  {}: {{ servers: [web] }}\npolicy: {{ released: restore }}\n",
        Machine::NODE
    );
    machine.server_model(&[
        ("servers/web.yaml", &parts.concat()),
        ("environments/test.yaml", &environment),
    ]);
}

/// A machine whose agent has kept a model, and whose demo server owes a restart. The agent is off.
fn set_up() -> Option<Machine> {
    let machine = installed()?;
    with_demo(&machine);
    machine.sh("printf 'theirs\\n' >/etc/theirs; chmod 0600 /etc/theirs");
    promise(&machine, &[LASTING, CONFIGURED, LEAVING]);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    machine.ok(&["systemctl", "stop", "steadfast"]);
    // Somebody works with another configuration, which that run puts right.
    machine.write("/etc/demo/demo.conf", "greeting = by hand\n");
    machine.ok(&["systemctl", "restart", "demo"]);
    let before = process(&machine, "demo");
    let cut = cut_before_the_restart(&machine);
    assert_eq!(cut.status, 128 + 9, "{cut:#?}");
    assert_eq!(process(&machine, "demo"), before);
    assert_eq!(machine.text("/etc/demo/demo.conf"), "greeting = hello\n");
    assert_eq!(loaded(&machine), "greeting = by hand");
    Some(machine)
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("formats/state-0.1.0")
}

/// Not a test: makes the sample, with the binary of 0.1.0 at `STEADFAST_0_1_0`.
#[test]
#[ignore = "makes the sample anew"]
fn makes_the_sample() {
    let old = std::env::var_os("STEADFAST_0_1_0").expect("STEADFAST_0_1_0 is the binary of 0.1.0");
    nspawn::PROGRAM.set(old.into()).unwrap();
    let machine = set_up().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    machine.sh(&format!("tar -C {STATE} -cf /root/state.tar ."));
    std::fs::write(at("tar"), machine.read("/root/state.tar")).unwrap();
    let sample = sample();
    let _absent = std::fs::remove_dir_all(&sample);
    std::fs::create_dir_all(&sample).unwrap();
    nspawn::must(Command::new("tar").arg("-C").arg(&sample).arg("-xf").arg(at("tar")));
    let mut text = dump(&sample.join("state.db"));
    for unit in ["demo", "worker"] {
        text = text.replace(&process(&machine, unit), &format!("@{unit}@"));
    }
    let (before, after) = text.split_once("\"since\":").expect("a debt");
    let after = after.trim_start_matches(|it: char| it.is_ascii_digit());
    let text = format!("{before}\"since\":@now@{after}");
    assert!(!text.contains("\"since\":1"), "one debt: {text}");
    std::fs::write(sample.join("state.sql"), text).unwrap();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _absent = std::fs::remove_file(sample.join(name));
    }
}

/// The statements that make a database what it is.
fn dump(database: &Path) -> String {
    let connection = rusqlite::Connection::open(database).unwrap();
    let strings = |query: &str| -> Vec<String> {
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut text = String::new();
    for version in
        strings("SELECT 'PRAGMA user_version = ' || user_version FROM pragma_user_version")
    {
        writeln!(text, "{version};").unwrap();
    }
    for statement in strings("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid") {
        writeln!(text, "{statement};").unwrap();
    }
    for table in strings("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid") {
        let columns =
            strings(&format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')"));
        let values = columns.join(" || ', ' || ");
        for row in strings(&format!("SELECT {values} FROM {table}")) {
            writeln!(text, "INSERT INTO {table} VALUES ({row});").unwrap();
        }
    }
    text
}

/// Puts the sample in the place of the state of this machine.
fn replace_state(machine: &Machine) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    nspawn::must(Command::new("cp").arg("-r").arg(sample()).arg(&state));
    let mut text = std::fs::read_to_string(state.join("state.sql")).unwrap();
    std::fs::remove_file(state.join("state.sql")).unwrap();
    for unit in ["demo", "worker"] {
        text = text.replace(&format!("@{unit}@"), &process(machine, unit));
    }
    let now = machine.sh("date +%s%6N");
    let text = text.replace("@now@", now.trim_end());
    let database = rusqlite::Connection::open(state.join("state.db")).unwrap();
    database.execute_batch(&text).unwrap();
    database.close().unwrap();
    let tar = folder.path().join("tar");
    nspawn::must(Command::new("tar").arg("-C").arg(&state).arg("-cf").arg(&tar).arg("."));
    machine.push(&tar, "/root/state.tar", 0o600);
    machine.sh(&format!(
        "rm -rf {STATE}; mkdir -m 0700 {STATE}; cd {STATE}
        tar --no-same-owner -xf /root/state.tar; chmod -R go= {STATE}"
    ));
}

#[test]
fn the_state_of_0_1_0_is_taken_over() {
    let Some(machine) = set_up() else { return };
    replace_state(&machine);
    let (demo, worker) = (process(&machine, "demo"), process(&machine, "worker"));

    // What was done is told, and the run that was killed.
    let history = machine.ok(&["steadfast", "history"]);
    assert!(history.lines().next().unwrap().contains("interrupted"), "{history}");
    let first = machine.ok(&["steadfast", "history", "show", "1"]);
    assert!(first.contains("file:/etc/new") && first.contains("user:deploy"), "{first}");

    // One restart is owed, and nothing else is to be done.
    let dry = run(&machine, &["--dry-run"]);
    let foreseen: Vec<(String, String)> =
        dry.forecasts().into_iter().map(|(promise, change, _)| (promise, change)).collect();
    let owed = ("service:demo", "restart (file:/etc/demo/demo.conf changed)");
    assert_eq!(foreseen, [(owed.0.to_owned(), owed.1.to_owned())], "{dry:#?}");
    let pays = run(&machine, &[]);
    assert_eq!(pays.outcomes(), [("service:demo".to_owned(), "repaired".to_owned())], "{pays:#?}");
    assert_eq!(loaded(&machine), "greeting = hello");
    assert_ne!(process(&machine, "demo"), demo);
    assert_eq!(process(&machine, "worker"), worker);

    // It is paid once; and the agent goes on from where the one before stopped.
    let processes = || [process(&machine, "demo"), process(&machine, "worker")];
    let before = processes();
    let quiet = run(&machine, &[]);
    assert_eq!((quiet.outcomes(), quiet.exit), (vec![], 0), "{quiet:#?}");
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    assert_eq!(processes(), before);

    // What 0.1.0 made is known as its own: it is taken back, to what was there before.
    promise(&machine, &[LASTING, CONFIGURED]);
    ask(&machine);
    until(&machine, "restored", || machine.text("/etc/theirs") == "theirs\n");
    wait_for(&machine, "quiet", |it| is_idle(it) && it["trying"].is_null());
    assert_eq!(machine.ok(&["stat", "-c", "%a", "/etc/theirs"]), "600\n");
    assert!(!machine.exists("/etc/new") && !machine.exists("/etc/cron.d/purge"));
    assert_ne!(machine.run(&["getent", "passwd", "deploy"]).status, 0);
    assert_eq!(processes(), before);
}

//! How fast it is: `cargo bench`. Each case stands beside its floor, measured in the same run: a minimal
//! loop of the same system calls on one thread, without a model. A table is printed; nothing passes or
//! fails by it.
//!
//! This program is also its own helper, so that what it measures starts from a small process: `measure`
//! starts a command again and again, `look` observes and judges without the rest of the program.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark ends at the first thing that goes wrong, and prints"
)]

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../it/real/lab"]
mod real {
    pub(crate) mod installed;
    mod listing;
    pub(crate) mod load;
    pub(crate) mod machine;
    pub(crate) mod nspawn;
}

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../it/require.rs"]
mod require;

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../../crates/steadfast-source/tests/fetch/server.rs"]
mod source_server;

#[path = "../it/artifacts/users.rs"]
mod users;

mod agent;
mod artifacts;
mod floor;
mod growth;
mod models;
mod server;
mod steps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one start of a command took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub wall: Duration,
    pub cpu: Duration,
    /// KiB.
    pub peak: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["measure", times, command @ ..] => measure(times.parse().unwrap(), command),
        ["measure-fed", command @ ..] => measure_one(Command::new(command[0]).args(&command[1..])),
        ["server-files", count, model] => {
            agent::server_files(count.parse().unwrap(), Path::new(model));
        }
        ["drift", times, data] => agent::drift(times.parse().unwrap(), Path::new(data)),
        ["look", model] => look(Path::new(model)),
        ["make-tree", url, sha256, folder, program] => {
            artifacts::make(url, sha256, Path::new(folder), Path::new(program));
        }
        ["look-at-tree", sha256, folder] => artifacts::look(sha256, Path::new(folder)),
        ["floor-server", files @ ..] => server::floor(files),
        // `cargo bench` adds an option of its own; the rest are words of the cases that are wanted.
        other => {
            let wanted: Vec<&str> =
                other.iter().copied().filter(|it| !it.starts_with('-')).collect();
            all(&wanted);
        }
    }
}

fn all(wanted: &[&str]) {
    let program = program();
    real::nspawn::PROGRAM.set(program.clone()).unwrap();
    let folder = tempfile::Builder::new().prefix("steadfast-bench-").tempdir_in(target()).unwrap();
    let bench = Bench { program, folder: folder.path().to_owned() };
    println!(
        "{:<44} {:>10} {:>10} {:>10} {:>7} {:>10} {:>8}",
        "case", "median", "least", "floor", "ratio", "CPU", "peak"
    );
    let cases: [Case; 13] = [
        ("start", start),
        ("model", model),
        ("files", files),
        ("growth", growth),
        ("first", first),
        ("again", growth::again),
        ("drift", growth::drift),
        ("tree", tree),
        ("artifacts", artifacts::bench),
        ("server", server::bench),
        ("steps", steps::bench),
        ("poll", agent::poll),
        ("agent", agent::bench),
    ];
    for (name, case) in cases {
        if wanted.is_empty() || wanted.contains(&name) {
            case(&bench);
        }
    }
}

type Case = (&'static str, fn(&Bench));

pub(crate) struct Bench {
    pub program: PathBuf,
    pub folder: PathBuf,
}

impl Bench {
    /// A command of the program with a state directory of its own.
    fn command<'a>(&'a self, arguments: &[&'a str], state: &'a Path) -> Vec<&'a str> {
        let program = self.program.to_str().unwrap();
        [&[program], arguments, &["--state", state.to_str().unwrap()]].concat()
    }

    /// `steadfast run` over a model, again and again, each time after a floor.
    fn runs(&self, model: &Path, state: &Path, times: usize, floor: &mut dyn FnMut()) -> Line {
        let arguments = ["run", "--model", model.to_str().unwrap(), "--node", "node1"];
        self.compared(&self.command(&arguments, state), times, floor)
    }

    fn compared(&self, command: &[&str], times: usize, floor: &mut dyn FnMut()) -> Line {
        let mut line = Line::default();
        for _ in 0..times {
            let begin = Instant::now();
            floor();
            line.floors.push(begin.elapsed());
            line.taken.extend(measured(1, command));
        }
        line
    }
}

/// All measurements of one case.
#[derive(Default)]
pub(crate) struct Line {
    pub floors: Vec<Duration>,
    pub taken: Vec<Taken>,
}

impl Line {
    pub(crate) fn print(&self, case: &str) {
        let walls: Vec<Duration> = self.taken.iter().map(|it| it.wall).collect();
        let median = middle(&walls);
        let least = walls.iter().min().copied().unwrap_or_default();
        let cpu = middle(&self.taken.iter().map(|it| it.cpu).collect::<Vec<_>>());
        let peak = self.taken.iter().map(|it| it.peak).max().unwrap_or(0);
        let (floor, ratio) = if self.floors.is_empty() {
            (String::new(), String::new())
        } else {
            let floor = middle(&self.floors);
            (ms(floor), format!("{:.2}", median.as_secs_f64() / floor.as_secs_f64()))
        };
        let peak =
            if peak == 0 { String::new() } else { format!("{:.1} MiB", peak as f64 / 1024.0) };
        let (median, least, cpu) = (ms(median), ms(least), ms(cpu));
        println!("{case:<44} {median:>10} {least:>10} {floor:>10} {ratio:>7} {cpu:>10} {peak:>8}");
    }
}

fn middle(all: &[Duration]) -> Duration {
    let mut all = all.to_vec();
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn ms(it: Duration) -> String {
    format!("{:.1} ms", it.as_secs_f64() * 1000.0)
}

/// Starts a command, from a small process, and says what each start took.
pub(crate) fn measured(times: usize, command: &[&str]) -> Vec<Taken> {
    let own = std::env::current_exe().unwrap();
    let times = times.to_string();
    let output = Command::new(own).args(["measure", &times]).args(command).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    parsed(&String::from_utf8(output.stdout).unwrap())
}

pub(crate) fn parsed(lines: &str) -> Vec<Taken> {
    let taken = |line: &str| {
        let numbers: Vec<u64> = line.split(' ').map(|it| it.parse().unwrap()).collect();
        let [wall, cpu, peak] = numbers[..] else { panic!("{line}") };
        Taken { wall: Duration::from_micros(wall), cpu: Duration::from_micros(cpu), peak }
    };
    lines.lines().map(taken).collect()
}

/// Wall time and CPU time in microseconds, and the peak of memory in KiB, a line for each start.
fn measure(times: usize, command: &[&str]) {
    for _ in 0..times {
        measure_one(Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()));
    }
}

fn measure_one(command: &mut Command) {
    let before = cpu_of_children();
    let begin = Instant::now();
    let status = command.status().unwrap();
    let wall = begin.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    let cpu = cpu_of_children() - before;
    println!("{} {} {}", wall.as_micros(), cpu.as_micros(), peak_of_children());
}

/// Of those that were fetched, and of those that they have fetched.
fn cpu_of_children() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |it: nix::sys::time::TimeVal| it.tv_sec() * 1_000_000 + it.tv_usec();
    let all = micros(usage.user_time()) + micros(usage.system_time());
    Duration::from_micros(u64::try_from(all).unwrap())
}

/// Of those that were fetched; this process is smaller than any of them.
fn peak_of_children() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss()).unwrap()
}

fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// The program as packages have it, built where it is not yet; with another profile what that has built; or
/// the one that `STEADFAST_BENCH_PROGRAM` names, for before and after.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("STEADFAST_BENCH_PROGRAM") {
        return program.into();
    }
    if !target().ends_with("release") {
        return target().join("steadfast");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let built = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--profile", "dist", "--package", "steadfast"])
        .status()
        .unwrap();
    assert!(built.success());
    target().with_file_name("dist").join("steadfast")
}

/// From the start of the process to its end with one promise: more than to the first observation.
fn start(bench: &Bench) {
    let (model, data) = models::files(&bench.folder, 1);
    let state = bench.folder.join("state-start");
    bench.runs(&model, &state, 1, &mut || {});
    let mut line = bench.runs(&model, &state, 21, &mut || {});
    line.floors.clear();
    line.print("start and end, one promise, kept");
    drop(data);
}

fn model(bench: &Bench) {
    for count in [10_000, 100_000] {
        let (model, _) = models::files(&bench.folder, count);
        let command = [bench.program.to_str().unwrap(), "check", model.to_str().unwrap()];
        let times = if count > 10_000 { 3 } else { 7 };
        let mut line = bench.compared(&command, times, &mut || floor::read_below(&model));
        line.print(&format!("check a model of {count} promises"));
        line.floors.clear();
    }
}

fn files(bench: &Bench) {
    for (count, times) in [(100, 21), (1_000, 21), (10_000, 11)] {
        let (model, data) = models::files(&bench.folder, count);
        let state = bench.folder.join(format!("state-{count}"));
        bench.runs(&model, &state, 3, &mut || {});
        let mut read = || floor::read_below(&data);
        bench.runs(&model, &state, times, &mut read).print(&format!("{count} files, kept"));
        looked(&model, times, &mut read)
            .print(&format!("{count} files, observing and judging alone"));
        // The same with a model that has changed, as far as the program can tell.
        let mut line = Line::default();
        for _ in 0..5 {
            std::fs::remove_file(state.join("cache/resolved")).unwrap();
            // A program of before may have none.
            let _gone = std::fs::remove_file(state.join("cache/kept"));
            let one = bench.runs(&model, &state, 1, &mut read);
            line.floors.extend(one.floors);
            line.taken.extend(one.taken);
        }
        line.print(&format!("{count} files, kept, the model has changed"));
    }
}

fn growth(bench: &Bench) {
    let count = 100_000;
    let (model, data) = models::files(&bench.folder, count);
    let state = bench.folder.join("state-growth");
    let line = bench.runs(&model, &state, 1, &mut || {});
    Line { floors: vec![], ..line }.print(&format!("{count} files, first converged"));
    bench
        .runs(&model, &state, 3, &mut || floor::read_below(&data))
        .print(&format!("{count} files, kept"));
}

fn first(bench: &Bench) {
    let count = 10_000;
    let (model, data) = models::files(&bench.folder, count);
    let mut line = Line::default();
    for turn in 0..3 {
        let state = bench.folder.join(format!("state-first-{turn}"));
        growth::converge_first(bench, (&model, &data), count, &state, &mut line);
    }
    line.print(&format!("{count} files, first converged, durable"));
    growth::remove_aside(bench);
}

/// Of one tree owner and modes are promised, so that its floor is a walk; of the other one the contents as well, so
/// that its floor opens and reads what is there, without the model.
fn tree(bench: &Bench) {
    let (model, data) = models::tree(&bench.folder);
    let state = bench.folder.join("state-tree");
    bench.runs(&model, &state, 2, &mut || {});
    let mut walk = || floor::walk(&data);
    bench.runs(&model, &state, 11, &mut walk).print("a tree of 20,000 entries, kept");
    let (model, data) = models::tree_of_contents(&bench.folder);
    let state = bench.folder.join("state-contents");
    bench.runs(&model, &state, 2, &mut || {});
    let mut read = || floor::read_below(&data);
    bench.runs(&model, &state, 11, &mut read).print("a tree of 20,000 entries with contents, kept");
}

/// Observing and judging alone, in a process of its own.
fn looked(model: &Path, times: usize, floor: &mut dyn FnMut()) -> Line {
    let own = std::env::current_exe().unwrap();
    let mut line = Line::default();
    for _ in 0..times {
        let begin = Instant::now();
        floor();
        line.floors.push(begin.elapsed());
        let output = Command::new(&own).arg("look").arg(model).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        line.taken.extend(parsed(&String::from_utf8(output.stdout).unwrap()));
    }
    line
}

fn look(path: &Path) {
    use steadfast_engine::{Budget, Circumstances, Observer, promised};
    use steadfast_model::NodeInput;
    use steadfast_model::{SourceSet, document};
    let mut sources = SourceSet::default();
    steadfast_source::read_directory(path, &mut sources).unwrap();
    let (model, _) = document::parse(&sources);
    let facts = serde_json::json!({});
    let input = NodeInput {
        environment: "test",
        node: "node1",
        facts: Some(&facts),
        releases: &BTreeMap::new(),
    };
    let (_, promises, _) = promised::lower(&model, &sources, &input);
    let nowhere = PathBuf::from("/nonexistent");
    let host = steadfast_system::Host::new(steadfast_system::host::Settings {
        state: nowhere.clone(),
        cache: nowhere.clone(),
        secrets: nowhere,
        credentials: None,
        own_files: vec![],
    });
    let store = steadfast_store::Store::nowhere();
    let begin = Instant::now();
    let circumstances = Circumstances { root: true, budget: Budget::default() };
    let assessment =
        steadfast_engine::look(&promises, Observer::ReadOnly(&host), &&store, circumstances);
    let kept = assessment.plan.is_kept();
    let wall = begin.elapsed();
    assert!(kept, "something is not kept");
    println!("{} {} 0", wall.as_micros(), wall.as_micros());
}

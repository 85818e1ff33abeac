//! The daemon in a Debian that is booted in a container: what it costs while nothing happens, and how
//! soon what drifts is repaired. And one question to a source that has no news.

use crate::real::installed;
use crate::real::machine::Machine;
use crate::source_server::{Server, folder};
use crate::{Bench, Line, models, ms};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use steadfast_node::revision::HighestAccepted;
use steadfast_node::wire::FetchTask;

/// What the default intervals make of an hour: twelve questions to the source and two full looks.
const FETCHES: u64 = 12;
const LOOKS: usize = 2;

pub(crate) fn bench(_: &Bench) {
    // A single promise is repaired slowly where it is always broken again, and so is everything where
    // more than thirty repairs begin in a minute: so each file drifts once, one every two seconds.
    for (count, drifts) in [(300, 60), (10_000, 20)] {
        daemon(count, drifts);
    }
}

fn daemon(count: usize, drifts: usize) {
    let Some(machine) = installed::installed() else { return };
    let own = std::env::current_exe().unwrap();
    machine.push(&own, "/usr/local/bin/bench", 0o755);
    machine.sh(&format!("mkdir -p /srv; bench server-files {count} /srv/model"));
    machine.write(
        "/etc/steadfast/agent.yaml",
        "environment: test\nnode: node1\nsource: { directory: /srv/model }\ntrust: none\n\
         intervals: { fetch: 10s, keep: 7d }\n",
    );
    machine.ok(&["systemctl", "start", "steadfast"]);
    let kept = installed::kept(&machine);
    assert_eq!(kept["last_run"]["not_kept"], serde_json::json!([]), "{kept:#}");
    let pid = installed::main_pid(&machine).trim().to_owned();

    let before = cpu(&machine, &pid);
    let begin = Instant::now();
    machine.ok(&["sleep", &(FETCHES * 10).to_string()]);
    for _ in 0..LOOKS {
        machine.ok(&["steadfast", "run"]);
    }
    let hour = cpu(&machine, &pid) - before;
    let status = machine.text(&format!("/proc/{pid}/status"));
    let memory = |key: &str| {
        let line = status.lines().find_map(|it| it.strip_prefix(key)).unwrap();
        let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
        format!("{:.1} MiB", kib / 1024.0)
    };
    println!(
        "an agent that keeps {count} files: resident {}, of its own {}; {FETCHES} questions to the source \
         and {LOOKS} full looks (in {:.0} s, by default in an hour) {:.2} s of CPU",
        memory("VmRSS:"),
        memory("RssAnon:"),
        begin.elapsed().as_secs_f64(),
        hour.as_secs_f64()
    );

    let paths = machine.ok(&["bench", "drift", &drifts.to_string(), "/srv/data"]);
    let mut taken: Vec<Duration> =
        paths.lines().map(|it| Duration::from_micros(it.parse().unwrap())).collect();
    taken.sort();
    let at = |percent: usize| taken[(taken.len() * percent).div_ceil(100).max(1) - 1];
    println!(
        "one of {count} files written over, until it is right again: p50 {}, p99 {}, {} times",
        ms(at(50)),
        ms(at(99)),
        taken.len()
    );
}

/// Of the agent and of its children that have ended: the scheduler's ticks, of which 100 are a second.
fn cpu(machine: &Machine, pid: &str) -> Duration {
    let stat = machine.text(&format!("/proc/{pid}/stat"));
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = fields.split(' ').skip(11).take(4).map(|it| it.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Inside the machine: a model of so many files.
pub(crate) fn server_files(count: usize, model: &Path) {
    let below = Path::new("/srv");
    let (made, data) = models::files(below, count);
    std::fs::rename(made, model).unwrap();
    // Where the paths of the model lead.
    std::os::unix::fs::symlink(data, "/srv/data").unwrap();
}

/// Inside the machine: writes files over, one after the other, and says how many microseconds each took
/// until it was right again.
pub(crate) fn drift(times: usize, data: &Path) {
    let mut paths: Vec<_> = std::fs::read_dir(data).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    let step = (paths.len() / times).max(1);
    for path in paths.iter().step_by(step).take(times) {
        let right = std::fs::read(path).unwrap();
        std::thread::sleep(Duration::from_millis(2_050));
        std::fs::write(path, "somebody was here\n").unwrap();
        let begin = Instant::now();
        while std::fs::read(path).is_ok_and(|it| it != right) {
            assert!(begin.elapsed() < Duration::from_secs(20), "{} stays wrong", path.display());
            std::thread::sleep(Duration::from_micros(200));
        }
        println!("{}", begin.elapsed().as_micros());
    }
}

/// A signed snapshot on a web server with TLS, and a node that has it already. As root it takes the users that the
/// package makes.
pub(crate) fn poll(bench: &Bench) {
    let place = tempfile::Builder::new().prefix("steadfast-poll-").tempdir().unwrap();
    let place = place.path();
    std::fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = Command::new(&bench.program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let (model, _) = models::files(&bench.folder, 300);
    let (key, served) = (place.join("key"), place.join("served"));
    run(&["keys", "create", &text(&key)]);
    run(&[
        "publish",
        &text(&model),
        "--channel",
        "test",
        "--key",
        &text(&key),
        "--output",
        &text(&served),
    ]);
    let server = Server::https(&["127.0.0.1"], folder(served));
    let (url, bytes) = counted(&server.url);
    std::fs::write(place.join("ca.pem"), &server.certificate).unwrap();
    let settings = place.join("agent.yaml");
    let written = format!(
        "environment: test\nsource: {{ snapshot: {{ url: \"{url}/\", ca: {} }} }}\n\
         trust: {{ keys: {}.pub, threshold: 1 }}\n",
        text(&place.join("ca.pem")),
        text(&key)
    );
    std::fs::write(&settings, written).unwrap();
    let (read, _) = steadfast_node::settings::read_file(&settings).unwrap();
    let mut task = FetchTask {
        settings,
        source: read.source,
        highest: HighestAccepted::Fresh,
        model: None,
        wanted: None,
        forced: false,
        keep: vec![],
    };
    let state = place.join("state");
    std::fs::create_dir_all(state.join("cache")).unwrap();
    let ask = |task: &FetchTask| {
        let own = std::env::current_exe().unwrap();
        let mut child = Command::new(own)
            .args([
                "measure-fed",
                &text(&bench.program),
                "internal",
                "fetch",
                "--state",
                &text(&state),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(serde_json::to_string(task).unwrap().as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let first = ask(&task);
    let answer: serde_json::Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    let news = &answer["offer"]["news"];
    assert!(news.is_object(), "{first}");
    task.highest = serde_json::from_value(serde_json::json!({ "at": news })).unwrap();
    let before = (server.count(), bytes.load(Ordering::Relaxed));
    let mut line = Line::default();
    for _ in 0..11 {
        let told = ask(&task);
        let (answer, numbers) = told.split_once('\n').unwrap();
        assert_eq!(answer, "\"unchanged\"");
        line.taken.extend(crate::parsed(numbers));
    }
    line.print("a question without news, snapshot over TLS");
    let requests = server.count() - before.0;
    let bytes = bytes.load(Ordering::Relaxed) - before.1;
    println!(
        "  each {} request and {} bytes, TLS and both directions included",
        requests / 11,
        bytes / 11
    );
}

/// The same server at another address, where what goes to and fro is counted.
fn counted(url: &str) -> (String, Arc<AtomicU64>) {
    let (scheme, address) = url.split_once("://").unwrap();
    let address = address.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    let bytes = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&bytes);
    std::thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let to = TcpStream::connect(&address).unwrap();
            let back = (to.try_clone().unwrap(), from.try_clone().unwrap());
            for (from, to) in [(from, to), back] {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || pass_on(from, to, &seen));
            }
        }
    });
    (format!("{scheme}://{own}"), bytes)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, seen: &AtomicU64) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        seen.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
    let _gone = to.shutdown(Shutdown::Write);
}

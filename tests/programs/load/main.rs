//! A client that loads a web server in the ways that browsers and other services do, and counts what goes wrong. It
//! ends at SIGTERM, and prints one JSON object.
//!
//! ```text
//! steadfast-test-load --to 127.0.0.1:80 --new 2 --kept 2 --idle 4 --long 2 --begun /run/begun
//! ```
//!
//! So many users of each kind ask again and again:
//! - `new`: each request on a connection of its own.
//! - `kept`: one request after the other on one connection.
//! - `idle`: the same, but the connection lies idle between two requests (`--idle-for`, in milliseconds).
//! - `long`: answers that take long (`--long-path`), each on a connection of its own.
//!
//! Once each of them has had a good answer, it makes the file that `--begun` names. A connection that the server
//! closes between two requests is *dropped*: whoever asks on it asks again on another, as clients do. *Failed* is
//! what a user sees:
//! - `refused`: no connection.
//! - `cut`: a connection that ended before its answer did.
//! - `wrong`: another status than 200, or what the server of the tests does not say.
//! - `late`: no answer for ten seconds.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it counted")]

mod connection;
mod counts;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use connection::Connection;
use counts::{Came, Counts, Kind};
use nix::sys::signal::{SigSet, Signal};

/// Nobody loads a server for longer: a test that forgot its client is not to leave it.
const LONGEST: Duration = Duration::from_secs(600);

struct Options {
    to: SocketAddr,
    host: String,
    path: String,
    long_path: String,
    users: [(Kind, usize); 4],
    /// Between two requests of a user.
    every: Duration,
    idle_for: Duration,
    begun: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => Arc::new(options),
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    if let Err(why) = signals.thread_block() {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let counts = Arc::new(Counts::new());
    let ends = Arc::new(AtomicBool::new(false));
    let heeding = Arc::clone(&ends);
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            heeding.store(true, Ordering::SeqCst);
        }
    });
    let kinds = options.users.iter().flat_map(|(kind, many)| std::iter::repeat_n(*kind, *many));
    let users: Vec<_> = kinds
        .map(|kind| {
            let (options, counts, ends) =
                (Arc::clone(&options), Arc::clone(&counts), Arc::clone(&ends));
            counts.expects_one_more();
            std::thread::spawn(move || user(kind, &options, &counts, &ends))
        })
        .collect();
    if let Some(begun) = &options.begun
        && counts.all_have_begun(&ends, LONGEST)
        && let Err(why) = std::fs::write(begun, "")
    {
        eprintln!("{}: {why}", begun.display());
    }
    let ended = users.into_iter().all(|it| it.join().is_ok());
    println!("{}", counts.summary());
    if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(mut given: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        to: SocketAddr::from(([127, 0, 0, 1], 8081)),
        host: "localhost".into(),
        path: "/".into(),
        long_path: "/hold".into(),
        users: [(Kind::New, 0), (Kind::Kept, 0), (Kind::Idle, 0), (Kind::Long, 0)],
        every: Duration::from_millis(5),
        idle_for: Duration::from_millis(300),
        begun: None,
    };
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: {value} is no number"));
        let count = || value.parse::<usize>().map_err(|_| format!("{name}: {value} is no number"));
        match name.as_str() {
            "--to" => options.to = value.parse().map_err(|_| format!("{value}: ADDRESS:PORT"))?,
            "--host" => options.host = value,
            "--path" => options.path = value,
            "--long-path" => options.long_path = value,
            "--new" => options.users[0].1 = count()?,
            "--kept" => options.users[1].1 = count()?,
            "--idle" => options.users[2].1 = count()?,
            "--long" => options.users[3].1 = count()?,
            "--every" => options.every = Duration::from_millis(number()?),
            "--idle-for" => options.idle_for = Duration::from_millis(number()?),
            "--begun" => options.begun = Some(value.into()),
            _ => return Err(format!("{name}: unknown")),
        }
    }
    Ok(options)
}

/// One user, until the end.
fn user(kind: Kind, options: &Options, counts: &Counts, ends: &AtomicBool) {
    let began = Instant::now();
    let mut open: Option<Connection> = None;
    let mut has_begun = false;
    while !ends.load(Ordering::SeqCst) && began.elapsed() < LONGEST {
        let asked = Instant::now();
        let came = ask(kind, options, &mut open, counts);
        let is_good = matches!(came, Came::Good(_));
        counts.count(kind, asked, came);
        if is_good && !has_begun {
            has_begun = true;
            counts.one_has_begun();
        }
        match kind {
            Kind::New | Kind::Long => open = None,
            Kind::Kept | Kind::Idle => {}
        }
        std::thread::sleep(if kind == Kind::Idle { options.idle_for } else { options.every });
    }
}

/// Asks once. On a connection that the server has closed meanwhile it is asked again, on another.
fn ask(kind: Kind, options: &Options, open: &mut Option<Connection>, counts: &Counts) -> Came {
    let path = if kind == Kind::Long { &options.long_path } else { &options.path };
    if let Some(mut kept) = open.take() {
        let came = kept.ask(&options.host, path);
        if !matches!(came, Came::Dropped) {
            *open = Some(kept).filter(|it| it.is_kept());
            return came;
        }
        counts.dropped(kind);
    }
    let mut new = match Connection::open(options.to) {
        Ok(new) => new,
        Err(came) => return came,
    };
    let came = new.ask(&options.host, path);
    if matches!(came, Came::Dropped) {
        return Came::Cut("closed without an answer".into());
    }
    *open = Some(new).filter(|it| it.is_kept());
    came
}

//! A web server that does what its configuration says, also what no server should do: start late, be slow, crash, lie
//! about its health, ignore that it is to end. It is what tests and the example deploy.
//!
//! ```text
//! steadfast-test-server CONFIGURATION
//! ```
//!
//! `/health` answers as its health is, `/hold` takes long, and everything else answers with who it is: a JSON object
//! with its name, release, configuration and flags. `settings.rs` lists what can be configured.
//!
//! It ends as a good server does, unless told otherwise: it accepts no more connections, answers what has been asked,
//! says `Connection: close`, and is gone.
#![expect(clippy::print_stderr, reason = "it tells the journal what goes wrong")]

mod answer;
mod settings;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec};
use settings::{OnHangup, OnTerm, Settings};

/// How soon a connection that is idle notices that the server ends.
const NOTICES: Duration = Duration::from_millis(20);

/// What all connections share.
struct Server {
    path: String,
    settings: RwLock<Settings>,
    began: Instant,
    ends: AtomicBool,
    /// Requests that were begun and are not answered.
    open: AtomicUsize,
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: steadfast-test-server CONFIGURATION");
        return ExitCode::from(2);
    };
    match serve(path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(78) // EX_CONFIG of sysexits.h
        }
    }
}

fn serve(path: String) -> Result<(), String> {
    let settings = Settings::read(&path)?;
    // Before there are threads, which have the mask of the one that starts them.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGHUP);
    signals.thread_block().map_err(|it| it.to_string())?;

    std::thread::sleep(settings.start_after);
    let listener = listener(&settings)?;
    if settings.notify {
        notify("READY=1").map_err(|it| format!("NOTIFY_SOCKET: {it}"))?;
    }
    let server = Arc::new(Server {
        path,
        began: Instant::now(),
        ends: AtomicBool::new(false),
        open: AtomicUsize::new(0),
        settings: RwLock::new(settings),
    });
    if let Some(after) = server.with(|it| it.crash_after) {
        std::thread::spawn(move || {
            std::thread::sleep(after);
            eprintln!("crashing, as it was told to");
            std::process::abort();
        });
    }
    let (woken, wakes) = io::pipe().map_err(|it| it.to_string())?;
    let listening = Arc::clone(&server);
    std::thread::spawn(move || heed(&listening, signals, wakes));
    accept(&server, &listener, &woken)?;
    drop(listener);
    server.finish();
    Ok(())
}

impl Server {
    fn with<T>(&self, look: impl FnOnce(&Settings) -> T) -> T {
        look(&self.settings.read().unwrap_or_else(|it| it.into_inner()))
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::SeqCst)
    }

    /// Waits for what was asked before the end, but not forever.
    fn finish(&self) {
        let end = Instant::now() + self.with(|it| it.grace);
        while self.open.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Reads the configuration anew. One that is wrong leaves the former one.
    fn reload(&self) {
        match Settings::read(&self.path) {
            Ok(new) => {
                *self.settings.write().unwrap_or_else(|it| it.into_inner()) = new;
                eprintln!("has read its configuration again");
            }
            Err(why) => eprintln!("keeps its configuration: {why}"),
        }
    }
}

/// Its own socket, or the first that systemd gives it (sd_listen_fds(3)).
fn listener(settings: &Settings) -> Result<TcpListener, String> {
    let Some(address) = settings.listen else {
        let is_ours =
            std::env::var("LISTEN_PID").is_ok_and(|it| it == std::process::id().to_string());
        if !is_ours || std::env::var("LISTEN_FDS").is_ok_and(|it| it == "0") {
            return Err("systemd gave it no socket".into());
        }
        let own = rustix::process::pidfd_open(
            rustix::process::getpid(),
            rustix::process::PidfdFlags::empty(),
        );
        // A copy of descriptor 3, of which nobody else says that it owns it.
        let copy = own.and_then(|own| {
            rustix::process::pidfd_getfd(own, 3, rustix::process::PidfdGetfdFlags::empty())
        });
        return copy.map(TcpListener::from).map_err(|it| format!("the socket of systemd: {it}"));
    };
    TcpListener::bind(address).map_err(|it| format!("{address}: {it}"))
}

fn notify(state: &str) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    UnixDatagram::unbound()?.send_to(state.as_bytes(), path)?;
    Ok(())
}

/// Does what signals say, for as long as the process lives.
fn heed(server: &Server, signals: SigSet, mut wakes: io::PipeWriter) {
    while let Ok(signal) = signals.wait() {
        let (on_term, on_hangup) = server.with(|it| (it.on_term, it.on_hangup));
        match (signal, on_term, on_hangup) {
            (Signal::SIGHUP, _, OnHangup::Reload) => server.reload(),
            (Signal::SIGHUP, _, OnHangup::Ignore) | (Signal::SIGTERM, OnTerm::Ignore, _) => {}
            (Signal::SIGTERM, OnTerm::Cut, _) => std::process::abort(),
            (_, OnTerm::End | OnTerm::Ignore | OnTerm::Cut, OnHangup::End | _) => {
                server.ends.store(true, Ordering::SeqCst);
                // The one who accepts may be gone.
                drop(wakes.write_all(b"."));
            }
        }
    }
}

/// Takes connections until the end.
fn accept(
    server: &Arc<Server>,
    listener: &TcpListener,
    woken: &io::PipeReader,
) -> Result<(), String> {
    listener.set_nonblocking(true).map_err(|it| it.to_string())?;
    while !server.ends() {
        let mut events = [
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(woken.as_fd(), PollFlags::IN),
        ];
        if rustix::event::poll(&mut events, None::<&Timespec>).is_err() || server.ends() {
            continue;
        }
        let Ok((stream, _)) = listener.accept() else { continue };
        // Until it has asked nothing it is still to be waited for: it has been accepted.
        server.open.fetch_add(1, Ordering::SeqCst);
        let server = Arc::clone(server);
        std::thread::spawn(move || {
            if let Err(why) = talk(&server, stream) {
                eprintln!("a connection ended: {why}");
            }
        });
    }
    Ok(())
}

/// Answers what is asked on one connection.
fn talk(server: &Server, stream: TcpStream) -> io::Result<()> {
    let mut first = Counted { server, is_open: true };
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let mut writing = stream.try_clone()?;
    let mut reading = BufReader::new(stream);
    loop {
        if !is_asked(server, &mut reading, first.is_open)? {
            return Ok(());
        }
        first.begin();
        let Some(path) = request(&mut reading)? else { return Ok(()) };
        let closes = answer::answer(server, &path, &mut writing)?;
        if closes {
            return Ok(());
        }
        first.end();
    }
}

/// A request that is open, and counted once.
struct Counted<'a> {
    server: &'a Server,
    is_open: bool,
}

impl Counted<'_> {
    fn begin(&mut self) {
        if !self.is_open {
            self.server.open.fetch_add(1, Ordering::SeqCst);
            self.is_open = true;
        }
    }

    fn end(&mut self) {
        if self.is_open {
            self.server.open.fetch_sub(1, Ordering::SeqCst);
            self.is_open = false;
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for the next request; `false` where none comes any more. A fresh connection is given the time to ask.
fn is_asked(
    server: &Server,
    reading: &mut BufReader<TcpStream>,
    is_fresh: bool,
) -> io::Result<bool> {
    let fresh_until = Instant::now() + Duration::from_secs(1);
    while reading.buffer().is_empty() {
        let patience = Timespec { tv_sec: 0, tv_nsec: NOTICES.subsec_nanos().into() };
        let ends = server.ends() && (!is_fresh || Instant::now() > fresh_until);
        let mut events = [PollFd::from_borrowed_fd(reading.get_ref().as_fd(), PollFlags::IN)];
        if rustix::event::poll(&mut events, Some(&patience))? > 0 {
            return Ok(!reading.fill_buf()?.is_empty());
        }
        if ends {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The path of a request; none where its head is no request, or too long.
fn request(reading: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut head = reading.take(16_384);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let path = line.split(' ').nth(1).map(str::to_owned);
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            return Ok(path);
        }
    }
}

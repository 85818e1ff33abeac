//! The shell around the state machine: one loop over one channel. It performs the machine's actions and
//! brings it what happens, and decides nothing. Whatever is heavy (fetching, resolving, running) is done
//! by a child of the same program, so that the memory of it goes back.

#![expect(clippy::disallowed_methods, reason = "this is the part of the agent that acts")]

mod acts;
mod binary;
mod children;
mod event;
mod record;
mod revisions;
mod signals;
mod socket;
mod units;
mod watch;
mod writers;

use crate::api::v1;
use crate::logging::one_line;
use crate::machine::{Action, Agent, Answer, Client, Config, Input, Request, RunResult, Shutdown};
use crate::memory::{Memory, Unreadable};
use crate::metrics;
use event::{Event, Reply};
use jiff::{SignedDuration, Timestamp};
use record::Record;
use sd_notify::NotifyState;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::PromiseId;
use steadfast_node::revision::Revision;
use steadfast_node::settings::{self, Settings, SettingsError};
use steadfast_node::wire::Report;
use steadfast_store::{Layout, LockError, RunLock, state_files};
use steadfast_system::attribution::Group;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub use signals::hold as hold_signals;

/// What the agent is given at its start.
#[derive(Debug)]
pub struct Setup {
    /// Where this program lies, to see when there is another one.
    pub program: PathBuf,
    pub settings: PathBuf,
    pub layout: Layout,
    /// `--state`, as the children are to be told.
    pub state: Option<PathBuf>,
    /// The name of this machine, where the settings do not say one.
    pub host: String,
    /// What its children are to tell of what they do, as `STEADFAST_LOG` has it.
    pub filter: Option<String>,
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// What tells who changes a file, or why nobody does.
    pub writers: Result<Arc<Group>, String>,
}

/// How the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Stopped,
    /// Another binary lies in the place of this one: become it.
    Reexecute,
}

#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error("another agent is running: {holder}")]
    Running { holder: String },
    #[error("take the agent's lock")]
    Lock(#[source] LockError),
    #[error("read the agent's memory {path}")]
    Memory {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("{0}: this program is older than its state")]
    Newer(Unreadable),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("start the agent's loop")]
    Runtime(#[source] std::io::Error),
    #[error("open the agent's socket {path}")]
    Socket {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
}

/// The longest sleep, so that a clock that was set is noticed.
const NAP: Duration = Duration::from_secs(60);
/// A difference between the clocks that is no mere slewing.
const JUMP: SignedDuration = SignedDuration::from_secs(2);

/// Reads the agent's memory without touching it: for commands beside an agent.
pub fn read_memory(state: &Path) -> Result<(Memory, Vec<Unreadable>), ShellError> {
    let [first, second] = state_files::copies(state);
    let read = |path: PathBuf| {
        state_files::read(&path).map_err(|err| ShellError::Memory { path: path.clone(), err })
    };
    let (first, second) = (read(first)?, read(second)?);
    Ok(Memory::read([first.as_deref(), second.as_deref()]))
}

/// Runs the agent until it is told to end.
pub fn run(setup: Setup) -> Result<Ended, ShellError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ShellError::Runtime)?;
    runtime.block_on(begin(setup))
}

async fn begin(setup: Setup) -> Result<Ended, ShellError> {
    let _lock =
        RunLock::take(&setup.layout.agent_lock(), "steadfast agent").map_err(|err| match err {
            LockError::Held { holder } => ShellError::Running { holder },
            create @ LockError::Create { .. } => ShellError::Lock(create),
        })?;
    let memory = recall(&setup.layout.state)?;
    let (settings, warnings) = settings::read_file(&setup.settings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let (send, receive) = mpsc::channel(256);
    let now = Timestamp::now();
    let seed = seed(&setup.host, now);
    let agent = Agent::new(Config::from_settings(&settings, &setup.host), memory, seed, now);
    let socket = socket::open(&setup.layout.socket(), &settings.group)
        .map_err(|err| ShellError::Socket { path: setup.layout.socket(), err })?;
    tokio::spawn(socket::serve(socket, send.clone()));
    signals::listen(&send).map_err(ShellError::Runtime)?;
    let children = children::Alive::default();
    let writers = writers::Writers::new(setup.writers.clone(), children.clone());
    let mut shell = Shell {
        binary: binary::Binary::running(&setup.program),
        children,
        watches: watch::Watches::new(send.clone()),
        writers,
        metrics: None,
        watched: None,
        touched: BTreeSet::new(),
        running: false,
        told: BTreeSet::new(),
        clients: BTreeMap::new(),
        next_client: 0,
        wake: Instant::now(),
        status_line: String::new(),
        setup,
        settings,
        agent,
        send,
    };
    shell.listen();
    shell.step(Input::Woke);
    tell(NotifyState::Ready);
    let ended = shell.turn(receive).await;
    // What is new can be asked for again; nothing of ours is left behind.
    shell.children.end();
    match ended {
        Ended::Stopped => tell(NotifyState::Stopping),
        // The service goes on. Told otherwise, systemd would end it once it took too long to stop.
        Ended::Reexecute => {}
    }
    let _gone = std::fs::remove_file(shell.setup.layout.socket());
    Ok(ended)
}

/// Both copies of the memory; one that is damaged is set aside, and a newer one left alone.
fn recall(state: &Path) -> Result<Memory, ShellError> {
    let (memory, problems) = read_memory(state)?;
    if let Some(newer) = problems.iter().find(|it| match it {
        Unreadable::Newer { .. } => true,
        Unreadable::Damaged => false,
    }) {
        return Err(ShellError::Newer(newer.clone()));
    }
    if !problems.is_empty() {
        for path in state_files::copies(state) {
            let good = state_files::read(&path)
                .ok()
                .flatten()
                .is_none_or(|it| Memory::read([Some(&it), None]).1.is_empty());
            if good {
                continue;
            }
            match state_files::set_aside(&path) {
                Ok(aside) => tracing::warn!(
                    "{} is damaged; it was set aside as {}",
                    path.display(),
                    aside.display()
                ),
                Err(err) => {
                    let path = path.display();
                    tracing::warn!("{path} is damaged and stays: {err}");
                }
            }
        }
    }
    Ok(memory)
}

/// Something that differs between machines and between starts.
fn seed(host: &str, now: Timestamp) -> u64 {
    let start = now.as_microsecond().unsigned_abs() ^ u64::from(std::process::id());
    host.bytes().fold(start, |seed, byte| seed.rotate_left(7) ^ u64::from(byte))
}

struct Shell {
    setup: Setup,
    settings: Settings,
    agent: Agent,
    send: mpsc::Sender<Event>,
    binary: binary::Binary,
    children: children::Alive,
    watches: watch::Watches,
    writers: writers::Writers,
    metrics: Option<(Arc<str>, tokio::task::JoinHandle<()>)>,
    /// The revision whose promises are watched.
    watched: Option<Revision>,
    /// What was touched while a run of ours was touching things: it is looked at once after it.
    touched: BTreeSet<PromiseId>,
    running: bool,
    /// What was said to be not kept.
    told: BTreeSet<String>,
    clients: BTreeMap<u64, oneshot::Sender<Reply>>,
    next_client: u64,
    wake: Instant,
    status_line: String,
}

impl Shell {
    async fn turn(&mut self, mut receive: mpsc::Receiver<Event>) -> Ended {
        let mut clocks = (Timestamp::now(), Instant::now());
        let ping = sd_notify::watchdog_enabled().map_or(NAP, |it| it / 2);
        loop {
            let until = self.wake.min(Instant::now() + NAP.min(ping));
            let event = tokio::time::timeout_at(until, receive.recv()).await;
            tell(NotifyState::Watchdog);
            let now = (Timestamp::now(), Instant::now());
            let by = now.0.duration_since(clocks.0)
                - SignedDuration::try_from(now.1 - clocks.1).unwrap_or_default();
            clocks = now;
            let mut ended = None;
            if by.abs() > JUMP {
                ended = self.step(Input::ClockJumped { by });
            }
            let next = match event {
                Ok(Some(event)) => self.happened(event),
                // There is always a sender: this one's own.
                Ok(None) => Some(Ended::Stopped),
                Err(_) if Instant::now() >= self.wake => self.step(Input::Woke),
                Err(_) => None,
            };
            match next.or(ended) {
                Some(Ended::Stopped) => return Ended::Stopped,
                Some(Ended::Reexecute) if signals::asked_to_end(&mut receive).await => {
                    // Work is not under way, or it would not be time to become another.
                    let _stopped = self.happened(Event::Terminate);
                    return Ended::Stopped;
                }
                Some(Ended::Reexecute) => return Ended::Reexecute,
                None => {}
            }
        }
    }

    fn happened(&mut self, event: Event) -> Option<Ended> {
        match event {
            Event::Input(input) => {
                let ended = matches!(input, Input::RunEnded { .. });
                if let Input::RunEnded { revision: _, result } = &input {
                    self.writers.run_ends(result, &self.watches);
                }
                if let Input::RunEnded { revision, result: RunResult::Finished(report) } = &input {
                    self.tell(revision, report);
                }
                if ended {
                    self.running = false;
                }
                let mut left = self.step(input);
                if ended {
                    left = left.or_else(|| self.after_run());
                }
                left
            }
            Event::Watch { revision, watched } => {
                self.watches.set(watched, &mut self.writers);
                self.watched = Some(revision);
                None
            }
            Event::Said { level, words } => {
                children::pass_on(level, &words);
                None
            }
            Event::Ask { request, reply } => self.ask(request, reply),
            Event::Touched(touches) => {
                self.writers.take(&self.watches);
                let promises = self.watches.promises(&touches);
                if promises.is_empty() {
                    return None;
                }
                self.writers.touched(&promises);
                if self.running {
                    self.touched.extend(promises);
                    return None;
                }
                self.step(Input::Drift { promises })
            }
            Event::Hangup => {
                self.reload();
                let client = Client(self.client());
                self.step(Input::Asked { by: client, request: Request::Run { only: None } })
            }
            Event::Upgraded => self.look_at_binary(),
            Event::Terminate => {
                tracing::info!("asked to end");
                self.step(Input::Shutdown(Shutdown::Stop))
            }
        }
    }

    /// What a run did, for the journal; what it could not do only where that is news.
    fn tell(&mut self, revision: &Revision, report: &Report) {
        for line in &report.undone {
            tracing::info!(notice = true, "took back {line}");
        }
        for line in &report.told {
            tracing::info!(notice = true, "{line}");
        }
        for line in &report.left {
            tracing::warn!("left as it is: {line}");
        }
        for promise in &report.repaired {
            let who = self.writers.changer_of(promise);
            Record::repaired(promise, revision, who).tell();
        }
        for broken in &report.not_kept {
            let record = Record::not_kept(broken, revision);
            if !self.told.contains(&record.words) {
                record.tell();
            }
            self.told.insert(record.words);
        }
        if report.not_kept.is_empty() || self.told.len() > 1_000 {
            self.told.clear();
        }
    }

    /// Our own writes are no drift; what others wrote meanwhile is looked at once.
    fn after_run(&mut self) -> Option<Ended> {
        self.touched.extend(self.watches.refresh(&mut self.writers));
        let promises: Vec<PromiseId> = std::mem::take(&mut self.touched).into_iter().collect();
        if !promises.is_empty()
            && let Some(ended) = self.step(Input::Drift { promises })
        {
            return Some(ended);
        }
        self.look_at_binary()
    }

    fn look_at_binary(&mut self) -> Option<Ended> {
        match self.binary.look(&self.setup.program) {
            binary::Look::Same => None,
            binary::Look::Broken(words) => {
                let words = format!("the new binary does not work, so this one stays: {words}");
                tracing::error!("{words}");
                None
            }
            binary::Look::Works => {
                tracing::info!("a new binary is installed: it takes over");
                self.step(Input::Shutdown(Shutdown::Reexecute))
            }
        }
    }

    fn client(&mut self) -> u64 {
        self.next_client += 1;
        self.next_client
    }

    fn ask(&mut self, request: v1::Request, reply: oneshot::Sender<Reply>) -> Option<Ended> {
        let now = Timestamp::now();
        match request {
            v1::Request::Status {} => {
                let mut status = v1::Status::from(&self.agent.status(now));
                revisions::name(&mut status, &self.setup.layout.revisions());
                // Plain data, whose serialization cannot fail.
                let text = serde_json::to_string(&status).unwrap_or_default();
                let _gone = reply.send(Reply::Status(text));
                None
            }
            v1::Request::Metrics {} => {
                let text = metrics::text(&self.agent.status(now), now);
                let _gone = reply.send(Reply::Metrics(text));
                None
            }
            other @ (v1::Request::Run { .. }
            | v1::Request::Adopt { .. }
            | v1::Request::Suspend { .. }
            | v1::Request::Resume {}
            | v1::Request::Reload {}) => {
                let request = other.into_domain()?;
                let by = self.client();
                self.clients.insert(by, reply);
                self.step(Input::Asked { by: Client(by), request })
            }
        }
    }

    /// Gives the machine an input, and does what it says; also what follows from that.
    fn step(&mut self, input: Input) -> Option<Ended> {
        let mut inputs = VecDeque::from([input]);
        let mut ended = None;
        while let Some(input) = inputs.pop_front() {
            tracing::debug!(input = input.word(), "something has happened");
            let mut stored = true;
            for action in self.agent.handle(input, Timestamp::now()) {
                let anyway = matches!(action, Action::WakeAt(_) | Action::Store(_));
                if !stored && !anyway {
                    if let Action::Reply { to, answer: _ } = action {
                        let words = "what the agent must not forget cannot be stored".to_owned();
                        self.reply(to, Answer::Refused(words));
                    }
                    continue;
                }
                match action {
                    Action::Store(memory) => {
                        if let Err(err) = store(&self.setup.layout.state, &memory) {
                            stored = false;
                            inputs.push_front(Input::NotStored { why: err.to_string() });
                        }
                    }
                    Action::Reload => inputs.extend(self.reloaded()),
                    Action::Shutdown(Shutdown::Stop) => ended = Some(Ended::Stopped),
                    Action::Shutdown(Shutdown::Reexecute) => ended = Some(Ended::Reexecute),
                    other @ (Action::Fetch { .. }
                    | Action::Prepare { .. }
                    | Action::Run(_)
                    | Action::GoBack { .. }
                    | Action::Note(_)
                    | Action::Reply { .. }
                    | Action::WakeAt(_)) => self.perform(other),
                }
            }
        }
        self.say_status();
        self.write_textfile();
        ended
    }

    fn reply(&mut self, to: Client, answer: Answer) {
        if let Some(reply) = self.clients.remove(&to.0) {
            let _gone = reply.send(Reply::Answer(answer.into()));
        }
    }

    fn reload(&mut self) {
        if let Some(input) = self.reloaded() {
            self.step(input);
        }
    }

    /// The settings as they are now; where they have errors, those that hold go on.
    fn reloaded(&mut self) -> Option<Input> {
        match settings::read_file(&self.setup.settings) {
            Ok((settings, warnings)) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                if settings.group != self.settings.group {
                    let path = self.setup.layout.socket();
                    socket::admit(&path, &settings.group);
                }
                self.settings = settings;
                self.listen();
                tracing::info!("the settings were read again");
                Some(Input::Configured(Config::from_settings(&self.settings, &self.setup.host)))
            }
            Err(error) => {
                let words = format!("the settings that were read before still hold: {error}");
                tracing::error!("{words}");
                None
            }
        }
    }

    /// Serves metrics on the address that the settings name.
    fn listen(&mut self) {
        let wanted = self.settings.listen.clone();
        if self.metrics.as_ref().map(|(address, _)| address) == wanted.as_ref() {
            return;
        }
        if let Some((_, task)) = self.metrics.take() {
            task.abort();
        }
        let Some(address) = wanted else { return };
        match socket::listen(&address) {
            Ok(listener) => {
                let task = tokio::spawn(socket::serve_metrics(listener, self.send.clone()));
                self.metrics = Some((address, task));
            }
            Err(err) => {
                let words = format!("metrics cannot be served on {address}: {err}");
                tracing::warn!("{words}");
            }
        }
    }

    fn write_textfile(&self) {
        let Some(path) = &self.settings.textfile else { return };
        let now = Timestamp::now();
        let text = metrics::text(&self.agent.status(now), now);
        let path = Path::new(&**path);
        let new = path.with_extension("prom.new");
        // It is about the past the next moment: a failure is not worth more than the missing numbers.
        if std::fs::write(&new, text).is_ok() {
            let _shown = std::fs::rename(&new, path);
        }
    }

    /// The line that `systemctl status` shows.
    fn say_status(&mut self) {
        let status = self.agent.status(Timestamp::now());
        let mut line = if let Some(suspension) = &status.suspended {
            format!("suspended: {}", suspension.reason)
        } else if let Some(missing) = status.missing.first() {
            format!("waits for the setting {missing}")
        } else if let Some(adopted) = &status.adopted {
            let mut line = format!("keeps {}", adopted.revision);
            if let Some(run) = &status.last_run {
                let (not_kept, held) = (run.not_kept.len(), run.held.len());
                line += &format!(
                    ": {} kept, {not_kept} not kept, {held} held",
                    run.kept + run.repaired
                );
            }
            line
        } else {
            "waits for a first revision".to_owned()
        };
        if let (None, Some(refusal)) = (&status.adopted, &status.refusal) {
            line += &format!("; {refusal}");
        }
        if status.unsigned {
            line += " (unsigned)";
        }
        if line != self.status_line {
            tell(NotifyState::Status(&one_line(&line)));
            if self.status_line.is_empty() {
                tracing::info!("{line}");
            }
            self.status_line = line;
        }
    }
}

fn store(state: &Path, memory: &Memory) -> std::io::Result<()> {
    let bytes = memory.to_bytes();
    for path in state_files::copies(state) {
        state_files::write(&path, &bytes)?;
    }
    Ok(())
}

/// Tells systemd how it goes, where it wants to know: sd_notify(3).
fn tell(state: NotifyState<'_>) {
    // A manager that is gone is no reason to stop.
    let _unheard = sd_notify::notify(&[state]);
}

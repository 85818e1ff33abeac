//! The agent's children: the same program, with a task on standard input, a time limit, and lines of JSON
//! in return. Each has a session of its own, whose process group ends as a whole.

use super::began::Began;
use super::event::Event;
use crate::logging::{self, Level, one_line, tell_at};
use crate::machine::RunResult;
use rustix::process::{Pid, Signal, WaitOptions};
use serde::Serialize;
use std::collections::{HashSet, VecDeque};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use steadfast_child::Apart;
use steadfast_node::wire::{
    FetchTask, Fetched, OURSELVES, PrepareAnswer, PrepareTask, RunLine, RunTask,
};
use steadfast_node::wire::{Offer, Prepared, Refusal};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc::Sender;
use tracing::Instrument as _;

/// What a fetch may take beside its transfer, which has a limit of its own.
const FETCH: Duration = Duration::from_secs(5 * 60);
const PREPARE: Duration = Duration::from_secs(10 * 60);
/// Installing a distribution's worth of packages takes long; never ending is not long.
const RUN: Duration = Duration::from_secs(4 * 3_600);
/// Between being asked to end and being ended.
const GRACE: Duration = Duration::from_secs(10);
/// What a child says on standard error and is remembered for the case that it crashes.
const LAST_WORDS: usize = 5;

/// Starts children, one for each task.
#[derive(Debug)]
pub(super) struct Starter {
    pub state: Option<PathBuf>,
    pub credentials: Option<PathBuf>,
    /// What they are to tell of what they do.
    pub filter: Option<String>,
    pub alive: Alive,
}

/// What a child is started for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Fetch,
    Prepare,
    Run,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Fetch => "fetch",
            Kind::Prepare => "prepare",
            Kind::Run => "run",
        }
    }

    /// Where memory runs out, whatever only looks at something new goes before the agent does. A run that is
    /// cut off leaves things half done.
    fn apart(self) -> Apart {
        match self {
            Kind::Fetch | Kind::Prepare => Apart::new().expendable(500),
            Kind::Run => Apart::new(),
        }
    }
}

/// The children that have not ended, by their process groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Alive(Arc<Mutex<HashSet<Pid>>>);

impl Alive {
    fn with<T>(&self, act: impl FnOnce(&mut HashSet<Pid>) -> T) -> T {
        // A set of numbers is whole whatever happened to who held it.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this process group is one of them.
    pub(super) fn leads(&self, group: i32) -> bool {
        // A process that is about to end has the number -1 for its group, which is no number of one.
        let group = (group > 0).then(|| Pid::from_raw(group)).flatten();
        group.is_some_and(|it| self.with(|all| all.contains(&it)))
    }

    #[cfg(test)]
    pub(super) fn add(&self, group: i32) {
        self.with(|all| all.extend(Pid::from_raw(group)));
    }

    /// Ends them all.
    pub(super) fn end(&self) {
        for pid in self.with(std::mem::take) {
            end(Some(pid), Signal::KILL);
            let _reaped = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

/// How a child ended, and the last that it said.
struct Finished {
    status: ExitStatus,
    words: String,
    out_of_time: bool,
}

impl Finished {
    fn words(&self) -> String {
        let how =
            if self.out_of_time { "it took too long".to_owned() } else { self.status.to_string() };
        if self.words.is_empty() { how } else { format!("{how}: {}", self.words) }
    }
}

impl Starter {
    pub(super) async fn fetch(
        &self,
        task: &FetchTask,
        timeout: Duration,
    ) -> Result<Result<Option<Offer>, Refusal>, String> {
        let mut answer = None;
        let limit = FETCH + 2 * timeout;
        let finished = self
            .work(Kind::Fetch, task, limit, |line| {
                answer = serde_json::from_str::<Fetched>(line).ok().or(answer.take());
            })
            .await?;
        match answer {
            Some(Fetched::Unchanged) => Ok(Ok(None)),
            Some(Fetched::Offer(offer)) => Ok(Ok(Some(offer))),
            Some(Fetched::Refused(refusal)) => Ok(Err(refusal)),
            None => Err(format!("fetching ended without a result: {}", finished.words())),
        }
    }

    pub(super) async fn prepare(&self, task: &PrepareTask) -> Result<Prepared, Vec<String>> {
        let mut answer = None;
        let finished = self
            .work(Kind::Prepare, task, PREPARE, |line| {
                answer = serde_json::from_str::<PrepareAnswer>(line).ok().or(answer.take());
            })
            .await;
        match (answer, finished) {
            (Some(PrepareAnswer::Prepared(prepared)), _) => Ok(prepared),
            (Some(PrepareAnswer::Problems(problems)), _) => Err(problems),
            (None, Ok(finished)) => Err(vec![format!("checking it crashed: {}", finished.words())]),
            (None, Err(words)) => Err(vec![words]),
        }
    }

    pub(super) async fn run(&self, task: &RunTask, send: &Sender<Event>) -> RunResult {
        let began = Began::now();
        let mut result = None;
        let mut watched = vec![];
        let finished = self
            .work(Kind::Run, task, RUN, |line| match serde_json::from_str(line) {
                Ok(RunLine::Watch(one)) => watched.push(one),
                Ok(RunLine::Report(report)) => result = Some(RunResult::Finished(report)),
                Ok(RunLine::Busy(words)) => result = Some(RunResult::Busy(words)),
                Ok(RunLine::NotStarted(words)) => result = Some(RunResult::NotStarted(words)),
                Err(_) => {}
            })
            .await;
        let ran = match (&result, &finished) {
            (Some(RunResult::Finished(_)), _) => true,
            (Some(_) | None, _) => false,
        };
        if task.watch && ran {
            let event = Event::Watch { revision: task.revision.clone(), began, watched };
            let _closed = send.send(event).await;
        } else if task.only.is_none() && ran {
            let _closed = send.send(Event::LookedAtAll { began }).await;
        }
        match (result, finished) {
            (Some(result), _) => result,
            (None, Ok(finished)) => RunResult::Crashed(finished.words()),
            (None, Err(words)) => RunResult::NotStarted(words),
        }
    }

    /// Starts a child, gives it its task, hears each line of its answer, and sees it end.
    async fn work(
        &self,
        kind: Kind,
        task: &impl Serialize,
        limit: Duration,
        mut line: impl FnMut(&str),
    ) -> Result<Finished, String> {
        let name = kind.name();
        let failed = |err: std::io::Error| format!("start `steadfast internal {name}`: {err}");
        let mut child = self.command(kind).spawn().map_err(failed)?;
        let group = child.id().and_then(|it| i32::try_from(it).ok()).and_then(Pid::from_raw);
        tracing::debug!(task = name, group = group.map(Pid::as_raw_pid), "a child has started");
        self.alive.with(|it| it.extend(group));
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let errors = tokio::spawn(hear(child.stderr.take()).in_current_span());
        // Plain data, whose serialization cannot fail.
        let task = serde_json::to_vec(task).unwrap_or_default();
        let talk = async {
            if let Some(mut input) = input {
                // A child that has died already is found out below.
                let _written = input.write_all(&task).await;
            }
            if let Some(output) = output {
                let mut lines = BufReader::new(output).lines();
                while let Ok(Some(text)) = lines.next_line().await {
                    line(&text);
                }
            }
        };
        let in_time = tokio::time::timeout(limit, talk).await.is_ok();
        let (status, in_time) = wait(&mut child, group, in_time).await.map_err(failed)?;
        self.alive.with(|it| group.map(|group| it.remove(&group)));
        tracing::debug!(task = name, %status, in_time, "a child has ended");
        let words = match tokio::time::timeout(GRACE, errors).await {
            Ok(words) => words.unwrap_or_default(),
            Err(_) => String::new(),
        };
        Ok(Finished { status, words, out_of_time: !in_time })
    }

    /// This program again, with surroundings that say nothing it was not told.
    #[expect(clippy::disallowed_methods, reason = "the agent starts itself, and nothing else here")]
    fn command(&self, kind: Kind) -> Command {
        let mut command = std::process::Command::new(OURSELVES);
        command.arg0("steadfast").args(["internal", kind.name()]).env_clear();
        if let Some(state) = &self.state {
            command.arg("--state").arg(state);
        }
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C");
        if let Some(filter) = &self.filter {
            command.env(logging::VARIABLE, filter);
        }
        if let Some(folder) = &self.credentials {
            command.env("CREDENTIALS_DIRECTORY", folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.current_dir("/");
        kind.apart().set_on(&mut command);
        Command::from(command)
    }
}

/// Passes on what a child says on standard error; returns the last of it that may say why it crashed.
async fn hear(errors: Option<ChildStderr>) -> String {
    let mut last = VecDeque::new();
    let Some(errors) = errors else { return String::new() };
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (level, words) = Level::split_prefix(&line);
        let words = one_line(words);
        match level {
            Level::Error | Level::Warning => last.push_back(words.clone()),
            // What is going on is no reason.
            Level::Notice | Level::Info | Level::Debug => {}
        }
        pass_on(level, &words);
        if last.len() > LAST_WORDS {
            last.pop_front();
        }
    }
    Vec::from(last).join("; ")
}

/// Until a child has ended, by itself or because it must. Whether it was in time.
async fn wait(
    child: &mut Child,
    group: Option<Pid>,
    in_time: bool,
) -> std::io::Result<(ExitStatus, bool)> {
    if in_time && let Ok(ended) = tokio::time::timeout(GRACE, child.wait()).await {
        return Ok((ended?, true));
    }
    end(group, Signal::TERM);
    if let Ok(ended) = tokio::time::timeout(GRACE, child.wait()).await {
        return Ok((ended?, false));
    }
    end(group, Signal::KILL);
    Ok((child.wait().await?, false))
}

/// What a child has said: it has passed the filter of the child.
fn pass_on(level: Level, words: &str) {
    tell_at!(level, [target: logging::CHILD,], "{words}");
}

fn end(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _gone = rustix::process::kill_process_group(group, signal);
    }
}

//! Starting another program: with a time limit, a cleared environment, `LC_ALL=C`, bounded output, no
//! terminal, and a session of its own, whose process group ends as a whole.

use crate::{ErrorKind, SystemError, text};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{IntoRawFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};
use steadfast_child::{Apart, User};

/// What a program may print before the rest is dropped: 1 MiB for each of its two outputs.
const MAX_OUTPUT: usize = 1024 * 1024;

/// How long its outputs may still be held, by what it started or by whoever else opened them, once a
/// program has ended.
const AFTER_ITS_END: Duration = Duration::from_secs(1);
/// How often a kernel without descriptors of processes (before 5.3) is asked whether it has ended.
const PACE: Duration = Duration::from_millis(20);

/// Where programs are looked for; the caller's PATH is not asked.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to be started.
#[derive(Clone, Debug)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    timeout: Duration,
    folder: Option<OsString>,
    apart: Apart,
    kills: bool,
    tells_arguments: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Finished {
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Anything but exit code 0 as an error with its first words; `name` is the program's.
    pub fn succeeded(self, name: &str) -> Result<Finished, SystemError> {
        if self.success() {
            return Ok(self);
        }
        let (how, words) = (self.ending(name), self.words());
        Err(if words.is_empty() {
            SystemError::new(ErrorKind::Command, how)
        } else {
            SystemError::new(ErrorKind::Command, words).during(how)
        })
    }

    /// How it ended: `sh exited with 3`.
    pub(crate) fn ending(&self, name: &str) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("{name} exited with {code}"),
            (None, Some(signal)) => format!("{name} was ended by signal {signal}"),
            (None, None) => format!("{name} failed"),
        }
    }

    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The first lines of what it said, without control characters, for an error: standard error, or
    /// standard output where that is empty.
    pub fn words(&self) -> String {
        let said = if self.stderr.iter().all(u8::is_ascii_whitespace) {
            &self.stdout
        } else {
            &self.stderr
        };
        let said = String::from_utf8_lossy(said);
        text::safe_lines(&said).take(8).collect::<Vec<_>>().join("; ")
    }
}

impl Command {
    /// A tool of the system, by name (looked for in [`PATH`]) or path, whose arguments are our own words
    /// and names that are no secret: they may be told to whoever watches. It may run for a minute.
    pub fn tool(program: impl AsRef<OsStr>) -> Command {
        Command { tells_arguments: true, ..Command::new(program) }
    }

    /// A program whose arguments are nobody's business: a promise may have put anything into them.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            arguments: vec![],
            environment: vec![],
            input: vec![],
            timeout: Duration::from_secs(60),
            folder: None,
            apart: Apart::new(),
            kills: true,
            tells_arguments: false,
        }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Command {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Command {
        self.arguments.extend(arguments.into_iter().map(|it| it.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Command {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What it reads from its standard input; nothing otherwise.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Command {
        self.input = input.into();
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = timeout;
        self
    }

    /// The directory it runs in; `/` otherwise.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<OsStr>) -> Command {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn run_as(mut self, user: User) -> Command {
        self.apart = self.apart.as_user(user);
        self
    }

    /// How soon the kernel ends it where memory runs out; see [`Apart::expendable`].
    #[must_use]
    pub fn expendable(mut self, score: u16) -> Command {
        self.apart = self.apart.expendable(score);
        self
    }

    /// Past its time it is left to finish by itself instead of being ended: for a dpkg that has begun
    /// to unpack.
    #[must_use]
    pub fn never_kill(mut self) -> Command {
        self.kills = false;
        self
    }

    /// Runs it to its end. That it failed is no error here; see [`Command::succeed`].
    pub fn run(&self) -> Result<Finished, SystemError> {
        let (finished, in_time) = self.run_or_end()?;
        if in_time {
            return Ok(finished);
        }
        let (name, seconds) = (self.program.to_string_lossy(), self.timeout.as_secs());
        Err(SystemError::new(ErrorKind::TimedOut, format!("{name} took longer than {seconds} s")))
    }

    /// As [`Command::run`], but past its time it is a program that a signal has ended: what it had said by
    /// then counts.
    pub fn run_to_its_time(&self) -> Result<Finished, SystemError> {
        self.run_or_end().map(|it| it.0)
    }

    /// What became of it, and whether it ended by itself.
    fn run_or_end(&self) -> Result<(Finished, bool), SystemError> {
        let began = Instant::now();
        let result = self.run_untold();
        self.tell(&result, began.elapsed());
        result
    }

    /// Never what it reads, its environment or what it says: each may hold a secret. Arguments only where
    /// they are ours.
    fn tell(&self, result: &Result<(Finished, bool), SystemError>, took: Duration) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let program = text::safe(&self.program.to_string_lossy());
        let arguments = self.tells_arguments.then(|| {
            let words: Vec<_> = self.arguments.iter().map(|it| it.to_string_lossy()).collect();
            text::safe(&words.join(" "))
        });
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok((finished, in_time)) => tracing::debug!(
                program,
                arguments,
                code = finished.code,
                signal = finished.signal,
                in_time,
                took_ms,
                "a program ended"
            ),
            Err(error) => tracing::debug!(
                program,
                arguments,
                error = error.chain().join(": "),
                took_ms,
                "a program did not run to its end"
            ),
        }
    }

    fn run_untold(&self) -> Result<(Finished, bool), SystemError> {
        let name = self.program.to_string_lossy();
        let mut child =
            self.as_std().spawn().map_err(|err| SystemError::io(format!("start {name}"), err))?;
        let failed = |err| SystemError::io(format!("wait for {name}"), err);
        let pid = Pid::from_child(&child);
        let mut talk = Talk {
            input: &self.input,
            stdin: child.stdin.take().and_then(unblocked),
            stdout: Output::new(child.stdout.take().and_then(unblocked)),
            stderr: Output::new(child.stderr.take().and_then(unblocked)),
        };
        let ended = talk.until_its_end(pid, Instant::now() + self.timeout).map_err(failed)?;
        if !ended && !self.kills {
            talk.leave();
            let seconds = self.timeout.as_secs();
            return Err(SystemError::new(
                ErrorKind::TimedOut,
                format!("{name} still runs after {seconds} s and was left to finish"),
            ));
        }
        if self.kills && (!ended || talk.is_held()) {
            // The whole group: what it started goes with it. It has not been waited for yet, so the
            // number is still its own.
            let _gone = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let status =
            child.wait().map_err(|err| SystemError::io(format!("wait for {name}"), err))?;
        let finished = Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: talk.stdout.kept,
            stderr: talk.stderr.kept,
        };
        Ok((finished, ended))
    }

    /// With a cleared environment, pipes, and a session of its own.
    fn as_std(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("HOME", "/root")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.as_deref().unwrap_or(OsStr::new("/")))
            .stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.apart.clone().set_on(&mut command);
        command
    }

    /// Runs it; anything but exit code 0 is an error with its first words.
    pub fn succeed(&self) -> Result<Finished, SystemError> {
        self.run()?.succeeded(&self.program.to_string_lossy())
    }
}

/// Our ends of a program's pipes.
struct Talk<'c> {
    /// What it has not been given yet.
    input: &'c [u8],
    stdin: Option<OwnedFd>,
    stdout: Output,
    stderr: Output,
}

impl Talk<'_> {
    /// Gives and takes until the program has ended, and then until its outputs are closed, which they
    /// soon have to be. False where it has not ended by the deadline.
    fn until_its_end(&mut self, pid: Pid, deadline: Instant) -> Result<bool, Errno> {
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
        let mut buffer = [0; 8192];
        let (mut deadline, mut ended) = (deadline, false);
        loop {
            if !ended && has_ended(pid)? {
                ended = true;
                self.stdin = None;
                deadline = Instant::now() + AFTER_ITS_END;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || (ended && !self.is_held()) {
                return Ok(ended);
            }
            let mut waits = vec![];
            waits.extend(self.stdin.iter().map(|it| PollFd::new(it, PollFlags::OUT)));
            let outputs = [&self.stdout.pipe, &self.stderr.pipe];
            waits.extend(outputs.into_iter().flatten().map(|it| PollFd::new(it, PollFlags::IN)));
            // Its descriptor becomes readable when it ends, and stays so.
            waits
                .extend(process.iter().filter(|_| !ended).map(|it| PollFd::new(it, PollFlags::IN)));
            let pause = if process.is_some() || ended { left } else { left.min(PACE) };
            let pause = Timespec {
                tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: pause.subsec_nanos().into(),
            };
            match rustix::event::poll(&mut waits, Some(&pause)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(err) => return Err(err),
            }
            self.give();
            self.stdout.take(&mut buffer);
            self.stderr.take(&mut buffer);
        }
    }

    /// A program that does not read all of it says so by its exit code.
    fn give(&mut self) {
        let Some(pipe) = &self.stdin else { return };
        match rustix::io::write(pipe, self.input) {
            Ok(count) => self.input = &self.input[count..],
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }

    /// Whether anybody may still write to what we read.
    fn is_held(&self) -> bool {
        self.stdout.pipe.is_some() || self.stderr.pipe.is_some()
    }

    /// Leaves the program alone. Its outputs stay open for as long as we run: one that nobody can read
    /// from would end it as it writes.
    fn leave(self) {
        for pipe in [self.stdout.pipe, self.stderr.pipe].into_iter().flatten() {
            let _open = pipe.into_raw_fd();
        }
    }
}

/// One of its outputs, and the first part of what it said there.
struct Output {
    pipe: Option<OwnedFd>,
    kept: Vec<u8>,
}

impl Output {
    fn new(pipe: Option<OwnedFd>) -> Output {
        Output { pipe, kept: vec![] }
    }

    /// Reads what is there, and keeps what there is room for.
    fn take(&mut self, buffer: &mut [u8]) {
        let Some(pipe) = &self.pipe else { return };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                let room = MAX_OUTPUT.saturating_sub(self.kept.len()).min(count);
                self.kept.extend_from_slice(&buffer[..room]);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.pipe = None,
        }
    }
}

/// Our end of a pipe, which nobody can make us wait on. (That it cannot be set up never happens; the
/// pipe is closed then.)
fn unblocked(pipe: impl Into<OwnedFd>) -> Option<OwnedFd> {
    let pipe = pipe.into();
    rustix::io::ioctl_fionbio(&pipe, true).ok().map(|()| pipe)
}

/// Whether it has ended; it is not waited for yet, and so keeps its number.
fn has_ended(pid: Pid) -> Result<bool, Errno> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Err(Errno::INTR) => {}
            other => return other.map(|it| it.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        Command::new("sh").args(["-c", script])
    }

    #[test]
    fn a_program_gets_our_environment_and_nothing_else() {
        let finished =
            sh("env | cut -d= -f1 | sort; cat").input("x").env("A", "b").succeed().unwrap();
        assert_eq!(finished.stdout_text(), "A\nHOME\nLC_ALL\nPATH\nPWD\nx");
    }

    #[test]
    fn a_failure_carries_the_first_words() {
        let error = sh("echo no such thing >&2; exit 3").succeed().unwrap_err();
        assert_eq!(error.chain(), ["sh exited with 3", "no such thing"]);
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
        let error =
            sh("sleep 1000 & sleep 1000").timeout(Duration::from_millis(50)).run().unwrap_err();
        assert_eq!(error.kind, ErrorKind::TimedOut);
    }

    #[test]
    fn a_program_that_ended_is_not_waited_for_because_something_holds_its_output() {
        let finished = sh("echo said; sleep 1000 & echo $!").succeed().unwrap();
        let text = finished.stdout_text();
        let (said, pid) = text.trim_end().split_once('\n').unwrap();
        assert_eq!(said, "said");
        // It is ended with the rest of its group: were it not, this would wait for it.
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => {
                let mut waits = [PollFd::new(&process, PollFlags::IN)];
                assert_eq!(rustix::event::poll(&mut waits, None), Ok(1));
            }
            Err(err) => assert_eq!(err, Errno::SRCH),
        }
    }

    #[test]
    fn a_program_that_must_not_be_killed_is_left_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let go = folder.path().join("go");
        let done = folder.path().join("done");
        assert!(Command::new("mkfifo").args([&go, &done]).succeed().unwrap().success());
        // It goes on when we say so, which we could not if we were still waiting for it.
        let error = sh("echo began; read it < go; echo went on; echo done > done")
            .folder(folder.path())
            .timeout(Duration::from_millis(50))
            .never_kill()
            .run()
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::TimedOut);
        std::fs::write(go, "go\n").unwrap();
        assert_eq!(std::fs::read_to_string(done).unwrap(), "done\n");
    }

    #[test]
    fn a_program_that_reads_nothing_does_not_hold_us_with_its_input() {
        let finished = sh("exit 3").input(vec![b'x'; 1_000_000]).run().unwrap();
        assert_eq!(finished.code, Some(3));
        let finished = sh("cat | wc -c").input(vec![b'x'; 1_000_000]).succeed().unwrap();
        assert_eq!(finished.stdout_text().trim(), "1000000");
    }

    #[test]
    fn output_is_bounded() {
        let finished = sh("yes | head -c 3000000").succeed().unwrap();
        assert_eq!(finished.stdout.len(), MAX_OUTPUT);
    }

    #[test]
    fn a_program_that_is_not_there_says_so() {
        let error = Command::new("/nonexistent/program").run().unwrap_err();
        assert_eq!(error.chain()[0], "start /nonexistent/program");
    }
}

//! Starting what works without privileges, and reading its records while it runs.

use crate::archive::{Order, unpack};
use crate::error::{DownloadError, DownloadErrorKind};
use crate::records::{Reader, RecordError};
use crate::sandbox;
use crate::transfer::{Task, transfer};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use steadfast_child::{Apart, User};

/// It says nothing for longer than any transfer may be idle, and then it is ended.
const PATIENCE: Duration = Duration::from_secs(150);
/// Read at once where it is not more.
const PORTION: usize = 16 * 1024;
/// A pipe has room for so much, where we may have it.
const PIPE: usize = 1 << 20;

/// A process that hands over records. It ends when this is dropped, with whatever it has started.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    pub records: Reader<BufReader<Piped>>,
}

/// What a worker reads from its standard input.
#[derive(Debug)]
pub enum Input<'a> {
    File(File),
    Task(&'a [u8]),
}

impl Worker {
    /// Starts a program for one task: as a user who does nothing else, and with nothing open but what it reads and
    /// hands over.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        user: Option<User>,
        input: Input<'_>,
    ) -> Result<Worker, DownloadError> {
        let failed =
            |err: io::Error| DownloadError::local("start a process without privileges", err);
        let mut apart = Apart::new().ends_with_us().expendable(1000);
        if let Some(user) = user {
            apart = apart.as_user(user);
        }
        let (stdin, task) = match input {
            Input::File(file) => (Stdio::from(file), &[][..]),
            Input::Task(task) => (Stdio::piped(), task),
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("LC_ALL", "C").current_dir("/");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null());
        apart.set_on(&mut command);
        let mut child = command.spawn().map_err(failed)?;
        let missing = || failed(io::Error::other("it has no output"));
        let output = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
        let _as_it_is = rustix::pipe::fcntl_setpipe_size(&output, PIPE);
        if let Some(mut input) = child.stdin.take() {
            // One that does not read it says why, or ends.
            let _told = input.write_all(task);
        }
        let output = BufReader::with_capacity(PORTION, Piped(output.into()));
        match Reader::new(output) {
            Ok(records) => Ok(Worker { child, records }),
            Err(error) => Err(no_record(&mut child, &error)),
        }
    }

    /// A record could not be read: how the process ended says more.
    pub fn ended(&mut self, error: &RecordError) -> DownloadError {
        no_record(&mut self.child, error)
    }
}

fn no_record(child: &mut Child, error: &RecordError) -> DownloadError {
    let _gone = rustix::process::kill_process_group(Pid::from_child(child), Signal::KILL);
    let how = child.wait().map_or_else(|err| err.to_string(), |it| it.to_string());
    let words = format!("the process without privileges did not finish ({how}): {error}");
    DownloadError::new(DownloadErrorKind::Local, words)
}

impl Drop for Worker {
    fn drop(&mut self) {
        let leader = Pid::from_child(&self.child);
        // Not waited for yet, so the number is its own. Once it has been, this does nothing.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone = rustix::process::kill_process_group(leader, Signal::KILL);
        }
        let _reaped = self.child.wait();
    }
}

/// In the process that talks to servers; it reads its task once nobody can look into its memory.
pub fn transfer_as_child(task: impl FnOnce() -> Result<Task, ()>) -> io::Result<()> {
    sandbox::keep_to_itself(MEMORY).map_err(io::Error::other)?;
    let task = task().map_err(|()| io::Error::other("there is no task"))?;
    transfer(&task, BufWriter::with_capacity(BUFFER, io::stdout().lock()))
}

/// In the process that takes an archive apart, which is its standard input.
pub fn unpack_as_child(order: &str) -> io::Result<()> {
    let order: Order = serde_json::from_str(order).map_err(io::Error::other)?;
    let archive = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    sandbox::shut_off(MEMORY, PROCESSOR).map_err(io::Error::other)?;
    unpack(archive, &order, BufWriter::with_capacity(BUFFER, io::stdout().lock()))
}

/// What Zstandard needs at most is 128 MiB, and as much again for a window of its own.
const MEMORY: u64 = 1 << 30;
/// Of taking apart what may be 64 GiB.
const PROCESSOR: Duration = Duration::from_secs(2 * 3_600);
const BUFFER: usize = 64 * 1024;

/// A pipe on which nobody makes us wait for long.
#[derive(Debug)]
pub struct Piped(File);

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let pause = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let fd = self.0.as_fd();
            match rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&pause)) {
                Ok(0) if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.0.read(buffer),
                Err(err) => return Err(err.into()),
            }
        }
    }
}

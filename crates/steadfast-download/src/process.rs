//! Starting git, ssh and gpgv: a cleared environment, a time limit that ends the whole process group, no
//! terminal, bounded output, and limits on what they use, above all on the size of any file that they write.

use crate::error::{DownloadError, DownloadErrorKind};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use steadfast_child::{Apart, Limit};
use steadfast_trust::text::one_line;

/// Where programs are looked for; the caller's PATH is not asked.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a program may print before the rest is dropped.
const MAX_OUTPUT: u64 = 16 * 1024 * 1024;

/// A program with nothing of our own environment.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
    command
}

/// What became of a program.
#[derive(Debug)]
pub struct Finished {
    pub success: bool,
    /// It could not write more: the file size limit.
    pub too_large: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Finished {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    pub fn words(&self) -> String {
        one_line(&String::from_utf8_lossy(&self.stderr))
    }
}

/// Runs a program to its end.
pub fn run(command: Command, timeout: Duration, file_size: u64) -> Result<Finished, DownloadError> {
    run_apart(command, timeout, Apart::new().limited(Limit::FileSize(file_size)))
}

/// As [`run`], with limits and perhaps a user of its own.
pub fn run_apart(
    mut command: Command,
    timeout: Duration,
    apart: Apart,
) -> Result<Finished, DownloadError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |err| DownloadError::local(format!("run {name}"), err);
    let out_of_time = || {
        let words = format!("{name} took longer than {} s", timeout.as_secs_f32());
        DownloadError::new(DownloadErrorKind::TimedOut, words)
    };
    // Nothing is begun when the time is up.
    if timeout.is_zero() {
        return Err(out_of_time());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let begin = Instant::now();
    let mut group = Group::start(command, apart)?;
    let deadline = Instant::now() + timeout;
    let stdout = group.child.stdout.take().map(OwnedFd::from);
    let stderr = group.child.stderr.take().map(OwnedFd::from);
    let (stdout, stderr) = std::thread::scope(|scope| {
        let out = scope.spawn(move || drain(stdout, deadline));
        let err = scope.spawn(move || drain(stderr, deadline));
        (out.join().unwrap_or_default(), err.join().unwrap_or_default())
    });
    if !group.ends_before(deadline).map_err(failed)? {
        return Err(out_of_time());
    }
    let status = group.child.wait().map_err(failed)?;
    // Not its arguments: they may name more than is anybody's business.
    tracing::debug!(program = name, %status, took = ?begin.elapsed(), "a program has ended");
    let xfsz = Signal::XFSZ.as_raw();
    let words = String::from_utf8_lossy(&stderr);
    let too_large = std::os::unix::process::ExitStatusExt::signal(&status) == Some(xfsz)
        || words.contains("File too large")
        || words.contains(&format!("signal {xfsz}"));
    Ok(Finished { success: status.success(), too_large, stdout, stderr })
}

/// A program that is spoken to while it runs.
#[derive(Debug)]
pub struct Talk {
    pub input: ChildStdin,
    pub output: std::io::BufReader<Timed>,
    _group: Group,
}

pub fn talk(
    mut command: Command,
    deadline: Instant,
    file_size: u64,
) -> Result<Talk, DownloadError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let apart = Apart::new().limited(Limit::FileSize(file_size));
    let mut group = Group::start(command, apart)?;
    let (Some(input), Some(output)) = (group.child.stdin.take(), group.child.stdout.take()) else {
        return Err(DownloadError::new(DownloadErrorKind::Local, "start a program with pipes"));
    };
    let output = Timed { from: OwnedFd::from(output).into(), deadline };
    Ok(Talk { input, output: std::io::BufReader::new(output), _group: group })
}

impl Talk {
    pub fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.input.write_all(line.as_bytes())?;
        self.input.flush()
    }
}

/// Ends a process group once nobody holds the other end of its standard input any more: so also when we
/// are killed, and have no say in it.
const GUARD: &str = "read _; kill -KILL \"-$1\"";

/// Sees to it that a process group does not outlive us.
#[derive(Debug)]
struct Guard(Child);

impl Guard {
    fn start(group: Pid) -> Result<Guard, DownloadError> {
        let mut guard = program("sh");
        guard.args(["-c", GUARD, "sh", &group.as_raw_nonzero().to_string()]);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Apart::new().set_on(&mut guard);
        guard.spawn().map(Guard).map_err(|err| DownloadError::not_started("sh", &err))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A program and all that it started: they end when this is dropped, or we do.
#[derive(Debug)]
struct Group {
    child: Child,
    guard: Option<Guard>,
}

impl Group {
    fn start(mut command: Command, apart: Apart) -> Result<Group, DownloadError> {
        let name = command.get_program().to_string_lossy().into_owned();
        apart.ends_with_us().set_on(&mut command);
        let child = command.spawn().map_err(|err| DownloadError::not_started(&name, &err))?;
        let mut group = Group { child, guard: None };
        group.guard = Some(Guard::start(group.leader())?);
        Ok(group)
    }

    /// The program leads the group, whose number stays its own until it has been waited for.
    fn leader(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn ends_before(&self, deadline: Instant) -> std::io::Result<bool> {
        let handle = rustix::process::pidfd_open(self.leader(), PidfdFlags::empty())?;
        wait(handle.as_fd(), deadline)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _gone = rustix::process::kill_process_group(self.leader(), Signal::KILL);
        // It has nothing to guard any more, and must not end whoever gets that number next.
        drop(self.guard.take());
        let _reaped = self.child.wait();
    }
}

/// A descriptor that is read until a moment.
#[derive(Debug)]
pub struct Timed {
    from: File,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !wait(self.from.as_fd(), self.deadline)? {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        self.from.read(buffer)
    }
}

/// Whether there is something to read before the deadline.
fn wait(on: std::os::fd::BorrowedFd<'_>, deadline: Instant) -> std::io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut waits = [PollFd::new(&on, PollFlags::IN)];
        match rustix::event::poll(&mut waits, Some(&timeout)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(err) => return Err(err.into()),
        }
    }
}

/// Reads to the end or to the deadline, and keeps the first part.
fn drain(pipe: Option<OwnedFd>, deadline: Instant) -> Vec<u8> {
    let mut kept = vec![];
    let Some(pipe) = pipe else { return kept };
    let mut pipe = Timed { from: pipe.into(), deadline };
    if pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut kept).is_ok() {
        let _rest = std::io::copy(&mut pipe, &mut std::io::sink());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = program("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; sleep 1000", told.display());
        let error = run(sh(&script), Duration::from_secs(1), 1 << 20).err().unwrap();
        assert_eq!(error.kind, DownloadErrorKind::TimedOut);
        let pid: i32 = std::fs::read_to_string(&told).unwrap().trim().parse().unwrap();
        // Nobody but its new parent hears of its end, so it is looked for.
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|it| it.starts_with(['R', 'S', 'D', 'T']))
        };
        for _ in 0..500 {
            if !runs() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it still runs");
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("big");
        let script = format!("sleep 0.2; head -c 1000000 /dev/zero > {}", file.display());
        let finished = run(sh(&script), Duration::from_secs(20), 4096).unwrap();
        assert!(!finished.success);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 4096);
    }

    #[test]
    fn nothing_of_our_environment_is_handed_on() {
        let finished = run(sh("env | cut -d= -f1 | sort"), Duration::from_secs(20), 0).unwrap();
        assert_eq!(finished.text(), "LC_ALL\nPATH\nPWD");
    }
}

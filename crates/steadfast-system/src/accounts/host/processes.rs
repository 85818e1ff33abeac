//! The processes of a user: told apart from those of containers, and ended.

use crate::accounts::{Process, Read, parse};
use crate::command::Command;
use crate::{ErrorKind, Host, SystemError, UserName};
use rustix::process::{PidfdFlags, Signal};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a user's processes have to end by themselves, and then to be gone once killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the parent of a process that has ended may take to ask.
const UNTIL_REAPED: Duration = Duration::from_secs(2);

impl Host {
    /// The process, where it runs as `uid` below our own root.
    pub(super) fn process(&self, pid: u32, uid: u32) -> Option<Process> {
        let status = fs::read(self.accounts.path(&format!("proc/{pid}/status"))).ok()?;
        let (process, uids) = parse::status(pid, &status)?;
        if !uids.contains(&uid) {
            return None;
        }
        // A container's users are not ours, even where their numbers are.
        let place = |path: PathBuf| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
        let theirs = place(self.accounts.path(&format!("proc/{pid}/root")));
        let ours = place(self.accounts.root.clone());
        (theirs.is_none() || theirs == ours).then_some(process)
    }

    /// Whether it has ended and its parent has not asked how.
    fn has_ended_unasked(&self, pid: u32, uid: u32) -> bool {
        let status =
            fs::read(self.accounts.path(&format!("proc/{pid}/status"))).unwrap_or_default();
        self.process(pid, uid).is_some()
            && status.split(|it| *it == b'\n').any(|it| it.starts_with(b"State:\tZ"))
    }

    /// Ends them, first by asking.
    pub(super) fn end_all(&self, user: &UserName, uid: u32) -> Result<(), SystemError> {
        let what = || format!("end the processes of user {user}");
        if uid == 0 || Read::uid(self, user)? != Some(uid) {
            let error = SystemError::new(ErrorKind::Moved, format!("uid {uid} is not only theirs"));
            return Err(error.during(what()));
        }
        if Path::new("/run/systemd/system").is_dir() {
            // Sessions and the user's own service manager; that there are none is no failure.
            let _none = Command::tool("loginctl")
                .args(["terminate-user", "--", user.as_str()])
                .timeout(Duration::from_secs(30))
                .run();
        }
        let rounds = [Signal::TERM, Signal::KILL, Signal::KILL, Signal::KILL];
        for signal in rounds {
            let found = self.processes_of(uid).map_err(|error| error.during(what()))?;
            if found.is_empty() {
                return Ok(());
            }
            let ending = self.signal(&found, uid, signal);
            wait_for(&ending, Instant::now() + PATIENCE);
            // What has ended is still listed, and userdel still counts it, until its parent has asked.
            let deadline = Instant::now() + UNTIL_REAPED;
            while ending.iter().any(|(pid, _)| self.has_ended_unasked(*pid, uid))
                && Instant::now() < deadline
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let left = self.processes_of(uid).map_err(|error| error.during(what()))?;
        match left.first() {
            None => Ok(()),
            Some(first) => {
                let words = format!("{} (pid {}) is still there", first.name, first.pid);
                Err(SystemError::new(ErrorKind::TimedOut, words).during(what()))
            }
        }
    }

    /// Sends a signal to processes that are still the user's; those that it reached.
    fn signal(&self, processes: &[Process], uid: u32, signal: Signal) -> Vec<(u32, OwnedFd)> {
        let mut reached = vec![];
        for process in processes {
            let pid = i32::try_from(process.pid).ok().and_then(rustix::process::Pid::from_raw);
            let Some(pid) = pid else { continue };
            let Ok(descriptor) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            // The number may be somebody else's by now; the descriptor's cannot change any more.
            if self.process(process.pid, uid).is_some()
                && rustix::process::pidfd_send_signal(&descriptor, signal).is_ok()
            {
                reached.push((process.pid, descriptor));
            }
        }
        reached
    }
}

/// Waits until all those processes have ended, or until the deadline.
fn wait_for(processes: &[(u32, OwnedFd)], deadline: Instant) {
    for (_, process) in processes {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = rustix::event::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut waits = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
            match rustix::event::poll(&mut waits, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => break,
            }
        }
    }
}

//! What a program leaves behind when it ends: processes that it started and that went on by themselves. They
//! become our children, as far as they descend from us, and are ended as such: nobody else is touched.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use std::io;
use std::time::{Duration, Instant};

/// Between two looks at what does not end.
const PACE: Duration = Duration::from_millis(5);
/// What is left of a program dies at once where it is told to.
const DYING: Duration = Duration::from_secs(10);

/// Does what starts programs and waits for them. Of all that these have started, nothing goes on afterwards: not
/// what they left behind, and no child of ours that was there before.
pub fn leaving_nothing_behind<T>(act: impl FnOnce() -> T) -> io::Result<T> {
    adopt_orphans()?;
    let done = act();
    end_left_behind()?;
    Ok(done)
}

/// What descends from us becomes our child where its parent ends, instead of the first process's.
fn adopt_orphans() -> io::Result<()> {
    // The number only says that it is wanted.
    Ok(rustix::process::set_child_subreaper(Pid::from_raw(1))?)
}

/// Ends all our children, and theirs as they become ours, until none is left.
fn end_left_behind() -> io::Result<()> {
    let deadline = Instant::now() + DYING;
    loop {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Err(Errno::CHILD) => return Ok(()),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(_) => break,
            }
        }
        for child in children() {
            let _gone = rustix::process::kill_process(child, Signal::KILL);
        }
        if Instant::now() >= deadline {
            return Err(io::Error::other("what was left behind does not end"));
        }
        std::thread::sleep(PACE);
    }
}

/// Our children. A kernel that does not list them is asked for all processes.
fn children() -> Vec<Pid> {
    let own = std::process::id();
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists: Vec<String> =
        threads.filter_map(|it| std::fs::read_to_string(it.path().join("children")).ok()).collect();
    if lists.is_empty() {
        let has_us = |status: &str| field(status, "PPid:").next() == Some(own);
        return processes().filter(|(_, status)| has_us(status)).map(|it| it.0).collect();
    }
    let words = lists.iter().flat_map(|it| it.split_whitespace());
    words.filter_map(|it| it.parse().ok()).filter_map(Pid::from_raw).collect()
}

/// A process that runs as this user beside us, if there is one. What a container runs under the same number
/// does not count: it cannot reach us.
pub fn who_runs_as(uid: u32) -> Option<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let depth = field(&status, "NSpid:").count();
    let is_one = |status: &str| {
        let dead = status.lines().any(|it| it.starts_with("State:\tZ"));
        !dead
            && field(status, "Uid:").any(|it| it == uid)
            && field(status, "NSpid:").count() == depth
    };
    processes().find(|(_, status)| is_one(status)).map(|(process, _)| process.as_raw_pid())
}

/// All processes with what the kernel says of them.
fn processes() -> impl Iterator<Item = (Pid, String)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
        Some((process, std::fs::read_to_string(entry.path().join("status")).ok()?))
    })
}

fn field<'a>(status: &'a str, name: &'a str) -> impl Iterator<Item = u32> + 'a {
    let line = status.lines().find_map(|it| it.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().filter_map(|it| it.parse().ok())
}

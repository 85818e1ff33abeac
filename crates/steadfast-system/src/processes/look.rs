//! Looking at all processes, within a bounded time, whatever they do meanwhile.

use super::listening::{Socket, listening};
use super::things::Things;
use super::{Answer, How, Listener, MAX_TOLD, Process, Question, Use, maps};
use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How long is looked. A kernel can let a look at one process wait for as long as that process likes.
const TIME: Duration = Duration::from_secs(20);
/// So often it is asked who has come meanwhile.
const ROUNDS: usize = 50;
/// So much of a command line is read.
const MAX_COMMAND_LINE: u64 = 64 * 1024;
/// The bit of the capability by which processes of others may be looked at.
const SYS_PTRACE: u64 = 1 << 19;

/// Looks at all processes, and says what is not known where it cannot.
pub fn look(question: Question) -> Answer {
    if !may_look() {
        let words = "this program may not look at the processes of others";
        return Answer { unknown: Some(words.to_owned()), ..Answer::default() };
    }
    let at = Arc::new(AtomicI32::new(0));
    let (say, hear) = mpsc::channel();
    let looking_at = Arc::clone(&at);
    // It may stand still in the kernel: then it ends with this process.
    let started = std::thread::Builder::new().spawn(move || {
        // Nobody hears it where the time is over.
        let _told = say.send(look_at_all(&question, &looking_at));
    });
    let answer = match started {
        Ok(_detached) => hear.recv_timeout(TIME).map_err(|_| match at.load(Ordering::Relaxed) {
            0 => "there is too much to be looked at".to_owned(),
            pid => format!("the look did not come to its end; it was at the process {pid}"),
        }),
        Err(err) => Err(format!("a thread cannot be started: {err}")),
    };
    answer.unwrap_or_else(|why| Answer { unknown: Some(why), ..Answer::default() })
}

/// Whether the processes of others may be looked at: else they would seem to have nothing.
fn may_look() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|it| it.strip_prefix("CapEff:"));
    let bits = effective.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    bits.is_some_and(|it| it & SYS_PTRACE != 0)
}

fn look_at_all(question: &Question, at: &AtomicI32) -> Answer {
    let mut looking = match Looking::begin(question) {
        Ok(looking) => looking,
        Err(why) => return Answer { unknown: Some(why), ..Answer::default() },
    };
    let mut known = HashSet::new();
    for _ in 0..ROUNDS {
        let pids = match pids() {
            Ok(pids) => pids,
            Err(err) => {
                looking.unknown(format!("the processes cannot be listed: {err}"));
                return looking.answer;
            }
        };
        let new: Vec<i32> = pids.into_iter().filter(|it| known.insert(*it)).collect();
        if new.is_empty() {
            return looking.answer;
        }
        for pid in new {
            at.store(pid, Ordering::Relaxed);
            match looking.at(pid) {
                Ok(()) => {}
                Err(err) if has_ended(&err) => {}
                Err(err) => {
                    looking.unknown(format!("the process {pid} cannot be looked at: {err}"));
                }
            }
        }
    }
    looking.unknown("new processes come faster than they can be looked at".to_owned());
    looking.answer
}

fn has_ended(err: &io::Error) -> bool {
    let code = err.raw_os_error();
    code == Some(Errno::NOENT.raw_os_error()) || code == Some(Errno::SRCH.raw_os_error())
}

fn pids() -> io::Result<Vec<i32>> {
    let mut pids = vec![];
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|it| it.parse::<i32>().ok()));
    }
    Ok(pids)
}

struct Looking<'a> {
    question: &'a Question,
    things: Things,
    sockets: Vec<Socket>,
    answer: Answer,
}

impl<'a> Looking<'a> {
    fn begin(question: &'a Question) -> Result<Looking<'a>, String> {
        let things = Things::of(&question.trees)?;
        let sockets = listening(&question.ports)
            .map_err(|err| format!("the sockets that listen cannot be read: {err}"))?;
        Ok(Looking { question, things, sockets, answer: Answer::default() })
    }

    fn unknown(&mut self, why: String) {
        self.answer.unknown.get_or_insert(why);
    }

    fn at(&mut self, pid: i32) -> io::Result<()> {
        if !self.question.trees.is_empty() {
            for (name, how) in
                [("cwd", How::WorksThere), ("root", How::RootThere), ("exe", How::StartedFromThere)]
            {
                // A process that is about to end, or of the kernel, has none of these any more.
                let Some((device, inode)) = led_to(pid, name)? else { continue };
                let trees = self.things.trees_with(device, inode).collect();
                self.tell(pid, how, trees);
            }
            let trees = self.mapped(pid)?;
            self.tell(pid, How::MappedFromThere, trees);
            let trees = self.named(pid)?;
            self.tell(pid, How::NamedOnCommandLine, trees);
        }
        if !self.sockets.is_empty() {
            self.listening(pid)?;
        }
        Ok(())
    }

    fn tell(&mut self, pid: i32, how: How, trees: Vec<usize>) {
        for tree in trees {
            let its = || self.answer.uses.iter().filter(|it| it.tree == tree);
            if its().count() < MAX_TOLD && !its().any(|it| it.process.pid == pid) {
                self.answer.uses.push(Use { tree, process: Process::of(pid), how });
            }
        }
    }

    fn mapped(&self, pid: i32) -> io::Result<Vec<usize>> {
        let maps = BufReader::with_capacity(64 * 1024, File::open(format!("/proc/{pid}/maps"))?);
        let mut trees = vec![];
        maps::read(maps, |it| {
            let device = rustix::fs::makedev(it.device.0, it.device.1);
            trees.extend(self.things.trees_that_map(device, it.inode, &it.name));
            trees.sort_unstable();
            trees.dedup();
        })?;
        Ok(trees)
    }

    /// A program that is read by another, as scripts are, shows in neither of the others.
    fn named(&self, pid: i32) -> io::Result<Vec<usize>> {
        let mut line = vec![];
        File::open(format!("/proc/{pid}/cmdline"))?
            .take(MAX_COMMAND_LINE)
            .read_to_end(&mut line)?;
        let trees = self.question.trees.iter().enumerate().filter(|(_, tree)| {
            let mut paths = tree.names.iter().chain([&tree.path]);
            paths.any(|it| names(&line, it.as_bytes()))
        });
        Ok(trees.map(|(at, _)| at).collect())
    }

    fn listening(&mut self, pid: i32) -> io::Result<()> {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
            // It may be closed by now.
            let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
            let number = target.to_str().and_then(|it| it.strip_prefix("socket:["));
            let Some(number) = number.and_then(|it| it.strip_suffix(']')?.parse::<u64>().ok())
            else {
                continue;
            };
            let its = self.sockets.iter().filter(|(inode, _)| *inode == number);
            for (_, port) in its.copied().collect::<Vec<_>>() {
                let told = || self.answer.listeners.iter().filter(|it| it.port == port);
                if told().count() < MAX_TOLD && !told().any(|it| it.process.pid == pid) {
                    self.answer.listeners.push(Listener { port, process: Process::of(pid) });
                }
            }
        }
        Ok(())
    }
}

/// Where a link of `/proc/PID` leads, by what the kernel has in memory: no server of a file system is asked.
fn led_to(pid: i32, name: &str) -> io::Result<Option<(u64, u64)>> {
    let path = format!("/proc/{pid}/{name}");
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(CWD, &*path, flags, StatxFlags::INO) {
        Ok(it) => Ok(Some((rustix::fs::makedev(it.stx_dev_major, it.stx_dev_minor), it.stx_ino))),
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        Err(err) => Err(err.into()),
    }
}

/// Whether a command line has this path, or one below it.
fn names(line: &[u8], path: &[u8]) -> bool {
    let mut rest = line;
    while let Some(at) = rest.windows(path.len()).position(|it| it == path) {
        let after = rest.get(at + path.len());
        if after.is_none_or(|it| !it.is_ascii_alphanumeric() && !matches!(it, b'-' | b'_' | b'.')) {
            return true;
        }
        rest = &rest[at + path.len()..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_command_line_names_a_directory_by_its_path_or_one_below() {
        let path = b"/srv/api/releases/abc";
        assert!(names(b"python3\0/srv/api/releases/abc/bin/job.py\0", path));
        assert!(names(b"sh\0-c\0cd /srv/api/releases/abc; run\0", path));
        assert!(names(b"x\0--at=/srv/api/releases/abc", path));
        assert!(!names(b"python3\0/srv/api/releases/abcd/bin\0", path));
        assert!(names(b"/srv/api/releases/abcd:/srv/api/releases/abc", path));
        assert!(!names(b"", path));
    }
}

//! Who holds the locks of apt and dpkg. They are POSIX locks on files, so the kernel says whose they are.

use rustix::process::{Flock, FlockType};
use std::fmt;
use std::fs::File;

/// In the order in which apt takes them.
pub(super) const LOCKS: [&str; 4] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
];

/// The two that dpkg itself works under.
pub(super) const DPKG_LOCKS: [&str; 2] = [LOCKS[0], LOCKS[1]];

#[derive(Debug)]
pub(super) struct Holder {
    lock: &'static str,
    pub(super) who: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is held by {}", self.lock, self.who)
    }
}

/// The first of these locks that somebody holds.
pub(super) fn holder(locks: &[&'static str]) -> Option<Holder> {
    locks.iter().find_map(|lock| {
        // A lock file that is not there, or that we may not read, tells nothing.
        let file = File::open(lock).ok()?;
        let held =
            rustix::process::fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
        if held.typ == FlockType::Unlocked {
            return None;
        }
        let who = match held.pid {
            Some(pid) => process(pid.as_raw_nonzero().get()),
            None => "another process".to_owned(),
        };
        Some(Holder { lock, who })
    })
}

/// A process in words: its name, pid and command line.
fn process(pid: i32) -> String {
    let clean = |text: Vec<u8>| -> String {
        let words = String::from_utf8_lossy(&text).replace('\0', " ");
        crate::text::safe_start(words.trim(), 120)
    };
    let read =
        |what: &str| std::fs::read(format!("/proc/{pid}/{what}")).map(clean).unwrap_or_default();
    let (name, line) = (read("comm"), read("cmdline"));
    match (name.is_empty(), line.is_empty()) {
        (true, _) => format!("process {pid}"),
        (false, true) => format!("{name} (pid {pid})"),
        (false, false) => format!("{name} (pid {pid}: {line})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_named_with_its_command_line() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let words = process(pid);
        assert!(words.contains(&format!("pid {pid}: ")), "{words}");
    }

    /// Another process takes a POSIX lock, and is found and named.
    #[test]
    fn the_holder_of_a_lock_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock").to_str().unwrap().to_owned();
        std::fs::write(&path, "").unwrap();
        let lock: &'static str = Box::leak(path.clone().into_boxed_str());
        assert!(holder(&[lock]).is_none());
        let script = "use Fcntl; open(my $f, '+<', $ARGV[0]) or die; \
                      my $l = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0); fcntl($f, F_SETLK, $l) or die; \
                      $| = 1; print \"held\\n\"; <STDIN>;";
        let child = Command::new("perl")
            .args(["-e", script, &path])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            crate::require::skip("needs perl");
            return;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        let words = holder(&[lock]).unwrap().to_string();
        assert!(
            words.contains(&format!("is held by perl (pid {}: perl -e", child.id())),
            "{words}"
        );
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(holder(&[lock]).is_none());
    }
}

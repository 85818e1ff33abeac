//! The agent's own upgrade: whether another file lies in the place of the running program, and whether
//! it works.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;
use steadfast_child::Apart;
use steadfast_node::wire::OURSELVES;
use tokio::time::Instant;

/// A file, as far as it matters whether it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

#[derive(Debug)]
pub(super) struct Binary {
    known: Option<Print>,
}

#[derive(Debug)]
pub(super) enum Look {
    Same,
    Works,
    Broken(String),
}

/// Printing a version takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Binary {
    /// The program that runs: what lies in its place may be another already.
    pub(super) fn running(program: &Path) -> Binary {
        Binary { known: print(Path::new(OURSELVES)).or_else(|| print(program)) }
    }

    /// Each new file is looked at once.
    pub(super) fn look(&mut self, program: &Path) -> Look {
        let now = print(program);
        if now.is_none() || now == self.known {
            return Look::Same;
        }
        self.known = now;
        match answers(program) {
            Ok(()) => Look::Works,
            Err(words) => Look::Broken(words),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it is this program, and only looked at")]
fn print(program: &Path) -> Option<Print> {
    let meta = std::fs::metadata(program).ok()?;
    Some(Print {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.len(),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

/// Whether it can say its version. The loop waits for it: it is short, and nothing else matters now.
#[expect(clippy::disallowed_methods, reason = "it is this program, asked for its version")]
fn answers(program: &Path) -> Result<(), String> {
    let failed = |err: std::io::Error| err.to_string();
    let mut command = std::process::Command::new(program);
    command.arg("--version").env_clear().stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    Apart::new().set_on(&mut command);
    let mut child = command.spawn().map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("with --version it ended with {status}")),
            None if Instant::now() > deadline => {
                let _ended = child.kill();
                let _reaped = child.wait();
                return Err("it did not answer --version in time".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test plays everybody else's part")]

    use super::*;

    #[test]
    fn what_took_the_place_of_the_running_program_before_it_looked_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("steadfast");
        std::os::unix::fs::symlink("/bin/true", &program).unwrap();
        let mut binary = Binary::running(&program);
        assert!(matches!(binary.look(&program), Look::Works));
        assert!(matches!(binary.look(&program), Look::Same), "each is looked at once");
        std::fs::remove_file(&program).unwrap();
        std::os::unix::fs::symlink("/bin/false", &program).unwrap();
        assert!(matches!(binary.look(&program), Look::Broken(_)));
        let own = std::env::current_exe().unwrap();
        assert!(matches!(Binary::running(&own).look(&own), Look::Same));
    }
}

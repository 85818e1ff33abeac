//! What a program that we start loses on its way, between `fork` and `exec`.

use nix::libc;
use nix::unistd::{Gid, Uid, getppid, setgroups, setresgid, setresuid, setsid};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use std::ffi::c_uint;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The first descriptor that is not one of the three standard ones.
const FIRST: u32 = 3;
/// Where a kernel cannot close a range of descriptors: nobody has more open than this.
const MOST_DESCRIPTORS: u64 = 65_536;

/// As whom a program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What a program may use at most, it and all that it starts: bytes of a file that it writes, of memory of
/// its own, seconds of a processor, open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    FileSize(u64),
    Memory(u64),
    CpuSeconds(u64),
    OpenFiles(u64),
}

impl Limit {
    fn resource(self) -> (Resource, u64) {
        match self {
            Limit::FileSize(most) => (Resource::Fsize, most),
            Limit::Memory(most) => (Resource::Data, most),
            Limit::CpuSeconds(most) => (Resource::Cpu, most),
            Limit::OpenFiles(most) => (Resource::Nofile, most),
        }
    }
}

/// How a program is set apart. Whatever is named here, it has a session and so a process group of its own,
/// which has its number and no terminal.
#[derive(Clone, Debug, Default)]
pub struct Apart {
    user: Option<User>,
    limits: Vec<Limit>,
    expendable: Option<u16>,
    ends_with_us: bool,
}

impl Apart {
    pub fn new() -> Apart {
        Apart::default()
    }

    /// It runs as this user, and never becomes more than that.
    #[must_use]
    pub fn as_user(mut self, user: User) -> Apart {
        self.user = Some(user);
        self
    }

    #[must_use]
    pub fn limited(mut self, limit: Limit) -> Apart {
        self.limits.push(limit);
        self
    }

    /// How soon the kernel ends it where memory runs out: from 0, as soon as others, to 1000, first of all.
    #[must_use]
    pub fn expendable(mut self, score: u16) -> Apart {
        self.expendable = Some(score.min(1000));
        self
    }

    /// It is killed when the thread that starts it ends.
    #[must_use]
    pub fn ends_with_us(mut self) -> Apart {
        self.ends_with_us = true;
        self
    }

    /// Makes the command start its program like this.
    pub fn set_on(self, command: &mut Command) {
        let Apart { user, limits, expendable, ends_with_us } = self;
        let limits: Vec<(Resource, u64)> = limits.into_iter().map(Limit::resource).collect();
        let score = expendable.map(|it| it.to_string().into_bytes());
        let user = user.map(|User { uid, gid, groups }| {
            let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
            (Uid::from_raw(uid), Gid::from_raw(gid), groups)
        });
        let parent = nix::unistd::getpid();
        #[expect(unsafe_code, reason = "std has no stable call for any of this")]
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated: whatever has to
        // be computed was so before.
        unsafe {
            command.pre_exec(move || {
                setsid()?;
                keep_three_descriptors();
                for (resource, most) in &limits {
                    limit(*resource, *most)?;
                }
                if let Some(score) = &score {
                    let _as_before = be_expendable(score);
                }
                // Once it is another user it could not be limited from outside any more.
                if let Some((uid, gid, groups)) = &user {
                    setgroups(groups)?;
                    setresgid(*gid, *gid, *gid)?;
                    setresuid(*uid, *uid, *uid)?;
                    // Others of that user have no business with it before it is another program.
                    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
                    rustix::thread::set_no_new_privs(true)?;
                }
                if ends_with_us {
                    // Only now: becoming another user forgets it.
                    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                    if getppid() != parent {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
                Ok(())
            });
        }
    }
}

/// Nobody gets more than he has.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let most = rustix::process::getrlimit(resource).maximum.map_or(most, |it| it.min(most));
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    Ok(rustix::process::setrlimit(resource, limit)?)
}

/// Whatever else is open is closed by `exec`. (Not now: std reports through one of them what goes wrong.)
fn keep_three_descriptors() {
    #[expect(unsafe_code, reason = "there is no safe call for it")]
    // SAFETY: it takes three numbers and changes flags of descriptors.
    let closed = unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    if closed == 0 {
        return;
    }
    let most = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(MOST_DESCRIPTORS);
    for number in FIRST..u32::try_from(most.min(MOST_DESCRIPTORS)).unwrap_or(FIRST) {
        #[expect(unsafe_code, reason = "there is no safe call for a number that may not be open")]
        // SAFETY: it sets a flag of a descriptor, or fails where there is none.
        let _not_open = unsafe {
            libc::fcntl(i32::try_from(number).unwrap_or(-1), libc::F_SETFD, libc::FD_CLOEXEC)
        };
    }
}

fn be_expendable(score: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(c"/proc/self/oom_score_adj", flags, Mode::empty())?;
    rustix::io::write(&file, score).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;
    use std::process::{Output, Stdio};

    fn said(output: &Output) -> String {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn sh(apart: Apart, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        apart.set_on(&mut command);
        said(&command.output().unwrap())
    }

    /// The fifth to seventh fields of a process are its group, its session and its terminal.
    const WHERE: &str = "read -r line < /proc/$$/stat; set -- ${line##*) }; echo $$ $3 $4 $5";

    #[test]
    fn a_program_has_a_session_of_its_own_and_no_terminal() {
        let words = sh(Apart::new(), WHERE);
        let words: Vec<&str> = words.split(' ').collect();
        let [own, group, session, terminal] = words[..] else { panic!("{words:?}") };
        assert_eq!((group, session, terminal), (own, own, "0"));
        assert_eq!(sh(Apart::new(), "(: </dev/tty) 2>/dev/null || echo none"), "none");
    }

    #[test]
    fn no_descriptor_of_ours_is_inherited() {
        let file = tempfile::tempfile().unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        let look = format!("[ -e /proc/self/fd/{} ] || echo closed", file.as_raw_fd());
        assert_eq!(sh(Apart::new(), &look), "closed");
        let mut plain = Command::new("sh");
        let open = plain.args(["-c", &format!("{look}; echo .")]).output().unwrap();
        assert_eq!(said(&open), ".", "without it, it would be");
    }

    #[test]
    fn another_user_is_bounded_before_it_becomes_that_user_and_gets_nothing_back() {
        if !crate::require::is_root() {
            return;
        }
        let user = User { uid: 61_183, gid: 61_183, groups: vec![] };
        let apart = Apart::new().as_user(user).limited(Limit::FileSize(512 * 7)).expendable(900);
        let look = "id -u; id -G; ulimit -f; cat /proc/self/oom_score_adj; \
                    grep -E 'NoNewPrivs|CapEff|CapPrm' /proc/self/status | tr -d '\\t'";
        let expected =
            "61183\n61183\n7\n900\nCapPrm:0000000000000000\nCapEff:0000000000000000\nNoNewPrivs:1";
        assert_eq!(sh(apart, look), expected);
    }

    #[test]
    fn a_limit_is_never_raised() {
        let low = Apart::new().limited(Limit::OpenFiles(64)).limited(Limit::OpenFiles(4096));
        assert_eq!(sh(low, "ulimit -n"), "64");
    }
}

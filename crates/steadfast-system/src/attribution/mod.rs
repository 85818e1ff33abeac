//! Change attribution: which process changed what is promised, whose it is, and what apt or dpkg was told.
//!
//! The kernel tells about processes through fanotify ([`Group`]); what a process is, is read from /proc
//! while it lives ([`ask`]); what was done about packages stands in the logs of apt and dpkg
//! ([`crate::packages::log`]).

mod events;
mod group;
mod process;

pub use events::{Act, Place};
pub use group::{Event, Group, give_up_admin};
pub use process::{Process, ask, own_unit};

use crate::packages::log::Work;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Somebody who has changed something that is promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changer {
    /// The last time, in microseconds since 1970.
    pub at: i64,
    /// Zero where the process is outside of our container; nothing where it is not known.
    pub pid: Option<i32>,
    /// Nothing where it had ended before it could be asked, or where too many were.
    pub process: Option<Process>,
    /// What the package manager was at.
    pub work: Option<Work>,
}

impl Changer {
    /// Whether it is a package manager that wrote, or a script of a package. Everybody can call a process
    /// so; only root installs packages.
    pub fn is_about_packages(&self) -> bool {
        let is = |it: &Process| is_script(it) || process::is_about_packages(it.name.as_bytes());
        self.process.as_ref().is_some_and(|it| process::is_root(it) && is(it))
    }

    /// Whether what it did may be what apt was told: a dpkg that apt starts reports to it, or is told
    /// beforehand what is to go.
    pub fn may_be_by_apt(&self) -> bool {
        let by_hand = |it: &Process| {
            let is_apts =
                |it: &String| it.contains("--status-fd") || it.contains("--set-selections");
            it.name == "dpkg" && !it.command.as_ref().is_none_or(is_apts)
        };
        self.is_about_packages() && !self.process.as_ref().is_some_and(by_hand)
    }

    /// Whether it is the same process, perhaps at another time.
    pub fn is_same(&self, other: &Changer) -> bool {
        let names = (self.process.as_ref(), other.process.as_ref());
        self.pid == other.pid
            && match names {
                (Some(one), Some(other)) => one == other,
                // It was asked the first time, and had ended the second.
                (Some(_) | None, None) | (None, Some(_)) => true,
            }
    }
}

fn is_script(process: &Process) -> bool {
    process.command.as_ref().is_some_and(|it| it.starts_with("/var/lib/dpkg/"))
}

impl Process {
    /// ` of ann, in cron.service: …`: what stands behind its name.
    fn about(&self, with_command: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { name: _, command, arguments: _, user, login, unit, group: _ } = self;
        write!(f, " of {user}")?;
        if let Some(login) = login {
            write!(f, ", logged in as {login}")?;
        }
        if let Some(unit) = unit {
            write!(f, ", in {unit}")?;
        }
        match command {
            Some(command) if with_command => write!(f, ": {command}"),
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for Changer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What apt was told says more than what it has dpkg do for that.
        let Changer { at: _, pid, process, work } = self;
        match (pid, process) {
            (Some(pid), Some(process)) => {
                write!(f, "{} (pid {pid})", process.name)?;
                process.about(work.is_none(), f)?;
            }
            (None, Some(process)) => {
                f.write_str(&process.name)?;
                process.about(work.is_none(), f)?;
            }
            (Some(0), None) => f.write_str("a process outside of this container")?,
            (Some(pid), None) => write!(f, "pid {pid}, which could not be asked")?,
            (None, None) => match work {
                Some(work) => return work.fmt(f),
                None => f.write_str("somebody unknown")?,
            },
        }
        match work {
            Some(work) => write!(f, "; {work}"),
            None => Ok(()),
        }
    }
}

/// Several writers in words, the latest first.
pub fn words(writers: &[Changer]) -> String {
    let mut latest: Vec<&Changer> = writers.iter().collect();
    latest.sort_by_key(|it| std::cmp::Reverse(it.at));
    latest.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str) -> Process {
        Process {
            name: name.to_owned(),
            command: None,
            arguments: 0,
            user: "ann".to_owned(),
            login: None,
            unit: None,
            group: 0,
        }
    }

    fn writer(at: i64, pid: i32, process: Option<Process>) -> Changer {
        Changer { at, pid: Some(pid), process, work: None }
    }

    #[test]
    fn a_writer_is_told_in_one_line() {
        let bash = writer(1, 812, Some(process("bash")));
        assert_eq!(bash.to_string(), "bash (pid 812) of ann");
        let sed = Process {
            arguments: 3,
            user: "root".to_owned(),
            login: Some("ann".to_owned()),
            unit: Some("session-3.scope".to_owned()),
            ..process("sed")
        };
        let sed = writer(2, 9, Some(sed));
        let expected = "sed (pid 9) of root, logged in as ann, in session-3.scope";
        assert_eq!(sed.to_string(), expected);
        assert_eq!(writer(1, 7, None).to_string(), "pid 7, which could not be asked");
        assert_eq!(writer(1, 0, None).to_string(), "a process outside of this container");
        let work = Work { command: "apt-get purge x".to_owned(), asked_by: None };
        let unseen = Changer { at: 1, pid: None, process: None, work: Some(work.clone()) };
        assert_eq!(unseen.to_string(), "apt-get purge x");
        let dpkg = Process { command: Some("dpkg -r x".to_owned()), ..process("dpkg") };
        let dpkg = writer(1, 5, Some(dpkg));
        assert_eq!(dpkg.to_string(), "dpkg (pid 5) of ann: dpkg -r x");
        let dpkg = Changer { work: Some(work), ..dpkg };
        assert_eq!(dpkg.to_string(), "dpkg (pid 5) of ann; apt-get purge x");
        assert_eq!(words(&[bash, sed]), format!("{expected}; bash (pid 812) of ann"));
    }

    #[test]
    fn what_apt_was_told_is_not_said_of_a_dpkg_that_somebody_started() {
        let is = |name: &str, command: Option<&str>| {
            let command = command.map(str::to_owned);
            let user = "root".to_owned();
            let writer = writer(1, 5, Some(Process { command, user, ..process(name) }));
            (writer.is_about_packages(), writer.may_be_by_apt())
        };
        assert_eq!(is("dpkg", Some("dpkg --status-fd 15 --configure --pending")), (true, true));
        assert_eq!(is("dpkg", Some("dpkg --set-selections")), (true, true));
        assert_eq!(is("dpkg", Some("dpkg --remove hello")), (true, false));
        assert_eq!(is("apt-get", Some("apt-get remove hello")), (true, true));
        assert_eq!(is("sh", Some("/var/lib/dpkg/info/hello.postinst")), (true, true));
        assert_eq!(is("sh", Some("/root/x")), (false, false));
        // Whoever calls himself so is none.
        for name in ["dpkg", "apt-get"] {
            let of_ann = writer(1, 5, Some(process(name)));
            assert!(!of_ann.is_about_packages() && !of_ann.may_be_by_apt(), "{of_ann}");
        }
    }

    #[test]
    fn a_process_that_has_ended_meanwhile_is_the_same_and_another_is_not() {
        let known = writer(1, 7, Some(process("sed")));
        assert!(known.is_same(&writer(2, 7, None)));
        assert!(!known.is_same(&writer(2, 8, None)));
        assert!(!known.is_same(&writer(2, 7, Some(process("vi")))));
    }
}

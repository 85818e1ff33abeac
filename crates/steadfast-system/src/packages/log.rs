//! What apt and dpkg have logged of what they were told to do, and by whom. Pure but for the
//! reading, which is of no more than the ends of two files; the texts under `captures/` are real ones of Debian 12.

use super::job::OURS;
use crate::PackageName;
use crate::text::safe_start;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

/// What the package manager was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// apt's command line, or what dpkg says that it did.
    pub command: String,
    /// Who had it done, where apt knows: `ann (1000)`.
    pub asked_by: Option<String>,
}

const APT: &str = "/var/log/apt/history.log";
const DPKG: &str = "/var/log/dpkg.log";
/// Of each log so much is read, from its end.
const MOST: u64 = 256 * 1024;
/// What is kept of a command line, in characters.
const COMMAND: usize = 200;
/// dpkg says what it will do before it does so, and it may have much to do.
const DPKG_TAKES: SignedDuration = SignedDuration::from_mins(10);

/// The logs, each read when it is first asked for.
#[derive(Debug, Default)]
pub struct Logs {
    apt: OnceCell<Option<String>>,
    dpkg: OnceCell<Option<String>>,
}

impl Logs {
    /// The command of apt's that was at work at that time (in microseconds since 1970) or later: about
    /// one package, or about any where none is named. Those of ours are left out.
    pub fn asked_of_apt(&self, package: Option<&PackageName>, since: i64) -> Option<Work> {
        let log = self.apt.get_or_init(|| tail(APT));
        apt(log.as_ref()?, package, here(since)?)
    }

    /// What dpkg did about a package at about that time.
    pub fn done_by_dpkg(&self, package: &PackageName, since: i64) -> Option<Work> {
        let log = self.dpkg.get_or_init(|| tail(DPKG));
        dpkg(log.as_ref()?, package, here(since)?)
    }
}

/// Both logs are in the time of this place, and in whole seconds.
fn here(since: i64) -> Option<DateTime> {
    let since = Timestamp::from_microsecond(since).ok()?;
    let since = since.to_zoned(TimeZone::system()).datetime();
    since.with().subsec_nanosecond(0).build().ok()
}

/// The end of a file of the system's. What is no plain file is not read: it might never end.
fn tail(path: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let about = file.metadata().ok()?;
    if !about.is_file() {
        return None;
    }
    file.seek(SeekFrom::Start(about.len().saturating_sub(MOST))).ok()?;
    let mut bytes = vec![];
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The newest entry of apt's history that had not ended before.
fn apt(history: &str, package: Option<&PackageName>, since: DateTime) -> Option<Work> {
    let entries = history.rsplit("\n\n").map(Entry::parse);
    // One that has no end goes on, or was cut. What stands before one that had ended is older.
    let mut recent = entries.take_while(|it| it.ended.is_none_or(|it| it >= since));
    recent.find_map(|entry| {
        let command = entry.field("Commandline:")?;
        (!is_ours(command) && entry.is_about(package)).then(|| Work {
            command: safe_start(command, COMMAND),
            asked_by: entry.field("Requested-By:").map(|it| safe_start(it, 64)),
        })
    })
}

/// One entry of apt's history: a line each for what it says.
struct Entry<'a> {
    text: &'a str,
    ended: Option<DateTime>,
}

impl<'a> Entry<'a> {
    fn parse(text: &'a str) -> Entry<'a> {
        let entry = Entry { text, ended: None };
        Entry { ended: entry.field("End-Date:").and_then(time), ..entry }
    }

    fn field(&self, key: &str) -> Option<&'a str> {
        self.text.lines().find_map(|it| it.strip_prefix(key)).map(str::trim)
    }

    /// Whether it did something about this package, or about any: `Install: a:amd64 (1), b:amd64 (2)`.
    fn is_about(&self, package: Option<&PackageName>) -> bool {
        const ACTIONS: [&str; 6] =
            ["Install:", "Upgrade:", "Downgrade:", "Reinstall:", "Remove:", "Purge:"];
        let mut named = ACTIONS.iter().filter_map(|it| self.field(it));
        named.any(|line| {
            package.is_none_or(|package| {
                let names = line.split("), ").filter_map(|it| it.split(' ').next());
                names.into_iter().any(|it| is(package, it))
            })
        })
    }
}

/// Whether it is a command line of ours, which may name apt-get with its path.
fn is_ours(command: &str) -> bool {
    let [program, arguments @ ..] = &OURS;
    let Some((first, rest)) = command.split_once(' ') else { return false };
    first.rsplit('/').next() == Some(program) && rest.starts_with(&arguments.join(" "))
}

/// The newest thing that dpkg has said to do about a package: `2026-11-25 16:35:21 remove a:all 1 <none>`.
fn dpkg(log: &str, package: &PackageName, since: DateTime) -> Option<Work> {
    log.lines().rev().find_map(|line| {
        let (at, rest) = line.split_at_checked(19)?;
        let at = time(at)?;
        let mut words = rest.split_ascii_whitespace();
        let (action, name) = (words.next()?, words.next()?);
        let acts = ["install", "upgrade", "remove", "purge", "disappear"].contains(&action);
        if !acts || !is(package, name) || at < since.saturating_sub(DPKG_TAKES) {
            return None;
        }
        Some(Work {
            command: safe_start(&format!("dpkg {action} {name}"), COMMAND),
            asked_by: None,
        })
    })
}

/// Whether `nginx:amd64` is this package.
fn is(package: &PackageName, logged: &str) -> bool {
    let name = logged.split(':').next().unwrap_or_default();
    package.as_str() == logged || package.as_str() == name
}

/// `2026-11-25 16:35:21`; apt writes two spaces.
fn time(text: &str) -> Option<DateTime> {
    let (day, time) = text.trim().split_once(' ')?;
    format!("{day}T{}", time.trim()).parse().ok()
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Work { command, asked_by } = self;
        write!(f, "{command}")?;
        match asked_by {
            Some(who) => write!(f, ", asked for by {who}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HISTORY: &str = include_str!("captures/history.log");
    const LOG: &str = include_str!("captures/dpkg.log");

    fn package(name: &str) -> PackageName {
        PackageName::parse(name).unwrap()
    }

    fn at(clock: &str) -> DateTime {
        time(&format!("2026-11-25 {clock}")).unwrap()
    }

    fn told(name: &str, since: &str) -> Option<String> {
        apt(HISTORY, Some(&package(name)), at(since)).map(|it| it.to_string())
    }

    #[test]
    fn apt_s_history_says_what_was_told_and_who_asked() {
        let removed = "apt-get remove -q -y hello-test, asked for by ann (1000)";
        assert_eq!(told("hello-test", "16:35:18").as_deref(), Some(removed));
        assert_eq!(told("hello-test:amd64", "16:35:21").as_deref(), Some(removed));
        assert_eq!(told("hello-test", "16:35:22"), None, "that had ended before");
        let purged = Some("apt-get purge -q -y hello-data".to_owned());
        assert_eq!(told("hello-data", "16:35:18"), purged);
        assert_eq!(told("hello", "16:35:18"), None);
        let any = apt(HISTORY, None, at("16:35:19")).map(|it| it.to_string());
        assert_eq!(any, purged);
        // What is still going on has no end yet.
        let cut = HISTORY.rsplit_once("End-Date").unwrap().0;
        let late = apt(cut, Some(&package("hello-data")), at("23:00:00")).unwrap();
        assert_eq!(Some(late.to_string()), purged);
    }

    #[test]
    fn what_we_told_apt_ourselves_is_nobody_s_doing() {
        for path in ["", "/usr/bin/"] {
            let by = format!("{path}{} install", OURS.join(" "));
            let ours = HISTORY.replace("apt-get remove -q -y", &by);
            let told = apt(&ours, Some(&package("hello-test")), at("16:35:18")).unwrap();
            assert_eq!(told.command, "apt-get install -q -y ./hello-test_2.0.deb");
        }
    }

    #[test]
    fn dpkg_s_log_says_what_was_done() {
        let told = |name, since| dpkg(LOG, &package(name), at(since)).map(|it| it.to_string());
        let removed = Some("dpkg remove hello-data:all".to_owned());
        assert_eq!(told("hello-data", "16:35:23"), removed);
        assert_eq!(told("hello-data", "16:45:23"), removed);
        assert_eq!(told("hello-data", "16:45:24"), None);
        assert_eq!(told("hello", "16:35:18"), None);
    }

    #[test]
    fn a_log_that_means_harm_stays_text_and_short() {
        let hostile = "Start-Date: x\nCommandline: a\u{1b}[2J\u{202e}b\nRequested-By: \u{7}\nInstall: hello-test:amd64 (1)";
        let work = apt(hostile, Some(&package("hello-test")), at("16:00:00")).unwrap();
        assert_eq!(work.to_string(), "a\\u{1b}[2J\\u{202e}b, asked for by \\u{7}");
        let long = format!("Commandline: {}\nRemove: aa", "x".repeat(100_000));
        assert_eq!(
            apt(&long, Some(&package("aa")), at("16:00:00")).unwrap().command.len(),
            COMMAND
        );
    }

    #[test]
    fn what_is_no_plain_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let fifo = path("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &*fifo,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        std::fs::write(path("log"), "x").unwrap();
        std::os::unix::fs::symlink(path("log"), path("link")).unwrap();
        assert_eq!(tail(&path("log")).as_deref(), Some("x"));
        for other in [fifo, path("link"), path("none"), folder.path().to_str().unwrap().to_owned()]
        {
            assert_eq!(tail(&other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_log_makes_it_panic(text in "(Commandline: |Install: |End-Date: |2026-11-25 |\\PC|\n){0,40}") {
            let _whatever = apt(&text, Some(&package("aa")), at("16:00:00"));
            let _whatever = dpkg(&text, &package("aa"), at("16:00:00"));
        }
    }
}

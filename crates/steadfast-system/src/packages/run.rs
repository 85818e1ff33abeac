//! Running apt and dpkg: locks waited for, lists refreshed, and a process that outlives us.

use super::apt::{self, refusal};
use super::locks::{self, LOCKS};
use super::marker::Marker;
use super::on_disk::{REFRESH_FAILED, REFRESHED, entries, read_text};
use super::{Conffiles, OUR_UNITS, Options, Write as _};
use crate::command::{Command, Finished};
use crate::{ErrorKind, Host, SystemError};
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A transaction that takes longer is left to finish by itself.
const TRANSACTION: Duration = Duration::from_secs(60 * 60);

/// The environment in which nothing of apt or dpkg asks a question, or restarts services on its own.
pub(super) const QUIET: [(&str, &str); 5] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("APT_LISTBUGS_FRONTEND", "none"),
    ("NEEDRESTART_MODE", "l"),
];

fn environment(conffiles: Conffiles) -> Vec<(&'static str, &'static str)> {
    let mut all = QUIET.to_vec();
    // ucf keeps configuration files of its own kind, and is told the same.
    all.push(match conffiles {
        Conffiles::Keep | Conffiles::Fail => ("UCF_FORCE_CONFFOLD", "1"),
        Conffiles::Replace => ("UCF_FORCE_CONFFNEW", "1"),
    });
    all
}

pub(super) fn force(conffiles: Conffiles) -> &'static [&'static str] {
    match conffiles {
        Conffiles::Keep | Conffiles::Fail => &["--force-confdef", "--force-confold"],
        Conffiles::Replace => &["--force-confnew"],
    }
}

/// Both outputs, the errors last.
pub(super) fn said(finished: &Finished) -> String {
    format!("{}\n{}", finished.stdout_text(), finished.stderr_text())
}

/// The last 256 KiB of a file.
fn tail(path: &Path) -> String {
    const MOST: u64 = 256 * 1024;
    let mut bytes = vec![];
    if let Ok(mut file) = fs::File::open(path) {
        let size = file.metadata().map_or(0, |it| it.len());
        let _from_the_start = file.seek(SeekFrom::Start(size.saturating_sub(MOST)));
        let _what_there_is = file.take(MOST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
        && fs::read_to_string("/proc/1/comm").is_ok_and(|it| it.trim() == "systemd")
}

/// The unit of a transaction of ours that still runs, also that of an earlier run: its control group
/// has a process. Control groups of version 2 and 1 are looked through.
pub(super) fn running_unit() -> Option<String> {
    const SLICES: [&str; 3] = [
        "/sys/fs/cgroup/system.slice",
        "/sys/fs/cgroup/systemd/system.slice",
        "/sys/fs/cgroup/unified/system.slice",
    ];
    SLICES.iter().find_map(|slice| {
        entries(slice).iter().find_map(|path| {
            let name = path.file_name()?.to_str()?;
            if !name.starts_with(OUR_UNITS) || !name.ends_with(".service") {
                return None;
            }
            let processes = fs::read(path.join("cgroup.procs")).ok()?;
            (!processes.is_empty()).then(|| name.to_owned())
        })
    })
}

pub(super) fn interrupted() -> SystemError {
    refusal(
        "dpkg was interrupted by somebody else: run `dpkg --configure -a`, or allow it with `repair_dpkg: true`",
    )
}

impl Host {
    pub(super) fn marker(&self) -> PathBuf {
        self.state_path("package-transaction")
    }

    /// Waits until nobody holds a lock of apt or dpkg; one limit for all of them.
    pub(super) fn wait_for_locks(&self) -> Result<(), SystemError> {
        let limit = self.package_rules().wait_for_lock;
        let deadline = Instant::now() + limit;
        loop {
            let holder = match running_unit() {
                Some(unit) => format!("an earlier transaction of ours still runs: {unit}"),
                None => match locks::holder(&LOCKS) {
                    Some(holder) => holder.to_string(),
                    None => return Ok(()),
                },
            };
            if self.package_cache().gave_up || Instant::now() >= deadline {
                self.package_cache().gave_up = true;
                return Err(SystemError::new(ErrorKind::Locked, holder)
                    .during(format!("wait {} s for apt and dpkg", limit.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Fetches apt's lists, once in a run, and tries again a few times. What could not be fetched is written
    /// down, so that nobody takes the lists for fresh.
    pub(super) fn refresh(&self) -> Result<(), SystemError> {
        if std::mem::replace(&mut self.package_cache().refreshed, true) {
            return Ok(());
        }
        let record = self.state_path(REFRESH_FAILED);
        // What failed in an earlier run too is no mishap of this moment.
        let pauses: &[u64] = if record.exists() { &[0] } else { &[0, 2, 5] };
        let mut failed = None;
        for pause in pauses.iter().copied() {
            std::thread::sleep(Duration::from_secs(pause));
            self.wait_for_locks()?;
            let finished = Command::tool("apt-get")
                .args(["-q", "-y", "-o", "APT::Update::Error-Mode=any", "update"])
                .timeout(Duration::from_secs(10 * 60))
                .run()?;
            if finished.success() {
                // apt itself leaves no trace where nothing was new.
                let _only_asked_sooner = fs::write(self.state_path(REFRESHED), "");
                let _only_asked_sooner = fs::remove_file(record);
                return Ok(());
            }
            failed = Some(apt::failure(&said(&finished)));
        }
        let Some(failed) = failed else { return Ok(()) };
        fs::write(&record, failed.to_string())
            .map_err(|err| SystemError::io(format!("write {}", record.display()), err))?;
        Err(failed.during("refresh apt's lists"))
    }

    /// Locks free, what a dead run left behind gone, and dpkg at rest.
    pub(super) fn prepare(&self) -> Result<(), SystemError> {
        self.wait_for_locks()?;
        self.tidy_packages()?;
        let known = self.known()?;
        // apt itself configures what is only half configured. It refuses while dpkg's journal is not
        // empty, and does not see what was torn.
        let marker = self.read_marker();
        let torn = known.database.torn();
        let owned = torn.iter().any(|it| marker.as_ref().is_some_and(|marker| marker.owns(it)));
        if known.updates || owned || marker.is_some_and(|it| it.running) {
            if known.updates && !self.unrest(&known).journal_is_ours {
                return Err(interrupted());
            }
            // What it could not configure shows in what follows, package by package.
            let _tried = self.complete_packages();
        }
        Ok(())
    }

    /// Runs apt-get or dpkg so that it outlives us: its output goes to a file, and where systemd is
    /// PID 1 it runs in a unit of its own. Whether it succeeded, and what it said.
    pub(super) fn run_to_its_end(
        &self,
        arguments: &[String],
        conffiles: Conffiles,
    ) -> Result<(bool, String), SystemError> {
        let log = self.state_path("package-transaction.log");
        let environment = environment(conffiles);
        let run = |arguments: &[String]| {
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&log)
                .map_err(|err| SystemError::io(format!("write {}", log.display()), err))?;
            let mut command = Command::tool("sh")
                .args(["-c", "exec \"$@\" >>\"$0\" 2>&1"])
                .arg(&log)
                .args(arguments)
                .timeout(TRANSACTION)
                .never_kill();
            for (name, value) in &environment {
                command = command.env(name, value);
            }
            let finished = command.run()?;
            Ok((finished.success(), tail(&log)))
        };
        if is_systemd() {
            let (success, text) = run(&self.in_a_unit(arguments, &environment, &log))?;
            // systemd itself said no: nothing has been started.
            if success || !text.starts_with("Failed to ") {
                return Ok((success, text));
            }
        }
        run(arguments)
    }

    /// The arguments with which systemd runs a program in a unit of its own.
    fn in_a_unit(
        &self,
        arguments: &[String],
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Vec<String> {
        let number = {
            let mut cache = self.package_cache();
            cache.units += 1;
            cache.units
        };
        let mut all: Vec<String> =
            ["systemd-run", "--wait", "--collect", "--quiet"].map(str::to_owned).to_vec();
        all.push(format!("--unit={OUR_UNITS}{}-{number}", std::process::id()));
        for property in [
            "Description=steadfast: a package transaction".to_owned(),
            format!("StandardOutput=append:{}", log.display()),
            format!("StandardError=append:{}", log.display()),
            // A stop (at shutdown) waits for dpkg instead of ending it.
            "KillSignal=SIGCONT".to_owned(),
            "TimeoutStopSec=15min".to_owned(),
        ] {
            all.extend(["-p".to_owned(), property]);
        }
        let usual = [("LC_ALL", "C"), ("HOME", "/root"), ("PATH", crate::command::PATH)];
        for (name, value) in environment.iter().copied().chain(usual) {
            all.push(format!("--setenv={name}={value}"));
        }
        all.push("--".to_owned());
        all.extend_from_slice(arguments);
        all
    }

    pub(super) fn read_marker(&self) -> Option<Marker> {
        read_text(&self.marker()).ok().map(|it| Marker::decode(&it))
    }

    pub(super) fn write_marker(&self, marker: &Marker) -> Result<(), SystemError> {
        let path = self.marker();
        let new = self.state_path("package-transaction.new");
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(marker.encode().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            fs::File::open(&self.settings.state)?.sync_all()
        };
        write().map_err(|err| SystemError::io(format!("write {}", path.display()), err))
    }

    /// Writes down that a transaction begins.
    pub(super) fn begin(&self, options: &Options) -> Result<(), SystemError> {
        let before = self.read_marker();
        let mut foreign = self.known()?.database.cut();
        foreign.retain(|it| !before.as_ref().is_some_and(|marker| marker.owns(it)));
        let (conffiles, start) = (options.conffiles, options.start);
        self.write_marker(&Marker { conffiles, start, running: true, foreign, ours: vec![] })
    }

    /// The transaction has ended. What it left half done stays ours, and the next one completes it.
    pub(super) fn end(&self) {
        let Some(mut marker) = self.read_marker() else { return };
        let Ok(known) = self.known() else { return };
        marker.ours = known.database.cut();
        marker.ours.retain(|it| !marker.foreign.contains(it));
        marker.running = known.updates;
        if marker.running || !marker.ours.is_empty() {
            // A marker that stays says "running": then more counts as ours, and is completed.
            let _only_more = self.write_marker(&marker);
        } else {
            let _already_gone = fs::remove_file(self.marker());
        }
    }
}

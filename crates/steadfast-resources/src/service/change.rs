//! What can be done to a unit, and in which order.

use crate::paths;
use crate::runner::{Consequence, RunnerChange};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use steadfast_system::files::{Expected, Mode, NewFile};
use steadfast_system::{AbsPath, UnitName};

/// The mode of the files that we write for systemd: everybody may read them, as systemd expects.
pub(super) const MODE: Mode = Mode(0o644);
pub(super) const FOLDER_MODE: Mode = Mode(0o755);

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    MakeFolder {
        path: AbsPath,
    },
    Write {
        file: NewFile,
        was: Option<Arc<str>>,
    },
    SetAttributes {
        path: AbsPath,
        seen: Expected,
        was: (u32, u32, Mode),
    },
    Stop {
        unit: UnitName,
        timeout: Duration,
    },
    Enable {
        unit: UnitName,
    },
    Disable {
        unit: UnitName,
    },
    Mask {
        unit: UnitName,
    },
    Unmask {
        unit: UnitName,
    },
    DaemonReload,
    Start(Act),
    /// It is being started already.
    Await(Act),
    Reload(Act),
    Restart(Act),
}

/// A service that gets its current inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    pub unit: UnitName,
    /// What is asked before.
    pub validate: Vec<Arc<str>>,
    pub settle: Duration,
    pub timeout: Duration,
    /// Why a reload or restart is due.
    pub because: Vec<String>,
}

impl RunnerChange for Change {
    fn pays(&self) -> Option<Consequence> {
        match self {
            Change::Reload(_) => Some(Consequence::Reload),
            Change::Restart(_) | Change::Start(_) => Some(Consequence::Restart),
            Change::MakeFolder { .. }
            | Change::Write { .. }
            | Change::SetAttributes { .. }
            | Change::Stop { .. }
            | Change::Enable { .. }
            | Change::Disable { .. }
            | Change::Mask { .. }
            | Change::Unmask { .. }
            | Change::DaemonReload
            | Change::Await(_) => None,
        }
    }

    fn alters_own_inputs(&self) -> bool {
        matches!(self, Change::Write { .. })
    }

    fn starts_process(&self) -> bool {
        self.phase() == Phase::Run
    }

    fn is_restart(&self) -> bool {
        matches!(self, Change::Restart(_))
    }

    fn enables(&self) -> Option<bool> {
        match self {
            Change::Enable { .. } => Some(true),
            Change::Disable { .. } => Some(false),
            Change::MakeFolder { .. }
            | Change::Write { .. }
            | Change::SetAttributes { .. }
            | Change::Stop { .. }
            | Change::Mask { .. }
            | Change::Unmask { .. }
            | Change::DaemonReload
            | Change::Start(_)
            | Change::Await(_)
            | Change::Reload(_)
            | Change::Restart(_) => None,
        }
    }

    fn is_daemon_reload(&self) -> bool {
        self.phase() == Phase::DaemonReload
    }

    fn wants_daemon_reload(&self) -> bool {
        match self.phase() {
            Phase::Files | Phase::Links | Phase::DaemonReload => true,
            Phase::Stop | Phase::Run => false,
        }
    }
}

impl Change {
    /// Changes of one plan stand in the order of their phases, and those of a batch are applied phase by
    /// phase: so systemd reads its files once for all of them, and stops a unit while it still knows it.
    pub(super) fn phase(&self) -> Phase {
        match self {
            Change::MakeFolder { .. } | Change::Write { .. } | Change::SetAttributes { .. } => {
                Phase::Files
            }
            Change::Stop { .. } => Phase::Stop,
            Change::Enable { .. }
            | Change::Disable { .. }
            | Change::Mask { .. }
            | Change::Unmask { .. } => Phase::Links,
            Change::DaemonReload => Phase::DaemonReload,
            Change::Start(_) | Change::Await(_) | Change::Reload(_) | Change::Restart(_) => {
                Phase::Run
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Files,
    Stop,
    Links,
    DaemonReload,
    Run,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let act = |f: &mut fmt::Formatter<'_>, verb: &str, act: &Act| {
            f.write_str(verb)?;
            if !act.because.is_empty() {
                write!(f, " ({} changed)", act.because.join(", "))?;
            }
            Ok(())
        };
        match self {
            Change::MakeFolder { path } => write!(f, "make directory {path}"),
            Change::Write { file, was } => {
                write!(f, "write {}, {}", file.path, paths::bytes(file.content.len() as u64))?;
                match (was, &file.replaces) {
                    (Some(was), _) => write!(f, " (was {})", paths::thousands(was.len() as u64)),
                    (None, Expected::Link { target }) => write!(f, " (was a link to {target})"),
                    (None, Expected::Nothing) => write!(f, " (new, mode {})", file.mode),
                    (None, Expected::Other | Expected::Directory) => Ok(()),
                    (None, Expected::File { .. } | Expected::AnyFile) => {
                        f.write_str(" (was another file)")
                    }
                }
            }
            Change::SetAttributes { path, was: (uid, gid, mode), seen: _ } => {
                write!(f, "give {path} uid 0, gid 0, mode {MODE} (was {uid}, {gid}, {mode})")
            }
            Change::Stop { .. } => f.write_str("stop"),
            Change::Enable { .. } => f.write_str("enable"),
            Change::Disable { .. } => f.write_str("disable"),
            Change::Mask { .. } => f.write_str("mask"),
            Change::Unmask { .. } => f.write_str("unmask"),
            Change::DaemonReload => f.write_str("reload systemd's unit files (daemon-reload)"),
            Change::Start(it) => act(f, "start", it),
            Change::Await(it) => act(f, "wait until it is active", it),
            Change::Reload(it) => act(f, "reload", it),
            Change::Restart(it) => act(f, "restart", it),
        }
    }
}

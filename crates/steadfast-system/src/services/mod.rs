//! Units of systemd: what may be asked about them and what may be done to them.

mod bus;
pub(crate) mod cache;
mod enablement;
mod freshness;
mod health;
mod host;
mod install;
mod journal;
mod life;
mod listed;
mod reach;
mod settle;
mod settling;
mod show;
mod systemctl;
mod sysv;
mod url;

use crate::{AbsPath, SystemError, UnitName, programs};
pub(crate) use host::is_running;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use install::Install;
pub use install::{also, enables_otherwise, has_install_rules};
pub(crate) use life::cgroup;
pub use life::{Life, Lives, Tie};
pub use reach::{
    is_in_unit_language, is_read_by_systemd, may_hold_unit_files, places_of, unit_at,
    unit_read_from,
};
pub use settling::Settling;
pub use url::{BadUrl, HealthUrl};

/// Where an administrator's unit files, drop-ins and masks lie.
pub const FOLDER: &str = "/etc/systemd/system";

/// One unit, as systemd and its files say.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    pub load: Load,
    pub active: Active,
    /// The finer state, as systemd names it: `running`, `exited`, `auto-restart`.
    pub sub: Arc<str>,
    /// What it would be but for a mask.
    pub enablement: Enablement,
    pub mask: Mask,
    /// Its file, masks left out; none where there is none, or systemd alone knows it.
    pub fragment: Option<AbsPath>,
    /// systemd's InvocationID: another one after every start. Only of what runs.
    pub invocation: Option<Arc<str>>,
    /// When the start of what runs now began, in microseconds since 1970. What was changed before
    /// that, it has read.
    pub since: Option<i64>,
    /// Whether systemd has not read its files as they are now: by its own word, or because one of them changed
    /// after it last began to read them.
    pub needs_reload: bool,
    pub can_reload: bool,
    /// For a oneshot that leaves nothing behind (Type=oneshot without RemainAfterExit): how its last
    /// start in this boot ended.
    pub oneshot: Option<LastStart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Load {
    Loaded,
    NotFound,
    Masked,
    /// systemd cannot load it: its word for why, such as `bad-setting`.
    Failed(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    Active,
    Reloading,
    Inactive,
    Failed,
    Activating,
    Deactivating,
}

impl Active {
    /// Whether there is a process, or something that stands for one.
    pub fn runs(self) -> bool {
        match self {
            Active::Active | Active::Reloading | Active::Activating => true,
            Active::Inactive | Active::Failed | Active::Deactivating => false,
        }
    }
}

impl fmt::Display for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Active::Active => "active",
            Active::Reloading => "reloading",
            Active::Inactive => "inactive",
            Active::Failed => "failed",
            Active::Activating => "activating",
            Active::Deactivating => "deactivating",
        })
    }
}

/// Whether it starts at boot, and whether that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enablement {
    Enabled,
    /// Until the next boot only.
    EnabledRuntime,
    Disabled,
    /// It has nothing that could be enabled.
    Static,
    /// Others are enabled in its place, or it is in use under another name.
    Indirect,
    /// It was made at boot from another configuration, such as /etc/fstab. What is made of an init script is
    /// enabled or disabled.
    Generated,
    /// It was made by a program, and goes with it.
    Transient,
    /// It is another name of this unit.
    Alias(Arc<str>),
    /// Its file lies elsewhere, and only a link to it makes it known.
    Linked,
    NotFound,
}

impl Enablement {
    /// Whether links start it, be it until the next boot only.
    pub fn is_enabled(&self) -> bool {
        match self {
            Enablement::Enabled | Enablement::EnabledRuntime => true,
            Enablement::Disabled
            | Enablement::Static
            | Enablement::Indirect
            | Enablement::Generated
            | Enablement::Transient
            | Enablement::Alias(_)
            | Enablement::Linked
            | Enablement::NotFound => false,
        }
    }

    /// What a unit is as long as no link enables it, by the text of its file.
    pub fn without_links(text: &str) -> Enablement {
        Enablement::of_install(&install::install(text))
    }

    fn of_install(install: &Install) -> Enablement {
        if install.rules {
            Enablement::Disabled
        } else if install.also.is_empty() {
            Enablement::Static
        } else {
            Enablement::Indirect
        }
    }
}

impl fmt::Display for Enablement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Enablement::Enabled => f.write_str("enabled"),
            Enablement::EnabledRuntime => f.write_str("enabled until the next boot"),
            Enablement::Disabled => f.write_str("disabled"),
            Enablement::Static => f.write_str("static"),
            Enablement::Indirect => f.write_str("indirect"),
            Enablement::Generated => f.write_str("generated"),
            Enablement::Transient => f.write_str("transient"),
            Enablement::Alias(of) => write!(f, "another name of {of}"),
            Enablement::Linked => f.write_str("linked"),
            Enablement::NotFound => f.write_str("not found"),
        }
    }
}

/// Whether it is masked, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    Not,
    /// Until the next boot only.
    Runtime,
    /// By the administrator.
    Persistent,
    /// By the package that it comes from: nobody but the package can lift that.
    Vendor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastStart {
    Never,
    Succeeded,
    Failed,
}

/// When the systemd of this machine last began to read all unit files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastLoad {
    /// In microseconds since 1970; none where it does not say, as an old one.
    pub began: Option<i64>,
}

/// How a unit is asked whether it is healthy.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// By a GET.
    Http(&'a HealthUrl),
    /// By a GET of which the answer has to be just so.
    Answer { url: &'a HealthUrl, expected: &'a Expected },
    /// By a connection, which is closed at once.
    Tcp(SocketAddr),
    /// By a program that exits with 0. What a program does nobody knows, so a mere look does not start
    /// it: whoever asks brings the power to run it.
    Program { program: programs::Program<'a>, runs: &'a dyn programs::Run },
}

impl<'a> Question<'a> {
    /// A program that we run as we are.
    pub fn command(command: &'a [Arc<str>], runs: &'a dyn programs::Run) -> Question<'a> {
        let program =
            programs::Program { command, user: None, folder: None, timeout: health::QUESTION };
        Question::Program { program, runs }
    }
}

/// What the answer to a GET has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Any of these.
    pub status: Vec<u16>,
    /// Headers with their exact values.
    pub header: BTreeMap<Arc<str>, Arc<str>>,
}

/// What may be asked.
pub trait Read: fmt::Debug {
    /// A batch: systemd is asked once. One result for each, in their order.
    fn units(&self, names: &[&UnitName]) -> Vec<Result<Unit, SystemError>>;

    /// The units that are enabled and disabled with one: `Also=` in `[Install]` of its file, and of theirs.
    fn also(&self, unit: &UnitName) -> Result<Vec<UnitName>, SystemError>;

    /// None where no systemd runs that reads unit files: in a chroot, or in a container without an init.
    fn last_load(&self) -> Option<LastLoad>;

    /// Asks a unit whether it is healthy: until it is, for `patience`, and twice at least. If it is not,
    /// the error says why, with the last lines of the unit's journal.
    fn healthy(
        &self,
        unit: &UnitName,
        question: Question<'_>,
        patience: Duration,
    ) -> Result<(), SystemError>;
}

/// What may be done. Each returns when it is done, or says why it is not, with the last lines of the
/// unit's journal where that may help.
pub trait Write {
    /// Lets systemd read all unit files again.
    fn daemon_reload(&self) -> Result<(), SystemError>;

    /// Starts it, whatever failed before.
    fn start(&self, unit: &UnitName, limit: Duration) -> Result<(), SystemError>;
    fn stop(&self, unit: &UnitName, limit: Duration) -> Result<(), SystemError>;
    fn restart(&self, unit: &UnitName, limit: Duration) -> Result<(), SystemError>;
    fn reload(&self, unit: &UnitName, limit: Duration) -> Result<(), SystemError>;

    /// Looks at units that are waited for, again and again until one of them has settled or failed, and for
    /// `patience` at most. For each, in their order, how that ended; none where it is waited for yet.
    fn settled(
        &self,
        units: &mut [Settling],
        patience: Duration,
    ) -> Vec<Option<Result<(), SystemError>>>;

    /// These change links below /etc/systemd/system; systemd sees them after [`Write::daemon_reload`].
    fn enable(&self, unit: &UnitName) -> Result<(), SystemError>;
    /// For this boot and all others.
    fn disable(&self, unit: &UnitName) -> Result<(), SystemError>;
    fn mask(&self, unit: &UnitName) -> Result<(), SystemError>;
    /// For this boot and all others.
    fn unmask(&self, unit: &UnitName) -> Result<(), SystemError>;

    /// Runs a program that has a say before a service gets new inputs; its refusal is an error of the
    /// kind [`ErrorKind::Invalid`](crate::ErrorKind::Invalid).
    fn validate(&self, arguments: &[Arc<str>]) -> Result<(), SystemError>;
}

//! The role of what runs with its inputs: it has a unit and a process, it may say itself whether it is
//! healthy, and it owes a reload or a restart when one of its inputs changes. Services play it.
//!
//! What a runner owes is no state of the machine: the engine knows it, from what is written down of its
//! inputs, and says it beside the state when the runner is planned.

pub mod roles;
pub mod unit_files;

use std::sync::Arc;
use steadfast_model::{PromiseId, Spanned};
use steadfast_system::services::Enablement;
use steadfast_system::{SystemError, UnitName};

/// What a changed input asks of a runner. A restart is also a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consequence {
    Reload,
    Restart,
}

/// One process of a runner, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// systemd's InvocationID: another one after every start.
    pub invocation: String,
    /// When its start began, in microseconds since 1970.
    pub since: i64,
}

/// What came of asking a runner whether it is healthy.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Health {
    #[default]
    NotAsked,
    Good,
    Bad(SystemError),
}

/// What is known of a runner beside its state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owing {
    /// The strongest of all that it owes.
    pub action: Option<Consequence>,
    /// Why, for people: `file:/etc/nginx/nginx.conf`.
    pub causes: Vec<PromiseId>,
    /// systemd will have read all unit files as they are by the time it is its turn.
    pub read_by_then: bool,
    /// Its unit file, which is missing now, will be there by then.
    pub comes: bool,
    /// What its unit file will say of it by then, as long as no link enables it, where an earlier step writes that.
    pub without_links: Option<Enablement>,
    /// The mask that it has now will be gone by then.
    pub mask_goes: bool,
    /// What it says of itself, where it was asked.
    pub health: Health,
}

/// A promise about a runner.
pub trait Runner {
    fn unit(&self) -> &UnitName;

    /// Ids, or globs over ids, of promises whose change it has to read.
    fn reload_on(&self) -> &[Spanned<Arc<str>>];

    /// As [`Runner::reload_on`], of promises whose change needs another process.
    fn restart_on(&self) -> &[Spanned<Arc<str>>];

    /// Whether it is to start at boot, where that is promised and no mask.
    fn wants_enabled(&self) -> Option<bool>;

    /// Whether it is promised to be healthy.
    fn promises_health(&self) -> bool;

    /// Whether it is promised not to run or not to be enabled, which a package that brings the unit does. A
    /// mask stays.
    fn wants_inactive(&self) -> bool;
}

/// What the machine shows of a runner.
pub trait RunnerState {
    /// What runs now.
    fn process(&self) -> Option<&Process>;

    /// The units that are enabled and disabled with it, where that is due.
    fn also(&self) -> &[UnitName];

    /// As it will be once another unit has taken it along.
    fn set_enabled(&mut self, enabled: bool);

    /// Whether it failed, which is not to be stopped.
    fn has_failed(&self) -> bool;

    /// Whether systemd has read its files.
    fn is_loaded(&self) -> bool;

    /// Whether an administrator's link masks it.
    fn is_masked_by_link(&self) -> bool;
}

/// What a change does to a runner.
pub trait RunnerChange {
    /// What it settles of what the runner owes. A start settles everything.
    fn pays(&self) -> Option<Consequence>;

    /// Whether it alters files that are promised with the runner itself, so that what runs owes a restart.
    fn alters_own_inputs(&self) -> bool;

    /// Whether it brings the runner to run with what is there now.
    fn starts_process(&self) -> bool;

    fn is_restart(&self) -> bool;

    /// Whether it enables or disables the unit, and with it those that it takes along.
    fn enables(&self) -> Option<bool>;

    /// Whether it is that systemd reads all unit files again.
    fn is_daemon_reload(&self) -> bool;

    /// Whether systemd has to read its unit files again because of it, and does as part of it.
    fn wants_daemon_reload(&self) -> bool;
}

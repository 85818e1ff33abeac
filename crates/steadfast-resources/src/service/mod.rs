//! A unit of systemd: whether it runs, whether it starts at boot, its unit file and drop-ins, and that it
//! runs with its current inputs.
//!
//! ```yaml
//! server: web
//! services:
//!   nginx:                                   # nginx.service; another kind of unit with its suffix
//!     running: true
//!     enabled: true                          # true, false or masked
//!     reload_on: ["file:/etc/nginx/*"]       # promises whose change it has to read
//!     restart_on: [package:nginx]
//!     validate: [nginx, -t]                  # asked before it gets new inputs
//!     settle: 5s                             # how long it must have been active
//!     health: { http: "http://127.0.0.1/health", within: 30s }
//!     drop_ins:
//!       limits: { content: "[Service]\nLimitNOFILE=65536\n" }
//!   people-api:
//!     unit: { content: "[Service]\nExecStart=/srv/people-api/bin/api\n\n[Install]\nWantedBy=multi-user.target\n" }
//!     running: true
//!     enabled: true
//!   avahi-daemon: { running: false, enabled: masked }
//! ```
//!
//! Every field stands for itself: what is not said is left alone. `unit` becomes
//! /etc/systemd/system/NAME, a drop-in /etc/systemd/system/NAME.d/DROP_IN.conf; when one of them changes,
//! a service that runs is restarted. `enabled: true` lifts a mask, `running: true` alone does not. A unit
//! that cannot be enabled (static, indirect, generated) is kept as it is, with a note.
//!
//! A service that owes a reload or a restart, because a promise that it reads was repaired, pays it when
//! it is its turn; a stopped service is never started by that. After every start, restart and reload it must
//! be active for `settle`, the same process all the time; if it is not, the last lines of its journal are
//! part of what is reported.
//!
//! `health` is asked of a service that is otherwise as promised, in every run: by a GET (`http`) of
//! `localhost` or of an address of this machine, where an answer from 200 to 399 is good, whatever its
//! body, and where it leads is not followed; or by a program (`command: [pg_isready]`) that exits with
//! 0, run by root. `health: URL` and `health: [program, …]` are short for the two. A question may take 10 s
//! and is asked once more if the answer is bad; for `within` (30s) after its start the service may become
//! healthy yet, and is asked until it is. One that is not healthy is *not kept*, with the last lines of
//! its journal, and is never restarted by that; a new revision under which it is not sends the node back.
//! A dry run asks by GET alone.

mod apply;
mod health;
mod lower;
mod observe;
mod plan;
mod undo;

pub(crate) use health::{Asked, ask};
pub(crate) use observe::{describe, own_inputs};
pub use undo::{start, stop};

use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn};
use crate::paths;
use crate::runner::{Consequence, Health, Owing, Process, Runner, RunnerChange, RunnerState};
use crate::undo::{About, Effect, Facet, FacetState, Now, Says};
use health::Check;
use lower::{FILE_FIELDS, HEALTH_FIELDS};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::files::{Expected, Look, Mode, NewFile};
use steadfast_system::services::{self, Active, Load, Unit};
use steadfast_system::{AbsPath, Actuate, Probe, SystemError, UnitName};

/// The mode of the files that we write for systemd: everybody may read them, as systemd expects.
const MODE: Mode = Mode(0o644);
const FOLDER_MODE: Mode = Mode(0o755);

/// How many services are started, waited for and asked at one time.
const AT_ONCE: usize = 16;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    unit: UnitName,
    running: Option<bool>,
    enabled: Option<Enabled>,
    /// The promised unit file, where there is one.
    own_unit: Option<OwnFile>,
    /// In the order of their names.
    drop_ins: Vec<OwnFile>,
    reload_on: Vec<Spanned<Arc<str>>>,
    restart_on: Vec<Spanned<Arc<str>>>,
    validate: Vec<Arc<str>>,
    settle: Duration,
    timeout: Duration,
    health: Option<Check>,
    /// Nobody promised anything about it, or it is not attempted: it only has to exist and to pay what
    /// it owes. Its files are looked at and not written.
    implied: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enabled {
    True,
    False,
    Masked,
}

/// A file that the promise brings along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OwnFile {
    path: AbsPath,
    content: Arc<str>,
}

impl Desired {
    /// A unit that is only named by the `reloads` or `restarts` of others: nothing is promised but that
    /// it runs, if it runs, with its current inputs.
    pub fn implied(unit: UnitName) -> Desired {
        Desired {
            unit,
            running: None,
            enabled: None,
            own_unit: None,
            drop_ins: vec![],
            reload_on: vec![],
            restart_on: vec![],
            validate: vec![],
            settle: SETTLE,
            timeout: TIMEOUT,
            health: None,
            implied: true,
        }
    }

    /// The same service where it is not attempted and only pays what it owes: nothing is promised but
    /// that it runs, if it runs, with its current inputs. It validates, settles and is asked for its health as
    /// it was written.
    pub fn debts_only(&self) -> Desired {
        Desired { running: None, enabled: None, implied: true, ..self.clone() }
    }

    /// Whether the same is wanted, wherever it is written.
    fn wants_the_same(&self, other: &Desired) -> bool {
        let values = |all: &[Spanned<Arc<str>>]| -> Vec<Arc<str>> {
            all.iter().map(|it| Arc::clone(&it.value)).collect()
        };
        let rest = |it: &Desired| Desired { reload_on: vec![], restart_on: vec![], ..it.clone() };
        values(&self.reload_on) == values(&other.reload_on)
            && values(&self.restart_on) == values(&other.restart_on)
            && rest(self) == rest(other)
    }

    /// Whether the cause of a restart is the promised unit file or a drop-in.
    fn is_own(&self, cause: &str) -> bool {
        match cause.split_once(':') {
            Some(("file", path)) => self.files().any(|it| it.path.as_str() == path),
            Some(("service", unit)) => unit == self.unit.short(),
            Some(_) | None => false,
        }
    }

    fn files(&self) -> impl Iterator<Item = &OwnFile> {
        self.own_unit.iter().chain(&self.drop_ins)
    }

    fn act(&self, because: Vec<String>) -> Act {
        Act {
            unit: self.unit.clone(),
            validate: self.validate.clone(),
            settle: self.settle,
            timeout: self.timeout,
            because,
        }
    }
}

impl Runner for Desired {
    fn unit(&self) -> &UnitName {
        &self.unit
    }

    fn reload_on(&self) -> &[Spanned<Arc<str>>] {
        &self.reload_on
    }

    fn restart_on(&self) -> &[Spanned<Arc<str>>] {
        &self.restart_on
    }

    fn promises_health(&self) -> bool {
        self.health.is_some()
    }

    fn wants_inactive(&self) -> bool {
        match self.enabled {
            Some(Enabled::False) => true,
            Some(Enabled::Masked) => false,
            Some(Enabled::True) | None => self.running == Some(false),
        }
    }
}

const SETTLE: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub unit: Unit,
    /// What is at the paths of the promised unit file and drop-ins, in that order.
    pub files: Vec<Look>,
    /// What runs now.
    pub process: Option<Process>,
}

impl RunnerState for State {
    fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    fn has_failed(&self) -> bool {
        self.unit.active == Active::Failed
    }

    fn is_loaded(&self) -> bool {
        self.unit.load == Load::Loaded
    }
}

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
}

impl Change {
    /// Changes of one plan stand in the order of their phases, and those of a batch are applied phase by
    /// phase: so systemd reads its files once for all of them, and stops a unit while it still knows it.
    fn phase(&self) -> Phase {
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
enum Phase {
    Files,
    Stop,
    Links,
    DaemonReload,
    Run,
}

/// What separates a unit from its promise, with what it owes. Pure.
pub(crate) fn plan(want: &Desired, have: &State, owing: &Owing) -> Difference<Change> {
    plan::plan(want, have, owing)
}

/// The service kind.
#[derive(Clone, Copy, Debug)]
pub struct Service;

impl Kind for Service {
    const NAME: &'static str = "service";
    const MAY_SAY: &'static str = "a map of fields, as in { running: true }";
    const FIELDS: &'static [Field] = &[
        Field::new("running", Takes::Boolean, "whether it runs"),
        Field::new(
            "enabled",
            Takes::OneOf(&[Takes::Boolean, Takes::Words(&["masked"])]),
            "whether it starts at boot; masked: nobody can start it",
        ),
        Field::new(
            "unit",
            Takes::Fields(FILE_FIELDS),
            "its unit file in /etc/systemd/system: one of content, template or source",
        ),
        Field::new(
            "drop_ins",
            Takes::MapOf(&Takes::Fields(FILE_FIELDS)),
            "additions to its unit file, by name: each one of content, template or source",
        ),
        Field::new(
            "reload_on",
            Takes::OneOf(&[Takes::Text, Takes::TextList]),
            "ids or globs of promises; when one of them changes, it is reloaded",
        ),
        Field::new(
            "restart_on",
            Takes::OneOf(&[Takes::Text, Takes::TextList]),
            "ids or globs of promises; when one of them changes, it is restarted",
        ),
        Field::new(
            "validate",
            Takes::TextList,
            "a program and its arguments; if it fails, the service is not started, reloaded or restarted",
        ),
        Field::new("settle", Takes::Duration, "how long it must have been active (5s)"),
        Field::new(
            "health",
            Takes::OneOf(&[Takes::Text, Takes::TextList, Takes::Fields(HEALTH_FIELDS)]),
            "how it is asked whether it is healthy: a URL, or a program and its arguments",
        ),
        Field::new("timeout", Takes::Duration, "how long starting and stopping may take (90s)"),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        std::iter::once(Identity::Unit(want.unit.clone()))
            .chain(want.files().map(|it| Identity::Path(it.path.clone())))
            .collect()
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        let mut uses = vec![];
        if want.own_unit.is_none() {
            uses.extend(in_folder(want.unit.as_str()).map(Identity::Path));
            uses.extend(template_of(&want.unit).and_then(|it| in_folder(&it)).map(Identity::Path));
        }
        if !want.drop_ins.is_empty() {
            uses.extend(in_folder(&format!("{}.d", want.unit)).map(Identity::Path));
        }
        uses
    }

    fn is_absent(want: &Desired) -> bool {
        want.running == Some(false) && want.enabled != Some(Enabled::True)
    }

    fn turn(want: &Desired) -> Turn {
        if Self::is_absent(want) { Turn::ServicesGo } else { Turn::Services }
    }

    fn wants_the_same(old: &Desired, new: &Desired) -> bool {
        old.wants_the_same(new)
    }

    /// A package may bring the unit, or something that it reads.
    fn may_come_with_packages(_want: &Desired) -> bool {
        true
    }

    fn is_against_packages(want: &Desired) -> bool {
        Runner::wants_inactive(want)
    }

    fn promises_health(want: &Desired) -> bool {
        Runner::promises_health(want)
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        observe::observe(wants, sys)
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan::plan(want, have, &Owing::default())
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        apply::carry_out(batch, sys)
    }

    fn effects(change: &Change, want: &Desired, have: &State) -> Vec<Effect> {
        undo::effects(change, want, have)
    }

    fn says(want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        let says = facet.as_path().is_some()
            || matches!(facet, Facet::Running(_)) && want.running.is_some()
            || matches!(facet, Facet::Enabled(_)) && want.enabled.is_some();
        Says::all_if(says)
    }

    fn looks_after(facet: &Facet) -> bool {
        facet.as_unit().is_some()
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        undo::observe_facets(facets, sys)
    }

    fn changes_back(
        facet: &Facet,
        now: &Now,
        before: &FacetState,
        _about: &About<'_>,
    ) -> Option<Vec<Change>> {
        undo::changes_back(facet, &now.state, before)
    }

    fn fingerprint(have: &State) -> Fingerprint {
        observe::fingerprint(have)
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        observe::describe(have, &Health::NotAsked)
    }

    fn detail(change: &Change) -> Option<String> {
        let Change::Write { file, was } = change else { return None };
        let new = std::str::from_utf8(&file.content).ok()?;
        let old = was.as_deref().unwrap_or("");
        Some(paths::diff(&file.path, old, new, usize::MAX))
    }
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
            Change::MakeFolder { path } => write!(f, "make the folder {path}"),
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
            Change::DaemonReload => f.write_str("let systemd read its unit files again"),
            Change::Start(it) => act(f, "start", it),
            Change::Await(it) => act(f, "wait until it is active", it),
            Change::Reload(it) => act(f, "reload", it),
            Change::Restart(it) => act(f, "restart", it),
        }
    }
}

/// `getty@.service` of `getty@tty1.service`, whose file it has.
fn template_of(unit: &UnitName) -> Option<String> {
    let (prefix, rest) = unit.as_str().split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

/// A path in the administrator's folder of units.
fn in_folder(name: &str) -> Option<AbsPath> {
    AbsPath::parse(services::FOLDER).and_then(|it| it.join(name)).ok()
}

#[cfg(test)]
mod tests;

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

use crate::kind::{Applied, Difference, Fingerprint, Identity, Kind, Obstacle};
use crate::paths;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::diagnostic::Code;
use steadfast_model::{Field, Fields, Lower, Node, Spanned, Takes, Value, codes};
use steadfast_system::files::{
    self, Attributes, Content, Entry, Look, Mode, NewFile, Seen, Shape, Wanted,
};
use steadfast_system::services::{
    self, Active, Enablement, LastStart, Load, Mask, Unit, has_install_rules,
};
use steadfast_system::{AbsPath, Actuate, Probe, SystemError, UnitName};

/// The mode of the files that we write for systemd: everybody may read them, as systemd expects.
const MODE: Mode = Mode(0o644);
const FOLDER_MODE: Mode = Mode(0o755);

/// How many services are started, restarted and waited for at one time.
const AT_ONCE: usize = 16;

/// What a changed input asks of a service. A restart is also a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consequence {
    Reload,
    Restart,
}

/// One process of a service, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// systemd's InvocationID: another one after every start.
    pub invocation: String,
    /// When its start began, in microseconds since 1970.
    pub since: i64,
}

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
            implied: true,
        }
    }

    /// The same service where it is not attempted and only pays what it owes: nothing is promised but
    /// that it runs, if it runs, with its current inputs. It validates and settles as it was written.
    pub fn only_paying(&self) -> Desired {
        Desired { running: None, enabled: None, implied: true, ..self.clone() }
    }

    /// Whether the same is wanted, wherever it is written.
    pub fn wants_the_same(&self, other: &Desired) -> bool {
        let values = |all: &[Spanned<Arc<str>>]| -> Vec<Arc<str>> {
            all.iter().map(|it| Arc::clone(&it.value)).collect()
        };
        let rest = |it: &Desired| Desired { reload_on: vec![], restart_on: vec![], ..it.clone() };
        values(&self.reload_on) == values(&other.reload_on)
            && values(&self.restart_on) == values(&other.restart_on)
            && rest(self) == rest(other)
    }

    pub fn unit(&self) -> &UnitName {
        &self.unit
    }

    /// Ids, or globs over ids, of promises whose change this service has to read.
    pub fn reload_on(&self) -> &[Spanned<Arc<str>>] {
        &self.reload_on
    }

    /// As [`Desired::reload_on`], of promises whose change needs another process.
    pub fn restart_on(&self) -> &[Spanned<Arc<str>>] {
        &self.restart_on
    }

    /// Whether it is promised not to run or not to be enabled, which a package that brings the unit
    /// does. A mask stays.
    pub fn is_to_rest(&self) -> bool {
        match self.enabled {
            Some(Enabled::False) => true,
            Some(Enabled::Masked) => false,
            Some(Enabled::True) | None => self.running == Some(false),
        }
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

const SETTLE: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub unit: Unit,
    /// What is at the paths of the promised unit file and drop-ins, in that order.
    pub files: Vec<Look>,
    /// What runs now.
    pub process: Option<Process>,
    /// What it owes: nothing as it is observed; the engine knows, and sets it before planning.
    pub owed: Option<Consequence>,
    /// Why, for people: `file:/etc/nginx/nginx.conf`.
    pub owed_because: Vec<String>,
}

impl State {
    /// Whether systemd has read its files.
    pub fn is_loaded(&self) -> bool {
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
        seen: Seen,
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

impl Change {
    /// What it settles of what the service owes. A start settles everything.
    pub fn pays(&self) -> Option<Consequence> {
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

    /// Whether it alters the promised unit file or drop-ins, so that what runs owes a restart.
    pub fn alters_own_inputs(&self) -> bool {
        matches!(self, Change::Write { .. })
    }

    pub fn is_restart(&self) -> bool {
        matches!(self, Change::Restart(_))
    }

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

/// What the promised unit file and drop-ins are on disk now, each by its path.
pub fn own_inputs<'a>(
    want: &'a Desired,
    have: &'a State,
) -> impl Iterator<Item = (&'a AbsPath, Fingerprint)> {
    want.files().map(|it| &it.path).zip(have.files.iter().map(own_input))
}

fn own_input(look: &Look) -> Fingerprint {
    let mut digest = Sha256::new();
    let Some(entry) = &look.entry else {
        digest.update([0]);
        return Fingerprint { digest: digest.finalize().into(), changed: None };
    };
    match &entry.shape {
        Shape::File { content: Content::Bytes(bytes), .. } => {
            digest.update([1]);
            digest.update(Sha256::digest(bytes));
        }
        Shape::Link { target } => {
            digest.update([2]);
            digest.update(Sha256::digest(target.as_bytes()));
        }
        Shape::File { .. } | Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            digest.update([3]);
        }
    }
    Fingerprint { digest: digest.finalize().into(), changed: Some(entry.changed) }
}

const FILE_FIELDS: &[Field] = &[
    Field::new("content", Takes::Text, "the text itself"),
    Field::new("template", Takes::Text, "a template of the model that gives the text"),
    Field::new("source", Takes::Text, "a file of the model with the text"),
];

/// The service kind.
#[derive(Clone, Copy, Debug)]
pub struct Service;

impl Kind for Service {
    const NAME: &'static str = "service";
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
        Field::new("timeout", Takes::Duration, "how long starting and stopping may take (90s)"),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        let unit = match UnitName::parse(&name.value) {
            Ok(unit) => Some(unit),
            Err(bad) => {
                cx.error(codes::BAD_NAME, name.span, bad.to_string());
                None
            }
        };
        let mut fields = Fields::of(body, Self::NAME, Self::FIELDS, cx)?;
        let running = fields.boolean("running");
        let enabled = enabled(&mut fields);
        let unit_node = fields.node("unit");
        let drop_in_node = fields.node("drop_ins");
        let reload_on = patterns(&mut fields, "reload_on").unwrap_or_default();
        let restart_on = patterns(&mut fields, "restart_on").unwrap_or_default();
        let validate = fields.texts("validate").unwrap_or_default();
        if fields.has("validate") && validate.first().is_none_or(|it| it.value.is_empty()) {
            let span = fields.key_span("validate");
            if fields.complete() {
                fields.error(codes::BAD_VALUE, span, "`validate` names no program");
            }
        }
        let settle = fields.duration("settle").unwrap_or(SETTLE);
        let timeout = fields.duration("timeout").unwrap_or(TIMEOUT);
        if timeout.is_zero() {
            let span = fields.key_span("timeout");
            fields.error(codes::BAD_VALUE, span, "`timeout` must be one second at least");
        }
        let masked = enabled == Some(Enabled::Masked);
        let enabled_at = fields.key_span("enabled");
        if running == Some(true) && masked {
            let message = "a service that is masked cannot be promised to run";
            fields.error(codes::CONFLICTING_FIELDS, enabled_at, message);
        }
        if unit_node.is_some() && masked {
            let message = "a mask stands where the promised unit file would be";
            fields.error(codes::CONFLICTING_FIELDS, enabled_at, message);
        }
        if running.is_some() && unit.as_ref().is_some_and(is_template) {
            let span = fields.key_span("running");
            let message = "a template does not run; promise its instances, `name@instance`";
            fields.error(codes::CONFLICTING_FIELDS, span, message);
        }
        let own_unit = match (&unit, unit_node) {
            (Some(unit), Some(node)) => own_file(node, "unit", path_of(unit, cx, name), cx),
            (None, _) | (_, None) => None,
        };
        let drop_ins = match (&unit, drop_in_node) {
            (Some(unit), Some(node)) => drop_ins(node, unit, name, cx).unwrap_or_default(),
            (None, _) | (_, None) => vec![],
        };
        let unit = unit?;
        cx.is_sound().then(|| Desired {
            unit,
            running,
            enabled,
            own_unit,
            drop_ins,
            reload_on,
            restart_on,
            validate: validate.into_iter().map(|it| it.value).collect(),
            settle,
            timeout,
            implied: false,
        })
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

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let names: Vec<&UnitName> = wants.iter().map(|it| &it.unit).collect();
        let units = services::Read::units(sys, &names);
        let asked: Vec<(&AbsPath, Wanted)> = wants
            .iter()
            .flat_map(|want| want.files())
            .map(|file| (&file.path, Wanted::Bytes))
            .collect();
        let mut looks =
            if asked.is_empty() { vec![] } else { files::Read::look(sys, &asked) }.into_iter();
        wants
            .iter()
            .zip(units)
            .map(|(want, unit)| {
                // All are taken, whatever becomes of them: the next want's follow.
                let files: Vec<_> = looks.by_ref().take(want.files().count()).collect();
                let (unit, files) = (unit?, files.into_iter().collect::<Result<Vec<_>, _>>()?);
                let process = match (&unit.invocation, unit.since) {
                    (Some(invocation), Some(since)) if unit.active.runs() => {
                        Some(Process { invocation: invocation.to_string(), since })
                    }
                    (Some(_) | None, _) => None,
                };
                Ok(State { unit, files, process, owed: None, owed_because: vec![] })
            })
            .collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan(want, have).unwrap_or_else(|refusal| *refusal)
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        carry_out(batch, sys)
    }

    fn fingerprint(have: &State) -> Fingerprint {
        let (mut digest, mut changed) = (Sha256::new(), None);
        for it in have.files.iter().map(own_input) {
            digest.update(it.digest);
            changed = changed.max(it.changed);
        }
        Fingerprint { digest: digest.finalize().into(), changed }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        let unit = &have.unit;
        let mut says = vec![];
        match &unit.load {
            Load::NotFound => says.push(("unit", "not found".to_owned())),
            Load::Failed(why) => says.push(("unit", format!("cannot be loaded: {why}"))),
            Load::Loaded | Load::Masked => {}
        }
        says.push(("state", format!("{} ({})", unit.active, unit.sub)));
        says.push((
            "enabled",
            match unit.mask {
                Mask::Not => unit.enablement.to_string(),
                Mask::Runtime => "masked until the next boot".to_owned(),
                Mask::Persistent => "masked".to_owned(),
                Mask::Vendor => "masked by its package".to_owned(),
            },
        ));
        if let Some(path) = &unit.fragment {
            says.push(("unit file", path.to_string()));
        }
        if let Some(process) = &have.process
            && let Ok(since) = jiff::Timestamp::from_microsecond(process.since)
        {
            says.push(("since", format!("{since:.0}")));
        }
        if let Some(last) = unit.oneshot {
            says.push((
                "last start",
                match last {
                    LastStart::Never => "not in this boot".to_owned(),
                    LastStart::Succeeded => "succeeded".to_owned(),
                    LastStart::Failed => "failed".to_owned(),
                },
            ));
        }
        if unit.needs_reload {
            says.push(("note", "its files changed since systemd read them".to_owned()));
        }
        says
    }

    fn detail(change: &Change) -> Option<String> {
        let Change::Write { file, was } = change else { return None };
        let new = std::str::from_utf8(&file.content).ok()?;
        let old = was.as_deref().unwrap_or("");
        Some(paths::diff(&file.path, old, new, usize::MAX))
    }
}

/// A refusal is the whole difference.
fn plan(want: &Desired, have: &State) -> Result<Difference<Change>, Box<Difference<Change>>> {
    let unit = &have.unit;
    let name = || want.unit.clone();
    let mut plan = Difference::none();
    let refuse = |why: String| Err(Box::new(Difference::refused(why)));

    // The promised unit file and drop-ins.
    let (mut writes_unit, mut writes) = (false, false);
    for (file, look) in want.files().zip(&have.files) {
        if want.implied {
            break;
        }
        let is_unit = want.own_unit.as_ref() == Some(file);
        for change in own_file_changes(file, look)? {
            writes |= change.alters_own_inputs();
            writes_unit |= is_unit && change.alters_own_inputs();
            if !plan.changes.contains(&change) {
                plan.changes.push(change);
            }
        }
    }
    if writes_unit && unit.mask == Mask::Persistent && want.enabled != Some(Enabled::True) {
        return refuse(
            "it is masked where its unit file would be, and only `enabled: true` lifts a mask"
                .into(),
        );
    }

    let exists = want.own_unit.is_some()
        || unit.enablement != Enablement::NotFound
        || unit.load == Load::Loaded
        || unit.active.runs();
    let missing = |mut plan: Difference<Change>| {
        plan.obstacles.push(Obstacle::Missing(Identity::Unit(want.unit.clone())));
        Ok(plan)
    };
    let wants_it_there =
        want.running == Some(true) || want.enabled == Some(Enabled::True) || want.implied;
    if !exists && wants_it_there {
        return missing(plan);
    }

    // What it will be once the files are written: links that enable it stay.
    let stays = match &unit.enablement {
        Enablement::Enabled | Enablement::EnabledRuntime => true,
        Enablement::Static => !writes,
        Enablement::Disabled
        | Enablement::Linked
        | Enablement::Indirect
        | Enablement::Generated
        | Enablement::Transient
        | Enablement::Alias(_)
        | Enablement::NotFound => !writes_unit,
    };
    let enablement = if stays {
        unit.enablement.clone()
    } else if want.files().any(|it| has_install_rules(&it.content)) {
        Enablement::Disabled
    } else {
        Enablement::Static
    };
    let cannot_be_enabled = || match &enablement {
        Enablement::Static => {
            Some("it is static: nothing in its unit file says what would start it")
        }
        Enablement::Indirect => Some("it is indirect: other units are enabled in its place"),
        Enablement::Generated => Some("it is generated at boot from another configuration"),
        Enablement::Transient => Some("it is transient, and goes with what made it"),
        Enablement::Enabled
        | Enablement::EnabledRuntime
        | Enablement::Disabled
        | Enablement::Alias(_)
        | Enablement::Linked
        | Enablement::NotFound => None,
    };
    let note = |notes: &mut Vec<String>| {
        if let Some(why) = cannot_be_enabled() {
            notes.push(format!("`enabled` does not apply: {why}"));
        }
    };
    if let (Some(Enabled::True | Enabled::False), Enablement::Alias(of)) =
        (want.enabled, &enablement)
    {
        return refuse(format!("it is another name of {of}; promise that one"));
    }

    // Its place at boot.
    let mut links = vec![];
    match want.enabled {
        Some(Enabled::True) => {
            match unit.mask {
                Mask::Not => {}
                Mask::Persistent if writes_unit => {}
                Mask::Runtime | Mask::Persistent => links.push(Change::Unmask { unit: name() }),
                Mask::Vendor if want.own_unit.is_some() => {}
                Mask::Vendor => return refuse("its package ships it masked".into()),
            }
            match &enablement {
                Enablement::Disabled | Enablement::EnabledRuntime | Enablement::Linked => {
                    links.push(Change::Enable { unit: name() });
                }
                Enablement::Enabled
                | Enablement::Static
                | Enablement::Indirect
                | Enablement::Generated
                | Enablement::Transient
                | Enablement::Alias(_)
                | Enablement::NotFound => note(&mut plan.notes),
            }
        }
        Some(Enabled::False) => match &enablement {
            Enablement::Enabled | Enablement::EnabledRuntime => {
                links.push(Change::Disable { unit: name() });
            }
            Enablement::Disabled
            | Enablement::Static
            | Enablement::Indirect
            | Enablement::Generated
            | Enablement::Transient
            | Enablement::Alias(_)
            | Enablement::Linked
            | Enablement::NotFound => note(&mut plan.notes),
        },
        Some(Enabled::Masked) => match unit.mask {
            Mask::Persistent | Mask::Vendor => {}
            Mask::Not | Mask::Runtime => {
                let place = in_folder(want.unit.as_str());
                if place.is_some() && unit.fragment == place {
                    return refuse(format!(
                        "its unit file lies in {}, where the mask would have to be",
                        services::FOLDER
                    ));
                }
                links.push(Change::Mask { unit: name() });
                if unit.active.runs() && want.running.is_none() {
                    plan.notes.push("it goes on running; `running: false` would stop it".into());
                }
            }
        },
        None => {}
    }

    // Whether it runs.
    let stop = match want.running {
        Some(false) => match unit.active {
            Active::Active | Active::Reloading | Active::Activating | Active::Deactivating => true,
            Active::Inactive | Active::Failed => false,
        },
        Some(true) | None => false,
    };
    let start = want.running == Some(true)
        && match unit.active {
            Active::Active | Active::Reloading | Active::Activating => false,
            Active::Inactive => unit.oneshot != Some(LastStart::Succeeded),
            Active::Failed | Active::Deactivating => true,
        };
    let owed = have.owed.max(writes.then_some(Consequence::Restart));
    let run = if stop {
        None
    } else if start {
        Some(Change::Start(want.act(vec![])))
    } else if unit.active == Active::Failed && want.running.is_none() && have.owed.is_some() {
        // It failed before it had paid: the restart that was to pay is what took it down.
        Some(Change::Start(want.act(have.owed_because.clone())))
    } else if !unit.active.runs() {
        // A stopped service owes nothing, and is never started by a debt.
        None
    } else {
        let (own, mut because): (Vec<String>, Vec<String>) =
            have.owed_because.iter().cloned().partition(|it| want.is_own(it));
        if writes || !own.is_empty() {
            because.push("its unit file".into());
        }
        match owed {
            Some(Consequence::Restart) => Some(Change::Restart(want.act(because))),
            Some(Consequence::Reload) if !unit.can_reload => {
                Some(Change::Restart(want.act(because)))
            }
            Some(Consequence::Reload) => Some(Change::Reload(want.act(because))),
            None if want.running == Some(true) && unit.active == Active::Activating => {
                Some(Change::Await(want.act(vec![])))
            }
            None => None,
        }
    };
    if let Some(Change::Start(_) | Change::Restart(_)) = &run {
        let masked = match want.enabled {
            Some(Enabled::True) => false,
            Some(Enabled::Masked) => true,
            Some(Enabled::False) | None => unit.mask != Mask::Not && !writes_unit,
        };
        let verb = if start { "started" } else { "restarted" };
        if masked {
            return refuse(format!("it is masked, so it cannot be {verb}"));
        }
        if let Load::Failed(why) = &unit.load
            && !writes
            && !unit.needs_reload
        {
            return refuse(format!("it cannot be {verb}: systemd cannot load it ({why})"));
        }
    }
    if !want.validate.is_empty() && run.as_ref().is_some_and(|it| it.pays().is_some()) {
        plan.obstacles.push(Obstacle::Unknown("validation has not run".into()));
    }

    // In the order of their phases.
    if stop {
        plan.changes.push(Change::Stop { unit: name(), timeout: want.timeout });
    }
    plan.changes.extend(links);
    if writes || unit.needs_reload {
        plan.changes.push(Change::DaemonReload);
    }
    plan.changes.extend(run);
    Ok(plan)
}

/// What makes one promised file what it should be.
fn own_file_changes(file: &OwnFile, look: &Look) -> Result<Vec<Change>, Box<Difference<Change>>> {
    let refuse = |what: &str| {
        Err(Box::new(Difference::refused(format!("{what} is in the way at {}", file.path))))
    };
    let write = |replaces: Seen, was: Option<Arc<str>>, in_place: bool| Change::Write {
        file: NewFile {
            path: file.path.clone(),
            content: Arc::from(file.content.as_bytes()),
            uid: 0,
            gid: 0,
            mode: MODE,
            replaces,
            validate: None,
            keep: true,
            in_place,
        },
        was,
    };
    let Some(entry) = &look.entry else {
        let mut changes = vec![];
        if look.folder.is_none()
            && let Some(folder) = file.path.parent()
        {
            changes.push(Change::MakeFolder { path: folder });
        }
        changes.push(write(Seen::Nothing, None, false));
        return Ok(changes);
    };
    let Entry { shape, uid, gid, mode, links: _, changed: _, mounted } = entry;
    match shape {
        Shape::File { content: Content::Bytes(bytes), .. } => {
            let seen = Seen::File { digest: Sha256::digest(bytes).into() };
            if **bytes != *file.content.as_bytes() {
                let was = String::from_utf8_lossy(bytes).into_owned();
                Ok(vec![write(seen, Some(was.into()), *mounted)])
            } else if (*uid, *gid, *mode) != (0, 0, MODE) {
                let (path, was) = (file.path.clone(), (*uid, *gid, *mode));
                Ok(vec![Change::SetAttributes { path, seen, was }])
            } else {
                Ok(vec![])
            }
        }
        Shape::File {
            content: Content::NotRead | Content::Digest(_) | Content::TooLarge, ..
        } => Ok(vec![write(Seen::AnyFile, None, *mounted)]),
        Shape::Link { target } => {
            Ok(vec![write(Seen::Link { target: Arc::clone(target) }, None, false)])
        }
        Shape::Directory => refuse("a directory"),
        Shape::Socket => refuse("a socket"),
        Shape::Fifo => refuse("a fifo"),
        Shape::Device => refuse("a device"),
    }
}

/// Where each promise of a batch stands: its changes, and how it ended.
struct Progress<'a> {
    changes: &'a [Change],
    applied: Applied,
}

impl Progress<'_> {
    fn goes_on(&self) -> bool {
        self.applied == Applied::All
    }

    /// The changes of a phase with their indices, where nothing has failed yet.
    fn phase(&self, phase: Phase) -> Vec<(usize, &Change)> {
        let changes = if self.goes_on() { self.changes } else { &[] };
        changes.iter().enumerate().filter(|(_, it)| it.phase() == phase).collect()
    }

    fn fail(&mut self, at: usize, error: SystemError) {
        if self.goes_on() {
            self.applied = Applied::Failed { at, error };
        }
    }
}

fn carry_out<S>(batch: &[&[Change]], sys: &S) -> Vec<Applied>
where
    S: files::Write + services::Write + Sync + ?Sized,
{
    let mut all: Vec<Progress<'_>> =
        batch.iter().map(|changes| Progress { changes, applied: Applied::All }).collect();
    write_files(&mut all, sys);
    for progress in &mut all {
        for phase in [Phase::Stop, Phase::Links] {
            let changes = progress.phase(phase);
            if let Some((at, error)) = first_failure(&changes, |change| one(change, sys)) {
                progress.fail(at, error);
            }
        }
    }
    daemon_reload(&mut all, sys);
    let mut running: Vec<&mut Progress<'_>> =
        all.iter_mut().filter(|it| !it.phase(Phase::Run).is_empty()).collect();
    for some in running.chunks_mut(AT_ONCE) {
        std::thread::scope(|scope| {
            for progress in some {
                scope.spawn(|| {
                    let changes = progress.phase(Phase::Run);
                    if let Some((at, error)) = first_failure(&changes, |change| one(change, sys)) {
                        progress.fail(at, error);
                    }
                });
            }
        });
    }
    all.into_iter().map(|it| it.applied).collect()
}

/// The first of these changes that fails, if one does; those after it are not tried.
fn first_failure(
    changes: &[(usize, &Change)],
    mut apply: impl FnMut(&Change) -> Result<(), SystemError>,
) -> Option<(usize, SystemError)> {
    changes.iter().find_map(|(at, change)| apply(change).err().map(|error| (*at, error)))
}

/// The files of all promises share one flush to the disk.
fn write_files<S: files::Write + ?Sized>(all: &mut [Progress<'_>], sys: &S) {
    let mut new = vec![];
    let mut places = vec![];
    for (index, progress) in all.iter_mut().enumerate() {
        let changes = progress.phase(Phase::Files);
        let failure = first_failure(&changes, |change| match change {
            Change::MakeFolder { path } => {
                sys.make_directory(path, 0, 0, FOLDER_MODE, &Seen::Nothing)
            }
            Change::SetAttributes { path, seen, was: _ } => {
                let wanted = Attributes { uid: Some(0), gid: Some(0), mode: Some(MODE) };
                sys.set_attributes(&[(path, seen, wanted)]).into_iter().collect()
            }
            Change::Write { .. }
            | Change::Stop { .. }
            | Change::Enable { .. }
            | Change::Disable { .. }
            | Change::Mask { .. }
            | Change::Unmask { .. }
            | Change::DaemonReload
            | Change::Start(_)
            | Change::Await(_)
            | Change::Reload(_)
            | Change::Restart(_) => Ok(()),
        });
        if let Some((at, error)) = failure {
            progress.fail(at, error);
            continue;
        }
        for (at, change) in changes {
            if let Change::Write { file, .. } = change {
                new.push(file.clone());
                places.push((index, at));
            }
        }
    }
    if new.is_empty() {
        return;
    }
    for ((index, at), result) in places.into_iter().zip(sys.write_files(&new)) {
        if let Err(error) = result
            && let Some(progress) = all.get_mut(index)
        {
            progress.fail(at, error);
        }
    }
}

/// Once for all that need it: unit files were written, or links changed.
fn daemon_reload<S: services::Write + ?Sized>(all: &mut [Progress<'_>], sys: &S) {
    let needs = |progress: &Progress<'_>| {
        progress
            .phase(Phase::DaemonReload)
            .first()
            .map(|(at, _)| *at)
            .or_else(|| progress.phase(Phase::Links).last().map(|(at, _)| *at))
    };
    if !all.iter().any(|it| needs(it).is_some()) {
        return;
    }
    if let Err(error) = sys.daemon_reload() {
        for progress in all {
            if let Some(at) = needs(progress) {
                progress.fail(at, error.clone());
            }
        }
    }
}

fn one<S: services::Write + ?Sized>(change: &Change, sys: &S) -> Result<(), SystemError> {
    let act = |act: &Act, how: &dyn Fn() -> Result<(), SystemError>| {
        sys.validate(&act.validate)?;
        how()?;
        sys.settled(&act.unit, act.settle, act.timeout)
    };
    match change {
        Change::Stop { unit, timeout } => sys.stop(unit, *timeout),
        Change::Enable { unit } => sys.enable(unit),
        Change::Disable { unit } => sys.disable(unit),
        Change::Mask { unit } => sys.mask(unit),
        Change::Unmask { unit } => sys.unmask(unit),
        Change::Start(it) => act(it, &|| sys.start(&it.unit, it.timeout)),
        Change::Restart(it) => act(it, &|| sys.restart(&it.unit, it.timeout)),
        Change::Reload(it) => act(it, &|| sys.reload(&it.unit, it.timeout)),
        Change::Await(it) => sys.settled(&it.unit, it.settle, it.timeout),
        // Done for the whole batch.
        Change::MakeFolder { .. }
        | Change::Write { .. }
        | Change::SetAttributes { .. }
        | Change::DaemonReload => Ok(()),
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
                    (None, Seen::Link { target }) => write!(f, " (was a link to {target})"),
                    (None, Seen::Nothing) => write!(f, " (new, mode {})", file.mode),
                    (None, Seen::Other | Seen::Directory) => Ok(()),
                    (None, Seen::File { .. } | Seen::AnyFile) => f.write_str(" (was another file)"),
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

fn is_template(unit: &UnitName) -> bool {
    unit.as_str().contains("@.")
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

fn path_of(unit: &UnitName, cx: &mut Lower<'_>, at: &Spanned<Arc<str>>) -> Option<AbsPath> {
    checked_path(unit.as_str(), cx, at)
}

fn checked_path(name: &str, cx: &mut Lower<'_>, at: &Spanned<Arc<str>>) -> Option<AbsPath> {
    let path = AbsPath::parse(services::FOLDER).and_then(|it| it.join(name));
    path.map_err(|bad| cx.error(codes::BAD_NAME, at.span, bad.to_string())).ok()
}

fn enabled(fields: &mut Fields<'_, '_, '_>) -> Option<Enabled> {
    let node = fields.node("enabled")?;
    match node {
        Node::Scalar(scalar) if scalar.value.value == Value::Text => {
            fields.one_of("enabled", &[("masked", Enabled::Masked)])
        }
        Node::Scalar(_) | Node::List(..) | Node::Map(..) | Node::Unknown(_) => {
            let yes = fields.boolean("enabled")?;
            Some(if yes { Enabled::True } else { Enabled::False })
        }
    }
}

/// One text or a list of them.
fn patterns(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Vec<Spanned<Arc<str>>>> {
    match fields.node(key)? {
        Node::Scalar(_) => fields.text(key).map(|it| vec![it]),
        Node::List(..) | Node::Map(..) | Node::Unknown(_) => fields.texts(key),
    }
}

fn drop_ins(
    node: &Node,
    unit: &UnitName,
    name: &Spanned<Arc<str>>,
    cx: &mut Lower<'_>,
) -> Option<Vec<OwnFile>> {
    let entries = cx.as_map(node, "`drop_ins`")?;
    let mut files = vec![];
    let mut seen = BTreeSet::new();
    for (key, body) in entries {
        let good = !key.value.is_empty()
            && !key.value.starts_with('.')
            && key.value.bytes().all(|it| it.is_ascii_alphanumeric() || b":-_.\\@".contains(&it));
        if !good {
            let message = format!("`{}` is not the name of a drop-in", key.value.escape_debug());
            cx.error(codes::BAD_NAME, key.span, message);
            continue;
        }
        let stem = key.value.strip_suffix(".conf").unwrap_or(&key.value);
        if !seen.insert(stem.to_owned()) {
            let message = format!("there are two drop-ins `{stem}.conf`");
            cx.error(codes::CONFLICTING_FIELDS, key.span, message);
        }
        let place = Spanned::new(Arc::clone(&name.value), key.span);
        let path = checked_path(&format!("{unit}.d/{stem}.conf"), cx, &place);
        files.extend(own_file(body, "drop-in", path, cx));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Some(files)
}

/// One of `content`, `template` and `source`.
fn own_file(
    node: &Node,
    what: &'static str,
    path: Option<AbsPath>,
    cx: &mut Lower<'_>,
) -> Option<OwnFile> {
    let mut fields = Fields::of(node, what, FILE_FIELDS, cx)?;
    let given: Vec<&str> =
        FILE_FIELDS.iter().map(|it| it.name).filter(|it| fields.has(it)).collect();
    let [one] = given[..] else {
        let (span, code, message): (_, Code, _) = match given.get(1) {
            Some(second) => (
                fields.key_span(second),
                codes::CONFLICTING_FIELDS,
                format!("a {what} has one of content, template and source"),
            ),
            None => (
                fields.span(),
                codes::MISSING_FIELD,
                format!("a {what} needs one of content, template and source"),
            ),
        };
        fields.error(code, span, message);
        return None;
    };
    let text = fields.text(one)?;
    let content = match one {
        "content" => text.value,
        "template" => {
            let rendered = cx.render_template(&text, None)?;
            let Some(plain) = rendered.as_plain() else {
                let message = "everybody can read a unit file: a secret cannot stand in it";
                cx.error(codes::MISPLACED_SECRET, text.span, message);
                return None;
            };
            plain
        }
        _ => {
            let source = cx.file(&text)?;
            let Some(plain) = source.text() else {
                let message = format!("{} is not UTF-8 text", source.path);
                cx.error(codes::NOT_UTF_8, text.span, message);
                return None;
            };
            Arc::from(plain)
        }
    };
    if content.contains('\0') {
        cx.error(codes::BAD_VALUE, text.span, format!("a {what} cannot have a NUL character"));
        return None;
    }
    Some(OwnFile { path: path?, content })
}

#[cfg(test)]
mod tests;

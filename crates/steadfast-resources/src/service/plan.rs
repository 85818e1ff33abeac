//! What separates a unit from its promise: its files first, then its place at boot, then whether it runs, and
//! at last whether it says that it is healthy.

use super::change::{Change, MODE};
use super::desired::{Desired, Enabled, OwnFile, in_folder};
use super::state::State;
use crate::account_fields::listed;
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::paths::{self, Touch};
use crate::runner::{Consequence, Health, Owing, RunnerChange as _};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use steadfast_system::files::{Content, Entry, Expected, Look, NewFile, Shape};
use steadfast_system::services::{
    self, Active, Enablement, LastStart, Load, Mask, has_install_rules,
};

/// A refusal is the whole difference.
type Refused = Box<Difference<Change>>;

fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Box::new(Difference::refused(Refusal::machine(why))))
}

pub(super) fn plan(want: &Desired, have: &State, owing: &Owing) -> Difference<Change> {
    difference(want, have, owing).unwrap_or_else(|refusal| *refusal)
}

/// The changes stand in the order of their phases.
fn difference(want: &Desired, have: &State, owing: &Owing) -> Result<Difference<Change>, Refused> {
    let files = own_files(want, have)?;
    let mut plan = Difference::new(files.changes.clone());
    if is_missing(want, have) {
        plan.obstacles.push(Obstacle::Missing(Identity::Unit(want.unit.clone())));
        if owing.comes {
            once_it_is_there(want, owing, &mut plan);
        }
        return Ok(plan);
    }
    let mask = if owing.mask_goes { Mask::Not } else { have.unit.mask };
    let (links, notes) = boot(want, have, owing, &files, mask)?;
    plan.notes = notes;
    plan.notes.extend(taken_along(have, &links));
    if want.running == Some(true) && is_without_file(have) {
        plan.notes.push("it runs, and its unit file is gone: it will not start again".into());
    }
    let run = run(want, have, owing, files.writes);
    may_run(want, have, owing, run.as_ref(), &files, mask)?;
    if !want.validate.is_empty() && run.as_ref().is_some_and(|it| it.pays().is_some()) {
        plan.obstacles.push(Obstacle::Unknown("`validate` has not run yet".into()));
    }
    if stops(want, have) {
        plan.changes.push(Change::Stop { unit: want.unit.clone(), timeout: want.timeout });
    }
    plan.changes.extend(links);
    if files.writes || needs_reload(have, owing) {
        plan.changes.push(Change::DaemonReload);
    }
    plan.changes.extend(run);
    health(want, have, owing, &mut plan);
    Ok(plan)
}

/// What becomes of the promised unit file and drop-ins.
struct OwnFiles {
    changes: Vec<Change>,
    /// Whether one of them gets another content.
    writes: bool,
    /// Whether the unit file does.
    writes_unit: bool,
    /// Whether its new content says other links that start it at boot.
    enables_otherwise: bool,
}

fn own_files(want: &Desired, have: &State) -> Result<OwnFiles, Refused> {
    let mut own =
        OwnFiles { changes: vec![], writes: false, writes_unit: false, enables_otherwise: false };
    for (file, look) in want.files().zip(&have.files) {
        if want.implied {
            break;
        }
        let is_unit = want.own_unit.as_ref() == Some(file);
        for change in own_file_changes(file, look)? {
            if let Some(touch) = touch(&change)
                && let Some(why) =
                    paths::why_barred(touch, look.folder.as_ref(), look.entry.as_ref())
            {
                return Err(Box::new(Difference::refused(why.of(file.path.as_str()))));
            }
            own.writes |= change.alters_own_inputs();
            own.writes_unit |= is_unit && change.alters_own_inputs();
            own.enables_otherwise |= is_unit && enables_otherwise(&change);
            if !own.changes.contains(&change) {
                own.changes.push(change);
            }
        }
    }
    let masked = have.unit.mask == Mask::Persistent && want.enabled != Some(Enabled::True);
    if own.writes_unit && masked {
        return refuse(
            "it is masked where its unit file would be, and only `enabled: true` lifts a mask",
        );
    }
    Ok(own)
}

/// What a change does to a promised file of its own.
fn touch(change: &Change) -> Option<Touch> {
    match change {
        Change::Write { file, was: _ } => Some(Touch::of(file.in_place)),
        Change::SetAttributes { .. } => Some(Touch::Itself),
        Change::MakeFolder { .. }
        | Change::Stop { .. }
        | Change::Enable { .. }
        | Change::Disable { .. }
        | Change::Mask { .. }
        | Change::Unmask { .. }
        | Change::DaemonReload
        | Change::Start(_)
        | Change::Await(_)
        | Change::Reload(_)
        | Change::Restart(_) => None,
    }
}

/// Whether a new content of a unit file says other links than the one before.
fn enables_otherwise(change: &Change) -> bool {
    let Change::Write { file, was: Some(was) } = change else { return false };
    services::enables_otherwise(was, &String::from_utf8_lossy(&file.content))
}

/// Whether something is wanted of a unit that is not there.
fn is_missing(want: &Desired, have: &State) -> bool {
    let unit = &have.unit;
    let exists = want.own_unit.is_some()
        || unit.enablement != Enablement::NotFound
        || unit.load == Load::Loaded
        // What runs does not start at boot where its file is gone.
        || (unit.active.runs() && want.enabled != Some(Enabled::True));
    let wants_it_there =
        want.running == Some(true) || want.enabled == Some(Enabled::True) || want.implied;
    !exists && wants_it_there
}

/// What follows where its unit file will be there: as it says, as far as anybody can tell before.
fn once_it_is_there(want: &Desired, owing: &Owing, plan: &mut Difference<Change>) {
    if want.enabled == Some(Enabled::True) {
        match owing.without_links.as_ref().and_then(cannot_be_enabled) {
            Some(why) => plan.notes.push(why),
            None => plan.changes.push(Change::Enable { unit: want.unit.clone() }),
        }
    }
    if want.running == Some(true) {
        plan.changes.push(Change::Start(want.act(vec![])));
        if !want.validate.is_empty() {
            plan.obstacles.push(Obstacle::Unknown("`validate` has not run yet".into()));
        }
    }
}

/// That its unit file takes other units along, which nobody may have thought of.
fn taken_along(have: &State, links: &[Change]) -> Option<String> {
    let enables = links.iter().rev().find_map(|it| it.enables())?;
    let verb = if enables { "enabled" } else { "disabled" };
    let words = || format!("with it {verb}: {} (`Also=` in its unit file)", listed(&have.also));
    (!have.also.is_empty()).then(words)
}

/// Whether it runs from a unit file that is no more.
fn is_without_file(have: &State) -> bool {
    have.unit.active.runs()
        && have.unit.enablement == Enablement::NotFound
        && have.unit.load == Load::NotFound
}

/// What its enablement will be once its files are written: links that enable it stay.
fn enablement(want: &Desired, have: &State, owing: &Owing, files: &OwnFiles) -> Enablement {
    let stays = match &have.unit.enablement {
        Enablement::Enabled | Enablement::EnabledRuntime => true,
        Enablement::Static => !files.writes,
        Enablement::Disabled
        | Enablement::Linked
        | Enablement::Indirect
        | Enablement::Generated
        | Enablement::Transient
        | Enablement::Alias(_)
        | Enablement::NotFound => !files.writes_unit,
    };
    let is_linked = have.unit.enablement.is_enabled() || have.unit.enablement == Enablement::Linked;
    if let Some(by_then) = owing.without_links.as_ref().filter(|_| !is_linked) {
        return by_then.clone();
    }
    if stays {
        have.unit.enablement.clone()
    } else if want.files().any(|it| has_install_rules(&it.content)) {
        Enablement::Disabled
    } else {
        Enablement::Static
    }
}

/// Why `enabled` says nothing about a unit.
fn cannot_be_enabled(enablement: &Enablement) -> Option<String> {
    let why = match enablement {
        Enablement::Static => "it is static: nothing in its unit file says what would start it",
        Enablement::Indirect => "it is indirect: other units are enabled in its place",
        Enablement::Generated => "it is generated at boot from another configuration",
        Enablement::Transient => "it is transient, and goes with what made it",
        Enablement::Enabled
        | Enablement::EnabledRuntime
        | Enablement::Disabled
        | Enablement::Alias(_)
        | Enablement::Linked
        | Enablement::NotFound => return None,
    };
    Some(format!("`enabled` does not apply: {why}"))
}

/// Its place at boot: the links that are to be made or to go, and what is to be said of it.
fn boot(
    want: &Desired,
    have: &State,
    owing: &Owing,
    files: &OwnFiles,
    mask: Mask,
) -> Result<(Vec<Change>, Vec<String>), Refused> {
    let enablement = enablement(want, have, owing, files);
    if let (Some(Enabled::True | Enabled::False), Enablement::Alias(of)) =
        (want.enabled, &enablement)
    {
        return refuse(format!("it is another name of {of}; promise that one"));
    }
    match want.enabled {
        Some(Enabled::True) => enable(want, mask, files, &enablement),
        Some(Enabled::False) => Ok(disable(want, &enablement)),
        Some(Enabled::Masked) => mask_it(want, have, mask),
        None => Ok((vec![], vec![])),
    }
}

fn enable(
    want: &Desired,
    mask: Mask,
    files: &OwnFiles,
    enablement: &Enablement,
) -> Result<(Vec<Change>, Vec<String>), Refused> {
    let unit = || want.unit.clone();
    let mut links = vec![];
    match mask {
        Mask::Not => {}
        Mask::Persistent if files.writes_unit => {}
        Mask::Runtime | Mask::Persistent => links.push(Change::Unmask { unit: unit() }),
        Mask::Vendor if want.own_unit.is_some() => {}
        Mask::Vendor => return refuse("its package ships it masked"),
    }
    match enablement {
        Enablement::Disabled | Enablement::EnabledRuntime | Enablement::Linked => {
            links.push(Change::Enable { unit: unit() });
            Ok((links, vec![]))
        }
        // The links are those of the former file: they go, and those of the new one come.
        Enablement::Enabled if files.enables_otherwise => {
            links.extend([Change::Disable { unit: unit() }, Change::Enable { unit: unit() }]);
            let notes = vec!["what starts it at boot changed in its unit file".to_owned()];
            Ok((links, notes))
        }
        Enablement::Enabled
        | Enablement::Static
        | Enablement::Indirect
        | Enablement::Generated
        | Enablement::Transient
        | Enablement::Alias(_)
        | Enablement::NotFound => Ok((links, cannot_be_enabled(enablement).into_iter().collect())),
    }
}

fn disable(want: &Desired, enablement: &Enablement) -> (Vec<Change>, Vec<String>) {
    if enablement.is_enabled() {
        (vec![Change::Disable { unit: want.unit.clone() }], vec![])
    } else {
        (vec![], cannot_be_enabled(enablement).into_iter().collect())
    }
}

fn mask_it(
    want: &Desired,
    have: &State,
    mask: Mask,
) -> Result<(Vec<Change>, Vec<String>), Refused> {
    let unit = &have.unit;
    match mask {
        Mask::Persistent | Mask::Vendor => Ok((vec![], vec![])),
        Mask::Not | Mask::Runtime => {
            let place = in_folder(want.unit.as_str());
            if place.is_some() && unit.fragment == place {
                return refuse(format!(
                    "its unit file lies in {}, where the mask would have to be",
                    services::FOLDER
                ));
            }
            let mut notes = vec![];
            if unit.active.runs() && want.running.is_none() {
                notes.push("it goes on running; `running: false` would stop it".into());
            }
            Ok((vec![Change::Mask { unit: want.unit.clone() }], notes))
        }
    }
}

fn stops(want: &Desired, have: &State) -> bool {
    want.running == Some(false)
        && match have.unit.active {
            Active::Active | Active::Reloading | Active::Activating | Active::Deactivating => true,
            Active::Inactive | Active::Failed => false,
        }
}

fn starts(want: &Desired, have: &State) -> bool {
    want.running == Some(true)
        && match have.unit.active {
            Active::Active | Active::Reloading | Active::Activating => false,
            Active::Inactive => have.unit.oneshot != Some(LastStart::Succeeded),
            Active::Failed | Active::Deactivating => true,
        }
}

/// What gives it a process, or its current inputs to the one that runs.
fn run(want: &Desired, have: &State, owing: &Owing, writes: bool) -> Option<Change> {
    let unit = &have.unit;
    if stops(want, have) {
        return None;
    }
    if starts(want, have) {
        return Some(Change::Start(want.act(vec![])));
    }
    if unit.active == Active::Failed && want.running.is_none() && owing.action.is_some() {
        // It failed before it had paid: the restart that was to pay is what took it down.
        return Some(Change::Start(
            want.act(owing.causes.iter().map(ToString::to_string).collect()),
        ));
    }
    if !unit.active.runs() {
        // A stopped service owes nothing, and is never started by a debt.
        return None;
    }
    let (own, others): (Vec<_>, Vec<_>) = owing.causes.iter().partition(|it| want.is_own(it));
    let mut because: Vec<String> = others.into_iter().map(ToString::to_string).collect();
    if writes || !own.is_empty() {
        because.push("its unit file".into());
    }
    match owing.action.max(writes.then_some(Consequence::Restart)) {
        Some(Consequence::Restart) => Some(Change::Restart(want.act(because))),
        Some(Consequence::Reload) if !unit.can_reload => Some(Change::Restart(want.act(because))),
        Some(Consequence::Reload) => Some(Change::Reload(want.act(because))),
        None if want.running == Some(true) && unit.active == Active::Activating => {
            Some(Change::Await(want.act(vec![])))
        }
        None => None,
    }
}

/// Refuses where it is to get another process and cannot.
fn may_run(
    want: &Desired,
    have: &State,
    owing: &Owing,
    run: Option<&Change>,
    files: &OwnFiles,
    mask: Mask,
) -> Result<(), Refused> {
    let Some(Change::Start(_) | Change::Restart(_)) = run else { return Ok(()) };
    let masked = match want.enabled {
        Some(Enabled::True) => false,
        Some(Enabled::Masked) => true,
        Some(Enabled::False) | None => mask != Mask::Not && !files.writes_unit,
    };
    let verb = if starts(want, have) { "started" } else { "restarted" };
    if masked {
        return refuse(format!("it is masked, so it cannot be {verb}"));
    }
    if let Load::Failed(why) = &have.unit.load
        && !files.writes
        && !have.unit.needs_reload
        && !owing.read_by_then
    {
        return refuse(format!("it cannot be {verb}: systemd cannot load it ({why})"));
    }
    Ok(())
}

/// Whether systemd has to be told that its files are others now, and nobody tells it before.
fn needs_reload(have: &State, owing: &Owing) -> bool {
    have.unit.needs_reload && !owing.read_by_then
}

/// What it says of itself counts where nothing else is left to do. What only pays what it owes may be
/// stopped, and is left so.
fn health(want: &Desired, have: &State, owing: &Owing, plan: &mut Difference<Change>) {
    let runs = want.running == Some(true) || have.unit.active.runs();
    if want.health.is_some() && runs && plan.changes.is_empty() && plan.obstacles.is_empty() {
        plan.obstacles.extend(match &owing.health {
            Health::Good => None,
            Health::Bad(error) => Some(Obstacle::Unhealthy(error.clone())),
            Health::NotAsked => Some(Obstacle::HealthNotAsked),
        });
    }
}

/// What makes one promised file what it should be.
fn own_file_changes(file: &OwnFile, look: &Look) -> Result<Vec<Change>, Refused> {
    let refuse = |what: &str| refuse(format!("{what} is in the way at {}", file.path));
    let write = |replaces: Expected, was: Option<Arc<str>>, in_place: bool| Change::Write {
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
        changes.push(write(Expected::Nothing, None, false));
        return Ok(changes);
    };
    let Entry { shape, uid, gid, mode, links: _, changed: _, mounted, marks } = entry;
    match shape {
        Shape::File { content: Content::Bytes(bytes), .. } => {
            let seen = Expected::File { digest: Sha256::digest(bytes).into() };
            if **bytes != *file.content.as_bytes() {
                let was = || String::from_utf8_lossy(bytes).into_owned().into();
                let was = (!marks.secret.is_secret()).then(was);
                Ok(vec![write(seen, was, *mounted)])
            } else if (*uid, *gid, *mode) != (0, 0, MODE) {
                let (path, was) = (file.path.clone(), (*uid, *gid, *mode));
                Ok(vec![Change::SetAttributes { path, seen, was }])
            } else {
                Ok(vec![])
            }
        }
        Shape::File {
            content: Content::NotRead | Content::Digest(_) | Content::TooLarge | Content::Leased,
            ..
        } => Ok(vec![write(Expected::AnyFile, None, *mounted)]),
        Shape::Link { target } => {
            Ok(vec![write(Expected::Link { target: Arc::clone(target) }, None, false)])
        }
        Shape::Directory => refuse("a directory"),
        Shape::Socket => refuse("a socket"),
        Shape::Fifo => refuse("a fifo"),
        Shape::Device => refuse("a device"),
    }
}

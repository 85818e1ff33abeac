//! What separates a unit from its promise.

use super::{Change, Consequence, Desired, Enabled, Health, MODE, OwnFile, State, in_folder};
use crate::kind::{Difference, Identity, Obstacle};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use steadfast_system::files::{Content, Entry, Look, NewFile, Seen, Shape};
use steadfast_system::services::{
    self, Active, Enablement, LastStart, Load, Mask, has_install_rules,
};

/// A refusal is the whole difference.
pub(super) fn plan(
    want: &Desired,
    have: &State,
) -> Result<Difference<Change>, Box<Difference<Change>>> {
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
    // What only pays what it owes may be stopped, and is left so.
    let runs = want.running == Some(true) || unit.active.runs();
    if want.health.is_some() && runs && plan.changes.is_empty() && plan.obstacles.is_empty() {
        plan.obstacles.extend(match &have.health {
            Health::Good => None,
            Health::Bad(error) => Some(Obstacle::Unhealthy(error.clone())),
            Health::NotAsked => Some(Obstacle::HealthNotAsked),
        });
    }
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

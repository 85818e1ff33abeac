//! What the machine shows of units, and what it says of one.

use super::desired::{Desired, Enabled};
use super::state::State;
use crate::kind::Fingerprint;
use crate::runner::{Health, Process};
use sha2::{Digest as _, Sha256};
use steadfast_system::files::{self, Content, Look, Shape, Wanted};
use steadfast_system::services::{self, Enablement, LastStart, Load, Mask, Unit};
use steadfast_system::{AbsPath, Probe, SystemError, UnitName};

pub(super) fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
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
            let also =
                if is_due(want, &unit) { services::Read::also(sys, &want.unit)? } else { vec![] };
            Ok(State { unit, files, also, process })
        })
        .collect()
}

/// Whether links that start it at boot are to be made or to go.
fn is_due(want: &Desired, unit: &Unit) -> bool {
    match want.enabled {
        Some(Enabled::True) => unit.enablement != Enablement::Enabled,
        Some(Enabled::False) => unit.enablement.is_enabled(),
        Some(Enabled::Masked) | None => false,
    }
}

/// What the promised unit file and drop-ins are on disk now, each by its path.
pub(crate) fn own_inputs<'a>(
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

pub(super) fn fingerprint(have: &State) -> Fingerprint {
    let (mut digest, mut changed) = (Sha256::new(), None);
    for it in have.files.iter().map(own_input) {
        digest.update(it.digest);
        changed = changed.max(it.changed);
    }
    Fingerprint { digest: digest.finalize().into(), changed }
}

pub(crate) fn describe(have: &State, health: &Health) -> Vec<(&'static str, String)> {
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
    match health {
        Health::NotAsked => {}
        Health::Good => says.push(("health", "good".to_owned())),
        Health::Bad(error) => says.push(("health", error.chain().join(": "))),
    }
    if unit.needs_reload {
        says.push(("note", "its files changed since systemd read them".to_owned()));
    }
    says
}

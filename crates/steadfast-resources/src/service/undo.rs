//! What a change of a service leaves behind, and how a unit that nobody promises any more is brought back
//! to what it was.

use super::change::{Change, FOLDER_MODE, MODE};
use super::desired::{Desired, TIMEOUT};
use super::state::State;
use crate::paths;
use crate::undo::{Effect, Facet, FacetState, Now};
use steadfast_system::files::Attributes;
use steadfast_system::services::{self, Enablement, Mask, Unit};
use steadfast_system::{AbsPath, SystemError, UnitName};

/// A unit that nobody promises is stopped, because it did not run before.
pub fn stop(unit: &UnitName) -> Change {
    Change::Stop { unit: unit.clone(), timeout: TIMEOUT }
}

/// A unit that nobody promises is started, because it ran before.
pub fn start(unit: &UnitName) -> Change {
    Change::Start(Desired::implied(unit.clone()).act(vec![]))
}

pub(super) fn effects(change: &Change, want: &Desired, have: &State) -> Vec<Effect> {
    let entry = |path: &AbsPath| {
        let at = want.files().position(|it| it.path == *path)?;
        have.files.get(at)?.entry.as_ref()
    };
    let running = |unit: &UnitName, after| {
        // A oneshot that leaves nothing behind does not run when it is done.
        let leaves = have.unit.oneshot.is_none();
        let facet = Facet::Running(unit.clone());
        leaves.then(|| Effect::new(facet, running_now(&have.unit), after)).into_iter().collect()
    };
    let place = |unit: &UnitName, after| {
        vec![Effect::new(Facet::Enabled(unit.clone()), place_of(&have.unit), after)]
    };
    match change {
        Change::MakeFolder { path } => {
            let after = FacetState::Directory { uid: 0, gid: 0, mode: FOLDER_MODE };
            vec![Effect::new(Facet::Path(path.clone()), FacetState::Nothing, after)]
        }
        Change::Write { file, was: _ } => vec![paths::of_file(file, entry(&file.path))],
        Change::SetAttributes { path, seen, was: (uid, gid, mode) } => {
            let from = Attributes { uid: Some(*uid), gid: Some(*gid), mode: Some(*mode) };
            let to = Attributes { uid: Some(0), gid: Some(0), mode: Some(MODE) };
            vec![paths::attributes_set(path, seen, &from, &to)]
        }
        Change::Stop { unit, timeout: _ } => running(unit, FacetState::Nothing),
        Change::Start(act) => running(&act.unit, FacetState::There),
        Change::Enable { unit } => place(unit, FacetState::There),
        Change::Disable { unit } => place(unit, FacetState::Nothing),
        Change::Mask { unit } => place(unit, FacetState::Masked),
        Change::Unmask { unit } => {
            let unmasked = Unit { mask: Mask::Not, ..have.unit.clone() };
            place(unit, place_of(&unmasked))
        }
        // What ran goes on running, in another process.
        Change::DaemonReload | Change::Await(_) | Change::Reload(_) | Change::Restart(_) => {
            vec![]
        }
    }
}

/// Whether units run or start at boot now; one result for each, in their order.
pub(super) fn observe_facets(
    facets: &[&Facet],
    sys: &dyn services::Read,
) -> Vec<Result<Now, SystemError>> {
    let units: Vec<&UnitName> = facets.iter().filter_map(|it| it.as_unit()).collect();
    (facets.iter().zip(sys.units(&units)))
        .map(|(facet, unit)| {
            let unit = unit?;
            let runs = matches!(facet, Facet::Running(_));
            let state = if runs { running_now(&unit) } else { place_of(&unit) };
            Ok(Now { unit: Some(unit), ..Now::new(state) })
        })
        .collect()
}

pub(super) fn changes_back(
    facet: &Facet,
    now: &FacetState,
    before: &FacetState,
) -> Option<Vec<Change>> {
    let unit = facet.as_unit()?;
    if !matches!(facet, Facet::Running(_)) {
        return place_back(unit, now, before);
    }
    match (now, before) {
        (FacetState::There, FacetState::Nothing) => Some(vec![stop(unit)]),
        (FacetState::Nothing, FacetState::There) => Some(vec![start(unit)]),
        (_, _) => None,
    }
}

fn place_back(unit: &UnitName, from: &FacetState, before: &FacetState) -> Option<Vec<Change>> {
    let unit = || unit.clone();
    Some(match (from, before) {
        (FacetState::There, FacetState::Nothing) => vec![Change::Disable { unit: unit() }],
        (FacetState::Nothing, FacetState::There) => vec![Change::Enable { unit: unit() }],
        (FacetState::There | FacetState::Nothing, FacetState::Masked) => {
            vec![Change::Mask { unit: unit() }]
        }
        (FacetState::Masked, FacetState::Nothing) => vec![Change::Unmask { unit: unit() }],
        (FacetState::Masked, FacetState::There) => {
            vec![Change::Unmask { unit: unit() }, Change::Enable { unit: unit() }]
        }
        (_, _) => return None,
    })
}

/// Whether a unit starts at boot, as far as it can be set: what cannot be enabled is not.
fn place_of(unit: &Unit) -> FacetState {
    match unit.mask {
        Mask::Persistent | Mask::Runtime => return FacetState::Masked,
        Mask::Not | Mask::Vendor => {}
    }
    match &unit.enablement {
        Enablement::Enabled | Enablement::EnabledRuntime => FacetState::There,
        Enablement::Disabled
        | Enablement::NotFound
        | Enablement::Linked
        | Enablement::Static
        | Enablement::Indirect
        | Enablement::Generated
        | Enablement::Transient
        | Enablement::Alias(_) => FacetState::Nothing,
    }
}

fn running_now(unit: &Unit) -> FacetState {
    if unit.active.runs() { FacetState::There } else { FacetState::Nothing }
}

//! What a change of a service leaves behind, and how a unit that nobody promises any more is brought back
//! to what it was.

use super::{Change, Desired, FOLDER_MODE, MODE, State, TIMEOUT};
use crate::undo::{self, Effect, Facet, FacetState};
use steadfast_system::files::Attributes;
use steadfast_system::services::{Mask, Unit};
use steadfast_system::{AbsPath, UnitName};

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
        leaves.then(|| Effect::of(facet, undo::running(&have.unit), after)).into_iter().collect()
    };
    let place = |unit: &UnitName, after| {
        vec![Effect::of(Facet::Enabled(unit.clone()), undo::place_of(&have.unit), after)]
    };
    match change {
        Change::MakeFolder { path } => {
            let after = FacetState::Directory { uid: 0, gid: 0, mode: FOLDER_MODE };
            vec![Effect::of(Facet::Path(path.clone()), FacetState::Nothing, after)]
        }
        Change::Write { file, was: _ } => vec![undo::of_file(file, entry(&file.path))],
        Change::SetAttributes { path, seen, was: (uid, gid, mode) } => {
            let from = Attributes { uid: Some(*uid), gid: Some(*gid), mode: Some(*mode) };
            let to = Attributes { uid: Some(0), gid: Some(0), mode: Some(MODE) };
            vec![undo::attributes(path, seen, &from, &to)]
        }
        Change::Stop { unit, timeout: _ } => running(unit, FacetState::Nothing),
        Change::Start(act) => running(&act.unit, FacetState::There),
        Change::Enable { unit } => place(unit, FacetState::There),
        Change::Disable { unit } => place(unit, FacetState::Nothing),
        Change::Mask { unit } => place(unit, FacetState::Masked),
        Change::Unmask { unit } => {
            let unmasked = Unit { mask: Mask::Not, ..have.unit.clone() };
            place(unit, undo::place_of(&unmasked))
        }
        // What ran goes on running, in another process.
        Change::DaemonReload | Change::Await(_) | Change::Reload(_) | Change::Restart(_) => {
            vec![]
        }
    }
}

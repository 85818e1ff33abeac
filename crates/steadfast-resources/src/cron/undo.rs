//! What a change of a job leaves behind.

use super::change::Change;
use super::state::State;
use crate::paths;
use crate::undo::{Effect, Facet, FacetState};
use steadfast_system::files::Attributes;

pub(super) fn effects(change: &Change, have: &State) -> Vec<Effect> {
    let entry = have.look.entry.as_ref();
    vec![match change {
        Change::Write { file, was: _ } => paths::of_file(file, entry),
        Change::SetAttributes { path, seen, was: _, attributes } => {
            let Some(entry) = entry else { return vec![] };
            let from =
                Attributes { uid: Some(entry.uid), gid: Some(entry.gid), mode: Some(entry.mode) };
            paths::attributes_set(path, seen, &from, attributes)
        }
        Change::Remove { path, seen, was: _ } => Effect::new(
            Facet::Path(path.clone()),
            paths::former(seen, entry, true),
            FacetState::Nothing,
        ),
    }]
}

//! What is left to undo where a promise says a part.

use super::{Content, FacetState, Says};
use std::sync::Arc;
use steadfast_system::files::Mode;

/// What is to be taken back of one facet where a promise says a part of what it is to be: what was before
/// it, and what was left; none where the promise is enough.
pub fn unsaid(
    says: Says,
    before: &FacetState,
    after: &FacetState,
) -> Option<(FacetState, FacetState)> {
    use FacetState::{Directory, File, Link};
    if says == Says::ALL {
        return None;
    }
    if says == Says::default() {
        return Some((before.clone(), after.clone()));
    }
    let owner = |was: u32, is: u32| if says.owner { is } else { was };
    let group = |was: u32, is: u32| if says.group { is } else { was };
    let mode_of = |was: Mode, is: Mode| if says.mode { is } else { was };
    let rest = match (before, after) {
        (File { content, uid, gid, mode }, File { content: there, uid: u, gid: g, mode: m }) => {
            let untouched = says.content || *content == Content::Unsaid;
            let of = |it: &Content| if says.content { Content::Unsaid } else { it.clone() };
            let (uid, gid, mode) = (owner(*uid, *u), group(*gid, *g), mode_of(*mode, *m));
            if untouched && (uid, gid, mode) == (*u, *g, *m) {
                return None;
            }
            (
                File { content: of(content), uid, gid, mode },
                File { content: of(there), uid: *u, gid: *g, mode: *m },
            )
        }
        (Directory { uid, gid, mode }, Directory { uid: u, gid: g, mode: m }) => {
            let (uid, gid, mode) = (owner(*uid, *u), group(*gid, *g), mode_of(*mode, *m));
            (Directory { uid, gid, mode }, after.clone())
        }
        (Link { target, uid, gid }, Link { target: there, uid: u, gid: g }) => {
            let target = if says.content { there } else { target };
            let (uid, gid) = (owner(*uid, *u), group(*gid, *g));
            (Link { target: Arc::clone(target), uid, gid }, after.clone())
        }
        // What the promise makes anew would not belong to whom it did.
        (File { .. } | Directory { .. }, _) if *after != FacetState::Unknown => {
            (before.clone(), after.clone())
        }
        (
            FacetState::Nothing
            | File { .. }
            | Directory { .. }
            | Link { .. }
            | FacetState::Group { .. }
            | FacetState::User { .. }
            | FacetState::Keys { .. }
            | FacetState::There
            | FacetState::Masked
            | FacetState::Text(_)
            | FacetState::Unknown,
            _,
        ) if says.content => return None,
        (_, _) => (before.clone(), after.clone()),
    };
    (rest.0 != rest.1).then_some(rest)
}

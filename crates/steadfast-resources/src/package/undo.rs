//! What a change of a package leaves behind. A version that was replaced does not come back.

use super::change::Change;
use super::desired::{Desired, Presence};
use super::state::{State, is_there};
use crate::undo::{Effect, Facet, FacetState, Now};
use std::sync::Arc;
use steadfast_system::packages::{self, Health, Look, Options, Removals};
use steadfast_system::{PackageName, SystemError};

pub(super) fn effects(change: &Change, have: &State) -> Vec<Effect> {
    let (act, before, left) = match change {
        Change::Install(act) => {
            let is_new = !have.look.installed.as_ref().is_some_and(|it| is_there(it.health));
            let before = if is_new { FacetState::Nothing } else { FacetState::Unknown };
            (act, before, FacetState::There)
        }
        Change::Upgrade(act) | Change::Downgrade(act) => {
            (act, FacetState::Unknown, FacetState::There)
        }
        Change::Remove(act) | Change::Purge(act) => (act, FacetState::Unknown, FacetState::Nothing),
        // Whether there is a newer version is not known yet; marks are no things.
        Change::LookForNewer(_)
        | Change::Configure { .. }
        | Change::Unhold { .. }
        | Change::Hold { .. }
        | Change::MarkManual { .. } => return vec![],
    };
    vec![Effect::new(Facet::Package(act.item.package.clone()), before, left)]
}

/// Half installed is there too: something of it would have to go.
pub(super) fn observe_facets(
    facets: &[&Facet],
    sys: &dyn packages::Read,
) -> Vec<Result<Now, SystemError>> {
    let names: Vec<&PackageName> = facets.iter().filter_map(|it| name(it)).collect();
    let now = |look: &Look| {
        let there = look.installed.as_ref().is_some_and(|it| is_there_at_all(it.health));
        Now::new(if there { FacetState::There } else { FacetState::Nothing })
    };
    match sys.package_looks(&names) {
        Ok(looks) => looks.iter().map(|look| Ok(now(look))).collect(),
        Err(error) => names.iter().map(|_| Err(error.clone())).collect(),
    }
}

pub(super) fn absence(facet: &Facet) -> Option<Desired> {
    Some(Desired {
        name: name(facet)?.clone(),
        state: Presence::Absent,
        version: None,
        hold: None,
        options: Options::default(),
        allow_downgrade: false,
        allow_removals: Removals::None,
        debconf: vec![],
        going: Arc::from([]),
        stays: Arc::from([]),
    })
}

fn name(facet: &Facet) -> Option<&PackageName> {
    if let Facet::Package(name) = facet { Some(name) } else { None }
}

fn is_there_at_all(health: Health) -> bool {
    is_there(health) || health == Health::HalfInstalled
}

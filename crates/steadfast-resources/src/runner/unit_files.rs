//! Files of other promises that systemd reads: unit files, drop-ins, and what its generators make units of.
//! Such a promise is kept when systemd has read what it says.

use crate::service;
use crate::undo::{Effect, FacetState};
use crate::{Change, Identity, Resource, State, effects};
use steadfast_system::services;

impl Resource {
    /// Whether it is about a path that systemd reads, or about a directory in which there may be such.
    pub fn may_be_unit_file(&self) -> bool {
        self.as_runner().is_none()
            && (self.claims().iter())
                .any(|it| it.as_path().is_some_and(services::may_hold_unit_files))
    }
}

impl Change {
    /// That systemd reads all its unit files again.
    pub fn daemon_reload() -> Change {
        Change::Service(service::Change::DaemonReload)
    }

    pub fn is_daemon_reload(&self) -> bool {
        self.as_runner().is_some_and(|it| it.is_daemon_reload())
    }
}

/// Whether systemd has to read its unit files again after these changes.
pub fn alters(want: &Resource, have: &State, changes: &[Change]) -> bool {
    !changes.is_empty() && effects(want, have, changes).iter().any(is_read)
}

/// A directory that is made says nothing before there is something in it.
fn is_read(effect: &Effect) -> bool {
    let is_new_folder = effect.before == FacetState::Nothing
        && matches!(effect.after, FacetState::Directory { .. });
    !is_new_folder && effect.facet.as_path().is_some_and(services::is_read_by_systemd)
}

/// Whether what is promised is there, and systemd has read none of it: it changed after `load` began.
pub fn is_unread(want: &Resource, have: &State, load: i64) -> bool {
    // A directory changes with every name in it, whoever promised that.
    !matches!(want, Resource::Directory(_))
        && (want.claims().iter()).any(|it| it.as_path().is_some_and(services::is_read_by_systemd))
        && have.fingerprint().changed.is_some_and(|it| it >= load)
}

/// The units that these changes bring the files of.
pub fn brought(want: &Resource, have: &State, changes: &[Change]) -> Vec<Identity> {
    (effects(want, have, changes).into_iter())
        .filter(|it| it.after != FacetState::Nothing)
        .filter_map(|it| services::unit_at(it.facet.as_path()?))
        .map(Identity::Unit)
        .collect()
}

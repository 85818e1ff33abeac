//! What is in the way of a promise about a user.

use crate::account_fields::{because, listed};
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::user::change::Change;
use crate::user::state::State;
use steadfast_system::{ErrorKind, SystemError, UserName};

pub(super) fn refuse(difference: &mut Difference<Change>, why: Refusal) {
    difference.obstacles.push(Obstacle::refused(why));
}

/// Another user has the promised number: a step that takes it from them makes it free.
pub(super) fn uid_taken(uid: u32, holder: &UserName) -> Obstacle {
    let why = Refusal::machine(format!("uid {uid} belongs to user {holder}"));
    Obstacle::InTheWay { of: vec![Identity::uid(uid, holder)], why }
}

/// An error at looking: what root could have seen is unknown, anything else is in the way.
pub(super) fn failed_look(
    difference: &mut Difference<Change>,
    what: &str,
    error: &SystemError,
    refusal: fn(String) -> Refusal,
) {
    let words = format!("{what}: {}", because(error));
    difference.obstacles.push(if error.kind == ErrorKind::PermissionDenied {
        Obstacle::Unknown(words)
    } else {
        Obstacle::Refused(refusal(words))
    });
}

pub(super) fn no_hash(difference: &mut Difference<Change>, error: &SystemError) {
    failed_look(difference, "password_hash", error, Refusal::Secret);
}

pub(super) fn running(have: &State) -> String {
    let shown: Vec<String> =
        have.processes.iter().map(|it| format!("{} (pid {})", it.name, it.pid)).collect();
    listed(&shown)
}

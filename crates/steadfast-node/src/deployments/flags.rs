//! What a deployment's file of flags says by now, and who may read it.

use steadfast_model::application::FlagHere;
use steadfast_model::application::frozen::{Frozen, Reader};

/// The newest values, whatever the component waits for. Of a user whom the component does not promise, only the machine
/// knows the group.
pub(super) fn deliver(frozen: &mut Frozen, flags: &[FlagHere]) {
    frozen.deliver(flags);
    let Some(reader) = frozen.flags_for() else { return };
    if let Reader::GroupOf(user) = &reader
        && let Some(group) = group_of(user)
    {
        *reader = Reader::Group(group);
    }
}

fn group_of(user: &str) -> Option<String> {
    use nix::unistd::{Group, Uid, User};
    let found = match user.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(user),
    };
    let gid = found.ok().flatten()?.gid;
    Some(Group::from_gid(gid).ok().flatten().map_or_else(|| gid.to_string(), |it| it.name))
}

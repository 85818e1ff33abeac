//! Carrying out one change of a user.

use super::change::Change;
use super::observe::resolve;
use steadfast_system::accounts::Attribute;
use steadfast_system::secrets::Secret;
use steadfast_system::{Actuate, SystemError};

pub(super) fn apply(change: &Change, sys: &dyn Actuate) -> Result<(), SystemError> {
    match change {
        Change::EndSessions { name, uid, processes: _ } => sys.end_processes(name, *uid),
        Change::Add(user) => sys.add_user(user),
        Change::Uid { name, was: _, uid } => sys.set_attribute(name, &Attribute::Uid(*uid)),
        Change::Group { name, was: _, group } => {
            sys.set_attribute(name, &Attribute::Group(group.clone()))
        }
        Change::Home { name, was: _, home } => {
            sys.set_attribute(name, &Attribute::Home(home.clone()))
        }
        Change::Shell { name, was: _, shell } => {
            sys.set_attribute(name, &Attribute::Shell(shell.clone()))
        }
        Change::Comment { name, was: _, comment } => {
            sys.set_attribute(name, &Attribute::Comment(comment.clone()))
        }
        Change::Limits { name, limits } => {
            let limits: Vec<_> = limits.iter().map(|(limit, _, to)| (*limit, *to)).collect();
            sys.set_limits(name, &limits)
        }
        Change::Password { name, hash, locked } => {
            let hash = resolve(hash, sys.as_probe())?;
            let mut field = if *locked { b"!".to_vec() } else { vec![] };
            field.extend_from_slice(hash.reveal());
            sys.set_password(name, &Secret::new(field))
        }
        Change::NoPassword { name } => sys.set_password(name, &Secret::new(b"*".to_vec())),
        Change::Lock { name } => sys.lock(name),
        Change::Unlock { name } => sys.unlock(name),
        Change::Join { name, groups } => sys.join_groups(name, groups),
        Change::Leave { name, group } => sys.remove_member(group, name.as_str()),
        Change::MakeHome { name, home: _, umask } => sys.make_home(name, *umask),
        Change::RemoveHome { home, uid, count: _ } => sys.remove_home(home, *uid),
        Change::Keys { name, home, seen, new } => sys.write_keys(name, home, seen, &new.content),
        Change::Remove { name, uid: _ } => sys.remove_user(name),
    }
}

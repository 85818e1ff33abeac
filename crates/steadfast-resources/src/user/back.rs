//! What a change of an account leaves behind, and what was there before.

use super::{Change, Desired, State, keys};
use crate::trace::{self, Condition, Thing, Trace};
use std::sync::Arc;
use steadfast_system::accounts::{KeysFile, NewPrimary, NewUser};
use steadfast_system::{GroupName, UserName};

pub(super) fn traces(change: &Change, want: &Desired, have: &State) -> Vec<Trace> {
    // What is done to an account that is only just made goes with it.
    if have.account.is_none() && !matches!(change, Change::Add(_)) {
        return vec![];
    }
    let altered = |name: &UserName| {
        let thing = Thing::User(name.clone());
        vec![Trace::of(thing, Condition::Unknown, Condition::User { line: None })]
    };
    let member = |name: &UserName, group: &GroupName, before, left| {
        let (group, user) = (group.clone(), Arc::from(name.as_str()));
        Trace::of(Thing::Member { group, user }, before, left)
    };
    match change {
        Change::Add(NewUser { name, group, .. }) => {
            let thing = Thing::User(name.clone());
            let user = Trace::of(thing, Condition::Nothing, Condition::User { line: None });
            let own = match group {
                NewPrimary::Own => GroupName::parse(name.as_str()).ok(),
                NewPrimary::Group(_) => None,
            };
            let own = own.map(|it| {
                let left = Condition::Group { gid: None };
                Trace::of(Thing::Group(it), Condition::Nothing, left)
            });
            std::iter::once(user).chain(own).collect()
        }
        Change::Remove { name, uid: _ } => {
            let thing = Thing::User(name.clone());
            vec![Trace::of(thing, Condition::Unknown, Condition::Nothing)]
        }
        Change::Join { name, groups } => {
            groups.iter().map(|it| member(name, it, Condition::Nothing, Condition::There)).collect()
        }
        Change::Leave { name, group } => {
            vec![member(name, group, Condition::There, Condition::Nothing)]
        }
        Change::Keys { name, home: _, seen, new } => {
            let thing = Thing::Keys(name.clone());
            let seen: &[u8] = match seen {
                KeysFile::Content(content) => content,
                KeysFile::Nothing | KeysFile::NoHome | KeysFile::InTheWay(_) => &[],
            };
            // Which keys there were is not remembered, only that there were none of ours.
            let before = match (want.has_keys_exactly(), keys::block(seen)) {
                (false, Ok(None)) => Condition::Nothing,
                (false, Ok(Some(_)) | Err(_)) | (true, _) => Condition::Unknown,
            };
            vec![Trace::of(thing, before, trace::of_block(keys::block(&new.content)))]
        }
        Change::RemoveHome { home, uid: _ } => {
            let thing = Thing::Path(home.clone());
            vec![Trace::of(thing, Condition::Unknown, Condition::Nothing)]
        }
        Change::Uid { name, .. }
        | Change::Group { name, .. }
        | Change::Home { name, .. }
        | Change::Shell { name, .. }
        | Change::Comment { name, .. }
        | Change::Limits { name, .. }
        | Change::Password { name, .. }
        | Change::NoPassword { name }
        | Change::Lock { name }
        | Change::Unlock { name } => altered(name),
        // A home stays where it is.
        Change::EndSessions { .. } | Change::MakeHome { .. } => vec![],
    }
}

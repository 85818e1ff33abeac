//! What a change of an account leaves behind, and what was there before.

use super::{Change, Desired, State, keys};
use crate::undo::{self, Effect, Facet, FacetState};
use std::sync::Arc;
use steadfast_system::accounts::{KeysFile, NewPrimary, NewUser};
use steadfast_system::{GroupName, UserName};

pub(super) fn effects(change: &Change, want: &Desired, have: &State) -> Vec<Effect> {
    // What is done to an account that is only just made goes with it.
    if have.account.is_none() && !matches!(change, Change::Add(_)) {
        return vec![];
    }
    let altered = |name: &UserName| {
        let facet = Facet::User(name.clone());
        vec![Effect::of(facet, FacetState::Unknown, FacetState::User { line: None })]
    };
    let member = |name: &UserName, group: &GroupName, before, after| {
        let (group, user) = (group.clone(), Arc::from(name.as_str()));
        Effect::of(Facet::Member { group, user }, before, after)
    };
    match change {
        Change::Add(NewUser { name, group, .. }) => {
            let facet = Facet::User(name.clone());
            let user = Effect::of(facet, FacetState::Nothing, FacetState::User { line: None });
            let own = match group {
                NewPrimary::Own => GroupName::parse(name.as_str()).ok(),
                NewPrimary::Group(_) => None,
            };
            let own = own.map(|it| {
                let after = FacetState::Group { gid: None };
                Effect::of(Facet::Group(it), FacetState::Nothing, after)
            });
            std::iter::once(user).chain(own).collect()
        }
        Change::Remove { name, uid: _ } => {
            let facet = Facet::User(name.clone());
            vec![Effect::of(facet, FacetState::Unknown, FacetState::Nothing)]
        }
        Change::Join { name, groups } => groups
            .iter()
            .map(|it| member(name, it, FacetState::Nothing, FacetState::There))
            .collect(),
        Change::Leave { name, group } => {
            vec![member(name, group, FacetState::There, FacetState::Nothing)]
        }
        Change::Keys { name, home: _, seen, new } => {
            let facet = Facet::Keys(name.clone());
            let seen: &[u8] = match seen {
                KeysFile::Content(content) => content,
                KeysFile::Nothing | KeysFile::NoHome | KeysFile::InTheWay(_) => &[],
            };
            // Which keys there were is not remembered, only that there were none of ours.
            let before = match (want.has_keys_exactly(), keys::block(seen)) {
                (false, Ok(None)) => FacetState::Nothing,
                (false, Ok(Some(_)) | Err(_)) | (true, _) => FacetState::Unknown,
            };
            vec![Effect::of(facet, before, undo::of_block(keys::block(&new.content)))]
        }
        Change::RemoveHome { home, uid: _ } => {
            let facet = Facet::Path(home.clone());
            vec![Effect::of(facet, FacetState::Unknown, FacetState::Nothing)]
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

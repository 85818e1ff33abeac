//! What a change of an account leaves behind, and what was there before.

use super::change::Change;
use super::desired::{Desired, Present, Wanted};
use super::keys::{self, Keys, NewKeys};
use super::state::State;
use crate::paths;
use crate::undo::{Effect, Facet, FacetState, Now, Says};
use std::sync::Arc;
use steadfast_system::accounts::{self, KeysFile, NewPrimary, NewUser, User};
use steadfast_system::files::Digest;
use steadfast_system::{AbsPath, GroupName, SystemError, UserName};

pub(super) fn effects(change: &Change, want: &Desired, have: &State) -> Vec<Effect> {
    // What is done to an account that is only just made goes with it.
    if have.account.is_none() && !matches!(change, Change::Add(_)) {
        return vec![];
    }
    let altered = |name: &UserName| {
        let facet = Facet::User(name.clone());
        vec![Effect::new(facet, FacetState::Unknown, FacetState::User { line: None })]
    };
    let member = |name: &UserName, group: &GroupName, before, after| {
        let (group, user) = (group.clone(), Arc::from(name.as_str()));
        Effect::new(Facet::Member { group, user }, before, after)
    };
    match change {
        Change::Add(user) => added(user),
        Change::Remove { name, uid: _ } => {
            let facet = Facet::User(name.clone());
            vec![Effect::new(facet, FacetState::Unknown, FacetState::Nothing)]
        }
        Change::Join { name, groups } => groups
            .iter()
            .map(|it| member(name, it, FacetState::Nothing, FacetState::There))
            .collect(),
        Change::Leave { name, group } => {
            vec![member(name, group, FacetState::There, FacetState::Nothing)]
        }
        Change::Keys { name, home: _, seen, new } => {
            vec![keys_written(name, seen, new, want.has_keys_exactly())]
        }
        Change::RemoveHome { home, uid: _, count: _ } => {
            let facet = Facet::Path(home.clone());
            vec![Effect::new(facet, FacetState::Unknown, FacetState::Nothing)]
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

/// A new account, and the group that comes with it.
fn added(user: &NewUser) -> Vec<Effect> {
    let own = match user.group {
        NewPrimary::Own => GroupName::parse(user.name.as_str()).ok(),
        NewPrimary::Group(_) => None,
    };
    let own = own.map(|it| {
        let after = FacetState::Group { gid: None };
        Effect::new(Facet::Group(it), FacetState::Nothing, after)
    });
    let after = FacetState::User { line: None };
    let user = Effect::new(Facet::User(user.name.clone()), FacetState::Nothing, after);
    std::iter::once(user).chain(own).collect()
}

/// Which keys there were is not remembered, only that there were none of ours.
fn keys_written(name: &UserName, seen: &KeysFile, new: &NewKeys, exactly: bool) -> Effect {
    let seen: &[u8] = match seen {
        KeysFile::Content(content) | KeysFile::Unfit { content: Some(content), why: _ } => content,
        KeysFile::Unfit { content: None, .. }
        | KeysFile::Nothing
        | KeysFile::NoHome
        | KeysFile::InTheWay(_) => &[],
    };
    let before = match (exactly, keys::block(seen)) {
        (false, Ok(None)) => FacetState::Nothing,
        (false, Ok(Some(_)) | Err(_)) | (true, _) => FacetState::Unknown,
    };
    Effect::new(Facet::Keys(name.clone()), before, of_block(keys::block(&new.content)))
}

/// A user's own group comes and goes with the user.
pub(super) fn says(want: &Desired, facet: &Facet) -> Says {
    let is_about = |name: &str| want.name.as_str() == name;
    Says::all_if(match facet {
        Facet::User(_) => true,
        Facet::Keys(_) => want.says_keys(),
        Facet::Group(name) => is_about(name.as_str()),
        Facet::Member { group, user } => is_about(user) && want.decides(group),
        Facet::Path(_)
        | Facet::Running(_)
        | Facet::Enabled(_)
        | Facet::Package(_)
        | Facet::Setting(_) => false,
    })
}

pub(super) fn looks_after(facet: &Facet) -> bool {
    matches!(facet, Facet::User(_) | Facet::Keys(_))
}

pub(super) fn observe_facet(facet: &Facet, sys: &dyn accounts::Read) -> Result<Now, SystemError> {
    if let Facet::Keys(name) = facet {
        return keys_of(name, sys).map(Now::new);
    }
    let local = sys.local()?;
    let user = facet.as_user().and_then(|it| local.user(it));
    let there = |it: &User| FacetState::User { line: Some(line_of(it)) };
    Ok(Now::new(user.map_or(FacetState::Nothing, there)))
}

pub(super) fn absence(facet: &Facet) -> Option<Desired> {
    if let Facet::Keys(name) = facet {
        // None of ours, whatever else is there.
        let ssh_keys = Some(Keys::AtLeast(vec![]));
        let wanted = Present { ssh_keys, ..Present::default() };
        return Some(Desired { name: name.clone(), state: Wanted::Present(Box::new(wanted)) });
    }
    let state = Wanted::Absent { remove_home: false, end_sessions: false };
    Some(Desired { name: facet.as_user()?.clone(), state })
}

/// Our block in the keys of a user; what others wrote there is their own.
fn keys_of(name: &UserName, sys: &dyn accounts::Read) -> Result<FacetState, SystemError> {
    let local = sys.local()?;
    let Some(user) = local.user(name) else { return Ok(FacetState::Nothing) };
    let Ok(home) = AbsPath::parse(&user.home) else { return Ok(FacetState::Unknown) };
    Ok(match sys.keys_file(&home, Some(user.uid))? {
        KeysFile::NoHome | KeysFile::Nothing => FacetState::Nothing,
        KeysFile::Content(content) | KeysFile::Unfit { content: Some(content), why: _ } => {
            of_block(keys::block(&content))
        }
        KeysFile::Unfit { content: None, .. } | KeysFile::InTheWay(_) => FacetState::Unknown,
    })
}

/// Everything that /etc/passwd says of a user.
fn line_of(user: &User) -> Digest {
    let User { name, uid, gid, comment, home, shell } = user;
    paths::sha256(format!("{name}:{uid}:{gid}:{comment}:{home}:{shell}").as_bytes())
}

/// What is known of a file of keys by our block in it.
fn of_block(block: Result<Option<Vec<u8>>, &'static str>) -> FacetState {
    match block {
        Ok(None) => FacetState::Nothing,
        Ok(Some(bytes)) => FacetState::Keys { block: paths::sha256(&bytes) },
        Err(_) => FacetState::Unknown,
    }
}

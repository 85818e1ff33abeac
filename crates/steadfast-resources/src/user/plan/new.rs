//! A user who is promised and is not there.

use super::parts::{note_shell, place_of_home, plan_groups, plan_keys};
use super::refuse::{no_hash, refuse, uid_taken};
use crate::account_fields::NOT_MADE;
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::user::change::Change;
use crate::user::desired::{HomeState, Present};
use crate::user::state::State;
use steadfast_system::accounts::{Home, HomeShape, NewPrimary, NewUser};
use steadfast_system::{AbsPath, GroupName, UserName};

pub(super) fn plan_new(name: &UserName, present: &Present, have: &State) -> Difference<Change> {
    let mut difference = Difference::none();
    if !name.is_creatable() {
        difference.obstacles.push(Obstacle::Missing(Identity::User(name.clone())));
        difference.notes.push(NOT_MADE.to_owned());
        return difference;
    }
    let Some((home, look)) = &have.home else {
        return Difference::refused(Refusal::machine(
            "there is no path for a home: promise `home`",
        ));
    };
    if let Some(uid) = present.uid {
        difference.obstacles.extend(have.holders.iter().map(|it| uid_taken(uid, it)));
    }
    let group = new_primary(&mut difference, name, present, have);
    let has_home = new_home(&mut difference, present, home, look);
    note_shell(&mut difference, present, have);
    difference.changes.push(Change::Add(NewUser {
        name: name.clone(),
        uid: present.uid,
        group,
        home: home.clone(),
        make_home: present.makes_home(),
        shell: present.shell.clone(),
        comment: present.comment.clone(),
        system: present.system,
    }));
    let limits: Vec<_> = present.limits.iter().map(|(limit, to)| (*limit, None, *to)).collect();
    // A new account has no such end unless /etc/default/useradd gives it one.
    if !limits.is_empty() {
        difference.changes.push(Change::Limits { name: name.clone(), limits });
    }
    new_password(&mut difference, name, present, have);
    let primary = present.group.as_ref().map(GroupName::as_str).unwrap_or(name.as_str());
    plan_groups(&mut difference, name, primary, &[], present, have);
    plan_keys(&mut difference, name, present, have, has_home);
    difference
}

/// The primary group of a new account.
fn new_primary(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    have: &State,
) -> NewPrimary {
    match &present.group {
        Some(group) => {
            if have.wanted_gid.is_none() {
                let missing = Obstacle::Missing(Identity::Group(group.clone()));
                difference.obstacles.push(missing);
            }
            NewPrimary::Group(group.clone())
        }
        None => match GroupName::parse(name.as_str()) {
            Ok(group) if have.own_group => NewPrimary::Group(group),
            Ok(_) | Err(_) => NewPrimary::Own,
        },
    }
}

/// What is in the way of the home of a new account, and whether there is one once the account is made.
fn new_home(
    difference: &mut Difference<Change>,
    present: &Present,
    home: &AbsPath,
    look: &Home,
) -> bool {
    let make_home = present.makes_home();
    match look.shape {
        HomeShape::Nothing if make_home => {
            place_of_home(difference, home, look);
            true
        }
        HomeShape::Nothing => false,
        HomeShape::Directory { uid, .. } => {
            if present.home_state == Some(HomeState::Absent) {
                let words = format!("{home} is there, and belongs to uid {uid}");
                refuse(difference, Refusal::of_place(look.folder.is_open(), words));
            } else if make_home {
                difference.notes.push(format!(
                    "{home} is there already and stays as it is, owned by uid {uid}"
                ));
            }
            true
        }
        HomeShape::Other => {
            if make_home {
                let words = format!("{home} is in the way of the home");
                refuse(difference, Refusal::of_place(look.folder.is_open(), words));
            }
            false
        }
    }
}

fn new_password(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    have: &State,
) {
    match (&present.password_hash, &have.hash) {
        (Some(hash), Some(Ok(_))) => difference.changes.push(Change::Password {
            name: name.clone(),
            hash: hash.clone(),
            locked: present.locked == Some(true),
        }),
        (Some(_), Some(Err(error))) => no_hash(difference, error),
        (Some(_) | None, _) => {
            if present.locked == Some(false) {
                difference.changes.push(Change::NoPassword { name: name.clone() });
            }
        }
    }
}

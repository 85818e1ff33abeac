//! A user who is there, and is to be so or otherwise.

use super::parts::{not_removable, note_shell, place_of_home, plan_groups, plan_keys};
use super::refuse::{failed_look, no_hash, refuse, running, uid_taken};
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::user::change::{Change, words};
use crate::user::desired::{HomeState, Present};
use crate::user::limits::limit_of;
use crate::user::state::{Account, State, group_shown};
use steadfast_system::UserName;
use steadfast_system::accounts::{HomeShape, Shadow};

pub(super) fn plan_existing(
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) -> Difference<Change> {
    let mut difference = Difference::none();
    plan_attributes(&mut difference, name, present, account, have);
    match &account.shadow {
        Ok(shadow) => plan_shadow(&mut difference, name, present, shadow.as_ref(), have),
        Err(error) => {
            if present.password_hash.is_some()
                || present.locked.is_some()
                || !present.limits.is_empty()
            {
                failed_look(&mut difference, "password and its limits", error, Refusal::Machine);
            }
        }
    }
    let primary = match (&present.group, &account.group) {
        (Some(group), _) | (None, Some(group)) => group.as_str(),
        (None, None) => "",
    };
    plan_groups(&mut difference, name, primary, &account.groups, present, have);
    let has_home = plan_home(&mut difference, name, present, account, have);
    plan_keys(&mut difference, name, present, have, has_home);
    difference
}

fn plan_attributes(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) {
    plan_uid(difference, name, present, account, have);
    plan_primary(difference, name, present, account, have);
    plan_home_entry(difference, name, present, account, have);
    note_shell(difference, present, have);
    if let Some(shell) = &present.shell
        && *shell.as_str() != *account.shell
    {
        let was = account.shell.clone();
        difference.changes.push(Change::Shell { name: name.clone(), was, shell: shell.clone() });
    }
    if let Some(comment) = &present.comment
        && *comment != account.comment
    {
        let was = account.comment.clone();
        let comment = comment.clone();
        difference.changes.push(Change::Comment { name: name.clone(), was, comment });
    }
}

fn plan_uid(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) {
    let Some(uid) = present.uid.filter(|it| *it != account.uid) else { return };
    refuse_if_busy(difference, "the uid cannot change", have);
    difference.obstacles.extend(have.holders.iter().map(|it| uid_taken(uid, it)));
    refuse_if_open(difference, account, have);
    difference.notes.push(format!(
        "files of uid {} below {} are re-owned, and no others",
        account.uid,
        words(&account.home)
    ));
    difference.changes.push(Change::Uid { name: name.clone(), was: account.uid, uid });
}

fn plan_primary(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) {
    let Some(group) = &present.group else { return };
    if have.wanted_gid == Some(account.gid) {
        return;
    }
    if have.wanted_gid.is_none() {
        difference.obstacles.push(Obstacle::Missing(Identity::Group(group.clone())));
    }
    refuse_if_open(difference, account, have);
    let was = group_shown(account.group.as_ref(), account.gid);
    difference.changes.push(Change::Group { name: name.clone(), was, group: group.clone() });
}

/// The home as /etc/passwd has it.
fn plan_home_entry(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) {
    let Some(home) = &present.home else { return };
    if *home.as_str() == *account.home {
        return;
    }
    refuse_if_busy(difference, "the home cannot change", have);
    if !account.home.is_empty() {
        difference.notes.push(format!("what lies in {} stays there", words(&account.home)));
    }
    let was = account.home.clone();
    difference.changes.push(Change::Home { name: name.clone(), was, home: home.clone() });
}

fn refuse_if_busy(difference: &mut Difference<Change>, what: &str, have: &State) {
    if !have.processes.is_empty() {
        let words = format!("{what} while the user has processes: {}", running(have));
        refuse(difference, Refusal::Anybody(words));
    }
}

/// usermod gives what is the user's in the home to the new number, and goes there by its path.
fn refuse_if_open(difference: &mut Difference<Change>, account: &Account, have: &State) {
    if let Some((home, look)) = &have.home
        && *home.as_str() == *account.home
        && matches!(look.shape, HomeShape::Directory { .. })
        && look.folder.is_open()
    {
        let words = format!(
            "others than root can write where {home} lies, so what is in it is not re-owned"
        );
        refuse(difference, Refusal::Anybody(words));
    }
}

fn plan_shadow(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    shadow: Option<&Shadow>,
    have: &State,
) {
    let limits: Vec<_> = present
        .limits
        .iter()
        .map(|(limit, to)| (*limit, shadow.and_then(|it| limit_of(it, *limit)), *to))
        .filter(|(_, was, to)| was != to)
        .collect();
    if !limits.is_empty() {
        difference.changes.push(Change::Limits { name: name.clone(), limits });
    }
    let locked = shadow.is_some_and(Shadow::is_locked);
    let has_password = shadow.is_some_and(Shadow::has_password);
    match (&present.password_hash, &have.hash) {
        (Some(hash), Some(Ok(wanted))) => {
            if shadow.is_none_or(|it| it.unlocked() != wanted.reveal()) {
                // `!` alone is how a new account begins, and no lock that somebody set.
                let locked = present.locked.unwrap_or(locked && has_password);
                let (name, hash) = (name.clone(), hash.clone());
                difference.changes.push(Change::Password { name, hash, locked });
                return;
            }
        }
        (Some(_), Some(Err(error))) => {
            no_hash(difference, error);
            return;
        }
        (Some(_) | None, _) => {
            if shadow.is_some_and(|it| it.password.reveal().is_empty()) {
                difference.notes.push("it has an empty password".to_owned());
            }
        }
    }
    let name = name.clone();
    match present.locked {
        Some(true) if !locked => difference.changes.push(Change::Lock { name }),
        Some(false) if locked && has_password => difference.changes.push(Change::Unlock { name }),
        Some(false) if locked => difference.changes.push(Change::NoPassword { name }),
        Some(_) | None => {}
    }
}

/// Plans the home of an account that is there, and says whether there is one afterwards.
fn plan_home(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    account: &Account,
    have: &State,
) -> bool {
    let Some((home, look)) = &have.home else {
        if present.home_state == Some(HomeState::Present) {
            let words = format!("{} is no path of a home: promise `home`", words(&account.home));
            refuse(difference, Refusal::Machine(words));
        }
        return false;
    };
    // The account of a run that was cut may have come without its home, which `ssh_keys` need.
    let promised = match present.home_state {
        None if !present.system && present.ssh_keys.is_some() => Some(HomeState::Present),
        said => said,
    };
    match (promised, look.shape) {
        (Some(HomeState::Present), HomeShape::Nothing) => {
            place_of_home(difference, home, look);
            difference.changes.push(Change::MakeHome {
                name: name.clone(),
                home: home.clone(),
                umask: have.defaults.home_umask,
            });
            true
        }
        (Some(HomeState::Present), HomeShape::Other) => {
            let words = format!("{home} is in the way of the home");
            refuse(difference, Refusal::of_place(look.folder.is_open(), words));
            false
        }
        (Some(HomeState::Absent), HomeShape::Directory { .. } | HomeShape::Other) => {
            let uid = account.uid;
            match not_removable(home, look, uid, have) {
                Some(why) => refuse(difference, why),
                None => {
                    // A new uid owns it by then, where usermod re-owns it.
                    let re_owned = *home.as_str() == *account.home;
                    let uid = present.uid.filter(|_| re_owned).unwrap_or(uid);
                    let count = have.in_home;
                    difference.changes.push(Change::RemoveHome { home: home.clone(), uid, count });
                }
            }
            false
        }
        (_, HomeShape::Directory { .. }) => true,
        (_, HomeShape::Nothing | HomeShape::Other) => false,
    }
}

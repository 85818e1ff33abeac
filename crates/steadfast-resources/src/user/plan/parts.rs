//! What is planned alike for an account that is there and one that is new or goes: groups, keys, the home.

use super::refuse::{failed_look, refuse};
use crate::account_fields::listed;
use crate::account_files::stands_twice;
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::user::change::Change;
use crate::user::desired::{Groups, Present};
use crate::user::keys::{self, NewKeys};
use crate::user::state::State;
use steadfast_system::accounts::{Home, HomeFolder, HomeShape, KeysFile};
use steadfast_system::{AbsPath, GroupName, UserName};

pub(super) fn note_shell(difference: &mut Difference<Change>, present: &Present, have: &State) {
    if let (Some(shell), Some(false)) = (&present.shell, have.shell_there) {
        difference.notes.push(format!("{shell} is no program on this machine now"));
    }
}

pub(super) fn plan_groups(
    difference: &mut Difference<Change>,
    name: &UserName,
    primary: &str,
    current: &[GroupName],
    present: &Present,
    have: &State,
) {
    let Some(groups) = &present.groups else { return };
    let (join, leave): (Vec<&GroupName>, Vec<&GroupName>) = match groups {
        Groups::AtLeast(wanted) => (wanted.iter().collect(), vec![]),
        Groups::Exactly(wanted) => (
            wanted.iter().collect(),
            current.iter().filter(|it| !wanted.contains(it) && it.as_str() != primary).collect(),
        ),
        Groups::Without(unwanted) => {
            if unwanted.iter().any(|it| it.as_str() == primary) {
                refuse(difference, Refusal::Model(format!("{primary} is the primary group")));
            }
            (vec![], current.iter().filter(|it| unwanted.contains(it)).collect())
        }
    };
    let join: Vec<GroupName> = join
        .into_iter()
        .filter(|it| !current.contains(it) && it.as_str() != primary)
        .cloned()
        .collect();
    for group in &join {
        if have.missing_groups.contains(group) {
            difference.obstacles.push(Obstacle::Missing(Identity::Group(group.clone())));
        }
        if have.foreign_groups.contains(group) {
            let words = format!("group {group} is not in /etc/group: the name service has it");
            refuse(difference, Refusal::Machine(words));
        }
    }
    for (group, file) in &have.repeated_groups {
        if join.contains(group) || leave.contains(&group) {
            refuse(difference, stands_twice("group", group.as_str(), file));
        }
    }
    if !join.is_empty() {
        difference.changes.push(Change::Join { name: name.clone(), groups: join });
    }
    for group in leave {
        difference.changes.push(Change::Leave { name: name.clone(), group: group.clone() });
    }
}

pub(super) fn plan_keys(
    difference: &mut Difference<Change>,
    name: &UserName,
    present: &Present,
    have: &State,
    has_home: bool,
) {
    let (Some(want), Some(found)) = (&present.ssh_keys, &have.keys) else { return };
    let seen = match found {
        Ok(seen) => seen,
        Err(error) => {
            failed_look(difference, "ssh_keys", error, Refusal::Anybody);
            return;
        }
    };
    let content: &[u8] = match seen {
        KeysFile::Content(content) | KeysFile::Unfit { content: Some(content), why: _ } => content,
        KeysFile::Unfit { content: None, why } => {
            difference.notes.push(format!(
                "{why}, so the keys in it are not taken over: it is kept beside, as authorized_keys.not-used-1 or on"
            ));
            &[]
        }
        KeysFile::InTheWay(what) => {
            refuse(difference, Refusal::Anybody(format!("{what}, and no file of keys")));
            return;
        }
        KeysFile::Nothing | KeysFile::NoHome => &[],
    };
    let is_unfit = matches!(seen, KeysFile::Unfit { .. });
    let same = || NewKeys { content: content.into(), added: vec![], removed: 0 };
    let found = keys::difference(want, content);
    let found = found.map(|it| it.or_else(|| is_unfit.then(same)));
    if let (Ok(Some(_)), Some(why)) = (&found, keys_refused(present, have, has_home)) {
        refuse(difference, why);
        return;
    }
    match (found, &have.home) {
        (Ok(None), _) => {}
        (Ok(Some(new)), Some((home, _))) if has_home => difference.changes.push(Change::Keys {
            name: name.clone(),
            home: home.clone(),
            seen: seen.clone(),
            new,
        }),
        (Ok(Some(_)), _) => {
            let words = "ssh_keys need a home: promise `home_state: present`";
            let open = have.home.as_ref().is_some_and(|(_, it)| it.folder.is_open());
            refuse(difference, Refusal::of_place(open, words));
        }
        (Err(why), Some((home, _))) => {
            let words = format!("{home}/.ssh/authorized_keys: {why}");
            refuse(difference, Refusal::Anybody(words));
        }
        (Err(why), None) => refuse(difference, Refusal::anybody(why)),
    }
}

/// Why the file of keys can neither be made nor replaced.
fn keys_refused(present: &Present, have: &State, has_home: bool) -> Option<Refusal> {
    let home = have.home.as_ref().filter(|_| has_home);
    let place = home.and_then(|(home, look)| no_place_for_keys(home, look, present, have));
    place.or_else(|| have.keys_barred.clone())
}

/// Why no keys are made in a home that is there: it is neither the user's, nor root's where only root can write.
fn no_place_for_keys(
    home: &AbsPath,
    look: &Home,
    present: &Present,
    have: &State,
) -> Option<Refusal> {
    let HomeShape::Directory { uid: owner, link: _ } = look.shape else { return None };
    let uid = have.account.as_ref().map(|it| it.uid).or(present.uid);
    let closed = owner == 0 && !look.folder.is_open();
    if closed || uid == Some(owner) {
        return None;
    }
    let words =
        format!("ssh_keys: {home} belongs to uid {owner}, and others than root can write there");
    Some(Refusal::of_place(look.folder.is_open(), words))
}

/// What is in the way of making a home where there is nothing yet.
pub(super) fn place_of_home(difference: &mut Difference<Change>, home: &AbsPath, look: &Home) {
    match &look.folder {
        HomeFolder::Missing => {
            let missing = home.parent().map(|it| Obstacle::Missing(Identity::Path(it)));
            difference.obstacles.extend(missing);
        }
        HomeFolder::Unsafe(why) => refuse(difference, Refusal::anybody(&**why)),
        HomeFolder::Closed | HomeFolder::Open => {}
    }
}

/// Why a home is not the user's own, to be removed with the user.
pub(super) fn not_removable(
    home: &AbsPath,
    look: &Home,
    uid: u32,
    have: &State,
) -> Option<Refusal> {
    let of_place = |words| Some(Refusal::of_place(look.folder.is_open(), words));
    let HomeShape::Directory { uid: owner, link } = look.shape else {
        return of_place(format!("{home} is no directory, and is not removed"));
    };
    if let HomeFolder::Unsafe(why) = &look.folder {
        return Some(Refusal::anybody(&**why));
    }
    if link {
        return of_place(format!("{home} is a symbolic link, and is not removed"));
    }
    if owner != uid || owner == 0 {
        return of_place(format!("{home} belongs to uid {owner}, and is not removed"));
    }
    if home.parent().is_none_or(|it| it.parent().is_none()) {
        let words = format!("{home} is too near to the root, and is not removed");
        return Some(Refusal::Model(words));
    }
    if !have.homes_within.is_empty() {
        let words = format!("{home} is also the home of {}", listed(&have.homes_within));
        return Some(Refusal::Machine(words));
    }
    None
}

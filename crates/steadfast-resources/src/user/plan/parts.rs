//! What is planned alike for an account that is there and one that is new or goes: groups, keys, the home.

use super::refuse::{failed_look, refuse};
use crate::account_fields::listed;
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::user::change::Change;
use crate::user::desired::{Groups, Present};
use crate::user::keys;
use crate::user::state::State;
use steadfast_system::accounts::{Home, HomeShape, KeysFile};
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
                refuse(difference, format!("{primary} is the primary group"));
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
            refuse(difference, words);
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
            failed_look(difference, "ssh_keys", error, Refusal::Conflict);
            return;
        }
    };
    let content: &[u8] = match seen {
        KeysFile::Content(content) => content,
        KeysFile::InTheWay(what) => {
            refuse(difference, format!("{what}, and no file of keys"));
            return;
        }
        KeysFile::Nothing | KeysFile::NoHome => &[],
    };
    match (keys::difference(want, content), &have.home) {
        (Ok(None), _) => {}
        (Ok(Some(new)), Some((home, _))) if has_home => difference.changes.push(Change::Keys {
            name: name.clone(),
            home: home.clone(),
            seen: seen.clone(),
            new,
        }),
        (Ok(Some(_)), _) => {
            refuse(difference, "ssh_keys need a home: promise `home_state: present`");
        }
        (Err(why), Some((home, _))) => {
            refuse(difference, format!("{home}/.ssh/authorized_keys: {why}"));
        }
        (Err(why), None) => refuse(difference, why),
    }
}

pub(super) fn missing_parent(difference: &mut Difference<Change>, home: &AbsPath, look: &Home) {
    if !look.folder_there
        && let Some(parent) = home.parent()
    {
        difference.obstacles.push(Obstacle::Missing(Identity::Path(parent)));
    }
}

/// Why a home is not the user's own, to be removed with the user.
pub(super) fn not_removable(home: &AbsPath, look: &Home, uid: u32, have: &State) -> Option<String> {
    let HomeShape::Directory { uid: owner, link } = look.shape else {
        return Some(format!("{home} is no directory, and is not removed"));
    };
    if link {
        return Some(format!("{home} is a symbolic link, and is not removed"));
    }
    if owner != uid || owner == 0 {
        return Some(format!("{home} belongs to uid {owner}, and is not removed"));
    }
    if home.parent().is_none_or(|it| it.parent().is_none()) {
        return Some(format!("{home} is too near to the root, and is not removed"));
    }
    if !have.homes_within.is_empty() {
        return Some(format!("{home} is also the home of {}", listed(&have.homes_within)));
    }
    None
}

//! What separates a user from the promise.

use super::change::{Change, words};
use super::desired::{Desired, Groups, HomeState, Present, Wanted};
use super::keys;
use super::limits::limit_of;
use super::state::{Account, State, group_shown};
use crate::account_fields::{because, listed};
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal};
use steadfast_system::accounts::{Home, HomeShape, KeysFile, NewPrimary, NewUser, Shadow};
use steadfast_system::{AbsPath, ErrorKind, GroupName, SystemError, UserName};

pub(super) fn plan(want: &Desired, have: &State) -> Difference<Change> {
    match (&want.state, &have.account) {
        (Wanted::Present(_), None) if have.elsewhere.is_some() => Difference::refused(format!(
            "user {} is not in /etc/passwd: the name service has it",
            want.name
        )),
        (Wanted::Present(present), None) => plan_new(&want.name, present, have),
        (Wanted::Present(present), Some(account)) => {
            plan_existing(&want.name, present, account, have)
        }
        (Wanted::Absent { .. }, None) => {
            let mut difference = Difference::none();
            if have.elsewhere.is_some() {
                difference.notes.push("the name service still has a user of that name".into());
            }
            difference
        }
        (Wanted::Absent { remove_home, end_sessions }, Some(account)) => {
            plan_absent(&want.name, *remove_home, *end_sessions, account, have)
        }
    }
}

fn refuse(difference: &mut Difference<Change>, words: impl Into<String>) {
    difference.obstacles.push(Obstacle::refused(words.into()));
}

/// An error at looking: what root could have seen is unknown, anything else is in the way.
fn failed_look(
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

fn no_hash(difference: &mut Difference<Change>, error: &SystemError) {
    failed_look(difference, "password_hash", error, Refusal::Secret);
}

fn plan_new(name: &UserName, present: &Present, have: &State) -> Difference<Change> {
    let mut difference = Difference::none();
    let Some((home, look)) = &have.home else {
        return Difference::refused("there is no path for a home: promise `home`");
    };
    if let (Some(uid), Some(holder)) = (present.uid, &have.holder) {
        refuse(&mut difference, format!("uid {uid} belongs to user {holder}"));
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
            missing_parent(difference, home, look);
            true
        }
        HomeShape::Nothing => false,
        HomeShape::Directory { uid, .. } => {
            if present.home_state == Some(HomeState::Absent) {
                refuse(difference, format!("{home} is there, and belongs to uid {uid}"));
            } else if make_home {
                difference.notes.push(format!(
                    "{home} is there already and stays as it is, owned by uid {uid}"
                ));
            }
            true
        }
        HomeShape::Other => {
            if make_home {
                refuse(difference, format!("{home} is in the way of the home"));
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

fn plan_existing(
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
                failed_look(&mut difference, "password and its limits", error, Refusal::Conflict);
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
    if let Some(holder) = &have.holder {
        refuse(difference, format!("uid {uid} belongs to user {holder}"));
    }
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
        refuse(difference, format!("{what} while the user has processes: {}", running(have)));
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

fn plan_groups(
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
            refuse(difference, words);
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
            missing_parent(difference, home, look);
            difference.changes.push(Change::MakeHome {
                name: name.clone(),
                home: home.clone(),
                umask: have.defaults.home_umask,
            });
            true
        }
        (Some(HomeState::Present), HomeShape::Other) => {
            refuse(difference, format!("{home} is in the way of the home"));
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
                    difference.changes.push(Change::RemoveHome { home: home.clone(), uid });
                }
            }
            false
        }
        (_, HomeShape::Directory { .. }) => true,
        (_, HomeShape::Nothing | HomeShape::Other) => false,
    }
}

fn missing_parent(difference: &mut Difference<Change>, home: &AbsPath, look: &Home) {
    if !look.folder_there
        && let Some(parent) = home.parent()
    {
        difference.obstacles.push(Obstacle::Missing(Identity::Path(parent)));
    }
}

/// Why a home is not the user's own, to be removed with the user.
fn not_removable(home: &AbsPath, look: &Home, uid: u32, have: &State) -> Option<String> {
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

fn plan_keys(
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

fn plan_absent(
    name: &UserName,
    remove_home: bool,
    end_sessions: bool,
    account: &Account,
    have: &State,
) -> Difference<Change> {
    let uid = account.uid;
    if uid == 0 {
        return Difference::refused("it has uid 0, as root has");
    }
    let mut difference = Difference::none();
    if !have.processes.is_empty() {
        if !have.same_uid.is_empty() {
            let words = format!(
                "its uid has processes, and is also that of {}: {}",
                listed(&have.same_uid),
                running(have)
            );
            refuse(&mut difference, words);
        } else if end_sessions {
            let processes = have.processes.len();
            difference.changes.push(Change::EndSessions { name: name.clone(), uid, processes });
        } else {
            let words = format!("the user has processes: {}", running(have));
            refuse(&mut difference, words);
        }
    }
    if let Some((home, look)) = &have.home {
        match (remove_home, look.shape) {
            (_, HomeShape::Nothing) => {}
            (true, HomeShape::Directory { .. } | HomeShape::Other) => {
                match not_removable(home, look, uid, have) {
                    Some(why) => refuse(&mut difference, why),
                    // Before the account: what is left half done is then found again.
                    None => {
                        difference.changes.push(Change::RemoveHome { home: home.clone(), uid });
                    }
                }
            }
            (false, HomeShape::Directory { .. } | HomeShape::Other) => {
                difference.notes.push(format!("its home stays: {home}"));
            }
        }
    }
    if have.defaults.user_groups
        && account.group.as_ref().is_some_and(|it| it.as_str() == name.as_str())
    {
        difference.notes.push(format!("group {name} goes with it where nobody else is in it"));
    }
    difference.changes.push(Change::Remove { name: name.clone(), uid });
    difference
}

fn running(have: &State) -> String {
    let shown: Vec<String> =
        have.processes.iter().map(|it| format!("{} (pid {})", it.name, it.pid)).collect();
    listed(&shown)
}

fn note_shell(difference: &mut Difference<Change>, present: &Present, have: &State) {
    if let (Some(shell), Some(false)) = (&present.shell, have.shell_there) {
        difference.notes.push(format!("{shell} is no program on this machine now"));
    }
}

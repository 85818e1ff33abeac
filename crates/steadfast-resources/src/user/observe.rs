//! What the machine shows of users, and what it says of one.

use super::desired::{Desired, Groups, PasswordHash, Present, Wanted};
use super::limits::{LIMITS, limit_name, limit_of, limit_shown};
use super::lower::{NO_PASSWORD, is_hash};
use super::state::{Account, State, group_shown};
use crate::account_fields::{because, digest};
use crate::account_files::Forbids;
use crate::kind::{Fingerprint, Refusal};
use crate::paths::{self, Touch};
use std::sync::Arc;
use steadfast_system::accounts::at_once::AtOnce;
use steadfast_system::accounts::{self, Home, KeysFile, Local, Read as _, User};
use steadfast_system::files::{self, Look, Shape};
use steadfast_system::secrets::{self, Secret};
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, ErrorKind, GroupName, SystemError, UserName};

/// One look at many users, in their order: the files of accounts are read once for all of them.
pub(super) fn looks(
    wants: &[&Desired],
    sys: &dyn accounts::Read,
    secrets: &dyn secrets::Read,
) -> Vec<Result<State, SystemError>> {
    let sys = &AtOnce::new(sys);
    let local = match sys.local() {
        Ok(local) => local,
        Err(error) => return vec![Err(error); wants.len()],
    };
    let places: Vec<Option<AbsPath>> = wants.iter().map(|it| home_after(it, &local)).collect();
    let mut homes = sys.homes(&places.iter().flatten().collect::<Vec<_>>()).into_iter();
    let look = |(want, place): (&&Desired, Option<AbsPath>)| {
        let home = place.and_then(|place| Some((place, homes.next()?)));
        look(want, &local, home, sys, secrets)
    };
    wants.iter().zip(places).map(look).collect()
}

fn look(
    want: &Desired,
    local: &Local,
    home: Option<(AbsPath, Result<Home, SystemError>)>,
    sys: &dyn accounts::Read,
    secrets: &dyn secrets::Read,
) -> Result<State, SystemError> {
    let name = &want.name;
    let present = present(want);
    let account = local.user(name).map(|it| account_of(it, local, sys)).transpose()?;
    let elsewhere = if account.is_some() { None } else { sys.uid(name)? };
    let wanted_group = present.and_then(|it| it.group.as_ref());
    let wanted_gid = wanted_group.map(|it| sys.gid(it)).transpose()?.flatten();
    // It tells what useradd does, and only that. Where no file has it, the name service is asked.
    let own_group = match (&account, GroupName::parse(name.as_str())) {
        (None, Ok(group)) => sys.gid(&group)?.is_some(),
        (Some(_), _) | (_, Err(_)) => false,
    };
    let holders = holders(name, present, local, sys)?;
    let (missing_groups, foreign_groups) =
        not_local(present.and_then(|it| it.groups.as_ref()), local, sys)?;
    // usermod and userdel refuse what would pull the ground away from under a process.
    let processes = match &account {
        Some(account) if present.is_none_or(|it| pulls_away(it, account)) => {
            sys.processes_of(account.uid)?
        }
        Some(_) | None => vec![],
    };
    // It is worth a note and no more.
    let shell_there = present.and_then(|it| sys.is_program(it.shell.as_ref()?).ok());
    let hash = present.and_then(|it| it.password_hash.as_ref()).map(|hash| resolve(hash, secrets));
    let keys = match (present.and_then(|it| it.ssh_keys.as_ref()), &home) {
        (Some(_), Some((home, _))) => Some(sys.keys_file(home, account.as_ref().map(|it| it.uid))),
        (Some(_), None) => Some(Ok(KeysFile::NoHome)),
        (None, _) => None,
    };
    let home = home.map(|(path, it)| it.map(|it| (path, it))).transpose()?;
    Ok(State {
        elsewhere,
        wanted_gid,
        own_group,
        forbids: Forbids { repeated: local.repeats_user(name), ..Forbids::default() },
        keys_barred: None,
        repeated_groups: repeated_groups(present.and_then(|it| it.groups.as_ref()), local),
        holders,
        missing_groups,
        foreign_groups,
        homes_within: homes_within(name, home.as_ref().map(|(path, _)| path), local),
        same_uid: same_uid(name, account.as_ref(), local),
        processes,
        shell_there,
        hash,
        keys,
        home,
        account,
        defaults: local.defaults.clone(),
        in_home: Some(0),
        left: vec![],
    })
}

/// What other programs keep for a user by name, and do not take away with the account. A user of that name
/// who comes later has it again.
pub(super) fn left_behind(name: &UserName, sys: &dyn files::Read) -> Vec<AbsPath> {
    let places = ["/var/spool/cron/crontabs", "/var/mail", "/var/lib/systemd/linger"];
    let paths = places.iter().filter_map(|it| AbsPath::parse(&format!("{it}/{name}")).ok());
    // It is worth a note and no more.
    let is_there = |path: &AbsPath| {
        let look = sys.look(&[(path, files::Wanted::Nothing)]).pop();
        matches!(look, Some(Ok(Look { folder: _, entry: Some(_) })))
    };
    paths.filter(is_there).collect()
}

/// Why the file of keys can neither be made nor replaced, where flags forbid it.
pub(super) fn keys_barred(have: &State, sys: &dyn files::Read) -> Option<Refusal> {
    let (home, _) = have.home.as_ref().filter(|_| have.keys.is_some())?;
    // Where the directory is not there either, it is made in the home.
    [".ssh/authorized_keys", ".ssh"].into_iter().find_map(|it| {
        let path = home.join(it).ok()?;
        let look = sys.look(&[(&path, files::Wanted::Nothing)]).pop()?.ok()?;
        let is_folder = look.entry.as_ref().is_some_and(|it| it.shape == Shape::Directory);
        let entry = look.entry.filter(|_| !is_folder);
        let folder = look.folder.filter(|_| !is_folder)?;
        paths::why_barred(Touch::Name, Some(&folder), entry.as_ref())
            .map(|why| why.of(path.as_str()))
    })
}

/// How many things go with a home; none where that cannot be told, because there are too many.
pub(super) fn in_home(have: &State, sys: &dyn files::Read) -> Option<u64> {
    match &have.home {
        Some((home, look)) if matches!(look.shape, accounts::HomeShape::Directory { .. }) => {
            sys.tree(home, &|_: &str, _: &files::Entry| false).ok().map(|it| it.count)
        }
        Some(_) | None => Some(0),
    }
}

/// The jobs that at(1) has still to run for a user: they are known by the number, and would run as whoever has
/// that next.
pub(super) fn jobs_left(uid: u32, sys: &dyn files::Read) -> Vec<AbsPath> {
    let Ok(folder) = AbsPath::parse("/var/spool/cron/atjobs") else { return vec![] };
    let theirs = |_: &str, it: &files::Entry| it.uid == uid && it.shape != Shape::Directory;
    let tree = sys.tree(&folder, &theirs).unwrap_or_default();
    tree.entries.iter().filter_map(|it| folder.join(&it.path).ok()).collect()
}

/// Other users who have the promised uid; only where no file has one, the name service is asked.
fn holders(
    name: &UserName,
    present: Option<&Present>,
    local: &Local,
    sys: &dyn accounts::Read,
) -> Result<Vec<UserName>, SystemError> {
    let Some(uid) = present.and_then(|it| it.uid) else { return Ok(vec![]) };
    let theirs = others(name, local).filter(|it| it.uid == uid).map(|it| it.name.clone());
    let theirs: Vec<UserName> = theirs.collect();
    if !theirs.is_empty() || local.user_with(uid).is_some() {
        return Ok(theirs);
    }
    Ok(sys.user_of(uid)?.filter(|it| it != name).into_iter().collect())
}

/// Of the promised groups, those that stand in a file more than once.
fn repeated_groups(groups: Option<&Groups>, local: &Local) -> Vec<(GroupName, &'static str)> {
    let names: &[GroupName] = match groups {
        Some(Groups::AtLeast(it) | Groups::Exactly(it) | Groups::Without(it)) => it,
        None => &[],
    };
    names.iter().filter_map(|it| Some((it.clone(), local.repeats_group(it)?))).collect()
}

/// What the local files say of a user.
fn account_of(
    user: &User,
    local: &Local,
    sys: &dyn accounts::Read,
) -> Result<Account, SystemError> {
    let in_list = |members: &[Arc<str>]| members.iter().any(|it| **it == *user.name.as_str());
    Ok(Account {
        uid: user.uid,
        gid: user.gid,
        group: sys.group_of(user.gid)?,
        comment: user.comment.clone(),
        home: user.home.clone(),
        shell: user.shell.clone(),
        groups: (local.groups().iter())
            .filter(|it| it.gid != user.gid && in_list(&it.members))
            .map(|it| it.name.clone())
            .collect(),
        shadow: match &local.shadow {
            Ok(all) => Ok(all.get(&user.name).cloned()),
            Err(error) => Err(error.clone()),
        },
    })
}

/// Of the groups that the user is to be in, those that are nowhere, and those that only the name service
/// has.
fn not_local(
    groups: Option<&Groups>,
    local: &Local,
    sys: &dyn accounts::Read,
) -> Result<(Vec<GroupName>, Vec<GroupName>), SystemError> {
    let (mut missing, mut foreign) = (vec![], vec![]);
    if let Some(Groups::AtLeast(groups) | Groups::Exactly(groups)) = groups {
        for group in groups.iter().filter(|it| local.group(it).is_none()) {
            match sys.gid(group)? {
                Some(_) => foreign.push(group.clone()),
                None => missing.push(group.clone()),
            }
        }
    }
    Ok((missing, foreign))
}

/// The home that the account has after this promise: the promised one, else the one that it has, else the
/// one that it will get.
fn home_after(want: &Desired, local: &Local) -> Option<AbsPath> {
    match (present(want).and_then(|it| it.home.as_ref()), local.user(&want.name)) {
        (Some(home), _) => Some(home.clone()),
        (None, Some(user)) => AbsPath::parse(&user.home).ok(),
        (None, None) => AbsPath::parse(&format!("{}/{}", local.defaults.homes, want.name)).ok(),
    }
}

fn present(want: &Desired) -> Option<&Present> {
    match &want.state {
        Wanted::Present(present) => Some(present),
        Wanted::Absent { .. } => None,
    }
}

/// Other users whose home is this one or lies below it.
fn homes_within(name: &UserName, home: Option<&AbsPath>, local: &Local) -> Vec<UserName> {
    let Some(home) = home else { return vec![] };
    let lies_within =
        |it: &&User| AbsPath::parse(&it.home).is_ok_and(|theirs| theirs.is_within(home));
    others(name, local).filter(lies_within).map(|it| it.name.clone()).collect()
}

/// Other users with the uid of this account.
fn same_uid(name: &UserName, account: Option<&Account>, local: &Local) -> Vec<UserName> {
    let Some(account) = account else { return vec![] };
    others(name, local).filter(|it| it.uid == account.uid).map(|it| it.name.clone()).collect()
}

fn others<'a>(name: &UserName, local: &'a Local) -> impl Iterator<Item = &'a User> {
    local.users().iter().filter(move |it| it.name != *name)
}

/// Whether keeping the promise takes a uid or a home from the processes that have it.
fn pulls_away(present: &Present, account: &Account) -> bool {
    present.uid.is_some_and(|uid| uid != account.uid)
        || present.home.as_ref().is_some_and(|home| *home.as_str() != *account.home)
}

/// The hash itself.
pub(super) fn resolve(
    hash: &PasswordHash,
    secrets: &dyn secrets::Read,
) -> Result<Secret, SystemError> {
    let mut bytes = vec![];
    for piece in &*hash.0.pieces {
        match piece {
            steadfast_model::lower::Piece::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
            steadfast_model::lower::Piece::Secret(name) => {
                bytes.extend_from_slice(secrets.secret(name)?.reveal());
            }
        }
    }
    // A secret in a file mostly ends with a newline.
    let bytes = bytes.trim_ascii_end();
    // Without a secret in it, the field was judged when it was read: it may be one that no password opens.
    let is_said = hash.0.secrets().next().is_none();
    if !is_said && !is_hash(bytes) && bytes != NO_PASSWORD.as_bytes() {
        let names: Vec<&str> = hash.0.secrets().map(|it| &**it).collect();
        let words = format!("secret {} is not a password hash", names.join(", "));
        return Err(SystemError::new(ErrorKind::Secret, words));
    }
    Ok(Secret::new(bytes.to_vec()))
}

pub(super) fn fingerprint(have: &State) -> Fingerprint {
    // What a service of this user runs with; not what becomes of its password.
    let parts: Vec<_> = describe(have)
        .into_iter()
        .filter(|(name, _)| ["state", "uid", "group", "groups", "home", "shell"].contains(name))
        .collect();
    Fingerprint { digest: digest(&parts), changed: None }
}

pub(super) fn describe(have: &State) -> Vec<(&'static str, String)> {
    let Some(account) = &have.account else {
        let state = if have.elsewhere.is_some() { "not local" } else { "absent" };
        return vec![("state", state.to_owned())];
    };
    let Account { uid, gid, group, comment, home, shell, groups, shadow } = account;
    let names: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
    let mut all = vec![
        ("state", "present".to_owned()),
        ("uid", uid.to_string()),
        ("group", group_shown(group.as_ref(), *gid)),
        ("groups", names.join(", ")),
        ("home", safe(home)),
        ("shell", safe(shell)),
        ("comment", safe(comment)),
    ];
    match shadow {
        Ok(None) => all.push(("password", "no entry in /etc/shadow".to_owned())),
        Ok(Some(shadow)) => {
            let word = match (shadow.has_password(), shadow.is_locked()) {
                (true, true) => "set, locked",
                (true, false) => "set",
                (false, true) => "none, locked",
                (false, false) if shadow.password.reveal().is_empty() => "empty",
                (false, false) => "none",
            };
            all.push(("password", word.to_owned()));
            for limit in LIMITS {
                all.push((limit_name(limit), limit_shown(limit, limit_of(shadow, limit))));
            }
        }
        Err(error) => all.push(("password", format!("unknown: {}", because(error)))),
    }
    all
}

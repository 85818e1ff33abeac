//! Users.

use super::{each, field, fields, starts};
use steadfast_system::secrets::Secret;
use steadfast_system::{AbsPath, UserName};
use steadfast_testkit::host::{Matter, Thing};
use steadfast_testkit::laws::Subject;
use steadfast_testkit::{FakeHost, World};

pub(crate) const HASH: &str = "$6$abcdefgh$1wB0HDlSZBC8tx3Ja4sEnGc2T1DIbQtFCXV9XBUC8B8Dcrl8kT9jdMpYBfbPPyx1sSvAmyZGzqOQRvvzqYmJ0.";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4lUKYkBxGbeRCzmrbZJVCQ8P4jDPWmq8kSqwTRXMn3 ci";

#[derive(Clone, Debug)]
pub(crate) enum Groups {
    AtLeast(&'static str),
    Exactly(&'static str),
    Without(&'static str),
}

/// The user `u`, whose home is /home/u.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    pub absent: bool,
    pub remove_home: bool,
    pub end_sessions: bool,
    pub uid: Option<u32>,
    pub group: Option<&'static str>,
    pub groups: Option<Groups>,
    pub home_state: Option<&'static str>,
    pub shell: Option<&'static str>,
    pub locked: Option<bool>,
    pub hash: bool,
    pub expires: Option<(&'static str, i64)>,
    pub keys: bool,
}

const HOME: &str = "/home/u";

impl User {
    fn is_in_list(world: &World, group: &str) -> bool {
        world.group(group).is_some_and(|it| it.members.iter().any(|it| **it == *"u"))
    }
}

impl Subject for User {
    fn id(&self) -> String {
        "user:u".to_owned()
    }

    fn section(&self) -> &'static str {
        "users"
    }

    fn yaml(&self) -> String {
        let groups = self.groups.as_ref().map(|it| match it {
            Groups::AtLeast(it) => format!("[{it}]"),
            Groups::Exactly(it) => format!("{{ exactly: [{it}] }}"),
            Groups::Without(it) => format!("{{ without: [{it}] }}"),
        });
        let body = fields([
            field("state", self.absent.then_some("absent")),
            field("remove_home", self.remove_home.then_some(true)),
            field("end_sessions", self.end_sessions.then_some(true)),
            field("uid", self.uid),
            field("group", self.group),
            field("groups", groups),
            field("home_state", self.home_state),
            field("shell", self.shell),
            field("locked", self.locked),
            field("password_hash", self.hash.then(|| format!("{HASH:?}"))),
            field("expires", self.expires.map(|it| format!("{:?}", it.0))),
            field("ssh_keys", self.keys.then(|| format!("[{KEY:?}]"))),
        ]);
        format!("u: {body}")
    }

    fn holds(&self, world: &World) -> bool {
        let home = world.thing(HOME);
        let Some(account) = world.user("u") else {
            return self.absent && (!self.remove_home || home.is_none());
        };
        if self.absent {
            return false;
        }
        let groups = match &self.groups {
            None => true,
            Some(Groups::AtLeast(it)) => world.is_in("u", it),
            Some(Groups::Exactly(it)) => {
                world.is_in("u", it)
                    && world.groups.values().all(|group| {
                        group.name.as_str() == *it
                            || group.gid == account.user.gid
                            || !User::is_in_list(world, group.name.as_str())
                    })
            }
            Some(Groups::Without(it)) => !world.is_in("u", it),
        };
        let password = account.shadow.password.reveal();
        let (is_locked, rest) = match password {
            [b'!', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let keys = world.text("/home/u/.ssh/authorized_keys").unwrap_or_default();
        groups
            && self.uid.is_none_or(|it| it == account.user.uid)
            && self
                .group
                .is_none_or(|it| world.group(it).is_some_and(|it| it.gid == account.user.gid))
            && self.shell.is_none_or(|it| *it == *account.user.shell)
            && self.locked.is_none_or(|it| it == is_locked)
            && (!self.hash || rest == HASH.as_bytes())
            && self.expires.is_none_or(|(_, days)| account.shadow.expires == Some(days))
            && (!self.keys || keys.lines().any(|it| it == KEY))
            && match self.home_state {
                Some("present") => home.is_some_and(|it| it.matter == Matter::Directory),
                Some("absent") => home.is_none(),
                Some(_) | None => true,
            }
    }

    fn keepable(&self, start: &World) -> bool {
        let Some(account) = start.user("u") else {
            let uid_free =
                self.uid.is_none_or(|uid| !start.users.values().any(|it| it.user.uid == uid));
            let known = |it: &str| start.group(it).is_some();
            let groups = match self.groups {
                Some(Groups::AtLeast(it) | Groups::Exactly(it)) => known(it),
                Some(Groups::Without(it)) => self.group.unwrap_or("u") != it,
                None => true,
            };
            // The primary group needs no line in a list.
            let without = !matches!(self.groups, Some(Groups::Without(it)) if it == self.group.unwrap_or("u"));
            let home = self.home_state != Some("absent") || start.thing(HOME).is_none();
            return self.absent
                || (uid_free && self.group.is_none_or(known) && groups && without && home);
        };
        let busy = start.processes.contains_key(&account.user.uid);
        let home = start.thing(HOME);
        let own_home =
            home.is_none_or(|it| it.matter == Matter::Directory && it.uid == account.user.uid);
        if self.absent {
            return (!busy || self.end_sessions) && (!self.remove_home || own_home);
        }
        let uid = self.uid.is_none_or(|uid| {
            uid == account.user.uid || (!busy && !start.users.values().any(|it| it.user.uid == uid))
        });
        let known = |it: &str| start.group(it).is_some();
        let primary =
            self.group.and_then(|it| start.group(it)).map_or(account.user.gid, |it| it.gid);
        let groups = match self.groups {
            Some(Groups::AtLeast(it) | Groups::Exactly(it)) => known(it),
            Some(Groups::Without(it)) => start.group(it).is_none_or(|it| it.gid != primary),
            None => true,
        };
        let home_kept = match self.home_state {
            Some("present") => home.is_none_or(|it| it.matter == Matter::Directory),
            Some("absent") => own_home,
            Some(_) | None => true,
        };
        // A home that keys need is made.
        let keys = !self.keys || home.is_none_or(|it| it.matter == Matter::Directory);
        uid && self.group.is_none_or(known) && groups && home_kept && keys
    }

    fn erase(&self, world: &mut World, start: &World) {
        let uid = start.user("u").map(|it| it.user.uid);
        let changes_home = uid.is_none()
            || self.uid.is_some()
            || self.group.is_some()
            || self.home_state.is_some()
            || self.remove_home
            || (self.keys && start.thing(HOME).is_none());
        if changes_home || !self.absent {
            let keys = AbsPath::parse("/home/u/.ssh").unwrap();
            let home = AbsPath::parse(HOME).unwrap();
            world.take(if changes_home { &home } else { &keys });
        }
        if self.end_sessions
            && let Some(uid) = uid
        {
            world.processes.remove(&uid);
        }
        let name = UserName::parse("u").unwrap();
        if self.absent || uid.is_none() {
            world.users.remove(&name);
        } else if let Some(account) = world.users.get_mut(&name) {
            // What is not said is left alone.
            if self.uid.is_some() {
                account.user.uid = 0;
            }
            if self.group.is_some() {
                account.user.gid = 0;
            }
            if self.shell.is_some() {
                account.user.shell = "".into();
            }
            if self.locked.is_some() || self.hash {
                account.shadow.password = Secret::new(vec![]);
            }
            if self.expires.is_some() {
                account.shadow.expires = None;
            }
        }
        world.groups.retain(|name, _| name.as_str() != "u");
        for group in world.groups.values_mut() {
            let promised = match &self.groups {
                Some(Groups::AtLeast(it) | Groups::Without(it)) => *it == group.name.as_str(),
                Some(Groups::Exactly(_)) => true,
                None => self.absent,
            };
            if promised {
                group.members.retain(|it| **it != *"u");
            }
        }
    }
}

fn base() -> FakeHost {
    FakeHost::debian()
        .with_group("g", 3000)
        .with_group("x", 3001)
        .with_members("x", &["other"])
        .with_group("y", 3002)
        .with_user("other", 2001, 3000, "/home/other")
        .with_directory("/home/other")
}

/// The user is there.
fn there(home: Option<u32>, busy: bool, password: &str, groups: &[&str]) -> FakeHost {
    let mut host = base().with_group("u", 2000).with_user("u", 2000, 2000, HOME).with(|world| {
        let name = UserName::parse("u").unwrap();
        world.users.get_mut(&name).unwrap().shadow.password =
            Secret::new(password.as_bytes().to_vec());
    });
    if let Some(uid) = home {
        let folder = Thing { uid, gid: 2000, mode: 0o755, ..Thing::of(Matter::Directory) };
        let theirs = Thing { uid: 33, ..Thing::file("z") };
        host = host
            .with_thing(HOME, folder)
            .with_thing("/home/u/x", Thing { uid, gid: 2000, ..Thing::file("x") })
            .with_thing("/home/u/theirs", theirs);
    }
    if busy {
        host = host.with_process(2000, 4711, "bash");
    }
    for group in groups {
        host = host.with(|world| {
            let name = steadfast_system::GroupName::parse(group).unwrap();
            world.groups.get_mut(&name).unwrap().members.push("u".into());
        });
    }
    host
}

#[test]
fn users_obey_the_laws() {
    let mut hosts = vec![base(), base().with_group("u", 2000)];
    for home in [None, Some(2000), Some(33)] {
        for busy in [false, true] {
            for groups in [&[][..], &["x", "y"]] {
                hosts.push(there(home, busy, "!", groups));
            }
        }
    }
    let mut wants = vec![];
    for uid in [None, Some(2000), Some(2001), Some(2002)] {
        for group in [None, Some("g"), Some("missing")] {
            for home_state in [None, Some("present"), Some("absent")] {
                for groups in [None, Some(Groups::Exactly("x"))] {
                    wants.push(User { uid, group, home_state, groups, ..User::default() });
                }
            }
        }
    }
    for groups in [
        Groups::AtLeast("x"),
        Groups::AtLeast("missing"),
        Groups::AtLeast("g"),
        Groups::Exactly("y"),
        Groups::Without("x"),
        Groups::Without("g"),
        Groups::Without("u"),
    ] {
        for group in [None, Some("g")] {
            wants.push(User { group, groups: Some(groups.clone()), ..User::default() });
        }
    }
    for remove_home in [false, true] {
        for end_sessions in [false, true] {
            wants.push(User { absent: true, remove_home, end_sessions, ..User::default() });
        }
    }
    assert!(each(&starts(hosts), &wants) > 1_000);
}

#[test]
fn passwords_limits_and_keys_obey_the_laws() {
    let mut hosts = vec![base()];
    for password in ["!", "*", "!*", "", &format!("!{HASH}"), HASH, "!$6$other", "$6$other"] {
        hosts.push(there(Some(2000), true, password, &[]));
    }
    hosts.push(there(None, false, "!", &[]));
    let keys = "# BEGIN steadfast ssh_keys\n# END steadfast ssh_keys\nssh-rsa AAAA theirs\n";
    hosts.push(
        there(Some(2000), false, HASH, &[])
            .with_thing("/home/u/.ssh", Thing { uid: 2000, ..Thing::of(Matter::Directory) })
            .with_thing("/home/u/.ssh/authorized_keys", Thing { uid: 2000, ..Thing::file(keys) }),
    );
    let mut wants = vec![];
    for locked in [None, Some(false), Some(true)] {
        for hash in [false, true] {
            for expires in [None, Some(("1970-01-11", 10))] {
                for keys in [false, true] {
                    let shell = keys.then_some("/bin/bash");
                    wants.push(User { locked, hash, expires, keys, shell, ..User::default() });
                }
            }
        }
    }
    assert!(each(&starts(hosts), &wants) > 500);
}

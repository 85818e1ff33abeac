//! Accounts of the machine in memory: what the shadow tools would do.

use super::files::{Matter, Thing};
use super::{FakeHost, World, refuse};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_system::accounts::{
    Attribute, Group, Home, HomeFolder, HomeShape, KeysFile, Limit, Local, NewGroup, NewPrimary,
    NewUser, Process, Read, Shadow, User, Write, fitness,
};
use steadfast_system::secrets::Secret;
use steadfast_system::{AbsPath, ErrorKind, GroupName, SystemError, UserName};

/// A line of /etc/passwd with its line of /etc/shadow.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub user: User,
    pub shadow: Shadow,
}

fn fresh_shadow() -> Shadow {
    Shadow {
        password: Secret::new(b"!".to_vec()),
        changed: Some(19_000),
        min: Some(0),
        max: Some(99_999),
        warn: Some(7),
        inactive: None,
        expires: None,
    }
}

fn failed<T>(why: impl Into<Arc<str>>) -> Result<T, SystemError> {
    let why: Arc<str> = why.into();
    // What is there although it was not seen is worth another look.
    let moved = why.contains("already exists");
    refuse(if moved { ErrorKind::Moved } else { ErrorKind::Command }, why)
}

impl FakeHost {
    #[must_use]
    pub fn with_group(self, name: &str, gid: u32) -> FakeHost {
        self.with(|world| {
            let name = GroupName::parse(name).unwrap();
            world.groups.insert(name.clone(), Group { name, gid, members: vec![] });
        })
    }

    #[must_use]
    pub fn with_members(self, group: &str, members: &[&str]) -> FakeHost {
        self.with(|world| {
            let group = GroupName::parse(group).unwrap();
            world.groups.get_mut(&group).unwrap().members =
                members.iter().map(|it| Arc::from(*it)).collect();
        })
    }

    #[must_use]
    pub fn with_user(self, name: &str, uid: u32, gid: u32, home: &str) -> FakeHost {
        self.with(|world| {
            let name = UserName::parse(name).unwrap();
            let user = User {
                name: name.clone(),
                uid,
                gid,
                comment: "".into(),
                home: home.into(),
                shell: "/bin/sh".into(),
            };
            world.users.insert(name, Account { user, shadow: fresh_shadow() });
        })
    }

    #[must_use]
    pub fn with_process(self, uid: u32, pid: u32, name: &str) -> FakeHost {
        self.with(|world| {
            let process = Process { pid, name: name.into() };
            world.processes.entry(uid).or_default().push(process);
        })
    }
}

impl World {
    pub fn user(&self, name: &str) -> Option<&Account> {
        self.users.get(&UserName::parse(name).unwrap())
    }

    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(&GroupName::parse(name).unwrap())
    }

    /// Whether a user is in a group, as its primary group or by its list.
    pub fn is_in(&self, user: &str, group: &str) -> bool {
        let Some(found) = self.group(group) else { return false };
        found.members.iter().any(|it| **it == *user)
            || self.user(user).is_some_and(|it| it.user.gid == found.gid)
    }

    fn account(&mut self, name: &UserName) -> Result<&mut Account, SystemError> {
        match self.users.get_mut(name) {
            Some(account) => Ok(account),
            None => failed(format!("user '{name}' does not exist")),
        }
    }

    fn group_mut(&mut self, name: &GroupName) -> Result<&mut Group, SystemError> {
        match self.groups.get_mut(name) {
            Some(group) => Ok(group),
            None => failed(format!("group '{name}' does not exist")),
        }
    }

    fn free(taken: &[u32], wanted: Option<u32>, system: bool) -> Result<u32, SystemError> {
        match wanted {
            Some(id) if taken.contains(&id) => failed(format!("id {id} is taken")),
            Some(id) => Ok(id),
            None if system => Ok((100..1000).rev().find(|it| !taken.contains(it)).unwrap()),
            None => Ok((1000..).find(|it| !taken.contains(it)).unwrap()),
        }
    }

    pub(super) fn add_group(&mut self, group: &NewGroup) -> Result<u32, SystemError> {
        if self.groups.contains_key(&group.name) {
            return failed(format!("group '{}' already exists", group.name));
        }
        let taken: Vec<u32> = self.groups.values().map(|it| it.gid).collect();
        if let Some(gid) = group.gid.filter(|it| taken.contains(it)) {
            return failed(format!("GID '{gid}' already exists"));
        }
        let gid = World::free(&taken, group.gid, group.system)?;
        let name = group.name.clone();
        self.groups.insert(name.clone(), Group { name, gid, members: vec![] });
        Ok(gid)
    }

    fn is_busy(&self, uid: u32) -> bool {
        self.processes.get(&uid).is_some_and(|it| !it.is_empty())
    }

    /// Where the things of a home are kept: links and mounts may lead there.
    fn home_at(&self, home: &AbsPath) -> AbsPath {
        self.real(home).ok().flatten().map_or_else(|| home.clone(), |it| self.shown_by(it.0))
    }

    fn new_home(&mut self, home: &AbsPath, uid: u32, gid: u32) -> Result<(), SystemError> {
        let home = &self.home_at(home);
        if self.files.contains_key(home) {
            return Ok(());
        }
        if self.folder(home)?.is_none() {
            return failed(format!("cannot create directory {home}"));
        }
        let folder = Thing { uid, gid, mode: 0o755, ..Thing::of(Matter::Directory) };
        self.put(home, folder);
        self.put(&home.join(".profile").unwrap(), Thing { uid, gid, ..Thing::file("# skel\n") });
        Ok(())
    }

    pub(super) fn add_user(&mut self, new: &NewUser) -> Result<(), SystemError> {
        if self.users.contains_key(&new.name) {
            return failed(format!("user '{}' already exists", new.name));
        }
        let taken: Vec<u32> = self.users.values().map(|it| it.user.uid).collect();
        let uid = World::free(&taken, new.uid, new.system)?;
        let gid = match &new.group {
            NewPrimary::Group(group) => self.group_mut(group)?.gid,
            NewPrimary::Own => {
                let name = GroupName::parse(new.name.as_str()).unwrap();
                // The user's own number, where no group has it.
                let gid =
                    Some(uid).filter(|it| !self.groups.values().any(|group| group.gid == *it));
                self.add_group(&NewGroup { name, gid, system: new.system })?
            }
        };
        let user = User {
            name: new.name.clone(),
            uid,
            gid,
            comment: new.comment.clone().unwrap_or_else(|| "".into()),
            home: new.home.as_str().into(),
            shell: new.shell.as_ref().map_or("/bin/sh", AbsPath::as_str).into(),
        };
        self.users.insert(new.name.clone(), Account { user, shadow: fresh_shadow() });
        if !new.make_home {
            return Ok(());
        }
        self.new_home(&new.home, uid, gid).or_else(|error| {
            self.remove_user(&new.name)?;
            Err(error)
        })
    }

    fn set_user(&mut self, name: &UserName, to: &Attribute) -> Result<(), SystemError> {
        let user = self.account(name)?.user.clone();
        let its = AbsPath::parse(&user.home).map(|it| self.home_at(&it));
        let below_home = |path: &AbsPath| its.as_ref().is_ok_and(|home| path.is_within(home));
        if let (Attribute::Uid(_) | Attribute::Group(_), Ok(home)) =
            (to, AbsPath::parse(&user.home))
            && matches!(self.shape_of_home(&home), HomeShape::Directory { .. })
            && !home.parent().is_some_and(|it| self.is_closed(&it).unwrap_or(false))
        {
            let why = format!("others than root can write where {home} lies");
            return refuse(ErrorKind::Swappable, why);
        }
        match to {
            Attribute::Uid(uid) => {
                if self.is_busy(user.uid) {
                    return failed(format!("user {name} is currently used by process 1"));
                }
                if self.users.values().any(|it| it.user.uid == *uid) {
                    return failed(format!("UID '{uid}' already exists"));
                }
                for (path, thing) in &mut self.files {
                    if below_home(path) && thing.uid == user.uid {
                        thing.uid = *uid;
                    }
                }
                self.account(name)?.user.uid = *uid;
            }
            Attribute::Group(group) => {
                let gid = self.group_mut(group)?.gid;
                for (path, thing) in &mut self.files {
                    if below_home(path) && thing.uid == user.uid && thing.gid == user.gid {
                        thing.gid = gid;
                    }
                }
                self.account(name)?.user.gid = gid;
            }
            Attribute::Home(home) => {
                if self.is_busy(user.uid) {
                    return failed(format!("user {name} is currently used by process 1"));
                }
                self.account(name)?.user.home = home.as_str().into();
            }
            Attribute::Shell(shell) => self.account(name)?.user.shell = shell.as_str().into(),
            Attribute::Comment(comment) => self.account(name)?.user.comment = Arc::clone(comment),
        }
        Ok(())
    }

    fn remove_user(&mut self, name: &UserName) -> Result<(), SystemError> {
        let user = self.account(name)?.user.clone();
        if self.is_busy(user.uid) {
            return failed(format!("user {name} is currently used by process 1"));
        }
        self.users.remove(name);
        for group in self.groups.values_mut() {
            group.members.retain(|it| **it != *name.as_str());
        }
        let own = self.groups.values().find(|it| it.name.as_str() == name.as_str());
        let goes = own.is_some_and(|it| {
            self.defaults.user_groups
                && it.gid == user.gid
                && it.members.is_empty()
                && !self.users.values().any(|user| user.user.gid == it.gid)
        });
        if goes {
            self.groups.retain(|it, _| it.as_str() != name.as_str());
        }
        Ok(())
    }

    /// Whether only root can write in a directory, and in all above it.
    fn is_closed(&self, path: &AbsPath) -> Result<bool, SystemError> {
        match self.folder(&path.join("x").unwrap()) {
            Ok(found) => Ok(found.is_some_and(|(_, folder)| !folder.open)),
            Err(error) if error.kind == ErrorKind::Swappable => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn keys_at(&self, home: &AbsPath, user: Option<u32>) -> KeysFile {
        let home = &self.home_at(home);
        let thing = |path: &str| self.files.get(&home.join(path).unwrap());
        if self.files.get(home).is_none_or(|it| it.matter != Matter::Directory) {
            return KeysFile::NoHome;
        }
        match thing(".ssh").map(|it| &it.matter) {
            None => return KeysFile::Nothing,
            Some(Matter::Directory) => {}
            Some(_) => return KeysFile::InTheWay(format!("{home}/.ssh is no directory").into()),
        }
        let Some(file) = thing(".ssh/authorized_keys") else { return KeysFile::Nothing };
        let side = |it: &Thing| fitness::Side { uid: it.uid, gid: it.gid, mode: it.mode.into() };
        let gid =
            |uid: u32| self.users.values().find(|it| it.user.uid == uid).map(|it| it.user.gid);
        let user = user.map(|uid| (uid, gid(uid).unwrap_or(uid)));
        let folder = thing(".ssh").map(side);
        let unfit =
            folder.and_then(|it| fitness::unfit_keys(user, &it, &side(file), file.links > 1));
        match &file.matter {
            Matter::File(bytes) => match unfit {
                Some(fitness::Unfit { why, counts }) => {
                    KeysFile::Unfit { content: counts.then(|| Arc::clone(bytes)), why }
                }
                None => KeysFile::Content(Arc::clone(bytes)),
            },
            Matter::Directory => KeysFile::unfit("it is a directory"),
            Matter::Link(_) => KeysFile::unfit("it is a symbolic link"),
            Matter::Socket => KeysFile::unfit("it is a socket"),
            Matter::Fifo => KeysFile::unfit("it is a fifo"),
            Matter::Device => KeysFile::unfit("it is a device"),
        }
    }

    fn shape_of_home(&self, path: &AbsPath) -> HomeShape {
        let Some(thing) = self.files.get(&self.home_at(path)) else { return HomeShape::Nothing };
        match &thing.matter {
            Matter::Directory => HomeShape::Directory { uid: thing.uid, link: false },
            Matter::Link(target) => {
                match AbsPath::parse(target).ok().and_then(|it| self.files.get(&it)) {
                    Some(thing) if thing.matter == Matter::Directory => {
                        HomeShape::Directory { uid: thing.uid, link: true }
                    }
                    Some(_) | None => HomeShape::Other,
                }
            }
            Matter::File(_) | Matter::Socket | Matter::Fifo | Matter::Device => HomeShape::Other,
        }
    }
}

impl Read for FakeHost {
    fn uid(&self, name: &UserName) -> Result<Option<u32>, SystemError> {
        Ok(self.look_at(|world| {
            let local = world.users.get(name).map(|it| it.user.uid);
            local.or_else(|| world.foreign_users.get(name).copied())
        }))
    }

    fn gid(&self, name: &GroupName) -> Result<Option<u32>, SystemError> {
        Ok(self.look_at(|world| {
            let local = world.groups.get(name).map(|it| it.gid);
            local.or_else(|| world.foreign_groups.get(name).copied())
        }))
    }

    fn user_of(&self, uid: u32) -> Result<Option<UserName>, SystemError> {
        Ok(self.look_at(|world| {
            let local = world.users.values().find(|it| it.user.uid == uid);
            let foreign = || world.foreign_users.iter().find(|(_, it)| **it == uid);
            local.map(|it| it.user.name.clone()).or_else(|| foreign().map(|it| it.0.clone()))
        }))
    }

    fn group_of(&self, gid: u32) -> Result<Option<GroupName>, SystemError> {
        Ok(self.look_at(|world| {
            let local = world.groups.values().find(|it| it.gid == gid);
            let foreign = || world.foreign_groups.iter().find(|(_, it)| **it == gid);
            local.map(|it| it.name.clone()).or_else(|| foreign().map(|it| it.0.clone()))
        }))
    }

    fn local(&self) -> Result<Arc<Local>, SystemError> {
        Ok(self.look_at(|world| {
            let users = world.users.values().map(|it| it.user.clone()).collect();
            let groups = world.groups.values().cloned().collect();
            let shadow: BTreeMap<UserName, Shadow> =
                world.users.iter().map(|(name, it)| (name.clone(), it.shadow.clone())).collect();
            Arc::new(Local::new(users, groups, Ok(shadow), world.defaults.clone()))
        }))
    }

    fn processes_of(&self, uid: u32) -> Result<Vec<Process>, SystemError> {
        Ok(self.look_at(|world| world.processes.get(&uid).cloned().unwrap_or_default()))
    }

    fn homes(&self, paths: &[&AbsPath]) -> Vec<Result<Home, SystemError>> {
        let home = |path: &&AbsPath| {
            self.look_at(|world| {
                let folder = match world.folder(path) {
                    Ok(None) => HomeFolder::Missing,
                    Ok(Some((_, folder))) if folder.open => HomeFolder::Open,
                    Ok(Some(_)) => HomeFolder::Closed,
                    Err(error) if error.kind == ErrorKind::Swappable => {
                        HomeFolder::Unsafe(error.chain().join(": ").into())
                    }
                    Err(error) => return Err(error),
                };
                Ok(Home { folder, shape: world.shape_of_home(path) })
            })
        };
        paths.iter().map(home).collect()
    }

    fn keys_file(&self, home: &AbsPath, user: Option<u32>) -> Result<KeysFile, SystemError> {
        Ok(self.look_at(|world| world.keys_at(home, user)))
    }

    fn is_program(&self, path: &AbsPath) -> Result<bool, SystemError> {
        Ok(self.look_at(|world| {
            let is_program =
                |it: &Thing| matches!(it.matter, Matter::File(_)) && it.mode & 0o111 != 0;
            world.files.get(path).is_some_and(is_program)
        }))
    }
}

impl Write for FakeHost {
    fn add_group(&self, group: &NewGroup) -> Result<(), SystemError> {
        self.effect(format!("add group {}", group.name), |world| world.add_group(group).map(|_| ()))
    }

    fn set_gid(&self, group: &GroupName, gid: u32) -> Result<(), SystemError> {
        self.effect(format!("set gid of group {group}"), |world| {
            if world.groups.values().any(|it| it.gid == gid) {
                return failed(format!("GID '{gid}' already exists"));
            }
            let was = std::mem::replace(&mut world.group_mut(group)?.gid, gid);
            for account in world.users.values_mut().filter(|it| it.user.gid == was) {
                account.user.gid = gid;
            }
            Ok(())
        })
    }

    fn remove_group(&self, group: &GroupName) -> Result<(), SystemError> {
        self.effect(format!("remove group {group}"), |world| {
            let gid = world.group_mut(group)?.gid;
            if world.users.values().any(|it| it.user.gid == gid) {
                return failed(format!("cannot remove the primary group {group}"));
            }
            world.groups.remove(group);
            Ok(())
        })
    }

    fn add_member(&self, group: &GroupName, user: &UserName) -> Result<(), SystemError> {
        self.effect(format!("add member {user} to {group}"), |world| {
            if !world.users.contains_key(user) && !world.foreign_users.contains_key(user) {
                return failed(format!("user '{user}' does not exist"));
            }
            let members = &mut world.group_mut(group)?.members;
            if !members.iter().any(|it| **it == *user.as_str()) {
                members.push(user.as_str().into());
            }
            Ok(())
        })
    }

    fn remove_member(&self, group: &GroupName, member: &str) -> Result<(), SystemError> {
        self.effect(format!("remove member {member} from {group}"), |world| {
            let members = &mut world.group_mut(group)?.members;
            let before = members.len();
            members.retain(|it| **it != *member);
            if members.len() == before {
                return failed(format!("user '{member}' is not a member of '{group}'"));
            }
            Ok(())
        })
    }

    fn add_user(&self, user: &NewUser) -> Result<(), SystemError> {
        self.effect(format!("add user {}", user.name), |world| world.add_user(user))
    }

    fn set_attribute(&self, user: &UserName, attribute: &Attribute) -> Result<(), SystemError> {
        let what = match attribute {
            Attribute::Uid(_) => "uid",
            Attribute::Group(_) => "group",
            Attribute::Home(_) => "home",
            Attribute::Shell(_) => "shell",
            Attribute::Comment(_) => "comment",
        };
        self.effect(format!("set {what} of user {user}"), |world| world.set_user(user, attribute))
    }

    fn set_limits(
        &self,
        user: &UserName,
        limits: &[(Limit, Option<i64>)],
    ) -> Result<(), SystemError> {
        self.effect(format!("set limits of user {user}"), |world| {
            let shadow = &mut world.account(user)?.shadow;
            for (limit, value) in limits {
                *match limit {
                    Limit::Expires => &mut shadow.expires,
                    Limit::Inactive => &mut shadow.inactive,
                    Limit::MinDays => &mut shadow.min,
                    Limit::MaxDays => &mut shadow.max,
                    Limit::WarnDays => &mut shadow.warn,
                } = *value;
            }
            Ok(())
        })
    }

    fn set_password(&self, user: &UserName, field: &Secret) -> Result<(), SystemError> {
        self.effect(format!("set password of user {user}"), |world| {
            world.account(user)?.shadow.password = field.clone();
            Ok(())
        })
    }

    fn lock(&self, user: &UserName) -> Result<(), SystemError> {
        self.effect(format!("lock user {user}"), |world| {
            let password = &mut world.account(user)?.shadow.password;
            if !password.reveal().starts_with(b"!") {
                *password = Secret::new([b"!", password.reveal()].concat());
            }
            Ok(())
        })
    }

    fn unlock(&self, user: &UserName) -> Result<(), SystemError> {
        self.effect(format!("unlock user {user}"), |world| {
            let password = &mut world.account(user)?.shadow.password;
            match password.reveal() {
                // usermod warns, and succeeds.
                b"!" => Ok(()),
                [b'!', rest @ ..] => {
                    *password = Secret::new(rest.to_vec());
                    Ok(())
                }
                _ => Ok(()),
            }
        })
    }

    fn join_groups(&self, user: &UserName, groups: &[GroupName]) -> Result<(), SystemError> {
        self.effect(format!("add user {user} to groups"), |world| {
            world.account(user)?;
            for group in groups {
                world.group_mut(group)?;
            }
            for group in groups {
                let members = &mut world.group_mut(group)?.members;
                if !members.iter().any(|it| **it == *user.as_str()) {
                    members.push(user.as_str().into());
                }
            }
            Ok(())
        })
    }

    fn make_home(&self, user: &UserName, _umask: u16) -> Result<(), SystemError> {
        self.effect(format!("make home of user {user}"), |world| {
            let user = world.account(user)?.user.clone();
            let home = AbsPath::parse(&user.home).unwrap();
            if world.files.contains_key(&world.home_at(&home)) {
                return refuse(ErrorKind::Moved, format!("{home}: something is there now"));
            }
            world.new_home(&home, user.uid, user.gid)
        })
    }

    fn remove_home(&self, path: &AbsPath, uid: u32) -> Result<(), SystemError> {
        self.effect(format!("remove home {path}"), |world| match world.shape_of_home(path) {
            HomeShape::Nothing => Ok(()),
            HomeShape::Directory { uid: owner, link: false } if owner == uid => {
                let home = world.home_at(path);
                world.take(&home);
                Ok(())
            }
            HomeShape::Directory { .. } | HomeShape::Other => {
                refuse(ErrorKind::Moved, format!("{path} is no directory of uid {uid}"))
            }
        })
    }

    fn end_processes(&self, user: &UserName, uid: u32) -> Result<(), SystemError> {
        self.effect(format!("end processes of user {user}"), |world| {
            if uid == 0 || world.account(user)?.user.uid != uid {
                return refuse(ErrorKind::Moved, format!("uid {uid} is not only theirs"));
            }
            world.processes.remove(&uid);
            Ok(())
        })
    }

    fn remove_user(&self, user: &UserName) -> Result<(), SystemError> {
        self.effect(format!("remove user {user}"), |world| world.remove_user(user))
    }

    fn write_keys(
        &self,
        user: &UserName,
        home: &AbsPath,
        seen: &KeysFile,
        content: &[u8],
    ) -> Result<(), SystemError> {
        self.effect(format!("write keys of user {user}"), |world| {
            let (uid, gid) = match world.users.get(user) {
                Some(it) => (it.user.uid, it.user.gid),
                None => return refuse(ErrorKind::Moved, "the user is gone"),
            };
            let now = world.keys_at(home, Some(uid));
            let same = match (&now, seen) {
                (KeysFile::Nothing, KeysFile::NoHome | KeysFile::Nothing) => true,
                (_, _) => now == *seen,
            };
            if !same {
                return refuse(ErrorKind::Moved, "it has changed since it was looked at");
            }
            let is_closed = world.is_closed(home)?;
            let home = &world.home_at(home);
            let folder = home.join(".ssh").unwrap();
            let at = world.files.get(home).map(|it| (it.uid, it.mode));
            if !is_closed && at.is_none_or(|(owner, mode)| owner != uid || mode & 0o300 != 0o300) {
                return refuse(ErrorKind::PermissionDenied, "Permission denied");
            }
            let fit = |it: &Thing| {
                let side = fitness::Side { uid: it.uid, gid: it.gid, mode: it.mode.into() };
                fitness::unfit_folder((uid, gid), &side).is_none()
            };
            if !world.files.get(&folder).is_some_and(fit) {
                let thing = Thing { uid, gid, mode: 0o700, ..Thing::of(Matter::Directory) };
                world.put(&folder, thing);
            }
            if matches!(now, KeysFile::Unfit { content: None, .. }) {
                let number = (1..).find(|number| {
                    let name = format!("authorized_keys.not-used-{number}");
                    !world.files.contains_key(&folder.join(&name).unwrap())
                });
                let aside = format!("authorized_keys.not-used-{}", number.unwrap());
                let was = world.files.remove(&folder.join("authorized_keys").unwrap()).unwrap();
                world.put(&folder.join(&aside).unwrap(), was);
            }
            let keys = Thing { uid, gid, mode: 0o600, ..Thing::of(Matter::File(content.into())) };
            world.put(&folder.join("authorized_keys").unwrap(), keys);
            Ok(())
        })
    }
}

//! The accounts of the machine that this program runs on: files are read directly, and written by the
//! shadow tools.

mod as_user;
mod keys;
mod processes;
mod tools;

use super::cache::Inner;
use super::{Home, HomeFolder, HomeShape, KeysFile, Local, Process, Read};
use crate::files::{self, Look, Wanted};
use crate::{AbsPath, ErrorKind, GroupName, Host, SystemError, UserName};
use keys::read_keys;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;

/// What the name service says, where "there is none" comes in several forms (getpwnam(3)).
fn known<T>(
    what: impl FnOnce() -> String,
    answer: Result<Option<T>, nix::Error>,
) -> Result<Option<T>, SystemError> {
    use nix::Error;
    match answer {
        Ok(found) => Ok(found),
        Err(Error::ENOENT | Error::ESRCH | Error::EBADF | Error::EPERM) => Ok(None),
        Err(err) => Err(SystemError::io(what(), err)),
    }
}

impl Read for Host {
    fn uid(&self, name: &UserName) -> Result<Option<u32>, SystemError> {
        if let Some(user) = self.local()?.user(name) {
            return Ok(Some(user.uid));
        }
        if !self.accounts.has_name_service() {
            return Ok(None);
        }
        if let Some(known) = self.accounts.inner().users.get(name) {
            return Ok(*known);
        }
        let answer = nix::unistd::User::from_name(name.as_str());
        let found = known(|| format!("ask the name service for user {name}"), answer)?
            .map(|it| it.uid.as_raw());
        self.accounts.inner().users.insert(name.clone(), found);
        Ok(found)
    }

    fn gid(&self, name: &GroupName) -> Result<Option<u32>, SystemError> {
        if let Some(group) = self.local()?.group(name) {
            return Ok(Some(group.gid));
        }
        if !self.accounts.has_name_service() {
            return Ok(None);
        }
        if let Some(known) = self.accounts.inner().groups.get(name) {
            return Ok(*known);
        }
        let answer = nix::unistd::Group::from_name(name.as_str());
        let found = known(|| format!("ask the name service for group {name}"), answer)?
            .map(|it| it.gid.as_raw());
        self.accounts.inner().groups.insert(name.clone(), found);
        Ok(found)
    }

    fn user_of(&self, uid: u32) -> Result<Option<UserName>, SystemError> {
        if let Some(user) = self.local()?.user_with(uid) {
            return Ok(Some(user.name.clone()));
        }
        if !self.accounts.has_name_service() {
            return Ok(None);
        }
        if let Some(known) = self.accounts.inner().user_names.get(&uid) {
            return Ok(known.clone());
        }
        let answer = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
        let found = known(|| format!("ask the name service for uid {uid}"), answer)?
            .and_then(|it| UserName::parse(&it.name).ok());
        self.accounts.inner().user_names.insert(uid, found.clone());
        Ok(found)
    }

    fn group_of(&self, gid: u32) -> Result<Option<GroupName>, SystemError> {
        if let Some(group) = self.local()?.group_with(gid) {
            return Ok(Some(group.name.clone()));
        }
        if !self.accounts.has_name_service() {
            return Ok(None);
        }
        if let Some(known) = self.accounts.inner().group_names.get(&gid) {
            return Ok(known.clone());
        }
        let answer = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(gid));
        let found = known(|| format!("ask the name service for gid {gid}"), answer)?
            .and_then(|it| GroupName::parse(&it.name).ok());
        self.accounts.inner().group_names.insert(gid, found.clone());
        Ok(found)
    }

    fn local(&self) -> Result<Arc<Local>, SystemError> {
        // The stamps are taken first: a file that changes while it is read is read again next time.
        let stamps = self.accounts.stamps();
        let mut inner = self.accounts.inner();
        if let Some((then, local)) = &inner.local
            && *then == stamps
        {
            return Ok(Arc::clone(local));
        }
        let local = Arc::new(self.accounts.load()?);
        *inner = Inner { local: Some((stamps, Arc::clone(&local))), ..Inner::default() };
        Ok(local)
    }

    fn processes_of(&self, uid: u32) -> Result<Vec<Process>, SystemError> {
        let failed = |err| SystemError::io("list processes", err);
        let mut found = vec![];
        for entry in fs::read_dir(self.accounts.path("proc")).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(pid) = name.to_str().and_then(|it| it.parse().ok()) else { continue };
            if let Some(process) = self.process(pid, uid) {
                found.push(process);
            }
        }
        found.sort_by_key(|it| it.pid);
        Ok(found)
    }

    fn home(&self, path: &AbsPath) -> Result<Home, SystemError> {
        let failed = |err| SystemError::io(format!("look at {path}"), err);
        let at = self.accounts.path(path.as_str());
        let folder = self.home_folder(path)?;
        let shape = match fs::symlink_metadata(&at) {
            Err(err) if is_missing(&err) => HomeShape::Nothing,
            Err(err) => return Err(failed(err)),
            Ok(found) if found.is_dir() => HomeShape::Directory { uid: found.uid(), link: false },
            Ok(found) if found.is_symlink() => match fs::metadata(&at) {
                Ok(found) if found.is_dir() => {
                    HomeShape::Directory { uid: found.uid(), link: true }
                }
                Ok(_) => HomeShape::Other,
                Err(err) if is_missing(&err) => HomeShape::Other,
                Err(err) => return Err(failed(err)),
            },
            Ok(_) => HomeShape::Other,
        };
        Ok(Home { folder, shape })
    }

    fn keys_file(&self, home: &AbsPath, user: Option<u32>) -> Result<KeysFile, SystemError> {
        let local = self.local()?;
        let ids = |uid: u32| (uid, local.user_with(uid).map_or(uid, |it| it.gid));
        read_keys(home, &self.accounts.path(home.as_str()), user.map(ids))
    }

    fn is_program(&self, path: &AbsPath) -> Result<bool, SystemError> {
        match fs::metadata(self.accounts.path(path.as_str())) {
            Ok(found) => Ok(found.is_file() && found.permissions().mode() & 0o111 != 0),
            Err(err) if is_missing(&err) => Ok(false),
            Err(err) => Err(SystemError::io(format!("look at {path}"), err)),
        }
    }
}

impl Host {
    /// What is known of the directory that a home lies in.
    fn home_folder(&self, home: &AbsPath) -> Result<HomeFolder, SystemError> {
        let at = self.accounts.path(home.as_str());
        let at = AbsPath::parse(&at.to_string_lossy()).map_err(|err| {
            SystemError::new(ErrorKind::Other, err.to_string()).during(format!("look at {home}"))
        })?;
        Ok(match files::Read::look(self, &[(&at, Wanted::Nothing)]).pop() {
            Some(Ok(Look { folder: Some(folder), entry: _ })) if folder.open => HomeFolder::Open,
            Some(Ok(Look { folder: Some(_), entry: _ })) => HomeFolder::Closed,
            Some(Ok(Look { folder: None, entry: _ })) | None => HomeFolder::Missing,
            Some(Err(error)) if error.kind == ErrorKind::Swappable => {
                HomeFolder::Unsafe(error.chain().join(": ").into())
            }
            Some(Err(error)) => return Err(error),
        })
    }
}

fn is_missing(err: &std::io::Error) -> bool {
    matches!(err.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;

//! The accounts of the machine that this program runs on: files are read directly, and written by the
//! shadow tools.

mod as_user;
mod keys;
mod processes;
mod tools;

use super::cache::Inner;
use super::{Home, HomeFolder, HomeShape, KeysFile, Local, Process, Read};
use crate::files::{self, Look, Shape, Wanted};
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

    fn homes(&self, paths: &[&AbsPath]) -> Vec<Result<Home, SystemError>> {
        let placed: Vec<Result<AbsPath, SystemError>> =
            paths.iter().map(|it| self.placed(it)).collect();
        let asked: Vec<(&AbsPath, Wanted)> =
            placed.iter().flatten().map(|it| (it, Wanted::Nothing)).collect();
        let mut looks = files::Read::look(self, &asked).into_iter();
        let silence = || SystemError::new(ErrorKind::Other, "the look gave no answer");
        let home = |at: &Result<AbsPath, SystemError>| {
            let at = at.as_ref().map_err(Clone::clone)?;
            home_at(at, looks.next().unwrap_or_else(|| Err(silence())))
        };
        placed.iter().map(home).collect()
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
    /// Where a path of the machine is.
    fn placed(&self, path: &AbsPath) -> Result<AbsPath, SystemError> {
        AbsPath::parse(&self.accounts.path(path.as_str()).to_string_lossy()).map_err(|err| {
            SystemError::new(ErrorKind::Other, err.to_string()).during(format!("look at {path}"))
        })
    }
}

/// What a look at the path of a home says of it.
fn home_at(at: &AbsPath, look: Result<Look, SystemError>) -> Result<Home, SystemError> {
    Ok(match look {
        Ok(Look { folder: None, entry: _ }) => {
            Home { folder: HomeFolder::Missing, shape: HomeShape::Nothing }
        }
        Ok(Look { folder: Some(folder), entry }) => {
            let folder = if folder.open { HomeFolder::Open } else { HomeFolder::Closed };
            let shape = match entry.map(|it| (it.shape, it.uid)) {
                None => HomeShape::Nothing,
                Some((Shape::Directory, uid)) => HomeShape::Directory { uid, link: false },
                Some((Shape::Link { .. }, _)) => behind_link(at)?,
                Some((Shape::File { .. } | Shape::Socket | Shape::Fifo | Shape::Device, _)) => {
                    HomeShape::Other
                }
            };
            Home { folder, shape }
        }
        // Nothing is done there; what is there is told all the same.
        Err(error) if error.kind == ErrorKind::Swappable => {
            let folder = HomeFolder::Unsafe(error.chain().join(": ").into());
            let shape = match fs::symlink_metadata(at.as_str()) {
                Err(err) if is_missing(&err) => HomeShape::Nothing,
                Err(err) => return Err(unseen(at, err)),
                Ok(it) if it.is_dir() => HomeShape::Directory { uid: it.uid(), link: false },
                Ok(it) if it.is_symlink() => behind_link(at)?,
                Ok(_) => HomeShape::Other,
            };
            Home { folder, shape }
        }
        Err(error) => return Err(error),
    })
}

fn behind_link(at: &AbsPath) -> Result<HomeShape, SystemError> {
    match fs::metadata(at.as_str()) {
        Ok(it) if it.is_dir() => Ok(HomeShape::Directory { uid: it.uid(), link: true }),
        Ok(_) => Ok(HomeShape::Other),
        Err(err) if is_missing(&err) => Ok(HomeShape::Other),
        Err(err) => Err(unseen(at, err)),
    }
}

fn unseen(at: &AbsPath, err: std::io::Error) -> SystemError {
    SystemError::io(format!("look at {at}"), err)
}

fn is_missing(err: &std::io::Error) -> bool {
    matches!(err.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;

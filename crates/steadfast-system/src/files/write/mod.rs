//! Changing the real machine's files.
//!
//! A new content is written beside its place, under a name that nobody can guess; it gets its owner,
//! access list and mode there, and is flushed: it is *staged*. It takes its place by one rename. What it
//! replaces is looked at before and once more right before the rename, and is kept among the backups
//! first. What was staged and never placed goes when it is dropped; whatever of this a killed run left
//! behind goes at the next write into that directory.

mod attributes;
mod batch;
mod descriptors;
mod errors;
mod home;
mod make;
mod place;
mod remove;
mod stage;
mod validate;
mod verify;

use super::{Attributes, Expected, Mode, NewFile, Staged, Write};
use crate::{AbsPath, Host, SystemError};
use batch::Batch;
pub(crate) use home::NewHome;

impl Write for Host {
    fn remember_secrets(&self, paths: &[(AbsPath, bool)]) -> Result<Vec<AbsPath>, SystemError> {
        self.remember_all(paths)
    }

    fn forget_secrets(&self, paths: &[AbsPath]) -> Result<(), SystemError> {
        self.forget_all(paths)
    }

    fn stage(&self, files: &[NewFile]) -> Vec<Result<Staged, SystemError>> {
        Batch::new(self).stage(files)
    }

    fn place(&self, staged: Vec<Staged>) -> Vec<Result<(), SystemError>> {
        let about: Vec<(AbsPath, usize)> =
            staged.iter().map(|it| (it.path().clone(), it.size())).collect();
        let results = Batch::new(self).place(staged);
        for ((path, bytes), result) in about.iter().zip(&results) {
            tell("write", path, Some(*bytes), result);
        }
        results
    }

    fn set_attributes(
        &self,
        all: &[(&AbsPath, &Expected, Attributes)],
    ) -> Vec<Result<(), SystemError>> {
        let results = Batch::new(self).set_attributes(all);
        for ((path, ..), result) in all.iter().zip(&results) {
            tell("set owner or mode", path, None, result);
        }
        results
    }

    fn make_directory(
        &self,
        path: &AbsPath,
        uid: u32,
        gid: u32,
        mode: Mode,
        replaces: &Expected,
    ) -> Result<(), SystemError> {
        let result = Batch::new(self).make_directory(path, uid, gid, mode, replaces);
        tell("make directory", path, None, &result);
        result
    }

    fn make_link(
        &self,
        path: &AbsPath,
        target: &str,
        uid: u32,
        gid: u32,
        replaces: &Expected,
    ) -> Result<(), SystemError> {
        let result = Batch::new(self).make_link(path, target, uid, gid, replaces);
        tell("link", path, None, &result);
        result
    }

    fn remove(
        &self,
        path: &AbsPath,
        seen: &Expected,
        whole: bool,
        keep: bool,
    ) -> Result<(), SystemError> {
        let result = Batch::new(self).remove(path, seen, whole, keep);
        tell("remove", path, None, &result);
        result
    }
}

/// What was done to a path; never what is in it.
fn tell(change: &str, path: &AbsPath, bytes: Option<usize>, result: &Result<(), SystemError>) {
    match result {
        Ok(()) => tracing::debug!(change, %path, bytes, "files changed"),
        Err(error) => {
            tracing::debug!(change, %path, error = error.chain().join(": "), "files not changed");
        }
    }
}

/// Makes a home and what it begins with. In a directory that others can write, no link is followed.
pub(crate) fn make_home(host: &Host, home: &NewHome<'_>) -> Result<(), SystemError> {
    let result = Batch::new(host).make_home(home);
    tell("make home", home.path, None, &result);
    result
}

/// Removes a directory that belongs to a user, with all below it. What it is and whose is asked of its
/// open descriptor, and below that one everything goes by descriptors.
pub(crate) fn remove_folder_of(host: &Host, path: &AbsPath, uid: u32) -> Result<(), SystemError> {
    let result = Batch::new(host).remove_folder_of(path, uid);
    tell("remove", path, None, &result);
    result
}

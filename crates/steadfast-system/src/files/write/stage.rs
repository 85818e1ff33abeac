//! Staging: new contents written beside their places, with all that belongs to them.

use super::attributes::{copy_attributes, set_owner_and_mode};
use super::batch::Batch;
use super::descriptors::{remove_quietly, write_at_start};
use super::errors::{moved, refused};
use super::validate;
use super::verify::Prior;
use crate::files::backups::FLUSHED_ALONE;
use crate::files::cache::is_plain_suffix;
use crate::files::walk::{self, Dir, Facts, Walker, failed};
use crate::files::{Expected, NewFile, Staged};
use crate::{AbsPath, SystemError};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::CStr;

/// What waits beside its place. Dropped without having taken it, it goes.
#[derive(Debug)]
pub(super) struct Beside {
    path: AbsPath,
    /// Its name until it takes its place; none where it is written in place, or has taken it.
    pub(super) temporary: Option<String>,
    /// The directory that it waits in.
    pub(super) folder: (u64, u64),
    /// What was there when it was staged. Of many new files it is nothing, and all wait at once.
    pub(super) prior: Option<Box<Facts>>,
    /// Whether something is kept of what it replaces.
    kept: bool,
}

impl Drop for Beside {
    fn drop(&mut self) {
        // If it stays, the next run takes it away.
        if let Some(temporary) = &self.temporary
            && let Some((folder, _)) = walk::split(self.path.as_str())
            && let Ok(Some(dir)) = Walker::default().folder(folder)
            && dir.facts.identity() == self.folder
        {
            remove_quietly(&dir, &**temporary);
        }
    }
}

impl Batch<'_> {
    pub(super) fn stage(&mut self, files: &[NewFile]) -> Vec<Result<Staged, SystemError>> {
        let alone = files.len() <= FLUSHED_ALONE;
        let mut staged: Vec<Result<Beside, SystemError>> =
            files.iter().map(|file| self.prepare(file, alone)).collect();
        // What is replaced is safe before anything takes its place.
        if let Err(err) = self.settle_kept() {
            for one in &mut staged {
                if one.as_ref().is_ok_and(|it| it.kept) {
                    *one = Err(err.clone());
                }
            }
        }
        if !alone {
            for (device, err) in self.flush_devices() {
                for one in &mut staged {
                    if let Ok(it) = one
                        && it.folder.0 == device
                    {
                        let what = format!("flush the temporary file beside {}", it.path);
                        *one = Err(failed(what, err));
                    }
                }
            }
        }
        let files = files.iter().cloned();
        files.zip(staged).map(|(file, it)| it.map(|it| Staged::new(file, it))).collect()
    }

    /// Everything for one file but the flush of what goes to the disk together.
    fn prepare(&mut self, file: &NewFile, flush: bool) -> Result<Beside, SystemError> {
        let path = &file.path;
        let (dir, name) = self.folder_to_write(path)?;
        let promised = Some(file.content.len() as u64);
        let prior = self.verify(&dir, &name, path, &file.replaces, file.keep, promised)?;
        let mut beside = Beside {
            path: path.clone(),
            temporary: None,
            folder: dir.facts.identity(),
            prior: prior.facts.map(Box::new),
            kept: prior.content.is_some() || (file.keep && file.replaces == Expected::Directory),
        };
        if file.in_place {
            if prior.file.is_none() {
                return Err(moved(path, "only a regular file is written in place"));
            }
            self.validate(file, None)?;
        } else {
            let temporary = self.host.files.temporary_name(suffix_for(file));
            // From here on it goes with `beside` where anything fails.
            beside.temporary = Some(temporary.clone());
            write_beside(&dir, &name, &temporary, file, &prior, flush)?;
            self.validate(file, (!dir.open).then_some(&temporary))?;
        }
        match &prior.content {
            Some(content) => self.keep_content(content, prior.of_others)?,
            None if file.replaces == Expected::Directory => self.examine_tree(path, file.keep)?,
            None => {}
        }
        Ok(beside)
    }

    /// Lets a validator have its say. `temporary` is the candidate beside its place; without one it
    /// gets a copy in a directory that is root's alone.
    fn validate(&mut self, file: &NewFile, temporary: Option<&String>) -> Result<(), SystemError> {
        let Some(validation) = &file.validate else { return Ok(()) };
        let path = &file.path;
        if let Some(temporary) = temporary {
            let folder = walk::split(path.as_str()).map_or("/", |(folder, _)| folder);
            let candidate = format!("{}/{temporary}", folder.trim_end_matches('/'));
            return validate::run(validation, path, &candidate);
        }
        let state = self.host.settings.state.clone();
        if let Some(state) = state.to_str()
            && let Some(dir) = self.walker.folder(state)?
        {
            self.clear_left_overs(&dir);
        }
        validate::copy_and_run(
            validation,
            path,
            &file.content,
            &state,
            &self.host.files.temporary_name(""),
        )
    }
}

/// What the name of a candidate ends in: a validator may go by it.
fn suffix_for(file: &NewFile) -> &str {
    let name = file.path.file_name();
    let dot = name.rfind('.').filter(|_| file.validate.is_some());
    dot.map(|dot| &name[dot..]).filter(|it| is_plain_suffix(it)).unwrap_or_default()
}

/// Writes the new file with all that belongs to it.
fn write_beside(
    dir: &Dir,
    name: &CStr,
    temporary: &str,
    file: &NewFile,
    prior: &Prior,
    flush: bool,
) -> Result<(), SystemError> {
    let what = || format!("write temporary file beside {}", file.path);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let private = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fd = rustix::fs::openat(&dir.fd, temporary, flags, private)
        .map_err(|err| refused(what(), err, dir, name))?;
    let write = || -> Result<(), Errno> {
        write_at_start(&fd, &file.content)?;
        copy_attributes(dir, file, prior.facts.as_ref(), prior.file.as_ref(), &fd)?;
        set_owner_and_mode(&fd, file)?;
        if flush { rustix::fs::fsync(&fd) } else { Ok(()) }
    };
    write().map_err(|err| failed(what(), err))
}

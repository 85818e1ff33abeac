//! Placing: what was staged takes its place by one rename, where what it replaces is still as it was.

use super::attributes::set_owner_and_mode;
use super::batch::Batch;
use super::descriptors::{c_string, flush_folder, folder_path, write_at_start};
use super::errors::{moved, refused};
use super::stage::Beside;
use crate::files::KEPT_FILE_MAX;
use crate::files::backups::FLUSHED_ALONE;
use crate::files::walk::{self, Dir, Facts, failed};
use crate::files::{Expected, NewFile, Staged};
use crate::{AbsPath, SystemError};
use rustix::fs::{OFlags, RenameFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CStr;

/// Something that made way and is to be removed.
struct Aside {
    folder: String,
    name: String,
    was: Facts,
}

/// The directories that something was put into, and what: places in the batch.
type Touched = HashMap<(u64, u64), Vec<usize>>;

impl Batch<'_> {
    pub(super) fn place(&mut self, staged: Vec<Staged>) -> Vec<Result<(), SystemError>> {
        let paths: Vec<AbsPath> = staged.iter().map(|it| it.path().clone()).collect();
        let mut touched = Touched::new();
        let mut asides = vec![];
        let mut results = vec![];
        for (index, one) in staged.into_iter().enumerate() {
            results.push(one.take::<Beside>().and_then(|(file, mut beside)| {
                let aside = self.place_one(&file, &mut beside)?;
                asides.extend(aside.map(|it| (index, it)));
                touched.entry(beside.folder).or_default().push(index);
                Ok(())
            }));
        }
        self.flush_touched(&touched, &paths, &mut results);
        for (index, aside) in asides {
            if let Err(err) = self.remove_aside(&aside.folder, &aside.name, &aside.was) {
                results[index] = Err(err);
            }
        }
        results
    }

    fn place_one(
        &mut self,
        file: &NewFile,
        beside: &mut Beside,
    ) -> Result<Option<Aside>, SystemError> {
        let path = &file.path;
        let (dir, name) = self.folder_of(path)?;
        if dir.facts.identity() != beside.folder {
            return Err(moved(path, "its directory is another one now"));
        }
        self.note_device(&dir, path)?;
        let Some(temporary) = &beside.temporary else {
            self.write_in_place(&dir, &name, file, beside.prior.as_deref())?;
            return Ok(None);
        };
        let aside =
            self.put(&dir, temporary, path, &file.replaces, beside.prior.as_deref(), false)?;
        beside.temporary = None;
        let folder = folder_path(path);
        Ok(aside.zip(beside.prior.take()).map(|(name, was)| Aside { folder, name, was: *was }))
    }

    /// Flushes the directories that something was put into, one by one or with their whole file systems.
    fn flush_touched(
        &mut self,
        touched: &Touched,
        paths: &[AbsPath],
        results: &mut [Result<(), SystemError>],
    ) {
        if touched.len() > FLUSHED_ALONE {
            for (device, err) in self.flush_devices() {
                let there = touched.iter().filter(|(folder, _)| folder.0 == device);
                for index in there.flat_map(|(_, indexes)| indexes) {
                    let what = format!("flush the directory of {}", paths[*index]);
                    results[*index] = Err(failed(what, err));
                }
            }
            return;
        }
        for indexes in touched.values() {
            let path = &paths[indexes[0]];
            let flushed = self.folder_of(path).and_then(|(dir, _)| flush_folder(&dir, path));
            if let Err(err) = flushed {
                for index in indexes {
                    results[*index] = Err(err.clone());
                }
            }
        }
    }

    /// Puts what waits as `temporary` into its place. What is returned made way under that name and is
    /// to be removed.
    pub(super) fn put(
        &self,
        dir: &Dir,
        temporary: &str,
        path: &AbsPath,
        replaces: &Expected,
        prior: Option<&Facts>,
        is_directory: bool,
    ) -> Result<Option<String>, SystemError> {
        let name = &*c_string(path.file_name())?;
        let fail = |err| match err {
            Errno::EXIST => moved(path, "something is there now"),
            Errno::NOENT => moved(path, "the temporary file beside it is gone"),
            err => refused(format!("rename into place at {path}"), err, dir, name),
        };
        let plain = || rustix::fs::renameat(&dir.fd, temporary, &dir.fd, name);
        if prior.is_none() {
            return match rename_with(dir, temporary, name, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(None),
                // The file system cannot do that in one step.
                Err(Errno::INVAL | Errno::NOSYS) => match Facts::at(&dir.fd, name) {
                    Ok(_) => Err(fail(Errno::EXIST)),
                    Err(Errno::NOENT) => plain().map(|()| None).map_err(fail),
                    Err(err) => Err(fail(err)),
                },
                Err(err) => Err(fail(err)),
            };
        }
        self.verify_still(dir, name, path, prior)?;
        if !is_directory && *replaces != Expected::Directory {
            return plain().map(|()| None).map_err(fail);
        }
        match rename_with(dir, temporary, name, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(Some(temporary.to_owned())),
            Err(Errno::INVAL | Errno::NOSYS) => {
                let aside = self.host.files.temporary_name("");
                rustix::fs::renameat(&dir.fd, name, &dir.fd, &*aside).map_err(fail)?;
                match plain() {
                    Ok(()) => Ok(Some(aside)),
                    Err(err) => {
                        let _ = rustix::fs::renameat(&dir.fd, &*aside, &dir.fd, name);
                        Err(fail(err))
                    }
                }
            }
            Err(err) => Err(fail(err)),
        }
    }

    /// Writes into the file that is there, because something is mounted on it. Where that fails half
    /// way, what it held is written back as well as can be.
    fn write_in_place(
        &mut self,
        dir: &Dir,
        name: &CStr,
        file: &NewFile,
        prior: Option<&Facts>,
    ) -> Result<(), SystemError> {
        let path = &file.path;
        let fail = |err| refused(format!("write {path} in place"), err, dir, name);
        self.verify_still(dir, name, path, prior)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&dir.fd, name, flags, rustix::fs::Mode::empty()).map_err(fail)?;
        let facts = Facts::about(&fd).map_err(fail)?;
        if !prior.is_some_and(|prior| facts.is_unchanged(prior)) {
            return Err(moved(path, "it changed while it was worked on"));
        }
        if !facts.is_mounted(dir.facts.device()) {
            return Err(moved(path, "nothing is mounted there any more"));
        }
        let old = walk::bytes(&fd, facts.size(), KEPT_FILE_MAX, &mut self.buffer).map_err(fail)?;
        // Who may read it is settled before there is anything new to read.
        set_owner_and_mode(&fd, file).map_err(fail)?;
        let write = |content: &[u8]| -> Result<(), Errno> {
            write_at_start(&fd, content)?;
            rustix::fs::ftruncate(&fd, content.len() as u64)?;
            rustix::fs::fsync(&fd)
        };
        write(&file.content).map_err(|err| {
            let back = old.as_deref().map(write);
            let error = fail(err);
            match back {
                Some(Ok(())) => error,
                Some(Err(_)) | None => error.during(format!(
                    "write {path}, which now holds neither its old content nor its new one"
                )),
            }
        })
    }
}

fn rename_with(dir: &Dir, from: &str, to: &CStr, flags: RenameFlags) -> Result<(), Errno> {
    rustix::fs::renameat_with(&dir.fd, from, &dir.fd, to, flags)
}

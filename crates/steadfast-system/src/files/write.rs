//! Changing the real machine's files.
//!
//! A new content is written beside its place, under a name that nobody can guess; it gets its owner,
//! access list and mode there, is flushed, and takes its place by one rename. What it replaces is
//! looked at before and once more right before the rename, and its content goes into the vault first.
//! Whatever of this a killed run left behind goes at the next write into that folder.

use super::attributes::{copy_attributes, ids, mode_of, set_owner_and_mode};
use super::kept::{FLUSHED_ALONE, KEPT_FILE_MAX, Keeping, Vault};
use super::walk::{self, Dir, Facts, Walker, failed};
use super::{Attributes, Mode, NewFile, Seen, Write, is_plain_suffix, validate};
use crate::{AbsPath, ErrorKind, Host, SystemError};
use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, OFlags, RenameFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;
use std::ffi::{CStr, CString};
use std::sync::{Arc, PoisonError};

/// How many files, and how many bytes, are written beside their places before they take them: as much
/// space as this is needed twice.
const PORTION_FILES: usize = 16_384;
const PORTION_BYTES: usize = 64 * 1024 * 1024;

impl Write for Host {
    fn write_files(&self, files: &[NewFile]) -> Vec<Result<(), SystemError>> {
        let mut results = Vec::with_capacity(files.len());
        let mut rest = files;
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest
                .iter()
                .take(PORTION_FILES)
                .take_while(|file| {
                    let fits = bytes <= PORTION_BYTES;
                    bytes += file.content.len();
                    fits
                })
                .count();
            let (portion, further) = rest.split_at(count);
            results.extend(Writer::new(self).write_files(portion));
            rest = further;
        }
        results
    }

    fn set_attributes(
        &self,
        all: &[(&AbsPath, &Seen, Attributes)],
    ) -> Vec<Result<(), SystemError>> {
        Writer::new(self).set_attributes(all)
    }

    fn make_directory(
        &self,
        path: &AbsPath,
        uid: u32,
        gid: u32,
        mode: Mode,
        replaces: &Seen,
    ) -> Result<(), SystemError> {
        Writer::new(self).make_directory(path, uid, gid, mode, replaces)
    }

    fn make_link(
        &self,
        path: &AbsPath,
        target: &str,
        uid: u32,
        gid: u32,
        replaces: &Seen,
    ) -> Result<(), SystemError> {
        Writer::new(self).make_link(path, target, uid, gid, replaces)
    }

    fn remove(
        &self,
        path: &AbsPath,
        seen: &Seen,
        whole: bool,
        keep: bool,
    ) -> Result<(), SystemError> {
        Writer::new(self).remove(path, seen, whole, keep)
    }
}

/// Removes a folder that belongs to a user, with all below it. What it is and whose is asked of its
/// open descriptor, and below that one everything goes by descriptors.
pub(crate) fn remove_folder_of(host: &Host, path: &AbsPath, uid: u32) -> Result<(), SystemError> {
    Writer::new(host).remove_folder_of(path, uid)
}

/// One batch at work.
struct Writer<'h> {
    host: &'h Host,
    walker: Walker,
    keeping: Keeping<'h>,
    /// A descriptor on each file system that was written to, to flush it as a whole.
    devices: HashMap<u64, OwnedFd>,
    buffer: Vec<u8>,
}

/// What was found where something is to be put.
struct Prior {
    /// None where nothing is there.
    facts: Option<Facts>,
    /// A regular file, open.
    file: Option<OwnedFd>,
    /// Its content, where that is to be kept and is not too large to be.
    content: Option<Vec<u8>>,
}

/// A file that is written and has not taken its place yet.
struct Prepared {
    index: usize,
    /// Its name until then; none where it is written in place.
    temporary: Option<String>,
    folder: (u64, u64),
    prior: Option<Facts>,
    kept: bool,
}

/// Something that made way and is to be removed.
struct Aside {
    index: usize,
    folder: String,
    name: String,
    was: Facts,
}

impl<'h> Writer<'h> {
    fn new(host: &'h Host) -> Writer<'h> {
        Writer {
            host,
            walker: Walker::default(),
            keeping: Vault::of(host).keeping(),
            devices: HashMap::new(),
            buffer: vec![0; walk::BUFFER],
        }
    }

    fn write_files(&mut self, files: &[NewFile]) -> Vec<Result<(), SystemError>> {
        let mut results = vec![Ok(()); files.len()];
        let alone = files.len() <= FLUSHED_ALONE;
        let mut prepared = vec![];
        for (index, file) in files.iter().enumerate() {
            match self.prepare(index, file, alone) {
                Ok(it) => prepared.push(it),
                Err(err) => results[index] = Err(err),
            }
        }
        if let Err(err) = self.keeping.settle() {
            prepared.retain(|it| {
                if it.kept {
                    self.give_up(&files[it.index], it);
                    results[it.index] = Err(err.clone());
                }
                !it.kept
            });
        }
        if !alone {
            for (device, err) in self.flush_devices() {
                prepared.retain(|it| {
                    if it.folder.0 == device {
                        self.give_up(&files[it.index], it);
                        let what =
                            format!("flush the temporary file beside {}", files[it.index].path);
                        results[it.index] = Err(failed(what, err));
                    }
                    it.folder.0 != device
                });
            }
        }
        let mut touched: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
        let mut asides = vec![];
        for it in &prepared {
            match self.place(&files[it.index], it) {
                Ok(aside) => {
                    asides.extend(aside);
                    touched.entry(it.folder).or_default().push(it.index);
                }
                Err(err) => {
                    self.give_up(&files[it.index], it);
                    results[it.index] = Err(err);
                }
            }
        }
        if touched.len() > FLUSHED_ALONE {
            for (device, err) in self.flush_devices() {
                for (_, indexes) in touched.iter().filter(|(folder, _)| folder.0 == device) {
                    for index in indexes {
                        let what = format!("flush the folder of {}", files[*index].path);
                        results[*index] = Err(failed(what, err));
                    }
                }
            }
        } else {
            for indexes in touched.values() {
                let path = &files[indexes[0]].path;
                let flushed = self.folder_of(path).and_then(|(dir, _)| flush_folder(&dir, path));
                if let Err(err) = flushed {
                    for index in indexes {
                        results[*index] = Err(err.clone());
                    }
                }
            }
        }
        for aside in asides {
            if let Err(err) = self.remove_aside(&aside.folder, &aside.name, &aside.was) {
                results[aside.index] = Err(err);
            }
        }
        results
    }

    /// The folder that a path lies in, which must be there, and its name in it.
    fn folder_of<'p>(&mut self, path: &'p AbsPath) -> Result<(Arc<Dir>, &'p str), SystemError> {
        let Some((parent, name)) = walk::split(path.as_str()) else {
            return Err(SystemError::new(ErrorKind::Other, "/ is neither replaced nor removed"));
        };
        match self.walker.folder(parent)? {
            Some(dir) => Ok((dir, name)),
            None => Err(failed(format!("open the folder {parent}"), Errno::NOENT)),
        }
    }

    /// The same for a folder that is about to be written to.
    fn folder_to_write<'p>(
        &mut self,
        path: &'p AbsPath,
    ) -> Result<(Arc<Dir>, &'p str), SystemError> {
        let (dir, name) = self.folder_of(path)?;
        self.clear_left_overs(&dir);
        if let Vacant(unknown) = self.devices.entry(dir.facts.device()) {
            let fd = dir.readable();
            unknown.insert(fd.map_err(|err| failed(format!("open the folder of {path}"), err))?);
        }
        Ok((dir, name))
    }

    /// Takes away what killed runs left in a folder, once a run. In an open folder only what its owner
    /// could take away himself, and no folder with anything in it: he may have given our name to a
    /// folder of root's.
    fn clear_left_overs(&self, dir: &Dir) {
        let searched = &self.host.files.searched;
        if !searched.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.facts.identity()) {
            return;
        }
        let Ok(names) = dir.readable().and_then(walk::names) else { return };
        for name in names {
            use std::os::unix::ffi::OsStrExt as _;
            if !self.host.files.is_left_over(std::ffi::OsStr::from_bytes(name.to_bytes())) {
                continue;
            }
            let Ok(facts) = Facts::at(&dir.fd, &*name) else { continue };
            // What cannot be removed now is tried again by the next run.
            if !dir.open {
                drop(remove_any(dir.fd.as_fd(), &name, "a left-over", &facts));
            } else if facts.uid() == 0 || facts.uid() == dir.facts.uid() {
                remove_quietly(dir, &name);
            }
        }
    }

    /// Everything but taking its place.
    fn prepare(
        &mut self,
        index: usize,
        file: &NewFile,
        flush: bool,
    ) -> Result<Prepared, SystemError> {
        let path = &file.path;
        let (dir, name) = self.folder_to_write(path)?;
        let prior = {
            let promised = Some(file.content.len() as u64);
            self.verify(&dir, name, path, &file.replaces, file.keep, promised)?
        };
        let folder = dir.facts.identity();
        let temporary = if file.in_place {
            if prior.file.is_none() {
                return Err(moved(path, "only a regular file is written in place"));
            }
            self.validate(file, None)?;
            None
        } else {
            let suffix = match &file.validate {
                Some(_) => name.rfind('.').map(|dot| &name[dot..]).filter(|it| is_plain_suffix(it)),
                None => None,
            };
            let temporary = self.host.files.temporary_name(suffix.unwrap_or_default());
            let written = write_beside(&dir, &temporary, file, &prior, flush)
                .and_then(|()| self.validate(file, (!dir.open).then_some(&temporary)));
            if let Err(err) = written {
                remove_quietly(&dir, &*temporary);
                return Err(err);
            }
            Some(temporary)
        };
        let mut kept = prior.content.is_some();
        let keeping = match &prior.content {
            Some(content) => self.keeping.add(content),
            None if file.keep && file.replaces == Seen::Directory => {
                kept = true;
                self.examine_tree(path, true)
            }
            None if file.replaces == Seen::Directory => self.examine_tree(path, false),
            None => Ok(()),
        };
        let prepared = Prepared { index, temporary, folder, prior: prior.facts, kept };
        if let Err(err) = keeping {
            self.give_up(file, &prepared);
            return Err(err);
        }
        Ok(prepared)
    }

    /// Looks whether what is there is what was seen there. `promised` is the size of the content that
    /// takes the place, which allowed to read as much when it was seen.
    fn verify(
        &mut self,
        dir: &Dir,
        name: &str,
        path: &AbsPath,
        seen: &Seen,
        keep: bool,
        promised: Option<u64>,
    ) -> Result<Prior, SystemError> {
        let look = |err| match err {
            Errno::NOENT | Errno::NOTDIR => moved(path, "nothing is there any more"),
            Errno::LOOP | Errno::NXIO | Errno::INVAL => moved(path, "it became something else"),
            err => refused(format!("read {path}"), err, dir, name),
        };
        let without_file = |facts| Prior { facts: Some(facts), file: None, content: None };
        match seen {
            Seen::Nothing => match Facts::at(&dir.fd, name) {
                Ok(_) => Err(moved(path, "something is there now")),
                Err(Errno::NOENT) => Ok(Prior { facts: None, file: None, content: None }),
                Err(err) => Err(look(err)),
            },
            Seen::File { .. } | Seen::AnyFile => {
                let (fd, facts) = dir.open_file(name).map_err(look)?;
                let mut content = None;
                if keep && facts.size() <= KEPT_FILE_MAX {
                    content = walk::bytes(&fd, facts.size(), KEPT_FILE_MAX, &mut self.buffer)
                        .map_err(look)?;
                }
                if let Seen::File { digest } = seen {
                    let now = match &content {
                        Some(content) => Some(walk::digest(content)),
                        None => {
                            let size = facts.size();
                            let wanted = super::Wanted::digest_beside(promised, size);
                            // The position is where an attempt to take the bytes left it.
                            rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0)).map_err(look)?;
                            match walk::content(&fd, size, wanted, dir.open, &mut self.buffer)
                                .map_err(look)?
                            {
                                super::Content::Digest(digest) => Some(digest),
                                super::Content::NotRead
                                | super::Content::Bytes(_)
                                | super::Content::TooLarge => None,
                            }
                        }
                    };
                    if now.as_ref() != Some(digest) {
                        return Err(moved(path, "its content changed"));
                    }
                }
                Ok(Prior { facts: Some(facts), file: Some(fd), content })
            }
            Seen::Directory | Seen::Link { .. } | Seen::Other => {
                let facts = Facts::at(&dir.fd, name).map_err(look)?;
                if !is_shape(&facts, seen) {
                    return Err(moved(path, "it became something else"));
                }
                if let Seen::Link { target } = seen
                    && dir.link_target(name).map_err(look)? != *target
                {
                    return Err(moved(path, "the link points elsewhere now"));
                }
                Ok(without_file(facts))
            }
        }
    }

    /// Looks once more, right before it goes.
    fn verify_still(
        &self,
        dir: &Dir,
        name: &str,
        path: &AbsPath,
        prior: Option<&Facts>,
    ) -> Result<(), SystemError> {
        let Some(prior) = prior else { return Ok(()) };
        let still = match Facts::at(&dir.fd, name) {
            // What happens inside a folder changes it too.
            Ok(now) if prior.is_directory() => now.identity() == prior.identity(),
            Ok(now) => now.is_unchanged(prior),
            Err(_) => false,
        };
        if still { Ok(()) } else { Err(moved(path, "it changed while it was worked on")) }
    }

    /// Lets a validator have its say. `temporary` is the candidate beside its place; without one it
    /// gets a copy in a folder that is root's alone.
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

    fn place(&mut self, file: &NewFile, it: &Prepared) -> Result<Option<Aside>, SystemError> {
        let path = &file.path;
        let (dir, name) = self.folder_of(path)?;
        if dir.facts.identity() != it.folder {
            return Err(moved(path, "its folder is another one now"));
        }
        let Some(temporary) = &it.temporary else {
            self.write_in_place(&dir, name, file, it.prior.as_ref())?;
            return Ok(None);
        };
        let aside = self.put(&dir, temporary, path, &file.replaces, it.prior.as_ref(), false)?;
        Ok(aside.zip(it.prior).map(|(name, was)| Aside {
            index: it.index,
            folder: folder_path(path),
            name,
            was,
        }))
    }

    /// Puts what waits as `temporary` into its place. What is returned made way under that name and is
    /// to be removed.
    fn put(
        &self,
        dir: &Dir,
        temporary: &str,
        path: &AbsPath,
        replaces: &Seen,
        prior: Option<&Facts>,
        is_directory: bool,
    ) -> Result<Option<String>, SystemError> {
        let name = path.file_name();
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
        if !is_directory && *replaces != Seen::Directory {
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
        name: &str,
        file: &NewFile,
        prior: Option<&Facts>,
    ) -> Result<(), SystemError> {
        let path = &file.path;
        let fail = |err| refused(format!("write {path} in place"), err, dir, name);
        self.verify_still(dir, name, path, prior)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&dir.fd, name, flags, rustix::fs::Mode::empty()).map_err(fail)?;
        let facts = Facts::of(&fd).map_err(fail)?;
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

    fn give_up(&mut self, file: &NewFile, it: &Prepared) {
        if let Some(temporary) = &it.temporary
            && let Ok((dir, _)) = self.folder_of(&file.path)
        {
            remove_quietly(&dir, &**temporary);
        }
    }

    fn flush_devices(&self) -> Vec<(u64, Errno)> {
        let flush =
            |(device, fd): (&u64, &OwnedFd)| rustix::fs::syncfs(fd).err().map(|err| (*device, err));
        self.devices.iter().filter_map(flush).collect()
    }

    /// Looks through a folder that is to go: it must have no mount in it. Its files are kept where
    /// `keep` says so.
    fn examine_tree(&mut self, path: &AbsPath, keep: bool) -> Result<(), SystemError> {
        let root = super::host::open_tree(&mut self.walker, path)?;
        let (keeping, buffer) = (&mut self.keeping, &mut self.buffer);
        walk::visit(&root, path.as_str(), &mut |dir, name, below, facts| {
            if facts.is_mounted(dir.facts.device()) {
                return Err(SystemError::new(
                    ErrorKind::Other,
                    format!("something is mounted at {path}/{below}"),
                ));
            }
            if !keep || !facts.is_file() || facts.size() > KEPT_FILE_MAX {
                return Ok(());
            }
            let content = match dir.open_file(name) {
                Ok((fd, facts)) => walk::bytes(&fd, facts.size(), KEPT_FILE_MAX, buffer),
                Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
                Err(err) => Err(err),
            };
            match content.map_err(|err| failed(format!("read {path}/{below}"), err))? {
                Some(content) => keeping.add(&content),
                None => Ok(()),
            }
        })
    }

    fn remove_aside(&mut self, folder: &str, name: &str, was: &Facts) -> Result<(), SystemError> {
        let Some(dir) = self.walker.folder(folder)? else { return Ok(()) };
        let name = c_string(name)?;
        remove_any(dir.fd.as_fd(), &name, folder, was)
            .map_err(|err| err.during(format!("remove what made way in {folder}")))
    }

    fn set_attributes(
        &mut self,
        all: &[(&AbsPath, &Seen, Attributes)],
    ) -> Vec<Result<(), SystemError>> {
        let alone = all.len() <= FLUSHED_ALONE;
        let mut devices = vec![];
        let mut results: Vec<Result<(), SystemError>> = vec![];
        for (path, seen, attributes) in all {
            let result = self.set_attributes_of(path, seen, *attributes, alone);
            devices.push(result.as_ref().ok().copied());
            results.push(result.map(|_| ()));
        }
        if !alone {
            for (device, err) in self.flush_devices() {
                for (index, on) in devices.iter().enumerate() {
                    if *on == Some(device) {
                        results[index] = Err(failed(format!("flush {}", all[index].0), err));
                    }
                }
            }
        }
        results
    }

    /// Sets attributes of one thing; returns the device that it is on.
    fn set_attributes_of(
        &mut self,
        path: &AbsPath,
        seen: &Seen,
        attributes: Attributes,
        flush: bool,
    ) -> Result<u64, SystemError> {
        // The root folder is its own parent.
        let (dir, name) = match walk::split(path.as_str()) {
            Some(_) => self.folder_of(path)?,
            None => match self.walker.folder("/")? {
                Some(root) => (root, "."),
                None => return Err(failed("open the folder /", Errno::NOENT)),
            },
        };
        let fail = |err| refused(format!("set owner or mode of {path}"), err, &dir, name);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&dir.fd, name, flags, rustix::fs::Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Err(moved(path, "nothing is there any more")),
            Err(err) => return Err(fail(err)),
        };
        let facts = Facts::of(&fd).map_err(fail)?;
        if !is_shape(&facts, seen) {
            return Err(moved(path, "it became something else"));
        }
        if let Seen::Link { target } = seen {
            let now = rustix::fs::readlinkat(&fd, c"", Vec::new()).map_err(fail)?;
            if *now.to_string_lossy() != **target {
                return Err(moved(path, "the link points elsewhere now"));
            }
        }
        if dir.open && facts.is_file() && facts.links() > 1 {
            return Err(SystemError::new(
                ErrorKind::Other,
                format!(
                    "{path} has several hard links in a folder that others than root can write: it \
                     may be anybody's file"
                ),
            ));
        }
        let Attributes { uid, gid, mode } = attributes;
        if uid.is_some() || gid.is_some() {
            let (uid, gid) = ids(uid, gid).map_err(fail)?;
            rustix::fs::chownat(&fd, c"", uid, gid, AtFlags::EMPTY_PATH).map_err(fail)?;
        }
        let reached = format!("/proc/self/fd/{}", fd.as_raw_fd());
        // A change of owner takes setuid away, so the mode comes after it.
        if let Some(mode) = mode {
            if facts.is_link() {
                return Err(SystemError::new(
                    ErrorKind::Other,
                    format!("{path} is a symbolic link, which has no mode"),
                ));
            }
            rustix::fs::chmodat(rustix::fs::CWD, &*reached, mode_of(mode), AtFlags::empty())
                .map_err(fail)?;
        }
        if !flush {
            let device = facts.device();
            if let Vacant(unknown) = self.devices.entry(device) {
                let folder = if facts.is_directory() {
                    rustix::fs::open(&*reached, OPEN_FOLDER, rustix::fs::Mode::empty())
                } else {
                    dir.readable()
                };
                unknown.insert(folder.map_err(fail)?);
            }
            return Ok(device);
        }
        let flushed = if facts.is_file() || facts.is_directory() {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            rustix::fs::open(&*reached, flags, rustix::fs::Mode::empty())
                .and_then(rustix::fs::fsync)
        } else {
            Err(Errno::ACCESS)
        };
        match flushed {
            // Not to be opened: then all of its file system.
            Err(Errno::ACCESS) => dir.readable().and_then(rustix::fs::syncfs).map_err(fail)?,
            other => other.map_err(fail)?,
        }
        Ok(facts.device())
    }

    fn make_directory(
        &mut self,
        path: &AbsPath,
        uid: u32,
        gid: u32,
        mode: Mode,
        replaces: &Seen,
    ) -> Result<(), SystemError> {
        if *replaces == Seen::Directory {
            return Err(moved(path, "the directory is there already"));
        }
        let (dir, name) = self.folder_to_write(path)?;
        let prior = self.verify(&dir, name, path, replaces, true, None)?;
        let temporary = self.host.files.temporary_name("");
        let make = |err| refused(format!("make the directory {path}"), err, &dir, name);
        rustix::fs::mkdirat(&dir.fd, &*temporary, rustix::fs::Mode::RWXU).map_err(make)?;
        let made = (|| {
            let fd = rustix::fs::openat(
                &dir.fd,
                &*temporary,
                OPEN_FOLDER | OFlags::NOFOLLOW,
                rustix::fs::Mode::empty(),
            )
            .map_err(make)?;
            let facts = Facts::of(&fd).map_err(make)?;
            let ours = facts.uid() == rustix::process::geteuid().as_raw()
                && facts.mode().0 & 0o777 == 0o700
                && walk::names(&fd).map_err(make)?.is_empty();
            if !ours {
                return Err(moved(path, "somebody put something else in its place"));
            }
            let (uid, gid) = ids(Some(uid), Some(gid)).map_err(make)?;
            rustix::fs::fchown(&fd, uid, gid).map_err(make)?;
            rustix::fs::fchmod(&fd, mode_of(mode)).map_err(make)?;
            rustix::fs::fsync(&fd).map_err(make)?;
            self.keep(&prior)?;
            self.put(&dir, &temporary, path, replaces, prior.facts.as_ref(), true)
        })();
        self.finish(made, &prior, &dir, &temporary, path)
    }

    fn make_link(
        &mut self,
        path: &AbsPath,
        target: &str,
        uid: u32,
        gid: u32,
        replaces: &Seen,
    ) -> Result<(), SystemError> {
        let (dir, name) = self.folder_to_write(path)?;
        let prior = self.verify(&dir, name, path, replaces, true, None)?;
        if *replaces == Seen::Directory {
            self.examine_tree(path, true)?;
        }
        let temporary = self.host.files.temporary_name("");
        let make = |err| refused(format!("make the link {path}"), err, &dir, name);
        rustix::fs::symlinkat(target, &dir.fd, &*temporary).map_err(make)?;
        let made = (|| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&dir.fd, &*temporary, flags, rustix::fs::Mode::empty())
                .map_err(make)?;
            let facts = Facts::of(&fd).map_err(make)?;
            if !facts.is_link() {
                return Err(moved(path, "somebody put something else in its place"));
            }
            if (facts.uid(), facts.gid()) != (uid, gid) {
                let (uid, gid) = ids(Some(uid), Some(gid)).map_err(make)?;
                rustix::fs::chownat(&fd, c"", uid, gid, AtFlags::EMPTY_PATH).map_err(make)?;
            }
            self.keep(&prior)?;
            self.put(&dir, &temporary, path, replaces, prior.facts.as_ref(), false)
        })();
        self.finish(made, &prior, &dir, &temporary, path)
    }

    /// What was added to the vault, and the content of what is replaced, is in it when this returns.
    fn keep(&mut self, prior: &Prior) -> Result<(), SystemError> {
        if let Some(content) = &prior.content {
            self.keeping.add(content)?;
        }
        self.keeping.settle()
    }

    /// Flushes the folder and removes what made way; or removes what could not be put in place.
    fn finish(
        &mut self,
        made: Result<Option<String>, SystemError>,
        prior: &Prior,
        dir: &Dir,
        temporary: &str,
        path: &AbsPath,
    ) -> Result<(), SystemError> {
        match made {
            Ok(aside) => {
                flush_folder(dir, path)?;
                match (aside, &prior.facts) {
                    (Some(aside), Some(was)) => self.remove_aside(&folder_path(path), &aside, was),
                    (Some(_) | None, _) => Ok(()),
                }
            }
            Err(err) => {
                remove_quietly(dir, temporary);
                Err(err)
            }
        }
    }

    fn remove(
        &mut self,
        path: &AbsPath,
        seen: &Seen,
        whole: bool,
        keep: bool,
    ) -> Result<(), SystemError> {
        if *seen == Seen::Nothing {
            let (dir, name) = self.folder_of(path)?;
            return self.verify(&dir, name, path, seen, false, None).map(|_| ());
        }
        let (dir, name) = self.folder_to_write(path)?;
        let prior = self.verify(&dir, name, path, seen, keep, None)?;
        let fail = |err| refused(format!("remove {path}"), err, &dir, name);
        if *seen == Seen::Directory && whole {
            self.examine_tree(path, keep)?;
        }
        self.keep(&prior)?;
        self.verify_still(&dir, name, path, prior.facts.as_ref())?;
        match &prior.facts {
            Some(was) if *seen == Seen::Directory && whole => {
                remove_any(dir.fd.as_fd(), &c_string(name)?, path.as_str(), was)?;
            }
            Some(_) | None => {
                let flags =
                    if *seen == Seen::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                rustix::fs::unlinkat(&dir.fd, name, flags).map_err(fail)?;
            }
        }
        flush_folder(&dir, path)
    }

    fn remove_folder_of(&mut self, path: &AbsPath, uid: u32) -> Result<(), SystemError> {
        let Some((parent, name)) = walk::split(path.as_str()) else {
            return Err(SystemError::new(ErrorKind::Other, "/ is neither replaced nor removed"));
        };
        let Some(dir) = self.walker.folder(parent)? else { return Ok(()) };
        let name = c_string(name)?;
        let found = match dir.to_be_listed(&name) {
            Ok(found) => found.facts,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(moved(path, "it is no directory")),
            Err(err) => return Err(failed(format!("open the folder {path}"), err)),
        };
        if found.uid() != uid {
            return Err(moved(path, &format!("it is no directory of uid {uid}")));
        }
        if found.is_mounted(dir.facts.device()) {
            return Err(failed(format!("remove {path}"), Errno::BUSY));
        }
        self.examine_tree(path, false)?;
        remove_any(dir.fd.as_fd(), &name, path.as_str(), &found)?;
        flush_folder(&dir, path)
    }
}

const OPEN_FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

fn moved(path: &AbsPath, how: &str) -> SystemError {
    SystemError::new(ErrorKind::Moved, how).during(format!("{path} is not as it was seen"))
}

/// An error, with the flag that caused it where that is why even root may not.
fn refused(what: String, err: Errno, dir: &Dir, name: &str) -> SystemError {
    if err == Errno::PERM {
        let flag = |facts: Result<Facts, Errno>| facts.ok().and_then(|it| it.forbidding_flag());
        if let Some(flag) = flag(Facts::at(&dir.fd, name)) {
            return SystemError::new(ErrorKind::PermissionDenied, format!("{name} {flag}"))
                .during(what);
        }
        if let Some(flag) = flag(Facts::of(&dir.fd)) {
            return SystemError::new(ErrorKind::PermissionDenied, format!("its folder {flag}"))
                .during(what);
        }
    }
    if err == Errno::BUSY {
        return SystemError::new(ErrorKind::Other, "something is mounted there").during(what);
    }
    failed(what, err)
}

fn is_shape(facts: &Facts, seen: &Seen) -> bool {
    match seen {
        Seen::Nothing => false,
        Seen::File { .. } | Seen::AnyFile => facts.is_file(),
        Seen::Directory => facts.is_directory(),
        Seen::Link { .. } => facts.is_link(),
        Seen::Other => !facts.is_file() && !facts.is_directory() && !facts.is_link(),
    }
}

fn folder_path(path: &AbsPath) -> String {
    walk::split(path.as_str()).map_or("/", |(folder, _)| folder).to_owned()
}

fn c_string(name: &str) -> Result<CString, SystemError> {
    CString::new(name).map_err(|_| failed(format!("use the name {name}"), Errno::INVAL))
}

fn rename_with(dir: &Dir, from: &str, to: &str, flags: RenameFlags) -> Result<(), Errno> {
    rustix::fs::renameat_with(&dir.fd, from, &dir.fd, to, flags)
}

/// Removes a file, a link or an empty folder of ours. If it stays, the next run takes it away.
fn remove_quietly(dir: &Dir, name: impl rustix::path::Arg + Copy) {
    if rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty()) == Err(Errno::ISDIR) {
        let _ = rustix::fs::unlinkat(&dir.fd, name, AtFlags::REMOVEDIR);
    }
}

fn flush_folder(dir: &Dir, path: &AbsPath) -> Result<(), SystemError> {
    dir.readable()
        .and_then(rustix::fs::fsync)
        .map_err(|err| failed(format!("flush the folder of {path}"), err))
}

/// Writes the new file with all that belongs to it.
fn write_beside(
    dir: &Dir,
    temporary: &str,
    file: &NewFile,
    prior: &Prior,
    flush: bool,
) -> Result<(), SystemError> {
    let what = || format!("write temporary file beside {}", file.path);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let private = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fd = rustix::fs::openat(&dir.fd, temporary, flags, private)
        .map_err(|err| refused(what(), err, dir, file.path.file_name()))?;
    let write = || -> Result<(), Errno> {
        write_at_start(&fd, &file.content)?;
        copy_attributes(dir, file, prior.facts.as_ref(), prior.file.as_ref(), &fd)?;
        set_owner_and_mode(&fd, file)?;
        if flush { rustix::fs::fsync(&fd) } else { Ok(()) }
    };
    write().map_err(|err| failed(what(), err))
}

fn write_at_start(fd: &OwnedFd, content: &[u8]) -> Result<(), Errno> {
    let mut written = 0;
    while written < content.len() {
        match rustix::io::pwrite(fd, &content[written..], written as u64) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// Removes one thing and all below it, by descriptors. What is mounted stops it; so does a folder that
/// is not the one it `was`, because somebody gave its name to another.
fn remove_any(
    folder: BorrowedFd<'_>,
    name: &CStr,
    shown: &str,
    was: &Facts,
) -> Result<(), SystemError> {
    remove_below(folder, name, shown, Some(was), 0)
}

fn remove_below(
    folder: BorrowedFd<'_>,
    name: &CStr,
    shown: &str,
    was: Option<&Facts>,
    depth: usize,
) -> Result<(), SystemError> {
    let fail = |err| {
        let flag = Facts::at(folder, name).ok().and_then(|it| it.forbidding_flag());
        match flag {
            Some(flag) if err == Errno::PERM => {
                SystemError::new(ErrorKind::PermissionDenied, format!("it {flag}"))
                    .during(format!("remove {shown}"))
            }
            Some(_) | None => failed(format!("remove {shown}"), err),
        }
    };
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(err) => return Err(fail(err)),
    }
    if depth > walk::DEPTH_MAX {
        return Err(fail(Errno::NAMETOOLONG));
    }
    let flags = OPEN_FOLDER | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(folder, name, flags, rustix::fs::Mode::empty()).map_err(fail)?;
    let facts = Facts::of(&fd).map_err(fail)?;
    if was.is_some_and(|was| was.identity() != facts.identity()) {
        return Err(SystemError::new(ErrorKind::Moved, "it is another folder now")
            .during(format!("remove {shown}")));
    }
    if facts.is_mounted(Facts::of(folder).map_err(fail)?.device()) {
        return Err(fail(Errno::BUSY));
    }
    for inner in walk::names(&fd).map_err(fail)? {
        let shown = format!("{shown}/{}", inner.to_string_lossy());
        remove_below(fd.as_fd(), &inner, &shown, None, depth + 1)?;
    }
    match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(err) => Err(fail(err)),
    }
}

//! One batch of changes at work: the directories that it walks, the contents that it keeps, the file systems
//! that it has to flush.

use super::descriptors::{c_string, remove_any, remove_quietly};
use crate::files::backups::{Backups, Keeping};
use crate::files::secret::SecretPaths;
use crate::files::visit;
use crate::files::walk::{self, Dir, Facts, Walker, failed};
use crate::{AbsPath, ErrorKind, Host, SystemError};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;
use std::ffi::CString;
use std::sync::{Arc, PoisonError};

/// One batch at work.
pub(super) struct Batch<'h> {
    pub(super) host: &'h Host,
    pub(super) walker: Walker,
    keeping: Keeping<'h>,
    /// What others than root can have filled.
    keeping_of_others: Keeping<'h>,
    pub(super) secrets: Arc<SecretPaths>,
    /// A descriptor on each file system that was written to, to flush it as a whole.
    pub(super) devices: HashMap<u64, OwnedFd>,
    pub(super) buffer: Vec<u8>,
}

impl<'h> Batch<'h> {
    pub(super) fn new(host: &'h Host) -> Batch<'h> {
        Batch {
            host,
            walker: Walker::default(),
            keeping: Backups::new(host).keeping(),
            keeping_of_others: Backups::of_others(host).keeping(),
            secrets: host.secret_paths(),
            devices: HashMap::new(),
            buffer: vec![0; walk::BUFFER],
        }
    }

    /// Keeps a content, in the share of those who can have filled it.
    pub(super) fn keep_content(
        &mut self,
        content: &[u8],
        of_others: bool,
    ) -> Result<(), SystemError> {
        match of_others {
            true => self.keeping_of_others.add(content),
            false => self.keeping.add(content),
        }
    }

    /// What was added to the backups is among them when this returns.
    pub(super) fn settle_kept(&mut self) -> Result<(), SystemError> {
        self.keeping.settle()?;
        self.keeping_of_others.settle()
    }

    /// The directory that a path lies in, which must be there, and its name in it.
    pub(super) fn folder_of(&mut self, path: &AbsPath) -> Result<(Arc<Dir>, CString), SystemError> {
        let Some((parent, name)) = walk::split(path.as_str()) else {
            return Err(SystemError::new(ErrorKind::Other, "/ is neither replaced nor removed"));
        };
        match self.walker.folder(parent)? {
            Some(dir) => Ok((dir, c_string(name)?)),
            None => Err(failed(format!("open the directory {parent}"), Errno::NOENT)),
        }
    }

    /// The same for a directory that is about to be written to.
    pub(super) fn folder_to_write(
        &mut self,
        path: &AbsPath,
    ) -> Result<(Arc<Dir>, CString), SystemError> {
        let (dir, name) = self.folder_of(path)?;
        self.clear_left_overs(&dir);
        self.note_device(&dir, path)?;
        Ok((dir, name))
    }

    /// Keeps a descriptor on the file system of a directory, to flush it as a whole later.
    pub(super) fn note_device(&mut self, dir: &Dir, path: &AbsPath) -> Result<(), SystemError> {
        if let Vacant(unknown) = self.devices.entry(dir.facts.device()) {
            let fd = dir.readable();
            unknown.insert(fd.map_err(|err| failed(format!("open the directory of {path}"), err))?);
        }
        Ok(())
    }

    pub(super) fn flush_devices(&self) -> Vec<(u64, Errno)> {
        let flush =
            |(device, fd): (&u64, &OwnedFd)| rustix::fs::syncfs(fd).err().map(|err| (*device, err));
        self.devices.iter().filter_map(flush).collect()
    }

    /// Takes away what killed runs left in a directory, once a run. In an open directory only what its owner
    /// could take away himself, and no directory with anything in it: he may have given our name to a
    /// directory of root's.
    pub(super) fn clear_left_overs(&self, dir: &Dir) {
        let searched = &self.host.files.searched;
        if !searched.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.facts.identity()) {
            return;
        }
        let Ok(listed) = dir.readable() else { return };
        // What cannot be read or removed now is tried again by the next run.
        let _ = visit::each_name(
            &listed,
            |err| err,
            |name| {
                use std::os::unix::ffi::OsStrExt as _;
                if !self.host.files.is_left_over(std::ffi::OsStr::from_bytes(name.to_bytes())) {
                    return Ok(());
                }
                let Ok(facts) = Facts::at(&dir.fd, name) else { return Ok(()) };
                if !dir.open {
                    drop(remove_any(dir.fd.as_fd(), name, "a left-over", &facts));
                } else if facts.uid() == 0 || facts.uid() == dir.facts.uid() {
                    remove_quietly(dir, name);
                }
                Ok(())
            },
        );
    }
}

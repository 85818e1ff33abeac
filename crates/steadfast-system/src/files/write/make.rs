//! Making directories and links, in the place of what was seen there.

use super::attributes::{clear_lists, ids, mode_of};
use super::batch::Batch;
use super::descriptors::{OPEN_FOLDER, flush_folder, folder_path, remove_quietly};
use super::errors::{moved, refused};
use super::verify::Prior;
use crate::files::visit;
use crate::files::walk::{self, Dir, Facts};
use crate::files::{Expected, Mode};
use crate::{AbsPath, SystemError};
use rustix::fs::{AtFlags, OFlags};

impl Batch<'_> {
    pub(super) fn make_directory(
        &mut self,
        path: &AbsPath,
        uid: u32,
        gid: u32,
        mode: Mode,
        replaces: &Expected,
    ) -> Result<(), SystemError> {
        if *replaces == Expected::Directory {
            return Err(moved(path, "the directory is there already"));
        }
        let (dir, name) = self.folder_to_write(path)?;
        let prior = self.verify(&dir, &name, path, replaces, true, None)?;
        let temporary = self.host.files.temporary_name("");
        let make = |err| refused(format!("make the directory {path}"), err, &dir, &name);
        rustix::fs::mkdirat(&dir.fd, &*temporary, rustix::fs::Mode::RWXU).map_err(make)?;
        let made = (|| {
            let fd = rustix::fs::openat(
                &dir.fd,
                &*temporary,
                OPEN_FOLDER | OFlags::NOFOLLOW,
                rustix::fs::Mode::empty(),
            )
            .map_err(make)?;
            let facts = Facts::about(&fd).map_err(make)?;
            let ours = facts.uid() == rustix::process::geteuid().as_raw()
                && facts.mode().0 & 0o777 == 0o700
                && visit::is_empty(&fd).map_err(make)?;
            if !ours {
                return Err(moved(path, "somebody put something else in its place"));
            }
            if dir.open {
                // It has come from somebody who may not say who uses this directory.
                clear_lists(&fd).map_err(make)?;
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

    pub(super) fn make_link(
        &mut self,
        path: &AbsPath,
        target: &str,
        uid: u32,
        gid: u32,
        replaces: &Expected,
    ) -> Result<(), SystemError> {
        let (dir, name) = self.folder_to_write(path)?;
        let prior = self.verify(&dir, &name, path, replaces, true, None)?;
        if *replaces == Expected::Directory {
            self.examine_tree(path, true)?;
        }
        let temporary = self.host.files.temporary_name("");
        let make = |err| refused(format!("make the link {path}"), err, &dir, &name);
        let target = walk::kernel_name(target).map_err(make)?;
        rustix::fs::symlinkat(&*target, &dir.fd, &*temporary).map_err(make)?;
        let made = (|| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&dir.fd, &*temporary, flags, rustix::fs::Mode::empty())
                .map_err(make)?;
            let facts = Facts::about(&fd).map_err(make)?;
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

    /// Flushes the directory and removes what made way; or removes what could not be put in place.
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
}

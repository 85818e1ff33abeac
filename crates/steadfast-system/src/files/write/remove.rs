//! Removing what was seen, a directory with all below it where that is said.

use super::batch::Batch;
use super::descriptors::{c_string, flush_folder, remove_any};
use super::errors::{moved, refused};
use super::verify::may_be_filled_by_others;
use crate::files::Expected;
use crate::files::KEPT_FILE_MAX;
use crate::files::visit;
use crate::files::walk::{self, Facts, failed};
use crate::text::safe;
use crate::{AbsPath, ErrorKind, SystemError};
use rustix::fd::AsFd as _;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::sync::Arc;

impl Batch<'_> {
    pub(super) fn remove(
        &mut self,
        path: &AbsPath,
        seen: &Expected,
        whole: bool,
        keep: bool,
    ) -> Result<(), SystemError> {
        if *seen == Expected::Nothing {
            let (dir, name) = self.folder_of(path)?;
            return self.verify(&dir, &name, path, seen, false, None).map(|_| ());
        }
        let (dir, name) = self.folder_to_write(path)?;
        let prior = self.verify(&dir, &name, path, seen, keep, None)?;
        let fail = |err| refused(format!("remove {path}"), err, &dir, &name);
        if *seen == Expected::Directory && whole {
            self.examine_tree(path, keep)?;
        }
        self.keep(&prior)?;
        self.verify_still(&dir, &name, path, prior.facts.as_ref())?;
        match &prior.facts {
            Some(was) if *seen == Expected::Directory && whole => {
                remove_any(dir.fd.as_fd(), &name, &path.to_string(), was)?;
            }
            Some(_) | None => {
                let flags = if *seen == Expected::Directory {
                    AtFlags::REMOVEDIR
                } else {
                    AtFlags::empty()
                };
                rustix::fs::unlinkat(&dir.fd, &*name, flags).map_err(fail)?;
            }
        }
        flush_folder(&dir, path)
    }

    pub(super) fn remove_folder_of(&mut self, path: &AbsPath, uid: u32) -> Result<(), SystemError> {
        let Some((parent, name)) = walk::split(path.as_str()) else {
            return Err(SystemError::new(ErrorKind::Other, "/ is neither replaced nor removed"));
        };
        let Some(dir) = self.walker.folder(parent)? else { return Ok(()) };
        let name = c_string(name)?;
        let found = match dir.to_be_listed(&name) {
            Ok(found) => found.facts,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(moved(path, "it is no directory")),
            Err(err) => return Err(failed(format!("open the directory {path}"), err)),
        };
        if found.uid() != uid {
            return Err(moved(path, &format!("it is no directory of uid {uid}")));
        }
        if found.is_mounted(dir.facts.device()) {
            return Err(failed(format!("remove {path}"), Errno::BUSY));
        }
        self.examine_tree(path, false)?;
        remove_any(dir.fd.as_fd(), &name, &path.to_string(), &found)?;
        flush_folder(&dir, path)
    }

    /// Looks through a directory that is to go: it must have no mount in it. Its files are kept where
    /// `keep` says so.
    pub(super) fn examine_tree(&mut self, path: &AbsPath, keep: bool) -> Result<(), SystemError> {
        let root = walk::open_tree(&mut self.walker, path)?;
        let secrets = Arc::clone(&self.secrets);
        visit::visit(&root, &path.to_string(), &mut |dir, name, below, facts| {
            if facts.is_mounted(dir.facts.device()) {
                return Err(SystemError::new(
                    ErrorKind::Other,
                    format!("something is mounted at {path}/{}", safe(below)),
                ));
            }
            let keep = keep && secrets.at(dir, name).may_be_kept();
            if !keep || !facts.is_file() || facts.size() > KEPT_FILE_MAX {
                return Ok(());
            }
            let content = match dir.open_file(name) {
                Ok((fd, facts)) => walk::bytes(&fd, facts.size(), KEPT_FILE_MAX, &mut self.buffer),
                // Or its owner has a lease on it, which keeps nothing here.
                Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::AGAIN) => Ok(None),
                Err(err) => Err(err),
            };
            match content.map_err(|err| failed(format!("read {path}/{}", safe(below)), err))? {
                Some(content) => self.keep_content(&content, may_be_filled_by_others(dir, facts)),
                None => Ok(()),
            }
        })
    }

    pub(super) fn remove_aside(
        &mut self,
        folder: &str,
        name: &str,
        was: &Facts,
    ) -> Result<(), SystemError> {
        let Some(dir) = self.walker.folder(folder)? else { return Ok(()) };
        let name = c_string(name)?;
        let shown = safe(folder);
        remove_any(dir.fd.as_fd(), &name, &shown, was)
            .map_err(|err| err.during(format!("remove what made way in {shown}")))
    }
}

//! Whether what is at a path is still what was seen there.

use super::batch::Batch;
use super::errors::{moved, refused};
use crate::files::KEPT_FILE_MAX;
use crate::files::walk::{self, Dir, Facts};
use crate::files::{Content, Digest, Expected, Wanted};
use crate::{AbsPath, SystemError};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::ffi::CStr;

/// What was found where something is to be put.
pub(super) struct Prior {
    /// None where nothing is there.
    pub(super) facts: Option<Facts>,
    /// A regular file, open.
    pub(super) file: Option<OwnedFd>,
    /// Its content, where that is to be kept and is not too large to be.
    pub(super) content: Option<Vec<u8>>,
    /// Whether others than root can have filled it.
    pub(super) of_others: bool,
}

impl Batch<'_> {
    /// Looks whether what is there is what was seen there. `promised` is the size of the content that
    /// takes the place, which allowed to read as much when it was seen.
    pub(super) fn verify(
        &mut self,
        dir: &Dir,
        name: &CStr,
        path: &AbsPath,
        seen: &Expected,
        keep: bool,
        promised: Option<u64>,
    ) -> Result<Prior, SystemError> {
        match seen {
            Expected::Nothing => match Facts::at(&dir.fd, name) {
                Ok(_) => Err(moved(path, "something is there now")),
                Err(Errno::NOENT) => {
                    Ok(Prior { facts: None, file: None, content: None, of_others: false })
                }
                Err(err) => Err(unseen(path, err, dir, name)),
            },
            Expected::File { digest } => {
                self.verify_file(dir, name, path, Some(digest), keep, promised)
            }
            Expected::AnyFile => self.verify_file(dir, name, path, None, keep, promised),
            Expected::Directory | Expected::Link { .. } | Expected::Other => {
                let look = |err| unseen(path, err, dir, name);
                let facts = Facts::at(&dir.fd, name).map_err(look)?;
                if !is_shape(&facts, seen) {
                    return Err(moved(path, "it became something else"));
                }
                if let Expected::Link { target } = seen
                    && dir.link_target(name).map_err(look)? != *target
                {
                    return Err(moved(path, "the link points elsewhere now"));
                }
                Ok(Prior { facts: Some(facts), file: None, content: None, of_others: false })
            }
        }
    }

    /// A regular file, with this content where one was seen; its content is read where it is to be kept.
    fn verify_file(
        &mut self,
        dir: &Dir,
        name: &CStr,
        path: &AbsPath,
        seen: Option<&Digest>,
        keep: bool,
        promised: Option<u64>,
    ) -> Result<Prior, SystemError> {
        let look = |err| unseen(path, err, dir, name);
        let (fd, facts) = match dir.open_file(name) {
            // Its owner has a lease on it, as was seen: that keeps nobody from putting another in its place.
            Err(Errno::AGAIN) if seen.is_none() => {
                let facts = Facts::at(&dir.fd, name).map_err(look)?;
                if !facts.is_file() {
                    return Err(moved(path, "it became something else"));
                }
                return Ok(Prior {
                    facts: Some(facts),
                    file: None,
                    content: None,
                    of_others: true,
                });
            }
            opened => opened.map_err(look)?,
        };
        let mut content = None;
        let keep = keep && self.secrets.at(dir, name).may_be_kept();
        if keep && facts.size() <= KEPT_FILE_MAX {
            content =
                walk::bytes(&fd, facts.size(), KEPT_FILE_MAX, &mut self.buffer).map_err(look)?;
        }
        if let Some(digest) = seen {
            let now = match &content {
                Some(content) => Some(walk::digest(content)),
                None => self.digest_again(&fd, &facts, dir, promised).map_err(look)?,
            };
            if now.as_ref() != Some(digest) {
                return Err(moved(path, "its content changed"));
            }
        }
        let of_others = may_be_filled_by_others(dir, &facts);
        Ok(Prior { facts: Some(facts), file: Some(fd), content, of_others })
    }

    /// The digest of an open file as a look would give it; none where a look would not read it.
    fn digest_again(
        &mut self,
        fd: &OwnedFd,
        facts: &Facts,
        dir: &Dir,
        promised: Option<u64>,
    ) -> Result<Option<Digest>, Errno> {
        // That there was a digest says that it could be read.
        let wanted = match promised {
            Some(size) if size == facts.size() => Wanted::DigestIfSize(size),
            Some(_) | None => Wanted::DigestOfOurs,
        };
        // The position is where an attempt to take the bytes left it.
        rustix::fs::seek(fd, rustix::fs::SeekFrom::Start(0))?;
        Ok(match walk::content(fd, facts.size(), wanted, dir.open, &mut self.buffer)? {
            Content::Digest(digest) => Some(digest),
            Content::NotRead | Content::Bytes(_) | Content::TooLarge | Content::Leased => None,
        })
    }

    /// Looks once more, right before it goes.
    pub(super) fn verify_still(
        &self,
        dir: &Dir,
        name: &CStr,
        path: &AbsPath,
        prior: Option<&Facts>,
    ) -> Result<(), SystemError> {
        let Some(prior) = prior else { return Ok(()) };
        let still = match Facts::at(&dir.fd, name) {
            // What happens inside a directory changes it too.
            Ok(now) if prior.is_directory() => now.identity() == prior.identity(),
            Ok(now) => now.is_unchanged(prior),
            Err(_) => false,
        };
        if still { Ok(()) } else { Err(moved(path, "it changed while it was worked on")) }
    }

    /// What was added to the backups, and the content of what is replaced, is among them when this
    /// returns.
    pub(super) fn keep(&mut self, prior: &Prior) -> Result<(), SystemError> {
        if let Some(content) = &prior.content {
            self.keep_content(content, prior.of_others)?;
        }
        self.settle_kept()
    }
}

/// Why what was seen is not seen any more.
fn unseen(path: &AbsPath, err: Errno, dir: &Dir, name: &CStr) -> SystemError {
    match err {
        Errno::NOENT | Errno::NOTDIR => moved(path, "nothing is there any more"),
        Errno::LOOP | Errno::NXIO | Errno::INVAL => moved(path, "it became something else"),
        err => refused(format!("read {path}"), err, dir, name),
    }
}

pub(super) fn is_shape(facts: &Facts, seen: &Expected) -> bool {
    match seen {
        Expected::Nothing => false,
        Expected::File { .. } | Expected::AnyFile => facts.is_file(),
        Expected::Directory => facts.is_directory(),
        Expected::Link { .. } => facts.is_link(),
        Expected::Other => !facts.is_file() && !facts.is_directory() && !facts.is_link(),
    }
}

/// Whether others than root decide what is in a file.
pub(super) fn may_be_filled_by_others(dir: &Dir, facts: &Facts) -> bool {
    let by_group = facts.mode().0 & 0o020 != 0 && facts.gid() != 0;
    dir.open || facts.uid() != 0 || facts.mode().0 & 0o002 != 0 || by_group
}

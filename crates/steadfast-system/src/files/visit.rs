//! The names in a directory, and a walk of everything below it, by descriptors.

use super::walk::{DEPTH_MAX, Dir, Facts, failed};
use crate::text::{of_bytes, safe};
use crate::{ErrorKind, SystemError};
use rustix::fd::AsFd;
use rustix::fs::RawDir;
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// How much the kernel tells at a time: some 500 short names. However many a directory has, no more are held.
const PORTION: usize = 16 * 1024;

/// Some of the names in a directory.
#[derive(Debug, Default)]
pub(super) struct Names {
    space: Vec<MaybeUninit<u8>>,
    /// Each ends with its zero byte.
    names: Vec<u8>,
}

impl Names {
    pub(super) fn new() -> Names {
        Names { space: vec![MaybeUninit::uninit(); PORTION], names: vec![] }
    }

    /// Reads those that come next, in no order; false where none are left.
    pub(super) fn read_more(&mut self, fd: impl AsFd) -> Result<bool, Errno> {
        self.names.clear();
        let mut list = RawDir::new(fd, &mut self.space);
        loop {
            match list.next() {
                None => return Ok(false),
                Some(entry) => {
                    let entry = entry?;
                    let name = entry.file_name();
                    if name != c"." && name != c".." {
                        self.names.extend_from_slice(name.to_bytes_with_nul());
                    }
                }
            }
            if list.is_buffer_empty() {
                return Ok(true);
            }
        }
    }

    /// Those that were read last.
    pub(super) fn iter(&self) -> impl Iterator<Item = &CStr> {
        let all = self.names.split_inclusive(|it| *it == 0);
        all.filter_map(|it| CStr::from_bytes_with_nul(it).ok())
    }

    /// How many bytes they have.
    pub(super) fn length(&self) -> usize {
        self.names.len()
    }
}

/// Does something with each name in a directory that was just opened, in no order.
pub(super) fn each_name<E>(
    fd: impl AsFd,
    unreadable: impl Fn(Errno) -> E,
    mut each: impl FnMut(&CStr) -> Result<(), E>,
) -> Result<(), E> {
    let mut names = Names::new();
    while names.read_more(fd.as_fd()).map_err(&unreadable)? {
        names.iter().try_for_each(&mut each)?;
    }
    Ok(())
}

/// Whether nothing is in a directory that was just opened.
pub(super) fn is_empty(fd: impl AsFd) -> Result<bool, Errno> {
    let mut names = Names::new();
    while names.read_more(fd.as_fd())? {
        if names.length() > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a walk of a tree meets: the directory, the name in it, the path below the root, and the facts.
pub(super) type Visitor<'v> = dyn FnMut(&Dir, &CStr, &str, &Facts) -> Result<(), SystemError> + 'v;

/// Visits everything below a directory, which is readable. Links are not followed and mounted file
/// systems not entered. Paths are told as [`of_bytes`] has names. `shown` is the directory's path for errors.
pub(super) fn visit(dir: &Dir, shown: &str, visitor: &mut Visitor<'_>) -> Result<(), SystemError> {
    visit_below(dir, shown, "", 0, visitor)
}

fn visit_below(
    dir: &Dir,
    shown: &str,
    below: &str,
    depth: usize,
    visitor: &mut Visitor<'_>,
) -> Result<(), SystemError> {
    if depth > DEPTH_MAX {
        return Err(too_deep(dir, shown));
    }
    each_name(&dir.fd, unlisted(shown, below), |name| {
        let Some(facts) = looked_at(dir, name, shown, below)? else { return Ok(()) };
        let text = of_bytes(name.to_bytes());
        let path = if below.is_empty() { text.into_owned() } else { format!("{below}/{text}") };
        visitor(dir, name, &path, &facts)?;
        if facts.is_directory()
            && !facts.is_mounted(dir.facts.device())
            && let Some(inner) = entered(dir, name, shown, &path)?
        {
            visit_below(&inner, shown, &path, depth + 1, visitor)?;
        }
        Ok(())
    })
}

/// One descriptor a level is open, and somebody may have made more levels than that.
pub(super) fn too_deep(dir: &Dir, shown: &str) -> SystemError {
    let kind = if dir.open { ErrorKind::Swappable } else { ErrorKind::Other };
    SystemError::new(kind, format!("{shown} is more than {DEPTH_MAX} directories deep"))
}

/// The error of a directory below `shown` that cannot be listed.
pub(super) fn unlisted(shown: &str, below: &str) -> impl Fn(Errno) -> SystemError {
    move |err| {
        let slash = if below.is_empty() { "" } else { "/" };
        failed(format!("list the directory {shown}{slash}{}", safe(below)), err)
    }
}

/// What is at a name; none where it went while we looked.
pub(super) fn looked_at(
    dir: &Dir,
    name: &CStr,
    shown: &str,
    below: &str,
) -> Result<Option<Facts>, SystemError> {
    match Facts::at(&dir.fd, name) {
        Ok(facts) => Ok(Some(facts)),
        Err(Errno::NOENT) => Ok(None),
        Err(err) => {
            let slash = if below.is_empty() { "" } else { "/" };
            let (below, name) = (safe(below), safe(&of_bytes(name.to_bytes())));
            Err(failed(format!("look at {shown}/{below}{slash}{name}"), err))
        }
    }
}

/// A directory in another one; none where something is mounted there, or where it went or became something
/// else while we looked. `path` is its path below `shown`.
pub(super) fn entered(
    dir: &Dir,
    name: &CStr,
    shown: &str,
    path: &str,
) -> Result<Option<Dir>, SystemError> {
    match dir.to_be_listed(name) {
        Ok(inner) => Ok((!inner.facts.is_mounted(dir.facts.device())).then_some(inner)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(err) => Err(failed(format!("open the directory {shown}/{}", safe(path)), err)),
    }
}

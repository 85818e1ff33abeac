//! Walking a tree: everything below a directory, by descriptors.

use super::walk::{DEPTH_MAX, Dir, Facts, failed};
use crate::text::{of_bytes, safe};
use crate::{ErrorKind, SystemError};
use rustix::fd::AsFd;
use rustix::fs::RawDir;
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

/// The names in a directory, in no order.
pub(super) fn names(fd: impl AsFd) -> Result<Vec<CString>, Errno> {
    some_names(fd, usize::MAX)
}

/// So many of the names in a directory, and one more where there are more.
fn some_names(fd: impl AsFd, most: usize) -> Result<Vec<CString>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
    let mut names = vec![];
    let mut list = RawDir::new(fd, &mut buffer);
    while let Some(entry) = list.next() {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
            if names.len() > most {
                break;
            }
        }
    }
    Ok(names)
}

/// What a walk of a tree meets: the directory, the name in it, the path below the root, and the facts.
pub(super) type Visitor<'v> = dyn FnMut(&Dir, &CStr, &str, &Facts) -> Result<(), SystemError> + 'v;

/// Visits everything below a directory, which is readable. Links are not followed and mounted file
/// systems not entered. Paths are told as [`of_bytes`] has names. `shown` is the directory's path for errors.
/// Of one directory no more than `most` names are held, and one more: the visitor sees that it is too much.
pub(super) fn visit(
    dir: &Dir,
    shown: &str,
    most: usize,
    visitor: &mut Visitor<'_>,
) -> Result<(), SystemError> {
    visit_below(dir, Walk { shown, most }, "", 0, visitor)
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    shown: &'a str,
    most: usize,
}

fn visit_below(
    dir: &Dir,
    walk: Walk<'_>,
    below: &str,
    depth: usize,
    visitor: &mut Visitor<'_>,
) -> Result<(), SystemError> {
    let shown = walk.shown;
    let here =
        || if below.is_empty() { shown.to_owned() } else { format!("{shown}/{}", safe(below)) };
    if depth > DEPTH_MAX {
        let kind = if dir.open { ErrorKind::Swappable } else { ErrorKind::Other };
        let words = format!("{shown} is more than {DEPTH_MAX} directories deep");
        return Err(SystemError::new(kind, words));
    }
    let names = some_names(&dir.fd, walk.most)
        .map_err(|err| failed(format!("list the directory {}", here()), err))?;
    for name in names {
        let facts = match Facts::at(&dir.fd, &*name) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => continue,
            Err(err) => {
                let name = safe(&of_bytes(name.to_bytes()));
                return Err(failed(format!("look at {}/{name}", here()), err));
            }
        };
        let text = of_bytes(name.to_bytes());
        let path = if below.is_empty() { text.into_owned() } else { format!("{below}/{text}") };
        visitor(dir, &name, &path, &facts)?;
        if facts.is_directory() && !facts.is_mounted(dir.facts.device()) {
            match dir.to_be_listed(&name) {
                Ok(inner) if inner.facts.is_mounted(dir.facts.device()) => {}
                Ok(inner) => visit_below(&inner, walk, &path, depth + 1, visitor)?,
                // It went, or became something else, while we looked.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(err) => {
                    let path = safe(&path);
                    return Err(failed(format!("open the directory {shown}/{path}"), err));
                }
            }
        }
    }
    Ok(())
}

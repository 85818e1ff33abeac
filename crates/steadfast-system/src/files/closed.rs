//! Directories in which nobody but root can put another in the place of what root does there.

use super::walk::{Walker, failed};
use crate::{ErrorKind, SystemError};
use rustix::fd::OwnedFd;

/// A directory that only root can write, as all above it: what root does there nobody can swap. None where
/// others can write there, or nothing is there.
pub(crate) fn closed_folder(path: &std::path::Path) -> Result<Option<OwnedFd>, SystemError> {
    let Some(path) = path.to_str() else { return Ok(None) };
    match Walker::default().folder(path) {
        Ok(Some(dir)) if !dir.open => {
            dir.readable().map(Some).map_err(|err| failed(format!("open {path}"), err))
        }
        Ok(Some(_) | None) => Ok(None),
        Err(error) if error.kind == ErrorKind::Swappable => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first directory on the way to this one that others than root can write, this one included; none where there is
/// none. What is not there yet nobody can write.
pub(crate) fn who_can_swap(path: &std::path::Path) -> Option<std::path::PathBuf> {
    let mut walker = Walker::default();
    let mut above: Vec<_> = path.ancestors().collect();
    above.reverse();
    for folder in above {
        match walker.folder(folder.to_str()?) {
            Ok(Some(dir)) if dir.open => return Some(std::path::PathBuf::from(&*dir.real)),
            Err(error) if error.kind == ErrorKind::Swappable => return Some(folder.to_owned()),
            Ok(Some(_) | None) | Err(_) => {}
        }
    }
    None
}

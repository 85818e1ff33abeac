//! Reading a file that should be nobody's business but root's.

use super::Mode;
use super::walk::{self, Walker, failed};
use crate::{AbsPath, ErrorKind, SystemError};
use rustix::io::Errno;
use std::path::Path;

/// A file that should be nobody's business but root's.
pub(crate) enum Private {
    File {
        content: Vec<u8>,
        uid: u32,
        mode: Mode,
    },
    /// A link or something else that is no regular file.
    NoFile,
    TooLarge,
}

/// Reads such a file, with what tells whether it is; none where it does not exist.
pub(crate) fn read_private(
    folder: &Path,
    name: &str,
    limit: u64,
) -> Result<Option<Private>, SystemError> {
    let path = folder.join(name);
    let shown = path.display().to_string();
    let what = || format!("read {shown}");
    let path = match path.to_str().map(AbsPath::parse) {
        Some(Ok(path)) => path,
        Some(Err(err)) => return Err(SystemError::new(ErrorKind::Other, err.to_string())),
        None => return Err(failed(what(), Errno::ILSEQ)),
    };
    let Some((parent, name)) = walk::split(path.as_str()) else { return Ok(None) };
    let Some(dir) = Walker::default().folder(parent)? else { return Ok(None) };
    let (fd, facts) = match dir.open_file(name) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO) => return Ok(Some(Private::NoFile)),
        Err(err) => return Err(failed(what(), err)),
    };
    let mut buffer = vec![0; walk::BUFFER];
    let content = walk::bytes(&fd, facts.size(), limit, &mut buffer);
    Ok(Some(match content.map_err(|err| failed(what(), err))? {
        Some(content) => Private::File { content, uid: facts.uid(), mode: facts.mode() },
        None => Private::TooLarge,
    }))
}

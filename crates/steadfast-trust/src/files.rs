//! Small files of this machine: keys, tokens, lists of keys.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// None of them is large.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// A file that could not be read, for those who need a path beside the reason.
#[derive(Debug, thiserror::Error)]
#[error("read {path}")]
pub struct FileError {
    pub path: PathBuf,
    #[source]
    pub err: std::io::Error,
}

/// The content of a small file, with what is beyond a limit cut off.
pub fn read_small(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |err| FileError { path: path.to_owned(), err };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = vec![];
    file.take(MAX_SIZE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

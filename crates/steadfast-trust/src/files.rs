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

/// The content of a small file. Of a larger one nothing: half of a list of keys would be another list.
pub fn read_small(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |err| FileError { path: path.to_owned(), err };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = vec![];
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (size, whole) in [(0, true), (MAX_SIZE, true), (MAX_SIZE + 1, false)] {
            file.as_file().set_len(size).unwrap();
            let read = read_small(file.path());
            assert_eq!(read.as_ref().ok().map(|it| it.len() as u64), whole.then_some(size));
            assert!(read.is_ok() || read.unwrap_err().path == file.path());
        }
    }
}

//! Reading what the machine says in files, with notes about what cannot be read.

use std::io::Read as _;
use std::path::Path;

/// Nothing that is read here is longer.
pub(super) const MOST: u64 = 1024 * 1024;

/// What could not be read, and why.
#[derive(Debug, Default)]
pub(super) struct Notes(pub(super) Vec<String>);

impl Notes {
    /// The text of a file, or a note.
    pub(super) fn read(&mut self, path: &str) -> Option<String> {
        match read_text(Path::new(path)) {
            Ok(text) => Some(text),
            Err(err) => {
                self.0.push(format!("{path} cannot be read: {err}"));
                None
            }
        }
    }
}

/// A regular file's text, up to a limit.
pub(super) fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

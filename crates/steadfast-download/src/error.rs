//! What goes wrong while something is downloaded.

use serde::{Deserialize, Serialize};
use std::fmt;
use steadfast_trust::text::one_line;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DownloadErrorKind {
    Unreachable,
    TimedOut,
    TooLarge,
    /// What came is not what was promised, or nothing that is taken: another try brings the same.
    Refused,
    Broken,
    Settings,
    Local,
    /// A program that is not on this machine.
    NotInstalled,
}

/// An error of the downloading side, in a form that crosses from its process to the one that has
/// privileges. Nothing depends on its words: they come from whom we do not trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadError {
    pub kind: DownloadErrorKind,
    /// One line without control characters.
    pub words: String,
}

impl DownloadError {
    pub fn new(kind: DownloadErrorKind, words: impl AsRef<str>) -> DownloadError {
        DownloadError { kind, words: one_line(words.as_ref()) }
    }

    /// Something on this machine failed.
    pub fn local(what: impl fmt::Display, err: impl Into<std::io::Error>) -> DownloadError {
        let err: std::io::Error = err.into();
        DownloadError::new(DownloadErrorKind::Local, format!("{what}: {err}"))
    }

    /// A program could not be started.
    pub fn not_started(name: &str, err: &std::io::Error) -> DownloadError {
        let kind = match err.kind() == std::io::ErrorKind::NotFound {
            true => DownloadErrorKind::NotInstalled,
            false => DownloadErrorKind::Local,
        };
        DownloadError::new(kind, format!("start {name}: {err}"))
    }
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.words))
    }
}

impl std::error::Error for DownloadError {}

//! What went wrong on the machine: what was tried, and why it failed, as a chain.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// We may not look or act; as root we could.
    PermissionDenied,
    /// Something took longer than it may.
    TimedOut,
    /// Somebody else holds a lock.
    Locked,
    /// The machine moved between the look and the act: the next run looks again.
    Moved,
    /// What others than root can bring about at any moment: a symbolic link on the way that they can swap, so
    /// that it is not followed, or more names than are taken in.
    Swappable,
    /// No space, read-only, an I/O error.
    Storage,
    /// A program ran and said no.
    Command,
    /// A validation said no.
    Invalid,
    /// What lies elsewhere could not be fetched: the way to it is broken.
    Network,
    /// A secret is missing, or is not fit to be used.
    Secret,
    /// Nobody is here who could be asked: this machine has no systemd that runs, no apt, no cron.
    NotHere,
    Other,
}

/// An error with its causes. `Display` says what this layer tried, in lower case, without the cause;
/// [`Error::source`] says why.
#[derive(Clone, Debug)]
pub struct SystemError {
    pub kind: ErrorKind,
    what: Arc<str>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl SystemError {
    pub fn new(kind: ErrorKind, what: impl Into<Arc<str>>) -> SystemError {
        SystemError { kind, what: what.into(), cause: None }
    }

    /// An I/O error and what was tried; its kind follows from the error.
    pub fn io(what: impl Into<Arc<str>>, err: impl Into<std::io::Error>) -> SystemError {
        use std::io::ErrorKind as Io;
        let err: std::io::Error = err.into();
        #[expect(clippy::wildcard_enum_match_arm, reason = "std's list is open")]
        let kind = match err.kind() {
            Io::PermissionDenied => ErrorKind::PermissionDenied,
            Io::TimedOut => ErrorKind::TimedOut,
            Io::StorageFull | Io::ReadOnlyFilesystem | Io::QuotaExceeded => ErrorKind::Storage,
            _ => ErrorKind::Other,
        };
        SystemError { kind, what: what.into(), cause: Some(Arc::new(err)) }
    }

    /// An error of another part, and what was tried.
    pub fn caused(
        kind: ErrorKind,
        what: impl Into<Arc<str>>,
        cause: impl Error + Send + Sync + 'static,
    ) -> SystemError {
        SystemError { kind, what: what.into(), cause: Some(Arc::new(cause)) }
    }

    /// This error as the cause of a larger attempt, with the same kind.
    #[must_use]
    pub fn during(self, what: impl Into<Arc<str>>) -> SystemError {
        SystemError { kind: self.kind, what: what.into(), cause: Some(Arc::new(self)) }
    }

    /// What a unit wrote into its journal, line by line, as the innermost causes.
    #[must_use]
    pub fn with_journal(self, lines: Vec<String>) -> SystemError {
        let Some(said) = lines
            .into_iter()
            .rev()
            .fold(None, |next, line| Some(JournalLine { line, next: next.map(Box::new) }))
        else {
            return self;
        };
        let why: Arc<str> = self.chain().join(": ").into();
        SystemError { kind: self.kind, what: why, cause: Some(Arc::new(said)) }
    }

    /// Every layer's words, outermost first; a line of a journal is marked as such.
    pub fn chain(&self) -> Vec<String> {
        self.layers().map(ToString::to_string).collect()
    }

    /// The words of this program and of those that it asked.
    pub fn reasons(&self) -> Vec<String> {
        self.layers().filter(|it| !it.is::<JournalLine>()).map(ToString::to_string).collect()
    }

    /// What a unit wrote into its journal meanwhile.
    pub fn journal(&self) -> Vec<String> {
        let lines = self.layers().filter_map(|it| it.downcast_ref::<JournalLine>());
        lines.map(|it| it.line.clone()).collect()
    }

    fn layers(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = self;
        std::iter::successors(Some(first), |it: &&(dyn Error + 'static)| (*it).source())
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for SystemError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|it| it as &(dyn Error + 'static))
    }
}

/// A line of a unit's journal, and the next.
#[derive(Debug)]
struct JournalLine {
    line: String,
    next: Option<Box<JournalLine>>,
}

impl fmt::Display for JournalLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal: {}", self.line)
    }
}

impl Error for JournalLine {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.next.as_deref().map(|it| it as &(dyn Error + 'static))
    }
}

impl PartialEq for SystemError {
    fn eq(&self, other: &SystemError) -> bool {
        self.kind == other.kind && self.chain() == other.chain()
    }
}

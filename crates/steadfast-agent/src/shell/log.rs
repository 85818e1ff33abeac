//! What the agent says, a line each on standard error. Where the journal reads it, each line begins with
//! how bad it is, as sd-daemon(3) has it, and what has happened is told to the journal by fields.

use super::journal::{self, Journal, Record};
use std::io::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Notice,
    Info,
}

impl Level {
    /// As syslog(3) counts.
    pub(super) fn priority(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Notice => 5,
            Level::Info => 6,
        }
    }
}

#[derive(Debug)]
pub(super) struct Log {
    journal: bool,
    socket: Option<Journal>,
}

impl Log {
    pub(super) fn new(journal: bool) -> Log {
        let socket = if journal { Journal::new(journal::SOCKET) } else { None };
        Log { journal, socket }
    }

    /// By fields where there is a journal, else in words.
    pub(super) fn tell(&self, record: &Record) {
        if !self.socket.as_ref().is_some_and(|it| it.take(record)) {
            self.say(record.level, &record.words);
        }
    }

    pub(super) fn say(&self, level: Level, words: &str) {
        let mut error = std::io::stderr();
        for line in words.lines().filter(|it| !it.trim().is_empty()) {
            let line = one_line(line);
            // Whoever does not read it does not stop the agent.
            let _unread = match (self.journal, level) {
                (true, level) => writeln!(error, "<{}>{line}", level.priority()),
                (false, Level::Error) => writeln!(error, "error: {line}"),
                (false, Level::Warning) => writeln!(error, "warning: {line}"),
                (false, Level::Notice | Level::Info) => writeln!(error, "{line}"),
            };
        }
    }
}

/// Without what could be taken for another line or do something to a terminal.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(2_000).collect()
}

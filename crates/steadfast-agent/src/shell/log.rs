//! What the agent says, a line each on standard error. Where the journal reads it, each line begins with
//! how bad it is, as sd-daemon(3) has it.

use std::io::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Notice,
    Info,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    journal: bool,
}

impl Log {
    pub(super) fn new(journal: bool) -> Log {
        Log { journal }
    }

    pub(super) fn say(&self, level: Level, words: &str) {
        let mut error = std::io::stderr();
        for line in words.lines().filter(|it| !it.trim().is_empty()) {
            let line = one_line(line);
            // Whoever does not read it does not stop the agent.
            let _unread = match (self.journal, level) {
                (true, Level::Error) => writeln!(error, "<3>{line}"),
                (true, Level::Warning) => writeln!(error, "<4>{line}"),
                (true, Level::Notice) => writeln!(error, "<5>{line}"),
                (true, Level::Info) => writeln!(error, "<6>{line}"),
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

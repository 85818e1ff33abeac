//! The severity of an event, as syslog(3) has it: `tracing` has no level between info and warning.

/// From bad to unimportant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

/// Tells an event at a level that is known only when it is told: for `tracing` that is a constant of the
/// place. In brackets: its target, where it has one.
macro_rules! tell_at {
    ($level:expr, [$($target:tt)*], $($event:tt)*) => {
        match $level {
            Level::Error => tracing::error!($($target)* notice = false, $($event)*),
            Level::Warning => tracing::warn!($($target)* notice = false, $($event)*),
            Level::Notice => tracing::info!($($target)* notice = true, $($event)*),
            Level::Info => tracing::info!($($target)* notice = false, $($event)*),
            Level::Debug => tracing::debug!($($target)* notice = false, $($event)*),
        }
    };
}
pub(crate) use tell_at;

impl Level {
    /// An event of the level INFO is a notice where its field `notice` says so.
    pub(super) fn from_event(level: tracing::Level, notice: bool) -> Level {
        match level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            tracing::Level::INFO if notice => Level::Notice,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
        }
    }

    pub(super) fn priority(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Notice => 5,
            Level::Info => 6,
            Level::Debug => 7,
        }
    }

    /// What a line begins with that people read.
    pub(super) fn label(self) -> &'static str {
        match self {
            Level::Error => "error: ",
            Level::Warning => "warning: ",
            Level::Notice | Level::Info => "",
            Level::Debug => "debug: ",
        }
    }

    /// Of a line that a process of ours wrote with a prefix. Without one it is something unexpected, such
    /// as a panic: a warning.
    pub(crate) fn split_prefix(line: &str) -> (Level, &str) {
        let all = [Level::Error, Level::Warning, Level::Notice, Level::Info, Level::Debug];
        let prefixed = all.into_iter().find_map(|level| {
            line.strip_prefix(&format!("<{}>", level.priority())).map(|rest| (level, rest))
        });
        prefixed.unwrap_or((Level::Warning, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_child_says_how_bad_it_is_and_one_without_a_prefix_is_a_warning() {
        for (line, expected) in [
            ("<7>wrote a file", (Level::Debug, "wrote a file")),
            ("<3>no room", (Level::Error, "no room")),
            ("<5>a notice", (Level::Notice, "a notice")),
            ("thread 'main' panicked", (Level::Warning, "thread 'main' panicked")),
            ("<9>x", (Level::Warning, "<9>x")),
        ] {
            assert_eq!(Level::split_prefix(line), expected);
        }
    }
}

//! A job's file, written so that cron reads what is promised.

use super::desired::FOLDER;
use super::schedule::Schedule;
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_system::{AbsPath, UserName};

/// Cron cuts a longer line of the environment and refuses a longer command.
pub(super) const LONGEST: usize = 998;

/// None where cron would not read a file of this name.
pub(super) fn path_of(name: &str) -> Option<AbsPath> {
    let fits = |it: u8| it.is_ascii_alphanumeric() || it == b'_' || it == b'-';
    if name.is_empty() || !name.bytes().all(fits) {
        return None;
    }
    AbsPath::parse(&format!("{FOLDER}/{name}")).ok()
}

pub(super) fn file_text(
    name: &str,
    environment: &BTreeMap<Arc<str>, String>,
    schedule: &Schedule,
    user: &UserName,
    command: &str,
) -> Arc<str> {
    let mut text = format!(
        "# Kept by steadfast as cron:{name}; what is changed here by hand does not last.\n"
    );
    for (name, value) in environment {
        text += &format!("{name}={value}\n");
    }
    text += &format!("{schedule} {user} {command}\n");
    Arc::from(text)
}

/// `%` ends the command for cron, and `\\` is one `\` to it; any other `\` stays as it is. The text
/// has no `\%`.
pub(super) fn escape(command: &str) -> String {
    let mut escaped = String::with_capacity(command.len());
    let mut rest = command;
    while let Some(at) = rest.find(['%', '\\']) {
        escaped += &rest[..at];
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('%') {
            escaped += "\\%";
            rest = after;
            continue;
        }
        let after = rest.trim_start_matches('\\');
        let run = &rest[..rest.len() - after.len()];
        escaped += run;
        if run.len() > 1 {
            escaped += run;
        }
        rest = after;
    }
    escaped + rest
}

/// The plainest way to write a variable's value so that cron reads it as it is.
pub(super) fn spell(value: &str) -> Option<String> {
    let ways = [
        value.to_owned(),
        format!("\"{value}\""),
        format!("'{value}'"),
        format!("'\"{value}\"'"),
        format!("\"'{value}'\""),
    ];
    ways.into_iter().find(|way| read_variable(way).as_deref() == Some(value))
}

/// What Debian's cron makes of the text after `NAME=`: leading blanks go; quotes around it go, and
/// nothing but blanks may follow them; trailing blanks go, even those that were in the quotes; and then
/// a second pair of quotes goes.
pub(super) fn read_variable(text: &str) -> Option<String> {
    let text = text.trim_start_matches(' ');
    let quote = text.chars().next()?;
    let value = if quote == '"' || quote == '\'' {
        let (inside, after) = text[1..].split_once(quote)?;
        if !after.trim_matches(' ').is_empty() {
            return None;
        }
        inside
    } else {
        text
    };
    let value = value.trim_end_matches(' ');
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|it| it.strip_suffix(quote)) {
            return Some(inner.to_owned());
        }
    }
    Some(value.to_owned())
}

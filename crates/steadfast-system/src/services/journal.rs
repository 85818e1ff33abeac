//! What a unit has said lately, as the cause of an error about it.

use crate::command::Command;
use crate::{SystemError, UnitName};
use std::time::Duration;

/// How much of a unit's journal an error carries.
const LINES: usize = 8;

/// The error with the last lines of the unit's journal as its cause.
pub(super) fn with_journal(error: SystemError, unit: &UnitName, since: i64) -> SystemError {
    // What a process said just before it ended may still be on its way.
    let _as_far_as_it_goes =
        Command::tool("journalctl").arg("--sync").timeout(Duration::from_secs(5)).run();
    error.with_journal(journal(unit, since))
}

/// The last lines that the unit said since then (in seconds since 1970), without control characters.
pub(super) fn journal(unit: &UnitName, since: i64) -> Vec<String> {
    let said = Command::tool("journalctl")
        .args(["--no-pager", "--quiet", "--output=cat", "--lines=20"])
        .arg(format!("--since=@{since}"))
        .arg(format!("--unit={unit}"))
        .timeout(Duration::from_secs(10))
        .succeed();
    let Ok(said) = said else { return vec![] };
    let text = said.stdout_text();
    let mut lines: Vec<String> = crate::text::safe_lines(&text).collect();
    lines.dedup();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

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

/// The last lines that the unit said since then (in seconds since 1970), without control characters: of the
/// last time that it was started, and of attempts before that only where that one has said nothing.
pub(super) fn journal(unit: &UnitName, since: i64) -> Vec<String> {
    let of_last = last_invocation(unit).map_or_else(Vec::new, |id| {
        // Its processes say the one, and systemd about it the other.
        said(
            since,
            &[format!("_SYSTEMD_INVOCATION_ID={id}"), "+".into(), format!("INVOCATION_ID={id}")],
        )
    });
    if of_last.is_empty() { said(since, &[format!("--unit={unit}")]) } else { of_last }
}

/// The number of the unit's last start.
fn last_invocation(unit: &UnitName) -> Option<String> {
    let shown = Command::tool("systemctl")
        .args(["show", "--property=InvocationID", "--value", "--"])
        .arg(unit.as_str())
        .timeout(Duration::from_secs(10))
        .succeed()
        .ok()?;
    let id = shown.stdout_text().trim().to_owned();
    (id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit())).then_some(id)
}

fn said(since: i64, of: &[String]) -> Vec<String> {
    let said = Command::tool("journalctl")
        .args(["--no-pager", "--quiet", "--output=cat", "--lines=20"])
        .arg(format!("--since=@{since}"))
        .args(of)
        .timeout(Duration::from_secs(10))
        .succeed();
    let Ok(said) = said else { return vec![] };
    let text = said.stdout_text();
    let mut lines: Vec<String> = crate::text::safe_lines(&text).collect();
    lines.dedup();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

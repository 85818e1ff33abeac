//! What a unit has said lately, as the cause of an error about it.

use crate::command::Command;
use crate::{SystemError, UnitName};
use std::time::Duration;

/// How much of a unit's journal an error carries.
const LINES: usize = 8;

/// The error with the last lines of the unit's journal as its cause.
pub(super) fn with_journal(error: SystemError, unit: &UnitName, since: i64) -> SystemError {
    error.with_journal(synced(unit, since))
}

/// As [`journal`], with what a process that has just ended said: that may still be on its way.
pub(super) fn synced(unit: &UnitName, since: i64) -> Vec<String> {
    let _as_far_as_it_goes =
        Command::tool("journalctl").arg("--sync").timeout(Duration::from_secs(5)).run();
    journal(unit, since)
}

/// The last lines that the unit said since then (in seconds since 1970), without control characters: of the
/// last time that it was started, and of attempts before that only where that one has said nothing.
pub(super) fn journal(unit: &UnitName, since: i64) -> Vec<String> {
    let said = said(unit, since);
    let of_last = last_invocation(unit).map_or_else(Vec::new, |id| of_invocation(&said, &id));
    let lines: Vec<&Line> = if of_last.is_empty() { said.iter().collect() } else { of_last };
    let text = lines.iter().map(|it| it.message.as_str()).collect::<Vec<&str>>().join("\n");
    let mut lines: Vec<String> = crate::text::safe_lines(&text).collect();
    lines.dedup();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

/// One entry of the journal.
#[derive(Debug)]
struct Line {
    message: String,
    /// To which start of the unit it belongs. Of a process that had ended before the journal looked at it, the
    /// journal knows the unit, and nothing of this.
    invocation: Option<String>,
}

/// From the first entry of a start on, what is not known to belong to another one; and what stands right before
/// it, because two senders reach the journal in either order.
fn of_invocation<'a>(said: &'a [Line], id: &str) -> Vec<&'a Line> {
    let is_its = |it: &&Line| it.invocation.as_deref() == Some(id);
    let Some(first) = said.iter().position(|it| is_its(&it)) else { return vec![] };
    let unknown = said[..first].iter().rev().take_while(|it| it.invocation.is_none()).count();
    said[first - unknown..].iter().filter(|it| it.invocation.is_none() || is_its(it)).collect()
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

/// What the unit said, and what systemd said of it.
fn said(unit: &UnitName, since: i64) -> Vec<Line> {
    let said = Command::tool("journalctl")
        .args(["--no-pager", "--quiet", "--output=json", "--lines=200"])
        .arg("--output-fields=MESSAGE,_SYSTEMD_INVOCATION_ID,INVOCATION_ID")
        .arg(format!("--since=@{since}"))
        .arg(format!("--unit={unit}"))
        .timeout(Duration::from_secs(10))
        .succeed();
    said.map_or_else(|_| vec![], |it| it.stdout_text().lines().filter_map(line).collect())
}

/// A line of journalctl's JSON. What is no text stands there as a list of bytes, and what is too long as null.
fn line(json: &str) -> Option<Line> {
    let entry: serde_json::Value = serde_json::from_str(json).ok()?;
    let message = match entry.get("MESSAGE")? {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(bytes) => {
            let bytes = bytes.iter().filter_map(|it| u8::try_from(it.as_u64()?).ok());
            String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Object(_) => return None,
    };
    let field = |name: &str| entry.get(name)?.as_str().map(str::to_owned);
    // systemd itself has another one than the unit of which it speaks.
    let invocation = field("INVOCATION_ID").or_else(|| field("_SYSTEMD_INVOCATION_ID"));
    Some(Line { message, invocation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_process_that_ended_at_once_belong_to_the_start_before_them() {
        let said: Vec<Line> = [
            r#"{"MESSAGE":"Started x.","INVOCATION_ID":"a"}"#,
            r#"{"MESSAGE":"first","_SYSTEMD_INVOCATION_ID":"a"}"#,
            r#"{"MESSAGE":"Started x.","INVOCATION_ID":"b","_SYSTEMD_INVOCATION_ID":"systemd"}"#,
            r#"{"MESSAGE":[119,104,121,255]}"#,
            r#"{"MESSAGE":null,"_SYSTEMD_INVOCATION_ID":"b"}"#,
            r#"{"MESSAGE":"late","_SYSTEMD_INVOCATION_ID":"a"}"#,
            r#"{"MESSAGE":"Failed.","INVOCATION_ID":"b"}"#,
        ]
        .into_iter()
        .filter_map(line)
        .collect();
        let words = |id: &str| -> Vec<&str> {
            of_invocation(&said, id).iter().map(|it| it.message.as_str()).collect()
        };
        assert_eq!(words("b"), ["Started x.", "why\u{fffd}", "Failed."]);
        assert_eq!(words("c"), [""; 0]);
    }
}

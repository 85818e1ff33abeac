//! What systemd says about units, as far as this program asks, and its form in `systemctl show`, which
//! is asked where there is no bus.

use super::{Active, LastStart, Load};
use std::collections::HashMap;
use std::sync::Arc;

/// The properties that `systemctl show` is asked for.
pub(super) const PROPERTIES: &str = "LoadState,ActiveState,SubState,InvocationID,InactiveExitTimestamp,\
NeedDaemonReload,CanReload,Type,RemainAfterExit,Result,NRestarts,ConditionResult,ConditionTimestamp,ExecMainStartTimestamp";

/// One unit as systemd describes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) load: Load,
    pub(super) active: Active,
    pub(super) sub: Arc<str>,
    pub(super) invocation: Option<Arc<str>>,
    pub(super) since: Option<i64>,
    pub(super) needs_reload: bool,
    pub(super) can_reload: bool,
    pub(super) oneshot: Option<LastStart>,
    pub(super) restarts: u32,
    /// Whether it was not started the last time, because a condition of its unit file did not hold.
    pub(super) skipped: bool,
}

pub(super) fn load(text: &str) -> Load {
    match text {
        "loaded" | "merged" | "stub" => Load::Loaded,
        "not-found" => Load::NotFound,
        "masked" => Load::Masked,
        other => Load::Failed(plain(other)),
    }
}

/// An unknown word is one that a newer systemd has for something that runs.
pub(super) fn active(text: &str) -> Active {
    match text {
        "inactive" => Active::Inactive,
        "failed" => Active::Failed,
        "activating" => Active::Activating,
        "deactivating" => Active::Deactivating,
        "reloading" | "refreshing" => Active::Reloading,
        _ => Active::Active,
    }
}

/// A word of systemd's, without what could harm a terminal.
pub(super) fn plain(text: &str) -> Arc<str> {
    crate::text::safe_start(text, 60).into()
}

/// How the last start of a oneshot ended, from `Result` and from whether it ran at all.
pub(super) fn last_start(active: Active, result: &str, ran: bool) -> LastStart {
    if active == Active::Failed || result != "success" {
        LastStart::Failed
    } else if ran {
        LastStart::Succeeded
    } else {
        LastStart::Never
    }
}

/// The blocks of `systemctl show --timestamp=unix`, one a unit, in the order in which they were asked
/// for; none where it says something else.
pub(super) fn parse(text: &str) -> Option<Vec<Shown>> {
    text.trim_end().split("\n\n").map(block).collect()
}

fn block(text: &str) -> Option<Shown> {
    let fields: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('=')).collect();
    let get = |name: &str| fields.get(name).copied().unwrap_or("");
    let active = active(fields.get("ActiveState")?);
    let moment = |name: &str| -> Option<i64> {
        get(name).strip_prefix('@')?.parse::<i64>().ok()?.checked_mul(1_000_000)
    };
    let oneshot = get("Type") == "oneshot" && get("RemainAfterExit") != "yes";
    Some(Shown {
        load: load(fields.get("LoadState")?),
        active,
        sub: plain(get("SubState")),
        invocation: Some(get("InvocationID")).filter(|it| !it.is_empty()).map(plain),
        since: moment("InactiveExitTimestamp").filter(|_| active.runs()),
        needs_reload: get("NeedDaemonReload") == "yes",
        can_reload: get("CanReload") == "yes",
        oneshot: oneshot
            .then(|| last_start(active, get("Result"), moment("ExecMainStartTimestamp").is_some())),
        restarts: get("NRestarts").parse().unwrap_or(0),
        skipped: get("ConditionResult") == "no" && moment("ConditionTimestamp").is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_shows_is_read() {
        // systemctl show --timestamp=unix --property=… cron.service nothing.service
        let text = "Type=simple\nRemainAfterExit=no\nResult=success\nNRestarts=2\n\
                    ExecMainStartTimestamp=@1732540811\nLoadState=loaded\nActiveState=active\n\
                    SubState=running\nInactiveExitTimestamp=@1732540811\nCanReload=no\n\
                    NeedDaemonReload=yes\nConditionResult=yes\nConditionTimestamp=@1732540811\n\
                    InvocationID=0e1bd7c0a5f84a4b8a4f1f8f9f1a2b3c\n\n\
                    LoadState=not-found\nActiveState=inactive\nSubState=dead\n\
                    InactiveExitTimestamp=\nCanReload=no\nNeedDaemonReload=no\nConditionResult=no\nConditionTimestamp=\n";
        let shown = parse(text).unwrap();
        assert_eq!(
            shown,
            [
                Shown {
                    load: Load::Loaded,
                    active: Active::Active,
                    sub: "running".into(),
                    invocation: Some("0e1bd7c0a5f84a4b8a4f1f8f9f1a2b3c".into()),
                    since: Some(1_732_540_811_000_000),
                    needs_reload: true,
                    can_reload: false,
                    oneshot: None,
                    restarts: 2,
                    skipped: false,
                },
                Shown {
                    load: Load::NotFound,
                    active: Active::Inactive,
                    sub: "dead".into(),
                    invocation: None,
                    since: None,
                    needs_reload: false,
                    can_reload: false,
                    oneshot: None,
                    restarts: 0,
                    skipped: false,
                }
            ]
        );
        assert_eq!(parse("System has not been booted with systemd"), None);
    }

    #[test]
    fn a_oneshot_tells_how_its_last_start_ended() {
        assert_eq!(last_start(Active::Inactive, "success", true), LastStart::Succeeded);
        assert_eq!(last_start(Active::Inactive, "success", false), LastStart::Never);
        assert_eq!(last_start(Active::Failed, "exit-code", true), LastStart::Failed);
        assert_eq!(last_start(Active::Inactive, "exit-code", true), LastStart::Failed);
    }
}

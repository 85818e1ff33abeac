//! Whether a unit that is waited for has settled, from one look at it after another; and what became of a
//! job.

use super::settling::Steady;
use super::show::{self, Shown};
use super::{Active, LastStart};
use crate::{ErrorKind, SystemError, UnitName};
use std::time::{Duration, Instant};

/// How often we look at a unit while we wait for it.
pub(super) const PACE: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Settled,
    Failed(String),
    /// Look again, after this time at the latest.
    Wait(Duration),
}

/// Judges one look at a unit that is waited for.
pub(super) fn judge(
    shown: &Shown,
    steady: &mut Option<Steady>,
    now: Instant,
    settle: Duration,
    unit: &UnitName,
) -> Verdict {
    let before = steady.clone();
    let ended = |how: &str| match &before {
        Some(before) => {
            let after = now.duration_since(before.since).as_secs();
            Verdict::Failed(format!("it was active for {after} s, and {how}"))
        }
        None => Verdict::Failed(how.to_owned()),
    };
    match shown.active {
        Active::Active | Active::Reloading => {
            let has_process = unit.as_str().ends_with(".service") && &*shown.sub != "exited";
            let before = steady.get_or_insert_with(|| Steady {
                since: now,
                invocation: shown.invocation.clone(),
                restarts: shown.restarts,
            });
            if before.invocation != shown.invocation || before.restarts != shown.restarts {
                return Verdict::Failed("it ended and was started again".into());
            }
            let left = settle.saturating_sub(now.duration_since(before.since));
            if !has_process || (left.is_zero() && shown.active == Active::Active) {
                Verdict::Settled
            } else {
                Verdict::Wait(left.max(Duration::from_millis(10)))
            }
        }
        Active::Activating if &*shown.sub == "auto-restart" => {
            ended("it ended, and systemd waits to start it again")
        }
        Active::Activating if steady.is_some() => ended("it was started again"),
        Active::Activating => Verdict::Wait(PACE),
        Active::Inactive if shown.skipped => Verdict::Failed(
            "a condition of its unit file does not hold, so it was not started".into(),
        ),
        Active::Inactive | Active::Deactivating | Active::Failed => match shown.oneshot {
            // One that has ended without a trace was forgotten after it had succeeded.
            Some(LastStart::Succeeded | LastStart::Never) if shown.active == Active::Inactive => {
                Verdict::Settled
            }
            Some(LastStart::Succeeded | LastStart::Never) if shown.active != Active::Failed => {
                Verdict::Wait(PACE)
            }
            Some(_) | None => ended(&format!("it is {} ({})", shown.active, shown.sub)),
        },
    }
}

pub(super) fn job_result(result: &str) -> Result<(), SystemError> {
    let why = match result {
        // Skipped: it did not apply any more; how the unit is now is looked at next.
        "done" | "skipped" => return Ok(()),
        "failed" => "it failed".to_owned(),
        "canceled" => "another job took its place".to_owned(),
        "timeout" => "systemd's time limit for it was exceeded".to_owned(),
        "dependency" => "a unit that it needs failed".to_owned(),
        other => format!("systemd's answer is `{}`", show::plain(other)),
    };
    Err(SystemError::new(ErrorKind::Command, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Load;
    use std::sync::Arc;

    fn shown(active: &str, sub: &str) -> Shown {
        Shown {
            load: Load::Loaded,
            active: show::active(active),
            sub: Arc::from(sub),
            invocation: Some(Arc::from("one")),
            since: Some(1),
            needs_reload: false,
            can_reload: false,
            oneshot: None,
            restarts: 0,
            skipped: false,
        }
    }

    /// What the last of several looks, one second apart, is judged as.
    #[track_caller]
    fn check(looks: &[Shown], expected: &str) {
        let unit = UnitName::parse("app").unwrap();
        let (start, mut steady, mut verdict) = (Instant::now(), None, String::new());
        for (at, look) in looks.iter().enumerate() {
            let now = start + Duration::from_secs(at as u64);
            verdict = match judge(look, &mut steady, now, Duration::from_secs(2), &unit) {
                Verdict::Settled => "settled".into(),
                Verdict::Failed(why) => why,
                Verdict::Wait(_) => "wait".into(),
            };
        }
        assert_eq!(verdict, expected);
    }

    #[test]
    fn a_service_has_settled_when_one_process_was_active_long_enough() {
        let active = || shown("active", "running");
        check(&[active(), active()], "wait");
        check(&[shown("activating", "start"), active(), active(), active()], "settled");
        check(&[shown("activating", "start")], "wait");
        check(&[active(), active(), shown("reloading", "reload")], "wait");
        check(
            &[active(), Shown { invocation: Some(Arc::from("two")), ..active() }],
            "it ended and was started again",
        );
        check(&[active(), Shown { restarts: 1, ..active() }], "it ended and was started again");
        check(
            &[active(), shown("activating", "auto-restart")],
            "it was active for 1 s, and it ended, and systemd waits to start it again",
        );
        check(
            &[active(), shown("failed", "failed")],
            "it was active for 1 s, and it is failed (failed)",
        );
        check(&[shown("inactive", "dead")], "it is inactive (dead)");
        check(
            &[Shown { skipped: true, ..shown("inactive", "dead") }],
            "a condition of its unit file does not hold, so it was not started",
        );
    }

    #[test]
    fn what_has_no_process_settles_at_once() {
        check(&[shown("active", "exited")], "settled");
        let ended = |active, last| Shown { oneshot: Some(last), ..shown(active, "dead") };
        check(&[ended("inactive", LastStart::Succeeded)], "settled");
        check(&[ended("inactive", LastStart::Never)], "settled");
        check(&[ended("deactivating", LastStart::Succeeded)], "wait");
        check(&[ended("failed", LastStart::Failed)], "it is failed (dead)");
    }

    #[test]
    fn a_job_that_was_not_done_says_why() {
        assert_eq!(job_result("done"), Ok(()));
        assert_eq!(
            job_result("dependency").unwrap_err().to_string(),
            "a unit that it needs failed"
        );
        assert_eq!(
            job_result("new\x1bword").unwrap_err().to_string(),
            "systemd's answer is `new\\u{1b}word`"
        );
    }
}

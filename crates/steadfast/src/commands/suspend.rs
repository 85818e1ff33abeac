//! `steadfast suspend` and `steadfast resume`: the agent changes nothing for a while.

use super::adopt::ask;
use crate::exit::{Failure, Outcome};
use crate::ui::Ui;
use clap::Args;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use steadfast_agent::api::v1::Request;
use steadfast_store::Layout;

/// Suspend the agent: it changes nothing until it is resumed
#[derive(Debug, Args)]
pub(crate) struct SuspendArgs {
    /// The reason, which 'steadfast status' shows
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// When it resumes by itself: 2026-07-01T08:00, or a duration such as 2h
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Resume the agent after a suspension
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {}

pub(crate) fn suspend(args: &SuspendArgs, layout: &Layout, ui: &Ui) -> Outcome {
    let until = args.until.as_deref().map(|it| until(it, Timestamp::now(), &TimeZone::system()));
    let until = until.transpose().map_err(|it| {
        Failure::usage(it).help("2026-07-01T08:00, 2026-07-01T08:00:00Z, or a time from now: 2h")
    })?;
    ask(layout, &Request::Suspend { reason: args.reason.clone(), until }, ui)
}

pub(crate) fn resume(_args: &ResumeArgs, layout: &Layout, ui: &Ui) -> Outcome {
    ask(layout, &Request::Resume {}, ui)
}

/// A moment: with an offset, in this machine's time, or from now.
fn until(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let bad = || format!("`{text}` is not a time");
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(at) = text.parse::<civil::DateTime>() {
        return at.to_zoned(zone.clone()).map(|it| it.timestamp()).map_err(|_| bad());
    }
    let wait = steadfast_model::lower::parse_duration(text).map_err(|_| bad())?;
    now.checked_add(wait).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_a_while_from_now() {
        let now: Timestamp = "2026-07-01T06:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let at = |text: &str| until(text, now, &zone).map(|it| it.to_string());
        assert_eq!(at("2026-07-01T08:00Z"), Ok("2026-07-01T08:00:00Z".to_owned()));
        assert_eq!(at("2026-07-01T10:00"), Ok("2026-07-01T08:00:00Z".to_owned()));
        assert_eq!(at("2h"), Ok("2026-07-01T08:00:00Z".to_owned()));
        assert_eq!(at("soon"), Err("`soon` is not a time".to_owned()));
    }
}

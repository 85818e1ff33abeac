//! The properties of units as texts, from the bus or from `systemctl show`, and what they say.

use super::Life;
use crate::services::Active;
use crate::services::show;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use zbus::Variant as Value;

pub(crate) const UNIT: [&str; 9] = [
    "LoadState",
    "ActiveState",
    "SubState",
    "InvocationID",
    "Job",
    "ConditionResult",
    "ConditionTimestampMonotonic",
    "CanReload",
    "Id",
];
pub(crate) const SERVICE: [&str; 11] = [
    "NRestarts",
    "Result",
    "Type",
    "RemainAfterExit",
    "ExecMainStartTimestampMonotonic",
    "TimeoutStartUSec",
    "TimeoutStopUSec",
    "User",
    "ControlGroup",
    "Listen",
    "MainPID",
];
pub(crate) const STOPPED_WITH: [&str; 5] =
    ["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo"];
pub(crate) const TRIGGERED_BY: [&str; 1] = ["TriggeredBy"];
pub(crate) const TRIGGERS: [&str; 1] = ["Triggers"];

/// The properties of one unit, by name.
pub(crate) type Properties = HashMap<String, String>;

/// A value of the bus as `systemctl show` prints it, but for times, which stay numbers. None for what is of no
/// interest.
#[expect(clippy::wildcard_enum_match_arm, reason = "zbus' list is open")]
pub(crate) fn text(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Bool(it) => if *it { "yes" } else { "no" }.to_owned(),
        Value::U32(it) => it.to_string(),
        Value::U64(it) => it.to_string(),
        Value::I32(it) => it.to_string(),
        Value::Str(it) => it.to_string(),
        Value::Structure(it) => match it.fields() {
            // What a socket listens on.
            [Value::Str(kind), Value::Str(place)] => format!("{place} ({kind})\n"),
            // A job is its number and its path.
            [first, ..] => text(first)?,
            [] => return None,
        },
        Value::Array(items) => {
            let bytes: Vec<u8> = items
                .iter()
                .filter_map(|it| if let Value::U8(it) = it { Some(*it) } else { None })
                .collect();
            if bytes.is_empty() {
                items.iter().filter_map(text).collect::<Vec<String>>().join(" ")
            } else {
                crate::text::hex(&bytes)
            }
        }
        _ => return None,
    })
}

/// The blocks of `systemctl show`, one for each unit.
pub(crate) fn blocks(said: &str) -> Vec<Properties> {
    let block = |it: &str| -> Properties {
        let mut all = Properties::default();
        for (name, value) in it.lines().filter_map(|it| it.split_once('=')) {
            let before: &mut String = all.entry(name.to_owned()).or_default();
            if !before.is_empty() {
                before.push('\n');
            }
            before.push_str(value);
        }
        all
    };
    said.trim_end().split("\n\n").map(block).collect()
}

pub(crate) fn life(of: &Properties) -> Life {
    let get = |name: &str| of.get(name).map_or("", String::as_str);
    let some = |name: &str| Some(get(name)).filter(|it| !it.is_empty());
    let active = show::active(get("ActiveState"));
    let is_oneshot = get("Type") == "oneshot" && get("RemainAfterExit") != "yes";
    let has_begun = |name: &str| some(name).is_some_and(|it| it != "0");
    Life {
        load: show::load(get("LoadState")),
        active,
        sub: show::plain(get("SubState")),
        invocation: some("InvocationID").map(show::plain),
        restarts: get("NRestarts").parse().unwrap_or(0),
        has_job: has_begun("Job"),
        has_processes: has_begun("MainPID"),
        is_oneshot: get("Type") == "oneshot",
        result: show::plain(some("Result").unwrap_or("success")),
        skipped: active == Active::Inactive
            && get("ConditionResult") == "no"
            && has_begun("ConditionTimestampMonotonic"),
        oneshot: is_oneshot.then(|| {
            let ran = has_begun("ExecMainStartTimestampMonotonic");
            show::last_start(active, get("Result"), ran)
        }),
        starts_within: some("TimeoutStartUSec").and_then(time),
        stops_within: some("TimeoutStopUSec").and_then(time),
        user: some("User").map(Arc::from),
        group: some("ControlGroup").map(Arc::from),
        listens: get("Listen").lines().filter_map(listens).collect(),
    }
}

/// `127.0.0.1:8081 (Stream)`: the port, and whether it is of UDP. None for sockets of files.
fn listens(text: &str) -> Option<(u16, bool)> {
    let (place, kind) = text.trim().rsplit_once(" (")?;
    let (_, port) = place.rsplit_once(':')?;
    Some((port.parse().ok()?, kind == "Datagram)"))
}

/// Microseconds, or as systemctl prints a time: `1min 30s`. None for no limit.
fn time(text: &str) -> Option<Duration> {
    if text == "infinity" || text == u64::MAX.to_string() {
        return None;
    }
    if let Ok(micros) = text.parse() {
        return Some(Duration::from_micros(micros));
    }
    text.split(' ').map(part).try_fold(Duration::ZERO, |sum, it| Some(sum.saturating_add(it?)))
}

fn part(text: &str) -> Option<Duration> {
    let end = text.find(|it: char| it != '.' && !it.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let seconds = match unit {
        "us" => 0.000_001,
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        "month" => 2_629_800.0,
        "y" => 31_557_600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        for (text, expected) in [
            ("90000000", Some(90_000)),
            ("1min 30s", Some(90_000)),
            ("2h 1min 500ms", Some(7_260_500)),
            ("infinity", None),
            ("18446744073709551615", None),
            ("soon", None),
        ] {
            assert_eq!(time(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn what_systemctl_shows_of_a_life_is_read() {
        let said = "Type=notify\nRemainAfterExit=no\nResult=exit-code\nNRestarts=3\nUser=people\n\
                    TimeoutStopUSec=5s\nTimeoutStartUSec=infinity\nControlGroup=/system.slice/x.service\n\
                    Listen=127.0.0.1:8081 (Stream)\nListen=[::]:53 (Datagram)\nListen=/run/x (Stream)\n\
                    LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nJob=12\n\
                    InvocationID=0e1bd7c0a5f84a4b8a4f1f8f9f1a2b3c\n\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n";
        let all: Vec<Life> = blocks(said).iter().map(life).collect();
        let [one, other] = &all[..] else { panic!("{all:#?}") };
        assert_eq!((one.active, &*one.sub, one.restarts), (Active::Activating, "auto-restart", 3));
        assert_eq!((one.has_job, &*one.result, one.oneshot), (true, "exit-code", None));
        assert_eq!((one.starts_within, one.stops_within), (None, Some(Duration::from_secs(5))));
        assert_eq!((one.user.as_deref(), one.is_there()), (Some("people"), true));
        assert_eq!(one.listens, [(8081, false), (53, true)]);
        assert_eq!((other.is_there(), other.has_job, other.skipped), (false, false, false));
    }
}

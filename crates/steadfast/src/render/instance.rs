//! What is known of a component, and what has happened to it, as the ledger has it.

use super::time::{stamp, utc};
use crate::ui::{Tone, Ui, clean};
use jiff::Timestamp;
use serde_json::{Value, json};
use steadfast_node::deployments::shown::{Former, Shown};
use steadfast_store::happened::Happened;

/// One component, its name first.
pub(crate) fn lines(it: &Shown) -> Vec<(Tone, String)> {
    let mut all = vec![(Tone::Strong, it.component.clone())];
    all.extend(below(it));
    all
}

/// What stands under its name.
pub(crate) fn below(it: &Shown) -> Vec<(Tone, String)> {
    let mut all = vec![(Tone::Plain, runs(it))];
    let outcome = it.outcome.as_deref().unwrap_or("kept");
    let since = it.since.as_deref().map(moment);
    let since = since.map(|it| format!(" since {it}")).unwrap_or_default();
    let to = match &it.to {
        Some(to) => format!("{to} "),
        None => String::new(),
    };
    if let Some(waits_for) = &it.waits_for {
        let (tone, word) = match outcome {
            "not-kept" => (Tone::Bad, "not kept"),
            _ => (Tone::Doubt, "held"),
        };
        all.push((tone, format!("{to}is {word}{since}: {waits_for}")));
    }
    if let Some(Former { release, deployment, .. }) = &it.previous {
        all.push((Tone::Plain, format!("before it: {release} ({})", short(deployment))));
    }
    for Former { release, deployment, reason, at } in it.bad.iter().rev() {
        let at = at.as_deref().map(moment).unwrap_or_default();
        let reason = reason.as_deref().unwrap_or_default();
        let deployment = short(deployment);
        all.push((Tone::Change, format!("bad: {release} ({deployment}), {at}: {reason}")));
    }
    all
}

fn runs(it: &Shown) -> String {
    let (Some(release), Some(deployment)) = (&it.release, &it.deployment) else {
        return "nothing of it runs here yet".to_owned();
    };
    let folder = match &it.folder {
        Some(folder) if !deployment.starts_with(&**folder) => format!(", folder {folder}"),
        Some(_) | None => String::new(),
    };
    format!("runs {release} (deployment {}{folder})", short(deployment))
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn moment(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), utc)
}

/// Seconds since 1970.
fn at(seconds: i64) -> String {
    stamp(seconds.saturating_mul(1_000_000))
}

/// One thing that happened to a component.
pub(crate) fn show(ui: &Ui, component: &str, it: &Happened) {
    let (tone, line, below) = happened(component, it);
    ui.line(&ui.paint(tone, &clean(&line)));
    below.iter().for_each(|it| ui.below(4, Tone::Plain, it));
}

/// A line, and what stands under it.
fn happened(component: &str, it: &Happened) -> (Tone, String, Vec<String>) {
    match it {
        Happened::Step { step, ended, from, to, reason, gap_ms, open_connections, by, .. } => {
            let tone = match &**ended {
                "committed" => Tone::Change,
                _ => Tone::Bad,
            };
            let way = match (from, to) {
                (Some(from), Some(to)) => format!("{from} → {to}: "),
                (None, Some(to)) => format!("first deployment of {to}: "),
                (_, None) => String::new(),
            };
            let line =
                format!("{component} #{step}  {}  {way}{}", at(it.at()), ended.replace('-', " "));
            let mut below: Vec<String> = reason.iter().cloned().collect();
            if let Some(gap) = gap_ms {
                let open = open_connections.filter(|it| *it > 0);
                let open = open.map(|it| format!(", {it} connections were open"));
                below.push(format!("away for {gap} ms{}", open.unwrap_or_default()));
            }
            below.extend(by.iter().map(|it| format!("by hand, by {it}")));
            (tone, line, below)
        }
        Happened::Task { by, command, code, ms, .. } => {
            let line = format!("{component} task  {}  by {by}", at(it.at()));
            let ended = match (code, ms) {
                (Some(code), Some(ms)) => format!("ended with {code} after {ms} ms"),
                (Some(code), None) => format!("ended with {code}"),
                (None, _) => "runs, or was cut off".to_owned(),
            };
            (Tone::Plain, line, vec![command.join(" "), ended])
        }
        Happened::Retry { by, release, .. } => {
            let line = format!("{component} retry  {}  by {by}", at(it.at()));
            (Tone::Plain, line, vec![format!("{release} is tried again")])
        }
    }
}

/// The same as an object, as it was written down, with times as text.
pub(crate) fn happened_json(component: &str, it: &Happened) -> Value {
    // Plain data, whose serialization cannot fail.
    let mut value = serde_json::to_value(it).unwrap_or_default();
    let at = Timestamp::from_second(it.at()).map(|it| it.to_string());
    if let Some(all) = value.as_object_mut() {
        all.insert("component".to_owned(), json!(component));
        all.insert("at".to_owned(), json!(at.ok()));
    }
    value
}

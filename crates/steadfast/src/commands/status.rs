//! `steadfast status`: what the agent keeps, what it waits for, and what is not as promised.

use super::adopt::failure;
use super::{component, state, unknown_component};
use crate::exit::{Exit, Failure, Outcome};
use crate::render::instance;
use crate::render::time::utc;
use crate::ui::{Format, Tone, Ui, clean, wrap};
use clap::Args;
use jiff::{Timestamp, Unit};
use serde_json::json;
use steadfast_agent::api::v1::{self, LastRun, Revision, Status};
use steadfast_agent::client::{self, ClientError};
use steadfast_model::ComponentId;
use steadfast_node::Context;
use steadfast_node::deployments::shown::{self, Shown};
use steadfast_system::command::Command;

/// Show the agent's revision, what it waits for and what is not kept
///
/// And of each component what runs, and what its next step waits for: that is known without an agent, too.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show this component alone, as in people/api
    #[arg(value_name = "COMPONENT", value_parser = component)]
    component: Option<ComponentId>,

    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

impl StatusArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }
}

pub(crate) fn run(args: &StatusArgs, cx: &Context, ui: &Ui) -> Outcome {
    let status = client::status(&cx.layout.socket());
    // Whoever may ask the agent need not be one who may read the state.
    let store = steadfast_node::run::open(cx, true, &mut vec![])?;
    let mut components = shown::all(&store).map_err(state)?;
    if let Some(asked) = &args.component {
        components.retain(|it| it.component == asked.to_string());
        if components.is_empty() {
            return Err(unknown_component(asked, &store));
        }
    }
    let status = match status {
        Err(ClientError::NotThere) if !components.is_empty() => None,
        Err(error) => return Err(failure(error)),
        Ok(status) => Some(status),
    };
    match (args.format, &args.component) {
        (Format::Json, Some(_)) => {
            for it in &components {
                ui.line(&json(it)?.to_string());
            }
        }
        (Format::Json, None) => {
            let mut whole = match &status {
                Some(status) => json(status)?,
                None => json!({ "event": "no-agent", "words": NO_AGENT }),
            };
            if let (Some(all), false) = (whole.as_object_mut(), components.is_empty()) {
                all.insert("components".to_owned(), json(&components)?);
            }
            ui.line(&whole.to_string());
        }
        (Format::Text, asked) => {
            let width = ui.width.min(100);
            let status = status.as_ref().filter(|_| asked.is_none());
            for (tone, line) in lines(status, &components, Timestamp::now(), width) {
                ui.line(&ui.paint(tone, &line));
            }
        }
    }
    if status.is_some() {
        return Ok(Exit::Fine);
    }
    ui.warn(NO_AGENT);
    // Where one is to run, whoever watches this machine has to see that none does.
    let enabled = ["is-enabled", "--quiet", "steadfast.service"];
    let is_to_run = Command::tool("systemctl").args(enabled).run().is_ok_and(|it| it.success());
    Ok(if is_to_run { Exit::Unreachable } else { Exit::Fine })
}

const NO_AGENT: &str = "no agent is running";

fn json(it: &impl serde::Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(it).map_err(|err| Failure::new(Exit::Bug, err))
}

/// So many promises of one verdict are named.
const NAMED: usize = 20;
const LABEL: usize = 12;

struct Page {
    lines: Vec<(Tone, String)>,
    width: usize,
    now: Timestamp,
}

impl Page {
    /// A label and a text, whose lines stay lines and are broken at the width.
    fn put(&mut self, label: &str, tone: Tone, text: &str) {
        let room = self.width.saturating_sub(LABEL + 1);
        let lines = text.lines().flat_map(|it| wrap(&clean(it), room));
        for (at, line) in lines.enumerate() {
            let label = if at == 0 { label } else { "" };
            self.lines.push((tone, format!("{label:<LABEL$} {line}")));
        }
    }

    fn time(&self, at: Timestamp) -> String {
        let wall = utc(at);
        let apart = at.duration_since(self.now);
        let seconds = apart.as_secs().unsigned_abs();
        let span = match seconds {
            0..60 => format!("{seconds} s"),
            60..7_200 => format!("{} min", seconds / 60),
            7_200..172_800 => format!("{} h", seconds / 3_600),
            _ => format!("{} d", seconds / 86_400),
        };
        if seconds == 0 {
            format!("{wall} (now)")
        } else if apart.is_negative() {
            format!("{wall} ({span} ago)")
        } else {
            format!("{wall} (in {span})")
        }
    }
}

fn short(revision: &str) -> String {
    revision.chars().take(12).collect()
}

/// The page, from top to bottom: whose it is, what it keeps, what stands in the way, how it went, what comes.
fn lines(
    status: Option<&Status>,
    components: &[Shown],
    now: Timestamp,
    width: usize,
) -> Vec<(Tone, String)> {
    let now = now.round(Unit::Second).unwrap_or(now);
    let mut page = Page { lines: vec![], width, now };
    if let Some(status) = status {
        of_agent(&mut page, status);
    }
    for it in components {
        let mut label = "component";
        for (tone, line) in instance::lines(it) {
            page.put(label, tone, &line);
            label = "";
        }
    }
    page.lines
}

fn of_agent(page: &mut Page, status: &Status) {
    settings(page, status);
    adopted(page, status);
    obstacles(page, status);
    match &status.last_run {
        Some(run) => last_run(page, run),
        None if status.adopted.is_some() => page.put("last run", Tone::Plain, "none yet"),
        None => {}
    }
    flapping(page, status);
    times(page, status);
}

/// Which node this is, where its model comes from, and what the settings lack.
fn settings(page: &mut Page, status: &Status) {
    page.put("node", Tone::Plain, &status.node);
    match &status.source {
        Some(source) => page.put("source", Tone::Plain, source),
        None => page.put("source", Tone::Doubt, "none"),
    }
    if status.unsigned {
        let words = "UNSIGNED: whoever can write to the source is root here (trust: none)";
        page.put("", Tone::Change, words);
    }
    for missing in &status.missing {
        page.put("missing", Tone::Bad, missing);
    }
    if let Some(why) = &status.wrong_settings {
        let words = "have errors: those from before hold, and nothing new is fetched";
        page.put("settings", Tone::Bad, words);
        page.put("", Tone::Bad, why);
    }
}

/// Why the agent does not do now what it else would, or not with what is newest.
fn obstacles(page: &mut Page, status: &Status) {
    if let Some(suspended) = &status.suspended {
        let until = suspended.until.map(|it| format!(" until {}", page.time(it)));
        let since = page.time(suspended.since);
        let text = format!("{}{}, since {since}", suspended.reason, until.unwrap_or_default());
        page.put("SUSPENDED", Tone::Change, &text);
    }
    if let Some(refusal) = &status.refusal {
        page.put("refused", Tone::Bad, &refusal.because);
    }
    if status.floor_lost {
        let words = "the anti-rollback state is lost: nothing is adopted without \
                     steadfast adopt REVISION";
        page.put("lost", Tone::Bad, words);
    }
    if let Some(stale) = status.stale_since {
        let text = format!(
            "nothing was accepted for longer than the policy allows, since {}",
            page.time(stale)
        );
        page.put("STALE", Tone::Change, &text);
    }
    for bad in &status.bad {
        let promise = bad.promise.as_ref().map(|it| format!("{it}: ")).unwrap_or_default();
        let (revision, at) = (short(&bad.revision), page.time(bad.at));
        let text = format!("{revision}, rolled back at {at} because of {promise}{}", bad.reason);
        page.put("bad", Tone::Change, &text);
    }
    if let Some(trouble) = &status.storage_trouble {
        let text = format!("the agent's state cannot be stored: {trouble}");
        page.put("storage", Tone::Bad, &text);
    }
}

/// What somebody else writes again each time that it was repaired.
fn flapping(page: &mut Page, status: &Status) {
    for it in &status.fights {
        let since = page.time(it.since);
        let (promise, repairs) = (&it.promise, it.repairs);
        let text = format!(
            "{promise}: something else keeps changing it; repaired {repairs} times since {since}"
        );
        page.put("flapping", Tone::Change, &text);
    }
}

/// What is going on, when the source was last heard, and what comes next.
fn times(page: &mut Page, status: &Status) {
    if let Some(running) = &status.running {
        page.put("running", Tone::Plain, &format!("a run is in progress ({running})"));
    }
    if let Some(heard) = status.heard {
        let text = page.time(heard);
        page.put("last fetch", Tone::Plain, &text);
    }
    for (label, at) in [("next fetch", status.next_fetch), ("next run", status.next_keep)] {
        if let Some(at) = at {
            let text = page.time(at.max(page.now));
            page.put(label, Tone::Plain, &text);
        }
    }
}

fn adopted(page: &mut Page, status: &Status) {
    match (&status.adopted, status.adopted_at) {
        (Some(adopted), Some(at)) => {
            let sequence = adopted.sequence.map(|it| format!(" (number {it})"));
            let text = format!(
                "{}{}, since {}",
                short(&adopted.revision),
                sequence.unwrap_or_default(),
                page.time(at)
            );
            page.put("adopted", Tone::Strong, &text);
            made(page, adopted);
        }
        (Some(_) | None, _) => page.put("adopted", Tone::Doubt, "nothing yet"),
    }
    match status.trying.as_deref() {
        Some("going-back") => {
            page.put("", Tone::Change, "it is being rolled back: it failed its trial");
        }
        Some(_) => {
            page.put("", Tone::Plain, "on trial: it is rolled back if it breaks what was kept");
        }
        None => {}
    }
    if let Some(newer) = &status.newer {
        let because = newer.because.as_deref().unwrap_or("is being examined");
        let text = format!("{} {because}", short(&newer.revision.revision));
        page.put("newer", Tone::Plain, &text);
        made(page, &newer.revision);
    }
    waiting(page, &status.waiting);
    if let Some(share) = status.share {
        let text = format!("this node is at {share:.2} % of the waves");
        page.put("wave", Tone::Plain, &text);
    }
}

/// What was accepted before the newest and waits too: the one whose turn comes first, and how many there are.
fn waiting(page: &mut Page, waiting: &[v1::Newer]) {
    let Some(first) = waiting.first() else { return };
    let because = first.because.as_deref().unwrap_or("is being examined");
    page.put("and", Tone::Plain, &format!("{} {because}", short(&first.revision.revision)));
    made(page, &first.revision);
    if waiting.len() > 1 {
        let text = format!("and {} more: steadfast status --format json", waiting.len() - 1);
        page.put("", Tone::Plain, &text);
    }
}

/// Whose a revision is, and what it is about.
fn made(page: &mut Page, revision: &Revision) {
    if let (Some(author), Some(subject)) = (&revision.author, &revision.subject) {
        page.put("", Tone::Plain, &format!("by {author}: {subject}"));
    }
}

fn last_run(page: &mut Page, run: &LastRun) {
    let (not_kept, held) = (run.not_kept.len(), run.held.len());
    let good = not_kept == 0;
    let text = format!(
        "{}: {} kept, {} repaired, {not_kept} not kept, {held} held ({})",
        page.time(run.ended),
        run.kept,
        run.repaired,
        run.why
    );
    page.put("last run", if good { Tone::Good } else { Tone::Bad }, &text);
    unkept(page, "not kept", Tone::Bad, &run.not_kept);
    unkept(page, "held", Tone::Doubt, &run.held);
    for debt in &run.debts {
        page.put("owes", Tone::Change, &format!("restart owed: {debt}"));
    }
}

fn unkept(page: &mut Page, label: &str, tone: Tone, all: &[v1::Failure]) {
    for one in all.iter().take(NAMED) {
        page.put(label, tone, &format!("{}: {}", one.promise, one.because));
        // The unit's own words, as it wrote them.
        one.journal.iter().for_each(|it| page.put("", Tone::Doubt, &format!("journal: {it}")));
    }
    if all.len() > NAMED {
        let text = format!("and {} more: steadfast status --format json", all.len() - NAMED);
        page.put(label, tone, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_node::deployments::shown::Former;

    #[test]
    fn a_status_names_who_made_what_is_kept_and_what_is_newer() {
        let text = include_str!("../../../../tests/formats/agent-status-1-named.json");
        let status: Status = serde_json::from_str(text).unwrap();
        let now = "2026-07-06T12:00:00Z".parse().unwrap();
        let lines = lines(Some(&status), &[], now, 80);
        let lines: Vec<&str> = lines.iter().map(|it| it.1.as_str()).collect();
        assert_eq!(
            lines[2..8],
            [
                "adopted      0123456789ab, since 2026-07-06 07:00:00Z (5 h ago)",
                "             by Anna Peeters <anna@xyz.example>: Greet otherwise",
                "newer        1123456789ab waits for its window, which opens at",
                "             2026-07-06T13:00:00Z",
                "             by Bert Claes <bert@xyz.example>: Let people upload larger photos",
                "wave         this node is at 36.87 % of the waves",
            ]
        );
    }

    #[test]
    fn what_a_unit_has_said_and_what_is_wrong_with_settings_is_shown_in_lines() {
        let text = include_str!("../../../../tests/formats/agent-status-1-named.json");
        let mut status: Status = serde_json::from_str(text).unwrap();
        let now = "2026-07-06T12:00:00Z".parse().unwrap();
        status.wrong_settings = Some("agent.yaml:1:2 is wrong\n  1 | a:\u{7}\n".to_owned());
        let run = status.last_run.as_mut().unwrap();
        run.not_kept = vec![v1::Failure {
            promise: "service:a".to_owned(),
            because: "it is not active".to_owned(),
            journal: vec!["cannot open the file".to_owned(), "giving up".to_owned()],
        }];
        let all: Vec<String> =
            lines(Some(&status), &[], now, 80).into_iter().map(|(_, line)| line).collect();
        let page = all.join("\n");
        for expected in [
            "settings     have errors: those from before hold, and nothing new is fetched\n\
             \u{20}            agent.yaml:1:2 is wrong\n\
             \u{20}              1 | a:\\u{7}",
            "not kept     service:a: it is not active\n\
             \u{20}            journal: cannot open the file\n\
             \u{20}            journal: giving up",
        ] {
            assert!(page.contains(expected), "{page}");
        }
    }

    #[test]
    fn a_component_is_shown_with_what_its_step_waits_for() {
        let former = |release: &str, reason: Option<&str>| Former {
            release: release.to_owned(),
            deployment: "0123456789abcdef".to_owned(),
            reason: reason.map(str::to_owned),
            at: reason.map(|_| "2026-07-06T10:00:00Z".to_owned()),
        };
        let shown = Shown {
            event: "component",
            component: "people/api".to_owned(),
            outcome: Some("held".to_owned()),
            release: Some("1.3".to_owned()),
            deployment: Some("1123456789abcdef".to_owned()),
            folder: Some("1123456789ab".to_owned()),
            from: Some("1.3".to_owned()),
            to: Some("1.4".to_owned()),
            step: Some("held".to_owned()),
            reason: None,
            gap_ms: None,
            open_connections: None,
            previous: Some(former("1.2", None)),
            bad: vec![former("1.5", Some("it answers 500"))],
            waits_for: Some("outside of its window, which opens 2026-07-06 13:00:00Z".to_owned()),
            since: Some("2026-07-06T11:00:00Z".to_owned()),
            position: None,
            steps: 3,
        };
        let new =
            Shown { release: None, waits_for: None, previous: None, bad: vec![], ..shown.clone() };
        let now = "2026-07-06T12:00:00Z".parse().unwrap();
        let all = lines(None, &[shown, new], now, 80);
        let all: Vec<&str> = all.iter().map(|it| it.1.as_str()).collect();
        assert_eq!(
            all,
            [
                "component    people/api",
                "             runs 1.3 (deployment 1123456789ab)",
                "             1.4 is held since 2026-07-06 11:00:00Z: outside of its window,",
                "             which opens 2026-07-06 13:00:00Z",
                "             before it: 1.2 (0123456789ab)",
                "             bad: 1.5 (0123456789ab), 2026-07-06 10:00:00Z: it answers 500",
                "component    people/api",
                "             nothing of it runs here yet",
            ]
        );
    }
}

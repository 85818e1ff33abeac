//! `steadfast history`: the runs that changed something, and one of them in detail.

use super::component;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::json::change;
use crate::render::time::stamp;
use crate::render::{changed, instance};
use crate::ui::{Format, Tone, Ui, clean};
use clap::{Args, Subcommand};
use serde_json::json;
use steadfast_model::ComponentId;
use steadfast_node::adopted::RevisionRecord;
use steadfast_node::origin::{Lines, Revisions, place, short};
use steadfast_store::format::v1::Judged;
use steadfast_store::{Layout, RunLine, RunLock, Store, StoreError};

/// List the runs that changed something, newest first
///
/// Each with its commit, author and subject, where they are known. A run that changed nothing and found
/// nothing new leaves no entry.
///
/// With a component: its steps, which have numbers of their own, and the tasks that were run for it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HistoryArgs {
    #[command(subcommand)]
    show: Option<Show>,

    /// List what happened to this component, as in people/api
    #[arg(value_name = "COMPONENT", value_parser = component)]
    component: Option<ComponentId>,

    /// The number of entries to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Show one run: each change with before and after, and where it was promised
    Show {
        /// The number of the run
        run: i64,

        /// The output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
}

impl HistoryArgs {
    pub(crate) fn is_json(&self) -> bool {
        let format = match self.show {
            Some(Show::Show { run: _, format }) => format,
            None => self.format,
        };
        format == Format::Json
    }
}

pub(crate) fn run(args: &HistoryArgs, layout: &Layout, ui: &Ui) -> Outcome {
    let failed = |error| {
        let unseen = matches!(error, StoreError::Look { .. });
        let failure = Failure::new(Exit::State, error);
        if unseen { failure.help("run it as root") } else { failure }
    };
    let store = Store::open(&layout.database()).map_err(failed)?;
    store.take_warnings().iter().for_each(|it| ui.warn(it));
    if let Some(component) = &args.component {
        return of_component(args, component, &store, ui);
    }
    let revisions = Revisions::read(layout);
    let held = RunLock::held_since(layout);
    match &args.show {
        Some(Show::Show { run, format }) => {
            let Some((line, judged)) = store.run(*run).map_err(failed)? else {
                let failure = Failure::usage(format!("there is no run {run} in the history"));
                return Err(failure.help("to list them: steadfast history"));
            };
            let told = Told::look_up(&line, held, &revisions);
            let mut lines = revisions.lines(&line);
            match format {
                Format::Text => show(ui, &told, &judged, &mut lines),
                Format::Json => {
                    ui.line(&run_json(&told).to_string());
                    for one in &judged {
                        ui.line(&judged_json(one, &lines).to_string());
                    }
                }
            }
        }
        None => {
            let runs = store.runs(args.limit).map_err(failed)?;
            if runs.is_empty() {
                let words = "no run has changed anything here yet";
                match args.format {
                    Format::Text => ui.line(words),
                    Format::Json => {
                        ui.line(&json!({ "event": "no-runs", "words": words }).to_string());
                    }
                }
            }
            for line in &runs {
                let told = Told::look_up(line, held, &revisions);
                match args.format {
                    Format::Text => listed(ui, &told),
                    Format::Json => ui.line(&run_json(&told).to_string()),
                }
            }
        }
    }
    store.take_warnings().iter().for_each(|it| ui.warn(it));
    Ok(Exit::Fine)
}

/// What happened to a component.
fn of_component(args: &HistoryArgs, component: &ComponentId, store: &Store, ui: &Ui) -> Outcome {
    let id = component.to_string();
    let known = store.instance(&id).map_err(super::state)?;
    let all = store.happened(&id, args.limit).map_err(super::state)?;
    if known.is_none() && all.is_empty() {
        return Err(super::unknown_component(component, store));
    }
    if all.is_empty() {
        let words = format!("nothing has happened to {id} yet");
        match args.format {
            Format::Text => ui.line(&words),
            Format::Json => {
                let event = json!({ "event": "nothing-happened", "component": id, "words": words });
                ui.line(&event.to_string());
            }
        }
    }
    for it in &all {
        match args.format {
            Format::Json => ui.line(&instance::happened_json(&id, it).to_string()),
            Format::Text => instance::show(ui, &id, it),
        }
    }
    store.take_warnings().iter().for_each(|it| ui.warn(it));
    Ok(Exit::Fine)
}

/// How far the lines below a heading are indented.
const INDENT: usize = 10;

/// A run of the history, with what is known of it elsewhere.
#[derive(Clone, Copy, Debug)]
struct Told<'a> {
    line: &'a RunLine,
    /// Whoever holds the lock has not ended it yet.
    under_way: bool,
    /// It kept adopted by the agent, and not a directory that somebody named.
    accepted: bool,
    /// What is known of its revision.
    record: Option<&'a RevisionRecord>,
}

impl<'a> Told<'a> {
    /// `held`: since when somebody holds the lock of this machine.
    fn look_up(line: &'a RunLine, held: Option<i64>, revisions: &'a Revisions<'_>) -> Told<'a> {
        let under_way = line.finished.is_none() && held.is_some_and(|it| it <= line.started);
        let accepted = revisions.content(line).is_some();
        Told { line, under_way, accepted, record: revisions.revision(line).map(|it| &it.1) }
    }
}

fn counts(told: &Told<'_>) -> String {
    match told.line.counts {
        None if told.under_way => "in progress".to_owned(),
        None => "interrupted".to_owned(),
        Some([kept, repaired, not_kept, held]) => {
            let mut parts = vec![];
            for (count, word) in
                [(repaired, "repaired"), (not_kept, "not kept"), (held, "held"), (kept, "kept")]
            {
                if count > 0 {
                    parts.push(format!("{count} {word}"));
                }
            }
            parts.join(", ")
        }
    }
}

fn listed(ui: &Ui, told: &Told<'_>) {
    let number = format!("{:>5}", told.line.id);
    let number = ui.paint(Tone::Strong, &number);
    ui.line(&format!("{number}  {}  {}", stamp(told.line.started), counts(told)));
    if let Some(revision) = told.record.and_then(revision) {
        ui.below(7, Tone::Quiet, &revision);
    }
}

/// `0123456789ab by Anna Peeters <anna@xyz.example>: Greet otherwise`
fn revision(record: &RevisionRecord) -> Option<String> {
    let RevisionRecord { commit, author, subject, .. } = record;
    let (author, subject) = (author.as_ref()?, subject.as_ref()?);
    Some(format!("{} by {author}: {subject}", short(commit.as_ref()?)))
}

fn show(ui: &Ui, told: &Told<'_>, judged: &[Judged], lines: &mut Lines) {
    let line = told.line;
    ui.line(&ui.paint(Tone::Strong, &format!("run {}: {}", line.id, counts(told))));
    let end = match line.finished {
        Some(finished) => stamp(finished),
        None if told.under_way => "not yet: it is in progress".to_owned(),
        None => "never: it was interrupted".to_owned(),
    };
    // The name of the directory says nothing that does not stand behind it.
    let model = if told.accepted { "adopted by the agent" } else { &line.model };
    let mut head = vec![
        ("node", format!("{} in {}", line.node, line.environment)),
        ("model", format!("{model} ({})", line.revision)),
    ];
    head.extend(told.record.and_then(revision).map(|it| ("commit", it)));
    head.extend([("began", stamp(line.started)), ("ended", end)]);
    for (label, text) in head {
        ui.hanging(&format!("{label:<INDENT$}"), Tone::Plain, &text);
    }
    for one in judged {
        ui.line("");
        show_judged(ui, one, lines);
    }
}

/// One promise of a run: what became of it, where it is promised and who wrote that, who had changed it,
/// why, and what was done.
fn show_judged(ui: &Ui, one: &Judged, lines: &mut Lines) {
    let tone = match one.outcome.as_str() {
        "repaired" | "undone" => Tone::Change,
        "not-kept" => Tone::Bad,
        "held" | "begun" | "left" => Tone::Doubt,
        _ => Tone::Good,
    };
    let word = one.outcome.replace('-', " ");
    let gap = " ".repeat(INDENT.saturating_sub(word.len()));
    ui.line(&format!("{}{gap}{}", ui.paint(tone, &word), clean(&one.promise)));
    let below = |text: &str| ui.below(INDENT, Tone::Plain, text);
    if !one.origin.is_empty() {
        below(&format!("promised at {}", one.origin));
        if let Some((file, line)) = place(&one.origin)
            && let Some(who) = lines.told(file, line)
        {
            ui.below(INDENT + 2, Tone::Plain, &who);
        }
    }
    for line in changed::by(one) {
        below(&line);
    }
    for reason in one.reasons() {
        below(&format!("because: {reason}"));
    }
    for note in &one.notes {
        below(&format!("note: {note}"));
    }
    for change in &one.changes {
        below(&change.line);
        if let Some(detail) = &change.detail {
            ui.diff(INDENT, detail);
        }
    }
}

fn run_json(told: &Told<'_>) -> serde_json::Value {
    let RunLine { id, started, finished, node, environment, model, revision, counts, commit: _ } =
        told.line;
    let record = told.record;
    json!({
        "event": "run",
        "run": id,
        "started": stamp(*started),
        "finished": finished.map(stamp),
        "under_way": told.under_way,
        "node": node,
        "environment": environment,
        "model": model,
        "revision": revision,
        "commit": record.and_then(|it| it.commit.as_ref()),
        "author": record.and_then(|it| it.author.as_ref()),
        "subject": record.and_then(|it| it.subject.as_ref()),
        "kept": counts.map(|it| it[0]),
        "repaired": counts.map(|it| it[1]),
        "not_kept": counts.map(|it| it[2]),
        "held": counts.map(|it| it[3]),
    })
}

fn judged_json(judged: &Judged, lines: &Lines) -> serde_json::Value {
    let Judged { promise, outcome, changes, notes, origin, .. } = judged;
    let changes: Vec<serde_json::Value> = changes.iter().map(change).collect();
    json!({
        "event": "judged",
        "promise": promise,
        "outcome": outcome,
        "changes": changes,
        "because": judged.reasons(),
        "notes": notes,
        "origin": origin,
        "changed_by": changed::json(judged),
        "written": place(origin).map(|(file, line)| lines.json(file, line)),
    })
}

//! `steadfast history`: what runs did.

use crate::args::Format;
use crate::commands::run::tell_of;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::json::change;
use crate::render::time::stamp;
use crate::ui::{Tone, Ui, clean};
use clap::{Args, Subcommand};
use serde_json::json;
use steadfast_store::format::v1::Judged;
use steadfast_store::{Layout, RunLine, Store, StoreError};

/// Show what runs changed on this machine, newest first
///
/// A run that changed nothing and had nothing new to say leaves no entry.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(subcommand)]
    show: Option<Show>,

    /// How many runs to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Show one run: each change, before and after, and where it was promised
    Show {
        /// Its number
        run: i64,

        /// How to print
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
}

pub(crate) fn run(args: &HistoryArgs, layout: &Layout, ui: &Ui) -> Outcome {
    let failed = |error| {
        let unseen = matches!(error, StoreError::Look { .. });
        let failure = Failure::new(Exit::State, error);
        if unseen { failure.help("run it as root") } else { failure }
    };
    let store = Store::open(&layout.database()).map_err(failed)?;
    tell_of(&store, ui);
    match &args.show {
        Some(Show::Show { run, format }) => {
            let Some((line, judged)) = store.run(*run).map_err(failed)? else {
                let failure = Failure::usage(format!("there is no run {run} in the history"));
                return Err(failure.help("steadfast history lists them"));
            };
            match format {
                Format::Text => show(ui, &line, &judged),
                Format::Json => {
                    ui.line(&run_json(&line).to_string());
                    for one in &judged {
                        ui.line(&judged_json(one).to_string());
                    }
                }
            }
        }
        None => {
            let runs = store.runs(args.limit).map_err(failed)?;
            if runs.is_empty() && args.format == Format::Text {
                ui.line("no run has changed anything here yet");
            }
            for line in &runs {
                match args.format {
                    Format::Text => ui.line(&listed(ui, line)),
                    Format::Json => ui.line(&run_json(line).to_string()),
                }
            }
        }
    }
    tell_of(&store, ui);
    Ok(Exit::Fine)
}

/// How far the lines below a heading are indented.
const INDENT: usize = 10;

fn counts(line: &RunLine) -> String {
    match line.counts {
        None => "cut short".to_owned(),
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

fn listed(ui: &Ui, line: &RunLine) -> String {
    let number = format!("{:>5}", line.id);
    format!("{}  {}  {}", ui.paint(Tone::Strong, &number), stamp(line.started), counts(line))
}

fn show(ui: &Ui, line: &RunLine, judged: &[Judged]) {
    ui.line(&ui.paint(Tone::Strong, &format!("run {}: {}", line.id, counts(line))));
    let end = line.finished.map_or("never: it was cut short".to_owned(), stamp);
    for (label, text) in [
        ("node", format!("{} in {}", line.node, line.environment)),
        ("model", format!("{} ({})", line.model, line.revision)),
        ("began", stamp(line.started)),
        ("ended", end),
    ] {
        ui.hanging(&format!("{label:<INDENT$}"), Tone::Plain, &text);
    }
    for one in judged {
        ui.line("");
        let tone = match one.outcome.as_str() {
            "repaired" => Tone::Change,
            "not-kept" => Tone::Bad,
            "held" | "begun" => Tone::Doubt,
            _ => Tone::Good,
        };
        let word = one.outcome.replace('-', " ");
        let gap = " ".repeat(INDENT.saturating_sub(word.len()));
        ui.line(&format!("{}{gap}{}", ui.paint(tone, &word), clean(&one.promise)));
        let below = |text: &str| ui.below(INDENT, Tone::Plain, text);
        if !one.origin.is_empty() {
            below(&format!("promised at {}", one.origin));
        }
        for reason in &one.because {
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
}

fn run_json(line: &RunLine) -> serde_json::Value {
    let RunLine { id, started, finished, node, environment, model, revision, counts } = line;
    json!({
        "event": "run",
        "run": id,
        "started": stamp(*started),
        "finished": finished.map(stamp),
        "node": node,
        "environment": environment,
        "model": model,
        "revision": revision,
        "kept": counts.map(|it| it[0]),
        "repaired": counts.map(|it| it[1]),
        "not_kept": counts.map(|it| it[2]),
        "held": counts.map(|it| it[3]),
    })
}

pub(crate) fn judged_json(judged: &Judged) -> serde_json::Value {
    let Judged { promise, outcome, changes, because, notes, origin } = judged;
    let changes: Vec<serde_json::Value> =
        changes.iter().map(|it| change(&it.line, it.detail.clone())).collect();
    json!({
        "event": "judged",
        "promise": promise,
        "outcome": outcome,
        "changes": changes,
        "because": because,
        "notes": notes,
        "origin": origin,
    })
}

//! How a run or a dry run ends, in words.

use super::args::RunArgs;
use crate::exit::Exit;
use crate::render::json;
use crate::render::{Forecasts, Pending};
use crate::ui::{Format, Tone, Ui};
use steadfast_engine::Summary;
use steadfast_node::counted;

pub(super) fn nothing_promised(args: &RunArgs, ui: &Ui, node: &str) {
    let words = format!("nothing is promised: no environment of the model names {node}");
    match args.format {
        Format::Text => ui.line(&words),
        Format::Json => {
            json::nothing_promised(ui, node, &words);
            if args.dry_run {
                json::forecasts(ui, &Forecasts::default(), Exit::Fine);
            } else {
                json::summary(ui, &Summary::default(), &Summary::default(), Exit::Fine);
            }
        }
    }
}

/// The end of a dry run.
pub(super) fn forecast(args: &RunArgs, ui: &Ui, all: Forecasts) -> Exit {
    let Forecasts { promises, implied, certain, expected, unknown, untold } = all;
    let exit = if promises.not_kept + implied.not_kept > 0 {
        Exit::NotKept
    } else if args.exit_code
        && promises.pending + promises.held + implied.pending + implied.held > 0
    {
        Exit::Pending
    } else {
        Exit::Fine
    };
    match args.format {
        Format::Json => json::forecasts(ui, &all, exit),
        Format::Text => {
            let words = |it: Pending| {
                [(it.pending, "to repair"), (it.not_kept, "that cannot be kept"), (it.held, "held")]
            };
            let words = [words(promises), words(implied)];
            apart(ui, &words);
            let said = counts(promises.kept, &words[0], &words[1]);
            ui.below(0, Tone::Strong, &format!("Forecast: {said}."));
            let lines = certain + expected + unknown;
            let mut said = String::new();
            if lines > 0 {
                let changes = counted(lines, "change");
                said = format!(
                    "{changes}: {certain} certain, {expected} expected, {unknown} unknown. "
                );
            }
            if untold > 0 {
                let promises = counted(untold, "promise");
                said += &format!("What would be done about {promises} is not known yet. ");
            }
            if !said.is_empty() {
                said += "Nothing was changed.";
                ui.below(0, Tone::Plain, &said);
            }
        }
    }
    exit
}

/// An empty line where blocks stand above the totals.
fn apart(ui: &Ui, counts: &[[(usize, &str); 3]; 2]) {
    if counts.iter().flatten().any(|(count, _)| *count > 0) {
        ui.line("");
    }
}

/// `7 kept, 48 repaired, and 1 unpromised unit repaired`. What nobody promised and is kept is not even shown.
fn counts(kept: usize, promises: &[(usize, &str)], implied: &[(usize, &str)]) -> String {
    let mut parts = vec![format!("{kept} kept")];
    let some = |it: &&(usize, &str)| it.0 > 0;
    parts.extend(promises.iter().filter(some).map(|(count, word)| format!("{count} {word}")));
    let more = implied.iter().filter(some);
    parts.extend(
        more.map(|(count, word)| format!("and {} {word}", counted(*count, "unpromised unit"))),
    );
    parts.join(", ")
}

/// The end of a run.
pub(super) fn totals(ui: &Ui, summary: &Summary, implied: &Summary, run: Option<i64>) {
    let words =
        |it: &Summary| [(it.repaired, "repaired"), (it.not_kept, "not kept"), (it.held, "held")];
    let words = [words(summary), words(implied)];
    apart(ui, &words);
    let said = counts(summary.kept, &words[0], &words[1]);
    ui.below(0, Tone::Strong, &format!("{said}."));
    let fared: Vec<String> = [(summary.certain, "certain"), (summary.expected, "expected")]
        .iter()
        .filter(|((said, _), _)| *said > 0)
        .map(|((said, came), word)| {
            format!("{came} of {} came true", counted(*said, &format!("{word} change")))
        })
        .collect();
    if !fared.is_empty() {
        ui.below(0, Tone::Plain, &format!("Of the forecast, {}.", fared.join(", ")));
    }
    if let Some(run) = run {
        ui.line(&format!("To see what was done: steadfast history show {run}"));
    }
}

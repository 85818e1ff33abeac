//! One event a line, ending with a summary. The names are stable.

use crate::exit::{Exit, Failure};
use crate::render::{Forecasts, Foreseen, foreseen};
use crate::ui::Ui;
use serde_json::Value;
use serde_json::json;
use steadfast_engine::{Event, Outcome, Promised, Reporter, Summary};
use steadfast_model::{SourceSet, render};
use steadfast_resources::Change;
use steadfast_store::format::v1;

#[derive(Debug)]
pub(crate) struct JsonLines<'a> {
    pub ui: &'a Ui,
    pub sources: &'a SourceSet,
    pub dry_run: bool,
}

impl JsonLines<'_> {
    fn judged(&self, promise: &Promised, outcome: &Outcome, changes: &[Change], notes: &[String]) {
        let event = json!({
            "event": "judged",
            "promise": promise.id.to_string(),
            "outcome": outcome.word().replace(' ', "-"),
            "changes": all(changes),
            "because": outcome.because(),
            "notes": notes,
            "origin": origin(promise, self.sources),
        });
        self.ui.line(&event.to_string());
    }
}

/// One change, of this run or of one in the history. Of what earlier versions have done there are no facts.
pub(crate) fn change(change: &v1::Change) -> Value {
    let v1::Change { line, detail, facts } = change;
    json!({ "change": line, "diff": detail, "facts": facts })
}

/// Changes of this run.
pub(crate) fn all(changes: &[Change]) -> Value {
    changes.iter().map(|it| change(&it.into())).collect()
}

/// `servers/web.yaml:14`.
pub(crate) fn origin(promise: &Promised, sources: &SourceSet) -> String {
    promise.origins.first().map(|it| sources.place(it.span).to_string()).unwrap_or_default()
}

impl Reporter for JsonLines<'_> {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { promises, plan } => {
                if !self.dry_run {
                    return;
                }
                for (promise, entry, foreseen) in foreseen(promises, plan) {
                    let (forecast, changes) = match foreseen {
                        Foreseen::Verdict(outcome) => {
                            self.judged(promise, &outcome, &[], &entry.notes);
                            continue;
                        }
                        Foreseen::Steps(forecast, changes) => (forecast, changes),
                    };
                    let line = |change: Option<v1::Change>| {
                        let event = json!({
                            "event": "forecast",
                            "promise": promise.id.to_string(),
                            "certainty": forecast.word(),
                            "change": change.as_ref().map(|it| &it.line),
                            "diff": change.as_ref().and_then(|it| it.detail.as_ref()),
                            "facts": change.as_ref().map_or(&[][..], |it| &it.facts),
                            "because": forecast.because(),
                            "notes": entry.notes,
                            "origin": origin(promise, self.sources),
                        });
                        self.ui.line(&event.to_string());
                    };
                    if changes.is_empty() {
                        line(None);
                    }
                    changes.into_iter().for_each(|it| line(Some(it.into())));
                }
            }
            Event::Working { .. }
            | Event::Undoing { .. }
            | Event::Step { .. }
            | Event::Finished { .. } => {}
            Event::Undone { promise, changes, left } => {
                let event = json!({
                    "event": "undone",
                    "promise": promise.to_string(),
                    "changes": all(changes),
                    "left": left,
                });
                self.ui.line(&event.to_string());
            }
            Event::Judged { promise, outcome, changes, notes } => {
                self.judged(promise, outcome, changes, notes);
            }
        }
    }
}

/// Why a command ended early, as its last line: what is wrong in the model, and then the error. A program that
/// reads lines needs no other way to learn it.
pub(crate) fn failure(ui: &Ui, failure: &Failure) {
    if let Some(mistakes) = failure.mistakes() {
        let all = mistakes.all.iter();
        all.for_each(|it| ui.line(&render::json(it, &mistakes.sources)));
    }
    let because: Vec<String> = failure.error.chain().skip(1).map(ToString::to_string).collect();
    let event = json!({
        "event": "error",
        "exit": failure.exit.code(),
        "words": failure.error.to_string(),
        "because": because,
        "help": failure.help,
    });
    ui.line(&event.to_string());
}

/// Nothing is promised of all that was asked about.
pub(crate) fn nothing_promised(ui: &Ui, node: &str, words: &str) {
    let event = json!({ "event": "nothing-promised", "node": node, "words": words });
    ui.line(&event.to_string());
}

/// The last line of a run.
pub(crate) fn summary(ui: &Ui, summary: &Summary, implied: &Summary, exit: Exit) {
    let Summary { kept, repaired, not_kept, held, certain, expected } = *summary;
    let event = json!({
        "event": "summary",
        "kept": kept,
        "repaired": repaired,
        "not_kept": not_kept,
        "held": held,
        "implied": {
            "repaired": implied.repaired, "not_kept": implied.not_kept, "held": implied.held,
        },
        "exit": exit.code(),
        "forecast": {
            "certain": certain.0, "certain_came_true": certain.1,
            "expected": expected.0, "expected_came_true": expected.1,
        },
    });
    ui.line(&event.to_string());
}

/// The last line of a dry run.
pub(crate) fn forecasts(ui: &Ui, all: &Forecasts, exit: Exit) {
    let Forecasts { promises, implied, certain, expected, unknown, untold } = all;
    let event = json!({
        "event": "summary",
        "kept": promises.kept,
        "repaired": 0,
        "not_kept": promises.not_kept,
        "held": promises.held,
        "implied": {
            "pending": implied.pending, "not_kept": implied.not_kept, "held": implied.held,
        },
        "exit": exit.code(),
        "pending": promises.pending,
        "forecast": {
            "certain": certain, "expected": expected, "unknown": unknown, "untold": untold,
        },
    });
    ui.line(&event.to_string());
}

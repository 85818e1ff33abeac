//! What becomes of a component, as a block on a terminal or as a line of JSON.

use crate::ui::{Tone, Ui, clean};
use serde_json::json;
use steadfast_engine::component::Became;
use steadfast_model::SourceSet;
use steadfast_node::deployments::Told;

/// How far the lines below it are indented.
const INDENT: usize = 10;

/// Where nothing is to be said of it, nothing is.
pub(crate) fn text(ui: &Ui, told: &Told, sources: &SourceSet) {
    let tone = match told.report.outcome {
        Became::Kept => return,
        Became::Repaired => Tone::Change,
        Became::NotKept => Tone::Bad,
        Became::Held => Tone::Doubt,
    };
    let word = told.word();
    let gap = " ".repeat(INDENT.saturating_sub(word.len()));
    let id = ui.paint(Tone::Strong, &clean(&told.id().to_string()));
    let place = sources.place(told.span).to_string();
    ui.line(&format!("{}{gap}{id}  {}", ui.paint(tone, word), ui.paint(Tone::Quiet, &place)));
    if let Some(way) = told.way() {
        ui.below(INDENT, Tone::Plain, &clean(&way));
    }
    if let Some(forecast) = &told.forecast {
        ui.below(INDENT, Tone::Plain, &forecast.to_string());
    }
    if let Some(reason) = &told.report.reason {
        ui.below(INDENT, Tone::Plain, &clean(&format!("because: {reason}")));
    }
    for line in &told.journal {
        ui.below(INDENT, Tone::Quiet, &clean(&format!("journal: {line}")));
    }
}

pub(crate) fn json(ui: &Ui, told: &Told, sources: &SourceSet) {
    let report = &told.report;
    let origin = sources.place(told.span).to_string();
    let mut event = match told.is_expected {
        true => json!({
            "event": "forecast",
            "component": report.component,
            "certainty": told.word(),
            "release": report.release,
            "deployment": report.deployment,
            "folder": report.folder,
            "from": report.from,
            "to": report.to,
            "because": report.reason,
        }),
        false => json!(report),
    };
    if let Some(forecast) = &told.forecast {
        (event["switch"], event["gap"]) = (json!(forecast.switch), json!(forecast.gap));
    }
    event["origin"] = origin.into();
    ui.line(&event.to_string());
}

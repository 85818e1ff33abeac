//! What becomes of a component, as a block on a terminal or as a line of JSON.

use crate::ui::{Tone, Ui, clean};
use serde_json::json;
use steadfast_model::SourceSet;
use steadfast_node::deployments::{Fared, Told};

/// How far the lines below it are indented.
const INDENT: usize = 10;

/// Where nothing is to be said of it, nothing is.
pub(crate) fn text(ui: &Ui, told: &Told, sources: &SourceSet) {
    let tone = match told.fared {
        Fared::Kept => return,
        Fared::Repaired | Fared::Expected => Tone::Change,
        Fared::NotKept => Tone::Bad,
        Fared::Held => Tone::Doubt,
    };
    let word = told.fared.word();
    let gap = " ".repeat(INDENT.saturating_sub(word.len()));
    let id = ui.paint(Tone::Strong, &clean(&told.id().to_string()));
    let place = sources.place(told.span).to_string();
    ui.line(&format!("{}{gap}{id}  {}", ui.paint(tone, word), ui.paint(Tone::Quiet, &place)));
    if let Some(way) = told.way() {
        ui.below(INDENT, Tone::Plain, &clean(&way));
    }
    for reason in &told.because {
        ui.below(INDENT, Tone::Plain, &clean(&format!("because: {reason}")));
    }
}

pub(crate) fn json(ui: &Ui, told: &Told, sources: &SourceSet) {
    let Told { component, span, fared, release, deployment, from, to, step, because } = told;
    let event = match fared {
        Fared::Expected => json!({
            "event": "forecast",
            "component": component.to_string(),
            "certainty": fared.word(),
            "release": release,
            "deployment": deployment,
            "from": from,
            "to": to,
            "because": because,
            "origin": sources.place(*span).to_string(),
        }),
        Fared::Kept | Fared::Repaired | Fared::NotKept | Fared::Held => json!({
            "event": "component",
            "component": component.to_string(),
            "outcome": fared.word().replace(' ', "-"),
            "release": release,
            "deployment": deployment,
            "from": from,
            "to": to,
            "step": step.map(steadfast_node::deployments::Ended::word),
            "reason": because,
            "origin": sources.place(*span).to_string(),
        }),
    };
    ui.line(&event.to_string());
}

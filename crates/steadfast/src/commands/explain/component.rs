//! What is promised of a component, by whom, and what runs of it here.

use super::{Format, Loaded, Target, nothing_about, stands};
use crate::adopted::Adopted;
use crate::commands::{look_at_state, state};
use crate::exit::{Exit, Outcome};
use crate::render::instance;
use crate::ui::{Tone, Ui};
use serde_json::{Value, json};
use std::path::Path;
use steadfast_model::lower::nearest;
use steadfast_model::{ComponentId, Placed, Severity, Span};
use steadfast_node::Context;
use steadfast_node::deployments::shown::{self, Shown};
use steadfast_node::origin::Lines;
use steadfast_store::Store;

/// What somebody wants to know.
pub(super) struct Asked<'a> {
    pub(super) id: &'a ComponentId,
    pub(super) node: &'a str,
    pub(super) adopted: Option<&'a Adopted>,
    /// The directory of the model.
    pub(super) path: &'a Path,
}

/// How much of its history is shown.
const ENTRIES: usize = 5;

pub(super) fn explain(
    format: Format,
    asked: &Asked<'_>,
    (loaded, target): (&Loaded, &Target),
    cx: &Context,
    ui: &Ui,
) -> Outcome {
    let id = asked.id.to_string();
    let store = look_at_state(cx, ui)?;
    let known = shown::one(&id, &store).map_err(state)?;
    let placed = target.resolved.components.iter().find(|it| it.id == *asked.id);
    if placed.is_none() && known.is_none() {
        nothing(format, asked, target, ui);
        return Ok(Exit::Fine);
    }
    match format {
        Format::Json => ui.line(&as_json(&id, placed, known.as_ref(), loaded).to_string()),
        Format::Text => {
            let mut lines = match asked.adopted {
                Some(adopted) => Lines::of_revision(&cx.layout, &adopted.revision),
                None => {
                    let files = placed.map(|it| file(loaded, it.span));
                    Lines::of_folder(asked.path, &loaded.sources, &files.into_iter().collect())
                }
            };
            ui.line(&ui.paint(Tone::Strong, &format!("component:{id}")));
            match placed {
                Some(placed) => promised(placed, (loaded, target), &mut lines, ui),
                None => ui.below(2, Tone::Doubt, "it is not promised here any more"),
            }
            ui.line("");
            machine(&id, known.as_ref(), &store, ui);
        }
    }
    store.take_warnings().iter().for_each(|it| ui.warn(it));
    Ok(Exit::Fine)
}

fn file(loaded: &Loaded, span: Span) -> String {
    loaded.sources.place(span).file.to_string()
}

fn promised(placed: &Placed, (loaded, target): (&Loaded, &Target), lines: &mut Lines, ui: &Ui) {
    let place = |span: Span| loaded.sources.place(span);
    let application = placed.id.application();
    let words = format!("promised by application {application}");
    stands(ui, 2, &words, &place(placed.span), lines);
    let known = loaded.model.catalog.applications.get(application);
    let of_environment = known.and_then(|it| it.targets.get(&target.environment));
    if let Some(it) = of_environment {
        let words = format!("{} has release {}", target.environment, it.release.value);
        stands(ui, 2, &words, &place(it.release.span), lines);
    }
    let release = known.and_then(|it| it.releases.get(&placed.release.version));
    if let Some(release) = release {
        let words = format!("last named by release {}", placed.release.version);
        stands(ui, 2, &words, &place(release.id.span), lines);
    }
    if let Some(directory) = &placed.directory {
        ui.below(2, Tone::Plain, &format!("its deployments lie in {directory}"));
    }
    let of_documents = known.into_iter().flat_map(|it| it.mistakes.iter());
    let mistakes = of_documents.chain(placed.mistakes.iter());
    for mistake in mistakes.filter(|it| it.severity == Severity::Error) {
        let words = format!("mistake: {} ({})", mistake.message, place(mistake.span));
        ui.below(2, Tone::Bad, &words);
    }
    if !placed.promises.is_empty() {
        ui.line("");
        ui.line(&ui.paint(Tone::Strong, "consists of"));
        for promise in &placed.promises {
            ui.below(2, Tone::Plain, &current(&promise.id.to_string(), placed));
        }
    }
}

/// What lies in a deployment is named by the one that is current.
fn current(id: &str, placed: &Placed) -> String {
    let Some(directory) = &placed.directory else { return id.to_owned() };
    let before = format!("{directory}/deployments/");
    match id.split_once(&before) {
        Some((kind, rest)) => {
            let rest = rest.split_once('/').map(|(_, rest)| format!("/{rest}"));
            format!("{kind}{directory}/current{}", rest.unwrap_or_default())
        }
        None => id.to_owned(),
    }
}

fn machine(id: &str, known: Option<&Shown>, store: &Store, ui: &Ui) {
    ui.line(&ui.paint(Tone::Strong, "on this machine"));
    match known {
        Some(known) => {
            instance::below(known).iter().for_each(|(tone, line)| ui.below(2, *tone, line));
        }
        None if store.is_nowhere() => ui.below(2, Tone::Doubt, "nothing is known of it"),
        None => ui.below(2, Tone::Doubt, "nothing of it runs here yet"),
    }
    let all = store.happened(id, ENTRIES).unwrap_or_default();
    if all.is_empty() {
        return;
    }
    ui.line("");
    ui.line(&ui.paint(Tone::Strong, "history"));
    all.iter().for_each(|it| instance::show(ui, id, it));
}

fn as_json(id: &str, placed: Option<&Placed>, known: Option<&Shown>, loaded: &Loaded) -> Value {
    // Plain data, whose serialization cannot fail.
    let known = known.map(|it| serde_json::to_value(it).unwrap_or_default());
    let mut all = known.unwrap_or_else(|| {
        json!({
            "event": "component", "component": id, "outcome": null, "release": null,
            "deployment": null, "previous": null, "bad": [], "waits_for": null, "since": null,
        })
    });
    let origin = placed.map(|it| loaded.sources.place(it.span).to_string());
    let wanted = placed.map(|it| it.release.version.to_string());
    let promises: Vec<String> = placed
        .map(|it| it.promises.iter().map(|promise| current(&promise.id.to_string(), it)).collect())
        .unwrap_or_default();
    if let Some(fields) = all.as_object_mut() {
        fields.insert("origin".to_owned(), json!(origin));
        fields.insert("wanted".to_owned(), json!(wanted));
        fields.insert("promises".to_owned(), json!(promises));
    }
    all
}

/// Neither promised nor known; perhaps another was meant.
fn nothing(format: Format, asked: &Asked<'_>, target: &Target, ui: &Ui) {
    let ids: Vec<String> = target.resolved.components.iter().map(|it| it.id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(|it| &**it).collect();
    let near = nearest(&asked.id.to_string(), &ids);
    nothing_about(format, &format!("component:{}", asked.id), asked.node, near, ui);
}

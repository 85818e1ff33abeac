//! `steadfast explain`: what is promised about a thing, by which line, and what is on this machine now.

mod component;

use crate::adopted::{self, Adopted};
use crate::commands::{facts_of, look_at_state};
use crate::exit::{Exit, Failure, Outcome};
use crate::render::changed;
use crate::render::explained::{About, comes_from, was};
use crate::render::json::nothing_promised;
use crate::render::time::stamp;
use crate::ui::{Format, Tone, Ui, clean};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use steadfast_engine::plan::plan;
use steadfast_engine::{Circumstances, Forecast, Observed, Observer, Promised};
use steadfast_model::lower::nearest;
use steadfast_model::{Place, Span, codes};
use steadfast_node::Context;
use steadfast_node::explain::{contents, files, find, used};
use steadfast_node::model::{self, Loaded, Target};
use steadfast_node::origin::Lines;
use steadfast_store::Store;

/// Explain a promise, a path, a component or an error code
///
/// Shows which file and line promises it and which commit wrote that line; the parameters that it uses and
/// where their values come from; its state on this machine, and what past runs did about it.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A promise (package:nginx), a path (/etc/motd), a component (people/api) or an error code
    /// (unknown-field)
    #[arg(value_name = "THING")]
    thing: String,

    /// The model's directory [default: what the agent has adopted]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,

    /// This node's name in the model [default: the fully qualified host name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,

    /// The environment [default: the one that lists the node]
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,

    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

impl ExplainArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }
}

pub(crate) fn run(args: &ExplainArgs, cx: &Context, ui: &Ui) -> Outcome {
    let code = args.thing.trim_start_matches("error[").trim_end_matches(']');
    if let Some((code, words)) = codes::ALL.iter().find(|(it, _)| it.0 == code) {
        explain_code(ui, args.format, code.0, words);
        return Ok(Exit::Fine);
    }
    let adopted = match &args.model {
        Some(_) => None,
        None => Some(adopted::find(&cx.layout).map_err(|it| or_a_code(it, code))?),
    };
    let path = args.model.as_ref().or(adopted.as_ref().map(|it| &it.content));
    // One of the two is there.
    let Some(path) = path else { return Ok(Exit::Fine) };
    let mut loaded = model::load(path)?;
    let (node, target) = target(args, adopted.as_ref(), &mut loaded, cx, ui)?;
    let Some(target) = target else {
        let words = format!("nothing is promised: no environment of the model names {node}");
        match args.format {
            Format::Text => ui.line(&words),
            // That the node has no place in the model is more than that this thing is not in it.
            Format::Json => nothing_promised(ui, &node, &words),
        }
        return Ok(Exit::Fine);
    };
    if let Ok(id) = crate::commands::component(&args.thing) {
        let about = component::Asked { id: &id, node: &node, adopted: adopted.as_ref(), path };
        return component::explain(args.format, &about, (&loaded, &target), cx, ui);
    }
    let found = find(&target, &args.thing);
    if found.is_empty() {
        let ids: Vec<&str> = target.promises.all.iter().map(|it| &*it.id.0).collect();
        nothing_about(args.format, &args.thing, &node, nearest(&args.thing, &ids), ui);
        return Ok(Exit::Fine);
    }
    let mut lines = match &adopted {
        Some(adopted) => Lines::of_revision(&cx.layout, &adopted.revision),
        None => Lines::of_folder(path, &loaded.sources, &files(&loaded, &target, &found)),
    };
    if let (Some(adopted), Format::Text) = (&adopted, args.format) {
        ui.below(0, Tone::Plain, &adopted.shown());
        ui.line("");
    }
    let store = look_at_state(cx, ui)?;
    let known = (&loaded, &target, &store);
    explain(args.format, known, &found, &mut lines, cx, ui)?;
    if let Some(trouble) = &lines.trouble {
        ui.warn(trouble);
    }
    store.take_warnings().iter().for_each(|it| ui.warn(it));
    Ok(Exit::Fine)
}

/// Nothing is promised about the thing; perhaps the one that is called most like it was meant.
fn nothing_about(format: Format, thing: &str, node: &str, near: Option<&str>, ui: &Ui) {
    let words = format!("nothing is promised about {} on {node}", clean(thing));
    match format {
        Format::Text => {
            ui.line(&words);
            if let Some(near) = near {
                ui.line(&format!("did you mean {near}?"));
            }
        }
        Format::Json => {
            let event = json!({
                "event": "nothing-promised",
                "node": node,
                "thing": thing,
                "words": words,
                "near": near,
            });
            ui.line(&event.to_string());
        }
    }
}

/// What the code of an error means.
fn explain_code(ui: &Ui, format: Format, code: &str, words: &str) {
    let paragraph: Vec<&str> = words.lines().map(str::trim).collect();
    let paragraph = paragraph.join(" ");
    match format {
        Format::Json => {
            ui.line(&json!({ "event": "code", "code": code, "words": paragraph }).to_string());
        }
        Format::Text => {
            ui.line(&ui.paint(Tone::Strong, code));
            ui.line("");
            crate::ui::wrap(&paragraph, ui.width).iter().for_each(|it| ui.line(it));
        }
    }
}

/// Whoever has no model may have meant a code.
fn or_a_code(failure: Failure, thing: &str) -> Failure {
    let known: Vec<&str> = codes::ALL.iter().map(|(code, _)| code.0).collect();
    match nearest(thing, &known) {
        Some(near) => failure.help(format!("did you mean the code {near}?")),
        None => failure,
    }
}

/// This node's name in the model, and its promises.
fn target(
    args: &ExplainArgs,
    adopted: Option<&Adopted>,
    loaded: &mut Loaded,
    cx: &Context,
    ui: &Ui,
) -> Result<(String, Option<Target>), Failure> {
    let said = adopted.map(|it| (it.node.as_deref(), it.environment.as_deref()));
    let (node, environment) = said.unwrap_or_default();
    let facts = facts_of(&cx.layout, ui);
    let node = model::node_name(args.node.as_deref().or(node), &facts);
    let environment = args.environment.as_deref().or(environment);
    let target = model::target(loaded, environment, &node, &facts, &cx.layout)?;
    ui.diagnostics(&loaded.sound()?, &loaded.sources);
    Ok((node, target))
}

/// Looks at the machine, and tells of each promise that was found.
fn explain(
    format: Format,
    (loaded, target, store): (&Loaded, &Target, &Store),
    found: &[usize],
    lines: &mut Lines,
    cx: &Context,
    ui: &Ui,
) -> Result<(), Failure> {
    let host = cx.host();
    let observed = Observed::all(&target.promises, Observer::ReadOnly(&host), &store);
    let circumstances = Circumstances { root: cx.root, budget: target.resolved.policy.budget };
    let plan = plan(&target.promises, &observed, circumstances);
    for (turn, at) in found.iter().copied().enumerate() {
        let (promised, entry) = (&target.promises.all[at], &plan.entries[at]);
        let state = &observed.describe(at);
        if format == Format::Json {
            let about = About { loaded, target, promised, state, entry, lines, store };
            ui.line(&about.json()?.to_string());
            continue;
        }
        if turn > 0 {
            ui.line("");
        }
        promise(ui, loaded, target, promised, lines);
        ui.line("");
        match state {
            Ok(state) => {
                ui.line(&ui.paint(Tone::Strong, "on this machine"));
                for (name, value) in state {
                    ui.hanging(&format!("  {name:<12} "), Tone::Plain, value);
                }
            }
            Err(error) => {
                let why = error.chain().join(": ");
                ui.below(0, Tone::Plain, &format!("its state cannot be read: {why}"));
            }
        }
        let unseen = store.is_nowhere() && promised.want.as_runner().is_some();
        forecast(ui, entry, unseen);
        history(ui, store, promised);
    }
    Ok(())
}

/// Where something stands in the model, and who wrote it there.
fn stands(ui: &Ui, indent: usize, words: &str, place: &Place, lines: &mut Lines) {
    ui.below(indent, Tone::Plain, &format!("{words} at {place}"));
    if let Some(who) = lines.told(&place.file, place.line) {
        ui.below(indent + 2, Tone::Plain, &who);
    }
}

fn promise(ui: &Ui, loaded: &Loaded, target: &Target, promised: &Promised, lines: &mut Lines) {
    let place = |span: Span| loaded.sources.place(span);
    ui.line(&ui.paint(Tone::Strong, &clean(&promised.id.to_string())));
    if let Some(description) = &promised.description {
        ui.below(2, Tone::Plain, description);
    }
    for origin in &promised.origins {
        let verb = if promised.implied { "named" } else { "promised" };
        stands(ui, 2, &format!("{verb} by {}", origin.by), &place(origin.span), lines);
        for via in &origin.via {
            stands(ui, 4, "included", &place(*via), lines);
        }
    }
    let Some(origin) = promised.origins.first() else { return };
    ui.line("");
    for line in &written(loaded, origin.span) {
        ui.line(&format!("  {}", clean(line)));
    }
    for content in contents(loaded, promised) {
        if let Some(who) = lines.told_newest(&content) {
            ui.line("");
            ui.below(2, Tone::Plain, &format!("the newest line of {content}"));
            ui.below(4, Tone::Plain, &who);
        }
    }
    let used = used(target, promised);
    if !used.is_empty() {
        ui.line("");
        ui.line(&ui.paint(Tone::Strong, "with"));
    }
    for trace in used {
        ui.below(2, Tone::Plain, &format!("{} = {}", trace.name, trace.text()));
        let words = format!("from {}", comes_from(trace.source));
        stands(ui, 4, &words, &place(trace.span), lines);
    }
    for need in &promised.needs {
        ui.below(2, Tone::Plain, &format!("needs {}", target.promises.all[*need].id));
    }
}

/// The lines of the model from the name of the thing to where its indentation ends.
fn written(loaded: &Loaded, span: Span) -> Vec<String> {
    let Some(text) = loaded.sources.get(span.source).and_then(|it| it.text()) else {
        return vec![];
    };
    let start = text[..span.start as usize].rfind('\n').map_or(0, |at| at + 1);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text[start..].lines();
    let Some(first) = lines.next() else { return vec![] };
    let depth = indent(first);
    let mut taken = vec![first.get(depth..).unwrap_or(first).to_owned()];
    for line in lines {
        if !line.trim().is_empty() && indent(line) <= depth {
            break;
        }
        taken.push(line.get(depth..).unwrap_or("").to_owned());
    }
    while taken.last().is_some_and(|it| it.trim().is_empty()) {
        taken.pop();
    }
    taken
}

/// `unseen`: whether a restart is owed could not be looked up.
fn forecast(ui: &Ui, entry: &steadfast_engine::Entry, unseen: bool) {
    ui.line("");
    for (forecast, changes) in entry.steps() {
        let (tone, words) = match forecast {
            Forecast::Kept if unseen => {
                (Tone::Doubt, "it is kept, but for a restart that may be owed")
            }
            Forecast::Kept => (Tone::Good, "it is kept"),
            Forecast::Certain => (Tone::Change, "a run would"),
            Forecast::Expected { .. } => (Tone::Change, "a run is expected to"),
            Forecast::Unknown { .. } => (Tone::Doubt, "what a run would do is not known yet"),
            Forecast::NotKept(_) => (Tone::Bad, "it is not kept"),
            Forecast::Held(_) => (Tone::Doubt, "it is held"),
        };
        ui.line(&ui.paint(tone, words));
        for change in changes {
            ui.below(2, Tone::Plain, &change.to_string());
        }
        for reason in forecast.because() {
            ui.below(2, Tone::Plain, &format!("because: {reason}"));
        }
    }
    for note in &entry.notes {
        ui.below(2, Tone::Plain, &format!("note: {note}"));
    }
}

fn history(ui: &Ui, store: &Store, promised: &Promised) {
    let entries = match store.about(&promised.id.to_string(), 3) {
        Ok(entries) => entries,
        Err(error) => {
            ui.warn(&format!("{:#}", anyhow::Error::from(error)));
            return;
        }
    };
    if entries.is_empty() {
        return;
    }
    ui.line("");
    ui.line(&ui.paint(Tone::Strong, "history"));
    repair(ui, store, promised);
    for entry in entries {
        let word = entry.judged.outcome.replace('-', " ");
        ui.line(&format!("  {} in run {}: {word}", stamp(entry.started), entry.run));
        for line in changed::by(&entry.judged) {
            ui.below(4, Tone::Plain, &line);
        }
        for change in &entry.judged.changes {
            ui.below(4, Tone::Plain, &change.line);
        }
    }
}

/// When it was last repaired, and what it was before.
fn repair(ui: &Ui, store: &Store, promised: &Promised) {
    let Ok(Some(last)) = store.last_repair(&promised.id.to_string()) else { return };
    let was = was(&last.judged);
    let was = if was.is_empty() { String::new() } else { format!(": was {}", was.join(", ")) };
    let when = stamp(last.started);
    ui.below(2, Tone::Strong, &format!("last repaired {when} in run {}{was}", last.run));
    if last.judged.changes.iter().any(|it| it.detail.is_some()) {
        ui.below(4, Tone::Plain, &format!("the diff: steadfast history show {}", last.run));
    }
}

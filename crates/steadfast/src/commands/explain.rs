//! `steadfast explain`: what is promised about a thing, by whom, and what the machine says now.

use crate::adopted;
use crate::commands::{facts_of, look_at_state};
use crate::exit::{Exit, Outcome};
use crate::render::changed;
use crate::render::explained::{About, was};
use crate::render::time::stamp;
use crate::ui::{Format, Tone, Ui, clean};
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use steadfast_engine::plan::plan;
use steadfast_engine::{Circumstances, Forecast, Observed, Observer, Promised};
use steadfast_model::lower::nearest;
use steadfast_model::{ParameterSource, ParameterTrace, Place, Span, codes};
use steadfast_node::Context;
use steadfast_node::model::{self, Loaded, Target};
use steadfast_node::origin::Lines;
use steadfast_resources::Identity;
use steadfast_store::Store;
use steadfast_system::AbsPath;

/// Explain a promise, a path or an error code
///
/// Shows which file and line promises it and which commit wrote that line; the parameters that it uses and
/// where their values come from; its state on this machine, and what past runs did about it.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A promise (package:nginx), a path (/etc/motd) or an error code (unknown-field)
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

pub(crate) fn run(args: &ExplainArgs, cx: &Context, ui: &Ui) -> Outcome {
    let layout = &cx.layout;
    let thing = args.thing.trim_start_matches("error[").trim_end_matches(']');
    if let Some((code, words)) = codes::ALL.iter().find(|(code, _)| code.0 == thing) {
        let paragraph: Vec<&str> = words.lines().map(str::trim).collect();
        let paragraph = paragraph.join(" ");
        if args.format == Format::Json {
            let event = json!({ "event": "code", "code": code.0, "words": paragraph });
            ui.line(&event.to_string());
            return Ok(Exit::Fine);
        }
        ui.line(&ui.paint(Tone::Strong, code.0));
        ui.line("");
        for line in crate::ui::wrap(&paragraph, ui.width) {
            ui.line(&line);
        }
        return Ok(Exit::Fine);
    }
    let adopted = match &args.model {
        Some(_) => None,
        None => Some(adopted::find(layout).map_err(|failure| {
            let known: Vec<&str> = codes::ALL.iter().map(|(code, _)| code.0).collect();
            match nearest(thing, &known) {
                Some(near) => failure.help(format!("did you mean the code {near}?")),
                None => failure,
            }
        })?),
    };
    let path = args.model.as_ref().or(adopted.as_ref().map(|it| &it.content));
    // One of the two is there.
    let Some(path) = path else { return Ok(Exit::Fine) };
    let said = adopted.as_ref().map(|it| (it.node.as_deref(), it.environment.as_deref()));
    let (node, environment) = said.unwrap_or_default();
    let mut loaded = model::load(path)?;
    let facts = facts_of(layout, ui);
    let node = model::node_name(args.node.as_deref().or(node), &facts);
    let environment = args.environment.as_deref().or(environment);
    let target = model::target(&mut loaded, environment, &node, &facts)?;
    ui.model_warnings(&loaded.sound()?);
    // Words are no data.
    let tell = |words: &str| match args.format {
        Format::Text => ui.line(words),
        Format::Json => ui.say(words),
    };
    let Some(target) = target else {
        tell(&format!("nothing is promised: no environment of the model names {node}"));
        return Ok(Exit::Fine);
    };
    let found = find(&target, &args.thing);
    if found.is_empty() {
        tell(&format!("nothing is promised about {} on {node}", clean(&args.thing)));
        let ids: Vec<&str> = target.promises.all.iter().map(|it| &*it.id.0).collect();
        if let Some(near) = nearest(&args.thing, &ids) {
            tell(&format!("did you mean {near}?"));
        }
        return Ok(Exit::Fine);
    }
    let mut lines = match &adopted {
        Some(adopted) => Lines::of_revision(layout, &adopted.revision),
        None => Lines::of_folder(path, &loaded.sources, &files(&loaded, &target, &found)),
    };
    if let (Some(adopted), Format::Text) = (&adopted, args.format) {
        ui.below(0, Tone::Plain, &adopted.shown());
        ui.line("");
    }
    let store = look_at_state(cx, ui)?;
    let host = cx.host();
    let looks = Observed::all(&target.promises, Observer::ReadOnly(&host), &&store);
    let circumstances = Circumstances { root: cx.root, budget: target.resolved.policy.budget };
    let plan = plan(&target.promises, &looks, circumstances);
    for (turn, at) in found.iter().enumerate() {
        if args.format == Format::Json {
            let about = About {
                loaded: &loaded,
                target: &target,
                promised: &target.promises.all[*at],
                state: &looks.describe(*at),
                entry: &plan.entries[*at],
                lines: &lines,
                store: &store,
            };
            ui.line(&about.json()?.to_string());
            continue;
        }
        if turn > 0 {
            ui.line("");
        }
        let promised = &target.promises.all[*at];
        promise(ui, &loaded, &target, promised, &mut lines);
        match looks.describe(*at) {
            Ok(state) => {
                ui.line("");
                ui.line(&ui.paint(Tone::Strong, "the machine says"));
                for (name, value) in state {
                    ui.hanging(&format!("  {name:<12} "), Tone::Plain, &value);
                }
            }
            Err(error) => {
                ui.line("");
                let why = error.chain().join(": ");
                ui.below(0, Tone::Plain, &format!("the machine cannot be asked: {why}"));
            }
        }
        let unseen = store.is_nowhere() && promised.want.as_runner().is_some();
        forecast(ui, &plan.entries[*at], unseen);
        history(ui, &store, promised);
    }
    if let Some(trouble) = &lines.trouble {
        ui.warn(trouble);
    }
    store.take_warnings().iter().for_each(|it| ui.warn(it));
    Ok(Exit::Fine)
}

/// Promises of this name or about this path; else the folder that holds for all below it.
fn find(target: &Target, thing: &str) -> Vec<usize> {
    let all = &target.promises.all;
    let path = AbsPath::parse(thing).ok();
    let exact: Vec<usize> = (0..all.len())
        .filter(|at| {
            &*all[*at].id.0 == thing
                || path.as_ref().is_some_and(|path| {
                    all[*at].want.claims().contains(&Identity::Path(path.clone()))
                })
        })
        .collect();
    if !exact.is_empty() {
        return exact;
    }
    let by_name: Vec<usize> = (0..all.len()).filter(|at| all[*at].id.name() == thing).collect();
    if !by_name.is_empty() {
        return by_name;
    }
    let Some(path) = path else { return vec![] };
    (0..all.len())
        .filter(|at| all[*at].want.folder().is_some_and(|it| path.is_within(it)))
        .max_by_key(|at| all[*at].id.name().len())
        .into_iter()
        .collect()
}

/// The files in which these promises and their parameters stand.
fn files(loaded: &Loaded, target: &Target, found: &[usize]) -> BTreeSet<String> {
    let mut spans = vec![];
    for at in found {
        let promised = &target.promises.all[*at];
        for origin in &promised.origins {
            spans.push(origin.span);
            spans.extend(&origin.via);
        }
        spans.extend(used(target, promised).iter().map(|it| it.span));
    }
    let mut files: BTreeSet<String> =
        spans.into_iter().map(|it| loaded.sources.place(it).file.to_string()).collect();
    for at in found {
        files.extend(contents(loaded, &target.promises.all[*at]));
    }
    files
}

/// The templates and files of the model that a promise was made from. What comes with this program is
/// none of the model's.
pub(crate) fn contents(loaded: &Loaded, promised: &Promised) -> Vec<String> {
    let files = promised.used.files.iter().filter_map(|id| loaded.sources.get(*id));
    files.map(|it| it.path.to_string()).filter(|it| !it.starts_with("std/")).collect()
}

/// The parameters that its values came from.
pub(crate) fn used<'a>(target: &'a Target, promised: &Promised) -> Vec<&'a ParameterTrace> {
    let trace = &target.resolved.trace;
    promised.used.parameters.iter().filter_map(|at| trace.get(*at)).collect()
}

/// Where the value of a parameter comes from.
pub(crate) fn comes_from(source: ParameterSource) -> &'static str {
    match source {
        ParameterSource::Default => "its default",
        ParameterSource::Model => "the model",
        ParameterSource::Environment => "the environment",
        ParameterSource::Node => "the node",
        ParameterSource::Argument => "the include",
    }
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
            stands(ui, 4, "taken in", &place(*via), lines);
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
            Forecast::Unknown { .. } => (Tone::Doubt, "what a run would do is not known"),
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
    ui.line(&ui.paint(Tone::Strong, "what runs did"));
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
        ui.below(4, Tone::Plain, &format!("the difference: steadfast history show {}", last.run));
    }
}

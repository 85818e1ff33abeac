//! From a path to the promises of one node, with everything that was wrong on the way.

use crate::Surroundings;
use crate::exit::{Exit, Failure};
use crate::standard;
use crate::ui::Ui;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use steadfast_engine::{Promises, promised};
use steadfast_model::document::{self, Model};
use steadfast_model::policy::Policy;
use steadfast_model::resolve::{NodeInput, resolve};
use steadfast_model::{Diagnostics, Resolved, Severity, SourceSet, render};
use steadfast_source::revision::content_digest;
use steadfast_source::{ReadError, Revision, read_directory};
use steadfast_store::Layout;

/// The files of a model and the standard bundles.
#[derive(Debug)]
pub(crate) struct Files {
    pub sources: SourceSet,
    pub revision: Revision,
}

/// A model that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub sources: SourceSet,
    pub model: Model,
    pub revision: Revision,
    pub diagnostics: Diagnostics,
}

/// The promises of one node.
#[derive(Debug)]
pub(crate) struct Target {
    pub environment: Arc<str>,
    pub resolved: Resolved,
    pub promises: Promises,
}

/// Reads and parses a model and the standard bundles.
pub(crate) fn load(path: &Path) -> Result<Loaded, Failure> {
    read(path).map(parse)
}

pub(crate) fn parse(files: Files) -> Loaded {
    let Files { sources, revision } = files;
    let (model, diagnostics) = document::parse(&sources);
    Loaded { sources, model, revision, diagnostics }
}

pub(crate) fn read(path: &Path) -> Result<Files, Failure> {
    let mut sources = SourceSet::default();
    read_directory(path, &mut sources).map_err(|error| {
        let exit = match error {
            ReadError::NotThere { .. } => Exit::Usage,
            ReadError::Read { .. } => Exit::Unreachable,
            ReadError::Special { .. }
            | ReadError::Name { .. }
            | ReadError::TooLarge { .. }
            | ReadError::TooMany { .. } => Exit::BadModel,
        };
        Failure::new(exit, error)
    })?;
    let commit = Revision::read(path, &SourceSet::default()).commit;
    Ok(complete(sources, commit))
}

/// The files of a model from anywhere, with the standard bundles.
pub(crate) fn complete(mut sources: SourceSet, commit: Option<String>) -> Files {
    for (path, bytes) in standard::FILES {
        sources.add(*path, *bytes, false);
    }
    let revision = Revision { digest: content_digest(&sources), commit };
    Files { sources, revision }
}

/// The node's promises, or none where nobody names the node. All that was wrong goes to `loaded`.
pub(crate) fn target(
    loaded: &mut Loaded,
    environment: Option<&str>,
    node: &str,
    facts: &serde_json::Value,
) -> Result<Option<Target>, Failure> {
    let Some(environment) = environment_of(&loaded.model, environment, node)? else {
        return Ok(None);
    };
    let input = NodeInput {
        environment: &environment,
        node,
        facts: Some(facts),
        releases: &BTreeMap::new(),
    };
    let (resolved, diagnostics) = resolve(&loaded.model, &loaded.sources, &input);
    loaded.diagnostics.extend(diagnostics);
    // It may be large, and nothing more is asked of it.
    loaded.model = Model::default();
    if !resolved.named {
        return Ok(None);
    }
    let (promises, diagnostics) = promised::lower(&resolved, &loaded.sources);
    loaded.diagnostics.extend(diagnostics);
    Ok(Some(Target { environment, resolved, promises }))
}

/// Windows in time zones that this machine does not know. Only who takes a model in asks for this: one that
/// is kept already is kept, whatever becomes of the time zones.
pub(crate) fn unknown_zones(policy: &Policy) -> Diagnostics {
    policy.unknown_zones(|name| jiff::tz::TimeZone::get(name).is_ok())
}

/// The environment that is asked for, else the only one that names the node.
fn environment_of(
    model: &Model,
    asked: Option<&str>,
    node: &str,
) -> Result<Option<Arc<str>>, Failure> {
    if let Some(asked) = asked {
        return match model.environments.get_key_value(asked) {
            Some((name, _)) => Ok(Some(Arc::clone(name))),
            None => {
                let names: Vec<&str> = model.environments.keys().map(|it| &**it).collect();
                let known = if names.is_empty() {
                    "it has none".to_owned()
                } else {
                    format!("it has: {}", names.join(", "))
                };
                let message = format!("the model has no environment `{asked}`");
                Err(Failure::usage(message).help(known))
            }
        };
    }
    let mut ignored = Diagnostics::default();
    let naming: Vec<&Arc<str>> = model
        .environments
        .iter()
        .filter(|(_, it)| steadfast_model::select::select(it, node, &mut ignored).is_some())
        .map(|(name, _)| name)
        .collect();
    match naming[..] {
        [] => Ok(None),
        [one] => Ok(Some(Arc::clone(one))),
        [first, second, ..] => {
            let message = format!("{node} is in the environments {first} and {second}");
            Err(Failure::usage(message).help("say which one: --environment NAME"))
        }
    }
}

impl Loaded {
    /// Errors are shown, and end the command. Gives the warnings, rendered with styles: a run remembers
    /// them, and shows them each time.
    pub(crate) fn sound(&self, ui: &Ui) -> Result<Vec<String>, Failure> {
        self.sound_or(ui, "nothing was changed")
    }

    /// The same, with what follows from an error.
    pub(crate) fn sound_or(&self, ui: &Ui, consequence: &str) -> Result<Vec<String>, Failure> {
        let of = |severity| self.diagnostics.iter().filter(move |it| it.severity == severity);
        let errors = of(Severity::Error).count();
        if errors == 0 {
            let warnings = of(Severity::Warning);
            return Ok(warnings.map(|it| render::text(it, &self.sources, true)).collect());
        }
        for diagnostic in of(Severity::Error) {
            ui.say(&render::text(diagnostic, &self.sources, ui.styled_errors));
            ui.say("");
        }
        let noun = if errors == 1 { "error" } else { "errors" };
        let message = anyhow::anyhow!("the model has {errors} {noun}; {consequence}");
        Err(Failure::new(Exit::BadModel, message))
    }
}

/// The facts of this machine. Notes about what could not be read go to standard error.
pub(crate) fn facts(layout: &Layout, ui: &Ui) -> serde_json::Value {
    let parse = |bytes: &[u8], is_json: bool| {
        if is_json {
            serde_json::from_slice(bytes).map_err(|it| it.to_string())
        } else {
            steadfast_model::check::data(bytes)
        }
    };
    let (facts, notes) = steadfast_system::facts::gather(&layout.static_facts(), &parse);
    for note in notes {
        ui.warn(&note);
    }
    facts
}

/// The name under which this machine looks for itself in the model.
pub(crate) fn node_name(asked: Option<&str>, facts: &serde_json::Value) -> String {
    let fact = |name: &str| facts.get(name).and_then(serde_json::Value::as_str);
    asked.or_else(|| fact("fqdn")).or_else(|| fact("hostname")).unwrap_or("localhost").to_owned()
}

/// Where this program keeps things.
pub(crate) fn layout(state: Option<&Path>) -> Layout {
    state.map_or_else(Layout::standard, Layout::below)
}

/// The machine, with its places.
pub(crate) fn host(layout: &Layout, surroundings: &Surroundings) -> steadfast_system::Host {
    steadfast_system::Host::new(steadfast_system::host::Settings {
        state: layout.state.clone(),
        cache: layout.cache.clone(),
        secrets: layout.secrets(),
        credentials: surroundings.credentials.clone(),
    })
}

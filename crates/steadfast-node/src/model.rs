//! From a path to the promises of one node, with everything that was wrong on the way.

use crate::findings::Findings;
use crate::{NodeError, foreseen, standard};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use steadfast_engine::{Promises, promised};
use steadfast_model::document::{self, Model};
use steadfast_model::policy::Policy;
use steadfast_model::resolve::{NodeInput, resolve};
use steadfast_model::{
    ComponentId, Diagnostic, Diagnostics, Placed, PromiseId, Resolved, Severity, SourceSet, check,
    codes,
};
use steadfast_source::revision::content_digest;
use steadfast_source::{Revision, read_directory_noting};
use steadfast_store::Layout;
use steadfast_system::facts::Foreseen;

/// The files of a model and the standard bundles.
#[derive(Debug)]
pub struct Files {
    pub sources: SourceSet,
    /// The digest of the model's own files. Standard bundles are a part of this program.
    pub content: [u8; 32],
    pub revision: Revision,
}

/// A model that was read.
#[derive(Debug)]
pub struct Loaded {
    pub sources: SourceSet,
    pub model: Model,
    pub revision: Revision,
    pub diagnostics: Diagnostics,
}

/// The promises of one node.
#[derive(Debug)]
pub struct Target {
    pub environment: Arc<str>,
    pub resolved: Resolved,
    pub promises: Promises,
    /// Where it carries components, and follows from other facts than there are now.
    pub(crate) then: Option<Then>,
}

/// The facts as a run leaves them.
#[derive(Debug)]
pub(crate) struct Then {
    pub(crate) facts: serde_json::Value,
    /// The promises that change them.
    makers: BTreeSet<PromiseId>,
    /// What would follow from those that there are now.
    before: Promises,
}

impl Then {
    /// Whatever follows from the facts as the run leaves them comes after what makes them.
    pub(crate) fn wait(&self, promises: &mut Promises) {
        promises.wait_for(&self.makers, &self.before);
    }
}

/// Reads and parses a model and the standard bundles.
pub fn load(path: &Path) -> Result<Loaded, NodeError> {
    read(path).map(parse)
}

pub fn parse(files: Files) -> Loaded {
    let Files { sources, content: _, revision } = files;
    let (model, diagnostics) = document::parse(&sources);
    Loaded { sources, model, revision, diagnostics }
}

pub fn read(path: &Path) -> Result<Files, NodeError> {
    read_noting(path, Revision::commit_of(path), &mut |_, _| {})
}

/// The same of files of this commit, and `note` is told of each file of the model before it is read.
pub(crate) fn read_noting(
    path: &Path,
    commit: Option<String>,
    note: &mut dyn FnMut(&str, &File),
) -> Result<Files, NodeError> {
    let _span = tracing::debug_span!("read", path = %path.display()).entered();
    let mut sources = SourceSet::default();
    read_directory_noting(path, &mut sources, note)?;
    let files = complete(sources, commit);
    // Fields are only computed where somebody listens.
    let sources = || files.sources.iter().map(|(_, it)| it);
    tracing::debug!(
        files = sources().count(),
        bytes = sources().map(|it| it.bytes.len()).sum::<usize>(),
        revision = %files.revision,
        "read the model and the standard bundles"
    );
    Ok(files)
}

/// The files of a model from anywhere, with the standard bundles.
pub fn complete(mut sources: SourceSet, commit: Option<String>) -> Files {
    let content = content_digest(&sources);
    for (path, bytes) in standard::FILES {
        sources.add(*path, *bytes, false);
    }
    let revision = Revision { digest: content_digest(&sources), commit };
    Files { sources, content, revision }
}

/// The node's promises, or none where nobody names the node. All that was wrong goes to `loaded`.
pub fn target(
    loaded: &mut Loaded,
    environment: Option<&str>,
    node: &str,
    facts: &serde_json::Value,
    layout: &Layout,
) -> Result<Option<Target>, NodeError> {
    let _span = tracing::debug_span!("resolve", node).entered();
    let Some(environment) = environment_of(&loaded.model, environment, node)? else {
        tracing::debug!("no environment names this node");
        return Ok(None);
    };
    let (lowered, then) = lowered(loaded, &environment, node, facts, layout);
    let (resolved, promises, diagnostics) = lowered;
    let then = then.filter(|_| !resolved.components.is_empty());
    loaded.diagnostics.extend(diagnostics);
    // It may be large, and nothing more is asked of it where the node carries no components.
    if resolved.components.is_empty() {
        loaded.model = Model::default();
    }
    if !resolved.named {
        tracing::debug!(%environment, "the environment does not name this node");
        return Ok(None);
    }
    tracing::debug!(%environment, promises = promises.count(), "resolved");
    Ok(Some(Target { environment, resolved, promises, then }))
}

/// The promises that follow from the facts, as they are once these promises are kept.
fn lowered(
    loaded: &Loaded,
    environment: &str,
    node: &str,
    facts: &serde_json::Value,
    layout: &Layout,
) -> ((Resolved, Promises, Diagnostics), Option<Then>) {
    let releases = BTreeMap::new();
    let lower = |facts| {
        let input = NodeInput { environment, node, facts: Some(facts), releases: &releases };
        promised::lower(&loaded.model, &loaded.sources, &input)
    };
    let (resolved, promises, mut diagnostics) = lower(facts);
    let folder = layout.static_facts();
    let then = |promises| {
        let gather = |foreseen: &Foreseen| facts_then(layout, foreseen).0;
        foreseen::facts(promises, facts, &folder, gather)
    };
    let Some((facts_then, makers)) = then(&promises) else {
        return ((resolved, promises, diagnostics), None);
    };
    let (resolved_then, mut promises_then, diagnostics_then) = lower(&facts_then);
    if then(&promises_then).is_some_and(|(again, _)| again == facts_then) {
        tracing::debug!("resolve: from the facts as this run leaves them");
        let then = Then { facts: facts_then, makers, before: promises };
        then.wait(&mut promises_then);
        return ((resolved_then, promises_then, diagnostics_then), Some(then));
    }
    let first = promises.all.iter().find(|it| makers.contains(&it.id));
    let message =
        "it changes a fact from which it follows itself, so each run promises something else";
    if let Some(origin) = first.and_then(|it| it.origins.first()) {
        diagnostics.push(
            Diagnostic::warning(codes::CYCLE, origin.span, message)
                .help("say it without the facts that it changes"),
        );
    }
    ((resolved, promises, diagnostics), None)
}

/// Windows in time zones that this machine does not know. Only who takes a model in asks for this: one that
/// is kept already is kept, whatever becomes of the time zones.
pub fn unknown_zones(policy: &Policy) -> Diagnostics {
    policy.unknown_zones(|name| jiff::tz::TimeZone::get(name).is_ok())
}

/// The environment that is asked for, else the only one that names the node.
fn environment_of(
    model: &Model,
    asked: Option<&str>,
    node: &str,
) -> Result<Option<Arc<str>>, NodeError> {
    if let Some(asked) = asked {
        return match model.environments.get_key_value(asked) {
            Some((name, _)) => Ok(Some(Arc::clone(name))),
            None => {
                let there = model.environments.keys().cloned().collect();
                Err(NodeError::NoEnvironment { asked: asked.to_owned(), there })
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
            let (first, second) = (Arc::clone(first), Arc::clone(second));
            Err(NodeError::TwoEnvironments { node: node.to_owned(), first, second })
        }
    }
}

impl Loaded {
    /// What is wrong with the documents of its application is wrong with the component.
    pub(crate) fn with_documents(&self, mut placed: Placed) -> Placed {
        let known = self.model.catalog.applications.get(placed.id.application());
        for mistake in known.iter().flat_map(|it| it.mistakes.iter()) {
            placed.mistakes.push(mistake.clone());
        }
        placed
    }

    /// The warnings: a run remembers them, and shows them each time. Errors end it.
    pub fn sound(&self) -> Result<Vec<Diagnostic>, NodeError> {
        self.sound_or("nothing was changed")
    }

    /// The same, with what follows from an error.
    pub fn sound_or(&self, consequence: &'static str) -> Result<Vec<Diagnostic>, NodeError> {
        let all = |severity| {
            let its = self.diagnostics.iter().filter(move |it| it.severity == severity);
            its.cloned().collect::<Vec<Diagnostic>>()
        };
        let errors = all(Severity::Error);
        if errors.is_empty() {
            Ok(all(Severity::Warning))
        } else {
            let errors = Findings { all: errors, sources: self.sources.clone() };
            Err(NodeError::BadModel { errors, consequence })
        }
    }
}

/// The facts of this machine, and what could not be read of them.
pub fn facts(layout: &Layout) -> (serde_json::Value, Vec<String>) {
    facts_then(layout, &Foreseen::default())
}

/// The same, where this is about to be so.
pub(crate) fn facts_then(layout: &Layout, foreseen: &Foreseen) -> (serde_json::Value, Vec<String>) {
    let parse = |bytes: &[u8], is_json: bool| {
        if is_json {
            serde_json::from_slice(bytes).map_err(|it| it.to_string())
        } else {
            steadfast_model::check::data(bytes)
        }
    };
    steadfast_system::facts::gather(&layout.static_facts(), &parse, foreseen)
}

/// The name under which this machine looks for itself in the model.
pub fn node_name(asked: Option<&str>, facts: &serde_json::Value) -> String {
    let fact = |name: &str| facts.get(name).and_then(serde_json::Value::as_str);
    asked.or_else(|| fact("fqdn")).or_else(|| fact("hostname")).unwrap_or("localhost").to_owned()
}

/// Why a node has no such component.
#[derive(Clone, Debug)]
pub enum NotPlaced {
    NoNode,
    NoComponent {
        there: Vec<ComponentId>,
        /// What is wrong with the documents of its application: it may be there once that is put right.
        mistakes: Diagnostics,
    },
}

/// A component as a node is to have it, from the model and the facts that are recorded there.
pub fn component(
    loaded: &mut Loaded,
    environment: Option<&str>,
    node: &str,
    id: &ComponentId,
) -> Result<Result<Placed, NotPlaced>, NodeError> {
    let Some(environment) = environment_of(&loaded.model, environment, node)? else {
        return Ok(Err(NotPlaced::NoNode));
    };
    let facts = check::facts(node, &loaded.sources, &mut loaded.diagnostics);
    let input = NodeInput {
        environment: &environment,
        node,
        facts: facts.as_ref(),
        releases: &BTreeMap::new(),
    };
    let (resolved, diagnostics) = resolve(&loaded.model, &loaded.sources, &input);
    loaded.diagnostics.extend(diagnostics);
    loaded.sound_or("nothing can be said of its components")?;
    let there = resolved.components.iter().map(|it| it.id.clone()).collect();
    let found = resolved.components.into_iter().find(|it| it.id == *id);
    Ok(found.map(|it| loaded.with_documents(it)).ok_or_else(|| {
        let known = loaded.model.catalog.applications.get(id.application());
        let mistakes = known.map(|it| it.mistakes.clone()).unwrap_or_default();
        NotPlaced::NoComponent { there, mistakes }
    }))
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    pub nodes: usize,
    pub promises: usize,
}

/// Looks at every node of every environment. All that was wrong goes to `loaded`.
pub fn every_node(loaded: &mut Loaded) -> Checked {
    let (targets, diagnostics) = steadfast_model::check::targets(&loaded.model, &loaded.sources);
    loaded.diagnostics.extend(diagnostics);
    for mistake in loaded.model.catalog.mistakes() {
        loaded.diagnostics.push(mistake.clone());
    }
    let mut promises = 0;
    for target in &targets {
        let input = NodeInput {
            environment: &target.environment,
            node: &target.node,
            facts: target.facts.as_ref(),
            releases: &BTreeMap::new(),
        };
        let (resolved, lowered, diagnostics) =
            promised::check(&loaded.model, &loaded.sources, &input);
        loaded.diagnostics.extend(diagnostics);
        loaded.diagnostics.extend(unknown_zones(&resolved.policy));
        promises += lowered.count();
    }
    Checked { nodes: targets.len(), promises }
}

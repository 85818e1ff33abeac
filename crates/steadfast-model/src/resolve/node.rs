//! One node: the environment and the servers that the model names for it.

use super::resolver::{Resolver, Way};
use crate::application::{ComponentId, ReleaseId, Words};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Environment, Model, Selector};
use crate::expression::{Engine, for_values};
use crate::lower::Lower;
use crate::lower::suggest;
use crate::parameters::Fitting;
use crate::promise::{Author, Promise, Resolved};
use crate::select;
use crate::source::SourceSet;
use crate::span::{SourceId, Span};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Which node, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct NodeInput<'a> {
    pub environment: &'a str,
    pub node: &'a str,
    /// `None` where they are not known: in `check` without recorded facts.
    pub facts: Option<&'a serde_json::Value>,
    /// The releases at which components are to be, where that is not what the target says.
    pub releases: &'a BTreeMap<ComponentId, ReleaseId>,
}

/// The promises of one node, as far as they could be understood, and all that was wrong.
pub fn resolve(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
) -> (Resolved, Diagnostics) {
    let mut promises = vec![];
    let mut take = |_: &Resolved, promise| promises.push(promise);
    let (resolved, diagnostics) = resolve_each(model, sources, input, &mut take);
    (Resolved { promises, ..resolved }, diagnostics)
}

/// The same, and hands each promise of the node itself over with what was resolved before it. Who needs only one at a
/// time has only one at a time: the contents of all of them are large.
pub fn resolve_each(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
    take: &mut dyn FnMut(&Resolved, Promise),
) -> (Resolved, Diagnostics) {
    start(model, sources, input, None, take)
}

/// One component of a node alone, if the node carries it, with the promises that it makes with these words; its
/// parameters are in the trace. What is wrong with the node is not told.
pub fn resolve_component(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
    component: &ComponentId,
    words: &Words,
) -> Resolved {
    start(model, sources, input, Some((component, words)), &mut |_, _| {}).0
}

fn start<'a>(
    model: &'a Model,
    sources: &'a SourceSet,
    input: &NodeInput<'_>,
    only: Option<(&'a ComponentId, &'a Words)>,
    take: &'a mut dyn FnMut(&Resolved, Promise),
) -> (Resolved, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let Some(environment) = model.environments.get(input.environment) else {
        let nowhere = Span { source: SourceId(u32::MAX), start: 0, end: 0 };
        let message = format!("the model has no environment `{}`", input.environment);
        let error = Diagnostic::error(codes::UNKNOWN_ENVIRONMENT, nowhere, message);
        let names: Vec<&str> = model.environments.keys().map(|it| &**it).collect();
        diagnostics.push(suggest(error, input.environment, &names, "environments"));
        return (Resolved::default(), diagnostics);
    };
    let engine = for_values();
    let selector = select::select(environment, input.node, &mut diagnostics);
    let resolver = Resolver {
        model,
        sources,
        engine: Engine::new(&engine, sources),
        diagnostics,
        fitting: Fitting::default(),
        everywhere: Arc::default(),
        set: BTreeMap::new(),
        includes: vec![],
        circles: HashSet::new(),
        included: 0,
        full: false,
        take,
        taken: 0,
        of_component: None,
        of_everybody: BTreeMap::new(),
        only,
        resolved: Resolved { named: selector.is_some(), ..Resolved::default() },
    };
    resolver.node(environment, selector, input)
}

impl<'a> Resolver<'a> {
    fn node(
        mut self,
        environment: &'a Environment,
        selector: Option<&'a Selector>,
        input: &NodeInput<'_>,
    ) -> (Resolved, Diagnostics) {
        self.base(environment, selector, input);
        self.everywhere(environment, selector);
        self.policy(environment);
        let Some(selector) = selector else { return (self.resolved, self.diagnostics) };
        let keep = self.model.keep.max(environment.keep).max(selector.keep);
        for name in &selector.servers {
            let Some(server) = self.model.servers.get(&name.value) else {
                let message = format!("the model has no server `{}`", name.value);
                let error = Diagnostic::error(codes::UNKNOWN_SERVER, name.span, message);
                let names: Vec<&str> = self.model.servers.keys().map(|it| &**it).collect();
                self.diagnostics.push(suggest(error, &name.value, &names, "servers"));
                continue;
            };
            self.resolved.servers.push(Arc::clone(&name.value));
            if self.only.is_some() {
                continue;
            }
            let given = server.parameters.iter().filter_map(|parameter| {
                let name = &parameter.name.value;
                self.set.get(name).map(|given| (Arc::clone(name), given.clone()))
            });
            let given = given.collect();
            let author = Author::Server(Arc::clone(&name.value));
            self.bundle(server, given, name.span, Way::new(author, keep));
        }
        self.components(environment, selector, keep, input);
        self.neighbours();
        (self.resolved, self.diagnostics)
    }

    fn policy(&mut self, environment: &'a Environment) {
        let scope = Arc::clone(&self.everywhere);
        for policy in [&self.model.policy, &environment.policy].into_iter().flatten() {
            let policy = self.engine.substitute(policy, &scope, &mut self.diagnostics);
            let mut cx = Lower::new(&mut self.diagnostics, self.sources, &scope);
            self.resolved.policy.take(&policy, &mut cx);
        }
    }
}

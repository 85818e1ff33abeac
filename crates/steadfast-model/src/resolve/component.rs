//! The components of applications that one node carries: at which release, with which promises.

use super::node::NodeInput;
use super::resolver::{Resolver, Way};
use crate::application::component::{self, Settings};
use crate::application::{
    Application, Artifact, Artifacts, Component, ComponentId, Effective, FlagHere, FlagSource,
    Known, Target, names,
};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Environment, NODE_APPLICATION_FIELDS, Section, Selector};
use crate::keep::Keep;
use crate::lower::{Fields, Lower};
use crate::node::{Entry, Node};
use crate::parameters::Given;
use crate::promise::{Author, ParameterSource, Placed};
use crate::scope::Scope;
use crate::span::Spanned;
use std::collections::HashMap;
use std::sync::Arc;

/// The most components of one node.
const MAX_COMPONENTS: usize = 200;

/// Stands for the id of a deployment as long as there is none.
const NO_ID: &str = "000000000000";

impl<'a> Resolver<'a> {
    /// The components that the environment's targets place on this node.
    pub(super) fn components(
        &mut self,
        environment: &'a Environment,
        selector: &'a Selector,
        keep: Keep,
        input: &NodeInput<'_>,
    ) {
        for known in self.model.catalog.applications.values() {
            let Some(application) = &known.application else { continue };
            let Some(target) = known.targets.get(input.environment) else { continue };
            for component in application.components.values() {
                let is_here =
                    component.servers.iter().any(|it| self.resolved.servers.contains(&it.value));
                let name = &component.name.value;
                let position = known.effective(name, &target.release.value);
                let Some(effective) = position.filter(|_| is_here) else { continue };
                if self.resolved.components.len() == MAX_COMPONENTS {
                    let message = format!("the node has more than {MAX_COMPONENTS} components");
                    let error =
                        Diagnostic::error(codes::TOO_MANY_COMPONENTS, component.name.span, message);
                    return self.diagnostics.push(error);
                }
                let on =
                    On { known, application, target, component, effective, environment, selector };
                let outer = std::mem::take(&mut self.diagnostics);
                let placed = self.component(&on, keep, input);
                let mistakes = std::mem::replace(&mut self.diagnostics, outer);
                self.resolved.components.extend(placed.map(|it| Placed { mistakes, ..it }));
            }
        }
    }

    /// None where its own condition keeps it from this node.
    fn component(&mut self, on: &On<'a>, keep: Keep, input: &NodeInput<'_>) -> Option<Placed> {
        let outer = Arc::clone(&self.everywhere);
        self.of_component = Some(vec![]);
        let placed = self.placed(on, keep, input);
        self.everywhere = outer;
        let promises = self.of_component.take().unwrap_or_default();
        placed.map(|it| Placed { promises, ..it })
    }

    fn placed(&mut self, on: &On<'a>, keep: Keep, input: &NodeInput<'_>) -> Option<Placed> {
        let On { application, component, effective, .. } = on;
        let id = ComponentId::of(&application.name.value, &component.name.value);
        let author = Author::Component(id.clone());
        let keep = keep.max(application.keep).max(component.keep);
        let mut way = Way::new(author, keep);
        let flags = self.flags(on, input);
        let scope = self.names(on, &mut way, &flags);
        if let Some(when) = &component.when {
            match self.engine.condition(when, &scope, &mut self.diagnostics) {
                Some(true) => {}
                Some(false) => return None,
                None => way.conditional = true,
            }
        }
        let directory = self.directory(component, &scope);
        let with_directory = |scope: &Arc<Scope>| {
            let mut scope = Scope::clone(scope);
            scope.set("component", names::component(&component.name.value, directory.as_deref()));
            scope
        };
        let outside = Arc::new(with_directory(&scope));
        let inside = self.with_deployment(&outside, directory.as_deref(), None);
        // What it includes sees these names, its arguments those without the deployment.
        self.everywhere = Arc::new(self.with_names(on, &inside));
        for include in &component.include {
            self.include(include, &outside, &way);
        }
        for section in sections(component, effective) {
            self.section(&section, &inside, &way);
        }
        let settings = self.settings(component, &outside, directory.as_deref());
        Some(Placed {
            id,
            release: effective.position.id.value.clone(),
            span: component.name.span,
            keep,
            artifact: self.artifact(effective, input),
            directory,
            flags,
            settings,
            promises: vec![],
            mistakes: Diagnostics::default(),
        })
    }

    /// The scope of its expressions, as yet without its directory and its deployment.
    fn names(&mut self, on: &On<'a>, way: &mut Way, flags: &[FlagHere]) -> Arc<Scope> {
        let first = self.resolved.trace.len();
        let given = self.values(on);
        let outer = Arc::clone(&self.everywhere);
        let mut scope = Scope::clone(&outer);
        scope.set("application", names::application(on.application));
        scope.set("component", names::component(&on.component.name.value, None));
        scope.set("release", names::release(on.effective.position));
        scope.set("flags", names::flags(flags));
        self.everywhere = Arc::new(scope);
        let (parameters, at) = (&on.application.parameters, on.component.name.span);
        let scope = self.declared(parameters, given, at, way);
        self.everywhere = outer;
        way.parameters = first..self.resolved.trace.len();
        scope
    }

    /// The same names for the bundles that it includes, which do not see its parameters.
    fn with_names(&self, on: &On<'a>, inside: &Scope) -> Scope {
        let mut scope = Scope::clone(&self.everywhere);
        let declared =
            |name: &str| on.application.parameters.iter().any(|it| &*it.name.value == name);
        for name in ["application", "component", "release", "flags", "deployment"] {
            if let Some(value) = inside.get(name).filter(|_| !declared(name)) {
                scope.set(name, value.clone());
            }
        }
        scope
    }

    fn with_deployment(
        &self,
        scope: &Scope,
        directory: Option<&str>,
        port: Option<u16>,
    ) -> Arc<Scope> {
        let mut scope = Scope::clone(scope);
        if let Some(directory) = directory {
            scope.set("deployment", names::deployment(directory, NO_ID, port));
        }
        Arc::new(scope)
    }

    /// The values of the application's parameters: the innermost layer wins.
    fn values(&mut self, on: &On<'a>) -> HashMap<Arc<str>, Given> {
        let everywhere = Arc::clone(&self.everywhere);
        let mut given: HashMap<Arc<str>, Given> = HashMap::new();
        let node = self.of_node(on, "parameters");
        for parameter in &on.application.parameters {
            let name = &parameter.name.value;
            let set = self.set.get(name).cloned();
            let is_node = set.as_ref().is_some_and(|it| it.source == ParameterSource::Node);
            let of = |all: &[Entry]| all.iter().find(|(key, _)| key.value == *name).cloned();
            let inner = of(&node).map(|it| (ParameterSource::Node, it));
            let target = of(&on.target.parameters).map(|it| (ParameterSource::Target, it));
            let value = match inner.or_else(|| target.filter(|_| !is_node)) {
                Some((source, (key, raw))) => {
                    let node = self.engine.substitute(&raw, &everywhere, &mut self.diagnostics);
                    Some(Given { node, source, key: key.span })
                }
                None => set,
            };
            given.extend(value.map(|it| (Arc::clone(name), it)));
        }
        given
    }

    /// What the node itself says of the application.
    fn of_node(&mut self, on: &On<'a>, key: &str) -> Vec<Entry> {
        let own = &on.application.name.value;
        let Some((_, node)) = on.selector.applications.iter().find(|(name, _)| name.value == *own)
        else {
            return vec![];
        };
        // Its form was judged with the documents.
        let mut ignored = Diagnostics::default();
        let scope = Scope::default();
        let mut cx = Lower::new(&mut ignored, self.sources, &scope);
        let fields = Fields::read(node, "node's application", NODE_APPLICATION_FIELDS, &mut cx);
        match fields.and_then(|it| it.node(key).cloned()) {
            Some(Node::Map(entries, _)) => entries.to_vec(),
            Some(Node::Scalar(_) | Node::List(..) | Node::Unknown(_)) | None => vec![],
        }
    }

    /// The value of each flag here: the innermost layer wins, and a share that the node is not in falls
    /// through to the layer below.
    fn flags(&mut self, on: &On<'a>, input: &NodeInput<'_>) -> Vec<FlagHere> {
        let own = &on.application.name.value;
        let of_environment = on.environment.flags.iter().find(|(name, _)| name.value == *own);
        let of_environment = match of_environment {
            Some((_, Node::Map(entries, _))) => entries.to_vec(),
            Some(_) | None => vec![],
        };
        let layers = [
            (FlagSource::Node, self.of_node(on, "flags")),
            (FlagSource::Target, on.target.flags.clone()),
            (FlagSource::Environment, of_environment),
        ];
        // Their form was judged with the documents.
        let mut ignored = Diagnostics::default();
        let scope = Scope::default();
        let mut cx = Lower::new(&mut ignored, self.sources, &scope);
        let position = &on.effective.position.id.value.version;
        let all = on.application.flags.iter().map(|(name, flag)| {
            let said = layers.iter().find_map(|(source, layer)| {
                let (_, node) = layer.iter().find(|(key, _)| key.value == *name)?;
                Some((flag.here(node, own, input.node, &mut cx)?, *source))
            });
            let (value, source) =
                said.unwrap_or_else(|| (flag.default.clone(), FlagSource::Default));
            let is_read = on.known.reads(name, position);
            FlagHere { name: Arc::clone(name), value, source, is_read, flag: Arc::clone(flag) }
        });
        all.collect()
    }

    fn directory(&mut self, component: &'a Component, scope: &Arc<Scope>) -> Option<Arc<str>> {
        let node = component.directory.as_ref()?;
        let node = self.engine.substitute(node, scope, &mut self.diagnostics);
        let mut cx = Lower::new(&mut self.diagnostics, self.sources, scope);
        let path = cx.as_text(&node, "`directory`")?;
        let is_plain = path.value.len() > 1
            && path
                .value
                .strip_prefix('/')
                .is_some_and(|it| it.split('/').all(|part| !["", ".", ".."].contains(&part)));
        if !is_plain || path.value.contains(char::is_whitespace) {
            let message = format!("`{}` is not the path of a directory", path.value);
            cx.error(codes::BAD_PATH, path.span, message);
            return None;
        }
        Some(path.value)
    }

    fn settings(
        &mut self,
        component: &'a Component,
        outside: &Arc<Scope>,
        directory: Option<&str>,
    ) -> Option<Settings> {
        let body = component::own(&component.body);
        // Both slots are checked by the port of the first.
        let port = match body.get("slots") {
            Some(Node::List(items, _)) => items.iter().find_map(|it| match it {
                Node::Scalar(it) => it.value.text.parse().ok(),
                Node::List(..) | Node::Map(..) | Node::Unknown(_) => None,
            }),
            Some(_) | None => None,
        };
        let scope = self.with_deployment(outside, directory, port);
        let body = self.engine.substitute(&body, &scope, &mut self.diagnostics);
        let mut cx = Lower::new(&mut self.diagnostics, self.sources, &scope);
        Settings::read(&body, &mut cx)
    }

    /// The artifact of this machine's architecture.
    fn artifact(&mut self, effective: &Effective<'_>, input: &NodeInput<'_>) -> Option<Artifact> {
        let by_architecture = match effective.content.artifact.as_ref()? {
            Artifacts::One(artifact) => return Some(artifact.clone()),
            Artifacts::ByArchitecture(all) => all,
        };
        let architecture = input.facts?.get("architecture")?.as_str()?;
        let found = by_architecture.get(architecture);
        if found.is_none() {
            let span = effective.content.span;
            let message =
                format!("{} has no artifact for {architecture}", effective.position.id.value);
            let error = Diagnostic::error(codes::NO_ARTIFACT, span, message);
            let known: Vec<&str> = by_architecture.keys().map(|it| &**it).collect();
            self.diagnostics.push(error.help(format!("it has: {}", known.join(", "))));
        }
        found.cloned()
    }
}

/// Which component, and where it comes from.
struct On<'a> {
    known: &'a Known,
    application: &'a Application,
    target: &'a Target,
    component: &'a Component,
    effective: Effective<'a>,
    environment: &'a Environment,
    selector: &'a Selector,
}

/// Its sections, with the entries of releases in place of its own.
fn sections(component: &Component, effective: &Effective<'_>) -> Vec<Section> {
    let mut all: Vec<(&'static str, Vec<Entry>)> = vec![];
    let mut put = |kind: &'static str, entry: &Entry| {
        let at = all.iter().position(|(it, _)| *it == kind).unwrap_or_else(|| {
            all.push((kind, vec![]));
            all.len() - 1
        });
        all[at].1.push(entry.clone());
    };
    let replaced = |kind: &str, name: &Spanned<Arc<str>>| {
        effective.entries.iter().any(|(it, (other, _))| *it == kind && other.value == name.value)
    };
    for section in &component.sections {
        for entry in section.entries.iter().filter(|(name, _)| !replaced(section.kind, name)) {
            put(section.kind, entry);
        }
    }
    for (kind, entry) in &effective.entries {
        put(kind, entry);
    }
    all.into_iter().map(|(kind, entries)| Section { kind, entries: Arc::from(entries) }).collect()
}

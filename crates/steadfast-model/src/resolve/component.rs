//! The components of applications that one node carries: at which release, with which promises.

use super::node::NodeInput;
use super::resolver::{Resolver, Way};
use crate::application::component::{self, Settings};
use crate::application::{
    Application, Artifact, ArtifactKind, Artifacts, Component, ComponentId, Deployment, Effective,
    FlagHere, FlagSource, Known, PortSeen, Target, Words, names,
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
                if !is_here {
                    continue;
                }
                let id = ComponentId::of(&application.name.value, &component.name.value);
                let release = input.releases.get(&id).map(|it| &it.version);
                let at = release.unwrap_or(&target.release.value);
                let Some(effective) = known.effective(&component.name.value, at) else { continue };
                let is_asked = self.only.is_none_or(|(it, _)| *it == id);
                let on = On {
                    id,
                    known,
                    application,
                    target,
                    component,
                    effective,
                    environment,
                    selector,
                };
                let is_full = self.resolved.components.len() >= MAX_COMPONENTS;
                let placed = match (is_asked, is_full) {
                    (false, _) => None,
                    (true, true) => Some(self.beyond(&on)),
                    (true, false) => self.component(&on, keep, input),
                };
                self.resolved.components.extend(placed);
            }
        }
    }

    /// A component of which a node has too many: it is held, and whatever else the node carries is not.
    fn beyond(&mut self, on: &On<'a>) -> Placed {
        let message = format!(
            "{} has components past the first {MAX_COMPONENTS} of this node",
            on.application.name.value
        );
        let span = on.application.name.span;
        let mut mistakes = Diagnostics::default();
        let error = Diagnostic::error(codes::TOO_MANY_COMPONENTS, span, message);
        mistakes.push(error.help("those past the limit, by their names, are not deployed"));
        Placed { mistakes, ..self.bare(on, Keep::default()) }
    }

    /// None where its own condition keeps it from this node.
    fn component(&mut self, on: &On<'a>, keep: Keep, input: &NodeInput<'_>) -> Option<Placed> {
        let diagnostics = std::mem::take(&mut self.diagnostics);
        let everywhere = Arc::clone(&self.everywhere);
        self.of_component = Some(vec![]);
        let placed = self.placed(on, keep, input);
        self.of_component = None;
        self.everywhere = everywhere;
        let mistakes = std::mem::replace(&mut self.diagnostics, diagnostics);
        placed.map(|it| Placed { mistakes, ..it })
    }

    /// What is known of it before any expression is.
    fn bare(&self, on: &On<'a>, keep: Keep) -> Placed {
        let On { id, application, component, effective, .. } = on;
        Placed {
            id: id.clone(),
            release: effective.position.id.value.clone(),
            span: component.name.span,
            keep: keep.max(application.keep).max(component.keep),
            artifact: None,
            has_tree: effective.content.artifact.as_ref().is_some_and(|it| !it.is_package()),
            directory: None,
            flags: vec![],
            settings: None,
            promises: vec![],
            front: vec![],
            mistakes: Diagnostics::default(),
        }
    }

    fn placed(&mut self, on: &On<'a>, keep: Keep, input: &NodeInput<'_>) -> Option<Placed> {
        let On { id, component, effective, .. } = on;
        let bare = self.bare(on, keep);
        let mut way = Way::new(Author::Component(id.clone()), bare.keep);
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
        let mut outside = Scope::clone(&scope);
        outside.set("component", names::component(&component.name.value, directory.as_deref()));
        let outside = Arc::new(outside);
        let with_port = |port| self.with_deployment(on, &outside, directory.as_ref(), port);
        let inside = with_port(PortSeen::Never);
        let slotted = match component.body.get("slots") {
            Some(_) => with_port(PortSeen::AsWord),
            None => Arc::clone(&inside),
        };
        // What it includes sees these names, its arguments those without the deployment.
        self.everywhere = Arc::new(self.with_names(on, &inside));
        for include in &component.include {
            self.include(include, &outside, &way);
        }
        for section in sections(component, effective) {
            let (of_slots, whole) = parted(section);
            self.section(&whole, &inside, &way);
            self.section(&of_slots, &slotted, &way);
        }
        let promises = self.of_component.replace(vec![]).unwrap_or_default();
        self.front(component, &slotted, &way);
        let front = self.of_component.replace(vec![]).unwrap_or_default();
        let settings = self.settings(on, &outside, directory.as_ref());
        let artifact = self.artifact(effective, input);
        Some(Placed { artifact, directory, flags, settings, promises, front, ..bare })
    }

    /// The files that lead the traffic.
    fn front(&mut self, component: &'a Component, scope: &Arc<Scope>, way: &Way) {
        let files = component.body.get("front").and_then(|it| it.get("files"));
        if let Some(Node::Map(entries, _)) = files {
            let section = Section { kind: "file", entries: Arc::clone(entries) };
            self.section(&section, scope, way);
        }
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
        for name in ["application", "component", "release", "flags"] {
            if let Some(value) = inside.get(name).filter(|_| !declared(name)) {
                scope.set(name, value.clone());
            }
        }
        if let Some(deployment) = inside.deployment() {
            scope.set_deployment(Arc::clone(deployment));
        }
        scope
    }

    fn with_deployment(
        &self,
        on: &On<'a>,
        scope: &Scope,
        directory: Option<&Arc<str>>,
        port: PortSeen,
    ) -> Arc<Scope> {
        let mut scope = Scope::clone(scope);
        if let Some(directory) = directory {
            let standing_in = Words::standing_in();
            let words = self.only.map_or(&standing_in, |(_, words)| words);
            let deployment = Deployment::new(&on.id, directory, words, port);
            scope.set_deployment(Arc::new(deployment));
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
                None => {
                    if set.is_some() {
                        let application = Arc::clone(&on.application.name.value);
                        let its = self.of_everybody.entry(Arc::clone(name)).or_default();
                        its.insert(application, parameter.name.span);
                    }
                    set
                }
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
        if !component::is_plain_path(&path.value) {
            let message = format!("`{}` is not the path of a directory", path.value);
            cx.error(codes::BAD_PATH, path.span, message);
            return None;
        }
        Some(path.value)
    }

    fn settings(
        &mut self,
        on: &On<'a>,
        outside: &Arc<Scope>,
        directory: Option<&Arc<str>>,
    ) -> Option<Settings> {
        let body = component::own(&on.component.body);
        // Both slots are checked by the port of the first.
        let port = match body.get("slots") {
            Some(Node::List(items, _)) => items.iter().find_map(|it| match it {
                Node::Scalar(it) => it.value.text.parse().ok(),
                Node::List(..) | Node::Map(..) | Node::Unknown(_) => None,
            }),
            Some(_) | None => None,
        };
        let port = port.map_or(PortSeen::Never, PortSeen::As);
        let scope = self.with_deployment(on, outside, directory, port);
        let body = self.engine.substitute(&body, &scope, &mut self.diagnostics);
        let mut cx = Lower::new(&mut self.diagnostics, self.sources, &scope);
        Settings::read(&body, &self.resolved.policy.deploying, &mut cx)
    }

    /// The artifact of this machine's architecture.
    fn artifact(&mut self, effective: &Effective<'_>, input: &NodeInput<'_>) -> Option<Artifact> {
        let by_architecture = match effective.content.artifact.as_ref()? {
            Artifacts::One(artifact) => return Some(self.in_model(artifact)),
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
        found.map(|it| self.in_model(it))
    }

    /// The artifact, and a report where it is to be a directory of the model that there is not.
    fn in_model(&mut self, artifact: &Artifact) -> Artifact {
        if let ArtifactKind::Files(files) = &artifact.kind
            && let Some(folder) = files.url.value.folder()
            && !self.sources.has_below(folder)
        {
            let message = format!("the model has no files below `{folder}/`");
            let error = Diagnostic::error(codes::UNKNOWN_FILE, files.url.span, message);
            self.diagnostics.push(error.help("the path of a directory, below the model's root"));
        }
        artifact.clone()
    }
}

/// Which component, and where it comes from.
struct On<'a> {
    id: ComponentId,
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

/// The services of a section that run once for each slot, which are templates of systemd's, and all else.
fn parted(section: Section) -> (Section, Section) {
    let is_of_slots =
        |name: &str| section.kind == "service" && (name.ends_with('@') || name.contains("@."));
    let (of_slots, whole): (Vec<Entry>, Vec<Entry>) =
        section.entries.iter().cloned().partition(|(name, _)| is_of_slots(&name.value));
    let part = |entries: Vec<Entry>| Section { kind: section.kind, entries: Arc::from(entries) };
    (part(of_slots), part(whole))
}

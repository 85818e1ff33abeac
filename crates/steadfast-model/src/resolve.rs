//! From the documents of a model to the promises of one node: which servers it is, what their
//! parameters are, what they include, and every expression replaced by its value.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Bundle, Environment, Include, Model, Parameter, Section, Selector};
use crate::expression::{Engine, for_values};
use crate::keep::Keep;
use crate::lower::{Lower, nearest};
use crate::node::{Entry, Node, Value};
use crate::parameters::{Fitting, Given, compute};
use crate::promise::{Origin, ParameterSource, ParameterTrace, Promise, PromiseId, Resolved};
use crate::scope::Scope;
use crate::section::COMMON_FIELDS;
use crate::source::SourceSet;
use crate::span::{SourceId, Span, Spanned};
use crate::substitute::twice;
use crate::{select, value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// How deep bundles may include each other.
const MAX_INCLUDES: usize = 32;
/// The most promises, and the most included bundles, of one node.
const MAX_PROMISES: usize = 100_000;

/// Which node, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct NodeInput<'a> {
    pub environment: &'a str,
    pub node: &'a str,
    /// `None` where they are not known: in `check` without recorded facts.
    pub facts: Option<&'a serde_json::Value>,
}

/// The promises of one node, as far as they could be understood, and all that was wrong.
pub fn resolve(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
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
        resolved: Resolved { named: selector.is_some(), ..Resolved::default() },
    };
    resolver.node(environment, selector, input)
}

struct Resolver<'a> {
    model: &'a Model,
    sources: &'a SourceSet,
    engine: Engine<'a>,
    diagnostics: Diagnostics,
    fitting: Fitting,
    /// `facts`, `node`, `environment`, and the names that model, environment and node set.
    everywhere: Arc<Scope>,
    /// Those names with their values.
    set: BTreeMap<Arc<str>, Given>,
    /// The bundles that are being included, and where.
    includes: Vec<(Arc<str>, Span)>,
    /// The includes that close a circle and have been reported.
    circles: HashSet<Span>,
    included: usize,
    /// Whether there is more than a node may have, which is told once.
    full: bool,
    resolved: Resolved,
}

/// How the document that is being read came to be read.
#[derive(Clone)]
struct Way {
    /// `server web`, `bundle std/ssh`.
    by: Arc<str>,
    keep: Keep,
    conditional: bool,
    via: Vec<Span>,
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
            let given = server.parameters.iter().filter_map(|parameter| {
                let name = &parameter.name.value;
                self.set.get(name).map(|given| (Arc::clone(name), given.clone()))
            });
            let given = given.collect();
            let by = Arc::from(format!("server {}", name.value));
            let way = Way { by, keep, conditional: false, via: vec![] };
            self.bundle(server, given, name.span, way);
        }
        (self.resolved, self.diagnostics)
    }

    /// `facts`, `node` and `environment`.
    fn base(
        &mut self,
        environment: &'a Environment,
        selector: Option<&'a Selector>,
        input: &NodeInput<'_>,
    ) {
        let mut scope = Scope::default();
        scope.set("facts", input.facts.map_or_else(value::unknown, value::of_json));
        let name = &environment.name;
        let named = map([("name", Node::text(Arc::clone(&name.value), name.span))], name.span);
        scope.set_node("environment", &named);
        let span = selector.map_or(name.span, |it| it.nodes.span);
        let short = input.node.split('.').next().unwrap_or(input.node);
        let servers = selector.map_or(&[][..], |it| &it.servers);
        let servers: Vec<Node> =
            servers.iter().map(|it| Node::text(Arc::clone(&it.value), it.span)).collect();
        let node = |labels: Node| {
            let entries = [
                ("name", Node::text(input.node, span)),
                ("short", Node::text(short, span)),
                ("labels", labels),
                ("servers", Node::List(Arc::from(servers.clone()), span)),
            ];
            map(entries, span)
        };
        // Labels may name the node, so it is there without them first.
        scope.set_node("node", &node(map([], span)));
        let mut scope = Arc::new(scope);
        let labels = selector.map_or(&[][..], |it| &it.labels);
        if !labels.is_empty() {
            let labels = Node::Map(Arc::from(labels), span);
            let labels = self.engine.substitute(&labels, &scope, &mut self.diagnostics);
            Arc::make_mut(&mut scope).set_node("node", &node(labels));
        }
        self.everywhere = scope;
    }

    /// The names that model, environment and node set: the innermost wins, then each is computed.
    fn everywhere(&mut self, environment: &'a Environment, selector: Option<&'a Selector>) {
        let layers = [
            (ParameterSource::Model, &*self.model.parameters),
            (ParameterSource::Environment, &*environment.parameters),
            (ParameterSource::Node, selector.map_or(&[][..], |it| &it.parameters)),
        ];
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut winners: Vec<(ParameterSource, Entry)> = vec![];
        for (source, entries) in layers {
            for (key, node) in entries {
                if RESERVED.contains(&&*key.value) {
                    self.diagnostics.push(reserved(key));
                    continue;
                }
                let winner = (source, (key.clone(), node.clone()));
                if let Some(at) = places.get(&*key.value) {
                    winners[*at] = winner;
                } else {
                    places.insert(&key.value, winners.len());
                    winners.push(winner);
                }
            }
        }
        let (sources, pending): (Vec<_>, Vec<_>) = winners.into_iter().unzip();
        let (engine, diagnostics) = (&mut self.engine, &mut self.diagnostics);
        let values = compute(&pending, &mut self.everywhere, engine, diagnostics);
        for ((source, (key, raw)), node) in sources.into_iter().zip(pending).zip(values) {
            self.resolved.trace.push(ParameterTrace {
                owner: Arc::from("everywhere"),
                name: Arc::clone(&key.value),
                value: node.clone(),
                source,
                span: raw.span(),
            });
            self.set.insert(key.value, Given { node, source, key: key.span });
        }
    }

    fn policy(&mut self, environment: &'a Environment) {
        let scope = Arc::clone(&self.everywhere);
        for policy in [&self.model.policy, &environment.policy].into_iter().flatten() {
            let policy = self.engine.substitute(policy, &scope, &mut self.diagnostics);
            let mut cx = Lower::new(&mut self.diagnostics, self.sources, &scope);
            self.resolved.policy.take(&policy, &mut cx);
        }
    }

    /// Everything that a server or bundle says, with the values that its parameters were given.
    fn bundle(
        &mut self,
        bundle: &'a Bundle,
        given: HashMap<Arc<str>, Given>,
        at: Span,
        mut way: Way,
    ) {
        way.keep = way.keep.max(bundle.keep);
        let scope = self.parameters(bundle, given, at, &way);
        for include in &bundle.include {
            self.include(include, &scope, &way);
        }
        for section in &bundle.sections {
            self.section(section, &scope, &way);
        }
    }

    /// The names that a server or bundle sees: those that are seen everywhere, and its parameters. A
    /// bad value has been reported, and becomes unknown.
    fn parameters(
        &mut self,
        bundle: &'a Bundle,
        mut given: HashMap<Arc<str>, Given>,
        at: Span,
        way: &Way,
    ) -> Arc<Scope> {
        if bundle.parameters.is_empty() {
            return Arc::clone(&self.everywhere);
        }
        let mut scope = Arc::clone(&self.everywhere);
        let mut pending: Vec<(Spanned<Arc<str>>, Node)> = vec![];
        let mut defaults: Vec<&'a Parameter> = vec![];
        let names = Arc::make_mut(&mut scope);
        for parameter in &bundle.parameters {
            let name = &parameter.name;
            if RESERVED.contains(&&*name.value) {
                self.diagnostics.push(reserved(name));
                continue;
            }
            if let Some(given) = given.remove(&name.value) {
                let fits = self.fitting.fits(parameter, &given.node, false, &mut self.diagnostics);
                let node = if fits { given.node } else { Node::Unknown(given.key) };
                names.set_node(Arc::clone(&name.value), &node);
                self.trace(&way.by, name, &node, given.source, node.span());
                continue;
            }
            if let Some(hidden) = self.set.get(&name.value) {
                self.diagnostics.push(hides(name, &way.by, hidden.key));
            }
            if let Some(default) = &parameter.default {
                // Until it is computed it must not be seen as what it hides.
                names.set_node(Arc::clone(&name.value), &Node::Unknown(default.span()));
                pending.push((name.clone(), default.clone()));
                defaults.push(parameter);
            } else {
                let message = format!("{} needs a value for `{}`", way.by, name.value);
                let error = Diagnostic::error(codes::MISSING_PARAMETER, at, message);
                let help = if way.via.is_empty() {
                    format!(
                        "set it under `parameters` of the node, the environment or the model, or give `{}` a default",
                        name.value
                    )
                } else {
                    format!("pass it with the include: {{ {}: … }}", name.value)
                };
                self.diagnostics.push(error.related(name.span, "declared here").help(help));
                names.set_node(Arc::clone(&name.value), &Node::Unknown(at));
            }
        }
        let (engine, diagnostics) = (&mut self.engine, &mut self.diagnostics);
        let values = compute(&pending, &mut scope, engine, diagnostics);
        for ((name, raw), (parameter, node)) in pending.iter().zip(defaults.into_iter().zip(values))
        {
            if !self.fitting.fits(parameter, &node, true, &mut self.diagnostics) {
                let unknown = Node::Unknown(raw.span());
                Arc::make_mut(&mut scope).set_node(Arc::clone(&name.value), &unknown);
            }
            self.trace(&way.by, name, &node, ParameterSource::Default, raw.span());
        }
        scope
    }

    fn trace(
        &mut self,
        owner: &Arc<str>,
        name: &Spanned<Arc<str>>,
        node: &Node,
        source: ParameterSource,
        span: Span,
    ) {
        let (owner, name) = (Arc::clone(owner), Arc::clone(&name.value));
        self.resolved.trace.push(ParameterTrace { owner, name, value: node.clone(), source, span });
    }

    fn include(&mut self, include: &'a Include, scope: &Arc<Scope>, way: &Way) {
        let mut way = way.clone();
        let Some(items) = &include.for_each else {
            return self.include_one(include, scope, &mut way);
        };
        let items = self.engine.substitute(items, scope, &mut self.diagnostics);
        let each = match &items {
            Node::List(items, _) => items.to_vec(),
            Node::Map(entries, _) => entries
                .iter()
                .map(|(key, node)| {
                    let name = Node::text(Arc::clone(&key.value), key.span);
                    map([("key", name), ("value", node.clone())], key.span)
                })
                .collect(),
            // What does not hang on the item can still be checked, once.
            Node::Unknown(_) => {
                way.conditional = true;
                vec![items.clone()]
            }
            Node::Scalar(it) => {
                let message =
                    format!("`for_each` must be a list or a map, and is {}", items.describe());
                self.diagnostics.push(Diagnostic::error(codes::WRONG_TYPE, it.span, message));
                return;
            }
        };
        let mut scope = Arc::clone(scope);
        for item in &each {
            if self.full {
                return;
            }
            Arc::make_mut(&mut scope).set_node("item", item);
            let scope = Arc::clone(&scope);
            self.include_one(include, &scope, &mut way.clone());
        }
    }

    fn include_one(&mut self, include: &'a Include, scope: &Arc<Scope>, way: &mut Way) {
        let name = &include.bundle;
        if let Some(when) = &include.when {
            match self.engine.condition(when, scope, &mut self.diagnostics) {
                Some(true) => {}
                Some(false) => return,
                None => way.conditional = true,
            }
        }
        let Some(name) = self.engine.name(name, scope, &mut self.diagnostics) else { return };
        let Some((known, bundle)) = self.model.bundles.get_key_value(&name.value) else {
            let message = format!("there is no bundle `{}`", name.value);
            let error = Diagnostic::error(codes::UNKNOWN_BUNDLE, name.span, message);
            let names: Vec<&str> = self.model.bundles.keys().map(|it| &**it).collect();
            return self.diagnostics.push(suggest(error, &name.value, &names, "bundles"));
        };
        if !self.may_include(&name) {
            return;
        }
        let given = self.arguments(include, bundle, scope);
        let mut via = way.via.clone();
        via.push(include.span);
        let by = Arc::from(format!("bundle {known}"));
        let inner = Way { by, keep: way.keep, conditional: way.conditional, via };
        self.includes.push((name.value, name.span));
        self.bundle(bundle, given, name.span, inner);
        self.includes.pop();
    }

    /// Whether a bundle may be taken in here: not within itself, not too deep, not too many.
    fn may_include(&mut self, name: &Spanned<Arc<str>>) -> bool {
        if let Some(start) = self.includes.iter().position(|(it, _)| *it == name.value) {
            let circle = &self.includes[start..];
            let mut names: Vec<&str> = circle.iter().map(|(name, _)| &**name).collect();
            names.push(&name.value);
            if !self.circles.insert(name.span) {
                return false; // The same include, reached on another way.
            }
            let message = format!("a bundle includes itself: {}", names.join(" → "));
            let mut error = Diagnostic::error(codes::CYCLE, name.span, message);
            for (name, span) in circle {
                error = error.related(*span, format!("{name} is included here"));
            }
            self.diagnostics.push(error);
            return false;
        }
        if self.includes.len() >= MAX_INCLUDES {
            let message = format!("bundles include each other deeper than {MAX_INCLUDES}");
            self.diagnostics.push(Diagnostic::error(codes::TOO_DEEP, name.span, message));
            return false;
        }
        self.included += 1;
        self.has_room(self.included, name.span)
    }

    fn has_room(&mut self, count: usize, span: Span) -> bool {
        if count > MAX_PROMISES && !self.full {
            self.full = true;
            let message =
                format!("the node has more than {MAX_PROMISES} promises or included bundles");
            self.diagnostics.push(Diagnostic::error(codes::TOO_LARGE, span, message));
        }
        !self.full
    }

    /// The arguments of an include, computed where it stands.
    fn arguments(
        &mut self,
        include: &'a Include,
        bundle: &'a Bundle,
        scope: &Arc<Scope>,
    ) -> HashMap<Arc<str>, Given> {
        let mut given: HashMap<Arc<str>, Given> = HashMap::new();
        for (key, node) in &include.arguments {
            let Some(key) = self.engine.name(key, scope, &mut self.diagnostics) else { continue };
            let node = self.engine.substitute(node, scope, &mut self.diagnostics);
            if !bundle.parameters.iter().any(|it| it.name.value == key.value) {
                let message =
                    format!("`{}` is not a parameter of {}", key.value, include.bundle.value);
                let error = Diagnostic::error(codes::UNKNOWN_PARAMETER, key.span, message)
                    .related(bundle.name.span, "the bundle");
                let names: Vec<&str> = bundle.parameters.iter().map(|it| &*it.name.value).collect();
                self.diagnostics.push(suggest(error, &key.value, &names, "its parameters"));
                continue;
            }
            if let Some(first) = given.get(&key.value) {
                self.diagnostics.push(twice(&key, first.key));
                continue;
            }
            let (source, span) = (ParameterSource::Argument, key.span);
            given.insert(key.value, Given { node, source, key: span });
        }
        given
    }

    fn section(&mut self, section: &'a Section, scope: &Arc<Scope>, way: &Way) {
        let has_dynamic_names =
            section.entries.iter().any(|(key, _)| crate::expression::is_dynamic(&key.value));
        let mut seen: HashMap<Arc<str>, Span> = HashMap::new();
        for (key, body) in section.entries.iter() {
            let mut conditional = way.conditional;
            if let Some(when) = body.get("when") {
                match self.engine.condition(when, scope, &mut self.diagnostics) {
                    Some(true) => {}
                    Some(false) => continue,
                    None => conditional = true,
                }
            }
            // A promise whose name is not known here cannot be told from others.
            let Some(name) = self.engine.name(key, scope, &mut self.diagnostics) else { continue };
            if has_dynamic_names {
                if let Some(first) = seen.get(&name.value) {
                    self.diagnostics.push(twice(&name, *first));
                    continue;
                }
                seen.insert(Arc::clone(&name.value), name.span);
            }
            let body = without(body, &["when"]);
            let body = self.engine.substitute(&body, scope, &mut self.diagnostics);
            // An expression may have given the whole body, with a condition in it.
            if let Some(when) = body.get("when") {
                match self.engine.condition(when, scope, &mut self.diagnostics) {
                    Some(true) => {}
                    Some(false) => continue,
                    None => conditional = true,
                }
            }
            if !self.has_room(self.resolved.promises.len() + 1, key.span) {
                return;
            }
            self.promise(section.kind, name, &body, conditional, scope, way);
        }
    }

    fn promise(
        &mut self,
        kind: &'static str,
        name: Spanned<Arc<str>>,
        body: &Node,
        conditional: bool,
        scope: &Arc<Scope>,
        way: &Way,
    ) {
        let mut cx = Lower::new(&mut self.diagnostics, self.sources, scope);
        let needs = texts(body, "after", &mut cx);
        let needs = needs.into_iter().filter_map(|it| need(it, &mut cx)).collect();
        let reloads = texts(body, "reloads", &mut cx);
        let restarts = texts(body, "restarts", &mut cx);
        let keep = body.get("keep").and_then(|node| {
            let word = cx.as_text(node, "`keep`")?;
            match &*word.value {
                "repair" => Some(Keep::Repair),
                "report" => Some(Keep::Report),
                other => {
                    let message = format!("`keep` cannot be `{other}`");
                    let error = Diagnostic::error(codes::BAD_VALUE, word.span, message);
                    cx.report(suggest(error, other, &["repair", "report"], "one of"));
                    None
                }
            }
        });
        let description = body
            .get("description")
            .and_then(|node| cx.as_text(node, "`description`"))
            .map(|text| text.value);
        self.resolved.promises.push(Promise {
            id: PromiseId::new(kind, &name.value),
            kind,
            origin: Origin { span: name.span, by: Arc::clone(&way.by), via: way.via.clone() },
            name,
            body: without(body, COMMON_FIELDS),
            needs,
            reloads,
            restarts,
            keep: way.keep.max(keep.unwrap_or_default()),
            description,
            scope: Arc::clone(scope),
            conditional,
        });
    }
}

/// Names that cannot be set, because they mean something everywhere or will.
const RESERVED: [&str; 7] =
    ["facts", "node", "environment", "application", "release", "flags", "item"];

fn reserved(name: &Spanned<Arc<str>>) -> Diagnostic {
    let message = format!("`{}` cannot be the name of a parameter", name.value);
    Diagnostic::error(codes::BAD_NAME, name.span, message)
        .help(format!("these names have a meaning of their own: {}", RESERVED.join(", ")))
}

fn hides(name: &Spanned<Arc<str>>, by: &str, hidden: Span) -> Diagnostic {
    let message = format!(
        "in {by}, `{0}` is its parameter, not the `{0}` that is set everywhere",
        name.value
    );
    Diagnostic::hint(codes::HIDDEN_NAME, name.span, message)
        .related(hidden, "this one is not seen there")
        .help(format!(
            "where it is meant, pass it with the include: {{ {0}: \"{{{{ {0} }}}}\" }}",
            name.value
        ))
}

fn suggest(error: Diagnostic, word: &str, known: &[&str], what: &str) -> Diagnostic {
    let error = match nearest(word, known) {
        Some(near) => error.label(format!("did you mean `{near}`?")),
        None => error,
    };
    match known {
        [] => error.help(format!("{what}: none")),
        [..] => error.help(format!("{what}: {}", known.join(", "))),
    }
}

fn map<const N: usize>(entries: [(&str, Node); N], span: Span) -> Node {
    let entries = entries.map(|(key, node)| (Spanned::new(Arc::from(key), span), node));
    Node::Map(Arc::from(entries), span)
}

/// A map less some of its keys; anything else as it is.
fn without(node: &Node, keys: &[&str]) -> Node {
    let is_out = |entry: &Entry| keys.contains(&&*entry.0.value);
    match node {
        Node::Map(entries, span) if entries.iter().any(is_out) => {
            Node::Map(entries.iter().filter(|it| !is_out(it)).cloned().collect(), *span)
        }
        Node::Map(..) | Node::Scalar(_) | Node::List(..) | Node::Unknown(_) => node.clone(),
    }
}

/// A text or a list of texts. What is not known here is left out.
fn texts(body: &Node, key: &str, cx: &mut Lower<'_>) -> Vec<Spanned<Arc<str>>> {
    let what = format!("`{key}`");
    match body.get(key) {
        None => vec![],
        Some(Node::List(items, _)) => {
            items.iter().filter_map(|item| cx.as_text(item, &what)).collect()
        }
        Some(Node::Scalar(it)) if it.value.value == Value::Null => vec![],
        Some(node) => cx.as_text(node, &what).into_iter().collect(),
    }
}

fn need(text: Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<Spanned<PromiseId>> {
    let kinds: Vec<&str> = crate::section::SECTIONS.iter().map(|(_, kind)| *kind).collect();
    let kind = text.value.split_once(':').filter(|(_, name)| !name.is_empty()).map(|(it, _)| it);
    if kind.is_some_and(|kind| kinds.contains(&kind)) {
        return Some(text.map(PromiseId));
    }
    let message = format!("`{}` is not the id of a promise", text.value);
    let error = Diagnostic::error(codes::BAD_VALUE, text.span, message);
    let error = match kind.and_then(|kind| nearest(kind, &kinds)) {
        Some(near) => error.label(format!("did you mean `{near}`?")),
        None => error,
    };
    cx.report(error.help(format!("KIND:NAME, as in file:/etc/motd; kinds: {}", kinds.join(", "))));
    None
}

#[cfg(test)]
mod tests;

//! Everything that a server, bundle or component says, and the bundles that it includes.

use super::resolver::{Resolver, Way, map};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Bundle, Include};
use crate::lower::suggest;
use crate::node::Node;
use crate::parameters::Given;
use crate::promise::{Author, ParameterSource};
use crate::scope::Scope;
use crate::span::{Span, Spanned};
use crate::substitute::twice;
use std::collections::HashMap;
use std::sync::Arc;

/// How deep bundles may include each other.
const MAX_INCLUDES: usize = 32;
impl<'a> Resolver<'a> {
    /// Everything that a server or bundle says, with the values that its parameters were given.
    pub(super) fn bundle(
        &mut self,
        bundle: &'a Bundle,
        given: HashMap<Arc<str>, Given>,
        at: Span,
        mut way: Way,
    ) {
        way.keep = way.keep.max(bundle.keep);
        let first = self.resolved.trace.len();
        let scope = self.parameters(bundle, given, at, &way);
        way.parameters = first..self.resolved.trace.len();
        for include in &bundle.include {
            self.include(include, &scope, &way);
        }
        for section in &bundle.sections {
            self.section(section, &scope, &way);
        }
    }

    pub(super) fn include(&mut self, include: &'a Include, scope: &Arc<Scope>, way: &Way) {
        let mut way = way.clone();
        // What is taken in, and with which arguments, decides what the deployment is.
        let scope = &scope.without_deployment();
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
        let inner = way.include(Author::Bundle(Arc::clone(known)), include.span);
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
}

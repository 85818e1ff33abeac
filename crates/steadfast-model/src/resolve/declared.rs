//! The names that a server, bundle or component declares: what it was given, and its defaults.

use super::resolver::{
    RESERVED, RESERVED_IN_COMPONENTS, Resolver, Way, reserved, reserved_in_components,
};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Bundle, Parameter};
use crate::node::Node;
use crate::parameters::{Given, compute};
use crate::promise::{Author, ParameterSource};
use crate::scope::{DEPLOYMENT, Scope};
use crate::span::{Span, Spanned};
use std::collections::HashMap;
use std::sync::Arc;

impl<'a> Resolver<'a> {
    /// The names that an author sees: those that are seen everywhere, and its parameters. A bad value
    /// has been reported, and becomes unknown.
    pub(super) fn parameters(
        &mut self,
        bundle: &'a Bundle,
        given: HashMap<Arc<str>, Given>,
        at: Span,
        way: &Way,
    ) -> Arc<Scope> {
        self.declared(&bundle.parameters, given, at, way)
    }

    /// The same for the parameters of whatever declares them.
    pub(super) fn declared(
        &mut self,
        parameters: &'a [Parameter],
        mut given: HashMap<Arc<str>, Given>,
        at: Span,
        way: &Way,
    ) -> Arc<Scope> {
        if parameters.is_empty() {
            return Arc::clone(&self.everywhere);
        }
        // Parameters are computed before there is a deployment.
        let mut scope = self.everywhere.without_deployment();
        let names = Arc::make_mut(&mut scope);
        let mut defaults: Vec<(&'a Parameter, &'a Node)> = vec![];
        for parameter in parameters {
            let name = &parameter.name;
            if RESERVED.contains(&&*name.value) {
                self.diagnostics.push(reserved(name));
                continue;
            }
            if RESERVED_IN_COMPONENTS.contains(&&*name.value) {
                if let Author::Component(_) = way.author {
                    self.diagnostics.push(reserved(name));
                    continue;
                }
                self.diagnostics.push(reserved_in_components(name));
            }
            if let Some(given) = given.remove(&name.value) {
                let node = self.given(parameter, given, way);
                names.set_node(Arc::clone(&name.value), &node);
                continue;
            }
            if let Some(hidden) = self.set.get(&name.value) {
                self.diagnostics.push(hides(name, &way.by, hidden.key));
            }
            // Until a default is computed it must not be seen as what it hides.
            let nothing = match &parameter.default {
                Some(default) => {
                    defaults.push((parameter, default));
                    default.span()
                }
                None => {
                    self.diagnostics.push(missing(name, at, way));
                    at
                }
            };
            names.set_node(Arc::clone(&name.value), &Node::Unknown(nothing));
        }
        self.defaults(&defaults, &mut scope, way);
        if let Some(deployment) = self.everywhere.deployment()
            && scope.get(DEPLOYMENT).is_none()
        {
            Arc::make_mut(&mut scope).set_deployment(Arc::clone(deployment));
        }
        scope
    }

    /// The value that a parameter was given, if it takes it.
    fn given(&mut self, parameter: &Parameter, given: Given, way: &Way) -> Node {
        let fits = self.fitting.fits(parameter, &given.node, false, &mut self.diagnostics);
        let node = if fits { given.node } else { Node::Unknown(given.key) };
        self.trace(&way.by, &parameter.name, &node, given.source, node.span());
        node
    }

    /// Computes the defaults of the parameters that were given no value.
    fn defaults(
        &mut self,
        defaults: &[(&'a Parameter, &'a Node)],
        scope: &mut Arc<Scope>,
        way: &Way,
    ) {
        let pending: Vec<(Spanned<Arc<str>>, Node)> = defaults
            .iter()
            .map(|(parameter, default)| (parameter.name.clone(), (*default).clone()))
            .collect();
        let values = compute(&pending, scope, &mut self.engine, &mut self.diagnostics);
        for ((parameter, default), node) in defaults.iter().zip(values) {
            let name = &parameter.name;
            if !self.fitting.fits(parameter, &node, true, &mut self.diagnostics) {
                let unknown = Node::Unknown(default.span());
                Arc::make_mut(scope).set_node(Arc::clone(&name.value), &unknown);
            }
            self.trace(&way.by, name, &node, ParameterSource::Default, default.span());
        }
    }
}

fn missing(name: &Spanned<Arc<str>>, at: Span, way: &Way) -> Diagnostic {
    let message = format!("{} needs a value for `{}`", way.by, name.value);
    let help = match &way.author {
        Author::Server(_) | Author::Component(_) => format!(
            "set it under `parameters` of the node, the environment or the model, or give `{}` a default",
            name.value
        ),
        Author::Bundle(_) => format!("pass it with the include: {{ {}: … }}", name.value),
    };
    Diagnostic::error(codes::MISSING_PARAMETER, at, message)
        .related(name.span, "declared here")
        .help(help)
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

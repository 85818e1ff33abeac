//! The names that are seen everywhere on a node: `facts`, `node`, `environment`, and what model,
//! environment and node set.

use super::node::NodeInput;
use super::resolver::{RESERVED, Resolver, map, reserved};
use crate::document::{Environment, Selector};
use crate::node::{Entry, Node};
use crate::parameters::{Given, compute};
use crate::promise::{ParameterSource, ParameterTrace};
use crate::scope::Scope;
use crate::value;
use std::collections::HashMap;
use std::sync::Arc;

impl<'a> Resolver<'a> {
    /// `facts`, `node` and `environment`.
    pub(super) fn base(
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
    pub(super) fn everywhere(
        &mut self,
        environment: &'a Environment,
        selector: Option<&'a Selector>,
    ) {
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
}

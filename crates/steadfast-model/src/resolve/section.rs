//! The promises of one section, their common fields taken out of their bodies.

use super::resolver::{Resolver, Way};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::Section;
use crate::keep::Keep;
use crate::lower::suggest;
use crate::lower::{Lower, nearest};
use crate::node::{Entry, Node, Value};
use crate::promise::{Origin, Promise, PromiseId};
use crate::scope::Scope;
use crate::section::COMMON_FIELDS;
use crate::span::{Span, Spanned};
use crate::substitute::twice;
use crate::value::looked_up;
use std::collections::HashMap;
use std::sync::Arc;

/// An entry of a section as the node has it.
struct Computed {
    name: Spanned<Arc<str>>,
    body: Node,
    conditional: bool,
}

impl Resolver<'_> {
    pub(super) fn section(&mut self, section: &Section, scope: &Arc<Scope>, way: &Way) {
        let has_dynamic_names =
            section.entries.iter().any(|(key, _)| crate::dynamic::is_dynamic(&key.value));
        let mut seen: HashMap<Arc<str>, Span> = HashMap::new();
        for (key, body) in section.entries.iter() {
            let (found, names) = looked_up(|| {
                let seen = has_dynamic_names.then_some(&mut seen);
                self.entry(key, body, seen, scope, way)
            });
            let Some(found) = found else { continue };
            let before = self.of_component.as_ref().map_or(self.taken, Vec::len);
            if !self.has_room(before + 1, key.span) {
                return;
            }
            self.promise(section.kind, found, names, scope, way);
        }
    }

    /// One entry with every expression replaced; `None` where it makes no promise here. `seen` are the
    /// names before it, where names may turn out to be the same.
    fn entry(
        &mut self,
        key: &Spanned<Arc<str>>,
        body: &Node,
        seen: Option<&mut HashMap<Arc<str>, Span>>,
        scope: &Arc<Scope>,
        way: &Way,
    ) -> Option<Computed> {
        let mut conditional = way.conditional;
        conditional |= self.applies(body, scope)?;
        // A promise whose name is not known here cannot be told from others.
        let name = self.engine.name(key, scope, &mut self.diagnostics)?;
        if let Some(seen) = seen {
            if let Some(first) = seen.get(&name.value) {
                self.diagnostics.push(twice(&name, *first));
                return None;
            }
            seen.insert(Arc::clone(&name.value), name.span);
        }
        let body = without(body, &["when"]);
        let body = self.engine.substitute(&body, scope, &mut self.diagnostics);
        // An expression may have given the whole body, with a condition in it.
        conditional |= self.applies(&body, scope)?;
        Some(Computed { name, body, conditional })
    }

    /// Whether a promise hangs on a condition that is not known here; `None` where its condition is false.
    fn applies(&mut self, body: &Node, scope: &Arc<Scope>) -> Option<bool> {
        let Some(when) = body.get("when") else { return Some(false) };
        // Whether a promise is made decides what the deployment is, so it cannot hang on that.
        let scope = &scope.without("deployment");
        match self.engine.condition(when, scope, &mut self.diagnostics) {
            Some(true) => Some(false),
            Some(false) => None,
            None => Some(true),
        }
    }

    fn promise(
        &mut self,
        kind: &'static str,
        found: Computed,
        names: Vec<Arc<str>>,
        scope: &Arc<Scope>,
        way: &Way,
    ) {
        let Computed { name, body, conditional } = found;
        let looked_up = self.resolved.named(&way.parameters, &names);
        let body = &body;
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
        let promise = Promise {
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
            parameters: way.parameters.clone(),
            looked_up,
            conditional,
        };
        match &mut self.of_component {
            Some(own) => own.push(promise),
            None => {
                self.taken += 1;
                (self.take)(&self.resolved, promise);
            }
        }
    }
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
    let kinds = crate::section::kinds();
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

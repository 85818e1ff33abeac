//! Expressions on the tree: every text of it that has `{{ … }}` becomes its value, with the span of the
//! text. Keys may have them too.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::dynamic::is_dynamic;
use crate::expression::Engine;
use crate::node::{Entry, Node, Scalar, Style, Value};
use crate::scope::Scope;
use crate::span::{Span, Spanned};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

impl Engine<'_> {
    /// The tree with values in place of expressions.
    pub(crate) fn substitute(
        &mut self,
        node: &Node,
        scope: &Arc<Scope>,
        diagnostics: &mut Diagnostics,
    ) -> Node {
        self.changed(node, scope, diagnostics).unwrap_or_else(|| node.clone())
    }

    /// `None` where there is nothing to substitute: most of a model is shared, not copied.
    fn changed(
        &mut self,
        node: &Node,
        scope: &Arc<Scope>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Node> {
        match node {
            Node::Scalar(it) => {
                let text = dynamic(&it.value)?;
                let text = Spanned::new(Arc::clone(text), it.span);
                Some(self.evaluate(&text, scope, diagnostics))
            }
            Node::List(items, span) => {
                let mut new: Option<Vec<Node>> = None;
                for (at, item) in items.iter().enumerate() {
                    if let Some(item) = self.changed(item, scope, diagnostics) {
                        new.get_or_insert_with(|| items.to_vec())[at] = item;
                    }
                }
                new.map(|items| Node::List(Arc::from(items), *span))
            }
            Node::Map(entries, span) => self.changed_map(entries, *span, scope, diagnostics),
            Node::Unknown(_) => None,
        }
    }

    fn changed_map(
        &mut self,
        entries: &Arc<[Entry]>,
        span: Span,
        scope: &Arc<Scope>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Node> {
        let mut new: Option<Vec<Entry>> = None;
        let (mut keys_changed, mut unknown) = (false, false);
        for (at, (key, value)) in entries.iter().enumerate() {
            if is_dynamic(&key.value) {
                keys_changed = true;
                match self.name(key, scope, diagnostics) {
                    Some(key) => new.get_or_insert_with(|| entries.to_vec())[at].0 = key,
                    None => unknown = true,
                }
            }
            if let Some(value) = self.changed(value, scope, diagnostics) {
                new.get_or_insert_with(|| entries.to_vec())[at].1 = value;
            }
        }
        // Without one of its names, nothing can be said of the map as a whole.
        if unknown {
            return Some(Node::Unknown(span));
        }
        let new = new?;
        let new = if keys_changed { distinct(new, diagnostics) } else { new };
        Some(Node::Map(Arc::from(new), span))
    }

    /// A name with expressions in it. `None` where it is not known here, or was reported as wrong.
    pub(crate) fn name(
        &mut self,
        key: &Spanned<Arc<str>>,
        scope: &Arc<Scope>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<Arc<str>>> {
        if !is_dynamic(&key.value) {
            return Some(key.clone());
        }
        let found = match self.evaluate(key, scope, diagnostics) {
            Node::Scalar(it) if matches!(it.value.value, Value::Text | Value::Integer(_)) => {
                return Some(Spanned::new(it.value.text, key.span));
            }
            Node::Unknown(_) => return None,
            other @ (Node::Scalar(_) | Node::List(..) | Node::Map(..)) => other,
        };
        diagnostics.push(if crate::value::secret_of(&found).is_some() {
            let message = "a secret cannot stand in a name: its value would be seen";
            Diagnostic::error(codes::MISPLACED_SECRET, key.span, message)
        } else {
            let message = format!("a name must be text, and this is {}", found.describe());
            Diagnostic::error(codes::WRONG_TYPE, key.span, message)
        });
        None
    }

    /// The names that the expressions of a tree may look up.
    pub(crate) fn names_in(&mut self, node: &Node) -> BTreeSet<String> {
        match node {
            Node::Scalar(it) => match dynamic(&it.value) {
                Some(text) => self.names(text),
                None => BTreeSet::new(),
            },
            Node::List(items, _) => items.iter().flat_map(|it| self.names_in(it)).collect(),
            Node::Map(entries, _) => {
                let mut names = BTreeSet::new();
                for (key, value) in entries.iter() {
                    if is_dynamic(&key.value) {
                        names.extend(self.names(&key.value));
                    }
                    names.extend(self.names_in(value));
                }
                names
            }
            Node::Unknown(_) => BTreeSet::new(),
        }
    }
}

/// The text of a scalar that has something to substitute. What an expression gave is never read for
/// expressions again.
fn dynamic(scalar: &Scalar) -> Option<&Arc<str>> {
    let is_text = scalar.value == Value::Text && scalar.style != Style::Computed;
    (is_text && is_dynamic(&scalar.text)).then_some(&scalar.text)
}

/// Each name once; a second one is an error, as it is where it is written out.
fn distinct(entries: Vec<Entry>, diagnostics: &mut Diagnostics) -> Vec<Entry> {
    let mut seen: HashMap<Arc<str>, Span> = HashMap::new();
    let mut kept = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if let Some(first) = seen.get(&key.value) {
            diagnostics.push(twice(&key, *first));
        } else {
            seen.insert(Arc::clone(&key.value), key.span);
            kept.push((key, value));
        }
    }
    kept
}

pub(crate) fn twice(key: &Spanned<Arc<str>>, first: Span) -> Diagnostic {
    let message = format!("`{}` is given twice", key.value);
    Diagnostic::error(codes::DUPLICATE_KEY, key.span, message)
        .label("again")
        .related(first, "first here")
}

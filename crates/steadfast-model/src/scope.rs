//! The names that expressions and templates see.

use crate::node::Node;
use crate::value::{self, note, note_name};
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names and their values at one place of the model: parameters, `facts`, `node`, `environment`, …
#[derive(Clone, Debug, Default)]
pub struct Scope {
    names: BTreeMap<Arc<str>, Value>,
}

impl Scope {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.names.get(name)
    }

    /// A fact that is text, where it is known.
    pub fn fact(&self, name: &str) -> Option<Arc<str>> {
        let fact = self.names.get("facts")?.get_attr(name).ok()?;
        fact.as_str().map(Arc::from)
    }

    pub fn set(&mut self, name: impl Into<Arc<str>>, value: Value) {
        self.names.insert(name.into(), value);
    }

    /// A name for a tree: its order, its unknown parts and its secrets stay what they are.
    pub fn set_node(&mut self, name: impl Into<Arc<str>>, node: &Node) {
        self.set(name, value::of_node(node));
    }

    /// The same names but for one.
    pub(crate) fn without(self: &Arc<Self>, name: &str) -> Arc<Scope> {
        if !self.names.contains_key(name) {
            return Arc::clone(self);
        }
        let mut names = self.names.clone();
        names.remove(name);
        Arc::new(Scope { names })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|name| &**name)
    }

    /// As an expression's root: made once for a scope, cheap to hand out.
    pub(crate) fn root(self: &Arc<Self>) -> Value {
        Value::from_dyn_object(Arc::clone(self))
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let (name, value) = self.names.get_key_value(key)?;
        note_name(name);
        Some(note(value.clone()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names.keys().map(Value::from).collect())
    }
}

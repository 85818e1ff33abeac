//! The names that expressions and templates see.

use crate::application::Deployment;
use crate::node::Node;
use crate::value::{self, is_kept_secret, is_secret_name, note, note_name};
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of what a component is deployed as.
pub(crate) const DEPLOYMENT: &str = "deployment";

/// Names and their values at one place of the model: parameters, `facts`, `node`, `environment`, …
#[derive(Clone, Debug, Default)]
pub struct Scope {
    names: BTreeMap<Arc<str>, Value>,
    /// What the name `deployment` is, where it is that of a component.
    deployment: Option<Arc<Deployment>>,
    /// Whether secrets may be called by values that are kept.
    kept_secrets: bool,
}

impl Scope {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.names.get(name)
    }

    /// The scope of what is kept of a deployment, the values of its secrets included.
    pub(crate) fn with_kept_secrets(self) -> Scope {
        Scope { kept_secrets: true, ..self }
    }

    /// Whether this names a secret here.
    pub(crate) fn may_name_secret(&self, name: &str) -> bool {
        is_secret_name(name) || (self.kept_secrets && is_kept_secret(name))
    }

    /// A fact that is text, where it is known.
    pub fn fact(&self, name: &str) -> Option<Arc<str>> {
        let fact = self.names.get("facts")?.get_attr(name).ok()?;
        fact.as_str().map(Arc::from)
    }

    pub fn set(&mut self, name: impl Into<Arc<str>>, value: Value) {
        let name = name.into();
        if &*name == DEPLOYMENT {
            self.deployment = None;
        }
        self.names.insert(name, value);
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
        let deployment = self.deployment.clone().filter(|_| name != DEPLOYMENT);
        Arc::new(Scope { names, deployment, kept_secrets: self.kept_secrets })
    }

    /// The same names but for `deployment`.
    pub(crate) fn without_deployment(self: &Arc<Self>) -> Arc<Scope> {
        if self.deployment.is_some() { self.without(DEPLOYMENT) } else { Arc::clone(self) }
    }

    pub(crate) fn deployment(&self) -> Option<&Arc<Deployment>> {
        self.deployment.as_ref()
    }

    pub(crate) fn set_deployment(&mut self, deployment: Arc<Deployment>) {
        self.set(DEPLOYMENT, deployment.value());
        self.deployment = Some(deployment);
    }

    /// The same names with other words for the deployment, and these words.
    pub(crate) fn with_other_words(&self) -> Option<(Scope, Arc<Deployment>)> {
        let other = Arc::new(self.deployment.as_ref()?.other());
        let mut scope = self.clone();
        scope.set_deployment(Arc::clone(&other));
        Some((scope, other))
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

//! The names that expressions and templates see.

use minijinja::Value;
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

    pub fn set(&mut self, name: impl Into<Arc<str>>, value: Value) {
        self.names.insert(name.into(), value);
    }
}

//! The secrets of a deployment. Its document says which they are, and of each a digest that only this node can make;
//! their values lie beside the database under these digests. So a deployment has the values that it was begun with,
//! whatever they are by now.

use super::Frozen;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

impl Frozen {
    /// The names of the secrets that its promises put into what they write.
    pub fn names_of_secrets(&self) -> BTreeSet<&str> {
        let mut all = BTreeSet::new();
        self.promises.iter().for_each(|it| collect(&it.body, &mut all));
        all
    }

    /// The same deployment with these values of its secrets, each by its digest.
    #[must_use]
    pub fn with_secrets(self, secrets: BTreeMap<String, String>) -> Frozen {
        Frozen { secrets, ..self }
    }

    /// Whether only the values of secrets tell them apart.
    pub fn differs_by_secrets(&self, other: &Frozen) -> bool {
        self.secrets != other.secrets && self.public_digest() == other.public_digest()
    }
}

/// What a secret whose value is kept is called where it is put in. No model can say such a name.
pub fn kept_name(name: &str, digest: &str) -> String {
    format!("{name}@{digest}")
}

/// The name in `{ secret: NAME }`.
fn name_of(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("secret").filter(|_| fields.len() == 1)?.as_str()
}

fn collect<'a>(body: &'a Value, all: &mut BTreeSet<&'a str>) {
    match body {
        Value::Object(fields) => match name_of(fields) {
            Some(name) => {
                all.insert(name);
            }
            None => fields.values().for_each(|it| collect(it, all)),
        },
        Value::Array(items) => items.iter().for_each(|it| collect(it, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A body with the names of kept values in the place of secrets' own.
pub(super) fn put_in(body: &Value, secrets: &BTreeMap<String, String>) -> Value {
    match body {
        Value::Object(fields) => {
            match name_of(fields).and_then(|it| Some((it, secrets.get(it)?))) {
                Some((name, digest)) => serde_json::json!({ "secret": kept_name(name, digest) }),
                None => {
                    let inner = |(name, it): (&String, &Value)| (name.clone(), put_in(it, secrets));
                    Value::Object(fields.iter().map(inner).collect())
                }
            }
        }
        Value::Array(items) => Value::Array(items.iter().map(|it| put_in(it, secrets)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => body.clone(),
    }
}

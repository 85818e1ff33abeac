//! Which deployment is which: a digest of all that its program runs with, and of nothing else.

use super::Frozen;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// How many digits of a digest name a directory.
const SHORT: usize = 12;

/// Fields that decide how a promise is judged or carried out, and nothing of what it comes to.
const BESIDE: &[(&str, &[&str])] = &[
    ("service", &["health", "settle", "timeout", "validate"]),
    ("file", &["validate", "keep_backup"]),
];

impl Frozen {
    /// All of it that a program runs with, its secrets included, in hexadecimal digits: what this node tells deployments
    /// apart by. Only this node can make it where there are secrets; else it is the public one.
    pub fn digest(&self) -> String {
        let public = self.public_digest();
        if self.secrets.is_empty() {
            return public;
        }
        let value = json!({ "deployment": public, "secrets": self.secrets });
        hash("steadfast deployment with secrets 1", &value)
    }

    /// The same without the values of secrets, which anybody may see. Its health, the release that it is of and the
    /// order of its promises are no part of it.
    pub fn public_digest(&self) -> String {
        let mut promises: Vec<(&str, &str, Value)> = self
            .promises
            .iter()
            .map(|it| (&*it.kind, &*it.name, counted(&it.kind, &it.body)))
            .collect();
        promises.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let mut value = json!({
            "component": self.component,
            "directory": self.directory,
            "tree": self.tree,
            "packages": self.packages,
            "promises": promises,
        });
        if let Some(flags) = self.counted_flags() {
            value["flags"] = flags;
        }
        hash("steadfast deployment 1", &value)
    }

    /// The name of its directory.
    pub fn id(&self) -> String {
        short(self.digest())
    }

    /// The name of its tree's directory.
    pub fn tree_id(&self) -> Option<String> {
        self.tree.clone().map(short)
    }
}

fn short(mut digest: String) -> String {
    digest.truncate(SHORT);
    digest
}

/// The body of a promise without what does not count.
fn counted(kind: &str, body: &Value) -> Value {
    let beside = BESIDE.iter().find(|(it, _)| *it == kind).map_or(&[][..], |(_, fields)| *fields);
    match body {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| !beside.contains(&name.as_str()));
            Value::Object(fields.map(|(name, it)| (name.clone(), it.clone())).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            body.clone()
        }
    }
}

/// The digest of data under a title: of what it says, in whatever order its fields were written.
pub fn hash(title: &str, value: &Value) -> String {
    let mut text = format!("{title}\n");
    canonical(value, &mut text);
    hex(&Sha256::digest(text))
}

/// JSON with the names of each object in the order of their bytes, and without white space.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a text does not fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

//! Deployments as a node stores them: a component's promises in the language's own form, with every expression
//! computed and every template rendered, and one word in the place of the deployment's own id. So what a node has
//! once begun to keep stays what it is, whatever later revisions say, and a later version of this program reads it
//! as it reads a model.

mod conduct;
mod content;
mod digest;
mod flags;
mod freeze;
mod programs;
mod secret;
mod thaw;

#[cfg(test)]
mod tests;

pub use conduct::Conduct;
pub use digest::hash;
pub use freeze::{Unfrozen, freeze};
pub use secret::kept_name;
pub use thaw::{Thawed, Words, gone, thaw};

pub(crate) use super::deployment::ID as NO_ID;

use crate::application::component::{FlagsFormat, OnChange};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of the form below. What a deployment's digest covers is a part of it.
pub const FORMAT: u32 = 1;

/// A component's promises, as they are kept until its next step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    pub format: u32,
    /// `people/api`.
    pub component: String,
    /// `1.4.0`.
    pub release: String,
    pub directory: String,
    /// The digest of the unpacked files; none where it has no artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// Versions of packages that it runs with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, String>,
    /// Of each secret in it a digest of its value, made with a key of the node. Empty until the values were read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// The file in which its programs read flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<FrozenFlags>,
    pub promises: Vec<FrozenPromise>,
    /// How it is asked and called.
    #[serde(default, skip_serializing_if = "Conduct::is_empty")]
    pub conduct: Conduct,
}

/// One promise. Where a content is not in it, its digest is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrozenPromise {
    pub kind: String,
    pub name: String,
    pub body: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reloads: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub report_only: bool,
}

/// The file of flags, and what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrozenFlags {
    pub file: String,
    pub format: FlagsFormat,
    pub on_change: OnChange,
    /// Who may read it beside root.
    pub reader: Reader,
    /// What the file says of each flag, in its format.
    pub said: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    Group(String),
    /// The primary group of a user that is promised elsewhere.
    GroupOf(String),
}

/// A frozen component, and the contents that its promises name by their digests.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    pub frozen: Frozen,
    /// By digest, in hexadecimal digits.
    pub contents: BTreeMap<String, Arc<[u8]>>,
}

impl Frozen {
    /// Where this deployment lies.
    pub fn folder(&self, id: &str) -> String {
        format!("{}/deployments/{id}", self.directory)
    }

    /// The link in it that leads to its tree.
    pub fn tree_link(&self, id: &str) -> String {
        format!("{}/tree", self.folder(id))
    }

    /// The units that are promised to run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &FrozenPromise> {
        self.promises.iter().filter(|it| it.kind == "service" && is_running(&it.body))
    }

    /// What its first service that says so is asked, where this deployment lies in a directory of that name.
    pub fn health(&self, id: &str) -> Option<Value> {
        let asked = self.promises.iter().filter(|it| it.kind == "service");
        let asked = asked.filter_map(|it| it.body.get("health")).next()?;
        let text = asked.to_string().replace(NO_ID, id);
        serde_json::from_str(&text).ok()
    }

    /// The digests of its contents.
    pub fn contents(&self) -> impl Iterator<Item = &str> {
        self.promises.iter().flat_map(|it| content::named(it))
    }
}

pub(crate) fn is_running(body: &Value) -> bool {
    body.get("running") == Some(&Value::Bool(true))
}

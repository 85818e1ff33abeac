//! The mark that says which deployment lies in a directory.

use serde::Deserialize;

/// The mark in the directory of a deployment.
#[derive(Debug, Deserialize)]
pub(super) struct Mark {
    component: String,
    pub(super) digest: String,
}

impl Mark {
    /// None where it is not of this component.
    pub(super) fn read(text: &str, component: &str) -> Option<Mark> {
        serde_json::from_str::<Mark>(text).ok().filter(|it| it.component == component)
    }
}

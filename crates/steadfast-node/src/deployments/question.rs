//! What a deployment is asked to learn whether it is well, from how it was written down.

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_model::application::component::{Ask, Command};
use steadfast_model::application::frozen::Frozen;

/// None where its services alone are asked.
pub(super) fn question(frozen: &Frozen, folder: &str) -> Option<Ask> {
    let asked = frozen.health(folder)?;
    let (http, command) = match &asked {
        Value::String(_) => (Some(&asked), None),
        Value::Array(_) => (None, Some(&asked)),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
            (asked.get("http"), asked.get("command"))
        }
    };
    if let Some(url) = http.and_then(Value::as_str) {
        // As of a service that says nothing else.
        let (status, header) = ((200..=399).collect(), BTreeMap::new());
        return Some(Ask::Http { url: Arc::from(url), status, header });
    }
    let words = command?.as_array()?.iter().filter_map(Value::as_str);
    let arguments = words.map(Arc::from).collect();
    Some(Ask::Command(Command { arguments, user: Some(Arc::from("root")) }))
}

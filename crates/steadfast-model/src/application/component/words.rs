//! What several fields of a component are: times, commands, maps of texts.

use crate::codes;
use crate::lower::{Fields, Lower};
use crate::node::Node;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) const HOUR: Duration = seconds(3_600);

/// A list of words that begins with a program.
pub(super) fn words(fields: &mut Fields<'_, '_, '_>, key: &str) -> Vec<Arc<str>> {
    match fields.node(key) {
        Some(node) => arguments(key, node, fields.cx).unwrap_or_default(),
        None => vec![],
    }
}

pub(super) fn arguments(key: &str, node: &Node, cx: &mut Lower<'_>) -> Option<Vec<Arc<str>>> {
    let what = format!("`{key}`");
    let items = cx.as_list(node, &what)?;
    if items.is_empty() {
        cx.error(codes::BAD_VALUE, node.span(), format!("{what} is empty"));
    }
    items.iter().map(|it| Some(cx.as_text(it, &what)?.value)).collect()
}

pub(super) fn texts_by_name(
    fields: &mut Fields<'_, '_, '_>,
    key: &str,
) -> BTreeMap<Arc<str>, Arc<str>> {
    let Some(node) = fields.node(key) else { return BTreeMap::new() };
    let what = format!("`{key}`");
    let entries = fields.cx.as_map(node, &what).unwrap_or_default();
    let texts = entries.iter().filter_map(|(name, node)| {
        Some((Arc::clone(&name.value), fields.cx.as_text(node, &what)?.value))
    });
    texts.collect()
}

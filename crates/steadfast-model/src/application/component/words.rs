//! What several fields of a component are: times, commands, maps of texts.

use crate::codes;
use crate::lower::{Fields, Lower};
use crate::node::Node;
use crate::value::is_secret_name;
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

/// An absolute path without detours.
pub(crate) fn is_plain_path(text: &str) -> bool {
    let mut parts = text.split('/');
    parts.next() == Some("")
        && parts.all(|part| !["", ".", ".."].contains(&part))
        && text.len() > 1
        && !text.contains(|it: char| it.is_whitespace() || it.is_control())
}

/// A field with the path of something on the machine.
pub(super) fn path(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Arc<str>> {
    let path = fields.text(key)?;
    if is_plain_path(&path.value) {
        return Some(path.value);
    }
    let message = format!("`{}` is not an absolute path", path.value.escape_debug());
    fields.error(codes::BAD_PATH, path.span, message);
    None
}

/// Names of credentials, with the names of the secrets that they are.
pub(super) fn secrets(fields: &mut Fields<'_, '_, '_>) -> BTreeMap<Arc<str>, Arc<str>> {
    let Some(node) = fields.node("secrets") else { return BTreeMap::new() };
    let entries = fields.cx.as_map(node, "`secrets`").unwrap_or_default();
    let mut all = BTreeMap::new();
    for (name, node) in entries {
        if name.value.contains('/') || !is_secret_name(&name.value) {
            let message = format!("`{}` is not the name of a credential", name.value);
            fields.error(codes::BAD_NAME, name.span, message);
            continue;
        }
        let Some(secret) = fields.cx.as_text(node, "the name of a secret") else { continue };
        if !is_secret_name(&secret.value) {
            let message = format!("`{}` is not the name of a secret", secret.value);
            fields.error(codes::BAD_NAME, secret.span, message);
            continue;
        }
        all.insert(Arc::clone(&name.value), secret.value);
    }
    all
}

/// Environment variables.
pub(super) fn environment(fields: &mut Fields<'_, '_, '_>) -> BTreeMap<Arc<str>, Arc<str>> {
    let all = texts_by_name(fields, "environment");
    for (name, value) in &all {
        let is_letter = |it: u8| it.is_ascii_alphabetic() || it == b'_';
        let is_name = name.bytes().next().is_some_and(is_letter)
            && name.bytes().all(|it| is_letter(it) || it.is_ascii_digit());
        if !is_name || value.contains('\0') {
            let span = fields.key_span("environment");
            let message = format!("`{}` is not an environment variable", name.escape_debug());
            fields.error(codes::BAD_NAME, span, message);
        }
    }
    all
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

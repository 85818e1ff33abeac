//! Contents of files and units: read or rendered once, and named by their digests from then on.

use super::digest::of_bytes;
use super::{FrozenPromise, NO_ID};
use crate::lower::{Lower, Piece, Rendered};
use crate::node::{Entry, Node};
use crate::span::{Span, Spanned};
use crate::text_from::TextFrom;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Content by its digest.
pub(super) type Contents = BTreeMap<String, Arc<[u8]>>;

/// The body of a promise with a digest in the place of each path of the model. None where something was wrong.
pub(super) fn freeze(
    kind: &str,
    body: &Node,
    contents: &mut Contents,
    cx: &mut Lower<'_>,
) -> Option<Node> {
    match kind {
        "file" => file(body, contents, cx),
        "service" => {
            let Node::Map(entries, span) = body else { return Some(body.clone()) };
            let mut all = vec![];
            for (key, node) in entries.iter() {
                let node = match &*key.value {
                    "unit" => file(node, contents, cx)?,
                    "drop_ins" => drop_ins(node, contents, cx)?,
                    _ => node.clone(),
                };
                all.push((key.clone(), node));
            }
            Some(Node::Map(Arc::from(all), *span))
        }
        // No other kind takes contents from the model.
        _ => Some(body.clone()),
    }
}

fn drop_ins(node: &Node, contents: &mut Contents, cx: &mut Lower<'_>) -> Option<Node> {
    let Node::Map(entries, span) = node else { return Some(node.clone()) };
    let all: Option<Vec<Entry>> =
        entries.iter().map(|(key, node)| Some((key.clone(), file(node, contents, cx)?))).collect();
    Some(Node::Map(Arc::from(all?), *span))
}

/// A map that may say `template` or `source`.
fn file(body: &Node, contents: &mut Contents, cx: &mut Lower<'_>) -> Option<Node> {
    let Node::Map(entries, span) = body else { return Some(body.clone()) };
    let mut all: Vec<Entry> = vec![];
    for (key, node) in entries.iter() {
        match &*key.value {
            "source" => {
                let path = cx.as_text(node, "`source`")?;
                let bytes = &cx.file(&path)?.bytes;
                all.push((key.clone(), Node::text(put(bytes, contents), *span)));
            }
            "template" => {
                let path = cx.as_text(node, "`template`")?;
                let rendered = cx.render_template(&TextFrom::Model(path), body.get("variables"))?;
                // What nothing is put into later is a content like any other.
                if let Some(plain) = rendered.as_plain().filter(|it| !it.contains(NO_ID)) {
                    let name = Spanned::new(Arc::from("source"), key.span);
                    all.push((name, Node::text(put(plain.as_bytes(), contents), *span)));
                    continue;
                }
                let (text, secrets) = template_of(&rendered);
                all.push((key.clone(), Node::text(put(text.as_bytes(), contents), *span)));
                if !secrets.is_empty() {
                    let name = Spanned::new(Arc::from("variables"), *span);
                    all.push((name, variables(&secrets, *span)));
                }
            }
            // What they have put into the template is there.
            "variables" => {}
            _ => all.push((key.clone(), node.clone())),
        }
    }
    Some(Node::Map(Arc::from(all), *span))
}

fn put(bytes: &[u8], contents: &mut Contents) -> String {
    let digest = of_bytes(bytes);
    contents.entry(digest.clone()).or_insert_with(|| Arc::from(bytes));
    digest
}

/// A template that gives just this text, and the secrets that it names.
fn template_of(rendered: &Rendered) -> (String, Vec<Arc<str>>) {
    let mut secrets: Vec<Arc<str>> = vec![];
    let mut text = String::new();
    for piece in rendered.pieces.iter() {
        match piece {
            Piece::Plain(plain) => plainly(plain, &mut text),
            Piece::Secret(name) => {
                let at = secrets.iter().position(|it| it == name).unwrap_or_else(|| {
                    secrets.push(Arc::clone(name));
                    secrets.len() - 1
                });
                // Writing into a text does not fail.
                let _written = write!(text, "{{{{ secret_{at} }}}}");
            }
        }
    }
    (text, secrets)
}

/// Text in which nothing is an expression: a brace that may begin one is put out by one.
fn plainly(text: &str, out: &mut String) {
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        // What follows a piece is not known here.
        let may_begin = rest.peek().is_none_or(|it| matches!(it, '{' | '%' | '#'));
        match character {
            '{' if may_begin => out.push_str("{{ \"{\" }}"),
            other => out.push(other),
        }
    }
}

/// `{ secret_0: { secret: people/db-password } }`.
fn variables(secrets: &[Arc<str>], span: Span) -> Node {
    let map = |name: String, node: Node| {
        Node::Map(Arc::from([(Spanned::new(Arc::from(name), span), node)]), span)
    };
    let entries: Vec<Entry> = secrets
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let secret = map("secret".to_owned(), Node::text(Arc::clone(name), span));
            (Spanned::new(Arc::from(format!("secret_{at}")), span), secret)
        })
        .collect();
    Node::Map(Arc::from(entries), span)
}

/// The maps of a frozen promise that may name a content.
fn files(promise: &FrozenPromise) -> Vec<&Value> {
    match &*promise.kind {
        "file" => vec![&promise.body],
        "service" => {
            let drop_ins = promise.body.get("drop_ins").and_then(Value::as_object);
            let drop_ins = drop_ins.into_iter().flat_map(|it| it.values());
            promise.body.get("unit").into_iter().chain(drop_ins).collect()
        }
        _ => vec![],
    }
}

/// The texts of a frozen promise, as far as they are known.
pub(super) fn texts_at_hand<'a>(
    promise: &'a FrozenPromise,
    contents: &'a Contents,
) -> Vec<&'a str> {
    let named = |it: &&'a Value, key: &str| contents.get(it.get(key)?.as_str()?);
    let text = |it: &'a Value| match it.get("content").and_then(Value::as_str) {
        Some(text) => Some(text),
        None => {
            let bytes = named(&it, "source").or_else(|| named(&it, "template"))?;
            std::str::from_utf8(bytes).ok()
        }
    };
    files(promise).into_iter().filter_map(text).collect()
}

/// The digests that a frozen promise names.
pub(super) fn named(promise: &FrozenPromise) -> Vec<&str> {
    let fields = files(promise).into_iter().flat_map(|it| [it.get("source"), it.get("template")]);
    fields.flatten().filter_map(Value::as_str).collect()
}

/// Those of them that are templates, in which the words for the deployment are put.
pub(super) fn templates(promise: &FrozenPromise) -> Vec<&str> {
    files(promise).into_iter().filter_map(|it| it.get("template")?.as_str()).collect()
}

/// The texts of a frozen promise, those of its contents among them; words of the deployment's own stand in them.
pub(super) fn texts(promise: &FrozenPromise, contents: &Contents) -> Vec<String> {
    let own =
        files(promise).into_iter().filter_map(|it| it.as_str().or(it.get("content")?.as_str()));
    let text = |bytes: &Arc<[u8]>| String::from_utf8_lossy(bytes).into_owned();
    let named = named(promise).into_iter().filter_map(|it| contents.get(it)).map(text);
    own.map(str::to_owned).chain(named).collect()
}

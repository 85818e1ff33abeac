//! From the form in which a deployment is kept to promises, as the language reads them.

use super::{Frozen, FrozenPromise, NO_ID};
use super::{content, secret};
use crate::application::component::OnChange;
use crate::keep::Keep;
use crate::node::{Entry, Node, Value as Plain};
use crate::promise::{Origin, Promise, PromiseId};
use crate::scope::Scope;
use crate::section::SECTIONS;
use crate::source::SourceSet;
use crate::span::{Span, Spanned};
use crate::value;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a deployment's words mean here.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// The name of its directory.
    pub id: &'a str,
    /// That of the deployment before, to which it would be gone back.
    pub previous: Option<&'a str>,
    /// The directory of the model in which its tree is; none where the tree comes from elsewhere, or is there.
    pub tree_from: Option<&'a str>,
    /// Where the component is written.
    pub span: Span,
    /// At least so strictly.
    pub keep: Keep,
    pub facts: &'a Value,
}

/// The promises of a deployment.
#[derive(Debug)]
pub struct Thawed {
    pub promises: Vec<Promise>,
    /// Digests of contents that are not to be had.
    pub missing: Vec<String>,
}

/// The promises of a deployment, together with what makes a place for them. `content` gives a content by its
/// digest; what is used of it is added to `sources`.
pub fn thaw(
    frozen: &Frozen,
    words: Words<'_>,
    content: &dyn Fn(&str) -> Option<Arc<[u8]>>,
    sources: &mut SourceSet,
) -> Thawed {
    let mut thawing = Thawing::new(frozen, words);
    for promise in &frozen.promises {
        thawing.promise(promise, content, sources);
    }
    thawing.flags();
    thawing.frame();
    Thawed { promises: thawing.promises, missing: thawing.missing }
}

/// What leaves with a step from one deployment to another: what lies outside of both, and only the first promises.
pub fn gone(from: &Frozen, to: &Frozen, words: Words<'_>) -> Vec<Promise> {
    let kept: BTreeSet<(&str, &str)> =
        to.promises.iter().map(|it| (&*it.kind, &*it.name)).collect();
    let mut thawing = Thawing::new(from, words);
    for old in &from.promises {
        let is_kept = kept.contains(&(&*old.kind, &*old.name));
        if is_kept || old.name.contains(NO_ID) {
            continue;
        }
        let body = match &*old.kind {
            "file" | "link" | "cron" => json!("absent"),
            "service" => json!({ "running": false, "enabled": false }),
            _ => continue,
        };
        let texts = |all: &[String]| -> Vec<Spanned<Arc<str>>> {
            all.iter().map(|it| Spanned::new(Arc::from(&**it), words.span)).collect()
        };
        if let Some(added) = thawing.add(&old.kind, &old.name, &body) {
            (added.reloads, added.restarts) = (texts(&old.reloads), texts(&old.restarts));
        }
    }
    let path = |it: &Frozen| it.flags.as_ref().map(|it| it.file.clone());
    let is_kept = |it: &str| path(to).as_deref() == Some(it) || kept.contains(&("file", it));
    if let Some(file) = path(from).filter(|it| !it.contains(NO_ID) && !is_kept(it)) {
        thawing.add("file", &file, &json!("absent"));
    }
    thawing.promises
}

struct Thawing<'a> {
    frozen: &'a Frozen,
    words: Words<'a>,
    scope: Arc<Scope>,
    by: Arc<str>,
    promises: Vec<Promise>,
    missing: Vec<String>,
}

impl<'a> Thawing<'a> {
    fn new(frozen: &'a Frozen, words: Words<'a>) -> Thawing<'a> {
        let mut scope = Scope::default().with_kept_secrets();
        scope.set("facts", value::of_json(words.facts));
        let by = Arc::from(format!("component {}", frozen.component));
        Thawing { frozen, words, scope: Arc::new(scope), by, promises: vec![], missing: vec![] }
    }

    fn promise(
        &mut self,
        promise: &FrozenPromise,
        content: &dyn Fn(&str) -> Option<Arc<[u8]>>,
        sources: &mut SourceSet,
    ) {
        let (frozen, id) = (self.frozen, self.words.id);
        let templates = content::templates(promise);
        let mut body = secret::put_in(&promise.body, &frozen.secrets);
        for digest in content::named(promise) {
            let Some(mut bytes) = content(digest) else {
                self.missing.push(digest.to_owned());
                continue;
            };
            if templates.contains(&digest)
                && let Ok(text) = std::str::from_utf8(&bytes)
            {
                bytes = Arc::from(text.replace(NO_ID, id).into_bytes());
            }
            let path = format!("deployments/{}/{id}/{digest}", frozen.component);
            let added = sources.add(&*path, Arc::clone(&bytes), false);
            // A file of the model of that name is another.
            if sources.get(added).is_none_or(|it| it.bytes != bytes) {
                self.missing.push(digest.to_owned());
            }
            body = with_path(&body, digest, &path);
        }
        let (span, words) = (self.words.span, |it: &str| it.replace(NO_ID, id));
        let Some(added) = self.add(&promise.kind, &promise.name, &body) else { return };
        let texts = |all: &[String]| -> Vec<Spanned<Arc<str>>> {
            all.iter().map(|it| Spanned::new(Arc::from(words(it)), span)).collect()
        };
        added.needs = texts(&promise.after).into_iter().map(|it| it.map(PromiseId)).collect();
        added.reloads = texts(&promise.reloads);
        added.restarts = texts(&promise.restarts);
        if promise.report_only {
            added.keep = Keep::Report;
        }
    }

    /// None where this version knows no such kind.
    fn add(&mut self, kind: &str, name: &str, body: &Value) -> Option<&mut Promise> {
        let kind = SECTIONS.iter().find(|it| it.kind == kind)?.kind;
        let (span, id) = (self.words.span, self.words.id);
        let name = Spanned::new(Arc::from(name.replace(NO_ID, id)), span);
        self.promises.push(Promise {
            id: PromiseId::new(kind, &name.value),
            kind,
            name,
            body: node(body, span, id),
            needs: vec![],
            reloads: vec![],
            restarts: vec![],
            keep: self.words.keep,
            description: None,
            scope: Arc::clone(&self.scope),
            parameters: 0..0,
            looked_up: Box::default(),
            origin: Origin { span, by: Arc::clone(&self.by), via: vec![] },
            conditional: false,
        });
        self.promises.last_mut()
    }

    /// The file of flags. Where its program reads it anew when it is told to, it is told to.
    fn flags(&mut self) {
        let Some(flags) = &self.frozen.flags else { return };
        let span = self.words.span;
        let names = || self.frozen.running().map(|it| Spanned::new(Arc::from(&*it.name), span));
        let (reloads, restarts) = match flags.on_change {
            OnChange::None => (vec![], vec![]),
            OnChange::Reload => (names().collect(), vec![]),
            OnChange::Restart => (vec![], names().collect()),
        };
        if let Some(added) = self.add("file", &flags.file, &flags.body()) {
            (added.reloads, added.restarts) = (reloads, restarts);
        }
    }

    /// The directories that a deployment lies in, what it is known by, and the links that lead to it.
    fn frame(&mut self) {
        let (frozen, id) = (self.frozen, self.words.id);
        let (top, folder) = (&frozen.directory, frozen.folder(id));
        let mut folders: BTreeSet<String> =
            ["", "/releases", "/deployments"].map(|it| format!("{top}{it}")).into();
        folders.insert(folder.clone());
        let below = format!("{folder}/");
        for promise in &self.promises {
            let mut rest = &*promise.name.value;
            while let Some((above, _)) = rest.rsplit_once('/').filter(|_| rest.starts_with(&below))
            {
                folders.insert(above.to_owned());
                rest = above;
            }
        }
        for path in folders {
            if !self.promises.iter().any(|it| it.kind == "directory" && *it.name.value == path) {
                self.add(
                    "directory",
                    &path,
                    &json!({ "owner": "root", "group": "root", "mode": "0755" }),
                );
            }
        }
        let restarts: Vec<Spanned<Arc<str>>> = (frozen.running())
            .map(|it| Spanned::new(Arc::from(&*it.name), self.words.span))
            .collect();
        if let Some(tree) = frozen.tree_id() {
            let place = format!("{top}/releases/{tree}");
            if let Some(folder) = self.words.tree_from {
                self.add("directory", &place, &from_model(folder));
            }
            let target = json!(format!("../../releases/{tree}"));
            if let Some(added) = self.add("link", &frozen.tree_link(id), &target) {
                added.restarts.clone_from(&restarts);
            }
        }
        let known = json!({
            "format": frozen.format,
            "component": frozen.component,
            "release": frozen.release,
            "digest": frozen.digest(),
        });
        let known = with_public(known, frozen);
        let mark = json!({ "content": format!("{known}\n"), "owner": "root", "group": "root", "mode": "0600" });
        self.add("file", &format!("{folder}/.steadfast"), &mark);
        // Whoever is led elsewhere has to begin anew.
        let current = json!(format!("deployments/{id}"));
        if let Some(added) = self.add("link", &format!("{top}/current"), &current) {
            added.restarts = restarts;
        }
        if let Some(previous) = self.words.previous {
            self.add("link", &format!("{top}/previous"), &json!(format!("deployments/{previous}")));
        }
    }
}

/// Where it has secrets, also what it is called without them.
fn with_public(mut known: Value, frozen: &Frozen) -> Value {
    if !frozen.secrets.is_empty() {
        known["public"] = frozen.public_digest().into();
        known["secrets"] = json!(frozen.secrets);
    }
    known
}

/// A tree that is just what a directory of the model has.
fn from_model(folder: &str) -> Value {
    json!({
        "source": folder,
        "owner": "root",
        "group": "root",
        "mode": "a=rX",
        "recurse": true,
        "purge": true,
        "purge_max": 1_000_000,
        "force": true,
    })
}

/// A path in the place of a digest, wherever it stands as a content.
fn with_path(body: &Value, digest: &str, path: &str) -> Value {
    match body {
        Value::Object(fields) => {
            let put = |(name, value): (&String, &Value)| {
                let is_it = ["source", "template"].contains(&name.as_str()) && value == digest;
                let value = if is_it { path.into() } else { with_path(value, digest, path) };
                (name.clone(), value)
            };
            Value::Object(fields.iter().map(put).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            body.clone()
        }
    }
}

/// As an expression would have given it, with the id in the place of its word.
fn node(value: &Value, span: Span, id: &str) -> Node {
    match value {
        Value::Null => Node::computed(Plain::Null, "null", span),
        Value::Bool(it) => Node::computed(Plain::Boolean(*it), it.to_string(), span),
        Value::Number(it) => {
            let plain = it.as_i64().map(Plain::Integer);
            let plain = plain.or_else(|| it.as_f64().map(Plain::Number)).unwrap_or(Plain::Null);
            Node::computed(plain, it.to_string(), span)
        }
        Value::String(it) => Node::text(it.replace(NO_ID, id), span),
        Value::Array(items) => {
            Node::List(items.iter().map(|it| node(it, span, id)).collect(), span)
        }
        Value::Object(fields) => {
            let entry = |(name, value): (&String, &Value)| -> Entry {
                (Spanned::new(Arc::from(name.replace(NO_ID, id)), span), node(value, span, id))
            };
            Node::Map(fields.iter().map(entry).collect(), span)
        }
    }
}

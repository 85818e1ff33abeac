//! From a component as a node is to have it to the form in which it is kept.

use super::content::{self, Contents};
use super::{Conduct, Deployment, FORMAT, Frozen, FrozenPromise, NO_ID, flags};
use crate::application::component::{Ask, Health, Settings, Switch};
use crate::application::{Artifact, ArtifactKind};
use crate::diagnostic::Diagnostics;
use crate::keep::Keep;
use crate::lower::Lower;
use crate::node::Node;
use crate::promise::{Placed, Promise};
use crate::source::SourceSet;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a component cannot be deployed as it is written.
#[derive(Clone, Debug)]
pub enum Unfrozen {
    /// What its templates and files come to is wrong.
    Mistakes(Diagnostics),
    /// This program does not know yet how to do what it asks for.
    NotYet(String),
}

/// The component in the form that is kept, and of its promises those that hold for all of its deployments: its
/// accounts, packages and directories outside. `tree` is the digest of the files that its artifact unpacks to.
pub fn freeze(
    placed: &Placed,
    sources: &SourceSet,
    tree: Option<String>,
) -> Result<(Deployment, Vec<Promise>), Unfrozen> {
    let Some(directory) = &placed.directory else {
        return Err(Unfrozen::NotYet("a component without `directory` is not deployed".to_owned()));
    };
    let Some(settings) = &placed.settings else {
        return Err(Unfrozen::Mistakes(placed.mistakes.clone()));
    };
    is_known(settings)?;
    let mut diagnostics = Diagnostics::default();
    let (mut contents, mut promises, mut shared) = (Contents::new(), vec![], vec![]);
    let mut packages = BTreeMap::new();
    for promise in &placed.promises {
        if is_shared(promise) {
            if let Some(Node::Scalar(version)) = promise.body.get("version") {
                packages.insert(promise.name.value.to_string(), version.value.text.to_string());
            }
            shared.push(promise.clone());
            continue;
        }
        let mut cx = Lower::new(&mut diagnostics, sources, &promise.scope);
        let Some(body) = content::freeze(promise.kind, &promise.body, &mut contents, &mut cx)
        else {
            continue;
        };
        promises.push(frozen(promise, &body));
    }
    if diagnostics.has_errors() {
        return Err(Unfrozen::Mistakes(diagnostics));
    }
    ask(&settings.health, &mut promises);
    if let Some(Artifact { kind: ArtifactKind::Package { .. }, .. }) = placed.artifact {
        return not_yet("a Debian package as the artifact");
    }
    let flags = (settings.flags.as_ref())
        .map(|it| flags::freeze(it, &placed.flags, &promises, &shared, &contents));
    let frozen = Frozen {
        format: FORMAT,
        component: placed.id.to_string(),
        release: placed.release.version.to_string(),
        directory: directory.to_string(),
        tree,
        packages,
        secrets: BTreeMap::new(),
        flags,
        promises,
        conduct: Conduct::of(settings),
    };
    Ok((Deployment { frozen, contents }, shared))
}

/// Whether this version carries out all that it says.
fn is_known(settings: &Settings) -> Result<(), Unfrozen> {
    match settings.switch {
        Switch::Restart | Switch::Reload => {}
        Switch::Socket => return not_yet("`switch: socket`"),
        Switch::BlueGreen => return not_yet("`switch: blue-green`"),
    }
    for (is_said, what) in [
        (settings.migrate.is_some(), "`migrate`"),
        (settings.unpack.adopt.is_some(), "`unpack: { adopt }`"),
    ] {
        if is_said {
            return not_yet(what);
        }
    }
    Ok(())
}

fn not_yet<T>(what: &str) -> Result<T, Unfrozen> {
    Err(Unfrozen::NotYet(format!("{what} is not carried out by this version")))
}

/// Whether the newest promise holds, whatever deployment is current.
fn is_shared(promise: &Promise) -> bool {
    match promise.kind {
        "file" | "link" | "service" | "cron" => false,
        "directory" => !promise.name.value.contains(NO_ID),
        _ => true,
    }
}

fn frozen(promise: &Promise, body: &Node) -> FrozenPromise {
    let texts = |all: &[crate::Spanned<std::sync::Arc<str>>]| {
        all.iter().map(|it| it.value.to_string()).collect()
    };
    FrozenPromise {
        kind: promise.kind.to_owned(),
        name: promise.name.value.to_string(),
        body: body.to_json(),
        after: promise.needs.iter().map(|it| it.value.to_string()).collect(),
        reloads: texts(&promise.reloads),
        restarts: texts(&promise.restarts),
        report_only: promise.keep == Keep::Report,
    }
}

/// What a service can be asked is asked of the first one that runs, unless that says how itself. The component itself is
/// asked all else: a command runs in its tree.
fn ask(health: &Health, promises: &mut [FrozenPromise]) {
    let question = match &health.ask {
        Some(Ask::Http { url, status, header }) if *status == [200] && header.is_empty() => {
            Some(("http", Value::from(&**url)))
        }
        Some(Ask::Http { .. } | Ask::Tcp(_) | Ask::Command(_)) | None => None,
    };
    let mut services =
        promises.iter_mut().filter(|it| it.kind == "service" && super::is_running(&it.body));
    let Some(Value::Object(first)) = services.next().map(|it| &mut it.body) else { return };
    first.entry("settle").or_insert_with(|| seconds(health.lasts));
    if let Some((way, question)) = question {
        let asked = json!({ way: question, "within": seconds(health.within) });
        first.entry("health").or_insert(asked);
    }
}

fn seconds(time: Duration) -> Value {
    format!("{}s", time.as_secs()).into()
}

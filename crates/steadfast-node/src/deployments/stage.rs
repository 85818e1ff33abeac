//! Which promises of a deployment an act is about: those that are made before anything is switched, those that put it in
//! place, and the link to the one before.
//!
//! What is started, stopped and asked is no promise here: the step does that by itself.

use super::instance::Instance;
use crate::Context;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_engine::Promises;
use steadfast_engine::component::Deployment;
use steadfast_engine::promised::lower_part;
use steadfast_model::application::frozen::{Words, gone};
use steadfast_model::{Keep, Node, Promise, PromiseId, Severity, SourceSet, Span, Spanned};
use steadfast_system::UnitName;

/// Fields of a service that are about its program, which is a matter of the step.
const OF_PROGRAM: [&str; 6] =
    ["running", "health", "settle", "validate", "reload_on", "restart_on"];
/// Where unit files lie.
const UNITS: &str = "/etc/systemd/system";

/// What promises are made from.
pub(crate) struct Means<'a> {
    pub(crate) facts: &'a Value,
    pub(crate) sources: &'a mut SourceSet,
    pub(crate) cx: &'a Context,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Below its own directory: nothing that runs sees it.
    Prepared,
    /// What programs are started from, and what is outside.
    Placed,
    /// The link to the one before.
    Committed,
}

impl Instance {
    /// All that is made of a deployment before anything is switched.
    pub(crate) fn to_prepare(
        &self,
        it: &Deployment,
        means: &mut Means<'_>,
    ) -> Result<Promises, Arc<str>> {
        self.part(it, Part::Prepared, means)
    }

    /// The link to the one before, once a deployment is committed.
    pub(crate) fn to_commit(
        &self,
        it: &Deployment,
        means: &mut Means<'_>,
    ) -> Result<Promises, Arc<str>> {
        self.part(it, Part::Committed, means)
    }

    fn part(
        &self,
        it: &Deployment,
        part: Part,
        means: &mut Means<'_>,
    ) -> Result<Promises, Arc<str>> {
        let its = self.promises_of(it, part, means)?;
        self.lowered(its, means)
    }

    fn promises_of(
        &self,
        it: &Deployment,
        part: Part,
        means: &mut Means<'_>,
    ) -> Result<Vec<Promise>, Arc<str>> {
        let all = self.thawed(it, means.facts, means.sources, means.cx)?;
        let own = own_units(&all);
        let its = all.into_iter().filter(|one| self.part_of(one, it) == part);
        Ok(its.filter_map(|it| without_programs(it, &own)).map(wholly).collect())
    }

    /// What puts a deployment in place, together with what leaves with the `others` that may be there.
    pub(crate) fn to_place(
        &self,
        it: &Deployment,
        others: &[Deployment],
        means: &mut Means<'_>,
    ) -> Result<Promises, Arc<str>> {
        let mut its = self.promises_of(it, Part::Placed, means)?;
        for other in others.iter().filter(|other| !other.is(it)) {
            for leaving in self.leaving(other, it, means.facts) {
                if !its.iter().any(|known| known.id == leaving.id) {
                    its.push(leaving);
                }
            }
        }
        self.lowered(its, means)
    }

    /// What one deployment has outside of itself, and another has not.
    fn leaving(&self, from: &Deployment, to: &Deployment, facts: &Value) -> Vec<Promise> {
        let Some((former, next)) = self.documents.get(&from.own).zip(self.documents.get(&to.own))
        else {
            return vec![];
        };
        let words = Words {
            id: &from.folder,
            previous: None,
            tree_from: None,
            span: self.span(),
            keep: Keep::Repair,
            facts,
        };
        let services = former.promises.iter().chain(&next.promises);
        let services = services.filter(|it| it.kind == "service");
        let own = services.filter_map(|it| UnitName::parse(&it.name).ok()).collect();
        let mut all = vec![];
        for promise in gone(former, next, words) {
            if promise.kind == "service" {
                // It stands still, and no boot starts it any more.
                let body = former
                    .promises
                    .iter()
                    .find(|it| it.kind == "service" && *it.name == *promise.name.value);
                let files = body.map(|it| unit_files(&it.name, &it.body)).unwrap_or_default();
                all.extend(files.into_iter().map(|path| absent(&promise, &path)));
            } else {
                all.extend(without_programs(promise, &own));
            }
        }
        all
    }

    /// That no boot starts these units.
    pub(crate) fn to_disable(
        &self,
        it: &Deployment,
        units: &[UnitName],
        means: &mut Means<'_>,
    ) -> Result<Promises, Arc<str>> {
        let all = self.thawed(it, means.facts, means.sources, means.cx)?;
        let Some(like) = all.into_iter().next() else { return Ok(Promises::default()) };
        let off = |unit: &UnitName| Promise {
            id: PromiseId::new("service", unit.short()),
            kind: "service",
            name: Spanned::new(Arc::from(unit.short()), like.name.span),
            body: map([("enabled", boolean(false, like.name.span))], like.name.span),
            ..wholly(like.clone())
        };
        self.lowered(units.iter().map(off).collect(), means)
    }

    /// What is foreseen where a step to a deployment is due: all of it, and what leaves with what runs.
    pub(crate) fn foreseen(
        &self,
        it: &Deployment,
        facts: &Value,
        sources: &mut SourceSet,
        cx: &Context,
    ) -> Result<Vec<Promise>, Arc<str>> {
        let mut all = self.thawed(it, facts, sources, cx)?;
        if let Some(current) = self.row().current.as_ref().filter(|current| !current.is(it)) {
            all.extend(self.leaving(current, it, facts));
        }
        Ok(all)
    }

    fn lowered(&self, all: Vec<Promise>, means: &Means<'_>) -> Result<Promises, Arc<str>> {
        let (promises, found) = lower_part(&self.unit, all, means.sources);
        match found.iter().find(|it| it.severity == Severity::Error) {
            None => Ok(promises),
            Some(error) => Err(Arc::from(&*error.message)),
        }
    }

    fn part_of(&self, promise: &Promise, it: &Deployment) -> Part {
        let top = self.directory();
        let name = &*promise.name.value;
        let is_within = |folder: &str| {
            name.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match promise.kind {
            "directory" if is_within(top) => Part::Prepared,
            "file" | "link" if is_within(&format!("{top}/deployments/{}", it.folder)) => {
                Part::Prepared
            }
            "link" if *name == format!("{top}/previous") => Part::Committed,
            _ => Part::Placed,
        }
    }
}

/// The units that these are about.
pub(super) fn own_units(all: &[Promise]) -> BTreeSet<UnitName> {
    let services = all.iter().filter(|it| it.kind == "service");
    services.filter_map(|it| UnitName::parse(&it.name.value).ok()).collect()
}

/// A promise without what is a matter of the step; none where nothing else is left of it. Others than the component's own
/// units still read what it promises.
pub(super) fn without_programs(mut promise: Promise, own: &BTreeSet<UnitName>) -> Option<Promise> {
    let is_others =
        |it: &Spanned<Arc<str>>| UnitName::parse(&it.value).is_ok_and(|it| !own.contains(&it));
    promise.reloads.retain(is_others);
    promise.restarts.retain(is_others);
    let Node::Map(entries, span) = &promise.body else { return Some(promise) };
    if promise.kind != "service" {
        return Some(promise);
    }
    let left = entries.iter().filter(|(name, _)| !OF_PROGRAM.contains(&&*name.value));
    let left: Vec<_> = left.cloned().collect();
    let body = Node::Map(Arc::from(left), *span);
    let is_empty = matches!(&body, Node::Map(entries, _) if entries.is_empty());
    (!is_empty).then_some(Promise { body, ..promise })
}

/// What a step is about is done, not reported. What is beside it is there already.
fn wholly(promise: Promise) -> Promise {
    Promise { keep: Keep::Repair, ..promise }
}

/// The files in which a service promises its unit.
fn unit_files(name: &str, body: &Value) -> Vec<String> {
    let Ok(unit) = UnitName::parse(name) else { return vec![] };
    let own = body.get("unit").map(|_| format!("{UNITS}/{unit}"));
    let drop_ins = body.get("drop_ins").and_then(Value::as_object);
    let drop_ins = drop_ins.into_iter().flat_map(|it| it.keys());
    own.into_iter().chain(drop_ins.map(|it| format!("{UNITS}/{unit}.d/{it}.conf"))).collect()
}

/// That a file is not there, for what another promise says.
fn absent(like: &Promise, path: &str) -> Promise {
    let span = like.name.span;
    Promise {
        id: PromiseId::new("file", path),
        kind: "file",
        name: Spanned::new(Arc::from(path), span),
        body: Node::text("absent", span),
        ..like.clone()
    }
}

fn boolean(value: bool, span: Span) -> Node {
    Node::computed(steadfast_model::Value::Boolean(value), value.to_string(), span)
}

fn map<const N: usize>(entries: [(&str, Node); N], span: Span) -> Node {
    let entries = entries.map(|(name, node)| (Spanned::new(Arc::from(name), span), node));
    Node::Map(Arc::from(entries), span)
}

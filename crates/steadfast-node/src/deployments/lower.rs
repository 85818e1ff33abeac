//! From the components that the model places on this node to what the engine is to do about them.

use super::choose::{Circumstances, choose};
use super::{Instance, Known, NoStep, Way, secrets, tree};
use crate::model::{Loaded, Target};
use crate::{Context, NodeError};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_engine::Promises;
use steadfast_engine::promised::{Deployed, instances, lower_with};
use steadfast_model::application::frozen::{
    self, Deployment, Frozen, Thawed, Unfrozen, Words, gone, thaw,
};
use steadfast_model::application::{ArtifactKind, Location};
use steadfast_model::policy::Approval;
use steadfast_model::{NodeInput, Placed, Promise, Severity};
use steadfast_store::{Component, State, Store, deployments};
use steadfast_trust::text::{chain, hex};

/// What is asked of a run about components.
pub(crate) struct Input<'a> {
    pub(crate) node: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) facts: &'a serde_json::Value,
    /// Why a component of this name takes no step, if so.
    pub(crate) no_step: &'a dyn Fn(&str) -> Option<NoStep>,
    pub(crate) by_hand: bool,
    pub(crate) is_forecast: bool,
    pub(crate) now: i64,
}

/// The components of this run.
#[derive(Debug, Default)]
pub(crate) struct Deploying {
    pub(crate) all: Vec<Instance>,
    /// What would be promised if no component took a step, where one does that has something to go back to.
    pub(crate) before: Option<Promises>,
    /// All that holds for the components is among the promises: else nothing is known to have left the model.
    pub(crate) is_whole: bool,
    /// Whether there is anything to fetch, by component.
    pub(crate) fetches: BTreeMap<String, bool>,
}

/// A deployment, and what holds for all of its component.
type Wanted = (Deployment, Vec<Promise>);

/// A component that was thawed.
struct Candidate {
    instance: Instance,
    shared: Vec<Promise>,
    current: Option<Vec<Promise>>,
    step: Option<Vec<Promise>>,
    wanted: Option<Frozen>,
}

/// Puts the promises of its components into a target. None where it has none.
pub(crate) fn deploy(
    target: &mut Target,
    loaded: &mut Loaded,
    input: &Input<'_>,
    store: &Store,
    cx: &Context,
) -> Result<Option<Deploying>, NodeError> {
    if target.resolved.components.is_empty() {
        return Ok(None);
    }
    let mut deploying = Deploying { is_whole: true, ..Deploying::default() };
    let mut candidates = vec![];
    for (placed, reads) in judged(target, loaded) {
        let candidate = candidate(&placed, &reads, loaded, input, store, cx, &mut deploying)?;
        let fetches = !matches!(location(&placed), Some(Location::Model(_)) | None);
        deploying.fetches.insert(placed.id.to_string(), fetches);
        candidates.push(candidate);
    }
    let lowering = Lowering { target, loaded, input };
    if let Some((promises, before)) = lowering.all(&candidates) {
        target.promises = promises;
        deploying.before = before;
    } else {
        let (promises, before) = lowering.each(&mut candidates, &mut deploying);
        target.promises = promises;
        deploying.before = before;
    }
    for candidate in candidates {
        if !input.is_forecast {
            candidate.begin(input.now, store)?;
        }
        deploying.all.push(candidate.instance);
    }
    Ok(Some(deploying))
}

/// The components with all that is wrong with each, and what each reads from its artifact.
fn judged(target: &mut Target, loaded: &Loaded) -> Vec<(Placed, Vec<Arc<str>>)> {
    let mut all = target.resolved.clone();
    let judged = instances(&mut all, &loaded.sources, &target.promises);
    let placed = std::mem::take(&mut target.resolved.components);
    let both = placed.into_iter().zip(judged);
    both.map(|(placed, judged)| {
        let placed = Placed { mistakes: judged.placed.mistakes, ..placed };
        (loaded.with_documents(placed), judged.reads)
    })
    .collect()
}

impl Candidate {
    /// Without promises as yet.
    fn new(instance: Instance) -> Candidate {
        Candidate { instance, shared: vec![], current: None, step: None, wanted: None }
    }

    /// Writes down where the step leads that is about to begin.
    fn begin(&self, now: i64, store: &Store) -> Result<(), NodeError> {
        let id = self.instance.id.to_string();
        match &self.wanted {
            Some(frozen) if self.instance.way == Way::Step => {
                let (digest, document) = (frozen.digest(), document(frozen));
                let said = (&*frozen.release, &*document);
                store.begin_deployment(&id, &frozen.directory, &digest, said, now)?;
            }
            // One that a run was cut off in leads nowhere any more.
            Some(_) | None => store.end_deployment(&id)?,
        }
        Ok(())
    }
}

fn location(placed: &Placed) -> Option<&Location> {
    match &placed.artifact.as_ref()?.kind {
        ArtifactKind::Files(files) => Some(&files.url.value),
        ArtifactKind::Package { .. } => None,
    }
}

/// What is wanted of it, or why that is not known.
fn wanted(placed: &Placed, reads: &[Arc<str>], loaded: &Loaded) -> Result<Wanted, Way> {
    let first = |all: &steadfast_model::Diagnostics| {
        let error = all.iter().find(|it| it.severity == Severity::Error)?;
        Some(format!("{} ({})", error.message, loaded.sources.place(error.span)))
    };
    if let Some(words) = first(&placed.mistakes) {
        return Err(Way::Held(vec!["its documents have mistakes".to_owned(), words]));
    }
    if let Some(first) = reads.first() {
        let words =
            format!("{first} is read from the artifact, which this version does not do yet");
        return Err(Way::Held(vec![words]));
    }
    let tree = tree::key(placed, &loaded.sources).map(|it| hex(&it.digest()));
    frozen::freeze(placed, &loaded.sources, tree).map_err(|why| match why {
        Unfrozen::Mistakes(all) => {
            let words = first(&all).unwrap_or_default();
            Way::Held(vec!["its documents have mistakes".to_owned(), words])
        }
        Unfrozen::NotYet(words) => Way::Held(vec![words]),
    })
}

/// What is done about a component that is to be this.
fn way(
    placed: &Placed,
    wanted: &Frozen,
    component: Option<&Component>,
    loaded: &Loaded,
    input: &Input<'_>,
    store: &Store,
) -> Result<Way, NodeError> {
    let (id, digest) = (placed.id.to_string(), wanted.digest());
    let before = store.deployment(&id, &digest)?.map(|(it, _)| it);
    let circumstances = Circumstances {
        no_step: (input.no_step)(&id),
        by_hand: input.by_hand,
        keep: placed.keep,
        now: input.now,
    };
    let said = (&*digest, &*wanted.release);
    Ok(match choose(component, said, before.as_ref(), circumstances) {
        Way::Step => not_yet(placed, loaded, input).map_or(Way::Step, Way::Held),
        other @ (Way::Keep | Way::Held(_) | Way::NotKept(_)) => other,
    })
}

/// What its target asks of a step that this version does not do.
fn not_yet(placed: &Placed, loaded: &Loaded, input: &Input<'_>) -> Option<Vec<String>> {
    let known = loaded.model.catalog.applications.get(placed.id.application())?;
    let rollout = &known.targets.get(input.environment)?.rollout;
    let said = [
        (!rollout.windows.is_empty(), "window"),
        (!rollout.waves.is_empty(), "waves"),
        (!rollout.bake.is_zero(), "bake"),
        (rollout.approval != Approval::default(), "approval"),
    ];
    let (_, first) = said.into_iter().find(|(is_said, _)| *is_said)?;
    Some(vec![format!("`rollout: {{ {first} }}` is not carried out by this version")])
}

fn candidate(
    placed: &Placed,
    reads: &[Arc<str>],
    loaded: &mut Loaded,
    input: &Input<'_>,
    store: &Store,
    cx: &Context,
    deploying: &mut Deploying,
) -> Result<Candidate, NodeError> {
    let id = placed.id.to_string();
    let component = store.component(&id)?;
    let Documents { current, others } = Documents::of(&id, component.as_ref(), store)?;
    let known = current.iter().chain(&others);
    let (wanted, way) =
        match wanted(placed, reads, loaded).and_then(|it| sealed(it, known, input, cx)) {
            Ok(it) => {
                let way = way(placed, &it.0.frozen, component.as_ref(), loaded, input, store)?;
                let way = with_newer_secret(way, current.as_ref(), &it.0.frozen);
                (Some(it), way)
            }
            Err(way) => (None, way),
        };
    deploying.is_whole &= wanted.is_some();
    let mut thawing = Thawing { placed, facts: input.facts, cx, loaded };
    let both = [current.as_ref(), wanted.as_ref().map(|(it, _)| &it.frozen)];
    let mut candidate = Candidate::new(instance(placed, both, way));
    let previous = component.as_ref().and_then(|it| it.previous.as_deref());
    if let Some((wanted, shared)) = &wanted {
        candidate.shared.clone_from(shared);
        match candidate.instance.way {
            Way::Keep => {
                // What its digest does not cover holds at once.
                if !input.is_forecast {
                    keep_contents(wanted, cx, &mut candidate.instance.way);
                    renew(&id, &wanted.frozen, store)?;
                    thawing.repair(&wanted.frozen, &mut candidate.instance.way);
                }
                candidate.current = thawing.of(wanted, previous, true, &mut candidate.instance.way);
            }
            Way::Step => {
                let way = &mut candidate.instance.way;
                candidate.step = thawing.step(wanted, current.as_ref(), way);
                if !input.is_forecast {
                    keep_contents(wanted, cx, &mut candidate.instance.way);
                    let way = &mut candidate.instance.way;
                    thawing.prepare(&wanted.frozen, input.now, store, way)?;
                }
            }
            Way::Held(_) | Way::NotKept(_) => {}
        }
    }
    if let Some(frozen) = current.filter(|_| candidate.current.is_none()) {
        let kept = Deployment { frozen, contents: BTreeMap::new() };
        candidate.current = thawing.of(&kept, previous, false, &mut candidate.instance.way);
        // What is not known is not known to have left.
        deploying.is_whole &= candidate.current.is_some();
    }
    candidate.wanted = wanted.map(|(it, _)| it.frozen);
    Ok(candidate)
}

fn renew(id: &str, frozen: &Frozen, store: &Store) -> Result<(), NodeError> {
    let said = (&*frozen.release, &*document(frozen));
    Ok(store.renew_document(id, &frozen.digest(), said)?)
}

fn known(frozen: &Frozen) -> Known {
    Known { digest: frozen.digest(), release: frozen.release.clone() }
}

/// The document of a deployment is plain data, which always becomes text.
fn document(frozen: &Frozen) -> String {
    serde_json::to_string(frozen).unwrap_or_default()
}

fn instance(placed: &Placed, both: [Option<&Frozen>; 2], way: Way) -> Instance {
    let [current, wanted] = both.map(|it| it.map(known));
    let unit = deployments::unit(&placed.id.to_string());
    Instance { unit, id: placed.id.clone(), span: placed.span, current, wanted, way }
}

/// Who waits with the secrets that it has is told so.
fn with_newer_secret(mut way: Way, current: Option<&Frozen>, wanted: &Frozen) -> Way {
    if let (Way::Held(why), Some(current)) = (&mut way, current) {
        why.extend(secrets::newer(current, wanted));
    }
    way
}

/// What is wanted, with the values of its secrets.
fn sealed<'a>(
    (deployment, shared): Wanted,
    known: impl Iterator<Item = &'a Frozen> + Clone,
    input: &Input<'_>,
    cx: &Context,
) -> Result<Wanted, Way> {
    let frozen = secrets::seal(deployment.frozen, known, input.is_forecast, cx);
    let deployment = Deployment { frozen: frozen.map_err(Way::NotKept)?, ..deployment };
    Ok((deployment, shared))
}

/// The deployments of a component, as they were written down.
struct Documents {
    /// What the component is kept to.
    current: Option<Frozen>,
    /// Where a step led that was cut off, and what was there before.
    others: Vec<Frozen>,
}

impl Documents {
    fn of(id: &str, component: Option<&Component>, store: &Store) -> Result<Documents, NodeError> {
        let found = |digest: Option<&String>| -> Result<Option<Frozen>, NodeError> {
            let Some(digest) = digest else { return Ok(None) };
            let found = store.deployment(id, digest)?;
            Ok(found.and_then(|(_, document)| serde_json::from_str(&document).ok()))
        };
        let current = found(component.and_then(|it| it.current.as_ref()))?;
        let step = found(component.and_then(|it| it.step.as_ref()))?;
        let previous = found(component.and_then(|it| it.previous.as_ref()))?;
        Ok(Documents { current, others: step.into_iter().chain(previous).collect() })
    }
}

/// Contents that cannot be kept are not relied on.
fn keep_contents(deployment: &Deployment, cx: &Context, way: &mut Way) {
    for (digest, bytes) in &deployment.contents {
        if let Err(error) = deployments::put_content(&cx.layout, digest, bytes) {
            let words = format!("its contents cannot be kept: {}", chain(&error));
            *way = Way::NotKept(vec![words]);
            return;
        }
    }
}

struct Thawing<'a> {
    placed: &'a Placed,
    facts: &'a serde_json::Value,
    cx: &'a Context,
    loaded: &'a mut Loaded,
}

impl Thawing<'_> {
    /// Only of what the model wants now is the tree there.
    fn words<'b>(&'b self, id: &'b str, previous: Option<&'b str>, is_wanted: bool) -> Words<'b> {
        let tree_from = match location(self.placed) {
            Some(Location::Model(folder)) if is_wanted => Some(&**folder),
            Some(_) | None => None,
        };
        Words {
            id,
            previous,
            tree_from,
            span: self.placed.span,
            keep: self.placed.keep,
            facts: self.facts,
        }
    }

    /// Has the tree there. Where it is not to be had, nothing is switched, and it is tried again later.
    fn prepare(
        &self,
        wanted: &Frozen,
        now: i64,
        store: &Store,
        way: &mut Way,
    ) -> Result<(), NodeError> {
        let Err(words) = tree::prepare(self.placed, self.cx) else { return Ok(()) };
        let id = self.placed.id.to_string();
        let said = (&*wanted.release, &*document(wanted));
        store.begin_deployment(&id, &wanted.directory, &wanted.digest(), said, now)?;
        let why = vec![words];
        store.fail_deployment(&id, State::Inconclusive, &why, now)?;
        *way = Way::NotKept(why);
        Ok(())
    }

    /// Has the tree of what is current as it was unpacked.
    fn repair(&self, current: &Frozen, way: &mut Way) {
        let link = current.tree_link(&current.id());
        let sources = &self.loaded.sources;
        if let Err(words) = tree::repair(self.placed, sources, &link, self.cx) {
            *way = Way::NotKept(vec![words]);
        }
    }

    /// The promises of a step to a deployment, with what leaves with it.
    fn step(
        &mut self,
        wanted: &Deployment,
        current: Option<&Frozen>,
        way: &mut Way,
    ) -> Option<Vec<Promise>> {
        let former = current.map(Frozen::id);
        let mut step = self.of(wanted, former.as_deref(), true, way)?;
        if let (Some(current), Some(id)) = (current, &former) {
            step.extend(gone(current, &wanted.frozen, self.words(id, None, false)));
        }
        Some(step)
    }

    /// The promises of a deployment; none where some of its contents are lost, which is told.
    fn of(
        &mut self,
        deployment: &Deployment,
        previous: Option<&str>,
        is_wanted: bool,
        way: &mut Way,
    ) -> Option<Vec<Promise>> {
        let Deployment { frozen, contents } = deployment;
        let layout = &self.cx.layout;
        let content = |digest: &str| -> Option<Arc<[u8]>> {
            contents.get(digest).cloned().or_else(|| deployments::content(layout, digest))
        };
        let id = frozen.id();
        let previous = previous.map(|it| &it[..it.len().min(id.len())]);
        let mut sources = std::mem::take(&mut self.loaded.sources);
        let thawed = thaw(frozen, self.words(&id, previous, is_wanted), &content, &mut sources);
        self.loaded.sources = sources;
        let Thawed { promises, missing } = thawed;
        let lost = missing.first().map(|it| format!("the content {it} of its deployment is lost"));
        if let Some(words) = lost.or_else(|| secrets::lost(frozen, self.cx)) {
            *way = Way::NotKept(vec![words]);
            return None;
        }
        Some(promises)
    }
}

struct Lowering<'a> {
    target: &'a Target,
    loaded: &'a Loaded,
    input: &'a Input<'a>,
}

impl Lowering<'_> {
    /// The promises of the node and of these components; none where something is wrong with them together.
    fn lower<'c>(
        &self,
        components: impl Iterator<Item = (&'c Candidate, bool)>,
    ) -> Result<Promises, String> {
        let deployed = components.map(|(it, may_step)| {
            let step = it.step.as_ref().filter(|_| may_step && it.instance.way == Way::Step);
            Deployed {
                unit: it.instance.unit.clone(),
                is_step: step.is_some(),
                promises: step.or(it.current.as_ref()).cloned().unwrap_or_default(),
                shared: it.shared.clone(),
            }
        });
        let node = NodeInput {
            environment: &self.target.environment,
            node: self.input.node,
            facts: Some(self.target.then.as_ref().map_or(self.input.facts, |it| &it.facts)),
            releases: &BTreeMap::new(),
        };
        let Loaded { model, sources, .. } = self.loaded;
        let (_, mut promises, found) = lower_with(model, sources, &node, deployed.collect());
        if let Some(then) = &self.target.then {
            then.wait(&mut promises);
        }
        match found.iter().find(|it| it.severity == Severity::Error) {
            None => Ok(promises),
            Some(error) => Err(format!("{} ({})", error.message, sources.place(error.span))),
        }
    }

    fn before(&self, candidates: &[Candidate]) -> Option<Promises> {
        let goes_back = |it: &Candidate| it.instance.way == Way::Step && it.current.is_some();
        if !candidates.iter().any(goes_back) {
            return None;
        }
        self.lower(candidates.iter().map(|it| (it, false))).ok()
    }

    fn all(&self, candidates: &[Candidate]) -> Option<(Promises, Option<Promises>)> {
        let promises = self.lower(candidates.iter().map(|it| (it, true))).ok()?;
        Some((promises, self.before(candidates)))
    }

    /// One after the other, so that what is wrong with one holds that one.
    fn each(
        &self,
        candidates: &mut Vec<Candidate>,
        deploying: &mut Deploying,
    ) -> (Promises, Option<Promises>) {
        let mut good: Vec<Candidate> = vec![];
        for mut candidate in std::mem::take(candidates) {
            for is_last in [false, true] {
                let with = good.iter().chain([&candidate]).map(|it| (it, true));
                let Err(words) = self.lower(with) else { break };
                candidate.step = None;
                candidate.instance.way = Way::NotKept(vec![words]);
                if is_last {
                    candidate.current = None;
                    candidate.shared.clear();
                    deploying.is_whole = false;
                }
            }
            good.push(candidate);
        }
        *candidates = good;
        let promises = self.lower(candidates.iter().map(|it| (it, true))).unwrap_or_default();
        (promises, self.before(candidates))
    }
}

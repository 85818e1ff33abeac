//! From the components that the model places on this node to what is known of each, and to the promises of those that
//! they run.

use super::gates::providers;
use super::instance::{Instance, Keeps};
use super::recognized::recognize;
use super::stage::{own_units, without_programs};
use super::terms::{self, Names};
use super::{flags, secrets, tree};
use crate::model::{Loaded, Target};
use crate::{Context, NodeError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_engine::Promises;
use steadfast_engine::component::{Deployment, Standing, Wanted, is_read_due};
use steadfast_engine::promised::{Deployed, instances, lower_with};
use steadfast_model::application::Rollout;
use steadfast_model::application::frozen::{self, Frozen, Unfrozen};
use steadfast_model::deploying;
use steadfast_model::{ComponentId, NodeInput, Placed, Promise, Severity, SourceSet};
use steadfast_store::{Instance as Known, Store, deployments};
use steadfast_system::trees::Depth;
use steadfast_trust::text::{chain, hex};

/// What is asked of a run about components.
pub(crate) struct Input<'a> {
    pub(crate) node: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) facts: &'a serde_json::Value,
    pub(crate) is_forecast: bool,
    /// In seconds since 1970.
    pub(crate) now: i64,
}

/// The components of this run.
#[derive(Debug, Default)]
pub(crate) struct Deploying {
    pub(crate) all: Vec<Instance>,
    /// All that holds for the components is among the promises: else nothing is known to have left the model.
    pub(crate) is_whole: bool,
    /// The files that promises of deployments are made from.
    pub(crate) sources: SourceSet,
    /// How the servers of artifacts are talked to.
    pub(crate) policy: deploying::Deploying,
}

impl Deploying {
    /// What each is to be, by the word of the model or of what is there.
    pub(super) fn wanted(&self) -> Vec<Option<Deployment>> {
        self.all.iter().map(|it| it.wanted().map(|it| it.deployment)).collect()
    }

    /// Each among the others, with what it is to be.
    pub(super) fn standings<'s>(&'s self, wanted: &'s [Option<Deployment>]) -> Vec<Standing<'s>> {
        let both = self.all.iter().zip(wanted);
        both.map(|(it, wanted)| Standing {
            id: &it.id,
            row: it.row(),
            wanted: wanted.as_ref(),
            uses: &it.uses,
        })
        .collect()
    }
}

/// Puts the promises of its components into a target. None where it has none, and none that left has something open.
pub(crate) fn deploy(
    target: &mut Target,
    loaded: &mut Loaded,
    input: &Input<'_>,
    store: &Store,
    cx: &Context,
) -> Result<Option<Deploying>, NodeError> {
    let mut known = store.instances()?;
    if target.resolved.components.is_empty() && !known.values().any(Known::is_amid) {
        return Ok(None);
    }
    let policy = target.resolved.policy.deploying.clone();
    let mut deploying = Deploying { is_whole: true, policy, ..Deploying::default() };
    let judged = judged(target, loaded);
    let placed: Vec<&Placed> = judged.iter().map(|(it, _)| it).collect();
    let uses = providers(&loaded.model.catalog, &placed);
    for ((placed, reads), uses) in judged.into_iter().zip(uses) {
        let known = known.remove(&placed.id.to_string()).unwrap_or_default();
        let finding = Finding { loaded, input, store, cx, policy: &deploying.policy };
        deploying.all.push(finding.instance(placed, &reads, uses, known)?);
    }
    deploying.all.extend(left(known, store)?);
    let mut lowering = Lowering { target, loaded, input, cx };
    let promises = lowering.all(&mut deploying);
    target.promises = promises;
    deploying.sources = loaded.sources.clone();
    Ok(Some(deploying))
}

/// What is still to be ended of the components of a node that no environment names any more. None where that is nothing.
pub(crate) fn deploy_nothing(store: &Store) -> Result<Option<Deploying>, NodeError> {
    let all = left(store.instances()?, store)?;
    let deploying = Deploying { all, is_whole: true, ..Deploying::default() };
    Ok((!deploying.all.is_empty()).then_some(deploying))
}

/// Components that the model does not place here, and of which something is still to be ended.
fn left(known: BTreeMap<String, Known>, store: &Store) -> Result<Vec<Instance>, NodeError> {
    let mut all = vec![];
    for (id, known) in known.into_iter().filter(|(_, it)| it.is_amid()) {
        let Ok(id) = id.parse::<ComponentId>() else { continue };
        all.push(Instance {
            unit: deployments::unit(&id.to_string()),
            documents: documents(&id, store)?,
            id,
            placed: None,
            rollout: Rollout::default(),
            uses: BTreeSet::new(),
            written: known.clone(),
            known,
            wanted: None,
            mistake: None,
            trouble: None,
            contents: BTreeMap::new(),
            shared: vec![],
        });
    }
    Ok(all)
}

/// The components with all that is wrong with each, and what each reads from its artifact.
fn judged(target: &mut Target, loaded: &Loaded) -> Vec<(Placed, Vec<Arc<str>>)> {
    let placed = target.resolved.components.clone();
    let judged = instances(&mut target.resolved, &loaded.sources, &target.promises);
    let both = placed.into_iter().zip(judged);
    both.map(|(placed, judged)| {
        let placed = Placed { mistakes: judged.placed.mistakes, ..placed };
        (loaded.with_documents(placed), judged.reads)
    })
    .collect()
}

/// Why it is not known what a component is to be.
enum NotWanted {
    /// Its documents do not say it soundly.
    Mistaken(Arc<str>),
    /// A secret is not to be had.
    Unsealed(String),
}

struct Finding<'a> {
    loaded: &'a mut Loaded,
    input: &'a Input<'a>,
    store: &'a Store,
    cx: &'a Context,
    policy: &'a deploying::Deploying,
}

impl Finding<'_> {
    fn instance(
        self,
        placed: Placed,
        reads: &[Arc<str>],
        uses: BTreeSet<ComponentId>,
        known: Known,
    ) -> Result<Instance, NodeError> {
        let documents = documents(&placed.id, self.store)?;
        let rollout = self.rollout(&placed);
        let mut instance = Instance {
            unit: deployments::unit(&placed.id.to_string()),
            id: placed.id.clone(),
            rollout,
            uses,
            written: known.clone(),
            known,
            wanted: None,
            mistake: None,
            trouble: None,
            documents,
            contents: BTreeMap::new(),
            shared: vec![],
            placed: None,
        };
        if let Some(directory) = &placed.directory {
            instance.known.directory = directory.to_string();
        }
        match self.wanted(&placed, reads, &instance) {
            Ok((wanted, deployment, shared)) => {
                let own = Arc::clone(&wanted.deployment.own);
                instance.documents.insert(own, deployment.frozen);
                instance.contents = deployment.contents;
                instance.shared = shared;
                instance.wanted = Some(wanted);
            }
            Err(NotWanted::Mistaken(words)) => instance.mistake = Some(words),
            Err(NotWanted::Unsealed(words)) => instance.trouble = Some(words),
        }
        instance.documents.values_mut().for_each(|it| flags::deliver(it, &placed.flags));
        instance.placed = Some(placed);
        recognize(&mut instance);
        if !self.input.is_forecast {
            self.renew(&mut instance);
        }
        Ok(instance)
    }

    fn rollout(&self, placed: &Placed) -> Rollout {
        let application = self.loaded.model.catalog.applications.get(placed.id.application());
        let target = application.and_then(|it| it.targets.get(self.input.environment));
        target.map(|it| it.rollout.clone()).unwrap_or_default()
    }

    /// What is wanted of it, or the first mistake of its documents.
    fn wanted(
        &self,
        placed: &Placed,
        reads: &[Arc<str>],
        instance: &Instance,
    ) -> Result<(Wanted, frozen::Deployment, Vec<Promise>), NotWanted> {
        let mistaken = |words: String| NotWanted::Mistaken(Arc::from(words));
        let first = |all: &steadfast_model::Diagnostics| {
            let error = all.iter().find(|it| it.severity == Severity::Error)?;
            Some(format!("{} ({})", error.message, self.loaded.sources.place(error.span)))
        };
        if let Some(words) = first(&placed.mistakes) {
            return Err(mistaken(words));
        }
        if let Some(first) = reads.first() {
            let words =
                format!("{first} is read from the artifact, which this version does not do yet");
            return Err(mistaken(words));
        }
        let tree = tree::key(placed, &self.loaded.sources).map(|it| hex(&it.digest()));
        let frozen = frozen::freeze(placed, &self.loaded.sources, tree);
        let (deployment, shared) = frozen.map_err(|why| match why {
            Unfrozen::Mistakes(all) => mistaken(first(&all).unwrap_or_default()),
            Unfrozen::NotYet(words) => mistaken(words),
        })?;
        let known = instance.documents.values();
        let frozen = secrets::seal(deployment.frozen, known, self.input.is_forecast, self.cx);
        let frozen = frozen.map_err(|words| NotWanted::Unsealed(words.join(": ")))?;
        let deployment = frozen::Deployment { frozen, ..deployment };
        let frozen = &deployment.frozen;
        let own: Arc<str> = Arc::from(frozen.digest());
        // It keeps the directory that it was given.
        let known = instance.involved().into_iter().chain(instance.row().previous.clone());
        let folder = known.filter(|it| it.own == own).map(|it| it.folder).next();
        let folder = folder.unwrap_or_else(|| Arc::from(frozen.id()));
        let names = Names { own, public: Arc::from(frozen.public_digest()), folder };
        let wanted = terms::wanted(placed, frozen, names, instance.rollout.bake);
        let wanted = wanted.ok_or_else(|| mistaken("its settings are not known".to_owned()))?;
        Ok((wanted, deployment, shared))
    }

    /// How closely its tree is looked at: what the kernel shows is believed but for once in a while.
    fn depth(&self, instance: &Instance, placed: &Placed) -> Depth {
        let Some(settings) = &placed.settings else { return Depth::Seen };
        let of = (self.input.node, &*placed.id.to_string());
        let last = instance.known.verified;
        let is_due = is_read_due(of, settings.verify, last, self.input.now);
        if is_due && instance.fetches() { Depth::Whole } else { Depth::Seen }
    }

    /// What runs promises beside what its digest covers is as the model says it now; and its tree is whole.
    fn renew(self, instance: &mut Instance) {
        let Some(runs) = instance.row().runs().cloned() else { return };
        if !instance.is_wanted(&runs) {
            return;
        }
        if let Err(words) = put(instance, &runs, self.store, self.cx) {
            instance.trouble = Some(words);
            return;
        }
        let frozen = instance.documents.get(&runs.own).zip(instance.placed.as_ref());
        if let Some((frozen, placed)) = frozen
            && instance.keeps() == Keeps::All
        {
            let link = frozen.tree_link(&runs.folder);
            let depth = self.depth(instance, placed);
            let fetching = tree::Fetching { cx: self.cx, policy: self.policy };
            let repaired = tree::repair(placed, &self.loaded.sources, &link, (fetching, depth));
            instance.trouble = repaired.err();
            if depth == Depth::Whole && instance.trouble.is_none() {
                instance.known.verified = Some(self.input.now);
            }
        }
    }
}

/// Writes the wanted deployment down, with its contents.
pub(super) fn put(
    instance: &Instance,
    it: &Deployment,
    store: &Store,
    cx: &Context,
) -> Result<(), String> {
    let Some(frozen) = instance.documents.get(&it.own) else { return Ok(()) };
    for (digest, bytes) in &instance.contents {
        let put = deployments::put_content(&cx.layout, digest, bytes);
        put.map_err(|error| format!("its contents cannot be kept: {}", chain(&error)))?;
    }
    // A document is plain data, which always becomes text.
    let document = serde_json::to_string(frozen).unwrap_or_default();
    let put = store.put_document(&instance.id.to_string(), &it.own, &document);
    put.map_err(|error| chain(&error))
}

fn documents(id: &ComponentId, store: &Store) -> Result<BTreeMap<Arc<str>, Frozen>, NodeError> {
    let id = id.to_string();
    let mut all = BTreeMap::new();
    for own in store.documents(&id)? {
        let document = store.document(&id, &own)?;
        if let Some(frozen) = document.and_then(|it| serde_json::from_str(&it).ok()) {
            all.insert(Arc::from(own), frozen);
        }
    }
    Ok(all)
}

struct Lowering<'a> {
    target: &'a Target,
    loaded: &'a mut Loaded,
    input: &'a Input<'a>,
    cx: &'a Context,
}

impl Lowering<'_> {
    /// The promises of the node and of what its components run; in a forecast, of what they are about to run.
    fn all(&mut self, deploying: &mut Deploying) -> Promises {
        let mut kept: Vec<Vec<Promise>> = vec![];
        for instance in &mut deploying.all {
            deploying.is_whole &= instance.placed.is_none() || instance.wanted.is_some();
            let found = self.kept(instance);
            kept.push(found.unwrap_or_else(|words| {
                instance.trouble.get_or_insert_with(|| words.to_string());
                // What is not known is not known to have left.
                deploying.is_whole = false;
                vec![]
            }));
        }
        let all = deploying.all.iter().zip(kept.iter().cloned());
        if let Ok(promises) = self.lower(all) {
            return promises;
        }
        // One after the other, so that what is wrong with one holds that one.
        let mut good: Vec<(usize, Vec<Promise>)> = vec![];
        for (at, promises) in kept.into_iter().enumerate() {
            let with = good.iter().cloned().chain([(at, promises.clone())]);
            let with = with.map(|(at, its)| (&deploying.all[at], its));
            match self.lower(with) {
                Ok(_) => good.push((at, promises)),
                Err(words) => {
                    let instance = &mut deploying.all[at];
                    instance.trouble = Some(words);
                    instance.shared.clear();
                    deploying.is_whole = false;
                }
            }
        }
        let good = good.into_iter().map(|(at, its)| (&deploying.all[at], its));
        self.lower(good).unwrap_or_default()
    }

    /// The promises of one component in this run.
    fn kept(&mut self, instance: &Instance) -> Result<Vec<Promise>, Arc<str>> {
        let Lowering { target: _, loaded, input, cx } = self;
        let (sources, facts) = (&mut loaded.sources, input.facts);
        if input.is_forecast
            && let Some(wanted) = &instance.wanted
            && instance.row().step.is_none()
        {
            return instance.foreseen(&wanted.deployment, facts, sources, cx);
        }
        let Some(runs) = instance.row().runs() else { return Ok(vec![]) };
        match instance.keeps() {
            Keeps::All => instance.thawed(runs, facts, sources, cx),
            Keeps::ButPrograms => {
                let all = instance.thawed(runs, facts, sources, cx)?;
                let own = own_units(&all);
                Ok(all.into_iter().filter_map(|it| without_programs(it, &own)).collect())
            }
            Keeps::Nothing => Ok(vec![]),
        }
    }

    /// The promises of the node and of these components; none where something is wrong with them together.
    fn lower<'c>(
        &self,
        components: impl Iterator<Item = (&'c Instance, Vec<Promise>)>,
    ) -> Result<Promises, String> {
        let deployed = components.map(|(it, promises)| Deployed {
            unit: it.unit.clone(),
            is_step: false,
            promises,
            shared: it.shared.clone(),
        });
        let deployed = deployed.collect();
        let node = NodeInput {
            environment: &self.target.environment,
            node: self.input.node,
            facts: Some(self.target.then.as_ref().map_or(self.input.facts, |it| &it.facts)),
            releases: &BTreeMap::new(),
        };
        let Loaded { model, sources, .. } = &*self.loaded;
        let (_, mut promises, found) = lower_with(model, sources, &node, deployed);
        if let Some(then) = &self.target.then {
            then.wait(&mut promises);
        }
        match found.iter().find(|it| it.severity == Severity::Error) {
            None => Ok(promises),
            Some(error) => Err(format!("{} ({})", error.message, sources.place(error.span))),
        }
    }
}

impl Instance {
    /// Whether there is anything to fetch for it.
    pub(super) fn fetches(&self) -> bool {
        self.placed.as_ref().and_then(tree::fetched).is_some()
    }
}

//! One run, from the directory of a model to verdicts. Dry runs, runs by hand and runs of the agent all
//! take this path; they differ only in their [`Purpose`].
//!
//! A run takes the lock and reads the files of the model, unless nobody has changed them. If the promises of this
//! node are not cached, it resolves them. It observes the machine, and either reports the differences or repairs
//! them and observes again. Last, it handles orphans: what earlier runs made and the model no longer promises.

use crate::deployments::{self, Deploying};
use crate::few::{self, Few};
use crate::findings::Findings;
use crate::keep::{Keeping, Told};
use crate::model::{self, Files};
use crate::orphans::{self, Orphans};
use crate::recognized::Known;
use crate::resolution::{self, Resolution};
use crate::settings::VERIFY;
use crate::wire::Report;
use crate::{Context, NodeError};
use state::{is_amid_step, lock};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::{Assessment, Budget, Circumstances, Observer, Plan, Promises, Summary};
use steadfast_model::{Diagnostic, Keep};
use steadfast_resources::glob::Glob;
use steadfast_store::{Journal, KnownContents, Places, ResolveCache, RunHeader, Store};
use steadfast_system::Host;
use steadfast_system::clock::Read as _;
use steadfast_system::packages::Write as _;
use steadfast_trust::text::chain;

/// What to run, on which promises, and for which purpose.
#[derive(Debug)]
pub struct Run<'a> {
    /// The directory of the model.
    pub model: &'a Path,
    /// The name of this machine in the model; by default its host name.
    pub node: Option<&'a str>,
    /// By default the only environment that names the node.
    pub environment: Option<&'a str>,
    /// The commit of the files, if the directory itself does not record it.
    pub commit: Option<String>,
    /// Whether this is the model that the agent has adopted.
    pub is_adopted: bool,
    /// Whether every file is read, even if the kernel says that it is the same as when it was last read.
    pub reads_all: bool,
    pub scope: Scope,
    pub purpose: Purpose,
    pub hand: Hand,
}

/// What a person may ask of the steps of components.
#[derive(Clone, Debug, Default)]
pub struct Hand {
    /// Neither a window nor the time that a new deployment is watched is waited for.
    pub now: bool,
    /// It is waited for what takes long, too.
    pub waits: bool,
    /// Who it is, for what is written down.
    pub by: Option<String>,
}

/// Which promises are attempted.
#[derive(Debug)]
pub enum Scope {
    All,
    Matching(Vec<Glob>),
    /// By name; a name that no promise has is taken as a pattern.
    Named(Vec<String>),
}

/// Why the run takes place.
#[derive(Debug)]
pub enum Purpose {
    /// To report what a run would do, without changing anything.
    Forecast,
    /// To repair the machine now, on an operator's request.
    ByHand,
    /// To keep the revision that the agent has adopted.
    Keep(Keeping),
}

/// The result of a run.
#[derive(Debug)]
pub enum Done {
    /// No environment names this node.
    Nothing { node: String, warnings: Findings },
    Foreseen {
        promises: Promises,
        plan: Plan,
        orphans: Orphans,
        components: Vec<deployments::Told>,
    },
    /// By hand. Units that nobody promised but something else needs are counted by themselves.
    Ran { summary: Summary, implied: Summary, run: Option<i64>, orphans: Orphans },
    /// For the agent, with the promises, of which it may want to know what is to be watched.
    Kept { report: Report, promises: Promises },
}

/// Runs once.
pub fn run(run: &Run<'_>, cx: &Context, audience: &mut dyn Audience) -> Result<Done, NodeError> {
    if !run.is_forecast() && !cx.root {
        return Err(NodeError::NotRoot);
    }
    let _lock = (!run.is_forecast()).then(|| lock(cx)).transpose()?;
    run_locked(run, cx, audience)
}

fn run_locked(run: &Run<'_>, cx: &Context, audience: &mut dyn Audience) -> Result<Done, NodeError> {
    // What goes into it.
    let (facts, unread) = model::facts(&cx.layout);
    unread.iter().for_each(|it| audience.warn(it));
    let node = model::node_name(run.node, &facts);
    if let Some(done) = few(run, cx, &node, &facts, audience)? {
        return Ok(done);
    }
    let mut known = Known::find(run.model, &cx.layout, run.verify(), run.is_forecast())?;
    if run.commit.is_some() {
        known.files.revision.commit.clone_from(&run.commit);
    }
    let mut running = Running::new(run, cx, &node, &facts, audience);
    let cache = running.cache_for(&known.files);
    if let Some(done) = running.quiet(&known.files)? {
        return Ok(done);
    }
    running.unsettle();
    let resolution: Option<Resolution> = cache.as_ref().and_then(resolution::recall);
    let was_cached = resolution.is_some();

    // Where it is remembered, and what differs can be repaired with that, that is all.
    if let Some(mut resolution) = resolution.filter(|_| !run.is_more_than_keeping()) {
        let store = running.open()?;
        let contents =
            cache.as_ref().and_then(|it| resolution::attach_contents(it, &mut resolution));
        let files = &known.files;
        if let Some(done) =
            running.remembered(resolution, contents, files, &files.sources, &store)?
        {
            return Ok(done);
        }
    }
    running.anew(known, cache, was_cached)
}

/// A run over a few promises, with what is remembered of those alone. None where that is not enough.
fn few(
    run: &Run<'_>,
    cx: &Context,
    node: &str,
    facts: &serde_json::Value,
    audience: &mut dyn Audience,
) -> Result<Option<Done>, NodeError> {
    let (Some(keeping), Scope::Named(names)) = (run.keeping(), &run.scope) else { return Ok(None) };
    let few = few::recall(names, keeping, cx, facts, run.environment, node);
    let Some(Few { resolution, contents, places, mut files }) = few else { return Ok(None) };
    files.revision.commit.clone_from(&run.commit);
    let mut running = Running { is_few: true, ..Running::new(run, cx, node, facts, audience) };
    running.unsettle();
    let store = running.open()?;
    running.remembered(resolution, contents, &files, &places, &store)
}

impl Run<'_> {
    fn is_forecast(&self) -> bool {
        match self.purpose {
            Purpose::Forecast => true,
            Purpose::ByHand | Purpose::Keep(_) => false,
        }
    }

    fn keeping(&self) -> Option<&Keeping> {
        match &self.purpose {
            Purpose::Keep(keeping) => Some(keeping),
            Purpose::Forecast | Purpose::ByHand => None,
        }
    }

    /// For how long a file that was read need not be read again.
    fn verify(&self) -> Duration {
        if self.reads_all {
            return Duration::ZERO;
        }
        self.keeping().map_or(VERIFY, |it| it.verify)
    }

    /// Whether more than the promises has to be known.
    fn is_more_than_keeping(&self) -> bool {
        self.keeping().is_some_and(Keeping::is_more_than_keeping)
    }
}

pub use crate::audience::{Audience, Beginning};

mod components;
mod drifted;
mod quiet;
mod state;
mod work;

pub use state::{open, package_policy};

/// One run, with what holds for it whether its promises were remembered or resolved.
struct Running<'a> {
    run: &'a Run<'a>,
    cx: &'a Context,
    node: &'a str,
    facts: &'a serde_json::Value,
    /// A name for all that the promises follow from, where there is one.
    model: Option<String>,
    /// Only of a few promises is anything known.
    is_few: bool,
    audience: &'a mut dyn Audience,
    /// The components of the node, where it carries any.
    deploying: Option<Deploying>,
}

/// What a run works with, once it has looked.
struct Ready<'a> {
    resolution: Resolution,
    files: &'a Files,
    host: &'a Host,
    store: &'a Store,
    assessment: Assessment,
    told: Told<'a>,
}

impl<'a> Running<'a> {
    fn new(
        run: &'a Run<'a>,
        cx: &'a Context,
        node: &'a str,
        facts: &'a serde_json::Value,
        audience: &'a mut dyn Audience,
    ) -> Running<'a> {
        Running { run, cx, node, facts, model: None, is_few: false, audience, deploying: None }
    }
}

impl Running<'_> {
    fn open(&mut self) -> Result<Store, NodeError> {
        let mut notices = vec![];
        let store = open(self.cx, self.run.is_forecast(), &mut notices);
        notices.iter().for_each(|it| self.audience.warn(it));
        store
    }

    /// The place of what these files come to, which names all that promises follow from.
    fn cache_for(&mut self, files: &Files) -> Option<ResolveCache> {
        let Running { run, cx, node, facts, .. } = self;
        let content = &files.content;
        let cache = resolution::cache_for(&cx.layout, content, facts, run.environment, node);
        self.model = cache.as_ref().map(ResolveCache::name);
        cache
    }

    /// A run over promises that are resolved from the model.
    fn anew(
        &mut self,
        known: Known,
        cache: Option<ResolveCache>,
        was_cached: bool,
    ) -> Result<Done, NodeError> {
        let digest = known.files.revision.digest;
        let files = known.read(self.run.model)?;
        // Somebody may have changed it meanwhile.
        let is_another = files.revision.digest != digest;
        let cache = if is_another { self.cache_for(&files) } else { cache };
        let content = files.content;
        let mut loaded = model::parse(files);
        let (node, facts, layout) = (self.node, self.facts, &self.cx.layout);
        let mut target = model::target(&mut loaded, self.run.environment, node, facts, layout)?;
        let warnings = loaded.sound()?;
        let store = self.deploy(target.as_mut(), &mut loaded)?;
        // Of the model itself nothing is needed any more, and it may be large.
        let model::Loaded { sources, revision, .. } = loaded;
        let mut files = Files { sources, content, revision };
        let Some(target) = target else { return self.nothing(&files, warnings) };
        let resolution = Resolution {
            environment: target.environment,
            packages: package_policy(&target.resolved.policy),
            promises: target.promises,
            orphans: orphans::extent(target.resolved.policy.orphans).filter(|_| self.is_whole()),
            limits: target.resolved.policy.budget.into(),
            warnings,
        };
        drop(target.resolved);
        if let Some(cache) = &cache
            && (!was_cached || is_another)
            && !self.run.is_forecast()
            && self.deploying.is_none()
        {
            resolution::remember(cache, &resolution, &files);
        }
        // A warning shows its line; of a promise only the place is told.
        if resolution.warnings.is_empty() {
            // What a step brings is promised where its component is written.
            let components = self.deploying.iter().flat_map(|it| &it.all).map(|it| it.span());
            files.sources.keep_places(resolution.promises.spans().chain(components));
        }
        let store = store.map_or_else(|| self.open(), Ok)?;
        self.resolved(resolution, &files, &store)
    }

    /// A run over promises that are remembered: none where only whoever has resolved the model can go on.
    fn remembered(
        &mut self,
        mut resolution: Resolution,
        contents: Option<Arc<KnownContents>>,
        files: &Files,
        places: &dyn Places,
        store: &Store,
    ) -> Result<Option<Done>, NodeError> {
        // What is taken back first may leave something to repair.
        if is_amid_step(store) {
            return Ok(None);
        }
        let unmatched = self.select(&mut resolution);
        let host = self.host(&resolution);
        let budget = Budget::from(resolution.limits);
        let assessment = self.look(&resolution.promises, &host, store, budget);
        let can_repair = contents.is_some_and(|it| !it.has_missed());
        if !assessment.plan.is_kept() && !can_repair {
            return Ok(None);
        }
        self.begin(&resolution, files, &unmatched);
        let mut told = self.told(&resolution, files, places, &host, store);
        if !assessment.plan.is_kept() {
            // It leaves the budget alone: what a task does beside keeping has resolved the model.
            self.before(&resolution, &host, store, &mut told);
        }
        // Not where the model has just been resolved: that took long enough.
        let settling = self.settling(&resolution, &host, &assessment);
        let ready = Ready { resolution, files, host: &host, store, assessment, told };
        let done = self.carry_out(ready);
        self.settle(&done, &host, settling);
        Ok(Some(done))
    }

    /// What the agent does before it keeps, and what that leaves of the budget.
    fn before(
        &mut self,
        resolution: &Resolution,
        host: &Host,
        store: &Store,
        told: &mut Told<'_>,
    ) -> Budget {
        let budget = Budget::from(resolution.limits);
        let Some(keeping) = self.run.keeping() else { return budget };
        keeping.before(resolution, host, store, budget, told).unwrap_or_else(|error| {
            // The machine is kept all the same; what is not known as ours is only never taken back.
            self.audience.warn(&chain(&error));
            budget
        })
    }

    fn resolved(
        &mut self,
        mut resolution: Resolution,
        files: &Files,
        store: &Store,
    ) -> Result<Done, NodeError> {
        let unmatched = self.select(&mut resolution);
        self.begin(&resolution, files, &unmatched);
        let host = self.host(&resolution);
        let mut told = self.told(&resolution, files, &files.sources, &host, store);
        let budget = self.before(&resolution, &host, store, &mut told);
        let assessment = self.look(&resolution.promises, &host, store, budget);
        Ok(self.carry_out(Ready { resolution, files, host: &host, store, assessment, told }))
    }

    /// No environment names this node. An agent that goes back to such a revision still takes back what
    /// the other one did, and every run what an earlier one left in the middle.
    fn nothing(&mut self, files: &Files, warnings: Vec<Diagnostic>) -> Result<Done, NodeError> {
        if !self.run.is_forecast() {
            let store = self.open()?;
            let is_going_back = self.run.keeping().is_some_and(Keeping::is_going_back);
            if is_going_back || is_amid_step(&store) {
                let environment = self.run.environment.unwrap_or_default();
                let resolution = Resolution::nothing(environment, warnings);
                self.deploying = deployments::deploy_nothing(&store)?;
                return self.resolved(resolution, files, &store);
            }
        }
        Ok(match self.run.keeping() {
            None => {
                let warnings = Findings { all: warnings, sources: files.sources.clone() };
                Done::Nothing { node: self.node.to_owned(), warnings }
            }
            Some(_) => Done::Kept { report: Report::default(), promises: Promises::default() },
        })
    }

    fn told<'b>(
        &self,
        resolution: &Resolution,
        files: &Files,
        places: &'b dyn Places,
        host: &'b Host,
        store: &'b Store,
    ) -> Told<'b> {
        if self.run.keeping().is_none() {
            store.set_by_hand();
        }
        let header = RunHeader {
            started: host.now(),
            node: self.node.to_owned(),
            environment: resolution.environment.to_string(),
            model: self.run.model.display().to_string(),
            revision: files.revision.to_string(),
            commit: files.revision.commit.clone(),
        };
        Told::new(Journal::new(store, places, header, host), host)
    }

    /// Selects what is attempted. Gives the patterns that match nothing.
    fn select(&self, resolution: &mut Resolution) -> Vec<Glob> {
        if self.run.keeping().is_some_and(|it| it.report_only) {
            resolution.promises.all.iter_mut().for_each(|it| it.keep = Keep::Report);
        }
        match &self.run.scope {
            Scope::All => vec![],
            Scope::Matching(globs) => resolution.promises.select_some(globs),
            Scope::Named(names) => {
                resolution.promises.select_named(names);
                vec![]
            }
        }
    }

    fn host(&mut self, resolution: &Resolution) -> Host {
        let host = self.cx.host();
        host.trust_looks(self.run.verify());
        self.ready(&host, resolution);
        host
    }

    fn ready(&mut self, host: &Host, resolution: &Resolution) {
        host.set_package_policy(resolution.packages);
        if let Some(error) = host.hides_everything() {
            let words = format!("every file counts as secret: {}", error.chain().join(": "));
            self.audience.warn(&words);
        }
        if !self.run.is_forecast()
            && let Err(error) = host.tidy_packages()
        {
            self.audience.warn(&error.chain().join(": "));
        }
    }

    fn look(&self, promises: &Promises, host: &Host, store: &Store, budget: Budget) -> Assessment {
        let circumstances = Circumstances { root: self.cx.root, budget };
        let observer =
            if self.run.is_forecast() { Observer::ReadOnly(host) } else { Observer::MayRun(host) };
        steadfast_engine::look(promises, observer, &store, circumstances)
    }

    fn begin(&mut self, resolution: &Resolution, files: &Files, unmatched: &[Glob]) {
        self.audience.begins(&Beginning {
            node: self.node,
            environment: &resolution.environment,
            promises: resolution.promises.count()
                + self.deploying.as_ref().map_or(0, |it| it.all.len()),
            revision: &files.revision,
            warnings: &resolution.warnings,
            sources: &files.sources,
            unmatched,
        });
    }
}

#[cfg(test)]
mod tests;

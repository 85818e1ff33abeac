//! `steadfast run`: bring this machine to its model once, or say what that would do.

mod job;
mod totals;

use crate::Surroundings;
use crate::adopted::{self, Adopted};
use crate::args::Format;
use crate::commands::adopt;
use crate::exit::{Exit, Failure, Outcome};
use crate::known::{self, Known};
use crate::model::{self, Files};
use crate::released;
use crate::render::json;
use crate::render::report;
use crate::ui::Ui;
use clap::Args;
use job::Job;
use std::path::{Path, PathBuf};
use steadfast_agent::api::v1;
use steadfast_agent::client;
use steadfast_agent::machine::Report;
use steadfast_agent::wire::{Changed, RunLine};
use steadfast_engine::{Budget, Summary};
use steadfast_model::policy::Policy;
use steadfast_resources::glob::Glob;
use steadfast_store::{Layout, LockError, Remembered, RunLock, Store, StoreError};
use steadfast_system::packages::PackagePolicy;
use totals::{nothing_promised, totals};

/// Bring this machine to its model once, or say what that would do
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Exit with 3 where something is pending
    #[arg(long)]
    exit_code: bool,

    /// The folder of the model
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,

    /// The name of this node in the model [default: the fully qualified host name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,

    /// The environment [default: the one that names the node]
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,

    /// Attempt only promises that match, as in 'file:/etc/**' (may be repeated)
    #[arg(long, value_name = "GLOB", value_parser = Glob::of_ids)]
    only: Vec<Glob>,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,

    /// What the agent adds where it starts the run.
    #[arg(skip)]
    by_agent: Option<ByAgent>,
}

/// What only the agent asks of a run.
#[derive(Clone, Debug)]
pub(crate) struct ByAgent {
    /// Promises by name, or patterns of them.
    pub only: Option<Vec<String>>,
    /// The content that is compared with, to tell what a revision has changed.
    pub against: Option<PathBuf>,
    pub report_only: bool,
    pub watch: bool,
    pub commit: Option<String>,
    /// Who has changed what the run is about.
    pub changed: Vec<Changed>,
    /// The name of the content that is kept, and what this run does beside keeping it.
    pub content: String,
    pub task: Task,
}

/// What a run of the agent does beside keeping a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Nothing,
    /// It is new: what left the model goes, where the policy says so.
    Adopt,
    /// What was done since this content was adopted is taken back first.
    GoBack {
        from: String,
    },
}

impl ByAgent {
    /// Whether more than the promises has to be known.
    fn is_more_than_keeping(&self) -> bool {
        match self.task {
            Task::Nothing => false,
            Task::Adopt | Task::GoBack { .. } => true,
        }
    }
}

impl RunArgs {
    pub(crate) fn by_agent(
        content: PathBuf,
        node: String,
        environment: String,
        by_agent: ByAgent,
    ) -> RunArgs {
        RunArgs {
            dry_run: false,
            exit_code: false,
            model: Some(content),
            node: Some(node),
            environment: Some(environment),
            only: vec![],
            format: Format::Json,
            by_agent: Some(by_agent),
        }
    }
}

pub(crate) fn run(
    args: &RunArgs,
    layout: &Layout,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Outcome {
    if let Some(path) = &args.model {
        if !args.dry_run {
            beside_an_agent(layout)?;
        }
        return run_once(args, path, None, layout, surroundings, ui);
    }
    let adopted = adopted::find(layout)?;
    if !args.dry_run && (args.node.is_some() || args.environment.is_some()) {
        let failure = Failure::usage("the agent keeps this machine under the name that it has");
        return Err(failure.help("look first: steadfast run --dry-run …, or name a --model"));
    }
    if !args.dry_run && surroundings.root && client::is_running(&layout.socket()) {
        return through_the_agent(args, &adopted, layout, ui);
    }
    let path = adopted.content.clone();
    run_once(args, &path, Some(&adopted), layout, surroundings, ui)
}

/// A run of another model beside a running agent would be undone by the agent's next one.
fn beside_an_agent(layout: &Layout) -> Result<(), Failure> {
    match client::status(&layout.socket()) {
        Ok(status) if status.suspended.is_none() && status.adopted.is_some() => {
            let failure = Failure::usage("an agent keeps this machine, and would undo this run");
            Err(failure.help(
                "look with --dry-run, or hold the agent back first: steadfast suspend --reason TEXT",
            ))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// There is one engine on a machine: where an agent runs, it is asked.
fn through_the_agent(args: &RunArgs, adopted: &Adopted, layout: &Layout, ui: &Ui) -> Outcome {
    let only = match args.only[..] {
        [] => None,
        _ => Some(named(args, adopted, layout, ui)?),
    };
    ui.progress("the agent runs");
    let answer = client::request(&layout.socket(), &v1::Request::Run { only });
    ui.clear();
    let answer = answer.map_err(adopt::failure)?;
    let (kept, repaired, not_kept, held) = match answer {
        v1::Answer::RunEnded { kept, repaired, not_kept, held } => (kept, repaired, not_kept, held),
        v1::Answer::Refused { because } => {
            return Err(Failure::usage(format!("the agent did not run: {because}")));
        }
        v1::Answer::RunFailed { because } => {
            let error = anyhow::anyhow!("the agent's run failed: {because}");
            return Err(Failure::new(Exit::State, error));
        }
        // An agent of another version, perhaps: nobody can tell what its run came to.
        v1::Answer::Accepted { words } => {
            return Err(Failure::new(Exit::Unreachable, anyhow::anyhow!("{words}")));
        }
    };
    let count = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
    let summary = Summary {
        kept: count(kept),
        repaired: count(repaired),
        not_kept: count(not_kept),
        held: count(held),
        ..Summary::default()
    };
    let exit = verdict(args, &summary);
    match args.format {
        Format::Json => json::summary(ui, &summary, &Summary::default(), exit),
        Format::Text => {
            ui.line(&format!("The agent ran, keeping {}.", adopted.revision));
            if not_kept + held > 0
                && let Ok(status) = client::status(&layout.socket())
                && let Some(run) = status.last_run
            {
                for (word, all) in [("not kept", &run.not_kept), ("held", &run.held)] {
                    for one in all {
                        let line = format!("  {word:<9} {}: {}", one.promise, one.because);
                        ui.line(&crate::ui::clean(&line));
                    }
                }
            }
            totals(ui, &summary, &Summary::default(), None);
            if repaired + not_kept + held > 0 {
                ui.line("What was done: steadfast history");
            }
        }
    }
    Ok(exit)
}

/// The promises that `--only` means: the agent is told their names.
fn named(
    args: &RunArgs,
    adopted: &Adopted,
    layout: &Layout,
    ui: &Ui,
) -> Result<Vec<String>, Failure> {
    let mut loaded = model::load(&adopted.content)?;
    let facts = model::facts(layout, ui);
    let node = model::node_name(adopted.node.as_deref(), &facts);
    let target = model::target(&mut loaded, adopted.environment.as_deref(), &node, &facts)?;
    loaded.sound(ui)?;
    let promises = target.map(|it| it.promises).unwrap_or_default();
    let mut names: Vec<String> = vec![];
    for glob in &args.only {
        let before = names.len();
        let ids = promises.all.iter().map(|it| &*it.id.0).filter(|it| glob.matches(it));
        names.extend(ids.map(str::to_owned));
        if names.len() == before {
            ui.warn(&format!("--only {} matches no promise of {node}", glob.as_str()));
        }
    }
    names.sort();
    names.dedup();
    if names.is_empty() { Err(Failure::usage("nothing is to be run")) } else { Ok(names) }
}

/// A run in this process: by hand, or as the agent's child.
pub(crate) fn run_once(
    args: &RunArgs,
    path: &Path,
    adopted: Option<&Adopted>,
    layout: &Layout,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Outcome {
    if !args.dry_run && !surroundings.root {
        let failure = Failure::usage("only root can bring a machine to its model");
        return Err(failure.help("run it as root, or look first: steadfast run --dry-run …"));
    }
    let _lock = match args.dry_run {
        true => None,
        false => Some(lock(layout)?),
    };
    let mut files = model::read(path)?;
    let facts = model::facts(layout, ui);
    let said = adopted.map(|it| (it.node.as_deref(), it.environment.as_deref()));
    let (node, environment) = said.unwrap_or_default();
    let node = model::node_name(args.node.as_deref().or(node), &facts);
    let environment = args.environment.as_deref().or(environment);
    let commit = adopted.and_then(|it| it.commit.clone());
    let commit = commit.or(args.by_agent.as_ref().and_then(|it| it.commit.clone()));
    if commit.is_some() {
        files.revision.commit = commit;
    }
    let remembered = known::place(layout, &files, &facts, environment, &node);
    let known: Option<Known> = remembered.as_ref().and_then(Remembered::recall);
    let is_known = known.is_some();
    let model = remembered.as_ref().map(Remembered::name);
    let is_adopted = adopted.is_some() || args.by_agent.is_some();
    let job = Job { args, path, node: &node, model, is_adopted, layout, surroundings, ui };
    let more = args.by_agent.as_ref().is_some_and(ByAgent::is_more_than_keeping);
    if let Some(known) = known.filter(|_| !more) {
        let store = open(layout, args.dry_run, ui)?;
        if let Some(exit) = job.run_known(known, &files, &store)? {
            return Ok(exit);
        }
    }
    let mut loaded = model::parse(files);
    let target = model::target(&mut loaded, environment, &node, &facts)?;
    let warnings = loaded.sound(ui)?;
    let Some(target) = target else {
        if let Some(by_agent) = &args.by_agent {
            if let Task::GoBack { .. } = by_agent.task {
                let model::Loaded { sources, revision, .. } = loaded;
                let store = open(layout, false, ui)?;
                let files = Files { sources, revision };
                let environment = args.environment.as_deref().unwrap_or_default();
                let known = Known::nothing(environment, warnings);
                return job.run_resolved(known, &files, &store, Budget::default());
            }
            report::line(ui, &RunLine::Report(Report::default()));
            return Ok(Exit::Fine);
        }
        ui.model_warnings(&warnings);
        nothing_promised(args, ui, &node);
        return Ok(Exit::Fine);
    };
    // Of the model itself nothing is needed any more, and it may be large.
    let model::Loaded { sources, revision, .. } = loaded;
    let files = Files { sources, revision };
    let budget = budget(&target.resolved.policy);
    let known = Known {
        environment: target.environment,
        packages: package_policy(&target.resolved.policy),
        promises: target.promises,
        released: released::extent(target.resolved.policy.released),
        warnings,
    };
    drop(target.resolved);
    if let Some(remembered) = &remembered
        && !is_known
        && !args.dry_run
    {
        // It only saves time: a run without it is as good.
        let _saved = remembered.remember(&known);
    }
    let store = open(layout, args.dry_run, ui)?;
    job.run_resolved(known, &files, &store, budget)
}

fn lock(layout: &Layout) -> Result<RunLock, Failure> {
    RunLock::of(layout, "steadfast run").map_err(|error| {
        let exit = match error {
            LockError::Held { .. } => Exit::Locked,
            LockError::Create { .. } => Exit::State,
        };
        Failure::new(exit, error)
    })
}

/// The state, or nothing where a look may not read it.
pub(crate) fn open(layout: &Layout, only_look: bool, ui: &Ui) -> Result<Store, Failure> {
    match Store::open(&layout.database()) {
        Ok(store) => {
            tell_of(&store, ui);
            Ok(store)
        }
        Err(StoreError::Look { .. }) if only_look => {
            ui.warn("the state directory cannot be read: what restarts are owed is not known");
            Ok(Store::nowhere())
        }
        // A look needs no state; a run must not go on without knowing what is owed.
        Err(error) if only_look => {
            ui.warn(&format!("{:#}", anyhow::Error::from(error)));
            Ok(Store::nowhere())
        }
        Err(error) => Err(Failure::new(Exit::State, error)),
    }
}

/// What the state has to say of itself.
pub(crate) fn tell_of(store: &Store, ui: &Ui) {
    for warning in store.take_warnings() {
        ui.warn(&warning);
    }
}

pub(crate) fn package_policy(policy: &Policy) -> PackagePolicy {
    PackagePolicy {
        wait_for_lock: policy.wait_for_dpkg,
        refresh_after: policy.refresh_packages,
        repair: policy.repair_dpkg,
    }
}

pub(crate) fn budget(policy: &Policy) -> Budget {
    let steadfast_model::policy::Budget { changes, deletions, restarts } = policy.budget;
    Budget { changes, deletions, restarts }
}

fn verdict(args: &RunArgs, summary: &Summary) -> Exit {
    if summary.not_kept > 0 {
        Exit::NotKept
    } else if args.exit_code && summary.held > 0 {
        Exit::Pending
    } else {
        Exit::Fine
    }
}

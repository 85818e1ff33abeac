//! `steadfast run`: bring this machine to its model once, or say what that would do.

use crate::Surroundings;
use crate::adopted::{self, Adopted};
use crate::args::Format;
use crate::commands::check::counted;
use crate::exit::{Exit, Failure, Outcome};
use crate::known::{self, Known};
use crate::model::{self, Files};
use crate::released;
use crate::render::json::{self, JsonLines};
use crate::render::report;
use crate::render::run::Terminal;
use crate::render::{Forecasts, Implied, Pending};
use crate::ui::{Tone, Ui};
use clap::Args;
use std::path::{Path, PathBuf};
use steadfast_agent::api::v1;
use steadfast_agent::client;
use steadfast_agent::machine::Report;
use steadfast_agent::wire::RunLine;
use steadfast_engine::{Budget, Circumstances, Plan, Promises, Reporter, Sight, Summary};
use steadfast_model::Keep;
use steadfast_model::policy::Policy;
use steadfast_resources::glob::Glob;
use steadfast_store::{
    Journal, Layout, LockError, Remembered, RunHeader, RunLock, Store, StoreError,
};
use steadfast_system::Host;
use steadfast_system::clock::Read as _;
use steadfast_system::packages::{PackagePolicy, Write as _};

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
    let answer = answer.map_err(|err| Failure::new(Exit::Bug, err))?;
    let (kept, repaired, not_kept, held) = match answer {
        v1::Answer::RunEnded { kept, repaired, not_kept, held } => (kept, repaired, not_kept, held),
        v1::Answer::Refused { because } => {
            return Err(Failure::usage(format!("the agent did not run: {because}")));
        }
        v1::Answer::RunFailed { because } => {
            let error = anyhow::anyhow!("the agent's run failed: {because}");
            return Err(Failure::new(Exit::Bug, error));
        }
        v1::Answer::Accepted { words } => {
            return Err(Failure::new(Exit::Bug, anyhow::anyhow!("{words}")));
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
    let job = Job { args, path, node: &node, layout, surroundings, ui };
    if let Some(known) = known {
        let store = open(layout, args.dry_run, ui)?;
        if let Some(exit) = job.run_known(known, &files, &store)? {
            return Ok(exit);
        }
    }
    let mut loaded = model::parse(files);
    let target = model::target(&mut loaded, environment, &node, &facts)?;
    let warnings = loaded.sound(ui)?;
    let Some(target) = target else {
        if args.by_agent.is_some() {
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

/// One run, with what holds for it whether its promises were remembered or resolved.
struct Job<'a> {
    args: &'a RunArgs,
    path: &'a Path,
    node: &'a str,
    layout: &'a Layout,
    surroundings: &'a Surroundings,
    ui: &'a Ui,
}

impl Job<'_> {
    /// A run over promises that are remembered: none where something is not as it should be, because
    /// only whoever has resolved the model can say more, or do anything.
    fn run_known(
        &self,
        mut known: Known,
        files: &Files,
        store: &Store,
    ) -> Result<Option<Exit>, Failure> {
        let unmatched = self.select(&mut known);
        let host = self.host(&known);
        let sight = self.look(&known.promises, &host, store, Budget::default());
        if !sight.plan.is_kept() {
            return Ok(None);
        }
        self.heading(&known, files, &unmatched);
        self.carry_out(&known, files, &host, store, sight).map(Some)
    }

    fn run_resolved(
        &self,
        mut known: Known,
        files: &Files,
        store: &Store,
        budget: Budget,
    ) -> Outcome {
        let unmatched = self.select(&mut known);
        self.heading(&known, files, &unmatched);
        let host = self.host(&known);
        let sight = self.look(&known.promises, &host, store, budget);
        self.carry_out(&known, files, &host, store, sight)
    }

    fn select(&self, known: &mut Known) -> Vec<Glob> {
        let Some(by_agent) = &self.args.by_agent else {
            return known.promises.select_some(&self.args.only);
        };
        if by_agent.report_only {
            known.promises.all.iter_mut().for_each(|it| it.keep = Keep::Report);
        }
        if let Some(only) = &by_agent.only {
            known.promises.select_named(only);
        }
        vec![]
    }

    fn host(&self, known: &Known) -> Host {
        let host = model::host(self.layout, self.surroundings);
        host.set_package_policy(known.packages);
        if !self.args.dry_run
            && let Err(error) = host.tidy_packages()
        {
            self.ui.warn(&error.chain().join(": "));
        }
        host
    }

    fn look(&self, promises: &Promises, host: &Host, store: &Store, budget: Budget) -> Sight {
        let circumstances = Circumstances { root: self.surroundings.root, budget };
        steadfast_engine::look(promises, host, &store, circumstances)
    }

    /// What another content promises for this node, where that can be told.
    fn promises_of(&self, content: &Path) -> Option<Promises> {
        let mut loaded = model::load(content).ok()?;
        let facts = model::facts(self.layout, self.ui);
        let environment = self.args.environment.as_deref();
        let target = model::target(&mut loaded, environment, self.node, &facts).ok()??;
        Some(target.promises)
    }

    fn heading(&self, known: &Known, files: &Files, unmatched: &[Glob]) {
        let (ui, node) = (self.ui, self.node);
        ui.model_warnings(&known.warnings);
        for glob in unmatched {
            ui.warn(&format!("--only {} matches no promise of {node}", glob.as_str()));
        }
        if self.args.format == Format::Text {
            let count = known.promises.count();
            let noun = if count == 1 { "promise" } else { "promises" };
            let (environment, revision) = (&known.environment, &files.revision);
            ui.line(&format!("{node} in {environment}: {count} {noun} ({revision})"));
            ui.line("");
        }
    }

    fn carry_out(
        &self,
        known: &Known,
        files: &Files,
        host: &Host,
        store: &Store,
        sight: Sight,
    ) -> Outcome {
        let Job { args, ui, .. } = *self;
        let (mut text, mut lines);
        let sources = &files.sources;
        let shown: &mut dyn Reporter = match args.format {
            Format::Text => {
                text = Terminal { ui, sources, dry_run: args.dry_run };
                &mut text
            }
            Format::Json => {
                lines = JsonLines { ui, sources, dry_run: args.dry_run };
                &mut lines
            }
        };
        if args.dry_run {
            let plan = steadfast_engine::dry_run(&known.promises, sight, shown);
            let released = released::find(store, &known.promises, host);
            match args.format {
                Format::Text => released::show(ui, &released),
                Format::Json => released::json(ui, &released),
            }
            return Ok(forecast(args, ui, &known.promises, &plan));
        }
        let header = RunHeader {
            started: host.now(),
            node: self.node.to_owned(),
            environment: known.environment.to_string(),
            model: self.path.display().to_string(),
            revision: files.revision.to_string(),
        };
        let mut journal = Journal::new(store, sources, header, host);
        let mut told = report::Collected::default();
        let mut implied = Implied::default();
        let summary = {
            let mut reporters: Vec<&mut dyn Reporter> = match &args.by_agent {
                None => vec![shown, &mut journal, &mut implied],
                Some(_) => vec![&mut told, &mut journal],
            };
            let mut ledger = store;
            steadfast_engine::converge(&known.promises, sight, host, &mut ledger, &mut reporters)
        };
        if let Some(problem) = &journal.problem {
            let problem = anyhow::anyhow!("{problem:#}");
            ui.warn(&format!("the history of this run is incomplete: {problem:#}"));
        }
        tell_of(store, ui);
        let exit = verdict(args, &summary);
        if let Some(by_agent) = &args.by_agent {
            let before = by_agent.against.as_ref().filter(|_| told.needs_comparing());
            let before = before.and_then(|it| self.promises_of(it));
            if by_agent.watch {
                for watched in report::watched(&known.promises) {
                    report::line(ui, &RunLine::Watch(watched));
                }
            }
            let report = told.finish(&known.promises, before.as_ref(), store, &summary);
            report::line(ui, &RunLine::Report(report));
            return Ok(exit);
        }
        let implied = implied.0;
        let summary = Summary {
            kept: summary.kept - implied.kept,
            repaired: summary.repaired - implied.repaired,
            not_kept: summary.not_kept - implied.not_kept,
            held: summary.held - implied.held,
            ..summary
        };
        let released = released::find(store, &known.promises, host);
        if let Err(error) = store.forget_made(&released.gone()) {
            ui.warn(&format!("{:#}", anyhow::Error::from(error)));
        }
        match args.format {
            Format::Text => {
                released::show(ui, &released);
                totals(ui, &summary, &implied, journal.run());
            }
            Format::Json => {
                released::json(ui, &released);
                json::summary(ui, &summary, &implied, exit);
            }
        }
        Ok(exit)
    }
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

fn package_policy(policy: &Policy) -> PackagePolicy {
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

fn nothing_promised(args: &RunArgs, ui: &Ui, node: &str) {
    match args.format {
        Format::Text => {
            ui.line(&format!("nothing is promised: no environment of the model names {node}"));
        }
        Format::Json => {
            if args.dry_run {
                json::forecasts(ui, &Forecasts::default(), Exit::Fine);
            } else {
                json::summary(ui, &Summary::default(), &Summary::default(), Exit::Fine);
            }
        }
    }
}

/// The end of a dry run.
fn forecast(args: &RunArgs, ui: &Ui, promises: &Promises, plan: &Plan) -> Exit {
    let all = Forecasts::of(promises, plan);
    let Forecasts { promises, implied, certain, expected, unknown, untold } = all;
    let exit = if promises.not_kept + implied.not_kept > 0 {
        Exit::NotKept
    } else if args.exit_code
        && promises.pending + promises.held + implied.pending + implied.held > 0
    {
        Exit::Pending
    } else {
        Exit::Fine
    };
    match args.format {
        Format::Json => json::forecasts(ui, &all, exit),
        Format::Text => {
            let words = |it: Pending| {
                [(it.pending, "to repair"), (it.not_kept, "not keepable"), (it.held, "held")]
            };
            let words = [words(promises), words(implied)];
            apart(ui, &words);
            let said = counts(promises.kept, &words[0], &words[1]);
            ui.line(&ui.paint(Tone::Strong, &format!("Forecast: {said}.")));
            let lines = certain + expected + unknown;
            let mut said = String::new();
            if lines > 0 {
                let changes = counted(lines, "change");
                said = format!(
                    "{changes}: {certain} certain, {expected} expected, {unknown} unknown. "
                );
            }
            if untold > 0 {
                let promises = counted(untold, "promise");
                said += &format!("Of {promises} it cannot be told yet what would be done. ");
            }
            if !said.is_empty() {
                said += "Nothing was changed.";
                ui.below(0, Tone::Plain, &said);
            }
        }
    }
    exit
}

/// An empty line where blocks stand above the totals.
fn apart(ui: &Ui, counts: &[[(usize, &str); 3]; 2]) {
    if counts.iter().flatten().any(|(count, _)| *count > 0) {
        ui.line("");
    }
}

/// `7 kept, 48 repaired, and 1 more unit repaired`. What nobody promised and is kept is not even shown.
fn counts(kept: usize, promises: &[(usize, &str)], implied: &[(usize, &str)]) -> String {
    let mut parts = vec![format!("{kept} kept")];
    let some = |it: &&(usize, &str)| it.0 > 0;
    parts.extend(promises.iter().filter(some).map(|(count, word)| format!("{count} {word}")));
    let more = implied.iter().filter(some);
    parts.extend(more.map(|(count, word)| format!("and {} {word}", counted(*count, "more unit"))));
    parts.join(", ")
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

/// The end of a run.
fn totals(ui: &Ui, summary: &Summary, implied: &Summary, run: Option<i64>) {
    let words =
        |it: &Summary| [(it.repaired, "repaired"), (it.not_kept, "not kept"), (it.held, "held")];
    let words = [words(summary), words(implied)];
    apart(ui, &words);
    let said = counts(summary.kept, &words[0], &words[1]);
    ui.line(&ui.paint(Tone::Strong, &format!("{said}.")));
    let fared: Vec<String> = [(summary.certain, "certain"), (summary.expected, "expected")]
        .iter()
        .filter(|((said, _), _)| *said > 0)
        .map(|((said, came), word)| {
            format!("{came} of {} came true", counted(*said, &format!("{word} change")))
        })
        .collect();
    if !fared.is_empty() {
        ui.below(0, Tone::Plain, &format!("Of the forecast, {}.", fared.join(", ")));
    }
    if let Some(run) = run {
        ui.line(&format!("What was done: steadfast history show {run}"));
    }
}

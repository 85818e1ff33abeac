//! One run of this process, whether its promises were remembered or resolved: it looks, carries out, and
//! tells whoever wants to know.

use super::totals::{forecast, totals};
use super::{ByAgent, RunArgs, Task, tell_of, verdict};
use crate::Surroundings;
use crate::args::Format;
use crate::commands::check::counted;
use crate::exit::{Exit, Failure, Outcome};
use crate::known::Known;
use crate::model::{self, Files};
use crate::released;
use crate::render::Implied;
use crate::render::json::{self, JsonLines};
use crate::render::report;
use crate::render::run::Terminal;
use crate::ui::Ui;
use std::path::Path;
use steadfast_agent::shell;
use steadfast_agent::wire::{Changed, RunLine};
use steadfast_engine::{
    Assessment, Budget, Circumstances, Event, Observer, Promises, Reporter, Summary,
};
use steadfast_model::Keep;
use steadfast_resources::glob::Glob;
use steadfast_store::{Journal, Layout, RunHeader, Store};
use steadfast_system::Host;
use steadfast_system::clock::Read as _;
use steadfast_system::packages::Write as _;
use steadfast_system::packages::log::Logs;

/// One run, with what holds for it whether its promises were remembered or resolved.
pub(super) struct Job<'a> {
    pub(super) args: &'a RunArgs,
    pub(super) path: &'a Path,
    pub(super) node: &'a str,
    /// A name for all that the promises follow from, where there is one.
    pub(super) model: Option<String>,
    /// The model is the one that the agent has adopted.
    pub(super) is_adopted: bool,
    pub(super) layout: &'a Layout,
    pub(super) surroundings: &'a Surroundings,
    pub(super) ui: &'a Ui,
}

/// Who is told of a run, beside those who look on.
struct Told<'a> {
    journal: Journal<'a>,
    collected: report::Collected<'a>,
}

impl Job<'_> {
    /// A run over promises that are remembered: none where something is not as it should be, because
    /// only whoever has resolved the model can say more, or do anything.
    pub(super) fn run_known(
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
        let told = self.told(&known, files, &host, store);
        self.carry_out(&known, files, &host, store, sight, told).map(Some)
    }

    pub(super) fn run_resolved(
        &self,
        mut known: Known,
        files: &Files,
        store: &Store,
        budget: Budget,
    ) -> Outcome {
        let unmatched = self.select(&mut known);
        self.heading(&known, files, &unmatched);
        let host = self.host(&known);
        let mut told = self.told(&known, files, &host, store);
        let budget = match &self.args.by_agent {
            Some(by_agent) => {
                self.before_keeping(by_agent, &known, &host, store, budget, &mut told)
            }
            None => budget,
        };
        let sight = self.look(&known.promises, &host, store, budget);
        self.carry_out(&known, files, &host, store, sight, told)
    }

    fn told<'b>(
        &self,
        known: &Known,
        files: &'b Files,
        host: &'b Host,
        store: &'b Store,
    ) -> Told<'b> {
        if self.args.by_agent.is_none() {
            store.set_by_hand();
        }
        let header = RunHeader {
            started: host.now(),
            node: self.node.to_owned(),
            environment: known.environment.to_string(),
            model: self.path.display().to_string(),
            revision: files.revision.to_string(),
        };
        let journal = Journal::new(store, &files.sources, header, host);
        Told { journal, collected: report::Collected::new(host) }
    }

    /// What only the agent does: it takes back what a bad revision did, and acts on what left the model.
    /// Gives what is left of the budget.
    fn before_keeping(
        &self,
        by_agent: &ByAgent,
        known: &Known,
        host: &Host,
        store: &Store,
        budget: Budget,
        told: &mut Told<'_>,
    ) -> Budget {
        let Told { journal, collected } = told;
        let result = {
            let mut out: Vec<&mut dyn Reporter> = vec![&mut *collected, journal];
            let promises = &known.promises;
            match &by_agent.task {
                Task::GoBack { from } if *from != by_agent.content && !by_agent.report_only => {
                    let to = &by_agent.content;
                    released::go_back(store, promises, from, to, host, &mut out).map(|known| {
                        let words = "what the bad revision did is not known any more, and stays";
                        (budget, if known { vec![] } else { vec![words.to_owned()] })
                    })
                }
                Task::GoBack { .. } => Ok((budget, vec![])),
                Task::Nothing => store.adopt(&by_agent.content).map(|()| (budget, vec![])),
                Task::Adopt => store.adopt(&by_agent.content).and_then(|()| {
                    let extent = known.released.filter(|_| !by_agent.report_only);
                    let acted = released::act(store, promises, extent, budget, host, &mut out)?;
                    Ok((acted.rest, acted.told))
                }),
            }
        };
        match result {
            Ok((rest, lines)) => {
                collected.told.extend(lines);
                rest
            }
            // The machine is kept all the same; what is not known as ours is only never taken back.
            Err(error) => {
                self.ui.warn(&format!("{:#}", anyhow::Error::from(error)));
                budget
            }
        }
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

    fn look(&self, promises: &Promises, host: &Host, store: &Store, budget: Budget) -> Assessment {
        let circumstances = Circumstances { root: self.surroundings.root, budget };
        let eyes =
            if self.args.dry_run { Observer::ReadOnly(host) } else { Observer::MayRun(host) };
        steadfast_engine::look(promises, eyes, &store, circumstances)
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
            let promises = counted(known.promises.count(), "promise");
            let (environment, revision) = (&known.environment, &files.revision);
            ui.line(&format!("{node} in {environment}: {promises} ({revision})"));
            ui.line("");
        }
    }

    fn carry_out(
        &self,
        known: &Known,
        files: &Files,
        host: &Host,
        store: &Store,
        sight: Assessment,
        told: Told<'_>,
    ) -> Outcome {
        let Job { args, ui, .. } = *self;
        let Told { mut journal, collected: mut told } = told;
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
            self.tell_of_released(known, host, store);
            return Ok(forecast(args, ui, &known.promises, &plan));
        }
        let mut implied = Implied::default();
        let summary = {
            let mut attributed;
            let mut reporters: Vec<&mut dyn Reporter> = match &args.by_agent {
                None => vec![shown, &mut journal, &mut implied],
                Some(by_agent) => {
                    attributed =
                        Attributed { journal: &mut journal, changed: by_agent.changed.clone() };
                    vec![&mut told, &mut attributed]
                }
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
        self.tell_of_released(known, host, store);
        match args.format {
            Format::Text => totals(ui, &summary, &implied, journal.run()),
            Format::Json => json::summary(ui, &summary, &implied, exit),
        }
        Ok(exit)
    }

    /// What earlier runs made and nobody promises any more. That a model promises all of it is found once:
    /// a run without news does not look for it again.
    fn tell_of_released(&self, known: &Known, host: &Host, store: &Store) {
        let Job { args, model, ui, .. } = self;
        let promised = |it: &String| store.is_all_promised(it).unwrap_or(false);
        if model.as_ref().is_some_and(promised) {
            return;
        }
        let extent = known.released.filter(|_| args.dry_run);
        let released = released::find(store, &known.promises, extent, host);
        match args.format {
            Format::Text => released::show(ui, &released),
            Format::Json => released::json(ui, &released),
        }
        if args.dry_run {
            return;
        }
        // What another model does not name is no less a matter of the one that is kept.
        let forgotten = if self.is_adopted || !store.has_adopted().unwrap_or(true) {
            store.forget_made(&released.gone())
        } else {
            Ok(())
        };
        let written = forgotten.and_then(|()| match model {
            Some(model) if released.is_all_promised() => store.put_all_promised(model),
            Some(_) | None => Ok(()),
        });
        if let Err(error) = written {
            ui.warn(&format!("{:#}", anyhow::Error::from(error)));
        }
    }
}

/// The journal of a run of the agent, which is told who has changed things. It is told when the run is
/// done, because what the package manager was told is written down late.
struct Attributed<'j, 'a> {
    journal: &'j mut Journal<'a>,
    /// As far as the agent knows, and it was not said yet.
    changed: Vec<Changed>,
}

impl Reporter for Attributed<'_, '_> {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Judged { .. } => {
                let logs = Logs::default();
                for mut changed in std::mem::take(&mut self.changed) {
                    shell::look_up_packages(&mut changed, &logs);
                    self.journal.changed(&changed.promise, &changed.writers);
                }
            }
            Event::Planned { .. }
            | Event::Working { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::Finished { .. } => {}
        }
        self.journal.report(event);
    }
}

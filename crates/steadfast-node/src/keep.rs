//! What a run of the agent does beside repairing drift: it undoes what a bad revision did, acts on orphans,
//! records who changed what, and judges the revision.

use crate::adopted;
use crate::changed::look_up_packages;
use crate::deployments::{Amid, Fates};
use crate::orphans;
use crate::resolution::Resolution;
use crate::verdict::Collected;
use crate::wire::{Changed, Report, RunReason, RunTask};
use std::path::{Path, PathBuf};
use std::time::Duration;
use steadfast_engine::{Assessment, Budget, Event, Promises, Reporter, Summary};
use steadfast_store::{Journal, Layout, Store, StoreError};
use steadfast_system::Host;

/// What only the agent asks of a run.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// The name of the content that is kept, and what this run does beside keeping it.
    pub content: String,
    pub task: Task,
    /// The content that is compared with, to tell what a revision has changed.
    pub against: Option<PathBuf>,
    pub report_only: bool,
    /// Why somebody has suspended the agent, if so.
    pub suspended: Option<String>,
    /// How long a file that was read is not read again, where the kernel says that it is the same.
    pub verify: Duration,
    /// Who has changed what the run is about.
    pub changed: Vec<Changed>,
    /// Whether it is asked where it would show that somebody touches what any promise is about.
    pub watch: bool,
}

/// What a run of the agent does beside keeping a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    Nothing,
    /// It is new: what left the model goes, where the policy says so.
    Adopt,
    /// What was done since this content was adopted is taken back first.
    GoBack {
        from: String,
    },
}

/// Who is told of a run, beside those who look on.
pub(crate) struct Told<'a> {
    pub(crate) journal: Journal<'a>,
    pub(crate) collected: Collected<'a>,
    pub(crate) fates: Fates,
}

impl<'a> Told<'a> {
    pub(crate) fn new(journal: Journal<'a>, host: &'a Host) -> Told<'a> {
        Told { journal, collected: Collected::new(host), fates: Fates::default() }
    }
}

/// What keeping the promises has come to. Of the history of the run it is still to be told that it has ended.
pub(crate) struct Kept<'a> {
    pub(crate) report: Report,
    pub(crate) fates: Fates,
    pub(crate) journal: Journal<'a>,
    pub(crate) summary: Summary,
}

/// Where the content of a task's revision lies, and what it means for the run.
#[derive(Debug)]
pub struct Adopted {
    pub path: PathBuf,
    pub commit: Option<String>,
    pub keeping: Keeping,
}

/// Reads a task of the agent.
pub fn task(task: &RunTask, layout: &Layout) -> Result<Adopted, crate::NodeError> {
    let record = adopted::record(layout, &task.revision)?;
    let against = task.against.as_ref().and_then(|it| adopted::record(layout, it).ok());
    let beside = match task.reason {
        RunReason::Adopt | RunReason::SecondTry => Task::Adopt,
        // What is not known here has left nothing that would be known.
        RunReason::GoBack => {
            Task::GoBack { from: against.as_ref().map(|it| it.content.clone()).unwrap_or_default() }
        }
        RunReason::Keep | RunReason::Drift | RunReason::Step | RunReason::Asked => Task::Nothing,
    };
    let keeping = Keeping {
        content: record.content.clone(),
        task: beside,
        against: against.map(|it| layout.content().join(it.content)),
        report_only: task.report_only,
        suspended: task.suspended.clone(),
        verify: Duration::from_secs(task.verify),
        changed: task.changed.clone(),
        watch: task.watch,
    };
    Ok(Adopted { path: layout.content().join(&record.content), commit: record.commit, keeping })
}

impl Keeping {
    /// Whether more than the promises has to be known.
    pub(crate) fn is_more_than_keeping(&self) -> bool {
        match self.task {
            Task::Nothing => false,
            Task::Adopt | Task::GoBack { .. } => true,
        }
    }

    pub(crate) fn is_going_back(&self) -> bool {
        match self.task {
            Task::GoBack { .. } => true,
            Task::Nothing | Task::Adopt => false,
        }
    }

    /// Takes back what a bad revision did, or acts on what left the model. Gives what is left of the budget.
    pub(crate) fn before(
        &self,
        resolution: &Resolution,
        host: &Host,
        store: &Store,
        budget: Budget,
        told: &mut Told<'_>,
    ) -> Result<Budget, StoreError> {
        let Told { journal, collected, fates: _ } = told;
        let mut lines = vec![];
        let rest = {
            let mut out: Vec<&mut dyn Reporter> = vec![&mut *collected, journal];
            let promises = &resolution.promises;
            match &self.task {
                Task::GoBack { from } if *from != self.content && !self.report_only => {
                    let to = &self.content;
                    if !orphans::go_back(store, promises, from, to, host, &mut out)? {
                        let words = "the undo ledger does not know what the bad revision did, so that stays";
                        lines.push(words.to_owned());
                    }
                    budget
                }
                Task::GoBack { .. } => budget,
                Task::Nothing => {
                    store.adopt(&self.content)?;
                    budget
                }
                Task::Adopt => {
                    store.adopt(&self.content)?;
                    let extent = resolution.orphans.filter(|_| !self.report_only);
                    let acted = orphans::act(store, promises, extent, budget, host, &mut out)?;
                    lines.extend(acted.told);
                    acted.rest
                }
            }
        };
        collected.told.extend(lines);
        Ok(rest)
    }

    /// Keeps the promises, and judges. `promises_of` resolves another content; it is asked only where
    /// something is not kept.
    pub(crate) fn keep<'t>(
        &self,
        promises: &Promises,
        assessment: Assessment,
        host: &Host,
        store: &Store,
        told: Told<'t>,
        promises_of: impl Fn(&Path) -> Option<Promises>,
    ) -> Kept<'t> {
        let Told { mut journal, mut collected, mut fates } = told;
        let summary = {
            let mut attributed =
                Attributed { journal: &mut journal, changed: self.changed.clone() };
            // What the steps do belongs to the same run.
            let mut amid = Amid { to: vec![&mut attributed], with_kept: true };
            let mut reporters: Vec<&mut dyn Reporter> = vec![&mut collected, &mut amid, &mut fates];
            let mut ledger = store;
            steadfast_engine::converge(promises, assessment, host, &mut ledger, &mut reporters)
        };
        let against = self.against.as_ref().filter(|_| collected.needs_comparing());
        let before = against.and_then(|it| promises_of(it));
        let report = collected.finish(promises, before.as_ref(), store, &summary);
        Kept { report, fates, journal, summary }
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
                let mut all = std::mem::take(&mut self.changed);
                look_up_packages(&mut all);
                for changed in all {
                    self.journal.changed(&changed.promise.0, &changed.changers);
                }
            }
            Event::Planned { .. }
            | Event::Working { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::Step { .. }
            | Event::Finished { .. } => {}
        }
        self.journal.report(event);
    }
}

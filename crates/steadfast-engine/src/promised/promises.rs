//! Promises as the engine works on them, and what is selected of them for a run.

use crate::graph::Task;
use crate::runner::inputs::Inputs;
use crate::unit::{Scope, Unit, UnitId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use steadfast_model::{Keep, Origin, PromiseId, Span, Used};
use steadfast_resources::{Identity, Resource, glob::Glob};

/// A promise, or a part of one, that has been lowered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Promised {
    pub id: PromiseId,
    pub want: Resource,
    /// What must be kept before it is attempted, by index.
    pub needs: Vec<usize>,
    /// Those of them that it only lies in: they have to be there, and what else they promise need not be
    /// kept.
    pub lies_in: Vec<usize>,
    pub keep: Keep,
    /// Everybody who made it; the first is where it stands.
    pub origins: Vec<Origin>,
    pub description: Option<Arc<str>>,
    /// Nobody promised it: a unit that is only named in `restarts:` or `reloads:`.
    pub implied: bool,
    /// What it changes with, where that is more than itself.
    pub unit: Option<UnitId>,
    /// The files and parameters of the model that it was made from. Only who has the model at hand can make
    /// something of it, so it is not kept.
    #[serde(skip)]
    pub used: Option<Arc<Used>>,
    /// Whether this run attempts it; see [`Promises::select`].
    pub selected: bool,
}

impl Promised {
    /// Whether a glob names it, or what it changes with.
    fn is_matched(&self, glob: &Glob) -> bool {
        glob.matches(&self.id.0) || self.unit.as_ref().is_some_and(|it| glob.matches(&it.0))
    }

    /// Whose doing its changes are.
    pub fn scope(&self) -> Scope {
        self.unit.clone().map_or(Scope::Node, Scope::Unit)
    }
}

/// All promises of a node, ready for a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Promises {
    pub all: Vec<Promised>,
    /// In the order of their runners.
    pub inputs: Vec<Inputs>,
    /// What changes together, beside what changes by itself.
    pub units: Vec<Unit>,
    /// What may be a file that systemd reads, by index, in rising order.
    pub unit_files: Vec<usize>,
    /// Indices in the order in which they are done.
    pub waves: Vec<Vec<usize>>,
    /// The architecture of the machine, as Debian names it, where it is known.
    pub architecture: Option<Arc<str>>,
    /// How many more there are, of which is known that they are kept; see [`Promises::without`].
    pub settled: usize,
}

impl Promises {
    /// What the runner at this index runs with.
    pub fn inputs_of(&self, runner: usize) -> Option<&Inputs> {
        let at = self.inputs.binary_search_by_key(&runner, |it| it.runner).ok()?;
        self.inputs.get(at)
    }

    /// What is to be ordered.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let task = |it: &Promised| Task { rank: it.want.turn() as u8, needs: it.needs.clone() };
        let mut tasks: Vec<Task> = self.all.iter().map(task).collect();
        self.inputs.iter().for_each(|it| it.order(&mut tasks));
        tasks
    }

    /// The promise that a unit is, or is not, to be enabled, where that is the other way round.
    pub(crate) fn promised_otherwise(&self, unit: &Identity, enabled: bool) -> Option<usize> {
        let is_it = |it: &Promised| {
            it.selected
                && it.keep == Keep::Repair
                && it.want.as_runner().is_some_and(|runner| {
                    runner.wants_enabled() == Some(!enabled)
                        && *unit == Identity::Unit(runner.unit().clone())
                })
        };
        self.all.iter().position(is_it)
    }

    /// The unit that a promise is a member of.
    pub(crate) fn unit_of(&self, at: usize) -> Option<&Unit> {
        let id = self.all[at].unit.as_ref()?;
        self.units.iter().find(|it| it.id == *id)
    }

    /// Attempts only what one of the globs matches. A service that owes something because of a selected
    /// promise pays it, and is not touched otherwise. Gives the globs that match nothing.
    pub fn select(&mut self, globs: &[Glob]) -> Vec<Glob> {
        for promised in &mut self.all {
            promised.selected = globs.iter().any(|it| promised.is_matched(it));
        }
        self.select_units();
        self.select_debtors();
        let matches = |glob: &&Glob| self.all.iter().any(|it| it.is_matched(glob));
        globs.iter().filter(|it| !matches(it)).cloned().collect()
    }

    /// The same with names of promises; one that is nobody's name is a pattern.
    pub fn select_named(&mut self, names: &[String]) {
        let exact: HashSet<&str> = names.iter().map(String::as_str).collect();
        let known: HashSet<&str> = self.all.iter().map(|it| &*it.id.0).collect();
        let patterns: Vec<Glob> = names
            .iter()
            .filter(|it| !known.contains(it.as_str()))
            .filter_map(|it| Glob::of_ids(it).ok())
            .collect();
        for promised in &mut self.all {
            promised.selected = exact.contains(&*promised.id.0)
                || patterns.iter().any(|it| promised.is_matched(it));
        }
        self.select_units();
        self.select_debtors();
    }

    /// Who attempts one member attempts the unit.
    fn select_units(&mut self) {
        for unit in &self.units {
            if unit.members.iter().any(|at| self.all[*at].selected) {
                unit.members.iter().for_each(|at| self.all[*at].selected = true);
            }
        }
    }

    fn select_debtors(&mut self) {
        for inputs in &self.inputs {
            let mut owed = inputs.reload.iter().chain(&inputs.restart);
            let caused = owed.any(|it| self.all[*it].selected);
            let promised = &mut self.all[inputs.runner];
            if caused
                && !promised.selected
                && let Some(want) = promised.want.debts_only()
            {
                promised.want = want;
                promised.implied = true;
                promised.selected = true;
            }
        }
    }

    /// The same, where no globs mean everything.
    pub fn select_some(&mut self, globs: &[Glob]) -> Vec<Glob> {
        if globs.is_empty() { vec![] } else { self.select(globs) }
    }

    /// For each promise, whether the outcome of a selected one may hang on it: itself, what it needs, and
    /// what a selected service runs with.
    pub(crate) fn bearing(&self) -> Vec<bool> {
        let mut bears: Vec<bool> = self.all.iter().map(|it| it.selected).collect();
        for promised in self.all.iter().filter(|it| it.selected) {
            for need in &promised.needs {
                bears[*need] = true;
            }
        }
        for inputs in self.inputs.iter().filter(|it| self.all[it.runner].selected) {
            for input in inputs.all() {
                bears[input] = true;
            }
        }
        bears
    }

    /// How many promises there are that somebody made, each counted once whatever parts it has.
    pub fn count(&self) -> usize {
        self.settled + self.each().filter(|parts| !self.all[parts.start].implied).count()
    }

    /// Where they stand in the model, and where what they come from is taken in.
    pub fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        let origins = self.all.iter().flat_map(|it| &it.origins);
        origins.flat_map(|it| std::iter::once(&it.span).chain(&it.via)).copied()
    }

    /// Every promise, as the indices of its parts, which stand beside each other.
    pub fn each(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut end = 0;
        self.all.chunk_by(|a, b| a.id == b.id).map(move |parts| {
            let start = end;
            end += parts.len();
            start..end
        })
    }
}

//! What the machine shows of all promises at one moment, and what is known of its runners beside that.

use crate::aliases::Aliases;
use crate::ledger::Ledger;
use crate::promised::Promises;
use crate::runner::debt::RunnerRecord;
use std::collections::{BTreeMap, BTreeSet};
use steadfast_resources::runner::{Health, Owing};
use steadfast_resources::{Change, Difference, Refusal, Resource, State};
use steadfast_system::programs::Run;
use steadfast_system::services::LastLoad;
use steadfast_system::{Actuate, ErrorKind, Probe, SystemError};

/// Who looks. A forecast changes nothing and starts nothing; a run may also start the programs by which a
/// service is asked whether it is healthy.
#[derive(Clone, Copy, Debug)]
pub enum Observer<'a> {
    ReadOnly(&'a dyn Probe),
    MayRun(&'a dyn Actuate),
}

impl<'a> Observer<'a> {
    pub(crate) fn probe(self) -> &'a dyn Probe {
        match self {
            Observer::ReadOnly(probe) => probe,
            Observer::MayRun(acts) => acts.as_probe(),
        }
    }

    /// The power to run programs, where there is one.
    pub(crate) fn runs(self) -> Option<&'a dyn Run> {
        match self {
            Observer::ReadOnly(_) => None,
            Observer::MayRun(acts) => Some(acts),
        }
    }
}

/// One result for each promise.
#[derive(Debug)]
pub struct Observed {
    pub states: Vec<Result<State, SystemError>>,
    /// What follows from links of the machine.
    aliases: Aliases,
    /// What runners owe.
    owing: BTreeMap<usize, Owing>,
    /// Runners of which nobody can tell whether they owe a restart.
    pub undetermined: BTreeSet<usize>,
    /// When systemd last began to read its files; none where no systemd runs.
    pub(crate) last_load: Option<LastLoad>,
    /// What is written down of each runner.
    pub(crate) records: BTreeMap<usize, RunnerRecord>,
}

impl Observed {
    /// Looks at everything that bears on what is selected: a promise that was touched alone is repaired
    /// without a look at ten thousand others.
    pub fn all(promises: &Promises, observer: Observer<'_>, ledger: &dyn Ledger) -> Observed {
        let bears = promises.bearing();
        let which: Vec<usize> = (0..promises.all.len()).filter(|at| bears[*at]).collect();
        let wants: Vec<&Resource> = which.iter().map(|at| &promises.all[*at].want).collect();
        let mut seen = steadfast_resources::observe(&wants, observer.probe()).into_iter();
        let unseen = || Err(SystemError::new(ErrorKind::Other, "it was not observed"));
        let state = |bears: &bool| bears.then(|| seen.next()).flatten().unwrap_or_else(unseen);
        let mut observed = Observed {
            states: bears.iter().map(state).collect(),
            aliases: Aliases::look(promises, observer.probe()),
            owing: BTreeMap::new(),
            undetermined: BTreeSet::new(),
            last_load: observer.probe().last_load(),
            records: BTreeMap::new(),
        };
        observed.aliases.tell_names(promises, &observed.states);
        for at in 0..promises.all.len() {
            observed.tell_aliases(at);
        }
        let runners = promises.inputs.iter().filter(|it| bears[it.runner]);
        observed.assess(promises, runners, ledger);
        observed.ask(0..promises.all.len(), promises, observer);
        observed
    }

    /// Looks again at some.
    pub fn refresh(
        &mut self,
        which: &[usize],
        promises: &Promises,
        sys: &dyn Probe,
        ledger: &dyn Ledger,
    ) {
        if which.is_empty() {
            return;
        }
        let wants: Vec<&Resource> = which.iter().map(|at| &promises.all[*at].want).collect();
        for (at, state) in which.iter().zip(steadfast_resources::observe(&wants, sys)) {
            self.states[*at] = state;
            self.tell_aliases(*at);
            if let Some(owing) = self.owing.get_mut(at) {
                owing.health = Health::NotAsked;
            }
        }
        self.last_load = sys.last_load();
        let which: BTreeSet<usize> = which.iter().copied().collect();
        let runners = promises.inputs.iter().filter(|it| which.contains(&it.runner));
        self.assess(promises, runners, ledger);
    }

    /// A look at a directory is told what others promise below it by other paths.
    fn tell_aliases(&mut self, at: usize) {
        if let Some(below) = self.aliases.below(at)
            && let Ok(have) = &mut self.states[at]
        {
            steadfast_resources::set_also_promised(have, below);
        }
    }

    /// Whether a link leads from the path of a promise to another place.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        self.aliases.is_any()
    }

    /// Why a promise cannot be kept beside the others on this machine.
    pub(crate) fn clash(&self, at: usize) -> Option<&Refusal> {
        self.aliases.clash(at)
    }

    /// What is known of a runner beside its state; of others there is nothing to know.
    pub fn owing(&self, at: usize) -> &Owing {
        static NOTHING: Owing = Owing {
            action: None,
            causes: vec![],
            read_by_then: false,
            comes: false,
            without_links: None,
            mask_goes: false,
            health: Health::NotAsked,
        };
        self.owing.get(&at).unwrap_or(&NOTHING)
    }

    pub(crate) fn owing_mut(&mut self, at: usize) -> &mut Owing {
        self.owing.entry(at).or_default()
    }

    /// What the machine says of a promise, as name and value.
    pub fn describe(&self, at: usize) -> Result<Vec<(&'static str, String)>, SystemError> {
        let said = |have: &State| have.describe_with(self.owing(at));
        self.states[at].as_ref().map(said).map_err(Clone::clone)
    }

    /// Whether what is promised can hold what lies in it, though not all of it is kept.
    pub(crate) fn is_place(&self, promises: &Promises, at: usize) -> bool {
        let want = &promises.all[at].want;
        self.states[at].as_ref().is_ok_and(|have| steadfast_resources::is_place(want, have))
    }

    /// What separates the machine from a promise.
    pub fn difference(
        &self,
        promises: &Promises,
        at: usize,
    ) -> Result<Difference<Change>, SystemError> {
        if let Some(why) = self.clash(at) {
            return Ok(Difference::refused(why.clone()));
        }
        let have = self.states[at].as_ref().map_err(Clone::clone)?;
        Ok(self.plan(promises, at, have, self.owing(at)))
    }

    /// The same, where a runner owes this.
    pub(crate) fn plan(
        &self,
        promises: &Promises,
        at: usize,
        have: &State,
        owing: &Owing,
    ) -> Difference<Change> {
        let difference = promises.all[at].want.plan(have, owing);
        self.with_daemon_reload(promises, at, have, difference)
    }
}

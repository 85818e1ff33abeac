//! What the machine shows of all promises at one moment, with what its services owe.

use crate::debt::{self, Action, Baseline, Owed, Record};
use crate::ledger::Ledger;
use crate::promised::{Inputs, Promises};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use steadfast_model::PromiseId;
use steadfast_resources::service::{self, Process};
use steadfast_resources::{Fingerprint, Obstacle, Resource, State};
use steadfast_system::programs::Run;
use steadfast_system::services::Active;
use steadfast_system::{Actuate, ErrorKind, Probe, SystemError, UnitName};

/// Who looks. A forecast changes nothing and starts nothing; a run may also start the programs by which a
/// service is asked whether it is healthy.
#[derive(Clone, Copy, Debug)]
pub enum Observer<'a> {
    ReadOnly(&'a dyn Probe),
    MayRun(&'a dyn Actuate),
}

impl<'a> Observer<'a> {
    fn probe(self) -> &'a dyn Probe {
        match self {
            Observer::ReadOnly(probe) => probe,
            Observer::MayRun(acts) => acts.as_probe(),
        }
    }

    /// The power to run programs, where there is one.
    fn runs(self) -> Option<&'a dyn Run> {
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
    /// Services of which nobody can tell whether they owe a restart.
    pub perhaps: BTreeSet<usize>,
}

impl Observed {
    /// Looks at everything that bears on what is selected: a promise that was touched alone is repaired
    /// without a look at ten thousand others.
    pub fn all(promises: &Promises, eyes: Observer<'_>, ledger: &dyn Ledger) -> Observed {
        let bears = promises.bearing();
        let which: Vec<usize> = (0..promises.all.len()).filter(|at| bears[*at]).collect();
        let wants: Vec<&Resource> = which.iter().map(|at| &promises.all[*at].want).collect();
        let mut seen = steadfast_resources::observe(&wants, eyes.probe()).into_iter();
        let unseen = || Err(SystemError::new(ErrorKind::Other, "it was not looked at"));
        let state = |bears: &bool| bears.then(|| seen.next()).flatten().unwrap_or_else(unseen);
        let states = bears.iter().map(state).collect();
        let mut observed = Observed { states, perhaps: BTreeSet::new() };
        for inputs in promises.inputs.iter().filter(|it| bears[it.service]) {
            observed.assess(promises, inputs, ledger);
        }
        observed.ask(0..promises.all.len(), promises, eyes);
        observed
    }

    /// Asks services whether they are healthy, side by side, where nothing else is left to do for them.
    pub(crate) fn ask(
        &mut self,
        which: impl IntoIterator<Item = usize>,
        promises: &Promises,
        eyes: Observer<'_>,
    ) {
        let open: Vec<usize> =
            which.into_iter().filter(|at| self.awaits_health(promises, *at)).collect();
        let asked: Vec<service::Asked<'_>> = open
            .iter()
            .filter_map(|at| match (&promises.all[*at].want, &self.states[*at]) {
                (Resource::Service(want), Ok(State::Service(have))) => Some((want, have)),
                _ => None,
            })
            .collect();
        if asked.is_empty() {
            return;
        }
        let answers = service::ask(&asked, eyes.probe(), eyes.runs());
        for (at, health) in open.into_iter().zip(answers) {
            if let Ok(State::Service(state)) = &mut self.states[at] {
                state.health = health;
            }
        }
    }

    /// Whether all hangs on what a service says of itself, and it has not been asked.
    pub(crate) fn awaits_health(&self, promises: &Promises, at: usize) -> bool {
        let want = &promises.all[at].want;
        matches!(want, Resource::Service(it) if it.promises_health())
            && self.states[at].as_ref().is_ok_and(|have| {
                steadfast_resources::plan(want, have).obstacles.contains(&Obstacle::HealthNotAsked)
            })
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
        }
        let which: BTreeSet<usize> = which.iter().copied().collect();
        for inputs in promises.inputs.iter().filter(|it| which.contains(&it.service)) {
            self.assess(promises, inputs, ledger);
        }
    }

    /// Says in a service's state what it owes.
    pub(crate) fn assess(&mut self, promises: &Promises, inputs: &Inputs, ledger: &dyn Ledger) {
        let at = inputs.service;
        self.perhaps.remove(&at);
        let Some((unit, process)) = self.service(promises, at) else { return };
        let now = self.inputs(promises, inputs);
        let record = ledger.record(&unit);
        let owed = if self.has_failed(at) {
            debt::owed_by_failed(&record)
        } else {
            debt::owed(&record, process.as_ref(), &now)
        };
        if let Ok(State::Service(state)) = &mut self.states[at] {
            let (owed, mut because) = match owed {
                Owed::Nothing => (None, vec![]),
                Owed::Due { action, causes } => {
                    (Some(action), causes.iter().map(ToString::to_string).collect::<Vec<_>>())
                }
                Owed::Perhaps => {
                    self.perhaps.insert(at);
                    (None, vec![])
                }
            };
            // In the order of names, so that a forecast and the run say it alike.
            because.sort();
            (state.owed, state.owed_because) = (owed, because);
        }
    }

    fn has_failed(&self, at: usize) -> bool {
        matches!(&self.states[at], Ok(State::Service(it)) if it.unit.active == Active::Failed)
    }

    pub(crate) fn service(
        &self,
        promises: &Promises,
        at: usize,
    ) -> Option<(UnitName, Option<Process>)> {
        match (&promises.all[at].want, &self.states[at]) {
            (Resource::Service(want), Ok(State::Service(state))) => {
                Some((want.unit().clone(), state.process.clone()))
            }
            _ => None,
        }
    }

    /// The inputs of a service as the machine shows them, but for those that cannot be seen.
    pub(crate) fn inputs(&self, promises: &Promises, inputs: &Inputs) -> debt::Inputs {
        let restart: BTreeSet<usize> = inputs.restart.iter().copied().collect();
        let mut each: BTreeMap<PromiseId, (Action, Vec<debt::InputDigest>, Option<i64>)> =
            BTreeMap::new();
        let mut take = |id: PromiseId, action: Action, it: Fingerprint| {
            // A promise may have several parts.
            let entry = each.entry(id).or_insert((action, vec![], None));
            entry.0 = entry.0.max(action);
            entry.1.push(it.digest);
            entry.2 = entry.2.max(it.changed);
        };
        if let (Resource::Service(want), Ok(State::Service(state))) =
            (&promises.all[inputs.service].want, &self.states[inputs.service])
        {
            for (path, it) in service::own_inputs(want, state) {
                take(PromiseId::new("file", path.as_str()), Action::Restart, it);
            }
        }
        for (list, action) in [(&inputs.restart, Action::Restart), (&inputs.reload, Action::Reload)]
        {
            for at in list.iter().filter(|at| **at != inputs.service) {
                // What asks for a restart asks for no reload beside it.
                let twice = action == Action::Reload && restart.contains(at);
                if let Ok(state) = &self.states[*at]
                    && !twice
                {
                    take(promises.all[*at].id.clone(), action, state.fingerprint());
                }
            }
        }
        let inputs = each.into_iter().map(|(id, (asks, digests, changed))| {
            (id, debt::Input { asks, digest: Sha256::digest(digests.concat()).into(), changed })
        });
        debt::Inputs(inputs.collect())
    }

    /// The record of a service that owes nothing and runs with what is there now.
    pub(crate) fn paid_up(&self, promises: &Promises, inputs: &Inputs) -> Option<Record> {
        let (_, process) = self.service(promises, inputs.service)?;
        // What cannot be seen now is not forgotten.
        if inputs.reload.iter().chain(&inputs.restart).any(|it| self.states[*it].is_err()) {
            return None;
        }
        let now = self.inputs(promises, inputs);
        let known = now.0.into_iter().map(|(id, it)| (id, it.digest)).collect();
        let baseline = process.map(|it| Baseline { invocation: it.invocation, inputs: known })?;
        Some(Record { baseline: Some(baseline), debts: vec![], damaged: false })
    }
}

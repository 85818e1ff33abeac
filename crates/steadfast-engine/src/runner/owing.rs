//! What runners owe: judged from what is written down, from what the machine shows of their inputs, and in
//! a forecast from what the run would change.

use crate::ledger::Ledger;
use crate::observed::Observed;
use crate::promised::Promises;
use crate::runner::debt::{self, Action, Baseline, Debt, Owed, RunnerRecord};
use crate::runner::inputs::{Inputs, has};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use steadfast_model::PromiseId;
use steadfast_resources::runner::{Owing, Process};
use steadfast_resources::{Fingerprint, Identity};
use steadfast_system::services::FOLDER;
use steadfast_system::{AbsPath, UnitName};

/// What a run would let a runner owe by the time it is its turn, and the first promise that does.
pub(crate) struct Foreseen {
    pub owing: Owing,
    pub because: Option<usize>,
}

impl Observed {
    /// Says what runners owe.
    pub(crate) fn assess<'i>(
        &mut self,
        promises: &Promises,
        which: impl IntoIterator<Item = &'i Inputs>,
        ledger: &dyn Ledger,
    ) {
        let (mut runners, mut units) = (vec![], vec![]);
        for inputs in which {
            self.undetermined.remove(&inputs.runner);
            self.records.remove(&inputs.runner);
            if let Some((unit, _)) = self.runner(promises, inputs.runner) {
                runners.push(inputs);
                units.push(unit);
            }
        }
        if units.is_empty() {
            return;
        }
        for (inputs, record) in runners.into_iter().zip(ledger.records(&units)) {
            let at = inputs.runner;
            let owed = self.judge(promises, inputs, &record);
            if owed == Owed::Perhaps {
                self.undetermined.insert(at);
            }
            self.owing_mut(at).set(owed);
            self.records.insert(at, record);
        }
    }

    fn judge(&self, promises: &Promises, inputs: &Inputs, record: &RunnerRecord) -> Owed {
        if self.has_failed(inputs.runner) {
            return debt::owed_by_failed(record);
        }
        let process = self.runner(promises, inputs.runner).and_then(|(_, process)| process);
        debt::owed(record, process.as_ref(), &self.inputs(promises, inputs))
    }

    /// The same, as it will be once the run has done what it plans for these inputs: the debts that it would
    /// write down for their causes are judged with those that are. What does not run owes nothing: it starts with what is
    /// there then.
    pub(crate) fn foresee(
        &self,
        promises: &Promises,
        inputs: &Inputs,
        planned: impl Fn(usize) -> bool,
        is_cause: impl Fn(usize) -> bool,
    ) -> Foreseen {
        let at = inputs.runner;
        let mut foreseen = Foreseen { owing: self.owing(at).clone(), because: None };
        let process = self.runner(promises, at).and_then(|(_, process)| process);
        let causes: Vec<usize> = match process {
            Some(_) => inputs.reload.iter().chain(&inputs.restart).copied(),
            None => [].iter().chain(&[]).copied(),
        }
        .filter(|it| is_cause(*it))
        .collect();
        if let Some(process) = process
            && !causes.is_empty()
        {
            let mut record = self.records.get(&at).cloned().unwrap_or_default();
            let debt = |cause: &usize| {
                Some(new_debt(promises, *cause, inputs.asks(*cause)?, &process, process.since))
            };
            record.debts.extend(causes.iter().filter_map(debt));
            foreseen.owing.set(self.judge(promises, inputs, &record));
            foreseen.because = causes.first().copied();
        }
        if let Some(mask) = self.mask_that_goes(promises, inputs, &planned) {
            foreseen.owing.mask_goes = true;
            foreseen.because = foreseen.because.or(Some(mask));
        }
        foreseen
    }

    /// The promise that takes away the link by which a runner is masked.
    fn mask_that_goes(
        &self,
        promises: &Promises,
        inputs: &Inputs,
        planned: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let state = self.states[inputs.runner].as_ref().ok()?.as_runner()?;
        let unit = promises.all[inputs.runner].want.as_runner()?.unit();
        let mask = AbsPath::parse(FOLDER).and_then(|it| it.join(unit.as_str())).ok();
        let mask = mask.filter(|_| state.is_masked_by_link())?;
        let is_it = |it: &Identity| it.as_path() == Some(&mask);
        inputs.read.iter().copied().find(|at| {
            let want = &promises.all[*at].want;
            want.is_absent() && planned(*at) && want.claims().iter().any(is_it)
        })
    }

    fn has_failed(&self, at: usize) -> bool {
        self.states[at].as_ref().is_ok_and(|it| it.as_runner().is_some_and(|it| it.has_failed()))
    }

    /// The unit of a runner that could be looked at, and what runs of it.
    pub(crate) fn runner(
        &self,
        promises: &Promises,
        at: usize,
    ) -> Option<(UnitName, Option<Process>)> {
        let unit = promises.all[at].want.as_runner()?.unit().clone();
        let state = self.states[at].as_ref().ok()?.as_runner()?;
        Some((unit, state.process().cloned()))
    }

    /// The inputs of a runner as the machine shows them, but for those that cannot be seen.
    pub(crate) fn inputs(&self, promises: &Promises, inputs: &Inputs) -> debt::Inputs {
        let mut each: BTreeMap<PromiseId, Gathered> = BTreeMap::new();
        let load = self.last_load.and_then(|it| it.began);
        let mut take = |id: PromiseId, action: Action, read: bool, it: Fingerprint| {
            // A promise may have several parts.
            let entry = each.entry(id).or_insert_with(|| Gathered::new(action));
            entry.asks = entry.asks.max(action);
            entry.digests.push(it.digest);
            entry.changed = entry.changed.max(it.changed);
            entry.loaded = entry.loaded.or(load.filter(|_| read));
        };
        if let Ok(state) = &self.states[inputs.runner] {
            for (path, it) in promises.all[inputs.runner].want.own_inputs(state) {
                take(PromiseId::new("file", path.as_str()), Action::Restart, true, it);
            }
        }
        for (list, action) in [(&inputs.restart, Action::Restart), (&inputs.reload, Action::Reload)]
        {
            for at in list.iter().filter(|at| **at != inputs.runner) {
                let twice = action == Action::Reload && has(&inputs.restart, *at);
                if let Ok(state) = &self.states[*at]
                    && !twice
                {
                    let read = has(&promises.unit_files, *at);
                    take(promises.all[*at].id.clone(), action, read, state.fingerprint());
                }
            }
        }
        debt::Inputs(each.into_iter().map(|(id, it)| (id, it.into())).collect())
    }

    /// The record of a runner that owes nothing and runs with what is there now.
    pub(crate) fn paid_up(&self, promises: &Promises, inputs: &Inputs) -> Option<RunnerRecord> {
        let (_, process) = self.runner(promises, inputs.runner)?;
        // What cannot be seen now is not forgotten.
        if inputs.reload.iter().chain(&inputs.restart).any(|it| self.states[*it].is_err()) {
            return None;
        }
        let now = self.inputs(promises, inputs);
        let known = now.0.into_iter().map(|(id, it)| (id, it.digest)).collect();
        let baseline = process.map(|it| Baseline { invocation: it.invocation, inputs: known })?;
        Some(RunnerRecord { baseline: Some(baseline), debts: vec![], damaged: false })
    }
}

/// What was seen of the parts of one input.
struct Gathered {
    asks: Action,
    digests: Vec<debt::InputDigest>,
    changed: Option<i64>,
    loaded: Option<i64>,
}

impl Gathered {
    fn new(asks: Action) -> Gathered {
        Gathered { asks, digests: vec![], changed: None, loaded: None }
    }
}

impl From<Gathered> for debt::Input {
    fn from(it: Gathered) -> debt::Input {
        let digest = Sha256::digest(it.digests.concat()).into();
        debt::Input { asks: it.asks, digest, changed: it.changed, loaded: it.loaded }
    }
}

/// What a process owes because a promise is changed.
pub(crate) fn new_debt(
    promises: &Promises,
    cause: usize,
    action: Action,
    process: &Process,
    since: i64,
) -> Debt {
    let cause = promises.all[cause].id.clone();
    Debt { action, cause, invocation: process.invocation.clone(), since }
}

/// What a verdict on debts says to whoever plans.
pub(crate) trait SetOwed {
    fn set(&mut self, owed: Owed);
}

impl SetOwed for Owing {
    fn set(&mut self, owed: Owed) {
        (self.action, self.causes) = match owed {
            Owed::Nothing | Owed::Perhaps => (None, vec![]),
            Owed::Due { action, causes } => (Some(action), causes),
        };
        // In the order of names, so that a forecast and the run say it alike.
        self.causes.sort();
    }
}

//! The components of the node within a run. Where it carries none, none of this does anything.

use super::{Running, Scope};
use crate::NodeError;
use crate::deployments::{self, Deploying, Fared, Input, NoStep, Steps, Told};
use crate::model::{Files, Loaded, Target};
use crate::wire::{Failure, Fault, JudgedFailure, Report};
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;
use steadfast_engine::{Assessment, Budget, Promises, Summary, UnitId};
use steadfast_model::PromiseId;
use steadfast_store::{Journal, Store, deployments as stored};
use steadfast_system::Host;
use steadfast_system::clock::Read as _;
use steadfast_trust::text::chain;

impl Running<'_> {
    /// Puts the promises of the node's components among its own. Gives the state, where that had to be opened.
    pub(super) fn deploy(
        &mut self,
        target: Option<&mut Target>,
        loaded: &mut Loaded,
    ) -> Result<Option<Store>, NodeError> {
        let Some(target) = target.filter(|it| !it.resolved.components.is_empty()) else {
            return Ok(None);
        };
        let store = self.open()?;
        let environment = Arc::clone(&target.environment);
        let no_step = |component: &str| self.no_step(component);
        let input = Input {
            node: self.node,
            environment: &environment,
            facts: self.facts,
            no_step: &no_step,
            by_hand: self.run.keeping().is_none(),
            is_forecast: self.run.is_forecast(),
            now: self.cx.host().now(),
        };
        let deploying = deployments::deploy(target, loaded, &input, &store, self.cx)?;
        // What it comes to hangs on more than the model.
        self.model = None;
        self.deploying = deploying;
        Ok(Some(store))
    }

    /// Whether all that is promised is known.
    pub(super) fn is_whole(&self) -> bool {
        self.deploying.as_ref().is_none_or(|it| it.is_whole)
    }

    fn no_step(&self, component: &str) -> Option<NoStep> {
        let unit = stored::unit(component);
        let is_selected = match &self.run.scope {
            Scope::All => true,
            Scope::Matching(globs) => {
                globs.is_empty() || globs.iter().any(|it| it.matches(&unit.0))
            }
            Scope::Named(names) => names.iter().any(|it| **it == *unit.0),
        };
        if !is_selected {
            return Some(NoStep::NotSelected);
        }
        let keeping = self.run.keeping()?;
        if keeping.report_only {
            return Some(NoStep::ReportOnly);
        }
        keeping.is_going_back().then_some(NoStep::GoingBack)
    }

    /// The units whose current deployment is well, of those that are about to take a step.
    pub(super) fn well(&self, host: &Host, store: &Store) -> HashSet<UnitId> {
        let Some(Deploying { before: Some(before), all, .. }) = &self.deploying else {
            return HashSet::new();
        };
        let plan = self.look(before, host, store, Budget::default()).plan;
        let units = all.iter().map(|it| &it.unit);
        units.filter(|it| deployments::is_well(before, &plan, it)).cloned().collect()
    }

    /// Ends the steps of this run. What cannot be written down is known to be under way by the next one.
    pub(super) fn end_components(
        &mut self,
        steps: &Steps,
        before: &HashSet<UnitId>,
        host: &Host,
        store: &Store,
    ) -> Vec<Told> {
        let Some(deploying) = &self.deploying else { return vec![] };
        let was_well = |unit: &UnitId| before.contains(unit);
        // Asked where a step has failed, and once for all of them.
        let after = OnceCell::new();
        let is_well = |unit: &UnitId| after.get_or_init(|| self.well(host, store)).contains(unit);
        let now = host.now();
        match deployments::end(deploying, steps, &was_well, &is_well, store, now) {
            Ok(told) => told,
            Err(error) => {
                let words =
                    format!("what became of the components is not written down: {}", chain(&error));
                self.audience.warn(&words);
                vec![]
            }
        }
    }

    pub(super) fn foresee(&self, promises: &Promises, assessment: &mut Assessment) -> Vec<Told> {
        let Some(deploying) = &self.deploying else { return vec![] };
        deployments::foresee(deploying, promises, assessment)
    }

    pub(super) fn tell(&mut self, components: &[Told], files: &Files) {
        components.iter().for_each(|it| self.audience.component(it, &files.sources));
    }

    pub(super) fn remember(&self, components: &[Told], journal: &mut Journal<'_>, files: &Files) {
        for told in components.iter().filter(|it| it.fared != Fared::Kept) {
            let word = told.fared.word().replace(' ', "-");
            let origin = files.sources.place(told.span).to_string();
            let lines = [told.because.clone(), told.way().into_iter().collect()];
            journal.component(&told.id().0, &word, origin, lines);
        }
    }
}

impl Told {
    pub fn id(&self) -> PromiseId {
        PromiseId(stored::unit(&self.component.to_string()).0)
    }

    /// `1.3 → 1.4 (committed)`, where a step was due.
    pub fn way(&self) -> Option<String> {
        let to = self.to.as_ref()?;
        let step = self.step.map(|it| format!(" ({})", it.word())).unwrap_or_default();
        Some(match &self.from {
            Some(from) => format!("{from} → {to}{step}"),
            None => format!("first deployment of {to}{step}"),
        })
    }
}

/// What counts components, each as one promise.
pub(super) trait Summed {
    fn add(&mut self, components: &[Told]);
}

impl Summed for Summary {
    fn add(&mut self, components: &[Told]) {
        for told in components {
            match told.fared {
                Fared::Kept => self.kept += 1,
                Fared::Repaired => self.repaired += 1,
                Fared::NotKept => self.not_kept += 1,
                Fared::Held | Fared::Expected => self.held += 1,
            }
        }
    }
}

impl Summed for Report {
    fn add(&mut self, components: &[Told]) {
        for told in components {
            let promise = told.id();
            let failure = || Failure {
                promise: promise.clone(),
                reason: told.because.join(": "),
                journal: vec![],
            };
            match told.fared {
                Fared::Kept => self.kept += 1,
                Fared::Repaired => self.repaired.push(promise),
                // A step is the component's affair: no revision is gone back from because of it.
                Fared::NotKept => self.not_kept.push(JudgedFailure {
                    failure: failure(),
                    fault: Fault::Unit,
                    health: false,
                    changed: false,
                }),
                Fared::Held | Fared::Expected => self.held.push(failure()),
            }
        }
    }
}

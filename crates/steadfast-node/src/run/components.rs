//! The components of the node within a run. Where it carries none, none of this does anything.

use super::{Hand, Run, Running, Scope};
use crate::NodeError;
use crate::deployments::{self, Asking, Fates, Input, Instance, Stepping, Suspended, Taken, Told};
use crate::keep::Keeping;
use crate::model::{Files, Loaded, Target};
use crate::resolution::Limits;
use crate::wire::{Failure, Fault, JudgedFailure, Report};
use std::sync::Arc;
use steadfast_engine::component::{Became, By};
use steadfast_engine::{Assessment, Budget, Forecast, Plan, Promises, Spent};
use steadfast_store::{Journal, Store};
use steadfast_system::Host;
use steadfast_trust::text::chain;

impl Run<'_> {
    fn is_asked(&self, instance: &Instance) -> bool {
        let unit = &instance.unit.0;
        match &self.scope {
            Scope::All => true,
            Scope::Matching(globs) => globs.is_empty() || globs.iter().any(|it| it.matches(unit)),
            Scope::Named(names) => names.iter().any(|it| **it == **unit),
        }
    }

    /// What holds for the steps of this run.
    fn asking<'s>(
        &'s self,
        (node, facts): (&'s str, &'s serde_json::Value),
        is_asked: &'s dyn Fn(&Instance) -> bool,
        (limit, restarts): (Option<u64>, u64),
    ) -> Asking<'s> {
        let keeping = self.keeping();
        let Hand { now, waits, by: who } = &self.hand;
        let by = if keeping.is_some() { By::Agent } else { By::Hand { now: *now } };
        let with = if *now { ", with --now" } else { "" };
        let reason = keeping.and_then(|it| it.suspended.as_deref());
        let suspended = reason.map(|it| Suspended { reason: Arc::from(it), until: None });
        Asking {
            node,
            facts,
            by,
            waits: *waits,
            who: who.as_ref().filter(|_| keeping.is_none()).map(|it| format!("{it}{with}")),
            suspended,
            is_report_only: keeping.is_some_and(|it| it.report_only && it.suspended.is_none()),
            is_going_back: keeping.is_some_and(Keeping::is_going_back),
            is_asked,
            limit,
            restarts,
        }
    }
}

impl Running<'_> {
    /// Puts the promises of the node's components among its own. Gives the state, which had to be opened.
    pub(super) fn deploy(
        &mut self,
        target: Option<&mut Target>,
        loaded: &mut Loaded,
    ) -> Result<Option<Store>, NodeError> {
        let Some(target) = target else { return Ok(None) };
        let store = self.open()?;
        let environment = Arc::clone(&target.environment);
        let input = Input {
            node: self.node,
            environment: &environment,
            facts: self.facts,
            is_forecast: self.run.is_forecast(),
            now: jiff::Timestamp::now().as_second(),
        };
        self.deploying = deployments::deploy(target, loaded, &input, &store, self.cx)?;
        if self.deploying.is_some() {
            // What it comes to hangs on more than the model.
            self.model = None;
        }
        Ok(Some(store))
    }

    /// Whether all that is promised is known.
    pub(super) fn is_whole(&self) -> bool {
        self.deploying.as_ref().is_none_or(|it| it.is_whole)
    }

    /// Takes the steps of the node's components, as far as they may go on now.
    pub(super) fn take_steps(
        &mut self,
        fates: &Fates,
        (host, store): (&Host, &Store),
        journal: &mut Journal<'_>,
        files: &Files,
        restarts: (Option<u64>, u64),
    ) -> Taken {
        let Some(deploying) = &mut self.deploying else { return Taken::default() };
        let run = self.run;
        let is_asked = |it: &Instance| run.is_asked(it);
        let asking = run.asking((self.node, self.facts), &is_asked, restarts);
        let machine = (self.cx, host, store);
        let stepping =
            Stepping::new(asking, deploying, machine, self.audience, journal, &files.sources);
        stepping.take(fates)
    }

    pub(super) fn foresee(
        &mut self,
        promises: &Promises,
        assessment: &mut Assessment,
        host: &Host,
        restarts: (Option<u64>, u64),
    ) -> Vec<Told> {
        let Some(deploying) = &mut self.deploying else { return vec![] };
        let run = self.run;
        let is_asked = |it: &Instance| run.is_asked(it);
        let asking = run.asking((self.node, self.facts), &is_asked, restarts);
        match deployments::now(host) {
            Ok(now) => deployments::foresee(deploying, &asking, &now, promises, assessment),
            Err(error) => {
                self.audience.warn(&chain(&error));
                vec![]
            }
        }
    }

    pub(super) fn tell(&mut self, components: &[Told], files: &Files) {
        components.iter().for_each(|it| self.audience.component(it, &files.sources));
    }

    pub(super) fn remember(&self, components: &[Told], journal: &mut Journal<'_>, files: &Files) {
        for told in components.iter().filter(|it| !it.is_kept()) {
            let word = told.word().replace(' ', "-");
            let origin = files.sources.place(told.span).to_string();
            let because = told.report.reason.iter().cloned().chain(told.journal_lines());
            let lines = [because.collect(), told.way().into_iter().collect()];
            journal.component(&told.id().0, &word, origin, lines);
        }
    }
}

/// How many restarts a run may do, and how many it does beside the steps of components.
pub(super) fn restarts(limits: Limits, plan: &Plan) -> (Option<u64>, u64) {
    let is_done = |it: &Forecast| match it {
        Forecast::Certain | Forecast::Expected { .. } | Forecast::Unknown { .. } => true,
        Forecast::Kept | Forecast::NotKept(_) | Forecast::Held(_) => false,
    };
    let changes = plan.entries.iter().flat_map(|it| it.foreseen());
    let changes = changes.filter(|(_, forecast)| is_done(forecast)).map(|(change, _)| change);
    (Budget::from(limits).restarts, Spent::count(changes).restarts)
}

/// Adds components to what the agent is told, each as one promise.
pub(super) fn add(report: &mut Report, taken: Taken) {
    let Taken { told, due, repaired } = taken;
    report.repaired.extend(repaired);
    report.steps = due;
    for told in told {
        let promise = told.id();
        let failure = Failure {
            promise: promise.clone(),
            reason: told.report.reason.clone().unwrap_or_default(),
            journal: told.journal.clone(),
        };
        match told.report.outcome {
            Became::Kept => report.kept += 1,
            Became::Repaired => report.repaired.push(promise),
            // A step is the component's affair: no revision is gone back from because of it.
            Became::NotKept => report.not_kept.push(JudgedFailure {
                failure,
                fault: Fault::Unit,
                health: false,
                changed: false,
            }),
            Became::Held => report.held.push(failure),
        }
    }
}

//! Which kinds of promises play the role of a runner.

use super::{Health, Owing, Runner, RunnerChange, RunnerState};
use crate::service::{self, Desired};
use crate::{Change, Difference, Fingerprint, Resource, State};
use steadfast_system::programs::Run;
use steadfast_system::{AbsPath, Probe, UnitName};

impl Resource {
    /// The runner that it is about, if it is about one.
    pub fn as_runner(&self) -> Option<&dyn Runner> {
        if let Resource::Service(want) = self { Some(want) } else { None }
    }

    /// A runner that nobody promised anything about: if it runs, it runs with its current inputs.
    pub fn implied_runner(unit: UnitName) -> Resource {
        Resource::Service(Desired::implied(unit))
    }

    /// The same runner where it is not attempted and only pays what it owes; none where it is no runner.
    pub fn debts_only(&self) -> Option<Resource> {
        if let Resource::Service(want) = self {
            Some(Resource::Service(want.debts_only()))
        } else {
            None
        }
    }

    /// What separates the machine from the promise, with what a runner owes.
    pub fn plan(&self, have: &State, owing: &Owing) -> Difference<Change> {
        match (self, have) {
            (Resource::Service(want), State::Service(have)) => {
                service::plan(want, have, owing).map(Change::Service)
            }
            (_, _) => crate::plan(self, have),
        }
    }

    /// The files that are promised with a runner itself, as the machine shows them.
    pub fn own_inputs<'a>(&'a self, have: &'a State) -> Vec<(&'a AbsPath, Fingerprint)> {
        match (self, have) {
            (Resource::Service(want), State::Service(have)) => {
                service::own_inputs(want, have).collect()
            }
            (_, _) => vec![],
        }
    }
}

impl State {
    /// What the machine shows of a runner, if it is one.
    pub fn as_runner(&self) -> Option<&dyn RunnerState> {
        if let State::Service(have) = self { Some(&**have) } else { None }
    }

    /// What the machine says now, and what a runner says of itself.
    pub fn describe_with(&self, owing: &Owing) -> Vec<(&'static str, String)> {
        match self.as_service() {
            Some(have) => service::describe(have, &owing.health),
            None => self.describe(),
        }
    }

    /// The same, to be told what earlier steps make of it.
    pub fn as_runner_mut(&mut self) -> Option<&mut dyn RunnerState> {
        if let State::Service(have) = self { Some(&mut **have) } else { None }
    }

    fn as_service(&self) -> Option<&service::State> {
        if let State::Service(have) = self { Some(have) } else { None }
    }
}

impl Change {
    /// What it does to a runner, if it is about one.
    pub fn as_runner(&self) -> Option<&dyn RunnerChange> {
        if let Change::Service(it) = self { Some(it) } else { None }
    }
}

/// Asks runners whether they are healthy, side by side; one answer for each. Who may run no program (`runs`
/// is none) does not ask those that are asked by one.
pub fn ask(asked: &[(&Resource, &State)], sys: &dyn Probe, runs: Option<&dyn Run>) -> Vec<Health> {
    let services: Vec<Option<service::Asked<'_>>> = asked
        .iter()
        .map(|it| match it {
            (Resource::Service(want), State::Service(have)) => Some((want, &**have)),
            (_, _) => None,
        })
        .collect();
    let known: Vec<service::Asked<'_>> = services.iter().copied().flatten().collect();
    let mut answers = service::ask(&known, sys, runs).into_iter();
    let answer = |it: Option<_>| it.and_then(|_| answers.next()).unwrap_or_default();
    services.into_iter().map(answer).collect()
}

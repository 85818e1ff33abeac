//! Which promises are inputs of which runners, as either of the two declares it.

use super::Promised;
use super::lower::{Builder, Written};
use crate::runner::inputs::Inputs;
use std::collections::HashMap;
use std::sync::Arc;
use steadfast_model::{Diagnostic, Keep, PromiseId, Spanned, codes};
use steadfast_resources::runner::Consequence;
use steadfast_resources::{Identity, Resource, glob::Glob};
use steadfast_system::{UnitName, services};

impl Builder<'_> {
    /// Which services run with which promises.
    pub(super) fn consequences(&mut self) {
        // Runners that nobody promised are added while this goes on, and are named by nobody.
        let count = self.all.len();
        for at in 0..count {
            self.named_by_input(at);
        }
        for at in 0..count {
            self.named_by_runner(at, count);
        }
        self.read_for_runners(count);
    }

    /// The runners that an input names.
    fn named_by_input(&mut self, at: usize) {
        let (reloads, restarts) =
            (self.written[at].reloads.clone(), self.written[at].restarts.clone());
        for (units, consequence) in
            [(reloads, Consequence::Reload), (restarts, Consequence::Restart)]
        {
            for unit in units {
                match UnitName::parse(&unit.value) {
                    Ok(name) => {
                        let runner = self.service(name, at);
                        self.input(runner, at, consequence);
                    }
                    Err(bad) => {
                        let error = Diagnostic::error(codes::BAD_NAME, unit.span, bad.to_string());
                        self.diagnostics.push(error);
                    }
                }
            }
        }
    }

    /// The promises that systemd reads for the runners of this node, by the names of their units: a runner
    /// comes after them. Units that nobody promised are not made up.
    fn read_for_runners(&mut self, count: usize) {
        let mut read: HashMap<UnitName, Vec<usize>> = HashMap::new();
        for at in (0..count).filter(|at| self.all[*at].want.as_runner().is_none()) {
            for path in self.all[at].want.claims().iter().filter_map(Identity::as_path) {
                if let Some(unit) = services::unit_read_from(path) {
                    read.entry(unit).or_default().push(at);
                }
            }
        }
        if read.is_empty() {
            return;
        }
        for at in 0..self.all.len() {
            let Some(unit) = self.all[at].want.as_runner().map(|it| it.unit().clone()) else {
                continue;
            };
            let template = unit.template().and_then(|it| UnitName::parse(&it).ok());
            let its = std::iter::once(unit).chain(template).filter_map(|it| read.get(&it));
            let mut its: Vec<usize> = its.flatten().copied().collect();
            its.sort_unstable();
            if !its.is_empty() {
                let inputs = self.inputs.entry(at).or_default();
                (inputs.runner, inputs.read) = (at, its);
            }
        }
    }

    /// The inputs that a runner names, by their ids or by globs over ids.
    fn named_by_runner(&mut self, at: usize, count: usize) {
        let Some(want) = self.all[at].want.as_runner() else { return };
        let named = |list: &[Spanned<Arc<str>>], consequence: Consequence| {
            list.iter().map(|it| (it.clone(), consequence)).collect::<Vec<_>>()
        };
        let mut patterns = named(want.reload_on(), Consequence::Reload);
        patterns.extend(named(want.restart_on(), Consequence::Restart));
        self.inputs.entry(at).or_default().runner = at;
        for (pattern, consequence) in patterns {
            let glob = match Glob::of_ids(&pattern.value) {
                Ok(glob) => glob,
                Err(bad) => {
                    self.diagnostics.push(Diagnostic::error(codes::BAD_VALUE, pattern.span, bad));
                    continue;
                }
            };
            let found: Vec<usize> = match glob.literal() {
                Some(id) => self.parts(&PromiseId(Arc::from(id))).collect(),
                None => (0..count).filter(|it| glob.matches(&self.all[*it].id.0)).collect(),
            };
            if self.beside.is_none()
                && found.iter().all(|it| *it == at)
                && !self.unsound.iter().any(|it| glob.matches(&it.0))
            {
                self.matches_nothing(&pattern, &glob);
            }
            for input in found.into_iter().filter(|it| *it != at) {
                self.input(at, input, consequence);
            }
        }
    }

    fn matches_nothing(&mut self, pattern: &Spanned<Arc<str>>, glob: &Glob) {
        let message = format!("`{}` matches no promise of this node", pattern.value);
        let mut warning = Diagnostic::warning(codes::MATCHES_NOTHING, pattern.span, message);
        if glob.literal().is_some()
            && let Some(near) = self.near(&pattern.value)
        {
            warning = warning.label(format!("did you mean `{near}`?"));
        }
        self.diagnostics.push(warning);
    }

    /// The promise about this unit, made where nobody made one.
    fn service(&mut self, unit: UnitName, cause: usize) -> usize {
        let identity = Identity::Unit(unit.clone());
        if let Some(at) = self.by_identity.get(&identity) {
            return *at;
        }
        let at = self.all.len();
        let id = PromiseId::new("service", unit.short());
        self.all.push(Promised {
            id: id.clone(),
            want: Resource::implied_runner(unit),
            needs: vec![],
            lies_in: vec![],
            keep: Keep::Repair,
            origins: vec![self.all[cause].origins[0].clone()],
            description: None,
            implied: true,
            unit: None,
            used: None,
            selected: true,
        });
        self.written.push(Written {
            needs: vec![],
            reloads: vec![],
            restarts: vec![],
            conditional: false,
            owner: None,
        });
        self.by_id.insert(id, at);
        self.by_identity.insert(identity, at);
        self.inputs.insert(at, Inputs { runner: at, ..Inputs::default() });
        at
    }

    fn input(&mut self, service: usize, input: usize, consequence: Consequence) {
        let inputs = self.inputs.entry(service).or_default();
        inputs.runner = service;
        let list = match consequence {
            Consequence::Reload => &mut inputs.reload,
            Consequence::Restart => &mut inputs.restart,
        };
        list.push(input);
    }
}

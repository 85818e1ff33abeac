//! What is done around a step: units come to rest and begin again, traffic is taken away and brought back, and ports are
//! looked at before anything is stopped.

use super::calls::{Calling, call};
use super::instance::Instance;
use super::stepping::{LOST, PATIENCE, Stepping, words};
use super::units::{self, Units};
use std::sync::Arc;
use steadfast_engine::component::{Deployment, Illness, Phase, Trouble};
use steadfast_model::application::component::Hook;
use steadfast_model::application::frozen::{Frozen, kept_name};
use steadfast_system::secrets::{Read as _, Secret};
use steadfast_system::{SystemError, UnitName};

impl Stepping<'_, '_> {
    /// The units that stand still during the open step, in the order in which they are stopped.
    fn quiesced(&self, at: usize) -> Vec<UnitName> {
        let instance = &self.deploying.all[at];
        let to = instance.row().step.as_ref().and_then(|it| instance.documents.get(&it.to.own));
        let named = to.map(|it| it.conduct.quiesce()).unwrap_or_default();
        named.iter().filter_map(|it| UnitName::parse(it).ok()).collect()
    }

    pub(super) fn quiesce(&self, at: usize, kill: bool) -> Result<(), Arc<str>> {
        let id = self.deploying.all[at].id.to_string();
        units::quiesce(&self.quiesced(at), &id, kill, self.host).map_err(|it| words(&it))
    }

    /// Those of them that still do something; looked at while they come to rest.
    pub(super) fn busy(&self, at: usize) -> Result<Vec<Arc<str>>, SystemError> {
        let step = self.deploying.all[at].row().step.as_ref();
        match step.map(|it| &it.phase) {
            Some(Phase::Quiesce) => units::busy(&self.quiesced(at), self.host),
            Some(
                Phase::Drain
                | Phase::Drained
                | Phase::Stop
                | Phase::Switch
                | Phase::Start
                | Phase::Judge(_)
                | Phase::Bake(_)
                | Phase::Commit
                | Phase::Retire,
            )
            | None => Ok(vec![]),
        }
    }

    pub(super) fn resume(&self, at: usize) -> Result<(), Arc<str>> {
        let id = self.deploying.all[at].id.to_string();
        units::resume(&id, PATIENCE, self.host).map_err(|it| it.reason)
    }

    /// Calls what takes traffic away from what runs.
    pub(super) fn drain(&self, at: usize) -> Result<(), Arc<str>> {
        let row = self.deploying.all[at].row();
        let from = row.step.as_ref().and_then(|it| it.from.as_ref());
        self.call(at, from, |frozen, it| frozen.conduct.drain(&it.folder))
    }

    /// Calls what brings traffic to what runs now.
    pub(super) fn ready(&self, at: usize) -> Result<(), Arc<str>> {
        let row = self.deploying.all[at].row();
        let heading = row.step.as_ref().and_then(|it| it.heading());
        self.call(at, heading.or(row.current.as_ref()), |frozen, it| {
            frozen.conduct.ready(&it.folder)
        })
    }

    fn call(
        &self,
        at: usize,
        of: Option<&Deployment>,
        hook: impl Fn(&Frozen, &Deployment) -> Option<Hook>,
    ) -> Result<(), Arc<str>> {
        let Some(of) = of else { return Ok(()) };
        let Some(frozen) = self.deploying.all[at].documents.get(&of.own) else {
            return Err(LOST.into());
        };
        let Some(hook) = hook(frozen, of) else { return Ok(()) };
        let program = std::env::current_exe().map_err(|err| format!("this program: {err}"))?;
        let units = Units::of(frozen);
        let calling =
            Calling { program: &program, proxy: None, directory: &frozen.directory, units: &units };
        call(&hook, &calling, self.host)
    }

    /// Whether somebody else listens on a port that is to be its own.
    pub(super) fn strangers(&self, at: usize, it: &Deployment) -> Result<(), Trouble> {
        let instance = &self.deploying.all[at];
        let Some(frozen) = instance.documents.get(&it.own) else { return Ok(()) };
        let ports = frozen.conduct.ports();
        let promise = |unit: &str| {
            let mut others = self.deploying.all.iter().filter(|other| other.id != instance.id);
            others
                .find(|other| promises(other, unit))
                .map(|other| format!("component {}", other.id))
        };
        let found = units::foreign(&ports, &self.units(at), &promise, self.host);
        match found {
            Ok(found) if found.is_empty() => Ok(()),
            Ok(found) => Err(Trouble::Unprepared(found.join("; ").into())),
            Err(error) => {
                // It is looked at once more when it is asked.
                tracing::debug!(error = error.chain().join(": "), "ports are not looked at");
                Ok(())
            }
        }
    }

    /// What is told of a program, without the secrets that its deployment was given.
    pub(super) fn secrets_of(&self, frozen: &Frozen) -> Vec<Secret> {
        let kept = frozen.secrets.iter().map(|(name, digest)| kept_name(name, digest));
        kept.filter_map(|it| self.host.secret(&it).ok()).collect()
    }

    pub(super) fn masked(&self, frozen: &Frozen, illness: Illness) -> Illness {
        units::masked(illness, &self.secrets_of(frozen))
    }
}

/// Whether a component promises a unit.
fn promises(instance: &Instance, unit: &str) -> bool {
    let mut all = instance.documents.values().map(Units::of);
    all.any(|it| it.all.iter().any(|it| it.as_str() == unit))
}

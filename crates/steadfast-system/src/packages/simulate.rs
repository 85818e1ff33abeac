//! What a transaction would do, by apt's own simulation, and whether anybody allows that.

use super::apt::{self, Simulation, refusal};
use super::job::{Job, apt_arguments};
use super::run::{QUIET, said};
use super::{Conffiles, Goal, Item, Transaction};
use crate::command::Command;
use crate::{Host, SystemError};
use std::time::Duration;

impl Host {
    pub(super) fn simulate(
        &self,
        whole: &Transaction,
        jobs: &[Job<'_>],
    ) -> Result<Simulation, SystemError> {
        let mut arguments = apt_arguments(&whole.options, jobs, true, 0);
        arguments.insert(0, "-s".to_owned());
        // Without it even a simulation by root writes /var/log/apt/eipp.log.xz.
        arguments.insert(0, "-oDir::Log::Planner=/dev/null".to_owned());
        let mut command =
            Command::tool("apt-get").args(arguments).timeout(Duration::from_secs(180));
        for (name, value) in QUIET {
            command = command.env(name, value);
        }
        let finished = command.run()?;
        if !finished.success() {
            return Err(apt::failure(&said(&finished)));
        }
        Ok(apt::simulation(&finished.stdout_text()))
    }

    /// What a simulated transaction must not do.
    pub(super) fn objection(
        &self,
        whole: &Transaction,
        jobs: &[Job<'_>],
        simulation: &Simulation,
    ) -> Result<(), SystemError> {
        let known = self.known()?;
        let is = |item: &Item, name: &str| known.database.short(item.package.as_str()) == name;
        // What the same transaction takes away anyway may go with any of its packages.
        let goes = |name: &str| whole.items.iter().any(|it| !it.installs() && is(it, name));
        let gone: Vec<&str> = simulation
            .removed
            .iter()
            .map(|it| &**it)
            .filter(|name| !goes(name) && !jobs.iter().any(|job| job.item.removals.allow(name)))
            .collect();
        if !gone.is_empty() {
            return Err(refusal(format!(
                "that would remove {}, which `allow_removals` does not name",
                gone.join(", ")
            )));
        }
        for it in &simulation.unpacked {
            if let Some(old) = &it.replaces
                && it.version.order(old).is_lt()
                && !jobs.iter().any(|job| job.item.allow_downgrade && is(job.item, &it.name))
            {
                return Err(refusal(format!(
                    "that would downgrade {} from {old} to {}, which is not allowed",
                    it.name, it.version
                )));
            }
        }
        if whole.options.conffiles == Conffiles::Fail && !simulation.unpacked.is_empty() {
            self.object_to_conffiles(&known.database, simulation)?;
        }
        Ok(())
    }

    /// What speaks against each item, as far as a simulation shows it; see [`Read::objections`].
    ///
    /// [`Read::objections`]: super::Read::objections
    pub(super) fn foreseen(&self, whole: &Transaction) -> Vec<Option<String>> {
        let mut against: Vec<Option<String>> = whole.items.iter().map(|_| None).collect();
        let jobs: Vec<Job<'_>> = whole
            .items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| match &item.goal {
                Goal::Install { version, .. } => {
                    Some(Job { at, item, version: Some(version.clone()?), torn: false })
                }
                Goal::Remove | Goal::Purge => Some(Job { at, item, version: None, torn: false }),
            })
            .collect();
        let objects = |jobs: &[Job<'_>]| {
            let simulation = self.simulate(whole, jobs).ok()?;
            self.objection(whole, jobs, &simulation).err()
        };
        if jobs.is_empty() || (jobs.len() > 1 && objects(&jobs).is_none()) {
            return against;
        }
        for job in &jobs {
            if let Some(error) = objects(std::slice::from_ref(job)) {
                against[job.at] = Some(error.chain().join(": "));
            }
        }
        against
    }
}

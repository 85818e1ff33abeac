//! What a transaction would do, by apt's own simulation, and whether anybody allows that.

use super::apt::{self, Simulation, refusal};
use super::fit::{Fit, fit};
use super::job::{How, Job, Removing, apt_arguments};
use super::run::{QUIET, said};
use super::{Along, Foreseen, Goal, Item, Read as _, Transaction, Verdict};
use crate::command::Command;
use crate::{ErrorKind, Host, SystemError};
use std::collections::BTreeMap;
use std::time::Duration;

/// Simulations by apt's arguments, all of one state of the machine: nothing that they hang on has changed.
#[derive(Debug, Default)]
pub(super) struct Simulations {
    key: String,
    known: BTreeMap<Vec<String>, Result<Simulation, SystemError>>,
}

/// What apt would do for a set of jobs, and how it has to be told.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) simulation: Simulation,
    pub(super) how: How,
}

/// Whether holds are still there that will be lifted before the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Lifted,
    StillThere,
}

impl Host {
    fn simulate(&self, arguments: Vec<String>) -> Result<Simulation, SystemError> {
        let key = self.answers_key();
        {
            let known = &mut self.package_cache().simulations;
            if known.key != key {
                *known = Simulations { key, known: BTreeMap::new() };
            } else if let Some(known) = known.known.get(&arguments) {
                return known.clone();
            }
        }
        // Its caches stay in memory, and nothing is logged: else even a simulation writes
        // /var/cache/apt/*.bin, and one by root /var/log/apt/eipp.log.xz.
        let mut command = Command::tool("apt-get")
            .args(["-s", "-oDir::Log::Planner=/dev/null"])
            .args(["-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache="])
            .args(&arguments)
            .timeout(Duration::from_secs(180));
        for (name, value) in QUIET {
            command = command.env(name, value);
        }
        let finished = command.run()?;
        let simulated = match finished.success() {
            true => Ok(apt::simulation(&finished.stdout_text())),
            false => Err(apt::failure(&said(&finished))),
        };
        self.package_cache().simulations.known.insert(arguments, simulated.clone());
        simulated
    }

    /// What apt would do for these jobs, or why that does not go.
    pub(super) fn examine(
        &self,
        whole: &Transaction,
        jobs: &[Job<'_>],
        holds: Holds,
    ) -> Result<Examined, SystemError> {
        let known = self.known()?;
        let name = |job: &Job<'_>| known.database.short(job.item.package.as_str()).to_owned();
        let simulate = |how: &How| {
            let mut arguments = apt_arguments(&whole.options, jobs, how, 0);
            let is_held = |job: &Job<'_>| known.database.get(&name(job)).is_some_and(|it| it.hold);
            if holds == Holds::StillThere && jobs.iter().any(is_held) {
                arguments.insert(0, "--allow-change-held-packages".to_owned());
            }
            self.simulate(arguments)
        };
        let goals = || jobs.iter().map(|it| &it.item.goal);
        let removes = goals().any(|it| matches!(it, Goal::Remove | Goal::Purge));
        let mut how = How::removing(Removing::Keeping);
        if removes && !goals().any(|it| matches!(it, Goal::Remove)) {
            how.removing = Removing::Purging;
        }
        let mut simulation = simulate(&how)?;
        let is_purged = |gone: &str| {
            jobs.iter().any(|it| matches!(it.item.goal, Goal::Purge) && name(it) == gone)
        };
        if how.removing == Removing::Purging && !simulation.removed.iter().all(|it| is_purged(it)) {
            // Only what is to be purged loses its configuration; that is then a step of its own.
            how.removing = Removing::Keeping;
            simulation = simulate(&how)?;
        }
        how.kept_out = self.promised_gone(jobs, &simulation)?;
        if !how.kept_out.is_empty() {
            // What is only recommended stays away; without what is needed it does not go, as apt says.
            let without = format!("without {}, which is promised absent", how.kept_out.join(", "));
            simulation = simulate(&how).map_err(|it| it.during(without))?;
        }
        self.objection(jobs, &simulation)?;
        if !removes && simulation.removed.is_empty() {
            how.removing = Removing::Nothing;
        }
        Ok(Examined { simulation, how })
    }

    /// What would come along, though it is promised gone.
    fn promised_gone(
        &self,
        jobs: &[Job<'_>],
        simulation: &Simulation,
    ) -> Result<Vec<String>, SystemError> {
        let known = self.known()?;
        let is_named = |name: &str| {
            jobs.iter().any(|it| known.database.short(it.item.package.as_str()) == name)
        };
        let goes = |name: &str| {
            let mut going = jobs.iter().flat_map(|it| it.item.going.iter());
            going.any(|it| known.database.short(it.as_str()) == name)
        };
        let new = simulation.unpacked.iter().filter(|it| it.replaces.is_none());
        let names = new.map(|it| &it.name).filter(|it| !is_named(it) && goes(it));
        Ok(names.map(ToString::to_string).collect())
    }

    /// What a simulated transaction must not do.
    fn objection(&self, jobs: &[Job<'_>], simulation: &Simulation) -> Result<(), SystemError> {
        let known = self.known()?;
        let is = |item: &Item, name: &str| known.database.short(item.package.as_str()) == name;
        let may_go = |name: &str| {
            jobs.iter().any(|job| {
                (!job.item.installs() && is(job.item, name))
                    || job.item.removals.allow(name)
                    || job.item.going.iter().any(|it| known.database.short(it.as_str()) == name)
            })
        };
        let named = |name: &str| jobs.iter().any(|it| is(it.item, name));
        let staying = |name: &str| {
            let mut all = jobs.iter().flat_map(|it| it.item.stays.iter());
            all.find(|it| !named(name) && known.database.short(it.0.as_str()) == name)
        };
        if let Some(name) = simulation.removed.iter().find(|it| staying(it).is_some()) {
            return Err(refusal(format!("that would remove {name}, which is promised present")));
        }
        for it in &simulation.unpacked {
            if let Some((_, Some(range))) = staying(&it.name)
                && !range.holds(&it.version)
            {
                let (name, new) = (&it.name, &it.version);
                let verb = if it.replaces.is_some() { "change" } else { "install" };
                return Err(refusal(format!(
                    "that would {verb} {name} in version {new}, and `{range}` is promised"
                )));
            }
        }
        let gone: Vec<&str> =
            simulation.removed.iter().map(|it| &**it).filter(|it| !may_go(it)).collect();
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
        Ok(())
    }

    /// What would become of each item; see [`Read::foresee`].
    ///
    /// [`Read::foresee`]: super::Read::foresee
    pub(super) fn foreseen(&self, whole: &Transaction) -> Vec<Foreseen> {
        let mut all: Vec<Foreseen> = whole.items.iter().map(|_| Foreseen::goes()).collect();
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
        if jobs.is_empty() {
            return all;
        }
        let Fit { set, found, refused } =
            fit(jobs, &mut |jobs| self.examine(whole, jobs, Holds::StillThere));
        let first = set.iter().find(|it| it.item.installs()).or(set.first());
        if let (Some(first), Some(found)) = (first, found) {
            all[first.at].along = self.along(whole, found.simulation);
        }
        let may_change = self.what_changes_first(whole);
        for (job, error) in refused {
            let words = error.chain().join(": ");
            all[job.at].verdict = match (&error.kind, &may_change) {
                (ErrorKind::Command, None) => Verdict::Refused(words),
                (ErrorKind::Command, Some(first)) => Verdict::Unknown(format!("{words}; {first}")),
                (_, _) => Verdict::Unknown(words),
            };
        }
        all
    }

    /// What is done before the transaction, after which a simulation may say something else.
    fn what_changes_first(&self, whole: &Transaction) -> Option<&'static str> {
        if whole.items.iter().any(Item::installs) && self.apt_lists().stale {
            Some("apt's lists are fetched first")
        } else if self.known().is_ok_and(|it| !it.is_at_rest()) {
            Some("what was interrupted is completed first")
        } else {
            None
        }
    }

    /// What happens to packages that the transaction does not name.
    fn along(&self, whole: &Transaction, simulation: Simulation) -> Vec<Along> {
        let Ok(known) = self.known() else { return vec![] };
        let is_named = |name: &str| {
            whole.items.iter().any(|it| known.database.short(it.package.as_str()) == name)
        };
        let removed = simulation.removed.into_iter().filter(|it| !is_named(it));
        let unpacked = simulation.unpacked.into_iter().filter(|it| !is_named(&it.name));
        removed
            .map(|name| Along::Removed { name })
            .chain(unpacked.map(|it| match it.replaces {
                Some(old) => Along::Changed { name: it.name, old, new: it.version },
                None => Along::Installed { name: it.name, version: it.version },
            }))
            .collect()
    }
}

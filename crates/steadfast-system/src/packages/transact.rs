//! Transactions: the whole simulated and judged, then carried out together, or each package alone where
//! that does not go.

use super::apt::{self, Offers, refusal};
use super::decide::{decide, is_lacking};
use super::fit::{Fit, fit};
use super::job::{How, Job, OURS, Removing, apt_arguments};
use super::locks::{self, DPKG_LOCKS};
use super::policy_rc::{KeptDown, POLICY_RC, restore_policy_rc};
use super::run::running_unit;
use super::simulate::{Examined, Holds};
use super::status::{Health, Installed};
use super::version::Version;
use super::{Conffiles, Goal, Item, Mark, Options, Read as _, Transaction, Write};
use crate::command::Command;
use crate::{ErrorKind, Host, PackageName, SystemError};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Lists of this age are not fetched again because something is not in them.
const FRESH: Duration = Duration::from_secs(5 * 60);

type Results = Vec<Option<Result<(), SystemError>>>;

/// Answers a package's questions before it asks them. The question's own template, which comes with
/// the package, says its type; until then true and false are booleans and all else is a string.
fn answer_questions(item: &Item) -> Result<(), SystemError> {
    if item.debconf.is_empty() {
        return Ok(());
    }
    let name = item.package.as_str();
    let owner = name.split_once(':').map_or(name, |(bare, _)| bare);
    let mut lines = String::new();
    for (question, value) in &item.debconf {
        let kind = if ["true", "false"].contains(&&**value) { "boolean" } else { "string" };
        let _infallible = writeln!(lines, "{owner} {question} {kind} {value}");
    }
    Command::tool("debconf-set-selections")
        .input(lines)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .succeed()
        .map(|_| ())
        .map_err(|it| it.during(format!("answer the questions of {}", item.package)))
}

impl Host {
    /// Runs apt for these jobs, together where that goes; one that does not go keeps no other. Results by
    /// the job's place.
    fn attempt<'t>(&self, whole: &Transaction, jobs: Vec<Job<'t>>, results: &mut Results) {
        let mut examine = |jobs: &[Job<'t>]| {
            let examined = self.examine(whole, jobs, Holds::Lifted)?;
            if whole.options.conffiles == Conffiles::Fail
                && !examined.simulation.unpacked.is_empty()
            {
                self.object_to_conffiles(&self.known()?.database, &examined.simulation)?;
            }
            Ok(examined)
        };
        let Fit { set, found, refused } = fit(jobs, &mut examine);
        for (job, error) in refused {
            results[job.at] = Some(Err(error.during(job.words())));
        }
        let Some(examined) = found else { return };
        for job in self.carry_out(&whole.options, set, &examined, results) {
            let alone = vec![job];
            match self.prepare().and_then(|()| examine(&alone)) {
                Ok(examined) => {
                    // One that was tried alone is not given back.
                    let _none = self.carry_out(&whole.options, alone, &examined, results);
                }
                Err(error) => {
                    for job in alone {
                        results[job.at] = Some(Err(error.clone().during(job.words())));
                    }
                }
            }
        }
    }

    /// Gives those jobs back that another one has kept from being done: each is worth an attempt alone.
    fn carry_out<'t>(
        &self,
        options: &Options,
        jobs: Vec<Job<'t>>,
        examined: &Examined,
        results: &mut Results,
    ) -> Vec<Job<'t>> {
        let ran = self
            .begin(options)
            .and_then(|()| self.run_apt(options, &jobs, &examined.how))
            .and_then(|ran| self.purge_rest(options, &jobs, examined.how.removing, ran))
            .and_then(|ran| Ok((ran, self.known()?)));
        let ((success, text), known) = match ran {
            Ok(ran) => ran,
            Err(error) => {
                for job in jobs {
                    results[job.at] = Some(Err(error.clone().during(job.words())));
                }
                return vec![];
            }
        };
        let is_one = jobs.len() == 1;
        let mut kept_from = vec![];
        for job in jobs {
            let name = job.item.package.as_str();
            let is_it = |it: &str| known.database.short(it) == known.database.short(name);
            let is_blamed = || apt::blamed(&text).iter().any(|it| is_it(it));
            if job.is_done(&known.database) {
                results[job.at] = Some(Ok(()));
            } else if success || is_one || is_blamed() {
                let error = apt::failure_of(&text, is_it);
                let error = if success { error.during("apt-get did not change it") } else { error };
                results[job.at] = Some(Err(error.during(job.words())));
            } else {
                kept_from.push(job);
            }
        }
        kept_from
    }

    /// Takes the configuration of what was only removed, because others went in the same transaction that
    /// keep theirs.
    fn purge_rest(
        &self,
        options: &Options,
        jobs: &[Job<'_>],
        removing: Removing,
        (success, text): (bool, String),
    ) -> Result<(bool, String), SystemError> {
        let known = self.known()?;
        let only_removed = |it: &&Job<'_>| {
            let record = known.database.get(it.item.package.as_str());
            matches!(it.item.goal, Goal::Purge)
                && record.is_some_and(|it| it.health == Health::ConfigFiles)
        };
        let rest: Vec<Job<'_>> = jobs.iter().filter(only_removed).cloned().collect();
        if removing == Removing::Purging || rest.is_empty() {
            return Ok((success, text));
        }
        let purging = How::removing(Removing::Purging);
        let (purged, more) =
            self.begin(options).and_then(|()| self.run_apt(options, &rest, &purging))?;
        Ok((success && purged, text + &more))
    }

    /// Runs apt-get to its end; whether it succeeded, and what it said. Only where it still runs then, the
    /// marker of a transaction stays.
    fn run_apt(
        &self,
        options: &Options,
        jobs: &[Job<'_>],
        how: &How,
    ) -> Result<(bool, String), SystemError> {
        let wait = self.package_rules().wait_for_lock.as_secs();
        let mut arguments = vec![OURS[0].to_owned()];
        arguments.extend(apt_arguments(options, jobs, how, wait));
        let run = || self.run_to_its_end(&arguments, options.conffiles);
        let mut ran = run();
        if let Ok((false, text)) = &ran
            && (text.contains("Could not get lock") || text.contains("Unable to lock"))
        {
            // Somebody was faster than we.
            ran = self.wait_for_locks().and_then(|()| run());
        }
        if !ran.as_ref().is_err_and(|it| it.kind == ErrorKind::TimedOut) {
            self.end();
        }
        ran
    }

    /// The jobs that are left: each with the version that was planned for it. What is impossible, or
    /// already so, is answered at once. Lists are fetched first where they are too old, or lack something.
    fn jobs<'t>(
        &self,
        transaction: &'t Transaction,
        pending: &[usize],
        results: &mut Results,
    ) -> Result<Vec<Job<'t>>, SystemError> {
        let items: Vec<(usize, &Item)> =
            pending.iter().filter_map(|at| Some((*at, transaction.items.get(*at)?))).collect();
        let from = transaction.options.from.as_deref();
        let offers = self.current_offers(&items, from)?;
        let failed = self.apt_lists().failed;
        let known = self.known()?;
        let torn = known.database.torn();
        let mut offers = offers.into_iter();
        let mut jobs = vec![];
        for (at, item) in items {
            if !item.installs() {
                jobs.push(Job { at, item, version: None, torn: false });
                continue;
            }
            let name = item.package.as_str();
            let whole = |it: &Installed| it.health == Health::Installed && !it.broken;
            let have = known.database.get(name).filter(whole).and_then(|it| it.version);
            let offers = offers.next().flatten();
            match decide(item, offers.as_ref(), from, have.as_ref()) {
                Ok(Some(version)) => {
                    let torn = torn.iter().any(|it| it == known.database.short(name));
                    jobs.push(Job { at, item, version: Some(version), torn });
                }
                Ok(None) => results[at] = Some(Ok(())),
                // It may be what could not be fetched that is lacking.
                Err(error) if is_lacking(item, offers.as_ref(), from) => {
                    results[at] = Some(Err(match &failed {
                        Some(why) => SystemError::new(ErrorKind::Network, Arc::clone(why))
                            .during("refresh apt's lists")
                            .during(error.to_string()),
                        None => error,
                    }));
                }
                Err(error) => results[at] = Some(Err(error)),
            }
        }
        Ok(jobs)
    }

    /// What apt's lists offer for the items that are to be installed, in their order, once the lists are
    /// as fresh as they have to be.
    fn current_offers(
        &self,
        items: &[(usize, &Item)],
        from: Option<&str>,
    ) -> Result<Vec<Option<Offers>>, SystemError> {
        let installs: Vec<&Item> =
            items.iter().map(|(_, it)| *it).filter(|it| it.installs()).collect();
        let names: Vec<&PackageName> = installs.iter().map(|it| &it.package).collect();
        // Where they cannot be fetched, what they have may do all the same; what is lacking says why.
        if !names.is_empty() && self.apt_lists().stale {
            let _written_down = self.refresh();
        }
        let offers = self.offers(&names, from.is_some())?;
        let lacks =
            installs.iter().zip(&offers).any(|(it, all)| is_lacking(it, all.as_ref(), from));
        // What was fetched minutes ago is not fetched again for a name that is probably mistyped.
        let lists = self.apt_lists();
        if lacks && !lists.refreshed && lists.age.is_none_or(|it| it > FRESH) {
            let _written_down = self.refresh();
            return self.offers(&names, from.is_some());
        }
        Ok(offers)
    }

    /// Questions answered, and holds that are promised lifted for as long as it takes.
    fn attempt_prepared<'t>(
        &self,
        whole: &'t Transaction,
        mut jobs: Vec<Job<'t>>,
        results: &mut Results,
    ) {
        jobs.retain(|job| match answer_questions(job.item) {
            Ok(()) => true,
            Err(error) => {
                results[job.at] = Some(Err(error));
                false
            }
        });
        let held: Vec<(usize, &PackageName)> =
            jobs.iter().filter(|it| it.item.held).map(|it| (it.at, &it.item.package)).collect();
        let mark = |mark| {
            let marks: Vec<(&PackageName, Mark)> = held.iter().map(|it| (it.1, mark)).collect();
            if marks.is_empty() { vec![] } else { self.mark_packages(&marks) }
        };
        for ((at, _), lifted) in held.iter().zip(mark(Mark::Unhold)) {
            if let Err(error) = lifted {
                results[*at] = Some(Err(error));
            }
        }
        jobs.retain(|job| results[job.at].is_none());
        if !jobs.is_empty() {
            self.attempt(whole, jobs, results);
        }
        // Where that fails, the next look sees that the hold is missing.
        let _seen_later = mark(Mark::Hold);
    }

    fn transact_prepared(
        &self,
        transaction: &Transaction,
        results: &mut Results,
    ) -> Result<(), SystemError> {
        self.prepare()?;
        let guard = if transaction.options.start { None } else { Some(KeptDown::new()?) };
        let mut failed = None;
        // A second time where something could not be fetched because the lists had grown old.
        for _ in 0..2 {
            let pending: Vec<usize> =
                (0..results.len()).filter(|at| results[*at].is_none()).collect();
            match self.jobs(transaction, &pending, results) {
                Ok(jobs) if jobs.is_empty() => break,
                Ok(jobs) => self.attempt_prepared(transaction, jobs, results),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            if self.package_cache().refreshed {
                break;
            }
            let unfetched: Vec<usize> = (0..results.len())
                .filter(|at| {
                    matches!(&results[*at], Some(Err(SystemError { kind: ErrorKind::Network, .. })))
                })
                .collect();
            if unfetched.is_empty() || self.refresh().is_err() {
                break;
            }
            for at in unfetched {
                results[at] = None;
            }
        }
        let runs_on =
            |it: &Option<_>| matches!(it, Some(Err(SystemError { kind: ErrorKind::TimedOut, .. })));
        if results.iter().any(runs_on) {
            // It was left to finish, and still needs it; the next run takes it away.
            std::mem::forget(guard);
        } else {
            drop(guard);
        }
        failed.map_or(Ok(()), Err)
    }
}

/// What became of one item of a transaction; not how its questions were answered.
fn tell(item: &Item, result: &Result<(), SystemError>) {
    let package = &item.package;
    let (verb, version) = match &item.goal {
        Goal::Install { version, .. } => ("install", version.as_ref().map(Version::as_str)),
        Goal::Remove => ("remove", None),
        Goal::Purge => ("purge", None),
    };
    match result {
        Ok(()) => tracing::debug!(verb, %package, version, "package changed"),
        Err(error) => {
            let error = error.chain().join(": ");
            tracing::debug!(verb, %package, version, error, "package not changed");
        }
    }
}

impl Write for Host {
    fn transact(&self, transaction: &Transaction) -> Vec<Result<(), SystemError>> {
        let mut results: Results = vec![None; transaction.items.len()];
        let whole = self.transact_prepared(transaction, &mut results);
        let results: Vec<Result<(), SystemError>> = results
            .into_iter()
            .map(|it| match (it, &whole) {
                (Some(result), _) => result,
                (None, Err(error)) => Err(error.clone()),
                (None, Ok(())) => Err(SystemError::new(ErrorKind::Other, "it was not tried")),
            })
            .collect();
        for (item, result) in transaction.items.iter().zip(&results) {
            tell(item, result);
        }
        results
    }

    fn mark_packages(&self, marks: &[(&PackageName, Mark)]) -> Vec<Result<(), SystemError>> {
        let mut failed = None;
        for (mark, word) in
            [(Mark::Unhold, "unhold"), (Mark::Hold, "hold"), (Mark::Manual, "manual")]
        {
            let names: Vec<&str> =
                marks.iter().filter(|it| it.1 == mark).map(|it| it.0.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            let done = self.wait_for_locks().and_then(|()| {
                Command::tool("apt-mark").arg(word).args(names).succeed().map(|_| ())
            });
            if let Err(error) = done {
                failed = Some(error);
            }
        }
        let looks = self.package_looks(&marks.iter().map(|it| it.0).collect::<Vec<_>>());
        let looks = match looks {
            Ok(looks) => looks,
            Err(error) => return vec![Err(error); marks.len()],
        };
        marks
            .iter()
            .zip(looks)
            .map(|((name, mark), look)| {
                let held = look.installed.as_ref().is_some_and(|it| it.hold);
                let done = match mark {
                    Mark::Hold => held,
                    Mark::Unhold => !held,
                    Mark::Manual => !look.automatic,
                };
                if done {
                    return Ok(());
                }
                let error = failed.clone().unwrap_or_else(|| refusal("apt-mark did not change it"));
                Err(error.during(match mark {
                    Mark::Hold => format!("hold {name}"),
                    Mark::Unhold => format!("lift the hold of {name}"),
                    Mark::Manual => format!("mark {name} as wanted for itself"),
                }))
            })
            .collect()
    }

    fn complete_packages(&self) -> Result<(), SystemError> {
        self.complete_what_was_cut()
    }

    fn tidy_packages(&self) -> Result<(), SystemError> {
        // What an earlier run began may still be at work: what is seen then is not yet how it will be.
        let ours_runs = || {
            running_unit().is_some()
                || (self.read_marker().is_some_and(|it| it.running)
                    && locks::holder(&DPKG_LOCKS).is_some())
        };
        if ours_runs() {
            self.wait_for_locks()?;
        }
        if locks::holder(&DPKG_LOCKS).is_some() {
            // Nobody knows whose it is; a policy-rc.d of ours may still be needed.
            return Ok(());
        }
        restore_policy_rc().map_err(|err| SystemError::io(format!("restore {POLICY_RC}"), err))
    }
}

//! Transactions: versions chosen, the whole simulated and judged, then carried out together, or each
//! package alone where that does not go.

use super::apt::{self, Offers, Simulation};
use super::host::{STATUS, command, print};
use super::locks::{self, DPKG_LOCKS};
use super::marker::Marker;
use super::policy_rc::{KeptDown, POLICY_RC, restore_policy_rc};
use super::run::{QUIET, force, interrupted, running_unit, said};
use super::status::{Database, Health};
use super::version::Version;
use super::{Conffiles, Goal, Item, Mark, Options, Read as _, Transaction, Write};
use crate::command::Command;
use crate::{ErrorKind, Host, PackageName, SystemError};
use std::fmt::Write as _;
use std::time::Duration;

/// Lists of this age are not fetched again because something is not in them.
const FRESH: Duration = Duration::from_secs(5 * 60);

type Results = Vec<Option<Result<(), SystemError>>>;

/// One item with the version that was chosen for it; none where it goes.
#[derive(Clone, Debug)]
struct Job<'t> {
    at: usize,
    item: &'t Item,
    version: Option<Version>,
    /// It was torn while it was unpacked, so that apt takes it for installed.
    torn: bool,
}

impl Job<'_> {
    fn words(&self) -> String {
        match (&self.item.goal, &self.version) {
            (Goal::Install { .. }, Some(version)) => {
                format!("install {} {version}", self.item.package)
            }
            (Goal::Install { .. }, None) => format!("install {}", self.item.package),
            (Goal::Remove, _) => format!("remove {}", self.item.package),
            (Goal::Purge, _) => format!("purge {}", self.item.package),
        }
    }

    fn is_done(&self, database: &Database) -> bool {
        let have = database.get(self.item.package.as_str());
        let health = have.as_ref().map_or(Health::NotInstalled, |it| it.health);
        match &self.item.goal {
            Goal::Install { .. } => have.is_some_and(|it| {
                !it.health.is_cut()
                    && it.health != Health::ConfigFiles
                    && it
                        .version
                        .as_ref()
                        .zip(self.version.as_ref())
                        .is_some_and(|(a, b)| a.order(b).is_eq())
            }),
            Goal::Remove => matches!(health, Health::NotInstalled | Health::ConfigFiles),
            Goal::Purge => health == Health::NotInstalled,
        }
    }
}

/// What every run of apt-get gets.
/// How every command begins that changes something; by it we know our own in apt's log.
pub(super) const OURS: [&str; 7] =
    ["apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "APT::Get::AutomaticRemove=false"];

fn apt_options(options: &Options, wait: u64) -> Vec<String> {
    let mut all: Vec<String> = OURS.iter().skip(1).map(|it| (*it).to_owned()).collect();
    let mut set = |text: String| all.extend(["-o".to_owned(), text]);
    set(format!("DPkg::Lock::Timeout={wait}"));
    for option in force(options.conffiles) {
        set(format!("Dpkg::Options::={option}"));
    }
    if let Some(recommends) = options.recommends {
        set(format!("APT::Install-Recommends={recommends}"));
    }
    if let Some(from) = &options.from {
        all.extend(["-t".to_owned(), from.to_string()]);
    }
    all
}

fn apt_arguments(options: &Options, jobs: &[Job<'_>], removes: bool, wait: u64) -> Vec<String> {
    let mut all = apt_options(options, wait);
    let verb = match jobs.first().map(|it| &it.item.goal) {
        Some(Goal::Remove) => "remove",
        Some(Goal::Purge) => "purge",
        Some(Goal::Install { .. }) | None => "install",
    };
    if verb == "install" && !removes {
        all.push("--no-remove".to_owned());
    }
    if jobs.iter().any(|it| it.item.allow_downgrade) {
        all.push("--allow-downgrades".to_owned());
    }
    if jobs.iter().any(|it| it.torn) {
        // It changes nothing for those that are not there yet.
        all.push("--reinstall".to_owned());
    }
    all.push(verb.to_owned());
    for job in jobs {
        all.push(match &job.version {
            Some(version) => format!("{}={version}", job.item.package),
            None => job.item.package.to_string(),
        });
    }
    all
}

fn shown(offers: &Offers) -> String {
    let versions: Vec<&str> =
        offers.versions.iter().take(5).map(|it| it.version.as_str()).collect();
    if versions.is_empty() {
        "none at all".to_owned()
    } else {
        format!("they have {}", versions.join(", "))
    }
}

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
    Command::new("debconf-set-selections")
        .input(lines)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .succeed()
        .map(|_| ())
        .map_err(|it| it.during(format!("answer the questions of {}", item.package)))
}

impl Host {
    fn simulate(&self, whole: &Transaction, jobs: &[Job<'_>]) -> Result<Simulation, SystemError> {
        let mut arguments = apt_arguments(&whole.options, jobs, true, 0);
        arguments.insert(0, "-s".to_owned());
        // Without it even a simulation by root writes /var/log/apt/eipp.log.xz.
        arguments.insert(0, "-oDir::Log::Planner=/dev/null".to_owned());
        let mut command = Command::new("apt-get").args(arguments).timeout(Duration::from_secs(180));
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
    fn objection(
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
            return Err(command(format!(
                "that would remove {}, which `allow_removals` does not name",
                gone.join(", ")
            )));
        }
        for it in &simulation.unpacked {
            if let Some(old) = &it.replaces
                && it.version.order(old).is_lt()
                && !jobs.iter().any(|job| job.item.allow_downgrade && is(job.item, &it.name))
            {
                return Err(command(format!(
                    "that would bring {} down from {old} to {}, which nobody allows",
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

    /// Runs apt for these jobs, together where that goes, else each alone. Results by the job's place.
    fn attempt(&self, whole: &Transaction, jobs: Vec<Job<'_>>, results: &mut Results) {
        let examine = |jobs: &[Job<'_>]| {
            self.simulate(whole, jobs).and_then(|it| self.objection(whole, jobs, &it).map(|()| it))
        };
        match examine(&jobs) {
            Ok(simulation) => {
                if let Some(jobs) = self.carry_out(&whole.options, jobs, &simulation, results) {
                    // It failed before anything was unpacked.
                    for job in jobs {
                        self.attempt(whole, vec![job], results);
                    }
                }
            }
            Err(error) => {
                if let [job] = &*jobs {
                    results[job.at] = Some(Err(error.during(job.words())));
                    return;
                }
                let (mut good, count) = (vec![], jobs.len());
                for job in jobs {
                    match examine(std::slice::from_ref(&job)) {
                        Ok(_) => good.push(job),
                        Err(error) => results[job.at] = Some(Err(error.during(job.words()))),
                    }
                }
                if good.len() < count {
                    if !good.is_empty() {
                        self.attempt(whole, good, results);
                    }
                } else {
                    // Each would go, and not all of them together.
                    for job in good {
                        self.attempt(whole, vec![job], results);
                    }
                }
            }
        }
    }

    /// Gives the jobs back where nothing happened and they may be tried one by one.
    fn carry_out<'t>(
        &self,
        options: &Options,
        jobs: Vec<Job<'t>>,
        simulation: &Simulation,
        results: &mut Results,
    ) -> Option<Vec<Job<'t>>> {
        let fail = |jobs: &[Job<'_>], error: &SystemError, results: &mut Results| {
            for job in jobs {
                results[job.at] = Some(Err(error.clone().during(job.words())));
            }
        };
        let before = print(STATUS).ok();
        if let Err(error) = self.begin(options) {
            fail(&jobs, &error, results);
            return None;
        }
        let wait = self.package_rules().wait_for_lock.as_secs();
        let mut arguments = vec![OURS[0].to_owned()];
        arguments.extend(apt_arguments(options, &jobs, !simulation.removed.is_empty(), wait));
        let mut ran = self.run_to_its_end(&arguments, options.conffiles);
        if let Ok((false, text)) = &ran
            && (text.contains("Could not get lock") || text.contains("Unable to lock"))
        {
            // Somebody was faster than we.
            ran = self
                .wait_for_locks()
                .and_then(|()| self.run_to_its_end(&arguments, options.conffiles));
        }
        let (success, text) = match ran {
            Ok(it) => it,
            Err(error) => {
                // Where it still runs, the marker stays.
                if error.kind != ErrorKind::TimedOut {
                    self.end();
                }
                fail(&jobs, &error, results);
                return None;
            }
        };
        self.end();
        if !success && jobs.len() > 1 && print(STATUS).ok() == before {
            return Some(jobs);
        }
        let known = match self.known() {
            Ok(known) => known,
            Err(error) => {
                fail(&jobs, &error, results);
                return None;
            }
        };
        for job in &jobs {
            results[job.at] = Some(if job.is_done(&known.database) {
                Ok(())
            } else {
                let error = apt::failure(&text);
                let error = if success { error.during("apt-get did not do it") } else { error };
                Err(error.during(job.words()))
            });
        }
        None
    }

    /// Which version each item gets. What is impossible, or already so, is answered at once.
    fn choose<'t>(
        &self,
        transaction: &'t Transaction,
        pending: &[usize],
        results: &mut Results,
    ) -> Result<Vec<Job<'t>>, SystemError> {
        let items: Vec<(usize, &Item)> = pending
            .iter()
            .filter_map(|at| transaction.items.get(*at).map(|it| (*at, it)))
            .collect();
        let from = transaction.options.from.as_deref();
        let names: Vec<&PackageName> =
            items.iter().filter(|(_, it)| it.installs()).map(|(_, it)| &it.package).collect();
        let mut refused = None;
        if !names.is_empty() && self.apt_lists().stale {
            refused = self.refresh().err();
        }
        let wanted = |item: &Item, offers: Option<&Offers>| -> Option<Version> {
            let Goal::Install { range, version, latest } = &item.goal else { return None };
            let offers = offers?;
            version
                .as_ref()
                .filter(|it| !latest && offers.offer(it).is_some())
                .or_else(|| offers.choose(range.as_ref(), from))
                .cloned()
        };
        let mut offers = self.offers(&names, from.is_some())?;
        let lacks = |offers: &[Option<Offers>]| {
            items
                .iter()
                .filter(|(_, it)| it.installs())
                .zip(offers)
                .any(|((_, it), offers)| wanted(it, offers.as_ref()).is_none())
        };
        // What was fetched minutes ago is not fetched again for a name that is probably mistyped.
        let lists = self.apt_lists();
        let worth_it = !lists.refreshed && lists.age.is_none_or(|it| it > FRESH);
        if worth_it && lacks(&offers) {
            refused = self.refresh().err();
            offers = self.offers(&names, from.is_some())?;
        }
        let known = self.known()?;
        let torn = known.database.torn();
        let mut jobs = vec![];
        let mut offers = offers.into_iter();
        for (at, item) in items {
            let Goal::Install { range, latest, .. } = &item.goal else {
                jobs.push(Job { at, item, version: None, torn: false });
                continue;
            };
            let offers = offers.next().flatten();
            let Some(version) = wanted(item, offers.as_ref()) else {
                let within = range.as_ref().map_or(String::new(), |it| format!(" in `{it}`"));
                let from = from.map_or(String::new(), |it| format!(" from {it}"));
                let words = match &offers {
                    None => format!("apt's lists have no package {}", item.package),
                    Some(offers) => format!(
                        "apt's lists have no version of {}{within}{from}: {}",
                        item.package,
                        shown(offers)
                    ),
                };
                let error = match &refused {
                    Some(refused) => refused.clone().during(words),
                    None => command(words),
                };
                results[at] = Some(Err(error));
                continue;
            };
            let have = known
                .database
                .get(item.package.as_str())
                .filter(|it| it.health == Health::Installed && !it.broken);
            if let Some(have) = have.and_then(|it| it.version) {
                let order = version.order(&have);
                if order.is_eq() || (*latest && order.is_lt() && !item.allow_downgrade) {
                    results[at] = Some(Ok(()));
                    continue;
                }
                if order.is_lt() && !item.allow_downgrade {
                    results[at] = Some(Err(command(format!(
                        "{have} is installed, above {version}, and `allow_downgrade` is false"
                    ))));
                    continue;
                }
            }
            let torn = torn.iter().any(|it| it == known.database.short(item.package.as_str()));
            jobs.push(Job { at, item, version: Some(version), torn });
        }
        Ok(jobs)
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

    /// What was torn while it was unpacked cannot be configured: it is unpacked again. None where
    /// nothing of ours is torn.
    fn unpack_again(&self, marker: &Marker) -> Option<Result<(bool, String), SystemError>> {
        let known = self.known().ok()?;
        let repair = self.package_rules().repair;
        let mut torn = known.database.torn();
        torn.retain(|it| repair || marker.owns(it));
        if torn.is_empty() {
            return None;
        }
        let options =
            Options { conffiles: marker.conffiles, start: marker.start, ..Options::default() };
        let mut arguments = vec![OURS[0].to_owned()];
        arguments.extend(apt_options(&options, self.package_rules().wait_for_lock.as_secs()));
        arguments.extend(["--no-remove", "--reinstall", "install"].map(str::to_owned));
        arguments.extend(torn.iter().cloned());
        let ran = self.run_to_its_end(&arguments, marker.conffiles);
        // apt takes what it is told by name for wanted; what came as a dependency stays one.
        let automatic: Vec<&String> = torn.iter().filter(|it| known.is_automatic(it)).collect();
        if !automatic.is_empty() {
            let _only_kept_longer =
                Command::new("apt-mark").arg("auto").args(automatic).succeed().is_ok();
        }
        Some(ran)
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
            match self.choose(transaction, &pending, results) {
                Ok(jobs) if jobs.is_empty() => break,
                Ok(jobs) => self.attempt_prepared(transaction, jobs, results),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            if self.package_memory().refreshed {
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

impl Write for Host {
    fn transact(&self, transaction: &Transaction) -> Vec<Result<(), SystemError>> {
        let mut results: Results = vec![None; transaction.items.len()];
        let whole = self.transact_prepared(transaction, &mut results);
        results
            .into_iter()
            .map(|it| match (it, &whole) {
                (Some(result), _) => result,
                (None, Err(error)) => Err(error.clone()),
                (None, Ok(())) => Err(SystemError::new(ErrorKind::Other, "it was not tried")),
            })
            .collect()
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
                Command::new("apt-mark").arg(word).args(names).succeed().map(|_| ())
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
                let error = failed.clone().unwrap_or_else(|| command("apt-mark did not do it"));
                Err(error.during(match mark {
                    Mark::Hold => format!("hold {name}"),
                    Mark::Unhold => format!("lift the hold of {name}"),
                    Mark::Manual => format!("mark {name} as wanted for itself"),
                }))
            })
            .collect()
    }

    fn complete_packages(&self) -> Result<(), SystemError> {
        self.wait_for_locks()?;
        let known = self.known()?;
        if known.is_at_rest() {
            self.end();
            return Ok(());
        }
        let unrest = self.unrest(&known);
        if (known.updates && !unrest.journal_is_ours) || (!known.updates && unrest.ours.is_empty())
        {
            return Err(interrupted());
        }
        let marker = self.read_marker().unwrap_or_default();
        let guard = if marker.start { None } else { Some(KeptDown::new()?) };
        let mut arguments = vec!["dpkg".to_owned()];
        arguments.extend(force(marker.conffiles).iter().map(|it| (*it).to_owned()));
        arguments.push("--configure".to_owned());
        if known.updates || unrest.ours.len() == known.database.cut().len() {
            arguments.push("--pending".to_owned());
        } else {
            // What somebody else left is none of ours.
            arguments.extend(unrest.ours);
        }
        let mut ran = self.run_to_its_end(&arguments, marker.conffiles);
        if ran.is_ok() {
            ran = self.unpack_again(&marker).unwrap_or(ran);
        }
        drop(guard);
        let (success, text) = ran?;
        self.end();
        if success {
            return Ok(());
        }
        Err(apt::failure(&text).during("complete what was cut (`dpkg --configure -a`)"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::Removals;
    use std::sync::Arc;

    fn item(name: &str, goal: Goal) -> Item {
        Item {
            package: PackageName::parse(name).unwrap(),
            goal,
            allow_downgrade: false,
            removals: Removals::None,
            debconf: vec![],
            held: false,
        }
    }

    #[test]
    fn apt_gets_every_option_and_no_permission_that_was_not_given() {
        let install = item("nginx", Goal::Install { range: None, version: None, latest: false });
        let version = Some(Version::parse("1.22.1-9").unwrap());
        let jobs = [Job { at: 0, item: &install, version: version.clone(), torn: false }];
        let line = apt_arguments(&Options::default(), &jobs, false, 120).join(" ");
        assert_eq!(
            line,
            "-q -y -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false -o DPkg::Lock::Timeout=120 \
             -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --no-remove install nginx=1.22.1-9"
        );
        let options = Options {
            conffiles: Conffiles::Replace,
            recommends: Some(false),
            from: Some(Arc::from("bookworm-backports")),
            start: true,
        };
        let lower = Item { allow_downgrade: true, ..install };
        let jobs = [Job { at: 0, item: &lower, version, torn: true }];
        let line = apt_arguments(&options, &jobs, true, 0).join(" ");
        assert_eq!(
            line,
            "-q -y -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false -o DPkg::Lock::Timeout=0 \
             -o Dpkg::Options::=--force-confnew -o APT::Install-Recommends=false -t bookworm-backports \
             --allow-downgrades --reinstall install nginx=1.22.1-9"
        );
        let gone = item("telnet", Goal::Purge);
        let jobs = [Job { at: 0, item: &gone, version: None, torn: false }];
        let line = apt_arguments(&Options::default(), &jobs, true, 0);
        assert_eq!(line[line.len() - 2..], ["purge", "telnet"]);
    }
}

//! Looking at the packages of the real machine: dpkg's database read as files, apt asked where it must
//! be, and its answers remembered.

use super::apt::{self, Offers};
use super::locks::{self, DPKG_LOCKS};
use super::on_disk::{REFRESH_FAILED, REFRESHED, entries, print, read_text};
use super::run::running_unit;
use super::simulate::Simulations;
use super::status::{self, Database, Health};
use super::{Interruption, Lists, Look, PackagePolicy, Read};
use crate::command::Command;
use crate::{ErrorKind, Host, PackageName, SystemError};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

pub(super) const STATUS: &str = "/var/lib/dpkg/status";
const UPDATES: &str = "/var/lib/dpkg/updates";
const INFO: &str = "/var/lib/dpkg/info";
const EXTENDED: &str = "/var/lib/apt/extended_states";
const LISTS: &str = "/var/lib/apt/lists";
const STAMP: &str = "/var/lib/apt/periodic/update-success-stamp";
const SOURCES: [&str; 2] = ["/etc/apt/sources.list", "/etc/apt/sources.list.d"];
const SETTINGS: [&str; 4] =
    ["/etc/apt/preferences", "/etc/apt/preferences.d", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d"];

/// What apt answered. In the state directory and not in the cache, because a dry run writes nothing elsewhere.
const ANSWERS: &str = "apt-answers";

/// How often apt is asked again where it could not answer.
const RETRIES: usize = 3;
/// Names in one call of apt-cache, so that its answer stays below what is read of an output.
const CHUNK: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Cached {
    policy: PackagePolicy,
    database: Option<(Stamp, Arc<Known>)>,
    answers: Option<apt::Answers>,
    pub(super) simulations: Simulations,
    pub(super) refreshed: bool,
    /// A lock stayed taken for the whole time once: later work of this run does not wait again.
    pub(super) gave_up: bool,
    pub(super) units: u32,
}

/// What the database was read from.
#[derive(Debug, PartialEq)]
struct Stamp {
    status: (i128, u64, u64),
    extended: Option<(i128, u64, u64)>,
    updates: Vec<(PathBuf, i128)>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) database: Database,
    automatic: HashSet<(Arc<str>, Arc<str>)>,
    /// dpkg's journal is not empty: it works, or was cut.
    pub(super) updates: bool,
}

impl Known {
    pub(super) fn is_at_rest(&self) -> bool {
        !self.updates && self.database.cut().is_empty()
    }

    /// Whether it came as a dependency. apt may note a package of every architecture under the native.
    pub(super) fn is_automatic(&self, name: &str) -> bool {
        let bare = bare(name);
        let Some(it) = self.database.get(name) else { return false };
        let native = Arc::from(self.database.native());
        self.automatic.contains(&(Arc::from(bare), Arc::clone(&it.architecture)))
            || (&*it.architecture == "all" && self.automatic.contains(&(Arc::from(bare), native)))
    }
}

/// What is not at rest in dpkg's database.
#[derive(Debug, Default)]
pub(super) struct Unrest {
    /// Who works right now.
    pub(super) running: Option<String>,
    pub(super) journal_is_ours: bool,
    /// Packages that were cut and that we may complete.
    pub(super) ours: Vec<String>,
}

/// The error of reading dpkg's database. Without one there is no dpkg on this machine to be asked.
fn unread(err: std::io::Error) -> SystemError {
    let is_absent = err.kind() == std::io::ErrorKind::NotFound;
    let mut error = SystemError::io(format!("read dpkg's database {STATUS}"), err);
    if is_absent {
        error.kind = ErrorKind::NotHere;
    }
    error
}

impl Host {
    /// What the model's policy says; before the first look.
    pub fn set_package_policy(&self, policy: PackagePolicy) {
        self.package_cache().policy = policy;
    }

    pub(super) fn package_cache(&self) -> MutexGuard<'_, Cached> {
        self.packages.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn package_rules(&self) -> PackagePolicy {
        self.package_cache().policy
    }

    /// dpkg's database, read again only where its files changed.
    pub(super) fn known(&self) -> Result<Arc<Known>, SystemError> {
        let updates: Vec<(PathBuf, i128)> = entries(UPDATES)
            .into_iter()
            .filter_map(|path| {
                // dpkg's own are numbers; what else lies there is none of ours.
                let name = path.file_name()?.to_str()?;
                if !name.bytes().all(|it| it.is_ascii_digit()) {
                    return None;
                }
                let time = print(path.to_str()?).ok()?.0;
                Some((path, time))
            })
            .collect();
        let stamp = Stamp {
            status: print(STATUS).map_err(unread)?,
            extended: print(EXTENDED).ok(),
            updates,
        };
        if let Some((before, known)) = &self.package_cache().database
            && *before == stamp
        {
            return Ok(Arc::clone(known));
        }
        let mut text = read_text(Path::new(STATUS)).map_err(unread)?;
        for (path, _) in &stamp.updates {
            if let Ok(update) = read_text(path) {
                text.push_str("\n\n");
                text.push_str(&update);
            }
        }
        let known = Arc::new(Known {
            database: Database::parse(text),
            automatic: status::automatic(&read_text(Path::new(EXTENDED)).unwrap_or_default()),
            updates: !stamp.updates.is_empty(),
        });
        self.package_cache().database = Some((stamp, Arc::clone(&known)));
        Ok(known)
    }

    pub(super) fn state_path(&self, name: &str) -> PathBuf {
        self.settings.state.join(name)
    }

    /// What is not at rest: dpkg or apt at work, else what was cut and is ours to complete.
    pub(super) fn unrest(&self, known: &Known) -> Unrest {
        if known.is_at_rest() {
            return Unrest::default();
        }
        let running = locks::holder(&DPKG_LOCKS).map(|it| it.who).or_else(running_unit);
        let repair = self.package_rules().repair;
        let marker = self.read_marker();
        let cut = known.database.cut();
        Unrest {
            running,
            journal_is_ours: repair || marker.as_ref().is_some_and(|it| it.running),
            ours: cut
                .into_iter()
                .filter(|name| repair || marker.as_ref().is_some_and(|it| it.owns(name)))
                .collect(),
        }
    }

    /// What apt has answered while nothing changed that its answers hang on.
    fn answered(&self, suites: bool) -> apt::Answers {
        let key = self.answers_key();
        let remembered = self.package_cache().answers.take();
        remembered
            .filter(|it| it.key == key)
            .or_else(|| apt::Answers::decode(&read_text(&self.state_path(ANSWERS)).ok()?))
            .filter(|it| it.key == key && (it.suites || !suites))
            .unwrap_or_else(|| apt::Answers {
                key,
                suites,
                unfetched: unfetched(),
                offers: BTreeMap::new(),
            })
    }

    /// Digest of everything that apt's answers hang on.
    pub(super) fn answers_key(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |path: &Path| {
            if let Ok(meta) = fs::metadata(path) {
                hash.update(path.as_os_str().as_encoded_bytes());
                let line = format!(
                    "\0{}.{} {}\n",
                    meta.mtime(),
                    meta.mtime_nsec(),
                    if meta.is_dir() { 0 } else { meta.size() }
                );
                hash.update(line.as_bytes());
            }
        };
        for path in SOURCES.iter().chain(&SETTINGS).chain(&[LISTS, STATUS, "/var/lib/dpkg/arch"]) {
            add(Path::new(path));
        }
        for folder in SOURCES.iter().chain(&SETTINGS).chain(&[LISTS]) {
            for path in entries(folder) {
                // What is no list changes without news.
                if !["lock", "partial", "auxfiles"].iter().any(|it| path.ends_with(it)) {
                    add(&path);
                }
            }
        }
        crate::text::hex(&hash.finalize())
    }
}

/// Asks apt-cache. Its caches are kept in memory: asking changes nothing on the machine.
fn ask_apt(names: &[&str]) -> Result<String, SystemError> {
    let command = Command::tool("apt-cache")
        .args(["-q", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="])
        .arg("policy")
        .args(names)
        .timeout(Duration::from_secs(180));
    let mut answer = command.succeed();
    for _ in 0..RETRIES {
        if answer.is_ok() {
            break;
        }
        // It fails where dpkg writes its database at that moment.
        std::thread::sleep(Duration::from_millis(300));
        answer = command.succeed();
    }
    answer.map(|it| it.stdout_text()).map_err(|it| it.during("ask apt for candidates"))
}

/// The sources of which apt has no list at all. Where it cannot tell, there are none.
fn unfetched() -> Vec<Arc<str>> {
    let asked = Command::tool("apt-get")
        .args(["-q", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="])
        .args(["--print-uris", "update"])
        .timeout(Duration::from_secs(60))
        .succeed();
    let Ok(asked) = asked else { return vec![] };
    let name = |it: PathBuf| Some(it.file_name()?.to_str()?.to_owned());
    let lists: Vec<String> = entries(LISTS).into_iter().filter_map(name).collect();
    apt::unfetched(&asked.stdout_text(), &lists)
}

/// Adds what apt says about packages to what is remembered of its answers.
fn ask_for(missing: &[&str], answers: &mut apt::Answers) -> Result<(), SystemError> {
    let suites = if answers.suites { apt::suites(&ask_apt(&[])?) } else { BTreeMap::new() };
    for names in missing.chunks(CHUNK) {
        let mut found = apt::policy(&ask_apt(names)?, &suites);
        for name in names {
            let offers = found.remove(*name).filter(|it| *it != Offers::default());
            answers.offers.insert(Arc::from(*name), offers);
        }
    }
    Ok(())
}

/// A name without its architecture.
fn bare(name: &str) -> &str {
    name.split_once(':').map_or(name, |(bare, _)| bare)
}

/// The configuration files that a package brought and dpkg left beside those that were changed here.
fn leftovers(database: &Database, name: &str) -> Vec<Arc<str>> {
    let beside =
        database.conffiles(name).into_iter().map(|(path, _, _)| format!("{path}.dpkg-dist"));
    beside.filter(|it| fs::symlink_metadata(it).is_ok()).map(Arc::from).collect()
}

/// When the files of a package last changed, in microseconds since 1970.
fn changed(bare: &str, architecture: &str) -> Option<i64> {
    [format!("{INFO}/{bare}.list"), format!("{INFO}/{bare}:{architecture}.list")]
        .iter()
        .find_map(|it| fs::metadata(it).ok())
        .map(|it| it.mtime() * 1_000_000 + it.mtime_nsec() / 1_000)
}

impl Read for Host {
    fn foresee(&self, transaction: &super::Transaction) -> Vec<super::Foreseen> {
        self.foreseen(transaction)
    }

    fn package_looks(&self, names: &[&PackageName]) -> Result<Vec<Look>, SystemError> {
        if names.is_empty() {
            return Ok(vec![]);
        }
        let known = self.known()?;
        let unrest = self.unrest(&known);
        let interruption = |ours: bool| match &unrest.running {
            Some(who) => Interruption::Running(who.clone()),
            None if ours => Interruption::Ours,
            None => Interruption::Foreign,
        };
        let looks = names.iter().map(|name| {
            let name = name.as_str();
            let bare = bare(name);
            let installed = known.database.get(name).filter(|it| it.health != Health::NotInstalled);
            let Some(it) = installed else {
                return Look {
                    provided_by: known.database.providers(bare),
                    interruption: known.updates.then(|| interruption(unrest.journal_is_ours)),
                    ..Look::default()
                };
            };
            let short = known.database.short(name);
            let interruption = if known.updates {
                Some(interruption(unrest.journal_is_ours))
            } else if it.health.is_cut() || it.broken {
                Some(interruption(unrest.ours.iter().any(|it| it == short)))
            } else {
                None
            };
            let is_removed = it.health == Health::ConfigFiles;
            Look {
                automatic: known.is_automatic(name),
                provided_by: if is_removed { known.database.providers(bare) } else { vec![] },
                leftovers: leftovers(&known.database, name),
                changed: changed(bare, &it.architecture),
                installed: Some(it),
                interruption,
            }
        });
        Ok(looks.collect())
    }

    fn offers(
        &self,
        names: &[&PackageName],
        suites: bool,
    ) -> Result<Vec<Option<Offers>>, SystemError> {
        if names.is_empty() {
            return Ok(vec![]);
        }
        let known = self.known()?;
        let mut answers = self.answered(suites);
        let short: Vec<&str> = names.iter().map(|it| known.database.short(it.as_str())).collect();
        let mut missing: Vec<&str> =
            short.iter().copied().filter(|it| !answers.offers.contains_key(*it)).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            ask_for(&missing, &mut answers)?;
            let (path, new) = (self.state_path(ANSWERS), self.state_path("apt-answers.new"));
            // Where it cannot be written, apt is asked again next time.
            let _asked_again =
                fs::write(&new, answers.encode()).and_then(|()| fs::rename(&new, &path));
        }
        let found = short.iter().map(|it| answers.offers.get(*it).cloned().flatten()).collect();
        self.package_cache().answers = Some(answers);
        Ok(found)
    }

    fn apt_lists(&self) -> Lists {
        let time = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
        let (refreshed, limit) = {
            let cache = self.package_cache();
            (cache.refreshed, cache.policy.refresh_after)
        };
        let failed = read_text(&self.state_path(REFRESH_FAILED)).ok().map(Arc::from);
        let there = entries(LISTS).iter().any(|it| {
            let name =
                it.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
            name.ends_with("InRelease") || name.ends_with("Release") || name.contains("_Packages")
        });
        let fetched = [Path::new(LISTS), Path::new(STAMP), &self.state_path(REFRESHED)]
            .into_iter()
            .filter_map(time)
            .max()
            .filter(|_| there);
        let Some(fetched) = fetched else {
            return Lists { age: None, stale: !refreshed, refreshed, failed };
        };
        let (age, is_old) = age_of(fetched, SystemTime::now(), limit);
        let changed = SOURCES
            .iter()
            .map(PathBuf::from)
            .chain(SOURCES.iter().flat_map(|it| entries(it)))
            .filter_map(|it| fs::metadata(it).ok())
            .filter_map(|it| {
                let seconds = u64::try_from(it.ctime()).ok()?;
                let rest = u32::try_from(it.ctime_nsec()).ok()?;
                SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, rest))
            })
            .max()
            .is_some_and(|it| it > fetched);
        let mut stale = is_old || changed || failed.is_some();
        if !stale {
            // These times say that something was fetched, and not that everything was.
            let answers = self.answered(false);
            stale = !answers.unfetched.is_empty();
            self.package_cache().answers = Some(answers);
        }
        Lists { age: Some(age), stale: stale && !refreshed, refreshed, failed }
    }
}

/// How old something is that was fetched then, and whether it has to be fetched again. A clock that was put back
/// a little makes it new; put back by more than the limit, it says nothing about it any more.
fn age_of(fetched: SystemTime, now: SystemTime, limit: Duration) -> (Duration, bool) {
    match now.duration_since(fetched) {
        Ok(age) => (age, age > limit),
        Err(ahead) => (Duration::ZERO, ahead.duration() > limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Settings;

    #[test]
    fn lists_from_a_time_that_the_clock_has_not_reached_are_fetched_again() {
        let hour = Duration::from_secs(3_600);
        let now = SystemTime::UNIX_EPOCH + 1_000_000 * hour;
        for (fetched, expected) in [
            (now - hour / 2, (hour / 2, false)),
            (now - 2 * hour, (2 * hour, true)),
            (now + hour / 2, (Duration::ZERO, false)),
            (now + 24 * 365 * hour, (Duration::ZERO, true)),
        ] {
            assert_eq!(age_of(fetched, now, hour), expected);
        }
    }

    /// Against the machine that the test runs on, read only; apt is asked once, then remembered.
    #[test]
    fn this_machine_is_read() {
        if !Path::new(STATUS).exists() {
            crate::require::skip("needs dpkg");
            return;
        }
        let state = tempfile::tempdir().unwrap();
        let host = Host::new(Settings {
            state: state.path().to_owned(),
            cache: state.path().to_owned(),
            secrets: state.path().to_owned(),
            credentials: None,
            own_files: vec![],
        });
        let (dpkg, nosuch) =
            (PackageName::parse("dpkg").unwrap(), PackageName::parse("no-such-package").unwrap());
        let looks = host.package_looks(&[&dpkg, &nosuch]).unwrap();
        let version = looks[0].installed.as_ref().unwrap().version.clone().unwrap();
        let shown = std::process::Command::new("dpkg-query")
            .args(["-W", "-f", "${Version}", "dpkg"])
            .output()
            .unwrap();
        assert_eq!(version.as_str(), String::from_utf8(shown.stdout).unwrap());
        assert!(looks[0].changed.is_some());
        assert_eq!(looks[1], Look::default());
        let offers = host.offers(&[&dpkg, &nosuch], true).unwrap();
        assert_eq!(offers[1], None);
        // Another process of ours reads what this one remembered.
        let text = fs::read_to_string(state.path().join("apt-answers")).unwrap();
        let remembered = apt::Answers::decode(&text).unwrap();
        assert_eq!(remembered.offers["dpkg"], offers[0]);
        assert_eq!(remembered.key, host.answers_key());
    }
}

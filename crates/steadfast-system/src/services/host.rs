//! The units of the machine that this program runs on: over the bus, or with systemctl where there is
//! none.

use super::bus::{self, Bus};
use super::enablement::{self, Folders, Found};
use super::freshness;
use super::health;
use super::journal::{journal, with_journal};
use super::settle::{PACE, Verdict, job_result, judge};
use super::settling::Settling;
use super::show::Shown;
use super::systemctl;
use super::{Active, Enablement, LastLoad, LastStart, Load, Mask, Question, Read, Unit, Write};
use crate::command::Command;
use crate::{ErrorKind, Host, SystemError, UnitName};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// systemd forgets a oneshot that has ended and that nothing refers to. What we have started and seen
/// succeed is written down here until the next boot.
const STARTED: &str = "/run/steadfast/started";
/// How long before one that runs was found not to be healthy.
const JOURNAL_OF_SICK: i64 = 300;

/// How systemd is reached.
pub(super) enum Way {
    Bus(Arc<Bus>),
    Systemctl,
}

impl Host {
    pub(super) fn way(&self) -> Result<Way, SystemError> {
        if !is_running() {
            return Err(SystemError::new(
                ErrorKind::NotHere,
                "systemd is not running on this machine",
            ));
        }
        let mut kept = self.services.bus.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bus) = &*kept {
            return Ok(Way::Bus(Arc::clone(bus)));
        }
        // Without a bus (a small container, an early boot) systemctl speaks with systemd directly.
        let Ok(bus) = Bus::connect() else { return Ok(Way::Systemctl) };
        let bus = Arc::new(bus);
        *kept = Some(Arc::clone(&bus));
        Ok(Way::Bus(bus))
    }

    pub(super) fn forget_bus(&self) {
        *self.services.bus.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// As [`Host::way`], and sure that the bus was not started anew since we connected: what is done
    /// must not be tried twice.
    pub(super) fn way_to_act(&self) -> Result<Way, SystemError> {
        match self.way()? {
            Way::Bus(bus) if !bus.answers() => {
                self.forget_bus();
                self.way()
            }
            way @ (Way::Bus(_) | Way::Systemctl) => Ok(way),
        }
    }

    /// Looks over the bus, once more where the connection had broken, or with systemctl where there is none.
    pub(super) fn look_over<T>(
        &self,
        bus: impl Fn(&Bus) -> Result<T, SystemError>,
        systemctl: impl Fn() -> Result<T, SystemError>,
    ) -> Result<T, SystemError> {
        match self.way()? {
            Way::Bus(way) => match bus(&way) {
                Err(err) if bus::may_be_stale(&err) && !way.answers() => {
                    self.forget_bus();
                    match self.way()? {
                        Way::Bus(way) => bus(&way),
                        Way::Systemctl => systemctl(),
                    }
                }
                result => result,
            },
            Way::Systemctl => systemctl(),
        }
    }

    /// What systemd says about units, in their order.
    fn shown(&self, names: &[&str], closely: bool) -> Result<Vec<Shown>, SystemError> {
        self.look_over(|bus| bus.show(names, closely), || systemctl::show(names))
    }

    /// What the files say, or systemd where they are an odd case.
    fn found(
        &self,
        folders: &Result<Folders, SystemError>,
        name: &UnitName,
    ) -> Result<Found, SystemError> {
        let error = match folders {
            Ok(folders) => match folders.find(name) {
                Ok(found) => return Ok(found),
                Err(err) => enablement::unreadable(err),
            },
            Err(err) => err.clone(),
        };
        let Way::Bus(bus) = self.way()? else { return Err(error) };
        let state = bus.unit_file_state(name.as_str()).map_err(|_| error)?;
        let (enablement, mask) = match &*state {
            "enabled" => (Enablement::Enabled, Mask::Not),
            "enabled-runtime" => (Enablement::EnabledRuntime, Mask::Not),
            "linked" | "linked-runtime" => (Enablement::Linked, Mask::Not),
            "masked" => (Enablement::Disabled, Mask::Persistent),
            "masked-runtime" => (Enablement::Disabled, Mask::Runtime),
            "static" => (Enablement::Static, Mask::Not),
            "disabled" => (Enablement::Disabled, Mask::Not),
            "generated" => (Enablement::Generated, Mask::Not),
            "transient" => (Enablement::Transient, Mask::Not),
            _ => (Enablement::Indirect, Mask::Not),
        };
        Ok(Found { enablement, mask, fragment: None, script: None, changed: None })
    }

    /// One look at all units that are waited for, and when to look again at the latest.
    fn settled_now(
        &self,
        units: &mut [Settling],
    ) -> (Vec<Option<Result<(), SystemError>>>, Duration) {
        let names: Vec<&str> = units.iter().map(|it| it.unit.as_str()).collect();
        let shown = match self.shown(&names, true) {
            Ok(shown) if shown.len() == units.len() => shown.into_iter().map(Ok).collect(),
            Ok(_) => vec![Err(silence()); units.len()],
            Err(err) => vec![Err(err); units.len()],
        };
        let mut pause = PACE;
        let mut results = vec![];
        for (wait, shown) in units.iter_mut().zip(shown) {
            results.push(match shown.and_then(|it| settle_one(wait, &it)) {
                Ok(Progress::Settled) => Some(Ok(())),
                Ok(Progress::Waits(longest)) => {
                    pause = pause.min(longest);
                    None
                }
                Err(err) => Some(Err(err)),
            });
        }
        (results, pause)
    }

    /// Has systemd do something with a unit, and tells whoever watches.
    fn act(
        &self,
        method: &'static str,
        verb: &'static str,
        unit: &UnitName,
        limit: Duration,
    ) -> Result<(), SystemError> {
        let began = Instant::now();
        let result = self.act_untold(method, verb, unit, limit);
        tell(verb, unit, began, &result);
        result
    }

    fn act_untold(
        &self,
        method: &'static str,
        verb: &'static str,
        unit: &UnitName,
        limit: Duration,
    ) -> Result<(), SystemError> {
        let during = format!("{verb} {unit}");
        let way = self.way_to_act().map_err(|it| it.during(during.as_str()))?;
        if matches!(verb, "start" | "restart") {
            // A unit that failed or was started too often is started by nobody before this, and a
            // restart would only stop it; one that systemd does not know yet has nothing to forget.
            match &way {
                Way::Bus(bus) => drop(bus.call("ResetFailedUnit", &unit.as_str())),
                Way::Systemctl => drop(systemctl::unit("reset-failed", unit).run()),
            }
        }
        let began = jiff::Timestamp::now().as_second();
        let result = match way {
            Way::Bus(bus) => match bus.job(method, unit.as_str(), limit) {
                Ok(result) => job_result(&result),
                // Who restarts the bus loses it. How the unit is now is looked at next.
                Err(_) if !bus.answers() => {
                    self.forget_bus();
                    return Ok(());
                }
                // It did not come to a job, or the job goes on: the unit has said nothing about it.
                Err(err) => return Err(err.during(during)),
            },
            Way::Systemctl => systemctl::unit(verb, unit).timeout(limit).succeed().map(|_| ()),
        };
        result.map_err(|err| with_journal(err, unit, began).during(during))
    }

    /// EnableUnitFiles and its like.
    fn change_files(
        &self,
        method: &'static str,
        verb: &'static str,
        unit: &UnitName,
        arguments: FileArguments,
    ) -> Result<(), SystemError> {
        let began = Instant::now();
        let result = self.change_files_untold(method, verb, unit, arguments);
        tell(verb, unit, began, &result);
        result
    }

    fn change_files_untold(
        &self,
        method: &'static str,
        verb: &'static str,
        unit: &UnitName,
        arguments: FileArguments,
    ) -> Result<(), SystemError> {
        let files = [unit.as_str()];
        let way = self.way_to_act()?;
        // One that was linked goes with its link, and then there is nothing left to take away.
        let is_gone = || {
            let found = Folders::read(Path::new("/")).and_then(|it| it.find(unit));
            found.is_ok_and(|it| it.enablement == Enablement::NotFound && it.mask == Mask::Not)
        };
        let script = Folders::read(Path::new("/"))
            .and_then(|it| it.find(unit))
            .is_ok_and(|it| it.script.is_some());
        if script && matches!(verb, "enable" | "disable") {
            // systemctl hands this to update-rc.d; over the bus systemd knows of no links of runlevels.
            return systemctl::unit_with(verb, &["--no-reload"], unit)
                .succeed()
                .map(|_| ())
                .map_err(|err| err.during(format!("{verb} {unit}")));
        }
        match way {
            Way::Bus(bus) => match arguments {
                FileArguments::Make => bus.call(method, &(&files[..], false, false)),
                FileArguments::Remove => bus.call(method, &(&files[..], false)).and_then(|()| {
                    if is_gone() { Ok(()) } else { bus.call(method, &(&files[..], true)) }
                }),
            },
            Way::Systemctl => {
                let persistent =
                    systemctl::unit_with(verb, &["--no-reload"], unit).succeed().map(|_| ());
                match arguments {
                    FileArguments::Make => persistent,
                    FileArguments::Remove if is_gone() => persistent,
                    FileArguments::Remove => persistent.and_then(|()| {
                        systemctl::unit_with(verb, &["--no-reload", "--runtime"], unit)
                            .succeed()
                            .map(|_| ())
                    }),
                }
            }
        }
        .map_err(|err| err.during(format!("{verb} {unit}")))
    }
}

impl Host {
    /// Makes a unit of a file that lies elsewhere.
    fn link(&self, unit: &UnitName, file: &str) -> Result<(), SystemError> {
        let linked = match self.way_to_act()? {
            Way::Bus(bus) => bus.call("LinkUnitFiles", &(&[file][..], false, false)),
            Way::Systemctl => systemctl::link(file).succeed().map(|_| ()),
        };
        linked.map_err(|err| err.during(format!("link {unit} again")))
    }
}

/// What was done with a unit, and how long it took.
fn tell(verb: &str, unit: &UnitName, began: Instant, result: &Result<(), SystemError>) {
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(()) => tracing::debug!(verb, %unit, took_ms, "unit changed"),
        Err(error) => {
            let error = error.chain().join(": ");
            tracing::debug!(verb, %unit, took_ms, error, "unit not changed");
        }
    }
}

enum Progress {
    Settled,
    /// Look again after this at the latest.
    Waits(Duration),
}

fn settle_one(wait: &mut Settling, shown: &Shown) -> Result<Progress, SystemError> {
    let failed = |kind, why: String| {
        let error = SystemError::new(kind, why);
        Err(with_journal(error, &wait.unit, wait.journal_from))
    };
    let now = Instant::now();
    match judge(shown, &mut wait.steady, now, wait.settle, &wait.unit) {
        Verdict::Settled => {
            if shown.oneshot.is_some() {
                remember_success(&wait.unit)?;
            }
            Ok(Progress::Settled)
        }
        Verdict::Failed(why) => failed(ErrorKind::Command, why),
        Verdict::Wait(_)
            if wait.steady.is_none() && now.duration_since(wait.began) > wait.limit =>
        {
            let why = format!("it is not active after {} s", wait.limit.as_secs());
            failed(ErrorKind::TimedOut, why)
        }
        Verdict::Wait(longest) => Ok(Progress::Waits(longest)),
    }
}

/// As sd_booted(3) has it.
pub(crate) fn is_running() -> bool {
    Path::new("/run/systemd/system").exists()
}

#[derive(Clone, Copy)]
enum FileArguments {
    Make,
    Remove,
}

impl Read for Host {
    fn also(&self, unit: &UnitName) -> Result<Vec<UnitName>, SystemError> {
        let folders = Folders::read(Path::new("/"));
        folders.and_then(|it| it.also(unit)).map_err(enablement::unreadable)
    }

    fn units(&self, names: &[&UnitName]) -> Vec<Result<Unit, SystemError>> {
        let root = Path::new("/");
        let folders = Folders::read(root).map_err(enablement::unreadable);
        // A template is known by its file alone.
        let (mut asked, mut places) = (vec![], vec![]);
        for (at, name) in names.iter().enumerate() {
            if !name.as_str().contains("@.") {
                asked.push(name.as_str());
                places.push(at);
            }
        }
        let mut shown: Vec<Option<Result<Shown, SystemError>>> = vec![None; names.len()];
        match self.shown(&asked, false) {
            Ok(all) => {
                for (at, it) in places.into_iter().zip(all) {
                    shown[at] = Some(Ok(it));
                }
            }
            Err(err) if asked.len() > 1 && self.way().is_ok() => {
                // One of them may have spoilt it for the others.
                drop(err);
                for at in places {
                    shown[at] = Some(
                        self.shown(&[names[at].as_str()], false)
                            .and_then(|mut it| it.pop().ok_or_else(silence)),
                    );
                }
            }
            Err(err) => {
                for at in places {
                    shown[at] = Some(Err(err.clone()));
                }
            }
        }
        let load = freshness::last_load();
        names
            .iter()
            .zip(shown)
            .map(|(name, shown)| {
                let found = self.found(&folders, name)?;
                match shown {
                    Some(shown) => Ok(unit(name, shown?, found, load)),
                    None => Ok(template(found, load)),
                }
            })
            .collect()
    }

    fn last_load(&self) -> Option<LastLoad> {
        is_running().then(|| LastLoad { began: freshness::last_load() })
    }

    fn healthy(
        &self,
        unit: &UnitName,
        question: Question<'_>,
        patience: Duration,
    ) -> Result<(), SystemError> {
        let began = jiff::Timestamp::now().as_second();
        health::patiently(patience, || health::ask(question)).map_err(|err| {
            let lines = journal(unit, began - JOURNAL_OF_SICK);
            err.with_journal(lines)
        })
    }
}

impl Write for Host {
    fn daemon_reload(&self) -> Result<(), SystemError> {
        let result = match self.way_to_act()? {
            Way::Bus(bus) => bus.call("Reload", &()),
            Way::Systemctl => Command::tool("systemctl").arg("daemon-reload").succeed().map(|_| ()),
        }
        .map_err(|err| err.during("reload systemd's unit files (daemon-reload)"));
        tracing::debug!(done = result.is_ok(), "systemd reads its unit files again");
        result
    }

    fn start(&self, unit: &UnitName, limit: Duration) -> Result<(), SystemError> {
        self.act("StartUnit", "start", unit, limit)
    }

    fn stop(&self, unit: &UnitName, limit: Duration) -> Result<(), SystemError> {
        self.act("StopUnit", "stop", unit, limit)
    }

    fn restart(&self, unit: &UnitName, limit: Duration) -> Result<(), SystemError> {
        self.act("RestartUnit", "restart", unit, limit)
    }

    fn reload(&self, unit: &UnitName, limit: Duration) -> Result<(), SystemError> {
        self.act("ReloadUnit", "reload", unit, limit)
    }

    fn settled(
        &self,
        units: &mut [Settling],
        patience: Duration,
    ) -> Vec<Option<Result<(), SystemError>>> {
        let began = Instant::now();
        loop {
            let (results, pause) = self.settled_now(units);
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() || results.iter().any(Option::is_some) {
                return results;
            }
            std::thread::sleep(PACE.min(pause).min(left));
        }
    }

    fn enable(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.change_files("EnableUnitFiles", "enable", unit, FileArguments::Make)
    }

    fn disable(&self, unit: &UnitName) -> Result<(), SystemError> {
        let linked = enablement::linked_from(Path::new("/"), unit);
        self.change_files("DisableUnitFiles", "disable", unit, FileArguments::Remove)?;
        // systemd takes the link to the unit file away too: the unit would be gone.
        linked.map_or(Ok(()), |file| self.link(unit, &file))
    }

    fn mask(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.change_files("MaskUnitFiles", "mask", unit, FileArguments::Make)
    }

    fn unmask(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.change_files("UnmaskUnitFiles", "unmask", unit, FileArguments::Remove)
    }

    fn validate(&self, arguments: &[Arc<str>]) -> Result<(), SystemError> {
        let Some((program, rest)) = arguments.split_first() else { return Ok(()) };
        Command::new(&**program).args(rest.iter().map(|it| &**it)).succeed().map(|_| ()).map_err(
            |err| {
                let mut refused = err.during("validate before the service gets its new inputs");
                refused.kind = ErrorKind::Invalid;
                refused
            },
        )
    }
}

/// Whether a file of a unit changed after systemd last began to read them.
fn is_unread(found: &Found, load: Option<i64>) -> bool {
    found.changed.zip(load).is_some_and(|(changed, load)| changed >= load)
}

fn unit(name: &UnitName, shown: Shown, found: Found, load: Option<i64>) -> Unit {
    let needs_reload = shown.needs_reload || is_unread(&found, load);
    let oneshot = match shown.oneshot {
        Some(LastStart::Never) if success_of(name).exists() => Some(LastStart::Succeeded),
        other => other,
    };
    Unit {
        load: shown.load,
        active: shown.active,
        sub: shown.sub,
        enablement: found.enablement,
        mask: found.mask,
        fragment: found.fragment,
        invocation: shown.invocation,
        since: shown.since,
        needs_reload,
        can_reload: shown.can_reload,
        oneshot,
    }
}

/// A template never runs; its instances do.
fn template(found: Found, load: Option<i64>) -> Unit {
    let needs_reload = is_unread(&found, load);
    let there = found.enablement != Enablement::NotFound;
    Unit {
        load: if there { Load::Loaded } else { Load::NotFound },
        active: Active::Inactive,
        sub: Arc::from("dead"),
        enablement: found.enablement,
        mask: found.mask,
        fragment: found.fragment,
        invocation: None,
        since: None,
        needs_reload,
        can_reload: false,
        oneshot: None,
    }
}

fn silence() -> SystemError {
    SystemError::new(ErrorKind::Other, "systemd said nothing")
}

pub(super) fn success_of(unit: &UnitName) -> PathBuf {
    Path::new(STARTED).join(unit.as_str())
}

pub(super) fn remember_success(unit: &UnitName) -> Result<(), SystemError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(STARTED)
        .and_then(|()| std::fs::write(success_of(unit), ""))
        .map_err(|err| SystemError::io(format!("write down that {unit} succeeded"), err))
}

pub(super) fn forget_success(unit: &UnitName) -> Result<(), SystemError> {
    match std::fs::remove_file(success_of(unit)) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(SystemError::io(format!("forget how {unit} ended"), err))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

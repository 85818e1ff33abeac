//! The units of the machine that this program runs on: over the bus, or with systemctl where there is
//! none.

use super::bus::{self, Bus};
use super::enablement::{self, Folders, Found};
use super::health;
use super::show::{self, Shown};
use super::{Active, Enablement, LastStart, Load, Mask, Question, Read, Unit, Write};
use crate::command::Command;
use crate::{ErrorKind, Host, SystemError, UnitName};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// systemd forgets a oneshot that has ended and that nothing refers to. What we have started and seen
/// succeed is written down here until the next boot.
const STARTED: &str = "/run/steadfast/started";

/// How often we look at a unit while we wait for it.
const PACE: Duration = Duration::from_millis(200);

/// How much of a unit's journal an error carries.
const JOURNAL_LINES: usize = 8;
/// How long before we began to wait for a unit its journal is of interest, in seconds.
const JOURNAL_BEFORE: i64 = 60;
/// And how long before one that runs was found not to be healthy.
const JOURNAL_OF_SICK: i64 = 300;

/// How systemd is reached.
enum Way {
    Bus(Arc<Bus>),
    Systemctl,
}

impl Host {
    fn way(&self) -> Result<Way, SystemError> {
        // sd_booted(3).
        if !Path::new("/run/systemd/system").exists() {
            return Err(SystemError::new(
                ErrorKind::Other,
                "systemd does not run here, so it cannot be asked",
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

    fn forget_bus(&self) {
        *self.services.bus.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// As [`Host::way`], and sure that the bus was not started anew since we connected: what is done
    /// must not be tried twice.
    fn way_to_act(&self) -> Result<Way, SystemError> {
        match self.way()? {
            Way::Bus(bus) if !bus.answers() => {
                self.forget_bus();
                self.way()
            }
            way @ (Way::Bus(_) | Way::Systemctl) => Ok(way),
        }
    }

    /// What systemd says about units, in their order.
    fn shown(&self, names: &[&str], closely: bool) -> Result<Vec<Shown>, SystemError> {
        match self.way()? {
            Way::Bus(bus) => match bus.show(names, closely) {
                Err(err) if bus::may_be_stale(&err) && !bus.answers() => {
                    self.forget_bus();
                    match self.way()? {
                        Way::Bus(bus) => bus.show(names, closely),
                        Way::Systemctl => systemctl_show(names),
                    }
                }
                result => result,
            },
            Way::Systemctl => systemctl_show(names),
        }
    }

    fn shown_one(&self, name: &UnitName) -> Result<Shown, SystemError> {
        self.shown(&[name.as_str()], true)?
            .pop()
            .ok_or_else(|| SystemError::new(ErrorKind::Other, "systemd said nothing"))
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
        Ok(Found { enablement, mask, fragment: None })
    }

    fn act(
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
                Way::Systemctl => drop(systemctl("reset-failed", unit).run()),
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
            Way::Systemctl => systemctl(verb, unit).timeout(limit).succeed().map(|_| ()),
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
        let files = [unit.as_str()];
        match self.way_to_act()? {
            Way::Bus(bus) => match arguments {
                FileArguments::Make => bus.call(method, &(&files[..], false, false)),
                FileArguments::Remove => bus
                    .call(method, &(&files[..], false))
                    .and_then(|()| bus.call(method, &(&files[..], true))),
            },
            Way::Systemctl => {
                let persistent = systemctl_with(verb, &["--no-reload"], unit).succeed().map(|_| ());
                match arguments {
                    FileArguments::Make => persistent,
                    FileArguments::Remove => persistent.and_then(|()| {
                        systemctl_with(verb, &["--no-reload", "--runtime"], unit)
                            .succeed()
                            .map(|_| ())
                    }),
                }
            }
        }
        .map_err(|err| err.during(format!("{verb} {unit}")))
    }
}

#[derive(Clone, Copy)]
enum FileArguments {
    Make,
    Remove,
}

impl Read for Host {
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
        names
            .iter()
            .zip(shown)
            .map(|(name, shown)| {
                let found = self.found(&folders, name)?;
                match shown {
                    Some(shown) => Ok(unit(name, shown?, found)),
                    None => Ok(template(found)),
                }
            })
            .collect()
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
            with_lines(err, &lines)
        })
    }
}

impl Write for Host {
    fn daemon_reload(&self) -> Result<(), SystemError> {
        match self.way_to_act()? {
            Way::Bus(bus) => bus.call("Reload", &()),
            Way::Systemctl => Command::new("systemctl").arg("daemon-reload").succeed().map(|_| ()),
        }
        .map_err(|err| err.during("let systemd read its unit files again"))
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
        unit: &UnitName,
        settle: Duration,
        limit: Duration,
    ) -> Result<(), SystemError> {
        let began = Instant::now();
        // What it said while it was being started is of interest too.
        let journal_from = jiff::Timestamp::now().as_second() - JOURNAL_BEFORE;
        let mut steady: Option<Steady> = None;
        loop {
            let shown = self.shown_one(unit)?;
            let now = Instant::now();
            match judge(&shown, &mut steady, now, settle, unit) {
                Verdict::Settled => {
                    if shown.oneshot.is_some() {
                        remember_success(unit)?;
                    }
                    return Ok(());
                }
                Verdict::Failed(why) => {
                    let error = SystemError::new(ErrorKind::Command, why);
                    return Err(with_journal(error, unit, journal_from));
                }
                Verdict::Wait(longest) => {
                    if steady.is_none() && now.duration_since(began) > limit {
                        let why = format!("it is not active after {} s", limit.as_secs());
                        let error = SystemError::new(ErrorKind::TimedOut, why);
                        return Err(with_journal(error, unit, journal_from));
                    }
                    std::thread::sleep(PACE.min(longest));
                }
            }
        }
    }

    fn enable(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.change_files("EnableUnitFiles", "enable", unit, FileArguments::Make)
    }

    fn disable(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.change_files("DisableUnitFiles", "disable", unit, FileArguments::Remove)
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

/// The process that a unit has been active with.
#[derive(Clone, Debug, PartialEq)]
struct Steady {
    since: Instant,
    invocation: Option<Arc<str>>,
    restarts: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Settled,
    Failed(String),
    /// Look again, after this time at the latest.
    Wait(Duration),
}

/// Judges one look at a unit that is waited for.
fn judge(
    shown: &Shown,
    steady: &mut Option<Steady>,
    now: Instant,
    settle: Duration,
    unit: &UnitName,
) -> Verdict {
    let before = steady.clone();
    let ended = |how: &str| match &before {
        Some(before) => {
            let after = now.duration_since(before.since).as_secs();
            Verdict::Failed(format!("it was active for {after} s, and {how}"))
        }
        None => Verdict::Failed(how.to_owned()),
    };
    match shown.active {
        Active::Active | Active::Reloading => {
            let has_process = unit.as_str().ends_with(".service") && &*shown.sub != "exited";
            let before = steady.get_or_insert_with(|| Steady {
                since: now,
                invocation: shown.invocation.clone(),
                restarts: shown.restarts,
            });
            if before.invocation != shown.invocation || before.restarts != shown.restarts {
                return Verdict::Failed("it ended and was started again".into());
            }
            let left = settle.saturating_sub(now.duration_since(before.since));
            if !has_process || (left.is_zero() && shown.active == Active::Active) {
                Verdict::Settled
            } else {
                Verdict::Wait(left.max(Duration::from_millis(10)))
            }
        }
        Active::Activating if &*shown.sub == "auto-restart" => {
            ended("it ended and waits to be started again")
        }
        Active::Activating if steady.is_some() => ended("it was started again"),
        Active::Activating => Verdict::Wait(PACE),
        Active::Inactive if shown.skipped => Verdict::Failed(
            "a condition of its unit file does not hold, so it was not started".into(),
        ),
        Active::Inactive | Active::Deactivating | Active::Failed => match shown.oneshot {
            // One that has ended without a trace was forgotten after it had succeeded.
            Some(LastStart::Succeeded | LastStart::Never) if shown.active == Active::Inactive => {
                Verdict::Settled
            }
            Some(LastStart::Succeeded | LastStart::Never) if shown.active != Active::Failed => {
                Verdict::Wait(PACE)
            }
            Some(_) | None => ended(&format!("it is {} ({})", shown.active, shown.sub)),
        },
    }
}

fn job_result(result: &str) -> Result<(), SystemError> {
    let why = match result {
        // Skipped: it did not apply any more; how the unit is now is looked at next.
        "done" | "skipped" => return Ok(()),
        "failed" => "it failed".to_owned(),
        "canceled" => "another job took its place".to_owned(),
        "timeout" => "it took longer than systemd lets it".to_owned(),
        "dependency" => "a unit that it needs failed".to_owned(),
        other => format!("systemd's answer is `{}`", show::plain(other)),
    };
    Err(SystemError::new(ErrorKind::Command, why))
}

fn unit(name: &UnitName, shown: Shown, found: Found) -> Unit {
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
        needs_reload: shown.needs_reload,
        can_reload: shown.can_reload,
        oneshot,
    }
}

/// A template never runs; its instances do.
fn template(found: Found) -> Unit {
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
        needs_reload: false,
        can_reload: false,
        oneshot: None,
    }
}

fn silence() -> SystemError {
    SystemError::new(ErrorKind::Other, "systemd said nothing")
}

fn success_of(unit: &UnitName) -> PathBuf {
    Path::new(STARTED).join(unit.as_str())
}

fn remember_success(unit: &UnitName) -> Result<(), SystemError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(STARTED)
        .and_then(|()| std::fs::write(success_of(unit), ""))
        .map_err(|err| SystemError::io(format!("write down that {unit} succeeded"), err))
}

fn systemctl(verb: &str, unit: &UnitName) -> Command {
    systemctl_with(verb, &[], unit)
}

fn systemctl_with(verb: &str, options: &[&str], unit: &UnitName) -> Command {
    Command::new("systemctl").args(["--quiet", verb]).args(options).args(["--", unit.as_str()])
}

fn systemctl_show(names: &[&str]) -> Result<Vec<Shown>, SystemError> {
    if names.is_empty() {
        return Ok(vec![]);
    }
    let said = Command::new("systemctl")
        .args(["show", "--no-pager", "--timestamp=unix"])
        .arg(format!("--property={}", show::PROPERTIES))
        .arg("--")
        .args(names)
        .succeed()
        .map_err(|err| err.during("ask systemd about its units"))?;
    show::parse(&said.stdout_text()).filter(|it| it.len() == names.len()).ok_or_else(|| {
        SystemError::new(ErrorKind::Other, "systemctl said something unexpected about units")
    })
}

/// The error with the last lines of the unit's journal as its cause.
fn with_journal(error: SystemError, unit: &UnitName, since: i64) -> SystemError {
    // What a process said just before it ended may still be on its way.
    let _as_far_as_it_goes =
        Command::new("journalctl").arg("--sync").timeout(Duration::from_secs(5)).run();
    with_lines(error, &journal(unit, since))
}

fn with_lines(error: SystemError, lines: &[String]) -> SystemError {
    if lines.is_empty() {
        return error;
    }
    let kind = error.kind;
    let why = error.chain().join(": ");
    // Each line is the cause of the one before it, so that each is shown on a line of its own.
    let mut causes = lines.iter().rev().map(|it| format!("journal: {it}"));
    let Some(last) = causes.next() else { return error };
    causes.fold(SystemError::new(kind, last), SystemError::during).during(why)
}

/// The last lines that the unit said since then (in seconds since 1970), without control characters.
fn journal(unit: &UnitName, since: i64) -> Vec<String> {
    let said = Command::new("journalctl")
        .args(["--no-pager", "--quiet", "--output=cat", "--lines=20"])
        .arg(format!("--since=@{since}"))
        .arg(format!("--unit={unit}"))
        .timeout(Duration::from_secs(10))
        .succeed();
    let Ok(said) = said else { return vec![] };
    let text = said.stdout_text();
    let mut lines: Vec<String> = crate::text::safe_lines(&text).collect();
    lines.dedup();
    lines[lines.len().saturating_sub(JOURNAL_LINES)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(active: &str, sub: &str) -> Shown {
        Shown {
            load: Load::Loaded,
            active: show::active(active),
            sub: Arc::from(sub),
            invocation: Some(Arc::from("one")),
            since: Some(1),
            needs_reload: false,
            can_reload: false,
            oneshot: None,
            restarts: 0,
            skipped: false,
        }
    }

    /// What the last of several looks, one second apart, is judged as.
    #[track_caller]
    fn check(looks: &[Shown], expected: &str) {
        let unit = UnitName::parse("app").unwrap();
        let (start, mut steady, mut verdict) = (Instant::now(), None, String::new());
        for (at, look) in looks.iter().enumerate() {
            let now = start + Duration::from_secs(at as u64);
            verdict = match judge(look, &mut steady, now, Duration::from_secs(2), &unit) {
                Verdict::Settled => "settled".into(),
                Verdict::Failed(why) => why,
                Verdict::Wait(_) => "wait".into(),
            };
        }
        assert_eq!(verdict, expected);
    }

    #[test]
    fn a_service_has_settled_when_one_process_was_active_long_enough() {
        let active = || shown("active", "running");
        check(&[active(), active()], "wait");
        check(&[shown("activating", "start"), active(), active(), active()], "settled");
        check(&[shown("activating", "start")], "wait");
        check(&[active(), active(), shown("reloading", "reload")], "wait");
        check(
            &[active(), Shown { invocation: Some(Arc::from("two")), ..active() }],
            "it ended and was started again",
        );
        check(&[active(), Shown { restarts: 1, ..active() }], "it ended and was started again");
        check(
            &[active(), shown("activating", "auto-restart")],
            "it was active for 1 s, and it ended and waits to be started again",
        );
        check(
            &[active(), shown("failed", "failed")],
            "it was active for 1 s, and it is failed (failed)",
        );
        check(&[shown("inactive", "dead")], "it is inactive (dead)");
        check(
            &[Shown { skipped: true, ..shown("inactive", "dead") }],
            "a condition of its unit file does not hold, so it was not started",
        );
    }

    #[test]
    fn what_has_no_process_settles_at_once() {
        check(&[shown("active", "exited")], "settled");
        let ended = |active, last| Shown { oneshot: Some(last), ..shown(active, "dead") };
        check(&[ended("inactive", LastStart::Succeeded)], "settled");
        check(&[ended("inactive", LastStart::Never)], "settled");
        check(&[ended("deactivating", LastStart::Succeeded)], "wait");
        check(&[ended("failed", LastStart::Failed)], "it is failed (dead)");
    }

    #[test]
    fn a_job_that_was_not_done_says_why() {
        assert_eq!(job_result("done"), Ok(()));
        assert_eq!(
            job_result("dependency").unwrap_err().to_string(),
            "a unit that it needs failed"
        );
        assert_eq!(
            job_result("new\x1bword").unwrap_err().to_string(),
            "systemd's answer is `new\\u{1b}word`"
        );
    }
}

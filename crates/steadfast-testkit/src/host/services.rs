//! Services of the machine in memory. What systemd says follows from the files: a unit's file, its
//! drop-ins, the link to /dev/null that masks it and the link that enables it.

use super::files::{Matter, Thing};
use super::{FakeHost, World, refuse};
use std::sync::Arc;
use std::time::Duration;
use steadfast_system::services::{
    Active, Enablement, FOLDER, LastLoad, LastStart, Load, Mask, Question, Read, Settling, Unit,
    Write, also, has_install_rules,
};
use steadfast_system::{AbsPath, ErrorKind, SystemError, UnitName};

/// What became of the last start of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    pub active: Active,
    pub invocation: u64,
    pub since: i64,
    /// When it read its configuration last.
    pub configured: i64,
    /// The unit's files that systemd started it with.
    pub with: String,
    pub oneshot: Option<LastStart>,
}

/// A unit in systemd's memory.
#[derive(Clone, Debug, PartialEq)]
pub struct AsRead {
    /// The unit file and its drop-ins.
    pub text: String,
    pub masked: bool,
}

/// What is to settle for as long as this has not when it is first looked at.
const LONG: Duration = Duration::from_secs(60);

/// What was seen of a unit that was waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waited {
    pub looks: usize,
    /// When it had settled.
    pub settled: Option<i64>,
}

/// Where packages have their unit files.
const VENDOR: &str = "/usr/lib/systemd/system";
const RUNTIME: &str = "/run/systemd/system";

fn failed<T>(why: impl Into<Arc<str>>) -> Result<T, SystemError> {
    refuse(ErrorKind::Command, why)
}

fn at(folder: &str, name: &str) -> AbsPath {
    AbsPath::parse(folder).unwrap().join(name).unwrap()
}

fn enabling_link(unit: &UnitName) -> AbsPath {
    at(FOLDER, &format!("multi-user.target.wants/{unit}"))
}

impl FakeHost {
    /// A unit that a package brought: not running, not enabled.
    #[must_use]
    pub fn with_unit(self, name: &str, text: &str) -> FakeHost {
        let unit = UnitName::parse(name).unwrap();
        self.with_file(&format!("{VENDOR}/{unit}"), text).booted()
    }

    #[must_use]
    pub fn with_running(self, name: &str) -> FakeHost {
        self.with(|world| world.start(&UnitName::parse(name).unwrap()).unwrap())
    }

    #[must_use]
    pub fn with_enabled(self, name: &str) -> FakeHost {
        self.with(|world| world.enable(&UnitName::parse(name).unwrap()).unwrap())
    }

    #[must_use]
    pub fn with_mask(self, name: &str) -> FakeHost {
        self.with(|world| world.mask(&UnitName::parse(name).unwrap()).unwrap()).booted()
    }
}

impl World {
    fn is_mask(&self, folder: &str, unit: &UnitName) -> bool {
        let thing = self.files.get(&at(folder, unit.as_str()));
        thing.is_some_and(|it| it.matter == Matter::Link("/dev/null".into()))
    }

    pub fn mask_of(&self, name: &str) -> Mask {
        let unit = UnitName::parse(name).unwrap();
        if self.is_mask(FOLDER, &unit) {
            Mask::Persistent
        } else if self.is_mask(RUNTIME, &unit) {
            Mask::Runtime
        } else if self.is_mask(VENDOR, &unit) {
            Mask::Vendor
        } else {
            Mask::Not
        }
    }

    fn fragment(&self, unit: &UnitName) -> Option<(AbsPath, &str)> {
        let file = |name: &str| {
            [FOLDER, VENDOR].iter().find_map(|folder| {
                let path = at(folder, name);
                let text = self.files.get(&path)?.text()?;
                Some((path, text))
            })
        };
        file(unit.as_str()).or_else(|| file(&unit.template()?))
    }

    /// The unit file and its drop-ins as they are.
    fn texts(&self, unit: &UnitName) -> Vec<&str> {
        let folder = at(FOLDER, &format!("{unit}.d"));
        let drop_ins = self
            .files
            .iter()
            .filter(|(path, _)| path.parent().as_ref() == Some(&folder))
            .filter_map(|(_, it)| it.text());
        self.fragment(unit).map(|(_, text)| text).into_iter().chain(drop_ins).collect()
    }

    /// When a file that systemd reads for the unit last changed.
    fn unit_changed(&self, unit: &UnitName) -> Option<i64> {
        let folder = at(FOLDER, &format!("{unit}.d"));
        let drop_ins =
            || self.files.iter().filter(|(path, _)| path.parent().as_ref() == Some(&folder));
        let holds = drop_ins().next().is_some();
        let of = |path: &AbsPath| self.files.get(path).map(|it| it.changed);
        let own = self.fragment(unit).and_then(|(path, _)| of(&path));
        let mask = self.is_mask(FOLDER, unit).then(|| of(&at(FOLDER, unit.as_str()))).flatten();
        let drop_in = drop_ins().map(|(_, it)| it.changed).max();
        let folder = of(&folder).filter(|_| holds);
        [own, mask, drop_in, folder].into_iter().flatten().max()
    }

    /// systemd reads all unit files.
    pub(super) fn load_units(&mut self) {
        let known: Vec<UnitName> = self.read.keys().cloned().collect();
        for unit in known {
            let now = self.as_it_is(&unit);
            self.read.insert(unit, now);
        }
        self.clock += 1;
        self.loaded = self.clock;
    }

    /// The unit's files as they are.
    pub fn unit_text(&self, unit: &UnitName) -> String {
        self.texts(unit).join("\n")
    }

    fn as_it_is(&self, unit: &UnitName) -> AsRead {
        AsRead { text: self.unit_text(unit), masked: self.mask_of(unit.as_str()) != Mask::Not }
    }

    fn says(&self, unit: &UnitName, word: &str) -> bool {
        self.texts(unit).iter().any(|it| it.contains(word))
    }

    pub fn is_enabled(&self, name: &str) -> bool {
        self.files.contains_key(&enabling_link(&UnitName::parse(name).unwrap()))
    }

    pub fn runs(&self, name: &str) -> bool {
        let unit = UnitName::parse(name).unwrap();
        self.started.get(&unit).is_some_and(|it| it.active.runs())
    }

    fn unit(&self, name: &UnitName) -> Unit {
        let fragment = self.fragment(name);
        let mask = self.mask_of(name.as_str());
        let enablement = match &fragment {
            None => Enablement::NotFound,
            Some(_) if self.files.contains_key(&enabling_link(name)) => Enablement::Enabled,
            Some(_) => Enablement::without_links(&self.unit_text(name)),
        };
        let started = self.started.get(name);
        let running = started.filter(|it| it.active.runs());
        let now = self.as_it_is(name);
        let read = self.read.get(name).unwrap_or(&now);
        Unit {
            load: match &fragment {
                _ if read.masked => Load::Masked,
                None => Load::NotFound,
                Some(_) => Load::Loaded,
            },
            active: started.map_or(Active::Inactive, |it| it.active),
            sub: Arc::from(if running.is_some() { "running" } else { "dead" }),
            enablement,
            mask,
            fragment: fragment.map(|(path, _)| path),
            invocation: running.map(|it| it.invocation.to_string().into()),
            since: running.map(|it| it.since),
            needs_reload: read.text != now.text
                || self.unit_changed(name).is_some_and(|it| it >= self.loaded),
            can_reload: running.is_some() && read.text.contains("ExecReload="),
            oneshot: self
                .says(name, "Type=oneshot")
                .then(|| started.and_then(|it| it.oneshot).unwrap_or(LastStart::Never)),
        }
    }

    pub(super) fn start(&mut self, unit: &UnitName) -> Result<(), SystemError> {
        if self.mask_of(unit.as_str()) != Mask::Not {
            return failed(format!("unit {unit} is masked"));
        }
        if self.fragment(unit).is_none() {
            return failed(format!("unit {unit} not found"));
        }
        if self.started.get(unit).is_some_and(|it| it.active.runs()) {
            return Ok(());
        }
        let now = self.as_it_is(unit);
        let with = self.read.entry(unit.clone()).or_insert(now).text.clone();
        let fails = self.failing.contains(unit);
        let oneshot = self.says(unit, "Type=oneshot");
        self.next_invocation += 1;
        let started = Started {
            active: match (fails, oneshot) {
                (true, _) => Active::Failed,
                (false, true) => Active::Inactive,
                (false, false) => Active::Active,
            },
            invocation: self.next_invocation,
            since: self.clock,
            configured: self.clock,
            with,
            // systemd forgets one that succeeded; whoever waits for it writes that down.
            oneshot: oneshot.then_some(if fails { LastStart::Failed } else { LastStart::Never }),
        };
        self.started.insert(unit.clone(), started);
        if fails { failed("it failed") } else { Ok(()) }
    }

    /// Whether it has settled; one that is to settle for long does when it is looked at once more.
    fn settled(&mut self, unit: &UnitName, settle: Duration) -> Option<Result<(), SystemError>> {
        let seen = self.unit(unit);
        if seen.active.runs() {
            let waited = self.waited.entry(unit.clone()).or_default();
            waited.looks += 1;
            if settle >= LONG && waited.looks < 2 {
                return None;
            }
            *waited = Waited { looks: 0, settled: Some(self.clock) };
            return Some(Ok(()));
        }
        if let Some(started) = self.started.get_mut(unit)
            && let Some(LastStart::Never | LastStart::Succeeded) = started.oneshot
        {
            started.oneshot = Some(LastStart::Succeeded);
            Some(Ok(()))
        } else {
            Some(failed(format!("it is {} ({})", seen.active, seen.sub)))
        }
    }

    fn healthy(&mut self, unit: &UnitName, how: &str) -> Result<(), SystemError> {
        *self.asked.entry(unit.clone()).or_default() += 1;
        match self.sick.get(unit) {
            Some(answer) => failed(format!("{how} says {answer}")),
            None => Ok(()),
        }
    }

    fn enable(&mut self, unit: &UnitName) -> Result<(), SystemError> {
        let Some((path, _)) = self.fragment(unit) else {
            return failed(format!("unit {unit} does not exist"));
        };
        let along = self.also(unit).into_iter();
        let along = along.filter_map(|it| Some((self.fragment(&it)?.0, it)));
        let all: Vec<_> = std::iter::once((path, unit.clone())).chain(along).collect();
        for (path, unit) in all {
            if self.texts(&unit).iter().any(|it| has_install_rules(it)) {
                let matter = Matter::Link(path.as_str().into());
                self.put(&enabling_link(&unit), Thing { mode: 0o777, ..Thing::of(matter) });
            }
        }
        Ok(())
    }

    fn also(&self, unit: &UnitName) -> Vec<UnitName> {
        let (mut found, mut open): (Vec<UnitName>, _) = (vec![], vec![unit.clone()]);
        while let Some(next) = open.pop() {
            let names = self.texts(&next).into_iter().flat_map(also);
            for name in names.filter_map(|it| UnitName::parse(&it).ok()).collect::<Vec<_>>() {
                if name != *unit && !found.contains(&name) {
                    found.push(name.clone());
                    open.push(name);
                }
            }
        }
        found
    }

    fn mask(&mut self, unit: &UnitName) -> Result<(), SystemError> {
        let path = at(FOLDER, unit.as_str());
        if self.files.get(&path).is_some_and(|it| matches!(it.matter, Matter::File(_))) {
            return failed(format!("{path} exists"));
        }
        let matter = Matter::Link("/dev/null".into());
        self.put(&path, Thing { mode: 0o777, ..Thing::of(matter) });
        Ok(())
    }
}

impl Read for FakeHost {
    fn also(&self, unit: &UnitName) -> Result<Vec<UnitName>, SystemError> {
        Ok(self.look_at(|world| world.also(unit)))
    }

    fn units(&self, names: &[&UnitName]) -> Vec<Result<Unit, SystemError>> {
        self.look_at(|world| names.iter().map(|it| Ok(world.unit(it))).collect())
    }

    fn last_load(&self) -> Option<LastLoad> {
        self.look_at(|world| Some(LastLoad { began: Some(world.loaded) }))
    }

    fn healthy(
        &self,
        unit: &UnitName,
        question: Question<'_>,
        _: Duration,
    ) -> Result<(), SystemError> {
        let asked = match question {
            Question::Http(url) | Question::Answer { url, expected: _ } => url.to_string(),
            Question::Tcp(address) => address.to_string(),
            Question::Program { program, runs } => {
                runs.run_program(&program)?.succeeded(program.name())?;
                program.command.join(" ")
            }
        };
        self.remember(|world| world.healthy(unit, &asked))
    }
}

impl Write for FakeHost {
    fn daemon_reload(&self) -> Result<(), SystemError> {
        self.effect("daemon-reload", |world| {
            world.load_units();
            Ok(())
        })
    }

    fn start(&self, unit: &UnitName, _limit: Duration) -> Result<(), SystemError> {
        self.effect(format!("start {unit}"), |world| world.start(unit))
    }

    fn stop(&self, unit: &UnitName, _limit: Duration) -> Result<(), SystemError> {
        self.effect(format!("stop {unit}"), |world| {
            world.started.remove(unit);
            world.read.remove(unit);
            // What runs under its name is its own.
            for running in world.processes.values_mut() {
                running.retain(|it| &*it.name != unit.as_str());
            }
            Ok(())
        })
    }

    fn restart(&self, unit: &UnitName, _limit: Duration) -> Result<(), SystemError> {
        self.effect(format!("restart {unit}"), |world| {
            world.started.remove(unit);
            world.start(unit)
        })
    }

    fn reload(&self, unit: &UnitName, _limit: Duration) -> Result<(), SystemError> {
        self.effect(format!("reload {unit}"), |world| {
            let clock = world.clock;
            if !world.unit(unit).can_reload {
                return failed(format!("{unit} cannot be reloaded"));
            }
            match world.started.get_mut(unit) {
                Some(it) if it.active.runs() => {
                    it.configured = clock;
                    Ok(())
                }
                Some(_) | None => failed(format!("{unit} is not active")),
            }
        })
    }

    /// What settles here does at once; what is waited for is looked at in turn.
    fn settled(
        &self,
        units: &mut [Settling],
        _patience: Duration,
    ) -> Vec<Option<Result<(), SystemError>>> {
        let one = |it: &Settling| self.remember(|world| world.settled(&it.unit, it.settle));
        units.iter().map(one).collect()
    }

    fn enable(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.effect(format!("enable {unit}"), |world| world.enable(unit))
    }

    fn disable(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.effect(format!("disable {unit}"), |world| {
            for unit in std::iter::once(unit.clone()).chain(world.also(unit)) {
                world.take(&enabling_link(&unit));
            }
            Ok(())
        })
    }

    fn mask(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.effect(format!("mask {unit}"), |world| world.mask(unit))
    }

    fn unmask(&self, unit: &UnitName) -> Result<(), SystemError> {
        self.effect(format!("unmask {unit}"), |world| {
            for folder in [FOLDER, RUNTIME] {
                if world.is_mask(folder, unit) {
                    world.take(&at(folder, unit.as_str()));
                }
            }
            Ok(())
        })
    }

    fn validate(&self, arguments: &[Arc<str>]) -> Result<(), SystemError> {
        match arguments.first() {
            Some(program) if program.ends_with("/false") => {
                refuse(ErrorKind::Invalid, format!("{program} says no"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

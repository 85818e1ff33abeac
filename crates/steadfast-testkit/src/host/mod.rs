//! A machine in memory: every trait of `steadfast-system`, over plain maps. What changes something is
//! an *effect*: it is counted, written down, and can be made to fail, before or after it happened, or
//! to be the moment of the process's death.

mod accounts;
mod files;
mod hostname;
mod packages;
mod programs;
mod services;

pub use accounts::Account;
pub use files::{Matter, Thing};
pub use packages::{Brought, Shelf, Stock};
pub use services::{AsRead, Started, Waited};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steadfast_system::accounts::{Defaults, Group, Process};
use steadfast_system::packages::{Installed, Interruption, Lists};
use steadfast_system::secrets::{self, Secret};
use steadfast_system::{
    AbsPath, ErrorKind, GroupName, PackageName, SystemError, UnitName, UserName, clock,
};

/// How far the clock goes with every effect, in microseconds.
const TICK: i64 = 1_000_000;

/// Everything that the machine is. Two machines that are equal here are equal.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Microseconds since 1970.
    pub clock: i64,
    /// The name that the kernel has.
    pub hostname: Arc<str>,
    pub files: BTreeMap<AbsPath, Thing>,
    /// Contents that were kept when they were replaced.
    pub kept: BTreeMap<[u8; 32], Vec<u8>>,
    pub users: BTreeMap<UserName, Account>,
    pub groups: BTreeMap<GroupName, Group>,
    /// What the name service knows beside the local accounts.
    pub foreign_users: BTreeMap<UserName, u32>,
    pub foreign_groups: BTreeMap<GroupName, u32>,
    pub processes: BTreeMap<u32, Vec<Process>>,
    pub defaults: Defaults,
    pub packages: BTreeMap<PackageName, (Installed, bool)>,
    /// What apt's lists have, and what they will have once they are fetched again.
    pub shelves: BTreeMap<PackageName, Shelf>,
    pub news: BTreeMap<PackageName, Shelf>,
    pub lists: Lists,
    pub interruption: Option<Interruption>,
    /// What runs, or ran and failed.
    pub started: BTreeMap<UnitName, Started>,
    /// When systemd began to read all unit files.
    pub loaded: i64,
    /// The units that systemd has in its memory, as it read them last.
    pub read: BTreeMap<UnitName, AsRead>,
    /// The units that were waited for.
    pub waited: BTreeMap<UnitName, Waited>,
    pub next_invocation: u64,
    /// Units that end as soon as they are started.
    pub failing: BTreeSet<UnitName>,
    /// Units that say that they are not healthy, and what they say.
    pub sick: BTreeMap<UnitName, String>,
    /// How often each was asked.
    pub asked: BTreeMap<UnitName, usize>,
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// The paths that secrets were written to, and whether what is replaced there is kept.
    pub secret_paths: BTreeMap<AbsPath, bool>,
    /// Directories that show another one (a bind mount), and which.
    pub binds: BTreeMap<AbsPath, AbsPath>,
}

/// When a fault strikes, seen from the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    /// It happened, and an error is told all the same.
    After,
    /// The process dies before it.
    DeathBefore,
    /// The process dies after it.
    DeathAfter,
}

/// A fault at the effect of this number, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: usize,
    pub moment: Moment,
}

/// What the error of a fault says.
pub const INJECTED: &str = "injected fault";

/// What is thrown when the process dies.
#[derive(Clone, Copy, Debug)]
pub struct Crash;

#[derive(Debug, Default)]
struct Effects {
    log: Vec<String>,
    fault: Option<Fault>,
    /// Effects whose line begins so fail, and why.
    broken: Vec<(String, String)>,
    dead: bool,
}

/// The machine.
#[derive(Debug)]
pub struct FakeHost {
    world: Mutex<World>,
    effects: Mutex<Effects>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeHost {
    pub fn new(world: World) -> FakeHost {
        FakeHost { world: Mutex::new(world), effects: Mutex::default() }
    }

    /// A small machine with the usual directories and accounts, and fresh lists of packages.
    pub fn debian() -> FakeHost {
        let mut world = World {
            clock: 1_700_000_000 * TICK,
            hostname: "debian".into(),
            files: BTreeMap::new(),
            binds: BTreeMap::new(),
            kept: BTreeMap::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            foreign_users: BTreeMap::new(),
            foreign_groups: BTreeMap::new(),
            processes: BTreeMap::new(),
            defaults: Defaults { user_groups: true, ..Defaults::default() },
            packages: BTreeMap::new(),
            shelves: BTreeMap::new(),
            news: BTreeMap::new(),
            lists: Lists {
                age: Some(Duration::from_secs(600)),
                stale: false,
                refreshed: false,
                failed: None,
            },
            interruption: None,
            started: BTreeMap::new(),
            loaded: 1_700_000_000 * TICK,
            read: BTreeMap::new(),
            waited: BTreeMap::new(),
            next_invocation: 1,
            failing: BTreeSet::new(),
            sick: BTreeMap::new(),
            asked: BTreeMap::new(),
            secrets: BTreeMap::new(),
            secret_paths: BTreeMap::new(),
        };
        for path in [
            "/",
            "/bin",
            "/dev",
            "/etc",
            "/etc/cron.d",
            "/etc/systemd",
            "/etc/systemd/system",
            "/etc/systemd/system/multi-user.target.wants",
            "/home",
            "/root",
            "/run",
            "/run/systemd",
            "/run/systemd/system",
            "/srv",
            "/tmp",
            "/usr",
            "/usr/bin",
            "/usr/lib",
            "/usr/lib/systemd",
            "/usr/lib/systemd/system",
            "/var",
            "/var/lib",
        ] {
            let mode = if path == "/tmp" { 0o1777 } else { 0o755 };
            let thing = Thing { mode, ..Thing::of(Matter::Directory) };
            world.files.insert(AbsPath::parse(path).unwrap(), thing);
        }
        let lib = Thing { mode: 0o777, ..Thing::of(Matter::Link("usr/lib".into())) };
        world.files.insert(AbsPath::parse("/lib").unwrap(), lib);
        let shell = Thing { mode: 0o755, ..Thing::file("#!") };
        world.files.insert(AbsPath::parse("/bin/sh").unwrap(), shell.clone());
        world.files.insert(AbsPath::parse("/bin/bash").unwrap(), shell);
        FakeHost::new(world)
            .with_group("root", 0)
            .with_group("adm", 4)
            .with_group("www-data", 33)
            .with_user("root", 0, 0, "/root")
            .with_user("www-data", 33, 33, "/var/www")
    }

    /// Builds on: whatever `change` does is no effect.
    #[must_use]
    pub fn with(self, change: impl FnOnce(&mut World)) -> FakeHost {
        self.drift(change);
        self
    }

    /// The machine has booted since all this was put there: systemd has read its files.
    #[must_use]
    pub fn booted(self) -> FakeHost {
        self.with(World::load_units)
    }

    /// Somebody else changes something.
    pub fn drift(&self, change: impl FnOnce(&mut World)) {
        let mut world = lock(&self.world);
        world.clock += TICK;
        change(&mut world);
    }

    #[must_use]
    pub fn with_file(self, path: &str, content: &str) -> FakeHost {
        self.with_thing(path, Thing::file(content))
    }

    #[must_use]
    pub fn with_directory(self, path: &str) -> FakeHost {
        self.with_thing(path, Thing { mode: 0o755, ..Thing::of(Matter::Directory) })
    }

    #[must_use]
    pub fn with_link(self, path: &str, target: &str) -> FakeHost {
        self.with_thing(path, Thing { mode: 0o777, ..Thing::of(Matter::Link(target.into())) })
    }

    #[must_use]
    /// A directory is seen a second time where another one is.
    pub fn with_bind(self, at: &str, shows: &str) -> FakeHost {
        let host = self.with_thing(at, Thing { mounted: true, ..Thing::of(Matter::Directory) });
        host.with(|world| {
            world.binds.insert(AbsPath::parse(at).unwrap(), AbsPath::parse(shows).unwrap());
        })
    }

    pub fn with_thing(self, path: &str, thing: Thing) -> FakeHost {
        self.with(|world| world.put(&AbsPath::parse(path).unwrap(), thing))
    }

    #[must_use]
    pub fn with_secret(self, name: &str, value: &str) -> FakeHost {
        self.with(|world| {
            world.secrets.insert(name.to_owned(), value.as_bytes().to_vec());
        })
    }

    /// The machine as it is now.
    pub fn world(&self) -> World {
        lock(&self.world).clone()
    }

    /// The effects since the log was cleared, one line each.
    pub fn log(&self) -> Vec<String> {
        lock(&self.effects).log.clone()
    }

    /// Forgets the effects so far, and sets a fault for those that follow.
    pub fn expect_fault(&self, fault: Option<Fault>) {
        // Another run may fetch lists again.
        lock(&self.world).lists.refreshed = false;
        let mut effects = lock(&self.effects);
        effects.log.clear();
        effects.fault = fault;
        effects.dead = false;
    }

    /// From now on effects whose line begins so fail with these words.
    pub fn break_effect(&self, prefix: &str, why: &str) {
        lock(&self.effects).broken.push((prefix.to_owned(), why.to_owned()));
    }

    /// Nothing is broken any more.
    pub fn heal(&self) {
        let mut effects = lock(&self.effects);
        effects.broken.clear();
        effects.fault = None;
    }

    pub(crate) fn look_at<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&lock(&self.world))
    }

    /// Writes down something about the machine that is no part of it.
    fn remember<T>(&self, note: impl FnOnce(&mut World) -> T) -> T {
        note(&mut lock(&self.world))
    }

    /// Does something, unless it is to fail.
    fn effect<T>(
        &self,
        line: impl Into<String>,
        act: impl FnOnce(&mut World) -> Result<T, SystemError>,
    ) -> Result<T, SystemError> {
        let line = line.into();
        let moment = {
            let mut effects = lock(&self.effects);
            if effects.dead {
                drop(effects);
                std::panic::resume_unwind(Box::new(Crash));
            }
            let at = effects.log.len();
            effects.log.push(line.clone());
            let broken = effects.broken.iter().find(|(prefix, _)| line.starts_with(prefix));
            if let Some((_, why)) = broken {
                let why = SystemError::new(ErrorKind::Storage, why.as_str());
                return Err(why.during(line));
            }
            let moment = effects.fault.filter(|it| it.at == at).map(|it| it.moment);
            effects.dead = matches!(moment, Some(Moment::DeathBefore | Moment::DeathAfter));
            moment
        };
        let injected = || SystemError::new(ErrorKind::Storage, INJECTED).during(line.as_str());
        if moment == Some(Moment::Before) {
            return Err(injected());
        }
        if moment == Some(Moment::DeathBefore) {
            std::panic::resume_unwind(Box::new(Crash));
        }
        let result = {
            let mut world = lock(&self.world);
            world.clock += TICK;
            act(&mut world)
        };
        match moment {
            Some(Moment::After) => result.and_then(|_| Err(injected())),
            Some(Moment::DeathAfter) => std::panic::resume_unwind(Box::new(Crash)),
            Some(Moment::Before | Moment::DeathBefore) | None => result,
        }
    }
}

impl clock::Read for FakeHost {
    fn now(&self) -> i64 {
        self.look_at(|world| world.clock)
    }
}

impl secrets::Read for FakeHost {
    fn secret(&self, name: &str) -> Result<Secret, SystemError> {
        self.look_at(|world| match world.secrets.get(name) {
            Some(value) => Ok(Secret::new(value.clone())),
            None => Err(SystemError::new(ErrorKind::Secret, "it is not there")
                .during(format!("read the secret {name}"))),
        })
    }

    fn keyed_digest(&self, content: &[u8]) -> Result<[u8; 32], SystemError> {
        Ok(files::digest(&[b"a key of this node".as_slice(), content].concat()))
    }
}

fn refuse<T>(kind: ErrorKind, why: impl Into<Arc<str>>) -> Result<T, SystemError> {
    Err(SystemError::new(kind, why))
}

//! The units of a component: what runs, what a stop takes along, stopping, starting, and asking whether it is well.
//! Nothing in here decides what is done next, and nothing waits without a bound.

mod ask;
mod listen;
mod mask;
mod quiesce;
mod start;
mod stop;

pub use ask::{Asked, ask};
pub use listen::foreign;
pub use mask::masked;
pub use quiesce::{busy, quiesce, resume};
pub use start::{reload, start, start_again};
pub use stop::{Stopped, stop};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_engine::component::Process;
use steadfast_model::application::frozen::Frozen;
use steadfast_system::services::{Active, Life, Lives, Tie};
use steadfast_system::{SystemError, UnitName};

/// The units that one deployment promises, in the order in which they start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units {
    pub all: Vec<UnitName>,
    /// Those that are promised to run.
    pub running: BTreeSet<UnitName>,
}

/// A unit of which there is something: processes, a job of systemd's, or what counts as active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub unit: UnitName,
    /// None where it has not been started since the boot, and something is left of it all the same.
    pub process: Option<Process>,
}

impl Units {
    /// Those of a deployment. What cannot be the name of a unit was refused as a promise.
    pub fn of(frozen: &Frozen) -> Units {
        let services = || frozen.promises.iter().filter(|it| it.kind == "service");
        let name = |it: &str| UnitName::parse(it).ok();
        let named: Vec<(UnitName, BTreeSet<UnitName>)> = services()
            .filter_map(|it| {
                let after = it.after.iter().filter_map(|it| it.strip_prefix("service:"));
                Some((name(&it.name)?, after.filter_map(name).collect()))
            })
            .collect();
        let is_running = |it: &serde_json::Value| it.get("running") == Some(&true.into());
        let running = services().filter(|it| is_running(&it.body));
        let running = running.filter_map(|it| name(&it.name)).collect();
        Units { all: ordered(named), running }
    }

    /// Those that are promised to run, in the order in which they start.
    pub fn started(&self) -> Vec<&UnitName> {
        self.all.iter().filter(|it| self.running.contains(*it)).collect()
    }

    fn names(&self) -> Vec<&UnitName> {
        self.all.iter().collect()
    }

    /// With the instances of its templates that systemd knows.
    pub fn with_instances(&self, sys: &dyn Lives) -> Result<Units, SystemError> {
        let mut units = self.clone();
        for template in self.all.iter().filter(|it| it.as_str().contains("@.")) {
            let new = sys.instances(template)?.into_iter();
            let new: Vec<UnitName> = new.filter(|it| !units.all.contains(it)).collect();
            units.all.extend(new);
        }
        units.all.retain(|it| !it.as_str().contains("@."));
        Ok(units)
    }
}

/// Sockets first, as they cannot be opened once their service runs; then services, each after those that it names;
/// then what starts services by itself.
fn ordered(mut named: Vec<(UnitName, BTreeSet<UnitName>)>) -> Vec<UnitName> {
    named.sort_by(|(one, _), (other, _)| (rank(one), one).cmp(&(rank(other), other)));
    let names: BTreeSet<UnitName> = named.iter().map(|(it, _)| it.clone()).collect();
    let mut ordered: Vec<UnitName> = vec![];
    while !named.is_empty() {
        let waits = |(_, after): &(UnitName, BTreeSet<UnitName>)| {
            after.iter().any(|it| names.contains(it) && !ordered.contains(it))
        };
        // In a circle by name.
        let next = named.iter().position(|it| !waits(it)).unwrap_or(0);
        ordered.push(named.remove(next).0);
    }
    ordered
}

fn rank(unit: &UnitName) -> u8 {
    match unit.as_str().rsplit_once('.').map(|(_, kind)| kind) {
        Some("socket") => 0,
        Some("timer" | "path") => 2,
        Some(_) | None => 1,
    }
}

/// Whether it starts another unit by itself, and has no processes of its own.
fn is_trigger(unit: &UnitName) -> bool {
    [".socket", ".timer", ".path"].iter().any(|it| unit.as_str().ends_with(it))
}

/// What there is of these units, and of the instances of their templates. Sockets, timers and paths count where they
/// are to be stopped too.
pub fn running(
    units: &Units,
    keep_sockets: bool,
    sys: &dyn Lives,
) -> Result<Vec<Running>, SystemError> {
    let units = units.with_instances(sys)?;
    let lives = sys.lives(&units.names())?;
    let counts = |unit: &UnitName| !(keep_sockets && unit.as_str().ends_with(".socket"));
    let there = units.all.iter().zip(&lives).filter(|(unit, it)| it.is_there() && counts(unit));
    Ok(there.map(|(unit, it)| Running { unit: unit.clone(), process: process(it) }).collect())
}

fn process(life: &Life) -> Option<Process> {
    let invocation = life.invocation.clone()?;
    Some(Process { invocation, restarts: life.restarts })
}

/// One process for several units: another one where any of them was started again.
fn all_processes(lives: &[&Life]) -> Option<Process> {
    let all: Vec<Process> = lives.iter().filter_map(|it| process(it)).collect();
    let restarts = all.iter().map(|it| it.restarts).fold(0, u32::saturating_add);
    let ids: Vec<&str> = all.iter().map(|it| &*it.invocation).collect();
    (!ids.is_empty()).then(|| Process { invocation: ids.join(" ").into(), restarts })
}

/// The active units that a stop of these takes along, and those that are stopped with them because they would start
/// them again: all have to be active afterwards. Not these themselves.
pub fn along(
    units: &Units,
    keep_sockets: bool,
    sys: &dyn Lives,
) -> Result<BTreeSet<Arc<str>>, SystemError> {
    let units = units.with_instances(sys)?;
    let mut tied = sys.tied(&units.names(), Tie::TakenAlong)?;
    tied.extend(triggers(&units, keep_sockets, sys)?);
    tied.retain(|it| !units.all.contains(it));
    let lives = sys.lives(&tied.iter().collect::<Vec<_>>())?;
    let active = tied.iter().zip(lives).filter(|(_, it)| match it.active {
        Active::Active | Active::Reloading | Active::Activating => true,
        Active::Inactive | Active::Failed | Active::Deactivating => false,
    });
    Ok(active.map(|(it, _)| Arc::from(it.as_str())).collect())
}

/// What would start these again by itself.
fn triggers(
    units: &Units,
    keep_sockets: bool,
    sys: &dyn Lives,
) -> Result<Vec<UnitName>, SystemError> {
    let services: Vec<&UnitName> = units.all.iter().filter(|it| !is_trigger(it)).collect();
    let mut all = sys.tied(&services, Tie::Triggers)?;
    all.retain(|it| is_trigger(it) && !(keep_sockets && it.as_str().ends_with(".socket")));
    Ok(all)
}

/// Lives by the names of their units.
fn by_name<'a>(
    units: &[&'a UnitName],
    sys: &dyn Lives,
) -> Result<BTreeMap<&'a UnitName, Life>, SystemError> {
    Ok(units.iter().copied().zip(sys.lives(units)?).collect())
}

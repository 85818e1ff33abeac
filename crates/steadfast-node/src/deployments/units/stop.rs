//! Stopping all units of a component, so that nothing of it is left.

use super::listen::{Own, Whose};
use super::{Units, by_name, is_trigger, triggers};
use std::time::Duration;
use steadfast_model::application::Port;
use steadfast_system::services::{Life, Lives, Write};
use steadfast_system::sockets::{self, Socket};
use steadfast_system::{ErrorKind, SystemError, UnitName};

/// How long systemd lets a unit stop that sets no limit, as far as we wait for it.
const AT_MOST: Duration = Duration::from_secs(15 * 60);
const USUAL: Duration = Duration::from_secs(90);
/// Beside the time that the unit itself sets.
const SPARE: Duration = Duration::from_secs(10);
/// systemd lets each of ExecStop=, SIGTERM and SIGKILL take that time.
const STAGES: u32 = 3;

/// What was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// How many TCP connections were open on the ports that it listens on: those of `ports`, and those that the
    /// kernel's list of sockets shows as its units' own. None where that list is not to be had.
    pub connections: Option<u64>,
}

/// Stops units, what would start them again before them, and each before those that it starts after. An error
/// where a process is left.
pub fn stop<S: Lives + Write>(
    units: &Units,
    ports: &[Port],
    keep_sockets: bool,
    sys: &S,
) -> Result<Stopped, SystemError> {
    let units = units.with_instances(sys)?;
    let mut first = triggers(&units, keep_sockets, sys)?;
    first.retain(|it| !units.all.contains(it));
    let is_kept = |it: &&UnitName| keep_sockets && it.as_str().ends_with(".socket");
    let own = units.all.iter().rev().filter(|it| !is_kept(it));
    let (own, rest): (Vec<&UnitName>, Vec<&UnitName>) = own.partition(|it| is_trigger(it));
    let ordered: Vec<&UnitName> = first.iter().chain(own).chain(rest).collect();
    let lives = by_name(&ordered, sys)?;
    let connections = connections(&units.names(), ports, sys);
    let mut errors = vec![];
    for unit in &ordered {
        let Some(life) = lives.get(unit).filter(|it| it.is_there()) else { continue };
        errors.extend(sys.stop(unit, limit(unit, life)).err());
    }
    for unit in &ordered {
        let life = lives.get(unit).filter(|it| it.is_there());
        let life = life.filter(|it| !(keep_sockets && is_anew(unit, it, sys)));
        errors.extend(life.and_then(|it| left_over(unit, it, sys)));
        // Also of what had failed before: nothing of that is to count for what comes.
        sys.forget_last(unit)?;
    }
    match errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(Stopped { connections }),
    }
}

pub(super) fn limit(unit: &UnitName, life: &Life) -> Duration {
    let usual = if unit.as_str().ends_with(".service") { AT_MOST } else { USUAL };
    let own = life.stops_within.unwrap_or(usual);
    own.saturating_mul(STAGES).saturating_add(SPARE).min(AT_MOST)
}

/// Whether it runs again since it was stopped, as its socket starts it where somebody connects.
fn is_anew(unit: &UnitName, before: &Life, sys: &dyn Lives) -> bool {
    let now = sys.lives(&[unit]).ok().and_then(|it| it.into_iter().next());
    now.is_some_and(|it| it.invocation.is_some() && it.invocation != before.invocation)
}

/// What is still there of a unit that was stopped.
fn left_over(unit: &UnitName, before: &Life, sys: &dyn Lives) -> Option<SystemError> {
    let group = before.group.as_deref()?;
    let left = sys.processes(group);
    let (process, name) = left.first()?;
    let more = match left.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let words = format!(
        "{unit} is stopped, and its process {process} ({name}){more} is still there: systemd ends those that \
         KillMode= says"
    );
    Some(SystemError::new(ErrorKind::Command, words))
}

/// How many connections are open to what is about to be stopped.
fn connections(units: &[&UnitName], ports: &[Port], sys: &dyn Lives) -> Option<u64> {
    let (bound, open) = (sockets::bound().ok()?, sockets::established().ok()?);
    let own = Own::of(units, sys).ok()?;
    let is_promised = |it: &Socket| {
        let is_it = |port: &&Port| !port.is_udp && port.number == it.local.port();
        ports.iter().any(|port| is_it(&port) && it.occupies(port.address))
    };
    let listeners: Vec<&Socket> = (bound.iter().filter(|it| !it.is_udp))
        .filter(|it| is_promised(it) || own.whose(it) == Whose::Own)
        .collect();
    let is_its = |it: &&Socket| {
        let port = it.local.port();
        listeners.iter().any(|on| on.local.port() == port && on.takes(it.local.ip()))
    };
    u64::try_from(open.iter().filter(is_its).count()).ok()
}

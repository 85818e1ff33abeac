//! Starting what is promised to run, as far as until systemd says that it runs or has failed.

use super::{Units, by_name, is_trigger};
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::Illness;
use steadfast_system::services::{Active, Life, Lives, Load, Write};
use steadfast_system::{SystemError, UnitName};

/// Beside the time that the unit itself sets.
const SPARE: Duration = Duration::from_secs(10);
/// What is waited for at the longest.
const AT_MOST: Duration = Duration::from_secs(15 * 60);

/// Starts what is promised to run, in its order. `patience` is how long a unit is waited for that sets no limit
/// for its start itself.
pub fn start<S: Lives + Write>(units: &Units, patience: Duration, sys: &S) -> Result<(), Illness> {
    one_by_one(&units.started(), patience, sys, |unit, limit, life| at_once(unit, limit, life, sys))
}

/// Lets what runs read its files again, and starts what does not run.
pub fn reload<S: Lives + Write>(units: &Units, patience: Duration, sys: &S) -> Result<(), Illness> {
    one_by_one(&units.started(), patience, sys, |unit, limit, life| {
        // Sockets and timers read nothing again.
        match life.active == Active::Active && !is_trigger(unit) {
            true => sys.reload(unit, limit),
            false => at_once(unit, limit, life, sys),
        }
    })
}

/// Starts units that were active before and were taken along, or stood still.
pub fn start_again<S: Lives + Write>(
    units: &[UnitName],
    patience: Duration,
    sys: &S,
) -> Result<(), Illness> {
    let units: Vec<&UnitName> = units.iter().collect();
    one_by_one(&units, patience, sys, |unit, limit, life| at_once(unit, limit, life, sys))
}

/// One that systemd waits to start again would only be waited for.
fn at_once(
    unit: &UnitName,
    limit: Duration,
    life: &Life,
    sys: &dyn Write,
) -> Result<(), SystemError> {
    match &*life.sub {
        "auto-restart" => sys.restart(unit, limit),
        _ => sys.start(unit, limit),
    }
}

fn one_by_one<S: Lives + Write>(
    units: &[&UnitName],
    patience: Duration,
    sys: &S,
    deed: impl Fn(&UnitName, Duration, &Life) -> Result<(), SystemError>,
) -> Result<(), Illness> {
    let lives = by_name(units, sys).map_err(illness)?;
    for unit in units {
        let Some(life) = lives.get(unit) else { continue };
        if let Some(why) = not_loaded(unit, life) {
            return Err(Illness { reason: why.into(), journal: vec![] });
        }
        let own = life.starts_within.unwrap_or(patience);
        let limit = own.saturating_add(SPARE).min(AT_MOST);
        sys.forget_last(unit).map_err(illness)?;
        deed(unit, limit, life).map_err(illness)?;
        if life.oneshot.is_some() {
            sys.remember_success(unit).map_err(illness)?;
        }
    }
    Ok(())
}

/// Why systemd cannot start it.
pub(super) fn not_loaded(unit: &UnitName, life: &Life) -> Option<String> {
    match &life.load {
        Load::Loaded => None,
        Load::NotFound => Some(format!("there is no unit {unit}")),
        Load::Masked => Some(format!("{unit} is masked")),
        Load::Failed(why) => Some(format!("systemd cannot load {unit}: {why}")),
    }
}

/// An error of a unit, with the last lines of its journal.
pub(super) fn illness(error: SystemError) -> Illness {
    let journal = error.journal().into_iter().map(Arc::from).collect();
    Illness { reason: error.reasons().join(": ").into(), journal }
}

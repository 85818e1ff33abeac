//! Units that stand still during a step: workers, and jobs that timers start. What starts them is stopped first, so that
//! a job that has ended is not begun again; a job that runs is waited for, or stopped.

use super::start::start_again;
use super::stop::limit;
use super::{by_name, is_trigger};
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::Illness;
use steadfast_system::services::{Active, Life, Lives, Tie, Write};
use steadfast_system::{SystemError, UnitName};

/// The units that are named, those that start them, and those that they start, in the order in which they are
/// stopped.
fn involved(named: &[UnitName], sys: &dyn Lives) -> Result<Vec<UnitName>, SystemError> {
    let mut all: Vec<UnitName> = vec![];
    for unit in named {
        let mut its = sys.tied(&[unit], Tie::Triggers)?;
        its.retain(is_trigger);
        its.push(unit.clone());
        if is_trigger(unit) {
            its.extend(sys.tied(&[unit], Tie::Triggered)?);
        }
        all.extend(its.into_iter().filter(|it| !all.contains(it)).collect::<Vec<_>>());
    }
    Ok(all)
}

/// Whether it is a job that ends by itself.
fn is_job(life: &Life) -> bool {
    life.is_oneshot && life.active == Active::Activating
}

/// Brings them to rest. A job that runs is left to its end, unless it is to be stopped. What was active before is
/// written down first.
pub fn quiesce<S: Lives + Write>(
    named: &[UnitName],
    component: &str,
    kill: bool,
    sys: &S,
) -> Result<(), SystemError> {
    let all = involved(named, sys)?;
    let refs: Vec<&UnitName> = all.iter().collect();
    let lives = by_name(&refs, sys)?;
    let is_active =
        |it: &&&UnitName| lives.get(**it).is_some_and(|it| it.active.runs() && !is_job(it));
    let active: Vec<&UnitName> = refs.iter().filter(is_active).copied().collect();
    sys.stand_still(component, &active)?;
    for unit in refs {
        let Some(life) = lives.get(unit).filter(|it| it.is_there()) else { continue };
        if kill || !is_job(life) {
            sys.stop(unit, limit(unit, life))?;
        }
    }
    Ok(())
}

/// Those that still do something.
pub fn busy(named: &[UnitName], sys: &dyn Lives) -> Result<Vec<Arc<str>>, SystemError> {
    let all = involved(named, sys)?;
    let lives = sys.lives(&all.iter().collect::<Vec<_>>())?;
    let there = all.iter().zip(lives).filter(|(_, it)| it.is_there());
    Ok(there.map(|(unit, _)| Arc::from(unit.as_str())).collect())
}

/// Starts again what was active before, last stopped first.
pub fn resume<S: Lives + Write>(
    component: &str,
    patience: Duration,
    sys: &S,
) -> Result<(), Illness> {
    let known = sys.standing_still(component).map_err(super::start::illness)?;
    let known: Vec<UnitName> = known.into_iter().rev().collect();
    start_again(&known, patience, sys)?;
    sys.stand_still_no_more(component).map_err(super::start::illness)
}

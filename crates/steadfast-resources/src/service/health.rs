//! Whether a service is healthy, by its own word.

use super::apply::AT_ONCE;
use super::desired::{Desired, Question};
use super::state::State;
use crate::runner::Health;
use std::time::Duration;
use steadfast_system::Probe;
use steadfast_system::programs::Run;
use steadfast_system::services;

/// A service that is asked, with what the machine shows of it.
pub(crate) type Asked<'a> = (&'a Desired, &'a State);

/// Asks services, side by side; one answer for each. Who may run no program (`runs` is none) does not ask
/// those that are asked by one.
pub(crate) fn ask(asked: &[Asked<'_>], sys: &dyn Probe, runs: Option<&dyn Run>) -> Vec<Health> {
    let mut answers = Vec::with_capacity(asked.len());
    for some in asked.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let asking: Vec<_> =
                some.iter().map(|it| scope.spawn(|| ask_one(*it, sys, runs))).collect();
            answers.extend(asking.into_iter().map(|it| match it.join() {
                Ok(health) => health,
                Err(panic) => std::panic::resume_unwind(panic),
            }));
        });
    }
    answers
}

fn ask_one((want, have): Asked<'_>, sys: &dyn Probe, runs: Option<&dyn Run>) -> Health {
    let Some(check) = &want.health else { return Health::NotAsked };
    let since = have.process.as_ref().map(|it| it.since);
    let patience = patience(check.within, since, sys.now());
    let question = match (&check.question, runs) {
        (Question::Http(url), _) => services::Question::Http(url),
        (Question::Command(command), Some(runs)) => services::Question::command(command, runs),
        (Question::Command(_), None) => return Health::NotAsked,
    };
    match sys.healthy(&want.unit, question, patience) {
        Ok(()) => Health::Good,
        Err(error) => Health::Bad(error),
    }
}

/// How much of `within` is left after a start; both times in microseconds since 1970.
fn patience(within: Duration, since: Option<i64>, now: i64) -> Duration {
    let Some(since) = since else { return Duration::ZERO };
    // A start that seems to lie ahead: the clock was set back since.
    let runs = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
    within.saturating_sub(Duration::from_micros(runs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_time_to_become_healthy_after_its_start_and_no_longer() {
        let second = 1_000_000;
        let left = |since: Option<i64>| patience(Duration::from_secs(30), since, 100 * second);
        assert_eq!(left(Some(90 * second)), Duration::from_secs(20));
        assert_eq!(left(Some(70 * second)), Duration::ZERO);
        assert_eq!(left(Some(0)), Duration::ZERO);
        // Not longer than it was promised, whatever the clock did.
        assert_eq!(left(Some(1_000 * second)), Duration::from_secs(30));
        assert_eq!(left(None), Duration::ZERO);
    }
}

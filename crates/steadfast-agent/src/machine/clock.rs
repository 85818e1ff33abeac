//! When something is due. Whatever was planned lies no further ahead than it could have been planned now:
//! a clock that was set back must not put everything off.

use super::agent::Agent;
use super::messages::{Action, Note};
use crate::schedule::{LONGEST_RETRY, at_most, later};
use jiff::Timestamp;
use std::time::Duration;

/// Nothing is due, and still the agent looks around.
const AT_LEAST_EVERY: Duration = Duration::from_secs(3_600);

impl Agent {
    pub(super) fn heed_the_clock(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.upstream.heed_the_clock(self.config.fetch, now);
        at_most(&mut self.work.next_keep, self.config.keep, now);
        let keep = self.config.keep;
        self.work.steps.values_mut().for_each(|it| at_most(it, keep, now));
        at_most(&mut self.trial.due, LONGEST_RETRY, now);
        if let Some(trouble) = &mut self.steps.trouble {
            at_most(&mut trouble.retry, LONGEST_RETRY, now);
        }
        for flapping in self.work.drift.heed_the_clock(now) {
            out.push(Action::Note(Note::FlappingOver(flapping)));
        }
    }

    /// The next moment at which something is due that nothing else will bring up.
    pub(super) fn wake(&self, now: Timestamp) -> Timestamp {
        let mut times = vec![later(now, AT_LEAST_EVERY)];
        if self.requests.shutdown.is_some() {
            return times[0];
        }
        if self.upstream.is_idle() {
            times.extend(self.upstream_due(now));
        }
        if self.work.is_idle() {
            match self.suspension(now) {
                Some(suspension) => {
                    times.extend(suspension.until);
                    times.extend(self.steps_due());
                }
                None => times.extend(self.work_due(now)),
            }
        }
        let soonest = later(now, Duration::from_millis(1));
        times.into_iter().min().unwrap_or(soonest).max(soonest)
    }

    /// When the step of a component goes on.
    fn steps_due(&self) -> Option<Timestamp> {
        self.work.steps.values().min().copied().filter(|_| self.keeps_adopted())
    }

    /// When the source is asked next, and what it has offered prepared.
    fn upstream_due(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let fetch = self.config.source.as_ref().map(|_| self.upstream.next_fetch);
        fetch.into_iter().chain(self.next_prepare(now))
    }

    /// When a run is due. In the middle of a trial the trial is what is due, unless it cannot be stored.
    fn work_due(&self, now: Timestamp) -> Vec<Timestamp> {
        let retry = self.steps.retry(now);
        let on_trial = self.memory.trial.is_some();
        let new = if on_trial { Some(self.trial.due) } else { self.known_due(now) };
        let new = new.map(|it| it.max(retry.unwrap_or(now)));
        let mut times: Vec<Timestamp> = retry.into_iter().chain(new).collect();
        times.extend(self.steps_due());
        if self.memory.adopted.is_some() && (!on_trial || retry.is_some()) {
            times.push(self.work.next_keep);
            times.extend(self.work.drift.next(now));
        }
        times
    }
}

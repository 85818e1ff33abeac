//! The machine and its state: what must not be forgotten, and what each room remembers.

use super::messages::Config;
use super::state::requests::Requests;
use super::state::steps::Steps;
use super::state::trial::TrialTimer;
use super::state::upstream::Upstream;
use super::state::work::Work;
use crate::memory::{Memory, Suspension};
use crate::schedule::Chance;
use jiff::Timestamp;

#[derive(Debug)]
pub struct Agent {
    pub(super) config: Config,
    /// What must not be forgotten.
    pub(super) memory: Memory,
    pub(super) chance: Chance,
    pub(super) steps: Steps,
    pub(super) upstream: Upstream,
    pub(super) work: Work,
    pub(super) trial: TrialTimer,
    pub(super) requests: Requests,
}

impl Agent {
    /// After a start, also one that a crash made necessary. The first input is `Input::Woke`.
    pub fn new(config: Config, memory: Memory, seed: u64, now: Timestamp) -> Agent {
        let mut agent = Agent {
            chance: Chance::new(seed),
            steps: Steps::new(&memory),
            upstream: Upstream::new(now),
            work: Work::new(now),
            trial: TrialTimer { due: now },
            requests: Requests::default(),
            memory,
            config,
        };
        if agent.memory.adopted.is_some() && agent.memory.wanted.is_none() {
            // A whole fleet may be starting.
            agent.upstream.next_fetch = agent.regular_fetch(now);
        }
        if let Some(trial) = &mut agent.memory.trial
            && trial.open
        {
            trial.open = false;
            trial.interruptions += 1;
        }
        // Said by the first input, where there is somebody to say it to.
        agent.use_source(&mut vec![]);
        agent
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Why somebody has suspended it, if so.
    pub fn suspended(&self, now: Timestamp) -> Option<&str> {
        self.suspension(now).map(|it| &*it.reason)
    }

    pub(super) fn suspension(&self, now: Timestamp) -> Option<&Suspension> {
        self.memory.suspended.as_ref().filter(|it| it.until.is_none_or(|until| until > now))
    }
}

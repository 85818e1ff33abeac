//! Everything that somebody might want to know of the machine, as plain values.

use super::agent::Agent;
use crate::memory::{Memory, Stage};
use crate::schedule::later;
use crate::status::{Status, Trying};
use jiff::Timestamp;
use std::time::Duration;
use steadfast_node::revision::HighestAccepted;

/// So many of the bad revisions are shown, the last ones.
const BAD_SHOWN: usize = 16;

impl Agent {
    pub fn status(&self, now: Timestamp) -> Status {
        let Memory { adopted, candidate, bad, trial, .. } = &self.memory;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.config.node.clone(),
            source: self.config.source.clone(),
            missing: self.config.missing.clone(),
            // The machine is given good ones alone.
            wrong_settings: None,
            unsigned: self.config.unsigned,
            adopted: adopted.as_ref().map(|it| it.info.clone()),
            adopted_at: adopted.as_ref().map(|it| it.at),
            newer: candidate.as_ref().map(|it| it.info.clone()),
            waiting: self.waiting(now),
            // Asked for by those who show it: there may be many.
            known: vec![],
            share: adopted.as_ref().map(|it| self.share(it).percent()),
            trying: trial.as_ref().map(|it| match it.stage {
                Stage::First | Stage::Second => Trying::New,
                Stage::Back => Trying::GoingBack { to: it.from.info.revision.clone() },
            }),
            bad: bad[bad.len().saturating_sub(BAD_SHOWN)..].to_vec(),
            floor_lost: self.memory.highest == HighestAccepted::Lost,
            refusal: self.upstream.refusal.clone(),
            heard: self.upstream.heard,
            stale_since: self.stale_since().filter(|it| adopted.is_some() && *it <= now),
            running: self.work.running().map(|it| it.reason),
            last_run: self.work.last_run.clone(),
            flapping: self.work.drift.flapping(),
            suspended: self.suspension(now).cloned(),
            storage: self.steps.trouble.as_ref().map(|it| it.why.clone()),
            next_fetch: self.config.source.as_ref().map(|_| self.upstream.next_fetch),
            next_keep: adopted.as_ref().map(|_| self.work.next_keep),
        }
    }

    /// A manifest says until when it is good; a commit grows old.
    fn stale_since(&self) -> Option<Timestamp> {
        let stale_after = self.memory.adopted.as_ref().map_or(0, |it| it.gate.stale_after);
        match &self.memory.highest {
            HighestAccepted::Fresh | HighestAccepted::Lost => None,
            HighestAccepted::At(it) => {
                Some(it.expires.unwrap_or_else(|| later(it.date, Duration::from_secs(stale_after))))
            }
        }
    }
}

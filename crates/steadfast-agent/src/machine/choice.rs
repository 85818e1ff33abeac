//! Which of the known revisions is adopted, and why the others wait: the newest whose own turn has come, and
//! against which nothing speaks. What cannot be adopted here, because it is bad, invalid, expired or more than
//! the budget allows, holds up nothing that is older.

use super::agent::Agent;
use crate::known::counted_from;
use crate::memory::{Adopted, Candidate};
use crate::schedule::{Share, Windows, windows};
use crate::status::{Known, Waiting};
use jiff::Timestamp;
use steadfast_node::revision::Revision;
use steadfast_node::wire::{Hindrance, Prepared};

impl Agent {
    /// Why the newest known revision is not adopted; nothing where there is none.
    pub fn waiting(&self, now: Timestamp) -> Option<Waiting> {
        self.memory.candidate.as_ref().map(|it| self.why_waits(it, now))
    }

    /// The others, the oldest first, and why they wait.
    pub fn others_waiting(&self, now: Timestamp) -> Vec<Known> {
        let known =
            |it: &Candidate| Known { info: it.info.clone(), waiting: self.why_waits(it, now) };
        self.memory.queue.iter().map(known).collect()
    }

    /// The one that is to be adopted now.
    pub(super) fn choice(&self, now: Timestamp) -> Option<Revision> {
        for known in self.in_order(now) {
            match self.why_waits(known, now) {
                Waiting::Nothing => return Some(known.info.revision.clone()),
                // It may be the one; or there is nothing to be adopted at all.
                Waiting::Preparing | Waiting::Suspended { .. } | Waiting::Trial => return None,
                Waiting::Invalid { .. }
                | Waiting::Bad { .. }
                | Waiting::Expired { .. }
                | Waiting::Unnamed
                | Waiting::Budget { .. }
                | Waiting::Approval
                | Waiting::Wave { .. }
                | Waiting::Window { .. } => {}
            }
        }
        None
    }

    /// Those that may be adopted by now, the best first: what somebody has asked for, then the newest whose
    /// turn has come.
    fn in_order(&self, now: Timestamp) -> impl Iterator<Item = &Candidate> {
        let wanted = self.memory.wanted.as_ref().map(|it| &it.revision);
        let asked_for = self.memory.known().filter(move |it| Some(&it.info.revision) == wanted);
        let turn = self.turns();
        let due = move |it: &&Candidate| {
            Some(&it.info.revision) != wanted && turn(it).is_none_or(|turn| turn <= now)
        };
        asked_for.chain(self.memory.known().rev().filter(due))
    }

    /// What is looked at whether it is one for this node, the most urgent first: the one that may be adopted, those
    /// before which something stands that may not, and the newest.
    fn to_be_prepared(&self, now: Timestamp) -> Vec<&Revision> {
        let mut all = vec![];
        for known in self.in_order(now) {
            let revision = &known.info.revision;
            let is_hopeless = match self.why_waits(known, now) {
                // There is nothing to be found out about it.
                Waiting::Bad { .. } | Waiting::Expired { .. } => continue,
                Waiting::Invalid { .. } | Waiting::Unnamed | Waiting::Budget { .. } => true,
                Waiting::Nothing
                | Waiting::Preparing
                | Waiting::Suspended { .. }
                | Waiting::Trial
                | Waiting::Approval
                | Waiting::Wave { .. }
                | Waiting::Window { .. } => false,
            };
            all.push(revision);
            if !is_hopeless {
                break;
            }
        }
        let newest = self.memory.candidate.as_ref().map(|it| &it.info.revision);
        let newest = newest.filter(|it| self.memory.is_bad(it).is_none() && !all.contains(it));
        all.extend(newest);
        all
    }

    /// What is to be prepared now.
    pub(super) fn to_prepare(&self, now: Timestamp) -> Option<Revision> {
        let mut due = self.prepare_due(now).into_iter();
        due.find(|(at, _)| *at <= now).map(|(_, revision)| revision)
    }

    /// When each of them is to be prepared. Facts change, so it is done again; for what is behind another only
    /// once a day.
    fn prepare_due(&self, now: Timestamp) -> Vec<(Timestamp, Revision)> {
        let newest = self.memory.candidate.as_ref().map(|it| &it.info.revision);
        let all = self.to_be_prepared(now).into_iter().enumerate().map(|(place, revision)| {
            let is_urgent = place == 0 || Some(revision) == newest;
            let at = self.upstream.prepare_due(revision, is_urgent).unwrap_or(now);
            (at, revision.clone())
        });
        all.collect()
    }

    pub(super) fn next_prepare(&self, now: Timestamp) -> Option<Timestamp> {
        self.prepare_due(now).into_iter().map(|(at, _)| at).min()
    }

    /// When time alone lets one of them be adopted, or be looked at.
    pub(super) fn known_due(&self, now: Timestamp) -> Option<Timestamp> {
        let turn = self.turns();
        let due = |known: &Candidate| {
            let turn = turn(known).filter(|it| *it > now);
            turn.or_else(|| match self.why_waits(known, now) {
                Waiting::Nothing => Some(now),
                Waiting::Wave { turn, share: _ } => Some(turn),
                Waiting::Window { opens } => opens,
                Waiting::Suspended { .. }
                | Waiting::Trial
                | Waiting::Preparing
                | Waiting::Invalid { .. }
                | Waiting::Bad { .. }
                | Waiting::Expired { .. }
                | Waiting::Unnamed
                | Waiting::Budget { .. }
                | Waiting::Approval => None,
            })
        };
        self.memory.known().filter_map(due).min()
    }

    /// Why it is not adopted.
    fn why_waits(&self, candidate: &Candidate, now: Timestamp) -> Waiting {
        let revision = &candidate.info.revision;
        if let Some(bad) = self.memory.is_bad(revision) {
            let (promise, reason) = (bad.promise.clone(), bad.reason.clone());
            return Waiting::Bad { promise, reason };
        }
        if let Some(expires) = candidate.info.expires
            && (expires <= now || candidate.expired.is_some())
        {
            // The clock was put back since.
            let believed = candidate.expired.filter(|_| expires > now);
            return Waiting::Expired { expired: expires, believed };
        }
        let prepared = match self.upstream.prepared(revision) {
            None => return Waiting::Preparing,
            Some(Err(problems)) => {
                return Waiting::Invalid { problems: problems.clone() };
            }
            Some(Ok(prepared)) => prepared,
        };
        if let Some(suspension) = self.suspension(now) {
            let (reason, until) = (suspension.reason.clone(), suspension.until);
            return Waiting::Suspended { reason, until };
        }
        if self.memory.trial.is_some() {
            return Waiting::Trial;
        }
        let Some(adopted) = &self.memory.adopted else { return Waiting::Nothing };
        if self.memory.wanted.as_ref().is_some_and(|it| it.revision == *revision) {
            return Waiting::Nothing;
        }
        self.held_by_policy(adopted, candidate, prepared, now)
    }

    /// What the adopted revision says about the next one, where nobody has asked for that.
    fn held_by_policy(
        &self,
        adopted: &Adopted,
        candidate: &Candidate,
        prepared: &Prepared,
        now: Timestamp,
    ) -> Waiting {
        if adopted.promises > 0 && !prepared.named {
            return Waiting::Unnamed;
        }
        match &prepared.hindrance {
            Some(Hindrance::Budget { what, limit, planned }) => {
                let (limit, planned) = (*limit, *planned);
                return Waiting::Budget { what: what.clone(), limit, planned };
            }
            None => {}
        }
        if adopted.gate.approval {
            return Waiting::Approval;
        }
        let turn = self.turn_under(adopted, candidate);
        let windows = windows(&adopted.gate.windows(), now.max(turn));
        match (turn > now, windows) {
            (true, _) => Waiting::Wave { turn, share: self.share(adopted).percent() },
            (false, Windows::Open) => Waiting::Nothing,
            (false, Windows::Opens(opens)) => Waiting::Window { opens },
        }
    }

    pub(super) fn share(&self, adopted: &Adopted) -> Share {
        Share::from_names(&self.config.node, &adopted.model)
    }

    /// When the wave of each comes; nothing where there are no waves yet.
    fn turns(&self) -> impl Fn(&Candidate) -> Option<Timestamp> + use<> {
        let waves = self.memory.adopted.as_ref().map(|it| (self.share(it), it.gate.waves()));
        move |known| waves.as_ref().map(|(share, waves)| share.turn(waves, counted_from(known)))
    }

    fn turn_under(&self, adopted: &Adopted, candidate: &Candidate) -> Timestamp {
        self.share(adopted).turn(&adopted.gate.waves(), counted_from(candidate))
    }
}

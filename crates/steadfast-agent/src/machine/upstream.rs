//! What the source offers: whether it leads forward, is good for this node, and what it waits for.

use super::messages::{Action, Config, Note};
use super::{Agent, FIRST_RETRY, LONGEST_FETCH_RETRY, PREPARE_AGAIN, PreparedOne, UpstreamPhase};
use crate::memory::{Adopted, Candidate, Wanted};
use crate::schedule::{Share, Windows, backoff, later, splayed, windows};
use crate::status::Waiting;
use jiff::Timestamp;
use std::time::Duration;
use steadfast_node::revision::{HighestAccepted, Revision, RevisionInfo};
use steadfast_node::wire::{Hindrance, Offer, Prepared, Proof, Refusal, RefusalKind};

/// A signed date further in the future than this is not believed.
const SKEW: Duration = Duration::from_secs(3_600);

impl Agent {
    pub(super) fn begin_upstream(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if let Some(revision) = self.to_prepare(now) {
            self.upstream = UpstreamPhase::Preparing { revision: revision.clone() };
            self.began.0 = true;
            out.push(Action::Prepare { revision });
        } else if self.config.source.is_some() && now >= self.next_fetch {
            // Once it is the candidate, what is newer than it is of interest again.
            let candidate = self.memory.candidate.as_ref().map(|it| &it.info.revision);
            let wanted = self.memory.wanted.clone().filter(|it| Some(&it.revision) != candidate);
            out.push(Action::Fetch {
                highest: self.memory.highest.clone(),
                wanted: wanted.as_ref().map(|it| it.revision.clone()),
            });
            self.upstream = UpstreamPhase::Fetching { wanted, outdated: false };
            self.began.0 = true;
        }
    }

    /// The candidate, where it has not been prepared or should be again.
    pub(super) fn to_prepare(&self, now: Timestamp) -> Option<Revision> {
        let revision = &self.memory.candidate.as_ref()?.info.revision;
        if self.memory.is_bad(revision).is_some() {
            return None;
        }
        let due = self.prepare_due(revision);
        due.is_none_or(|it| it <= now).then(|| revision.clone())
    }

    /// When preparing is due; nothing where it has never been done. A candidate may wait for days.
    pub(super) fn prepare_due(&self, revision: &Revision) -> Option<Timestamp> {
        self.prepared.as_ref().filter(|it| it.revision == *revision).map(|it| it.again)
    }

    pub(super) fn fetched(
        &mut self,
        result: Result<Option<Offer>, Refusal>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let wanted = match &mut self.upstream {
            UpstreamPhase::Fetching { wanted: _, outdated: true } => {
                self.upstream = UpstreamPhase::Idle;
                return;
            }
            UpstreamPhase::Fetching { wanted, outdated: false } => wanted.take(),
            UpstreamPhase::Idle | UpstreamPhase::Preparing { .. } => {
                out.push(Action::Note(Note::Unexpected("news that were not asked for")));
                return;
            }
        };
        self.upstream = UpstreamPhase::Idle;
        let verdict = result.and_then(|offer| {
            offer.map_or(Ok(None), |it| self.judge(&it, wanted.as_ref(), now).map(|()| Some(it)))
        });
        match verdict {
            Err(refusal) => {
                self.fetch_failures = self.fetch_failures.saturating_add(1);
                let longest = LONGEST_FETCH_RETRY.max(self.config.fetch);
                let wait = backoff(self.fetch_failures, FIRST_RETRY, longest, &mut self.chance);
                self.next_fetch = later(now, wait);
                if self.refusal.as_ref() != Some(&refusal) {
                    out.push(Action::Note(Note::Refused(refusal.clone())));
                }
                self.refusal = Some(refusal);
            }
            Ok(offer) => {
                self.fetch_failures = 0;
                self.refusal = None;
                self.heard = Some(now);
                self.next_fetch = self.regular_fetch(now);
                if let Some(offer) = offer {
                    self.accept(offer.info, now, out);
                }
            }
        }
        // A wish is for one answer of the source. While the source cannot be reached it stays.
        let unanswered =
            self.refusal.as_ref().is_some_and(|it| it.kind == RefusalKind::Unreachable);
        let candidate = self.memory.candidate.as_ref().map(|it| it.info.revision.clone());
        if wanted.is_some() && !unanswered && self.memory.wanted == wanted {
            self.memory.wanted = wanted.filter(|it| Some(&it.revision) == candidate.as_ref());
        } else if wanted.is_none()
            && self
                .memory
                .wanted
                .as_ref()
                .is_some_and(|it| Some(&it.revision) != candidate.as_ref())
        {
            // It came up while the source was being asked.
            self.next_fetch = now;
        }
    }

    /// Whether an offer leads forward: a second opinion, the fetcher has been careful before.
    pub(super) fn judge(
        &self,
        offer: &Offer,
        wanted: Option<&Wanted>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Offer { info, proof } = offer;
        let refuse = |kind, words: String| Err(Refusal { kind, words });
        if let Some(expires) = info.expires.filter(|it| *it <= now) {
            return refuse(RefusalKind::Expired, format!("its manifest was good until {expires}"));
        }
        let asked_for = wanted.filter(|it| it.revision == info.revision);
        let forced = asked_for.is_some_and(|it| it.reason.is_some());
        let highest = match &self.memory.highest {
            HighestAccepted::Fresh => return Ok(()),
            HighestAccepted::Lost if asked_for.is_some() => return Ok(()),
            HighestAccepted::Lost => {
                let words = "what was accepted before is not known any more; steadfast adopt \
                             REVISION says which one to trust";
                return refuse(RefusalKind::FloorLost, words.to_owned());
            }
            HighestAccepted::At(highest) => highest,
        };
        if forced {
            return Ok(());
        }
        let same = info.revision == highest.revision;
        match proof {
            Proof::Local => Ok(()),
            Proof::Sequence => match (info.sequence, highest.sequence) {
                (Some(new), Some(old)) if new < old => refuse(
                    RefusalKind::NotForward,
                    format!("it has number {new}, and number {old} was accepted before"),
                ),
                (Some(new), Some(old)) if new == old && !same => refuse(
                    RefusalKind::TwoContents,
                    format!("there are two contents with number {new}"),
                ),
                (Some(_), Some(_)) => Ok(()),
                (None, _) | (_, None) => refuse(
                    RefusalKind::NotForward,
                    format!("it has no number to compare with {}", highest.revision),
                ),
            },
            Proof::DescendsFrom(from) if same || *from == highest.revision => Ok(()),
            Proof::Nothing if same => Ok(()),
            Proof::DescendsFrom(_) | Proof::Nothing => refuse(
                RefusalKind::NotForward,
                format!("it does not descend from {}, which was accepted before", highest.revision),
            ),
        }
    }

    pub(super) fn accept(&mut self, info: RevisionInfo, now: Timestamp, out: &mut Vec<Action>) {
        self.memory.highest = HighestAccepted::At(info.clone());
        if let Some(adopted) = &mut self.memory.adopted
            && adopted.info.revision == info.revision
        {
            // The same, perhaps good for longer.
            adopted.info = info;
            self.memory.candidate = None;
            return;
        }
        match &mut self.memory.candidate {
            Some(candidate) if candidate.info.revision == info.revision => candidate.info = info,
            candidate @ (Some(_) | None) => {
                let before = candidate.replace(Candidate { info, seen: now });
                // A word for the one that was there is no word for this one.
                let was = |it: &mut Wanted| {
                    before.is_some_and(|before| before.info.revision == it.revision)
                };
                if let Some(Wanted { revision, .. }) = self.memory.wanted.take_if(was) {
                    out.push(Action::Note(Note::Superseded { revision }));
                }
            }
        }
    }

    pub(super) fn prepared(
        &mut self,
        revision: Revision,
        result: Result<Prepared, Vec<String>>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        match &self.upstream {
            UpstreamPhase::Preparing { revision: expected } if *expected == revision => {}
            UpstreamPhase::Idle
            | UpstreamPhase::Fetching { .. }
            | UpstreamPhase::Preparing { .. } => {
                out.push(Action::Note(Note::Unexpected("a preparation that was not asked for")));
                return;
            }
        }
        self.upstream = UpstreamPhase::Idle;
        if let Err(problems) = &result {
            let known = self.prepared.as_ref().is_some_and(|it| {
                it.revision == revision && it.result.as_ref().err() == Some(problems)
            });
            if !known {
                let (revision, problems) = (revision.clone(), problems.clone());
                out.push(Action::Note(Note::Invalid { revision, problems }));
            }
        }
        self.prepared = Some(PreparedOne { revision, result, again: later(now, PREPARE_AGAIN) });
    }

    /// Why the candidate is not adopted; nothing where there is none.
    pub fn waiting(&self, now: Timestamp) -> Option<Waiting> {
        let candidate = self.memory.candidate.as_ref()?;
        let revision = &candidate.info.revision;
        if let Some(bad) = self.memory.is_bad(revision) {
            let (promise, reason) = (bad.promise.clone(), bad.reason.clone());
            return Some(Waiting::Bad { promise, reason });
        }
        if let Some(expired) = candidate.info.expires.filter(|it| *it <= now) {
            return Some(Waiting::Expired { expired });
        }
        let result = self.prepared.as_ref().filter(|it| it.revision == *revision);
        let prepared = match result.map(|it| &it.result) {
            None => return Some(Waiting::Preparing),
            Some(Err(problems)) => {
                return Some(Waiting::Invalid { problems: problems.clone() });
            }
            Some(Ok(prepared)) => prepared,
        };
        if let Some(suspension) = self.suspension(now) {
            let (reason, until) = (suspension.reason.clone(), suspension.until);
            return Some(Waiting::Suspended { reason, until });
        }
        if self.memory.trial.is_some() {
            return Some(Waiting::Trial);
        }
        let Some(adopted) = &self.memory.adopted else { return Some(Waiting::Nothing) };
        if self.memory.wanted.as_ref().is_some_and(|it| it.revision == *revision) {
            return Some(Waiting::Nothing);
        }
        if adopted.promises > 0 && !prepared.named {
            return Some(Waiting::Unnamed);
        }
        match &prepared.hindrance {
            Some(Hindrance::Budget { what, limit, planned }) => {
                let (limit, planned) = (*limit, *planned);
                return Some(Waiting::Budget { what: what.clone(), limit, planned });
            }
            None => {}
        }
        if adopted.gate.approval {
            return Some(Waiting::Approval);
        }
        let turn = self.turn(adopted, candidate);
        let windows = windows(&adopted.gate.windows(), now.max(turn));
        match (turn > now, windows) {
            (true, _) => Some(Waiting::Wave { turn, share: self.share(adopted).percent() }),
            (false, Windows::Open) => Some(Waiting::Nothing),
            (false, Windows::Opens(opens)) => Some(Waiting::Window { opens }),
        }
    }

    pub(super) fn share(&self, adopted: &Adopted) -> Share {
        Share::from_names(&self.config.node, &adopted.model)
    }

    pub(super) fn turn(&self, adopted: &Adopted, candidate: &Candidate) -> Timestamp {
        let Candidate { info, seen } = candidate;
        // Whoever signed it, their clock must not keep this node waiting for years.
        let date = if info.date > later(*seen, SKEW) { *seen } else { info.date };
        self.share(adopted).turn(&adopted.gate.waves(), date)
    }

    /// When time alone lets the candidate be adopted.
    pub(super) fn candidate_due(&self, now: Timestamp) -> Option<Timestamp> {
        match self.waiting(now)? {
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
        }
    }

    pub(super) fn regular_fetch(&self, now: Timestamp) -> Timestamp {
        let source = self.config.source.as_deref().unwrap_or_default();
        // Not the moment that comes right after a late answer.
        let soonest = later(now, FIRST_RETRY.min(self.config.fetch / 2));
        splayed(soonest, self.config.fetch, &self.config.node, source)
    }

    pub(super) fn configured(&mut self, config: Config, now: Timestamp, out: &mut Vec<Action>) {
        let source = self.config.source != config.source;
        let intervals = (self.config.fetch, self.config.keep) != (config.fetch, config.keep);
        self.config = config;
        // Somebody has just changed a setting, or a key or certificate that it names, and waits to see
        // whether it helps. What the source is answering meanwhile may be about how they were before.
        self.fetch_failures = 0;
        self.next_fetch = now;
        match &mut self.upstream {
            UpstreamPhase::Fetching { outdated, .. } => *outdated = true,
            UpstreamPhase::Idle | UpstreamPhase::Preparing { .. } => {}
        }
        if source {
            self.refusal = None;
            self.use_source(out);
        }
        if intervals {
            self.next_keep = self.next_keep.min(later(now, self.config.keep));
        }
    }

    /// What was accepted belongs to a source. Who sets another one begins anew with it, but does not get
    /// around having lost what was accepted.
    pub(super) fn use_source(&mut self, out: &mut Vec<Action>) {
        let Some(source) = &self.config.source else { return };
        if self.memory.source.as_ref() == Some(source) {
            return;
        }
        if self.memory.source.is_some() {
            self.memory.highest = match self.memory.highest {
                HighestAccepted::Fresh | HighestAccepted::At(_) => HighestAccepted::Fresh,
                HighestAccepted::Lost => HighestAccepted::Lost,
            };
            self.memory.candidate = None;
            self.memory.wanted = None;
            out.push(Action::Note(Note::SourceChanged));
        }
        self.memory.source = Some(source.clone());
    }
}

//! What the source offers: whether it leads forward, is good for this node, and what it waits for.

use super::agent::Agent;
use super::messages::{Action, Config, Note};
use super::state::upstream::{LONGEST_FETCH_RETRY, PREPARE_AGAIN, Phase, PreparedOne};
use crate::memory::{Adopted, Candidate, Wanted};
use crate::schedule::{FIRST_RETRY, Share, Windows, backoff, later, splayed, windows};
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
            self.upstream.phase = Phase::Preparing { revision: revision.clone() };
            self.steps.began.upstream = true;
            out.push(Action::Prepare { revision });
        } else if self.config.source.is_some() && now >= self.upstream.next_fetch {
            // Once it is the candidate, what is newer than it is of interest again.
            let candidate = self.memory.candidate.as_ref().map(|it| &it.info.revision);
            let wanted = self.memory.wanted.clone().filter(|it| Some(&it.revision) != candidate);
            out.push(Action::Fetch {
                highest: self.memory.highest.clone(),
                wanted: wanted.as_ref().map(|it| it.revision.clone()),
            });
            self.upstream.phase = Phase::Fetching { wanted, outdated: false };
            self.steps.began.upstream = true;
        }
    }

    /// The candidate, where it has not been prepared or should be again.
    pub(super) fn to_prepare(&self, now: Timestamp) -> Option<Revision> {
        let revision = &self.memory.candidate.as_ref()?.info.revision;
        if self.memory.is_bad(revision).is_some() {
            return None;
        }
        let due = self.upstream.prepare_due(revision);
        due.is_none_or(|it| it <= now).then(|| revision.clone())
    }

    pub(super) fn fetched(
        &mut self,
        result: Result<Option<Offer>, Refusal>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let wanted = match &mut self.upstream.phase {
            Phase::Fetching { wanted: _, outdated: true } => {
                self.upstream.phase = Phase::Idle;
                return;
            }
            Phase::Fetching { wanted, outdated: false } => wanted.take(),
            Phase::Idle | Phase::Preparing { .. } => {
                out.push(Action::Note(Note::Unexpected(
                    "a fetched revision that was not requested",
                )));
                return;
            }
        };
        self.upstream.phase = Phase::Idle;
        let highest = &self.memory.highest;
        let verdict = result.and_then(|offer| match offer {
            Some(offer) => judge(&offer, wanted.as_ref(), highest, now).map(|()| Some(offer)),
            None => Ok(None),
        });
        match verdict {
            Err(refusal) => self.refused(refusal, now, out),
            Ok(offer) => {
                self.upstream.failures = 0;
                self.upstream.refusal = None;
                self.upstream.heard = Some(now);
                self.upstream.next_fetch = self.regular_fetch(now);
                if let Some(candidate) = &mut self.memory.candidate {
                    // Nothing was seen later than now: the clock was ahead then.
                    candidate.seen = candidate.seen.min(now);
                }
                if let Some(offer) = offer {
                    self.accept(offer.info, now, out);
                }
            }
        }
        self.was_asked_for(wanted, now);
    }

    fn refused(&mut self, refusal: Refusal, now: Timestamp, out: &mut Vec<Action>) {
        self.upstream.failures = self.upstream.failures.saturating_add(1);
        let longest = LONGEST_FETCH_RETRY.max(self.config.fetch);
        let wait = backoff(self.upstream.failures, FIRST_RETRY, longest, &mut self.chance);
        self.upstream.next_fetch = later(now, wait);
        if self.upstream.refusal.as_ref() != Some(&refusal) {
            out.push(Action::Note(Note::Refused(refusal.clone())));
        }
        self.upstream.refusal = Some(refusal);
    }

    /// A wish is for one answer of the source. While the source cannot be reached it stays.
    fn was_asked_for(&mut self, wanted: Option<Wanted>, now: Timestamp) {
        let unanswered =
            self.upstream.refusal.as_ref().is_some_and(|it| it.kind == RefusalKind::Unreachable);
        let candidate = self.memory.candidate.as_ref().map(|it| it.info.revision.clone());
        let is_candidate = |it: &Wanted| Some(&it.revision) == candidate.as_ref();
        if wanted.is_some() && !unanswered && self.memory.wanted == wanted {
            self.memory.wanted = wanted.filter(is_candidate);
        } else if wanted.is_none()
            && self.memory.wanted.as_ref().is_some_and(|it| !is_candidate(it))
        {
            // It came up while the source was being asked.
            self.upstream.next_fetch = now;
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
            Some(candidate) if candidate.info.revision == info.revision => {
                // Perhaps good for longer, and not newer: to renew it does not begin its waves again.
                let date = info.date.min(candidate.info.date);
                candidate.info = RevisionInfo { date, ..info };
            }
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
        match &self.upstream.phase {
            Phase::Preparing { revision: expected } if *expected == revision => {}
            Phase::Idle | Phase::Fetching { .. } | Phase::Preparing { .. } => {
                out.push(Action::Note(Note::Unexpected("a preparation that was not requested")));
                return;
            }
        }
        self.upstream.phase = Phase::Idle;
        if let Err(problems) = &result {
            let known = self.upstream.prepared(&revision).and_then(|it| it.as_ref().err());
            if known != Some(problems) {
                let (revision, problems) = (revision.clone(), problems.clone());
                out.push(Action::Note(Note::Invalid { revision, problems }));
            }
        }
        let again = later(now, PREPARE_AGAIN);
        self.upstream.prepared = Some(PreparedOne { revision, result, again });
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
        let prepared = match self.upstream.prepared(revision) {
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
        Some(self.held_by_policy(adopted, candidate, prepared, now))
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
        let turn = self.turn(adopted, candidate);
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

    pub(super) fn turn(&self, adopted: &Adopted, candidate: &Candidate) -> Timestamp {
        self.share(adopted).turn(&adopted.gate.waves(), counted_from(candidate))
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
        self.upstream.failures = 0;
        self.upstream.next_fetch = now;
        match &mut self.upstream.phase {
            Phase::Fetching { outdated, .. } => *outdated = true,
            Phase::Idle | Phase::Preparing { .. } => {}
        }
        if source {
            self.upstream.refusal = None;
            self.use_source(out);
        }
        if intervals {
            self.work.next_keep = self.work.next_keep.min(later(now, self.config.keep));
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

/// The moment from which the waves of a revision count: the later of the date that its signer gave it and
/// of when this node first saw it. Whoever writes a commit writes its date, and one of last week would pass
/// all waves; and their clock, where it is ahead, must not keep this node waiting for years.
fn counted_from(candidate: &Candidate) -> Timestamp {
    let Candidate { info, seen } = candidate;
    if info.date > later(*seen, SKEW) { *seen } else { info.date.max(*seen) }
}

/// Whether an offer leads forward: a second opinion, the fetcher has been careful before.
fn judge(
    offer: &Offer,
    wanted: Option<&Wanted>,
    highest: &HighestAccepted,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Offer { info, proof } = offer;
    let refuse = |kind, words: String| Err(Refusal { kind, words });
    if let Some(expires) = info.expires.filter(|it| *it <= now) {
        return refuse(RefusalKind::Expired, format!("its manifest expired at {expires}"));
    }
    let asked_for = wanted.filter(|it| it.revision == info.revision);
    let forced = asked_for.is_some_and(|it| it.reason.is_some());
    let highest = match highest {
        HighestAccepted::Fresh => return Ok(()),
        HighestAccepted::Lost if asked_for.is_some() => return Ok(()),
        HighestAccepted::Lost => {
            let words = "what was accepted before is not known any more; choose the revision \
                         to trust: steadfast adopt REVISION";
            return refuse(RefusalKind::AntiRollbackLost, words.to_owned());
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
                format!("it has sequence number {new}, and number {old} was accepted before"),
            ),
            (Some(new), Some(old)) if new == old && !same => refuse(
                RefusalKind::TwoContents,
                format!("it has other content than what was accepted with sequence number {new}"),
            ),
            (Some(_), Some(_)) => Ok(()),
            (None, _) | (_, None) => refuse(
                RefusalKind::NotForward,
                format!("it has no sequence number to compare with {}", highest.revision),
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

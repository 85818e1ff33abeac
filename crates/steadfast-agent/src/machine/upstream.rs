//! What the source offers: whether it leads forward, is good for this node, and what it waits for.

use super::agent::Agent;
use super::messages::{Action, Config, Note};
use super::state::upstream::{LONGEST_FETCH_RETRY, Phase, PreparedOne};
use crate::memory::Wanted;
use crate::schedule::{FIRST_RETRY, backoff, later, splayed};
use jiff::Timestamp;
use steadfast_node::revision::{HighestAccepted, Revision};
use steadfast_node::wire::{Offer, Prepared, Proof, Refusal, RefusalKind};

impl Agent {
    pub(super) fn begin_upstream(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if let Some(revision) = self.to_prepare(now) {
            self.upstream.phase = Phase::Preparing { revision: revision.clone() };
            self.steps.began.upstream = true;
            out.push(Action::Prepare { revision });
        } else if self.config.source.is_some() && now >= self.upstream.next_fetch {
            // Once it is known, what is newer than it is of interest again.
            let wanted = self.memory.wanted.clone();
            let wanted = wanted.filter(|it| !self.memory.is_known(&it.revision));
            out.push(Action::Fetch {
                highest: self.memory.highest.clone(),
                wanted: wanted.as_ref().map(|it| it.revision.clone()),
            });
            self.upstream.phase = Phase::Fetching { wanted, outdated: false };
            self.steps.began.upstream = true;
        }
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
                for known in self.memory.known_mut() {
                    // Nothing was seen later than now: the clock was ahead then.
                    known.seen = known.seen.min(now);
                }
                if let Some(offer) = offer {
                    self.accept(offer, now, out);
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
        let is_known = |it: &Wanted| self.memory.is_known(&it.revision);
        if wanted.is_some() && !unanswered && self.memory.wanted == wanted {
            self.memory.wanted = wanted.filter(is_known);
        } else if wanted.is_none() && self.memory.wanted.as_ref().is_some_and(|it| !is_known(it)) {
            // It came up while the source was being asked.
            self.upstream.next_fetch = now;
        }
    }

    fn accept(&mut self, offer: Offer, now: Timestamp, out: &mut Vec<Action>) {
        let Offer { info, proof: _, supersedes } = offer;
        let wanted = self.memory.wanted.as_ref().map(|it| it.revision.clone());
        let wanted = wanted.filter(|it| self.memory.is_known(it));
        self.memory.highest = HighestAccepted::At(info.clone());
        if let Some(adopted) = &mut self.memory.adopted
            && adopted.info.revision == info.revision
        {
            // The same, perhaps good for longer.
            adopted.info = info;
            self.memory.forget_known();
        } else {
            self.memory.learn(info, now);
        }
        for named in supersedes {
            self.memory.supersede(&named);
        }
        // What is not known any more is not adopted, whoever has asked for it.
        if let Some(revision) = wanted
            && !self.memory.is_known(&revision)
        {
            self.memory.wanted = None;
            out.push(Action::Note(Note::Superseded { revision }));
        }
        self.upstream.forget_prepared_but(|it| self.memory.is_known(it));
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
        self.upstream.keep_prepared(revision, PreparedOne { result, at: now });
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
            self.memory.forget_known();
            self.memory.wanted = None;
            out.push(Action::Note(Note::SourceChanged));
        }
        self.memory.source = Some(source.clone());
    }
}

/// Whether an offer leads forward: a second opinion, the fetcher has been careful before.
fn judge(
    offer: &Offer,
    wanted: Option<&Wanted>,
    highest: &HighestAccepted,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Offer { info, proof, supersedes: _ } = offer;
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

//! One question to the machine: what was given, and the row as it becomes. A part of the machine answers with the next
//! thing, or with nothing where the row has changed and has to be looked at again.

use super::act::{Act, Debt, End, Finished, Next};
use super::reason::{Gate, Trouble, Waiting};
use super::row::{Again, Phase, Row, Step};
use super::seen::{Answer, Done, Illness, Seen};
use super::time::{Now, Until};
use std::sync::Arc;
use std::time::Duration;

/// So often an act is given before it counts as one that does not succeed: what is cut off may be what cuts it off.
const TRIES: u32 = 4;
/// So often the machine may boot during one step.
const BOOTS: u32 = 5;

#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) row: Row,
    pub(super) seen: &'a Seen,
    pub(super) now: &'a Now,
    /// What came of the last act; each is taken once.
    pub(super) came: Came,
}

/// What came of the last act, by what it was: at most one of them is there.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) prepared: Option<Result<(), Trouble>>,
    pub(super) answered: Option<Answer>,
    pub(super) quiesced: Option<Result<(), Arc<str>>>,
    pub(super) drained: Option<Result<(), Arc<str>>>,
    pub(super) stopped: Option<Result<u64, Arc<str>>>,
    pub(super) switched: Option<Result<(), Arc<str>>>,
    pub(super) started: Option<Result<(), Illness>>,
    pub(super) committed: Option<Result<(), Arc<str>>>,
    pub(super) paid: Option<(Debt, Result<(), Arc<str>>)>,
}

impl Came {
    fn of(done: Option<Done>) -> Came {
        let mut came = Came::default();
        match done {
            None => {}
            Some(Done::Prepared(it)) => came.prepared = Some(it),
            Some(Done::Answered(it)) => came.answered = Some(it),
            Some(Done::Quiesced(it)) => came.quiesced = Some(it),
            Some(Done::Drained(it)) => came.drained = Some(it),
            Some(Done::Stopped(it)) => came.stopped = Some(it),
            Some(Done::Switched(it)) => came.switched = Some(it),
            Some(Done::Started(it)) => came.started = Some(it),
            Some(Done::Committed(it)) => came.committed = Some(it),
            Some(Done::Paid(debt, it)) => came.paid = Some((debt, it)),
        }
        came
    }
}

impl<'a> Turn<'a> {
    pub(super) fn new(row: &Row, seen: &'a Seen, now: &'a Now) -> Turn<'a> {
        Turn { row: row.clone(), seen, now, came: Came::of(seen.done.clone()) }
    }

    pub(super) fn act(&mut self, act: Act) -> Option<Next> {
        Some(Next::Act { row: std::mem::take(&mut self.row), act })
    }

    pub(super) fn wait(&mut self, at: Duration, why: Waiting) -> Option<Next> {
        self.wait_until(Until::Boot(at), why)
    }

    pub(super) fn wait_until(&mut self, until: Until, why: Waiting) -> Option<Next> {
        Some(Next::Wait { row: std::mem::take(&mut self.row), until, why })
    }

    pub(super) fn ended(&mut self, end: End, step: Option<Finished>, due: Until) -> Option<Next> {
        Some(Next::Ended { row: std::mem::take(&mut self.row), end, step, due })
    }

    /// The first gate that is closed to whoever asks.
    pub(super) fn gate(&self) -> Option<&Gate> {
        let passes = |it: &&Gate| self.seen.by.is_now() && it.is_passed_now();
        self.seen.closed.iter().find(|it| !passes(it))
    }

    /// The first gate that is closed to what would only start a program that is down.
    pub(super) fn gate_of_restart(&self) -> Option<&Gate> {
        let down = self.seen.running.is_empty();
        self.gate()
            .filter(|_| !down)
            .or_else(|| self.seen.closed.iter().find(|it| !it.is_about_interruptions()))
    }

    pub(super) fn is_running(&self, own: &Arc<str>) -> bool {
        self.seen.running.iter().any(|it| it.as_ref() == Some(own))
    }

    /// The step is in another phase from now on.
    pub(super) fn enter(&mut self, phase: Phase) -> Option<Next> {
        let since = self.now.moment();
        if let Some(step) = &mut self.row.step {
            (step.phase, step.since, step.tries, step.stuck) = (phase, since, 0, None);
        }
        None
    }

    /// Gives an act of the open step, and counts it. On the way back, what did not succeed is tried again and again,
    /// and less and less often.
    pub(super) fn attempt(&mut self, act: Act) -> Option<Next> {
        if let Some(due) = self.stuck_until() {
            let step = self.row.step.as_ref();
            let why = step.and_then(|it| it.stuck.clone()).unwrap_or_else(|| "cut off".into());
            return self.wait(due, Waiting::Stuck(why));
        }
        let since = self.now.moment();
        if let Some(step) = &mut self.row.step {
            step.tries = step.tries.saturating_add(1);
            if step.tries > TRIES {
                step.since = since;
            }
        }
        self.act(act)
    }

    fn stuck_until(&self) -> Option<Duration> {
        let step = self.row.step.as_ref().filter(|it| it.tries >= TRIES)?;
        let due = step.since.at.saturating_add(super::row::backoff(step.tries - TRIES + 1));
        (self.now.at < due).then_some(due)
    }

    /// Whether an act was given so often that it has to be taken for one that does not succeed.
    pub(super) fn is_tried_out(&self) -> bool {
        self.row.step.as_ref().is_some_and(|it| it.tries >= TRIES)
    }

    /// Whether the machine was booted so often since the step began that it may be what boots it.
    pub(super) fn is_booted_out(&self) -> bool {
        self.row.step.as_ref().is_some_and(|it| it.back.is_none() && it.boots > BOOTS)
    }

    /// Why the last attempt failed, if that is known; what is known from before stays.
    pub(super) fn stuck(&mut self, why: Option<Arc<str>>, else_: &str) {
        if let Some(step) = &mut self.row.step {
            let before = step.stuck.take();
            step.stuck = Some(why.or(before).unwrap_or_else(|| else_.into()));
        }
    }

    /// A moment of another boot means nothing: what hung on it begins anew.
    pub(super) fn heed_boot(&mut self) {
        let now = self.now.moment();
        if let Some(again) = &mut self.row.again
            && again.since.boot != now.boot
        {
            again.heed_boot(self.now);
        }
        self.row.owed.failed.retain(|it| it.at.boot == now.boot);
        let Some(step) = &mut self.row.step else { return };
        if step.since.boot == now.boot {
            return;
        }
        step.boots = step.boots.saturating_add(1);
        step.stopped = None;
        step.since = now;
        if step.back.is_some() {
            step.tries = 0;
        }
        match step.phase {
            Phase::Judge(_) | Phase::Bake(_) => (step.phase, step.tries) = (Phase::Start, 0),
            // A boot has started them again.
            Phase::Quiesce => step.tries = 0,
            // A boot has ended what was open.
            Phase::Drained => step.phase = step.after_drain(),
            Phase::Drain
            | Phase::Stop
            | Phase::Switch
            | Phase::Start
            | Phase::Commit
            | Phase::Retire => {}
        }
    }

    /// What is wanted failed, and is not tried again at once.
    pub(super) fn try_again(&mut self, why: Trouble, once_well: bool) {
        let Some(wanted) = &self.seen.wanted else { return };
        let it = &wanted.deployment;
        let before =
            self.row.again.take().filter(|it| it.concerns(&wanted.deployment, &wanted.source));
        self.row.again = Some(Again {
            own: Arc::clone(&it.own),
            terms: Arc::clone(&it.terms.digest),
            source: Arc::clone(&wanted.source),
            failures: before.map_or(0, |it| it.failures).saturating_add(1),
            since: self.now.moment(),
            wall: self.now.wall,
            waited: Duration::ZERO,
            once_well,
            why,
        });
    }

    /// Takes the step away, and says what it was.
    pub(super) fn finish(&mut self) -> Option<Finished> {
        let step = self.row.step.take()?;
        if let (None, Some(gap)) = (&step.back, step.gap) {
            self.row.measure(step.way(), gap);
        }
        let Step { number, from, to, gap, connections, .. } = step;
        Some(Finished { number, from, to, gap, connections })
    }
}

pub(super) fn ill(it: Illness) -> Trouble {
    let Illness { reason, journal } = it;
    Trouble::Ill { reason, journal }
}

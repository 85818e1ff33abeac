//! Going back: to what was before, whole, and what that says of the one that was tried.

use super::act::{Act, End, Next};
use super::deployment::{Deployment, Switch};
use super::reason::Trouble;
use super::row::{Baseline, Kind, Phase, Step};
use super::time::Until;
use super::turn::Turn;
use std::sync::Arc;

impl Turn<'_> {
    pub(super) fn go_back(&mut self, why: Trouble) -> Option<Next> {
        let step = self.row.step.as_mut()?;
        step.back = Some(why);
        let here = self.seen.place.is(step.from.as_ref());
        let phase = match (step.kind, step.way()) {
            // What is not stopped runs on, what is stopped is started again.
            (Kind::Restart, _) => Phase::Start,
            (Kind::Move, Switch::Restart) => {
                if here {
                    Phase::Start
                } else {
                    Phase::Stop
                }
            }
            (Kind::Move, Switch::Reload | Switch::Socket) => Phase::Switch,
            (Kind::Move, Switch::BlueGreen) => {
                if step.from.is_some() {
                    Phase::Start
                } else {
                    Phase::Switch
                }
            }
        };
        self.enter(phase)
    }

    /// What is gone back to is not whole any more.
    pub(super) fn prepare_to_go_back(&mut self, it: &Deployment) -> Option<Next> {
        let failed = self.came.prepared.take().and_then(Result::err);
        self.stuck(failed.map(|it| it.to_string().into()), "what is gone back to is not whole");
        self.attempt(Act::Prepare(it.clone()))
    }

    /// It is back, well or not: what that means.
    pub(super) fn went_back(&mut self, step: &Step, ill: Option<Arc<str>>) -> Option<Next> {
        if let Some(next) = self.pay(ill.is_none() && step.from.is_some()) {
            return Some(next);
        }
        let why = step.back.clone().unwrap_or(Trouble::Unwanted);
        if step.kind == Kind::Restart {
            return self.failed_restart(step, why);
        }
        // Whether the new one was asked at all and found to be ill.
        let judged = match &why {
            Trouble::Ill { .. } => true,
            Trouble::Away(_)
            | Trouble::Refused(_)
            | Trouble::NoSpace(_)
            | Trouble::Unprepared(_)
            | Trouble::Drain(_)
            | Trouble::Busy(_)
            | Trouble::Stop(_)
            | Trouble::Switch(_)
            | Trouble::Lost
            | Trouble::CutOff
            | Trouble::Unwanted => false,
        };
        let was_well = step.baseline == Baseline::Well;
        let first = step.from.is_none();
        let is_bad = judged && was_well && ill.is_none() && !first;
        let end = if why == Trouble::Unwanted {
            End::Withdrawn
        } else if is_bad {
            self.row.remember_bad(&step.to, why.clone(), self.now);
            End::WentBack(why.clone())
        } else {
            self.try_step_again(step, &why, judged && was_well && !first);
            if first { End::Failed(why.clone()) } else { End::Inconclusive(why.clone()) }
        };
        if first {
            // What gets no traffic is not made ready.
            self.row.owed.paid(super::row::Owing::Ready);
        }
        let finished = self.finish();
        let due = match self.is_wanted(step) {
            true => self.due(),
            // Something else is: at once.
            false => Until::Boot(self.now.at),
        };
        self.ended(end, finished, due)
    }

    pub(super) fn failed_restart(&mut self, step: &Step, why: Trouble) -> Option<Next> {
        self.try_step_again(step, &why, false);
        let finished = self.finish();
        let due = self.due();
        self.ended(End::Failed(why), finished, due)
    }

    /// What was tried may be tried again, if it is still what is wanted.
    fn try_step_again(&mut self, step: &Step, why: &Trouble, once_well: bool) {
        if self.is_wanted(step) {
            self.try_again(why.clone(), once_well);
        }
    }

    fn is_wanted(&self, step: &Step) -> bool {
        self.seen.wanted.as_ref().is_some_and(|it| it.deployment.is(&step.to))
    }
}

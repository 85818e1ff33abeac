//! Listening to a program that was started: its first good answer, and whether it stays well.

use super::act::{Act, Next};
use super::reason::Waiting;
use super::row::{Judging, Phase, Process, Step};
use super::seen::{Answer, By, Health, Illness};
use super::turn::Turn;
use std::sync::Arc;
use std::time::Duration;

impl Turn<'_> {
    pub(super) fn judge(&mut self, step: &Step, mut judging: Judging) -> Option<Next> {
        if let Some(answer) = self.came.answered.take()
            && let Err(why) = self.hear(step, &mut judging, answer)
        {
            return self.found_ill(step, why);
        }
        let terms = step.heading().map_or(&step.to.terms, |it| &it.terms);
        let well = judging.well.as_ref().and_then(|it| self.now.since(it));
        if well.is_some()
            && let Some(next) = self.pay(true)
        {
            return Some(next);
        }
        // The last good answer that counts began when all of it was over.
        let asked = judging.asked.as_ref().and_then(|it| self.now.since(it));
        let lasted = match (&judging.well, &judging.asked) {
            (Some(well), Some(asked)) => asked.at.saturating_sub(well.at) >= terms.lasts,
            (None, _) | (_, None) => false,
        };
        if lasted {
            return self.found_well(step, judging);
        }
        let age = self.now.since(&step.since).unwrap_or_default();
        let Some(asked) = asked else { return self.ask(step) };
        let pace = pace(self.seen.by, age);
        // One more question where `within` or `for` ends.
        let deadline = match well {
            Some(well) => terms.lasts.saturating_sub(well),
            None => terms.within.saturating_sub(age),
        };
        let pause = pace.saturating_sub(asked).min(deadline);
        if pause.is_zero() {
            return self.ask(step);
        }
        let why = match well {
            Some(_) => Waiting::Lasting,
            None => Waiting::Answer(judging.ill.clone()),
        };
        self.wait(self.now.at.saturating_add(pause), why)
    }

    fn ask(&mut self, step: &Step) -> Option<Next> {
        let asked = step.heading().unwrap_or(&step.to).clone();
        self.act(Act::Ask(asked))
    }

    /// Takes in an answer; an error where it settles that the program is not well.
    fn hear(&mut self, step: &Step, judging: &mut Judging, answer: Answer) -> Result<(), Illness> {
        let now = self.now.moment();
        let terms = step.heading().map_or(&step.to.terms, |it| &it.terms);
        let over = self.now.since(&step.since).is_none_or(|it| it >= terms.within);
        let another = is_another(judging.process.as_ref(), answer.process.as_ref());
        judging.asked = Some(now.clone());
        judging.process = answer.process.or(judging.process.take());
        let verdict = match answer.health {
            Health::Dead(why) => Err(why),
            Health::Ill(why) => {
                judging.well = None;
                judging.ill = Some(Arc::clone(&why.reason));
                if over { Err(why) } else { Ok(()) }
            }
            Health::Well if another && over => {
                let reason = "it was started again meanwhile".into();
                Err(Illness { reason, journal: vec![] })
            }
            Health::Well => {
                if another {
                    judging.well = None;
                }
                judging.well.get_or_insert(now);
                Ok(())
            }
        };
        if let Some(open) = &mut self.row.step {
            open.phase = Phase::Judge(judging.clone());
            if judging.well.is_some() && open.back.is_none() && open.gap.is_none() {
                open.gap = open.stopped.as_ref().and_then(|it| self.now.since(it));
            }
        }
        verdict
    }
}

/// Whether another start of the program answers than before.
fn is_another(before: Option<&Process>, now: Option<&Process>) -> bool {
    matches!((before, now), (Some(before), Some(now)) if before != now)
}

/// How long between two questions: a person who waits is told soon; a run of the agent costs more than a question.
fn pace(by: By, age: Duration) -> Duration {
    let soon = Duration::from_secs(2);
    Duration::from_millis(match (by, age < soon) {
        (By::Hand { .. }, true) => 50,
        (By::Hand { .. }, false) | (By::Agent, true) => 250,
        (By::Agent, false) => 1_000,
    })
}

//! The time after health in which the new one serves, is asked on, and can still go back.

use super::act::{Act, Next};
use super::deployment::{Switch, way};
use super::reason::{Trouble, Waiting};
use super::row::{Baking, Baseline, Kind, Phase, Process, Step};
use super::seen::{Answer, Health, Illness};
use super::turn::{Turn, ill};
use std::time::Duration;

/// How often it is asked.
const ASK: Duration = Duration::from_secs(30);

/// What a newer target means for the one that bakes.
enum Newer {
    /// There is none, or it waits.
    Waits,
    /// Its step is open.
    Begun,
    /// It has to be prepared.
    Missing,
}

impl Turn<'_> {
    pub(super) fn bake(&mut self, step: &Step, mut baking: Baking) -> Option<Next> {
        let baked = self.now.since(&step.since).unwrap_or_default();
        let over = baked >= step.to.terms.bake || self.seen.by.is_now();
        if let Some(answer) = self.came.answered.take() {
            if let Err(why) = self.hear_baking(step, &mut baking, answer) {
                return self.go_back(ill(why));
            }
            if over && baking.ill.is_none() {
                return self.enter_commit(step);
            }
            if baking.ill.is_none()
                && let Some(next) = self.pay(true)
            {
                return Some(next);
            }
        }
        match self.newer(step, &baking) {
            Newer::Waits => {}
            Newer::Begun => return None,
            Newer::Missing => {
                let wanted = self.seen.wanted.as_ref()?.deployment.clone();
                return self.act(Act::Prepare(wanted));
            }
        }
        let asked = baking.asked.as_ref().and_then(|it| self.now.since(it));
        let mut pause = asked.map_or(Duration::ZERO, |it| ASK.saturating_sub(it));
        match baking.ill.as_ref().map(|it| self.now.since(it).unwrap_or_default()) {
            None if over => pause = Duration::ZERO,
            None => pause = pause.min(step.to.terms.bake.saturating_sub(baked)),
            Some(ill) => pause = pause.min(step.to.terms.within.saturating_sub(ill)),
        }
        if pause.is_zero() {
            return self.act(Act::Ask(step.to.clone()));
        }
        self.wait(self.now.at.saturating_add(pause), Waiting::Baking)
    }

    /// Takes in an answer; an error where it is not well.
    fn hear_baking(
        &mut self,
        step: &Step,
        baking: &mut Baking,
        answer: Answer,
    ) -> Result<(), Illness> {
        let now = self.now.moment();
        let died = has_died(baking.process.as_ref(), answer.process.as_ref());
        baking.asked = Some(now.clone());
        baking.process = answer.process.or(baking.process.take());
        let since = match &answer.health {
            Health::Well => {
                baking.ill = None;
                None
            }
            Health::Ill(_) | Health::Dead(_) => self.now.since(baking.ill.get_or_insert(now)),
        };
        if let Some(open) = &mut self.row.step {
            open.phase = Phase::Bake(baking.clone());
        }
        match answer.health {
            Health::Dead(why) => Err(why),
            Health::Ill(why) if since.is_some_and(|it| it >= step.to.terms.within) => Err(why),
            Health::Well | Health::Ill(_) if died => {
                let reason = "it ended, and systemd started it again".into();
                Err(Illness { reason, journal: vec![] })
            }
            Health::Well | Health::Ill(_) => Ok(()),
        }
    }

    /// What is newest need not wait for the bake of what it replaces; what is gone back to stays the last good one.
    /// Where one of them is blue-green, it waits: both slots are in use, or none is.
    fn newer(&mut self, step: &Step, baking: &Baking) -> Newer {
        let Some(wanted) = self.seen.wanted.clone() else { return Newer::Waits };
        let it = &wanted.deployment;
        let again = self.row.again.as_ref().filter(|again| again.concerns(it, &wanted.source));
        let waits = again.is_some_and(|it| it.due().is_none_or(|due| self.now.at < due));
        let ways = [step.way(), way(self.row.current.as_ref(), it)];
        let beside = ways.contains(&Switch::BlueGreen);
        if it.is(&step.to) || beside || waits || self.row.bad(it).is_some() {
            return Newer::Waits;
        }
        if !self.seen.prepared.contains(&it.own) {
            let trouble = match self.came.prepared.take() {
                None => return Newer::Missing,
                Some(Err(trouble)) => trouble,
                Some(Ok(())) => Trouble::Lost,
            };
            self.try_again(trouble, false);
            return Newer::Waits;
        }
        if self.gate().is_some() {
            return Newer::Waits;
        }
        let baseline = match (&self.row.current, &baking.ill) {
            (None, _) => Baseline::First,
            (Some(_), None) => Baseline::Well,
            (Some(_), Some(_)) => Baseline::Ill("the one before was ill in its bake".into()),
        };
        self.row.step = None;
        self.begin(Kind::Move, wanted.deployment, baseline);
        if let Some(step) = &mut self.row.step {
            step.chained = true;
        }
        Newer::Begun
    }
}

/// Whether its process has ended by itself: systemd counts that for as long as one start lasts.
fn has_died(before: Option<&Process>, now: Option<&Process>) -> bool {
    let (Some(before), Some(now)) = (before, now) else { return false };
    now.restarts > before.restarts
}

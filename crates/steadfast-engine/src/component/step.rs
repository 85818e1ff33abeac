//! An open step, from phase to phase: forth, and with the same phases back.

use super::act::{Act, End, Next, Start, Stop};
use super::deployment::{Deployment, Quiesces, Switch};
use super::reason::{LOOK_AT_QUIESCED, Trouble, Waiting};
use super::row::{Baking, Judging, Kind, Phase, Step};
use super::seen::Illness;
use super::turn::{Turn, ill};

const STILL_RUNS: &str = "it still runs";

impl Turn<'_> {
    pub(super) fn go_on(&mut self) -> Option<Next> {
        self.heed_payment();
        let step = self.row.step.clone()?;
        if self.is_abandoned(&step) && step.chained {
            // What bakes has no step of its own any more.
            return self.go_back(Trouble::Unwanted);
        }
        if self.is_abandoned(&step) {
            // What was taken away is given back by who has no step.
            self.row.step = None;
            return None;
        }
        if self.is_unwanted(&step) {
            return self.go_back(Trouble::Unwanted);
        }
        match step.phase.clone() {
            Phase::Quiesce => self.quiesce(&step),
            Phase::Drain => self.drain(&step),
            Phase::Drained => self.drained(&step),
            Phase::Stop => self.stop(&step),
            Phase::Switch => self.switch(&step),
            Phase::Start => self.start(&step),
            Phase::Judge(judging) => self.judge(&step, judging),
            Phase::Bake(baking) => self.bake(&step, baking),
            Phase::Commit => self.commit(&step),
            Phase::Retire => self.retire(&step),
        }
    }

    /// Before anything was touched, a step is left for a newer target or a gate that has closed.
    fn is_abandoned(&self, step: &Step) -> bool {
        if !step.is_untouched() || step.back.is_some() {
            return false;
        }
        let wanted = self.seen.wanted.as_ref().is_some_and(|it| it.deployment.is(&step.to));
        let gate = match step.kind {
            Kind::Move => self.gate(),
            Kind::Restart => self.gate_of_restart(),
        };
        !wanted || gate.is_some()
    }

    /// Whether the new one is there, and what was before it is what is wanted.
    fn is_unwanted(&self, step: &Step) -> bool {
        let ends = match step.phase {
            Phase::Commit | Phase::Retire => true,
            Phase::Quiesce
            | Phase::Drain
            | Phase::Drained
            | Phase::Stop
            | Phase::Switch
            | Phase::Start
            | Phase::Judge(_)
            | Phase::Bake(_) => false,
        };
        let wanted = self.seen.wanted.as_ref().map(|it| &it.deployment);
        let the_old = match (wanted, &step.from) {
            (None, _) => true,
            (Some(wanted), Some(from)) => wanted.is(from),
            (Some(_), None) => false,
        };
        step.kind == Kind::Move && step.back.is_none() && !step.is_untouched() && !ends && the_old
    }

    fn quiesce(&mut self, step: &Step) -> Option<Next> {
        let Some(Quiesces { wait, kills }) = step.to.terms.quiesces else {
            return self.enter_drain(step);
        };
        if self.row.owed.quiesced && self.seen.busy.is_empty() && step.tries > 0 {
            return self.enter_drain(step);
        }
        let result = self.came.quiesced.take();
        let over = self.now.since(&step.since).is_some_and(|it| it >= wait);
        if matches!(result, Some(Err(_))) || (over && (!kills || self.is_tried_out())) {
            return self.put_off(step, Trouble::Busy(self.seen.busy.clone()));
        }
        self.row.owed.quiesced = true;
        let asked = step.tries > 0;
        if !asked || (over && result.is_none()) {
            return self.attempt(Act::Quiesce { kill: over });
        }
        let end = step.since.at.saturating_add(wait);
        let look = self.now.at.saturating_add(LOOK_AT_QUIESCED);
        let until = if over { look } else { look.min(end) };
        self.wait(until, Waiting::Quiescing(self.seen.busy.clone()))
    }

    fn enter_drain(&mut self, step: &Step) -> Option<Next> {
        let drains = step.from.as_ref().is_some_and(|it| it.terms.drains);
        match step.way() {
            Switch::BlueGreen => self.enter(Phase::Start),
            Switch::Restart | Switch::Reload | Switch::Socket => {
                let down = self.seen.running.is_empty();
                if drains && !down {
                    self.enter(Phase::Drain)
                } else {
                    self.enter(step.after_drain())
                }
            }
        }
    }

    fn drain(&mut self, step: &Step) -> Option<Next> {
        let result = self.came.drained.take();
        match result {
            Some(Ok(())) => return self.enter(Phase::Drained),
            Some(Err(why)) => return self.put_off(step, Trouble::Drain(why)),
            None => {}
        }
        if self.is_tried_out() {
            return self.put_off(step, Trouble::CutOff);
        }
        self.row.owed.ready = step.from.as_ref().is_some_and(|it| it.terms.readies);
        self.attempt(Act::Drain)
    }

    fn drained(&mut self, step: &Step) -> Option<Next> {
        let open_for = step.from.as_ref().map_or(step.to.terms.drain_for, |it| it.terms.drain_for);
        let end = step.since.at.saturating_add(open_for);
        if self.now.at >= end {
            return self.enter(step.after_drain());
        }
        self.wait(end, Waiting::Draining)
    }

    /// Nothing was touched: it is put off, and what was taken away is given back.
    fn put_off(&mut self, step: &Step, why: Trouble) -> Option<Next> {
        if step.chained {
            return self.go_back(why);
        }
        if let Some(next) = self.pay(false) {
            return Some(next);
        }
        self.try_again(why.clone(), false);
        let finished = self.finish();
        let due = self.due();
        self.ended(End::Failed(why), finished, due)
    }

    fn stop(&mut self, step: &Step) -> Option<Next> {
        let result = self.came.stopped.take();
        let mut why = None;
        let is_over = match result {
            Some(Ok(open)) => {
                self.count_connections(open);
                // What runs again was started by its socket since, from what is in place.
                step.way() == Switch::Socket
            }
            Some(Err(error)) => {
                why = Some(error);
                false
            }
            None => false,
        };
        if is_over || self.seen.running.is_empty() {
            return match (step.kind, step.way()) {
                (Kind::Move, Switch::Restart | Switch::Reload | Switch::BlueGreen) => {
                    self.enter(Phase::Switch)
                }
                (Kind::Move, Switch::Socket) | (Kind::Restart, _) => self.enter(Phase::Start),
            };
        }
        if self.is_tried_out() && step.back.is_none() {
            let why = why.or(step.stuck.clone()).unwrap_or_else(|| STILL_RUNS.into());
            return self.go_back(Trouble::Stop(why));
        }
        self.stuck(why, STILL_RUNS);
        self.give_stop(step)
    }

    /// What a stop takes along is owed before it is given.
    fn give_stop(&mut self, step: &Step) -> Option<Next> {
        self.row.owed.units.extend(self.seen.along.iter().cloned());
        let stopped = self.now.moment();
        if let Some(step) = &mut self.row.step
            && step.back.is_none()
        {
            step.stopped.get_or_insert(stopped);
        }
        let keep_sockets = step.way() == Switch::Socket;
        self.attempt(Act::Stop(Stop::All { keep_sockets }))
    }

    fn count_connections(&mut self, open: u64) {
        if let Some(step) = &mut self.row.step
            && step.back.is_none()
        {
            step.connections.get_or_insert(open);
        }
    }

    fn switch(&mut self, step: &Step) -> Option<Next> {
        let result = self.came.switched.take();
        let heading = step.heading();
        let back = step.back.is_some();
        if self.seen.place.is(heading) {
            return self.switched(step);
        }
        match result {
            Some(Err(why)) if back => self.stuck(Some(why), ""),
            Some(Err(why)) => return self.go_back(Trouble::Switch(why)),
            Some(Ok(())) | None => {}
        }
        if !back && self.is_tried_out() {
            return self.go_back(Trouble::CutOff);
        }
        if let Some(it) = heading.filter(|it| !self.seen.prepared.contains(&it.own)) {
            return if back { self.prepare_to_go_back(it) } else { self.go_back(Trouble::Lost) };
        }
        // Somebody, or a boot, has started it meanwhile.
        let stops = match step.way() {
            Switch::Restart => true,
            Switch::Reload | Switch::Socket | Switch::BlueGreen => false,
        };
        if stops && !self.seen.running.is_empty() {
            return self.give_stop(step);
        }
        self.attempt(Act::Switch(heading.cloned()))
    }

    fn switched(&mut self, step: &Step) -> Option<Next> {
        match (step.way(), step.heading(), &step.back) {
            (Switch::BlueGreen, _, Some(_)) => self.enter(Phase::Retire),
            (Switch::BlueGreen, _, None) => self.enter_bake(step, None),
            (Switch::Socket, Some(it), _) if !self.runs_alone(it) => self.enter(Phase::Stop),
            (Switch::Restart | Switch::Reload | Switch::Socket, Some(_), _) => {
                self.enter(Phase::Start)
            }
            (Switch::Restart | Switch::Reload | Switch::Socket, None, _) => {
                self.went_back(step, None)
            }
        }
    }

    fn start(&mut self, step: &Step) -> Option<Next> {
        let result = self.came.started.take();
        let Some(heading) = step.heading().cloned() else { return self.enter(Phase::Switch) };
        let way = step.way();
        let beside = way == Switch::BlueGreen;
        if !beside && step.kind == Kind::Move && !self.seen.place.is(Some(&heading)) {
            return self.enter(Phase::Switch);
        }
        if self.is_booted_out() {
            return self.go_back(Trouble::CutOff);
        }
        // Also where a boot has started it.
        if !beside && heading.terms.readies {
            self.row.owed.ready = true;
        }
        let runs = self.is_running(&heading.own) && way != Switch::Reload;
        // In blue-green the traffic goes back, and the other slot stops, whatever becomes of this one.
        let goes_on = beside && step.back.is_some() && (result.is_some() || self.is_tried_out());
        match result {
            None if runs || goes_on => return self.enter_judge(step),
            Some(Ok(())) => return self.enter_judge(step),
            Some(Err(_)) if goes_on => return self.enter_judge(step),
            Some(Err(why)) => return self.found_ill(step, why),
            None => {}
        }
        if self.is_tried_out() {
            let reason = "its start was cut off again and again".into();
            return match step.back {
                None => self.go_back(Trouble::CutOff),
                Some(_) => self.found_ill(step, Illness { reason, journal: vec![] }),
            };
        }
        let how = match way {
            Switch::Reload => Start::Reload,
            Switch::BlueGreen if step.back.is_none() => Start::Beside,
            Switch::BlueGreen | Switch::Restart | Switch::Socket => Start::Start,
        };
        self.attempt(Act::Start { deployment: heading, how })
    }

    fn enter_judge(&mut self, step: &Step) -> Option<Next> {
        // In blue-green the traffic goes back to the one before first, and then the other slot stops.
        if step.way() == Switch::BlueGreen && step.back.is_some() {
            if !self.seen.place.is(step.from.as_ref()) {
                return self.enter(Phase::Switch);
            }
            if self.others_run(step.from.as_ref()) {
                return self.enter(Phase::Retire);
            }
        }
        self.enter(Phase::Judge(Judging::default()))
    }

    /// The program that the step leads to does not start, or is not well.
    pub(super) fn found_ill(&mut self, step: &Step, why: Illness) -> Option<Next> {
        match (&step.back, step.kind) {
            (Some(_), _) => self.went_back(step, Some(why.reason)),
            (None, Kind::Move) => self.go_back(ill(why)),
            (None, Kind::Restart) => self.failed_restart(step, ill(why)),
        }
    }

    /// The program that the step leads to is well.
    pub(super) fn found_well(&mut self, step: &Step, judging: Judging) -> Option<Next> {
        match (&step.back, step.kind, step.way()) {
            (Some(_), _, _) => self.went_back(step, None),
            (None, Kind::Restart, _) => {
                let finished = self.finish();
                self.row.again = None;
                let due = self.due();
                self.ended(End::Restarted, finished, due)
            }
            (None, Kind::Move, Switch::BlueGreen) => self.enter(Phase::Switch),
            (None, Kind::Move, Switch::Restart | Switch::Reload | Switch::Socket) => {
                self.enter_bake(step, Some(judging))
            }
        }
    }

    fn enter_bake(&mut self, step: &Step, judging: Option<Judging>) -> Option<Next> {
        if step.to.terms.bake.is_zero() || self.seen.by.is_now() {
            return self.enter_commit(step);
        }
        let (asked, process) = judging.map_or((None, None), |it| (it.asked, it.process));
        self.enter(Phase::Bake(Baking { asked, ill: None, process }))
    }

    pub(super) fn enter_commit(&mut self, step: &Step) -> Option<Next> {
        let other = |it: &&Deployment| !it.is(&step.to);
        if let Some(from) = step.from.as_ref().filter(other) {
            self.row.previous = Some(from.clone());
        }
        self.row.current = Some(step.to.clone());
        self.row.again = None;
        self.enter(Phase::Commit)
    }

    fn commit(&mut self, step: &Step) -> Option<Next> {
        let result = self.came.committed.take();
        // Links that could not be written are drift, and are repaired as such.
        if matches!(result, Some(Ok(()))) || self.is_tried_out() {
            let runs_beside = step.way() == Switch::BlueGreen;
            return if runs_beside { self.enter(Phase::Retire) } else { self.committed() };
        }
        let previous = self.row.previous.clone();
        self.attempt(Act::Commit { current: step.to.clone(), previous })
    }

    fn committed(&mut self) -> Option<Next> {
        let finished = self.finish();
        let newer = self.seen.wanted.as_ref().is_none_or(|wanted| {
            !self.row.current.as_ref().is_some_and(|it| it.is(&wanted.deployment))
        });
        let due = if newer { super::time::Until::Boot(self.now.at) } else { self.due() };
        self.ended(End::Committed, finished, due)
    }

    pub(super) fn others_run(&self, but: Option<&Deployment>) -> bool {
        self.seen.running.iter().any(|it| it.as_ref() != but.map(|it| &it.own))
    }

    fn runs_alone(&self, it: &Deployment) -> bool {
        self.is_running(&it.own) && !self.others_run(Some(it))
    }

    /// Blue-green: the slot that gets no traffic any more stops.
    fn retire(&mut self, step: &Step) -> Option<Next> {
        let stays = step.heading();
        if !self.others_run(stays) {
            return match (&step.back, stays) {
                (None, _) => self.committed(),
                (Some(_), Some(_)) => self.enter(Phase::Judge(Judging::default())),
                (Some(_), None) => self.went_back(step, None),
            };
        }
        let end = step.since.at.saturating_add(step.to.terms.drain_for);
        if step.back.is_none() && step.tries == 0 && self.now.at < end {
            return self.wait(end, Waiting::Retiring);
        }
        self.stuck(None, "the program in the other slot still runs");
        self.attempt(Act::Stop(Stop::Others { but: stays.cloned() }))
    }
}

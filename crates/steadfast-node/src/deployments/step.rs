//! The steps of a run's components: of one after the other it is looked what there is, decided what is next, and that is
//! done, until there is something to wait for or nothing more to do.
//!
//! The row is on the disk before an act is begun. A run by hand waits here for what does not take long; one of the agent
//! never waits, and says when it is to come again.

use super::fates::{Fate, Fates};
use super::gates;
use super::instance::Instance;
use super::stepping::{Asking, Stepping, Stopped, Taken, clock};
use super::told::Told;
use super::{secrets, shown};
use std::sync::Arc;
use steadfast_engine::component::{
    self, Became, By, Deployment, Done, End, Gate, Health, Next, Now, Report, Row, Stage, Until,
    Waiting,
};
use steadfast_model::PromiseId;
use steadfast_trust::text::chain;

/// So often one component goes on in one run by hand after a step was committed that a newer one has overtaken.
const OVERTAKEN: usize = 3;

impl Stepping<'_, '_> {
    /// All of them. `fates` is what became of their promises before.
    pub(crate) fn take(mut self, fates: &Fates) -> Taken {
        let mut taken = Taken::default();
        for at in self.order() {
            let fate = fates.of(&self.deploying.all[at].unit);
            let repaired = std::mem::take(&mut self.repaired);
            if let Some(told) = self.one(at, fate, &mut taken) {
                self.write_down(&told);
                if told.is_switched() {
                    taken.repaired.append(&mut self.repaired);
                }
                taken.told.push(told);
            }
            self.repaired = repaired;
        }
        taken
    }

    fn order(&self) -> Vec<usize> {
        let wanted = self.deploying.wanted();
        component::order(&self.deploying.standings(&wanted))
    }

    fn one(&mut self, at: usize, fate: Fate, taken: &mut Taken) -> Option<Told> {
        let instance = &self.deploying.all[at];
        // Neither it nor its step is what the run is about.
        if !(self.of.is_asked)(instance) {
            return None;
        }
        let nothing_is_known = instance.known.row == Row::default() && instance.wanted.is_none();
        if let Some(trouble) =
            instance.trouble.clone().filter(|_| nothing_is_known && instance.mistake.is_none())
        {
            return Some(self.failed(at, trouble));
        }
        let next = match instance.mistaken().filter(|_| nothing_is_known) {
            Some((until, why)) => Ok(Next::Wait { row: Row::default(), until, why }),
            None => self.go_on(at),
        };
        self.audience.progress(None);
        let now = match self.now() {
            Ok(now) => now,
            Err(error) => return Some(self.failed(at, error.chain().join(": "))),
        };
        let next = match next {
            Ok(next) => self.with_mistake(at, next),
            Err(Stopped::Unseen(error)) => {
                return Some(self.failed(at, error.chain().join(": ")));
            }
            Err(Stopped::Unwritten(words)) => return Some(self.failed(at, words)),
        };
        let instance = &self.deploying.all[at];
        taken.due.insert(PromiseId(Arc::clone(&instance.unit.0)), due(&next, &now));
        let wanted = instance.wanted().map(|it| it.deployment);
        let report = component::report(&instance.id, &next, wanted.as_ref(), &now, &clock)?;
        let report = self.with_health(at, with_drift(report, instance, fate));
        self.ended(at, &next, &report);
        let instance = &self.deploying.all[at];
        Some(Told::new(report, instance.span()).with_journal(&next))
    }

    /// That its documents have mistakes is told where nothing else is.
    fn with_mistake(&self, at: usize, next: Next) -> Next {
        match (self.deploying.all[at].mistaken(), next) {
            (Some((until, why)), Next::Ended { row, end: End::Settled, .. }) => {
                Next::Wait { row, until, why }
            }
            (_, next) => next,
        }
    }

    /// What its services are not asked is asked of a component that is kept.
    fn with_health(&self, at: usize, report: Report) -> Report {
        let instance = &self.deploying.all[at];
        let runs = instance.row().current.as_ref().filter(|_| instance.is_at_rest());
        let Some(runs) = runs.filter(|_| report.outcome == Became::Kept) else { return report };
        let Some(frozen) = instance.documents.get(&runs.own) else { return report };
        let services_are_asked = frozen.health(&runs.folder).is_some();
        if services_are_asked || frozen.conduct.ask(&runs.folder).is_none() {
            return report;
        }
        match self.ask(at, runs).health {
            Health::Well => report,
            Health::Ill(why) | Health::Dead(why) => {
                let reason = Some(format!("it is not well: {}", why.reason));
                Report { outcome: Became::NotKept, reason, ..report }
            }
        }
    }

    fn failed(&self, at: usize, reason: String) -> Told {
        self.deploying.all[at].told(Became::NotKept, None, Some(reason))
    }

    /// What is next, and that is done, until there is nothing to be done now.
    fn go_on(&mut self, at: usize) -> Result<Next, Stopped> {
        let mut done: Option<Done> = None;
        let mut overtaken = 0;
        loop {
            let now = self.now().map_err(Stopped::Unseen)?;
            let closed = self.closed(at, &now);
            let seen = self.look(at, closed, done.take())?;
            let next = component::next(self.deploying.all[at].row(), &seen, &now);
            let row = match &next {
                Next::Act { row, .. } | Next::Wait { row, .. } | Next::Ended { row, .. } => row,
            };
            self.put(at, row.clone()).map_err(Stopped::Unwritten)?;
            if let Next::Ended { end, .. } = &next
                && leaves_something(end)
            {
                self.clear_away(at);
            }
            match &next {
                Next::Act { row: _, act } => {
                    tracing::debug!(component = %self.deploying.all[at].id, ?act, "step");
                    done = Some(self.act(at, act));
                }
                Next::Wait { until: Until::Boot(until), why, row: _ } if self.waits_for(why) => {
                    self.tell_waiting(at, why);
                    std::thread::sleep(until.saturating_sub(now.at));
                }
                Next::Ended { end: End::Committed, due: Until::Boot(due), .. }
                    if *due <= now.at && self.waits_at_all() && overtaken < OVERTAKEN =>
                {
                    overtaken += 1;
                    let it = &self.deploying.all[at];
                    let wanted = it.wanted().map(|it| it.deployment);
                    let report = component::report(&it.id, &next, wanted.as_ref(), &now, &clock);
                    report.iter().for_each(|report| self.ended(at, &next, report));
                }
                Next::Wait { .. } | Next::Ended { .. } => return Ok(next),
            }
        }
    }

    /// A step that has ended is one of the component's history.
    fn ended(&mut self, at: usize, next: &Next, report: &Report) {
        let Next::Ended { step: Some(step), .. } = next else { return };
        let by = self.of.who.clone();
        let written = self
            .now()
            .ok()
            .map(|now| shown::stepped(report, (step.number, by), now.wall, self.store));
        if let Some(Err(error)) = written {
            let component = &self.deploying.all[at].id;
            self.audience
                .warn(&format!("a step of {component} is not in its history: {}", chain(&error)));
        }
    }

    /// What is told of a component is known afterwards, too.
    fn write_down(&mut self, told: &Told) {
        let Ok(now) = self.now() else { return };
        if let Err(error) = shown::tell(&told.report, now.wall, self.store) {
            self.audience.warn(&chain(&error));
        }
    }

    /// The gates that are closed to it; since when something is wanted is written down.
    fn closed(&mut self, at: usize, now: &Now) -> Vec<Gate> {
        let wanted = self.deploying.wanted();
        let beside = component::beside(&self.deploying.standings(&wanted), at);
        let instance = &mut self.deploying.all[at];
        let mut closed = closed_to(instance, wanted[at].as_ref(), &self.of, now);
        closed.extend(beside);
        closed
    }

    /// Writes the row down, where it is another.
    fn put(&mut self, at: usize, row: Row) -> Result<(), String> {
        let instance = &mut self.deploying.all[at];
        let began = row.steps > instance.known.row.steps;
        instance.known.row = row;
        instance.known.rise();
        if began {
            self.of.restarts = self.of.restarts.saturating_add(1);
        }
        self.write(at)
    }

    fn waits_at_all(&self) -> bool {
        match self.of.by {
            By::Agent => false,
            By::Hand { .. } => true,
        }
    }

    fn waits_for(&self, why: &Waiting) -> bool {
        self.waits_at_all() && why.is_waited_for(self.of.waits)
    }

    fn tell_waiting(&mut self, at: usize, why: &Waiting) {
        let words = format!("component:{} {}", self.deploying.all[at].id, why.words(&clock));
        self.audience.progress(Some(&words));
    }
}

/// Whether a step has ended after which there may be more than is needed.
fn leaves_something(end: &End) -> bool {
    match end {
        End::Committed
        | End::WentBack(_)
        | End::Inconclusive(_)
        | End::Withdrawn
        | End::Failed(_) => true,
        End::Absent | End::Settled | End::Restarted | End::Bad(_) => false,
    }
}

/// The gates that are closed to a component, but for those that others close.
pub(super) fn closed_to(
    instance: &mut Instance,
    wanted: Option<&Deployment>,
    of: &Asking<'_>,
    now: &Now,
) -> Vec<Gate> {
    let asked = gates::Asked {
        node: of.node,
        now,
        suspended: of.suspended.clone(),
        is_report_only: of.is_report_only,
        is_going_back: of.is_going_back,
        limit: of.limit,
        restarts: of.restarts,
    };
    let is_asked = (of.is_asked)(instance);
    let keep = instance.keep();
    let of = gates::Of {
        id: &instance.id,
        rollout: &instance.rollout,
        keep,
        is_asked,
        mistake: instance.mistake.clone(),
        wanted,
        position: instance.known.position.as_deref(),
    };
    gates::closed(&mut instance.known.row, &of, &asked)
}

impl Instance {
    /// A verdict on it, where no step of it says more.
    pub(super) fn told(
        &self,
        outcome: Became,
        step: Option<Stage>,
        reason: Option<String>,
    ) -> Told {
        let report = Report { reason, ..Report::of(&self.id, self.row(), outcome, step) };
        Told::new(report, self.span())
    }
}

/// What became of its promises while its step did not change them.
fn with_drift(mut report: Report, instance: &Instance, fate: Fate) -> Report {
    match report.outcome {
        Became::Kept => {}
        Became::Repaired | Became::NotKept => return report,
        Became::Held => {
            report.reason = report.reason.map(|it| with_newer_secret(it, instance));
            return report;
        }
    }
    debug_assert!(report.step.is_none_or(|it| it != Stage::Failed), "{report:?}");
    // Its promises say why, where they are not kept.
    (report.outcome, report.reason) = match &instance.trouble {
        Some(words) => (Became::NotKept, Some(words.clone())),
        None if !fate.failed.is_empty() => (Became::NotKept, fate.why()),
        None if !fate.held.is_empty() => (Became::Held, fate.why()),
        None if !fate.repaired.is_empty() => (Became::Repaired, None),
        None => (Became::Kept, None),
    };
    report
}

/// Who waits with the secrets that it has is told so.
fn with_newer_secret(reason: String, instance: &Instance) -> String {
    let document = |it: &Deployment| instance.documents.get(&it.own);
    let current = instance.row().current.as_ref().and_then(document);
    let wanted = instance.wanted.as_ref().and_then(|it| document(&it.deployment));
    let newer = current.zip(wanted).and_then(|(current, wanted)| secrets::newer(current, wanted));
    newer.map_or(reason.clone(), |it| format!("{reason}; {it}"))
}

/// In how many milliseconds a component is to be asked again. What has just ended is looked at once more: other promises
/// hold from now on.
fn due(next: &Next, now: &Now) -> Option<u64> {
    let millis = |it: u128| u64::try_from(it).unwrap_or(u64::MAX);
    let until = match next {
        Next::Ended { step: Some(_), .. } => return Some(0),
        Next::Wait { until, .. } | Next::Ended { due: until, step: None, .. } => until,
        Next::Act { .. } => return None,
    };
    match until {
        Until::Boot(due) => Some(millis(due.saturating_sub(now.at).as_millis())),
        Until::Wall(due) => {
            let seconds = u64::try_from(due.saturating_sub(now.wall)).unwrap_or(0);
            Some(seconds.saturating_mul(1_000))
        }
        Until::Change => None,
    }
}

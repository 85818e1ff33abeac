//! Units in a run: what one costs is paid before it begins, and it ends whole or not at all.

use super::run::{Run, Work};
use crate::budget::Spent;
use crate::event::{Event, Reporter, Step};
use crate::outcome::{Held, NotKept, Outcome};
use crate::step;
use crate::unit::UnitId;
use steadfast_resources::Change;

impl Run<'_> {
    /// What holds a member of a unit that costs more than the budget has left.
    pub(super) fn beyond_budget(&self, at: usize) -> Option<Held> {
        let unit = self.promises.all[at].unit.as_ref()?;
        self.charged.get(unit)?.as_ref().err().cloned()
    }

    /// Members of a unit that is known to be broken are not changed.
    pub(super) fn hold_broken(&mut self, work: &mut Work) {
        work.retain(|(at, _)| {
            let unit = self.promises.unit_of(*at);
            let broken = unit.and_then(|it| step::broken(self.promises, it, &self.outcomes));
            let Some(needed) = broken else { return true };
            let held = self.beyond_budget(*at).unwrap_or(Held::NeedNotKept { needed });
            self.outcomes[*at] = Some(Outcome::Held(held));
            false
        });
    }

    /// Takes what the work costs from the budget. What it is not enough for is not done.
    pub(super) fn pay_for(&mut self, work: &mut Work) {
        work.retain(|(at, changes)| match self.spend(*at, changes) {
            Ok(()) => true,
            Err(held) => {
                self.outcomes[*at] = Some(Outcome::Held(held));
                false
            }
        });
    }

    /// Pays for one promise, or for its whole unit where that has not begun yet.
    fn spend(&mut self, at: usize, changes: &[Change]) -> Result<(), Held> {
        let cost = Spent::count(changes);
        let Some(unit) = self.promises.unit_of(at) else { return self.meter.spend(cost) };
        if let Some(charged) = self.charged.get(&unit.id) {
            charged.clone()?;
            // What was not foreseen of a member is paid when it is known.
            let prepaid = self.prepaid.remove(&at).unwrap_or_default();
            return self.meter.spend(cost.without(prepaid));
        }
        let open = unit.members.iter().filter(|it| **it != at && self.outcomes[**it].is_none());
        let others: Vec<(usize, Spent)> =
            open.map(|it| (*it, self.plan.entries[*it].cost_in_unit())).collect();
        let whole = others.iter().fold(cost, |all, (_, it)| all.and(*it));
        let charged = self.meter.spend(whole);
        self.charged.insert(unit.id.clone(), charged.clone());
        charged?;
        self.prepaid.extend(others);
        Ok(())
    }

    /// Writes down which units begin to change. What cannot be written down is not changed.
    pub(super) fn begin_steps(&mut self, work: &mut Work, out: &mut dyn Reporter) {
        work.retain(|(at, changes)| {
            let Some(unit) = self.promises.unit_of(*at) else { return true };
            let Err(error) = self.ledger.begin_step(&unit.id) else {
                if self.begun.insert(unit.id.clone()) {
                    out.report(&Event::Step { unit: &unit.id, step: Step::Begun });
                }
                return true;
            };
            if let Some(change) = changes.first() {
                let change = Box::new(change.clone());
                self.outcomes[*at] = Some(Outcome::NotKept(NotKept::Failed { change, error }));
            }
            false
        });
    }

    /// Units of which a member is not as promised are taken back, and their other members wait for it.
    pub(super) fn end_steps(&mut self, out: &mut dyn Reporter) {
        let taken_back = step::end(self.promises, &self.outcomes, self.sys, self.ledger, out);
        for (unit, wholly) in &taken_back {
            step::hold(self.promises, unit, &mut self.outcomes);
            if *wholly {
                self.forget_done(unit);
            }
        }
    }

    /// What was taken back was not done. A restart stays one.
    fn forget_done(&mut self, unit: &UnitId) {
        let its = self.promises.units.iter().filter(|it| it.id == *unit);
        for at in its.flat_map(|it| &it.members) {
            self.done[*at].retain(|it| it.as_runner().is_some_and(|it| it.pays().is_some()));
        }
    }
}

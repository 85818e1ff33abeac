//! Giving back what was taken away for a step: traffic, units that stood still, units that a stop took along.

use super::act::{Act, Debt, Next};
use super::reason::Waiting;
use super::row::Owing;

use super::turn::Turn;
use std::time::Duration;

/// What could not be given back is tried again so often.
const AGAIN: Duration = Duration::from_secs(60);

impl Turn<'_> {
    /// Takes in whether a debt was paid.
    pub(super) fn heed_payment(&mut self) {
        let paid = self.came.paid.take();
        let Some((debt, result)) = paid else { return };
        let what = match debt {
            Debt::Units(_) => Owing::Units,
            Debt::Ready => Owing::Ready,
            Debt::Quiesced => Owing::Quiesced,
        };
        match result {
            Ok(()) => self.row.owed.paid(what),
            Err(why) => self.row.owed.not_paid(what, why, self.now),
        }
    }

    /// Gives back the next thing. Traffic only to a program that has just answered well.
    pub(super) fn pay(&mut self, well: bool) -> Option<Next> {
        if self.may_pay(Owing::Units) {
            let units = self.row.owed.units.clone();
            return self.act(Act::Pay(Debt::Units(units)));
        }
        if well && self.may_pay(Owing::Ready) {
            return self.act(Act::Pay(Debt::Ready));
        }
        if self.may_pay(Owing::Quiesced) {
            return self.act(Act::Pay(Debt::Quiesced));
        }
        None
    }

    /// Whether it is owed, and was not tried just now.
    pub(super) fn may_pay(&self, what: Owing) -> bool {
        let owed = &self.row.owed;
        let owes = match what {
            Owing::Units => !owed.units.is_empty(),
            Owing::Ready => owed.ready,
            Owing::Quiesced => owed.quiesced,
        };
        let failed = owed.failed(what).and_then(|it| self.now.since(&it.at));
        owes && failed.is_none_or(|it| it >= AGAIN)
    }

    /// When the next debt is to be paid.
    pub(super) fn debts_due(&self) -> Option<Duration> {
        if self.row.owed.is_nothing() {
            return None;
        }
        let dues = self.row.owed.failed.iter().map(|it| it.at.at.saturating_add(AGAIN));
        Some(dues.min().unwrap_or(self.now.at))
    }

    /// What is still owed, where nothing else is to be done.
    pub(super) fn wait_for_debts(&mut self) -> Option<Next> {
        let due = self.debts_due()?;
        let why = self.row.owed.failed.last().map(|it| it.why.clone());
        let why = why.unwrap_or_else(|| "it has not answered well yet".into());
        self.wait(due, Waiting::Owed(why))
    }
}

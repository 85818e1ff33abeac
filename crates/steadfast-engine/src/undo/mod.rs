//! Taking back what earlier runs made of the machine, thing by thing: when a node goes back from a bad
//! revision, and when something leaves the model and the policy says so.
//!
//! A thing is touched only where it is known what was there before, and only if it is now what was left
//! there. Everything else is told, and stays.

pub mod plan;
pub(crate) mod traces;

use crate::budget::{Budget, BudgetMeter, Spent};
use crate::event::{Event, Reporter};
use crate::ledger::{Extent, Ledger, NotUndone, UndoEntry, key};
use crate::runner::pay::{self, Debtor};
use crate::unit::Scope;
use plan::{UndoPlan, look, within};
use std::collections::{BTreeMap, HashMap};
use steadfast_model::PromiseId;
use steadfast_resources::undo::Now;
use steadfast_resources::{Change, Facet, FacetState};
use steadfast_system::{Actuate, SystemError, services};

/// Takes things back, and looks whether they are: one result for each. What is done already is found
/// so, also after a run that was cut off in the middle.
pub fn undo(
    made: &[UndoEntry],
    extent: Extent,
    budget: Budget,
    sys: &dyn Actuate,
    ledger: &mut dyn Ledger,
    out: &mut dyn Reporter,
) -> Vec<Result<(), NotUndone>> {
    let mut meter = BudgetMeter::new(budget);
    let first = within(made, extent, &mut meter, sys.as_probe());
    let todo: Vec<usize> = (0..made.len()).filter(|at| is_due(&first[*at], &made[*at])).collect();
    let mut undoing = Undoing::new(made, extent, sys, meter, first);
    if !todo.is_empty() {
        // A restart that follows from it must not be forgotten where the run ends in the middle.
        match begin(made, &todo, sys, ledger) {
            Ok(debtors) => {
                undoing.run(&todo, out);
                undoing.pay(debtors, ledger);
            }
            Err(error) => {
                let error = error.during("write down what is about to be taken back");
                for at in todo {
                    undoing.results[at] = Err(NotUndone::Failed(error.clone()));
                }
            }
        }
    }
    undoing.tell(out);
    undoing.results
}

/// Whether there is something to do, or may be when its turn comes: a user who has processes now may have
/// none once a service has stopped.
fn is_due(first: &UndoPlan, made: &UndoEntry) -> bool {
    match first {
        UndoPlan::Changes(_) | UndoPlan::Stays(NotUndone::Refused(_)) => true,
        UndoPlan::Back
        | UndoPlan::Stays(
            NotUndone::ChangedSince
            | NotUndone::Unknown
            | NotUndone::OtherVersion
            | NotUndone::ContentGone
            | NotUndone::Replaced
            | NotUndone::Held(_)
            | NotUndone::Failed(_)
            | NotUndone::StillDiffers,
        ) => made.begun,
    }
}

/// Writes down what is about to be taken back, each with those of its scope, and what the runners that read
/// it will owe.
fn begin(
    made: &[UndoEntry],
    todo: &[usize],
    sys: &dyn Actuate,
    ledger: &mut dyn Ledger,
) -> Result<Vec<Debtor>, SystemError> {
    let mut scopes: BTreeMap<&Scope, Vec<Facet>> = BTreeMap::new();
    for at in todo {
        scopes.entry(&made[*at].scope).or_default().push(made[*at].facet.clone());
    }
    scopes.into_iter().try_for_each(|(scope, things)| ledger.begin_undo(scope, &things))?;
    pay::owe(made, todo, sys, ledger)
}

/// Things are taken back in this order: what runs stops before its files go, files go before the
/// directories and the accounts that they belong to, and what is to run again starts at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Off,
    Remove,
    PutBack,
    Members,
    Users,
    Groups,
    Packages,
    On,
}

const TURNS: [Turn; 8] = [
    Turn::Off,
    Turn::Remove,
    Turn::PutBack,
    Turn::Members,
    Turn::Users,
    Turn::Groups,
    Turn::Packages,
    Turn::On,
];

impl Turn {
    fn of_entry(made: &UndoEntry) -> Turn {
        match &made.facet {
            Facet::Path(_) if made.before == FacetState::Nothing => Turn::Remove,
            Facet::Path(_) | Facet::Setting(_) => Turn::PutBack,
            Facet::Member { .. } => Turn::Members,
            Facet::User(_) | Facet::Keys(_) => Turn::Users,
            Facet::Group(_) => Turn::Groups,
            Facet::Package(_) => Turn::Packages,
            Facet::Running(_) | Facet::Enabled(_) if made.before == FacetState::There => Turn::On,
            Facet::Running(_) | Facet::Enabled(_) => Turn::Off,
        }
    }
}

struct Undoing<'a> {
    made: &'a [UndoEntry],
    extent: Extent,
    sys: &'a dyn Actuate,
    /// What is left to spend on what nobody foresaw.
    meter: BudgetMeter,
    /// What was refused at first.
    refused: Vec<bool>,
    done: Vec<Vec<Change>>,
    results: Vec<Result<(), NotUndone>>,
}

impl<'a> Undoing<'a> {
    fn new(
        made: &'a [UndoEntry],
        extent: Extent,
        sys: &'a dyn Actuate,
        meter: BudgetMeter,
        first: Vec<UndoPlan>,
    ) -> Undoing<'a> {
        let is_refused = |it: &UndoPlan| matches!(it, UndoPlan::Stays(NotUndone::Refused(_)));
        let refused = first.iter().map(is_refused).collect();
        let result = |it| match it {
            // What was refused is asked again when its turn comes.
            UndoPlan::Back | UndoPlan::Changes(_) | UndoPlan::Stays(NotUndone::Refused(_)) => {
                Ok(())
            }
            UndoPlan::Stays(left) => Err(left),
        };
        let results = first.into_iter().map(result).collect();
        Undoing { made, extent, sys, meter, refused, done: vec![vec![]; made.len()], results }
    }

    fn run(&mut self, todo: &[usize], out: &mut dyn Reporter) {
        for turn in TURNS {
            let its =
                |at: &usize| Turn::of_entry(&self.made[*at]) == turn && self.results[*at].is_ok();
            let mut which: Vec<usize> = todo.iter().copied().filter(its).collect();
            match turn {
                // What lies in a directory goes before it, and comes after it.
                Turn::Remove => which.sort_by(|a, b| self.made[*b].facet.cmp(&self.made[*a].facet)),
                Turn::PutBack => {
                    which.sort_by(|a, b| self.made[*a].facet.cmp(&self.made[*b].facet));
                }
                Turn::Off
                | Turn::Members
                | Turn::Users
                | Turn::Groups
                | Turn::Packages
                | Turn::On => {}
            }
            self.turn(&which, out);
            if turn == Turn::PutBack {
                self.daemon_reload(todo);
            }
        }
    }

    fn turn(&mut self, which: &[usize], out: &mut dyn Reporter) {
        let mut work: Vec<(usize, Vec<Change>)> = vec![];
        for (at, plan) in which.iter().zip(look(self.made, which, self.extent, self.sys.as_probe()))
        {
            match plan {
                UndoPlan::Back => {}
                UndoPlan::Stays(left) => self.results[*at] = Err(left),
                UndoPlan::Changes(_) if self.is_in_use(*at) => {
                    let words = "its unit could not be stopped and disabled".to_owned();
                    self.results[*at] = Err(NotUndone::Refused(vec![words]));
                }
                UndoPlan::Changes(changes) if self.refused[*at] => {
                    match self.meter.spend(Spent::count(&changes)) {
                        Ok(()) => work.push((*at, changes)),
                        Err(held) => self.results[*at] = Err(NotUndone::Held(held)),
                    }
                }
                UndoPlan::Changes(changes) => work.push((*at, changes)),
            }
        }
        if work.is_empty() {
            return;
        }
        let told: Vec<(&UndoEntry, &[Change])> =
            work.iter().map(|(at, changes)| (&self.made[*at], &**changes)).collect();
        out.report(&Event::Undoing { work: &told });
        let slices: Vec<&[Change]> = work.iter().map(|(_, it)| it.as_slice()).collect();
        let applied = steadfast_resources::apply(&slices, self.sys);
        let things: Vec<&Facet> = work.iter().map(|(at, _)| &self.made[*at].facet).collect();
        let now = steadfast_resources::observe_facets(&things, self.sys.as_probe());
        for (((at, changes), applied), now) in work.into_iter().zip(applied).zip(now) {
            let is_back = now.as_ref().is_ok_and(|it| self.is_back(at, it));
            let failed = applied.failed().next().map(|(_, error)| error.clone());
            self.results[at] = match (failed, now) {
                (_, Ok(_)) if is_back => {
                    self.done[at].extend(changes);
                    Ok(())
                }
                (Some(error), _) | (None, Err(error)) => Err(NotUndone::Failed(error)),
                (None, Ok(_)) => Err(NotUndone::StillDiffers),
            };
        }
    }

    fn is_back(&self, at: usize, now: &Now) -> bool {
        let sys = self.sys.as_probe();
        self.made[at].before.is_met_by(&now.state, |plain| key(sys, plain))
    }

    /// Whether it is the file of a unit that was to be stopped and disabled before, and was not.
    fn is_in_use(&self, at: usize) -> bool {
        let Facet::Path(path) = &self.made[at].facet else { return false };
        self.made.iter().zip(&self.results).any(|(made, result)| {
            result.is_err()
                && made.before == FacetState::Nothing
                && made
                    .facet
                    .as_unit()
                    .is_some_and(|unit| services::unit_at(path).as_ref() == Some(unit))
        })
    }

    /// Lets systemd read its files again, where one of them was among what was taken back.
    fn daemon_reload(&mut self, todo: &[usize]) {
        let its: Vec<usize> = todo
            .iter()
            .copied()
            .filter(|at| self.results[*at].is_ok())
            .filter(|at| {
                let path = self.made[*at].facet.as_path();
                path.is_some_and(services::is_read_by_systemd)
            })
            .collect();
        if its.is_empty() {
            return;
        }
        let change = [Change::daemon_reload()];
        for applied in steadfast_resources::apply(&[&change], self.sys) {
            if let Some((_, error)) = applied.failed().next() {
                for at in &its {
                    self.results[*at] = Err(NotUndone::Failed(error.clone()));
                }
            }
        }
    }

    /// Runners that have read what is no more, or is again what it was, pay what they owe for it.
    fn pay(&mut self, debtors: Vec<Debtor>, ledger: &mut dyn Ledger) {
        let is_back = |it: &Debtor| it.reads.iter().any(|at| self.results[*at].is_ok());
        let (due, vain): (Vec<Debtor>, Vec<Debtor>) = debtors.into_iter().partition(is_back);
        for debtor in vain {
            // Where the record cannot be written, the debt stays: it is paid without need.
            let _written = pay::forgive(debtor, ledger);
        }
        for (debtor, paid) in due.iter().zip(pay::pay(&due, self.sys, ledger)) {
            let back = debtor.reads.iter().copied().filter(|at| self.results[*at].is_ok());
            let back: Vec<usize> = back.collect();
            match paid {
                Ok(changes) => self.done[back[0]].extend(changes),
                Err(error) => {
                    back.iter()
                        .for_each(|at| self.results[*at] = Err(NotUndone::Failed(error.clone())));
                }
            }
        }
    }

    /// What became of the things of each promise.
    fn tell(&mut self, out: &mut dyn Reporter) {
        let mut told: Vec<(&PromiseId, Vec<Change>, Vec<String>)> = vec![];
        let mut known: HashMap<&PromiseId, usize> = HashMap::new();
        let mut order: Vec<usize> = (0..self.made.len()).collect();
        order.sort_by_key(|at| Turn::of_entry(&self.made[*at]));
        for at in order {
            let made = &self.made[at];
            let changes = std::mem::take(&mut self.done[at]);
            let left = match &self.results[at] {
                Ok(()) => vec![],
                Err(left) => vec![left.because(&made.facet).join(": ")],
            };
            if changes.is_empty() && left.is_empty() {
                continue;
            }
            let at = *known.entry(&made.promise).or_insert(told.len());
            match told.get_mut(at) {
                Some((_, all, reasons)) => {
                    all.extend(changes);
                    reasons.extend(left);
                }
                None => told.push((&made.promise, changes, left)),
            }
        }
        for (promise, changes, left) in &told {
            tracing::info!(%promise, changes = changes.len(), left = left.len(), "taken back");
            out.report(&Event::Undone { promise, changes, left });
        }
    }
}

//! Carrying a plan out: look, decide, record what will be owed, act, look again, judge. The only driver
//! of effects; every decision is made by `plan` and by the kinds.

mod debts;
mod judge;
mod run;
mod secrets;
mod settling;
mod unit_files;
mod units;

use crate::budget::BudgetMeter;
use crate::check::{Flaw, check};
use crate::event::{Event, Reporter};
use crate::ledger::{Ledger, UndoEntry};
use crate::observed::{Observed, Observer};
use crate::obstacles;
use crate::outcome::{Held, NotKept, Outcome, Summary};
use crate::plan::{self, Circumstances, Forecast, Plan};
use crate::promised::{Promises, Settleable};
use crate::runner::inputs::has;
use crate::step;
use crate::undo::traces;
use run::{Run, Work, WrittenDown};
use std::collections::{BTreeMap, BTreeSet};
use steadfast_model::{Keep, PromiseId};
use steadfast_resources::{AloneTree, Applied, Change, Difference, Refusal, Resource};
use steadfast_system::{Actuate, ErrorKind, SystemError};

/// How often a promise is attempted in one run. Twice: a package that was installed may have moved what
/// had been right before.
const ROUNDS: usize = 2;

/// What the machine showed of all promises, and what a run would do about it.
#[derive(Debug)]
pub struct Assessment {
    observed: Observed,
    circumstances: Circumstances,
    pub plan: Plan,
}

impl Assessment {
    /// What is wrong with the plan; nothing, if this program makes no mistake.
    pub fn flaws(&self, promises: &Promises) -> Vec<Flaw> {
        check(promises, &self.observed, &self.plan, self.circumstances.budget)
    }

    /// Whether everything is kept, there is nothing to be said of it, and every path leads where it seems to.
    pub fn is_plainly_kept(&self) -> bool {
        self.is_plainly_kept_but(|_| false)
    }

    /// The same of all promises but these, by index.
    pub fn is_plainly_kept_but(&self, may_differ: impl Fn(usize) -> bool) -> bool {
        let is_kept = |it: &plan::Entry| it.forecast == Forecast::Kept && it.notes.is_empty();
        self.plan.entries.iter().enumerate().all(|(at, it)| may_differ(at) || is_kept(it))
            && !self.observed.leads_elsewhere()
    }

    /// The promises whose verdict hangs on nothing but a file.
    pub fn alone<'s>(&'s self, promises: &'s Promises) -> Vec<Settleable<'s>> {
        promises.alone(&self.observed.states)
    }

    /// The same of directories with all that is in them.
    pub fn alone_trees<'s>(&'s self, promises: &'s Promises) -> Vec<(usize, AloneTree<'s>)> {
        promises.alone_trees(&self.observed.states)
    }
}

/// Looks at everything. The machine is not changed by it.
pub fn look(
    promises: &Promises,
    observer: Observer<'_>,
    ledger: &dyn Ledger,
    circumstances: Circumstances,
) -> Assessment {
    let observed = Observed::all(promises, observer, ledger);
    let plan = plan::plan(promises, &observed, circumstances);
    Assessment { observed, circumstances, plan }
}

/// Says what a run would do.
pub fn dry_run(promises: &Promises, assessment: Assessment, out: &mut dyn Reporter) -> Plan {
    out.report(&Event::Planned { promises, plan: &assessment.plan });
    assessment.plan
}

/// Brings the machine from what was just seen of it to the promises, and judges each of them.
pub fn converge(
    promises: &Promises,
    assessment: Assessment,
    sys: &dyn Actuate,
    ledger: &mut dyn Ledger,
    out: &mut dyn Reporter,
) -> Summary {
    let _span = tracing::debug_span!("run", promises = promises.count()).entered();
    // What an earlier run left in the middle goes first, so what was seen may be so no more.
    let assessment = match step::take_back_open(sys, ledger, out) {
        true => look(promises, Observer::MayRun(sys), ledger, assessment.circumstances),
        false => assessment,
    };
    let Assessment { observed, circumstances, plan } = assessment;
    out.report(&Event::Planned { promises, plan: &plan });
    let count = promises.all.len();
    let mut run = Run {
        promises,
        sys,
        ledger,
        meter: BudgetMeter::new(circumstances.budget),
        plan: &plan,
        charged: BTreeMap::new(),
        begun: BTreeSet::new(),
        prepaid: BTreeMap::new(),
        observed,
        stale: vec![false; count],
        drifted: BTreeSet::new(),
        done: vec![vec![]; count],
        outcomes: vec![None; count],
        notes: vec![vec![]; count],
        noted: BTreeMap::new(),
        retry: vec![],
        pending: vec![],
        systemd_read: false,
        last_round: false,
    };
    let former_secrets = run.remember_secrets();
    if !plan.is_kept() {
        run.drifted = (0..count).filter(|at| !run.is_kept(*at)).collect();
    }
    for round in 0..ROUNDS {
        run.last_round = round + 1 == ROUNDS;
        run.waves(out);
        if round + 1 < ROUNDS && !run.reopen() {
            break;
        }
    }
    run.confirm();
    run.pay_systemd();
    run.end_steps(out);
    run.forget_secrets(&former_secrets);
    run.judge(out)
}

enum Decision {
    Settled(Outcome),
    Apply(Vec<Change>),
}

impl Run<'_> {
    fn wave(&mut self, wave: &[usize], out: &mut dyn Reporter) {
        let open: Vec<usize> = wave
            .iter()
            .copied()
            .filter(|at| self.outcomes[*at].is_none() && self.promises.all[*at].selected)
            .filter(|at| !self.waits(*at))
            .collect();
        self.refresh(&open);
        self.ask(&open);
        let mut work: Work = vec![];
        for at in open.iter().copied() {
            match self.decide(at) {
                Decision::Settled(outcome) => self.outcomes[at] = Some(outcome),
                Decision::Apply(changes) => work.push((at, changes)),
            }
        }
        self.hold_broken(&mut work);
        self.pay_for(&mut work);
        self.hold_broken(&mut work);
        self.begin_steps(&mut work, out);
        let written = self.owe(&mut work);
        self.systemd_owes(&mut work);
        if !work.is_empty() {
            out.report(&Event::Working { promises: self.promises, work: &work });
            let which: Vec<usize> = work.iter().map(|(at, _)| *at).collect();
            let made = traces::of_work(self.promises, &self.observed, &work, self.sys.as_probe());
            let written_down = self.ledger.trace(&made);
            self.apply(work, &written);
            self.remember_made(&made);
            match written_down {
                Ok(()) => self.amend(&which, &made),
                Err(error) => self.not_remembered(&which, &error),
            }
        }
        self.settle(&open);
    }

    /// Looks again at what may have changed.
    fn refresh(&mut self, which: &[usize]) {
        let stale: Vec<usize> = which.iter().copied().filter(|at| self.stale[*at]).collect();
        self.observed.refresh(&stale, self.promises, self.sys.as_probe(), self.ledger);
        for at in stale {
            self.stale[at] = false;
            if self.is_kept(at) {
                self.drifted.remove(&at);
            } else {
                self.drifted.insert(at);
            }
        }
    }

    /// Asks services whether they are healthy, where all hangs on that.
    fn ask(&mut self, which: &[usize]) {
        self.observed.ask(which.iter().copied(), self.promises, Observer::MayRun(self.sys));
    }

    fn difference(&self, at: usize) -> Result<Difference<Change>, SystemError> {
        self.observed.difference(self.promises, at)
    }

    fn is_kept(&self, at: usize) -> bool {
        self.difference(at).is_ok_and(|it| it.is_kept())
    }

    fn decide(&mut self, at: usize) -> Decision {
        let promised = &self.promises.all[at];
        let difference = match self.difference(at) {
            Ok(difference) => difference,
            Err(error) => return Decision::Settled(Outcome::NotKept(NotKept::Unobserved(error))),
        };
        let Difference { changes, obstacles, notes } = difference;
        self.notes[at] = notes;
        self.notes[at].extend(self.plan.turns.note(self.promises, at).map(str::to_owned));
        if let Some(why) = obstacles::speaks_against(&obstacles) {
            return Decision::Settled(Outcome::NotKept(why));
        }
        let missing = obstacles::missing(&obstacles);
        if changes.is_empty() && missing.is_empty() {
            return Decision::Settled(if self.observed.undetermined.contains(&at) {
                Outcome::Held(Held::RestartUndetermined)
            } else if self.done[at].is_empty() {
                Outcome::Kept
            } else {
                Outcome::Repaired
            });
        }
        if promised.keep == Keep::Report {
            return Decision::Settled(Outcome::Held(Held::ReportOnly { difference: changes }));
        }
        let broken = |need: usize| match &self.outcomes[need] {
            Some(outcome) => !outcome.is_good(),
            // It was not selected, so it is only looked at.
            None => !self.is_kept(need),
        };
        if let Some(held) = self.beyond_budget(at) {
            return Decision::Settled(Outcome::Held(held));
        }
        if let Some(needed) = plan::broken_need(self.promises, &self.observed, promised, broken) {
            return Decision::Settled(Outcome::Held(Held::NeedNotKept { needed }));
        }
        if let Some(unit) = self.promises.unit_of(at)
            && let Some(needed) = step::broken(self.promises, unit, &self.outcomes)
        {
            return Decision::Settled(Outcome::Held(Held::NeedNotKept { needed }));
        }
        if !missing.is_empty() {
            return Decision::Settled(Outcome::NotKept(NotKept::Missing(missing)));
        }
        Decision::Apply(changes)
    }

    /// Says what came of what was written down before the work, where that was not known then.
    fn amend(&mut self, which: &[usize], made: &[UndoEntry]) {
        let failed: BTreeSet<&PromiseId> = (which.iter())
            .filter(|at| self.outcomes[**at].as_ref().is_some_and(|it| !it.is_good()))
            .map(|at| &self.promises.all[*at].id)
            .collect();
        let failed = |it: &UndoEntry| failed.contains(&it.promise);
        // Where it cannot be written, what is remembered does not match, and is left alone.
        let _written = traces::amend(made, failed, self.sys.as_probe(), self.ledger);
    }

    /// The machine is kept all the same: what is not known as ours is only never taken back.
    fn not_remembered(&mut self, which: &[usize], error: &SystemError) {
        let words = error.chain().join(": ");
        for at in which {
            self.notes[*at].push(format!("what was there before is not remembered: {words}"));
        }
    }

    /// Acts, one batch for each kind, and looks again at what was acted on.
    fn apply(&mut self, work: Work, written: &[WrittenDown]) {
        let before: BTreeMap<usize, [u8; 32]> = work
            .iter()
            .filter_map(|(at, _)| Some((*at, self.observed.states[*at].as_ref().ok()?)))
            .map(|(at, have)| (at, have.fingerprint().digest))
            .collect();
        let mut touched: Vec<usize> = work.iter().map(|(at, _)| *at).collect();
        touched.sort_unstable();
        let mut work = work;
        let told = unit_files::split(&mut work);
        for batch in self.batches(work) {
            let slices: Vec<&[Change]> = batch.iter().map(|(_, it)| it.as_slice()).collect();
            let results = steadfast_resources::act(&slices, self.sys);
            for ((at, changes), applied) in batch.into_iter().zip(results) {
                match steadfast_resources::awaited(&changes) {
                    Some(wait) if applied == Applied::All => {
                        self.begin_to_settle(at, changes, wait);
                    }
                    Some(_) | None => self.take_in(at, changes, applied),
                }
            }
        }
        self.daemon_reload(&told);
        let is_package = |at: &usize| matches!(self.promises.all[*at].want, Resource::Package(_));
        let packages = touched.iter().any(is_package);
        self.invalidate(&touched, packages);
        self.refresh(&touched);
        self.take_back(written);
        touched.retain(|at| !self.pending.iter().any(|it| it.at == *at));
        self.look_again(&touched, &before);
    }

    /// Judges what was acted on, and is not under way any more.
    fn look_again(&mut self, touched: &[usize], before: &BTreeMap<usize, [u8; 32]>) {
        self.pay(touched);
        self.ask(touched);
        for at in touched.iter().copied() {
            if self.outcomes[at].is_none() {
                self.outcomes[at] = Some(self.second_look(at, before));
            }
        }
    }

    /// One batch for each kind; directories before what may lie in them.
    fn batches(&self, work: Work) -> Vec<Work> {
        let mut kinds: BTreeMap<(u8, &'static str), Work> = BTreeMap::new();
        for (at, changes) in work {
            let want = &self.promises.all[at].want;
            let turn = u8::from(!matches!(want, Resource::Directory(_)));
            kinds.entry((turn, want.kind())).or_default().push((at, changes));
        }
        kinds.into_values().collect()
    }

    /// Takes note of what was done.
    fn did(&mut self, at: usize, changes: Vec<Change>) {
        let told = |it: &Change| it.as_runner().is_some_and(|it| it.wants_daemon_reload());
        self.systemd_read |= changes.iter().any(told);
        self.done[at].extend(changes);
    }

    /// What came of the changes of one promise.
    fn take_in(&mut self, at: usize, changes: Vec<Change>, applied: Applied) {
        self.stale[at] = true;
        if let Applied::Noted(notes) = &applied {
            self.noted.entry(at).or_default().extend(notes.iter().cloned());
        }
        let mut failed = applied.failed();
        let Some((first, error)) = failed.next() else {
            self.did(at, changes);
            return;
        };
        self.did(at, applied.done(&changes).into_iter().cloned().collect());
        let told = |(at, error): (usize, &SystemError)| {
            let words = error.chain().join(": ");
            changes.get(at).map_or_else(|| words.clone(), |change| format!("{change}: {words}"))
        };
        self.notes[at].extend(failed.map(|it| format!("also failed: {}", told(it))));
        // The machine moved between the look and the act: the next round looks again.
        if applied.failed().any(|(_, it)| it.kind == ErrorKind::Moved) && !self.last_round {
            self.retry.push(at);
        }
        self.outcomes[at] = Some(Outcome::NotKept(match changes.get(first) {
            Some(change) => {
                NotKept::Failed { change: Box::new(change.clone()), error: error.clone() }
            }
            None => NotKept::Unobserved(error.clone()),
        }));
    }

    /// The verdict on what was acted on and did not fail.
    fn second_look(&mut self, at: usize, before: &BTreeMap<usize, [u8; 32]>) -> Outcome {
        match self.difference(at) {
            Err(error) => Outcome::NotKept(NotKept::Unobserved(error)),
            Ok(difference) if difference.is_kept() => {
                self.notes[at] = difference.notes;
                self.notes[at].extend(self.noted.get(&at).into_iter().flatten().cloned());
                if self.only_looked(at, before) {
                    self.done[at].clear();
                    Outcome::Kept
                } else {
                    Outcome::Repaired
                }
            }
            Ok(difference) => Outcome::NotKept(still_differs(&difference)),
        }
    }

    /// Whether all that was done was to look for a newer version, and there was none.
    fn only_looked(&self, at: usize, before: &BTreeMap<usize, [u8; 32]>) -> bool {
        let observed = |it: &Change| {
            matches!(it, Change::Package(steadfast_resources::package::Change::LookForNewer(_)))
        };
        let now = self.observed.states[at].as_ref().ok().map(|it| it.fingerprint().digest);
        self.done[at].iter().all(observed) && now.as_ref() == before.get(&at)
    }

    /// Whose look may be wrong now: what was not right before may hang on what was done, and a package
    /// can have touched anything.
    fn invalidate(&mut self, touched: &[usize], packages: bool) {
        if packages {
            self.stale.fill(true);
        }
        for at in &self.drifted {
            self.stale[*at] = true;
        }
        // A unit that is enabled or disabled may take others along.
        let links = |it: &usize| {
            self.done[*it].iter().filter_map(Change::as_runner).any(|it| it.enables().is_some())
        };
        if touched.iter().any(links) {
            let runners = (0..self.stale.len())
                .filter(|at| self.promises.all[*at].want.as_runner().is_some());
            runners.for_each(|at| self.stale[at] = true);
        }
        // A service whose input was touched may owe something now, or systemd may have to read its files.
        for inputs in &self.promises.inputs {
            if inputs.all().any(|it| has(touched, it)) {
                self.stale[inputs.runner] = true;
            }
        }
    }

    /// What a later step may have undone is not said to be kept before it was looked at once more.
    fn confirm(&mut self) {
        let good = |at: &usize| self.outcomes[*at].as_ref().is_some_and(Outcome::is_good);
        let doubtful: Vec<usize> =
            (0..self.outcomes.len()).filter(good).filter(|at| self.stale[*at]).collect();
        self.refresh(&doubtful);
        self.ask(&doubtful);
        for at in doubtful {
            match self.difference(at) {
                Ok(difference) if difference.is_kept() => {}
                Ok(difference) => {
                    self.outcomes[at] = Some(Outcome::NotKept(still_differs(&difference)));
                }
                Err(error) => {
                    self.outcomes[at] = Some(Outcome::NotKept(NotKept::Unobserved(error)));
                }
            }
        }
    }

    /// Whether something that was right before its turn, or was made right, is not right any more: it
    /// gets one more round.
    fn reopen(&mut self) -> bool {
        let good: Vec<usize> = (0..self.outcomes.len())
            .filter(|at| self.outcomes[*at].as_ref().is_some_and(Outcome::is_good))
            .collect();
        self.refresh(&good);
        self.ask(&good);
        let mut again: Vec<usize> = good.into_iter().filter(|at| !self.is_kept(*at)).collect();
        again.append(&mut self.retry);
        // What was held because of one of these may go on with it.
        let waits = |outcome: &Option<Outcome>| {
            matches!(outcome, Some(Outcome::Held(Held::NeedNotKept { .. })))
        };
        if !again.is_empty() {
            again.extend((0..self.outcomes.len()).filter(|at| waits(&self.outcomes[*at])));
        }
        for at in &again {
            self.outcomes[*at] = None;
        }
        !again.is_empty()
    }
}

fn still_differs(difference: &Difference<Change>) -> NotKept {
    if difference.changes.is_empty()
        && let Some(sick @ NotKept::Unhealthy(_)) = obstacles::speaks_against(&difference.obstacles)
    {
        return sick;
    }
    let mut remaining: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
    let refusals = obstacles::refusals(&difference.obstacles);
    let missing = obstacles::missing(&difference.obstacles);
    remaining.extend(refusals.iter().map(ToString::to_string));
    remaining.extend(missing.iter().map(|it| format!("{it} does not exist")));
    let thwarted = missing.is_empty()
        && difference.changes.iter().all(Change::may_be_thwarted)
        && refusals.iter().all(|it| matches!(it, Refusal::Anybody(_)));
    NotKept::StillDiffers { remaining, thwarted }
}

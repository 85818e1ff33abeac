//! What is next of a step is done. Each act can be done again after it was cut off.

use super::deploy::put;
use super::fates::{Amid, Fates};
use super::question::question;
use super::stepping::{LOST, PATIENCE, Stepping, Stopped, words};
use super::tree;
use super::units::{self, Asked, Units};
use crate::artifact::NoTree;
use std::sync::Arc;
use steadfast_engine::component::{
    Act, Answer, Debt, Deployment, Done, Health, Illness, Start, Stop, Trouble,
};
use steadfast_engine::{Budget, Circumstances, Extent, Observer, Promises, Reporter};
use steadfast_model::application::Port;
use steadfast_store::Started;
use steadfast_system::UnitName;
use steadfast_system::clock::Read as _;
use steadfast_system::services::Read as _;
use steadfast_trust::text::chain;

impl Stepping<'_, '_> {
    pub(super) fn act(&mut self, at: usize, act: &Act) -> Done {
        match act {
            Act::Prepare(it) => {
                let done = self.prepare(at, it);
                self.forget_places(at);
                Done::Prepared(done)
            }
            Act::Ask(it) => Done::Answered(self.ask(at, it)),
            Act::Quiesce { kill } => Done::Quiesced(self.quiesce(at, *kill)),
            Act::Drain => Done::Drained(self.drain(at)),
            Act::Stop(how) => Done::Stopped(self.stop(at, how)),
            Act::Switch(it) => {
                let done = match it {
                    Some(it) => self.switch(at, it),
                    None => self.undo(at),
                };
                self.forget_places(at);
                Done::Switched(done)
            }
            Act::Start { deployment, how } => Done::Started(self.start(at, deployment, *how)),
            Act::Commit { current, previous: _ } => {
                let done = self.commit(at, current);
                self.forget_places(at);
                Done::Committed(done)
            }
            Act::Pay(debt) => Done::Paid(debt.clone(), self.pay(at, debt)),
        }
    }

    fn prepare(&mut self, at: usize, it: &Deployment) -> Result<(), Trouble> {
        let unprepared = |words: String| Trouble::Unprepared(Arc::from(words));
        let instance = &self.deploying.all[at];
        if instance.row().step.is_none() {
            self.strangers(at, it)?;
        }
        if instance.is_wanted(it) {
            put(instance, it, self.store, self.cx).map_err(unprepared)?;
            let mut made = self.tree(at, it);
            if matches!(made, Err(NoTree::NoSpace(_))) && self.clear_away(at) {
                made = self.tree(at, it);
            }
            made.map_err(no_tree)?;
        }
        let (mut means, all) = self.means();
        let promises = all[at].to_prepare(it, &mut means).map_err(Trouble::Unprepared)?;
        self.carry_out(&promises, true).map_err(Trouble::Unprepared)
    }

    fn tree(&self, at: usize, it: &Deployment) -> Result<(), NoTree> {
        let instance = &self.deploying.all[at];
        let Some(placed) = &instance.placed else { return Ok(()) };
        let frozen = instance.documents.get(&it.own);
        let programs = frozen.map(|it| it.programs(&instance.contents)).unwrap_or_default();
        tree::prepare(placed, &self.deploying.sources, &programs, self.fetching())
    }

    /// What starts at a boot is taken away first, and put last: services have the last turn of a run.
    fn switch(&mut self, at: usize, it: &Deployment) -> Result<(), Arc<str>> {
        let involved = self.deploying.all[at].involved();
        let enabled = self.enabled(at);
        let (mut means, all) = self.means();
        let off = all[at].to_disable(it, &enabled, &mut means)?;
        let place = all[at].to_place(it, &involved, &mut means)?;
        self.carry_out(&off, false)?;
        self.carry_out(&place, true)
    }

    /// Its units that a boot starts.
    fn enabled(&self, at: usize) -> Vec<UnitName> {
        let units = self.units(at);
        let names: Vec<&UnitName> = units.all.iter().collect();
        let found = self.host.units(&names);
        let is_enabled = |unit: &Result<steadfast_system::services::Unit, _>| {
            unit.as_ref().is_ok_and(|it| it.enablement.is_enabled())
        };
        let both = names.into_iter().zip(found).filter(|(_, unit)| is_enabled(unit));
        both.map(|(name, _)| name.clone()).collect()
    }

    /// What was there before the first deployment comes back.
    fn undo(&mut self, at: usize) -> Result<(), Arc<str>> {
        let made = self.made(at).map_err(|it| match it {
            Stopped::Unseen(error) => words(&error),
            Stopped::Unwritten(words) => Arc::from(words),
        })?;
        let results = {
            let mut shown = self.audience.reporter(self.places);
            let mut out = Amid { to: vec![&mut *shown, &mut *self.journal], with_kept: false };
            let mut ledger = self.store;
            let budget = Budget::default();
            steadfast_engine::undo(
                &made,
                Extent::Everything,
                budget,
                self.host,
                &mut ledger,
                &mut out,
            )
        };
        let both = || made.iter().zip(&results);
        // What another attempt would leave as well is nobody's any more.
        let done = both().filter(|(_, it)| it.as_ref().err().is_none_or(|why| why.is_final()));
        let things: Vec<_> = done.map(|(it, _)| &it.facet).collect();
        let unit = &self.deploying.all[at].unit;
        let forgotten = self.store.forget_made_by(unit, &things);
        forgotten.map_err(|error| Arc::from(chain(&error)))?;
        let left = both().find_map(|(it, result)| {
            let why = result.as_ref().err().filter(|why| !why.is_final())?;
            Some(format!("{}: {}", it.facet, why.because(&it.facet).join(": ")))
        });
        left.map_or(Ok(()), |words| Err(Arc::from(words)))
    }

    fn stop(&self, at: usize, how: &Stop) -> Result<u64, Arc<str>> {
        let keep_sockets = match how {
            Stop::All { keep_sockets } => *keep_sockets && self.deploying.all[at].keeps_sockets(),
            Stop::Others { but: _ } => false,
        };
        let documents = self.deploying.all[at].documents.values();
        let ports: Vec<Port> = documents.flat_map(|it| it.conduct.ports()).collect();
        let stopped = units::stop(&self.units(at), &ports, keep_sockets, self.host);
        stopped.map(|it| it.connections.unwrap_or(0)).map_err(|it| words(&it))
    }

    fn start(&mut self, at: usize, it: &Deployment, how: Start) -> Result<(), Illness> {
        let Some(frozen) = self.deploying.all[at].documents.get(&it.own) else {
            return Err(ill(LOST));
        };
        let (units, patience) = (Units::of(frozen), it.terms.within);
        let started = match how {
            Start::Start | Start::Beside => units::start(&units, patience, self.host),
            Start::Reload => units::reload(&units, patience, self.host),
        };
        started.map_err(|it| self.masked(frozen, it))?;
        let running = units::running(&units, false, self.host);
        for running in running.map_err(|error| ill(&words(&error)))? {
            let Some(process) = running.process else { continue };
            let started = Started { invocation: process.invocation, own: Arc::clone(&it.own) };
            self.deploying.all[at].known.started.insert(running.unit.to_string(), started);
        }
        self.write(at).map_err(|words| ill(&words))
    }

    fn commit(&mut self, at: usize, current: &Deployment) -> Result<(), Arc<str>> {
        let (mut means, all) = self.means();
        let promises = all[at].to_commit(current, &mut means)?;
        self.carry_out(&promises, true)
    }

    fn pay(&self, at: usize, debt: &Debt) -> Result<(), Arc<str>> {
        match debt {
            Debt::Units(units) => {
                let named = units.iter().filter_map(|it| UnitName::parse(it).ok());
                let units: Vec<UnitName> = named.collect();
                units::start_again(&units, PATIENCE, self.host).map_err(|it| it.reason)
            }
            Debt::Ready => self.ready(at),
            Debt::Quiesced => self.resume(at),
        }
    }

    pub(super) fn ask(&self, at: usize, it: &Deployment) -> Answer {
        let instance = &self.deploying.all[at];
        let Some(frozen) = instance.documents.get(&it.own) else {
            let health = Health::Dead(ill(LOST));
            return Answer { health, process: None };
        };
        let ask = frozen.conduct.ask(&it.folder).or_else(|| question(frozen, &it.folder));
        let (units, ports) = (Units::of(frozen), frozen.conduct.ports());
        let tree = match frozen.tree {
            Some(_) => frozen.tree_link(&it.folder),
            None => frozen.folder(&it.folder),
        };
        let now = self.host.now().div_euclid(1_000_000);
        let (units, ask) = (&units, ask.as_ref());
        let answer = units::ask(Asked { units, ask, ports: &ports, tree: &tree, now }, self.host);
        let health = match answer.health {
            Health::Well => Health::Well,
            Health::Ill(it) => Health::Ill(self.masked(frozen, it)),
            Health::Dead(it) => Health::Dead(self.masked(frozen, it)),
        };
        Answer { health, ..answer }
    }

    /// Keeps these promises. What is told of them stands in the history of the run, and is shown where `is_shown`.
    fn carry_out(&mut self, promises: &Promises, is_shown: bool) -> Result<(), Arc<str>> {
        if promises.all.is_empty() {
            return Ok(());
        }
        let circumstances = Circumstances { root: self.cx.root, budget: Budget::default() };
        let observer = Observer::MayRun(self.host);
        let assessment = steadfast_engine::look(promises, observer, &self.store, circumstances);
        let mut fates = Fates::default();
        {
            let mut shown = self.audience.reporter(self.places);
            let mut amid = Amid { to: vec![&mut *self.journal], with_kept: false };
            if is_shown {
                amid.to.push(&mut *shown);
            }
            let mut out: Vec<&mut dyn Reporter> = vec![&mut fates, &mut amid];
            let mut ledger = self.store;
            steadfast_engine::converge(promises, assessment, self.host, &mut ledger, &mut out);
        }
        let unit = promises.all.iter().find_map(|it| it.unit.clone());
        let fate = unit.map(|it| fates.of(&it)).unwrap_or_default();
        self.repaired.extend(fate.repaired.iter().cloned());
        fate.why().map_or(Ok(()), |why| Err(Arc::from(why)))
    }
}

fn ill(reason: &str) -> Illness {
    Illness { reason: Arc::from(reason), journal: vec![] }
}

fn no_tree(why: NoTree) -> Trouble {
    match why {
        NoTree::Away(words) => Trouble::Away(Arc::from(words)),
        NoTree::Refused(words) => Trouble::Refused(Arc::from(words)),
        NoTree::NoSpace(words) => Trouble::NoSpace(Arc::from(words)),
        NoTree::Failed(error) => Trouble::Unprepared(words(&error)),
    }
}

//! A model of what one component is on a machine: places, processes, traffic, units around it. Acts change it as
//! they would change a machine, and may be cut off in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_engine::component::{
    Act, Answer, Debt, Deployment, Done, Health, Illness, Place, Process, Start, Stop, Switch,
    Trouble,
};

/// What a deployment is really like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Good,
    /// Well after so many milliseconds.
    Slow(i64),
    Ill,
    DoesNotStart,
    /// Ends every few seconds, and is started again.
    Flaps,
    /// Ends for good after so many milliseconds.
    Dies(i64),
    /// What is unpacked of it is not what was promised.
    Refused,
    /// Takes the whole machine down, so many milliseconds after its start.
    Panics(i64),
}

impl Truth {
    pub(crate) fn is_good(self) -> bool {
        match self {
            Truth::Good | Truth::Slow(_) => true,
            Truth::Ill
            | Truth::DoesNotStart
            | Truth::Flaps
            | Truth::Dies(_)
            | Truth::Refused
            | Truth::Panics(_) => false,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub own: Arc<str>,
    pub started: i64,
    pub invocation: u64,
    /// Whether it was started by an act, or by a boot, and not by a socket.
    pub known: bool,
}

/// Where an act is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Nowhere,
    Before,
    Middle,
    After,
}

/// One component on the machine.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub truths: BTreeMap<Arc<str>, Truth>,
    pub place: Place,
    /// Whether its units start at a boot.
    pub enabled: bool,
    pub prepared: BTreeSet<Arc<str>>,
    pub programs: Vec<Program>,
    pub traffic: bool,
    /// A unit that a stop of its unit takes along.
    pub along: bool,
    /// A timer that has to stand still, and until when its job runs.
    pub timer: bool,
    pub job: i64,
    pub dependency: bool,
    /// From when to when it is away for a moment.
    pub outage: std::ops::Range<i64>,
    pub artifacts: bool,
    pub hooks: bool,
    /// What the last answer was.
    pub answered_well: bool,
    pub invocations: u64,
    /// What does not hold of what was done.
    pub broken: Option<&'static str>,
}

impl Host {
    pub(crate) fn new() -> Host {
        Host {
            truths: BTreeMap::new(),
            place: Place::Nothing,
            enabled: false,
            prepared: BTreeSet::new(),
            programs: vec![],
            traffic: false,
            along: true,
            timer: true,
            job: 0,
            dependency: true,
            outage: 0..0,
            artifacts: true,
            hooks: true,
            answered_well: false,
            invocations: 0,
            broken: None,
        }
    }

    pub(crate) fn truth(&self, own: &Arc<str>) -> Truth {
        self.truths[own]
    }

    pub(crate) fn running(&self) -> BTreeSet<Option<Arc<str>>> {
        self.programs.iter().map(|it| it.known.then(|| Arc::clone(&it.own))).collect()
    }

    pub(crate) fn busy(&self, time: i64) -> Vec<Arc<str>> {
        let job = (self.job > time).then(|| Arc::from("report.service"));
        self.timer.then(|| Arc::from("report.timer")).into_iter().chain(job).collect()
    }

    /// Programs that have ended by themselves by now. Whether one of them takes the machine down.
    pub(crate) fn pass(&mut self, time: i64) -> bool {
        let mut panics = false;
        let truths = &self.truths;
        self.programs.retain(|it| match truths[&it.own] {
            Truth::Dies(after) => time - it.started < after,
            Truth::Panics(after) => {
                panics |= time - it.started >= after;
                true
            }
            Truth::Good
            | Truth::Slow(_)
            | Truth::Ill
            | Truth::DoesNotStart
            | Truth::Flaps
            | Truth::Refused => true,
        });
        panics
    }

    pub(crate) fn boot(&mut self, time: i64) {
        self.programs.clear();
        self.timer = true;
        self.job = 0;
        self.along = true;
        if !self.enabled {
            return;
        }
        match self.place.clone() {
            Place::Mixed => self.broken = Some("a boot starts what is neither one nor the other"),
            Place::Whole(own) => self.launch(&own, time),
            Place::Nothing => {}
        }
    }

    pub(crate) fn launch(&mut self, own: &Arc<str>, time: i64) {
        if self.truth(own) == Truth::DoesNotStart || self.programs.iter().any(|it| it.own == *own) {
            return;
        }
        self.invocations += 1;
        let invocation = self.invocations;
        let own = Arc::clone(own);
        self.programs.push(Program { own, started: time, invocation, known: true });
    }

    pub(crate) fn is_well(&self, own: &Arc<str>, time: i64) -> bool {
        let Some(it) = self.programs.iter().find(|it| it.own == *own) else { return false };
        let age = time - it.started;
        let well = match self.truth(own) {
            Truth::Good | Truth::Dies(_) | Truth::Panics(_) | Truth::Flaps => age >= 200,
            Truth::Slow(after) => age >= after,
            Truth::Ill | Truth::DoesNotStart | Truth::Refused => false,
        };
        well && self.dependency && !self.outage.contains(&time)
    }

    fn answer(&mut self, of: &Deployment, time: i64) -> Answer {
        let program = self.programs.iter().find(|it| it.own == of.own);
        let process = program.map(|it| {
            let restarts = match self.truth(&it.own) {
                Truth::Flaps => u32::try_from((time - it.started) / 3_000).unwrap_or(0),
                Truth::Good
                | Truth::Slow(_)
                | Truth::Ill
                | Truth::DoesNotStart
                | Truth::Dies(_)
                | Truth::Refused
                | Truth::Panics(_) => 0,
            };
            Process { invocation: it.invocation.to_string().into(), restarts }
        });
        let well = self.is_well(&of.own, time);
        self.answered_well = well;
        let health = match process {
            None => Health::Dead(illness("it does not run")),
            Some(_) if well => Health::Well,
            Some(_) => Health::Ill(illness("it answered 500")),
        };
        Answer { health, process }
    }

    /// Does an act, as far as it is not cut off. How many milliseconds it takes, and what came of it.
    pub(crate) fn perform(&mut self, act: &Act, cut: Cut, time: i64) -> Done {
        if cut == Cut::Before {
            return Done::Quiesced(Ok(()));
        }
        let half = cut == Cut::Middle;
        match act {
            Act::Prepare(it) => Done::Prepared(self.prepare(it, half)),
            Act::Ask(it) => Done::Answered(self.answer(it, time)),
            Act::Quiesce { kill } => {
                self.timer = false;
                if *kill {
                    self.job = 0;
                }
                Done::Quiesced(Ok(()))
            }
            Act::Drain => {
                let works = self.hooks || half;
                self.traffic &= !works;
                Done::Drained(if works { Ok(()) } else { Err("it answered 503".into()) })
            }
            Act::Stop(stop) => {
                self.stop(stop, half, time);
                Done::Stopped(Ok(3))
            }
            Act::Switch(to) => Done::Switched(self.switch(to.as_ref(), half)),
            Act::Start { deployment, how } => Done::Started(self.start(deployment, *how, time)),
            Act::Commit { current, previous } => {
                let keeps = |it: &Arc<str>| {
                    *it == current.own || previous.as_ref().is_some_and(|p| p.own == *it)
                };
                self.prepared.retain(keeps);
                Done::Committed(Ok(()))
            }
            Act::Pay(debt) => {
                let result = self.pay(debt);
                Done::Paid(debt.clone(), result)
            }
        }
    }

    fn prepare(&mut self, it: &Deployment, half: bool) -> Result<(), Trouble> {
        if self.truth(&it.own) == Truth::Refused {
            return Err(Trouble::Refused("another digest".into()));
        }
        if !self.artifacts {
            return Err(Trouble::Away("connection refused".into()));
        }
        if !half {
            self.prepared.insert(Arc::clone(&it.own));
        }
        Ok(())
    }

    fn stop(&mut self, stop: &Stop, half: bool, time: i64) {
        match stop {
            Stop::All { keep_sockets } => {
                if !half {
                    self.programs.clear();
                }
                self.along = false;
                if *keep_sockets && !half {
                    self.connect(time);
                }
            }
            Stop::Others { but } => {
                self.programs.retain(|it| but.as_ref().is_some_and(|but| but.own == it.own));
            }
        }
    }

    /// Somebody connects to a socket whose program does not run.
    fn connect(&mut self, time: i64) {
        match self.place.clone() {
            Place::Mixed => self.broken = Some("a socket starts what is neither one nor the other"),
            Place::Whole(own) => self.launch(&own, time),
            Place::Nothing => {}
        }
        self.programs.iter_mut().for_each(|it| it.known = false);
    }

    fn switch(&mut self, to: Option<&Deployment>, half: bool) -> Result<(), Arc<str>> {
        if let Some(to) = to.filter(|it| !self.prepared.contains(&it.own)) {
            self.broken = Some("what is not whole is put in place");
            return Err(Arc::clone(&to.own));
        }
        if half {
            (self.place, self.enabled) = (Place::Mixed, false);
            return Ok(());
        }
        self.place = to.map_or(Place::Nothing, |it| Place::Whole(Arc::clone(&it.own)));
        self.enabled = to.is_some();
        Ok(())
    }

    fn start(&mut self, it: &Deployment, how: Start, time: i64) -> Result<(), Illness> {
        let in_place = self.place == Place::Whole(Arc::clone(&it.own));
        match how {
            Start::Beside => {}
            Start::Start if it.terms.switch == Switch::BlueGreen => {}
            Start::Start | Start::Reload => {
                if !in_place {
                    self.broken = Some("another one is started than is in place");
                }
            }
        }
        if how == Start::Reload && !self.programs.is_empty() {
            for program in &mut self.programs {
                program.own = Arc::clone(&it.own);
                program.started = time;
            }
            return Ok(());
        }
        self.launch(&it.own, time);
        self.programs.iter_mut().filter(|own| own.own == it.own).for_each(|it| it.known = true);
        match self.truth(&it.own) {
            Truth::DoesNotStart => Err(illness("exit code 203")),
            Truth::Good
            | Truth::Slow(_)
            | Truth::Ill
            | Truth::Flaps
            | Truth::Dies(_)
            | Truth::Refused
            | Truth::Panics(_) => Ok(()),
        }
    }

    fn pay(&mut self, debt: &Debt) -> Result<(), Arc<str>> {
        match debt {
            Debt::Ready => {
                if !self.answered_well {
                    self.broken = Some("traffic comes before a good answer");
                }
                if !self.hooks {
                    return Err("it answered 503".into());
                }
                self.traffic = true;
            }
            Debt::Quiesced => self.timer = true,
            Debt::Units(_) => self.along = true,
        }
        Ok(())
    }
}

pub(crate) fn illness(reason: &str) -> Illness {
    Illness { reason: reason.into(), journal: vec![] }
}

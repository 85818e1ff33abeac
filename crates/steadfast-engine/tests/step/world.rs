//! A node with a few components: its ledger, its clocks, whoever meddles with it, and what must hold at every moment.

use crate::host::{Cut, Host, Truth};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::{
    Act, By, Deployment, Done, End, Finished, Gate, Next, Now, Phase, Place, Quiesces, Row, Seen,
    Standing, Stop, Switch, Terms, Trouble, Until, Waiting, Wanted, beside, next, order,
};
use steadfast_model::application::ComponentId;

const HOUR: i64 = 3_600_000;
/// The agent looks at everything so often.
const KEEP: i64 = HOUR / 2;

/// Chance that a seed determines (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (it ^ (it >> 31)) % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// One component, and what is known of it without its ledger.
struct Component {
    id: ComponentId,
    uses: BTreeSet<ComponentId>,
    host: Host,
    /// On the disk.
    row: Row,
    wanted: Option<Wanted>,
    restart_owed: bool,
    approved: bool,
    /// What was committed last, by the acts that were done.
    committed: Option<Arc<str>>,
    /// Judged bad on these terms, and nobody has said since that it is to be tried again.
    bad: BTreeSet<(Arc<str>, Arc<str>)>,
    /// The last step that has touched something.
    touched: u64,
    /// When something outside of it last interfered with health.
    disturbed: i64,
    until: Option<i64>,
}

pub(crate) struct World {
    seed: u64,
    chance: Chance,
    /// Time that nobody can set, in milliseconds, and what the wall clock is ahead of it.
    time: i64,
    offset: i64,
    boot: u64,
    booted: i64,
    components: Vec<Component>,
    suspended: bool,
    budget: bool,
    windows: bool,
    deployments: u64,
    wake: i64,
    calm: bool,
    /// Whether a trace is kept: only of a life that has failed before.
    told: bool,
    trace: VecDeque<String>,
    pub(crate) noted: BTreeSet<String>,
}

fn millis(it: Duration) -> i64 {
    i64::try_from(it.as_millis()).unwrap()
}

impl World {
    pub(crate) fn new(seed: u64, told: bool) -> World {
        let mut chance = Chance(seed ^ 0x5eed);
        let names: Vec<ComponentId> =
            ["people/api", "people/schema", "people/web"].map(|it| it.parse().unwrap()).into();
        let many = 1 + usize::try_from(chance.below(3)).unwrap();
        let component = |id: &ComponentId, chance: &mut Chance| Component {
            id: id.clone(),
            uses: names[..many].iter().filter(|_| chance.one_in(3)).cloned().collect(),
            host: Host::new(),
            row: Row::default(),
            wanted: None,
            restart_owed: false,
            approved: true,
            committed: None,
            bad: BTreeSet::new(),
            touched: 0,
            disturbed: 0,
            until: None,
        };
        let components = names[..many].iter().map(|it| component(it, &mut chance)).collect();
        let time = 1_772_000_000_000;
        let mut world = World {
            seed,
            chance,
            time,
            offset: 0,
            boot: 0,
            booted: time,
            components,
            suspended: false,
            budget: true,
            windows: true,
            deployments: 0,
            wake: time,
            calm: false,
            told,
            trace: VecDeque::new(),
            noted: BTreeSet::new(),
        };
        for at in 0..world.components.len() {
            let truth = if world.chance.one_in(3) { Truth::Ill } else { Truth::Good };
            world.want_new(at, truth);
        }
        world
    }

    fn now(&self) -> Now {
        let at = Duration::from_millis(u64::try_from(self.time - self.booted).unwrap());
        let wall = (self.time + self.offset) / 1_000;
        Now { boot: self.boot.to_string().into(), at, wall }
    }

    /// What happens, where it is told.
    fn say(&mut self, line: impl FnOnce(&World) -> String) {
        if !self.told {
            return;
        }
        let line = brief(&line(self));
        if self.trace.len() > 200 {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{} {line}", self.time - 1_772_000_000_000));
    }

    #[track_caller]
    fn demand(&self, holds: bool, what: &str) {
        let trace = || self.trace.iter().cloned().collect::<Vec<_>>().join("\n");
        assert!(holds, "seed {}: {what}\n{}", self.seed, trace());
    }

    fn terms(&mut self) -> Terms {
        let switch = match self.chance.below(5) {
            0 => Switch::Reload,
            1 => Switch::Socket,
            2 | 3 => Switch::BlueGreen,
            _ => Switch::Restart,
        };
        let hooks = self.chance.one_in(2) && switch != Switch::BlueGreen;
        let quiesces = self
            .chance
            .one_in(2)
            .then(|| Quiesces { wait: Duration::from_secs(60), kills: self.chance.one_in(2) });
        let bake = if self.chance.one_in(2) { 0 } else { 60 + self.chance.below(1_200) };
        Terms {
            digest: self.chance.below(1_000).to_string().into(),
            switch,
            units: self.chance.below(2).to_string().into(),
            within: Duration::from_secs(10 + self.chance.below(20)),
            lasts: Duration::from_secs(self.chance.below(8)),
            bake: Duration::from_secs(bake),
            drains: hooks,
            readies: hooks,
            drain_for: Duration::from_secs(self.chance.below(10)),
            quiesces,
        }
    }

    fn want_new(&mut self, at: usize, truth: Truth) {
        self.deployments += 1;
        let own: Arc<str> = format!("d{}", self.deployments).into();
        let terms = self.terms();
        self.components[at].host.truths.insert(Arc::clone(&own), truth);
        self.say(|it| format!("{} shall be {own}, {truth:?}, {terms:?}", it.components[at].id));
        let release = own.clone();
        let deployment = Deployment {
            public: own.clone(),
            folder: own.clone(),
            release,
            own: own.clone(),
            terms,
        };
        self.components[at].wanted = Some(Wanted { deployment, source: own });
    }

    /// The gates that are closed to one of them.
    fn closed(&self, at: usize) -> Vec<Gate> {
        let it = &self.components[at];
        let mut closed = vec![];
        if self.suspended {
            closed.push(Gate::Suspended { reason: "maintenance".into(), until: None });
        }
        let wall = (self.time + self.offset) / 1_000;
        if self.windows && wall.rem_euclid(14_400) >= 10_800 {
            closed.push(Gate::Window { opens: Some(wall - wall.rem_euclid(14_400) + 14_400) });
        }
        if !self.budget {
            closed.push(Gate::Budget { limit: 0 });
        }
        if !it.approved {
            closed.push(Gate::Approval);
        }
        let standing: Vec<Standing<'_>> = self.components.iter().map(standing).collect();
        closed.extend(beside(&standing, at));
        closed
    }

    fn look(&self, at: usize, by: By, done: Option<Done>) -> Seen {
        let it = &self.components[at];
        Seen {
            wanted: it.wanted.clone(),
            by,
            closed: self.closed(at),
            prepared: it.host.prepared.clone(),
            place: it.host.place.clone(),
            running: it.host.running(),
            along: it.host.along.then(|| "worker.service".into()).into_iter().collect(),
            busy: it.host.busy(self.time),
            restart_owed: it.restart_owed,
            done,
        }
    }

    /// A run of the agent, or one by hand. It ends early where it crashes.
    fn run(&mut self, by: By) {
        let standing: Vec<Standing<'_>> = self.components.iter().map(standing).collect();
        let order = order(&standing);
        let begun = self.time;
        for at in order {
            if !self.bring(at, by) {
                self.wake = self.time + 1_000;
                return;
            }
        }
        if by == By::Agent {
            self.demand(self.time - begun <= 20 * 60_000, "a run of the agent waits");
        }
        let dues = self.components.iter().filter_map(|it| it.until);
        self.wake = dues.min().unwrap_or(i64::MAX).min(self.time + KEEP).max(self.time + 1);
    }

    /// Does what is due of one component. Whether nothing crashed.
    fn bring(&mut self, at: usize, by: By) -> bool {
        let mut done = None;
        for _ in 0..400 {
            let seen = self.look(at, by, done.take());
            let now = self.now();
            let next = next(&self.components[at].row, &seen, &now);
            match next {
                Next::Act { row, act } => {
                    self.say(|it| {
                        format!(
                            "   {} {act:?} {:?}",
                            it.components[at].id,
                            row.step.as_ref().map(|it| (it.number, &it.phase, it.tries))
                        )
                    });
                    let cut = self.cut();
                    if cut == Cut::Before && self.chance.one_in(2) {
                        return self.crash("before it was stored");
                    }
                    self.components[at].row = row;
                    self.check_act(at, &act, by);
                    done = Some(self.perform(at, &act, cut));
                    if cut != Cut::Nowhere {
                        return self.crash("around the act");
                    }
                    if self.pass() {
                        return false;
                    }
                }
                Next::Wait { row, until, why } => {
                    self.note(&why, at);
                    self.components[at].row = row;
                    let due = self.due(&until);
                    self.demand(due.is_none_or(|it| it > self.time), "it waits for what is over");
                    self.components[at].until = due;
                    let waits = matches!(by, By::Hand { .. }) && why.is_waited_for(false);
                    self.check_wait(at, &why);
                    let Some(due) = due.filter(|_| waits) else { return true };
                    self.time = due;
                    if self.pass() {
                        return false;
                    }
                }
                Next::Ended { row, end, step, due } => {
                    self.note(&end, at);
                    self.components[at].row = row;
                    let due = self.due(&due);
                    let over = due.is_some_and(|it| it <= self.time);
                    let idle = matches!(end, End::Absent | End::Settled | End::Bad(_));
                    self.demand(!(over && idle), "it is due, and does nothing");
                    self.components[at].until = due;
                    self.check_end(at, &end, step.as_ref());
                    return true;
                }
            }
        }
        self.demand(false, "a run that does not end");
        false
    }

    fn note(&mut self, why: &dyn std::fmt::Debug, at: usize) {
        let words = format!("{why:?}");
        self.noted.insert(words.split([' ', '(']).next().unwrap().to_owned());
        self.say(|it| format!("   {} {words}", it.components[at].id));
    }

    fn due(&self, until: &Until) -> Option<i64> {
        match until {
            Until::Boot(at) => Some(self.booted + millis(*at)),
            Until::Wall(at) => Some(at * 1_000 - self.offset),
            Until::Change => None,
        }
    }

    fn cut(&mut self) -> Cut {
        if self.calm || !self.chance.one_in(12) {
            return Cut::Nowhere;
        }
        match self.chance.below(3) {
            0 => Cut::Before,
            1 => Cut::Middle,
            _ => Cut::After,
        }
    }

    fn crash(&mut self, when: &str) -> bool {
        self.say(|_| format!("it crashes {when}"));
        if self.chance.one_in(3) {
            self.reboot();
        }
        self.check();
        false
    }

    fn reboot(&mut self) {
        self.say(|_| "the machine boots".to_owned());
        self.time += 20_000;
        self.boot += 1;
        self.booted = self.time;
        for it in &mut self.components {
            it.host.boot(self.time);
            it.disturbed = self.time;
        }
        self.time += 500;
        self.wake = self.time;
    }

    /// What programs do by themselves as time passes. Whether the machine went down.
    fn pass(&mut self) -> bool {
        let time = self.time;
        let panics = self.components.iter_mut().any(|it| it.host.pass(time));
        if panics {
            self.reboot();
        }
        self.check();
        panics
    }

    fn perform(&mut self, at: usize, act: &Act, cut: Cut) -> Done {
        let takes = match act {
            Act::Prepare(_) => 1_000 + self.chance.below(60_000),
            Act::Ask(_) => 2 + self.chance.below(20),
            Act::Drain | Act::Pay(_) | Act::Stop(_) => self.chance.below(3_000),
            Act::Quiesce { .. } | Act::Switch(_) | Act::Start { .. } | Act::Commit { .. } => {
                self.chance.below(50)
            }
        };
        self.time += i64::try_from(takes).unwrap();
        let time = self.time;
        let it = &mut self.components[at];
        let done = it.host.perform(act, cut, time);
        let started = matches!(act, Act::Start { .. }) && cut != Cut::Before;
        if started
            && it.row.step.as_ref().is_some_and(|it| it.from.as_ref().is_some_and(|f| f.is(&it.to)))
        {
            it.restart_owed = false;
        }
        done
    }

    /// What must hold of an act that is given.
    fn check_act(&self, at: usize, act: &Act, by: By) {
        let it = &self.components[at];
        let step = it.row.step.as_ref();
        let touches = match act {
            Act::Drain | Act::Stop(_) | Act::Switch(_) | Act::Start { .. } => true,
            Act::Prepare(_)
            | Act::Ask(_)
            | Act::Quiesce { .. }
            | Act::Commit { .. }
            | Act::Pay(_) => false,
        };
        self.demand(!touches || step.is_some(), "what is not written down is changed");
        if let Act::Commit { current, previous: _ } = act {
            self.demand(it.host.answered_well, "what does not answer well is committed");
            let long = current.terms.lasts >= Duration::from_secs(4);
            let flaps = it.host.truth(&current.own) == Truth::Flaps;
            self.demand(!(flaps && long), "what ends again and again is committed");
        }
        let Some(step) = step.filter(|_| touches) else { return };
        if step.number > it.touched {
            let now = matches!(by, By::Hand { now: true });
            let passed = |gate: &Gate| now && matches!(gate, Gate::Window { .. });
            let open = self.closed(at).iter().all(passed);
            let down =
                step.from.as_ref().is_some_and(|it| it.is(&step.to)) && it.host.programs.is_empty();
            self.demand(open || down, "a step goes through a closed gate");
        }
        match act {
            Act::Drain => {
                self.demand(
                    it.row.owed.ready,
                    "it is drained, and nobody owes that it is made ready",
                );
            }
            Act::Stop(Stop::All { .. }) => {
                let owes = it.row.owed.units.contains("worker.service");
                self.demand(owes || !it.host.along, "units are taken along, and nobody owes them");
            }
            Act::Switch(to) => {
                let own = to.as_ref().map(|it| &it.own);
                let back = own == it.committed.as_ref();
                let forth = step.back.is_none() && own == Some(&step.to.own);
                self.demand(back || forth, "what was committed is gone back from by itself");
                let key = to.as_ref().map(|it| (it.own.clone(), it.terms.digest.clone()));
                let bad = key.is_some_and(|it| self.components[at].bad.contains(&it));
                self.demand(back || !bad, "what is bad is tried again");
            }
            Act::Stop(Stop::Others { .. })
            | Act::Prepare(_)
            | Act::Ask(_)
            | Act::Quiesce { .. }
            | Act::Start { .. }
            | Act::Commit { .. }
            | Act::Pay(_) => {}
        }
    }

    fn check_wait(&self, at: usize, why: &Waiting) {
        let it = &self.components[at];
        if matches!(why, Waiting::Gate(_)) {
            self.demand(it.row.step.is_none(), "a step stays open before a closed gate");
        }
    }

    fn check_end(&mut self, at: usize, end: &End, step: Option<&Finished>) {
        let open = self.components[at].row.step.is_some();
        self.demand(!open, "it has ended, and a step is open");
        let time = self.time;
        let it = &mut self.components[at];
        match end {
            End::WentBack(_) => {
                let bad = it.row.bad.last().unwrap();
                let honest = !it.host.truths[&bad.own].is_good();
                let disturbed = time - it.disturbed < HOUR;
                it.bad.insert((bad.own.clone(), bad.terms.clone()));
                self.demand(honest || disturbed, "what is good is found to be bad");
            }
            End::Failed(Trouble::Ill { .. }) => {
                let from = step.and_then(|it| it.from.as_ref());
                let restart = from.is_none_or(|it| it.is(&step.unwrap().to));
                self.demand(restart, "it failed, and there was something to go back to");
            }
            End::Absent
            | End::Settled
            | End::Committed
            | End::Restarted
            | End::Inconclusive(_)
            | End::Withdrawn
            | End::Failed(_)
            | End::Bad(_) => {}
        }
    }

    /// What must hold at every moment.
    fn check(&mut self) {
        for at in 0..self.components.len() {
            if let Some(what) = self.components[at].host.broken {
                self.demand(false, what);
            }
            let it = &mut self.components[at];
            if let Some(step) = &it.row.step {
                let untouched = matches!(step.phase, Phase::Quiesce);
                if !untouched {
                    it.touched = it.touched.max(step.number);
                }
                if matches!(step.phase, Phase::Commit | Phase::Retire) && step.back.is_none() {
                    it.committed = Some(Arc::clone(&step.to.own));
                }
            }
            let it = &self.components[at];
            let beside = it.row.step.as_ref().is_some_and(|it| {
                it.to.terms.switch == Switch::BlueGreen
                    && it.from.as_ref().is_none_or(|it| it.terms.switch == Switch::BlueGreen)
            });
            let most = if beside { 2 } else { 1 };
            self.demand(it.host.running().len() <= most, "old and new run side by side");
            let current = it.row.current.as_ref().map(|it| &it.own);
            let known = current == it.committed.as_ref();
            self.demand(known, "the ledger and what was committed are not one");
            let place = current.map_or(Place::Nothing, |it| Place::Whole(Arc::clone(it)));
            let settled = it.row.step.is_some() || it.host.place == place;
            self.demand(settled, "without a step, another one is in place than is current");
        }
        let open = self.components.iter().filter(|it| it.row.step.is_some()).count();
        self.demand(open <= 1, "two steps at once");
    }

    pub(crate) fn live(&mut self, how_long: i64) {
        let end = self.time + how_long;
        while self.time < end {
            let pause = if self.chance.one_in(2) { HOUR } else { 60_000 };
            let pause = i64::try_from(self.chance.below(u64::try_from(pause).unwrap())).unwrap();
            self.advance(self.time + pause);
            self.disaster();
        }
    }

    fn advance(&mut self, end: i64) {
        while self.wake <= end {
            self.time = self.time.max(self.wake);
            if !self.pass() {
                self.run(By::Agent);
            }
        }
        self.time = self.time.max(end);
        self.pass();
    }

    fn disaster(&mut self) {
        let at = usize::try_from(self.chance.below(self.components.len() as u64)).unwrap();
        let time = self.time;
        let one_in = |chance: &mut Chance, many| chance.one_in(many);
        match self.chance.below(25) {
            0..=4 => {
                let truth = match self.chance.below(12) {
                    0 => Truth::Ill,
                    1 => Truth::DoesNotStart,
                    2 => Truth::Flaps,
                    3 => Truth::Dies(i64::try_from(1_000 + self.chance.below(900_000)).unwrap()),
                    4 => Truth::Refused,
                    5 => Truth::Panics(i64::try_from(5_000 + self.chance.below(100_000)).unwrap()),
                    6 => Truth::Slow(i64::try_from(self.chance.below(9_000)).unwrap()),
                    _ => Truth::Good,
                };
                self.want_new(at, truth);
                self.wake = self.time;
            }
            5 => {
                // The target is set back, or only its terms are others.
                let it = &self.components[at];
                let back = it.row.current.clone().or_else(|| it.row.previous.clone());
                if let Some(deployment) = back {
                    let source = Arc::clone(&deployment.own);
                    self.say(|it| format!("{} shall be {source} again", it.components[at].id));
                    self.components[at].wanted = Some(Wanted { deployment, source });
                }
            }
            6 if one_in(&mut self.chance, 4) => self.components[at].wanted = None,
            6 | 7 => {
                let up = one_in(&mut self.chance, 2);
                self.say(|_| format!("the dependency is up: {up}"));
                for it in &mut self.components {
                    it.host.dependency = up;
                    it.disturbed = time;
                }
            }
            8 => self.components[at].host.artifacts ^= true,
            9 => self.suspended = one_in(&mut self.chance, 3),
            10 => self.budget = !one_in(&mut self.chance, 3),
            11 => self.windows = one_in(&mut self.chance, 3),
            12 => self.components[at].approved = !one_in(&mut self.chance, 3),
            13 => self.offset += i64::try_from(self.chance.below(48)).unwrap() * HOUR - 24 * HOUR,
            14 => self.reboot(),
            15 => {
                // Somebody restarts it, or what it reads has changed.
                let it = &mut self.components[at];
                it.restart_owed = true;
            }
            16 => {
                self.say(|it| format!("somebody kills {}", it.components[at].id));
                let it = &mut self.components[at];
                it.host.programs.clear();
                it.disturbed = time;
                if let (Place::Whole(own), true) = (it.host.place.clone(), it.host.enabled) {
                    it.host.launch(&own, time);
                }
            }
            17 => {
                let it = &mut self.components[at];
                let gone = std::mem::take(&mut it.host.prepared);
                self.say(|_| format!("somebody removes {gone:?}"));
            }
            18 => self.components[at].host.hooks = one_in(&mut self.chance, 2),
            19 => {
                let job = i64::try_from(self.chance.below(120_000)).unwrap();
                self.components[at].host.job = time + job;
            }
            20 => self.retry(at),
            21 => {
                // One that bakes, a newer one, and while that begins the target is set back.
                self.want_new(at, Truth::Good);
                self.wake = self.time;
                self.advance(self.time + 100_000);
                self.want_new(at, Truth::Good);
                self.wake = self.time;
                for _ in 0..200 {
                    self.advance(self.time + 500);
                    let it = &mut self.components[at];
                    let begins = it.row.step.as_ref().is_some_and(|it| {
                        it.chained && matches!(it.phase, Phase::Quiesce | Phase::Drained)
                    });
                    if let (true, Some(deployment)) = (begins, it.row.current.clone()) {
                        let source = Arc::clone(&deployment.own);
                        it.wanted = Some(Wanted { deployment, source });
                        break;
                    }
                }
            }
            _ => {
                let now = one_in(&mut self.chance, 3);
                self.say(|_| format!("run by hand, now: {now}"));
                self.run(By::Hand { now });
            }
        }
        self.check();
    }

    fn retry(&mut self, at: usize) {
        let it = &mut self.components[at];
        let Some(wanted) = &it.wanted else { return };
        it.row.retry(&wanted.deployment.own);
        let own = wanted.deployment.own.clone();
        it.bad.retain(|bad| bad.0 != own);
        self.say(|_| format!("retry {own}"));
        self.wake = self.time;
    }

    /// Everything is well again, gates are open, and what is wanted is good, or ill with something good before it.
    pub(crate) fn heal(&mut self) {
        self.say(|_| "all is well again".to_owned());
        (self.calm, self.suspended, self.budget, self.windows) = (true, false, true, false);
        let time = self.time;
        for at in 0..self.components.len() {
            let it = &mut self.components[at];
            (it.approved, it.restart_owed, it.disturbed) = (true, false, time);
            let host = &mut it.host;
            (host.dependency, host.artifacts, host.hooks, host.job) = (true, true, true, 0);
            // Somebody has mended the kernel.
            let mended = |it: &mut Truth| {
                *it = if matches!(it, Truth::Panics(_)) { Truth::Ill } else { *it }
            };
            host.truths.values_mut().for_each(mended);
            let keeps =
                it.wanted.as_ref().is_some_and(|it| host.truths[&it.deployment.own].is_good());
            if !keeps || self.chance.one_in(2) {
                self.want_new(at, Truth::Good);
            }
            self.retry(at);
        }
        self.advance(self.time + 12 * HOUR);
        self.demand_all("is not where it shall be");
        // One that is ill is tried, and everything is as it was.
        let last = self.components.len() - 1;
        let good: Vec<Option<Wanted>> =
            self.components.iter().map(|it| it.wanted.clone()).collect();
        let ill = if self.chance.one_in(2) { Truth::Ill } else { Truth::DoesNotStart };
        self.want_new(last, ill);
        self.wake = self.time;
        self.advance(self.time + 12 * HOUR);
        let judged = self.components[last].row.bad.last().map(|it| it.own.clone());
        let tried = self.components[last].wanted.as_ref().map(|it| it.deployment.own.clone());
        self.demand(judged == tried, "what is ill is not found to be bad");
        self.components[last].wanted = good[last].clone();
        self.advance(self.time + KEEP);
        self.demand_all("is not as it was before the bad one");
    }

    fn demand_all(&self, what: &str) {
        for it in &self.components {
            let wanted = &it.wanted.as_ref().unwrap().deployment.own;
            let current = it.row.current.as_ref().map(|it| &it.own);
            self.demand(current == Some(wanted), &format!("{} {what}", it.id));
            let host = &it.host;
            let runs = host.running() == BTreeSet::from([Some(Arc::clone(wanted))]);
            self.demand(runs && host.place == Place::Whole(Arc::clone(wanted)), "another one runs");
            self.demand(host.is_well(wanted, self.time), "it is not well");
            self.demand(host.enabled && host.timer && host.along, "not all of it runs again");
            self.demand(it.row.owed.is_nothing(), "something is owed");
            let readies = it.row.current.as_ref().is_some_and(|it| it.terms.readies);
            self.demand(host.traffic || !readies, "it gets no traffic");
        }
    }
}

/// Deployments by their names alone.
fn brief(line: &str) -> String {
    const START: &str = "Deployment { own: ";
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(START) {
        out.push_str(&rest[..at]);
        rest = &rest[at + START.len()..];
        let (name, _) = rest.split_once(',').unwrap();
        out.push_str(name);
        let mut depth = 1;
        let end = rest.find(|it| {
            depth += i32::from(it == '{') - i32::from(it == '}');
            depth == 0
        });
        rest = &rest[end.unwrap() + 1..];
    }
    out + rest
}

fn standing(it: &Component) -> Standing<'_> {
    Standing {
        id: &it.id,
        row: &it.row,
        wanted: it.wanted.as_ref().map(|it| &it.deployment),
        uses: &it.uses,
    }
}

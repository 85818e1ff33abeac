//! Weeks in the life of a node, by seed: sources that refuse, lie and vanish, clocks that jump, disks
//! that fail, runs that crash, agents that die at any moment. Whatever happens, the invariants hold;
//! and when it is over, the node keeps the newest good revision.

#![expect(clippy::unwrap_used, reason = "a test whose helpers are no test functions")]

use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use steadfast_agent::machine::{
    Action, Agent, Answer, Client, Config, Input, Job, Note, Request, RunResult, Shutdown,
};
use steadfast_agent::memory::Memory;
use steadfast_agent::schedule::{Chance, later, since};
use steadfast_agent::status::Waiting;
use steadfast_model::policy::{Adopt, Approval, Wave, parse_window};
use steadfast_model::{PromiseId, Span, Spanned};
use steadfast_node::gate::Gate;
use steadfast_node::revision::{HighestAccepted, Revision, RevisionInfo};
use steadfast_node::wire::{
    Failure, Fault, Hindrance, JudgedFailure, Offer, Prepared, Proof, Refusal, RefusalKind, Report,
    RunReason, Selection,
};

/// Enough that everything that can be noted is noted by one of them, which is demanded below.
const SEEDS: u64 = 16;
const WEEKS: i64 = 3;
const FETCH: Duration = Duration::from_secs(300);
const KEEP: Duration = Duration::from_secs(1_800);

/// One state of the model as it really is.
#[derive(Clone, Debug, Default)]
struct Truth {
    broken: Option<usize>,
    health: bool,
    crashes: bool,
    invalid: bool,
    budget: bool,
    gate: u64,
}

struct World {
    seed: u64,
    chance: Chance,
    /// Time that nobody can set, in milliseconds.
    time: i64,
    /// What the wall clock is ahead of it.
    offset: i64,
    agent: Agent,
    disk: Option<Vec<u8>>,
    disk_works: bool,
    source_works: bool,
    hostile: bool,
    snapshots: bool,
    truths: Vec<Truth>,
    /// Children and when they end.
    children: Vec<(i64, Input)>,
    wake: i64,
    /// What the machine does not keep under any revision.
    machine_broken: Option<usize>,
    /// Disasters have ended.
    calm: bool,
    last_run: Option<Revision>,

    // What the invariants are checked against.
    suspended: Option<Option<Timestamp>>,
    bad: BTreeSet<Revision>,
    adopted: BTreeMap<Revision, usize>,
    highest: Option<usize>,
    insisted: BTreeSet<Revision>,
    attempt: i64,
    last_fetch: Option<i64>,
    hurry: bool,
    handled: VecDeque<i64>,
    running: bool,
    trace: VecDeque<String>,
    noted: BTreeSet<String>,
}

fn name(number: usize) -> Revision {
    Revision::new(format!("r{number:07}"))
}

fn number(revision: &Revision) -> Option<usize> {
    revision.0.strip_prefix('r')?.parse().ok()
}

/// One of the promises of this node.
fn numbered(number: impl std::fmt::Display) -> PromiseId {
    PromiseId::new("file", &format!("/p{number}"))
}

fn config() -> Config {
    Config {
        node: "web1.xyz.example".to_owned(),
        source: Some("git https://git.xyz.example/model.git main".to_owned()),
        fetch: FETCH,
        keep: KEEP,
        missing: vec![],
        unsigned: false,
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed ^ 0x5eed);
        let snapshots = chance.below(2) == 0;
        let start = 1_772_000_000_000;
        let now = Timestamp::from_millisecond(start).unwrap();
        World {
            seed,
            agent: Agent::new(config(), Memory::default(), seed, now),
            chance,
            time: start,
            offset: 0,
            disk: None,
            disk_works: true,
            source_works: true,
            hostile: false,
            snapshots,
            truths: vec![Truth::default()],
            children: vec![],
            wake: start,
            machine_broken: None,
            calm: false,
            last_run: None,
            suspended: None,
            bad: BTreeSet::new(),
            adopted: BTreeMap::new(),
            highest: None,
            insisted: BTreeSet::new(),
            attempt: start,
            last_fetch: None,
            hurry: false,
            handled: VecDeque::new(),
            running: false,
            trace: VecDeque::new(),
            noted: BTreeSet::new(),
        }
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.chance.below(many) == 0
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millisecond(self.time + self.offset).unwrap()
    }

    fn say(&mut self, line: String) {
        if self.trace.len() > 60 {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{} {line}", self.wall()));
    }

    #[track_caller]
    fn demand(&self, holds: bool, what: &str) {
        assert!(
            holds,
            "seed {}: {what}\n{}",
            self.seed,
            self.trace.iter().cloned().collect::<Vec<_>>().join("\n")
        );
    }

    fn is_suspended(&self) -> bool {
        self.suspended.is_some_and(|until| until.is_none_or(|it| it > self.wall()))
    }

    /// Gives the input, does what comes out, and checks it.
    fn give(&mut self, input: Input) {
        let mut input = Some(input);
        while let Some(one) = input.take() {
            let line = format!("{one:?}");
            self.say(format!("-> {}", line.chars().take(200).collect::<String>()));
            let actions = self.agent.handle(one, self.wall());
            self.handled.push_back(self.time);
            while self.handled.front().is_some_and(|it| *it < self.time - 3_600_000) {
                self.handled.pop_front();
            }
            self.demand(self.handled.len() < 2_500, "it is busy for nothing");
            let Some(Action::WakeAt(at)) = actions.last() else {
                self.demand(false, "there is no next wake-up");
                return;
            };
            let (at, now) = (*at, self.wall());
            self.demand(at > now && since(now, at) <= Duration::from_secs(3_600), "a bad wake-up");
            self.wake = at.as_millisecond() - self.offset;
            let dies_at = if self.calm || !self.one_in(2_000) {
                usize::MAX
            } else {
                usize::try_from(self.chance.below(actions.len() as u64)).unwrap()
            };
            let mut dropped = false;
            for (count, action) in actions.into_iter().enumerate() {
                if count == dies_at {
                    self.restart();
                    return;
                }
                if dropped {
                    continue;
                }
                if let Action::Store(memory) = &action {
                    if !self.disk_works {
                        self.say("the disk is broken".to_owned());
                        dropped = true;
                        input = Some(Input::NotStored { why: "read-only".to_owned() });
                        continue;
                    }
                    self.disk = Some(memory.to_bytes());
                    continue;
                }
                self.perform(action);
            }
        }
    }

    /// The agent and its children die, and systemd starts it again.
    fn restart(&mut self) {
        self.say("everything dies".to_owned());
        self.children.clear();
        self.running = false;
        self.time += 1_000;
        let (memory, problems) = Memory::read([self.disk.as_deref(), None]);
        self.demand(problems.is_empty(), "the memory is readable");
        self.suspended = memory.suspended.as_ref().map(|it| it.until);
        self.bad = memory.bad.iter().map(|it| it.revision.clone()).collect();
        self.agent = Agent::new(config(), memory, self.seed, self.wall());
        self.wake = self.time;
        self.hurry = true;
    }

    fn perform(&mut self, action: Action) {
        let line = format!("{action:?}");
        if let Action::Note(note) = &action {
            let word = format!("{note:?}");
            self.noted.insert(word.split([' ', '(']).next().unwrap().to_owned());
        }
        match action {
            Action::WakeAt(_) | Action::Store(_) => return,
            Action::Fetch { highest: _, wanted } => {
                if let Some(last) = self.last_fetch {
                    let spaced = self.time - last >= 15_000;
                    self.demand(spaced || self.hurry, "the source is asked too often");
                }
                self.hurry = false;
                self.last_fetch = Some(self.time);
                let answer = self.fetch(wanted.as_ref());
                let slow = 100 + self.chance.below(60_000);
                self.child(slow, Input::Fetched(answer));
            }
            Action::Prepare { revision } => {
                let truth = self.truth(&revision);
                let result = if truth.invalid {
                    Err(vec!["error[unknown-field]".to_owned()])
                } else {
                    Ok(Prepared {
                        model: "xyz".to_owned(),
                        named: true,
                        promises: 10,
                        gate: gate(truth.gate),
                        hindrance: (truth.budget && !self.calm).then(|| Hindrance::Budget {
                            what: "deletions".to_owned(),
                            limit: 20,
                            planned: 30,
                        }),
                    })
                };
                self.child(500, Input::Prepared { revision, result });
            }
            Action::Run(job) => self.run(job),
            Action::GoBack { from, to } => {
                self.run(Job {
                    revision: to,
                    reason: RunReason::GoBack,
                    only: None,
                    against: Some(from),
                });
            }
            Action::Note(Note::WentBack { bad, to: _ }) => {
                self.bad.insert(bad);
            }
            Action::Note(Note::Unexpected(_)) => self.demand(false, "an answer without question"),
            Action::Note(Note::Resumed) => self.suspended = None,
            Action::Note(_) | Action::Reload | Action::Shutdown(_) | Action::Reply { .. } => {}
        }
        self.say(format!("   {}", line.chars().take(240).collect::<String>()));
    }

    fn child(&mut self, after: u64, input: Input) {
        self.children.push((self.time + i64::try_from(after).unwrap(), input));
    }

    fn truth(&self, revision: &Revision) -> Truth {
        number(revision).map(|it| self.truths[it].clone()).unwrap_or_default()
    }

    fn run(&mut self, job: Job) {
        let revision = &job.revision;
        self.demand(!self.running, "two runs at once");
        self.demand(!self.is_suspended(), "a suspended agent runs");
        self.demand(!self.bad.contains(revision), "a revision that is known to be bad runs");
        self.demand(!self.truth(revision).invalid, "an invalid revision runs");
        // Invariant 7: forward, or back to what had been adopted.
        match (number(revision), self.highest) {
            (None, _) => {
                self.demand(self.insisted.contains(revision), "forged history is adopted");
            }
            (Some(number), Some(highest)) => {
                let known = self.adopted.contains_key(revision);
                self.demand(known || number > highest, "an older revision is adopted");
            }
            (Some(_), None) => {}
        }
        if let Some(number) = number(revision) {
            self.adopted.insert(revision.clone(), number);
            self.highest = self.highest.max(Some(number));
        }
        self.running = true;
        self.attempt = self.time;
        self.last_run = Some(revision.clone());
        let result = self.outcome(&job);
        let takes = 200 + self.chance.below(if job.only.is_some() { 500 } else { 120_000 });
        self.child(takes, Input::RunEnded { revision: job.revision, result });
    }

    fn outcome(&mut self, job: &Job) -> RunResult {
        if !self.calm {
            match self.chance.below(100) {
                0 => return RunResult::Busy("another run holds the lock".to_owned()),
                1 => return RunResult::NotStarted("no memory".to_owned()),
                2 => return RunResult::Crashed("killed".to_owned()),
                _ => {}
            }
        }
        let truth = self.truth(&job.revision);
        if truth.crashes {
            return RunResult::Crashed("signal 6".to_owned());
        }
        let broken: BTreeSet<usize> = truth.broken.into_iter().chain(self.machine_broken).collect();
        let mut report = Report { kept: 10 - broken.len() as u64, ..Report::default() };
        for promise in broken {
            let fault = if self.one_in(8) { Fault::Network } else { Fault::Revision };
            report.not_kept.push(JudgedFailure {
                failure: Failure {
                    promise: numbered(promise),
                    reason: "validation failed".to_owned(),
                    journal: vec![],
                },
                fault,
                health: truth.health,
                changed: job.against.is_some(),
            });
        }
        let only = job.only.iter().flat_map(|it| &it.0);
        report.repaired = only.map(|it| PromiseId(it.as_str().into())).collect();
        report
            .repaired
            .retain(|it| !report.not_kept.iter().any(|broken| broken.failure.promise == *it));
        RunResult::Finished(report)
    }

    /// What the source answers, with what a careful fetcher finds out and one that was fooled does not.
    fn fetch(&mut self, wanted: Option<&Revision>) -> Result<Option<Offer>, Refusal> {
        let refuse = |kind| Err(Refusal { kind, words: "no".to_owned() });
        if !self.source_works {
            return refuse(RefusalKind::Unreachable);
        }
        let newest = self.truths.len() - 1;
        let mut at = wanted.and_then(number).unwrap_or(newest);
        let mut revision = name(at);
        let mut from = match &self.agent.memory().highest {
            HighestAccepted::At(it) => it.revision.clone(),
            HighestAccepted::Fresh | HighestAccepted::Lost => name(0),
        };
        if self.hostile && self.highest.is_some() {
            match self.chance.below(5) {
                0 => return refuse(RefusalKind::Signature),
                1 => return refuse(RefusalKind::Broken),
                // History rewritten: it descends from somewhere else.
                2 => {
                    // A number that was there before: signed and above would be no forgery.
                    at = number(&from).unwrap_or(0);
                    revision = Revision::new(format!("fork{}", self.chance.below(3)));
                    from = Revision::new("elsewhere");
                }
                // A replay.
                3 => {
                    at = usize::try_from(self.chance.below(newest as u64 + 1)).unwrap();
                    revision = name(at);
                    from = name(at.saturating_sub(1));
                }
                _ => {}
            }
        }
        if number(&from).is_some_and(|it| it > at) {
            // A careful fetcher sees what was accepted.
            from = Revision::new("elsewhere");
        }
        let proof = if self.snapshots { Proof::Sequence } else { Proof::DescendsFrom(from) };
        let expires = (self.snapshots && self.one_in(3))
            .then(|| later(self.wall(), Duration::from_secs(86_400)));
        let info = RevisionInfo {
            sequence: self.snapshots.then_some(at as u64),
            date: Timestamp::from_millisecond(1_772_000_000_000 + at as i64 * 60_000).unwrap(),
            revision,
            expires,
        };
        // What was newest before, and is not adopted yet, is not to be.
        let before = at.checked_sub(1).filter(|_| self.one_in(2)).map(name);
        let supersedes = before.into_iter().map(|it| it.0.to_string()).collect();
        Ok(Some(Offer { info, proof, supersedes }))
    }

    fn disaster(&mut self) {
        match self.chance.below(18) {
            0 | 1 => {
                let truth = Truth {
                    broken: self.one_in(4).then_some(3),
                    health: self.one_in(3),
                    crashes: self.one_in(8),
                    invalid: self.one_in(6),
                    budget: self.one_in(8),
                    gate: self.chance.below(5),
                };
                self.say(format!("published {} {truth:?}", self.truths.len()));
                self.truths.push(truth);
            }
            2 => self.source_works = !self.source_works,
            3 => self.hostile = !self.hostile,
            4 => {
                let hours = i64::try_from(self.chance.below(72)).unwrap() - 36;
                self.offset += hours * 3_600_000;
                // What is due by the clock is due.
                self.hurry = true;
                let told = self.one_in(2);
                if told {
                    self.give(Input::ClockJumped { by: SignedDuration::from_hours(hours) });
                } else {
                    self.wake = self.wake.min(self.time + 3_600_000);
                }
                self.attempt = self.attempt.max(self.time);
            }
            5 => self.disk_works = !self.disk_works,
            6 => self.machine_broken = self.one_in(2).then_some(5),
            7 => self.restart(),
            8 => {
                let until = self.one_in(2).then(|| {
                    later(self.wall(), Duration::from_secs(60 + self.chance.below(200_000)))
                });
                self.ask(Request::Suspend { reason: "maintenance".to_owned(), until });
            }
            9 | 10 => self.ask(Request::Resume),
            11 => {
                let only = self.one_in(2).then(|| Selection::from_promises(&[numbered(1)]));
                self.ask(Request::Run { only });
            }
            12 | 13 => {
                let newest = name(self.truths.len() - 1);
                self.ask(Request::Adopt { revision: newest, reason: None });
            }
            14 => {
                // A storm of changes to one promise.
                for _ in 0..20 {
                    self.give(Input::Drift { promises: vec![numbered(2)] });
                    self.advance(self.time + 1_000);
                }
            }
            15 => {
                let promises =
                    (0..2_000).map(|it| PromiseId::new("file", &format!("/many{it}"))).collect();
                self.give(Input::Drift { promises });
            }
            _ => {
                let promise = numbered(self.chance.below(10));
                self.give(Input::Drift { promises: vec![promise] });
            }
        }
    }

    fn ask(&mut self, request: Request) {
        let before = self.agent.memory().suspended.clone();
        match &request {
            Request::Adopt { .. } | Request::Reload => self.hurry = true,
            Request::Run { .. } | Request::Suspend { .. } | Request::Resume => {}
        }
        self.give(Input::Asked { by: Client(1), request });
        let after = self.agent.memory().suspended.clone();
        if before != after {
            self.suspended = after.map(|it| it.until);
        }
    }

    /// Lets time go on to `end`, with all that falls due.
    fn advance(&mut self, end: i64) {
        loop {
            let child = self.children.iter().map(|it| it.0).min();
            let next = child.unwrap_or(i64::MAX).min(self.wake.max(self.time));
            if next > end {
                self.time = end;
                return;
            }
            self.time = self.time.max(next);
            if child == Some(next) {
                let at = self.children.iter().position(|it| it.0 == next).unwrap();
                let (_, input) = self.children.remove(at);
                if matches!(input, Input::RunEnded { .. }) {
                    self.running = false;
                    self.attempt = self.time;
                }
                self.give(input);
            } else {
                // Until the next answer says otherwise.
                self.wake = i64::MAX;
                self.give(Input::Woke);
            }
            self.keeps_going();
        }
    }

    /// Invariant 6, and that there is always something that goes on.
    fn keeps_going(&mut self) {
        if self.agent.memory().adopted.is_none() || self.is_suspended() || self.running {
            self.attempt = self.attempt.max(self.time);
        }
        let longest = i64::try_from((KEEP + Duration::from_secs(3_700)).as_millis()).unwrap();
        self.demand(self.time - self.attempt <= longest, "the adopted revision is not kept");
        if let Some(adopted) = &self.agent.memory().adopted {
            self.demand(!self.bad.contains(&adopted.info.revision), "the bad one is adopted");
        }
    }

    /// Everything is well again, and somebody approves.
    fn heal(&mut self) {
        self.say("all is well again".to_owned());
        (self.calm, self.disk_works, self.source_works, self.hostile) = (true, true, true, false);
        self.machine_broken = None;
        self.truths.push(Truth::default());
        self.ask(Request::Resume);
        for _ in 0..11 * 24 {
            self.advance(self.time + 3_600_000);
            if self.agent.waiting(self.wall()) == Some(Waiting::Approval) {
                let newest = name(self.truths.len() - 1);
                self.ask(Request::Adopt { revision: newest, reason: None });
            }
        }
        let status = self.agent.status(self.wall());
        let newest = name(self.truths.len() - 1);
        self.say(format!("{status:#?}"));
        let adopted = status.adopted.as_ref().map(|it| &it.revision);
        self.demand(adopted == Some(&newest), "the newest good revision is not adopted");
        self.demand(status.trying.is_none(), "it is still on trial");
        self.demand(self.last_run.as_ref() == Some(&newest), "it is not what runs");
        let unkept = status.last_run.map_or(1, |it| it.not_kept.len());
        self.demand(unkept == 0, "not everything is kept");
    }
}

fn gate(which: u64) -> Gate {
    let window = |text| Spanned::new(parse_window(text).unwrap(), Span::default());
    let windows = match which {
        1 | 3 => vec![window("Mon..Thu 09:00-16:00 Europe/Brussels")],
        2 => vec![window("Sat,Sun 23:00-02:30 America/New_York")],
        _ => vec![],
    };
    let waves = match which {
        3 => vec![
            Wave { percent: 1, after: Duration::ZERO },
            Wave { percent: 100, after: Duration::from_secs(86_400) },
        ],
        _ => vec![],
    };
    let approval = if which == 4 { Approval::Required } else { Approval::None };
    let budget = steadfast_model::policy::Budget::default();
    Gate::from_policy(&Adopt { windows, waves, approval }, budget, Duration::from_secs(604_800))
}

fn live(seed: u64) -> BTreeSet<String> {
    let mut world = World::new(seed);
    let end = world.time + WEEKS * 7 * 86_400_000;
    while world.time < end {
        let pause = i64::try_from(world.chance.below(4 * 3_600_000)).unwrap();
        world.advance(world.time + pause);
        world.disaster();
    }
    world.heal();
    world.noted
}

#[test]
fn a_node_lives_through_weeks_of_trouble() {
    let noted: BTreeSet<String> = (0..SEEDS).flat_map(live).collect();
    let all = [
        "Adopted",
        "Flapping",
        "FlappingOver",
        "GoingBack",
        "GoingBackDidNotHelp",
        "Invalid",
        "NotStored",
        "Refused",
        "Resumed",
        "RunCrashed",
        "RunPutOff",
        "Settled",
        "Superseded",
        "Suspended",
        "TriedAgain",
        "WentBack",
    ];
    assert_eq!(noted.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn an_agent_that_ends_waits_for_its_run_and_begins_nothing_else() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        while !world.running {
            world.advance(world.time + 1_000);
        }
        let actions = world.agent.handle(Input::Shutdown(Shutdown::Reexecute), world.wall());
        assert!(!actions.iter().any(|it| matches!(it, Action::Shutdown(_))), "seed {seed}");
        let result = RunResult::Crashed("killed".to_owned());
        let revision = world.last_run.clone().unwrap();
        let actions = world.agent.handle(Input::RunEnded { revision, result }, world.wall());
        assert!(actions.contains(&Action::Shutdown(Shutdown::Reexecute)), "seed {seed}");
        let begun = |it: &Action| matches!(it, Action::Run(_) | Action::Fetch { .. });
        assert!(!actions.iter().any(begun), "seed {seed}: {actions:?}");
        let request = Request::Run { only: None };
        let actions = world.agent.handle(Input::Asked { by: Client(2), request }, world.wall());
        let refused = |it: &Action| matches!(it, Action::Reply { answer: Answer::Refused(_), .. });
        assert!(actions.iter().any(refused), "seed {seed}: {actions:?}");
    }
}

//! The queue of known revisions: however often somebody commits, a node of the last wave keeps a revision that is
//! hardly older than that wave, the window and one poll.

#![expect(clippy::unwrap_used, reason = "a test whose helpers are no test functions")]

use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use steadfast_agent::machine::{Action, Agent, Config, Input, Job, Note, RunResult};
use steadfast_agent::memory::Memory;
use steadfast_agent::schedule::{Chance, Share, later, since};
use steadfast_model::policy::{Adopt, Approval, Budget, Wave, parse_window};
use steadfast_model::{PromiseId, Span, Spanned};
use steadfast_node::gate::Gate;
use steadfast_node::revision::{HighestAccepted, Revision, RevisionInfo};
use steadfast_node::wire::{
    Failure, Fault, JudgedFailure, Offer, Prepared, Proof, Report, RunReason,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const FETCH: Duration = Duration::from_secs(300);

fn config(node: &str) -> Config {
    Config {
        node: node.to_owned(),
        source: Some("git https://git.xyz.example/model.git main".to_owned()),
        fetch: FETCH,
        keep: HOUR,
        missing: vec![],
        unsigned: false,
    }
}

/// A node whose share comes in the last of these waves.
fn late_node(waves: &[Wave]) -> String {
    let last = waves.last().unwrap().after;
    let turn = |node: &String| Share::from_names(node, "xyz").turn(waves, Timestamp::UNIX_EPOCH);
    let names = (0..).map(|it| format!("node{it}.xyz.example"));
    let mut late = names.skip_while(|it| turn(it) != later(Timestamp::UNIX_EPOCH, last));
    late.next().unwrap()
}

fn waves(last: Duration) -> Vec<Wave> {
    let wave = |percent, after| Wave { percent, after };
    vec![wave(5, Duration::ZERO), wave(25, last / 4), wave(100, last)]
}

/// A source with somebody who commits, and a node that follows it.
struct World {
    config: Config,
    gate: Gate,
    agent: Agent,
    disk: Memory,
    now: Timestamp,
    wake: Timestamp,
    /// Answers under way.
    answers: Vec<(Timestamp, Input)>,
    /// When each revision was committed.
    commits: Vec<Timestamp>,
    broken: BTreeSet<usize>,
    invalid: BTreeSet<usize>,
    adopted: Vec<usize>,
    bad: BTreeSet<usize>,
    supersedes: Vec<String>,
}

fn name(number: usize) -> Revision {
    Revision::new(format!("{number:010}"))
}

fn number(revision: &Revision) -> usize {
    revision.0.parse().unwrap()
}

impl World {
    fn new(last: Duration, windows: &[&str]) -> World {
        let waves = waves(last);
        let config = config(&late_node(&waves));
        let window = |it: &&str| Spanned::new(parse_window(it).unwrap(), Span::default());
        let windows = windows.iter().map(window).collect();
        let adopt = Adopt { windows, waves, approval: Approval::None };
        let now = "2026-07-06T08:00:00Z".parse().unwrap();
        World {
            agent: Agent::new(config.clone(), Memory::default(), 1, now),
            gate: Gate::from_policy(&adopt, Budget::default(), DAY),
            config,
            disk: Memory::default(),
            now,
            wake: now,
            answers: vec![],
            commits: vec![now],
            broken: BTreeSet::new(),
            invalid: BTreeSet::new(),
            adopted: vec![],
            bad: BTreeSet::new(),
            supersedes: vec![],
        }
    }

    fn give(&mut self, input: Input) {
        for action in self.agent.handle(input, self.now) {
            match action {
                Action::Store(memory) => self.disk = *memory,
                Action::WakeAt(at) => self.wake = at,
                Action::Fetch { highest, .. } => {
                    let input = Input::Fetched(Ok(Some(self.offer(&highest))));
                    self.answers.push((later(self.now, Duration::from_secs(2)), input));
                }
                Action::Prepare { revision } => {
                    let result = if self.invalid.contains(&number(&revision)) {
                        Err(vec!["it is invalid here".to_owned()])
                    } else {
                        Ok(Prepared {
                            model: "xyz".to_owned(),
                            named: true,
                            promises: 1,
                            gate: self.gate.clone(),
                            hindrance: None,
                        })
                    };
                    let input = Input::Prepared { revision, result };
                    self.answers.push((later(self.now, Duration::from_secs(1)), input));
                }
                Action::Run(job) => self.run(job),
                Action::GoBack { from, to } => {
                    let (reason, against) = (RunReason::GoBack, Some(from));
                    self.run(Job { revision: to, reason, only: None, against });
                }
                Action::Note(Note::Adopted { revision }) => {
                    let adopted = number(&revision);
                    assert!(!self.bad.contains(&adopted), "{adopted} is known to be bad");
                    assert!(self.adopted.last().is_none_or(|it| *it < adopted), "{adopted}");
                    assert!(!self.invalid.contains(&adopted));
                    self.adopted.push(adopted);
                }
                Action::Note(Note::WentBack { bad, to: _ }) => {
                    self.bad.insert(number(&bad));
                    self.adopted.pop();
                }
                Action::Note(_) | Action::Reload | Action::Reply { .. } | Action::Shutdown(_) => {}
            }
        }
    }

    fn offer(&mut self, highest: &HighestAccepted) -> Offer {
        let newest = self.commits.len() - 1;
        let from = match highest {
            HighestAccepted::At(it) => it.revision.clone(),
            HighestAccepted::Fresh | HighestAccepted::Lost => name(newest),
        };
        let info = RevisionInfo {
            revision: name(newest),
            sequence: None,
            date: self.commits[newest],
            expires: None,
        };
        let supersedes = std::mem::take(&mut self.supersedes);
        Offer { info, proof: Proof::DescendsFrom(from), supersedes }
    }

    fn run(&mut self, job: Job) {
        let mut report = Report { kept: 1, ..Report::default() };
        if self.broken.contains(&number(&job.revision)) {
            let failure = Failure {
                promise: PromiseId::new("file", "/a"),
                reason: "it broke".to_owned(),
                journal: vec![],
            };
            let fault = Fault::Revision;
            let failure = JudgedFailure { failure, fault, health: true, changed: true };
            report.not_kept.push(failure);
        }
        let result = RunResult::Finished(report);
        let input = Input::RunEnded { revision: job.revision, result };
        self.answers.push((later(self.now, Duration::from_secs(5)), input));
    }

    /// Everything dies, and is started again.
    fn restart(&mut self) {
        self.answers.clear();
        self.agent = Agent::new(self.config.clone(), self.disk.clone(), 7, self.now);
        self.give(Input::Woke);
    }

    fn until(&mut self, end: Timestamp) {
        loop {
            let next = self.answers.iter().enumerate().min_by_key(|(_, (at, _))| *at);
            let next = next.map(|(place, (at, _))| (place, *at));
            match next {
                Some((place, at)) if at <= self.wake && at <= end => {
                    self.now = self.now.max(at);
                    let (_, input) = self.answers.remove(place);
                    self.give(input);
                }
                _ if self.wake <= end => {
                    self.now = self.now.max(self.wake);
                    self.give(Input::Woke);
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
    }

    /// How old what the node keeps is: since when there has been something newer.
    fn age(&self) -> Duration {
        let adopted = *self.adopted.last().unwrap();
        let newer = self.commits[adopted + 1..].iter().enumerate();
        let mut newer = newer.filter(|(at, _)| {
            let number = adopted + 1 + at;
            !self.broken.contains(&number) && !self.invalid.contains(&number)
        });
        newer.next().map_or(Duration::ZERO, |(_, at)| since(*at, self.now))
    }

    fn commit(&mut self) -> usize {
        self.commits.push(self.now);
        self.commits.len() - 1
    }
}

/// So many days with a commit that often; gives how often a revision was adopted, and the greatest age.
fn days(
    count: u32,
    every: impl Fn(&mut Chance) -> Duration,
    last: Duration,
    windows: &[&str],
    trouble: bool,
) -> (usize, Duration) {
    let mut world = World::new(last, windows);
    let mut chance = Chance::new(3);
    world.give(Input::Woke);
    let begin = world.now;
    let (mut commit, mut oldest) = (later(begin, HOUR), Duration::ZERO);
    while since(begin, world.now) < DAY * count {
        let next = later(world.now, MINUTE * 10).min(commit);
        world.until(next);
        if commit <= world.now {
            let number = world.commit();
            if trouble && chance.below(7) == 0 {
                world.broken.insert(number);
            } else if trouble && chance.below(5) == 0 {
                world.invalid.insert(number);
            }
            commit = later(world.now, every(&mut chance));
        }
        if trouble && chance.below(100) == 0 {
            world.restart();
        }
        oldest = oldest.max(world.age());
    }
    (world.adopted.len(), oldest)
}

#[test]
fn at_any_rate_of_commits_a_node_of_the_last_wave_keeps_something_not_much_older_than_that_wave() {
    let cases = [
        (HOUR * 4, MINUTE * 3, 2),
        (HOUR * 4, MINUTE * 29, 4),
        (HOUR * 4, HOUR * 5, 10),
        (DAY, MINUTE * 7, 5),
        (DAY, HOUR, 10),
        (DAY, HOUR * 20, 30),
        (DAY, HOUR * 23 + MINUTE * 59, 30),
        (DAY, HOUR * 25, 30),
        (DAY * 3, HOUR * 20, 30),
    ];
    for (last, every, count) in cases {
        let (adopted, oldest) = days(count, |_| every, last, &[], false);
        // What was thinned out is hardly missed: the queue has a thirtieth of the wave between two.
        let most = last + FETCH * 2 + last / 30 + MINUTE * 10;
        assert!(oldest <= most, "last wave {last:?}, every {every:?}: {oldest:?} > {most:?}");
        let waves = (DAY * count).as_secs() / last.max(every).as_secs();
        assert!(adopted as u64 * 2 > waves, "last wave {last:?}, every {every:?}: {adopted}");
    }
}

#[test]
fn a_window_and_revisions_that_are_bad_or_invalid_here_make_it_no_older_than_they_must() {
    let every = |chance: &mut Chance| Duration::from_secs(60 + chance.below(2 * 3_600));
    // Open for two hours each day.
    let (_, oldest) = days(8, every, DAY, &["Mon..Sun 02:00-04:00 UTC"], false);
    assert!(oldest <= DAY + HOUR * 22 + DAY / 10, "{oldest:?}");
    let (adopted, oldest) = days(10, every, DAY, &[], true);
    assert!(oldest <= DAY + HOUR * 2, "{oldest:?}");
    assert!(adopted > 40, "{adopted}");
}

#[test]
fn what_is_superseded_while_it_waits_is_never_adopted() {
    let mut world = World::new(DAY, &[]);
    world.give(Input::Woke);
    world.until(later(world.now, HOUR));
    let mut all = vec![];
    for _ in 0..4 {
        all.push(world.commit());
        world.until(later(world.now, HOUR));
    }
    assert_eq!(world.agent.memory().known().count(), 4);
    // The newest says so of two of them, and all is started again before their turn.
    world.supersedes = vec![name(all[1]).0.to_string(), name(all[2]).0.to_string()];
    all.push(world.commit());
    world.until(later(world.now, HOUR));
    world.restart();
    assert_eq!(world.agent.memory().known().count(), 3);
    let end = later(world.now, DAY * 2);
    let mut adopted = BTreeSet::new();
    while world.now < end {
        world.until(later(world.now, MINUTE * 10));
        adopted.extend(world.adopted.last().copied());
    }
    assert_eq!(adopted, BTreeSet::from([0, all[0], all[3], all[4]]));
}

#[test]
fn what_somebody_asks_for_is_adopted_though_something_newer_is_known() {
    let mut world = World::new(DAY, &[]);
    world.give(Input::Woke);
    world.until(later(world.now, HOUR));
    let (older, newer) = (world.commit(), {
        world.until(later(world.now, HOUR));
        world.commit()
    });
    world.until(later(world.now, HOUR));
    let request = steadfast_agent::machine::Request::Adopt { revision: name(older), reason: None };
    let by = steadfast_agent::machine::Client(1);
    world.give(Input::Asked { by, request });
    world.until(later(world.now, MINUTE));
    assert_eq!(world.adopted, [0, older]);
    world.until(later(world.now, DAY * 2));
    assert_eq!(world.adopted, [0, older, newer]);
}

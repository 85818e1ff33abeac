//! Single lives of a node, told as what happens and what the agent does about it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test whose helpers are no test functions"
)]

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use steadfast_agent::machine::{
    Action, Agent, Answer, Client, Config, Input, Request, RunResult, Shutdown,
};
use steadfast_agent::memory::Memory;
use steadfast_agent::schedule::later;
use steadfast_agent::status::Waiting;
use steadfast_model::policy::{Adopt, Approval, Wave, parse_window};
use steadfast_model::{PromiseId, Span, Spanned};
use steadfast_node::gate::Gate;
use steadfast_node::revision::{HighestAccepted, Revision, RevisionInfo};
use steadfast_node::wire::{
    Failure, Fault, Hindrance, JudgedFailure, Offer, Prepared, Proof, Refusal, RefusalKind, Report,
};

struct Node {
    agent: Agent,
    now: Timestamp,
    story: String,
    gate: Gate,
    disk: Memory,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn config() -> Config {
    Config {
        node: "web1".to_owned(),
        source: Some("git https://git.example/model.git branch main".to_owned()),
        fetch: Duration::from_secs(300),
        keep: Duration::from_secs(1_800),
        missing: vec![],
        unsigned: false,
    }
}

fn gate(adopt: &Adopt) -> Gate {
    Gate::from_policy(
        adopt,
        steadfast_model::policy::Budget::default(),
        Duration::from_secs(604_800),
    )
}

fn promise_id(text: &str) -> PromiseId {
    PromiseId(text.into())
}

fn not_kept(promise: &str, fault: Fault, health: bool, changed: bool) -> JudgedFailure {
    let (promise, reason) = (promise_id(promise), "it broke".to_owned());
    JudgedFailure { failure: Failure { promise, reason, journal: vec![] }, fault, health, changed }
}

fn broken(promise: &str) -> Report {
    Report {
        kept: 9,
        not_kept: vec![not_kept(promise, Fault::Revision, false, true)],
        ..Report::default()
    }
}

fn kept() -> Report {
    Report { kept: 10, ..Report::default() }
}

impl Node {
    fn new() -> Node {
        Node::from(Memory::default())
    }

    fn from(memory: Memory) -> Node {
        // A Monday, 10:00 in Brussels.
        let now = at("2026-07-06T08:00:00Z");
        let agent = Agent::new(config(), memory.clone(), 1, now);
        let gate = gate(&Adopt::default());
        Node { agent, now, story: String::new(), gate, disk: memory }
    }

    /// A node that has adopted `a` and keeps it.
    fn keeping(gate: Gate) -> Node {
        let mut node = Node::new();
        node.gate = gate;
        node.woke();
        node.offers("a");
        node.prepared("a");
        node.ended("a", kept());
        node.gate = Gate::default();
        node.story.clear();
        node
    }

    fn give(&mut self, input: Input) -> Vec<Action> {
        let actions = self.agent.handle(input, self.now);
        for action in &actions {
            let line = match action {
                Action::Store(memory) => {
                    self.disk = (**memory).clone();
                    continue;
                }
                Action::WakeAt(_) => continue,
                Action::Fetch { highest: _, wanted: None } => "fetch".to_owned(),
                Action::Fetch { highest: _, wanted: Some(it) } => format!("fetch {it}"),
                Action::Prepare { revision } => format!("prepare {revision}"),
                Action::Run(job) => {
                    let only = job.only.as_ref().map(|it| format!(" {}", it.0.join(" ")));
                    format!(
                        "run {} ({}{})",
                        job.revision,
                        job.reason.word(),
                        only.unwrap_or_default()
                    )
                }
                Action::GoBack { from, to } => format!("go back from {from} to {to}"),
                Action::Reload => "reload".to_owned(),
                Action::Note(note) => format!("note: {note}"),
                Action::Reply { to: _, answer: Answer::Accepted(it) } => format!("yes: {it}"),
                Action::Reply { to: _, answer: Answer::Refused(it) } => format!("no: {it}"),
                Action::Reply { to, answer } => format!("{} {answer:?}", to.0),
                Action::Shutdown(how) => format!("{how:?}"),
            };
            self.story += &format!("    {line}\n");
        }
        actions
    }

    fn tell(&mut self, what: &str) {
        self.story += &format!("{what}\n");
    }

    fn woke(&mut self) {
        self.tell("woke");
        self.give(Input::Woke);
    }

    /// To the next wake-up for work, past those that only ask the source without finding anything.
    fn wait(&mut self, time: Duration) {
        self.tell(&format!("{time:?} later"));
        let end = later(self.now, time);
        let mut next = self.now;
        for _ in 0..10_000 {
            let input = Input::Woke;
            self.now = next;
            let actions = self.give(input);
            let mut wake = actions.last().cloned();
            if actions.iter().any(|it| matches!(it, Action::Fetch { wanted: None, .. })) {
                let quiet = self.story.trim_end_matches("    fetch\n").len();
                self.story.truncate(quiet);
                wake = self.give(Input::Fetched(Ok(None))).last().cloned();
            }
            let Some(Action::WakeAt(at)) = wake else { panic!("no wake-up") };
            if at > end {
                self.now = end;
                return;
            }
            next = at;
        }
        panic!("it never ends");
    }

    fn offer(&mut self, name: &str, proof: Proof, date: Timestamp) {
        self.tell(&format!("the source offers {name}"));
        let revision = Revision::new(name);
        let info = RevisionInfo { revision, sequence: None, date, expires: None };
        self.give(Input::Fetched(Ok(Some(Offer { info, proof, supersedes: vec![] }))));
    }

    /// The source is asked, and offers something that is good for a while.
    fn finds_until(&mut self, name: &str, expires: Timestamp) {
        self.now = self.agent.status(self.now).next_fetch.unwrap();
        self.woke();
        self.tell(&format!("the source offers {name} until {expires}"));
        let from = Revision::new("a");
        let revision = Revision::new(name);
        let info =
            RevisionInfo { revision, sequence: None, date: self.now, expires: Some(expires) };
        let proof = Proof::DescendsFrom(from);
        self.give(Input::Fetched(Ok(Some(Offer { info, proof, supersedes: vec![] }))));
    }

    fn clock_jumps(&mut self, by: SignedDuration) {
        self.now = self.now.checked_add(by).unwrap();
        self.tell(&format!("the clock jumps by {by:#}"));
        self.give(Input::ClockJumped { by });
    }

    /// Whatever was accepted last, it descends from that.
    fn offers(&mut self, name: &str) {
        let from = match &self.agent.memory().highest {
            HighestAccepted::At(it) => it.revision.clone(),
            HighestAccepted::Fresh | HighestAccepted::Lost => Revision::new("nothing"),
        };
        self.offer(name, Proof::DescendsFrom(from), self.now);
    }

    /// Lets the next look at the source find it.
    fn finds(&mut self, name: &str) {
        self.now = self.agent.status(self.now).next_fetch.unwrap();
        self.woke();
        self.offers(name);
    }

    fn prepare(&mut self, name: &str, named: bool, hindrance: Option<Hindrance>) {
        self.tell(&format!("{name} is prepared"));
        let (gate, model) = (self.gate.clone(), "xyz".to_owned());
        let result = Ok(Prepared { model, named, promises: 10, gate, hindrance });
        self.give(Input::Prepared { revision: Revision::new(name), result });
    }

    fn prepared(&mut self, name: &str) {
        self.prepare(name, true, None);
    }

    fn end(&mut self, name: &str, result: RunResult) {
        self.tell(&format!("the run of {name} ends"));
        self.give(Input::RunEnded { revision: Revision::new(name), result });
    }

    fn ended(&mut self, name: &str, report: Report) {
        self.end(name, RunResult::Finished(report));
    }

    fn ask(&mut self, request: Request) {
        self.tell(&format!("asked: {request:?}"));
        self.give(Input::Asked { by: Client(7), request });
    }

    fn adopt(&mut self, name: &str, reason: Option<&str>) {
        let (revision, reason) = (Revision::new(name), reason.map(str::to_owned));
        self.ask(Request::Adopt { revision, reason });
    }

    fn waits(&mut self) {
        let waiting =
            self.agent.waiting(self.now).map_or("nothing newer".to_owned(), |it| it.to_string());
        self.tell(&format!("status: the newer one {waiting}"));
    }

    #[track_caller]
    fn is(&self, story: Expect) {
        story.assert_eq(&self.story);
    }
}

#[test]
fn the_first_adoption_waits_for_nothing() {
    let mut node = Node::new();
    node.gate = gate(&Adopt { approval: Approval::Required, ..Adopt::default() });
    node.woke();
    node.offers("a");
    node.prepared("a");
    node.ended("a", kept());
    node.wait(Duration::from_secs(1_800));
    node.is(expect![[r#"
        woke
            fetch
        the source offers a
            prepare a
        a is prepared
            note: adopted a
            run a (adopt)
        the run of a ends
        1800s later
            run a (keep)
    "#]]);
}

#[test]
fn a_newer_one_waits_for_its_wave_and_then_for_its_window_while_the_old_one_is_kept() {
    let adopt = Adopt {
        windows: vec![Spanned::new(
            parse_window("Tue 09:00-16:00 Europe/Brussels").unwrap(),
            Span::default(),
        )],
        waves: vec![Wave { percent: 100, after: Duration::from_secs(3_600) }],
        approval: Approval::None,
    };
    let mut node = Node::keeping(gate(&adopt));
    node.finds("b");
    node.prepared("b");
    node.waits();
    node.wait(Duration::from_secs(4_000));
    node.prepared("b");
    node.ended("a", kept());
    node.waits();
    node.wait(Duration::from_secs(1_800));
    node.ended("a", kept());
    node.now = at("2026-07-07T07:00:00Z");
    node.woke();
    node.is(expect![[r#"
        woke
            fetch
        the source offers b
            prepare b
        b is prepared
        status: the newer one waits for its wave at 2026-07-06T09:03:42.315Z (this node is at 7.76%)
        4000s later
            run a (keep)
            prepare b
        b is prepared
            fetch
        the run of a ends
        status: the newer one waits for its window, which opens at 2026-07-07T07:00:00Z
        1800s later
            run a (keep)
        the run of a ends
        woke
            note: adopted b
            run b (adopt)
    "#]]);
}

#[test]
fn a_date_in_the_future_does_not_keep_a_node_waiting() {
    let waves = vec![Wave { percent: 100, after: Duration::from_secs(60) }];
    let mut node = Node::keeping(gate(&Adopt { waves, ..Adopt::default() }));
    node.now = node.agent.status(node.now).next_fetch.unwrap();
    node.woke();
    let from = Revision::new("a");
    node.offer("b", Proof::DescendsFrom(from), at("2036-01-01T00:00:00Z"));
    node.prepared("b");
    node.wait(Duration::from_secs(60));
    node.is(expect![[r#"
        woke
            fetch
        the source offers b
            prepare b
        b is prepared
        60s later
            note: adopted b
            run b (adopt)
    "#]]);
}

/// A node that has seen a revision with this date, and has a last wave of a day.
fn sees_a_revision_of(date: &str) -> Node {
    let waves = vec![Wave { percent: 100, after: Duration::from_secs(86_400) }];
    let mut node = Node::keeping(gate(&Adopt { waves, ..Adopt::default() }));
    node.now = at("2026-07-06T09:00:00Z");
    node.woke();
    node.offer("b", Proof::DescendsFrom(Revision::new("a")), at(date));
    node.prepared("b");
    node
}

#[track_caller]
fn has_its_turn_at(node: &Node, expected: &str) {
    match node.agent.waiting(node.now) {
        Some(Waiting::Wave { turn, share: _ }) => assert_eq!(turn, at(expected)),
        other => panic!("it waits for no wave: {other:?}"),
    }
}

#[test]
fn waves_count_from_when_this_node_first_saw_a_revision_whatever_date_its_author_gave_it() {
    let old = "2026-07-03T00:00:00Z";
    for date in ["1970-01-01T00:00:00Z", old, "2036-01-01T00:00:00Z"] {
        has_its_turn_at(&sees_a_revision_of(date), "2026-07-07T09:00:00Z");
    }

    // A restart does not begin it anew,
    let node = sees_a_revision_of(old);
    let mut again = Node::from(node.disk);
    again.now = at("2026-07-06T15:00:00Z");
    again.woke();
    again.prepared("b");
    has_its_turn_at(&again, "2026-07-07T09:00:00Z");

    // nor does a new date under the same content.
    let mut node = sees_a_revision_of(old);
    node.now = at("2026-07-06T15:00:00Z");
    node.woke();
    node.offer("b", Proof::DescendsFrom(Revision::new("a")), node.now);
    has_its_turn_at(&node, "2026-07-07T09:00:00Z");

    // And where the clock was ahead then, it counts from when the source is asked next.
    let mut node = sees_a_revision_of(old);
    node.now = at("2026-07-01T00:00:00Z");
    node.woke();
    node.now = node.agent.status(node.now).next_fetch.unwrap();
    node.woke();
    node.give(Input::Fetched(Ok(None)));
    has_its_turn_at(&node, "2026-07-02T00:30:00Z");
}

#[test]
fn approval_is_somebodys_word_for_one_revision() {
    let mut node = Node::keeping(gate(&Adopt { approval: Approval::Required, ..Adopt::default() }));
    node.finds("b");
    node.prepared("b");
    node.waits();
    node.ask(Request::Suspend {
        reason: "racks".to_owned(),
        until: Some(later(node.now, Duration::from_secs(900))),
    });
    node.adopt("b", None);
    node.waits();
    node.wait(Duration::from_secs(900));
    node.ended("b", kept());
    node.waits();
    node.is(expect![[r#"
        woke
            fetch
        the source offers b
            prepare b
        b is prepared
        status: the newer one waits for approval: steadfast adopt REVISION
        asked: Suspend { reason: "racks", until: Some(2026-07-06T08:18:42.315Z) }
            note: suspended until 2026-07-06T08:18:42.315Z: racks
            yes: suspended
        asked: Adopt { revision: Revision("b"), reason: None }
            yes: b will be adopted once it has been checked for this node, after the agent is resumed
        status: the newer one waits while the agent is suspended until 2026-07-06T08:18:42.315Z: racks
        900s later
            note: resumed
            fetch
            note: adopted b
            run b (adopt)
        the run of b ends
            note: b passed its trial
        status: the newer one nothing newer
    "#]]);
}

#[test]
fn what_is_not_good_for_this_node_is_never_adopted() {
    let mut node = Node::keeping(Gate::default());
    node.finds("b");
    node.tell("b is not one for this node");
    let result = Err(vec!["servers/web.yaml:3: unknown field".to_owned()]);
    node.give(Input::Prepared { revision: Revision::new("b"), result });
    node.waits();
    node.finds("c");
    node.prepare("c", false, None);
    node.waits();
    node.finds("d");
    let budget = Hindrance::Budget { what: "deletions".to_owned(), limit: 20, planned: 31 };
    node.prepare("d", true, Some(budget));
    node.waits();
    node.is(expect![[r#"
        woke
            fetch
        the source offers b
            prepare b
        b is not one for this node
            note: b is invalid for this node: servers/web.yaml:3: unknown field
        status: the newer one is invalid for this node: servers/web.yaml:3: unknown field
        woke
            fetch
        the source offers c
            prepare c
        c is prepared
        status: the newer one no longer lists this node; to adopt it anyway: steadfast adopt REVISION
        woke
            fetch
        the source offers d
            prepare d
        d is prepared
        status: the newer one needs 31 deletions in one run, and the budget allows 20; to adopt it anyway: steadfast adopt REVISION
    "#]]);
}

#[test]
fn a_bad_revision_is_tried_twice_gone_back_from_and_not_taken_again() {
    let mut node = Node::keeping(Gate::default());
    node.finds("b");
    node.prepared("b");
    node.ended("b", broken("service:nginx"));
    node.wait(Duration::from_secs(30));
    node.ended("b", broken("service:nginx"));
    node.ended("a", kept());
    node.waits();
    node.finds("b");
    node.adopt("b", None);
    node.waits();
    // Nor after a new start.
    let mut again = Node::from(node.disk.clone());
    again.story = node.story;
    again.now = node.now;
    again.woke();
    again.waits();
    again.ended("a", kept());
    again.finds("c");
    again.prepared("c");
    again.ended("c", kept());
    again.waits();
    again.is(expect![[r#"
        woke
            fetch
        the source offers b
            prepare b
        b is prepared
            note: adopted b
            run b (adopt)
        the run of b ends
            note: retrying b once, because of service:nginx (it broke)
        30s later
            run b (second-try)
        the run of b ends
            note: rolling back from b to a, because of service:nginx (it broke)
            go back from b to a
        the run of a ends
            note: rolled back to a; b will not be adopted again
        status: the newer one is known to be bad: service:nginx (it broke)
        woke
            fetch
        the source offers b
        asked: Adopt { revision: Revision("b"), reason: None }
            no: b was rolled back because of service:nginx (it broke); adopt it anyway with --reason
        status: the newer one is known to be bad: service:nginx (it broke)
        woke
            fetch
            run a (keep)
        status: the newer one is known to be bad: service:nginx (it broke)
        the run of a ends
        woke
        the source offers c
            prepare c
        c is prepared
            note: adopted c
            run c (adopt)
        the run of c ends
            note: c passed its trial
        status: the newer one nothing newer
    "#]]);
}

#[test]
fn if_going_back_does_not_help_the_machine_is_to_blame() {
    let mut node = Node::keeping(Gate::default());
    node.finds("b");
    node.prepared("b");
    node.ended("b", broken("service:nginx"));
    node.wait(Duration::from_secs(30));
    node.ended("b", broken("service:nginx"));
    node.ended("a", broken("service:nginx"));
    node.ended("b", broken("service:nginx"));
    assert!(node.agent.memory().bad.is_empty());
    node.is(expect![[r#"
        woke
            fetch
        the source offers b
            prepare b
        b is prepared
            note: adopted b
            run b (adopt)
        the run of b ends
            note: retrying b once, because of service:nginx (it broke)
        30s later
            run b (second-try)
        the run of b ends
            note: rolling back from b to a, because of service:nginx (it broke)
            go back from b to a
        the run of a ends
            note: the rollback did not help, so b stays and is not blamed
            run b (keep)
        the run of b ends
    "#]]);
}

#[test]
fn a_trial_whose_run_cannot_begin_comes_to_an_end() {
    let mut node = Node::keeping(Gate::default());
    node.finds("b");
    node.prepared("b");
    let cannot_begin = |node: &mut Node, revision: &str| {
        for _ in 0..5 {
            let result = RunResult::NotStarted("the model has errors".to_owned());
            node.give(Input::RunEnded { revision: Revision::new(revision), result });
            node.wait(Duration::from_secs(600));
        }
    };
    cannot_begin(&mut node, "b");
    assert!(node.story.contains("go back from b to a"), "{}", node.story);
    cannot_begin(&mut node, "a");
    assert!(node.story.contains("the rollback did not help"), "{}", node.story);
    assert!(node.agent.memory().trial.is_none());
}

#[test]
fn only_what_the_revision_broke_speaks_against_it() {
    let faults = [
        ("it was changed and breaks", not_kept("a", Fault::Revision, false, true), true),
        ("a health promise", not_kept("a", Fault::Revision, true, false), true),
        ("nothing about it was changed", not_kept("a", Fault::Revision, false, false), false),
        ("it was not kept before", not_kept("old", Fault::Revision, false, true), false),
        ("network", not_kept("a", Fault::Network, false, true), false),
        ("network, of health", not_kept("a", Fault::Network, true, true), false),
        ("lock", not_kept("a", Fault::Lock, false, true), false),
        ("disk full", not_kept("a", Fault::DiskFull, false, true), false),
        ("missing secret", not_kept("a", Fault::Secret, false, true), false),
        ("failure to look", not_kept("a", Fault::Unseen, false, true), false),
        ("others can write there", not_kept("a", Fault::Foreign, false, true), false),
        ("its unit was taken back", not_kept("a", Fault::Unit, true, true), false),
    ];
    for (what, broken, against) in faults {
        let mut node = Node::new();
        node.woke();
        node.offers("a");
        node.prepared("a");
        let old = not_kept("old", Fault::Revision, false, false);
        let report = Report { kept: 9, not_kept: vec![old], ..Report::default() };
        node.ended("a", report.clone());
        node.finds("b");
        node.prepared("b");
        // What is not kept had been tried again meanwhile.
        node.ended("a", report);
        node.ended("b", Report { kept: 9, not_kept: vec![broken], ..Report::default() });
        assert_eq!(node.agent.memory().trial.is_some(), against, "{what}\n{}", node.story);
    }
}

#[test]
fn a_revision_whose_run_crashes_twice_is_bad() {
    let mut node = Node::keeping(Gate::default());
    node.finds("b");
    node.prepared("b");
    node.end("b", RunResult::Crashed("signal 6".to_owned()));
    node.wait(Duration::from_secs(30));
    node.end("b", RunResult::Crashed("signal 6".to_owned()));
    node.ended("a", kept());
    node.waits();
    node.is(expect![[r#"
        woke
            fetch
        the source offers b
            prepare b
        b is prepared
            note: adopted b
            run b (adopt)
        the run of b ends
            note: the run of b crashed: signal 6
        30s later
            run b (adopt)
        the run of b ends
            note: the run of b crashed: signal 6
            note: rolling back from b to a, because of its run crashed 2 times
            go back from b to a
        the run of a ends
            note: rolled back to a; b will not be adopted again
        status: the newer one is known to be bad: its run crashed 2 times
    "#]]);
}

#[test]
fn a_power_cut_is_no_crash_but_five_of_them_are() {
    let mut node = Node::keeping(Gate::default());
    node.finds("b");
    node.prepared("b");
    let mut disk = node.disk.clone();
    let mut last = String::new();
    for _ in 0..5 {
        let mut again = Node::from(disk);
        again.woke();
        disk = again.disk.clone();
        last = again.story;
    }
    expect![[r#"
        woke
            note: rolling back from b to a, because of its run was interrupted 5 times
            go back from b to a
    "#]]
    .assert_eq(&last);
}

#[test]
fn somebody_elses_lock_is_waited_for_and_speaks_against_nobody() {
    let mut node = Node::keeping(Gate::default());
    node.finds("b");
    node.prepared("b");
    for _ in 0..20 {
        node.end("b", RunResult::Busy("another run holds the lock".to_owned()));
        node.wait(Duration::from_secs(600));
    }
    assert_eq!(node.story.matches("(adopt)").count(), 21, "{}", node.story);
    assert_eq!(node.story.matches("note: the run is postponed").count(), 1);
    assert!(!node.story.contains("go back"));
}

#[test]
fn forged_and_old_models_are_refused_and_the_last_good_one_is_kept() {
    let mut node = Node::keeping(Gate::default());
    for (name, proof) in [
        ("fork", Proof::DescendsFrom(Revision::new("elsewhere"))),
        ("unproved", Proof::Nothing),
        ("unnumbered", Proof::Sequence),
    ] {
        node.now = node.agent.status(node.now).next_fetch.unwrap();
        node.woke();
        node.offer(name, proof, node.now);
        node.waits();
    }
    let refusal = Refusal { kind: RefusalKind::Signature, words: "unknown key".to_owned() };
    node.now = node.agent.status(node.now).next_fetch.unwrap();
    node.woke();
    node.give(Input::Fetched(Err(refusal)));
    node.is(expect![[r#"
        woke
            fetch
        the source offers fork
            note: refused the revision from the source: anti-rollback: it does not lead forward: it does not descend from a, which was accepted before
        status: the newer one nothing newer
        woke
            fetch
        the source offers unproved
        status: the newer one nothing newer
        woke
            fetch
        the source offers unnumbered
            note: refused the revision from the source: anti-rollback: it does not lead forward: it has no sequence number to compare with a
        status: the newer one nothing newer
        woke
            fetch
            note: refused the revision from the source: it is not signed by a trusted key: unknown key
    "#]]);
}

#[test]
fn a_forced_history_takes_somebodys_word_and_a_reason() {
    let mut node = Node::keeping(Gate::default());
    node.adopt("fork", None);
    node.offer("fork", Proof::Nothing, node.now);
    node.adopt("fork", Some("the branch was rewritten"));
    node.now = node.agent.status(node.now).next_fetch.unwrap();
    node.woke();
    node.offer("fork", Proof::Nothing, node.now);
    node.prepared("fork");
    node.is(expect![[r#"
        asked: Adopt { revision: Revision("fork"), reason: None }
            yes: fork will be fetched from the source
            fetch fork
        the source offers fork
            note: refused the revision from the source: anti-rollback: it does not lead forward: it does not descend from a, which was accepted before
        asked: Adopt { revision: Revision("fork"), reason: Some("the branch was rewritten") }
            yes: fork will be fetched from the source
            fetch fork
        woke
        the source offers fork
            prepare fork
        fork is prepared
            note: adopted fork
            run fork (adopt)
    "#]]);
}

#[test]
fn a_node_that_has_forgotten_accepts_nothing_without_somebodys_word() {
    let mut node = Node::from(Memory::lost());
    node.woke();
    node.offers("a");
    node.ask(Request::Adopt { revision: Revision::new("a"), reason: None });
    node.offers("a");
    node.prepared("a");
    node.is(expect![[r#"
        woke
            fetch
        the source offers a
            note: refused the revision from the source: the anti-rollback state is lost: what was accepted before is not known any more; choose the revision to trust: steadfast adopt REVISION
        asked: Adopt { revision: Revision("a"), reason: None }
            yes: a will be fetched from the source
            fetch a
        the source offers a
            prepare a
        a is prepared
            note: adopted a
            run a (adopt)
    "#]]);
}

#[test]
fn what_is_not_kept_is_tried_later_and_later_whoever_touches_it() {
    let mut node = Node::keeping(Gate::default());
    let touched = || Input::Drift { promises: vec![promise_id("service:a")] };
    let mut tries = vec![];
    node.give(touched());
    for _ in 0..3_600 {
        let actions = node.give(Input::Woke);
        if actions.iter().any(|it| matches!(it, Action::Run(job) if job.only.is_some())) {
            tries.push(node.now);
            let report = broken("service:a");
            node.give(Input::RunEnded {
                revision: Revision::new("a"),
                result: RunResult::Finished(report),
            });
            // Trying it has touched it.
            node.give(touched());
        } else if actions.iter().any(|it| matches!(it, Action::Run(_))) {
            break;
        }
        node.now = later(node.now, Duration::from_secs(1));
    }
    let pauses: Vec<_> = tries.windows(2).map(|it| it[1].duration_since(it[0])).collect();
    assert!((2..10).contains(&pauses.len()), "{pauses:?}");
    assert!(pauses.iter().all(|it| it.as_secs() >= 30), "{pauses:?}");
}

#[test]
fn drift_is_repaired_alone_and_bursts_together_and_fights_slowly() {
    let mut node = Node::keeping(Gate::default());
    let touched =
        |names: &[&str]| Input::Drift { promises: names.iter().map(|it| promise_id(it)).collect() };
    node.give(touched(&["file:/a"]));
    node.give(touched(&["file:/b", "file:/a"]));
    node.wait(Duration::from_millis(20));
    let repaired = Report { kept: 1, repaired: vec![promise_id("file:/a")], ..Report::default() };
    node.ended("a", repaired.clone());
    for _ in 0..4 {
        node.give(touched(&["file:/a"]));
        node.wait(Duration::from_millis(20));
        node.ended("a", repaired.clone());
    }
    node.give(touched(&["file:/a"]));
    node.wait(Duration::from_secs(599));
    node.wait(Duration::from_secs(1));
    node.is(expect![[r#"
        20ms later
            run a (drift file:/a file:/b)
        the run of a ends
        20ms later
            run a (drift file:/a)
        the run of a ends
        20ms later
            run a (drift file:/a)
        the run of a ends
        20ms later
            run a (drift file:/a)
        the run of a ends
        20ms later
            run a (drift file:/a)
        the run of a ends
            note: file:/a is flapping: something else keeps changing it; repaired 5 times since 2026-07-06T08:00:00.02Z, from now on less often
        599s later
        1s later
            run a (drift file:/a)
    "#]]);
}

#[test]
fn looking_at_what_a_repair_itself_touched_is_not_counted_as_drift() {
    let mut node = Node::keeping(Gate::default());
    let touched = |name: &str| Input::Drift { promises: vec![promise_id(name)] };
    let repaired = |name: &str| Report { repaired: vec![promise_id(name)], ..Report::default() };
    // Thirty drifted promises in a minute, each with the echo of its repair.
    for it in 0..29 {
        let name = format!("file:/{it}");
        node.give(touched(&name));
        node.wait(Duration::from_millis(20));
        node.ended("a", repaired(&name));
        node.give(touched(&name));
        node.wait(Duration::from_millis(20));
        node.ended("a", Report { kept: 1, ..Report::default() });
        node.wait(Duration::from_secs(1));
    }
    node.story.clear();
    node.give(touched("file:/last"));
    node.wait(Duration::from_millis(20));
    node.ended("a", repaired("file:/last"));
    node.give(touched("file:/one-more"));
    node.wait(Duration::from_millis(20));
    node.is(expect![[r#"
        20ms later
            run a (drift file:/last)
        the run of a ends
        20ms later
    "#]]);
}

#[test]
fn a_suspended_agent_does_nothing_until_the_time_has_come() {
    let mut node = Node::keeping(Gate::default());
    let until = later(node.now, Duration::from_secs(7_200));
    node.ask(Request::Suspend { reason: "moving racks".to_owned(), until: Some(until) });
    node.ask(Request::Run { only: None });
    node.give(Input::Drift { promises: vec![promise_id("file:/a")] });
    node.wait(Duration::from_secs(7_199));
    let wake = node.give(Input::Woke);
    assert_eq!(wake.last(), Some(&Action::WakeAt(until)));
    node.wait(Duration::from_secs(1));
    node.is(expect![[r#"
        asked: Suspend { reason: "moving racks", until: Some(2026-07-06T10:00:00Z) }
            note: suspended until 2026-07-06T10:00:00Z: moving racks
            yes: suspended
        asked: Run { only: None }
            no: the agent is suspended: moving racks
        7199s later
        1s later
            note: resumed
            run a (keep)
    "#]]);
}

#[test]
fn what_cannot_be_stored_is_not_acted_upon_and_keeping_goes_on() {
    let mut node = Node::keeping(Gate::default());
    node.finds("b");
    node.prepared("b");
    // The shell could not store the adoption, so it has not begun the run.
    for _ in 0..3 {
        node.give(Input::NotStored { why: "read-only file system".to_owned() });
        let adopted = node.agent.memory().adopted.as_ref().unwrap();
        assert_eq!(adopted.info.revision, Revision::new("a"));
        assert!(node.agent.status(node.now).running.is_none());
        let again = node.agent.status(node.now);
        assert_eq!(again.storage.as_deref(), Some("read-only file system"));
        // Until then nothing is tried again.
        let now = node.now;
        let actions = node.give(Input::Woke);
        assert!(!actions.iter().any(|it| matches!(it, Action::Store(_) | Action::Run(_))));
        let Some(Action::WakeAt(next)) = actions.last() else { panic!("no wake-up") };
        node.now = *next;
        assert!(node.now >= later(now, Duration::from_secs(15)));
        while !node.story.ends_with("run b (adopt)\n") {
            let actions = node.give(Input::Woke);
            let Some(Action::WakeAt(next)) = actions.last() else { panic!("no wake-up") };
            if node.story.ends_with("run a (keep)\n") {
                node.ended("a", kept());
            } else if node.story.ends_with("fetch\n") {
                node.give(Input::Fetched(Ok(None)));
            } else if node.story.ends_with("prepare b\n") {
                node.prepared("b");
            } else if !node.story.ends_with("run b (adopt)\n") {
                node.now = *next;
            }
        }
    }
}

#[test]
fn a_clock_that_goes_back_a_year_puts_nothing_off() {
    let mut node = Node::keeping(Gate::default());
    let by = SignedDuration::from_hours(-24 * 365);
    node.now = node.now.checked_add(by).unwrap();
    node.give(Input::ClockJumped { by });
    node.wait(Duration::from_secs(1_800));
    node.is(expect![[r#"
        1800s later
            fetch
            run a (keep)
    "#]]);
}

/// A node that has waited with a revision until that had expired, and whose clock was put back then.
fn has_let_a_revision_expire() -> Node {
    let mut node = Node::keeping(gate(&Adopt { approval: Approval::Required, ..Adopt::default() }));
    node.finds_until("b", at("2026-07-08T00:00:00Z"));
    node.prepared("b");
    node.wait(Duration::from_secs(72 * 3_600));
    node.prepared("b");
    node.give(Input::Fetched(Ok(None)));
    node.ended("a", kept());
    node.clock_jumps(SignedDuration::from_hours(-70));
    node.story.clear();
    node
}

#[test]
fn what_has_expired_while_it_waited_stays_expired_when_the_clock_is_put_back() {
    let mut node = has_let_a_revision_expire();
    assert!(node.now < at("2026-07-08T00:00:00Z"));
    node.waits();
    node.adopt("b", None);
    node.waits();
    // The source offers the same once more, which does not make it good for longer.
    node.finds_until("b", at("2026-07-08T00:00:00Z"));
    node.waits();
    // Nor does a start of the agent.
    let (now, disk) = (node.now, node.disk.clone());
    let mut again = Node::from(disk);
    again.now = now;
    again.woke();
    again.prepared("b");
    again.adopt("b", None);
    again.waits();
    node.is(expect![[r#"
        status: the newer one expired at 2026-07-08T00:00:00Z: this machine's clock was at 2026-07-08T00:03:42.315Z before it was put back
        asked: Adopt { revision: Revision("b"), reason: None }
            yes: b will be adopted once it has been checked for this node
        status: the newer one expired at 2026-07-08T00:00:00Z: this machine's clock was at 2026-07-08T00:03:42.315Z before it was put back
        woke
            fetch
            run a (keep)
        the source offers b until 2026-07-08T00:00:00Z
        status: the newer one expired at 2026-07-08T00:00:00Z: this machine's clock was at 2026-07-08T00:03:42.315Z before it was put back
    "#]]);
    again.is(expect![[r#"
        woke
            prepare b
            run a (keep)
        b is prepared
            fetch
        asked: Adopt { revision: Revision("b"), reason: None }
            yes: b will be adopted once it has been checked for this node
        status: the newer one expired at 2026-07-08T00:00:00Z: this machine's clock was at 2026-07-08T00:03:42.315Z before it was put back
    "#]]);
}

#[test]
fn what_had_expired_is_good_again_when_it_is_renewed_or_when_root_says_what_time_it_is() {
    let mut node = has_let_a_revision_expire();
    node.finds_until("b", at("2026-08-01T00:00:00Z"));
    node.waits();
    let mut other = has_let_a_revision_expire();
    other.adopt("b", Some("the clock was wrong"));
    node.is(expect![[r#"
        woke
            fetch
            run a (keep)
        the source offers b until 2026-08-01T00:00:00Z
        status: the newer one waits for approval: steadfast adopt REVISION
    "#]]);
    other.is(expect![[r#"
        asked: Adopt { revision: Revision("b"), reason: Some("the clock was wrong") }
            yes: b will be adopted once it has been checked for this node
            note: adopted b
            run b (adopt)
    "#]]);
}

#[test]
fn a_clock_that_goes_back_suspends_for_no_longer_and_revives_no_suspension() {
    let mut node = Node::keeping(Gate::default());
    let until = Some(later(node.now, Duration::from_secs(2 * 3_600)));
    node.ask(Request::Suspend { reason: "racks".to_owned(), until });
    node.wait(Duration::from_secs(3_600));
    node.clock_jumps(SignedDuration::from_hours(-24 * 365));
    node.wait(Duration::from_secs(3_600));
    node.clock_jumps(SignedDuration::from_hours(-1));
    assert!(node.agent.status(node.now).suspended.is_none());
    node.is(expect![[r#"
        asked: Suspend { reason: "racks", until: Some(2026-07-06T10:00:00Z) }
            note: suspended until 2026-07-06T10:00:00Z: racks
            yes: suspended
        3600s later
        the clock jumps by 8760h ago
        3600s later
            note: resumed
            run a (keep)
        the clock jumps by 1h ago
    "#]]);
}

#[test]
fn with_nothing_set_the_agent_waits_and_another_source_begins_anew() {
    let now = at("2026-07-06T08:00:00Z");
    let nothing = Config { source: None, ..config() };
    let mut agent = Agent::new(nothing, Memory::default(), 1, now);
    let actions = agent.handle(Input::Woke, now);
    assert_eq!(actions, [Action::WakeAt(later(now, Duration::from_secs(3_600)))]);
    let mut node = Node { agent, ..Node::new() };
    node.give(Input::Configured(config()));
    node.offers("a");
    node.prepared("a");
    node.ended("a", kept());
    node.finds("b");
    // In the middle of asking the old one, which has no say about the new one.
    node.prepared("b");
    node.ended("b", kept());
    node.now = node.agent.status(node.now).next_fetch.unwrap();
    node.woke();
    let other = Some("git https://git.example/other.git branch main".to_owned());
    node.tell("another source is set");
    node.give(Input::Configured(Config { source: other, ..config() }));
    node.offer("late", Proof::DescendsFrom(Revision::new("b")), node.now);
    node.offer("o", Proof::Nothing, node.now);
    node.prepared("o");
    node.is(expect![[r#"
            fetch
        the source offers a
            prepare a
        a is prepared
            note: adopted a
            run a (adopt)
        the run of a ends
        woke
            fetch
        the source offers b
            prepare b
        b is prepared
            note: adopted b
            run b (adopt)
        the run of b ends
            note: b passed its trial
        woke
            fetch
        another source is set
            note: the source was changed: anti-rollback starts anew with its first revision
        the source offers late
            fetch
        the source offers o
            prepare o
        o is prepared
            note: adopted o
            run o (adopt)
    "#]]);
}

#[test]
fn when_the_settings_are_read_again_the_source_is_asked_at_once() {
    let mut node = Node::keeping(Gate::default());
    node.now = node.agent.status(node.now).next_fetch.unwrap();
    node.woke();
    node.tell("the certificate has expired");
    let refusal = Refusal { kind: RefusalKind::Unreachable, words: "expired".to_owned() };
    node.give(Input::Fetched(Err(refusal)));
    node.tell("there is another one");
    node.give(Input::Configured(config()));
    // While it is being asked, the settings are read once more: this answer may be about the old ones.
    node.tell("and a key");
    node.give(Input::Configured(config()));
    node.offers("early");
    node.offers("b");
    node.is(expect![[r#"
        woke
            fetch
        the certificate has expired
            note: refused the revision from the source: the source cannot be reached: expired
        there is another one
            fetch
        and a key
        the source offers early
            fetch
        the source offers b
            prepare b
    "#]]);
}

#[test]
fn an_agent_that_is_to_end_does_not_become_another() {
    for orders in [[Shutdown::Stop, Shutdown::Reexecute], [Shutdown::Reexecute, Shutdown::Stop]] {
        let mut node = Node::keeping(Gate::default());
        let begun = node.give(Input::Asked { by: Client(1), request: Request::Run { only: None } });
        assert!(begun.iter().any(|it| matches!(it, Action::Run(_))), "{begun:?}");
        for how in orders {
            let waits = node.give(Input::Shutdown(how));
            assert!(!waits.iter().any(|it| matches!(it, Action::Shutdown(_))), "{waits:?}");
        }
        let revision = Revision::new("a");
        let ended = node.give(Input::RunEnded { revision, result: RunResult::Finished(kept()) });
        assert!(ended.contains(&Action::Shutdown(Shutdown::Stop)), "{orders:?}: {ended:?}");
        // Also where nothing is under way any more.
        let later = node.give(Input::Shutdown(Shutdown::Reexecute));
        assert!(later.contains(&Action::Shutdown(Shutdown::Stop)), "{orders:?}: {later:?}");
    }
}

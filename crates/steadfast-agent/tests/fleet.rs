//! Ten thousand nodes against one source: how many requests it gets in a second. The table is what the
//! test demands, printed.

#![expect(clippy::unwrap_used, reason = "a test whose helpers are no test functions")]

use expect_test::expect;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use steadfast_agent::machine::RunResult;
use steadfast_agent::machine::{Action, Agent, Config, Input};
use steadfast_agent::memory::{Adopted, Memory};
use steadfast_node::gate::Gate;
use steadfast_node::revision::{Revision, RevisionInfo};
use steadfast_node::wire::{Offer, Proof, Report};
use steadfast_node::wire::{Prepared, Refusal, RefusalKind};

const NODES: usize = 10_000;

fn start() -> Timestamp {
    "2026-07-06T08:00:00Z".parse().unwrap()
}

/// Lets all nodes live for a while, each answer of the source the same and at once, and counts
/// the requests of each second.
fn requests(memory: &Memory, seconds: i64, answer: &Result<Option<Offer>, Refusal>) -> Vec<u32> {
    let mut counts = vec![0; usize::try_from(seconds).unwrap()];
    let begin = start();
    for number in 0..NODES {
        let config = Config {
            node: format!("node{number}.xyz.example"),
            source: Some("git https://git.xyz.example/model.git branch main".to_owned()),
            fetch: Duration::from_secs(300),
            keep: Duration::from_secs(1_800),
            missing: vec![],
            unsigned: false,
        };
        let mut agent = Agent::new(config, memory.clone(), number as u64, begin);
        let mut now = begin;
        while now.duration_since(begin).as_secs() < seconds {
            let mut inputs = vec![Input::Woke];
            let mut next = now;
            while let Some(input) = inputs.pop() {
                for action in agent.handle(input, now) {
                    match action {
                        Action::Fetch { .. } => {
                            let second = now.duration_since(begin).as_secs();
                            counts[usize::try_from(second).unwrap()] += 1;
                            inputs.push(Input::Fetched(answer.clone()));
                        }
                        Action::Prepare { revision } => inputs.push(Input::Prepared {
                            revision,
                            result: Ok(Prepared {
                                model: "xyz".to_owned(),
                                named: true,
                                promises: 1,
                                gate: Gate::default(),
                                hindrance: None,
                            }),
                        }),
                        Action::Run(job) => inputs.push(Input::RunEnded {
                            revision: job.revision,
                            result: RunResult::Finished(Report { kept: 1, ..Report::default() }),
                        }),
                        Action::WakeAt(at) => next = at,
                        Action::Store(_)
                        | Action::GoBack { .. }
                        | Action::Reload
                        | Action::Note(_)
                        | Action::Reply { .. }
                        | Action::Shutdown(_) => {}
                    }
                }
            }
            now = next;
        }
    }
    counts
}

fn line(what: &str, counts: &[u32]) -> String {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let total: u32 = counts.iter().sum();
    let mean = f64::from(total) / counts.len() as f64;
    let at = |share: usize| sorted[(sorted.len() - 1) * share / 100];
    format!(
        "{what:<44} {:>6} {total:>8} {mean:>7.1} {:>5} {:>5} {:>5}\n",
        counts.len(),
        at(50),
        at(99),
        at(100)
    )
}

#[test]
fn ten_thousand_nodes_ask_evenly() {
    let info =
        RevisionInfo { revision: Revision::new("a"), sequence: None, date: start(), expires: None };
    let adopted = Adopted {
        info: info.clone(),
        at: start(),
        model: "xyz".to_owned(),
        promises: 1,
        gate: Gate::default(),
        not_good: None,
    };
    let keeping = Memory { adopted: Some(adopted), ..Memory::default() };
    let quiet: Result<Option<Offer>, Refusal> = Ok(None);
    let down = Err(Refusal { kind: RefusalKind::Unreachable, words: "refused".to_owned() });
    let first = Ok(Some(Offer {
        info,
        proof: Proof::DescendsFrom(Revision::new("a")),
        supersedes: vec![],
    }));
    let mut table = format!(
        "{:<44} {:>6} {:>8} {:>7} {:>5} {:>5} {:>5}\n",
        "10,000 nodes, fetch: 5m", "sec", "requests", "mean/s", "p50", "p99", "most"
    );
    table += &line("all started at once, with a model", &requests(&keeping, 1_800, &quiet));
    let outage = requests(&keeping, 7_200, &down);
    table += &line("the source is down: the first 10 minutes", &outage[..600]);
    table += &line("the source is down: the second hour", &outage[3_600..]);
    // New nodes ask at once, and are spread from then on.
    let new = requests(&Memory::default(), 1_800, &first);
    table += &line("all new at once, after the first second", &new[1..]);
    expect![[r#"
        10,000 nodes, fetch: 5m                         sec requests  mean/s   p50   p99  most
        all started at once, with a model              1800    58993    32.8    33    46    49
        the source is down: the first 10 minutes        600    47740    79.6    77   153   163
        the source is down: the second hour            3600    26406     7.3     7    15    20
        all new at once, after the first second        1799    58993    32.8    33    46    49
    "#]]
    .assert_eq(&table);
}

#[test]
fn after_a_common_start_no_second_is_much_fuller_than_another() {
    let memory = Memory { adopted: None, ..Memory::default() };
    let counts = requests(&memory, 900, &Ok(None));
    assert_eq!(counts[0] as usize, NODES, "a new node does not wait for its place");
    let mut classes: BTreeMap<u32, usize> = BTreeMap::new();
    for count in &counts[1..] {
        *classes.entry(count / 20).or_default() += 1;
    }
    assert!(counts[1..].iter().all(|it| *it < 70), "{classes:?}");
}

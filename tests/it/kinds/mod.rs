//! One file or directory for each kind of promise. It says once more, and on its own, what such a promise means,
//! and the laws hold the kind to that: from every start of a small world, with a fault at every effect. Of a
//! kind with a facility of its own the contract and the drift are beside it.

pub(crate) mod cron;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod group;
mod hostname;
pub(crate) mod link;
pub(crate) mod package;
pub(crate) mod service;
pub(crate) mod user;

use steadfast_testkit::laws::{self, Subject};
use steadfast_testkit::{FakeHost, World};

/// Every subject alone, from every start. Gives how many faults were tried, for those who ask whether
/// anything was.
#[track_caller]
fn each(starts: &[World], subjects: &[impl Subject]) -> usize {
    let mut faults = 0;
    for start in starts {
        for subject in subjects {
            faults += laws::check(start, &[subject], &[]);
        }
    }
    faults
}

fn starts(hosts: impl IntoIterator<Item = FakeHost>) -> Vec<World> {
    hosts.into_iter().map(|it| it.world()).collect()
}

/// `a: 1, b: 2` of those that are there.
fn fields(all: impl IntoIterator<Item = Option<String>>) -> String {
    let all: Vec<String> = all.into_iter().flatten().collect();
    format!("{{ {} }}", all.join(", "))
}

fn field(name: &str, value: Option<impl std::fmt::Display>) -> Option<String> {
    value.map(|it| format!("{name}: {it}"))
}

//! Version 1 of the row of a component: its deployments, the step that is open, what was found to be bad, what is
//! owed. Durations are in milliseconds, times of the wall in seconds since 1970.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component as domain;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub current: Option<Deployment>,
    pub previous: Option<Deployment>,
    pub step: Option<Step>,
    pub bad: Vec<Bad>,
    pub again: Option<Again>,
    pub owed: Owed,
    pub sighted: Option<Sighted>,
    pub measured: Vec<Measured>,
    pub steps: u64,
}

/// How it was switched, and the milliseconds that users saw it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured(pub Switch, pub u64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub own: Arc<str>,
    pub public: Arc<str>,
    pub folder: Arc<str>,
    pub release: Arc<str>,
    pub terms: Terms,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub digest: Arc<str>,
    pub switch: Switch,
    pub units: Arc<str>,
    pub within: u64,
    #[serde(rename = "for")]
    pub lasts: u64,
    pub bake: u64,
    pub drains: bool,
    pub readies: bool,
    pub drain_for: u64,
    pub quiesces: Option<Quiesces>,
}

/// How long a job is waited for, and whether it is stopped after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiesces(pub u64, pub bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    Restart,
    Reload,
    Socket,
    BlueGreen,
}

/// The boot, and milliseconds since it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment(pub Arc<str>, pub u64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub number: u64,
    pub kind: Kind,
    pub from: Option<Deployment>,
    pub to: Deployment,
    pub chained: bool,
    pub baseline: Baseline,
    pub phase: Phase,
    pub since: Moment,
    pub tries: u32,
    pub boots: u32,
    pub back: Option<Trouble>,
    pub stuck: Option<Arc<str>>,
    pub stopped: Option<Moment>,
    pub gap: Option<u64>,
    pub connections: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Move,
    Restart,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    First,
    Well,
    Ill(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Quiesce,
    Drain,
    Drained,
    Stop,
    Switch,
    Start,
    Judge {
        well: Option<Moment>,
        asked: Option<Moment>,
        process: Option<Process>,
        ill: Option<Arc<str>>,
    },
    Bake {
        asked: Option<Moment>,
        ill: Option<Moment>,
        process: Option<Process>,
    },
    Commit,
    Retire,
}

/// The invocation, and how often systemd has started it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process(pub Arc<str>, pub u32);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    pub own: Arc<str>,
    pub public: Arc<str>,
    pub terms: Arc<str>,
    pub release: Arc<str>,
    pub reason: Trouble,
    pub at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    pub own: Arc<str>,
    pub terms: Arc<str>,
    pub source: Arc<str>,
    pub failures: u32,
    pub since: Moment,
    pub wall: i64,
    pub waited: u64,
    pub once_well: bool,
    pub why: Trouble,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighted {
    pub own: Arc<str>,
    pub since: Moment,
    pub wall: i64,
    pub before: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    Away(Arc<str>),
    Refused(Arc<str>),
    NoSpace(Arc<str>),
    Unprepared(Arc<str>),
    Drain(Arc<str>),
    Busy(Vec<Arc<str>>),
    Stop(Arc<str>),
    Switch(Arc<str>),
    Lost,
    CutOff,
    Unwanted,
    Ill { reason: Arc<str>, journal: Vec<Arc<str>> },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    pub ready: bool,
    pub quiesced: bool,
    pub units: BTreeSet<Arc<str>>,
    pub failed: Vec<Unpaid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpaid {
    pub what: Owing,
    pub at: Moment,
    pub why: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owing {
    Units,
    Ready,
    Quiesced,
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

/// Two types of which one is the other's form on the disk, field by field and word by word.
macro_rules! same {
    ($($name:ident { $($field:ident $(: $how:ident)?),* $(,)? })*) => {$(
        impl From<domain::$name> for $name {
            fn from(it: domain::$name) -> $name {
                let domain::$name { $($field),* } = it;
                $name { $($field: same!(@to $field $($how)?)),* }
            }
        }
        impl From<$name> for domain::$name {
            fn from(it: $name) -> domain::$name {
                let $name { $($field),* } = it;
                domain::$name { $($field: same!(@from $field $($how)?)),* }
            }
        }
    )*};
    (@to $field:ident) => { $field };
    (@to $field:ident into) => { $field.into() };
    (@to $field:ident maybe) => { $field.map(Into::into) };
    (@to $field:ident each) => { $field.into_iter().map(Into::into).collect() };
    (@to $field:ident time) => { millis($field) };
    (@to $field:ident maybe_time) => { $field.map(millis) };
    (@from $field:ident) => { $field };
    (@from $field:ident into) => { $field.into() };
    (@from $field:ident maybe) => { $field.map(Into::into) };
    (@from $field:ident each) => { $field.into_iter().map(Into::into).collect() };
    (@from $field:ident time) => { Duration::from_millis($field) };
    (@from $field:ident maybe_time) => { $field.map(Duration::from_millis) };
}

macro_rules! same_words {
    ($($name:ident { $($word:ident $(($it:ident))? $({ $($field:ident),* })?),* $(,)? })*) => {$(
        impl From<domain::$name> for $name {
            fn from(it: domain::$name) -> $name {
                match it {
                    $(domain::$name::$word $(($it))? $({ $($field),* })? => {
                        $name::$word $(($it))? $({ $($field),* })?
                    })*
                }
            }
        }
        impl From<$name> for domain::$name {
            fn from(it: $name) -> domain::$name {
                match it {
                    $($name::$word $(($it))? $({ $($field),* })? => {
                        domain::$name::$word $(($it))? $({ $($field),* })?
                    })*
                }
            }
        }
    )*};
}

same! {
    Row {
        current: maybe, previous: maybe, step: maybe, bad: each, again: maybe, owed: into,
        sighted: maybe, measured: each, steps,
    }
    Sighted { own, since: into, wall, before: time }
    Deployment { own, public, folder, release, terms: into }
    Terms {
        digest, switch: into, units, within: time, lasts: time, bake: time, drains, readies,
        drain_for: time, quiesces: maybe,
    }
    Step {
        number, kind: into, from: maybe, to: into, chained, baseline: into, phase: into,
        since: into, tries, boots, back: maybe, stuck, stopped: maybe, gap: maybe_time,
        connections,
    }
    Bad { own, public, terms, release, reason: into, at }
    Again {
        own, terms, source, failures, since: into, wall, waited: time, once_well, why: into,
    }
    Owed { ready, quiesced, units, failed: each }
    Unpaid { what: into, at: into, why }
}

same_words! {
    Switch { Restart, Reload, Socket, BlueGreen }
    Kind { Move, Restart }
    Trouble {
        Away(it), Refused(it), NoSpace(it), Unprepared(it), Drain(it), Busy(it), Stop(it),
        Switch(it), Lost, CutOff, Unwanted, Ill { reason, journal },
    }
    Baseline { First, Well, Ill(it) }
    Owing { Units, Ready, Quiesced }
}

impl From<domain::Moment> for Moment {
    fn from(it: domain::Moment) -> Moment {
        Moment(it.boot, millis(it.at))
    }
}

impl From<Moment> for domain::Moment {
    fn from(Moment(boot, at): Moment) -> domain::Moment {
        domain::Moment { boot, at: Duration::from_millis(at) }
    }
}

impl From<domain::Process> for Process {
    fn from(it: domain::Process) -> Process {
        Process(it.invocation, it.restarts)
    }
}

impl From<Process> for domain::Process {
    fn from(Process(invocation, restarts): Process) -> domain::Process {
        domain::Process { invocation, restarts }
    }
}

impl From<domain::Measured> for Measured {
    fn from(it: domain::Measured) -> Measured {
        Measured(it.switch.into(), millis(it.gap))
    }
}

impl From<Measured> for domain::Measured {
    fn from(Measured(switch, gap): Measured) -> domain::Measured {
        domain::Measured { switch: switch.into(), gap: Duration::from_millis(gap) }
    }
}

impl From<domain::Quiesces> for Quiesces {
    fn from(it: domain::Quiesces) -> Quiesces {
        Quiesces(millis(it.wait), it.kills)
    }
}

impl From<Quiesces> for domain::Quiesces {
    fn from(Quiesces(wait, kills): Quiesces) -> domain::Quiesces {
        domain::Quiesces { wait: Duration::from_millis(wait), kills }
    }
}

impl From<domain::Phase> for Phase {
    fn from(it: domain::Phase) -> Phase {
        match it {
            domain::Phase::Quiesce => Phase::Quiesce,
            domain::Phase::Drain => Phase::Drain,
            domain::Phase::Drained => Phase::Drained,
            domain::Phase::Stop => Phase::Stop,
            domain::Phase::Switch => Phase::Switch,
            domain::Phase::Start => Phase::Start,
            domain::Phase::Judge(domain::Judging { well, asked, process, ill }) => {
                let (well, asked) = (well.map(Into::into), asked.map(Into::into));
                Phase::Judge { well, asked, process: process.map(Into::into), ill }
            }
            domain::Phase::Bake(domain::Baking { asked, ill, process }) => {
                let (asked, ill) = (asked.map(Into::into), ill.map(Into::into));
                Phase::Bake { asked, ill, process: process.map(Into::into) }
            }
            domain::Phase::Commit => Phase::Commit,
            domain::Phase::Retire => Phase::Retire,
        }
    }
}

impl From<Phase> for domain::Phase {
    fn from(it: Phase) -> domain::Phase {
        match it {
            Phase::Quiesce => domain::Phase::Quiesce,
            Phase::Drain => domain::Phase::Drain,
            Phase::Drained => domain::Phase::Drained,
            Phase::Stop => domain::Phase::Stop,
            Phase::Switch => domain::Phase::Switch,
            Phase::Start => domain::Phase::Start,
            Phase::Judge { well, asked, process, ill } => {
                let (well, asked) = (well.map(Into::into), asked.map(Into::into));
                let process = process.map(Into::into);
                domain::Phase::Judge(domain::Judging { well, asked, process, ill })
            }
            Phase::Bake { asked, ill, process } => {
                let (asked, ill) = (asked.map(Into::into), ill.map(Into::into));
                let process = process.map(Into::into);
                domain::Phase::Bake(domain::Baking { asked, ill, process })
            }
            Phase::Commit => domain::Phase::Commit,
            Phase::Retire => domain::Phase::Retire,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every line of the sample is read, means something, and is written again as it stands there.
    #[test]
    fn every_row_of_a_component_that_was_ever_stored_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/formats");
        let sample = std::fs::read_to_string(path.join("component-1.jsonl")).unwrap();
        let rows: Vec<Row> = sample.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        for (row, line) in rows.iter().zip(sample.lines()) {
            let domain = domain::Row::from(row.clone());
            assert_eq!(Row::from(domain), *row);
            assert_eq!(serde_json::to_string(row).unwrap(), line);
        }
        // All words are there.
        for word in [
            "restart",
            "reload",
            "socket",
            "blue-green",
            "move",
            "first",
            "well",
            "ill",
            "quiesce",
            "drain",
            "drained",
            "stop",
            "switch",
            "start",
            "judge",
            "bake",
            "commit",
            "retire",
            "away",
            "refused",
            "no-space",
            "unprepared",
            "busy",
            "lost",
            "cut-off",
            "unwanted",
            "units",
            "ready",
            "quiesced",
        ] {
            assert!(sample.contains(&format!("\"{word}\"")), "no line has `{word}`");
        }
    }
}

//! Version 1 of what the database holds.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_engine::debt;
use steadfast_model::PromiseId;
use steadfast_system::attribution;
use steadfast_system::packages::log::Work as Worked;
use steadfast_system::text::hex;

/// What is known of a service's restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<Debt>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    pub invocation: String,
    /// Promise and digest.
    pub inputs: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    pub action: Action,
    pub cause: String,
    pub invocation: String,
    /// Microseconds since 1970.
    pub since: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Reload,
    Restart,
}

/// The verdict on one promise of one run, or what was begun and not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub promise: String,
    /// `kept`, `repaired`, `not-kept`, `held`; `begun` where the run was cut short. `undone` and `left` of
    /// what nobody promises any more: it was taken back, or some of it stays.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// What the unit wrote into its journal meanwhile; before version 3 at the end of `because`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// `servers/web.yaml:14`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// Who had changed it, as far as the kernel told; the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_by: Vec<Changer>,
    /// What the promise changes with, since version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Judged {
    /// Why, and what the unit wrote into its journal meanwhile.
    pub fn reasons(&self) -> Vec<String> {
        let journal = self.journal.iter().map(|it| format!("journal: {it}"));
        self.because.iter().cloned().chain(journal).collect()
    }
}

/// Somebody who changed something that is promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changer {
    /// Microseconds since 1970.
    pub at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default)]
    pub arguments: u32,
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// What a package manager was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    pub command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub line: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the line says, for programs, since version 3; none of what earlier versions have done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
}

/// One attribute that a change gave another value: see [`steadfast_resources::Fact`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub verb: String,
    pub facet: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl From<steadfast_resources::Fact> for Fact {
    fn from(fact: steadfast_resources::Fact) -> Fact {
        let steadfast_resources::Fact { verb, facet, path, before, after } = fact;
        Fact { verb: verb.to_owned(), facet: facet.to_owned(), path, before, after }
    }
}

impl From<&steadfast_resources::Change> for Change {
    fn from(change: &steadfast_resources::Change) -> Change {
        let facts = change.facts().into_iter().map(Fact::from).collect();
        Change { line: change.to_string(), detail: change.detail(), facts }
    }
}

impl From<&debt::RunnerRecord> for Record {
    fn from(record: &debt::RunnerRecord) -> Record {
        let debt::RunnerRecord { baseline, debts, damaged: _ } = record;
        Record {
            baseline: baseline.as_ref().map(|it| {
                let debt::Baseline { invocation, inputs } = it;
                let inputs = inputs.iter().map(|(id, digest)| (id.to_string(), hex(digest)));
                Baseline { invocation: invocation.clone(), inputs: inputs.collect() }
            }),
            debts: debts
                .iter()
                .map(|it| {
                    let debt::Debt { action, cause, invocation, since } = it;
                    Debt {
                        action: match action {
                            debt::Action::Reload => Action::Reload,
                            debt::Action::Restart => Action::Restart,
                        },
                        cause: cause.to_string(),
                        invocation: invocation.clone(),
                        since: *since,
                    }
                })
                .collect(),
        }
    }
}

impl Record {
    /// None where a digest is no digest.
    pub fn into_domain(self) -> Option<debt::RunnerRecord> {
        let Record { baseline, debts } = self;
        let baseline = match baseline {
            Some(Baseline { invocation, inputs }) => {
                let inputs = inputs
                    .into_iter()
                    .map(|(id, digest)| Some((PromiseId(Arc::from(id)), unhex(&digest)?)))
                    .collect::<Option<_>>()?;
                Some(debt::Baseline { invocation, inputs })
            }
            None => None,
        };
        let debts = debts
            .into_iter()
            .map(|Debt { action, cause, invocation, since }| debt::Debt {
                action: match action {
                    Action::Reload => debt::Action::Reload,
                    Action::Restart => debt::Action::Restart,
                },
                cause: PromiseId(Arc::from(cause)),
                invocation,
                since,
            })
            .collect();
        Some(debt::RunnerRecord { baseline, debts, damaged: false })
    }
}

impl From<&attribution::Changer> for Changer {
    fn from(changer: &attribution::Changer) -> Changer {
        let attribution::Changer { at, pid, process, work } = changer.clone();
        Changer {
            at,
            pid,
            process: process.map(|it| {
                // The process group is of use only while it lives.
                let attribution::Process { name, command, arguments, user, login, unit, group: _ } =
                    it;
                Process { name, command, arguments, user, login, unit }
            }),
            work: work.map(|Worked { command, asked_by }| Work { command, asked_by }),
        }
    }
}

impl Changer {
    pub fn into_domain(self) -> attribution::Changer {
        let Changer { at, pid, process, work } = self;
        attribution::Changer {
            at,
            pid,
            process: process.map(|it| {
                let Process { name, command, arguments, user, login, unit } = it;
                attribution::Process { name, command, arguments, user, login, unit, group: 0 }
            }),
            work: work.map(|Work { command, asked_by }| Worked { command, asked_by }),
        }
    }
}

pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

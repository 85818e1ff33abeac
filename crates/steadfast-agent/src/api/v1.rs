//! Format 1 of the socket: one JSON object a line, in and out. Fields may be added; none that is here
//! changes its name, its type or its meaning.

use crate::flapping;
use crate::machine;
use crate::memory;
use crate::status;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steadfast_node::revision::{self, stamp};
use steadfast_node::wire::{self, Selection};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub format: u32,
    pub version: String,
    pub node: String,
    pub source: Option<String>,
    /// Settings that are missing, in words; the agent waits for them.
    #[serde(default)]
    pub missing: Vec<String>,
    /// What is wrong with the settings, so that those from before hold, in lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong_settings: Option<String>,
    /// Nobody's signature is asked for.
    #[serde(default)]
    pub unsigned: bool,
    pub adopted: Option<Revision>,
    #[serde(with = "stamp::maybe", default)]
    pub adopted_at: Option<Timestamp>,
    pub newer: Option<Newer>,
    /// What was accepted before the newest and waits too, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Newer>,
    /// The place of the node in the waves, in percent.
    pub share: Option<f64>,
    /// `new` or `going-back`.
    pub trying: Option<String>,
    pub bad: Vec<Bad>,
    pub floor_lost: bool,
    /// Why the source's last answer was not taken.
    pub refusal: Option<Refusal>,
    #[serde(with = "stamp::maybe", default)]
    pub heard: Option<Timestamp>,
    #[serde(with = "stamp::maybe", default)]
    pub stale_since: Option<Timestamp>,
    /// Why a run is under way: `keep`, `adopt`, `second-try`, `go-back`, `drift`, `asked`.
    pub running: Option<String>,
    pub last_run: Option<LastRun>,
    pub fights: Vec<Flapping>,
    pub suspended: Option<Suspension>,
    pub storage_trouble: Option<String>,
    #[serde(with = "stamp::maybe", default)]
    pub next_fetch: Option<Timestamp>,
    #[serde(with = "stamp::maybe", default)]
    pub next_keep: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    pub revision: String,
    pub sequence: Option<u64>,
    #[serde(with = "stamp")]
    pub date: Timestamp,
    #[serde(with = "stamp::maybe", default)]
    pub expires: Option<Timestamp>,
    /// What its commit says of itself, where it is made of one that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Newer {
    #[serde(flatten)]
    pub revision: Revision,
    /// A word: `window`, `wave`, `approval`, …
    pub waits_for: Option<String>,
    /// The same in a sentence.
    pub because: Option<String>,
    /// When time alone ends the waiting.
    #[serde(with = "stamp::maybe", default)]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bad {
    pub revision: String,
    pub promise: Option<String>,
    pub reason: String,
    #[serde(with = "stamp")]
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// `unreachable`, `signature`, `not-forward`, `two-contents`, `expired`, `broken`, `floor-lost`,
    /// `here`.
    pub kind: String,
    pub because: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    pub revision: String,
    pub why: String,
    #[serde(with = "stamp")]
    pub ended: Timestamp,
    pub kept: u64,
    pub repaired: u64,
    pub not_kept: Vec<Failure>,
    pub held: Vec<Failure>,
    /// Services that owe a restart.
    pub debts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub promise: String,
    pub because: String,
    /// What its unit wrote into its journal meanwhile, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flapping {
    pub promise: String,
    #[serde(with = "stamp")]
    pub since: Timestamp,
    pub repairs: u32,
    #[serde(with = "stamp")]
    pub last: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspension {
    pub reason: String,
    #[serde(with = "stamp")]
    pub since: Timestamp,
    #[serde(with = "stamp::maybe", default)]
    pub until: Option<Timestamp>,
}

/// What may be asked. Everything but `status` and `metrics` takes root.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Status {},
    Metrics {},
    Run {
        #[serde(default)]
        only: Option<Vec<String>>,
    },
    Adopt {
        revision: String,
        #[serde(default)]
        reason: Option<String>,
    },
    Suspend {
        reason: String,
        #[serde(with = "stamp::maybe", default)]
        until: Option<Timestamp>,
    },
    Resume {},
    Reload {},
}

/// The answer to a request that is not about facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    Accepted { words: String },
    Refused { because: String },
    RunEnded { kept: u64, repaired: u64, not_kept: u64, held: u64 },
    RunFailed { because: String },
}

impl Request {
    /// What the state machine is asked; nothing for what asks for facts alone.
    pub fn into_domain(self) -> Option<machine::Request> {
        match self {
            Request::Status {} | Request::Metrics {} => None,
            Request::Run { only } => Some(machine::Request::Run { only: only.map(Selection) }),
            Request::Adopt { revision, reason } => {
                let revision = revision::Revision::new(revision);
                Some(machine::Request::Adopt { revision, reason })
            }
            Request::Suspend { reason, until } => Some(machine::Request::Suspend { reason, until }),
            Request::Resume {} => Some(machine::Request::Resume),
            Request::Reload {} => Some(machine::Request::Reload),
        }
    }

    /// What it is called.
    pub fn word(&self) -> &'static str {
        match self {
            Request::Status {} => "status",
            Request::Metrics {} => "metrics",
            Request::Run { .. } => "run",
            Request::Adopt { .. } => "adopt",
            Request::Suspend { .. } => "suspend",
            Request::Resume {} => "resume",
            Request::Reload {} => "reload",
        }
    }

    /// Whether anybody who can open the socket may ask it.
    pub fn is_harmless(&self) -> bool {
        match self {
            Request::Status {} | Request::Metrics {} => true,
            Request::Run { .. }
            | Request::Adopt { .. }
            | Request::Suspend { .. }
            | Request::Resume {}
            | Request::Reload {} => false,
        }
    }
}

impl From<machine::Answer> for Answer {
    fn from(answer: machine::Answer) -> Answer {
        match answer {
            machine::Answer::Accepted(words) => Answer::Accepted { words },
            machine::Answer::Refused(because) => Answer::Refused { because },
            machine::Answer::RunEnded { kept, repaired, not_kept, held } => {
                Answer::RunEnded { kept, repaired, not_kept, held }
            }
            machine::Answer::RunFailed(because) => Answer::RunFailed { because },
        }
    }
}

impl From<&status::Status> for Status {
    fn from(status: &status::Status) -> Status {
        let status::Status {
            version,
            node,
            source,
            missing,
            wrong_settings,
            unsigned,
            adopted,
            adopted_at,
            newer,
            waiting,
            known,
            share,
            trying,
            bad,
            floor_lost,
            refusal,
            heard,
            stale_since,
            running,
            last_run,
            flapping,
            suspended,
            storage,
            next_fetch,
            next_keep,
        } = status;
        Status {
            format: 1,
            version: version.clone(),
            node: node.clone(),
            source: source.clone(),
            missing: missing.clone(),
            wrong_settings: wrong_settings.clone(),
            unsigned: *unsigned,
            adopted: adopted.as_ref().map(Revision::from),
            adopted_at: *adopted_at,
            newer: newer.as_ref().map(|it| Newer::new(it, waiting.as_ref())),
            waiting: known.iter().map(|it| Newer::new(&it.info, Some(&it.waiting))).collect(),
            share: *share,
            trying: trying.as_ref().map(|it| it.word().to_owned()),
            bad: bad.iter().map(Bad::from).collect(),
            floor_lost: *floor_lost,
            refusal: refusal.as_ref().map(Refusal::from),
            heard: *heard,
            stale_since: *stale_since,
            running: running.map(|it| it.word().to_owned()),
            last_run: last_run.as_ref().map(LastRun::from),
            fights: flapping.iter().map(Flapping::from).collect(),
            suspended: suspended.as_ref().map(Suspension::from),
            storage_trouble: storage.clone(),
            next_fetch: *next_fetch,
            next_keep: *next_keep,
        }
    }
}

impl Newer {
    fn new(info: &revision::RevisionInfo, waiting: Option<&status::Waiting>) -> Newer {
        Newer {
            revision: info.into(),
            waits_for: waiting.map(|it| it.word().to_owned()),
            because: waiting.map(ToString::to_string),
            until: waiting.and_then(status::Waiting::until),
        }
    }
}

impl From<&revision::RevisionInfo> for Revision {
    fn from(info: &revision::RevisionInfo) -> Revision {
        let revision::RevisionInfo { revision, sequence, date, expires } = info;
        let revision = revision.0.to_string();
        let (author, subject) = (None, None);
        Revision { revision, sequence: *sequence, date: *date, expires: *expires, author, subject }
    }
}

impl From<&memory::Bad> for Bad {
    fn from(bad: &memory::Bad) -> Bad {
        let memory::Bad { revision, promise, reason, at } = bad;
        let (revision, promise) =
            (revision.0.to_string(), promise.as_ref().map(ToString::to_string));
        Bad { revision, promise, reason: reason.clone(), at: *at }
    }
}

impl From<&wire::Refusal> for Refusal {
    fn from(refusal: &wire::Refusal) -> Refusal {
        Refusal { kind: refusal.kind.word().to_owned(), because: refusal.to_string() }
    }
}

impl From<&status::LastRun> for LastRun {
    fn from(run: &status::LastRun) -> LastRun {
        let status::LastRun { revision, reason, ended, kept, repaired, not_kept, held, debts } =
            run;
        let unkept = |all: &[wire::Failure]| {
            let one = |it: &wire::Failure| Failure {
                promise: it.promise.to_string(),
                because: it.reason.clone(),
                journal: it.journal.clone(),
            };
            all.iter().map(one).collect()
        };
        LastRun {
            revision: revision.0.to_string(),
            why: reason.word().to_owned(),
            ended: *ended,
            kept: *kept,
            repaired: *repaired,
            not_kept: unkept(not_kept),
            held: unkept(held),
            debts: debts.clone(),
        }
    }
}

impl From<&flapping::Flapping> for Flapping {
    fn from(it: &flapping::Flapping) -> Flapping {
        let flapping::Flapping { promise, since, repairs, last } = it;
        Flapping { promise: promise.to_string(), since: *since, repairs: *repairs, last: *last }
    }
}

impl From<&memory::Suspension> for Suspension {
    fn from(suspension: &memory::Suspension) -> Suspension {
        let memory::Suspension { reason, until, since } = suspension;
        Suspension { reason: reason.clone(), since: *since, until: *until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::example;
    use expect_test::expect;

    #[test]
    fn a_status_is_written_as_it_ever_was_and_read_again() {
        let status = Status::from(&example());
        let text = serde_json::to_string_pretty(&status).unwrap();
        let sample = include_str!("../../../../tests/formats/agent-status-1.json");
        assert_eq!(text + "\n", sample);
        assert_eq!(serde_json::from_str::<Status>(sample).unwrap(), status);
    }

    #[test]
    fn a_status_names_author_and_subject_of_a_revision_where_they_are_known() {
        let mut status = Status::from(&example());
        if let Some(adopted) = &mut status.adopted {
            adopted.author = Some("Anna Peeters <anna@xyz.example>".to_owned());
            adopted.subject = Some("Greet otherwise".to_owned());
        }
        if let Some(newer) = &mut status.newer {
            newer.revision.author = Some("Bert Claes <bert@xyz.example>".to_owned());
            newer.revision.subject = Some("Let people upload larger photos".to_owned());
        }
        let text = serde_json::to_string_pretty(&status).unwrap();
        let sample = include_str!("../../../../tests/formats/agent-status-1-named.json");
        assert_eq!(text + "\n", sample);
        assert_eq!(serde_json::from_str::<Status>(sample).unwrap(), status);
    }

    #[test]
    fn requests_are_read_strictly() {
        let read = |text: &str| match serde_json::from_str::<Request>(text) {
            Ok(request) => format!("{request:?}"),
            Err(error) => error.to_string(),
        };
        let lines = [
            r#"{"request":"status"}"#,
            r#"{"request":"run"}"#,
            r#"{"request":"run","only":["file:/a"]}"#,
            r#"{"request":"adopt","revision":"abc","reason":"why"}"#,
            r#"{"request":"suspend","reason":"racks","until":"2026-07-06T10:00:00Z"}"#,
            r#"{"request":"suspend","reason":"racks","untill":"2026-07-06T10:00:00Z"}"#,
            r#"{"request":"suspend","reason":"racks","until":"soon"}"#,
            r#"{"request":"explode"}"#,
        ];
        let all: Vec<String> = lines.into_iter().map(read).collect();
        expect![[r#"
            Status
            Run { only: None }
            Run { only: Some(["file:/a"]) }
            Adopt { revision: "abc", reason: Some("why") }
            Suspend { reason: "racks", until: Some(2026-07-06T10:00:00Z) }
            unknown field `untill`, expected `reason` or `until`
            failed to parse four digit integer as year: invalid digit, expected 0-9 but got s
            unknown variant `explode`, expected one of `status`, `metrics`, `run`, `adopt`, `suspend`, `resume`, `reload` at line 1 column 20"#]].assert_eq(&all.join("\n"));
        let harmless = |text: &str| serde_json::from_str::<Request>(text).unwrap().is_harmless();
        assert!(harmless(lines[0]));
        assert!(!lines[1..5].iter().any(|it| harmless(it)));
    }
}

//! What the agent is doing and why, as plain values: `steadfast status`, the socket and the metrics
//! all render these.

use crate::flapping::Flapping;
use crate::memory::{Bad, Suspension, first_line};
use jiff::Timestamp;
use std::fmt;
use steadfast_model::PromiseId;
use steadfast_node::revision::{Revision, RevisionInfo};
use steadfast_node::wire::{Failure, Refusal, RunReason, Selection};

#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub version: String,
    pub node: String,
    /// Nothing where no source is set.
    pub source: Option<String>,
    /// Settings that are missing, in words.
    pub missing: Vec<String>,
    /// What is wrong with the settings, so that those from before hold.
    pub wrong_settings: Option<String>,
    /// Nobody's signature is asked for.
    pub unsigned: bool,
    pub adopted: Option<RevisionInfo>,
    pub adopted_at: Option<Timestamp>,
    pub newer: Option<RevisionInfo>,
    /// Why the newer one is not adopted.
    pub waiting: Option<Waiting>,
    /// What was accepted before that one and waits too, the oldest first.
    pub known: Vec<Known>,
    /// The place of the node in the waves, in percent.
    pub share: Option<f64>,
    pub trying: Option<Trying>,
    pub bad: Vec<Bad>,
    pub floor_lost: bool,
    /// Why the last answer of the source was not taken.
    pub refusal: Option<Refusal>,
    /// When the source last gave an answer that was taken.
    pub heard: Option<Timestamp>,
    pub stale_since: Option<Timestamp>,
    pub running: Option<RunReason>,
    pub last_run: Option<LastRun>,
    pub flapping: Vec<Flapping>,
    pub suspended: Option<Suspension>,
    /// Why the agent's memory cannot be stored.
    pub storage: Option<String>,
    pub next_fetch: Option<Timestamp>,
    pub next_keep: Option<Timestamp>,
}

/// A known revision that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub info: RevisionInfo,
    pub waiting: Waiting,
}

/// Why a newer revision is not adopted.
#[derive(Clone, Debug, PartialEq)]
pub enum Waiting {
    /// It is about to be.
    Nothing,
    Preparing,
    Invalid {
        problems: Vec<String>,
    },
    Bad {
        promise: Option<PromiseId>,
        reason: String,
    },
    Expired {
        expired: Timestamp,
        /// What the clock said when that was noticed, where it is not there any more.
        believed: Option<Timestamp>,
    },
    Suspended {
        reason: String,
        until: Option<Timestamp>,
    },
    /// The adopted one has not proved itself yet.
    Trial,
    /// It no longer names this node.
    Unnamed,
    Budget {
        what: String,
        limit: u64,
        planned: u64,
    },
    Approval,
    Wave {
        turn: Timestamp,
        share: f64,
    },
    Window {
        opens: Option<Timestamp>,
    },
}

/// A revision is on trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trying {
    New,
    GoingBack { to: Revision },
}

/// The last full run, with what single repairs have found since.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRun {
    pub revision: Revision,
    pub reason: RunReason,
    pub ended: Timestamp,
    pub kept: u64,
    pub repaired: u64,
    pub not_kept: Vec<Failure>,
    pub held: Vec<Failure>,
    pub debts: Vec<String>,
}

impl LastRun {
    /// Takes in a run of single promises: what it says about those replaces what was known.
    pub(crate) fn amend(&mut self, only: &Selection, later: LastRun) {
        let other = |it: &Failure| !only.names(&it.promise);
        let bad_before = self.not_kept.len() + self.held.len();
        self.not_kept.retain(other);
        self.held.retain(other);
        let healed = bad_before - self.not_kept.len() - self.held.len();
        let broken = later.not_kept.len() + later.held.len();
        // Each of them was kept, repaired, or one of those taken out above.
        self.kept = (self.kept + healed as u64).saturating_sub(broken as u64);
        self.not_kept.extend(later.not_kept);
        self.held.extend(later.held);
        self.debts = later.debts;
        self.revision = later.revision;
        self.reason = later.reason;
        self.ended = later.ended;
    }
}

impl Trying {
    pub fn word(&self) -> &'static str {
        match self {
            Trying::New => "new",
            Trying::GoingBack { .. } => "going-back",
        }
    }
}

impl Waiting {
    /// When time alone ends it.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Waiting::Wave { turn, share: _ } => Some(*turn),
            Waiting::Window { opens } => *opens,
            Waiting::Suspended { reason: _, until } => *until,
            Waiting::Nothing
            | Waiting::Preparing
            | Waiting::Invalid { .. }
            | Waiting::Bad { .. }
            | Waiting::Expired { .. }
            | Waiting::Trial
            | Waiting::Unnamed
            | Waiting::Budget { .. }
            | Waiting::Approval => None,
        }
    }

    pub fn word(&self) -> &'static str {
        match self {
            Waiting::Nothing => "nothing",
            Waiting::Preparing => "preparing",
            Waiting::Invalid { .. } => "invalid",
            Waiting::Bad { .. } => "bad",
            Waiting::Expired { .. } => "expired",
            Waiting::Suspended { .. } => "suspended",
            Waiting::Trial => "trial",
            Waiting::Unnamed => "unnamed",
            Waiting::Budget { .. } => "budget",
            Waiting::Approval => "approval",
            Waiting::Wave { .. } => "wave",
            Waiting::Window { .. } => "window",
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Waiting::Nothing => write!(f, "is about to be adopted"),
            Waiting::Preparing => write!(f, "is being checked for this node"),
            Waiting::Invalid { problems } => {
                write!(f, "is invalid for this node: {}", problems.join(", "))
            }
            Waiting::Bad { promise: Some(promise), reason } => {
                write!(f, "is known to be bad: {promise} ({})", first_line(reason))
            }
            Waiting::Bad { promise: None, reason } => {
                write!(f, "is known to be bad: {}", first_line(reason))
            }
            Waiting::Expired { expired, believed: None } => write!(f, "expired at {expired}"),
            Waiting::Expired { expired, believed: Some(believed) } => write!(
                f,
                "expired at {expired}: this machine's clock was at {believed} before it was put back"
            ),
            Waiting::Suspended { reason, until: None } => {
                write!(f, "waits while the agent is suspended: {reason}")
            }
            Waiting::Suspended { reason, until: Some(until) } => {
                write!(f, "waits while the agent is suspended until {until}: {reason}")
            }
            Waiting::Trial => write!(f, "waits until the adopted one has passed its trial"),
            Waiting::Unnamed => {
                write!(f, "no longer lists this node; to adopt it anyway: steadfast adopt REVISION")
            }
            Waiting::Budget { what, limit, planned } => {
                write!(
                    f,
                    "needs {planned} {what} in one run, and the budget allows {limit}; to adopt it \
                     anyway: steadfast adopt REVISION"
                )
            }
            Waiting::Approval => write!(f, "waits for approval: steadfast adopt REVISION"),
            Waiting::Wave { turn, share } => {
                write!(f, "waits for its wave at {turn} (this node is at {share:.2}%)")
            }
            Waiting::Window { opens: Some(opens) } => {
                write!(f, "waits for its window, which opens at {opens}")
            }
            Waiting::Window { opens: None } => {
                write!(f, "waits for a window that never opens: is its time zone known here?")
            }
        }
    }
}

#[cfg(test)]
pub(crate) fn example() -> Status {
    let at = |hour: i8| {
        jiff::civil::date(2026, 7, 6).at(hour, 0, 0, 0).in_tz("UTC").unwrap().timestamp()
    };
    let info = |name: &str, hour| RevisionInfo {
        revision: Revision::new(name),
        sequence: None,
        date: at(hour),
        expires: None,
    };
    let unkept = |promise: &str, reason: &str| Failure {
        promise: PromiseId(promise.into()),
        reason: reason.to_owned(),
        journal: vec![],
    };
    Status {
        version: "0.1.0".to_owned(),
        node: "web1.xyz.example".to_owned(),
        source: Some("git https://git.xyz.example/model.git branch main".to_owned()),
        missing: vec![],
        wrong_settings: None,
        unsigned: false,
        adopted: Some(info("0123456789abcdef0123456789abcdef01234567", 6)),
        adopted_at: Some(at(7)),
        newer: Some(info("1123456789abcdef0123456789abcdef01234567", 8)),
        waiting: Some(Waiting::Window { opens: Some(at(13)) }),
        known: vec![],
        share: Some(36.8747),
        trying: None,
        bad: vec![Bad {
            revision: Revision::new("2123456789abcdef0123456789abcdef01234567"),
            promise: Some(PromiseId::new("service", "nginx")),
            reason: "it does not start".to_owned(),
            at: at(5),
        }],
        floor_lost: false,
        refusal: Some(Refusal {
            kind: steadfast_node::wire::RefusalKind::Unreachable,
            words: "connection refused".to_owned(),
        }),
        heard: Some(at(9)),
        stale_since: None,
        running: None,
        last_run: Some(LastRun {
            revision: Revision::new("0123456789abcdef0123456789abcdef01234567"),
            reason: RunReason::Keep,
            ended: at(10),
            kept: 297,
            repaired: 1,
            not_kept: vec![unkept("file:/etc/nginx/nginx.conf", "Read-only file system")],
            held: vec![unkept("service:nginx", "needs file:/etc/nginx/nginx.conf")],
            debts: vec!["nginx.service".to_owned()],
        }),
        flapping: vec![Flapping {
            promise: PromiseId::new("file", "/etc/motd"),
            since: at(10),
            repairs: 5,
            last: at(11),
        }],
        suspended: Some(Suspension {
            reason: "moving racks".to_owned(),
            until: Some(at(12)),
            since: at(11),
        }),
        storage: None,
        next_fetch: Some(at(12)),
        next_keep: Some(at(13)),
    }
}

//! What the agent must not forget, and the form in which it is stored: this struct is format 1.
//!
//! It is written whole, in two copies, each with a digest of itself, so that one torn or rotten copy
//! loses nothing. Where both are unreadable the agent knows that it has forgotten, which is not the
//! same as never having known: it then accepts no revision without somebody's word.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use steadfast_model::PromiseId;
use steadfast_node::gate::Gate;
use steadfast_node::revision::{HighestAccepted, Revision, RevisionInfo, stamp};

/// So many bad revisions are known, which is more than a source can offer again.
const BAD_REMEMBERED: usize = 1_000;
/// Of so many all that was said is; of those before them, this many characters.
const BAD_EXPLAINED: usize = 16;
const REASON_OF_OLD: usize = 80;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Counts the writings, so that the newer of two copies is known.
    pub written: u64,
    /// Which source `highest` belongs to.
    pub source: Option<String>,
    #[serde(rename = "floor")]
    pub highest: HighestAccepted,
    /// What is kept.
    pub adopted: Option<Adopted>,
    /// What was kept before it, and can be gone back to.
    pub previous: Option<Adopted>,
    /// What is newest and waits.
    pub candidate: Option<Candidate>,
    /// What was accepted between what is kept and that, and waits too, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<Candidate>,
    /// What somebody with the right to has asked for, until it is adopted.
    pub wanted: Option<Wanted>,
    /// Revisions that were gone back from, newest last.
    pub bad: Vec<Bad>,
    /// The revision for which going back did not help, or that somebody insisted on: it is not gone
    /// back from any more.
    pub blameless: Option<Revision>,
    pub suspended: Option<Suspension>,
    /// The adopted revision has not proved itself yet.
    pub trial: Option<Trial>,
    /// A full run of the adopted revision that is owed and has not ended yet.
    pub owed: bool,
    /// Runs of the adopted revision that crashed, one after the other.
    pub crashes: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adopted {
    #[serde(rename = "news")]
    pub info: RevisionInfo,
    #[serde(with = "stamp")]
    pub at: Timestamp,
    /// The name of the model, for the wave.
    pub model: String,
    /// How many promises this node makes in it.
    pub promises: u64,
    /// What its policy says about the next one.
    pub gate: Gate,
    /// What was not kept, or held, at the end of its last full run; nothing where none has ended.
    #[serde(default)]
    pub not_good: Option<BTreeSet<PromiseId>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    #[serde(rename = "news")]
    pub info: RevisionInfo,
    /// When this node saw it first.
    #[serde(with = "stamp")]
    pub seen: Timestamp,
    /// When the clock was first past its end. It stays expired, whatever the clock says since.
    #[serde(default, with = "stamp::maybe", skip_serializing_if = "Option::is_none")]
    pub expired: Option<Timestamp>,
}

impl Candidate {
    pub(crate) fn new(info: RevisionInfo, seen: Timestamp) -> Candidate {
        Candidate { info, seen, expired: None }
    }

    /// Time goes on: what has expired is known to have.
    pub(crate) fn heed_the_clock(&mut self, now: Timestamp) {
        if self.info.expires.is_some_and(|it| it <= now) {
            self.expired.get_or_insert(now);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    pub revision: Revision,
    /// Given where it goes against history or a bad experience.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bad {
    pub revision: Revision,
    /// Nothing where its runs crashed.
    pub promise: Option<PromiseId>,
    pub reason: String,
    #[serde(with = "stamp")]
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspension {
    pub reason: String,
    #[serde(default, with = "stamp::maybe")]
    pub until: Option<Timestamp>,
    #[serde(with = "stamp")]
    pub since: Timestamp,
}

/// A revision after its adoption, until it is settled or gone back from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub stage: Stage,
    /// What is gone back to.
    pub from: Adopted,
    /// What speaks against it: promises and reasons.
    #[serde(default)]
    pub failures: Vec<TrialFailure>,
    /// Runs of this stage that crashed.
    #[serde(default)]
    pub crashes: u32,
    /// How often everything ended in the middle of a run of this stage.
    #[serde(default)]
    pub interruptions: u32,
    /// A run of this stage has begun and not ended.
    #[serde(default)]
    pub open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    First,
    /// One more try.
    Second,
    /// The revision before is kept again, to see whether that helps.
    Back,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialFailure {
    /// Nothing where a run crashed.
    pub promise: Option<PromiseId>,
    pub reason: String,
}

/// What a reason says before the lines of a unit's journal.
pub(crate) fn first_line(reason: &str) -> &str {
    reason.lines().next().unwrap_or_default()
}

impl Trial {
    /// Nothing has run yet, and nothing speaks against it.
    pub fn new(stage: Stage, from: Adopted) -> Trial {
        Trial { stage, from, failures: vec![], crashes: 0, interruptions: 0, open: false }
    }
}

impl Memory {
    /// Of a node that knows that it has forgotten.
    pub fn lost() -> Memory {
        Memory { highest: HighestAccepted::Lost, ..Memory::default() }
    }

    /// It is never taken again. Why it is bad is of interest for the last few only.
    pub(crate) fn remember_bad(&mut self, bad: Bad) {
        self.bad.retain(|it| it.revision != bad.revision);
        self.bad.push(bad);
        let surplus = self.bad.len().saturating_sub(BAD_REMEMBERED);
        self.bad.drain(..surplus);
        let explained = self.bad.len().saturating_sub(BAD_EXPLAINED);
        for old in &mut self.bad[..explained] {
            old.reason = first_line(&old.reason).chars().take(REASON_OF_OLD).collect();
        }
    }

    pub fn is_bad(&self, revision: &Revision) -> Option<&Bad> {
        self.bad.iter().find(|it| it.revision == *revision)
    }

    /// The bytes of one copy: a line with format and digest, then the content.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain data, whose serialization cannot fail.
        let content = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("steadfast-memory 1 {}\n{content}\n", digest(content.as_bytes())).into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Memory, Unreadable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Damaged)?;
        let (head, content) = text.split_once('\n').ok_or(Unreadable::Damaged)?;
        let rest = head.strip_prefix("steadfast-memory ").ok_or(Unreadable::Damaged)?;
        let (format, sum) = rest.split_once(' ').ok_or(Unreadable::Damaged)?;
        let content = content.strip_suffix('\n').unwrap_or(content);
        if sum != digest(content.as_bytes()) {
            return Err(Unreadable::Damaged);
        }
        match format {
            "1" => serde_json::from_str(content).map_err(|_| Unreadable::Damaged),
            newer => Err(Unreadable::Newer { format: newer.to_owned() }),
        }
    }

    /// From the two copies, where they are there: the newer one that is whole. Neither there: a new
    /// node. There and not readable: a node that has forgotten.
    pub fn read(copies: [Option<&[u8]>; 2]) -> (Memory, Vec<Unreadable>) {
        let mut best: Option<Memory> = None;
        let mut problems = vec![];
        for copy in copies.into_iter().flatten() {
            match Memory::from_bytes(copy) {
                Ok(memory) => {
                    if best.as_ref().is_none_or(|it| it.written < memory.written) {
                        best = Some(memory);
                    }
                }
                Err(why) => problems.push(why),
            }
        }
        let memory = match (best, problems.is_empty()) {
            (Some(memory), _) => memory,
            (None, true) => Memory::default(),
            (None, false) => Memory::lost(),
        };
        (memory, problems)
    }
}

/// Why a copy cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    Damaged,
    /// A newer version of this program wrote it. It must not be overwritten.
    Newer {
        format: String,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Damaged => write!(f, "the agent's memory is damaged"),
            Unreadable::Newer { format } => {
                write!(f, "the agent's memory has format {format}, of a newer version")
            }
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::time::Duration;
    use steadfast_model::policy::{self, Adopt, Approval, Wave, parse_window};
    use steadfast_model::{Span, Spanned};

    fn example() -> Memory {
        let info = |name: &str, sequence| RevisionInfo {
            revision: Revision::new(name),
            sequence: Some(sequence),
            date: "2026-07-06T07:00:00Z".parse().unwrap(),
            expires: None,
        };
        let adopt = Adopt {
            windows: vec![Spanned::new(
                parse_window("Mon..Thu 09:00-16:00 Europe/Brussels").unwrap(),
                Span::default(),
            )],
            waves: vec![Wave { percent: 100, after: Duration::from_secs(3_600) }],
            approval: Approval::Required,
        };
        let adopted = Adopted {
            info: info("b", 2),
            at: "2026-07-06T08:00:00.5Z".parse().unwrap(),
            model: "xyz".to_owned(),
            promises: 12,
            gate: Gate::from_policy(
                &adopt,
                policy::Budget::default(),
                Duration::from_secs(604_800),
            ),
            not_good: Some(BTreeSet::from([PromiseId::new("service", "nginx")])),
        };
        Memory {
            written: 7,
            source: Some("git https://git.xyz.example/model.git main".to_owned()),
            highest: HighestAccepted::At(info("c", 3)),
            trial: Some(Trial {
                stage: Stage::Second,
                from: adopted.clone(),
                failures: vec![TrialFailure {
                    promise: Some(PromiseId::new("file", "/etc/motd")),
                    reason: "validation failed".to_owned(),
                }],
                crashes: 1,
                interruptions: 0,
                open: true,
            }),
            adopted: Some(adopted),
            candidate: Some(Candidate {
                info: info("c", 3),
                seen: "2026-07-06T09:00:00Z".parse().unwrap(),
                expired: None,
            }),
            suspended: Some(Suspension {
                reason: "moving racks".to_owned(),
                until: Some("2026-07-07T00:00:00Z".parse().unwrap()),
                since: "2026-07-06T00:00:00Z".parse().unwrap(),
            }),
            ..Memory::default()
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let memory = example();
        assert_eq!(Memory::read([Some(&memory.to_bytes()), None]), (memory.clone(), vec![]));
        let gate = &memory.adopted.as_ref().unwrap().gate;
        assert_eq!(&*gate.windows()[0].zone, "Europe/Brussels");
        assert_eq!(gate.waves()[0].after, Duration::from_secs(3_600));
        // A limit that nobody has set is not written, and was not known at first.
        assert!(
            gate.budget.is_none()
                && !String::from_utf8_lossy(&memory.to_bytes()).contains("budget")
        );
        let mut limited = memory;
        let limits = policy::Budget { deletions: Some(20), ..policy::Budget::default() };
        let adopted = limited.adopted.as_mut().unwrap();
        adopted.gate = Gate::from_policy(&Adopt::default(), limits, Duration::from_secs(1));
        assert_eq!(adopted.gate.budget.deletions, Some(20));
        assert_eq!(Memory::read([Some(&limited.to_bytes()), None]), (limited, vec![]));
    }

    #[test]
    fn format_1_stays_as_it_is() {
        let small = Memory {
            written: 1,
            suspended: example().suspended,
            bad: vec![Bad {
                revision: Revision::new("b"),
                promise: None,
                reason: "its run crashed twice".to_owned(),
                at: "2026-07-06T00:00:00Z".parse().unwrap(),
            }],
            ..Memory::default()
        };
        expect![[r#"
            steadfast-memory 1 f8ae73bcb82b4f95692647ff4c1746ce7ff131b2725d0984dfdf6d6948004e5e
            {
              "written": 1,
              "source": null,
              "floor": "fresh",
              "adopted": null,
              "previous": null,
              "candidate": null,
              "wanted": null,
              "bad": [
                {
                  "revision": "b",
                  "promise": null,
                  "reason": "its run crashed twice",
                  "at": "2026-07-06T00:00:00Z"
                }
              ],
              "blameless": null,
              "suspended": {
                "reason": "moving racks",
                "until": "2026-07-07T00:00:00Z",
                "since": "2026-07-06T00:00:00Z"
              },
              "trial": null,
              "owed": false,
              "crashes": 0
            }
        "#]]
        .assert_eq(&String::from_utf8(small.to_bytes()).unwrap());
    }

    #[test]
    fn the_queue_of_known_revisions_survives() {
        let mut memory = example();
        let seen = "2026-07-06T09:00:00Z".parse().unwrap();
        let candidate = memory.candidate.clone().unwrap();
        memory.queue = vec![Candidate { seen, ..candidate }];
        assert_eq!(Memory::read([Some(&memory.to_bytes()), None]), (memory, vec![]));
    }

    #[test]
    fn a_bad_revision_is_remembered_long_after_its_reason_was_of_interest() {
        let mut memory = Memory::default();
        for number in 0..200 {
            memory.remember_bad(Bad {
                revision: Revision::new(number.to_string()),
                promise: None,
                reason: format!("{}\njournal: and more", "it broke ".repeat(20)),
                at: "2026-07-06T00:00:00Z".parse().unwrap(),
            });
        }
        assert!((0..200).all(|it| memory.is_bad(&Revision::new(it.to_string())).is_some()));
        let lines: Vec<usize> = memory.bad.iter().map(|it| it.reason.lines().count()).collect();
        assert_eq!(lines.iter().filter(|it| **it == 2).count(), BAD_EXPLAINED);
        assert!(memory.bad[0].reason.len() <= REASON_OF_OLD);
    }

    /// What was ever written is read, and the newest is written as it stands there.
    #[test]
    fn every_memory_that_was_ever_stored_is_read() {
        let sample = include_bytes!("../../../tests/formats/agent-memory-1");
        assert_eq!(Memory::read([Some(sample), None]), (example(), vec![]));
        assert_eq!(String::from_utf8_lossy(sample), String::from_utf8_lossy(&example().to_bytes()));
    }

    #[test]
    fn one_damaged_copy_loses_nothing_and_two_are_not_a_new_node() {
        let (mut older, newer) = (example(), example());
        older.written = 6;
        let (older, whole) = (older.to_bytes(), newer.to_bytes());
        assert_eq!(Memory::read([Some(&older), Some(&whole)]).0, newer);
        assert_eq!(Memory::read([Some(&whole), Some(&older)]).0, newer);
        for at in [0, 20, whole.len() / 2, whole.len() - 3] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let (read, problems) = Memory::read([Some(&damaged), Some(&older)]);
            assert_eq!((read.written, problems.len()), (6, 1), "byte {at}");
            assert_eq!(Memory::read([Some(&damaged), None]).0, Memory::lost());
            assert_eq!(Memory::read([Some(&whole[..at]), None]).0, Memory::lost());
        }
        assert_eq!(Memory::read([None, None]), (Memory::default(), vec![]));
        let newer = format!("steadfast-memory 2 {}\n{{}}\n", digest(b"{}"));
        let (read, problems) = Memory::read([Some(newer.as_bytes()), None]);
        assert_eq!(read.highest, HighestAccepted::Lost);
        assert_eq!(problems[0].to_string(), "the agent's memory has format 2, of a newer version");
    }
}

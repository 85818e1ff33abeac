//! What the agent tells by fields: an event of `tracing` with a name and a number that stay as they are, so
//! that it can be asked for in the journal.

use crate::logging::{Level, one_line, tell_at};
use crate::machine::Note;
use crate::memory::TrialFailure;
use steadfast_model::PromiseId;
use steadfast_node::revision::Revision;
use steadfast_node::wire::JudgedFailure;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub level: Level,
    pub kind: Kind,
    pub words: String,
    pub revision: Option<String>,
    pub promises: Vec<PromiseId>,
    pub reason: Option<String>,
    /// What a unit wrote into its journal meanwhile: lines below the words.
    pub journal: Vec<String>,
    /// Who had changed what is promised.
    pub changed_by: Option<String>,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Adopted,
    Refused,
    Invalid,
    Settled,
    TriedAgain,
    GoingBack,
    WentBack,
    BackDidNotHelp,
    Crashed,
    PutOff,
    Flapping,
    FlappingOver,
    Suspended,
    Resumed,
    SourceChanged,
    Superseded,
    NotStored,
    Unexpected,
    Repaired,
    NotKept,
}

impl Kind {
    /// What it is called in STEADFAST_EVENT, and its MESSAGE_ID. Both stay as they are for ever.
    fn name_and_id(self) -> (&'static str, &'static str) {
        match self {
            Kind::Adopted => ("adopted", "3c78b98cf07343ac903c2186b8f1aab8"),
            Kind::Refused => ("refused", "b60b3026f13f41c5aa7e5d1630c0e7a3"),
            Kind::Invalid => ("invalid", "e739a18c5504485fa24aaa6f66094e29"),
            Kind::Settled => ("settled", "19381fc5db44470997ebdb72a34ce8f3"),
            Kind::TriedAgain => ("tried-again", "590e6206ba454077851b9123d530b39e"),
            Kind::GoingBack => ("going-back", "0c6096e92b294054ab68bc3494678531"),
            Kind::WentBack => ("went-back", "2285c92bb0c54cf59ea58294e208f608"),
            Kind::BackDidNotHelp => ("going-back-did-not-help", "345fdaada28644a0b15f0010a8971356"),
            Kind::Crashed => ("run-crashed", "ebd3550070424cabadc9e09900cb65cc"),
            Kind::PutOff => ("run-put-off", "905cf99d478c4560b5c70acb44bd33d8"),
            Kind::Flapping => ("fight", "95c023c05ee54288a233f0c593d893ec"),
            Kind::FlappingOver => ("fight-over", "65198610d9d348c49fc45059da2d4a16"),
            Kind::Suspended => ("suspended", "f73eed3999f5460dba83c6ee10b57e2d"),
            Kind::Resumed => ("resumed", "8534cfc897cd4a0389296f0583e833a8"),
            Kind::SourceChanged => ("source-changed", "b5b007b061204cfabd41f14f6299206f"),
            Kind::Superseded => ("superseded", "2a6323cb49d945aa945bdb3e6b4aec0f"),
            Kind::NotStored => ("not-stored", "40b511e459cb4666b4142f80490589ef"),
            Kind::Unexpected => ("unexpected", "075ea685c49945d7aefd422663bee9ed"),
            Kind::Repaired => ("repaired", "366ee92cc92c419095f4dea320110559"),
            Kind::NotKept => ("not-kept", "dd63e03c99d74d1d91e633020a41771e"),
        }
    }
}

impl Record {
    fn new(level: Level, kind: Kind, words: String) -> Record {
        let (revision, reason, changed_by) = (None, None, None);
        let (promises, journal) = (vec![], vec![]);
        Record { level, kind, words, revision, promises, reason, journal, changed_by }
    }

    fn with_revision(self, revision: &Revision) -> Record {
        Record { revision: Some(revision.0.to_string()), ..self }
    }

    fn with_promise(self, promise: &PromiseId) -> Record {
        Record { promises: vec![promise.clone()], ..self }
    }

    fn with_reason(self, reason: impl Into<String>) -> Record {
        Record { reason: Some(reason.into()), ..self }
    }

    fn with_failures(self, failures: &[TrialFailure]) -> Record {
        let promises = failures.iter().filter_map(|it| it.promise.clone()).collect();
        let reasons: Vec<&str> = failures.iter().map(|it| &*it.reason).collect();
        Record { promises, reason: Some(reasons.join("; ")), ..self }
    }

    /// With who had changed it, in the words too.
    fn with_changer(self, link: &str, who: Option<&str>) -> Record {
        let Some(who) = who else { return self };
        let words = format!("{}{link} by {who}", self.words);
        Record { words, changed_by: Some(who.to_owned()), ..self }
    }

    /// A note of the machine. `who` had changed what was repaired.
    pub(super) fn from_note<'a>(
        note: &Note,
        who: impl Fn(&PromiseId) -> Option<&'a str>,
    ) -> Record {
        let new = |level, kind| Record::new(level, kind, note.to_string());
        match note {
            Note::Adopted { revision } => new(Level::Info, Kind::Adopted).with_revision(revision),
            Note::Refused(refusal) => {
                new(Level::Warning, Kind::Refused).with_reason(refusal.to_string())
            }
            Note::Invalid { revision, problems } => new(Level::Warning, Kind::Invalid)
                .with_revision(revision)
                .with_reason(problems.join("; ")),
            Note::Settled { revision } => new(Level::Info, Kind::Settled).with_revision(revision),
            Note::TriedAgain { revision, failures } => new(Level::Warning, Kind::TriedAgain)
                .with_revision(revision)
                .with_failures(failures),
            Note::GoingBack { from, to: _, failures } => {
                new(Level::Error, Kind::GoingBack).with_revision(from).with_failures(failures)
            }
            Note::WentBack { bad, to: _ } => new(Level::Error, Kind::WentBack).with_revision(bad),
            Note::GoingBackDidNotHelp { revision } => {
                new(Level::Warning, Kind::BackDidNotHelp).with_revision(revision)
            }
            Note::RunCrashed { revision, words } => {
                new(Level::Error, Kind::Crashed).with_revision(revision).with_reason(words)
            }
            Note::RunPutOff { words } => new(Level::Notice, Kind::PutOff).with_reason(words),
            Note::Flapping(it) => {
                let who = who(&it.promise);
                new(Level::Warning, Kind::Flapping)
                    .with_promise(&it.promise)
                    .with_changer("; last changed", who)
            }
            Note::FlappingOver(it) => {
                new(Level::Info, Kind::FlappingOver).with_promise(&it.promise)
            }
            Note::Suspended { reason, until: _ } => {
                new(Level::Notice, Kind::Suspended).with_reason(reason)
            }
            Note::Resumed => new(Level::Info, Kind::Resumed),
            Note::SourceChanged => new(Level::Notice, Kind::SourceChanged),
            Note::Superseded { revision } => {
                new(Level::Info, Kind::Superseded).with_revision(revision)
            }
            Note::NotStored { why } => new(Level::Error, Kind::NotStored).with_reason(why),
            Note::Unexpected(what) => new(Level::Warning, Kind::Unexpected).with_reason(*what),
        }
    }

    /// A run has repaired a promise.
    pub(super) fn repaired(promise: &PromiseId, revision: &Revision, who: Option<&str>) -> Record {
        let words = format!("repaired {promise}");
        let record = Record::new(Level::Info, Kind::Repaired, words);
        record.with_revision(revision).with_promise(promise).with_changer(", changed", who)
    }

    /// A run could not keep a promise.
    pub(super) fn not_kept(broken: &JudgedFailure, revision: &Revision) -> Record {
        let words = format!("{} is not kept: {}", broken.failure.promise, broken.failure.reason);
        let record = Record::new(Level::Warning, Kind::NotKept, words);
        let record = record
            .with_revision(revision)
            .with_promise(&broken.failure.promise)
            .with_reason(&broken.failure.reason);
        Record { journal: broken.failure.journal.clone(), ..record }
    }

    /// Says it. Whoever subscribes sees fields; whoever reads lines, the words.
    pub(super) fn tell(&self) {
        let Record { level, kind, words, revision, promises, reason, journal, changed_by } = self;
        let lines = journal.iter().map(|it| format!("\njournal: {it}"));
        let words = lines.fold(words.clone(), |words, line| words + &line);
        let (event, message_id) = kind.name_and_id();
        let (revision, reason) = (revision.as_deref(), reason.as_deref());
        let changed_by = changed_by.as_deref();
        let promises: Vec<String> = promises.iter().map(|it| one_line(&it.0)).collect();
        let promises = (!promises.is_empty()).then(|| promises.join("\n"));
        let promises = promises.as_deref();
        tell_at!(level, [], event, message_id, revision, promises, reason, changed_by, "{words}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::testing::told;
    use std::collections::BTreeSet;
    use steadfast_node::wire::{Failure, Fault};

    fn text(record: &Record) -> String {
        String::from_utf8(told(|| record.tell())).unwrap()
    }

    #[test]
    fn what_happened_is_told_by_fields() {
        let revision = Revision::new("0123");
        let record = Record::repaired(
            &PromiseId::new("file", "/etc/motd"),
            &revision,
            Some("vi (pid 7) of ann"),
        );
        let (_, id) = Kind::Repaired.name_and_id();
        let expected = format!(
            "MESSAGE=repaired file:/etc/motd, changed by vi (pid 7) of ann\nPRIORITY=6\n\
             SYSLOG_IDENTIFIER=steadfast\nMESSAGE_ID={id}\nSTEADFAST_EVENT=repaired\n\
             STEADFAST_REVISION=0123\nSTEADFAST_CHANGED_BY=vi (pid 7) of ann\n\
             STEADFAST_PROMISE=file:/etc/motd\n"
        );
        assert_eq!(text(&record), expected);
        let failure = |promise: &str| TrialFailure {
            promise: Some(PromiseId(promise.into())),
            reason: format!("of {promise}"),
        };
        let failures = vec![failure("service:a"), failure("service:b")];
        let note = Note::GoingBack { from: revision.clone(), to: revision, failures };
        let record = text(&Record::from_note(&note, |_| None));
        assert!(record.ends_with(
            "STEADFAST_REASON=of service:a; of service:b\nSTEADFAST_PROMISE=service:a\n\
             STEADFAST_PROMISE=service:b\n"
        ));
    }

    #[test]
    fn a_value_of_many_lines_has_its_length_and_none_becomes_another_field() {
        let reason = "one\u{7}\nMESSAGE_ID=forged\r\n".repeat(1_000);
        let broken = JudgedFailure {
            failure: Failure {
                promise: PromiseId::new("file", "/x\nPRIORITY=0"),
                reason,
                journal: vec![],
            },
            fault: Fault::Revision,
            health: false,
            changed: false,
        };
        let bytes = told(|| Record::not_kept(&broken, &Revision::new("0")).tell());
        let (mut rest, mut fields) = (&bytes[..], vec![]);
        while !rest.is_empty() {
            let end = rest.iter().position(|it| *it == b'=' || *it == b'\n').unwrap();
            let key = std::str::from_utf8(&rest[..end]).unwrap();
            let (value, after) = if rest[end] == b'=' {
                let value = &rest[end + 1..];
                value.split_at(value.iter().position(|it| *it == b'\n').unwrap())
            } else {
                let length = u64::from_le_bytes(*rest[end + 1..].first_chunk().unwrap());
                rest[end + 9..].split_at(usize::try_from(length).unwrap())
            };
            assert_eq!(after[0], b'\n');
            rest = &after[1..];
            fields.push((key, String::from_utf8_lossy(value).into_owned()));
        }
        let keys: Vec<&str> = fields.iter().map(|(key, _)| *key).collect();
        assert_eq!(
            keys,
            [
                "MESSAGE",
                "PRIORITY",
                "SYSLOG_IDENTIFIER",
                "MESSAGE_ID",
                "STEADFAST_EVENT",
                "STEADFAST_REVISION",
                "STEADFAST_REASON",
                "STEADFAST_PROMISE"
            ]
        );
        assert_eq!(fields[6].1.lines().count(), 20);
        assert!(!fields[6].1.contains('\u{7}'));
    }

    #[test]
    fn every_kind_of_event_has_a_name_and_a_number_of_its_own() {
        let all = [
            Kind::Adopted,
            Kind::Refused,
            Kind::Invalid,
            Kind::Settled,
            Kind::TriedAgain,
            Kind::GoingBack,
            Kind::WentBack,
            Kind::BackDidNotHelp,
            Kind::Crashed,
            Kind::PutOff,
            Kind::Flapping,
            Kind::FlappingOver,
            Kind::Suspended,
            Kind::Resumed,
            Kind::SourceChanged,
            Kind::Superseded,
            Kind::NotStored,
            Kind::Unexpected,
            Kind::Repaired,
            Kind::NotKept,
        ];
        let names: BTreeSet<&str> = all.iter().map(|it| it.name_and_id().0).collect();
        let ids: BTreeSet<&str> = all.iter().map(|it| it.name_and_id().1).collect();
        assert_eq!((names.len(), ids.len()), (all.len(), all.len()));
        let hex = |it: &&str| it.len() == 32 && it.bytes().all(|it| it.is_ascii_hexdigit());
        assert!(ids.iter().all(hex));
    }
}

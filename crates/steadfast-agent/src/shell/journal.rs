//! What the agent tells the journal by fields, so that it can be asked for by them: `journalctl
//! STEADFAST_PROMISE=file:/etc/motd`. The words are those that everybody reads.

use super::log::{Level, one_line};
use crate::machine::Note;
use crate::memory::Failure;
use rustix::net::{SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;
use steadfast_node::revision::Revision;
use steadfast_node::wire::Broken;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub level: Level,
    pub kind: Kind,
    pub words: String,
    pub revision: Option<String>,
    pub promises: Vec<String>,
    pub reason: Option<String>,
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
    Fight,
    FightOver,
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
            Kind::Fight => ("fight", "95c023c05ee54288a233f0c593d893ec"),
            Kind::FightOver => ("fight-over", "65198610d9d348c49fc45059da2d4a16"),
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
        Record { level, kind, words, revision, promises: vec![], reason, changed_by }
    }

    fn of(self, revision: &Revision) -> Record {
        Record { revision: Some(revision.0.to_string()), ..self }
    }

    fn about(self, promise: &str) -> Record {
        Record { promises: vec![promise.to_owned()], ..self }
    }

    fn because(self, reason: impl Into<String>) -> Record {
        Record { reason: Some(reason.into()), ..self }
    }

    fn because_of(self, failures: &[Failure]) -> Record {
        let promises = failures.iter().filter_map(|it| it.promise.clone()).collect();
        let reasons: Vec<&str> = failures.iter().map(|it| &*it.reason).collect();
        Record { promises, reason: Some(reasons.join("; ")), ..self }
    }

    /// With who had changed it, in the words too.
    fn changed_by(self, link: &str, who: Option<&str>) -> Record {
        let Some(who) = who else { return self };
        let words = format!("{}{link} by {who}", self.words);
        Record { words, changed_by: Some(who.to_owned()), ..self }
    }

    /// A note of the machine. `who` had changed what was repaired.
    pub(super) fn of_note<'a>(note: &Note, who: impl Fn(&str) -> Option<&'a str>) -> Record {
        let new = |level, kind| Record::new(level, kind, note.to_string());
        match note {
            Note::Adopted { revision } => new(Level::Info, Kind::Adopted).of(revision),
            Note::Refused(refusal) => {
                new(Level::Warning, Kind::Refused).because(refusal.to_string())
            }
            Note::Invalid { revision, problems } => {
                new(Level::Warning, Kind::Invalid).of(revision).because(problems.join("; "))
            }
            Note::Settled { revision } => new(Level::Info, Kind::Settled).of(revision),
            Note::TriedAgain { revision, failures } => {
                new(Level::Warning, Kind::TriedAgain).of(revision).because_of(failures)
            }
            Note::GoingBack { from, to: _, failures } => {
                new(Level::Error, Kind::GoingBack).of(from).because_of(failures)
            }
            Note::WentBack { bad, to: _ } => new(Level::Error, Kind::WentBack).of(bad),
            Note::GoingBackDidNotHelp { revision } => {
                new(Level::Warning, Kind::BackDidNotHelp).of(revision)
            }
            Note::RunCrashed { revision, words } => {
                new(Level::Error, Kind::Crashed).of(revision).because(words)
            }
            Note::RunPutOff { words } => new(Level::Notice, Kind::PutOff).because(words),
            Note::Fight(fight) => {
                let who = who(&fight.promise);
                new(Level::Warning, Kind::Fight)
                    .about(&fight.promise)
                    .changed_by("; last changed", who)
            }
            Note::FightOver(fight) => new(Level::Info, Kind::FightOver).about(&fight.promise),
            Note::Suspended { reason, until: _ } => {
                new(Level::Notice, Kind::Suspended).because(reason)
            }
            Note::Resumed => new(Level::Info, Kind::Resumed),
            Note::SourceChanged => new(Level::Notice, Kind::SourceChanged),
            Note::Superseded { revision } => new(Level::Info, Kind::Superseded).of(revision),
            Note::NotStored { why } => new(Level::Error, Kind::NotStored).because(why),
            Note::Unexpected(what) => new(Level::Warning, Kind::Unexpected).because(*what),
        }
    }

    /// A run has repaired a promise.
    pub(super) fn repaired(promise: &str, revision: &Revision, who: Option<&str>) -> Record {
        let words = format!("repaired {promise}");
        let record = Record::new(Level::Info, Kind::Repaired, words);
        record.of(revision).about(promise).changed_by(", changed", who)
    }

    /// A run could not keep a promise.
    pub(super) fn not_kept(broken: &Broken, revision: &Revision) -> Record {
        let words = format!("{} is not kept: {}", broken.promise, broken.reason);
        let record = Record::new(Level::Warning, Kind::NotKept, words);
        record.of(revision).about(&broken.promise).because(&broken.reason)
    }

    /// As the journal's own protocol has it: a line each, and with its length where a value has lines.
    fn datagram(&self) -> Vec<u8> {
        let Record { level, kind, words, revision, promises, reason, changed_by } = self;
        let (name, id) = kind.name_and_id();
        let mut all = vec![];
        put(&mut all, "MESSAGE", words);
        put(&mut all, "PRIORITY", &level.priority().to_string());
        put(&mut all, "SYSLOG_IDENTIFIER", "steadfast");
        put(&mut all, "MESSAGE_ID", id);
        put(&mut all, "STEADFAST_EVENT", name);
        for (key, value) in [
            ("STEADFAST_REVISION", revision),
            ("STEADFAST_REASON", reason),
            ("STEADFAST_CHANGED_BY", changed_by),
        ] {
            value.iter().for_each(|it| put(&mut all, key, it));
        }
        for promise in promises.iter().take(PROMISES) {
            put(&mut all, "STEADFAST_PROMISE", promise);
        }
        all
    }
}

/// So many lines of a value are told; each is bounded by itself.
const LINES: usize = 20;
/// So many promises are told of one event.
const PROMISES: usize = 50;

fn put(all: &mut Vec<u8>, key: &str, value: &str) {
    let lines: Vec<String> =
        value.lines().filter(|it| !it.trim().is_empty()).take(LINES).map(one_line).collect();
    let value = lines.join("\n");
    all.extend(key.as_bytes());
    if lines.len() > 1 {
        all.push(b'\n');
        all.extend((value.len() as u64).to_le_bytes());
    } else {
        all.push(b'=');
    }
    all.extend(value.as_bytes());
    all.push(b'\n');
}

/// The journal's socket.
#[derive(Debug)]
pub(super) struct Journal {
    socket: OwnedFd,
    address: SocketAddrUnix,
}

pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

impl Journal {
    pub(super) fn new(path: &str) -> Option<Journal> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = rustix::net::AddressFamily::UNIX;
        let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None).ok()?;
        Some(Journal { socket, address: SocketAddrUnix::new(path).ok()? })
    }

    /// Whether it was taken: a journal that is gone or busy is no reason to wait.
    pub(super) fn take(&self, record: &Record) -> bool {
        let bytes = record.datagram();
        rustix::net::sendto(&self.socket, &bytes, SendFlags::NOSIGNAL, &self.address).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::os::unix::net::UnixDatagram;
    use steadfast_node::wire::Fault;

    fn text(record: &Record) -> String {
        String::from_utf8(record.datagram()).unwrap()
    }

    #[test]
    fn what_happened_is_told_by_fields() {
        let revision = Revision::new("0123");
        let record = Record::repaired("file:/etc/motd", &revision, Some("vi (pid 7) of ann"));
        let (_, id) = Kind::Repaired.name_and_id();
        let expected = format!(
            "MESSAGE=repaired file:/etc/motd, changed by vi (pid 7) of ann\nPRIORITY=6\n\
             SYSLOG_IDENTIFIER=steadfast\nMESSAGE_ID={id}\nSTEADFAST_EVENT=repaired\n\
             STEADFAST_REVISION=0123\nSTEADFAST_CHANGED_BY=vi (pid 7) of ann\n\
             STEADFAST_PROMISE=file:/etc/motd\n"
        );
        assert_eq!(text(&record), expected);
        let failure = |promise: &str| Failure {
            promise: Some(promise.to_owned()),
            reason: format!("of {promise}"),
        };
        let failures = vec![failure("service:a"), failure("service:b")];
        let note = Note::GoingBack { from: revision.clone(), to: revision, failures };
        let record = text(&Record::of_note(&note, |_| None));
        assert!(record.ends_with(
            "STEADFAST_REASON=of service:a; of service:b\nSTEADFAST_PROMISE=service:a\n\
             STEADFAST_PROMISE=service:b\n"
        ));
    }

    #[test]
    fn a_value_of_many_lines_has_its_length_and_none_becomes_another_field() {
        let reason = "one\u{7}\nMESSAGE_ID=forged\r\n".repeat(1_000);
        let broken = Broken {
            promise: "file:/x\nPRIORITY=0".to_owned(),
            reason,
            fault: Fault::Revision,
            health: false,
            changed: false,
        };
        let bytes = Record::not_kept(&broken, &Revision::new("0")).datagram();
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
        assert_eq!(fields[6].1.lines().count(), LINES);
        assert!(!fields[6].1.contains('\u{7}'));
    }

    #[test]
    fn a_record_is_one_datagram_and_a_journal_that_is_gone_is_told_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let heard = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::new(path.to_str().unwrap()).unwrap();
        let record = Record::of_note(&Note::Resumed, |_| None);
        assert!(journal.take(&record));
        let mut bytes = [0; 4096];
        let length = heard.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], record.datagram());
        drop(heard);
        assert!(!journal.take(&record));
        assert!(Journal::new(&"x".repeat(200)).is_none());
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
            Kind::Fight,
            Kind::FightOver,
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

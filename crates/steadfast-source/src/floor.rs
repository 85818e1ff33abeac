//! The trust floor: the highest revision ever accepted, the keys that were once trusted and are not any
//! more, and the revisions known as bad. It lies in two copies in a folder of its own, apart from every
//! cache and database, so that losing those does not let an old model back in. Where both copies are
//! unreadable, the node keeps what it has and asks a person.
//!
//! Whether a candidate leads forward is decided by [`judge`], a function of data alone.

use crate::refusal::Refusal;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use steadfast_trust::signature::{SignatureError, Signer};
use steadfast_trust::text::hex;

/// One revision of a model, as far as going forward is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    Git {
        commit: String,
        content: [u8; 32],
    },
    Snapshot {
        model: String,
        channel: String,
        sequence: u64,
        content: [u8; 32],
        expires: Timestamp,
    },
    Directory {
        content: [u8; 32],
    },
}

impl Point {
    pub fn kind(&self) -> &'static str {
        match self {
            Point::Git { .. } => "git commit",
            Point::Snapshot { .. } => "snapshot",
            Point::Directory { .. } => "directory",
        }
    }

    pub fn content(&self) -> [u8; 32] {
        match self {
            Point::Git { content, .. }
            | Point::Snapshot { content, .. }
            | Point::Directory { content } => *content,
        }
    }
}

/// The name of it: `commit 0123…`, `snapshot 12`, `content 0123…`. Two revisions of one source with the
/// same name are the same.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::Git { commit, .. } => write!(f, "commit {commit}"),
            Point::Snapshot { sequence, .. } => write!(f, "snapshot {sequence}"),
            Point::Directory { content } => write!(f, "content {}", hex(content)),
        }
    }
}

/// A revision that this node does not take again, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// As [`Point`] is shown.
    pub revision: String,
    pub reason: String,
}

/// The set of snapshot keys that was reached by rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySetPoint {
    pub number: u32,
    pub digest: [u8; 32],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// Where the highest revision came from, for people.
    pub source: String,
    pub highest: Option<Point>,
    pub key_set: Option<KeySetPoint>,
    /// The keys that were trusted when this was written.
    pub known_keys: BTreeSet<String>,
    /// The keys that were trusted before and are not any more. It only grows.
    pub removed_keys: BTreeSet<String>,
    pub bad: Vec<Bad>,
}

/// What is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub point: Point,
    pub descent: Descent,
    pub key_set: Option<KeySetPoint>,
    pub signers: Vec<Signer>,
}

/// How a commit relates to the highest one that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// There is nothing to descend from, or the source has no history.
    None,
    Proved,
    NotProved,
    /// Not proved within the limits of a fetch.
    TooFar,
}

/// What the node wants to be signed; what is not named is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub model: Option<String>,
    pub channel: Option<String>,
}

/// Whether history may be forced, that of the model and that of the snapshot keys. Signatures by whom the
/// settings trust, removed keys, names and expiry are never waived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    No,
    /// Root on this node said so, with a reason.
    Yes,
}

/// How a revision that may be taken leads forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    First,
    Forward,
    /// The revision that was accepted before.
    Same,
    /// The same content, signed for longer.
    Renewed,
    /// Not forward, but root said so.
    Forced,
}

/// Whether a candidate may be taken by a node with this floor.
pub fn judge(
    floor: &Floor,
    candidate: &Candidate,
    expected: &Expected,
    now: Timestamp,
    force: Force,
) -> Result<Advance, Refusal> {
    let Candidate { point, descent, key_set, signers } = candidate;
    if let Point::Snapshot { model, channel, .. } = point {
        if let Some(expected) = expected.model.as_ref().filter(|it| *it != model) {
            let (named, expected) = (model.clone(), expected.clone());
            return Err(Refusal::WrongModel { named, expected });
        }
        if let Some(expected) = expected.channel.as_ref().filter(|it| *it != channel) {
            let (named, expected) = (channel.clone(), expected.clone());
            return Err(Refusal::WrongChannel { named, expected });
        }
    }
    if let Some(signer) = signers.iter().find(|it| floor.removed_keys.contains(&it.key)) {
        let (what, key) = (point.to_string(), signer.key.clone());
        return Err(SignatureError::RemovedKey { what, key }.into());
    }
    if let (Some(offered), Some(highest)) = (key_set, &floor.key_set)
        && force == Force::No
    {
        if offered.number < highest.number {
            let (offered, highest) = (offered.number, highest.number);
            return Err(Refusal::OlderKeys { offered, highest });
        }
        // Number 0 is what the settings say, and root may say something else.
        let reached = offered.number > 0 && offered.number == highest.number;
        if reached && offered.digest != highest.digest {
            let why = format!("key set {} is another than the one accepted", offered.number);
            return Err(Refusal::Broken { why });
        }
    }
    if let Point::Snapshot { sequence, expires, .. } = point
        && *expires <= now
    {
        return Err(Refusal::Expired { sequence: *sequence, expires: *expires });
    }
    if force == Force::Yes {
        return Ok(Advance::Forced);
    }
    let revision = point.to_string();
    if let Some(bad) = floor.bad.iter().find(|it| it.revision == revision) {
        return Err(Refusal::KnownBad { revision, reason: bad.reason.clone() });
    }
    let Some(highest) = &floor.highest else { return Ok(Advance::First) };
    match (point, highest) {
        (Point::Git { commit, .. }, Point::Git { commit: floor, .. }) => {
            let (same, commit, floor) = (commit == floor, commit.clone(), floor.clone());
            match descent {
                _same if same => Ok(Advance::Same),
                Descent::Proved => Ok(Advance::Forward),
                Descent::TooFar => Err(Refusal::TooFar { commit, floor }),
                Descent::None | Descent::NotProved => Err(Refusal::NotDescended { commit, floor }),
            }
        }
        (
            Point::Snapshot { sequence, content, expires, .. },
            Point::Snapshot { sequence: highest, content: accepted, expires: until, .. },
        ) => match sequence.cmp(highest) {
            std::cmp::Ordering::Less => {
                Err(Refusal::LowerSequence { offered: *sequence, highest: *highest })
            }
            std::cmp::Ordering::Equal if content != accepted => {
                Err(Refusal::TwoContents { sequence: *sequence })
            }
            std::cmp::Ordering::Equal if expires > until => Ok(Advance::Renewed),
            std::cmp::Ordering::Equal => Ok(Advance::Same),
            std::cmp::Ordering::Greater => Ok(Advance::Forward),
        },
        (Point::Directory { content }, Point::Directory { content: accepted }) => {
            Ok(if content == accepted { Advance::Same } else { Advance::Forward })
        }
        (
            Point::Git { .. } | Point::Snapshot { .. } | Point::Directory { .. },
            Point::Git { .. } | Point::Snapshot { .. } | Point::Directory { .. },
        ) => Err(Refusal::OtherSource { was: highest.kind(), now: point.kind() }),
    }
}

impl Floor {
    /// Takes note of the keys that are trusted now: those that were known and are no more trusted are
    /// removed for good, whatever a later file says.
    pub fn see_keys(&mut self, trusted: &BTreeSet<String>) {
        let gone: Vec<String> = self.known_keys.difference(trusted).cloned().collect();
        self.removed_keys.extend(gone);
        self.known_keys.clone_from(trusted);
    }

    /// Raises the floor to a candidate that was judged.
    pub fn take(&mut self, candidate: &Candidate, advance: Advance, source: &str) {
        let Candidate { point, descent: _, key_set, signers: _ } = candidate;
        match advance {
            // An older manifest of the same content does not take back what a renewal promised.
            Advance::Same => {}
            Advance::Forced => {
                let revision = point.to_string();
                self.bad.retain(|it| it.revision != revision);
                self.highest = Some(point.clone());
            }
            Advance::First | Advance::Forward | Advance::Renewed => {
                self.highest = Some(point.clone());
            }
        }
        source.clone_into(&mut self.source);
        if key_set.is_some() {
            self.key_set = *key_set;
        }
    }

    /// Remembers a revision as bad.
    pub fn mark_bad(&mut self, point: &Point, reason: impl Into<String>) {
        let revision = point.to_string();
        self.bad.retain(|it| it.revision != revision);
        self.bad.push(Bad { revision, reason: reason.into() });
    }

    /// When the newest model that was accepted is stale; git commits never are by themselves.
    pub fn expires(&self) -> Option<Timestamp> {
        match self.highest {
            Some(Point::Snapshot { expires, .. }) => Some(expires),
            Some(Point::Git { .. } | Point::Directory { .. }) | None => None,
        }
    }
}

/// Why there is no floor to stand on.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    #[error("both copies of the trust floor in {folder} are unreadable: {first}; {second}")]
    Lost { folder: PathBuf, first: String, second: String },
    #[error("the trust floor in {folder} is gone, although a model was accepted here")]
    Gone { folder: PathBuf },
    #[error("write the trust floor {path}")]
    Write {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
}

/// A floor that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub floor: Floor,
    /// What is wrong with one of the copies; the other one was taken. The next save mends it.
    pub damaged: Option<String>,
    generation: u64,
}

const COPIES: [&str; 2] = ["floor.1", "floor.2"];
/// A floor is a few kilobytes.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// Reads the floor. With neither copy there it is a new one, unless the caller knows that a model was
/// accepted here before.
pub fn load(folder: &Path, accepted_before: bool) -> Result<Loaded, FloorError> {
    let [first, second] = COPIES.map(|it| read_copy(&folder.join(it)));
    let folder = || folder.to_owned();
    match (first, second) {
        (Ok(None), Ok(None)) if accepted_before => Err(FloorError::Gone { folder: folder() }),
        (Ok(None), Ok(None)) => {
            Ok(Loaded { floor: Floor::default(), damaged: None, generation: 0 })
        }
        (Ok(Some(one)), Ok(Some(other))) => {
            let (generation, floor) = if other.0 > one.0 { other } else { one };
            Ok(Loaded { floor, damaged: None, generation })
        }
        (Ok(Some((generation, floor))), other) | (other, Ok(Some((generation, floor)))) => {
            let damaged = match other {
                Ok(_) => "one copy is missing".to_owned(),
                Err(why) => why,
            };
            Ok(Loaded { floor, damaged: Some(damaged), generation })
        }
        (first, second) => {
            let words = |it: Result<_, String>| it.err().unwrap_or_else(|| "missing".to_owned());
            Err(FloorError::Lost { folder: folder(), first: words(first), second: words(second) })
        }
    }
}

impl Loaded {
    /// Writes both copies, one after the other: whenever the machine dies, one of them is whole.
    pub fn save(&mut self, folder: &Path) -> Result<(), FloorError> {
        let generation = self.generation + 1;
        let text = format::write(generation, &self.floor);
        std::fs::create_dir_all(folder)
            .map_err(|err| FloorError::Write { path: folder.to_owned(), err })?;
        for name in COPIES {
            let path = folder.join(name);
            write_copy(folder, &path, &text)
                .map_err(|err| FloorError::Write { path: path.clone(), err })?;
        }
        self.generation = generation;
        self.damaged = None;
        Ok(())
    }
}

fn write_copy(folder: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    std::fs::File::open(folder)?.sync_all()
}

fn read_copy(path: &Path) -> Result<Option<(u64, Floor)>, String> {
    let name = path.display();
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(format!("{name}: {err}")),
    };
    let mut text = String::new();
    file.take(MAX_SIZE).read_to_string(&mut text).map_err(|err| format!("{name}: {err}"))?;
    format::read(&text).map(Some).map_err(|why| format!("{name}: {why}"))
}

/// The format: one line of JSON, then the SHA-256 of that line.
mod format {
    use super::{Bad, Floor, KeySetPoint, Point};
    use serde::{Deserialize, Serialize};
    use sha2::Digest as _;
    use steadfast_trust::text::{hex, unhex};

    #[derive(Serialize, Deserialize)]
    struct V1 {
        format: u32,
        generation: u64,
        source: String,
        highest: Option<PointV1>,
        key_set: Option<KeySetV1>,
        known_keys: Vec<String>,
        removed_keys: Vec<String>,
        bad: Vec<BadV1>,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum PointV1 {
        Git { commit: String, content: String },
        Snapshot { model: String, channel: String, sequence: u64, content: String, expires: String },
        Directory { content: String },
    }

    #[derive(Serialize, Deserialize)]
    struct KeySetV1 {
        number: u32,
        digest: String,
    }

    #[derive(Serialize, Deserialize)]
    struct BadV1 {
        revision: String,
        reason: String,
    }

    pub(super) fn write(generation: u64, floor: &Floor) -> String {
        let Floor { source, highest, key_set, known_keys, removed_keys, bad } = floor;
        let highest = highest.as_ref().map(|it| match it {
            Point::Git { commit, content } => {
                PointV1::Git { commit: commit.clone(), content: hex(content) }
            }
            Point::Snapshot { model, channel, sequence, content, expires } => PointV1::Snapshot {
                model: model.clone(),
                channel: channel.clone(),
                sequence: *sequence,
                content: hex(content),
                expires: expires.to_string(),
            },
            Point::Directory { content } => PointV1::Directory { content: hex(content) },
        });
        let v1 = V1 {
            format: 1,
            generation,
            source: source.clone(),
            highest,
            key_set: key_set.map(|it| KeySetV1 { number: it.number, digest: hex(&it.digest) }),
            known_keys: known_keys.iter().cloned().collect(),
            removed_keys: removed_keys.iter().cloned().collect(),
            bad: bad
                .iter()
                .map(|it| BadV1 { revision: it.revision.clone(), reason: it.reason.clone() })
                .collect(),
        };
        let line = serde_json::to_string(&v1).unwrap_or_default();
        let sum = hex(&sha2::Sha256::digest(line.as_bytes()));
        format!("{line}\n{sum}\n")
    }

    pub(super) fn read(text: &str) -> Result<(u64, Floor), String> {
        let (line, sum) = text.split_once('\n').ok_or("it is cut off")?;
        if hex(&sha2::Sha256::digest(line.as_bytes())) != sum.trim_end() {
            return Err("its checksum is wrong".into());
        }
        let v1: V1 = serde_json::from_str(line).map_err(|it| it.to_string())?;
        if v1.format != 1 {
            return Err(format!("format {} is not known", v1.format));
        }
        let highest = v1
            .highest
            .map(|it| {
                Ok::<_, String>(match it {
                    PointV1::Git { commit, content } => {
                        Point::Git { commit, content: digest(&content)? }
                    }
                    PointV1::Snapshot { model, channel, sequence, content, expires } => {
                        Point::Snapshot {
                            model,
                            channel,
                            sequence,
                            content: digest(&content)?,
                            expires: expires.parse().map_err(|_| "a time is malformed")?,
                        }
                    }
                    PointV1::Directory { content } => {
                        Point::Directory { content: digest(&content)? }
                    }
                })
            })
            .transpose()?;
        let key_set = v1
            .key_set
            .map(|it| {
                Ok::<_, String>(KeySetPoint { number: it.number, digest: digest(&it.digest)? })
            })
            .transpose()?;
        let floor = Floor {
            source: v1.source,
            highest,
            key_set,
            known_keys: v1.known_keys.into_iter().collect(),
            removed_keys: v1.removed_keys.into_iter().collect(),
            bad: v1
                .bad
                .into_iter()
                .map(|it| Bad { revision: it.revision, reason: it.reason })
                .collect(),
        };
        Ok((v1.generation, floor))
    }

    fn digest(text: &str) -> Result<[u8; 32], String> {
        unhex(text).ok_or_else(|| "a digest is malformed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const NOW: &str = "2026-02-01T00:00:00Z";
    const LATE: &str = "2026-03-01T00:00:00Z";

    fn snapshot(sequence: u64, content: u8, expires: &str) -> Point {
        Point::Snapshot {
            model: "m".into(),
            channel: "c".into(),
            sequence,
            content: [content; 32],
            expires: expires.parse().unwrap(),
        }
    }

    fn git(commit: &str) -> Point {
        Point::Git { commit: commit.into(), content: [0; 32] }
    }

    fn candidate(point: Point, descent: Descent) -> Candidate {
        let signers = vec![Signer { key: "K".into(), name: String::new() }];
        Candidate { point, descent, key_set: None, signers }
    }

    fn judged(floor: &Floor, candidate: &Candidate, force: Force) -> Result<Advance, String> {
        let expected = Expected { model: Some("m".into()), channel: Some("c".into()) };
        judge(floor, candidate, &expected, NOW.parse().unwrap(), force).map_err(|it| it.line())
    }

    #[test]
    fn only_what_leads_forward_is_taken() {
        let at = |highest: Point| Floor { highest: Some(highest), ..Floor::default() };
        let five = at(snapshot(5, 1, LATE));
        let a = at(git("a"));
        let none = Descent::None;
        let cases: Vec<(&Floor, Point, Descent, Result<Advance, &str>)> = vec![
            (&five, snapshot(6, 2, LATE), none, Ok(Advance::Forward)),
            (&five, snapshot(5, 1, LATE), none, Ok(Advance::Same)),
            (&five, snapshot(5, 1, "2026-04-01T00:00:00Z"), none, Ok(Advance::Renewed)),
            (
                &five,
                snapshot(4, 1, LATE),
                none,
                Err("snapshot 4 is older than snapshot 5, which was accepted before"),
            ),
            (
                &five,
                snapshot(5, 2, LATE),
                none,
                Err("snapshot 5 has another content than the one accepted under that number"),
            ),
            (
                &five,
                snapshot(6, 1, EARLY),
                none,
                Err("snapshot 6 expired at 2026-01-01T00:00:00Z: the model is stale"),
            ),
            (
                &five,
                git("a"),
                none,
                Err("the highest revision accepted was a snapshot, and this is a git commit"),
            ),
            (&a, git("a"), Descent::NotProved, Ok(Advance::Same)),
            (&a, git("b"), Descent::Proved, Ok(Advance::Forward)),
            (
                &a,
                git("b"),
                Descent::NotProved,
                Err("commit b does not descend from a, which was accepted before"),
            ),
            (
                &a,
                git("b"),
                Descent::TooFar,
                Err(
                    "commit b is too far from a, which was accepted before, to prove that it descends from it",
                ),
            ),
        ];
        for (floor, point, descent, expected) in cases {
            let candidate = candidate(point, descent);
            let expected = expected.map_err(str::to_owned);
            assert_eq!(judged(floor, &candidate, Force::No), expected, "{candidate:?}");
        }
        let first = candidate(git("b"), none);
        assert_eq!(judged(&Floor::default(), &first, Force::No), Ok(Advance::First));
        let rewritten = candidate(git("b"), Descent::NotProved);
        assert_eq!(judged(&a, &rewritten, Force::Yes), Ok(Advance::Forced));
    }

    #[test]
    fn force_waives_history_and_nothing_else() {
        let mut floor = Floor { highest: Some(snapshot(5, 1, LATE)), ..Floor::default() };
        floor.removed_keys.insert("K".into());
        let it = candidate(snapshot(4, 1, LATE), Descent::None);
        let removed = "snapshot 4 is signed by K, which was removed from the trusted keys before";
        assert_eq!(judged(&floor, &it, Force::Yes), Err(removed.to_owned()));
        floor.removed_keys.clear();
        let expired = candidate(snapshot(4, 1, EARLY), Descent::None);
        assert!(judged(&floor, &expired, Force::Yes).unwrap_err().contains("expired"));
        let mut other = candidate(snapshot(6, 1, LATE), Descent::None);
        if let Point::Snapshot { channel, .. } = &mut other.point {
            *channel = "staging".into();
        }
        let wrong = "the snapshot is for channel `staging`, and not for `c`";
        assert_eq!(judged(&floor, &other, Force::Yes), Err(wrong.to_owned()));
    }

    #[test]
    fn a_revision_known_as_bad_is_not_taken_again_but_a_newer_one_is() {
        let mut floor = Floor { highest: Some(git("a")), ..Floor::default() };
        floor.mark_bad(&git("b"), "nginx is not healthy");
        let bad = candidate(git("b"), Descent::Proved);
        let words = "commit b is known as bad: nginx is not healthy";
        assert_eq!(judged(&floor, &bad, Force::No), Err(words.to_owned()));
        let newer = candidate(git("c"), Descent::Proved);
        assert_eq!(judged(&floor, &newer, Force::No), Ok(Advance::Forward));
        floor.take(&bad, Advance::Forced, "");
        assert_eq!(floor.bad, []);
    }

    #[test]
    fn a_key_that_was_removed_stays_removed_when_it_comes_back() {
        let mut floor = Floor::default();
        let keys = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();
        floor.see_keys(&keys(&["K", "L"]));
        floor.see_keys(&keys(&["L"]));
        floor.see_keys(&keys(&["K", "L"]));
        let it = candidate(git("a"), Descent::None);
        assert!(judged(&floor, &it, Force::No).unwrap_err().contains("was removed"));
        assert_eq!(floor.removed_keys, keys(&["K"]));
    }

    #[test]
    fn an_older_set_of_keys_or_another_one_under_its_number_is_refused() {
        let set = |number, digest| Some(KeySetPoint { number, digest: [digest; 32] });
        let floor = Floor { key_set: set(2, 1), ..Floor::default() };
        let judge_set = |it| {
            let mut candidate = candidate(snapshot(6, 1, LATE), Descent::None);
            candidate.key_set = it;
            judged(&floor, &candidate, Force::No)
        };
        assert_eq!(judge_set(set(2, 1)), Ok(Advance::First));
        assert_eq!(judge_set(set(3, 9)), Ok(Advance::First));
        assert!(judge_set(set(1, 1)).unwrap_err().contains("key set 1 is older than key set 2"));
        assert!(judge_set(set(2, 9)).unwrap_err().contains("key set 2 is another"));
    }

    fn example() -> Floor {
        let mut floor = Floor { highest: Some(snapshot(5, 1, LATE)), ..Floor::default() };
        floor.source = "snapshot https://x".into();
        floor.key_set = Some(KeySetPoint { number: 1, digest: [7; 32] });
        floor.known_keys.insert("K".into());
        floor.removed_keys.insert("L".into());
        floor.mark_bad(&git("b"), "x");
        floor
    }

    #[test]
    fn one_damaged_copy_is_told_and_mended_and_two_are_a_loss() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut loaded = load(folder, false).unwrap();
        assert!(matches!(load(folder, true), Err(FloorError::Gone { .. })));
        loaded.floor = example();
        loaded.save(folder).unwrap();
        assert_eq!(load(folder, true).unwrap().floor, example());
        for name in COPIES {
            let path = folder.join(name);
            let whole = std::fs::read(&path).unwrap();
            for broken in [&whole[..0], &whole[..40], &[0xff; 100][..]] {
                std::fs::write(&path, broken).unwrap();
                let mut loaded = load(folder, true).unwrap();
                assert_eq!(loaded.floor, example());
                assert!(loaded.damaged.take().unwrap().contains(name));
            }
            std::fs::remove_file(&path).unwrap();
            let mut loaded = load(folder, true).unwrap();
            assert_eq!(loaded.damaged.as_deref(), Some("one copy is missing"));
            loaded.save(folder).unwrap();
            assert_eq!(load(folder, true).unwrap().damaged, None);
        }
        // A copy from before the machine died does not win over the newer one.
        let old = std::fs::read(folder.join(COPIES[0])).unwrap();
        let mut loaded = load(folder, true).unwrap();
        loaded.floor.highest = Some(snapshot(6, 1, LATE));
        loaded.save(folder).unwrap();
        std::fs::write(folder.join(COPIES[1]), &old).unwrap();
        assert_eq!(load(folder, true).unwrap().floor.highest, Some(snapshot(6, 1, LATE)));
        let flipped =
            String::from_utf8(old).unwrap().replacen("\"sequence\":5", "\"sequence\":1", 1);
        std::fs::write(folder.join(COPIES[0]), &flipped).unwrap();
        std::fs::write(folder.join(COPIES[1]), &flipped).unwrap();
        assert!(matches!(load(folder, true), Err(FloorError::Lost { .. })));
        std::fs::remove_file(folder.join(COPIES[1])).unwrap();
        assert!(matches!(load(folder, false), Err(FloorError::Lost { .. })));
    }

    #[test]
    fn the_format_of_today_is_the_one_that_was_released() {
        let text = format::write(3, &example());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/formats/floor-1.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let released = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, released);
        assert_eq!(format::read(&released).unwrap(), (3, example()));
    }
}

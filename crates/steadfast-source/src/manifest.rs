//! The signed manifest of a snapshot, and the signed sets of keys that lead from one to the next. Both are
//! a line of JSON with the signatures below it, so that what is signed and by whom comes in one file and
//! cannot be torn apart by a server that replaces one file after another.

use crate::content::{Place, place};
use crate::refusal::Refusal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::path::Path;
use steadfast_trust::envelope::split_signed;
use steadfast_trust::key_set::{KeySet, KeysError};
use steadfast_trust::text::hex;
use steadfast_trust::text::unhex;

/// The name of the manifest in the directory of a snapshot.
pub const NAME: &str = "manifest.signed";

/// Whether a directory of this machine holds a snapshot.
pub fn lies_in(folder: &Path) -> bool {
    folder.join(NAME).exists()
}
/// A manifest of 200,000 files.
pub(crate) const MAX_MANIFEST: u64 = 64 * 1024 * 1024;
/// A set of a thousand keys.
pub(crate) const MAX_KEYS: u64 = 1024 * 1024;
/// More rotations than a node is willing to walk.
pub(crate) const MAX_ROTATIONS: u32 = 1000;

/// What a snapshot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub model: String,
    /// Which of the model's ways to production this is for: by default the environment's name.
    pub channel: String,
    pub sequence: u64,
    /// The number of the set of keys that signs it; 0 where keys were never rotated.
    pub keys: u32,
    pub created: Timestamp,
    pub expires: Timestamp,
    /// The git commit it was made from, for people.
    pub commit: Option<String>,
    pub archive: Archive,
    /// Who wrote which line, where the publisher says so.
    pub lines: Option<Lines>,
    /// In the order of their paths.
    pub files: Vec<File>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    pub digest: [u8; 32],
    pub size: u64,
}

impl Archive {
    /// Where it is in the directory of a snapshot.
    pub fn name(&self) -> String {
        format!("archives/{}.tar.gz", hex(&self.digest))
    }
}

/// An [`crate::attribution::Attribution`] beside the archive. It is no part of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Of its text.
    pub digest: [u8; 32],
    pub size: u64,
}

impl Lines {
    /// Where it is in the directory of a snapshot, compressed.
    pub fn name(&self) -> String {
        format!("lines/{}.json.gz", hex(&self.digest))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub digest: [u8; 32],
    pub size: u64,
    pub executable: bool,
}

/// A set of keys that takes the place of the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub model: String,
    pub number: u32,
    pub set: KeySet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestV1 {
    format: u32,
    model: String,
    channel: String,
    sequence: u64,
    keys: u32,
    created: String,
    expires: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    archive: DigestV1,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lines: Option<DigestV1>,
    files: Vec<FileV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestV1 {
    sha256: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileV1 {
    path: String,
    sha256: String,
    size: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotationV1 {
    format: u32,
    model: String,
    number: u32,
    threshold: usize,
    keys: Vec<String>,
}

/// What of a manifest is needed before it is known to be signed: of the rest nothing is taken in.
#[derive(Debug, Deserialize)]
pub(crate) struct ManifestHead {
    pub model: String,
    pub sequence: u64,
    pub keys: u32,
}

impl ManifestHead {
    pub(crate) fn read(text: &str) -> Result<ManifestHead, String> {
        format_of(text)?;
        let head: ManifestHead = serde_json::from_str(text).map_err(|it| it.to_string())?;
        Ok(ManifestHead { model: steadfast_trust::text::one_line(&head.model), ..head })
    }
}

impl Manifest {
    /// The text that is signed.
    pub fn write(&self) -> String {
        let Manifest {
            model,
            channel,
            sequence,
            keys,
            created,
            expires,
            commit,
            archive: Archive { digest, size },
            lines,
            files,
        } = self;
        let v1 = ManifestV1 {
            format: 1,
            model: model.clone(),
            channel: channel.clone(),
            sequence: *sequence,
            keys: *keys,
            created: created.to_string(),
            expires: expires.to_string(),
            commit: commit.clone(),
            archive: DigestV1 { sha256: hex(digest), size: *size },
            lines: lines
                .as_ref()
                .map(|Lines { digest, size }| DigestV1 { sha256: hex(digest), size: *size }),
            files: files
                .iter()
                .map(|File { path, digest, size, executable }| FileV1 {
                    path: path.clone(),
                    sha256: hex(digest),
                    size: *size,
                    executable: *executable,
                })
                .collect(),
        };
        let mut text = serde_json::to_string_pretty(&v1).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads what is signed, and refuses what no publisher writes: paths that lead elsewhere, in another
    /// order or twice, and more than a model may have.
    pub fn read(text: &str) -> Result<Manifest, String> {
        format_of(text)?;
        let v1: ManifestV1 = serde_json::from_str(text).map_err(|it| it.to_string())?;
        let time =
            |it: &str| it.parse::<Timestamp>().map_err(|_| format!("`{it}` is no time in it"));
        let digest = |it: &str| unhex(it).ok_or_else(|| "a digest in it is malformed".to_owned());
        let mut files: Vec<File> = Vec::with_capacity(v1.files.len().min(10_000));
        let mut total = 0_u64;
        for FileV1 { path, sha256, size, executable } in v1.files {
            if place(&path) != Place::Model {
                return Err(format!("{path:?} is no path that a model may have"));
            }
            if files.last().is_some_and(|it| it.path >= path) {
                return Err(format!("{path:?} is out of order in it, or stands twice"));
            }
            total = total.saturating_add(size);
            files.push(File { path, digest: digest(&sha256)?, size, executable });
        }
        if files.len() > crate::directory::MAX_FILES || total > crate::directory::MAX_BYTES {
            return Err("it is larger than a model may be".into());
        }
        let printable = |it: String| steadfast_trust::text::one_line(&it);
        Ok(Manifest {
            model: printable(v1.model),
            channel: printable(v1.channel),
            sequence: v1.sequence,
            keys: v1.keys,
            created: time(&v1.created)?,
            expires: time(&v1.expires)?,
            commit: v1.commit.map(printable),
            archive: Archive { digest: digest(&v1.archive.sha256)?, size: v1.archive.size },
            lines: match v1.lines {
                Some(DigestV1 { sha256, size }) => Some(Lines { digest: digest(&sha256)?, size }),
                None => None,
            },
            files,
        })
    }

    /// The digest of the content, as of a model from anywhere else.
    pub fn content(&self) -> [u8; 32] {
        let files = self.files.iter().map(|it| (it.path.as_str(), it.executable, it.digest));
        crate::revision::digest_of(files)
    }
}

impl Rotation {
    pub fn write(&self) -> Result<String, KeysError> {
        let Rotation { model, number, set: KeySet { keys, threshold } } = self;
        let mut lines = vec![];
        for key in keys {
            lines.push(key.to_openssh().map_err(|it| KeysError::Line {
                file: file_of(*number),
                line: 0,
                why: it.to_string(),
            })?);
        }
        let v1 = RotationV1 {
            format: 1,
            model: model.clone(),
            number: *number,
            threshold: *threshold,
            keys: lines,
        };
        let mut text = serde_json::to_string_pretty(&v1).unwrap_or_default();
        text.push('\n');
        Ok(text)
    }

    pub fn read(text: &str) -> Result<Rotation, String> {
        format_of(text)?;
        let v1: RotationV1 = serde_json::from_str(text).map_err(|it| it.to_string())?;
        let lines = v1.keys.into_iter().map(|it| (file_of(v1.number), 0, it));
        let set = KeySet::parse(lines, v1.threshold).map_err(|it| it.to_string())?;
        Ok(Rotation { model: v1.model, number: v1.number, set })
    }
}

/// Where a set of keys is in the directory of a snapshot.
pub(crate) fn file_of(number: u32) -> String {
    format!("keys/{number}.signed")
}

/// What tells two sets of keys apart.
pub(crate) fn set_digest(set: &KeySet) -> [u8; 32] {
    let mut text = format!("{}\n", set.threshold);
    for key in set.fingerprints() {
        text.push_str(&key);
        text.push('\n');
    }
    sha2::Sha256::digest(text.as_bytes()).into()
}

/// A file of text and signatures, taken apart.
pub(crate) fn parts<'a>(what: &str, raw: &'a [u8]) -> Result<(&'a str, Vec<String>), Refusal> {
    split_signed(raw).ok_or_else(|| Refusal::broken(format!("{what} is malformed")))
}

/// A newer format is told as such, whatever fields it has.
fn format_of(text: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_str(text).map_err(|it| it.to_string())?;
    if format == 1 {
        Ok(())
    } else {
        Err(format!("its format {format} is newer than this program"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, size: u64) -> File {
        File { path: path.into(), digest: [1; 32], size, executable: path == "b" }
    }

    fn manifest(files: Vec<File>) -> Manifest {
        Manifest {
            model: "m".into(),
            channel: "c".into(),
            sequence: 7,
            keys: 0,
            created: "2026-01-01T00:00:00Z".parse().unwrap(),
            expires: "2026-01-31T00:00:00Z".parse().unwrap(),
            commit: None,
            archive: Archive { digest: [2; 32], size: 10 },
            lines: None,
            files,
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_odd_ones_are_refused() {
        let good = manifest(vec![file("a", 1), file("b", 2)]);
        assert_eq!(Manifest::read(&good.write()), Ok(good.clone()));
        let cases = [
            (vec![file("../a", 1)], "no path"),
            (vec![file("/a", 1)], "no path"),
            (vec![file("a/.git/x", 1)], "no path"),
            (vec![file("a", 1), file("a", 1)], "stands twice"),
            (vec![file("b", 1), file("a", 1)], "out of order"),
            (vec![file("a", u64::MAX), file("b", 2)], "larger than a model may be"),
        ];
        for (files, expected) in cases {
            let error = Manifest::read(&manifest(files).write()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let newer = good.write().replace("\"format\": 1", "\"format\": 2, \"more\": 1");
        assert!(Manifest::read(&newer).unwrap_err().contains("newer than this program"));
        let unknown = good.write().replace("\"format\": 1", "\"format\": 1, \"more\": 1");
        assert!(Manifest::read(&unknown).unwrap_err().contains("unknown field"));
        assert!(Manifest::read("").is_err());
        assert!(Manifest::read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn the_format_of_today_is_the_one_that_was_released() {
        let plain = manifest(vec![file("a", 1), file("b", 2)]);
        let lines = Some(Lines { digest: [3; 32], size: 4 });
        let with_lines = Manifest { lines, ..plain.clone() };
        for (name, today) in [("manifest-1.json", plain), ("manifest-1-lines.json", with_lines)] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../tests/formats")
                .join(name);
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&path, today.write()).unwrap();
            }
            let released = std::fs::read_to_string(path).unwrap();
            assert_eq!(today.write(), released);
            assert_eq!(Manifest::read(&released), Ok(today));
        }
    }
}

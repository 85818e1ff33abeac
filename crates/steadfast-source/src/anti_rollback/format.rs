//! The stored form of the anti-rollback state: one line of JSON, below which [`steadfast_trust::copies`] writes a checksum.

use super::point::{KeySetPoint, Point};
use super::state::AntiRollback;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steadfast_trust::copies::Copied;
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
    /// Older releases neither write it nor mind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    believed: Option<String>,
    /// Revisions known as bad had a place here, and no release ever wrote one. Older releases want the list.
    bad: Vec<serde_json::Value>,
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

impl Copied for AntiRollback {
    const WHAT: &'static str = "the anti-rollback state";
    // The names of 0.1, which must be found again.
    const COPIES: [&'static str; 2] = ["floor.1", "floor.2"];

    fn write(&self, generation: u64) -> String {
        let AntiRollback { source, highest, key_set, known_keys, removed_keys, believed } = self;
        let v1 = V1 {
            format: 1,
            generation,
            source: source.clone(),
            highest: highest.as_ref().map(PointV1::from),
            key_set: key_set.map(|it| KeySetV1 { number: it.number, digest: hex(&it.digest) }),
            known_keys: known_keys.iter().cloned().collect(),
            removed_keys: removed_keys.iter().cloned().collect(),
            believed: believed.map(|it| it.to_string()),
            bad: vec![],
        };
        serde_json::to_string(&v1).unwrap_or_default()
    }

    fn read(line: &str) -> Result<(u64, AntiRollback), String> {
        let v1: V1 = serde_json::from_str(line).map_err(|it| it.to_string())?;
        if v1.format != 1 {
            return Err(format!("format {} is not known", v1.format));
        }
        let highest = v1.highest.map(PointV1::read).transpose()?;
        let key_set = match v1.key_set {
            Some(KeySetV1 { number, digest }) => {
                Some(KeySetPoint { number, digest: read_digest(&digest)? })
            }
            None => None,
        };
        let state = AntiRollback {
            source: v1.source,
            highest,
            key_set,
            known_keys: v1.known_keys.into_iter().collect(),
            removed_keys: v1.removed_keys.into_iter().collect(),
            believed: v1.believed.map(|it| read_time(&it)).transpose()?,
        };
        Ok((v1.generation, state))
    }
}

impl From<&Point> for PointV1 {
    fn from(point: &Point) -> PointV1 {
        match point {
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
        }
    }
}

impl PointV1 {
    fn read(self) -> Result<Point, String> {
        Ok(match self {
            PointV1::Git { commit, content } => {
                Point::Git { commit, content: read_digest(&content)? }
            }
            PointV1::Snapshot { model, channel, sequence, content, expires } => Point::Snapshot {
                model,
                channel,
                sequence,
                content: read_digest(&content)?,
                expires: read_time(&expires)?,
            },
            PointV1::Directory { content } => Point::Directory { content: read_digest(&content)? },
        })
    }
}

fn read_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "a time is malformed".to_owned())
}

fn read_digest(text: &str) -> Result<[u8; 32], String> {
    unhex(text).ok_or_else(|| "a digest is malformed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use steadfast_trust::copies::{Loaded, seal, unseal};

    fn example() -> AntiRollback {
        let highest = Point::Snapshot {
            model: "m".into(),
            channel: "c".into(),
            sequence: 5,
            content: [1; 32],
            expires: "2026-03-01T00:00:00Z".parse().unwrap(),
        };
        AntiRollback {
            source: "snapshot https://x".into(),
            highest: Some(highest),
            key_set: Some(KeySetPoint { number: 1, digest: [7; 32] }),
            known_keys: ["K".to_owned()].into(),
            removed_keys: ["L".to_owned()].into(),
            believed: None,
        }
    }

    fn sample(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/formats").join(name)
    }

    fn released() -> String {
        std::fs::read_to_string(sample("floor-1.txt")).unwrap()
    }

    #[test]
    fn the_time_that_was_believed_is_stored_beside_what_older_releases_read() {
        let believed = Some("2026-02-01T10:00:00Z".parse().unwrap());
        let state = AntiRollback { believed, ..example() };
        let path = sample("floor-1-believed.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, seal(&state.write(3))).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap();
        assert_eq!(AntiRollback::read(unseal(&stored).unwrap()), Ok((3, state.clone())));
        assert_eq!(stored, seal(&state.write(3)));
    }

    #[test]
    fn the_format_of_today_is_the_one_that_was_released() {
        let released = released();
        assert_eq!(AntiRollback::read(unseal(&released).unwrap()), Ok((3, example())));
        // The sample names a bad revision, which no release wrote.
        let bad = r#"{"revision":"commit b","reason":"x"}"#;
        assert!(released.contains(bad));
        assert_eq!(example().write(3), unseal(&released).unwrap().replace(bad, ""));
    }

    #[test]
    fn the_state_of_a_release_is_found_in_its_folder_and_raised() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["floor.1", "floor.2"] {
            std::fs::write(folder.join(name), released()).unwrap();
        }
        let mut loaded = Loaded::<AntiRollback>::load(folder, true).unwrap();
        assert_eq!((&loaded.value, &loaded.damaged), (&example(), &None));
        loaded.value.highest = Some(Point::Git { commit: "a".into(), content: [0; 32] });
        loaded.save(folder).unwrap();
        let again = Loaded::<AntiRollback>::load(folder, true).unwrap();
        assert_eq!(again.value, loaded.value);
        let text = std::fs::read_to_string(folder.join("floor.2")).unwrap();
        assert_eq!(text, seal(&loaded.value.write(4)));
    }
}

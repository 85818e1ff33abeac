//! The revisions that the agent has accepted: their content, and what is known of each.

use crate::revision::Revision;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use steadfast_source::attribution::Attribution;
use steadfast_store::{Layout, state_files};

/// What is stored beside the content of a revision; format 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRecord {
    pub format: u32,
    /// The digest of the content, in hexadecimal: the name of its directory.
    pub content: String,
    pub source: String,
    #[serde(default)]
    pub commit: Option<String>,
    #[serde(default)]
    pub tag: Option<String>,
    #[serde(default)]
    pub author: Option<String>,
    #[serde(default)]
    pub subject: Option<String>,
    /// Who signed it; nobody under `trust: none`.
    #[serde(default)]
    pub signers: Vec<String>,
}

pub fn file_of(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.revisions().join(format!("{}.json", revision.0))
}

/// Whether a name leads nowhere else than into the directory that it is looked up in.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric())
}

/// Why nothing is known of a revision.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{0} is not the name of a revision")]
    NoName(Revision),
    #[error("there is no record of {0} on this machine")]
    Unknown(Revision),
    #[error("the record of {0} has a newer format")]
    Newer(Revision),
    #[error("the record of {0} is damaged")]
    Damaged(Revision),
    #[error("read or write the record of a revision")]
    File(#[from] std::io::Error),
    #[error("parse the record of a revision")]
    Json(#[from] serde_json::Error),
}

/// What is known of a revision. A name that could lead elsewhere is nobody's.
pub fn record(layout: &Layout, revision: &Revision) -> Result<RevisionRecord, RecordError> {
    let of = || revision.clone();
    if !is_plain(&revision.0) {
        return Err(RecordError::NoName(of()));
    }
    let bytes = state_files::read(&file_of(layout, revision))?;
    let bytes = bytes.ok_or_else(|| RecordError::Unknown(of()))?;
    let record: RevisionRecord = serde_json::from_slice(&bytes)?;
    if record.format != 1 {
        return Err(RecordError::Newer(of()));
    }
    if !is_plain(&record.content) {
        return Err(RecordError::Damaged(of()));
    }
    Ok(record)
}

/// What is known of every revision that is not forgotten yet, also of those that are not kept any more.
pub fn records(layout: &Layout) -> Vec<(Revision, RevisionRecord)> {
    let names = state_files::names(&layout.revisions()).unwrap_or_default();
    let revisions = names.iter().filter_map(|it| it.strip_suffix(".json")).map(Revision::new);
    revisions.filter_map(|it| record(layout, &it).ok().map(|record| (it, record))).collect()
}

fn blame_file(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.blame().join(format!("{}.json", revision.0))
}

/// Who wrote which line of a revision, where that is still known.
pub fn blame(layout: &Layout, revision: &Revision) -> Option<Attribution> {
    if !is_plain(&revision.0) {
        return None;
    }
    let bytes = state_files::read(&blame_file(layout, revision)).ok().flatten()?;
    Attribution::read(&bytes).ok()
}

pub fn save_blame(
    layout: &Layout,
    revision: &Revision,
    blame: &Attribution,
) -> std::io::Result<()> {
    match blame.write() {
        Some(text) => state_files::write(&blame_file(layout, revision), text.as_bytes()),
        None => Ok(()),
    }
}

pub fn save(
    layout: &Layout,
    revision: &Revision,
    record: &RevisionRecord,
) -> Result<(), RecordError> {
    Ok(state_files::write(&file_of(layout, revision), &serde_json::to_vec_pretty(record)?)?)
}

/// The node's name, if it was settled by a first adoption. One that cannot be read is not taken for one that
/// is not settled.
pub fn settled_name(layout: &Layout) -> std::io::Result<Option<String>> {
    let path = layout.node_name();
    let named = |err: std::io::Error| {
        std::io::Error::new(err.kind(), format!("read the node's name, {}: {err}", path.display()))
    };
    let bytes = state_files::read(&path).map_err(named)?;
    Ok(bytes.and_then(|it| String::from_utf8(it).ok()).filter(|it| !it.is_empty()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test puts something in the way")]

    use super::*;

    #[test]
    fn a_name_that_cannot_be_read_is_not_one_that_is_not_settled() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        assert_eq!(settled_name(&layout).unwrap(), None);
        state_files::write(&layout.node_name(), b"web1.example").unwrap();
        assert_eq!(settled_name(&layout).unwrap().as_deref(), Some("web1.example"));
        let aside = folder.path().join("aside");
        std::fs::rename(layout.node_name(), aside).unwrap();
        // Nobody can read a directory as a file.
        std::fs::create_dir(layout.node_name()).unwrap();
        assert!(settled_name(&layout).is_err());
    }

    #[test]
    fn format_1_stays_as_it_is_and_names_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let stored = br#"{
  "format": 1,
  "content": "c108a8bf8a51",
  "source": "git https://git.xyz.example/model.git branch main",
  "commit": "0123456789abcdef0123456789abcdef01234567",
  "tag": null,
  "author": "Ann <ann@xyz.example>",
  "subject": "a change",
  "signers": [
    "ann@xyz.example"
  ]
}"#;
        let revision = Revision::new("0123456789abcdef0123456789abcdef01234567");
        state_files::write(&file_of(&layout, &revision), stored).unwrap();
        let read = record(&layout, &revision).unwrap();
        assert_eq!(serde_json::to_vec_pretty(&read).unwrap(), stored);
        save(&layout, &revision, &read).unwrap();
        assert_eq!(record(&layout, &revision).unwrap(), read);
        for name in ["../state", "", "a/b", ".", "unknown"] {
            assert!(record(&layout, &Revision::new(name)).is_err(), "{name}");
        }
        let elsewhere = RevisionRecord { content: "../..".to_owned(), ..read };
        save(&layout, &revision, &elsewhere).unwrap();
        assert!(record(&layout, &revision).is_err());
    }
}

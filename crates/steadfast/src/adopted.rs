//! The revisions that the agent has accepted: their content, and what is known of each.

use crate::exit::{Exit, Failure};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use steadfast_agent::memory::Revision;
use steadfast_agent::shell;
use steadfast_source::attribution::Attribution;
use steadfast_store::{Layout, kept_files};

/// What is stored beside the content of a revision; format 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub format: u32,
    /// The digest of the content, in hexadecimal: the name of its folder.
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

/// The revision that is kept, for commands that are not told a model.
#[derive(Clone, Debug)]
pub(crate) struct Adopted {
    pub revision: Revision,
    pub content: PathBuf,
    pub commit: Option<String>,
    pub node: Option<String>,
    pub environment: Option<String>,
    record: Record,
}

impl Adopted {
    /// Which revision it is, and whose: `adopted 0123456789ab by Ann <ann@…>: a change`.
    pub(crate) fn shown(&self) -> String {
        let Record { author, subject, signers, source, .. } = &self.record;
        let mut text = format!("adopted {} of {source}", self.revision);
        if let (Some(author), Some(subject)) = (author, subject) {
            text += &format!(", by {author}: {subject}");
        }
        if !signers.is_empty() {
            text += &format!(", signed by {}", signers.join(", "));
        }
        text
    }
}

pub(crate) fn file_of(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.revisions().join(format!("{}.json", revision.0))
}

/// Whether a name leads nowhere else than into the folder that it is looked up in.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric())
}

/// What is known of a revision. A name that could lead elsewhere is nobody's.
pub(crate) fn record(layout: &Layout, revision: &Revision) -> anyhow::Result<Record> {
    anyhow::ensure!(is_plain(&revision.0), "{revision} is not the name of a revision");
    let bytes = kept_files::read(&file_of(layout, revision))?
        .ok_or_else(|| anyhow::anyhow!("nothing is known here of {revision}"))?;
    let record: Record = serde_json::from_slice(&bytes)?;
    anyhow::ensure!(record.format == 1, "what is known of {revision} has a newer format");
    anyhow::ensure!(is_plain(&record.content), "what is known of {revision} is damaged");
    Ok(record)
}

/// What is known of every revision that is not forgotten yet, also of those that are not kept any more.
pub(crate) fn records(layout: &Layout) -> Vec<(Revision, Record)> {
    let names = kept_files::names(&layout.revisions()).unwrap_or_default();
    let revisions = names.iter().filter_map(|it| it.strip_suffix(".json")).map(Revision::new);
    revisions.filter_map(|it| record(layout, &it).ok().map(|record| (it, record))).collect()
}

fn lines_of(layout: &Layout, revision: &Revision) -> PathBuf {
    layout.lines().join(format!("{}.json", revision.0))
}

/// Who wrote which line of a revision, where that is still known.
pub(crate) fn lines(layout: &Layout, revision: &Revision) -> Option<Attribution> {
    if !is_plain(&revision.0) {
        return None;
    }
    let bytes = kept_files::read(&lines_of(layout, revision)).ok().flatten()?;
    Attribution::read(&bytes).ok()
}

pub(crate) fn save_lines(
    layout: &Layout,
    revision: &Revision,
    lines: &Attribution,
) -> std::io::Result<()> {
    match lines.write() {
        Some(text) => kept_files::write(&lines_of(layout, revision), text.as_bytes()),
        None => Ok(()),
    }
}

pub(crate) fn save(layout: &Layout, revision: &Revision, record: &Record) -> anyhow::Result<()> {
    Ok(kept_files::write(&file_of(layout, revision), &serde_json::to_vec_pretty(record)?)?)
}

/// The revision that the agent of this machine keeps.
pub(crate) fn find(layout: &Layout) -> Result<Adopted, Failure> {
    let denied = |err: &shell::ShellError| {
        std::error::Error::source(err)
            .and_then(|it| it.downcast_ref::<std::io::Error>())
            .is_some_and(|it| it.kind() == std::io::ErrorKind::PermissionDenied)
    };
    let (memory, _) = shell::read_memory(&layout.state).map_err(|err| {
        if denied(&err) {
            return Failure::usage("only root can read what the agent has adopted")
                .help("run it as root, or name the folder of a model: --model PATH");
        }
        Failure::new(Exit::Unreachable, err)
    })?;
    let Some(kept) = memory.adopted else {
        let failure = Failure::usage("no model: this machine has no agent that adopted one");
        return Err(failure.help("name the folder of a model: --model PATH"));
    };
    let revision = kept.news.revision;
    let record = record(layout, &revision).map_err(|err| Failure::new(Exit::Unreachable, err))?;
    let settings = shell::read_settings(&layout.agent_settings()).ok().map(|(it, _)| it);
    let said = settings.as_ref().and_then(|it| it.node.as_deref()).map(str::to_owned);
    Ok(Adopted {
        content: layout.content().join(&record.content),
        commit: record.commit.clone(),
        node: said.or_else(|| settled_name(layout)),
        environment: settings.and_then(|it| it.environment.map(|it| it.to_string())),
        revision,
        record,
    })
}

/// The node's name, if it was settled by a first adoption.
pub(crate) fn settled_name(layout: &Layout) -> Option<String> {
    let bytes = kept_files::read(&layout.node_name()).ok().flatten()?;
    String::from_utf8(bytes).ok().filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        kept_files::write(&file_of(&layout, &revision), stored).unwrap();
        let read = record(&layout, &revision).unwrap();
        assert_eq!(serde_json::to_vec_pretty(&read).unwrap(), stored);
        save(&layout, &revision, &read).unwrap();
        assert_eq!(record(&layout, &revision).unwrap(), read);
        for name in ["../state", "", "a/b", ".", "unknown"] {
            assert!(record(&layout, &Revision::new(name)).is_err(), "{name}");
        }
        let elsewhere = Record { content: "../..".to_owned(), ..read };
        save(&layout, &revision, &elsewhere).unwrap();
        assert!(record(&layout, &revision).is_err());
    }
}

//! Who made the revisions that a status names: it stands in the files that the fetching child keeps beside
//! their contents, and the state machine has no need of it.

use crate::api::v1::{Revision, Status};
use serde::Deserialize;
use std::path::Path;
use steadfast_store::state_files;

/// The part of such a file that is told.
#[derive(Debug, Default, Deserialize)]
struct Record {
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    subject: Option<String>,
}

/// Names author and subject of the adopted and of the newer revision, where they are known.
pub(super) fn name(status: &mut Status, revisions: &Path) {
    let newer = status.newer.as_mut().map(|it| &mut it.revision);
    for revision in status.adopted.as_mut().into_iter().chain(newer) {
        let Record { author, subject } = record(revision, revisions);
        (revision.author, revision.subject) = (author, subject);
    }
}

fn record(revision: &Revision, revisions: &Path) -> Record {
    // A name that could lead elsewhere is nobody's.
    let name = &revision.revision;
    if name.is_empty() || !name.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return Record::default();
    }
    let read = state_files::read(&revisions.join(format!("{name}.json"))).ok().flatten();
    read.and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::example;

    #[test]
    fn what_is_known_is_told_and_no_name_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let mut status = Status::from(&example());
        let adopted = status.adopted.clone().unwrap().revision;
        let path = folder.path().join("revisions").join(format!("{adopted}.json"));
        let text = r#"{"format":1,"content":"c1","author":"Ann <ann@x>","subject":"a change"}"#;
        state_files::write(&path, text.as_bytes()).unwrap();
        state_files::write(&folder.path().join("other.json"), text.as_bytes()).unwrap();
        name(&mut status, &folder.path().join("revisions"));
        let told = |it: Option<&Revision>| it.and_then(|it| it.author.clone());
        assert_eq!(told(status.adopted.as_ref()).as_deref(), Some("Ann <ann@x>"));
        assert_eq!(told(status.newer.as_ref().map(|it| &it.revision)), None);
        for bad in ["../other", "", "/etc/passwd"] {
            if let Some(adopted) = &mut status.adopted {
                adopted.revision = bad.to_owned();
            }
            name(&mut status, &folder.path().join("revisions"));
            assert_eq!(told(status.adopted.as_ref()), None, "{bad}");
        }
        // What is damaged is not known.
        state_files::write(&path, b"{").unwrap();
        if let Some(it) = &mut status.adopted {
            it.revision = adopted;
        }
        name(&mut status, &folder.path().join("revisions"));
        assert_eq!(told(status.adopted.as_ref()), None);
    }
}

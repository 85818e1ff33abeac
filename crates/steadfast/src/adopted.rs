//! The revision that the agent of this machine keeps, for commands that are not told a model.

use crate::exit::{Exit, Failure};
use std::path::PathBuf;
use steadfast_agent::shell;
use steadfast_node::adopted::{RevisionRecord, record, settled_name};
use steadfast_node::revision::Revision;
use steadfast_node::settings::InEffect;
use steadfast_store::Layout;

/// The revision that is kept, for commands that are not told a model.
#[derive(Clone, Debug)]
pub(crate) struct Adopted {
    pub revision: Revision,
    pub content: PathBuf,
    pub commit: Option<String>,
    pub node: Option<String>,
    pub environment: Option<String>,
    record: RevisionRecord,
}

impl Adopted {
    /// Which revision it is, and whose: `adopted 0123456789ab by Ann <ann@…>: a change`.
    pub(crate) fn shown(&self) -> String {
        let RevisionRecord { author, subject, signers, source, .. } = &self.record;
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
                .help("run it as root, or name a model's directory: --model PATH");
        }
        Failure::new(Exit::Unreachable, err)
    })?;
    let Some(kept) = memory.adopted else {
        let failure = Failure::usage("no model: no agent has adopted one on this machine");
        return Err(failure.help("name a model's directory: --model PATH"));
    };
    let revision = kept.info.revision;
    let record = record(layout, &revision).map_err(|err| Failure::new(Exit::Unreachable, err))?;
    // As the agent takes them: where the file has an error, the old ones hold.
    let settings = InEffect::look(&layout.agent_settings(), &layout.last_settings()).settings;
    let node = match settings.node {
        Some(node) => Some(node.to_string()),
        None => settled_name(layout).map_err(|err| Failure::new(Exit::Unreachable, err))?,
    };
    Ok(Adopted {
        content: layout.content().join(&record.content),
        commit: record.commit.clone(),
        node,
        environment: settings.environment.map(|it| it.to_string()),
        revision,
        record,
    })
}

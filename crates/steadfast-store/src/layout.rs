//! The paths of the state, cache and run directories.

use std::path::{Path, PathBuf};

/// The directories of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What must not be lost, mode 0700.
    pub state: PathBuf,
    /// What can be fetched or computed again.
    pub cache: PathBuf,
    /// Locks and sockets, gone after a boot.
    pub run: PathBuf,
    /// Settings, secrets and static facts.
    pub settings: PathBuf,
}

impl Layout {
    /// Where a package puts them.
    pub fn standard() -> Layout {
        Layout {
            state: PathBuf::from("/var/lib/steadfast"),
            cache: PathBuf::from("/var/cache/steadfast"),
            run: PathBuf::from("/run/steadfast"),
            settings: PathBuf::from("/etc/steadfast"),
        }
    }

    /// Everything that is written below one directory, but the lock; settings stay where they are.
    pub fn below(state: &Path) -> Layout {
        Layout {
            state: state.to_owned(),
            cache: state.join("cache"),
            run: state.join("run"),
            ..Layout::standard()
        }
    }

    pub fn database(&self) -> PathBuf {
        self.state.join("state.db")
    }

    /// Root alone may enter it: whoever can open a lock can hold it.
    fn locks(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// The lock of the machine: one for all, wherever the state is.
    pub fn lock(&self) -> PathBuf {
        PathBuf::from("/run/steadfast/lock/run.lock")
    }

    /// The lock where that one cannot be made.
    pub fn own_lock(&self) -> PathBuf {
        self.locks().join("run.lock")
    }

    /// Held by the agent for as long as it lives.
    pub fn agent_lock(&self) -> PathBuf {
        self.locks().join("agent.lock")
    }

    /// Where the agent is asked.
    pub fn socket(&self) -> PathBuf {
        self.run.join("agent.sock")
    }

    /// What no revision may go below (see `steadfast-source`, `anti_rollback`).
    pub fn anti_rollback(&self) -> PathBuf {
        self.state.join("trust")
    }

    /// The files of the revisions that may be kept, each in a directory named by its content.
    pub fn content(&self) -> PathBuf {
        self.state.join("content")
    }

    /// What is known of each of them.
    pub fn revisions(&self) -> PathBuf {
        self.state.join("revisions")
    }

    /// Who wrote which line of each of them.
    pub fn blame(&self) -> PathBuf {
        self.state.join("lines")
    }

    /// Contents of deployments, each in a file that is named by its digest. Some have secrets in them.
    pub fn deployments(&self) -> PathBuf {
        self.state.join("deployments")
    }

    /// This node's name, once it was settled.
    pub fn node_name(&self) -> PathBuf {
        self.state.join("node-name")
    }

    /// Makes the cache directory, for root alone.
    pub fn make_cache(&self) -> std::io::Result<()> {
        crate::store::make_folder(&self.cache, 0o700)
    }

    /// The one directory that the fetcher can write.
    pub fn fetch(&self) -> PathBuf {
        self.cache.join("fetch")
    }

    /// What a server said of the last manifest, to be asked again with.
    pub fn validator(&self) -> PathBuf {
        self.state.join("validator.json")
    }

    /// The agent's settings as they were when they last had no errors.
    pub fn last_settings(&self) -> PathBuf {
        self.state.join("last-settings.yaml")
    }

    pub fn agent_settings(&self) -> PathBuf {
        self.settings.join("agent.yaml")
    }

    pub fn secrets(&self) -> PathBuf {
        self.settings.join("secrets")
    }

    pub fn static_facts(&self) -> PathBuf {
        self.settings.join("facts.d")
    }
}

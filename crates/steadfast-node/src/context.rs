//! Where a node is: what its surroundings say once, to whoever starts.

use crate::settings::InEffect;
use std::path::PathBuf;
use steadfast_store::Layout;

/// What is asked of the surroundings, once, by whoever starts.
#[derive(Debug)]
pub struct Context {
    pub layout: Layout,
    /// Whether we are root.
    pub root: bool,
    /// `$CREDENTIALS_DIRECTORY`, where systemd gave the service any.
    pub credentials: Option<PathBuf>,
}

impl Context {
    /// The machine, with its places.
    pub fn host(&self) -> steadfast_system::Host {
        // As the agent takes them: with an error in the file the old ones hold, and their files are ours.
        let settings = InEffect::look(&self.layout.agent_settings(), &self.layout.last_settings());
        let textfile = settings.settings.textfile.map(|it| PathBuf::from(&*it));
        let program = std::env::current_exe().ok();
        steadfast_system::Host::new(steadfast_system::host::Settings {
            state: self.layout.state.clone(),
            cache: self.layout.cache.clone(),
            secrets: self.layout.secrets(),
            credentials: self.credentials.clone(),
            own_files: (program.map(|it| (it, true)).into_iter())
                .chain(textfile.map(|it| (it, false)))
                .collect(),
        })
    }
}

//! The machine that this program runs on.

use crate::{accounts, clock, files, packages, secrets, services};
use std::path::PathBuf;

/// Where this program keeps what is its own, as far as this crate needs it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state directory (/var/lib/steadfast). Replaced contents are kept below `kept/` and
    /// `kept-of-others/` there.
    pub state: PathBuf,
    /// The cache directory (/var/cache/steadfast).
    pub cache: PathBuf,
    /// Where secrets are found beside the credentials of the service (/etc/steadfast/secrets).
    pub secrets: PathBuf,
    /// `$CREDENTIALS_DIRECTORY`, where systemd set it.
    pub credentials: Option<PathBuf>,
    /// Files of its own elsewhere, and whether a model may promise them: the program itself, what it writes
    /// for node_exporter.
    pub own_files: Vec<(PathBuf, bool)>,
}

/// The real machine. Each facility keeps what it remembers in a part of its own.
#[derive(Debug)]
pub struct Host {
    pub(crate) settings: Settings,
    pub(crate) accounts: accounts::cache::Cache,
    pub(crate) files: files::cache::Cache,
    pub(crate) packages: packages::Cache,
    pub(crate) secrets: secrets::Cache,
    pub(crate) services: services::cache::Cache,
}

impl Host {
    pub fn new(settings: Settings) -> Host {
        Host {
            settings,
            accounts: accounts::cache::Cache::default(),
            files: files::cache::Cache::default(),
            packages: packages::Cache::default(),
            secrets: secrets::Cache::default(),
            services: services::cache::Cache::default(),
        }
    }
}

impl clock::Read for Host {
    fn now(&self) -> i64 {
        jiff::Timestamp::now().as_microsecond()
    }
}

//! The machine that this program runs on.

use crate::{accounts, clock, files, packages, secrets, services};
use std::path::PathBuf;

/// Where this program keeps what is its own, as far as this crate needs it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state directory (/var/lib/steadfast). Replaced contents are kept below `kept/` there.
    pub state: PathBuf,
    /// The cache directory (/var/cache/steadfast).
    pub cache: PathBuf,
    /// Where secrets are found beside the credentials of the service (/etc/steadfast/secrets).
    pub secrets: PathBuf,
    /// `$CREDENTIALS_DIRECTORY`, where systemd set it.
    pub credentials: Option<PathBuf>,
}

/// The real machine. Each facility keeps what it remembers in a part of its own.
#[derive(Debug)]
pub struct Host {
    pub(crate) settings: Settings,
    pub(crate) accounts: accounts::Memory,
    pub(crate) files: files::Memory,
    pub(crate) packages: packages::Memory,
    pub(crate) secrets: secrets::Memory,
    pub(crate) services: services::Memory,
}

impl Host {
    pub fn new(settings: Settings) -> Host {
        Host {
            settings,
            accounts: accounts::Memory::default(),
            files: files::Memory::default(),
            packages: packages::Memory::default(),
            secrets: secrets::Memory::default(),
            services: services::Memory::default(),
        }
    }
}

impl clock::Read for Host {
    fn now(&self) -> i64 {
        jiff::Timestamp::now().as_microsecond()
    }
}

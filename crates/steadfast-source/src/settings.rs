//! Where a model comes from and whom it is believed: plain data, as the agent's settings or a command
//! line give it. Nothing here opens a file; see [`crate::terms::Credentials`] for that. What can be serialized
//! is so for the process that fetches, which is the same build of the same program.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Where the model is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    Git(Git),
    Snapshot(Snapshot),
    /// A directory on this machine. It is not signed, so it needs [`Trust::None`].
    Directory(PathBuf),
}

/// A git repository over `https`, `ssh`, `file` or `http`. Of the machine's own git and ssh
/// configuration nothing is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// `https://…`, `ssh://user@host/path`, `file:///path` or `http://…`, without a password in it.
    pub url: String,
    pub reference: Reference,
    /// The private key for ssh.
    pub ssh_key: Option<PathBuf>,
    /// The host keys for ssh; without it `/etc/ssh/ssh_known_hosts`. They are always checked.
    pub known_hosts: Option<PathBuf>,
    /// For https: one line, `TOKEN` or `USER:TOKEN`.
    pub token_file: Option<PathBuf>,
    /// For https: the authorities that are trusted, in place of the machine's.
    pub ca: Option<PathBuf>,
    /// `http://host:port` or `socks5h://host:port`.
    pub proxy: Option<String>,
}

impl Git {
    pub fn new(url: impl Into<String>, reference: Reference) -> Git {
        Git {
            url: url.into(),
            reference,
            ssh_key: None,
            known_hosts: None,
            token_file: None,
            ca: None,
            proxy: None,
        }
    }
}

/// What is followed in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// The tip commit of a branch is what must be signed.
    Branch(String),
    /// An annotated tag is what must be signed, by that name.
    Tag(String),
}

/// A signed snapshot, as `publish` writes it into the directory of a web server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `https://…`, `http://…` or `file:///…`: the directory that holds `manifest.signed`.
    pub url: String,
    /// The authorities that are trusted for https, in place of the machine's.
    pub ca: Option<PathBuf>,
    pub proxy: Option<String>,
}

impl Snapshot {
    pub fn new(url: impl Into<String>) -> Snapshot {
        Snapshot { url: url.into(), ca: None, proxy: None }
    }
}

/// Whose model is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Commits or tags signed with SSH keys: a file as `ssh-keygen` describes it under ALLOWED SIGNERS.
    AllowedSigners(PathBuf),
    /// Commits or tags signed with OpenPGP: a keyring as `gpgv` reads it.
    OpenPgp(PathBuf),
    /// Snapshots signed by at least `threshold` different ones of these ed25519 keys.
    Keys {
        /// Files with public keys, one a line.
        files: Vec<PathBuf>,
        /// Public keys: `ssh-ed25519 AAAA… name`.
        keys: Vec<String>,
        threshold: usize,
    },
    /// Anybody who can write to the source is believed.
    None,
}

impl Source {
    /// The kind of it, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Source::Git(_) => "git",
            Source::Snapshot(_) => "snapshot",
            Source::Directory(_) => "directory",
        }
    }
}

impl Source {
    /// Whether anybody between the source and this machine could change what it delivers. What is not known to
    /// be protected is not.
    pub fn is_plain(&self) -> bool {
        match self {
            Source::Git(Git { url, .. }) | Source::Snapshot(Snapshot { url, .. }) => {
                let scheme = url.split_once("://").map_or("", |it| it.0);
                !["https", "ssh", "file"].contains(&scheme)
            }
            Source::Directory(_) => false,
        }
    }
}

/// As a status names it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Git(Git { url, reference: Reference::Branch(name), .. }) => {
                write!(f, "git {url} branch {name}")
            }
            Source::Git(Git { url, reference: Reference::Tag(name), .. }) => {
                write!(f, "git {url} tag {name}")
            }
            Source::Snapshot(it) => write!(f, "snapshot {}", it.url),
            Source::Directory(path) => write!(f, "directory {}", path.display()),
        }
    }
}

impl Trust {
    /// The kind of it, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Trust::AllowedSigners(_) => "allowed_signers",
            Trust::OpenPgp(_) => "openpgp",
            Trust::Keys { .. } => "keys",
            Trust::None => "none",
        }
    }
}

/// What bringing a model may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// One transfer as a whole.
    pub total: std::time::Duration,
    /// A transfer that moves nothing for so long is given up.
    pub idle: std::time::Duration,
    /// The most bytes of one transfer, and of any file that is written for it.
    pub bytes: u64,
    /// How many commits may lie between the highest revision accepted and a new one.
    pub commits: usize,
}

impl Limits {
    /// As usual, but for one transfer as a whole.
    pub fn within(total: std::time::Duration) -> Limits {
        let usual = Limits::default();
        Limits { total, idle: usual.idle.min(total), ..usual }
    }

    /// What of it is asked of each transfer.
    pub fn transfer(&self) -> steadfast_download::Limits {
        let Limits { total, idle, bytes, commits: _ } = *self;
        steadfast_download::Limits { total, idle, bytes }
    }

    /// All transfers of one fetch together: a history is deepened in several.
    pub fn together(&self) -> std::time::Duration {
        self.transfer().together()
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // Long enough for a large first clone over a slow line; the old model is kept meanwhile.
            total: std::time::Duration::from_secs(300),
            idle: std::time::Duration::from_secs(30),
            // Twice what a model may have: a history is packed with it.
            bytes: 2 * crate::directory::MAX_BYTES,
            commits: 5000,
        }
    }
}

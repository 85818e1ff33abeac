//! The configuration with which git and ssh are started, which is ours and nothing else, and the keys that
//! they read: files in a directory that only the fetching user can open, and that is gone after the fetch.

use crate::settings::{Git, Limits};
use crate::terms::Credentials;
use base64::Engine as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What git reads in place of the configuration of the machine and its users.
pub(super) const CONFIG: &str = "\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tbigFileThreshold = 16m
\tdeltaBaseCacheLimit = 32m
[init]
\tdefaultBranch = none
[protocol]
\tversion = 2
\tallow = never
[protocol \"https\"]
\tallow = always
[protocol \"http\"]
\tallow = always
[protocol \"ssh\"]
\tallow = always
[protocol \"file\"]
\tallow = always
[transfer]
\tfsckObjects = true
\tunpackLimit = 1
\tbundleURI = false
[fetch]
\tunpackLimit = 1
\trecurseSubmodules = false
\twriteCommitGraph = false
[submodule]
\trecurse = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[credential]
\thelper =
[http]
\tfollowRedirects = false
\tsslVerify = true
\tsslVersion = tlsv1.2
";

/// Writes the configuration and the keys of a fetch into a new directory, and returns how ssh is started.
pub(super) fn prepare(
    run: &Path,
    git: &Git,
    url: &str,
    credentials: &Credentials,
    limits: &Limits,
) -> std::io::Result<String> {
    std::fs::DirBuilder::new().mode(0o700).create(run)?;
    let mut config = CONFIG.to_owned();
    if let Some(ca) = &credentials.ca {
        let ca = write(run, "ca.pem", ca)?;
        config.push_str(&format!("[http]\n\tsslCAInfo = {}\n", quoted(&ca.to_string_lossy())));
    }
    let proxy = git.proxy.as_deref().unwrap_or_default();
    let idle = limits.idle.as_secs().max(1);
    config.push_str(&format!("[http]\n\tproxy = {}\n", quoted(proxy)));
    config.push_str(&format!("\tlowSpeedLimit = 1\n\tlowSpeedTime = {idle}\n"));
    if let Some(token) = &credentials.token {
        config.push_str(&token_header(url, token));
    }
    if let Some(path) = url.strip_prefix("file://") {
        // upload-pack refuses a repository of another user, and `-c` does not reach it.
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        for it in [real.clone(), real.join(".git")] {
            let it = quoted(&it.to_string_lossy());
            config.push_str(&format!("[safe]\n\tdirectory = {it}\n"));
        }
    }
    write(run, "gitconfig", config.as_bytes())?;
    ssh_command(run, credentials, idle)
}

/// The token, in the header in which git forges expect it.
fn token_header(url: &str, token: &str) -> String {
    let token = token.trim();
    let pair = if token.contains(':') { token.to_owned() } else { format!("token:{token}") };
    let header = base64::engine::general_purpose::STANDARD.encode(pair);
    let url = quoted(url);
    format!("[http {url}]\n\textraHeader = \"Authorization: Basic {header}\"\n")
}

fn ssh_command(run: &Path, credentials: &Credentials, idle: u64) -> std::io::Result<String> {
    let hosts = match &credentials.known_hosts {
        Some(hosts) => shell_quoted(&write(run, "known_hosts", hosts)?),
        None => "/etc/ssh/ssh_known_hosts".into(),
    };
    let mut ssh = format!("{SSH} -o UserKnownHostsFile={hosts} -o ConnectTimeout={idle}");
    if let Some(key) = &credentials.ssh_key {
        let key = write(run, "ssh_key", key)?;
        ssh.push_str(&format!(" -i {}", shell_quoted(&key)));
    }
    Ok(ssh)
}

/// A file that nobody else can read.
fn write(run: &Path, name: &str, content: &[u8]) -> std::io::Result<PathBuf> {
    let path = run.join(name);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(content).map(|()| path)
}

const SSH: &str = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes \
    -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no -o ForwardAgent=no -o ForwardX11=no \
    -o ClearAllForwardings=yes -o PermitLocalCommand=no -o ControlPath=none -o IdentityAgent=none \
    -o ServerAliveInterval=15 -o ServerAliveCountMax=2";

/// A value in a git configuration.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One word for the shell that git runs ssh with.
fn shell_quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

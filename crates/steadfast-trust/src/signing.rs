//! Our own ed25519 keys: making one, reading one, signing with one.

use crate::files::{FileError, read_small};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Why there is no key to sign with, or no signature.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("write {path}")]
    Write {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error(transparent)]
    Read(#[from] FileError),
    #[error("read the key {path}: {why}")]
    Key { path: PathBuf, why: String },
    #[error("sign: {why}")]
    Sign { why: String },
}

/// Makes a new ed25519 key: `path` and `path.pub`. Neither may be there.
pub fn create_key(path: &Path, name: &str) -> Result<String, SigningError> {
    let bad =
        |why: ssh_key::Error| SigningError::Key { path: path.to_owned(), why: why.to_string() };
    let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(bad)?;
    key.set_comment(name);
    let public = key.public_key().to_openssh().map_err(bad)?;
    let private = key.to_openssh(LineEnding::LF).map_err(bad)?;
    let mut public_path = path.as_os_str().to_owned();
    public_path.push(".pub");
    for (path, text, mode) in [
        (path.to_owned(), private.as_str(), 0o600),
        (public_path.into(), format!("{public}\n").as_str(), 0o644),
    ] {
        let write = || -> std::io::Result<()> {
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|err| SigningError::Write { path: path.clone(), err })?;
    }
    Ok(public)
}

/// Reads a private ed25519 key, as [`create_key`] or `ssh-keygen` wrote it.
pub fn read_key(path: &Path) -> Result<PrivateKey, SigningError> {
    let bad = |why: String| SigningError::Key { path: path.to_owned(), why };
    let text = read_small(path)?;
    let key = PrivateKey::from_openssh(text).map_err(|it| bad(it.to_string()))?;
    if key.is_encrypted() {
        return Err(bad("it is encrypted: sign with `ssh-keygen -Y sign` instead".into()));
    }
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(bad(format!("snapshots are signed with ed25519, not {}", key.algorithm())));
    }
    Ok(key)
}

/// A signature over a text for one purpose, armored.
pub fn sign(key: &PrivateKey, namespace: &str, text: &[u8]) -> Result<String, SigningError> {
    let armor = key
        .sign(namespace, HashAlg::Sha512, text)
        .and_then(|it| it.to_pem(LineEnding::LF))
        .map_err(|it| SigningError::Sign { why: it.to_string() })?;
    Ok(format!("{}\n", armor.trim_end()))
}

//! Values of secrets that are kept for what was made with them, so that it can be repaired and gone back to. Each is in
//! a file of its own, for root alone, that is named by a digest which only this node can make.

use super::{Read, Secret};
use crate::files::private::{Private, read_private};
use crate::text::{hex, is_digest};
use crate::{ErrorKind, SystemError};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// What the digest of a value begins with, so that none of another kind is like it.
const TITLE: &[u8] = b"steadfast secret 1\n";
/// A value, the check before it included.
const BYTES_MAX: u64 = 1024 * 1024 + CHECK as u64;
/// The length of the check before a value.
const CHECK: usize = 32;

/// Where they are.
#[derive(Clone, Debug)]
pub struct KeptSecrets {
    folder: PathBuf,
}

impl KeptSecrets {
    pub fn of(state: &Path) -> KeptSecrets {
        KeptSecrets { folder: state.join("deployments").join("secrets") }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a value is kept as.
    pub fn digest(secret: &Secret, sys: &dyn Read) -> Result<String, SystemError> {
        Ok(hex(&sys.keyed_digest(&[TITLE, secret.reveal()].concat())?))
    }

    /// What is in the file of a value.
    pub fn written(secret: &Secret, digest: &str) -> Vec<u8> {
        [&check(secret.reveal(), digest), secret.reveal()].concat()
    }

    /// A value. What is damaged, or was put there by somebody else, is none.
    pub fn get(&self, name: &str, digest: &str) -> Result<Secret, SystemError> {
        let what = || format!("read what is kept of the secret {name}");
        let no = |why: &str| SystemError::new(ErrorKind::Secret, why).during(what());
        if !is_digest(digest) {
            return Err(no("that is no digest"));
        }
        let file = read_private(&self.folder, digest, BYTES_MAX).map_err(|it| it.during(what()))?;
        match file {
            Some(Private::File { content, uid, mode }) if mode.0 & 0o077 == 0 => {
                let own = rustix::process::geteuid().as_raw();
                let (before, value) = content.split_at_checked(CHECK).unwrap_or_default();
                if uid != own || *before != check(value, digest) {
                    return Err(no("it is damaged"));
                }
                Ok(Secret::new(value.to_vec()))
            }
            Some(Private::File { .. } | Private::NoFile | Private::TooLarge) => {
                Err(no("it is damaged"))
            }
            None => Err(no("it is lost")),
        }
    }
}

/// What tells a value from one that is damaged, also where the node has another key by now. It lies beside the value, so
/// it gives nothing away.
fn check(value: &[u8], digest: &str) -> [u8; CHECK] {
    Sha256::new().chain_update(digest).chain_update([0]).chain_update(value).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Host;
    use crate::host::Settings;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_value_that_is_kept_is_read_by_its_digest_and_one_that_is_damaged_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let fresh = || {
            Host::new(Settings {
                state: folder.path().to_owned(),
                cache: folder.path().join("cache"),
                secrets: folder.path().join("secrets"),
                credentials: None,
                own_files: vec![],
            })
        };
        let host = fresh();
        let secret = Secret::new(b"hunter2\n\xff".to_vec());
        let digest = KeptSecrets::digest(&secret, &host).unwrap();
        assert_ne!(digest, hex(&Sha256::digest(secret.reveal())));
        let kept = KeptSecrets::of(folder.path());
        let path = kept.folder().join(&digest);
        let name = format!("people/db@{digest}");
        let words = || host.secret(&name).unwrap_err().chain().join(": ");
        assert_eq!(words(), "read what is kept of the secret people/db: it is lost");
        std::fs::create_dir_all(kept.folder()).unwrap();
        let written = KeptSecrets::written(&secret, &digest);
        let put = |bytes: &[u8], mode: u32| {
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        put(&written, 0o600);
        assert_eq!(host.secret(&name).unwrap(), secret);
        // Also where the key is another one by now.
        std::fs::write(folder.path().join("node.key"), [7; 32]).unwrap();
        assert_eq!(host.secret(&name).unwrap(), secret);
        for (bytes, mode) in [(&written[..], 0o640), (&written[1..], 0o600), (&b""[..], 0o600)] {
            put(bytes, mode);
            assert_eq!(words(), "read what is kept of the secret people/db: it is damaged");
        }
        // The value of another digest is not this one.
        put(&KeptSecrets::written(&secret, &"0".repeat(64)), 0o600);
        assert!(words().ends_with("it is damaged"));
        assert!(host.secret("people/db@../../secrets").is_err());
        // Where it is lost, the secret itself serves as long as it has that value.
        std::fs::create_dir_all(folder.path().join("secrets/people")).unwrap();
        let live = folder.path().join("secrets/people/db");
        std::fs::write(&live, secret.reveal()).unwrap();
        std::fs::set_permissions(&live, std::fs::Permissions::from_mode(0o600)).unwrap();
        let digest = KeptSecrets::digest(&secret, &fresh()).unwrap();
        let name = format!("people/db@{digest}");
        if crate::require::is_root() {
            assert_eq!(fresh().secret(&name).unwrap(), secret);
        }
        std::fs::write(&live, "another").unwrap();
        assert!(fresh().secret(&name).is_err());
    }
}

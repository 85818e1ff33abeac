//! Where the machine that this program runs on has its secrets, and its own key.

use super::{KeptSecrets, Read, Secret};
use crate::files::private::{Private, read_private};
use crate::{ErrorKind, Host, SystemError};
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind as Io, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::PoisonError;

/// A secret is a password or a key, not a disk image.
const SECRET_MAX: u64 = 1024 * 1024;

impl Read for Host {
    fn secret(&self, name: &str) -> Result<Secret, SystemError> {
        if let Some((name, digest)) = name.split_once('@') {
            return self.kept_secret(name, digest);
        }
        let unusable = |why: &str| {
            SystemError::new(ErrorKind::Secret, why).during(format!("read the secret {name}"))
        };
        let valid = |part: &str| {
            !part.starts_with('.')
                && !part.is_empty()
                && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it))
        };
        if !name.split('/').all(valid) {
            return Err(unusable("that is no name of a secret"));
        }
        if let Some(folder) = &self.settings.credentials {
            // Whose that directory is and what modes it has is systemd's business.
            let file = read_private(folder, &name.replace('/', "."), SECRET_MAX)
                .map_err(|err| err.during(format!("read the secret {name}")))?;
            match file {
                Some(Private::File { content, .. }) => return Ok(stripped(content)),
                Some(Private::NoFile) => {
                    return Err(unusable("its credential is no regular file"));
                }
                Some(Private::TooLarge) => return Err(unusable("its credential is over 1 MiB")),
                None => {}
            }
        }
        let shown = self.settings.secrets.join(name).display().to_string();
        match read_private(&self.settings.secrets, name, SECRET_MAX)
            .map_err(|err| err.during(format!("read the secret {name}")))?
        {
            Some(Private::File { uid, .. }) if uid != 0 => {
                Err(unusable(&format!("{shown} is not owned by root")))
            }
            Some(Private::File { mode, .. }) if mode.0 & 0o077 != 0 => Err(unusable(&format!(
                "{shown} has mode {mode}, so that others than root can use it (`chmod 0600`)"
            ))),
            Some(Private::File { content, .. }) => Ok(stripped(content)),
            Some(Private::NoFile) => Err(unusable(&format!("{shown} is no regular file"))),
            Some(Private::TooLarge) => Err(unusable(&format!("{shown} is over 1 MiB"))),
            None if self.settings.credentials.is_some() => Err(unusable(&format!(
                "it is not among the credentials of the service, and {shown} does not exist"
            ))),
            None => Err(unusable(&format!("{shown} does not exist"))),
        }
    }

    fn keyed_digest(&self, content: &[u8]) -> Result<[u8; 32], SystemError> {
        let mut key = self.secrets.key.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match *key {
            Some(key) => key,
            None => *key.insert(node_key(&self.settings.state)?),
        };
        Ok(hmac(&key, content))
    }
}

impl Host {
    /// The value that is kept; where that is lost or not there yet, the secret of the name, if it has this value.
    fn kept_secret(&self, name: &str, digest: &str) -> Result<Secret, SystemError> {
        let kept = KeptSecrets::of(&self.settings.state).get(name, digest);
        kept.or_else(|lost| match self.secret(name) {
            Ok(it) if KeptSecrets::digest(&it, self).is_ok_and(|it| it == digest) => Ok(it),
            Ok(_) | Err(_) => Err(lost),
        })
    }
}

/// One newline at the end is the editor's, not the secret's.
fn stripped(mut content: Vec<u8>) -> Secret {
    if content.last() == Some(&b'\n') {
        content.pop();
    }
    Secret::new(content)
}

/// The key of this node, made at its first use.
///
/// Where it can be neither read nor made (a dry run without rights, a full disk), a key of this run
/// alone serves: digests made with it equal no other's, which only means that something counts as
/// changed.
fn node_key(state: &Path) -> Result<[u8; 32], SystemError> {
    let path = state.join("node.key");
    let what = || format!("read or make {}", path.display());
    let made = match std::fs::read(&path) {
        Ok(content) => match <[u8; 32]>::try_from(content) {
            Ok(key) => return Ok(key),
            // Torn by somebody else: we write it whole. A new one takes its place.
            Err(_) => make_key(state, &path),
        },
        Err(err) if err.kind() == Io::NotFound => make_key(state, &path),
        Err(err) => Err(err),
    };
    match made {
        Ok(key) => Ok(key),
        Err(err)
            if matches!(
                err.kind(),
                Io::NotFound
                    | Io::PermissionDenied
                    | Io::ReadOnlyFilesystem
                    | Io::StorageFull
                    | Io::QuotaExceeded
            ) =>
        {
            random_key().map_err(|err| SystemError::io(what(), err))
        }
        Err(err) => Err(SystemError::io(what(), err)),
    }
}

fn random_key() -> std::io::Result<[u8; 32]> {
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}

fn make_key(state: &Path, path: &Path) -> std::io::Result<[u8; 32]> {
    let key = random_key()?;
    let temporary = state.join("node.key.new");
    // A killed run may have left one.
    match std::fs::remove_file(&temporary) {
        Ok(()) => {}
        Err(err) if err.kind() == Io::NotFound => {}
        Err(err) => return Err(err),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(state)?.sync_all()?;
    Ok(key)
}

/// HMAC-SHA-256 (RFC 2104) with a key that fits a block.
fn hmac(key: &[u8; 32], content: &[u8]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; 64];
        for (at, byte) in block.iter_mut().zip(key) {
            *at ^= byte;
        }
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(content).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Settings;
    use crate::require::is_root;
    use std::os::unix::fs::PermissionsExt as _;

    fn host(folder: &Path) -> Host {
        for name in ["state", "secrets/people", "credentials"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        Host::new(Settings {
            state: folder.join("state"),
            cache: folder.join("cache"),
            secrets: folder.join("secrets"),
            credentials: Some(folder.join("credentials")),
            own_files: vec![],
        })
    }

    fn put(path: &Path, content: &[u8], mode: u32) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn digests_are_those_of_rfc_4231() {
        // Test cases 1 and 2 of the RFC; a shorter key is the same as one filled up with zeros.
        let mut key = [0; 32];
        key[..20].copy_from_slice(&[0x0b; 20]);
        let hex = |digest: [u8; 32]| crate::text::hex(&digest);
        assert_eq!(
            hex(hmac(&key, b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            hex(hmac(&key, b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn the_key_of_a_node_is_made_once_and_is_roots_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = host(folder.path()).keyed_digest(b"x").unwrap();
        let path = folder.path().join("state/node.key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(host(folder.path()).keyed_digest(b"x").unwrap(), first);
        assert_ne!(host(folder.path()).keyed_digest(b"y").unwrap(), first);
        // Torn: another one is made, and it stays.
        std::fs::write(&path, "short").unwrap();
        let second = host(folder.path()).keyed_digest(b"x").unwrap();
        assert_ne!(second, first);
        assert_eq!(host(folder.path()).keyed_digest(b"x").unwrap(), second);
    }

    #[test]
    fn without_a_state_directory_a_key_of_this_run_serves() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path());
        std::fs::remove_dir(folder.path().join("state")).unwrap();
        let first = host.keyed_digest(b"x").unwrap();
        assert_eq!(host.keyed_digest(b"x").unwrap(), first);
        assert!(!folder.path().join("state").exists());
    }

    #[test]
    fn a_secret_comes_from_the_credentials_before_the_folder() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path());
        put(&folder.path().join("secrets/people/db"), b"from the directory\n\n", 0o600);
        assert_eq!(host.secret("people/db").unwrap().reveal(), b"from the directory\n");
        put(&folder.path().join("credentials/people.db"), b"from systemd\n", 0o440);
        assert_eq!(host.secret("people/db").unwrap().reveal(), b"from systemd");
        assert_eq!(format!("{:?}", host.secret("people/db")), "Ok(Secret(…))");
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_saying_it() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path());
        let words = |name: &str| {
            let error = host.secret(name).unwrap_err();
            let words = error.chain().join(": ").replace(folder.path().to_str().unwrap(), "");
            assert!(!words.contains("hunter2"), "{words}");
            words
        };
        let at = |name: &str| folder.path().join("secrets").join(name);
        assert_eq!(
            words("none"),
            "read the secret none: it is not among the credentials of the service, and /secrets/none \
             does not exist"
        );
        for bad in ["", "/x", "x/", "../x", "a/../b", ".x", "a b", "a//b", "a\n"] {
            assert!(words(bad).ends_with("that is no name of a secret"), "{bad:?}");
        }
        if !is_root() {
            return;
        }
        put(&at("readable"), b"hunter2", 0o640);
        assert_eq!(
            words("readable"),
            "read the secret readable: /secrets/readable has mode 0640, so that others than root can \
             use it (`chmod 0600`)"
        );
        put(&at("foreign"), b"hunter2", 0o600);
        std::os::unix::fs::chown(at("foreign"), Some(12_345), None).unwrap();
        assert_eq!(
            words("foreign"),
            "read the secret foreign: /secrets/foreign is not owned by root"
        );
        put(&at("real"), b"hunter2", 0o600);
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        assert_eq!(words("link"), "read the secret link: /secrets/link is no regular file");
        assert_eq!(words("people"), "read the secret people: /secrets/people is no regular file");
        put(&at("large"), &vec![b'x'; 1024 * 1024 + 1], 0o600);
        assert_eq!(words("large"), "read the secret large: /secrets/large is over 1 MiB");
    }
}

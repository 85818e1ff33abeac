//! A set of keys of which some number must sign.

use crate::files::{FileError, read_small};
use crate::signature::{MAX_SIGNATURES, SignatureError, Signer, fingerprint, good, ssh_signature};
use ssh_key::{Algorithm, HashAlg, PublicKey};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Why the trusted keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    Read(#[from] FileError),
    #[error("line {line} of {file}: {why}")]
    Line { file: String, line: usize, why: String },
    #[error("there is no key in {file}")]
    Empty { file: String },
    #[error("a threshold of {threshold} with {keys} different keys")]
    Threshold { threshold: usize, keys: usize },
}

/// A set of ed25519 keys of which some number must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    pub keys: Vec<PublicKey>,
    pub threshold: usize,
}

impl KeySet {
    /// From lines of `ssh-ed25519 AAAA… name`, as a `.pub` file has them.
    pub fn parse(
        lines: impl IntoIterator<Item = (String, usize, String)>,
        threshold: usize,
    ) -> Result<KeySet, KeysError> {
        let mut keys: Vec<PublicKey> = vec![];
        for (file, line, text) in lines {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let wrong = |why: String| KeysError::Line { file: file.clone(), line, why };
            let key = PublicKey::from_openssh(text).map_err(|it| wrong(it.to_string()))?;
            if key.algorithm() != Algorithm::Ed25519 {
                let why = format!("snapshots are signed with ed25519, not {}", key.algorithm());
                return Err(wrong(why));
            }
            if !keys.iter().any(|it| it.key_data() == key.key_data()) {
                keys.push(key);
            }
        }
        if threshold == 0 || threshold > keys.len() {
            return Err(KeysError::Threshold { threshold, keys: keys.len() });
        }
        Ok(KeySet { keys, threshold })
    }

    pub fn fingerprints(&self) -> BTreeSet<String> {
        self.keys.iter().map(fingerprint).collect()
    }

    /// Whether these are the same keys with the same threshold, in whatever order.
    pub fn same(&self, other: &KeySet) -> bool {
        self.threshold == other.threshold && self.fingerprints() == other.fingerprints()
    }

    /// Whether enough of them signed. A key in `removed` does not count, and signatures of others do not
    /// matter: during a rotation a file may carry both.
    pub fn verify(
        &self,
        what: &str,
        payload: &[u8],
        armors: &[String],
        namespace: &str,
        removed: &BTreeSet<String>,
    ) -> Result<Vec<Signer>, SignatureError> {
        if armors.is_empty() {
            return Err(SignatureError::Unsigned { what: what.to_owned() });
        }
        let mut signers: Vec<Signer> = vec![];
        let mut reason = None;
        for armor in armors.iter().take(MAX_SIGNATURES) {
            let signature = ssh_signature(what, armor)?;
            let known = self.keys.iter().find(|it| it.key_data() == signature.public_key());
            let Some(key) = known else {
                let key = signature.public_key().fingerprint(HashAlg::Sha256).to_string();
                tracing::debug!(what, key, "signature does not count: the key is not in the set");
                reason.get_or_insert(SignatureError::UnknownSigner { what: what.to_owned(), key });
                continue;
            };
            let print = fingerprint(key);
            if removed.contains(&print) {
                tracing::debug!(what, key = print, "signature does not count: the key was removed");
                reason = Some(SignatureError::RemovedKey { what: what.to_owned(), key: print });
                continue;
            }
            good(what, key, namespace, payload, &signature)?;
            tracing::debug!(what, key = print, signer = key.comment(), "signature accepted");
            if !signers.iter().any(|it| it.key == print) {
                signers.push(Signer { key: print, name: key.comment().to_owned() });
            }
        }
        if signers.len() >= self.threshold {
            return Ok(signers);
        }
        if signers.is_empty()
            && let Some(reason) = reason
        {
            return Err(reason);
        }
        Err(SignatureError::TooFewSigners {
            what: what.to_owned(),
            have: signers.len(),
            threshold: self.threshold,
        })
    }
}

/// The set that files with public keys and lines of the settings make together.
pub fn key_set(files: &[PathBuf], keys: &[String], threshold: usize) -> Result<KeySet, KeysError> {
    let mut lines = vec![];
    for path in files {
        let text = read_small(path)?;
        let text = String::from_utf8_lossy(&text);
        for (at, line) in text.lines().enumerate() {
            lines.push((path.display().to_string(), at + 1, line.to_owned()));
        }
    }
    for (at, key) in keys.iter().enumerate() {
        lines.push(("the settings".to_owned(), at + 1, key.clone()));
    }
    KeySet::parse(lines, threshold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SNAPSHOT;
    use crate::signing::sign;
    use ssh_key::PrivateKey;
    use ssh_key::rand_core::OsRng;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    fn line(key: &PrivateKey) -> String {
        key.public_key().to_openssh().unwrap()
    }

    #[test]
    fn a_threshold_counts_different_keys_that_were_not_removed() {
        let (a, b, stranger) = (key(), key(), key());
        let lines = [&a, &b].map(|it| ("f".to_owned(), 1, line(it)));
        let set = KeySet::parse(lines, 2).unwrap();
        let text = b"text";
        let by = |keys: &[&PrivateKey], removed: &[&PrivateKey]| {
            let armors: Vec<_> = keys.iter().map(|it| sign(it, SNAPSHOT, text).unwrap()).collect();
            let removed = removed.iter().map(|it| fingerprint(it.public_key())).collect();
            set.verify("it", text, &armors, SNAPSHOT, &removed)
                .map(|it| it.len())
                .map_err(|it| it.to_string())
        };
        assert_eq!(by(&[&a, &b, &stranger], &[]), Ok(2));
        let few = Err("it has 1 of the 2 signatures that it needs".to_owned());
        assert_eq!(by(&[&a, &a], &[]), few);
        assert_eq!(by(&[&a, &stranger], &[]), few);
        assert_eq!(by(&[&a, &b], &[&b]), few);
        assert!(by(&[&b], &[&b]).unwrap_err().ends_with("removed from the trusted keys before"));
        assert_eq!(by(&[], &[]), Err("it is not signed".to_owned()));
    }
}

//! Who signed: SSH signatures (SSHSIG), verified in this process. What is trusted decides which form is
//! looked for, never the signed thing: an OpenPGP signature does not pass where SSH keys are trusted, nor
//! the other way round. Every purpose has a namespace of its own, so nothing signed for one can be replayed
//! as another.

use crate::text::one_line;
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};

/// What git signs under.
pub const GIT: &str = "git";
/// What snapshots are signed under.
pub const SNAPSHOT: &str = "steadfast-snapshot";
/// What a new set of keys is signed under.
pub const KEYS: &str = "steadfast-keys";

/// More than anybody's signatures under one thing.
pub(crate) const MAX_SIGNATURES: usize = 64;

/// Who signed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// `SHA256:…` for an SSH key, the fingerprint in hexadecimal for an OpenPGP key.
    pub key: String,
    /// Who that is, by the file that names the key; empty where it says nothing.
    pub name: String,
}

/// Why a signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("{what} is not signed")]
    Unsigned { what: String },
    #[error("{what} has more than one signature")]
    TwoSignatures { what: String },
    #[error("the signature of {what} is not good: {why}")]
    BadSignature { what: String, why: String },
    #[error("{what} is signed by {key}, which is not trusted")]
    UnknownSigner { what: String, key: String },
    #[error("{what} is signed by {key}, which is {when}")]
    NotValidNow { what: String, key: String, when: String },
    #[error("{what} is signed by {key}, which was removed from the trusted keys before")]
    RemovedKey { what: String, key: String },
    #[error("{what} has {have} of the {threshold} signatures that it needs")]
    TooFewSigners { what: String, have: usize, threshold: usize },
}

pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

pub(crate) fn ssh_signature(what: &str, armor: &str) -> Result<SshSig, SignatureError> {
    SshSig::from_pem(armor.trim_end()).map_err(|it| SignatureError::BadSignature {
        what: what.to_owned(),
        why: one_line(&it.to_string()),
    })
}

/// Key, namespace and signature.
pub(crate) fn good(
    what: &str,
    key: &PublicKey,
    namespace: &str,
    payload: &[u8],
    signature: &SshSig,
) -> Result<(), SignatureError> {
    let bad = |why: String| SignatureError::BadSignature { what: what.to_owned(), why };
    if signature.namespace() != namespace {
        let named = one_line(signature.namespace());
        return Err(bad(format!("it is for `{named}` and not for `{namespace}`")));
    }
    if matches!(key.algorithm(), Algorithm::Rsa { .. } | Algorithm::Dsa) {
        return Err(bad(format!("{} keys are not supported: use ed25519", key.algorithm())));
    }
    key.verify(namespace, payload, signature)
        .map_err(|_| bad("what is signed is something else".to_owned()))
}
